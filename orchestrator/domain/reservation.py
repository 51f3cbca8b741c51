"""A Reservation: a window on a machine held for somebody, for maintenance or for closure.

Windows are half open, [starts_at, ends_at), in UTC. No two that hold live on one machine at the same time: the first
wins. A running job is never killed by one; a new one is not started if it may run into a foreign one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from orchestrator.domain.errors import Conflict, Fault
from orchestrator.domain.machine import Machine
from orchestrator.domain.member import Member


class Purpose(StrEnum):
    BOOKING = "booking"  # for a member or an organisation
    EVENT = "event"  # a workshop, a class, a privatisation: for an organisation, or for nobody's jobs
    MAINTENANCE = "maintenance"
    CLOSURE = "closure"


class ReservationState(StrEnum):
    BOOKED = "booked"
    RELEASED = "released"  # nobody came: the window is everybody's again
    CANCELLED = "cancelled"


@dataclass(frozen=True, kw_only=True)
class Reservation:
    """Of one machine; or, without machine, of all of a class; without class too, of the whole site."""

    id: UUID
    system: str  # the booking system that names it
    external_id: str  # as that system names it
    site: str
    machine_id: UUID | None
    machine_class: str | None
    purpose: Purpose
    starts_at: datetime
    ends_at: datetime
    created_at: datetime
    changed_at: datetime
    member_id: UUID | None = None  # whose it is
    organisation_id: UUID | None = None  # whose members may all use it
    state: ReservationState = ReservationState.BOOKED
    used_at: datetime | None = None  # when its holder's first run in it was claimed, or somebody came
    note: str = ""
    version: int = 1

    @property
    def holds(self) -> bool:
        return self.state is ReservationState.BOOKED

    def covers(self, machine: Machine) -> bool:
        """Is that machine (one of) those it is about?"""
        if self.machine_id is not None:
            return self.machine_id == machine.id
        return self.site == machine.site and self.machine_class in {None, machine.machine_class}

    def overlaps(self, start: datetime, end: datetime) -> bool:
        return self.starts_at < end and start < self.ends_at

    def is_for(self, member: Member) -> bool:
        """May that member's jobs use it?"""
        if self.member_id is not None:
            return self.member_id == member.id
        return self.organisation_id is not None and self.organisation_id == member.organisation_id

    def missed(self, now: datetime, no_show: timedelta) -> bool:
        """Nobody came in time: it is to be released. Maintenance and closure need nobody to come."""
        named = self.purpose is Purpose.BOOKING and (self.member_id or self.organisation_id)
        return bool(named) and self.holds and self.used_at is None and now >= self.starts_at + no_show

    @property
    def window(self) -> tuple[object, ...]:
        """What it holds, and when."""
        return self.site, self.machine_id, self.machine_class, self.starts_at, self.ends_at


NAMED_MAX = 20  # of those in the way


def held_by(others: Sequence[Reservation]) -> Conflict:
    """They were first; each is named."""
    faults = tuple(
        Fault(
            rule="booked_by_other",
            where="starts_at",
            seen=f"{one.system}/{one.external_id} {one.starts_at.isoformat()} {one.ends_at.isoformat()}",
            remedy="Choose another time or another machine.",
            texts={
                "en": "Another reservation holds it then.",
                "fr": "Une autre réservation l’occupe alors.",
                "remedy_fr": "Choisissez une autre heure ou une autre machine.",
            },
        )
        for one in others[:NAMED_MAX]
    )
    return Conflict("Another reservation holds it then.", code="booked_by_other", faults=faults)
