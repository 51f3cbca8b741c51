"""What every store promises to racers and to followers in several processes, up to twenty accepts at once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from orchestrator.domain.answer import Claim, Remembered
from orchestrator.domain.errors import Conflict, InsufficientBalance
from orchestrator.domain.event import Event
from orchestrator.domain.job import JobState
from orchestrator.flow.lab import Lab, Workbench
from orchestrator.flow.submit import PREPARE, accept
from orchestrator.ports import Store, Unit, WorkKind
from orchestrator.store.sql import SqlStore, SqlUnit
from orchestrator.work.inline import InlineWork
from tests.builders import a_member, a_quote, an_event, at_home
from tests.contracts.conftest import OpenStore
from tests.fakes.clock import NOON, FakeClock
from tests.fakes.files import PlainFiles
from tests.flow.workshop import NamedWorkshop


@pytest.mark.parametrize("what", ["job", "run", "machine"])
async def test_of_two_racers_the_slower_gets_a_conflict_and_nothing_of_it_stays(
    open_store: OpenStore, what: str
) -> None:
    stores = [await open_store(), await open_store()]
    home = await at_home(stores[0])
    job = await home.job()
    run = await home.run(job)
    head = await stores[0].read(lambda unit: unit.head())
    traces = [a_member(), a_member()]

    async def race(racer: int) -> int:
        event = an_event(f"racer.{racer}")

        async def work(unit: Unit) -> None:
            await unit.add_member(traces[racer])
            if what == "job":
                await unit.change_job(job, replace(job, reason="x"), event)
            elif what == "run":
                await unit.change_run(run, replace(run, note="x"), event)
            else:
                await unit.change_machine(home.machine, replace(home.machine, note="x"), event)

        await stores[racer].write(work)
        return racer

    answers = await asyncio.gather(race(0), race(1), return_exceptions=True)

    (won,) = (answer for answer in answers if isinstance(answer, int))
    assert isinstance(answers[1 - won], Conflict)
    events = await stores[0].read(lambda unit: unit.events(head))
    assert [event.topic for event in events] == [f"racer.{won}"]
    assert await stores[0].read(lambda unit: unit.member(traces[won].id)) == traces[won]
    assert await stores[0].read(lambda unit: unit.member(traces[1 - won].id)) is None


async def test_the_database_itself_refuses_what_a_reading_unit_would_write(open_store: OpenStore) -> None:
    store = await open_store()
    home = await at_home(store)

    async def past_our_own_check(unit: Unit) -> None:
        assert isinstance(unit, SqlUnit)
        await unit._connection.execute(text("UPDATE member SET name = 'Mallory'"))

    with pytest.raises(DBAPIError, match=r"read.?only"):
        await store.read(past_our_own_check)
    assert await store.read(lambda unit: unit.member(home.member.id)) == home.member


async def test_a_follower_that_sleeps_on_the_feed_misses_nothing_that_two_processes_write(
    open_store: OpenStore, url: str
) -> None:
    here = await open_store()
    there = here if url.startswith("sqlite") else await open_store()  # a database file has one process
    each = 20

    async def writer(number: int) -> None:
        for count in range(each):
            event = an_event(f"{number}.{count}")
            await (here, there)[number % 2].write(lambda unit: unit.emit(event))  # noqa: B023 - runs here

    async def follow() -> list[Event]:
        seen: list[Event] = []
        while len(seen) < 4 * each:
            after = seen[-1].seq if seen else 0
            await here.feed.wait(after)
            seen += await here.read(lambda unit: unit.events(after))  # noqa: B023 - runs here
        return seen

    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(here.watch())
        following = tasks.create_task(follow())
        for number in range(4):
            tasks.create_task(writer(number))
        seen = await following
        watching.cancel()

    assert [event.seq for event in seen] == list(range(1, 4 * each + 1))
    assert {event.topic for event in seen} == {f"{by}.{count}" for by in range(4) for count in range(each)}


async def test_what_names_no_member_but_is_not_about_a_machine_alone_is_not_for_members(store: Store) -> None:
    me, machine_id = uuid4(), uuid4()

    async def work(unit: Unit) -> None:
        await unit.emit(an_event("account.topped_up", data={"amount_cents": 5000}))
        await unit.emit(an_event("job.touched", job_id=uuid4()))
        await unit.emit(an_event("run.touched", machine_id=machine_id, run_id=uuid4()))
        await unit.emit(an_event("run.theirs", machine_id=machine_id, member_id=uuid4()))
        await unit.emit(an_event("machine.seen", machine_id=machine_id))

    await store.write(work)

    visible = await store.read(lambda unit: unit.events(0, member_id=me))
    assert [event.topic for event in visible] == ["machine.seen"]


# --- the flow on it ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("died_before", [False, True])
async def test_of_many_who_claim_one_key_at_once_one_has_it(open_store: OpenStore, died_before: bool) -> None:
    stores = [await open_store() for _ in range(3)]
    first = Claim(principal="me", operation="POST /x", key="k", fingerprint="f" * 64, at=NOON)
    if died_before:
        assert await stores[0].write(lambda unit: unit.claim(first)) is None
    claims = [replace(first, at=NOON + timedelta(seconds=60, microseconds=n)) for n in range(12)]

    async def claim(number: int) -> Remembered | None:
        return await stores[number % 3].write(lambda unit: unit.claim(claims[number]))

    known = await asyncio.gather(*(claim(number) for number in range(12)))

    assert known.count(None) == 1
    owner = claims[known.index(None)]
    for number, one in enumerate(claims):
        if one is owner:
            await stores[number % 3].write(lambda unit, one=one: unit.begin(one))  # type: ignore[misc]
        else:
            with pytest.raises(Conflict):
                await stores[number % 3].write(lambda unit, one=one: unit.begin(one))  # type: ignore[misc]


async def test_a_slow_request_and_who_takes_it_over_do_not_both_do_it(open_store: OpenStore) -> None:
    stores = [await open_store(), await open_store()]
    for turn in range(8):
        slow = Claim(principal="me", operation="POST /x", key=str(turn), fingerprint="f" * 64, at=NOON)
        heir = replace(slow, at=NOON + timedelta(seconds=61))
        assert await stores[0].write(lambda unit, slow=slow: unit.claim(slow)) is None  # type: ignore[misc]

        began, taken = await asyncio.gather(
            stores[0].write(lambda unit, slow=slow: unit.begin(slow)),  # type: ignore[misc]
            stores[1].write(lambda unit, heir=heir: unit.claim(heir)),  # type: ignore[misc]
            return_exceptions=True,
        )

        assert isinstance(began, Conflict) == (taken is None), (began, taken)


def a_lab(store: SqlStore, directory: Path) -> Lab:
    """The true flow, whose preparation of a job does nothing."""

    async def failed(_args: object, _reason: str) -> None:
        raise AssertionError("there is nothing to fail")

    bench = Workbench(
        site="lab", store=store, files=PlainFiles(directory), workshop=NamedWorkshop(), clock=FakeClock()
    )
    return Lab.on(bench, InlineWork((WorkKind(name=PREPARE, steps=(), failed=failed),)))


async def test_twenty_accepts_at_once_on_a_balance_for_ten_make_ten_jobs(
    open_store: OpenStore, tmp_path: Path
) -> None:
    stores = [await open_store(), await open_store()]
    labs = [a_lab(store, tmp_path) for store in stores]
    home = await at_home(stores[0], credit_cents=10 * a_quote().hold.cents)
    quotes = [home.quote() for _ in range(20)]

    async def offer(unit: Unit) -> None:
        for quote in quotes:
            await unit.add_quote(quote)

    await stores[0].write(offer)

    answers = await asyncio.gather(
        *(accept(labs[n % 2], home.member, quote.id) for n, quote in enumerate(quotes)),
        return_exceptions=True,
    )

    refused = [answer for answer in answers if isinstance(answer, InsufficientBalance)]
    accepted = [answer for answer in answers if not isinstance(answer, BaseException)]
    assert (len(accepted), len(refused)) == (10, 10)
    jobs = await stores[0].read(lambda unit: unit.jobs())
    assert {job.id for job in jobs} == {job.id for job, _ in accepted}
    assert {job.state for job in jobs} == {JobState.PREPARING}
    balance = await stores[0].read(lambda unit: unit.balance(home.member.account_id))
    assert (balance.available.cents, balance.held.cents) == (0, 10 * quotes[0].hold.cents)
    assert await stores[0].verify() == ()
