"""Where a laser's safety might lapse: a process away or replaced, a slow database, a file that stays behind.

Each was a fault once; see `test_laser_sequences.py` for what is tried at random.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest

from drivers.simulated.world import Settings, SimulatedMachine, Troubles
from orchestrator.domain.errors import Conflict
from orchestrator.domain.job import Job, JobState
from orchestrator.domain.machine import Activity, Kind
from orchestrator.domain.presence import CONDITION_SECONDS_MAX, Presence, ReleasePolicy
from orchestrator.domain.run import Cause, Run, RunState
from orchestrator.flow import release
from orchestrator.flow.starting import NotOurTurn
from orchestrator.ports import Unit
from tests.builders import an_event
from tests.flow.home import a_home
from tests.flow.test_laser import Shop, a_shop

T = TypeVar("T")
PANEL = ReleasePolicy.PHYSICAL_START


def metal(shop: Shop) -> SimulatedMachine:
    return shop.home.worlds[shop.machine.id]


class _Miser(SimulatedMachine):
    """Gives no file back while it `keeps`."""

    keeps = False

    def revoke(self, name: str) -> bool:
        return False if self.keeps else super().revoke(name)


async def _as_it_is(shop: Shop, run: Run) -> Run:
    now = await shop.home.store.read(lambda unit: unit.run(run.id))
    assert now is not None
    return now


# --- what is staged does not stay -----------------------------------------------------------------


async def test_a_release_that_ran_out_while_the_process_was_away_keeps_no_machine(tmp_path: Path) -> None:
    async with a_shop(tmp_path) as shop:
        run = await shop.run()
        await shop.home.die()
        await shop.release()
        await shop.home.clock.advance(61)
        await shop.home.open()
        assert metal(shop).starts == ()

        await shop.home.clock.advance(31 * 60)

        ended = await _as_it_is(shop, run)
        assert (ended.state, ended.cause) == (RunState.CANCELLED, Cause.NEVER_STARTED)


async def test_a_process_that_comes_and_goes_gives_a_staged_run_no_more_time(tmp_path: Path) -> None:
    async with a_shop(tmp_path) as shop:
        run = await shop.run()
        for _ in range(3):
            await shop.home.clock.advance(11 * 60)
            await shop.home.die()
            await shop.home.open()

        assert (await _as_it_is(shop, run)).state is RunState.CANCELLED


async def test_a_job_with_a_long_history_keeps_a_machine_no_longer_than_others(tmp_path: Path) -> None:
    async with a_home(tmp_path) as home:
        await home.laser()
        member = await home.member()
        await home.train(member)
        job = await home.cut(member)
        await home.store.write(lambda unit: _a_long_history(unit, job))
        await home.open()
        await home.clock.advance(1)
        (run,) = await home.store.read(lambda unit: unit.runs_of(job.id))
        assert run.state is RunState.STAGED

        for _ in range(3):
            await home.clock.advance(11 * 60)
            await home.die()
            await home.open()

        (ended, *_) = await home.store.read(lambda unit: unit.runs_of(job.id))
        assert (ended.id, ended.state, ended.cause) == (run.id, RunState.CANCELLED, Cause.NEVER_STARTED)


async def _a_long_history(unit: Unit, job: Job) -> None:
    for _ in range(250):
        await unit.emit(an_event("job.changed", job_id=job.id, member_id=job.member_id))


async def test_a_file_that_could_not_be_taken_back_is_tried_again(tmp_path: Path) -> None:
    async with a_shop(tmp_path, PANEL) as shop:
        world, run = _Miser(Settings(kind=Kind.LASER, panel=True), shop.home.clock), await shop.run()
        await shop.home.die()
        shop.home.worlds[shop.machine.id] = world
        await shop.home.open()
        world.keeps = True
        await shop.home.clock.advance(31 * 60)
        assert (await _as_it_is(shop, run)).state is RunState.STAGED
        assert "not_withdrawn" in [e.data.get("reason") for e in await shop.events()]

        world.keeps = False
        await shop.home.clock.advance(6 * 60)

        assert (await _as_it_is(shop, run)).state is RunState.CANCELLED
        assert run.remote_name not in world.memory.files


async def test_a_file_that_was_given_back_with_a_lost_link_is_deleted_when_it_is_back(tmp_path: Path) -> None:
    async with a_shop(tmp_path, PANEL) as shop:
        world, run = metal(shop), await shop.run()
        world.vanish(5)
        await shop.home.clock.advance(30)

        assert (await _as_it_is(shop, run)).state is RunState.FAILED
        assert run.remote_name not in world.memory.files


async def _goes(shop: Shop, how: str) -> None:
    """Nobody of us sees the laser any more."""
    if how == "the process":
        await shop.home.die()
    else:
        metal(shop).vanish()
        await shop.home.clock.advance(2)


async def _comes_back(shop: Shop, how: str) -> None:
    if how == "the process":
        await shop.home.open()
    else:
        metal(shop).reappear()
        await shop.home.clock.advance(5)


@pytest.mark.parametrize("how", ["the process", "the link"])
async def test_however_often_we_are_away_a_start_must_be_pressed_in_its_time(
    tmp_path: Path, how: str
) -> None:
    async with a_shop(tmp_path, PANEL) as shop:
        run = await shop.run()
        await shop.release()
        for _ in range(3):
            await shop.home.clock.advance(70)
            await _goes(shop, how)
            await _comes_back(shop, how)

        ended = await _as_it_is(shop, run)
        assert (ended.state, ended.cause) == (RunState.CANCELLED, Cause.NEVER_STARTED)
        assert run.remote_name not in metal(shop).memory.files


async def test_the_time_to_press_begins_with_the_release_however_late_we_read_it(tmp_path: Path) -> None:
    async with a_shop(tmp_path, PANEL) as shop:
        run = await shop.run()
        await shop.home.die()
        await shop.release()
        await shop.home.clock.advance(50)
        await shop.home.open()
        assert (await _as_it_is(shop, run)).state is RunState.START_SENT

        await shop.home.clock.advance(15)

        ended = await _as_it_is(shop, run)
        assert (ended.state, ended.cause) == (RunState.CANCELLED, Cause.NEVER_STARTED)
        assert run.remote_name not in metal(shop).memory.files


@pytest.mark.parametrize("how", ["the process", "the link"])
async def test_a_cut_that_began_and_ended_while_we_were_away_is_no_cut_that_never_was(
    tmp_path: Path, how: str
) -> None:
    async with a_shop(tmp_path, PANEL, speed=60.0) as shop:
        run = await shop.run()
        await shop.release()
        await shop.home.clock.advance(2)
        await _goes(shop, how)
        metal(shop).press_start(run.remote_name)
        await shop.home.clock.advance(30)
        await _comes_back(shop, how)
        await shop.home.clock.advance(300)

        ended = await _as_it_is(shop, run)
        assert ended.state is RunState.FINISHED
        assert ended.usage is not None
        assert ended.usage.beam_seconds == 300
        assert (await shop.now()).state is JobState.DONE


# --- who may command ------------------------------------------------------------------------------


async def test_a_process_that_was_replaced_lets_no_laser_go_on(tmp_path: Path) -> None:
    async with a_shop(tmp_path) as shop:
        await shop.stays(await shop.release(), 2)
        await shop.home.clock.advance(4)
        assert await shop.state() is RunState.PAUSED
        await shop.home.store.write(lambda unit: unit.take_fleet_turn(shop.home.lab.site))

        await shop.stays(await shop.release(), 2)

        assert metal(shop).read().activity is Activity.PAUSED
        with pytest.raises(BaseExceptionGroup) as died:
            assert shop.home.alive
        assert died.group_contains(NotOurTurn)


# --- how old a sign of life may be ----------------------------------------------------------------


class _SlowStore:
    """Answers late, on the test's clock."""

    def __init__(self, shop: Shop, seconds: float) -> None:
        self._shop = shop
        self._real = shop.home.store
        self.seconds = seconds
        self.write = self._real.write
        self.feed = self._real.feed

    async def read(self, work: Callable[[Unit], Awaitable[T]]) -> T:
        answer = await self._real.read(work)
        if self.seconds:
            await self._shop.home.clock.sleep(self.seconds)
        return answer


