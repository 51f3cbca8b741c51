"""Which machine may take which job, and if not, why and until when. Pure: a snapshot in, reasons out.

Each rule is a small function that may refuse. JOB_FITS ask whether the machine suits the job, MACHINE_FITS whether it
takes anything at all, TIME_FITS whether now is the time; to add a rule is to add a function and its row. Who gets what
among those that fit is `orchestrator.domain.choosing`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

from orchestrator.domain.calendar import SiteCalendar, is_holiday, next_open, open_until
from orchestrator.domain.job import CLASSES, Job
from orchestrator.domain.machine import WORKING, Activity, Bed, Link, Machine, holds, needs_release
from orchestrator.domain.member import Entitlement, Level, Member
from orchestrator.domain.once import once
from orchestrator.domain.policy import Policy
from orchestrator.domain.presence import ReleasePolicy
from orchestrator.domain.process import Colour, CutProcess, Material
from orchestrator.domain.quote import Spread
from orchestrator.domain.reservation import Purpose, Reservation


class Until(StrEnum):
    NEVER = "never"  # never here
    PERSON = "person"  # until somebody does something
    MACHINE = "machine"  # until the machine itself changes (comes back, ends its print)
    TIME = "time"  # until the clock says so: see `at`


@dataclass(frozen=True, kw_only=True)
class Refusal:
    rule: str  # stable code; pages translate it with `seen` and `needed`
    reason: str  # English sentence
    until: Until
    seen: str = ""
    needed: str = ""
    at: datetime | None = None  # the earliest it may end, where that is known


@dataclass(frozen=True, kw_only=True)
class Fit:
    """The machine may take the job."""


class Needs(NamedTuple):
    """What a job asks of a machine beside the room, whoever's it is. Jobs that need the same are matched together."""

    machine_class: str | None
    profile: str
    material: Material | None  # None: the member lays in the sheet
    colour: Colour | None
    nozzle_micrometres: int | None


class Facts(NamedTuple):
    """What the score of a job rests on, whenever it is asked."""

    came: float  # seconds since 1970
    seconds: int  # it takes, in the middle
    priority: float  # what its class is worth, 0 to 1
    member: int  # whose it is, as a number
    needs: Needs
    must_start: float | None  # seconds since 1970 at which it must start for its deadline; None: it has none


_the_same = lru_cache(maxsize=4096)(Needs)
"""One object for what is equal: comparing thousands of jobs is then comparing addresses."""


@dataclass(frozen=True, kw_only=True)
class Asker:
    """Somebody who wants a machine for so long, whether a job waits or they only ask."""

    member: Member
    entitlements: tuple[Entitlement, ...] = ()
    takes: Spread = field(default_factory=lambda: Spread(p50=0, p90=0))  # seconds on the machine
    in_person: bool = False  # they will stand at it themselves

    @property
    def approved(self) -> bool:
        """Has the staff agreed to this job of a supervised member?"""
        return False

    @property
    def milligrams(self) -> int:
        return 0


@dataclass(frozen=True, kw_only=True)
class Candidate(Asker):
    """A job as matching sees it: what it needs, how long it takes, and whose it is."""

    job: Job

    @property
    def approved(self) -> bool:
        return self.job.approved_by is not None

    @property
    def milligrams(self) -> int:
        return self.job.artifact.filament_milligrams if self.job.artifact else 0

    @once
    def needs(self) -> Needs:
        artifact, process = self.job.artifact, self.job.process
        profile = artifact.profile if artifact else ""
        if isinstance(process, CutProcess):
            return _the_same(self.job.machine_class, profile, None, None, None)
        nozzle = artifact.nozzle_micrometres if artifact else None
        return _the_same(self.job.machine_class, profile, process.material, process.colour, nozzle)

    @once
    def size_mm(self) -> tuple[int, int, int]:
        """Of one copy, rounded up."""
        return self.job.artifact.size_mm if self.job.artifact else (0, 0, 0)

    @once
    def came(self) -> float:
        """Seconds since 1970 at which it was first queued."""
        return (self.job.queued_at or self.job.created_at).timestamp()

    @once
    def facts(self) -> Facts:
        """What its score rests on, at hand: thousands are scored for each decision."""
        job = self.job
        must_start = job.deadline.timestamp() - self.takes.p90 if job.deadline else None
        return Facts(
            self.came, self.takes.p50, CLASSES[job.priority], job.member_id.int, self.needs, must_start
        )

    @once
    def standing(self) -> str:
        """What of its member's public and trainings, and of the staff's consent, the rules look at; a string, because
        it is looked up by the thousand."""
        held = (f"{e.machine_class} {e.level} {e.until}" for e in self.entitlements)
        return " | ".join((self.member.public, str(self.approved), *held))


