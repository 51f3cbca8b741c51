"""What each machine is taken for in a stretch of time, for the staff: windows, the present run, and the jobs that wait
where the forecast puts them. Also the windows that the staff makes here, under the lab's own name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from orchestrator.domain.errors import Conflict, NotFound
from orchestrator.domain.forecast import Forecast
from orchestrator.domain.machine import Machine
from orchestrator.domain.member import Member
from orchestrator.domain.reservation import Reservation
from orchestrator.flow import booking
from orchestrator.flow.act import need_operator
from orchestrator.flow.availability import Stretch, taken_of
from orchestrator.flow.lab import Lab
from orchestrator.flow.sight import Outlook
from orchestrator.ports import Unit

OWN_SYSTEM = "etabli"
"""What windows are named by that were made on our own page."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """A job, as far as it is worth naming."""

    job_id: UUID
    file_name: str
    member_name: str


@dataclass(frozen=True, kw_only=True)
class Expected:
    """A job that waits, where and when it would be made."""

    work: Work
    forecast: Forecast


@dataclass(frozen=True, kw_only=True)
class Lane:
    machine: Machine
    taken: tuple[Stretch, ...]  # the earliest first
    running: Work | None  # what the run among `taken` makes
    expected: tuple[Expected, ...]  # the earliest first


@dataclass(frozen=True, kw_only=True)
class Plan:
    start: datetime
    end: datetime
    lanes: tuple[Lane, ...]
    windows: tuple[Reservation, ...]  # all of them, the earliest first
    names: Mapping[UUID, str]  # of the members and organisations whose they are


async def planned(lab: Lab, who: Member, start: datetime, end: datetime) -> Plan:
    need_operator(who)
    now = lab.clock.now()

    async def work(unit: Unit) -> Plan:
        windows = await unit.reservations(start, end)
        outlook = await lab.sight.outlook(unit, lab.moment)
        expected = await _expected(unit, outlook, start, end)
        lanes: list[Lane] = []
        for machine in await unit.machines():
            run = await unit.active_run_at(machine.id)
            lanes.append(
                Lane(
                    machine=machine,
                    taken=await taken_of(unit, machine, windows, start, end, now),
                    running=await _work(unit, run.job_id) if run else None,
                    expected=expected.get(machine.id, ()),
                )
            )
        names = await _names(unit, windows)
        return Plan(start=start, end=end, lanes=tuple(lanes), windows=tuple(windows), names=names)

    return await lab.store.read(work)


async def _expected(
    unit: Unit, outlook: Outlook, start: datetime, end: datetime
) -> Mapping[UUID, tuple[Expected, ...]]:
    """By machine, those of the queue that would be at work in that time."""
    found: dict[UUID, list[Expected]] = {}
    for job_id, forecast in outlook.forecasts.items():
        inside = forecast.start.p50 < end and forecast.end.p50 > start
        if inside and forecast.machine_id is not None and (work := await _work(unit, job_id)):
            found.setdefault(forecast.machine_id, []).append(Expected(work=work, forecast=forecast))
    return {key: tuple(sorted(some, key=lambda one: one.forecast.start.p50)) for key, some in found.items()}


async def _work(unit: Unit, job_id: UUID) -> Work | None:
    job = await unit.job(job_id)
    file = await unit.file(job.file_id) if job else None
    member = await unit.member(job.member_id) if job else None
    return Work(job_id=job_id, file_name=file.name, member_name=member.name) if file and member else None


async def _names(unit: Unit, windows: Iterable[Reservation]) -> Mapping[UUID, str]:
    names: dict[UUID, str] = {}
    for window in windows:
        member = await unit.member(window.member_id) if window.member_id else None
        house = await unit.organisation(window.organisation_id) if window.organisation_id else None
        names |= {one.id: one.name for one in (member, house) if one is not None}
    return names


async def machines(lab: Lab) -> Sequence[Machine]:
    return await lab.store.read(lambda unit: unit.machines())


async def keep(
    lab: Lab, who: Member, name: str, wanted: booking.Wanted, *, despite_runs: bool
) -> Reservation:
    """A window of the staff's own; the same name twice is once. Raises as `booking.book`."""
    need_operator(who)
    made, _new = await booking.book(lab, who, OWN_SYSTEM, name, wanted, despite_runs=despite_runs)
    return made


async def give_back(lab: Lab, who: Member, reservation_id: UUID) -> Reservation:
    """Cancel a window of the staff's own. What a booking system made is cancelled there: Conflict."""
    need_operator(who)
    found = await lab.store.read(lambda unit: unit.reservation_by_id(reservation_id))
    if found is None:
        raise NotFound("There is no such reservation.")
    if found.system != OWN_SYSTEM:
        raise Conflict(f"{found.system} made it and would make it again.", code="reservation.foreign")
    return await booking.cancel(lab, who, found.system, found.external_id)
