"""Live events: the log as a stream, resumable by `Last-Event-ID`, ended when the session is."""

from __future__ import annotations

import asyncio
import json

from aiohttp import web
from aiohttp_sse import EventSourceResponse, sse_response

from orchestrator.domain.errors import Rejected
from orchestrator.domain.event import Event
from orchestrator.domain.member import Member
from orchestrator.flow import report
from orchestrator.flow.lab import Lab
from web.api.moments import moment
from web.errors import TooMany
from web.identity import Caller
from web.keys import CLOSING, DOORMAN, LAB, SETTINGS, STREAMS
from web.security import current, member_of

LOOK_SECONDS = 2.0
"""So soon a reader who has left is missed."""


async def stream(request: web.Request) -> web.StreamResponse:
    """Everything the caller may see of the log, from `Last-Event-ID` or from now on."""
    lab, who, caller = request.app[LAB], member_of(request), current(request)
    streams, settings = request.app[STREAMS], request.app[SETTINGS]
    if streams[who.id] >= settings.streams_per_member_max:
        raise TooMany("Too many live streams at once.", code="events.too_many", retry_after_seconds=5)
    seen = await _start(request, lab)
    streams[who.id] += 1
    try:
        async with sse_response(request) as response:
            await _follow(request, response, lab, who, caller, seen)
            return response
    finally:
        streams[who.id] -= 1
        if not streams[who.id]:
            del streams[who.id]


async def _start(request: web.Request, lab: Lab) -> int:
    sent = request.headers.get("Last-Event-ID") or request.query.get("after", "")
    if not sent:
        return await report.head(lab)
    if not sent.isascii() or not sent.isdigit() or len(sent) > 18:
        raise Rejected("Last-Event-ID is no sequence number of ours.", code="events.cursor")
    return int(sent)


async def _follow(
    request: web.Request,
    response: EventSourceResponse,
    lab: Lab,
    who: Member,
    caller: Caller | None,
    seen: int,
) -> None:
    """Send what comes, until the reader leaves, the application ends, or the session or token does."""
    heartbeat, closing = request.app[SETTINGS].heartbeat_seconds, request.app[CLOSING]
    loop = asyncio.get_running_loop()
    looked, seen = loop.time(), await _send_new(response, lab, who, seen)
    while _reads(request) and not closing.is_set():
        if await _woken(lab, seen, closing, min(heartbeat, LOOK_SECONDS)):
            seen = await _send_new(response, lab, who, seen)
        if loop.time() - looked >= heartbeat:
            looked = loop.time()
            if not await _still(request, caller):
                return


async def _send_new(response: EventSourceResponse, lab: Lab, who: Member, seen: int) -> int:
    """Everything past `seen` that they may see; returns the place in the log."""
    head = await report.head(lab)
    while events := await report.events(lab, who, seen):
        for event in events:
            await _send(response, event)
        seen = events[-1].seq
    return max(seen, head)


def _reads(request: web.Request) -> bool:
    """Is somebody still there? A reader who has left must not count among a member's streams."""
    return request.transport is not None and not request.transport.is_closing()


async def _woken(lab: Lab, seen: int, closing: asyncio.Event, seconds: float) -> bool:
    """Wait for more of the log (True), for the end of the application, or for so long."""
    async with asyncio.TaskGroup() as group:
        waits = [group.create_task(lab.store.feed.wait(seen)), group.create_task(closing.wait())]
        done, _ = await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
    return waits[0] in done


async def _still(request: web.Request, caller: Caller | None) -> bool:
    """Is the session or the token that opened this stream still good?"""
    doorman = request.app[DOORMAN]
    if caller is None:
        return False
    if caller.by_cookie:
        return await doorman.by_session(caller.session_secret) is not None
    text = request.headers.get("Authorization", "").partition(" ")[2]
    return await doorman.by_token(text.strip()) is not None


async def _send(response: EventSourceResponse, event: Event) -> None:
    await response.send(json.dumps(shown(event), separators=(",", ":")), id=str(event.seq), event=event.topic)


def shown(event: Event) -> dict[str, object]:
    """An event as the API shows it."""
    return {
        "seq": event.seq,
        "topic": event.topic,
        "at": moment(event.at),
        "job_id": str(event.job_id) if event.job_id else None,
        "run_id": str(event.run_id) if event.run_id else None,
        "machine_id": str(event.machine_id) if event.machine_id else None,
        "data": dict(event.data),
    }
