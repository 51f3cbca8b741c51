"""What a TaskGroup leaves to its caller."""

from __future__ import annotations

import asyncio


def pass_on_cancellation() -> None:
    """Raise CancelledError if this task has been asked to end.

    A TaskGroup whose child fails in the same moment in which its parent is cancelled raises the child's error and drops
    the cancellation (CPython 3.11 to 3.13). Whoever catches that error and goes on would never end.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
