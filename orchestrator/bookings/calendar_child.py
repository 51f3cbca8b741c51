"""Reads a calendar that anybody may have written: `python -m orchestrator.bookings.calendar_child`, with nothing but
its pipes.

First line of input: JSON with `since`, `until`, `zone`; then the calendar. Out comes one JSON object, `windows` or
`refused`. A recurrence without end, a zone without end or a component a thousand deep cost the seconds below and no
more: the timer counts the processor's time, and its handler ends the process from inside.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from collections.abc import Collection, Iterable
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

EVENTS_MAX = 1000
MEMORY_BYTES = 512 << 20
CPU_SECONDS = 15
READ_SECONDS = 0.35
READ_SECONDS_PER_MIB = 2.5
EXPAND_SECONDS = 0.5
TEXT_MAX = 300


class Refused(Exception):
    """The calendar cannot be used; the code says why."""


def main() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    signal.signal(signal.SIGPROF, _out_of_time)
    asked = json.loads(sys.stdin.buffer.readline())
    raw = sys.stdin.buffer.read()
    try:
        _budget(READ_SECONDS + READ_SECONDS_PER_MIB * len(raw) / (1 << 20))
        since, until = (datetime.fromisoformat(asked[name]) for name in ("since", "until"))
        answer = windows(raw, since, until, ZoneInfo(asked["zone"]))
    except Refused as no:
        answer = {"refused": str(no)}
    except MemoryError:
        answer = {"refused": "ical.too_costly"}
    except Exception:  # noqa: BLE001 - the library's errors on bad input are of any kind; the input is at fault
        answer = {"refused": "ical.broken"}
    signal.setitimer(signal.ITIMER_PROF, 0)
    sys.stdout.write(json.dumps(answer))


def _budget(seconds: float) -> None:
    signal.setitimer(signal.ITIMER_PROF, seconds)


def _out_of_time(_number: int, _frame: object) -> None:
    os.write(1, b'{"refused": "ical.too_costly"}')
    os._exit(0)


def windows(raw: bytes, since: datetime, until: datetime, zone: tzinfo) -> dict[str, Any]:
    """What blocks something between the two, at most 1000, and how many events make no sense. Raises Refused."""
    calendar = _parsed(raw)
    import recurring_ical_events  # type: ignore[import-untyped]

    skipped = _shed(calendar, since, until, zone)
    _refuse_bombs(calendar)
    series = {str(part.get("UID", "")) for part in calendar.subcomponents if _repeats(part)}
    _budget(EXPAND_SECONDS)
    found: list[dict[str, Any] | None] = []
    for event in recurring_ical_events.of(calendar, skip_bad_series=True).between(since, until):
        if len(found) >= EVENTS_MAX:
            raise Refused("ical.too_many")
        found.append(_window(event, zone, series))
    return {"windows": [window for window in found if window], "skipped": skipped}


def _parsed(raw: bytes) -> Any:
    import icalendar

    text = raw.decode("utf-8-sig", "replace").lstrip("\r\n\t ")
    if text[:15].upper() != "BEGIN:VCALENDAR":
        raise Refused("ical.not_a_calendar")
    if text.rstrip()[-13:].upper() != "END:VCALENDAR":
        raise Refused("ical.cut_off")
    try:
        calendars = icalendar.Calendar.from_ical(text, multiple=True)
    except (ValueError, KeyError, IndexError, AttributeError, TypeError) as wrong:
        raise Refused("ical.broken") from wrong
    if len(calendars) != 1 or calendars[0].name != "VCALENDAR":
        raise Refused("ical.not_a_calendar")
    return calendars[0]


def _shed(calendar: Any, since: datetime, until: datetime, zone: tzinfo) -> int:
    """Drop what is no event, what blocks nothing, and single events far outside: most of an old calendar. Returns how
    many make no sense."""
    near = since - timedelta(days=2), until + timedelta(days=2)
    kept, single, skipped = [], 0, 0
    for part in calendar.subcomponents:
        if part.name == "VTIMEZONE" or (part.name == "VEVENT" and _repeats(part)):
            kept.append(part)
        elif part.name == "VEVENT" and not _cancelled(part):
            touches = _touches(part, near, zone)
            skipped += touches is None
            single += bool(touches)
            kept += [part] if touches else []
    if single > EVENTS_MAX + EVENTS_MAX // 10:  # some days more than the horizon are among them
        raise Refused("ical.too_many")
    calendar.subcomponents = kept
    return skipped


def _repeats(event: Any) -> bool:
    """Is it a series, or one of a series?"""
    return any(event.get(name) is not None for name in ("RRULE", "RDATE", "RECURRENCE-ID"))


def _touches(event: Any, near: tuple[datetime, datetime], zone: tzinfo) -> bool | None:
    """None for an event without a start, or that ends before it, or otherwise out of its mind."""
    try:
        start, end = _instant(event.start, zone), _instant(event.end, zone)
    except Exception:  # noqa: BLE001 - the library's errors are of any kind
        return None
    return None if end < start else start < near[1] and end > near[0]


def _refuse_bombs(calendar: Any) -> None:
    """Recurrences finer than an hour are no bookings, and are not even counted out."""
    for part in calendar.walk():
        rules = part.get("RRULE")
        for rule in rules if isinstance(rules, list) else [rules] if rules is not None else []:
            frequency = [str(value).upper() for value in _many(rule.get("FREQ"))]
            if set(frequency) & {"SECONDLY", "MINUTELY"} or len(_many(rule.get("BYSECOND"))) > 1:
                raise Refused("ical.too_many")


def _many(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [] if value is None else [value]


def _cancelled(event: Any) -> bool:
    return str(event.get("STATUS", "")).upper() == "CANCELLED"


def _window(event: Any, zone: tzinfo, series: Collection[str]) -> dict[str, Any] | None:
    """None for what blocks nothing."""
    if _cancelled(event) or str(event.get("TRANSP", "")).upper() == "TRANSPARENT":
        return None
    start, end = _instant(event.start, zone), _instant(event.end, zone)
    if end <= start:
        return None
    uid = str(event.get("UID", ""))
    occurrence = event.get("RECURRENCE-ID") if uid in series else None  # the library gives every event one
    return {
        "uid": uid[:2000],
        "occurrence": _instant(occurrence.dt, zone).isoformat() if occurrence is not None else "",
        "starts_at": start.isoformat(),
        "ends_at": end.isoformat(),
        "summary": _plain(str(event.get("SUMMARY", ""))),
        "categories": [_plain(word).casefold() for word in _categories(event)],
        "member": _person(event),
    }


def _instant(at: date | datetime, zone: tzinfo) -> datetime:
    """In UTC. A date is its local midnight, and a time without zone the site's."""
    if not isinstance(at, datetime):
        at = datetime.combine(at, time(), tzinfo=zone)
    return (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(UTC)


def _plain(text: str) -> str:
    return "".join(sign if sign.isprintable() else " " for sign in text[:TEXT_MAX]).strip()


def _categories(event: Any) -> Iterable[str]:
    for entry in _many(event.get("CATEGORIES")):
        yield from (str(word) for word in getattr(entry, "cats", [entry]))


def _person(event: Any) -> str:
    """Whose it is: the only one invited, else who made it; empty where nobody is named."""
    invited = _many(event.get("ATTENDEE"))
    named = invited[0] if len(invited) == 1 else event.get("ORGANIZER", "")
    scheme, _, address = str(named).partition(":")
    return _plain(address) if scheme.casefold() == "mailto" else ""


if __name__ == "__main__":
    main()