@dataclass(frozen=True, kw_only=True)
class Station:
    """A machine as matching sees it: with the run it is at, if any, the windows held on it, and its site's hours."""

    machine: Machine
    run_id: UUID | None = None
    windows: tuple[Reservation, ...] = ()  # that hold and have not ended, the earliest first
    calendar: SiteCalendar | None = None

    @once
    def attended(self) -> bool:
        return needs_release(self.machine)


@dataclass(frozen=True, kw_only=True)
class Moment:
    """When, and by which policy."""

    now: datetime
    policy: Policy = field(default_factory=Policy)

    def end_of(self, asker: Asker) -> datetime:
        """By when a run that starts now is over, nine times in ten, and well clear of what comes next. A person who
        stands there ends when they said."""
        margin = 0 if asker.in_person else self.policy.margin_minutes
        return self.now + timedelta(seconds=asker.takes.p90, minutes=margin)


JobRule = Callable[[Needs, Machine], Refusal | None]
PersonRule = Callable[[Asker, Station, Moment], Refusal | None]
MachineRule = Callable[[Station], Refusal | None]


# --- does this machine suit this job? ---------------------------------------------------------------


def _class(needs: Needs, machine: Machine) -> Refusal | None:
    wanted = needs.machine_class
    if wanted is None or wanted == machine.machine_class:
        return None
    return Refusal(
        rule="class",
        reason=f"The job asks for {wanted}, this is {machine.machine_class}.",
        until=Until.NEVER,
        seen=machine.machine_class,
        needed=wanted,
    )


def _profile(needs: Needs, machine: Machine) -> Refusal | None:
    if needs.profile == machine.abilities.profile:
        return None
    return Refusal(
        rule="profile",
        reason=f"Sliced for {needs.profile or 'no machine yet'}; this is a {machine.abilities.profile}.",
        until=Until.NEVER,
        seen=machine.abilities.profile,
        needed=needs.profile,
    )


def too_large(size_mm: tuple[int, int, int], machine: Machine) -> Refusal | None:
    """Does the part lie in the work area, as it is or turned about z?"""
    bed = machine.abilities.size_mm
    if holds(bed, size_mm):
        return None
    needed, seen = (" × ".join(map(str, size)) + " mm" for size in (size_mm, bed))
    return Refusal(
        rule="size",
        reason=f"The part measures {needed}, the machine holds {seen}.",
        until=Until.NEVER,
        seen=seen,
        needed=needed,
    )


def _material(needs: Needs, machine: Machine) -> Refusal | None:
    """What is loaded; a sheet is laid in by the member, for whose material the file was made."""
    wanted = needs.material
    if wanted is None or machine.material == wanted:
        return None
    possible = wanted in machine.abilities.materials
    loaded = machine.material.value if machine.material else "nothing"
    return Refusal(
        rule="material",
        reason=f"The job needs {wanted.value}, {loaded} is loaded.",
        until=Until.PERSON if possible else Until.NEVER,
        seen=loaded,
        needed=wanted.value,
    )


def _colour(needs: Needs, machine: Machine) -> Refusal | None:
    """Only where the member asked for one; a spool whose colour nobody has said is no such colour."""
    wanted = needs.colour
    if wanted is None or machine.colour is wanted:
        return None
    loaded = machine.colour.value if machine.colour else "unknown"
    return Refusal(
        rule="colour",
        reason=f"The job asks for {wanted.value}, the colour loaded is {loaded}.",
        until=Until.PERSON,
        seen=loaded,
        needed=wanted.value,
    )


def _nozzle(needs: Needs, machine: Machine) -> Refusal | None:
    wanted = needs.nozzle_micrometres
    if wanted is None or wanted == machine.nozzle_micrometres:
        return None
    needed, seen = f"{wanted / 1000:g} mm", f"{machine.nozzle_micrometres / 1000:g} mm"
    return Refusal(
        rule="nozzle",
        reason=f"Sliced for a nozzle of {needed}, one of {seen} is mounted.",
        until=Until.PERSON,
        seen=seen,
        needed=needed,
    )


JOB_FITS: tuple[JobRule, ...] = (_class, _profile, _material, _colour, _nozzle)
"""Does this machine suit this job, if the part has room there?"""


# --- may this member's job go there, and is now the time? -------------------------------------------


def _member(c: Asker, _s: Station, m: Moment) -> Refusal | None:
    if c.member.current(m.now):
        return None
    return Refusal(
        rule="member_inactive", reason="The membership is not active (any more).", until=Until.PERSON
    )


