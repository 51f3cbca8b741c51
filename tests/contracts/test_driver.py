"""What every driver promises, whatever machine it speaks to. Each has a rig, so none escapes.

OctoPrint's are asked twice, of the fake server and of a real one: the fake is held to the truth by the tests
that rely on it. What a machine cannot do by its nature (`Ways`) is skipped, and what it promises instead is asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from drivers.registry import DRIVERS
from orchestrator.domain.errors import Conflict, MachineAuthFailed, MachineUnreachable, Misconfigured
from orchestrator.domain.machine import WORKING, Activity
from orchestrator.domain.presence import HEARTBEAT_SECONDS
from orchestrator.ports import (
    Accepted,
    Control,
    Driver,
    Observation,
    Outcome,
    Refused,
    Unknown,
    Where,
)
from tests.rigs import RIGS
from tests.rigs.octoprint import on_real
from tests.rigs.rig import Rig, a_presence
from tests.services import OctoPrintServer, wait_until

OURS = "fl-0123456789ab-cdef01.gcode"
OTHER = "fl-ba9876543210-10fedc.gcode"
LONG = 400
"""Lines of a file that is still printing when the test is over."""


@pytest_asyncio.fixture(params=sorted(RIGS))
async def rig(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Rig]:
    async with RIGS[request.param](tmp_path) as rig:
        yield rig


class Seen:
    """What a watcher of a machine has seen so far."""

    def __init__(self) -> None:
        self.observations: list[Observation] = []
        self.lost: MachineUnreachable | None = None
        self._news = asyncio.Condition()

    async def listen(self, driver: Driver) -> None:
        try:
            async for observation in driver.observations():
                await self._tell(observation)
        except MachineUnreachable as lost:
            self.lost = lost
            await self._tell(None)

    async def _tell(self, observation: Observation | None) -> None:
        async with self._news:
            if observation is not None:
                self.observations.append(observation)
            self._news.notify_all()

    async def until(self, wanted: Callable[[Observation], bool]) -> Observation:
        """The first observation, past or to come, that is wanted; fails when it does not come in time."""
        async with asyncio.timeout(10), self._news:
            await self._news.wait_for(lambda: any(map(wanted, self.observations)))
            return next(filter(wanted, self.observations))

    async def until_lost(self) -> None:
        async with asyncio.timeout(10), self._news:
            await self._news.wait_for(lambda: self.lost is not None)

    @property
    def ends(self) -> list[Outcome]:
        return [seen.ended.outcome for seen in self.observations if seen.ended is not None]


@asynccontextmanager
async def watching(driver: Driver) -> AsyncIterator[Seen]:
    seen = Seen()
    async with asyncio.TaskGroup() as group:
        listener = group.create_task(seen.listen(driver))
        await seen.until(lambda observation: True)
        yield seen
        listener.cancel()


@asynccontextmanager
async def connected(rig: Rig) -> AsyncIterator[Driver]:
    driver = rig.driver()
    await driver.connect()
    try:
        yield driver
    finally:
        await driver.close()


@asynccontextmanager
async def printing(
    rig: Rig, lines: int = 20, name: str = OURS, *, watched_over: bool = True
) -> AsyncIterator[tuple[Driver, datetime]]:
    """A driver whose machine has just begun our file, by the start or the hand that it takes, and when that was.

    Where somebody must be there, somebody is, unless not `watched_over`."""
    async with connected(rig) as driver:
        await driver.stage(rig.file(lines), name)
        since = rig.clock.now()
        presence = rig.presence(rig.file(lines))
        if not rig.ways.obeys_starts:
            await rig.is_started_at_the_panel(name)
        else:
            assert isinstance(await driver.start(name, presence), Accepted)
        if presence is None or not watched_over:
            yield driver, since
            return
        async with asyncio.TaskGroup() as group:
            heart = group.create_task(_beats(rig, driver))
            yield driver, since
            heart.cancel()


async def _beats(rig: Rig, driver: Driver) -> None:
    while True:
        driver.attend()
        await rig.clock.sleep(HEARTBEAT_SECONDS)


def only_where(possible: bool, why_not: str) -> None:
    if not possible:
        pytest.skip(why_not)


def only_where_starts_are_obeyed(rig: Rig) -> None:
    only_where(rig.ways.obeys_starts, "this machine is started at its own panel; see the promise on that")


def only_where_it_is_told_to(rig: Rig, *actions: Control) -> None:
    only_where(rig.ways.controls.issuperset(actions), "this machine cannot be told to")


def works_on(name: str) -> Callable[[Observation], bool]:
    return lambda seen: seen.remote_name == name and seen.activity in WORKING


def is_at_something(seen: Observation) -> bool:
    """At work, and it cannot say on what: certainly not said to be on ours."""
    return seen.remote_name is None and (seen.activity in WORKING or seen.activity is Activity.BUSY)


def has_ended(seen: Observation) -> bool:
    return seen.ended is not None


def test_every_driver_has_a_rig() -> None:
    assert set(RIGS) == set(DRIVERS)


@pytest.mark.parametrize("kind", sorted(DRIVERS))
async def test_a_setting_that_a_driver_does_not_know_is_named(kind: str, rig: Rig) -> None:
    with pytest.raises(Misconfigured, match="colour"):
        DRIVERS[kind]({"colour": "red"}, rig.clock)


class Promises:
    """Run on each rig below."""

    # --- the link --------------------------------------------------------------------------------

    async def test_connecting_tells_which_machine_it_is_and_again_after_a_close(self, rig: Rig) -> None:
        driver = rig.driver()

        first = await driver.connect()
        await driver.close()
        second = await driver.connect()
        await driver.close()

        assert first.identity == second.identity != ""

    async def test_a_wrong_key_is_for_the_operator_to_mend(self, rig: Rig) -> None:
        driver = rig.driver_with_wrong_key()
        if driver is None:
            pytest.skip("this machine has no keys")

        with pytest.raises(MachineAuthFailed):
            await driver.connect()

    async def test_a_machine_that_refuses_connections_is_unreachable(self, rig: Rig) -> None:
        await rig.is_cut_off()

        with pytest.raises(MachineUnreachable):
            await rig.meanwhile(rig.driver().connect())

    async def test_a_machine_that_does_not_answer_is_unreachable_in_bounded_time(self, rig: Rig) -> None:
        async with connected(rig) as driver:
            await rig.goes_silent()

            for call in (driver.observe(), driver.revoke(OURS), driver.locate(OURS, rig.clock.now())):
                with pytest.raises(MachineUnreachable):
                    await rig.meanwhile(call)

    async def test_closing_leaves_no_task_behind(self, rig: Rig) -> None:
        driver = rig.driver()
        await driver.connect()
        before = asyncio.all_tasks()
        async with watching(driver):
            pass

        await driver.close()

        async def alone() -> bool:
            return not asyncio.all_tasks() - before

        await wait_until(alone, deadline_seconds=5)

    async def test_a_lost_link_is_noticed_and_the_machine_found_again(self, rig: Rig) -> None:
        async with printing(rig, LONG) as (driver, _), watching(driver) as seen:
            await rig.goes_silent()
            await seen.until_lost()
            await driver.close()
            await rig.comes_back()

            await driver.connect()
            async with watching(driver) as again:
                if not rig.ways.streamed:
                    await again.until(works_on(OURS))

            assert again.observations[0].remote_name in ({OURS, None} if rig.ways.streamed else {OURS})
            assert rig.begun == (OURS,)

    # --- the file --------------------------------------------------------------------------------

    async def test_staging_starts_nothing(self, rig: Rig) -> None:
        async with connected(rig) as driver:
            staged = await driver.stage(rig.file(), OURS)

            assert (staged.remote_name, staged.size_bytes) == (OURS, rig.file().stat().st_size)
            assert (await driver.observe()).activity is Activity.IDLE
            assert rig.begun == ()

    async def test_staging_twice_is_staging_once(self, rig: Rig) -> None:
        async with connected(rig) as driver:
            assert await driver.stage(rig.file(), OURS) == await driver.stage(rig.file(), OURS)

    async def test_staging_another_file_under_the_name_replaces_the_first(self, rig: Rig) -> None:
        async with connected(rig) as driver:
            await driver.stage(rig.file(10), OURS)

            staged = await driver.stage(rig.file(11), OURS)

            assert staged.size_bytes == rig.file(11).stat().st_size

    async def test_staging_to_a_machine_that_does_not_answer_is_unreachable(self, rig: Rig) -> None:
        async with connected(rig) as driver:
            await rig.goes_silent()

            with pytest.raises(MachineUnreachable):
                await rig.meanwhile(driver.stage(rig.file(), OURS))

    # --- the start -------------------------------------------------------------------------------

    async def test_a_start_begins_our_file_once(self, rig: Rig) -> None:
        async with printing(rig, LONG) as (driver, _), watching(driver) as seen:
            await seen.until(works_on(OURS))

            assert rig.begun == (OURS,)

    async def test_a_busy_machine_refuses_a_start_and_goes_on(self, rig: Rig) -> None:
        async with printing(rig, LONG) as (driver, _):
            await driver.stage(rig.file(30), OTHER)

            answer = await driver.start(OTHER, rig.presence(rig.file(30)))

            assert isinstance(answer, Refused)
            assert OURS in answer.words or not rig.ways.obeys_starts
            assert works_on(OURS)(await driver.observe())
            assert rig.begun == (OURS,)

    async def test_a_start_of_a_file_that_is_not_there_is_refused(self, rig: Rig) -> None:
        async with connected(rig) as driver:
            assert isinstance(await driver.start(OTHER, rig.presence(rig.file())), Refused)
            assert rig.begun == ()

    async def test_a_machine_that_is_started_at_its_panel_refuses_every_start(self, rig: Rig) -> None:
        only_where(not rig.ways.obeys_starts, "this machine obeys starts")
        async with connected(rig) as driver:
            await driver.stage(rig.file(), OURS)

            answers = [await driver.start(OURS), await driver.start(OURS, a_presence(rig.file(), rig.clock))]

            assert [type(answer) for answer in answers] == [Refused, Refused]
            assert (await driver.observe()).activity is Activity.IDLE
            assert rig.begun == ()

    async def test_where_somebody_must_be_there_nothing_starts_without(self, rig: Rig) -> None:
        presence = rig.presence(rig.file())
        if presence is None or not rig.ways.obeys_starts:
            pytest.skip("nobody need be there for our start")
        earlier = rig.clock.now() - timedelta(minutes=2)
        expired = replace(presence, issued_at=earlier, expires_at=earlier + timedelta(minutes=1))
        async with connected(rig) as driver:
            await driver.stage(rig.file(), OURS)

            answers = [await driver.start(OURS), await driver.start(OURS, expired)]

            assert [type(answer) for answer in answers] == [Refused, Refused]
            assert (await driver.observe()).activity is Activity.IDLE
            assert rig.begun == ()

    async def test_a_machine_that_we_feed_holds_when_nobody_is_there_any_more(self, rig: Rig) -> None:
        only_where(rig.ways.streamed, "this machine works without us")
        async with printing(rig, LONG, watched_over=False) as (driver, _), watching(driver) as seen:
            await rig.prints_on()

            await seen.until(lambda seen: seen.activity in {Activity.PAUSING, Activity.PAUSED})

    async def test_a_start_whose_answer_is_lost_is_unknown_and_has_begun_once(self, rig: Rig) -> None:
        only_where_starts_are_obeyed(rig)
        async with connected(rig) as driver:
            await driver.stage(rig.file(LONG), OURS)
            since = rig.clock.now()
            await rig.loses_the_answer()

            answer = await rig.meanwhile(driver.start(OURS, rig.presence(rig.file(LONG))))

            assert isinstance(answer, Unknown)
            await rig.comes_back()
            if rig.ways.streamed:
                await driver.close()
                await driver.connect()
            where = (await driver.locate(OURS, since)).where
            assert where in ({Where.RUNNING, Where.UNSURE} if rig.ways.streamed else {Where.RUNNING})
            assert rig.begun == (OURS,)

    async def test_a_start_answered_by_an_error_is_unknown(self, rig: Rig) -> None:
        only_where_starts_are_obeyed(rig)
        async with connected(rig) as driver:
            await driver.stage(rig.file(), OURS)
            await rig.answers_500()

            answer = await driver.start(OURS, rig.presence(rig.file()))

            assert isinstance(answer, Unknown)
            assert rig.begun == ()

    async def test_a_start_to_a_machine_that_does_not_answer_is_unknown(self, rig: Rig) -> None:
        only_where_starts_are_obeyed(rig)
        async with connected(rig) as driver:
            await driver.stage(rig.file(), OURS)
            await rig.goes_silent()

            assert isinstance(await rig.meanwhile(driver.start(OURS, rig.presence(rig.file()))), Unknown)

    async def test_a_start_to_a_machine_that_is_not_there_is_never_accepted(self, rig: Rig) -> None:
        async with connected(rig) as driver:
            await driver.stage(rig.file(), OURS)
            await rig.is_cut_off()

            assert not isinstance(await driver.start(OURS, rig.presence(rig.file())), Accepted)
            assert rig.begun == ()

    async def test_a_revoked_file_cannot_be_started_any_more(self, rig: Rig) -> None:
        async with connected(rig) as driver:
            await driver.stage(rig.file(), OURS)

            assert await driver.revoke(OURS)

            assert isinstance(await driver.start(OURS, rig.presence(rig.file())), Refused)
            assert rig.begun == ()

    async def test_revoking_what_is_printing_proves_nothing(self, rig: Rig) -> None:
        async with printing(rig, LONG) as (driver, _):
            assert not await driver.revoke(OURS)

            assert works_on(OURS)(await driver.observe())

    # --- watching --------------------------------------------------------------------------------

    async def test_the_first_observation_is_full(self, rig: Rig) -> None:
        async with connected(rig) as driver, watching(driver) as seen:
            assert seen.observations[0].activity is Activity.IDLE

    async def test_progress_and_position_are_told(self, rig: Rig) -> None:
        only_where(rig.ways.tells_position, "this machine does not tell how far it is")
        async with printing(rig, LONG) as (driver, _), watching(driver) as seen:
            await rig.prints_on()

            further = await seen.until(lambda seen: bool(seen.position_bytes))

            assert further.remote_name == OURS
            assert further.progress is not None
            assert 0 < further.progress < 1

    async def test_a_finished_print_is_told_once_with_its_position_and_seconds(self, rig: Rig) -> None:
        async with printing(rig) as (driver, _), watching(driver) as seen:
            await rig.finishes()

            ended = (await seen.until(has_ended)).ended

            assert ended is not None
            assert (ended.remote_name, ended.outcome, ended.cause) == (OURS, Outcome.FINISHED, None)
            assert ended.position_bytes == (rig.file().stat().st_size if rig.ways.tells_position else None)
            assert ended.machine_seconds
            assert seen.ends == [Outcome.FINISHED]
            assert (await driver.observe()).activity not in WORKING

    async def test_a_jammed_print_is_told_once_as_failed(self, rig: Rig) -> None:
        async with printing(rig, LONG) as (driver, _), watching(driver) as seen:
            await rig.prints_on()
            await rig.jams()

            ended = (await seen.until(has_ended)).ended

            assert ended is not None
            assert (ended.remote_name, ended.outcome) == (OURS, Outcome.FAILED)
            assert ended.words
            if rig.ways.tells_position:
                assert 0 < (ended.position_bytes or 0) < rig.file(LONG).stat().st_size
            assert seen.ends == [Outcome.FAILED]

    async def test_a_print_cancelled_at_the_machine_is_told_once(self, rig: Rig) -> None:
        async with printing(rig, LONG) as (driver, _), watching(driver) as seen:
            await rig.prints_on()
            await rig.is_cancelled_by_hand()

            ended = (await seen.until(has_ended)).ended

            assert ended is not None
            assert (ended.remote_name, ended.outcome) == (OURS, Outcome.CANCELLED)
            assert seen.ends == [Outcome.CANCELLED]

    async def test_a_print_started_by_hand_is_seen_under_its_own_name(self, rig: Rig) -> None:
        async with connected(rig) as driver, watching(driver) as seen:
            name = await rig.was_started_by_hand()

            await seen.until(works_on(name) if name is not None else is_at_something)

            where = (await driver.locate(OURS, rig.clock.now())).where
            assert where in {Where.UNSURE, Where.NEVER_STARTED}
            assert isinstance(await driver.start(OURS, rig.presence(rig.file())), Refused)

    # --- control ---------------------------------------------------------------------------------

    async def test_a_print_is_paused_and_resumed(self, rig: Rig) -> None:
        only_where_it_is_told_to(rig, Control.PAUSE, Control.RESUME)
        async with printing(rig, LONG) as (driver, _), watching(driver) as seen:
            await seen.until(lambda seen: bool(works_on(OURS)(seen)))
            await driver.control(OURS, Control.PAUSE)
            await seen.until(lambda seen: seen.activity is Activity.PAUSED)
            seen.observations.clear()

            await driver.control(OURS, Control.RESUME)

            await seen.until(lambda seen: seen.activity in {Activity.PRINTING, Activity.PREPARING})
            assert seen.ends == []
            assert rig.begun == (OURS,)

    async def test_pausing_twice_leaves_it_paused(self, rig: Rig) -> None:
        only_where_it_is_told_to(rig, Control.PAUSE)
        async with printing(rig, LONG) as (driver, _):
            await driver.control(OURS, Control.PAUSE)
            await driver.control(OURS, Control.PAUSE)

            assert (await driver.observe()).activity in {Activity.PAUSING, Activity.PAUSED}

    async def test_what_a_machine_cannot_be_told_is_a_conflict(self, rig: Rig) -> None:
        async with printing(rig, LONG) as (driver, _):
            for action in set(Control) - rig.ways.controls:
                with pytest.raises(Conflict):
                    await driver.control(OURS, action)

            assert works_on(OURS)(await driver.observe())

    async def test_a_cancel_ends_the_print_once(self, rig: Rig) -> None:
        only_where_it_is_told_to(rig, Control.CANCEL)
        async with printing(rig, LONG) as (driver, _), watching(driver) as seen:
            await driver.control(OURS, Control.CANCEL)

            await seen.until(has_ended)

            assert seen.ends == [Outcome.CANCELLED]

    @pytest.mark.parametrize("action", list(Control))
    async def test_nobody_elses_print_is_touched(self, rig: Rig, action: Control) -> None:
        async with printing(rig, LONG, name=OTHER) as (driver, _):
            with pytest.raises(Conflict):
                await driver.control(OURS, action)

            assert works_on(OTHER)(await driver.observe())

    async def test_an_idle_machine_has_nothing_to_control(self, rig: Rig) -> None:
        async with connected(rig) as driver:
            with pytest.raises(Conflict):
                await driver.control(OURS, Control.CANCEL)

    # --- after our restart -----------------------------------------------------------------------

    async def test_after_our_restart_a_running_print_is_found(self, rig: Rig) -> None:
        only_where(not rig.ways.streamed, "this machine stands still without us")
        async with printing(rig, LONG) as (_, since):
            pass

        async with connected(rig) as fresh:
            located = await fresh.locate(OURS, since)

        assert located.where is Where.RUNNING
        assert located.observation is not None
        assert works_on(OURS)(located.observation)

    async def test_after_our_restart_a_finished_print_is_found(self, rig: Rig) -> None:
        only_where(not rig.ways.streamed, "this machine stands still without us")
        async with printing(rig) as (_, since):
            pass
        await rig.finishes()

        async with connected(rig) as fresh:
            located = await fresh.locate(OURS, since)

        assert located.where is Where.ENDED
        assert located.ended is not None
        assert located.ended.outcome is Outcome.FINISHED
        assert located.ended.machine_seconds

    async def test_after_our_restart_a_print_that_we_fed_is_nobodys_guess(self, rig: Rig) -> None:
        only_where(rig.ways.streamed, "this machine goes on without us")
        async with printing(rig, LONG) as (_, since):
            pass

        async with connected(rig) as fresh:
            assert (await fresh.locate(OURS, since)).where in {Where.RUNNING, Where.UNSURE}

        assert rig.begun == (OURS,)

    async def test_an_end_from_before_the_start_proves_nothing_about_it(self, rig: Rig) -> None:
        async with printing(rig) as (driver, _):
            await rig.finishes()

            located = await driver.locate(OURS, rig.clock.now() + timedelta(minutes=1))

        assert located.where in {Where.UNSURE, Where.NEVER_STARTED}


class TestOnItsRig(Promises):
    async def test_what_a_machine_forgot_is_never_taken_for_not_started(self, rig: Rig) -> None:
        async with printing(rig, LONG) as (_, since):
            pass
        await rig.forgets()

        async with connected(rig) as fresh:
            assert (await fresh.locate(OURS, since)).where is Where.UNSURE
            assert (await fresh.observe()).activity is Activity.IDLE

    async def test_an_end_that_nobody_watched_is_not_told_later(self, rig: Rig) -> None:
        async with printing(rig) as (driver, _):
            await rig.finishes()

            async with watching(driver) as seen:
                assert seen.ends == []


class TestOnTheRealOctoPrint(Promises):
    """The same promises, kept on a server that other tests share."""

    @pytest_asyncio.fixture
    async def rig(self, octoprint: OctoPrintServer, tmp_path: Path) -> AsyncIterator[Rig]:
        async with on_real(tmp_path, octoprint) as rig:
            yield rig


async def test_a_real_octoprint_killed_in_mid_print_leaves_no_trace(
    octoprints: Callable[..., object], tmp_path: Path
) -> None:
    server = await octoprints()  # type: ignore[misc]
    async with on_real(tmp_path, server) as rig:
        async with printing(rig, LONG) as (_, since):
            await rig.prints_on()
        await rig.forgets()

        async with connected(rig) as fresh:
            assert (await fresh.locate(OURS, since)).where is Where.UNSURE
            assert (await fresh.observe()).activity is Activity.IDLE
