"""Pair waiting jobs with free machines. Wakes on events, and when a window or the lab's hours begin or end; never on a
tick: snapshot, choose (pure), claim (compare-and-set)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from orchestrator.domain.choosing import Pairing, choose
from orchestrator.domain.errors import Conflict
from orchestrator.domain.event import SYSTEM, Event
from orchestrator.domain.job import JobEvent, JobState
from orchestrator.domain.run import Run, RunState, run_token
from orchestrator.flow.booking import mark_used
from orchestrator.flow.lab import Lab
from orchestrator.flow.moves import move_job
from orchestrator.flow.sight import Situation, next_boundary
from orchestrator.ports import Unit

WAKING = (
    "job.queued",
    "job.reprioritised",
    "job.approved",
    "machine.",
    "run.finished",
    "run.failed",
    "run.cancelled",
    "entitlement.",
    "member.",
    "reservation.",
    "calendar.",
)
"""Topics after which another pairing may be possible."""


@dataclass(frozen=True, kw_only=True)
class Dispatched:
    claimed: int
    look_again_at: datetime | None  # when the clock alone may make another pairing possible


async def dispatch(lab: Lab) -> Dispatched:
    """Claim every pairing that is possible now."""
    moment = lab.moment

    async def look(unit: Unit) -> tuple[Situation, Mapping[tuple[UUID, UUID], int]]:
        seen = await lab.sight.look(unit, moment, site=lab.site, free_only=True)
        return seen, await _attempts(unit, seen)

    seen, attempts = await lab.store.read(look)
    claimed = 0
    for pairing in choose(seen.queue, seen.stations, moment, attempts):
        claimed += await claim(lab, pairing)
    return Dispatched(claimed=claimed, look_again_at=next_boundary(seen))


async def _attempts(unit: Unit, seen: Situation) -> Mapping[tuple[UUID, UUID], int]:
    """How often each job that has failed did so on which machine: another one first, if there is one."""
    counted: dict[tuple[UUID, UUID], int] = {}
    for c in seen.queue:
        if c.job.failed_runs:
            for run in await unit.runs_of(c.job.id):
                key = (c.job.id, run.machine_id)
                counted[key] = counted.get(key, 0) + (run.state is RunState.FAILED)
    return counted


async def entitled_classes(unit: Unit, member_id: UUID, now: datetime) -> frozenset[str]:
    """Machine classes the member may use at `now`."""
    held = await unit.entitlements(member_id)
    return frozenset(e.machine_class for e in held if e.until is None or e.until > now)


async def claim(lab: Lab, pairing: Pairing) -> bool:
    """Give the job to the machine: the run's row and the job's move are one transaction. False: somebody
    was faster."""

    async def work(unit: Unit) -> None:
        job = await unit.job(pairing.job_id)
        if job is None or job.state is not JobState.QUEUED:
            raise Conflict("The job no longer waits.")
        run = _run(lab, pairing)
        claimed = Event(
            topic="run.claimed",
            at=run.claimed_at,
            actor=SYSTEM,
            member_id=job.member_id,
            job_id=job.id,
            run_id=run.id,
            machine_id=run.machine_id,
        )
        await move_job(unit, job, JobEvent.CLAIMED, actor=SYSTEM, at=run.claimed_at, reason="")
        await unit.add_run(run, claimed)
        member, machine = await unit.member(job.member_id), await unit.machine(run.machine_id)
        if member is not None and machine is not None:
            await mark_used(unit, member, machine, run.claimed_at)

    try:
        await lab.store.write(work)
    except Conflict:
        return False
    return True


def _run(lab: Lab, pairing: Pairing) -> Run:
    run_id = uuid4()
    return Run(
        id=run_id,
        job_id=pairing.job_id,
        machine_id=pairing.machine_id,
        token=run_token(run_id),
        state=RunState.CLAIMED,
        version=1,
        claimed_at=lab.clock.now(),
    )


def wakes(topic: str) -> bool:
    return topic.startswith(WAKING)
