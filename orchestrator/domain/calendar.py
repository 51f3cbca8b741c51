"""A site's opening hours: when it is open, for whom, and with staff or without. Values are local; instants are UTC.

A site without openings has no calendar: it is always open and staffed, as in a lab that one person runs from their
workshop. Daylight saving is the zone's affair: an opening from 1:00 to 4:00 lasts two, three or four hours.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import islice
from zoneinfo import ZoneInfo

from orchestrator.domain.member import Public

FOR_EVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Opening:
    """Hours of one weekday, in minutes of the local clock; 1440 is midnight at its end."""

    weekday: int  # 0 is Monday
    from_minute: int
    to_minute: int
    publics: frozenset[Public] = frozenset()  # for whom; empty: for everybody
    staffed: bool = True  # somebody of the staff is there


@dataclass(frozen=True, kw_only=True)
class SiteCalendar:
    site: str
    zone: str = "Europe/Paris"  # IANA name
    openings: tuple[Opening, ...] = ()
    holidays: tuple[date, ...] = ()  # closed all day
    unattended: bool = True  # printers may print while the lab is closed
    version: int = 1


Span = tuple[datetime, datetime]
"""[start, end) in UTC."""
HORIZON_DAYS = 62  # how far ahead the next opening is looked for
CHUNK_DAYS = 16
STAFFED_SPANS = 24  # as many are looked at ahead: beyond them all is alike


def open_until(
    calendar: SiteCalendar | None, public: Public | None, at: datetime, *, staffed: bool = False
) -> datetime | None:
    """Until when it is open at `at` without a break, for that public (None: for anybody at all); None: it is not open.

    Without a calendar, or with one that knows no openings, it is open for ever.
    """
    if calendar is None or not calendar.openings:
        return FOR_EVER
    for start, end in _ahead(calendar, public, at, staffed):
        if start > at:
            return None
        if end > at:
            return end
    return None


def next_open(
    calendar: SiteCalendar | None,
    public: Public | None,
    at: datetime,
    *,
    seconds: float = 0,
    staffed: bool = False,
) -> datetime | None:
    """The first instant from `at` on at which it is open and stays so for `seconds`; None: not in two months."""
    if calendar is None or not calendar.openings:
        return at
    for start, end in _ahead(calendar, public, at, staffed):
        begin = max(start, at)
        if end > at and (end - begin).total_seconds() >= seconds:
            return begin
    return None


def staffed_ahead(calendar: SiteCalendar | None, at: datetime) -> list[tuple[float, float]]:
    """When the staff are there, in seconds from `at`; for ever without a calendar."""
    if calendar is None or not calendar.openings:
        return [(0.0, float("inf"))]
    spans = islice((span for span in _ahead(calendar, None, at, True) if span[1] > at), STAFFED_SPANS)
    return [((start - at).total_seconds(), (end - at).total_seconds()) for start, end in spans]


def is_holiday(calendar: SiteCalendar | None, at: datetime) -> bool:
    return calendar is not None and at.astimezone(ZoneInfo(calendar.zone)).date() in calendar.holidays


def _ahead(calendar: SiteCalendar, public: Public | None, at: datetime, staffed: bool) -> Iterator[Span]:
    """Whole spans from the day before `at` on; those that a chunk cuts are joined."""
    first = at.astimezone(ZoneInfo(calendar.zone)).date() - timedelta(days=1)
    pending: Span | None = None
    for offset in range(0, HORIZON_DAYS, CHUNK_DAYS):
        # the start of a chunk is rounded, so that neighbouring questions share their answer
        for span in _spans(calendar, public, staffed, first.toordinal() + offset):
            if pending and span[0] <= pending[1]:
                pending = (pending[0], max(pending[1], span[1]))
                continue
            if pending:
                yield pending
            pending = span
    if pending:
        yield pending


@lru_cache(maxsize=512)
def _spans(
    calendar: SiteCalendar, public: Public | None, staffed: bool, first_ordinal: int
) -> tuple[Span, ...]:
    """The openings of CHUNK_DAYS days, in order, those that touch joined."""
    zone = ZoneInfo(calendar.zone)
    found: list[Span] = []
    for ordinal in range(first_ordinal, first_ordinal + CHUNK_DAYS):
        day = date.fromordinal(ordinal)
        if day in calendar.holidays:
            continue
        for opening in calendar.openings:
            wanted = opening.weekday == day.weekday() and (opening.staffed or not staffed)
            if wanted and (public is None or not opening.publics or public in opening.publics):
                found.append(
                    (_instant(day, opening.from_minute, zone), _instant(day, opening.to_minute, zone))
                )
    return tuple(_joined(sorted(span for span in found if span[0] < span[1])))


def _instant(day: date, minute: int, zone: ZoneInfo) -> datetime:
    local = datetime.combine(day, time(), zone) + timedelta(
        minutes=minute
    )  # on the wall, not in elapsed time
    return local.astimezone(UTC)


def _joined(spans: Iterable[Span]) -> Iterator[Span]:
    pending: Span | None = None
    for span in spans:
        if pending and span[0] <= pending[1]:
            pending = (pending[0], max(pending[1], span[1]))
            continue
        if pending:
            yield pending
        pending = span
    if pending:
        yield pending
