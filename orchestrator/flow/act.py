"""What people do: cancel, pause, retry, clear a bed, hold a machine, decide what became of an unclear run.

Each is one transaction with its event, under the name of who did it. What needs the machine is only asked
for here; its supervisor carries it out.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from enum import StrEnum
from uuid import UUID

from orchestrator.domain.errors import Conflict, Forbidden, NotFound
from orchestrator.domain.event import Event
from orchestrator.domain.job import Job, JobEvent, JobState
from orchestrator.domain.machine import Bed, Machine, needs_release
from orchestrator.domain.member import PERMISSIONS, Member, Permission
from orchestrator.domain.process import Material
from orchestrator.domain.run import Cause, Run, RunEvent, RunState
from orchestrator.flow.bill import release_all, settle_job
from orchestrator.flow.finish import end_run
from orchestrator.flow.lab import Lab
from orchestrator.flow.moves import actor_of, change_machine, move_job, move_run, run_event, set_bed
from orchestrator.flow.submit import prepare_id, start_preparing
from orchestrator.ports import Ended, Outcome, Unit


def may(who: Member, permission: Permission) -> bool:
    return who.active and permission in PERMISSIONS[who.role]


async def own_job(unit: Unit, who: Member, job_id: UUID) -> Job:
    """The job, if `who` may see it; a foreign one looks exactly like a missing one."""
    job = await unit.job(job_id)
    if job is None or (job.member_id != who.id and not may(who, Permission.ALL_JOBS)):
        raise NotFound("There is no such job.")
    return job


def may_operate(who: Member) -> bool:
    return may(who, Permission.OPERATE)


def need_operator(who: Member) -> None:
    if not may_operate(who):
        raise Forbidden("Only the lab's staff may do this.")


# --- jobs ---------------------------------------------------------------------------------------


async def cancel(lab: Lab, who: Member, job_id: UUID) -> Job:
    """Cancel a job. Before a run has it, at once and for free; during a run, as soon as the machine has
    stopped."""

    async def work(unit: Unit) -> tuple[Job, Job]:
        job = await own_job(unit, who, job_id)
        if job.state is JobState.ACTIVE:
            return job, await _ask_cancel(lab, unit, who, job)
        at = lab.clock.now()
        moved = await move_job(unit, job, JobEvent.CANCELLED, actor=actor_of(who), at=at, reason="")
        if job.state is not JobState.QUOTED:
            await release_all(unit, job, at)
        return job, moved

    before, after = await lab.store.write(work)
    if before.state is JobState.PREPARING:
        await lab.work.cancel(prepare_id(before))
    return after


async def _ask_cancel(lab: Lab, unit: Unit, who: Member, job: Job) -> Job:
    if job.cancel_requested:
        return job
    run = await _active_run(unit, job)
    event = run_event(lab, "run.cancel_requested", actor_of(who), job, run)
    return await unit.change_job(job, replace(job, cancel_requested=True), event)


async def pause(lab: Lab, who: Member, job_id: UUID) -> Job:
    """Ask the machine to pause; done when the machine says so."""
    return await _ask_run(lab, who, job_id, "run.pause_requested", frozenset({RunState.RUNNING}))


async def resume(lab: Lab, who: Member, job_id: UUID) -> Job:
    """Ask the machine to go on. One that only a person starts goes on only by a release there: Forbidden from here."""
    await _refuse_remote(lab, who, job_id)
    return await _ask_run(lab, who, job_id, "run.resume_requested", frozenset({RunState.PAUSED}))


async def _refuse_remote(lab: Lab, who: Member, job_id: UUID) -> None:
    no = Forbidden("This machine goes on only by a release at the machine.", code="laser.remote_start")

    async def work(unit: Unit) -> bool:
        job = await own_job(unit, who, job_id)
        run = await _active_run(unit, job)
        machine = await unit.machine(run.machine_id)
        if machine is None or not needs_release(machine):
            return False
        await keep_refused(unit, run_event(lab, "release.refused", actor_of(who), job, run), no)
        return True

    if await lab.store.write(work):
        raise no


REFUSED_A_MINUTE = 5
"""Refused starts that the log keeps of one machine in a minute; somebody who goes on asking fills no disk."""


async def keep_refused(unit: Unit, event: Event, no: Forbidden) -> None:
    """Keep that somebody tried to start a machine from elsewhere.

    Raises `no` where enough of it is kept. That takes the count of this one back with it, so that of a flood that
    never ends some are kept in every minute.
    """
    key = f"release.refused:{event.machine_id}"
    if await unit.count_attempt(key, event.at, 60) > REFUSED_A_MINUTE:
        raise no
    await unit.emit(event)


async def _ask_run(lab: Lab, who: Member, job_id: UUID, topic: str, allowed: frozenset[RunState]) -> Job:
    async def work(unit: Unit) -> Job:
        job = await own_job(unit, who, job_id)
        run = await _active_run(unit, job)
        if run.state not in allowed:
            raise Conflict(f"The run is {run.state.value}.", code="state")
        await unit.emit(run_event(lab, topic, actor_of(who), job, run))
        return job

    return await lab.store.write(work)


async def _active_run(unit: Unit, job: Job) -> Run:
    for run in await unit.runs_of(job.id):
        if run.ended_at is None:
            return run
    raise Conflict("No run of this job is under way.", code="state")


async def retry(lab: Lab, who: Member, job_id: UUID) -> Job:
    """Let a job in `attention` try again, under the same hold."""

    async def work(unit: Unit) -> Job:
        job = await own_job(unit, who, job_id)
        need_operator(who)
        at = lab.clock.now()
        return await move_job(
            unit, job, JobEvent.RETRIED, actor=actor_of(who), at=at, reason="", failed_runs=0
        )

    job = await lab.store.write(work)
    await start_preparing(lab, job)
    return job


async def give_up(lab: Lab, who: Member, job_id: UUID) -> Job:
    """End a job in `attention` without a result: charged nothing."""

    async def work(unit: Unit) -> Job:
        need_operator(who)
        job = await own_job(unit, who, job_id)
        at = lab.clock.now()
        moved = await move_job(unit, job, JobEvent.GIVEN_UP, actor=actor_of(who), at=at)
        await release_all(unit, job, at)
        return moved

    return await lab.store.write(work)


async def settle(lab: Lab, who: Member, job_id: UUID) -> Job:
    """A technician accepts a finished run's usage that looked implausible; still never above the hold."""

    async def work(unit: Unit) -> Job:
        need_operator(who)
        job = await own_job(unit, who, job_id)
        finished = [run for run in await unit.runs_of(job.id) if run.state is RunState.FINISHED]
        if not finished or finished[-1].usage is None:
            raise Conflict("No run of this job has finished; there is nothing to settle.", code="state")
        at = lab.clock.now()
        moved = await move_job(unit, job, JobEvent.SETTLED, actor=actor_of(who), at=at)
        await settle_job(unit, job, finished[-1].usage, None, at)
        return moved

    return await lab.store.write(work)


