"""A small lab for tests of the flow: the true flow and store, simulated machines, a clock in the test's hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from drivers.simulated.driver import SimulatedDriver
from drivers.simulated.world import Settings, SimulatedMachine
from orchestrator.bookings.registry import systems
from orchestrator.domain import ledger
from orchestrator.domain.event import Event, Json
from orchestrator.domain.file import File
from orchestrator.domain.job import Job
from orchestrator.domain.machine import Abilities, Bed, Kind, Link, Machine
from orchestrator.domain.member import Entitlement, Member, Role
from orchestrator.domain.presence import ReleasePolicy
from orchestrator.domain.process import CutProcess, Material, Process
from orchestrator.domain.tariff import tariff_a
from orchestrator.domain.units import Money
from orchestrator.flow.fleet import Fleet
from orchestrator.flow.lab import Lab, Limits, Workbench
from orchestrator.flow.prepare import prepare_work
from orchestrator.flow.submit import accept, analyse_work, quote, upload
from orchestrator.outbound import LOOPBACK, OutboundHttp
from orchestrator.ports import Accident, Driver, Unit, Workshop
from orchestrator.sealed import KEY_BYTES, AesSeal
from orchestrator.store.sql import SqlStore
from orchestrator.work.inline import InlineWork
from tests.builders import a_machine, a_member, an_event
from tests.fakes.clock import FakeClock
from tests.fakes.files import PlainFiles
from tests.fakes.outside import PlainOutbound
from tests.flow.workshop import NamedWorkshop

START_CENTS = 100_000
TECH = a_member(role=Role.TECH, name="Alex")


def no_accident(_point: str) -> None:
    """Nothing happens."""


@dataclass
class Home:
    """The lab, its people and the physical truth of its machines."""

    lab: Lab
    clock: FakeClock
    store: SqlStore
    tech: Member
    worlds: dict[UUID, SimulatedMachine] = field(default_factory=dict)
    accident: Accident = no_accident
    _fleet: asyncio.Task[None] | None = None

    async def member(self, cents: int = START_CENTS) -> Member:
        """A trained member with money."""
        member = a_member()

        async def work(unit: Unit) -> None:
            await unit.add_member(member)
            await unit.put_entitlement(Entitlement(member_id=member.id, machine_class="fdm"))
            await unit.post(
                ledger.top_up(member.account_id, Money(cents), str(uuid4())), self.clock.now(), an_event()
            )

        await self.store.write(work)
        return member

    async def machine(self, name: str, bed: Bed = Bed.CLEAR) -> Machine:
        """A simulated printer, not yet seen by any driver."""
        machine = a_machine(
            name=name,
            bed=bed,
            link=Link.OFFLINE,
            abilities=Abilities(size_mm=(250, 210, 210), profile="mk3s", materials=tuple(Material)),
        )
        added = Event(topic="machine.added", at=self.clock.now(), actor="system", machine_id=machine.id)
        await self.store.write(lambda unit: unit.put_machine(machine, {}, added))
        self.worlds[machine.id] = SimulatedMachine(Settings(identity=name, reading_seconds=240), self.clock)
        return machine

    async def laser(
        self, name: str = "Foucault", policy: ReleasePolicy = ReleasePolicy.KIOSK_START, **world: Any
    ) -> Machine:
        """A simulated laser, with a lid and an extractor that must be good."""
        machine = a_machine(
            name=name,
            kind=Kind.LASER,
            machine_class="laser",
            link=Link.OFFLINE,
            material=None,
            abilities=Abilities(
                size_mm=(600, 400, 0),
                profile="co2-6040-grbl",
                materials=(),
                attended=True,
                release=policy,
                conditions=("lid", "extractor"),
            ),
        )
        added = Event(topic="machine.added", at=self.clock.now(), actor="system", machine_id=machine.id)
        await self.store.write(lambda unit: unit.put_machine(machine, {}, added))
        settings = Settings(
            identity=name,
            kind=Kind.LASER,
            panel=policy is ReleasePolicy.PHYSICAL_START,
            **world,
        )
        self.worlds[machine.id] = SimulatedMachine(settings, self.clock)
        return machine

    async def train(self, member: Member, machine_class: str = "laser") -> None:
        entitlement = Entitlement(member_id=member.id, machine_class=machine_class)
        await self.store.write(lambda unit: unit.put_entitlement(entitlement))

    async def cut(self, member: Member, name: str = "box-600s-.svg") -> Job:
        """A drawing uploaded, quoted, accepted and prepared."""
        file = await self.file(member, name)
        wish = await quote(
            self.lab, member, file_id=file.id, process=CutProcess(), quantity=1, machine_class=None
        )
        job, _created = await accept(self.lab, member, wish.id)
        return await self.now(job)

    async def file(self, member: Member, name: str) -> File:
        async def content() -> AsyncIterator[bytes]:
            yield name.encode()

        return await upload(self.lab, member, name, content())

    async def job(self, member: Member, name: str = "part-600s-5000mg.stl", quantity: int = 1) -> Job:
        """Uploaded, quoted, accepted; prepared by the time this returns."""
        file = await self.file(member, name)
        wish = await quote(
            self.lab, member, file_id=file.id, process=Process(), quantity=quantity, machine_class=None
        )
        job, _created = await accept(self.lab, member, wish.id)
        return await self.now(job)

    async def now(self, job: Job) -> Job:
        found = await self.store.read(lambda unit: unit.job(job.id))
        assert found is not None
        return found

    # --- the fleet process -------------------------------------------------------------------------

    async def open(self) -> None:
        """Start the fleet process, and let it see its machines."""
        fleet = Fleet(self.lab, self._driver, self.accident)
        self._fleet = asyncio.get_running_loop().create_task(fleet.run())
        await self.clock.advance(3)

    async def die(self) -> None:
        """The fleet process is gone between two instructions; machines and database are not."""
        if self._fleet is not None:
            self._fleet.cancel()
            await asyncio.gather(self._fleet, return_exceptions=True)
            self._fleet = None

    @property
    def alive(self) -> bool:
        """Raises what the fleet process died of, where it did."""
        if self._fleet is not None and self._fleet.done():
            self._fleet.result()
        return self._fleet is not None

    def _driver(self, machine: Machine, _connection: Mapping[str, Json]) -> Driver:
        return SimulatedDriver({}, self.clock, machine=self.worlds[machine.id])


@asynccontextmanager
async def a_home(
    tmp_path: Path, limits: Limits | None = None, workshop: Workshop | None = None
) -> AsyncIterator[Home]:
    """An empty lab with a tariff and a technician; its database is in memory."""
    clock, outbound = FakeClock(), OutboundHttp(LOOPBACK)
    store = await SqlStore.open("sqlite+aiosqlite:///:memory:", clock)
    seal = AesSeal(b"k" * KEY_BYTES)
    bench = Workbench(
        site="lab",
        store=store,
        files=PlainFiles(tmp_path),
        workshop=workshop or NamedWorkshop(),
        clock=clock,
        limits=limits or Limits(),
        outbound=outbound,
        seal=seal,
        systems=systems(PlainOutbound(), seal, clock),
    )
    lab = Lab.on(bench, InlineWork((analyse_work(bench), prepare_work(bench))))
    await store.write(lambda unit: unit.publish_tariff(tariff_a(), clock.now()))
    await store.write(lambda unit: unit.add_member(TECH))
    home = Home(lab=lab, clock=clock, store=store, tech=TECH)
    try:
        yield home
    finally:
        await home.die()
        await outbound.close()
        await store.close()
