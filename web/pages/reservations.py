"""What the machines are taken for, as a line of time each; and the staff's own windows, for maintenance or closure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from aiohttp import web

from orchestrator.domain.errors import Conflict, EtabliError, Fault, NotFound, Rejected
from orchestrator.domain.reservation import Purpose
from orchestrator.domain.wall import instant_of
from orchestrator.flow import planned
from orchestrator.flow.booking import Wanted
from web.keys import SETTINGS
from web.pages import timeline
from web.pages.face import as_id, form_of, id_in, lab_of, me, page, problem, see
from web.pages.i18n import N_

PURPOSES: Mapping[Purpose, str] = {
    Purpose.MAINTENANCE: N_("Maintenance"),
    Purpose.CLOSURE: N_("Closure"),
    Purpose.EVENT: N_("Event: a class, a visit"),
}
"""What the staff may hold a machine for here; bookings of members come from the booking system."""
NOTE_CHARACTERS_MAX = 200


async def listing(request: web.Request) -> web.StreamResponse:
    return await _listing(request)


async def _listing(
    request: web.Request, *, given: Mapping[str, str] | None = None, refusal: EtabliError | None = None
) -> web.StreamResponse:
    lab, who, zone = lab_of(request), me(request), _zone(request)
    asked = {**(given or {}), **request.query}
    week = asked.get("span") == "week"
    day = _day(asked.get("day", ""), zone) or lab.clock.now()
    rolling = not week and not asked.get("day")
    start, end = timeline.ahead(day, zone) if rolling else timeline.bounds(day, zone, week=week)
    told = problem(request, refusal) if refusal else None
    plan = await planned.planned(lab, who, start, end)
    place = ZoneInfo(zone)
    first, step = start.astimezone(place).date(), timedelta(days=7 if week else 1)
    return page(
        request,
        "reservations.html",
        status=told.status if told else 200,
        plan=plan,
        zone=zone,
        week_shown=week,
        rolling=rolling,
        day=first,
        before=first - step,
        after=first + step,
        machines=await planned.machines(lab),
        given=given or {},
        key=(given or {}).get("key") or uuid4().hex,
        purposes=PURPOSES,
        own_system=planned.OWN_SYSTEM,
        problem=told,
        here=request.path_qs if request.method == "GET" else "/reservations",
    )


def _zone(request: web.Request) -> str:
    return request.app[SETTINGS].time_zone


def _day(text: str, zone: str) -> datetime | None:
    """Noon of a day; None: it is none, or too far from any that matters."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return datetime.combine(day, time(12), ZoneInfo(zone)) if 2000 <= day.year < 2200 else None


async def make(request: web.Request) -> web.StreamResponse:
    """The form has its own key: sent twice it is one window."""
    sent = await form_of(request)
    try:
        wanted = _wanted(sent, _zone(request))
        name = sent.get("key", "")[:64] or uuid4().hex
        despite = sent.get("despite") == "yes"
        await planned.keep(lab_of(request), me(request), name, wanted, despite_runs=despite)
    except (Rejected, Conflict, NotFound) as no:
        return await _listing(request, given=sent, refusal=no)
    local = wanted.starts_at.astimezone(ZoneInfo(_zone(request)))  # where it can be seen
    span = "&span=week" if sent.get("span") == "week" else ""
    return see(f"/reservations?day={local.date().isoformat()}{span}")


def _wanted(sent: Mapping[str, str], zone: str) -> Wanted:
    """Raises Rejected with every fault at once."""
    faults: list[Fault] = []
    starts_at, ends_at = (_instant(sent, name, zone, faults) for name in ("from", "to"))
    try:
        purpose = Purpose(sent.get("purpose", ""))
    except ValueError:
        raise Rejected("There is no such purpose.", code="reservation.purpose") from None
    kind, _, name = sent.get("of", "").partition(":")
    if kind not in {"machine", "class", "site"}:
        faults.append(Fault(rule="reservation.of", where="of"))
    if starts_at is None or ends_at is None or faults:
        raise Rejected("This window cannot be.", code="fields", faults=tuple(faults))
    site, _, machine_class = name.partition("/")
    return Wanted(
        starts_at=starts_at,
        ends_at=ends_at,
        purpose=purpose,
        machine_id=_machine(name) if kind == "machine" else None,
        machine_class=machine_class if kind == "class" else None,
        site=site if kind != "machine" else None,
        note=sent.get("note", "").strip()[:NOTE_CHARACTERS_MAX],
    )


def _machine(name: str) -> UUID:
    return as_id(name)


def _instant(sent: Mapping[str, str], name: str, zone: str, faults: list[Fault]) -> datetime | None:
    text = sent.get(name, "")
    try:
        local = datetime.fromisoformat(text).replace(tzinfo=None)
        found = instant_of(local, zone, 0, name)
    except (ValueError, OverflowError):
        found = Fault(rule="instant.form", where=name, seen=text[:40])
    if isinstance(found, Fault):
        faults.append(found)
        return None
    return found.astimezone(UTC)


async def cancel(request: web.Request) -> web.StreamResponse:
    sent = await form_of(request)
    try:
        await planned.give_back(lab_of(request), me(request), id_in(request))
    except Conflict as no:
        return await _listing(request, given=sent, refusal=no)
    day, span = sent.get("day", ""), "&span=week" if sent.get("span") == "week" else ""
    return see(f"/reservations?day={day}{span}" if _day(day, _zone(request)) else "/reservations")
