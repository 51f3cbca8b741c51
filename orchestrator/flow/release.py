"""What people do at a machine that only they may start: enrol its device, release a run there, say they still stand by.

A release is a row; the machine's supervisor acts on it after it has asked the interlocks once more. Whatever is asked
from elsewhere is refused, and the refusal is kept. No role skips any of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from uuid import UUID, uuid4

from orchestrator.domain.errors import Conflict, Fault, Forbidden, NotFound, Rejected
from orchestrator.domain.event import Event, Json
from orchestrator.domain.interlocks import check, check_going_on, folded
from orchestrator.domain.job import Job
from orchestrator.domain.machine import Bed, Machine, needs_release
from orchestrator.domain.matching import Refusal
from orchestrator.domain.member import Member
from orchestrator.domain.presence import (
    CHECKLIST,
    PRESENCE_SECONDS_MAX,
    Kiosk,
    Override,
    Presence,
    Reading,
)
from orchestrator.domain.run import Cause, Run, RunState
from orchestrator.flow.act import keep_refused, may_operate, need_operator
from orchestrator.flow.attend import facts, standing
from orchestrator.flow.dispatch import entitled_classes
from orchestrator.flow.finish import end_run
from orchestrator.flow.lab import Lab
from orchestrator.flow.moves import actor_of, run_event, set_bed
from orchestrator.ports import Ended, Outcome, Unit

KIOSKS_MAX = 8
"""Devices at one machine that are not revoked."""


# --- the device ---------------------------------------------------------------------------------


async def enrol(lab: Lab, who: Member, machine_id: UUID, name: str, public_key: str) -> Kiosk:
    """Let a device at a machine speak for it. `public_key` has been read as a key by the caller."""
    need_operator(who)
    at = lab.clock.now()
    kiosk = Kiosk(
        id=uuid4(),
        machine_id=machine_id,
        name=name,
        public_key=public_key,
        enrolled_by=who.id,
        enrolled_at=at,
    )

    async def work(unit: Unit) -> Kiosk:
        if await unit.machine(machine_id) is None:
            raise NotFound("There is no such machine.")
        live = [one for one in await unit.kiosks(machine_id) if one.revoked_at is None]
        if len(live) >= KIOSKS_MAX:
            raise Conflict("This machine has devices enough; revoke one first.", code="kiosk.too_many")
        await unit.add_kiosk(
            kiosk, _event(lab, "kiosk.enrolled", who, machine_id, {"kiosk_id": str(kiosk.id)})
        )
        return kiosk

    return await lab.store.write(work)


async def revoke(lab: Lab, who: Member, kiosk_id: UUID) -> None:
    need_operator(who)

    async def work(unit: Unit) -> None:
        kiosk = await unit.kiosk(kiosk_id)
        if kiosk is None:
            raise NotFound("There is no such device.")
        event = _event(lab, "kiosk.revoked", who, kiosk.machine_id, {"kiosk_id": str(kiosk_id)})
        await unit.revoke_kiosk(kiosk_id, lab.clock.now(), event)

    await lab.store.write(work)


async def kiosks(lab: Lab, who: Member) -> Sequence[Kiosk]:
    need_operator(who)
    return await lab.store.read(lambda unit: unit.kiosks())


# --- what the device shows ----------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class AtMachine:
    """What somebody who stands at a machine is shown: no more of others than what stands on the machine's screen."""

    machine: Machine
    run: Run | None
    job: Job | None
    file_name: str
    member: Member | None
    presence: Presence | None
    readings: tuple[Reading, ...]  # one an input: the one that counts
    refusals: tuple[Refusal, ...]  # what would forbid a release now, whoever gave it


async def at_machine(lab: Lab, kiosk: Kiosk) -> AtMachine:
    return await lab.store.read(lambda unit: _at_machine(lab, unit, kiosk))


