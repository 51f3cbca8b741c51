"""What the staff decides of the queue and of the house: agree to a supervised job, put one first, set the hours; and
what was asked in vain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from orchestrator.domain.calendar import Opening, SiteCalendar
from orchestrator.domain.errors import Conflict, Fault, Forbidden, Rejected
from orchestrator.domain.event import Event, Json
from orchestrator.domain.job import ENDED, Job, JobState, Priority
from orchestrator.domain.member import Member, Permission
from orchestrator.flow.act import may, may_operate, need_operator, own_job
from orchestrator.flow.deadline import check_deadline
from orchestrator.flow.lab import Lab
from orchestrator.flow.moves import actor_of
from orchestrator.ports import Demand, Unit

REPORT_DAYS_MAX = 400
OPENINGS_MAX = 100
HOLIDAYS_MAX = 400


async def approve(lab: Lab, who: Member, job_id: UUID) -> Job:
    """Somebody of the staff agrees to the job of a member who works under supervision."""
    need_operator(who)

    async def work(unit: Unit) -> Job:
        job = await own_job(unit, who, job_id)
        if job.approved_by is not None:
            return job
        _must_wait(job)
        return await unit.change_job(
            job, replace(job, approved_by=who.id), _event(lab, "job.approved", who, job, {})
        )

    return await lab.store.write(work)


async def prioritise(
    lab: Lab, who: Member, job_id: UUID, *, priority: Priority | None, deadline: datetime | None
) -> Job:
    """Another class, by the staff; another deadline, by the staff or, with notice, by whose job it is.

    Raises Forbidden, Conflict where the job does not wait any more, Rejected (`deadline.notice`, `deadline.past`).
    """

    async def work(unit: Unit) -> Job:
        job = await own_job(unit, who, job_id)
        if priority is not None and not may_operate(who):
            raise Forbidden("Only the lab's staff puts a job before others.")
        _must_wait(job)
        if deadline != job.deadline:  # one that stands is not asked again: it may have come near meanwhile
            check_deadline(lab, who, deadline)
        after = replace(job, priority=priority or job.priority, deadline=deadline)
        if after == job:
            return job
        data: dict[str, Json] = {
            "priority": after.priority.value,
            "deadline": deadline.isoformat() if deadline else None,
        }
        return await unit.change_job(job, after, _event(lab, "job.reprioritised", who, job, data))

    return await lab.store.write(work)


def _must_wait(job: Job) -> None:
    if job.state in ENDED or job.state is JobState.ACTIVE:
        raise Conflict(f"The job is {job.state.value}.", code="state")


def _event(lab: Lab, topic: str, who: Member, job: Job, data: dict[str, Json]) -> Event:
    return Event(
        topic=topic,
        at=lab.clock.now(),
        actor=actor_of(who),
        data=data,
        member_id=job.member_id,
        job_id=job.id,
    )


# --- the hours --------------------------------------------------------------------------------------


async def sites(lab: Lab) -> list[str]:
    """This one first, then those of the other machines by name."""
    machines = await lab.store.read(lambda unit: unit.machines())
    return [lab.site, *sorted({machine.site for machine in machines} - {lab.site})]


async def hours(lab: Lab, site: str) -> SiteCalendar:
    """A site's hours; none set is: always open."""
    known = await lab.store.read(lambda unit: unit.calendar(site))
    return known or SiteCalendar(site=site, zone=lab.time_zone, version=0)


async def set_hours(lab: Lab, who: Member, wanted: SiteCalendar, version: int | None = None) -> SiteCalendar:
    """Raises Forbidden, Rejected with every fault, Conflict where `version` is given and no longer the present one."""
    if not may(who, Permission.ADMIN):
        raise Forbidden("Only the lab's manager sets its hours.")
    faults = calendar_faults(wanted)
    if faults:
        raise Rejected("These hours cannot be.", code="fields", faults=faults)

    async def work(unit: Unit) -> SiteCalendar:
        known = await unit.calendar(wanted.site)
        present = known.version if known else 0
        if version is not None and version != present:
            raise Conflict("The hours have changed in the meantime.", code="changed")
        after = replace(wanted, version=present + 1)
        event = Event(
            topic="calendar.changed", at=lab.clock.now(), actor=actor_of(who), data={"site": wanted.site}
        )
        await unit.put_calendar(after, event)
        return after

    return await lab.store.write(work)


def calendar_faults(wanted: SiteCalendar) -> tuple[Fault, ...]:
    """One for each thing that no week has."""
    faults: list[Fault] = []
    try:
        ZoneInfo(wanted.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        faults.append(_wrong("calendar.zone", "zone", wanted.zone, "A name such as Europe/Paris."))
    if len(wanted.openings) > OPENINGS_MAX:
        faults.append(
            _wrong("field.length", "openings", str(len(wanted.openings)), f"At most {OPENINGS_MAX}.")
        )
    if len(wanted.holidays) > HOLIDAYS_MAX:
        faults.append(
            _wrong("field.length", "holidays", str(len(wanted.holidays)), f"At most {HOLIDAYS_MAX}.")
        )
    for place, opening in enumerate(wanted.openings):
        faults += _opening_faults(place, opening)
    return tuple(faults)


def _opening_faults(place: int, opening: Opening) -> list[Fault]:
    where, faults = f"openings.{place}", []
    if not 0 <= opening.weekday <= 6:
        faults.append(
            _wrong("field.range", f"{where}.weekday", str(opening.weekday), "0 for Monday to 6 for Sunday.")
        )
    if not 0 <= opening.from_minute < opening.to_minute <= 24 * 60:
        seen = f"{opening.from_minute} to {opening.to_minute}"
        remedy = "Minutes of the day, the end after the beginning; split what goes past midnight."
        faults.append(_wrong("calendar.order", where, seen, remedy))
    return faults


def _wrong(rule: str, where: str, seen: str, remedy: str) -> Fault:
    return Fault(rule=rule, where=where, seen=seen, remedy=remedy)


# --- what was asked in vain ---------------------------------------------------------------------------


async def demand(lab: Lab, who: Member, first: date, last: date) -> Sequence[Demand]:
    """Refusals by day, rule, machine class and public. Raises Forbidden, Rejected (`report.period`)."""
    if not may(who, Permission.ADMIN):
        raise Forbidden("Only the lab's manager reads reports.")
    if not timedelta() <= last - first <= timedelta(days=REPORT_DAYS_MAX):
        fault = _wrong(
            "report.period", "to", last.isoformat(), f"From one day to {REPORT_DAYS_MAX} days after `from`."
        )
        raise Rejected("This is no period.", code="report.period", faults=(fault,))
    return await lab.store.read(lambda unit: unit.demand(first.isoformat(), last.isoformat()))