# --- machines -----------------------------------------------------------------------------------


async def _on_machine(
    lab: Lab, who: Member, machine_id: UUID, do: Callable[[Unit, Machine], Awaitable[Machine]]
) -> Machine:
    need_operator(who)

    async def work(unit: Unit) -> Machine:
        machine = await unit.machine(machine_id)
        if machine is None:
            raise NotFound("There is no such machine.")
        return await do(unit, machine)

    return await lab.store.write(work)


async def clear_bed(lab: Lab, who: Member, machine_id: UUID) -> Machine:
    """A person has looked: the bed is free. Refused while a run may be on it."""

    async def do(unit: Unit, machine: Machine) -> Machine:
        run = await unit.active_run_at(machine.id)
        if run is not None:
            raise Conflict(
                f"A run is {run.state.value} on this machine; it must end before its bed can be clear.",
                code="bed.in_use",
            )
        if machine.bed is Bed.CLEAR:
            return machine
        return await set_bed(
            unit, machine, Bed.CLEAR, actor=actor_of(who), at=lab.clock.now(), reason="cleared"
        )

    return await _on_machine(lab, who, machine_id, do)


async def occupy_bed(lab: Lab, who: Member, machine_id: UUID) -> Machine:
    """Take a clearing back: the bed is not free after all."""

    async def do(unit: Unit, machine: Machine) -> Machine:
        if machine.bed is Bed.OCCUPIED:
            return machine
        return await set_bed(
            unit, machine, Bed.OCCUPIED, actor=actor_of(who), at=lab.clock.now(), reason="taken_back"
        )

    return await _on_machine(lab, who, machine_id, do)


