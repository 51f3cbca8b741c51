"""How a Run ends, whoever says so: usage, bed, job and money in one transaction, once."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from orchestrator.domain.errors import NotFound
from orchestrator.domain.event import SYSTEM, Event, Json
from orchestrator.domain.job import Job, JobEvent
from orchestrator.domain.machine import Bed
from orchestrator.domain.metering import meter, plausible
from orchestrator.domain.run import BEFORE_START, MEMBER_PAYS, Cause, Run, RunEvent, RunState
from orchestrator.domain.usage import NOTHING, Usage
from orchestrator.flow.bill import release_all, settle_job, terms
from orchestrator.flow.lab import Lab
from orchestrator.flow.learn import learn
from orchestrator.flow.moves import change_machine, move_job, move_run, set_bed
from orchestrator.ports import Ended, Outcome, Unit

_EVENTS = {
    Outcome.FINISHED: RunEvent.FINISHED,
    Outcome.FAILED: RunEvent.FAILED,
    Outcome.CANCELLED: RunEvent.CANCELLED,
}
GO_ON = frozenset(
    {Cause.MACHINE_FAULT, Cause.POWER, Cause.SOFTWARE, Cause.NEVER_STARTED, Cause.HOUSE_MATERIAL}
)
"""After these the job runs again by itself; after the others a person decides first."""


async def end_run(
    lab: Lab,
    unit: Unit,
    run: Run,
    ended: Ended,
    *,
    actor: str = SYSTEM,
    bed: Bed = Bed.OCCUPIED,
    observed_seconds: int | None = None,
) -> Run:
    """End a run with its usage, make the bed `occupied`, and let its job go on or end. Raises Conflict if
    it has moved.

    `bed` is other than occupied only when the person who ends it has just looked (`actor`).
    """
    at = lab.clock.now()
    job = await _job(unit, run.job_id)
    cause = _cause(run, job, ended)
    usage = _usage(run, job, ended, observed_seconds)
    run = await move_run(
        unit,
        run,
        _EVENTS[ended.outcome],
        member_id=job.member_id,
        actor=actor,
        at=at,
        data={"cause": cause.value if cause else None, "words": ended.words[:500]},
        ended_at=at,
        cause=cause,
        note=ended.words[:500],
        usage=usage,
        progress_permille=1000 if ended.outcome is Outcome.FINISHED else run.progress_permille,
    )
    await unit.add_usage(run, usage, _usage_event(run, job, usage, at))
    await _occupy(unit, run.machine_id, bed, usage, actor, at)
    await _job_after(lab, unit, job, run, usage, actor, at)
    await learn(unit, run, job, usage, at)
    return run


async def _job(unit: Unit, job_id: UUID) -> Job:
    job = await unit.job(job_id)
    if job is None:
        raise NotFound("The run's job is gone.")
    return job


def _cause(run: Run, job: Job, ended: Ended) -> Cause | None:
    if ended.outcome is Outcome.FINISHED:
        return None
    if ended.outcome is Outcome.CANCELLED:
        return ended.cause or (Cause.MEMBER_CANCEL if job.cancel_requested else Cause.STAFF_CANCEL)
    return ended.cause or (Cause.SOFTWARE if run.state in BEFORE_START else Cause.MACHINE_FAULT)


def _usage(run: Run, job: Job, ended: Ended, observed_seconds: int | None) -> Usage:
    if run.state in BEFORE_START or ended.cause is Cause.NEVER_STARTED or job.artifact is None:
        return NOTHING
    furthest = max((p for p in (run.position_bytes, ended.position_bytes) if p is not None), default=None)
    return meter(
        job.artifact,
        finished=ended.outcome is Outcome.FINISHED,
        machine_seconds=ended.machine_seconds,
        filament_millimetres=ended.filament_millimetres,
        position_bytes=furthest,
        observed_seconds=observed_seconds,
        beam_seconds=ended.beam_seconds,
        progress_permille=run.progress_permille,
    )


def _usage_event(run: Run, job: Job, usage: Usage, at: datetime) -> Event:
    data: dict[str, Json] = {
        "machine_seconds": usage.machine_seconds,
        "filament_milligrams": usage.filament_milligrams,
        "beam_seconds": usage.beam_seconds,
        "sheet_mm2": usage.sheet_mm2,
        "quality": usage.quality.value,
    }
    return Event(
        topic="usage.recorded",
        at=at,
        actor=SYSTEM,
        data=data,
        member_id=job.member_id,
        job_id=job.id,
        run_id=run.id,
        machine_id=run.machine_id,
    )


async def _occupy(unit: Unit, machine_id: UUID, bed: Bed, usage: Usage, actor: str, at: datetime) -> None:
    """The bed, and what is left on the spool where somebody had said it."""
    machine = await unit.machine(machine_id)
    if machine is None:
        return
    left = machine.stock_milligrams
    after = None if left is None else max(0, left - usage.filament_milligrams)
    if machine.bed is not bed:
        await set_bed(unit, machine, bed, actor=actor, at=at, reason="run_ended", stock_milligrams=after)
    elif after != left:
        await change_machine(
            unit, machine, topic="machine.changed", actor=actor, at=at, stock_milligrams=after
        )


async def _job_after(
    lab: Lab, unit: Unit, job: Job, run: Run, usage: Usage, actor: str, at: datetime
) -> None:
    """The row of the failure matrix (billing reference, section 4) that this end falls under."""
    if run.state is RunState.FINISHED:
        await settle_or_ask(unit, job, usage, actor, at)
        return
    if job.cancel_requested:
        if run.cause in MEMBER_PAYS and run.start_sent_at is not None:
            await settle_job(unit, job, usage, run.cause, at)
        else:
            await release_all(unit, job, at)
        await move_job(unit, job, JobEvent.CANCELLED, actor=actor, at=at)
        return
    if run.state is RunState.CANCELLED and run.cause is Cause.NEVER_STARTED:
        # Its time to be released ran out: nobody's fault, but the next one's turn now.
        reason = f"{run.note} It waits for another turn."
        await move_job(unit, job, JobEvent.RUN_LOST, actor=actor, at=at, queued_at=at, reason=reason)
        return
    why = run.cause.value if run.cause else Cause.UNKNOWN.value
    if run.cause in GO_ON and job.failed_runs + 1 < lab.limits.run_attempts:
        event, reason = JobEvent.RUN_LOST, f"The last run did not finish ({why}); it runs again at no charge."
    else:
        event, reason = JobEvent.STUCK, f"The run ended: {why}. {run.note}".strip()
    await move_job(unit, job, event, actor=actor, at=at, failed_runs=job.failed_runs + 1, reason=reason)


async def settle_or_ask(unit: Unit, job: Job, usage: Usage, actor: str, at: datetime) -> None:
    """Settle a finished job; usage beyond what the quote makes plausible is a technician's to settle."""
    quote, tariff = await terms(unit, job)
    if not plausible(usage, tariff, quote.total):
        used = (
            f"{usage.filament_milligrams} mg"
            if usage.beam_seconds is None
            else f"{usage.beam_seconds} s of beam"
        )
        reason = (
            f"The machine reports {usage.machine_seconds} s and {used}, more than one and a half times the "
            "quote: a technician decides."
        )
        await move_job(unit, job, JobEvent.STUCK, actor=actor, at=at, reason=reason)
        return
    await settle_job(unit, job, usage, None, at)
    await move_job(unit, job, JobEvent.RUN_FINISHED, actor=actor, at=at, reason="")
