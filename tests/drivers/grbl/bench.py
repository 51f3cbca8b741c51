"""A laser on a fake clock: driver and controller in memory, and a person who comes and goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from drivers.grbl.driver import GrblDriver
from drivers.grbl.link import Link
from drivers.grbl.settings import Address
from orchestrator.domain.errors import MachineUnreachable
from orchestrator.domain.event import Json
from orchestrator.domain.presence import HEARTBEAT_SECONDS
from orchestrator.ports import Ended, Observation, StartAnswer
from tests.fakes.clock import FakeClock
from tests.rigs.fake_grbl import FakeGrbl, MemoryLink
from tests.rigs.grbl import a_cut
from tests.rigs.rig import a_presence

T = TypeVar("T")
TICK_SECONDS = 0.05
NAME = "fl-0123456789ab-cdef01.gcode"


class Bench:
    def __init__(self, directory: Path, **settings: Json) -> None:
        self.clock = FakeClock()
        self.fake = FakeGrbl(now=self.clock.monotonic, prompt=True)
        self.links: list[MemoryLink] = []
        self.refuses = False
        self.driver = GrblDriver({"address": "tcp://laser:23", **settings}, self.clock, opens=self._open)
        self.seen: list[Observation] = []
        self.ended: list[Ended] = []
        self.lost = 0
        self.person_is_there = True
        self.last_sign = 0.0
        self.unwatched_seconds = 0.0  # how long it has moved when nobody had been there for 2 s
        self.directory = directory
        self._tasks: list[asyncio.Task[None]] = []

    async def _open(self, address: Address) -> Link:
        if self.refuses:
            raise MachineUnreachable("Nobody listens.")
        self.links.append(MemoryLink(self.fake))
        return self.links[-1]

    def file(self, lines: int = 20, text: str = "") -> Path:
        path = self.directory / "cut.gcode"
        path.write_text(text or a_cut(lines))
        return path

    async def start(self, lines: int = 20, text: str = "", name: str = NAME) -> StartAnswer:
        file = self.file(lines, text)
        await self.driver.stage(file, name)
        self.attend()
        return await self.driver.start(name, a_presence(file, self.clock))

    def attend(self) -> None:
        self.driver.attend()
        self.last_sign = self.clock.monotonic()

    async def passes(self, seconds: float) -> None:
        await self.clock.advance(seconds)

    async def meanwhile(self, call: Coroutine[Any, Any, T]) -> T:
        """The outcome of a call that takes some of the clock's time."""
        task = asyncio.create_task(call)
        await self.clock.settle()
        while not task.done():
            await self.clock.advance(TICK_SECONDS)
        return await task

    async def reconnect(self) -> None:
        await self.driver.close()
        await self.driver.connect()
        self._watch()

    # --- what goes on beside ----------------------------------------------------------------------

    async def _moves(self) -> None:
        while True:
            await self.clock.sleep(TICK_SECONDS)
            before = self.fake.moved_seconds
            self.fake.tick(TICK_SECONDS)
            if self.clock.monotonic() - self.last_sign > 2.0:
                self.unwatched_seconds += self.fake.moved_seconds - before

    async def _is_there(self) -> None:
        while True:
            if self.person_is_there:
                self.attend()
            await self.clock.sleep(HEARTBEAT_SECONDS)

    async def _listens(self) -> None:
        with suppress(MachineUnreachable):
            async for seen in self.driver.observations():
                self.seen.append(seen)
                self.ended += [seen.ended] if seen.ended else []
        self.lost += 1

    def _watch(self) -> None:
        self._tasks.append(asyncio.create_task(self._listens()))

    @property
    def last(self) -> Observation:
        return self.seen[-1]

    async def begin(self) -> None:
        self._tasks += [asyncio.create_task(self._moves()), asyncio.create_task(self._is_there())]
        await self.driver.connect()
        self._watch()
        await self.clock.settle()

    async def stop(self) -> None:
        await self.driver.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def a_bench(directory: Path, **settings: Json) -> AsyncIterator[Bench]:
    bench = Bench(directory, **settings)
    await bench.begin()
    try:
        yield bench
    finally:
        await bench.stop()
