"""What must change here so that our windows are those of another system: freed, moved, booked, or in conflict.

The first wins: a window that another reservation holds is refused, and kept as a cancelled one, so that the conflict is
told once and the window booked as soon as its place is free. Steps are in an order in which each finds its place free.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID, uuid4

from orchestrator.domain.machine import Machine
from orchestrator.domain.reservation import Purpose, Reservation, ReservationState

BOOKED, MOVED, CANCELLED = "reservation.booked", "reservation.moved", "reservation.cancelled"
CONFLICT = "booking.conflict"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A window of another system, in our terms."""

    external_id: str
    site: str
    machine_id: UUID | None
    machine_class: str | None
    purpose: Purpose
    starts_at: datetime
    ends_at: datetime
    member_id: UUID | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Step:
    """`before` is None for a new one. Of two steps for one reservation the second starts where the first ended."""

    before: Reservation | None
    after: Reservation
    topic: str
    by: Reservation | None = None  # who holds the place, of a conflict


@dataclass(frozen=True, kw_only=True)
class Mirrored:
    steps: tuple[Step, ...]
    conflicts: int  # all that hold now, also those told before
    held: int


@dataclass(frozen=True)
class _Places:
    """Which windows are taken, by machine."""

    machines: Sequence[Machine]
    taken: dict[UUID, list[Reservation]] = field(default_factory=dict)

    def of(self, reservation: Reservation) -> list[UUID]:
        return [machine.id for machine in self.machines if reservation.covers(machine)]

    def take(self, reservation: Reservation) -> None:
        for machine_id in self.of(reservation):
            self.taken.setdefault(machine_id, []).append(reservation)

    def leave(self, reservation: Reservation) -> None:
        for machine_id in self.of(reservation):
            self.taken[machine_id].remove(reservation)

    def holder(self, wanted: Reservation) -> Reservation | None:
        """Who else is in the way."""
        for machine_id in self.of(wanted):
            for other in self.taken.get(machine_id, ()):
                if other.id != wanted.id and other.overlaps(wanted.starts_at, wanted.ends_at):
                    return other
        return None


def mirror(
    system: str,
    wanted: Iterable[Wanted],
    known: Mapping[str, Reservation],
    others: Iterable[Reservation],
    machines: Sequence[Machine],
    *,
    since: datetime,
    now: datetime,
) -> Mirrored:
    """`known`: that system's reservations by external id, of any state: all that may still hold past `now`, and all
    that are wanted. `others`: those of other systems that hold."""
    by_id = {one.external_id: one for one in wanted}
    places = _Places(machines)
    for other in others:
        places.take(other)
    steps = [
        Step(
            before=one, after=replace(one, state=ReservationState.CANCELLED, changed_at=now), topic=CANCELLED
        )
        for one in known.values()
        if one.external_id not in by_id and one.holds and one.ends_at > now and one.starts_at >= since
    ]
    for one in known.values():  # what began before `since` is not told of any more, and holds on
        if one.external_id not in by_id and one.holds and one.starts_at < since:
            places.take(one)
    order = sorted(by_id.values(), key=lambda one: (one.starts_at, one.external_id))
    movers: list[tuple[Reservation, Reservation]] = []
    fresh: list[tuple[Reservation | None, Reservation]] = []
    for wish in order:
        before = known.get(wish.external_id)
        after = _as_wanted(system, wish, before, now)
        if before is None or not before.holds:
            fresh.append((before, after))
        elif _place(before) == _place(after):
            places.take(after)
            if _said(before) != _said(after):
                steps.append(Step(before=before, after=after, topic=MOVED))
        else:
            movers.append((before, after))
    steps += _moves(places, movers, now)
    conflicts = sum(step.topic == CONFLICT for step in steps)
    for before, after in fresh:
        step, conflict = _fresh(places, before, after)
        steps += [step] if step else []
        conflicts += conflict
    held = {r.id for rows in places.taken.values() for r in rows if r.system == system}
    return Mirrored(steps=tuple(steps), conflicts=conflicts, held=len(held))


def _fresh(places: _Places, before: Reservation | None, after: Reservation) -> tuple[Step | None, bool]:
    """One that does not hold yet: its step, if there is one, and whether it is in conflict."""
    if before is not None and before.state is ReservationState.RELEASED and _place(before) == _place(after):
        return None, False  # nobody came; that the system still shows it changes nothing
    holder = places.holder(after)
    if holder is None:
        places.take(after)
        return Step(before=before, after=after, topic=BOOKED), False
    refused = replace(after, state=ReservationState.CANCELLED)
    if before is not None and before.state is refused.state and _place(before) == _place(refused):
        return None, True  # told before
    return Step(before=before, after=refused, topic=CONFLICT, by=holder), True


def _moves(places: _Places, movers: list[tuple[Reservation, Reservation]], now: datetime) -> Iterable[Step]:
    """Each into its new place once that is free. Where they wait for each other, one steps aside first."""
    leaving = _Places(places.machines)
    for before, _ in movers:
        leaving.take(before)
    waiting = list(movers)
    while waiting:
        ready = [pair for pair in waiting if leaving.holder(pair[1]) is None]
        if not ready:
            before, after = next(pair for pair in waiting if pair[0].holds)
            waiting.remove((before, after))
            leaving.leave(before)
            aside = replace(before, state=ReservationState.CANCELLED, changed_at=now)
            yield Step(before=before, after=aside, topic=CANCELLED)
            waiting.append((aside, after))
            continue
        for before, after in ready:
            waiting.remove((before, after))
            if before.holds:
                leaving.leave(before)
            holder = places.holder(after)
            if holder is None:
                places.take(after)
                yield Step(before=before, after=after, topic=MOVED if before.holds else BOOKED)
            else:
                refused = replace(after, state=ReservationState.CANCELLED)
                yield Step(before=before, after=refused, topic=CONFLICT, by=holder)


def _as_wanted(system: str, one: Wanted, before: Reservation | None, now: datetime) -> Reservation:
    values = {
        "site": one.site,
        "machine_id": one.machine_id,
        "machine_class": one.machine_class,
        "purpose": one.purpose,
        "starts_at": one.starts_at,
        "ends_at": one.ends_at,
        "member_id": one.member_id,
        "note": one.note,
        "state": ReservationState.BOOKED,
        "changed_at": now,
    }
    if before is None:
        return Reservation(
            id=uuid4(),
            system=system,
            external_id=one.external_id,
            created_at=now,
            **values,  # type: ignore[arg-type]
        )
    later = one.starts_at > now and one.starts_at != before.starts_at
    used_at = None if later else before.used_at
    return replace(before, used_at=used_at, **values)  # type: ignore[arg-type]


def _place(one: Reservation) -> tuple[object, ...]:
    return one.site, one.machine_id, one.machine_class, one.starts_at, one.ends_at


def _said(one: Reservation) -> tuple[object, ...]:
    return one.purpose, one.member_id, one.note
