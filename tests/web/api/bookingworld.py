"""A booking system before an open desk: what it sends, in the words of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from orchestrator.domain.machine import Machine
from orchestrator.domain.member import Permission, Role
from orchestrator.store.schema import migrate
from tests.web.api.server import MEMORY, V1, Desk, Program, Seen, a_desk

SYSTEM = "fabsys"


@dataclass(kw_only=True)
class World:
    desk: Desk
    booking: Program  # the booking system
    machine: Machine

    def at(self, hours: float) -> datetime:
        return self.desk.clock.now() + timedelta(hours=hours)

    def window(self, start: float = 24, end: float = 26, **more: Any) -> dict[str, Any]:
        """Hours from now, on the machine unless told."""
        times = {"starts_at": self.at(start).isoformat(), "ends_at": self.at(end).isoformat()}
        elsewhere = "machine_class" in more or "site" in more
        place = {} if elsewhere else {"machine_id": str(self.machine.id)}
        return times | place | more

    async def put(self, path: str, body: Any, by: Program | None = None, **how: Any) -> Seen:
        return await (by or self.booking).ask("PUT", V1 + path, json=body, **how)

    async def delete(self, path: str) -> Seen:
        return await self.booking.ask("DELETE", V1 + path)

    async def book(self, name: str, *span: float, by: Program | None = None, **more: Any) -> Seen:
        return await self.put(f"/reservations/{SYSTEM}/{name}", self.window(*span, **more), by)

    async def tell(self, name: str, /, **more: Any) -> Seen:
        """Of a member."""
        return await self.put(f"/members/{SYSTEM}/{name}", more)

    async def looker(self, *scopes: Permission) -> Program:
        """A program of the booking system's with other scopes."""
        assert self.booking.member is not None
        return await self.desk.program_of(self.booking.member, scopes)

    async def topics(self, prefix: str) -> list[str]:
        events = await self.desk.store.read(lambda unit: unit.events(0, limit=1000))
        return [e.topic for e in events if e.topic.startswith(prefix)]


@asynccontextmanager
async def a_world(root: Path, url: str = MEMORY) -> AsyncIterator[World]:
    if url != MEMORY:
        await migrate(url)
    async with a_desk(root, url=url) as desk:
        yield World(desk=desk, booking=await desk.program(Role.BOOKING), machine=await desk.machine())


def named(name: str) -> dict[str, str]:
    return {"system": SYSTEM, "external_id": name}
