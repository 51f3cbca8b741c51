"""Pair waiting jobs with free machines. Wakes on events, never on a tick: snapshot, choose (pure), claim
(compare-and-set)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from orchestrator.domain.errors import Conflict
from orchestrator.domain.event import SYSTEM, Event
from orchestrator.domain.job import Job, JobEvent, JobState
from orchestrator.domain.machine import Machine
from orchestrator.domain.matching import Candidate, Pairing, Station, choose, machine_refusals
from orchestrator.domain.run import Run, RunState, run_token
from orchestrator.flow.lab import Lab
from orchestrator.flow.moves import move_job
from orchestrator.ports import Unit

WAKING = ("job.queued", "machine.", "run.finished", "run.failed", "run.cancelled", "entitlement.")
"""Topics after which another pairing may be possible."""


@dataclass(frozen=True, kw_only=True)
class Situation:
    """What the chooser sees."""

    queue: tuple[Candidate, ...]
    stations: tuple[Station, ...]


async def situation(unit: Unit, site: str | None, now: datetime) -> Situation:
    """The whole queue and fleet."""
    return Situation(queue=await waiting(unit, now), stations=await stations(unit, site))


async def stations(unit: Unit, site: str | None) -> tuple[Station, ...]:
    machines = await unit.machines(site)
    runs = {run.machine_id: run.id for run in await unit.active_runs()}
    return tuple(station(machine, runs) for machine in machines)


async def waiting(unit: Unit, now: datetime) -> tuple[Candidate, ...]:
    """The queue, in its order."""
    jobs = await unit.queue()
    entitled = {
        member_id: await entitled_classes(unit, member_id, now) for member_id in {j.member_id for j in jobs}
    }
    return tuple(candidate(job, entitled[job.member_id]) for job in jobs)


async def entitled_classes(unit: Unit, member_id: UUID, now: datetime) -> frozenset[str]:
    """Machine classes the member may use at `now`."""
    held = await unit.entitlements(member_id)
    return frozenset(e.machine_class for e in held if e.until is None or e.until > now)


def candidate(job: Job, entitled: frozenset[str]) -> Candidate:
    size_mm = job.artifact.size_mm if job.artifact else (0, 0, 0)
    return Candidate(job=job, size_mm=size_mm, entitled_classes=entitled)


def station(machine: Machine, runs: Mapping[UUID, UUID]) -> Station:
    return Station(machine=machine, run_id=runs.get(machine.id))


async def dispatch(lab: Lab) -> int:
    """Claim every pairing that is possible now; returns how many were claimed."""
    seen = await lab.store.read(lambda unit: _free_and_waiting(unit, lab.site, lab.clock.now()))
    claimed = 0
    for pairing in choose(seen.queue, seen.stations):
        claimed += await claim(lab, pairing)
    return claimed


async def _free_and_waiting(unit: Unit, site: str, now: datetime) -> Situation:
    """The free machines; and the queue, but only where there is one to give it to."""
    free = tuple(s for s in await stations(unit, site) if not machine_refusals(s))
    return Situation(queue=await waiting(unit, now) if free else (), stations=free)


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
