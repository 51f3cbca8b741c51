"""The only ways a Job, a Run or a Machine changes: by its table, with compare-and-set, with its event row."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from orchestrator.domain import job as jobs
from orchestrator.domain import run as runs
from orchestrator.domain.errors import Conflict
from orchestrator.domain.event import JOB_TOPICS, Event, Json
from orchestrator.domain.job import Job, JobEvent
from orchestrator.domain.machine import Bed, Machine
from orchestrator.domain.member import Member
from orchestrator.domain.run import Run, RunEvent
from orchestrator.flow.lab import Lab, Workbench
from orchestrator.ports import Unit

T = TypeVar("T")

RACES = frozenset({"exists", "changed"})


TRIES = 4


def anything(_present: object | None) -> None:
    """The asker does not mind in what state it is; one who does raises in here."""


async def settled(lab: Lab, work: Callable[[Unit], Awaitable[T]], *, over: frozenset[str] = RACES) -> T:
    """Write; and where somebody was faster by less than a transaction, look again at what there is now.

    For what is idempotent by its name. `over`: the codes of conflicts that a second look may settle.
    """
    for turn in range(TRIES):
        try:
            return await lab.store.write(work)
        except Conflict as faster:
            if turn == TRIES - 1 or faster.code not in over:
                raise
    raise AssertionError("the last try has returned or raised")


def actor_of(member: Member) -> str:
    return f"member:{member.id}"


def run_event(
    lab: Workbench, topic: str, actor: str, job: Job, run: Run, data: dict[str, Json] | None = None
) -> Event:
    """What happened to a run now and moved it nowhere; its job's member may see it."""
    return Event(
        topic=topic,
        at=lab.clock.now(),
        actor=actor,
        data=data or {},
        member_id=job.member_id,
        job_id=job.id,
        run_id=run.id,
        machine_id=run.machine_id,
    )


async def move_job(
    unit: Unit,
    job: Job,
    event: JobEvent,
    *,
    actor: str,
    at: datetime,
    data: dict[str, Json] | None = None,
    **changes: Any,
) -> Job:
    """Raises IllegalTransition where the table has no such way, Conflict where somebody was faster."""
    to = jobs.after(job.state, event)
    row = Event(
        topic=JOB_TOPICS[to],
        at=at,
        actor=actor,
        data={"from": job.state.value, "event": event.value} | (data or {}),
        member_id=job.member_id,
        job_id=job.id,
    )
    return await unit.change_job(job, replace(job, state=to, **changes), row)


async def move_run(
    unit: Unit,
    run: Run,
    event: RunEvent,
    *,
    member_id: UUID,
    actor: str,
    at: datetime,
    data: dict[str, Json] | None = None,
    **changes: Any,
) -> Run:
    """As move_job. `member_id` is the job's member, who may see the event."""
    to = runs.after(run.state, event)
    row = Event(
        topic=f"run.{to.value}",
        at=at,
        actor=actor,
        data={"from": run.state.value, "event": event.value} | (data or {}),
        member_id=member_id,
        job_id=run.job_id,
        run_id=run.id,
        machine_id=run.machine_id,
    )
    return await unit.change_run(run, replace(run, state=to, **changes), row)


async def set_bed(
    unit: Unit, machine: Machine, bed: Bed, *, actor: str, at: datetime, reason: str, **changes: Any
) -> Machine:
    """Change the gate. Only a person's act, or the undoing of a start that was refused, may make it CLEAR."""
    row = Event(
        topic="machine.bed_changed",
        at=at,
        actor=actor,
        data={"from": machine.bed.value, "to": bed.value, "reason": reason},
        machine_id=machine.id,
    )
    return await unit.change_machine(machine, replace(machine, bed=bed, **changes), row)


async def change_machine(
    unit: Unit, machine: Machine, *, topic: str, actor: str, at: datetime, **changes: Any
) -> Machine:
    data: dict[str, Json] = {name: _plain(value) for name, value in changes.items() if name != "seen_at"}
    if "link" in changes:
        data["link_was"] = machine.link.value
    row = Event(topic=topic, at=at, actor=actor, data=data, machine_id=machine.id)
    return await unit.change_machine(machine, replace(machine, **changes), row)


def _plain(value: object) -> Json:
    if value is None or isinstance(value, bool | int | str):
        return value
    return str(value)
