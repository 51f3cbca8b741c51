"""What every engine of durable work promises: in memory, DBOS on SQLite, DBOS on PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.domain.errors import Conflict, Misconfigured, NotFound, Rejected, Unavailable
from orchestrator.domain.event import Json
from orchestrator.ports import DurableWork, WorkKind, WorkProgress, WorkStatus
from orchestrator.work.dbos import DbosWork
from orchestrator.work.inline import InlineWork
from tests.work.builders import RealClock, Told, raising, until

ENDED = {WorkStatus.SUCCEEDED, WorkStatus.FAILED, WorkStatus.CANCELLED}


@dataclass
class Rig:
    """An engine at work, and what a test makes happen: by a word in memory, by itself in DBOS."""

    work: DurableWork

    async def settle(self, id: str) -> WorkProgress:
        async def ended() -> bool:
            progress = await self.work.progress(id)
            return progress is not None and progress.status in ENDED

        await until(ended)
        progress = await self.work.progress(id)
        assert progress is not None
        return progress

    async def pass_seconds(self, seconds: int) -> None:
        if isinstance(self.work, InlineWork):
            await self.work.advance(seconds)

    async def time_out(self, id: str) -> None:
        if isinstance(self.work, InlineWork):
            await self.work.time_out(id)

    async def fire(self, name: str) -> None:
        if isinstance(self.work, InlineWork):
            await self.work.fire(name, "2030-01-07T03:00:00+00:00")


Launch = Callable[..., AbstractAsyncContextManager[Rig]]


@pytest.fixture(params=["inline", "sqlite", pytest.param("postgresql", marks=pytest.mark.peers)])
def launch(request: pytest.FixtureRequest, tmp_path: Path) -> Launch:
    engine: str = request.param
    where = request.getfixturevalue("postgres_url") if engine == "postgresql" else tmp_path

    @asynccontextmanager
    async def rig(*kinds: WorkKind) -> AsyncIterator[Rig]:
        if engine == "inline":
            yield Rig(InlineWork(kinds))
            return
        work = DbosWork(where, executor_id="host-1", kinds=kinds, clock=RealClock(), poll_seconds=0.05)
        await work.launch()
        try:
            yield Rig(work)
        finally:
            await work.close()

    return rig


async def test_steps_run_in_order_and_see_the_arguments_and_earlier_results(launch: Launch) -> None:
    told = Told()
    kind = told.kind(told.step("analyse"), told.step("slice"))

    async with launch(kind) as rig:
        await rig.work.start(kind.name, "job-1", {"sha256": "ab", "copies": 2})
        progress = await rig.settle("job-1")

    assert progress == WorkProgress(status=WorkStatus.SUCCEEDED, steps_done=("analyse", "slice"))
    assert told.steps == [
        ("analyse", {"sha256": "ab", "copies": 2, "results": {}}),
        ("slice", {"sha256": "ab", "copies": 2, "results": {"analyse": "analyse"}}),
    ]
    assert told.failures == []


async def test_starting_twice_is_starting_once(launch: Launch) -> None:
    told = Told()
    kind = told.kind(told.step("analyse"))

    async with launch(kind) as rig:
        async with asyncio.TaskGroup() as group:
            for _ in range(5):
                group.create_task(rig.work.start(kind.name, "job-1", {}))
        await rig.settle("job-1")
        await rig.work.start(kind.name, "job-1", {})
        await rig.work.start(kind.name, "job-2", {})
        await rig.settle("job-2")

    assert told.names == ["analyse", "analyse"]


async def test_an_id_belongs_to_one_kind(launch: Launch) -> None:
    told = Told()
    one, other = told.kind(told.step("a"), name="one-kind"), told.kind(told.step("b"), name="other-kind")

    async with launch(one, other) as rig:
        await rig.work.start("one-kind", "job-1", {})
        with pytest.raises(Conflict):
            await rig.work.start("other-kind", "job-1", {})


async def test_an_unknown_kind_and_a_lane_where_there_are_none_are_mistakes_of_ours(launch: Launch) -> None:
    kind = Told().kind()

    async with launch(kind) as rig:
        with pytest.raises(Misconfigured):
            await rig.work.start("no-such-kind", "job-1", {})
        with pytest.raises(Misconfigured):
            await rig.work.start(kind.name, "job-1", {}, lane="a lane")
        assert await rig.work.progress("job-1") is None


async def test_what_time_mends_is_tried_again(launch: Launch) -> None:
    told = Told()
    kind = told.kind(told.step("slice", raising(Unavailable("no slicer"))))

    async with launch(kind) as rig:
        await rig.work.start(kind.name, "job-1", {})
        progress = await rig.settle("job-1")

    assert progress.status is WorkStatus.SUCCEEDED
    assert told.names == ["slice", "slice"]


async def test_what_time_does_not_mend_in_the_given_attempts_fails_with_its_reason(launch: Launch) -> None:
    told = Told()
    never = raising(*[Unavailable("no slicer")] * 9)
    kind = told.kind(told.step("analyse"), told.step("slice", never, attempts=2), told.step("preview"))

    async with launch(kind) as rig:
        await rig.work.start(kind.name, "job-1", {"job": 7})
        progress = await rig.settle("job-1")

    assert progress == WorkProgress(status=WorkStatus.FAILED, steps_done=("analyse",))
    assert told.names == ["analyse", "slice", "slice"]
    assert told.failures == [({"job": 7}, "no slicer")]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Rejected("too thin to print"), "too thin to print"),
        (Misconfigured("no profile"), "no profile"),
        (ZeroDivisionError("x"), "internal error: ZeroDivisionError"),
    ],
)
async def test_what_time_cannot_mend_fails_at_once(launch: Launch, error: Exception, reason: str) -> None:
    told = Told()
    kind = told.kind(told.step("analyse", raising(error)), told.step("slice"))

    async with launch(kind) as rig:
        await rig.work.start(kind.name, "job-1", {})
        progress = await rig.settle("job-1")

    assert progress.status is WorkStatus.FAILED
    assert told.names == ["analyse"]
    assert told.failures == [({}, reason)]


async def test_telling_of_a_failure_is_itself_tried_again(launch: Launch) -> None:
    told = Told()
    telling = raising(Unavailable("the database is away"))

    async def failed(args: Mapping[str, Json], reason: str) -> None:
        await telling(args)
        await told.failed(args, reason)

    slicing = told.step("slice", raising(Rejected("no")))
    kind = WorkKind(name="prepare-file", steps=(slicing,), failed=failed)

    async with launch(kind) as rig:
        await rig.work.start(kind.name, "job-1", {})
        await rig.settle("job-1")

    assert told.failures == [({}, "no")]


async def test_delayed_work_waits(launch: Launch) -> None:
    told = Told()
    kind = told.kind(told.step("analyse"))

    async with launch(kind) as rig:
        await rig.work.start(kind.name, "later", {}, delay_seconds=1)
        await rig.work.start(kind.name, "now", {})
        await rig.settle("now")
        before = await rig.work.progress("later")
        await rig.pass_seconds(1)
        after = await rig.settle("later")

    assert before == WorkProgress(status=WorkStatus.PENDING)
    assert after.status is WorkStatus.SUCCEEDED


async def test_a_step_waits_for_its_signal_and_then_runs_again_with_it(launch: Launch) -> None:
    told = Told()
    rigs: list[Rig] = []

    async def ask(args: Mapping[str, Json]) -> Json:
        return await rigs[0].work.wait_signal("released", 60)

    kind = told.kind(told.step("analyse"), told.step("ask", ask), told.step("slice"))

    async with launch(kind) as rig:
        rigs.append(rig)
        await rig.work.start(kind.name, "job-1", {})
        await until(lambda: _is(rig, "job-1", WorkStatus.RUNNING, ("analyse",)))
        await rig.work.signal("job-1", "something else", True)
        await rig.work.signal("job-1", "released", {"by": "tech"})
        progress = await rig.settle("job-1")

    assert progress.steps_done == ("analyse", "ask", "slice")
    assert told.names == ["analyse", "ask", "ask", "slice"]
    assert told.steps[-1][1]["results"] == {"analyse": "analyse", "ask": {"by": "tech"}}


async def test_a_signal_that_does_not_come_in_time_is_nothing(launch: Launch) -> None:
    told = Told()
    rigs: list[Rig] = []

    async def ask(args: Mapping[str, Json]) -> Json:
        return await rigs[0].work.wait_signal("released", 1) is None

    kind = told.kind(told.step("ask", ask), told.step("slice"))

    async with launch(kind) as rig:
        rigs.append(rig)
        await rig.work.start(kind.name, "job-1", {})
        await rig.time_out("job-1")
        await rig.settle("job-1")

    assert told.steps[-1][1]["results"] == {"ask": True}


async def test_signals_go_to_works_and_are_awaited_in_steps(launch: Launch) -> None:
    async with launch(Told().kind()) as rig:
        with pytest.raises(NotFound):
            await rig.work.signal("nobody", "released", None)
        with pytest.raises(Misconfigured):
            await rig.work.wait_signal("released", 1)


async def test_cancelled_work_does_no_further_step_and_what_has_ended_stays(launch: Launch) -> None:
    told = Told()
    rigs: list[Rig] = []

    async def ask(args: Mapping[str, Json]) -> Json:
        return await rigs[0].work.wait_signal("released", 60)

    kind = told.kind(told.step("ask", ask), told.step("slice"))
    quick = told.kind(told.step("quick"), name="quick-kind")

    async with launch(kind, quick) as rig:
        rigs.append(rig)
        await rig.work.start("quick-kind", "done", {})
        await rig.settle("done")
        await rig.work.start(kind.name, "waiting", {})
        await rig.work.start(kind.name, "delayed", {}, delay_seconds=60)
        await until(lambda: _is(rig, "waiting", WorkStatus.RUNNING, ()))
        for id in ("waiting", "delayed", "done", "nobody"):
            await rig.work.cancel(id)
        await rig.work.signal("waiting", "released", None)
        await rig.pass_seconds(60)
        found = [(await rig.settle(id)).status for id in ("waiting", "delayed", "done")]

    assert found == [WorkStatus.CANCELLED, WorkStatus.CANCELLED, WorkStatus.SUCCEEDED]
    assert "slice" not in told.names
    assert told.failures == []


async def test_works_of_a_lane_run_one_at_a_time_and_in_order(launch: Launch) -> None:
    told = Told()
    running: list[str] = []

    async def deliver(args: Mapping[str, Json]) -> Json:
        assert running == [], "two of a lane at once"
        running.append("x")
        await asyncio.sleep(0.02)
        running.remove("x")
        return None

    kind = told.kind(told.step("deliver", deliver), name="deliver-event", queue="notify")

    async with launch(kind) as rig:
        for number in range(4):
            await rig.work.start(kind.name, f"event-{number}", {"number": number}, lane="endpoint-1")
        for number in range(4):
            await rig.settle(f"event-{number}")

    assert [args["number"] for _, args in told.steps] == [0, 1, 2, 3]
    assert told.failures == []


async def test_a_step_may_start_other_work(launch: Launch) -> None:
    told = Told()
    rigs: list[Rig] = []

    async def announce(args: Mapping[str, Json]) -> Json:
        await rigs[0].work.start("announce", "job-1.announced", {})
        return None

    first = told.kind(told.step("slice", announce))
    second = told.kind(told.step("mail"), name="announce")

    async with launch(first, second) as rig:
        rigs.append(rig)
        await rig.work.start(first.name, "job-1", {})
        await rig.settle("job-1.announced")
        assert (await rig.settle("job-1")).steps_done == ("slice",)

    assert sorted(told.names) == ["mail", "slice"]


async def test_a_schedule_starts_its_kind(launch: Launch) -> None:
    told = Told()
    kind = told.kind(told.step("report"), name="daily-report", queue="reports")

    async def reported() -> bool:
        return bool(told.steps)

    async with launch(kind) as rig:
        with pytest.raises(Rejected):
            await rig.work.schedule("nonsense", "now and then", kind.name)
        with pytest.raises(Misconfigured):
            await rig.work.schedule("nightly", "* * * * * *", "no-such-kind")
        await rig.work.schedule("nightly", "0 3 * * *", kind.name)
        await rig.work.schedule("nightly", "* * * * * *", kind.name)
        await rig.fire("nightly")
        await until(reported)

    assert told.steps[0][1]["schedule"] == "nightly"
    assert str(told.steps[0][1]["at"]).startswith("20")


async def test_health_counts_what_is_pending(launch: Launch) -> None:
    kind = Told().kind(Told().step("slice"))

    async with launch(kind) as rig:
        idle = await rig.work.health()
        await rig.work.start(kind.name, "later", {}, delay_seconds=60)
        busy = await rig.work.health()

    assert (idle.ok, idle.pending) == (True, 0)
    assert (busy.ok, busy.pending) == (True, 1)


async def _is(rig: Rig, id: str, status: WorkStatus, done: tuple[str, ...]) -> bool:
    return await rig.work.progress(id) == WorkProgress(status=status, steps_done=done)
