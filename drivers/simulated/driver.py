"""The Driver port on a `SimulatedMachine`. Thin: the machine in `world.py` decides, `wire.py` reckons."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import ClassVar

from drivers.simulated.world import Settings, SimulatedMachine
from orchestrator.domain.errors import MachineUnreachable
from orchestrator.domain.event import Json
from orchestrator.domain.presence import Presence
from orchestrator.ports import (
    Clock,
    Control,
    Located,
    MachineInfo,
    Observation,
    Staged,
    StartAnswer,
    Ticket,
    Unknown,
)


class SimulatedDriver:
    """Speaks to a machine in memory. Without `machine` it stands up its own from the settings."""

    kind: ClassVar[str] = "simulated"
    confirm_seconds: ClassVar[int] = 20

    def __init__(
        self, connection: Mapping[str, Json], clock: Clock, *, machine: SimulatedMachine | None = None
    ) -> None:
        self._clock = clock
        self.machine = machine if machine is not None else SimulatedMachine(Settings.of(connection), clock)
        self._open = False

    async def connect(self) -> MachineInfo:
        await self.machine.answer()
        self.machine.reload()
        self._open = True
        return MachineInfo(identity=self.machine.settings.identity, firmware="simulated")

    async def close(self) -> None:
        self._open = False

    async def observations(self) -> AsyncIterator[Observation]:
        """Full at first, then on change, while it prints once a second of the clock; an end is told once."""
        known = self.machine.past
        last: Observation | None = None
        with self.machine.watched() as bell:
            while True:
                bell.clear()
                await self._answer()
                if self.machine.past is not known:
                    new = [past for past in self.machine.past if past not in known]
                    known = self.machine.past
                    for past in new:
                        yield replace(self.machine.read(), ended=past.ended())
                seen = self.machine.read()
                if seen != last:
                    last = seen
                    yield seen
                await self._wait(bell)

    async def _wait(self, bell: asyncio.Event) -> None:
        """Until the bell rings or it is time for the next reading. Idle, the machine costs nothing."""
        seconds = self.machine.next_change_seconds(self.machine.settings.reading_seconds)
        if seconds is None:
            await bell.wait()
            return
        async with asyncio.TaskGroup() as group:
            alarm = group.create_task(self._ring(bell, seconds))
            await bell.wait()
            alarm.cancel()

    async def _ring(self, bell: asyncio.Event, seconds: float) -> None:
        await self._clock.sleep(seconds)
        bell.set()

    async def observe(self) -> Observation:
        await self._answer()
        return self.machine.read()

    async def stage(self, path: Path, remote_name: str, ticket: Ticket | None = None) -> Staged:
        await self._answer()
        file = self.machine.stage(path, remote_name)
        return Staged(remote_name=remote_name, size_bytes=file.size_bytes)

    async def start(self, remote_name: str, presence: Presence | None = None) -> StartAnswer:
        try:
            await self._answer()
        except MachineUnreachable as lost:
            return Unknown(words=lost.detail)
        return await self.machine.start(remote_name, presence)

    def attend(self) -> None:
        self.machine.attend()

    async def revoke(self, remote_name: str) -> bool:
        await self._answer()
        return self.machine.revoke(remote_name)

    async def control(self, remote_name: str, action: Control) -> None:
        await self._answer()
        self.machine.control(remote_name, action)

    async def locate(self, remote_name: str, since: datetime) -> Located:
        await self._answer()
        return self.machine.locate(remote_name, since)

    async def _answer(self) -> None:
        if not self._open:
            raise MachineUnreachable("Not connected.")
        await self.machine.answer()
