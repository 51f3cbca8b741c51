"""When each site is open: a week to look at for everybody, and a form for the manager, who needs no script for it.

A button of the form that adds or takes away a row sends the form as it is and gets it back with one row more or less;
nothing is kept until it is saved.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from aiohttp import web

from orchestrator.domain.calendar import Opening, SiteCalendar
from orchestrator.domain.errors import Conflict, EtabliError, Fault, NotFound, Rejected
from orchestrator.domain.member import Permission, Public
from orchestrator.flow import steer
from web.errors import Problem, ShownFault
from web.pages.face import form_of, lab_of, me, page, problem, reader_of, see
from web.pages.week import clock, week

DAY_MINUTES = 24 * 60
ROWS_MAX = steer.OPENINGS_MAX
DAYS_MAX = steer.HOLIDAYS_MAX
_WHOLE = "00:00"


@dataclass(frozen=True, kw_only=True)
class Row:
    """An opening as it is written in the form, right or wrong."""

    weekday: str = "0"
    begins: str = "09:00"
    ends: str = "18:00"
    publics: frozenset[str] = frozenset()
    staffed: bool = True


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A site's hours as they are written in the form."""

    zone: str
    rows: tuple[Row, ...]
    holidays: tuple[str, ...]
    unattended: bool
    version: str


# --- to look at -------------------------------------------------------------------------------------


async def listing(request: web.Request) -> web.StreamResponse:
    lab = lab_of(request)
    sites = [await steer.hours(lab, site) for site in await steer.sites(lab)]
    return page(
        request,
        "hours.html",
        sites=[(calendar, week(calendar)) for calendar in sites],
        edits=reader_of(request).may(Permission.ADMIN),
        saved=request.query.get("saved", ""),
    )


# --- to change --------------------------------------------------------------------------------------


async def form(request: web.Request) -> web.StreamResponse:
    site = await _site(request)
    return await _form(request, site, draft_of(await steer.hours(lab_of(request), site)))


async def save(request: web.Request) -> web.StreamResponse:
    """Save, or give the form back with a row more or less; what cannot be stands beside its field."""
    site, sent = await _site(request), await form_of(request)
    what = sent.get("do", "save")
    if what.startswith("forget-"):
        sent.pop(what.replace("forget", "holiday"), None)
    draft = read(sent)
    if what != "save":
        return await _form(request, site, changed(draft, what))
    try:
        wanted, version = calendar_of(site, draft)
        await steer.set_hours(lab_of(request), me(request), wanted, version)
    except (Rejected, Conflict) as no:
        return await _form(request, site, draft, no)
    return see(f"/hours?saved={site}")


async def _site(request: web.Request) -> str:
    site = request.match_info["site"]
    if site not in await steer.sites(lab_of(request)):
        raise NotFound("There is no such site.")
    return site


async def _form(
    request: web.Request, site: str, draft: Draft, refusal: EtabliError | None = None
) -> web.StreamResponse:
    told = problem(request, refusal) if refusal else None
    return page(
        request,
        "hours_form.html",
        status=told.status if told else 200,
        site=site,
        draft=draft,
        problem=told,
        wrong=_by_place(told),
    )


def _by_place(told: Problem | None) -> Mapping[str, list[ShownFault]]:
    """Faults by the row they are about: `openings.2`, `holidays.0`, `zone`."""
    found: dict[str, list[ShownFault]] = {}
    for fault in told.faults if told else ():
        found.setdefault(".".join(fault.where.split(".")[:2]), []).append(fault)
    return found


def draft_of(calendar: SiteCalendar) -> Draft:
    rows = sorted(calendar.openings, key=lambda one: (one.weekday, one.from_minute))
    return Draft(
        zone=calendar.zone,
        rows=tuple(
            Row(
                weekday=str(one.weekday),
                begins=clock(one.from_minute),
                ends=clock(one.to_minute % DAY_MINUTES),
                publics=frozenset(public.value for public in one.publics),
                staffed=one.staffed,
            )
            for one in rows
        ),
        holidays=tuple(day.isoformat() for day in calendar.holidays),
        unattended=calendar.unattended,
        version=str(calendar.version),
    )


