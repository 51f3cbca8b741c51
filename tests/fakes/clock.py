"""Time in the hands of a test: nothing waits, nothing depends on how fast the computer is."""

from __future__ import annotations

import asyncio
import heapq
from datetime import UTC, datetime, timedelta

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
"""A Monday in term time."""


class FakeClock:
    """Implements `orchestrator.ports.Clock`. `advance` wakes sleepers in the order of their times, and lets each run
    until all wait again before it wakes the next.

    Work in threads (a database file, a file on disk) is not seen by the loop: give `grace_seconds` of real time, and
    the clock stands still until nothing has happened for so long. With a database in memory none is needed.
    """

    def __init__(self, start: datetime = NOON, *, grace_seconds: float = 0.0) -> None:
        self._start = start
        self._passed = 0.0
        self._sleeps = 0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._grace_seconds = grace_seconds

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._passed)

    def monotonic(self) -> float:
        return self._passed

    async def sleep(self, seconds: float) -> None:
        """Returns when the test has let that time pass; a sleep of 0 only lets others run."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleeps += 1
        heapq.heappush(self._sleepers, (self._passed + seconds, self._sleeps, woken))
        await woken

    @property
    def next_wake(self) -> float | None:
        """In how many seconds the next sleeper wakes; None if nobody sleeps."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] - self._passed if self._sleepers else None

    async def advance(self, seconds: float) -> None:
        """Let that much time pass."""
        until = self._passed + seconds
        await self.settle()
        while (wait := self.next_wake) is not None and self._passed + wait <= until:
            at, _, woken = heapq.heappop(self._sleepers)
            self._passed = max(self._passed, at)
            woken.set_result(None)
            await self.settle()
        self._passed = until
        await self.settle()

    async def settle(self) -> None:
        """Let everything run that can, until all wait: for time, or for something that only the test can do."""
        await self._until_quiet()
        while self._grace_seconds:
            seen = self._seen()
            await asyncio.sleep(self._grace_seconds)
            await self._until_quiet()
            if self._seen() == seen:
                return

    async def _until_quiet(self) -> None:
        loop = asyncio.get_running_loop()
        quiet = 0
        while quiet < 2:
            await asyncio.sleep(0)
            # The loop says whether others are ready only in a private place; it is worth a deterministic test.
            quiet = 0 if loop._ready else quiet + 1  # type: ignore[attr-defined]

    def _seen(self) -> tuple[int, int]:
        """Changes whenever somebody began to sleep, or a task began or ended."""
        return self._sleeps, len(asyncio.all_tasks())
