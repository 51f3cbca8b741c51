"""Jobs, runs and machines. Every change is a compare-and-set on the version it was read with, and writes its event."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Row, and_, bindparam, func, or_, select, update

from orchestrator.domain.errors import NotFound
from orchestrator.domain.event import Event, Json
from orchestrator.domain.job import Artifact, Job, JobState
from orchestrator.domain.machine import Machine
from orchestrator.domain.run import ACTIVE, Run
from orchestrator.domain.usage import Usage
from orchestrator.store import tables
from orchestrator.store.codec import Shape, from_json, to_json
from orchestrator.store.unit import UnitBase, columns_of

_JOB = Shape(Job, apart=("artifact",))
_RUN, _USAGE = Shape(Run, apart=("usage",)), Shape(Usage)
_MACHINE = Shape(Machine)
_read_artifact = from_json(Artifact)

_j = tables.job.c
job_list = select(*columns_of(tables.job, _JOB.names), _j.artifact)
_job_whole = select(*columns_of(tables.job, _JOB.names), _j.artifact, _j.curve)
_JOB_BY_ID = _job_whole.where(_j.id == bindparam("id"))
_JOB_OF_QUOTE = _job_whole.where(_j.quote_id == bindparam("quote_id"))

_r, _u = tables.run.c, tables.usage.c
_run_columns = (*columns_of(tables.run, _RUN.names), *columns_of(tables.usage, _USAGE.names))
_runs = select(*_run_columns).select_from(tables.run.outerjoin(tables.usage, _u.run_id == _r.id))
_ACTIVE_STATES = sorted(state.value for state in ACTIVE)
_RUN_BY_ID = _runs.where(_r.id == bindparam("id"))
_RUNS_OF = _runs.where(_r.job_id == bindparam("job_id")).order_by(_r.claimed_at, _r.id)
_ACTIVE_RUNS = _runs.where(_r.state.in_(_ACTIVE_STATES)).order_by(_r.claimed_at, _r.id)
_ACTIVE_RUN_AT = _runs.where(_r.machine_id == bindparam("machine_id"), _r.state.in_(_ACTIVE_STATES))
_NOTE_PROGRESS = (
    update(tables.run)
    .where(_r.id == bindparam("old_id"), _r.state.in_(_ACTIVE_STATES))
    .values(
        progress_permille=bindparam("permille"),
        position_bytes=func.coalesce(bindparam("position", type_=BigInteger()), _r.position_bytes),
    )
)
_LAST_USAGE = select(func.max(_u.seq))
_USAGE_RECORDS = (
    select(*_run_columns, *columns_of(tables.job, _JOB.names), _j.artifact, _u.seq)
    .select_from(tables.usage.join(tables.run, _u.run_id == _r.id).join(tables.job, _r.job_id == _j.id))
    .where(_u.seq > bindparam("after"))
    .order_by(_u.seq)
    .limit(bindparam("count"))
)

_m = tables.machine.c
_machines = select(*columns_of(tables.machine, _MACHINE.names)).order_by(_m.name, _m.id)
_MACHINE_BY_ID = _machines.where(_m.id == bindparam("id"))
_MACHINES_OF = _machines.where(_m.site == bindparam("site"))
_CONNECTION = select(_m.connection).where(_m.id == bindparam("id"))
_DESCRIBED = ("site", "name", "kind", "machine_class", "driver", "abilities")
_DESCRIBE = update(tables.machine).where(_m.id == bindparam("old_id")).values(version=_m.version + 1)


class Work(UnitBase):
    """The part of `orchestrator.ports.Unit` about jobs, runs and machines.

    Lists of jobs come without their artifact's consumption curve, which only metering needs: `job` has it.
    """

    # jobs

    async def add_job(self, job: Job, event: Event) -> None:
        """Raises Conflict where the quote has been accepted before."""
        await self._insert(tables.job, _JOB.row(job) | _artifact_row(job.artifact))
        self._log(event)

    async def job(self, job_id: UUID) -> Job | None:
        row = await self._first(_JOB_BY_ID, id=job_id)
        return None if row is None else a_job(row[:-1], curve=row[-1])

    async def job_of_quote(self, quote_id: UUID) -> Job | None:
        row = await self._first(_JOB_OF_QUOTE, quote_id=quote_id)
        return None if row is None else a_job(row[:-1], curve=row[-1])

    async def jobs(
        self,
        *,
        member_id: UUID | None = None,
        states: Iterable[JobState] | None = None,
        before: tuple[datetime, UUID] | None = None,
        limit: int = 50,
    ) -> Sequence[Job]:
        """Newest first; `before` is the (created_at, id) of the last job of the page before."""
        statement = job_list.order_by(_j.created_at.desc(), _j.id.desc()).limit(limit)
        if member_id is not None:
            statement = statement.where(_j.member_id == member_id)
        if states is not None:
            statement = statement.where(_j.state.in_(sorted(state.value for state in states)))
        if before is not None:
            at, job_id = before
            statement = statement.where(or_(_j.created_at < at, and_(_j.created_at == at, _j.id < job_id)))
        return [a_job(row) for row in await self._all(statement)]

    async def change_job(self, before: Job, after: Job, event: Event) -> Job:
        """The job as it now is. Raises Conflict where it is no longer `before`."""
        changes = _JOB.changed(before, after)
        if after.artifact != before.artifact:
            changes |= _artifact_row(after.artifact)
        await self._change(tables.job, before.id, before.version, changes, before.state.value)
        self._log(event)
        return replace(after, version=before.version + 1)

    # runs

    async def add_run(self, run: Run, event: Event) -> None:
        """Raises Conflict where the machine or the job has an active run."""
        await self._insert(tables.run, _RUN.row(run))
        self._log(event)

    async def run(self, run_id: UUID) -> Run | None:
        row = await self._first(_RUN_BY_ID, id=run_id)
        return None if row is None else _a_run(row)

    async def runs_of(self, job_id: UUID) -> Sequence[Run]:
        """Oldest first."""
        return [_a_run(row) for row in await self._all(_RUNS_OF, job_id=job_id)]

    async def active_runs(self) -> Sequence[Run]:
        """Oldest first."""
        return [_a_run(row) for row in await self._all(_ACTIVE_RUNS)]

    async def active_run_at(self, machine_id: UUID) -> Run | None:
        row = await self._first(_ACTIVE_RUN_AT, machine_id=machine_id)
        return None if row is None else _a_run(row)

    async def change_run(self, before: Run, after: Run, event: Event) -> Run:
        """The run as it now is. Its usage is not written here, see `add_usage`. Raises Conflict where it is no
        longer `before`."""
        await self._change(
            tables.run, before.id, before.version, _RUN.changed(before, after), before.state.value
        )
        self._log(event)
        return replace(after, version=before.version + 1)

    async def note_progress(self, run_id: UUID, progress_permille: int, position_bytes: int | None) -> None:
        """A sample, not a change: no version, no event, and nothing at all once the run has ended."""
        values = {"old_id": run_id, "permille": progress_permille, "position": position_bytes}
        await self._write(_NOTE_PROGRESS, values)

    async def add_usage(self, run: Run, usage: Usage, event: Event) -> None:
        """Once a run; raises Conflict the second time."""
        self._must_write()
        await self._take_turn()
        seq = await self._number(_LAST_USAGE) + 1
        await self._insert(tables.usage, {"seq": seq, "run_id": run.id} | _USAGE.row(usage))
        self._log(event)

    async def usage_records(self, after: int, limit: int) -> Sequence[tuple[int, Run, Job]]:
        """Usage past `after`, in the order of the commits: its number, the run it belongs to, and the job."""
        rows = await self._all(_USAGE_RECORDS, after=after, count=limit)
        runs = len(_run_columns)
        return [(row[-1], _a_run(row[:runs]), a_job(row[runs:-1])) for row in rows]

    # machines

    async def machines(self, site: str | None = None) -> Sequence[Machine]:
        """By name; of one site, or all."""
        rows = await (self._all(_machines) if site is None else self._all(_MACHINES_OF, site=site))
        return [_MACHINE.value(row) for row in rows]

    async def machine(self, machine_id: UUID) -> Machine | None:
        row = await self._first(_MACHINE_BY_ID, id=machine_id)
        return None if row is None else _MACHINE.value(row)

    async def put_machine(self, machine: Machine, connection: Mapping[str, Json], event: Event) -> None:
        """Add a machine, or describe a known one anew.

        Of a known machine only what it is and how it is reached change. Its bed, its material, what was last seen of
        it and what a person decided stay: an administrator's form does not clear a bed.
        """
        row = _MACHINE.row(machine) | {"connection": to_json(connection)}
        described = {name: row[name] for name in (*_DESCRIBED, "connection")} | {"old_id": machine.id}
        if (await self._write(_DESCRIBE, described)).rowcount == 0:
            await self._insert(tables.machine, row)
        self._log(event)

    async def connection(self, machine_id: UUID) -> Mapping[str, Json]:
        """How its driver reaches it. Raises NotFound where there is no such machine."""
        row = await self._first(_CONNECTION, id=machine_id)
        if row is None:
            raise NotFound("There is no such machine.")
        known: Mapping[str, Json] = row[0]
        return known

    async def change_machine(self, before: Machine, after: Machine, event: Event) -> Machine:
        """The machine as it now is. Raises Conflict where it is no longer `before`."""
        await self._change(tables.machine, before.id, before.version, _MACHINE.changed(before, after))
        self._log(event)
        return replace(after, version=before.version + 1)


def _artifact_row(artifact: Artifact | None) -> dict[str, Any]:
    if artifact is None:
        return {"artifact": None, "artifact_sha256": None, "curve": None}
    return {
        "artifact": to_json(replace(artifact, curve=())),
        "artifact_sha256": artifact.sha256,
        "curve": to_json(artifact.curve),
    }


def a_job(row: Row[Any] | Sequence[Any], curve: Sequence[Sequence[int]] | None = None) -> Job:
    stored = row[-1]
    if stored is None:
        return _JOB.value(row, artifact=None)
    return _JOB.value(row, artifact=_read_artifact(stored | {"curve": curve or ()}))


def _a_run(row: Row[Any] | Sequence[Any]) -> Run:
    """A run, and the usage beside it where there is one."""
    measured = row[len(_RUN.names) :]
    return _RUN.value(row, usage=None if measured[0] is None else _USAGE.value(measured))