@pytest.mark.parametrize("seconds", [0.0, 0.1, 0.2, 0.24, 0.3, 0.5, 0.9])
async def test_however_slow_the_database_is_it_holds_within_two_seconds_of_the_last_sign(
    tmp_path: Path, seconds: float
) -> None:
    async with a_shop(tmp_path) as shop:
        slow = _SlowStore(shop, 0.0)
        object.__setattr__(shop.home.lab, "store", slow)
        presence = await shop.release()
        await shop.stays(presence, 2)
        slow.seconds = seconds

        last = await _beats(shop, presence, 8)
        await shop.home.clock.advance(4)

        world = metal(shop)
        job = world.memory.current
        assert job is not None
        assert job.plays_since is None
        stood_still_at = world.starts[0].at + timedelta(seconds=job.played_seconds)
        assert (stood_still_at - last).total_seconds() <= 2.0


async def _beats(shop: Shop, presence: Presence, count: int) -> datetime:
    """Straight into the database, as the web's own process would; returns the last one's moment."""
    at = shop.home.clock.now()
    for _ in range(count):
        at = shop.home.clock.now()
        await shop.home.store.write(lambda unit: unit.beat(presence.id, at))  # noqa: B023 - runs here
        await shop.home.clock.advance(0.5)
    return at


