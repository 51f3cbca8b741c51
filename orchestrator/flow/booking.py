"""Reservations: made, moved and cancelled by booking systems and staff; used, or missed and released."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from orchestrator.domain.errors import Conflict, Fault, Forbidden, NotFound, Rejected
from orchestrator.domain.event import SYSTEM, Event, Json
from orchestrator.domain.job import Job
from orchestrator.domain.machine import Machine
from orchestrator.domain.member import Member, Permission
from orchestrator.domain.quote import Spread
from orchestrator.domain.reservation import Purpose, Reservation, ReservationState, held_by
from orchestrator.flow.act import may
from orchestrator.flow.known import known
from orchestrator.flow.lab import Lab
from orchestrator.flow.moves import RACES, actor_of, anything, settled
from orchestrator.flow.sight import busy_for
from orchestrator.ports import Unit

LONGEST = timedelta(days=31)
FURTHEST = timedelta(days=731)
PAGE_MAX = 200
ALWAYS = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
LOOK_BACK = timedelta(days=2)  # windows that were over before anybody looked are released all the same


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a reservation is to be."""

    starts_at: datetime
    ends_at: datetime
    purpose: Purpose = Purpose.BOOKING
    machine_id: UUID | None = None
    machine_class: str | None = None
    site: str | None = None  # None: the lab's own
    member_id: UUID | None = None
    organisation_id: UUID | None = None
    note: str = ""


async def book(
    lab: Lab,
    who: Member,
    system: str,
    external_id: str,
    wanted: Wanted,
    *,
    despite_runs: bool = False,
    seen: Callable[[Reservation | None], None] = anything,
) -> tuple[Reservation, bool]:
    """Make a reservation, or let one of that name be as wanted now; the same twice is once. True: it is new.

    A booking of a class is given the first of its machines that is free then. Raises Rejected with every fault,
    NotFound, and Conflict where another holds the place (`booked_by_other`) or, unless `despite_runs`, where a run may
    not be over by then (`conflict`): it is never killed.
    """
    _need_booker(who)

    async def work(unit: Unit) -> tuple[Reservation, bool]:
        present = await unit.reservation(system, external_id)
        seen(present)
        _check(lab, wanted, new=present is None)
        place = await _placed(lab, unit, wanted, present)
        at = lab.clock.now()
        after = _made(lab, system, external_id, wanted, place, at, present)
        if present is not None and _said_before(present, after):
            return present, False
        if _holds_more(present, after):
            await _meet_runs(unit, lab, after, who, despite_runs=despite_runs)
        if present is None:
            await unit.add_reservation(after, _event("reservation.booked", after, at, who))
            return after, True
        moved = replace(after, changed_at=at)
        topic = "reservation.moved" if present.holds else "reservation.booked"
        return await unit.change_reservation(present, moved, _event(topic, moved, at, who)), False

    by_class = wanted.machine_id is None and wanted.machine_class is not None
    return await settled(lab, work, over=RACES | ({"booked_by_other"} if by_class else frozenset()))


def _said_before(present: Reservation, after: Reservation) -> bool:
    """A polled system says the same for ever: that does not hold again what was released because nobody came. What
    was cancelled was taken back, so saying it again is a new word."""
    if present.state is ReservationState.RELEASED:
        return replace(after, state=present.state) == present
    return after == present


def _holds_more(present: Reservation | None, after: Reservation) -> bool:
    """It crosses no run that it did not cross before where it only ends otherwise, or says otherwise whose it is."""
    return present is None or not present.holds or present.window[:4] != after.window[:4]


async def cancel(
    lab: Lab,
    who: Member,
    system: str,
    external_id: str,
    *,
    seen: Callable[[Reservation | None], None] = anything,
) -> Reservation:
    """The window is everybody's again. Cancelling twice is cancelling once. Raises NotFound."""
    _need_booker(who)

    async def work(unit: Unit) -> Reservation:
        present = await unit.reservation(system, external_id)
        if present is None:
            raise NotFound("There is no such reservation.")
        seen(present)
        if present.state is ReservationState.CANCELLED:
            return present
        at = lab.clock.now()
        after = replace(present, state=ReservationState.CANCELLED, changed_at=at)
        return await unit.change_reservation(present, after, _event("reservation.cancelled", after, at, who))

    return await settled(lab, work)


async def forget(lab: Lab, unit: Unit, who: Member, member: Member) -> None:
    """Of somebody who is erased: notes may name them, and nobody will come to what is booked."""
    at = lab.clock.now()
    for one in await unit.reservations(*ALWAYS, all_states=True):
        if one.member_id != member.id:
            continue
        coming = one.holds and one.ends_at > at
        state = ReservationState.CANCELLED if coming else one.state
        after = replace(one, note="", state=state, changed_at=at)
        topic = "reservation.cancelled" if coming else "reservation.moved"
        await unit.change_reservation(one, after, _event(topic, after, at, who))


