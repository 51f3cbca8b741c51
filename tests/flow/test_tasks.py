"""Ending a supervisor: asked to end in the very moment in which its machine is lost, it ends."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.flow.tasks import pass_on_cancellation


async def fails() -> None:
    raise ConnectionError


async def works_until_cancelled(*, heeds: bool) -> str:
    try:
        async with asyncio.TaskGroup() as group:
            child = group.create_task(fails())
            me = asyncio.current_task()
            assert me is not None
            child.add_done_callback(lambda _: me.cancel())
            await asyncio.Event().wait()
    except ExceptionGroup:
        if heeds:
            pass_on_cancellation()
    return "went on"


async def test_a_cancellation_that_meets_a_failure_in_the_group_is_passed_on() -> None:
    with pytest.raises(asyncio.CancelledError):
        await asyncio.gather(asyncio.create_task(works_until_cancelled(heeds=True)))


async def test_without_it_the_task_would_go_on() -> None:
    assert await asyncio.create_task(works_until_cancelled(heeds=False)) == "went on"
