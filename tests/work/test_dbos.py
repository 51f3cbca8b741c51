"""The rules by which the DBOS adapter holds what the engine leaves open, each with its test."""

from __future__ import annotations

import asyncio
import base64
import logging
import pickle
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain.errors import Misconfigured, Unavailable
from orchestrator.domain.event import Json
from orchestrator.ports import WorkKind, WorkStatus
from orchestrator.work.dbos import KEEP_DAYS, DbosWork
from orchestrator.work.locks import FileLock
from tests.services import free_port
from tests.work.builders import RealClock, Told, raising, until


def an_engine(where: Path | str, *kinds: WorkKind, **given: Any) -> DbosWork:
    options = {"executor_id": "host-1", "clock": RealClock(), "poll_seconds": 0.05, **given}
    return DbosWork(where, kinds=kinds, **options)


@asynccontextmanager
async def launched(work: DbosWork) -> AsyncIterator[DbosWork]:
    await work.launch()
    try:
        yield work
    finally:
        await work.close()


async def ended(work: DbosWork, id: str) -> bool:
    progress = await work.progress(id)
    return progress is not None and progress.status not in {WorkStatus.PENDING, WorkStatus.RUNNING}


def rows(directory: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(directory / "engine.db")) as connection:
        return connection.execute(query).fetchall()


