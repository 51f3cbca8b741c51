"""The rigs of the OctoPrint driver: on the fake server and on a real one; the line's faults are a proxy's."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from drivers.octoprint.driver import OctoPrintDriver
from orchestrator.clock import SystemClock
from orchestrator.domain.event import Json
from orchestrator.ports import Driver
from tests.rigs.fake_octoprint import API_KEY, FakeOctoPrint, fake_octoprint
from tests.rigs.proxy import Mood, Proxy, proxied
from tests.rigs.rig import OnCommand
from tests.services import OctoPrintServer, wait_until

T = TypeVar("T")


class _Wired(OnCommand):
    """What the two have in common: real time, and a line that can fail."""

    def __init__(self, directory: Path, proxy: Proxy, api_key: str, answer_seconds: float) -> None:
        self.clock = SystemClock()
        self.proxy = proxy
        self._directory = directory
        self._api_key = api_key
        self._answer_seconds = answer_seconds

    def driver(self) -> Driver:
        return self._driver(self._api_key)

    def driver_with_wrong_key(self) -> Driver | None:
        return self._driver("WRONG" + self._api_key)

    def _driver(self, api_key: str) -> Driver:
        connection: dict[str, Json] = {
            "url": self.proxy.url,
            "api_key": api_key,
            "answer_seconds": self._answer_seconds,
        }
        return OctoPrintDriver(connection, self.clock)

    def file(self, lines: int = 20) -> Path:
        path = self._directory / f"{lines}.gcode"
        path.write_text("".join(f"G1 X{line % 50} E{line / 100} F9000\nG4 P50\n" for line in range(lines)))
        return path

    async def meanwhile(self, call: Coroutine[Any, Any, T]) -> T:
        return await call

    async def goes_silent(self) -> None:
        self.proxy.mood = Mood.SWALLOWS_ALL

    async def is_cut_off(self) -> None:
        await self.proxy.cut()

    async def comes_back(self) -> None:
        await self.proxy.cut()
        self.proxy.mood = Mood.PASSES
        await self.proxy.listen()

    async def answers_500(self) -> None:
        self.proxy.mood = Mood.ANSWERS_500

    async def loses_the_answer(self) -> None:
        self.proxy.mood = Mood.SWALLOWS_ANSWERS


class FakeOctoPrintRig(_Wired):
    def __init__(self, directory: Path, proxy: Proxy, fake: FakeOctoPrint) -> None:
        super().__init__(directory, proxy, API_KEY, answer_seconds=0.3)
        self.fake = fake

    @property
    def begun(self) -> tuple[str, ...]:
        return tuple(self.fake.printer.begun)

    async def prints_on(self) -> None:
        await self.fake.print_on()

    async def finishes(self) -> None:
        await self.fake.finish()

    async def jams(self) -> None:
        await self.fake.fail()

    async def is_cancelled_by_hand(self) -> None:
        await self.fake.cancel()

    async def was_started_by_hand(self) -> str:
        await self.fake.start_by_hand("by-hand.gcode")
        return "by-hand.gcode"

    async def forgets(self) -> None:
        await self.fake.be_killed()


class RealOctoPrintRig(_Wired):
    """A server that other tests share: it is left operational, and remembers what begun before this test."""

    def __init__(self, directory: Path, proxy: Proxy, server: OctoPrintServer) -> None:
        super().__init__(directory, proxy, server.api_key, answer_seconds=1.2)
        self.server = server
        self._before = len(self._log())

    @property
    def begun(self) -> tuple[str, ...]:
        """Read in OctoPrint's own log, which only it writes."""
        return self._log()[self._before :]

    def _log(self) -> tuple[str, ...]:
        log = (self.server.basedir / "logs" / "octoprint.log").read_text(errors="replace")
        return tuple(re.findall(r"Print job started - origin: local, path: (\S+),", log))

    async def _state(self) -> str:
        return str((await self.server.get("/api/job"))["state"])

    async def prints_on(self) -> None:
        before = (await self.server.get("/api/job"))["progress"]["filepos"] or 0

        async def further() -> bool:
            return bool(((await self.server.get("/api/job"))["progress"]["filepos"] or 0) > before)

        await wait_until(further, deadline_seconds=10)

    async def finishes(self) -> None:
        await wait_until(self._is_operational, deadline_seconds=30)

    async def _is_operational(self) -> bool:
        return await self._state() == "Operational"

    async def jams(self) -> None:
        await self.server.debug("maxtemp_error")

    async def is_cancelled_by_hand(self) -> None:
        await self.server.post("/api/job", {"command": "cancel"})

    async def was_started_by_hand(self) -> str:
        driver = self._straight()
        await driver.connect()
        await driver.stage(self.file(30), "by-hand.gcode")
        await driver.close()
        await self.server.post("/api/files/local/by-hand.gcode", {"command": "select", "print": True})
        return "by-hand.gcode"

    def _straight(self) -> Driver:
        """Not through the proxy: for what a person does at the machine."""
        return OctoPrintDriver({"url": self.server.url, "api_key": self.server.api_key}, self.clock)

    async def forgets(self) -> None:
        await self.server.kill()
        await self.server.start()

    async def tidy(self) -> None:
        """Back to operational and without our files, whatever the test has done."""
        async with asyncio.timeout(30):
            while (state := await self._state()) != "Operational":
                if state.startswith("Offline"):
                    await self.server.post("/api/connection", {"command": "connect"})
                elif state in {"Printing", "Paused"}:
                    await self.server.post("/api/job", {"command": "cancel"})
                await asyncio.sleep(0.05)
        driver = self._straight()
        await driver.connect()
        for file in (await self.server.get("/api/files/local"))["files"]:
            await driver.revoke(file["name"])
        await driver.close()


@asynccontextmanager
async def on_fake(directory: Path) -> AsyncIterator[FakeOctoPrintRig]:
    async with fake_octoprint() as fake, proxied(fake.url) as proxy:
        yield FakeOctoPrintRig(directory, proxy, fake)


@asynccontextmanager
async def on_real(directory: Path, server: OctoPrintServer) -> AsyncIterator[RealOctoPrintRig]:
    async with proxied(server.url) as proxy:
        rig = RealOctoPrintRig(directory, proxy, server)
        yield rig
        await rig.tidy()
