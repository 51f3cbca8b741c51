"""When a machine is not free: reservations, the present run with its forecast end, maintenance, holds; merged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from orchestrator.domain.errors import NotFound
from orchestrator.domain.forecast import Instants
from orchestrator.domain.machine import Machine
from orchestrator.domain.reservation import Purpose, Reservation
from orchestrator.flow.booking import busy
from orchestrator.flow.lab import Lab
from orchestrator.ports import Unit

KINDS = {
    Purpose.BOOKING: "reserved",
    Purpose.EVENT: "event",
    Purpose.MAINTENANCE: "maintenance",
    Purpose.CLOSURE: "closure",
}


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """`ends_at` None: nobody can say. A run's end has a middle and a late one; a window's are the same."""

    kind: str  # `running`, `reserved`, `event`, `maintenance`, `closure`, `held`
    starts_at: datetime
    ends_at: Instants | None
    key: str  # the same for the same thing the next time
    changed_at: datetime
    reservation: Reservation | None = None


@dataclass(frozen=True, kw_only=True)
class Availability:
    machine: Machine
    start: datetime
    end: datetime
    taken: tuple[Stretch, ...]  # the earliest first


async def availability(lab: Lab, machine_id: UUID, start: datetime, end: datetime) -> Availability:
    """What touches [start, end). Raises NotFound."""
    now = lab.clock.now()

    async def work(unit: Unit) -> Availability:
        machine = await unit.machine(machine_id)
        if machine is None:
            raise NotFound("There is no such machine.")
        windows = await unit.reservations(start, end)
        taken = await taken_of(unit, machine, windows, start, end, now)
        return Availability(machine=machine, start=start, end=end, taken=taken)

    return await lab.store.read(work)


async def taken_of(
    unit: Unit,
    machine: Machine,
    windows: Sequence[Reservation],
    start: datetime,
    end: datetime,
    now: datetime,
) -> tuple[Stretch, ...]:
    """What touches [start, end) on a machine, the earliest first; `windows` may be those of all machines."""
    taken = [_reserved(one) for one in windows if one.covers(machine)]
    run = await _running(unit, machine, now)
    if run is not None and run.starts_at < end and (run.ends_at is None or run.ends_at.p90 > start):
        taken.append(run)
    if now < end:
        taken += _standing(machine, now)
    return tuple(sorted(taken, key=lambda one: (one.starts_at, one.kind)))


def _reserved(value: Reservation) -> Stretch:
    return Stretch(
        kind=KINDS[value.purpose],
        starts_at=value.starts_at,
        ends_at=Instants(p50=value.ends_at, p90=value.ends_at),
        key=f"reservation-{value.id}",
        changed_at=value.changed_at,
        reservation=value,
    )


async def _running(unit: Unit, machine: Machine, now: datetime) -> Stretch | None:
    found, run = await busy(unit, machine), await unit.active_run_at(machine.id)
    if found is None or run is None:
        return None
    left = found[1]
    return Stretch(
        kind="running",
        starts_at=run.started_at or run.claimed_at,
        ends_at=Instants(p50=now + timedelta(seconds=left.p50), p90=now + timedelta(seconds=left.p90)),
        key=f"run-{run.id}",
        changed_at=now,
    )


def _standing(machine: Machine, now: datetime) -> list[Stretch]:
    kinds = [kind for kind, on in (("maintenance", machine.maintenance), ("held", bool(machine.held))) if on]
    return [
        Stretch(kind=kind, starts_at=now, ends_at=None, key=f"{kind}-{machine.id}", changed_at=now)
        for kind in kinds
    ]
