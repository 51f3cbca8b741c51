"""A lab with one machine and a booking system on loopback, for tests of what goes on between the two."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from orchestrator.bookings.registry import systems
from orchestrator.domain.event import Event
from orchestrator.domain.machine import Machine
from orchestrator.domain.member import Member, Role
from orchestrator.domain.reservation import Reservation
from orchestrator.domain.source import HORIZON, Source, SourceKind
from orchestrator.domain.tariff import tariff_a
from orchestrator.flow import sources
from orchestrator.flow.lab import Lab, Workbench
from orchestrator.store.sql import SqlStore
from orchestrator.work.inline import InlineWork
from tests.builders import NOON, a_machine, a_member, an_event
from tests.fakes.clock import FakeClock
from tests.fakes.files import PlainFiles
from tests.fakes.outside import PlainOutbound, PlainSeal
from tests.flow.workshop import NamedWorkshop

MANAGER = a_member(role=Role.MANAGER, name="Lou")


@dataclass
class BookedLab:
    lab: Lab
    store: SqlStore
    clock: FakeClock
    outbound: PlainOutbound
    machine: Machine
    manager: Member = MANAGER

    async def source(self, kind: SourceKind, url: str, **other: Any) -> Source:
        values: dict[str, Any] = {
            "system": kind.value,
            "secret": "sealed:let-me-in",
            "site": "lab",
            "due_at": self.clock.now(),
        }
        source = Source(id=uuid4(), kind=kind, url=url, **(values | other))
        await self.store.write(lambda unit: unit.add_source(source, an_event("source.added")))
        return source

    async def poll(self, source: Source) -> Source:
        return await sources.poll(self.lab, source.id, now_or_never=True)

    async def windows(self) -> Sequence[Reservation]:
        """Those that hold."""
        now = self.clock.now()
        return await self.store.read(lambda unit: unit.reservations(now - HORIZON, now + 2 * HORIZON))

    async def hours(self) -> list[tuple[str, int, int]]:
        """The windows in hours from noon, with how their system names them."""
        return [(w.external_id, _hours(w.starts_at), _hours(w.ends_at)) for w in await self.windows()]

    async def events(self) -> Sequence[Event]:
        return await self.store.read(lambda unit: unit.events(0, limit=200))

    async def topics(self, prefix: tuple[str, ...] = ("reservation.", "booking.")) -> list[str]:
        return [event.topic for event in await self.events() if event.topic.startswith(prefix)]


def _hours(at: datetime) -> int:
    return round((at - NOON).total_seconds() / 3600)


@asynccontextmanager
async def a_booked_lab(root: Path, url: str = "sqlite+aiosqlite:///:memory:") -> AsyncIterator[BookedLab]:
    time = FakeClock()
    store = await SqlStore.open(url, time)
    outbound, seal = PlainOutbound(), PlainSeal()
    bench = Workbench(
        site="lab",
        store=store,
        files=PlainFiles(root),
        workshop=NamedWorkshop(),
        clock=time,
        seal=seal,
        systems=systems(outbound, seal, time),
    )
    held: list[InlineWork] = []
    held.append(InlineWork(sources.poll_work(bench, lambda: held[0])))
    machine = a_machine()
    await store.write(lambda unit: unit.publish_tariff(tariff_a(), time.now()))
    await store.write(lambda unit: unit.put_machine(machine, {}, an_event("machine.added")))
    await store.write(lambda unit: unit.add_member(MANAGER))
    try:
        yield BookedLab(
            lab=Lab.on(bench, held[0]), store=store, clock=time, outbound=outbound, machine=machine
        )
    finally:
        await store.close()
