"""Who uses Établi: people and programs, what they may do, and their sessions and tokens (never their
secrets)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class Role(StrEnum):
    MEMBER = "member"
    TECH = "tech"
    MANAGER = "manager"
    BOOKING = "booking"  # a booking system, by token only


class Permission(StrEnum):
    """What a route asks for. Own things need no permission of their own: queries are built from who asks."""

    SUBMIT = "jobs:write"  # upload, quote, accept, cancel one's own
    READ = "jobs:read"  # one's own files, quotes, jobs, account
    FLEET = "machines:read"
    OPERATE = "machines:write"  # clear a bed, hold, resume, decide an unclear run
    ALL_JOBS = "jobs:all"  # everybody's jobs
    ADMIN = "admin"  # machines, members, tariffs
    FEEDS = "usage:read"  # usage and charges of everybody
    BOOK = "bookings:write"  # reservations; may this member use this machine then
    SYNC = "members:sync"  # members, organisations and entitlements of one's own system
    HOOKS = "webhooks:write"  # webhooks of one's own


_MEMBER = frozenset({Permission.SUBMIT, Permission.READ, Permission.FLEET})
_TECH = _MEMBER | {Permission.OPERATE, Permission.ALL_JOBS}
PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.MEMBER: _MEMBER,
    Role.TECH: _TECH,
    Role.MANAGER: frozenset(Permission),
    Role.BOOKING: frozenset(
        {Permission.FLEET, Permission.FEEDS, Permission.BOOK, Permission.SYNC, Permission.HOOKS}
    ),
}


class Public(StrEnum):
    """Whom a member belongs to in the eyes of the tariff grid and of the opening hours (guide, B.1 and B.2)."""

    INDIVIDUAL = "individual"
    YOUTH = "youth"
    STUDENT = "student"
    UNEMPLOYED = "unemployed"
    PROFESSIONAL = "professional"
    INSTITUTIONAL = "institutional"


class Level(StrEnum):
    """How far a training goes."""

    AUTONOMOUS = "autonomous"
    SUPERVISED = "supervised"  # somebody of the staff must agree to each job


@dataclass(frozen=True, kw_only=True)
class Member:
    id: UUID
    email: str  # casefolded, NFKC
    name: str
    role: Role
    account_id: UUID
    password_hash: str  # argon2id; empty: cannot sign in with a password
    locale: str = "fr"
    active: bool = True
    public: Public = Public.INDIVIDUAL
    organisation_id: UUID | None = None
    active_until: datetime | None = None  # end of the membership, where a booking system told one
    version: int = 1

    def current(self, now: datetime) -> bool:
        """May take part at all at `now`."""
        return self.active and (self.active_until is None or now < self.active_until)


@dataclass(frozen=True, kw_only=True)
class Organisation:
    """A company, a school, an association. `shares` is its part of the fleet beside the others' (fair share)."""

    id: UUID
    name: str
    siren: str = ""  # nine digits; empty: none known
    shares: int = 1
    version: int = 1


@dataclass(frozen=True, kw_only=True)
class Session:
    """A signed-in browser. Only the hash of its id is kept."""

    id_sha256: str
    member_id: UUID
    created_at: datetime
    seen_at: datetime


@dataclass(frozen=True, kw_only=True)
class ApiToken:
    """A program's key `etb_<id>_<secret>`; only the secret's hash is kept."""

    id: str
    secret_sha256: str
    member_id: UUID
    name: str
    scopes: frozenset[Permission]
    created_at: datetime
    expires_at: datetime | None = None  # None: until revoked
    revoked_at: datetime | None = None
    used_at: datetime | None = None  # within some minutes; None: never


@dataclass(frozen=True, kw_only=True)
class Entitlement:
    """This member may use machines of this class, until a date (None: without end)."""

    member_id: UUID
    machine_class: str
    until: datetime | None = None
    level: Level = Level.AUTONOMOUS
    training: str = ""  # what it rests on, as the booking system names it
    version: int = 1
