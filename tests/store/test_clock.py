"""The test's clock is a clock: sleepers wake in the order of their times, and none before."""

from __future__ import annotations

import asyncio

from tests.fakes.clock import NOON, FakeClock


async def test_sleepers_wake_in_the_order_of_their_times() -> None:
    clock, woken = FakeClock(), list[tuple[str, float]]()

    async def sleeper(name: str, *naps: float) -> None:
        for nap in naps:
            await clock.sleep(nap)
            woken.append((name, clock.monotonic()))

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(sleeper("a", 3, 3))
        tasks.create_task(sleeper("b", 1, 1, 1, 1))
        await clock.advance(3)
        assert woken == [("b", 1), ("b", 2), ("a", 3), ("b", 3)]
        await clock.advance(0.5)
        assert len(woken) == 4
        await clock.advance(10)

    assert woken[4:] == [("b", 4), ("a", 6)]
    assert (clock.now() - NOON).total_seconds() == clock.monotonic() == 13.5


async def test_one_who_was_cancelled_is_not_woken() -> None:
    clock = FakeClock()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(clock.sleep(1))
        await clock.settle()
        task.cancel()
        await clock.advance(2)
    assert clock.next_wake is None


async def test_a_task_runs_on_until_it_waits_before_time_goes_on() -> None:
    clock, seen = FakeClock(), list[float]()

    async def busy() -> None:
        await clock.sleep(1)
        for _ in range(50):
            await asyncio.sleep(0)
        seen.append(clock.monotonic())

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(busy())
        tasks.create_task(clock.sleep(1.001))
        await clock.advance(5)
    assert seen == [1]


async def test_with_grace_it_waits_for_threads() -> None:
    clock, seen = FakeClock(grace_seconds=0.05), list[float]()

    async def reads_a_file() -> None:
        await clock.sleep(1)
        await asyncio.to_thread(lambda: None)
        await clock.sleep(1)
        seen.append(clock.monotonic())

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(reads_a_file())
        await clock.advance(5)
    assert seen == [2]
