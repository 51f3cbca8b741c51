"""The pages of a member's jobs: the list with its drop zone, files, quotes, and one job's story."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from urllib.parse import urlencode
from uuid import UUID

from aiohttp import web

from orchestrator.domain.errors import Conflict, EtabliError, NotFound, Rejected, Unavailable
from orchestrator.domain.file import File
from orchestrator.domain.job import Job, JobState
from orchestrator.domain.member import Member, Permission
from orchestrator.domain.process import Material, Process, Quality
from orchestrator.domain.quote import Quote
from orchestrator.flow import act, report, submit
from orchestrator.flow.lab import Lab
from web.multipart import upload_of
from web.pages.face import as_id, form_of, id_in, lab_of, me, page, problem, reader_of, see
from web.pages.story import buttons

FILES_SHOWN = 5
EVENTS_SHOWN = 200
JOBS_SHOWN = 30


async def listing(request: web.Request) -> web.StreamResponse:
    return await _listing(request)


async def _listing(
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


# --- files and quotes ---------------------------------------------------------------------------


async def upload(request: web.Request) -> web.StreamResponse:
    """Take the file in, price it with the lab's default process, and show that; a refusal shows its rules."""
    lab, who = lab_of(request), me(request)
    try:
        async with upload_of(request) as sent:
            file = await submit.upload(lab, who, sent.name, sent.chunks)
        return await _price_first(request, file)
    except Rejected as no:
        return await _listing(request, refusal=no, status=problem(request, no).status)


async def _price_first(request: web.Request, file: File) -> web.StreamResponse:
    try:
        quote = await _quote(lab_of(request), me(request), file.id, Process(), 1)
    except Unavailable as no:
        if no.code == "file.analysing":
            return see(f"/files/{file.id}")
        raise
    return see(f"/quotes/{quote.id}")


async def file_page(request: web.Request) -> web.StreamResponse:
    file = await report.file_of(lab_of(request), me(request), id_in(request))
    refused = submit.refused(file) if file.refusals else None
    return page(request, "file.html", file=file, refusal=problem(request, refused) if refused else None)


async def make_quote(request: web.Request) -> web.StreamResponse:
    """Price a file as the form says. What cannot be priced leaves the former quote standing, with reasons."""
    lab, who, form = lab_of(request), me(request), await form_of(request)
    file_id = as_id(form.get("file_id", ""))
    try:
        process, quantity = _process(form), int(form.get("quantity") or 1)
    except ValueError as no:
        raise Rejected("This choice is not possible.", code="quote.form") from no
    try:
        quote = await _quote(lab, who, file_id, process, quantity)
    except Rejected as no:
        if "quote_id" not in form:
            raise
        return await _quote_page(
            request, as_id(form["quote_id"]), refusal=no, process=process, quantity=quantity
        )
    return see(f"/quotes/{quote.id}")


def _process(form: dict[str, str]) -> Process:
    """Raises ValueError for what no form of ours offers; what is missing is the lab's default."""
    usual = Process()
    return Process(
        material=Material(form.get("material", usual.material.value)),
        quality=Quality(form.get("quality", usual.quality.value)),
        infill_percent=int(form.get("infill_percent") or usual.infill_percent),
        supports=form.get("supports") == "yes",
    )


async def _quote(lab: Lab, who: Member, file_id: UUID, process: Process, quantity: int) -> Quote:
    return await submit.quote(
        lab, who, file_id=file_id, process=process, quantity=quantity, machine_class=None
    )


async def quote_page(request: web.Request) -> web.StreamResponse:
    return await _quote_page(request, id_in(request))


async def _quote_page(
    request: web.Request,
    quote_id: UUID,
    *,
    refusal: EtabliError | None = None,
    process: Process | None = None,
    quantity: int | None = None,
) -> web.StreamResponse:
    """A quote beside the choices that made it, or those just made that cannot be priced."""
    lab, who = lab_of(request), me(request)
    quote = await report.quote_of(lab, who, quote_id)
    told = problem(request, refusal) if refusal else None
    return page(
        request,
        "quote.html",
        status=told.status if told else 200,
        quote=quote,
        file=await report.file_of(lab, who, quote.file_id),
        account=await report.account(lab, who),
        process=process or quote.process,
        quantity=quantity or quote.quantity,
        quantity_max=lab.limits.quantity_max,
        problem=told,
    )


async def accept(request: web.Request) -> web.StreamResponse:
    quote_id = id_in(request)
    try:
        job, _created = await submit.accept(lab_of(request), me(request), quote_id)
    except (Rejected, Unavailable) as no:
        return await _quote_page(request, quote_id, refusal=no)
    return see(f"/jobs/{job.id}")


# --- one job ------------------------------------------------------------------------------------


async def job_page(request: web.Request) -> web.StreamResponse:
    return await _job_page(request, id_in(request))


async def _job_page(
    request: web.Request, job_id: UUID, *, refusal: EtabliError | None = None
) -> web.StreamResponse:
    lab, who = lab_of(request), me(request)
    view = await report.job_view(lab, who, job_id)
    told = problem(request, refusal) if refusal else None
    return page(
        request,
        "job.html",
        status=told.status if told else 200,
        view=view,
        explanation=await report.explain(lab, who, job_id) if view.job.state is JobState.QUEUED else None,
        events=await report.job_events(lab, who, job_id, 0, EVENTS_SHOWN),
        can=buttons(view, operates=reader_of(request).may(Permission.OPERATE)),
        problem=told,
    )


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
        return await _job_page(request, job_id, refusal=no)
    return see(f"/jobs/{job_id}")
