"""Questions asked of the store, read only, each cut to what the asker may see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from orchestrator.domain.calibration import seconds_left
from orchestrator.domain.errors import NotFound
from orchestrator.domain.event import Event
from orchestrator.domain.file import File
from orchestrator.domain.job import Job, JobState
from orchestrator.domain.machine import Machine
from orchestrator.domain.matching import Station, machine_refusals, refusals
from orchestrator.domain.member import Member, Permission
from orchestrator.domain.order import score
from orchestrator.domain.process import Colour, Material
from orchestrator.domain.quote import Quote
from orchestrator.domain.run import Run
from orchestrator.flow.act import may, need_operator, own_job
from orchestrator.flow.lab import Lab
from orchestrator.flow.sight import Outlook
from orchestrator.flow.views import AccountView, Explanation, JobPage, JobView, MachineView, QueueView
from orchestrator.ports import Unit


async def file_of(lab: Lab, who: Member, file_id: UUID) -> File:
    file = await lab.store.read(lambda unit: unit.file(file_id))
    if file is None or (file.owner_id != who.id and not may(who, Permission.ALL_JOBS)):
        raise NotFound("There is no such file.")
    return file


async def files_of(lab: Lab, who: Member) -> Sequence[File]:
    """One's own, newest first; what was refused is not kept in view."""
    files = await lab.store.read(lambda unit: unit.files(who.id))
    return [file for file in files if not file.refusals]


async def quote_of(lab: Lab, who: Member, quote_id: UUID) -> Quote:
    quote = await lab.store.read(lambda unit: unit.quote(quote_id))
    if quote is None or (quote.member_id != who.id and not may(who, Permission.ALL_JOBS)):
        raise NotFound("There is no such quote.")
    return quote


async def job_view(lab: Lab, who: Member, job_id: UUID) -> JobView:
    async def work(unit: Unit) -> JobView:
        job = await own_job(unit, who, job_id)
        return await _view(unit, job, await lab.sight.outlook(unit, lab.moment))

    return await lab.store.read(work)


async def job_page(
    lab: Lab,
    who: Member,
    *,
    everybody: bool = False,
    states: frozenset[JobState] | None = None,
    before: tuple[datetime, UUID] | None = None,
    limit: int = 50,
) -> JobPage:
    """Newest first. `everybody` is granted only to those who may see all jobs."""
    member_id = None if everybody and may(who, Permission.ALL_JOBS) else who.id

    async def work(unit: Unit) -> JobPage:
        jobs = await unit.jobs(member_id=member_id, states=states, before=before, limit=limit + 1)
        shown, more = jobs[:limit], len(jobs) > limit
        outlook = await lab.sight.outlook(unit, lab.moment)
        views = [await _view(unit, job, outlook) for job in shown]
        return JobPage(
            items=tuple(views), next=(shown[-1].created_at, shown[-1].id) if more and shown else None
        )

    return await lab.store.read(work)


async def _view(unit: Unit, job: Job, outlook: Outlook) -> JobView:
    quote, file, member = (
        await unit.quote(job.quote_id),
        await unit.file(job.file_id),
        await unit.member(job.member_id),
    )
    if quote is None or file is None or member is None:
        raise NotFound("The job's quote, file or member is gone.")
    runs = tuple(await unit.runs_of(job.id))
    machines = {run.machine_id: await _machine(unit, run.machine_id) for run in runs}
    return JobView(
        job=job,
        quote=quote,
        file=file,
        member=member,
        runs=runs,
        machines=machines,
        place=outlook.places.get(job.id),
        forecast=outlook.forecasts.get(job.id),
        bill=await unit.bill(job.id),
        seconds_left=_left(job, runs, outlook),
    )


def _left(job: Job, runs: Sequence[Run], outlook: Outlook) -> int | None:
    if not runs or job.artifact is None:
        return None
    learned = outlook.seen.learned.of(job.artifact.profile, runs[-1].machine_id)
    return seconds_left(job.artifact, runs[-1], learned)


async def _machine(unit: Unit, machine_id: UUID) -> Machine:
    machine = await unit.machine(machine_id)
    if machine is None:
        raise NotFound("There is no such machine.")
    return machine


async def explain(lab: Lab, who: Member, job_id: UUID) -> Explanation:
    """Per machine of the lab, every rule that says no to this job now; its score, and its forecast."""

    async def work(unit: Unit) -> Explanation:
        job = await own_job(unit, who, job_id)
        outlook = await lab.sight.outlook(unit, lab.moment)
        return await _explained(lab, unit, job, outlook)

    return await lab.store.read(work)


