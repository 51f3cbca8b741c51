"""Values for tests: each whole and sensible, each part replaceable by keyword. No database, no clock.

`a_job(quantity=2)` is a job like any other, but for what the test is about. `at_home` stores the people, the file, the
tariff and the machine that a job needs to refer to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from orchestrator.domain import ledger
from orchestrator.domain.event import SYSTEM, Event
from orchestrator.domain.file import Analysis, File, FileKind
from orchestrator.domain.job import Artifact, Job, JobState
from orchestrator.domain.machine import Abilities, Bed, Kind, Link, Machine
from orchestrator.domain.member import Member, Role
from orchestrator.domain.process import Material, Process
from orchestrator.domain.quote import Estimate, EstimateSource, Quote, Spread, priced
from orchestrator.domain.reservation import Purpose, Reservation
from orchestrator.domain.run import Run, RunState, run_token
from orchestrator.domain.tariff import Tariff, tariff_a
from orchestrator.domain.units import Money
from orchestrator.domain.usage import Source, Usage
from orchestrator.ports import Store, Unit

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def a_member(**other: Any) -> Member:
    member_id = other.pop("id", None) or uuid4()
    values: dict[str, Any] = {
        "email": f"{member_id.hex[:8]}@example.org",
        "name": "Camille",
        "role": Role.MEMBER,
        "account_id": uuid4(),
        "password_hash": "",
    }
    return Member(id=member_id, **(values | other))


def an_analysis(**other: Any) -> Analysis:
    values: dict[str, Any] = {
        "kind": FileKind.STL,
        "triangles": 12,
        "size_mm": (20.0, 20.0, 20.0),
        "volume_mm3": 8000.0,
        "area_mm2": 2400.0,
        "watertight": True,
        "bodies": 1,
    }
    return Analysis(**(values | other))


def a_file(**other: Any) -> File:
    values: dict[str, Any] = {
        "id": uuid4(),
        "owner_id": uuid4(),
        "sha256": uuid4().hex * 2,
        "name": "cube.stl",
        "size_bytes": 684,
        "created_at": NOON,
        "analysis": an_analysis(),
    }
    return File(**(values | other))


def an_estimate(**other: Any) -> Estimate:
    values: dict[str, Any] = {
        "source": EstimateSource.MESH,
        "print_seconds": Spread(p50=3600, p90=4500),
        "filament_milligrams": Spread(p50=20_000, p90=23_000),
    }
    return Estimate(**(values | other))


def a_quote(tariff: Tariff | None = None, **other: Any) -> Quote:
    """Priced under Tariff A, unless another is given."""
    tariff = tariff or tariff_a()
    estimate = other.get("estimate") or an_estimate()
    lines, total, hold = priced(estimate, tariff)
    values: dict[str, Any] = {
        "id": uuid4(),
        "member_id": uuid4(),
        "file_id": uuid4(),
        "process": Process(),
        "quantity": 1,
        "machine_class": None,
        "profile": "mk3s",
        "tariff_version": tariff.version,
        "estimate": estimate,
        "lines": lines,
        "total": total,
        "hold": hold,
        "created_at": NOON,
        "valid_until": NOON + timedelta(days=30),
    }
    return Quote(**(values | other))


def an_artifact(**other: Any) -> Artifact:
    values: dict[str, Any] = {
        "sha256": uuid4().hex * 2,
        "size_bytes": 100_000,
        "profile": "mk3s",
        "material": Material.PLA.value,
        "print_seconds": 3600,
        "filament_milligrams": 20_000,
        "filament_micrometres": 6_700_000,
        "curve": ((0, 0), (50_000, 3_000_000), (100_000, 6_700_000)),
        "slicer": "PrusaSlicer 2.5.0",
        "size_mm": (20, 20, 20),
    }
    return Artifact(**(values | other))


def a_job(**other: Any) -> Job:
    """Queued, with its artifact, unless said otherwise."""
    values: dict[str, Any] = {
        "id": uuid4(),
        "member_id": uuid4(),
        "account_id": uuid4(),
        "quote_id": uuid4(),
        "file_id": uuid4(),
        "process": Process(),
        "quantity": 1,
        "machine_class": None,
        "state": JobState.QUEUED,
        "version": 1,
        "created_at": NOON,
        "queued_at": NOON,
        "artifact": an_artifact(),
    }
    return Job(**(values | other))


def a_run(**other: Any) -> Run:
    run_id = other.pop("id", None) or uuid4()
    values: dict[str, Any] = {
        "job_id": uuid4(),
        "machine_id": uuid4(),
        "token": run_token(run_id),
        "state": RunState.CLAIMED,
        "version": 1,
        "claimed_at": NOON,
    }
    return Run(id=run_id, **(values | other))


def a_usage(**other: Any) -> Usage:
    values: dict[str, Any] = {
        "machine_seconds": 3500,
        "filament_milligrams": 19_500,
        "seconds_source": Source.MACHINE,
        "filament_source": Source.CURVE,
    }
    return Usage(**(values | other))


def a_machine(**other: Any) -> Machine:
    """An online printer with a clear bed, PLA loaded."""
    values: dict[str, Any] = {
        "id": uuid4(),
        "site": "lab",
        "name": "Ada",
        "kind": Kind.PRINTER,
        "machine_class": "fdm",
        "driver": "simulated",
        "abilities": Abilities(size_mm=(250, 210, 210), profile="mk3s"),
        "material": Material.PLA,
        "version": 1,
        "link": Link.ONLINE,
        "bed": Bed.CLEAR,
        "seen_at": NOON,
    }
    return Machine(**(values | other))


def an_event(topic: str = "test.happened", **other: Any) -> Event:
    values: dict[str, Any] = {"at": NOON, "actor": SYSTEM}
    return Event(topic=topic, **(values | other))


@dataclass(frozen=True, kw_only=True)
class Home:
    """What stands in a store before the first job: a member with credit, their file, the tariff, a machine."""

    store: Store
    member: Member
    file: File
    tariff: Tariff
    machine: Machine
    connection: Mapping[str, Any] = field(default_factory=dict)

    def quote(self, **other: Any) -> Quote:
        return a_quote(self.tariff, **({"member_id": self.member.id, "file_id": self.file.id} | other))

    async def job(self, **other: Any) -> Job:
        """A stored job under a stored quote of its own."""
        quote = self.quote(id=other.get("quote_id") or uuid4())
        job = a_job(
            **(
                {
                    "member_id": self.member.id,
                    "account_id": self.member.account_id,
                    "file_id": self.file.id,
                    "quote_id": quote.id,
                }
                | other
            )
        )

        async def work(unit: Unit) -> None:
            await unit.add_quote(quote)
            await unit.add_job(job, an_event("job.queued", job_id=job.id, member_id=job.member_id))

        await self.store.write(work)
        return job

    async def run(self, job: Job, **other: Any) -> Run:
        """A stored run of that job on this home's machine."""
        run = a_run(**({"job_id": job.id, "machine_id": self.machine.id} | other))
        await self.store.write(lambda unit: unit.add_run(run, an_event("run.claimed", run_id=run.id)))
        return run

    async def another_machine(self, **other: Any) -> Machine:
        machine = a_machine(**({"name": "Grace"} | other))
        await self.store.write(lambda unit: unit.put_machine(machine, {}, an_event("machine.added")))
        return machine