async def hold(lab: Lab, who: Member, machine_id: UUID, reason: str) -> Machine:
    """Keep a machine from taking new work; what it does goes on."""
    return await _set(lab, who, machine_id, held=reason.strip()[:200] or "held")


async def unhold(lab: Lab, who: Member, machine_id: UUID) -> Machine:
    return await _set(lab, who, machine_id, held="")


async def maintenance(lab: Lab, who: Member, machine_id: UUID, on: bool) -> Machine:
    return await _set(lab, who, machine_id, maintenance=on)


async def load_material(
    lab: Lab, who: Member, machine_id: UUID, material: Material | None, **mounted: object
) -> Machine:
    """Say what is loaded; matching goes by it. `mounted`: `colour`, `stock_milligrams`, `nozzle_micrometres` where they
    are said too; another spool's colour and weight are not known until somebody says them."""
    spool: dict[str, object] = {"colour": None, "stock_milligrams": None}
    return await _set(lab, who, machine_id, material=material, **(spool | mounted))


async def _set(lab: Lab, who: Member, machine_id: UUID, **changes: object) -> Machine:
    async def do(unit: Unit, machine: Machine) -> Machine:
        at = lab.clock.now()
        return await change_machine(
            unit, machine, topic="machine.changed", actor=actor_of(who), at=at, **changes
        )

    return await _on_machine(lab, who, machine_id, do)


# --- runs that only a person can resolve --------------------------------------------------------


class Verdict(StrEnum):
    FINISHED = "finished"  # the part is there and it is good
    FAILED = "failed"  # it began and did not end well
    NEVER_STARTED = "never_started"  # nothing was printed; the bed waits for its clearing as after any run
    STILL_RUNNING = "still_running"  # it is printing now


async def decide_run(lab: Lab, who: Member, run_id: UUID, verdict: Verdict) -> Run:
    """Resolve an unclear run by what a person saw at the machine. Raises Conflict if it is not unclear (any
    more)."""
    need_operator(who)

    async def work(unit: Unit) -> Run:
        run = await unit.run(run_id)
        if run is None:
            raise NotFound("There is no such run.")
        if run.state is not RunState.UNCLEAR:
            raise Conflict(f"The run is {run.state.value}; there is nothing to decide.", code="state")
        job = await unit.job(run.job_id)
        if job is None:
            raise NotFound("The run's job is gone.")
        decided = await _apply(lab, unit, who, run, job, verdict)
        await unit.emit(run_event(lab, "run.decided", actor_of(who), job, run))
        return decided

    return await lab.store.write(work)


async def _apply(lab: Lab, unit: Unit, who: Member, run: Run, job: Job, verdict: Verdict) -> Run:
    actor, at = actor_of(who), lab.clock.now()
    if verdict is Verdict.STILL_RUNNING:
        started_at = run.started_at or at
        return await move_run(
            unit,
            run,
            RunEvent.SEEN_RUNNING,
            member_id=job.member_id,
            actor=actor,
            at=at,
            started_at=started_at,
        )
    ended = {
        Verdict.FINISHED: Ended(remote_name=run.remote_name, outcome=Outcome.FINISHED),
        Verdict.FAILED: Ended(remote_name=run.remote_name, outcome=Outcome.FAILED, cause=Cause.MACHINE_FAULT),
        Verdict.NEVER_STARTED: Ended(
            remote_name=run.remote_name, outcome=Outcome.FAILED, cause=Cause.NEVER_STARTED
        ),
    }[verdict]
    return await end_run(lab, unit, run, ended, actor=actor)
