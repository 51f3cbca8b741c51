"""Our driver against a firmware that others have written: raydriver's GRBL emulator, behind TCP, in real time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from drivers.grbl.driver import GrblDriver
from orchestrator.clock import SystemClock
from orchestrator.domain.errors import Misconfigured
from orchestrator.domain.machine import Activity
from orchestrator.domain.presence import HEARTBEAT_SECONDS
from orchestrator.ports import Accepted, Control, Ended, Outcome, Refused, Where
from tests.drivers.grbl.emulated import Emulated, a_box, emulated
from tests.rigs.proxy import Proxy, proxied
from tests.rigs.rig import a_presence
from tests.services import wait_until

NAME = "fl-0123456789ab-cdef01.gcode"
CLOCK = SystemClock()


class Lab:
    """The emulator behind a line that can be cut, our driver, and a person."""

    def __init__(self, machine: Emulated, line: Proxy, file: Path) -> None:
        self.machine, self.line, self.file = machine, line, file
        address = line.url.replace("http:", "tcp:")
        self.driver = GrblDriver({"address": address, "answer_seconds": 2, "bed_mm": [600, 400]}, CLOCK)
        self.person_is_there = True
        self.last_sign = 0.0
        self.ended: list[Ended] = []

    async def start(self) -> None:
        await self.driver.stage(self.file, NAME)
        assert isinstance(await self.driver.start(NAME, a_presence(self.file, CLOCK)), Accepted)

    async def is_there(self) -> None:
        while True:
            if self.person_is_there:
                self.driver.attend()
                self.last_sign = CLOCK.monotonic()
            await asyncio.sleep(HEARTBEAT_SECONDS)

    async def listens(self) -> None:
        async for seen in self.driver.observations():
            self.ended += [seen.ended] if seen.ended else []

    async def until(self, wanted: Callable[[], bool]) -> None:
        async def come() -> bool:
            return wanted()

        await wait_until(come, deadline_seconds=40)

    async def ends(self) -> Ended:
        await self.until(lambda: bool(self.ended))
        (ended,) = self.ended
        return ended

    def fed(self) -> int:
        return len(list(self.machine.fed()))


@asynccontextmanager
async def a_lab(directory: Path, speed: float = 60.0) -> AsyncIterator[Lab]:
    file = directory / "box.gcode"
    file.write_text(a_box())
    async with emulated(speed) as machine, proxied(f"tcp://127.0.0.1:{machine.port}") as line:
        lab = Lab(machine, line, file)
        await lab.driver.connect()
        tasks = [asyncio.create_task(lab.is_there()), asyncio.create_task(lab.listens())]
        try:
            yield lab
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await lab.driver.close()


async def test_a_box_of_more_than_600_lines_is_cut_without_an_error(tmp_path: Path) -> None:
    async with a_lab(tmp_path) as lab:
        await lab.start()
        ended = await lab.ends()

        sent = [line.split(";")[0].replace(" ", "") for line in a_box().splitlines()]
        assert list(lab.machine.fed()) == [line for line in sent if line]
        assert lab.fed() > 600
        assert lab.machine.errors == []
        assert lab.machine.answers.count("ok") >= lab.fed()
        assert not lab.machine.firmware.rx_overrun
        assert ended.outcome is Outcome.FINISHED
        assert ended.position_bytes == lab.file.stat().st_size
        assert ended.machine_seconds
        assert 0 < (ended.beam_seconds or 0) <= ended.machine_seconds
        assert not any("M3" in line for line in lab.machine.fed())


async def test_it_is_held_resumed_and_then_finished(tmp_path: Path) -> None:
    async with a_lab(tmp_path) as lab:
        await lab.start()
        await lab.until(lambda: lab.fed() > 100)

        await lab.driver.control(NAME, Control.PAUSE)
        # This emulator passes over a hold that reaches it between two moves: it then waits for a line, and gets none.
        assert lab.machine.firmware.state in {"Hold:0", "Idle"}
        assert (await lab.driver.observe()).activity is Activity.PAUSED
        fed, stood = lab.fed(), list(lab.machine.firmware.mpos)
        await asyncio.sleep(0.5)
        assert lab.fed() == fed
        assert lab.machine.firmware.mpos == stood
        await lab.driver.control(NAME, Control.RESUME)

        assert (await lab.ends()).outcome is Outcome.FINISHED
        assert lab.machine.errors == []
        assert not lab.machine.firmware.rx_overrun


async def test_when_the_person_is_gone_it_holds_within_two_seconds_of_the_last_sign(tmp_path: Path) -> None:
    async with a_lab(tmp_path, speed=1.0) as lab:
        await lab.start()
        await asyncio.sleep(0.3)
        lab.person_is_there = False
        await lab.until(lambda: lab.machine.firmware.state == "Hold:0")

        assert lab.machine.bridge.holds[0] - lab.last_sign <= 2.0
        assert CLOCK.monotonic() - lab.last_sign <= 2.2  # the wait looks but now and then
        moved = list(lab.machine.firmware.mpos)
        await asyncio.sleep(1)
        assert lab.machine.firmware.mpos == moved


async def test_an_alarm_in_mid_cut_fails_it(tmp_path: Path) -> None:
    async with a_lab(tmp_path) as lab:
        await lab.start()
        await lab.until(lambda: lab.fed() > 100)
        lab.machine.firmware._set_alarm(1)

        ended = await lab.ends()

        assert ended.outcome is Outcome.FAILED
        assert "ALARM:1" in ended.words
        assert (await lab.driver.observe()).activity is Activity.FAULT
        assert lab.fed() < 300


async def test_a_cancel_leaves_it_idle_and_unlocked(tmp_path: Path) -> None:
    async with a_lab(tmp_path) as lab:
        await lab.start()
        await lab.until(lambda: lab.fed() > 100)

        await lab.driver.control(NAME, Control.CANCEL)

        assert (await lab.ends()).outcome is Outcome.CANCELLED
        assert (await lab.driver.observe()).activity is Activity.IDLE
        assert lab.machine.errors == []
        assert lab.fed() < 300


async def test_a_cut_cable_leaves_what_nobody_knows_and_nothing_is_fed_or_reset_again(tmp_path: Path) -> None:
    async with a_lab(tmp_path) as lab:
        since = CLOCK.now()
        await lab.start()
        await lab.until(lambda: lab.fed() > 100)

        await lab.line.cut()
        await lab.until(lambda: lab.machine.firmware.state == "Idle")
        fed = lab.fed()
        await lab.driver.close()
        await lab.line.listen()
        await lab.driver.connect()

        assert (await lab.driver.observe()).activity is Activity.IDLE
        located = await lab.driver.locate(NAME, since)
        assert located.where is Where.UNSURE
        await lab.driver.stage(lab.file, NAME)
        assert isinstance(await lab.driver.start(NAME, a_presence(lab.file, CLOCK)), Refused)
        assert lab.fed() == fed < 700
        assert b"\x18" not in lab.machine.bridge.heard
        assert not lab.machine.firmware.rx_overrun


async def test_laser_mode_off_is_for_the_operator_to_mend(tmp_path: Path) -> None:
    async with emulated() as machine:
        machine.firmware.settings["32"] = 0
        driver = GrblDriver({"address": f"tcp://127.0.0.1:{machine.port}"}, CLOCK)

        with pytest.raises(Misconfigured, match=r"\$32=1"):
            await driver.connect()