async def at_home(store: Store, *, credit_cents: int = 0, account_id: UUID | None = None) -> Home:
    """Store a member (with `credit_cents` topped up), a file of theirs, Tariff A and a machine."""
    member = a_member(account_id=account_id or uuid4())
    home = Home(
        store=store, member=member, file=a_file(owner_id=member.id), tariff=tariff_a(), machine=a_machine()
    )

    async def work(unit: Unit) -> None:
        await unit.add_member(member)
        await unit.add_file(home.file)
        if await unit.tariff(home.tariff.version) is None:
            await unit.publish_tariff(home.tariff, NOON)
        await unit.put_machine(home.machine, {"address": "127.0.0.1"}, an_event("machine.added"))
        if credit_cents:
            entry = ledger.top_up(member.account_id, Money(credit_cents), f"test-{member.id}")
            await unit.post(entry, NOON, an_event("account.topped_up"))

    await store.write(work)
    return home


def a_window(in_minutes: int, minutes: int = 60, member_id: UUID | None = None) -> Reservation:
    """Held for somebody, on every machine of the site."""
    starts_at = NOON + timedelta(minutes=in_minutes)
    return Reservation(
        id=uuid4(),
        system="test",
        external_id="1",
        site="lab",
        machine_id=None,
        machine_class=None,
        purpose=Purpose.BOOKING,
        starts_at=starts_at,
        ends_at=starts_at + timedelta(minutes=minutes),
        created_at=NOON,
        changed_at=NOON,
        member_id=member_id or uuid4(),
    )