async def _at_machine(lab: Lab, unit: Unit, kiosk: Kiosk) -> AtMachine:
    machine = await _machine(unit, kiosk.machine_id)
    run = await unit.active_run_at(machine.id)
    job = await unit.job(run.job_id) if run else None
    file = await unit.file(job.file_id) if job else None
    refusals: tuple[Refusal, ...] = ()
    if run is not None and job is not None:
        judge = check_going_on if run.state is RunState.PAUSED else check
        said = judge(await facts(unit, lab, machine, run, job, None))
        refusals = tuple(no for no in said if no.rule not in {"presence", "release_person", "no_training"})
    return AtMachine(
        machine=machine,
        run=run,
        job=job,
        file_name=file.name if file else "",
        member=await unit.member(job.member_id) if job else None,
        presence=await unit.presence_for(run.id) if run else None,
        readings=tuple(folded(await unit.readings(machine.id), lab.clock.now()).values()),
        refusals=refusals,
    )


async def _machine(unit: Unit, machine_id: UUID) -> Machine:
    machine = await unit.machine(machine_id)
    if machine is None:
        raise NotFound("There is no such machine.")
    return machine


# --- the release --------------------------------------------------------------------------------


async def refuse_remote(lab: Lab, who: Member | None, machine_id: UUID, why: str) -> Forbidden:
    """Keep that somebody tried to start a machine from elsewhere; returns what to raise."""
    no = Forbidden(
        "A machine like this is released only on the device that stands at it.", code="laser.remote_start"
    )
    actor = actor_of(who) if who else "anonymous"
    event = Event(
        topic="release.refused",
        at=lab.clock.now(),
        actor=actor,
        data={"why": why},
        member_id=who.id if who else None,
        machine_id=machine_id,
    )

    async def work(unit: Unit) -> None:
        if await unit.machine(machine_id) is not None:
            await keep_refused(unit, event, no)

    with suppress(Forbidden):  # enough is kept
        await lab.store.write(work)
    return no


async def release(lab: Lab, kiosk: Kiosk, person: Member, run_id: UUID, checklist: Sequence[str]) -> Presence:
    """Release a staged run, or let a held one go on. The caller has proven device and person.

    Raises NotFound; Conflict with a fault for each interlock that forbids it. What starts, the supervisor decides.
    """
    at = lab.clock.now()

    async def work(unit: Unit) -> Presence:
        run, machine = await unit.run(run_id), await _machine(unit, kiosk.machine_id)
        job = await unit.job(run.job_id) if run else None
        if run is None or job is None or job.artifact is None or run.machine_id != machine.id:
            raise NotFound("There is no such run at this machine.")
        if not needs_release(machine):
            raise Conflict("This machine starts by itself.", code="state")
        presence = Presence(
            id=uuid4(),
            run_id=run.id,
            machine_id=machine.id,
            member_id=person.id,
            kiosk_id=kiosk.id,
            artifact_sha256=job.artifact.sha256,
            checklist=tuple(point for point in CHECKLIST if point in checklist),
            issued_at=at,
            expires_at=at + timedelta(seconds=PRESENCE_SECONDS_MAX),
        )
        judge = check_going_on if run.state is RunState.PAUSED else check
        refusals = judge(await facts(unit, lab, machine, run, job, presence))
        if refusals:
            raise _refused(refusals)
        data: dict[str, Json] = {"presence_id": str(presence.id), "kiosk_id": str(kiosk.id)}
        released = run_event(lab, "run.released", actor_of(person), job, run, data)
        await unit.add_presence(presence, released)
        return presence

    return await lab.store.write(work)


def _refused(refusals: Sequence[Refusal]) -> Conflict:
    faults = tuple(Fault(rule=no.rule, seen=no.seen or no.needed, texts={"en": no.reason}) for no in refusals)
    return Conflict(" ".join(no.reason for no in refusals), code="release.refused", faults=faults)


async def heartbeat(lab: Lab, kiosk: Kiosk, presence_id: UUID, run_id: UUID) -> Run:
    """The person is still there. Raises NotFound where this device gave no such release."""

    async def work(unit: Unit) -> Run:
        presence, run = await unit.presence_for(run_id), await unit.run(run_id)
        if presence is None or run is None or presence.id != presence_id or presence.kiosk_id != kiosk.id:
            raise NotFound("There is no such release.")
        await unit.beat(presence.id, lab.clock.now())
        return run

    return await lab.store.write(work)


