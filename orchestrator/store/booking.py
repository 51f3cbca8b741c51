"""Reservations and opening hours, what was asked in vain, and what the queue was told and became."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import bindparam, func, select, type_coerce

from orchestrator.domain.calendar import SiteCalendar
from orchestrator.domain.errors import Conflict
from orchestrator.domain.event import Event
from orchestrator.domain.job import Job, JobState
from orchestrator.domain.machine import Bed
from orchestrator.domain.member import Entitlement, Member
from orchestrator.domain.reservation import Reservation, ReservationState, held_by
from orchestrator.domain.run import RunState
from orchestrator.ports import Demand, Foretold, Spent
from orchestrator.store import booking_tables, tables
from orchestrator.store.codec import Shape
from orchestrator.store.columns import Instant
from orchestrator.store.people import ENTITLEMENT, ENTITLEMENTS_OF, MEMBER, MEMBERS_OF
from orchestrator.store.unit import columns_of
from orchestrator.store.work import Work, a_job, job_list

_RESERVATION, _CALENDAR, _FORETOLD = Shape(Reservation), Shape(SiteCalendar), Shape(Foretold)

_r = booking_tables.reservation.c
_reservations = select(*columns_of(booking_tables.reservation, _RESERVATION.names)).order_by(
    _r.starts_at, _r.created_at, _r.id
)
_RESERVATION_NAMED = _reservations.where(_r.system == bindparam("in"), _r.external_id == bindparam("named"))
_RESERVATION_BY_ID = _reservations.where(_r.id == bindparam("id"))
_IN_WINDOW = _reservations.where(_r.ends_at > bindparam("start"), _r.starts_at < bindparam("end"))
_HOLDING = _IN_WINDOW.where(_r.state == ReservationState.BOOKED.value)

_c = booking_tables.calendar.c
_CALENDAR_OF = select(*columns_of(booking_tables.calendar, _CALENDAR.names)).where(
    _c.site == bindparam("site")
)

_d = booking_tables.demand.c
_REFUSED = select(_d.day).where(
    _d.day == bindparam("on"),
    _d.subject == bindparam("of"),
    _d.rule == bindparam("by"),
    _d.machine_class == bindparam("class"),
)
_DEMAND = (
    select(_d.day, _d.rule, _d.machine_class, _d.public, func.count())
    .where(_d.day >= bindparam("first"), _d.day <= bindparam("last"))
    .group_by(_d.day, _d.rule, _d.machine_class, _d.public)
    .order_by(_d.day, _d.rule, _d.machine_class, _d.public)
)

_j, _run, _u = tables.job.c, tables.run.c, tables.usage.c
_QUEUED = (
    select(_j.id, _j.version)
    .where(_j.state == JobState.QUEUED.value)
    .order_by(_j.queued_at, _j.created_at, _j.id)
)
_JOBS_OF = job_list.where(_j.id.in_(bindparam("ids", expanding=True)))
_SPENT = (
    select(_j.member_id, _run.ended_at, _u.machine_seconds)
    .select_from(tables.usage.join(tables.run, _u.run_id == _run.id).join(tables.job, _run.job_id == _j.id))
    .where(_run.ended_at > bindparam("since"))
)
JOBS_AT_ONCE = 500  # ids in one statement

_f = booking_tables.foretold.c
_began = (
    select(func.min(_run.started_at)).where(_run.job_id == _f.job_id).correlate(booking_tables.foretold)
).scalar_subquery()
_ended = (
    select(func.max(_run.ended_at))
    .where(_run.job_id == _f.job_id, _run.state == RunState.FINISHED.value)
    .correlate(booking_tables.foretold)
).scalar_subquery()
_FORETOLD_NAMES = ("job_id", "at", "start_p50", "start_p90", "end_p50", "end_p90")
_LATEST_FORETOLD = (
    select(
        *columns_of(booking_tables.foretold, _FORETOLD_NAMES),
        type_coerce(_began, Instant()),
        type_coerce(_ended, Instant()),
    )
    .order_by(_f.at.desc(), _f.job_id)
    .limit(bindparam("count"))
)
_FORETOLD_OF = select(_f.job_id).where(_f.job_id == bindparam("of"))

_e = tables.event.c
_CLEARINGS = (
    select(_e.topic, _e.at, _e.machine_id, _e.data)
    .where(_e.topic.in_(("machine.bed_changed", "run.finished", "run.failed", "run.cancelled")))
    .order_by(_e.seq.desc())
    .limit(bindparam("count"))
)


class Bookings(Work):
    """The part of `orchestrator.ports.Unit` about reservations, hours, demand and forecasts."""

    async def reservation(self, system: str, external_id: str) -> Reservation | None:
        row = await self._first(_RESERVATION_NAMED, **{"in": system, "named": external_id})
        return None if row is None else _RESERVATION.value(row)

    async def reservation_by_id(self, reservation_id: UUID) -> Reservation | None:
        row = await self._first(_RESERVATION_BY_ID, id=reservation_id)
        return None if row is None else _RESERVATION.value(row)

    async def reservations(
        self, start: datetime, end: datetime, *, system: str | None = None, all_states: bool = False
    ) -> Sequence[Reservation]:
        """Those that touch [start, end), the earliest first; only those that hold, unless asked otherwise."""
        statement = _IN_WINDOW if all_states else _HOLDING
        if system is not None:
            statement = statement.where(_r.system == system)
        return [_RESERVATION.value(row) for row in await self._all(statement, start=start, end=end)]

    async def add_reservation(self, reservation: Reservation, event: Event) -> None:
        """Raises Conflict (`booked_by_other`) where another holds a machine of it at that time."""
        await self._refuse_overlap(reservation)
        await self._insert(booking_tables.reservation, _RESERVATION.row(reservation))
        self._log(event)

    async def change_reservation(self, before: Reservation, after: Reservation, event: Event) -> Reservation:
        """The reservation as it now is. Raises Conflict where it is no longer `before`, or another holds its place."""
        if after.holds and (not before.holds or before.window != after.window):
            await self._refuse_overlap(after)
        changes = _RESERVATION.changed(before, after)
        await self._change(booking_tables.reservation, before.id, before.version, changes, before.state.value)
        self._log(event)
        return replace(after, version=before.version + 1)

    async def _refuse_overlap(self, wanted: Reservation) -> None:
        """Whoever books is alone while they look and write: of two at once the second sees the first."""
        self._must_write()
        await self._take_turn()
        if not wanted.holds:
            return
        machines = [m for m in await self.machines() if wanted.covers(m)]
        others = [
            other
            for other in await self.reservations(wanted.starts_at, wanted.ends_at)
            if other.id != wanted.id and any(other.covers(machine) for machine in machines)
        ]
        if any((one.system, one.external_id) == (wanted.system, wanted.external_id) for one in others):
            raise Conflict("This reservation has been made already.", code="exists")
        if others:
            raise held_by(others)

    async def calendar(self, site: str) -> SiteCalendar | None:
        row = await self._first(_CALENDAR_OF, site=site)
        return None if row is None else _CALENDAR.value(row)

    async def put_calendar(self, calendar: SiteCalendar, event: Event) -> None:
        await self._put(booking_tables.calendar, _CALENDAR.row(calendar))
        self._log(event)

    async def count_refusal(
        self, day: str, subject: UUID, rule: str, machine_class: str, public: str
    ) -> None:
        """Once a day for a subject, a rule and a class, however often it was refused."""
        key = {"on": day, "of": subject, "by": rule, "class": machine_class}
        if await self._first(_REFUSED, **key) is None:
            row = {"day": day, "subject": subject, "rule": rule, "machine_class": machine_class}
            await self._put(booking_tables.demand, row | {"public": public})

    async def demand(self, first_day: str, last_day: str) -> Sequence[Demand]:
        """Both days included, as `2026-11-24`."""
        rows = await self._all(_DEMAND, first=first_day, last=last_day)
        names = ("day", "rule", "machine_class", "public", "refused")
        return [Demand(**dict(zip(names, row, strict=True))) for row in rows]

    # the queue, looked at

    async def queued(self) -> Sequence[tuple[UUID, int]]:
        """(id, version) of every queued job, the one that has waited longest first: what has not changed need not be
        read again."""
        return [(row.id, row.version) for row in await self._all(_QUEUED)]

    async def jobs_of(self, job_ids: Iterable[UUID]) -> Sequence[Job]:
        """Those jobs, in no order, as in lists."""
        ids = list(job_ids)
        found: list[Job] = []
        for first in range(0, len(ids), JOBS_AT_ONCE):
            rows = await self._all(_JOBS_OF, ids=ids[first : first + JOBS_AT_ONCE])
            found += [a_job(row) for row in rows]
        return found

    async def people_of(self, member_ids: Iterable[UUID]) -> Sequence[tuple[Member, tuple[Entitlement, ...]]]:
        """Those members, in no order, each with all that they may use."""
        ids = list(member_ids)
        held: dict[UUID, list[Entitlement]] = {}
        members: list[Member] = []
        for first in range(0, len(ids), JOBS_AT_ONCE):
            some = ids[first : first + JOBS_AT_ONCE]
            members += [MEMBER.value(row) for row in await self._all(MEMBERS_OF, ids=some)]
            for row in await self._all(ENTITLEMENTS_OF, ids=some):
                one = ENTITLEMENT.value(row)
                held.setdefault(one.member_id, []).append(one)
        return [(member, tuple(held.get(member.id, ()))) for member in members]

    async def spent_since(self, since: datetime) -> Sequence[Spent]:
        """Machine seconds by member and day of all runs that ended past `since`."""
        spent: dict[tuple[UUID, date], int] = {}
        for row in await self._all(_SPENT, since=since):
            key = (row.member_id, row.ended_at.date())
            spent[key] = spent.get(key, 0) + row.machine_seconds
        return [Spent(member_id=who, day=day, seconds=seconds) for (who, day), seconds in spent.items()]

    async def foretell(self, foretold: Foretold) -> None:
        """The first word counts: does nothing where the job has one."""
        if await self._first(_FORETOLD_OF, of=foretold.job_id) is None:
            row = _FORETOLD.row(foretold)
            await self._insert(booking_tables.foretold, {name: row[name] for name in _FORETOLD_NAMES})

    async def foretold(self, *, limit: int = 200) -> Sequence[Foretold]:
        """The latest first."""
        return [_FORETOLD.value(row) for row in await self._all(_LATEST_FORETOLD, count=limit)]

    async def clearings(self, *, limit: int = 1000) -> Sequence[tuple[datetime, datetime]]:
        """(end of a run, when its bed was cleared), the latest first, out of the last `limit` events of the kind."""
        cleared: dict[UUID, datetime] = {}
        found: list[tuple[datetime, datetime]] = []
        for row in await self._all(_CLEARINGS, count=limit):
            if row.machine_id is None:
                continue
            if row.topic != "machine.bed_changed":
                when = cleared.pop(row.machine_id, None)
                if when is not None:
                    found.append((row.at, when))
            elif row.data.get("to") == Bed.CLEAR.value:
                cleared[row.machine_id] = row.at
        return found
