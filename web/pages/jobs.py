"""The pages of a member's jobs: the list with its drop zone, and one job's story."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode
from uuid import UUID

from aiohttp import web

from orchestrator.domain.errors import Conflict, EtabliError, NotFound, Rejected
from orchestrator.domain.event import Event
from orchestrator.domain.job import ENDED, Job, JobState
from orchestrator.domain.machine import Machine, needs_release
from orchestrator.domain.member import Member, Permission
from orchestrator.domain.process import CutProcess
from orchestrator.domain.run import RunState
from orchestrator.flow import act, release, report
from orchestrator.flow.beside import STAGED
from orchestrator.flow.lab import Lab
from orchestrator.flow.prepare import slicing
from orchestrator.flow.views import Explanation, JobView
from web.errors import Problem
from web.pages import cuts
from web.pages.face import as_id, form_of, id_in, lab_of, locale_of, me, page, problem, reader_of, see
from web.pages.story import buttons, may_judge

FILES_SHOWN = 5
EVENTS_SHOWN = 200
JOBS_SHOWN = 30


async def listing(request: web.Request) -> web.StreamResponse:
    return await listed(request)


async def listed(
    request: web.Request, *, refusal: EtabliError | None = None, status: int = 200
) -> web.StreamResponse:
    lab, who = lab_of(request), me(request)
    jobs = await report.job_page(lab, who, before=_cursor(request), limit=JOBS_SHOWN)
    return page(
        request,
        "jobs.html",
        status=status,
        page=jobs,
        here=request.path_qs if request.method == "GET" else "/jobs",
        older=_older(jobs.next),
        files=(await report.files_of(lab, who))[:FILES_SHOWN],
        account=await report.account(lab, who),
        refusal=problem(request, refusal) if refusal else None,
    )


def _older(cursor: tuple[datetime, UUID] | None) -> str:
    return "/jobs?" + urlencode({"before": cursor[0].isoformat(), "id": str(cursor[1])}) if cursor else ""


def _cursor(request: web.Request) -> tuple[datetime, UUID] | None:
    if "before" not in request.query:
        return None
    try:
        return datetime.fromisoformat(request.query["before"]), as_id(request.query.get("id", ""))
    except ValueError:
        raise NotFound("There is no such page.") from None


# --- one job ------------------------------------------------------------------------------------


async def job_page(request: web.Request) -> web.StreamResponse:
    return await shown(request, id_in(request))


async def shown(
    request: web.Request,
    job_id: UUID,
    *,
    refusal: EtabliError | None = None,
    deadline: tuple[str, Rejected] | None = None,
) -> web.StreamResponse:
    """`deadline`: one that was asked for and why it cannot be, told beside its field."""
    lab, who = lab_of(request), me(request)
    view = await report.job_view(lab, who, job_id)
    events = await report.job_events(lab, who, job_id, 0, EVENTS_SHOWN)
    wrong = refusal or (deadline[1] if deadline else None)
    told = problem(request, wrong) if wrong else None
    explanation = await report.explain(lab, who, job_id) if view.job.state is JobState.QUEUED else None
    operates = reader_of(request).may(Permission.OPERATE)
    return page(
        request,
        "job.html",
        status=told.status if told else 200,
        view=view,
        explanation=explanation,
        where=_where(explanation),
        policy=lab.policy if operates else None,
        steering=steering(lab, view, explanation, operates=operates),
        deadline=Asked(given=deadline[0], problem=told) if deadline and told else None,
        events=events,
        slicing=slicing(events) if view.job.state is JobState.PREPARING else None,
        can=buttons(view, operates=operates),
        waits=waits(lab, view, events),
        judging=may_judge(events, view),
        sheet=_sheet(lab, view, locale_of(request)),
        problem=None if deadline else told,
    )


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What somebody wrote into a field, and why it cannot be."""

    given: str
    problem: Problem


@dataclass(frozen=True, kw_only=True)
class Steering:
    """What may be asked of a job that has not begun. The flow decides again."""

    prioritise: bool  # the reader may put it before others
    agree: bool  # it waits for somebody of the staff, like the reader, to agree to it
    notice_hours: int  # of a deadline; 0: the reader needs give none


def steering(lab: Lab, view: JobView, explanation: Explanation | None, *, operates: bool) -> Steering | None:
    """None: it does not wait any more."""
    if view.job.state in ENDED or view.job.state is JobState.ACTIVE:
        return None
    noes = {no.rule for _, refusals in explanation.machines for no in refusals} if explanation else set()
    return Steering(
        prioritise=operates,
        agree=operates and "supervised" in noes,
        notice_hours=0 if operates else lab.policy.deadline_notice_hours,
    )


def _where(explanation: Explanation | None) -> Machine | None:
    """The machine that the forecast has in mind."""
    forecast = explanation.job.forecast if explanation else None
    if explanation is None or forecast is None:
        return None
    return next((machine for machine, _ in explanation.machines if machine.id == forecast.machine_id), None)


@dataclass(frozen=True, kw_only=True)
class Waits:
    """A run that goes on only when a person releases it at its machine."""

    until: datetime | None  # then the file is taken back; None: not known


def waits(lab: Lab, view: JobView, events: Sequence[Event]) -> Waits | None:
    """None: nothing waits for a person at a machine."""
    run = view.runs[-1] if view.runs else None
    machine = view.machines.get(run.machine_id) if run else None
    waiting = run is not None and run.state in {RunState.STAGED, RunState.PAUSED}
    if run is None or machine is None or not waiting or not needs_release(machine):
        return None
    times = [event.at for event in events if event.run_id == run.id and event.topic == STAGED]
    kept = timedelta(seconds=lab.limits.release_seconds)
    return Waits(until=times[0] + kept if times else None)


def _sheet(lab: Lab, view: JobView, locale: str) -> str:
    """What people call a drawing's material; empty for a print."""
    making = view.job.process
    return cuts.sheet_name(lab, making, view.quote.profile, locale) if isinstance(making, CutProcess) else ""


Action = Callable[[Lab, Member, UUID], Awaitable[Job]]
ACTIONS: Mapping[str, Action] = {
    "cancel": act.cancel,
    "pause": act.pause,
    "resume": act.resume,
    "retry": act.retry,
    "settle": act.settle,
    "give_up": act.give_up,
}


async def job_action(request: web.Request) -> web.StreamResponse:
    """What a button of the job's page asks for; what cannot be done is told on the page."""
    job_id, action = id_in(request), ACTIONS.get(request.match_info["action"])
    if action is None:
        raise NotFound("There is no such action.")
    try:
        await action(lab_of(request), me(request), job_id)
    except Conflict as no:
        return await shown(request, job_id, refusal=no)
    return see(f"/jobs/{job_id}")


async def judge(request: web.Request) -> web.StreamResponse:
    """How an ended run came out, as its member says."""
    form = await form_of(request)
    job_id = as_id(form.get("job_id", ""))
    try:
        verdict = release.Judgement(form.get("verdict", ""))
    except ValueError:
        raise Rejected("There is no such verdict.", code="verdict") from None
    try:
        await release.judge(lab_of(request), me(request), id_in(request), verdict)
    except Conflict as no:
        return await shown(request, job_id, refusal=no)
    return see(f"/jobs/{job_id}")
