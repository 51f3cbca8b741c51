"""A Source: a booking system that Établi asks, or that tells it, about reservations: iCal, fab-manager, Fabman."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from orchestrator.domain.errors import EtabliError, Misconfigured
from orchestrator.domain.reservation import Purpose


class SourceKind(StrEnum):
    ICAL = "ical"
    FABMANAGER = "fabmanager"
    FABMAN = "fabman"


@dataclass(frozen=True, kw_only=True)
class Source:
    id: UUID
    kind: SourceKind
    system: str  # the name its objects go by: `PUT /reservations/{system}/…`
    url: str
    secret: str  # its API token, sealed; empty: none
    site: str
    machines: Mapping[str, str] = field(
        default_factory=dict
    )  # its id of a machine -> ours; iCal: `*` -> ours
    interval_seconds: int = 300
    active: bool = True
    polled_at: datetime | None = None
    due_at: datetime | None = None
    etag: str = ""  # of the last answer, so that an unchanged feed costs nothing
    cursor: int = 0  # the last charge it was told
    charges: bool = False  # is it told what jobs cost, because it is the one that invoices?
    failures: int = 0  # in a row
    note: str = ""  # what the last poll found, or why it failed: see `Found`
    version: int = 1


@dataclass(frozen=True, kw_only=True)
class ForeignReservation:
    """A window as its system tells it. Half open, in UTC; never empty."""

    external_id: str
    machine: str  # ours, as `Source.machines` names it: a machine, a class, or `*` for the whole site
    starts_at: datetime
    ends_at: datetime
    purpose: Purpose
    member: str | None = None  # as the system names them
    note: str = ""
    cancelled: bool = False


@dataclass(frozen=True, kw_only=True)
class ForeignMember:
    external_id: str
    email: str  # empty: not told
    name: str
    active: bool = True


@dataclass(frozen=True, kw_only=True)
class ForeignEntitlement:
    """What a training in that system allows here."""

    member: str  # as the system names them
    machine_class: str
    training: str
    until: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Pulled:
    """All that a system has to say. A window of ours that starts from `since` on and is not among `reservations` is
    no longer there. None for `entitlements`: not asked this time, so none has ended."""

    since: datetime
    reservations: tuple[ForeignReservation, ...] = ()
    etag: str = ""
    unchanged: bool = False  # as the last time: nothing else in here counts
    members: tuple[ForeignMember, ...] = ()
    entitlements: tuple[ForeignEntitlement, ...] | None = None
    down: Mapping[str, bool] = field(default_factory=dict)  # its machines: out of order over there?
    names: Mapping[str, str] = field(default_factory=dict)  # its machines, as it calls them
    skipped: int = 0  # what it told of and cannot be a window here


HORIZON = timedelta(days=92)
"""How far ahead reservations are read."""

LONGEST_WAIT_SECONDS = 6 * 3600
MISCONFIGURED_SECONDS = 3600


def wait_seconds(source: Source, error: EtabliError | None) -> int:
    """Until the next poll. After failures twice as long each time; what an operator must mend is not asked fast."""
    if error is None:
        return source.interval_seconds
    doubled = source.interval_seconds * int(2 ** min(source.failures, 10))
    least = MISCONFIGURED_SECONDS if isinstance(error, Misconfigured) else 0
    return max(source.interval_seconds, least, min(doubled, LONGEST_WAIT_SECONDS))


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a poll came to, and how it lies in `Source.note`: a code, then counts."""

    code: str = "ok"  # else the error's code
    held: int = 0  # windows of that system that hold now
    changed: int = 0  # booked, moved or cancelled by this poll
    conflicts: int = 0  # windows that another holds
    skipped: int = 0  # what could not be understood, or is about a machine that nobody mapped

    @property
    def text(self) -> str:
        return (
            f"{self.code} held={self.held} changed={self.changed} conflicts={self.conflicts} "
            f"skipped={self.skipped}"
            if self.code == "ok"
            else self.code
        )

    @classmethod
    def of(cls, note: str) -> Found | None:
        """None where there was no poll yet."""
        code, *counts = note.split()[:5] or [""]
        if not code:
            return None
        values = dict(count.split("=", 1) for count in counts if "=" in count)
        return cls(code=code, **{name: int(value) for name, value in values.items()})
