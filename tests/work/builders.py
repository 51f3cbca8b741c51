"""Works, steps and waiting, for the tests of durable work."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta

from orchestrator.domain.event import Json
from orchestrator.ports import Step, WorkKind

Run = Callable[[Mapping[str, Json]], Awaitable[Json]]


class RealClock:
    """The machine's clock, which can be put forward by days without waiting for them."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead.total_seconds()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def until(happens: Callable[[], Awaitable[bool]], *, seconds: float = 15) -> None:
    """Returns as soon as it happens; raises TimeoutError if it does not."""
    async with asyncio.timeout(seconds):
        while not await happens():  # noqa: ASYNC110 - it happens in another process or thread
            await asyncio.sleep(0.01)


class Told:
    """What steps and `failed` were given, in order."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, Mapping[str, Json]]] = []
        self.failures: list[tuple[Mapping[str, Json], str]] = []

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.steps]

    async def failed(self, args: Mapping[str, Json], reason: str) -> None:
        self.failures.append((args, reason))

    def step(self, name: str, run: Run | None = None, *, attempts: int = 3) -> Step:
        """A step that is noted here, then does what `run` does; without one its result is its name."""

        async def noted(args: Mapping[str, Json]) -> Json:
            self.steps.append((name, args))
            return name if run is None else await run(args)

        return Step(name=name, run=noted, attempts=attempts)

    def kind(self, *steps: Step, name: str = "prepare-file", queue: str = "prepare") -> WorkKind:
        return WorkKind(name=name, steps=steps, failed=self.failed, queue=queue)


def raising(*errors: Exception | None) -> Run:
    """Raises them one after the other; a None, or having none left, is a success."""
    left = list(errors)

    async def run(args: Mapping[str, Json]) -> Json:
        error = left.pop(0) if left else None
        if error is not None:
            raise error
        return None

    return run
