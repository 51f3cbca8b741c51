"""Which machine may take which job, and which should. Pure: a snapshot in, a pairing and reasons out.

The rules of FITS may refuse, each with a reason; `choose` then prefers among what fits. To add a rule is to
add a function and its row. A refusal says when it ends: `until` NEVER means this machine can never do it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from orchestrator.domain.job import Job
from orchestrator.domain.machine import WORKING, Activity, Bed, Link, Machine, holds, needs_release
from orchestrator.domain.presence import ReleasePolicy
from orchestrator.domain.process import CutProcess


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


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A job as matching sees it: what it needs and whose it is."""

    job: Job
    size_mm: tuple[int, int, int]  # of one copy, rounded up
    entitled_classes: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Station:
    """A machine as matching sees it: with the run it is at, if any."""

    machine: Machine
    run_id: UUID | None


JobRule = Callable[[Candidate, Station], Refusal | None]
MachineRule = Callable[[Station], Refusal | None]


def _class(c: Candidate, s: Station) -> Refusal | None:
    wanted = c.job.machine_class
    if wanted is None or wanted == s.machine.machine_class:
        return None
    return Refusal(
        rule="class",
        reason=f"The job asks for {wanted}, this is {s.machine.machine_class}.",
        until=Until.NEVER,
        seen=s.machine.machine_class,
        needed=wanted,
    )


def _profile(c: Candidate, s: Station) -> Refusal | None:
    made_for = c.job.artifact.profile if c.job.artifact else ""
    if made_for == s.machine.abilities.profile:
        return None
    return Refusal(
        rule="profile",
        reason=f"Sliced for {made_for or 'no machine yet'}; this is a {s.machine.abilities.profile}.",
        until=Until.NEVER,
        seen=s.machine.abilities.profile,
        needed=made_for,
    )


def _size(c: Candidate, s: Station) -> Refusal | None:
    bed = s.machine.abilities.size_mm
    if holds(bed, c.size_mm):
        return None
    needed, seen = (" × ".join(map(str, size)) + " mm" for size in (c.size_mm, bed))
    return Refusal(
        rule="size",
        reason=f"The part measures {needed}, the machine holds {seen}.",
        until=Until.NEVER,
        seen=seen,
        needed=needed,
    )


def _entitlement(c: Candidate, s: Station) -> Refusal | None:
    if s.machine.machine_class in c.entitled_classes:
        return None
    return Refusal(
        rule="no_training",
        reason=f"The member has no training for {s.machine.machine_class} on record.",
        until=Until.PERSON,
        needed=s.machine.machine_class,
    )


def _attended(s: Station) -> Refusal | None:
    """Without a way to be released at the machine, an attended one is never given anything: fail closed."""
    if not needs_release(s.machine) or s.machine.abilities.release is not ReleasePolicy.NONE:
        return None
    return Refusal(
        rule="attended",
        reason="This machine is started by a person who stands at it, and nobody has said how.",
        until=Until.PERSON,
    )


def _material(c: Candidate, s: Station) -> Refusal | None:
    """What is loaded; a sheet is laid in by the member, for whose material the file was made."""
    if isinstance(c.job.process, CutProcess):
        return None
    wanted = c.job.process.material
    if s.machine.material == wanted:
        return None
    possible = wanted in s.machine.abilities.materials
    loaded = s.machine.material.value if s.machine.material else "nothing"
    return Refusal(
        rule="material",
        reason=f"The job needs {wanted.value}, {loaded} is loaded.",
        until=Until.PERSON if possible else Until.NEVER,
        seen=loaded,
        needed=wanted.value,
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


JOB_FITS: tuple[JobRule, ...] = (_class, _profile, _size, _entitlement, _material)
"""Does this machine suit this job?"""
MACHINE_FITS: tuple[MachineRule, ...] = (_attended, _maintenance, _held, _link, _run, _activity, _bed)
"""Does this machine take anything at all at the moment?"""


def refusals(candidate: Candidate, station: Station) -> tuple[Refusal, ...]:
    """Every rule that refuses, not only the first: the member sees all that stands in the way."""
    unsuited = tuple(no for rule in JOB_FITS if (no := rule(candidate, station)) is not None)
    return unsuited + machine_refusals(station)


def machine_refusals(station: Station) -> tuple[Refusal, ...]:
    """Why this machine takes no job at all at the moment, whatever the job."""
    return tuple(no for rule in MACHINE_FITS if (no := rule(station)) is not None)


def fit(candidate: Candidate, station: Station) -> Fit | Refusal:
    """May this machine take this job now? The first refusal, or Fit."""
    for no in refusals(candidate, station):
        return no
    return Fit()


@dataclass(frozen=True, kw_only=True)
class Pairing:
    job_id: UUID
    machine_id: UUID


def choose(
    queue: Sequence[Candidate],
    stations: Iterable[Station],
    attempts: Mapping[tuple[UUID, UUID], int] | None = None,
) -> tuple[Pairing, ...]:
    """Pair waiting jobs, in the order given, with machines that may take them now; each machine once, each
    job once.

    Among the machines that fit, one on which this job has failed less often goes first, then the smallest
    bed (the big ones stay free for big parts), then the name, so that the choice is the same for the same
    snapshot.
    """
    failed = attempts or {}
    free = [s for s in stations if not machine_refusals(s)]
    pairs: list[Pairing] = []
    for candidate in queue:
        if not free:
            break
        fitting = [s for s in free if not any(rule(candidate, s) for rule in JOB_FITS)]
        if not fitting:
            continue
        job_id = candidate.job.id
        best = min(fitting, key=lambda s: (failed.get((job_id, s.machine.id), 0), _volume(s), s.machine.name))
        pairs.append(Pairing(job_id=job_id, machine_id=best.machine.id))
        free.remove(best)
    return tuple(pairs)


def _volume(station: Station) -> int:
    x, y, z = station.machine.abilities.size_mm
    return x * y * z