async def tell_readings(lab: Lab, kiosk: Kiosk, conditions: Mapping[str, bool]) -> None:
    """What the sensors wired to the device say. Only names that its machine asks for are kept."""
    at = lab.clock.now()

    async def work(unit: Unit) -> None:
        machine = await _machine(unit, kiosk.machine_id)
        for name in machine.abilities.conditions:
            if name in conditions:
                reading = Reading(
                    machine_id=machine.id, name=name, good=conditions[name], at=at, source=str(kiosk.id)
                )
                await unit.put_reading(reading)

    await lab.store.write(work)


async def clear_at_machine(lab: Lab, kiosk: Kiosk, person: Member) -> Machine:
    """Somebody trained for this machine has looked: its bed is free. Raises Forbidden for anybody else."""
    at = lab.clock.now()

    async def work(unit: Unit) -> Machine:
        machine = await _machine(unit, kiosk.machine_id)
        if machine.machine_class not in await entitled_classes(unit, person.id, at):
            raise Forbidden(
                f"Only who is trained for {machine.machine_class} may clear it.", code="no_training"
            )
        if await unit.active_run_at(machine.id) is not None:
            raise Conflict(
                "A run is on this machine; it must end before its bed can be clear.", code="bed.in_use"
            )
        if machine.bed is Bed.CLEAR:
            return machine
        return await set_bed(unit, machine, Bed.CLEAR, actor=actor_of(person), at=at, reason="cleared")

    return await lab.store.write(work)


# --- two people ---------------------------------------------------------------------------------


async def override(lab: Lab, who: Member, machine_id: UUID, condition: str, reason: str) -> Override:
    """Do without a sensor for an hour: the first asks, a second person confirms within ten minutes.

    Raises Rejected where the machine has no such condition or no reason is given, Conflict where the one who asked
    asks again: one person is not two.
    """
    need_operator(who)
    at = lab.clock.now()

    async def work(unit: Unit) -> Override:
        machine = await _machine(unit, machine_id)
        if condition not in machine.abilities.conditions:
            raise _no_condition(machine, condition)
        open_one = _open(await standing(unit, lab, machine_id), condition, lab)
        if open_one is None:
            return await _ask(lab, unit, who, machine_id, condition, reason)
        if open_one.asked_by == who.id:
            raise Conflict("A second person must confirm it: one is not two.", code="override.two_people")
        event = _event(lab, "override.confirmed", who, machine_id, {"condition": condition})
        if not await unit.confirm_override(open_one.id, who.id, at, event):
            raise Conflict("Somebody was faster.", code="changed")
        confirmed = [one for one in await standing(unit, lab, machine_id) if one.id == open_one.id]
        return confirmed[0]

    return await lab.store.write(work)


def _open(overrides: Sequence[Override], condition: str, lab: Lab) -> Override | None:
    now = lab.clock.now()
    waiting = [one for one in overrides if one.condition == condition and one.waits(now)]
    return waiting[-1] if waiting else None


async def _ask(lab: Lab, unit: Unit, who: Member, machine_id: UUID, condition: str, reason: str) -> Override:
    if not reason.strip():
        raise Rejected(
            "Say why the sensor is done without.",
            code="override.reason",
            faults=(Fault(rule="override.reason", where="reason"),),
        )
    asked = Override(
        id=uuid4(),
        machine_id=machine_id,
        condition=condition,
        reason=reason.strip()[:200],
        asked_by=who.id,
        asked_at=lab.clock.now(),
    )
    data: dict[str, Json] = {"condition": condition, "reason": asked.reason}
    await unit.add_override(asked, _event(lab, "override.asked", who, machine_id, data))
    return asked


def _no_condition(machine: Machine, condition: str) -> Rejected:
    known = ", ".join(machine.abilities.conditions) or "none"
    return Rejected(
        f"This machine has no condition “{condition}”.",
        code="override.condition",
        faults=(
            Fault(rule="override.condition", where="condition", seen=condition, remedy=f"It has: {known}."),
        ),
    )