def read(sent: Mapping[str, str]) -> Draft:
    """What the form says, whatever it says; rows are numbered from 0 without a hole."""
    return Draft(
        zone=sent.get("zone", "")[:64],
        rows=tuple(_row(sent, place) for place in range(_count(sent, "rows", ROWS_MAX + 1))),
        holidays=tuple(
            day
            for place in range(_count(sent, "days", DAYS_MAX + 1))
            if (day := sent.get(f"holiday-{place}", "").strip())
        ),
        unattended=sent.get("unattended") == "yes",
        version=sent.get("version", ""),
    )


def _count(sent: Mapping[str, str], name: str, most: int) -> int:
    text = sent.get(name, "0")
    return min(int(text), most) if text.isascii() and text.isdigit() and len(text) < 6 else 0


def _row(sent: Mapping[str, str], place: int) -> Row:
    return Row(
        weekday=sent.get(f"weekday-{place}", "0"),
        begins=sent.get(f"from-{place}", ""),
        ends=sent.get(f"to-{place}", ""),
        publics=frozenset(public.value for public in Public if sent.get(f"public-{place}-{public.value}")),
        staffed=sent.get(f"staffed-{place}") == "yes",
    )


def changed(draft: Draft, what: str) -> Draft:
    """With an opening more, like the last one on the next day, or one less."""
    rows = list(draft.rows)
    name, _, place = what.partition("-")
    number = int(place) if place.isascii() and place.isdigit() and len(place) < 6 else -1
    if name == "add" and len(rows) < ROWS_MAX:
        rows.append(_next_row(rows))
    elif name == "remove" and 0 <= number < len(rows):
        del rows[number]
    return replace(draft, rows=tuple(rows))


def _next_row(rows: Sequence[Row]) -> Row:
    if not rows:
        return Row()
    last = rows[-1]
    weekday = str((int(last.weekday) + 1) % 7) if last.weekday in set("0123456") else "0"
    return Row(
        weekday=weekday, begins=last.begins, ends=last.ends, publics=last.publics, staffed=last.staffed
    )


def calendar_of(site: str, draft: Draft) -> tuple[SiteCalendar, int | None]:
    """The hours that a form says, and the version it was made from. Raises Rejected with every fault at once."""
    faults: list[Fault] = []
    openings = [_opening(place, row, faults) for place, row in enumerate(draft.rows)]
    holidays = [_holiday(place, text, faults) for place, text in enumerate(draft.holidays)]
    wanted = SiteCalendar(
        site=site,
        zone=draft.zone,
        openings=tuple(one for one in openings if one),
        holidays=tuple(sorted({day for day in holidays if day})),
        unattended=draft.unattended,
    )
    if faults:
        rest = [one for one in steer.calendar_faults(wanted) if not one.where.startswith("openings.")]
        raise Rejected("These hours cannot be.", code="fields", faults=(*faults, *rest))
    return wanted, int(draft.version) if draft.version.isdigit() and len(draft.version) < 9 else None


def _opening(place: int, row: Row, faults: list[Fault]) -> Opening | None:
    begins, ends = _minute(row.begins), _minute(row.ends)
    if row.ends == _WHOLE:
        ends = DAY_MINUTES
    where = f"openings.{place}"
    if begins is None or ends is None or row.weekday not in set("0123456"):
        faults.append(Fault(rule="calendar.time", where=where, seen=f"{row.begins}–{row.ends}"[:40]))
        return None
    if ends <= begins:
        faults.append(Fault(rule="calendar.order", where=where, seen=f"{row.begins}–{row.ends}"))
        return None
    return Opening(
        weekday=int(row.weekday),
        from_minute=begins,
        to_minute=ends,
        publics=frozenset(Public(one) for one in row.publics),
        staffed=row.staffed,
    )


def _minute(text: str) -> int | None:
    hours, _, minutes = text[:5].partition(":")
    if not (hours.isascii() and hours.isdigit() and minutes.isascii() and minutes.isdigit()):
        return None
    minute = int(hours) * 60 + int(minutes)
    return minute if int(minutes) < 60 and minute <= DAY_MINUTES else None


def _holiday(place: int, text: str, faults: list[Fault]) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        faults.append(Fault(rule="calendar.day", where=f"holidays.{place}", seen=text[:40]))
        return None
