"""A machine's calendar for booking systems: as JSON, and as iCalendar (RFC 5545) that any calendar program reads."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from aiohttp import web
from icalendar import Calendar, Event
from pydantic import Field

from orchestrator.domain.member import Permission
from orchestrator.flow.availability import Availability, Stretch, availability
from web.api.moments import moment
from web.api.outside import InstantText
from web.api.reservations import window_of
from web.api.shapes import ShownInstants
from web.security import current, language_of
from web.typed import Call, Lenient, Route, Shown

OPEN_DAYS = 1
"""How long what has no end is shown for in a calendar, which knows no open end."""
SUMMARIES = {
    "fr": {
        "reserved": "Réservé",
        "event": "Atelier ou évènement",
        "maintenance": "Maintenance",
        "closure": "Fermé",
        "running": "Travail en cours",
        "held": "Retenue par le lab",
    },
    "en": {
        "reserved": "Reserved",
        "event": "Workshop or event",
        "maintenance": "Maintenance",
        "closure": "Closed",
        "running": "At work",
        "held": "Held back by the lab",
    },
}


class ById(Lenient):
    id: UUID


class WindowQuery(Lenient):
    from_: InstantText | None = Field(default=None, alias="from")
    """Left out: now."""
    to: InstantText | None = None
    """At most 92 days after `from`; left out: 14."""


class FeedQuery(WindowQuery):
    token: str | None = Field(default=None, max_length=200)
    """Calendar programs send no headers: a token that may do nothing but read machines."""


class ShownStretch(Shown):
    kind: str
    """`running`, `reserved`, `event`, `maintenance`, `closure` or `held`."""
    starts_at: str
    ends_at: ShownInstants | None
    """None: nobody can say. The middle and the late end of a run; equal for a window."""
    system: str | None
    """Of a reservation, for whoever may reserve."""
    external_id: str | None


class ShownAvailability(Shown):
    machine_id: UUID
    from_: str = Field(serialization_alias="from")
    to: str
    items: list[ShownStretch]
    """When it is not free, the earliest first; all the rest is."""
    next: str | None = None


async def get(call: Call, params: ById, query: WindowQuery) -> ShownAvailability:
    start, end = window_of(call, query.from_, query.to)
    found = await availability(call.lab, params.id, start, end)
    named = Permission.BOOK in call.who.permissions or Permission.OPERATE in call.who.permissions
    return ShownAvailability(
        machine_id=params.id,
        from_=moment(start),
        to=moment(end),
        items=[_shown(one, named=named) for one in found.taken],
    )


def _shown(value: Stretch, *, named: bool) -> ShownStretch:
    ends, reservation = value.ends_at, value.reservation if named else None
    return ShownStretch(
        kind=value.kind,
        starts_at=moment(value.starts_at),
        ends_at=ShownInstants(p50=moment(ends.p50), p90=moment(ends.p90)) if ends else None,
        system=reservation.system if reservation else None,
        external_id=reservation.external_id if reservation else None,
    )


async def ics(call: Call, params: ById, query: FeedQuery) -> web.StreamResponse:
    start, end = window_of(call, query.from_, query.to)
    found = await availability(call.lab, params.id, start, end)
    caller = current(call.request)
    asked = call.request.headers.get("Accept-Language", "")
    language = language_of(call.request) if asked or caller is None else caller.member.locale
    return web.Response(
        body=calendar(found, language),
        content_type="text/calendar",
        charset="utf-8",
        headers={"Cache-Control": "private, max-age=60"},
    )


def calendar(found: Availability, language: str) -> bytes:
    """Folded and escaped by the library; nobody's name is in it."""
    made = Calendar()
    made.add("prodid", "-//Établi//availability//FR")
    made.add("version", "2.0")
    made.add("method", "PUBLISH")
    made.add("x-wr-calname", found.machine.name)
    for stretch in found.taken:
        made.add_component(_event(stretch, found, SUMMARIES.get(language, SUMMARIES["fr"])))
    return bytes(made.to_ical())


def _event(value: Stretch, found: Availability, summaries: dict[str, str]) -> Event:
    event = Event()
    event.add("uid", f"{value.key}@{found.machine.id}.etabli")
    event.add("dtstamp", value.changed_at)
    event.add("dtstart", value.starts_at)
    late = value.ends_at.p90 if value.ends_at else max(value.starts_at + timedelta(days=OPEN_DAYS), found.end)
    event.add("dtend", late)
    event.add("summary", f"{summaries[value.kind]} · {found.machine.name}")
    event.add("categories", [value.kind])
    event.add("transp", "OPAQUE")
    return event


V1 = "/api/v1"
ROUTES: tuple[Route, ...] = (
    Route(
        method="GET",
        path=f"{V1}/machines/{{id}}/availability",
        handler=get,
        permission=Permission.FLEET,
        summary="When a machine is not free: reservations, the present run, maintenance",
    ),
    Route(
        method="GET",
        path=f"{V1}/machines/{{id}}/availability.ics",
        handler=ics,
        permission=Permission.FLEET,
        summary="The same as a calendar; its address may carry a token that only reads machines",
        media_type="text/calendar",
        token_in_query=True,
    ),
)