async def find(lab: Lab, who: Member, system: str, external_id: str) -> Reservation:
    _need_booker(who)
    found = await lab.store.read(lambda unit: unit.reservation(system, external_id))
    if found is None:
        raise NotFound("There is no such reservation.")
    return found


def _need_booker(who: Member) -> None:
    if not (may(who, Permission.BOOK) or may(who, Permission.OPERATE)):
        raise Forbidden("Only booking systems and the lab's staff reserve machines.")


# --- what can be ------------------------------------------------------------------------------------


def _check(lab: Lab, wanted: Wanted, *, new: bool) -> None:
    now, faults = lab.clock.now(), []
    if wanted.ends_at <= wanted.starts_at:
        faults.append(_fault("reservation.order", "ends_at", wanted.ends_at, "End it after it starts."))
    elif wanted.ends_at - wanted.starts_at > LONGEST:
        remedy = f"At most {LONGEST.days} days; make several."
        faults.append(_fault("reservation.length", "ends_at", wanted.ends_at, remedy))
    if wanted.starts_at > now + FURTHEST:
        faults.append(_fault("reservation.far", "starts_at", wanted.starts_at, "At most two years ahead."))
    if new and wanted.ends_at <= now:
        faults.append(_fault("reservation.past", "ends_at", wanted.ends_at, "It must end after now."))
    if faults:
        raise Rejected("This window cannot be.", code="fields", faults=tuple(faults))


_TEXTS = {
    "reservation.order": ("It ends before it starts.", "Elle se termine avant de commencer."),
    "reservation.length": ("It is too long.", "Elle est trop longue."),
    "reservation.far": ("It is too far ahead.", "Elle est trop lointaine."),
    "reservation.past": ("It is over already.", "Elle est déjà passée."),
}


def _fault(rule: str, where: str, seen: datetime, remedy: str) -> Fault:
    en, fr = _TEXTS[rule]
    return Fault(rule=rule, where=where, seen=seen.isoformat(), remedy=remedy, texts={"en": en, "fr": fr})


def window_fault(ends_at: datetime, days: int) -> Fault:
    """Of a window somebody wants to look at."""
    return Fault(
        rule="reservation.order",
        where="to",
        seen=ends_at.isoformat(),
        remedy=f"After `from`, by {days} days at most.",
    )


@dataclass(frozen=True, kw_only=True)
class _Place:
    site: str
    machine_id: UUID | None
    machine_class: str | None


async def _placed(lab: Lab, unit: Unit, wanted: Wanted, present: Reservation | None) -> _Place:
    """Which machine, class or site it is about; a booking by class gets one machine."""
    if wanted.machine_id is not None:
        machine = await unit.machine(wanted.machine_id)
        if machine is None:
            raise NotFound("There is no such machine.")
        return _Place(site=machine.site, machine_id=machine.id, machine_class=None)
    site = wanted.site or lab.site
    machines = [m for m in await unit.machines(site) if wanted.machine_class in {None, m.machine_class}]
    if not machines:
        raise NotFound("The lab has no such machine.")
    if wanted.machine_class is None or wanted.purpose is not Purpose.BOOKING:
        return _Place(site=site, machine_id=None, machine_class=wanted.machine_class)
    free = await _first_free(unit, machines, wanted, present)
    return _Place(site=site, machine_id=free.id, machine_class=wanted.machine_class)


async def _first_free(
    unit: Unit, machines: Sequence[Machine], wanted: Wanted, present: Reservation | None
) -> Machine:
    """By name; the one it has already, if that can stay."""
    taken = [
        other
        for other in await unit.reservations(wanted.starts_at, wanted.ends_at)
        if (present is None or other.id != present.id) and any(other.covers(m) for m in machines)
    ]
    free = [m for m in machines if not any(other.covers(m) for other in taken)]
    if not free:
        raise held_by(taken)
    mine = [m for m in free if present is not None and m.id == present.machine_id]
    return (mine or free)[0]