# --- afterwards ---------------------------------------------------------------------------------


class Judgement(StrEnum):
    """What the person says of the result: good, or why not."""

    GOOD = "good"
    NOT_THROUGH = "not_through"
    BURNT = "burnt"
    MOVED = "moved"  # the sheet or the part slipped
    WRONG_SIZE = "wrong_size"
    DRAWING = "drawing"  # the drawing was wrong
    OTHER = "other"


class Closing(StrEnum):
    """What the person says of a machine that tells nothing itself."""

    FINISHED = "finished"
    FAILED = "failed"
    NEVER_STARTED = "never_started"


CLOSABLE = frozenset({RunState.START_SENT, RunState.RUNNING, RunState.PAUSED, RunState.UNCLEAR})


async def close_here(lab: Lab, kiosk: Kiosk, run_id: UUID, closing: Closing, minutes: int | None) -> Run:
    """End a run by the word of the person who released it on this device; only where the machine itself tells no end.

    `minutes` is how long it took by their clock. Raises NotFound where they released no such run, Conflict where the
    machine tells its end itself, or the run is not under way.
    """

    async def work(unit: Unit) -> Run:
        person = await _releaser(unit, kiosk, run_id)
        run, machine = await unit.run(run_id), await _machine(unit, kiosk.machine_id)
        job = await unit.job(run.job_id) if run else None
        if run is None or job is None:
            raise NotFound("There is no such run.")
        if machine.abilities.tells_end:
            raise Conflict("This machine tells itself when it is done.", code="state")
        if run.state not in CLOSABLE:
            raise Conflict(f"The run is {run.state.value}.", code="state")
        ended = Ended(
            remote_name=run.remote_name,
            outcome=Outcome.FINISHED if closing is Closing.FINISHED else Outcome.FAILED,
            cause=_CLOSING_CAUSES[closing],
            words="Closed at the machine.",
        )
        seconds = None if minutes is None else 60 * minutes
        done = await end_run(lab, unit, run, ended, actor=actor_of(person), observed_seconds=seconds)
        await unit.emit(run_event(lab, "run.decided", actor_of(person), job, run, {"closing": closing.value}))
        return done

    return await lab.store.write(work)


_CLOSING_CAUSES: Mapping[Closing, Cause | None] = {
    Closing.FINISHED: None,
    Closing.FAILED: Cause.UNKNOWN,
    Closing.NEVER_STARTED: Cause.NEVER_STARTED,
}


async def _releaser(unit: Unit, kiosk: Kiosk, run_id: UUID) -> Member:
    """Who released the run on this device. Raises NotFound where that was nobody."""
    presence = await unit.presence_for(run_id)
    person = await unit.member(presence.member_id) if presence else None
    if presence is None or person is None or presence.kiosk_id != kiosk.id:
        raise NotFound("There is no such run.")
    return person


async def judge_here(lab: Lab, kiosk: Kiosk, run_id: UUID, verdict: Judgement) -> Run:
    """By the person who released it on this device, who still stands there. Raises NotFound where that was nobody."""
    person = await lab.store.read(lambda unit: _releaser(unit, kiosk, run_id))
    return await judge(lab, person, run_id, verdict)


async def judge(lab: Lab, who: Member, run_id: UUID, verdict: Judgement) -> Run:
    """Keep what the member, or staff, says of an ended run's result. It changes no price by itself."""

    async def work(unit: Unit) -> Run:
        run = await unit.run(run_id)
        job = await unit.job(run.job_id) if run else None
        if run is None or job is None or not (who.id == job.member_id or may_operate(who)):
            raise NotFound("There is no such run.")
        if run.ended_at is None:
            raise Conflict("The run has not ended yet.", code="state")
        await unit.emit(run_event(lab, "run.judged", actor_of(who), job, run, {"verdict": verdict.value}))
        return run

    return await lab.store.write(work)


def _event(lab: Lab, topic: str, who: Member, machine_id: UUID, data: dict[str, Json]) -> Event:
    return Event(topic=topic, at=lab.clock.now(), actor=actor_of(who), data=data, machine_id=machine_id)