class HangingStep:
    """A step that begins and does not end by itself."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.ends = asyncio.Event()
        self.cancelled = 0

    async def run(self, args: Mapping[str, Json]) -> Json:
        self.begun.set()
        try:
            await self.ends.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return None


async def test_what_is_stored_is_json_and_never_a_pickle(tmp_path: Path) -> None:
    told = Told()
    kind = told.kind(told.step("analyse"), told.step("slice", raising(*[Unavailable("no")] * 2), attempts=2))

    async with launched(an_engine(tmp_path, kind)) as work:
        await work.start(kind.name, "job-1", {"sha256": "ab"})
        await until(lambda: ended(work, "job-1"))

    works = rows(tmp_path, "SELECT serialization, application_version FROM workflow_status")
    inputs = rows(tmp_path, "SELECT inputs FROM workflow_input")
    steps = rows(tmp_path, "SELECT output, serialization FROM operation_outputs WHERE output IS NOT NULL")
    assert works == [("portable_json", "1")]
    assert inputs == [('{"namedArgs":{},"positionalArgs":[{"sha256":"ab"}]}',)]
    assert ('{"done":"analyse"}', "portable_json") in steps
    assert {serialization for _, serialization in steps} == {"portable_json"}


async def test_a_pickle_planted_in_the_database_is_not_loaded(tmp_path: Path) -> None:
    told = Told()
    kind = told.kind(told.step("analyse"))
    trap = tmp_path / "trap"

    class Planted:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (trap,)

    planted = base64.b64encode(pickle.dumps({"args": (Planted(),), "kwargs": {}})).decode()

    async with launched(an_engine(tmp_path, kind, executor_id="web", executes=False)) as web:
        await web.start(kind.name, "job-1", {})
        with closing(sqlite3.connect(tmp_path / "engine.db")) as connection, connection:
            connection.execute("UPDATE workflow_status SET serialization = 'py_pickle'")
            connection.execute("UPDATE workflow_input SET inputs = ?", (planted,))
        async with launched(an_engine(tmp_path, kind)):
            await until(lambda: ended(web, "job-1"))
        progress = await web.progress("job-1")

    assert progress is not None
    assert progress.status is WorkStatus.FAILED
    assert not trap.exists()
    assert told.names == []


async def test_the_engines_file_keeps_a_write_ahead_log(tmp_path: Path) -> None:
    async with launched(an_engine(tmp_path, executes=False)):
        pass

    assert rows(tmp_path, "PRAGMA journal_mode") == [("wal",)]


async def test_a_second_worker_of_the_same_name_does_not_start(tmp_path: Path) -> None:
    class Hurried(RealClock):
        async def sleep(self, seconds: float) -> None:
            self.ahead += timedelta(seconds=seconds)

    async with FileLock(tmp_path / "engine.host-1.lock"):
        with pytest.raises(Misconfigured) as refusal:
            await an_engine(tmp_path, clock=Hurried()).launch()

    assert refusal.value.code == "worker.twice"
    async with launched(an_engine(tmp_path)) as work:  # the failed one has left nothing behind
        assert (await work.health()).ok


async def test_a_free_worker_begins_at_once_without_waiting_for_its_poll(tmp_path: Path) -> None:
    told = Told()
    kind = told.kind(told.step("analyse"))

    async with launched(an_engine(tmp_path, kind, poll_seconds=60)) as work:
        await work.start(kind.name, "job-1", {})
        await until(lambda: ended(work, "job-1"), seconds=2)

    assert told.names == ["analyse"]


async def test_no_more_works_run_at_a_time_than_there_are_slots_and_all_get_their_turn(
    tmp_path: Path,
) -> None:
    told = Told()
    running = 0
    most = 0

    async def slice_(args: Mapping[str, Json]) -> Json:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.02)
        running -= 1
        return None

    kind = told.kind(told.step("slice", slice_))

    async with launched(an_engine(tmp_path, kind, slots={"prepare": 2})) as work:
        async with asyncio.TaskGroup() as group:
            for number in range(9):
                group.create_task(work.start(kind.name, f"job-{number}", {}))
        for number in range(9):
            await until(lambda id=f"job-{number}": ended(work, id))  # type: ignore[misc]

    assert len(told.names) == 9
    assert most == 2


async def test_the_lower_priority_number_goes_first(tmp_path: Path) -> None:
    told = Told()
    hanging = HangingStep()
    busy = told.kind(told.step("hang", hanging.run), name="busy-kind")
    kind = told.kind(told.step("slice"))

    async with launched(an_engine(tmp_path, busy, kind, slots={"prepare": 1})) as work:
        await work.start(busy.name, "busy", {})
        await hanging.begun.wait()
        for number, priority in enumerate([9, 1, 5]):
            await work.start(kind.name, f"job-{number}", {"priority": priority}, priority=priority)
        hanging.ends.set()
        for number in range(3):
            await until(lambda id=f"job-{number}": ended(work, id))  # type: ignore[misc]

    assert [args["priority"] for name, args in told.steps if name == "slice"] == [1, 5, 9]


async def test_different_lanes_do_not_wait_for_each_other(tmp_path: Path) -> None:
    told = Told()
    hanging = HangingStep()
    dead = told.kind(told.step("hang", hanging.run), name="dead-endpoint", queue="notify")
    kind = told.kind(told.step("deliver"), name="deliver-event", queue="notify")

    async with launched(an_engine(tmp_path, dead, kind)) as work:
        await work.start(dead.name, "first", {}, lane="dead")
        await hanging.begun.wait()
        await work.start(kind.name, "behind", {}, lane="dead")
        await work.start(kind.name, "beside", {}, lane="alive")
        await until(lambda: ended(work, "beside"))
        behind = await work.progress("behind")

    assert behind is not None
    assert behind.status is WorkStatus.PENDING


async def test_a_process_that_only_submits_runs_nothing_itself(tmp_path: Path) -> None:
    told = Told()
    kind = told.kind(told.step("slice"))

    async with launched(an_engine(tmp_path, kind, executor_id="web", executes=False)) as web:
        await web.start(kind.name, "job-1", {})
        before = await web.progress("job-1")
        assert told.names == []
        async with launched(an_engine(tmp_path, kind)):
            await until(lambda: ended(web, "job-1"))

    assert before is not None
    assert before.status is WorkStatus.PENDING
    assert told.names == ["slice"]


async def test_cancelling_stops_the_step_that_runs_here_and_the_one_that_runs_elsewhere(
    tmp_path: Path,
) -> None:
    told = Told()
    here, elsewhere = HangingStep(), HangingStep()
    one = told.kind(told.step("hang", here.run), told.step("never"), name="one-kind")
    other = told.kind(told.step("hang", elsewhere.run), told.step("never"), name="other-kind")

    async def both_stopped() -> bool:
        return (here.cancelled, elsewhere.cancelled) == (1, 1)

    async with (
        launched(an_engine(tmp_path, one, other, slots={"prepare": 2})) as work,
        launched(an_engine(tmp_path, one, other, executor_id="web", executes=False)) as web,
    ):
        await work.start(one.name, "one", {})
        await work.start(other.name, "other", {})
        await asyncio.gather(here.begun.wait(), elsewhere.begun.wait())
        await work.cancel("one")
        await web.cancel("other")
        await until(both_stopped, seconds=5)
        statuses = [await work.progress("one"), await work.progress("other")]

    assert [progress and progress.status for progress in statuses] == [WorkStatus.CANCELLED] * 2
    assert told.names == ["hang", "hang"]
    assert told.failures == []


async def test_closing_gives_running_work_back_and_restarts_do_not_count_against_it(tmp_path: Path) -> None:
    told = Told()

    for _ in range(5):
        hanging = HangingStep()
        kind = told.kind(told.step("analyse"), told.step("slice", hanging.run))
        async with launched(an_engine(tmp_path, kind)) as work:
            await work.start(kind.name, "job-1", {})
            await hanging.begun.wait()
        assert hanging.cancelled == 1
    kind = told.kind(told.step("analyse"), told.step("slice"))
    async with launched(an_engine(tmp_path, kind)) as work:
        await until(lambda: ended(work, "job-1"))

    assert told.names == ["analyse", *["slice"] * 6]
    assert told.failures == []


async def test_what_ended_a_month_ago_is_deleted_and_what_is_pending_stays(tmp_path: Path) -> None:
    told = Told()
    clock = RealClock()
    kind = told.kind(told.step("slice"))

    class Once(RealClock):
        """Sleeps through one look at the living, then stops the watch."""

        turns = 0

        async def sleep(self, seconds: float) -> None:
            self.turns += 1
            if self.turns > 1:
                raise asyncio.CancelledError

    async def watch_once(days: int) -> DbosWork:
        clock = Once()
        clock.ahead = timedelta(days=days)
        work = an_engine(tmp_path, kind, clock=clock)
        async with launched(work):
            with pytest.raises(asyncio.CancelledError):
                await work.watch()
        return work

    async with launched(an_engine(tmp_path, kind, clock=clock)) as work:
        await work.start(kind.name, "done", {})
        await work.start(kind.name, "later", {}, delay_seconds=3600)
        await until(lambda: ended(work, "done"))

    names = "SELECT workflow_uuid FROM workflow_status ORDER BY 1"
    await watch_once(KEEP_DAYS - 1)
    assert rows(tmp_path, names) == [("done",), ("later",)]
    await watch_once(KEEP_DAYS + 1)
    assert rows(tmp_path, names) == [("later",)]
    assert rows(tmp_path, "SELECT count(*) FROM operation_outputs") == [(0,)]


async def test_the_loop_is_never_blocked_by_the_engine_and_the_log_is_quiet(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told = Told()
    kind = told.kind(told.step("slice", raising(Unavailable("not yet"))), told.step("preview"))
    failing = told.kind(told.step("fail", raising(Unavailable("never")), attempts=1), name="failing-kind")

    with caplog.at_level(logging.WARNING):
        async with launched(an_engine(tmp_path, kind, failing)) as work:
            await work.start(kind.name, "job-1", {})
            await work.start(failing.name, "job-2", {})
            await work.signal("job-1", "topic", 1)
            await work.schedule("nightly", "0 3 * * *", kind.name)
            await work.cancel("nobody")
            await work.health()
            await until(lambda: ended(work, "job-1"))
            await until(lambda: ended(work, "job-2"))

    assert [record.getMessage() for record in caplog.records] == []


async def test_after_closing_the_loop_can_still_use_threads(tmp_path: Path) -> None:
    kind = Told().kind(Told().step("slice"))

    async with launched(an_engine(tmp_path, kind)) as work:
        await work.start(kind.name, "job-1", {})

    assert await asyncio.to_thread(lambda: 42) == 42


@pytest.mark.parametrize("executes", [True, False])
async def test_a_database_that_is_away_is_unavailable_and_does_not_hang(executes: bool) -> None:
    url = f"postgresql+psycopg://nobody@127.0.0.1:{free_port()}/nothing"
    work = an_engine(url, executes=executes)

    async with asyncio.timeout(20):
        with pytest.raises(Unavailable):
            await work.launch()
        assert not (await work.health()).ok
        with pytest.raises(Unavailable):
            await work.cancel("job-1")


@pytest.mark.parametrize("name", ["", "a b", "../up", "a/b"])
def test_a_workers_name_is_fit_for_a_file(name: str, tmp_path: Path) -> None:
    with pytest.raises(Misconfigured):
        an_engine(tmp_path, executor_id=name)


def test_a_kind_of_an_unknown_queue_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured):
        an_engine(tmp_path, Told().kind(queue="elsewhere"))
