"""The simulated machine: how a print passes, what goes wrong on request, and what outlives our process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from drivers.simulated.driver import SimulatedDriver
from drivers.simulated.wire import Memory, from_json, gcode_seconds, to_json
from drivers.simulated.world import NO_TROUBLES, Settings, SimulatedMachine, Troubles
from orchestrator.domain.errors import Conflict, MachineUnreachable, Misconfigured
from orchestrator.domain.event import Json
from orchestrator.domain.machine import Activity, Kind
from orchestrator.domain.presence import Presence
from orchestrator.ports import (
    Accepted,
    Control,
    Observation,
    Outcome,
    Refused,
    Unknown,
    Where,
)
from tests.fakes.clock import NOON, FakeClock
from tests.rigs.rig import a_presence

OURS = "fl-0123456789ab-cdef01.gcode"
SECONDS = 1000  # of the machine, in a file of `a_file`


def a_file(directory: Path) -> Path:
    path = directory / "part.gcode"
    path.write_text("G1 X1\n" * 500 + f";TIME:{SECONDS}\n")
    return path


class Scene:
    """A machine at speed 10, a driver connected to it, and all that a watcher saw."""

    def __init__(self, directory: Path, settings: Settings) -> None:
        self.clock = FakeClock()
        self.machine = SimulatedMachine(settings, self.clock)
        self.driver = SimulatedDriver({}, self.clock, machine=self.machine)
        self.file = a_file(directory)
        self.seen: list[Observation] = []
        self.lost = 0

    async def watch(self) -> None:
        try:
            async for observation in self.driver.observations():
                self.seen.append(observation)
        except MachineUnreachable:
            self.lost += 1

    async def start(self, troubles: Troubles = NO_TROUBLES, presence: Presence | None = None) -> object:
        self.machine.troubles = troubles
        await self.driver.stage(self.file, OURS)
        return await self.driver.start(OURS, presence)

    @property
    def steps(self) -> list[Activity]:
        activities = [seen.activity for seen in self.seen]
        return activities[:1] + [after for before, after in pairwise(activities) if before is not after]

    @property
    def ends(self) -> list[Outcome]:
        return [seen.ended.outcome for seen in self.seen if seen.ended]


@asynccontextmanager
async def a_scene(directory: Path, settings: Settings | None = None) -> AsyncIterator[Scene]:
    scene = Scene(directory, settings or Settings(speed=10.0))
    await scene.driver.connect()
    async with asyncio.TaskGroup() as group:
        watcher = group.create_task(scene.watch())
        await scene.clock.settle()
        yield scene
        watcher.cancel()


# --- how a print passes --------------------------------------------------------------------------


async def test_a_print_heats_prints_finishes_and_takes_the_time_that_the_file_says(tmp_path: Path) -> None:
    async with a_scene(tmp_path) as scene:
        await scene.start()
        await scene.clock.advance(SECONDS / 10 - 0.01)
        assert scene.ends == []

        await scene.clock.advance(0.02)

    ended = next(seen.ended for seen in scene.seen if seen.ended)
    working = [Activity.PREPARING, Activity.PRINTING, Activity.FINISHING]
    assert scene.steps == [Activity.IDLE, *working, Activity.IDLE]
    assert (ended.machine_seconds, ended.position_bytes) == (SECONDS, scene.file.stat().st_size)


async def test_a_printing_machine_is_told_at_most_once_a_second_and_an_idle_one_never(tmp_path: Path) -> None:
    async with a_scene(tmp_path) as scene:
        await scene.clock.advance(3600)
        assert len(scene.seen) == 1

        await scene.start()
        await scene.clock.advance(50)

        assert len(scene.seen) <= 1 + 50 + 3
        assert scene.clock.next_wake is not None


async def test_an_idle_machine_sets_no_alarm(tmp_path: Path) -> None:
    async with a_scene(tmp_path) as scene:
        assert scene.clock.next_wake is None


async def test_a_pause_counts_no_seconds(tmp_path: Path) -> None:
    async with a_scene(tmp_path) as scene:
        await scene.start()
        await scene.clock.advance(20)
        await scene.driver.control(OURS, Control.PAUSE)
        await scene.clock.advance(10_000)
        assert scene.seen[-1].activity is Activity.PAUSED
        await scene.driver.control(OURS, Control.RESUME)
        await scene.clock.advance(81)

    ended = next(seen.ended for seen in scene.seen if seen.ended)
    assert ended.machine_seconds == SECONDS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"; estimated printing time (normal mode) = 1d 2h 3m 4s\n", 93_784),
        (b"; estimated printing time (normal mode) = 12m 5s\n", 725),
        (b"; estimated printing time (normal mode) = 9s\n", 9),
        (b";FLAVOR:Marlin\n;TIME:6123\n", 6123),
        (b"; estimated printing time (normal mode) = \n", None),
        (b"G1 X1\n", None),
    ],
)
def test_a_files_own_word_on_its_duration(text: bytes, expected: int | None) -> None:
    assert gcode_seconds(text) == expected


# --- troubles ------------------------------------------------------------------------------------


async def test_a_jam_fails_the_print_where_it_was_asked_to(tmp_path: Path) -> None:
    async with a_scene(tmp_path) as scene:
        await scene.start(Troubles(jams_at=0.5))
        await scene.clock.advance(SECONDS)

    ended = next(seen.ended for seen in scene.seen if seen.ended)
    assert (scene.ends, ended.machine_seconds) == ([Outcome.FAILED], SECONDS // 2)
    assert "Jammed" in ended.words


async def test_a_machine_that_vanishes_prints_on_and_comes_back(tmp_path: Path) -> None:
    async with a_scene(tmp_path) as scene:
        await scene.start(Troubles(vanishes_at=0.5, vanishes_seconds=20))
        await scene.clock.advance(55)
        assert scene.lost == 1
        with pytest.raises(MachineUnreachable):
            await scene.driver.observe()

        await scene.clock.advance(20)

        assert (await scene.driver.observe()).remote_name == OURS
        assert (await scene.driver.observe()).machine_seconds == 750


async def test_a_start_that_is_taken_and_never_obeyed_proves_nothing(tmp_path: Path) -> None:
    async with a_scene(tmp_path) as scene:
        assert isinstance(await scene.start(Troubles(never_starts=True)), Accepted)
        await scene.clock.advance(60)

        assert (await scene.driver.observe()).activity is Activity.IDLE
        assert (await scene.driver.locate(OURS, NOON)).where is Where.UNSURE
        assert [start.obeyed for start in scene.machine.starts] == [False]


async def test_a_start_that_never_reached_the_machine_is_proven(tmp_path: Path) -> None:
    async with a_scene(tmp_path) as scene:
        assert isinstance(await scene.start(Troubles(answers_500=True)), Unknown)

        assert (await scene.driver.locate(OURS, NOON)).where is Where.NEVER_STARTED


async def test_a_slow_machine_begins_later_and_can_be_stopped_until_then(tmp_path: Path) -> None:
    async with a_scene(tmp_path) as scene:
        await scene.start(Troubles(starts_late_seconds=15))
        await scene.clock.advance(14)
        assert scene.machine.printing is None
        with pytest.raises(Conflict):
            await scene.driver.control(OURS, Control.CANCEL)

        assert await scene.driver.revoke(OURS)
        await scene.clock.advance(60)

        assert scene.steps == [Activity.IDLE]


async def test_a_slow_machine_begins_after_its_delay(tmp_path: Path) -> None:
    async with a_scene(tmp_path) as scene:
        await scene.start(Troubles(starts_late_seconds=15))
        await scene.clock.advance(15.5)

        assert scene.seen[-1].activity is Activity.PREPARING


async def test_a_liar_claims_to_have_finished_with_the_position_that_it_had(tmp_path: Path) -> None:
    async with a_scene(tmp_path) as scene:
        await scene.start(Troubles(says_done_at=0.4))
        await scene.clock.advance(SECONDS)

    ended = next(seen.ended for seen in scene.seen if seen.ended)
    assert scene.ends == [Outcome.FINISHED]
    assert 0 < (ended.position_bytes or 0) < 0.5 * scene.file.stat().st_size


async def test_a_machine_may_report_positions_that_go_back(tmp_path: Path) -> None:
    async with a_scene(tmp_path) as scene:
        await scene.start(Troubles(goes_backwards=True))
        await scene.clock.advance(90)

    positions = [seen.position_bytes or 0 for seen in scene.seen]
    assert any(after < before for before, after in pairwise(positions))


async def test_a_hanging_machine_ends_every_call_after_ten_seconds(tmp_path: Path) -> None:
    async with a_scene(tmp_path) as scene:
        scene.machine.troubles = replace(NO_TROUBLES, hangs=True)
        asked = asyncio.create_task(scene.driver.start(OURS))
        await scene.clock.advance(9.9)
        assert not asked.done()

        await scene.clock.advance(0.2)

        assert isinstance(await asked, Unknown)


# --- the laser -----------------------------------------------------------------------------------


async def test_a_laser_never_starts_unless_a_person_stands_there(tmp_path: Path) -> None:
    async with a_scene(tmp_path, Settings(kind=Kind.LASER)) as scene:
        presence = a_presence(scene.file, scene.clock)
        alone = await scene.start()
        await scene.clock.advance(61)
        too_late = await scene.start(presence=presence)
        attended = await scene.start(presence=a_presence(scene.file, scene.clock))

    assert [type(answer) for answer in (alone, too_late, attended)] == [Refused, Refused, Accepted]
    assert isinstance(alone, Refused)
    assert "person" in alone.words
    assert len(scene.machine.starts) == 1


async def test_a_laser_that_we_feed_holds_by_itself_when_nobody_says_that_somebody_is_there(
    tmp_path: Path,
) -> None:
    async with a_scene(tmp_path, Settings(kind=Kind.LASER)) as scene:
        await scene.start(presence=a_presence(scene.file, scene.clock))
        for _ in range(10):
            scene.driver.attend()
            await scene.clock.advance(0.5)
        before = scene.machine.read()

        await scene.clock.advance(30)

        assert before.activity is not Activity.PAUSED
        assert scene.machine.read().activity is Activity.PAUSED
        assert (scene.machine.read().machine_seconds or 0) <= (before.machine_seconds or 0) + 2


async def test_a_laser_with_a_panel_refuses_every_start_of_ours(tmp_path: Path) -> None:
    async with a_scene(tmp_path, Settings(kind=Kind.LASER, panel=True)) as scene:
        answer = await scene.start(presence=a_presence(scene.file, scene.clock))

        assert isinstance(answer, Refused)
        scene.machine.press_start(OURS)
        await scene.clock.advance(10)
        assert scene.machine.read().activity is not Activity.PAUSED


# --- what outlives us ----------------------------------------------------------------------------


async def test_after_our_death_the_print_has_gone_on(tmp_path: Path) -> None:
    settings = Settings(speed=10.0, state_path=tmp_path / "machines" / "mk3.json")
    async with a_scene(tmp_path, settings) as scene:
        await scene.start()
        await scene.clock.advance(50)

    later = FakeClock(scene.clock.now() + timedelta(seconds=30))
    reborn = SimulatedDriver({"speed": 10, "state_path": str(settings.state_path)}, later)
    await reborn.connect()

    assert (await reborn.locate(OURS, NOON)).where is Where.RUNNING
    assert (await reborn.observe()).machine_seconds == 800
    await later.advance(30)
    located = await reborn.locate(OURS, NOON)
    assert located.ended is not None
    assert (located.ended.outcome, located.ended.machine_seconds) == (Outcome.FINISHED, SECONDS)
    assert len(reborn.machine.starts) == 1


async def test_what_it_remembers_survives_the_file_word_for_word(tmp_path: Path) -> None:
    settings = Settings(speed=10.0, state_path=tmp_path / "mk3.json")
    async with a_scene(tmp_path, settings) as scene:
        await scene.start(Troubles(jams_at=0.2))
        await scene.clock.advance(200)
        await scene.start(Troubles(says_done_at=0.9))
        memory = scene.machine.memory

    assert from_json(to_json(memory)) == memory
    assert memory.past
    assert memory.current is not None


@pytest.mark.parametrize("text", ["", "[]", '{"since": "yesterday"}', '{"since": "2026-01-01T00:00:00"}'])
def test_a_broken_state_file_is_for_the_operator_to_mend(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mk3.json"
    path.write_text(text)

    with pytest.raises(Misconfigured, match="state_path"):
        SimulatedDriver({"state_path": str(path)}, FakeClock())


def test_a_new_machine_remembers_nothing() -> None:
    assert from_json(to_json(Memory(since=NOON))) == Memory(since=NOON)


@pytest.mark.parametrize(
    ("key", "value"),
    [("speed", 0), ("speed", "fast"), ("kind", "mill"), ("identity", 5), ("default_seconds", True)],
)
def test_a_wrong_setting_is_named(key: str, value: Json) -> None:
    with pytest.raises(Misconfigured, match=key):
        SimulatedDriver({key: value}, FakeClock())