def _made(
    lab: Lab,
    system: str,
    external_id: str,
    wanted: Wanted,
    place: _Place,
    at: datetime,
    present: Reservation | None,
) -> Reservation:
    """As it will be; equal to `present` where nothing about it changes."""
    return Reservation(
        id=present.id if present else uuid4(),
        system=system,
        external_id=external_id,
        site=place.site,
        machine_id=place.machine_id,
        machine_class=place.machine_class,
        purpose=wanted.purpose,
        starts_at=wanted.starts_at,
        ends_at=wanted.ends_at,
        created_at=present.created_at if present else at,
        changed_at=present.changed_at if present else at,
        member_id=wanted.member_id,
        organisation_id=wanted.organisation_id,
        used_at=_came(present, wanted),
        note=wanted.note,
        version=present.version if present else 1,
    )


def _came(present: Reservation | None, wanted: Wanted) -> datetime | None:
    """Who came, came to this window: moved away from that, or made anew, it waits for them again."""
    at = present.used_at if present and present.holds else None
    return at if at is not None and wanted.starts_at <= at < wanted.ends_at else None


# --- runs that may be in the way --------------------------------------------------------------------


async def busy(unit: Unit, machine: Machine) -> tuple[Job, Spread] | None:
    """The job on a machine and the seconds it still takes; None: none."""
    run = await unit.active_run_at(machine.id)
    job = await unit.job(run.job_id) if run else None
    if run is None or job is None:
        return None
    return job, busy_for(run, job, await known(unit))


async def _meet_runs(unit: Unit, lab: Lab, wanted: Reservation, who: Member, *, despite_runs: bool) -> None:
    now, late = lab.clock.now(), []
    for machine in await unit.machines(wanted.site):
        if not wanted.covers(machine) or not wanted.holds:
            continue
        found = await busy(unit, machine) if wanted.ends_at > now else None
        if found is None or await _their_own(unit, wanted, found[0]):
            continue
        if now + timedelta(seconds=found[1].p90) > wanted.starts_at:
            late.append((found[0], machine, now + timedelta(seconds=found[1].p90)))
    if late and not despite_runs:
        faults = tuple(
            Fault(
                rule="conflict",
                where="starts_at",
                seen=f"job {job.id} on {machine.name} until {ends.isoformat()}",
                remedy="Start later, or send `despite_runs`: the run is never stopped.",
                texts={
                    "en": "A job on the machine may not be done by then.",
                    "fr": "Un travail en cours sur la machine ne sera peut-être pas fini.",
                },
            )
            for job, machine, ends in late
        )
        raise Conflict("A job on the machine may not be done by then.", code="conflict", faults=faults)
    for job, machine, ends in late:
        data: dict[str, Json] = {"job_id": str(job.id), "until": ends.isoformat()}
        event = _event("booking.conflict", wanted, now, who, data)
        await unit.emit(replace(event, machine_id=machine.id))


async def _their_own(unit: Unit, wanted: Reservation, job: Job) -> bool:
    member = await unit.member(job.member_id)
    return member is not None and wanted.is_for(member)


# --- used, or missed ----------------------------------------------------------------------------------


async def mark_used(unit: Unit, member: Member, machine: Machine, at: datetime) -> None:
    """A job of whose window it is was given the machine: they came."""
    for window in await unit.reservations(at, at + timedelta(seconds=1)):
        if window.used_at is None and window.covers(machine) and window.is_for(member):
            after = replace(window, used_at=at)
            await unit.change_reservation(window, after, _event("reservation.used", after, at))


async def release_missed(lab: Lab) -> int:
    """Windows whose holder did not come are everybody's again; returns how many."""
    now, no_show = lab.clock.now(), timedelta(minutes=lab.policy.no_show_minutes)

    async def missed(unit: Unit) -> Sequence[Reservation]:
        present = await unit.reservations(now - LOOK_BACK, now + timedelta(seconds=1))
        return [one for one in present if one.missed(now, no_show)]

    async def release(unit: Unit) -> int:
        gone = await missed(unit)
        for window in gone:
            after = replace(window, state=ReservationState.RELEASED, changed_at=now)
            await unit.change_reservation(window, after, _event("reservation.released", after, now))
        return len(gone)

    if not await lab.store.read(missed):
        return 0
    return await lab.store.write(release)


def _event(
    topic: str,
    value: Reservation,
    at: datetime,
    who: Member | None = None,
    data: dict[str, Json] | None = None,
) -> Event:
    told: dict[str, Json] = {
        "reservation_id": str(value.id),
        "system": value.system,
        "external_id": value.external_id,
        "purpose": value.purpose.value,
        "machine_class": value.machine_class,
        "starts_at": value.starts_at.isoformat(),
        "ends_at": value.ends_at.isoformat(),
    }
    return Event(
        topic=topic,
        at=at,
        actor=actor_of(who) if who else SYSTEM,
        data=told | (data or {}),
        member_id=value.member_id,
        machine_id=value.machine_id,
    )
