"""The rig of the simulated machine: no wire, the machine's own use cases, and a clock that the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from drivers.simulated.driver import SimulatedDriver
from drivers.simulated.world import NO_TROUBLES, Settings, SimulatedMachine
from orchestrator.ports import Driver
from tests.fakes.clock import FakeClock
from tests.rigs.rig import OnCommand

T = TypeVar("T")


class SimulatedRig(OnCommand):
    def __init__(self, directory: Path) -> None:
        self.clock = FakeClock()
        self.machine = SimulatedMachine(Settings(speed=60.0), self.clock)
        self._directory = directory

    def driver(self) -> Driver:
        return SimulatedDriver({}, self.clock, machine=self.machine)

    def driver_with_wrong_key(self) -> Driver | None:
        return None

    def file(self, lines: int = 20) -> Path:
        path = self._directory / f"{lines}.gcode"
        path.write_text("G1 X1 Y1\n" * lines + ";TIME:3600\n")
        return path

    @property
    def begun(self) -> tuple[str, ...]:
        return tuple(start.name for start in self.machine.starts if start.obeyed)

    async def meanwhile(self, call: Coroutine[Any, Any, T]) -> T:
        task = asyncio.create_task(call)
        await self.clock.settle()
        while not task.done():
            await self.clock.advance(1)
        return await task

    async def prints_on(self) -> None:
        await self.clock.advance((self.machine.end_in_seconds or 0) / 4)

    async def finishes(self) -> None:
        await self.clock.advance((self.machine.end_in_seconds or 0) + 1)

    async def jams(self) -> None:
        self.machine.jam()

    async def is_cancelled_by_hand(self) -> None:
        self.machine.cancel_by_hand()

    async def was_started_by_hand(self) -> str:
        self.machine.start_by_hand("by-hand.gcode")
        await self.clock.settle()
        return "by-hand.gcode"

    async def goes_silent(self) -> None:
        self.machine.troubles = replace(NO_TROUBLES, hangs=True)
        await self.clock.advance(30)

    async def is_cut_off(self) -> None:
        self.machine.vanish()

    async def comes_back(self) -> None:
        self.machine.troubles = NO_TROUBLES
        self.machine.reappear()

    async def answers_500(self) -> None:
        self.machine.troubles = replace(NO_TROUBLES, answers_500=True)

    async def loses_the_answer(self) -> None:
        self.machine.troubles = replace(NO_TROUBLES, loses_the_answer=True)

    async def forgets(self) -> None:
        await self.clock.advance(1)
        self.machine.lose_power()


@asynccontextmanager
async def simulated(directory: Path) -> AsyncIterator[SimulatedRig]:
    yield SimulatedRig(directory)