def _training(c: Asker, s: Station, m: Moment) -> Refusal | None:
    held = next((e for e in c.entitlements if e.machine_class == s.machine.machine_class), None)
    needed = s.machine.machine_class
    if held is None:
        return Refusal(
            rule="no_training",
            reason=f"The member has no training for {needed} on record.",
            until=Until.PERSON,
            needed=needed,
        )
    if held.until is not None and held.until <= m.now:
        return Refusal(
            rule="training_expired",
            reason=f"The member's training for {needed} ended on {held.until.date().isoformat()}.",
            until=Until.PERSON,
            seen=held.until.date().isoformat(),
            needed=needed,
        )
    return None


def _supervised(c: Asker, s: Station, _m: Moment) -> Refusal | None:
    """A supervised member's job waits until somebody of the staff has agreed to it."""
    held = next((e for e in c.entitlements if e.machine_class == s.machine.machine_class), None)
    if held is None or held.level is Level.AUTONOMOUS or c.approved:
        return None
    return Refusal(
        rule="supervised",
        reason=f"The member may use {s.machine.machine_class} under supervision: the staff must agree.",
        until=Until.PERSON,
        needed=s.machine.machine_class,
    )


def _stock(c: Asker, s: Station, _m: Moment) -> Refusal | None:
    """Only where somebody has said how much is left."""
    left = s.machine.stock_milligrams
    if left is None or c.milligrams <= left:
        return None
    needed, seen = f"{c.milligrams / 1000:.0f} g", f"{left / 1000:.0f} g"
    return Refusal(
        rule="material_unavailable",
        reason=f"The job needs {needed} of filament, {seen} are left on the spool.",
        until=Until.PERSON,
        seen=seen,
        needed=needed,
    )


def _hours(c: Asker, s: Station, m: Moment) -> Refusal | None:
    """An attended machine works while the lab is staffed and open to the member's public; a printer also alone, where
    the site lets it."""
    people = s.attended or c.in_person
    if s.calendar is None or not s.calendar.openings or (not people and s.calendar.unattended):
        return None
    public = c.member.public if people else None
    until = open_until(s.calendar, public, m.now, staffed=s.attended)
    end = m.end_of(c) if people else m.now
    if until is not None and end <= until:
        return None
    seconds = (end - m.now).total_seconds()
    opens = next_open(s.calendar, public, until or m.now, seconds=seconds, staffed=s.attended)
    rule = "holiday" if until is None and is_holiday(s.calendar, m.now) else "outside_calendar"
    reason = (
        "The lab is closed to this public, or nobody of the staff is there."
        if until is None
        else "It would not be done before the lab closes."
    )
    return Refusal(
        rule=rule,
        reason=reason,
        until=Until.TIME if opens else Until.PERSON,
        seen=c.member.public.value if people else "",
        at=opens,
    )


WINDOW_RULES = {
    Purpose.BOOKING: "booked_by_other",
    Purpose.EVENT: "booked_by_other",
    Purpose.MAINTENANCE: "maintenance_planned",
    Purpose.CLOSURE: "closed",
}


def _window(c: Asker, s: Station, m: Moment) -> Refusal | None:
    """A new run keeps clear of every window that is not the member's; the holder's own jobs may use theirs."""
    if not s.windows:
        return None
    end = m.end_of(c)
    for window in s.windows:
        if window.starts_at >= end:
            return None
        if window.ends_at > m.now and not window.is_for(c.member):
            begun = window.starts_at <= m.now
            return Refusal(
                rule=WINDOW_RULES[window.purpose],
                reason="It is held for somebody else, or closed, now."
                if begun
                else "It would not be done before a window that is held for somebody else begins.",
                until=Until.TIME,
                seen=window.starts_at.isoformat(),
                needed=window.ends_at.isoformat(),
                at=window.ends_at,
            )
    return None


BARS: tuple[PersonRule, ...] = (_member, _training)
"""What no waiting helps against."""
PERSON_FITS: tuple[PersonRule, ...] = (*BARS, _supervised)
"""May this member's job go to this machine?"""
TIME_FITS: tuple[PersonRule, ...] = (_stock, _hours, _window)
"""Is now the time for it?"""
ASKER_FITS: tuple[PersonRule, ...] = (*PERSON_FITS, *TIME_FITS)
"""Both: what depends on who asks, and when."""


# --- does this machine take anything at all at the moment? ------------------------------------------


