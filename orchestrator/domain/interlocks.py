"""The last question before a start is sent, asked again inside the transaction that commits to it; and, while a machine
that needs a person runs, what makes it hold.

Independent of the scheduler: whatever chose this machine, nothing starts past these. Whatever is not known to be good
is bad. It is not a safety system; firmware, interlock switches and people are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from orchestrator.domain.machine import Bed, Link, Machine, needs_release
from orchestrator.domain.matching import Refusal, Until
from orchestrator.domain.presence import (
    CHECKLIST,
    CONDITION_SECONDS_MAX,
    HEARD_SECONDS_MAX,
    HEARTBEAT_LOST_SECONDS,
    Kiosk,
    Override,
    Presence,
    Reading,
    ReleasePolicy,
)
from orchestrator.domain.run import Run, RunState


@dataclass(frozen=True, kw_only=True)
class Facts:
    """All that a start is judged by, read in the transaction that would commit to it."""

    machine: Machine
    run: Run
    now: datetime
    hold_stands: bool  # the job's maximum price is set aside
    artifact_sha256: str = ""  # of the file that is staged
    presence: Presence | None = None
    kiosk: Kiosk | None = None  # of the presence
    may_release: bool = False  # the person is the job's owner, or staff
    trained: bool = False  # and may use this machine's class, by an entitlement that has not run out
    readings: Mapping[str, Reading] = field(default_factory=dict)
    overrides: Sequence[Override] = ()


Interlock = Callable[[Facts], Refusal | None]


def _machine(facts: Facts) -> Refusal | None:
    if facts.run.machine_id == facts.machine.id:
        return None
    return Refusal(rule="identity", reason="The run belongs to another machine.", until=Until.NEVER)


def _staged(facts: Facts) -> Refusal | None:
    return _in(facts.run, RunState.STAGED, "The run is not staged.")


def _paused(facts: Facts) -> Refusal | None:
    return _in(facts.run, RunState.PAUSED, "The run is not paused.")


def _in(run: Run, state: RunState, reason: str) -> Refusal | None:
    if run.state is state:
        return None
    return Refusal(rule="state", reason=reason, until=Until.NEVER, seen=run.state.value)


def _bed(facts: Facts) -> Refusal | None:
    bed = facts.machine.bed
    if bed is Bed.CLEAR:
        return None
    return Refusal(rule="bed", reason="The bed is not confirmed clear.", until=Until.PERSON, seen=bed.value)


def _kept(facts: Facts) -> Refusal | None:
    machine = facts.machine
    if not machine.maintenance and not machine.held:
        return None
    return Refusal(
        rule="held", reason="A person holds the machine back.", until=Until.PERSON, seen=machine.held
    )


def _link(facts: Facts) -> Refusal | None:
    link = facts.machine.link
    if link is Link.ONLINE:
        return None
    return Refusal(rule="link", reason="The machine is not online.", until=Until.MACHINE, seen=link.value)


def _hold(facts: Facts) -> Refusal | None:
    if facts.hold_stands:
        return None
    return Refusal(rule="hold", reason="The job's maximum price is not set aside.", until=Until.PERSON)


def _policy(facts: Facts) -> Refusal | None:
    if not needs_release(facts.machine) or facts.machine.abilities.release is not ReleasePolicy.NONE:
        return None
    return Refusal(
        rule="attended", reason="Nobody has said how a person starts this machine.", until=Until.PERSON
    )


def _presence(facts: Facts) -> Refusal | None:
    """Somebody stands there: now, for this run, for this very file, at this machine; said once, by its own device."""
    if not needs_release(facts.machine):
        return None
    presence = facts.presence
    if presence is None:
        return _nobody("Only a person at the machine starts it.")
    if presence.run_id != facts.run.id or presence.machine_id != facts.machine.id:
        return _nobody("The release was given for something else.")
    if not facts.artifact_sha256 or presence.artifact_sha256 != facts.artifact_sha256:
        return _nobody("The release was given for another file than the one that is staged.")
    if presence.used_at is not None:
        return _nobody("The release has served already.")
    if not presence.issued_at <= facts.now < presence.expires_at:
        return _nobody("The release has run out.")
    if facts.machine.abilities.release is ReleasePolicy.KIOSK_START and not _heard(presence, facts.now):
        return _nobody("The person at the machine was not heard of any more.")
    if not _stands_here(facts.kiosk, presence):
        return _nobody("The release does not come from a device that stands at this machine.")
    if missing := [point for point in CHECKLIST if point not in presence.checklist]:
        return _nobody(f"Not confirmed: {', '.join(missing)}.")
    return None


def _heard(presence: Presence, now: datetime) -> bool:
    last = presence.heartbeat_at or presence.issued_at
    return abs((now - last).total_seconds()) <= HEARD_SECONDS_MAX


def _stands_here(kiosk: Kiosk | None, presence: Presence) -> bool:
    return (
        kiosk is not None
        and kiosk.id == presence.kiosk_id
        and kiosk.machine_id == presence.machine_id
        and kiosk.revoked_at is None
    )


def _nobody(reason: str) -> Refusal:
    return Refusal(rule="presence", reason=reason, until=Until.PERSON)


def _person(facts: Facts) -> Refusal | None:
    """No role skips the training."""
    if not needs_release(facts.machine):
        return None
    if not facts.may_release:
        return Refusal(
            rule="release_person", reason="Only whose job it is, or staff, releases it.", until=Until.PERSON
        )
    if not facts.trained:
        return Refusal(
            rule="no_training",
            reason=f"Who releases it has no training for {facts.machine.machine_class} on record.",
            until=Until.PERSON,
            needed=facts.machine.machine_class,
        )
    return None


def _conditions(facts: Facts) -> Refusal | None:
    bad = bad_conditions(facts.machine, facts.readings, facts.overrides, facts.now)
    return bad[0] if bad else None


START: tuple[Interlock, ...] = (
    _machine,
    _staged,
    _bed,
    _policy,
    _presence,
    _person,
    _conditions,
    _kept,
    _link,
    _hold,
)
GO_ON: tuple[Interlock, ...] = (_machine, _paused, _policy, _presence, _person, _conditions, _kept, _link)
"""After a hold of a machine that needs a person: asked again, by a person who stands there again."""


def check(facts: Facts) -> tuple[Refusal, ...]:
    """Every interlock that forbids this start; an empty tuple means it may be sent, once."""
    return tuple(no for interlock in START if (no := interlock(facts)) is not None)


def check_going_on(facts: Facts) -> tuple[Refusal, ...]:
    """Every interlock that forbids a machine that needs a person to go on after a hold."""
    return tuple(no for interlock in GO_ON if (no := interlock(facts)) is not None)


def must_hold(
    machine: Machine,
    readings: Mapping[str, Reading],
    overrides: Sequence[Override],
    now: datetime,
    heartbeat_age_seconds: float | None,
) -> tuple[Refusal, ...]:
    """Why a machine that is running has to hold now.

    `heartbeat_age_seconds` is how long ago the person's device was last heard (None: never); it counts only where
    Établi itself streams, since elsewhere the person started the machine with their own hand and stands at it.
    """
    reasons = list(bad_conditions(machine, readings, overrides, now))
    streams = machine.abilities.release is ReleasePolicy.KIOSK_START
    if streams and not (heartbeat_age_seconds is not None and heartbeat_age_seconds < HEARTBEAT_LOST_SECONDS):
        reasons.append(_nobody("The person at the machine was not heard of any more."))
    return tuple(reasons)


def bad_conditions(
    machine: Machine, readings: Mapping[str, Reading], overrides: Sequence[Override], now: datetime
) -> tuple[Refusal, ...]:
    """The inputs that must be good and are not, or are not known to be."""
    without = {one.condition for one in overrides if one.machine_id == machine.id and one.stands(now)}
    needed = [name for name in machine.abilities.conditions if name not in without]
    return tuple(_bad(name) for name in needed if not _good(readings.get(name), machine.id, now))


def folded(readings: Iterable[Reading], now: datetime) -> Mapping[str, Reading]:
    """What counts of each input of one machine, of all that speak of it, by name.

    One that says it is bad outweighs any that call it good; who has said nothing for a while says nothing.
    """
    counts: dict[str, Reading] = {}
    for reading in sorted(readings, key=lambda one: _weight(one, now)):
        counts[reading.name] = reading
    return counts


def _weight(reading: Reading, now: datetime) -> tuple[bool, bool, datetime]:
    """Bad news of the future counts too: another process's clock, or one that wrote while we looked, may be ahead."""
    alarm = not reading.good and (now - reading.at).total_seconds() <= CONDITION_SECONDS_MAX
    return alarm, _fresh(reading, now), reading.at


def _good(reading: Reading | None, machine_id: UUID, now: datetime) -> bool:
    return reading is not None and reading.machine_id == machine_id and reading.good and _fresh(reading, now)


def _fresh(reading: Reading, now: datetime) -> bool:
    """A reading of the future is a clock gone wrong, and no better than a stale one."""
    return 0 <= (now - reading.at).total_seconds() <= CONDITION_SECONDS_MAX


def _bad(name: str) -> Refusal:
    return Refusal(
        rule="condition", reason=f"“{name}” is not known to be as it must.", until=Until.PERSON, needed=name
    )
