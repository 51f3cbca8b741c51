"""Live events (server-sent events): what happens, as it happens, resumable by the sequence number of the event log.

A stream is only a reader of the log: it waits for the feed to say that there is more, reads what its member may see, and
sends it. It ends when its session or token ends, when its reader is too slow to take anything, and when we shut down.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

from aiohttp import web

from orchestrator.domain.errors import Fault, Rejected
from orchestrator.domain.event import Event
from orchestrator.domain.member import Member
from orchestrator.flow import report
from web.errors import TooMany
from web.keys import CALLER, CLOSING, DOORMAN, LAB, SETTINGS, STREAMS
from web.security import current, member_of

BATCH = 200
WRITE_SECONDS = 20.0  # a reader that takes nothing for so long is gone
RETRY_MILLISECONDS = 2000
LAST_ID_HEADER = "Last-Event-ID"

Write = Callable[[Event], str]


async def stream(request: web.Request, write: Write | None = None) -> web.StreamResponse:
    """Answer with the events the caller may see, from Last-Event-ID (or `?after=`) on, else from now on.

    `write` turns an event into the text of its `data` (empty: this one is not sent); by default the event's own JSON.
    Raises TooMany past the limit of streams a member may have.
    """
    lab, member = request.app[LAB], member_of(request)
    after = _place(request)
    async with _counted(request, member.id):
        place = await report.head(lab) if after is None else after
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        )
        await response.prepare(request)
        try:
            await _send(response, f"retry: {RETRY_MILLISECONDS}\nid: {place}\n\n")
            async for text in _texts(request, member, place, write or _json):
                await _send(response, text)
        except (ConnectionError, TimeoutError):
            pass  # the reader is gone; there is nobody to tell
    return response


def _place(request: web.Request) -> int | None:
    sent = request.headers.get(LAST_ID_HEADER) or request.query.get("after")
    if not sent:
        return None
    if not (sent.isascii() and sent.isdigit() and len(sent) <= 18):
        fault = Fault(rule="field.value", where=LAST_ID_HEADER, seen=sent, remedy="Send an event’s id, or nothing.")
        raise Rejected("This is no event’s id.", code="fields", faults=(fault,))
    return int(sent)


@asynccontextmanager
async def _counted(request: web.Request, member_id: UUID) -> AsyncIterator[None]:
    open_streams = request.app[STREAMS]
    if open_streams[member_id] >= request.app[SETTINGS].streams_per_member_max:
        raise TooMany("Too many event streams are open for you.", code="events.too_many")
    open_streams[member_id] += 1
    try:
        yield
    finally:
        open_streams[member_id] -= 1
        if not open_streams[member_id]:
            del open_streams[member_id]


async def _send(response: web.StreamResponse, text: str) -> None:
    async with asyncio.timeout(WRITE_SECONDS):
        await response.write(text.encode())


async def _texts(request: web.Request, member: Member, place: int, write: Write) -> AsyncIterator[str]:
    """Events as they come, and a comment in every silence; ends when the caller may no longer listen."""
    lab, heartbeat = request.app[LAB], request.app[SETTINGS].heartbeat_seconds
    loop = asyncio.get_running_loop()
    checked = loop.time()
    while not request.app[CLOSING].is_set():
        head = await report.head(lab)
        events = await report.events(lab, member, place, BATCH)
        for event in events:
            if data := write(event):
                yield _text(event, data)
        place = max(place, events[-1].seq if events else 0, head if len(events) < BATCH else 0)
        if len(events) == BATCH:
            continue
        if not await _more(request, lambda at=place: lab.store.feed.wait(at), heartbeat):  # type: ignore[misc]
            yield f": {place}\n\n"
        if loop.time() - checked >= heartbeat:
            checked = loop.time()
            if not await _still_known(request):
                return


async def _more(request: web.Request, wait: Callable[[], Awaitable[int]], seconds: float) -> bool:
    """Wait for the log to grow; False when it did not in time, or we are closing."""
    closing = request.app[CLOSING]
    async with asyncio.TaskGroup() as tasks:
        grown = tasks.create_task(_within(wait, seconds))
        closed = tasks.create_task(closing.wait())
        await asyncio.wait({grown, closed}, return_when=asyncio.FIRST_COMPLETED)
        closed.cancel()
        if not grown.done():
            grown.cancel()
            return False
    return grown.result()


async def _within(wait: Callable[[], Awaitable[int]], seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await wait()
    except TimeoutError:
        return False
    return True


async def _still_known(request: web.Request) -> bool:
    """Whether the session or token that opened this stream still stands, and for the same role."""
    caller, doorman = current(request), request.app[DOORMAN]
    if caller is None:
        return False
    if caller.by_cookie:
        now = await doorman.by_session(caller.session_secret)
    else:
        now = await doorman.by_token(request.headers.get("Authorization", "").partition(" ")[2].strip())
    return now is not None and now.permissions == caller.permissions and request[CALLER].member.id == now.member.id


def _text(event: Event, data: str) -> str:
    lines = "".join(f"data: {line}\n" for line in data.split("\n"))
    return f"id: {event.seq}\nevent: {event.topic}\n{lines}\n"


def _json(event: Event) -> str:
    return json.dumps(shown(event), ensure_ascii=False, separators=(",", ":"))


def shown(event: Event) -> dict[str, object]:
    """An event as it is told to the outside. Who acted is not told: it may be another person."""
    return {
        "seq": event.seq,
        "topic": event.topic,
        "at": event.at.isoformat().replace("+00:00", "Z"),
        "job_id": _id(event.job_id),
        "run_id": _id(event.run_id),
        "machine_id": _id(event.machine_id),
        "data": dict(event.data),
    }


def _id(value: UUID | None) -> str | None:
    return str(value) if value else None


__all__: Sequence[str] = ("shown", "stream")
