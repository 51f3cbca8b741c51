"""What stands beside a machine that only a person starts, for those who look at the board: its devices, its sensors,
what two people have agreed to do without, whom it waits for, and what is wrong with that. Read only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from orchestrator.domain.interlocks import bad_conditions, folded
from orchestrator.domain.machine import Machine, needs_release
from orchestrator.domain.matching import Refusal
from orchestrator.domain.member import Member, Permission
from orchestrator.domain.presence import Kiosk, Override
from orchestrator.domain.run import MAYBE_ON_METAL, Run, RunState
from orchestrator.flow.act import may
from orchestrator.flow.attend import standing
from orchestrator.flow.lab import Lab
from orchestrator.ports import Unit

STAGED = "run.staged"


@dataclass(frozen=True, kw_only=True)
class Beside:
    """Names of people are left out (empty) for whoever may not see all jobs."""

    kiosks: tuple[Kiosk, ...] = ()  # those that may speak for it
    bad: tuple[Refusal, ...] = ()  # inputs that are not, or not known to be, as they must
    overrides: tuple[Override, ...] = ()  # that stand, or wait for a second person
    names: Mapping[UUID, str] = field(default_factory=dict)  # of the people of the overrides
    waits_for: str = ""  # whose staged run waits to be released
    staged_at: datetime | None = None  # since when; also of a run that has left that state
    trouble: str = ""  # `not_withdrawn`, `run_without_presence`; empty: none


async def beside(lab: Lab, who: Member, machines: Sequence[Machine]) -> Mapping[UUID, Beside]:
    """By machine; printers have none."""

    async def work(unit: Unit) -> Mapping[UUID, Beside]:
        return {m.id: await _beside(lab, unit, who, m) for m in machines if needs_release(m)}

    return await lab.store.read(work)


async def _beside(lab: Lab, unit: Unit, who: Member, machine: Machine) -> Beside:
    now, staff = lab.clock.now(), may(who, Permission.ALL_JOBS)
    run = await unit.active_run_at(machine.id)
    job = await unit.job(run.job_id) if run else None
    member = await unit.member(job.member_id) if job and staff else None
    staged_at = await staged_since(unit, run) if run else None
    readings = folded(await unit.readings(machine.id), now)
    overrides = await standing(unit, lab, machine.id)
    shown = tuple(one for one in overrides if one.stands(now) or one.waits(now))
    people = {person for one in shown for person in (one.asked_by, one.confirmed_by) if person}
    return Beside(
        kiosks=tuple(one for one in await unit.kiosks(machine.id) if one.revoked_at is None),
        bad=bad_conditions(machine, readings, overrides, now),
        overrides=shown,
        names={one: await _name(unit, one) for one in people} if staff else {},
        waits_for=member.name if member else "",
        staged_at=staged_at,
        trouble=await _trouble(lab, unit, run, staged_at) if run else "",
    )


async def _name(unit: Unit, member_id: UUID) -> str:
    member = await unit.member(member_id)
    return member.name if member else ""


async def staged_since(unit: Unit, run: Run) -> datetime | None:
    """When the machine got the file; None: it has not."""
    events = await unit.events(0, job_id=run.job_id, run_id=run.id)
    return next((event.at for event in events if event.topic == STAGED), None)


async def _trouble(lab: Lab, unit: Unit, run: Run, staged_at: datetime | None) -> str:
    """Told from how things stand, so that it is gone when they are mended."""
    if run.state is RunState.STAGED and staged_at is not None:
        kept = (lab.clock.now() - staged_at).total_seconds()
        return "not_withdrawn" if kept > lab.limits.release_seconds + _GRACE_SECONDS else ""
    if run.state in MAYBE_ON_METAL:
        presence = await unit.presence_for(run.id)
        return "run_without_presence" if presence is None or presence.used_at is None else ""
    return ""


_GRACE_SECONDS = 30
"""In which the machine is asked to give the file back."""