async def _explained(lab: Lab, unit: Unit, job: Job, outlook: Outlook) -> Explanation:
    seen, view = outlook.seen, await _view(unit, job, outlook)
    c = await lab.sight.candidate(unit, job, seen.learned)
    if c is None:
        raise NotFound("The job's member is gone.")
    waits = job.state is JobState.QUEUED
    return Explanation(
        job=view,
        machines=tuple((s.machine, refusals(c, s, seen.moment)) for s in seen.stations),
        score=score(c, seen.standing, seen.moment.policy, seen.moment.now) if waits else None,
    )


async def queue(lab: Lab, who: Member, *, limit: int = 50) -> QueueView:
    """The queue in its order, each job with the terms of its score and what stands in its way; for the staff."""
    need_operator(who)

    async def work(unit: Unit) -> QueueView:
        outlook = await lab.sight.outlook(unit, lab.moment)
        shown = outlook.seen.queue[:limit]
        waiting = [await _explained(lab, unit, c.job, outlook) for c in shown]
        begun = [one for one in await unit.foretold() if one.started_at is not None]
        return QueueView(
            waiting=tuple(waiting),
            more=len(outlook.seen.queue) - len(shown),
            policy=outlook.seen.moment.policy,
            told=len(begun),
            kept=sum(one.started_at is not None and one.started_at <= one.start_p90 for one in begun),
        )

    return await lab.store.read(work)


async def fleet(lab: Lab, who: Member) -> tuple[MachineView, ...]:
    async def work(unit: Unit) -> tuple[MachineView, ...]:
        runs = {run.machine_id: run for run in await unit.active_runs()}
        return tuple([await _machine_view(unit, who, m, runs.get(m.id)) for m in await unit.machines()])

    return await lab.store.read(work)


async def colours_loaded(lab: Lab) -> Mapping[Material, tuple[Colour, ...]]:
    """By material, the colours of the spools that people have told of."""
    found: dict[Material, set[Colour]] = {}
    for machine in await lab.store.read(lambda unit: unit.machines()):
        if machine.material is not None and machine.colour is not None:
            found.setdefault(machine.material, set()).add(machine.colour)
    order = list(Colour)
    return {material: tuple(sorted(some, key=order.index)) for material, some in found.items()}


async def machine_view(lab: Lab, who: Member, machine_id: UUID) -> MachineView:
    async def work(unit: Unit) -> MachineView:
        machine = await _machine(unit, machine_id)
        return await _machine_view(unit, who, machine, await unit.active_run_at(machine_id))

    return await lab.store.read(work)


async def _machine_view(unit: Unit, who: Member, machine: Machine, run: Run | None) -> MachineView:
    job = await unit.job(run.job_id) if run else None
    known = job is not None and (job.member_id == who.id or may(who, Permission.ALL_JOBS))
    file = await unit.file(job.file_id) if job and known else None
    runs = {machine.id: run.id} if run else {}
    return MachineView(
        machine=machine,
        run=run,
        job=job if known else None,
        file_name=file.name if file else "",
        refusals=machine_refusals(Station(machine=machine, run_id=runs.get(machine.id))),
    )


async def account(lab: Lab, who: Member) -> AccountView:
    balance = await lab.store.read(lambda unit: unit.balance(who.account_id))
    return AccountView(member=who, balance=balance)


async def job_events(lab: Lab, who: Member, job_id: UUID, after: int, limit: int) -> Sequence[Event]:
    async def work(unit: Unit) -> Sequence[Event]:
        job = await own_job(unit, who, job_id)
        return await unit.events(after, limit=limit, job_id=job.id)

    return await lab.store.read(work)


async def layer(lab: Lab, who: Member, job_id: UUID, number: int) -> bytes:
    """One layer of a prepared job, from 1, as an SVG picture. Raises NotFound, Unavailable."""
    job = await lab.store.read(lambda unit: own_job(unit, who, job_id))
    if job.artifact is None or not 1 <= number <= job.artifact.layers:
        raise NotFound("There is no such layer.")
    path = lab.files.path(job.artifact.sha256)
    return await lab.workshop.layer(path, job.artifact.profile, number)


async def events(lab: Lab, who: Member, after: int, limit: int = 200) -> Sequence[Event]:
    """What `who` may see of the log: everything for the staff; for a member, their own jobs and what every
    machine says."""
    everything = may(who, Permission.ALL_JOBS)
    return await lab.store.read(
        lambda unit: unit.events(after, limit=limit, member_id=None if everything else who.id)
    )


async def head(lab: Lab) -> int:
    return await lab.store.read(lambda unit: unit.head())