async def test_a_database_that_answers_in_time_keeps_it_running(tmp_path: Path) -> None:
    async with a_shop(tmp_path) as shop:
        slow = _SlowStore(shop, 0.0)
        object.__setattr__(shop.home.lab, "store", slow)
        presence = await shop.release()
        await shop.stays(presence, 2)
        slow.seconds = 0.1

        await _beats(shop, presence, 20)

        assert metal(shop).read().activity in {Activity.PREPARING, Activity.PRINTING}


# --- inputs ---------------------------------------------------------------------------------------


async def test_inputs_are_read_while_a_start_is_not_answered(tmp_path: Path) -> None:
    async with a_shop(tmp_path) as shop:
        world = metal(shop)
        world.troubles = Troubles(loses_the_answer=True)
        presence = await shop.release()
        await shop.stays(presence, 1)
        world.troubles = replace(world.troubles, extractor_off=True)

        await shop.stays(presence, 2)

        assert world.read().activity is Activity.PAUSED


async def test_a_controller_that_calls_an_input_good_does_not_speak_for_the_sensor_at_the_device(
    tmp_path: Path,
) -> None:
    async with a_shop(tmp_path, reading_seconds=1.0) as shop:
        presence = await shop.release()
        await shop.stays(presence, 3)
        assert metal(shop).starts
        await release.tell_readings(shop.home.lab, shop.kiosk, {"extractor": False})

        await shop.stays(presence, 3)  # in which the controller has said that all is well

        assert metal(shop).read().activity is Activity.PAUSED
        with pytest.raises(Conflict):
            await shop.release()
        await release.tell_readings(shop.home.lab, shop.kiosk, {"extractor": True})
        await shop.release()


async def test_a_device_that_fell_silent_leaves_the_word_to_the_controller(tmp_path: Path) -> None:
    async with a_shop(tmp_path) as shop:
        await release.tell_readings(shop.home.lab, shop.kiosk, {"extractor": False})
        await shop.home.clock.advance(CONDITION_SECONDS_MAX + 1)

        await shop.release()
        await shop.home.clock.advance(2)

        assert metal(shop).starts


async def test_a_device_named_like_the_controller_does_not_speak_for_it(tmp_path: Path) -> None:
    async with a_shop(tmp_path) as shop:
        lab, world = shop.home.lab, metal(shop)
        kiosk = await release.enrol(lab, shop.home.tech, shop.machine.id, "controller", "another key")
        world.troubles = replace(world.troubles, extractor_off=True)
        await shop.home.clock.advance(4)
        await release.tell_readings(lab, kiosk, {"extractor": True})

        with pytest.raises(Conflict):
            await shop.release()


async def test_a_device_that_calls_a_bad_input_good_starts_nothing(tmp_path: Path) -> None:
    async with a_shop(tmp_path) as shop:
        world = metal(shop)
        world.troubles = replace(world.troubles, extractor_off=True)
        await shop.home.clock.advance(4)
        await release.tell_readings(shop.home.lab, shop.kiosk, {"extractor": True})

        with pytest.raises(Conflict):
            await shop.release()
        await shop.home.clock.advance(2)

        assert world.starts == ()
