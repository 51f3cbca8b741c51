"""Jobs: accept a quote, follow it, change one's mind, ask why it waits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import urlencode
from uuid import UUID

from aiohttp import web
from pydantic import AwareDatetime, Field

from orchestrator.domain.job import Job, JobState
from orchestrator.domain.member import Member
from orchestrator.flow import act, report, submit
from orchestrator.flow.lab import Lab
from web.api import shapes
from web.api.files import ById
from web.api.paging import cursor_of, text_of
from web.api.shapes import ShownEvent, ShownExplanation, ShownJob
from web.keys import SETTINGS
from web.security import member_of
from web.typed import Answer, Call, Given, Lenient, Shown

EVENTS_MAX = 500


class AcceptBody(Given):
    quote_id: UUID = Field(strict=False)
    deadline: AwareDatetime | None = Field(default=None, strict=False)
    """When it is needed; a wish that counts in the queue, with the lab's notice."""


class JobsQuery(Lenient):
    state: JobState | None = None
    cursor: str | None = Field(default=None, max_length=200)
    limit: int = Field(default=50, ge=1, le=200)


class JobList(Shown):
    items: list[ShownJob]
    next: str | None


class EventsQuery(Lenient):
    after: int = Field(default=0, ge=0, lt=1 << 62)
    limit: int = Field(default=200, ge=1, le=EVENTS_MAX)


class EventList(Shown):
    items: list[ShownEvent]
    next: str | None


async def accept(call: Call, body: AcceptBody) -> Answer[ShownJob]:
    job, created = await submit.accept(
        call.lab, member_of(call.request), body.quote_id, deadline=body.deadline
    )
    return Answer(body=await _shown(call, job.id), status=201 if created else 200)


async def job(call: Call, params: ById) -> ShownJob:
    return await _shown(call, params.id)


async def _shown(call: Call, job_id: UUID) -> ShownJob:
    return shapes.job(await report.job_view(call.lab, member_of(call.request), job_id))


async def jobs(call: Call, query: JobsQuery) -> Answer[JobList]:
    """One's own; everybody's for those who may see all jobs."""
    who = member_of(call.request)
    page = await report.job_page(
        call.lab,
        who,
        everybody=True,
        states=frozenset({query.state}) if query.state else None,
        before=cursor_of(query.cursor),
        limit=query.limit,
    )
    further = text_of(page.next)
    headers = {}
    if further:
        asked = {"limit": query.limit, "cursor": further} | (
            {"state": query.state.value} if query.state else {}
        )
        base = call.request.app[SETTINGS].base_url
        headers["Link"] = f'<{base}/api/v1/jobs?{urlencode(asked)}>; rel="next"'
    return Answer(
        body=JobList(items=[shapes.job(view) for view in page.items], next=further), headers=headers
    )


async def events(call: Call, params: ById, query: EventsQuery) -> EventList:
    rows = await report.job_events(call.lab, member_of(call.request), params.id, query.after, query.limit)
    further = str(rows[-1].seq) if len(rows) == query.limit else None
    return EventList(items=[shapes.event(row) for row in rows], next=further)


async def explain(call: Call, params: ById) -> ShownExplanation:
    return shapes.explanation(await report.explain(call.lab, member_of(call.request), params.id))


class LayerPath(Lenient):
    id: UUID
    number: int = Field(ge=1, lt=1 << 31)


LAYER_CACHE = "private, max-age=3600"  # a job tried again may be sliced otherwise


async def layer(call: Call, params: LayerPath) -> web.StreamResponse:
    svg = await report.layer(call.lab, member_of(call.request), params.id, params.number)
    return web.Response(body=svg, content_type="image/svg+xml", headers={"Cache-Control": LAYER_CACHE})


Action = Callable[[Lab, Member, UUID], Awaitable[Job]]


async def _do(call: Call, job_id: UUID, action: Action) -> ShownJob:
    await action(call.lab, member_of(call.request), job_id)
    return await _shown(call, job_id)


async def cancel(call: Call, params: ById) -> ShownJob:
    return await _do(call, params.id, act.cancel)


async def pause(call: Call, params: ById) -> ShownJob:
    return await _do(call, params.id, act.pause)


async def resume(call: Call, params: ById) -> ShownJob:
    return await _do(call, params.id, act.resume)


async def retry(call: Call, params: ById) -> ShownJob:
    return await _do(call, params.id, act.retry)


async def give_up(call: Call, params: ById) -> ShownJob:
    return await _do(call, params.id, act.give_up)


async def settle(call: Call, params: ById) -> ShownJob:
    return await _do(call, params.id, act.settle)
