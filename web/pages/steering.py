"""What is asked of a job that waits: a deadline, another urgency, the lab's consent."""

from __future__ import annotations

from datetime import datetime

from aiohttp import web

from orchestrator.domain.errors import Conflict, Fault, Rejected
from orchestrator.domain.job import Priority
from orchestrator.domain.wall import instant_of
from orchestrator.flow import report, steer
from web.keys import SETTINGS
from web.pages.face import form_of, id_in, lab_of, me, see
from web.pages.jobs import shown


async def deadline(request: web.Request) -> web.StreamResponse:
    """Set by what the field says, or cleared; what cannot be stands beside the field, with why."""
    lab, who, job_id, form = lab_of(request), me(request), id_in(request), await form_of(request)
    given = "" if form.get("do") == "clear" else form.get("deadline", "").strip()
    try:
        wanted = instant(given, request.app[SETTINGS].time_zone) if given else None
        await steer.prioritise(lab, who, job_id, priority=None, deadline=wanted)
    except Rejected as no:
        return await shown(request, job_id, deadline=(given, no))
    except Conflict as no:
        return await shown(request, job_id, refusal=no)
    return see(f"/jobs/{job_id}")


def instant(text: str, zone: str) -> datetime:
    """What a field for a date with time says, in the site's time. Raises Rejected (`instant.form`)."""
    try:
        found = instant_of(datetime.fromisoformat(text).replace(tzinfo=None), zone, 0, "deadline")
    except (ValueError, OverflowError):
        found = Fault(rule="instant.form", where="deadline", seen=text[:40])
    if isinstance(found, Fault):
        raise Rejected("This is no instant.", code=found.rule, faults=(found,))
    return found


async def priority(request: web.Request) -> web.StreamResponse:
    lab, who, job_id, form = lab_of(request), me(request), id_in(request), await form_of(request)
    try:
        wanted = Priority(form.get("priority", ""))
    except ValueError:
        raise Rejected("There is no such urgency.", code="priority") from None
    job = (await report.job_view(lab, who, job_id)).job
    try:
        await steer.prioritise(lab, who, job_id, priority=wanted, deadline=job.deadline)
    except Conflict as no:
        return await shown(request, job_id, refusal=no)
    return see(f"/jobs/{job_id}")


async def approve(request: web.Request) -> web.StreamResponse:
    job_id = id_in(request)
    try:
        await steer.approve(lab_of(request), me(request), job_id)
    except Conflict as no:
        return await shown(request, job_id, refusal=no)
    return see(f"/jobs/{job_id}")