def _attended(s: Station) -> Refusal | None:
    """Without a way to be released at the machine, an attended one is never given anything: fail closed."""
    if not s.attended or s.machine.abilities.release is not ReleasePolicy.NONE:
        return None
    return Refusal(
        rule="attended",
        reason="This machine is started by a person who stands at it, and nobody has said how.",
        until=Until.PERSON,
    )


def _maintenance(s: Station) -> Refusal | None:
    if not s.machine.maintenance:
        return None
    return Refusal(rule="maintenance", reason="The machine is in maintenance.", until=Until.PERSON)


def _held(s: Station) -> Refusal | None:
    if not s.machine.held:
        return None
    return Refusal(
        rule="held",
        reason=f"A person holds it back: {s.machine.held}",
        until=Until.PERSON,
        seen=s.machine.held,
    )


def _link(s: Station) -> Refusal | None:
    if s.machine.link is Link.ONLINE:
        return None
    return Refusal(
        rule="link",
        reason=f"The machine is {s.machine.link.value}.",
        until=Until.MACHINE,
        seen=s.machine.link.value,
    )


def _run(s: Station) -> Refusal | None:
    if s.run_id is None:
        return None
    return Refusal(
        rule="busy", reason="It is working on another job.", until=Until.MACHINE, seen=str(s.run_id)
    )


def _activity(s: Station) -> Refusal | None:
    if s.machine.activity in {Activity.IDLE, Activity.DONE}:
        return None
    foreign = s.machine.activity in WORKING
    return Refusal(
        rule="foreign" if foreign else "activity",
        reason="It is printing something that Établi did not start."
        if foreign
        else f"The machine says it is {s.machine.activity.value}.",
        until=Until.PERSON if s.machine.activity in {Activity.ATTENTION, Activity.FAULT} else Until.MACHINE,
        seen=s.machine.activity.value,
    )


def _bed(s: Station) -> Refusal | None:
    if s.machine.bed is Bed.CLEAR:
        return None
    return Refusal(
        rule="bed",
        reason="The bed is not confirmed clear: until someone clears it.",
        until=Until.PERSON,
        seen=s.machine.bed.value,
    )


MACHINE_FITS: tuple[MachineRule, ...] = (_attended, _maintenance, _held, _link, _run, _activity, _bed)
"""Does this machine take anything at all at the moment?"""


def suits(needs: Needs, machine: Machine) -> bool:
    return not any(rule(needs, machine) for rule in JOB_FITS)


def could_ever(needs: Needs, machine: Machine) -> bool:
    """No rule says never here: only something loaded or mounted stands in the way, if anything."""
    return not any((no := rule(needs, machine)) and no.until is Until.NEVER for rule in JOB_FITS)


def refusals(candidate: Candidate, station: Station, moment: Moment) -> tuple[Refusal, ...]:
    """Every rule that refuses, not only the first: the member sees all that stands in the way."""
    machine = station.machine
    unsuited = tuple(no for rule in JOB_FITS if (no := rule(candidate.needs, machine)) is not None)
    no_room = too_large(candidate.size_mm, machine)
    if no_room is not None:
        unsuited = (no_room, *unsuited)
    not_now = tuple(no for rule in ASKER_FITS if (no := rule(candidate, station, moment)) is not None)
    return unsuited + not_now + machine_refusals(station)


def machine_refusals(station: Station) -> tuple[Refusal, ...]:
    """Why this machine takes no job at all at the moment, whatever the job."""
    return tuple(no for rule in MACHINE_FITS if (no := rule(station)) is not None)


def fit(candidate: Candidate, station: Station, moment: Moment) -> Fit | Refusal:
    """May this machine take this job now? The first refusal, or Fit."""
    for no in refusals(candidate, station, moment):
        return no
    return Fit()


PASSING = frozenset({"busy", "bed", "link", "activity", "foreign"})
"""What stands in the way today and is no lack of the lab's or the member's."""


def hindrances(
    candidate: Candidate, stations: Iterable[Station], moment: Moment
) -> frozenset[tuple[str, str]]:
    """(rule, machine class) of what keeps this job from every machine of a class that could ever take it; where none
    could, of what keeps it from all of them for ever. It is what a demand report counts."""
    able: dict[str, list[set[str]]] = {}
    unable: dict[str, list[set[str]]] = {}
    for station in stations:
        noes = refusals(candidate, station, moment)
        never = {no.rule for no in noes if no.until is Until.NEVER}
        into, rules = (unable, never) if never else (able, {no.rule for no in noes} - PASSING)
        into.setdefault(station.machine.machine_class, []).append(rules)
    return frozenset((rule, of) for of, each in (able or unable).items() for rule in set.intersection(*each))
