"""What every store promises of the event log: nobody misses an event, nobody gets one twice, nobody waits in vain."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest

from orchestrator.ports import Store, Unit
from tests.builders import an_event
from tests.contracts.conftest import OpenStore


class Stop(Exception):
    """Thrown by a test."""


async def test_a_follower_gets_every_event_once_and_in_order_while_four_write(open_store: OpenStore) -> None:
    stores = [await open_store() for _ in range(4)]
    each = 25

    async def writer(number: int) -> None:
        for count in range(each):
            events = [an_event(data={"by": number, "count": count, "part": part}) for part in range(2)]

            async def work(unit: Unit, events: list[Any] = events) -> None:
                for event in events:
                    await unit.emit(event)

            await stores[number].write(work)

    async def follow() -> list[Any]:
        seen: list[Any] = []
        while len(seen) < 4 * each * 2:
            after = seen[-1].seq if seen else 0
            seen += await stores[0].read(lambda unit: unit.events(after, limit=7))  # noqa: B023 - runs here
        return seen

    async with asyncio.TaskGroup() as tasks:
        following = tasks.create_task(follow())
        for number in range(4):
            tasks.create_task(writer(number))
    seen = following.result()

    assert [event.seq for event in seen] == sorted({event.seq for event in seen})
    assert {(e.data["by"], e.data["count"], e.data["part"]) for e in seen} == {
        (by, count, part) for by in range(4) for count in range(each) for part in range(2)
    }
    for one, two in zip(seen[::2], seen[1::2], strict=True):
        assert (one.data["by"], one.data["count"]) == (two.data["by"], two.data["count"]), (
            "a unit stays together"
        )


async def test_the_feed_wakes_when_a_unit_with_events_is_committed(store: Store) -> None:
    head = await store.read(lambda unit: unit.head())

    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(store.feed.wait(head))
        await asyncio.sleep(0)
        assert not waiting.done()
        await store.write(lambda unit: unit.emit(an_event()))

    assert waiting.result() == head + 1 == await store.read(lambda unit: unit.head())
    assert await store.feed.wait(head) == head + 1, "who comes late does not wait"


async def test_the_feed_says_nothing_of_a_unit_that_failed(store: Store) -> None:
    async def work(unit: Unit) -> None:
        await unit.emit(an_event())
        assert await unit.head() == 1, "it sees its own"
        raise Stop

    with pytest.raises(Stop):
        await store.write(work)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await store.feed.wait(0)


async def test_another_process_is_woken_too(open_store: OpenStore, url: str) -> None:
    here, there = await open_store(), await open_store()
    if url.startswith("sqlite"):
        await there.watch()  # one process: nothing to follow
        return

    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(there.watch())
        await here.write(lambda unit: unit.emit(an_event()))
        assert await there.feed.wait(0) == 1  # by the note, or by the look at the head after listening began
        await here.write(lambda unit: unit.emit(an_event()))
        assert await there.feed.wait(1) == 2
        watching.cancel()


async def test_a_store_opened_later_knows_where_the_log_ends(open_store: OpenStore) -> None:
    await (await open_store()).write(lambda unit: unit.emit(an_event()))

    assert await (await open_store()).feed.wait(0) == 1


async def test_a_member_sees_their_events_and_those_about_nobody(store: Store) -> None:
    me, other, job_id = uuid4(), uuid4(), uuid4()

    async def work(unit: Unit) -> None:
        await unit.emit(an_event("mine", member_id=me, job_id=job_id))
        await unit.emit(an_event("theirs", member_id=other))
        await unit.emit(an_event("machine", machine_id=uuid4()))

    await store.write(work)

    async def topics(member_id: UUID | None = None, job_id: UUID | None = None) -> list[str]:
        seen = await store.read(lambda unit: unit.events(0, member_id=member_id, job_id=job_id))
        return [event.topic for event in seen]

    assert await topics() == ["mine", "theirs", "machine"]
    assert await topics(member_id=me) == ["mine", "machine"]
    assert await topics(job_id=job_id) == ["mine"]


async def test_the_events_of_a_run_are_its_own_however_many_its_job_has_before(store: Store) -> None:
    job_id, run_id, member_id = uuid4(), uuid4(), uuid4()

    async def work(unit: Unit) -> None:
        for _ in range(210):
            await unit.emit(an_event("earlier", job_id=job_id, run_id=uuid4(), member_id=member_id))
        await unit.emit(an_event("staged", job_id=job_id, run_id=run_id, member_id=member_id))
        await unit.emit(an_event("of no run", job_id=job_id, member_id=member_id))
        await unit.emit(an_event("ended", job_id=job_id, run_id=run_id))

    await store.write(work)

    async def topics(after: int = 0, **of: Any) -> list[str]:
        return [event.topic for event in await store.read(lambda unit: unit.events(after, **of))]

    assert await topics(run_id=run_id) == ["staged", "ended"]
    assert await topics(run_id=run_id, job_id=job_id) == ["staged", "ended"]
    assert await topics(run_id=run_id, job_id=uuid4()) == []
    assert await topics(run_id=run_id, member_id=member_id) == ["staged"]
    assert await topics(run_id=run_id, limit=1) == ["staged"]
    assert await topics(after=211, run_id=run_id) == ["ended"]
    assert await topics(run_id=uuid4()) == []
    assert set(await topics(job_id=job_id)) == {"earlier"}, "an answer has its length, and the run is past it"


async def test_a_thousand_waiters_are_woken_by_one_commit(store: Store) -> None:
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(store.feed.wait(0)) for _ in range(1000)]
        await asyncio.sleep(0)
        waiting[0].cancel()  # one who leaves takes nobody with it
        await store.write(lambda unit: unit.emit(an_event()))

    assert {task.result() for task in waiting[1:]} == {1}
