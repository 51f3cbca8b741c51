"""What a calendar says, and what is refused: one table of trouble, each row with its answer and its time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orchestrator.bookings.ical import read
from orchestrator.domain.errors import Rejected
from orchestrator.domain.source import HORIZON
from tests.rigs.fake_feed import CRLF, calendar, event

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
OLD = ("DTSTART:19000101T100000Z", "DTEND:19000101T110000Z")
ALL_HOURS = "BYHOUR=" + ",".join(map(str, range(24)))
ALL_MINUTES = "BYMINUTE=" + ",".join(map(str, range(60)))
ALL_SECONDS = "BYSECOND=" + ",".join(map(str, range(60)))
BERLIN = CRLF.join(
    [
        "BEGIN:VTIMEZONE",
        "TZID:Somewhere of ours",
        "BEGIN:DAYLIGHT",
        "DTSTART:19700329T020000",
        "RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU",
        "TZOFFSETFROM:+0100",
        "TZOFFSETTO:+0200",
        "END:DAYLIGHT",
        "BEGIN:STANDARD",
        "DTSTART:19701025T030000",
        "RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU",
        "TZOFFSETFROM:+0200",
        "TZOFFSETTO:+0100",
        "END:STANDARD",
        "END:VTIMEZONE",
    ]
)


async def windows(*parts: str, zone: str = "Europe/Paris", now: datetime = NOW) -> list[dict[str, Any]]:
    told = await read(calendar(*parts).encode(), now, now + HORIZON, zone)
    found: list[dict[str, Any]] = told["windows"]
    return found


def spans(found: list[dict[str, Any]]) -> list[str]:
    """Start and end in UTC, to the minute."""
    return [f"{w['starts_at'][5:16]}/{w['ends_at'][5:16]}" for w in found]


READ = {
    "UTC": (["DTSTART:20260310T100000Z", "DTEND:20260310T110000Z"], ["03-10T10:00/03-10T11:00"]),
    "with DURATION": (["DTSTART:20260310T100000Z", "DURATION:PT90M"], ["03-10T10:00/03-10T11:30"]),
    "floating is the site's": (
        ["DTSTART:20260310T100000", "DTEND:20260310T110000"],
        ["03-10T09:00/03-10T10:00"],
    ),
    "by IANA name": (
        ["DTSTART;TZID=America/New_York:20260310T100000", "DTEND;TZID=America/New_York:20260310T110000"],
        ["03-10T14:00/03-10T15:00"],
    ),
    "by Windows name": (
        ["DTSTART;TZID=W. Europe Standard Time:20260310T100000", "DURATION:PT1H"],
        ["03-10T09:00/03-10T10:00"],
    ),
    "by VTIMEZONE, across the change": (
        ["DTSTART;TZID=Somewhere of ours:20260323T100000", "DURATION:PT1H", "RRULE:FREQ=WEEKLY;COUNT=2"],
        ["03-23T09:00/03-23T10:00", "03-30T08:00/03-30T09:00"],
    ),
    "a whole day": (["DTSTART;VALUE=DATE:20260310"], ["03-09T23:00/03-10T23:00"]),
    "a whole day of 23 hours": (["DTSTART;VALUE=DATE:20260329"], ["03-28T23:00/03-29T22:00"]),
    "two whole days": (
        ["DTSTART;VALUE=DATE:20260328", "DTEND;VALUE=DATE:20260330"],
        ["03-27T23:00/03-29T22:00"],
    ),
    "a night that loses an hour": (
        ["DTSTART;TZID=Europe/Paris:20260329T013000", "DTEND;TZID=Europe/Paris:20260329T033000"],
        ["03-29T00:30/03-29T01:30"],
    ),
    "EXDATE": (
        ["DTSTART:20260310T100000Z", "DURATION:PT1H", "RRULE:FREQ=DAILY;COUNT=3", "EXDATE:20260311T100000Z"],
        ["03-10T10:00/03-10T11:00", "03-12T10:00/03-12T11:00"],
    ),
    "RDATE": (
        ["DTSTART:20260310T100000Z", "DURATION:PT1H", "RDATE:20260315T100000Z"],
        ["03-10T10:00/03-10T11:00", "03-15T10:00/03-15T11:00"],
    ),
    "cancelled": (["DTSTART:20260310T100000Z", "DURATION:PT1H", "STATUS:CANCELLED"], []),
    "transparent": (["DTSTART:20260310T100000Z", "DURATION:PT1H", "TRANSP:TRANSPARENT"], []),
    "without end or duration": (["DTSTART:20260310T100000Z"], []),
    "that ends before it starts": (["DTSTART:20260310T100000Z", "DTEND:20260310T090000Z"], []),
    "past": (["DTSTART:20260110T100000Z", "DURATION:PT1H"], []),
    "still going on": (["DTSTART:20260302T110000Z", "DURATION:PT3H"], ["03-02T11:00/03-02T14:00"]),
    "beyond the horizon": (["DTSTART:20260810T100000Z", "DURATION:PT1H"], []),
    "for ever since 1900": (
        [*OLD, "RRULE:FREQ=DAILY;COUNT=1000000000"],
        [f"{d:%m-%d}T10:00/{d:%m-%d}T11:00" for d in (NOW + timedelta(days=n) for n in range(1, 93))],
    ),
    "that never happens": ([*OLD, "RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"], []),
    "of the year 9999": (["DTSTART:99991231T235959Z", "DURATION:PT1S"], []),
}


@pytest.mark.parametrize("name", READ)
async def test_an_event_is_read_as_it_is_meant(name: str) -> None:
    lines, expected = READ[name]
    assert spans(await windows(BERLIN, event("one", *lines))) == expected


async def test_a_whole_day_of_25_hours_has_25_hours() -> None:
    october = datetime(2026, 10, 20, tzinfo=UTC)
    found = await windows(event("one", "DTSTART;VALUE=DATE:20261025"), now=october)
    assert spans(found) == ["10-24T22:00/10-25T23:00"]


async def test_an_hour_that_comes_twice_is_the_first_of_the_two() -> None:
    october = datetime(2026, 10, 20, tzinfo=UTC)
    found = await windows(event("one", "DTSTART:20261025T023000", "DTEND:20261025T033000"), now=october)
    assert spans(found) == ["10-25T00:30/10-25T02:30"]


async def test_one_of_a_series_that_was_moved_keeps_its_name() -> None:
    series = event("s", "DTSTART:20260310T100000Z", "DURATION:PT1H", "RRULE:FREQ=DAILY;COUNT=2")
    moved = event("s", "RECURRENCE-ID:20260311T100000Z", "DTSTART:20260320T150000Z", "DURATION:PT1H")
    before, after = await windows(series), await windows(series, moved)
    assert [w["occurrence"] for w in before] == [w["occurrence"] for w in after]
    assert spans(after)[1] == "03-20T15:00/03-20T16:00"


async def test_an_event_alone_is_named_by_its_uid_only_so_that_it_may_move() -> None:
    (found,) = await windows(event("alone", "DTSTART:20260310T100000Z", "DURATION:PT1H"))
    assert (found["uid"], found["occurrence"]) == ("alone", "")


async def test_folded_lines_bare_newlines_and_injected_ones_stay_in_their_field() -> None:
    text = event(
        "x", "SUMMARY:a b\\nEND:VEVENT\\nBEGIN:VEVENT c", "DTSTART:20260310T10", " 0000Z", "DURATION:PT1H"
    )
    folded = await windows(text)
    bare = await read(calendar(text).replace(CRLF, "\n").encode(), NOW, NOW + HORIZON, "Europe/Paris")
    assert spans(folded) == spans(bare["windows"]) == ["03-10T10:00/03-10T11:00"]
    assert folded[0]["summary"] == "a b END:VEVENT BEGIN:VEVENT c"


async def test_the_only_one_invited_is_whose_it_is() -> None:
    times = ("DTSTART:20260310T100000Z", "DURATION:PT1H", "ORGANIZER:mailto:lab@example.org")
    one = await windows(event("1", *times, "ATTENDEE:mailto:camille@example.org"))
    two = await windows(event("1", *times, "ATTENDEE:mailto:a@example.org", "ATTENDEE:mailto:b@example.org"))
    nobody = await windows(event("1", *times[:2]))
    assert [w[0]["member"] for w in (one, two, nobody)] == ["camille@example.org", "lab@example.org", ""]


async def test_an_event_out_of_its_mind_is_counted_and_the_others_are_read() -> None:
    good = event("good", "DTSTART:20260310T100000Z", "DURATION:PT1H")
    told = await read(calendar(event("bad", "X-NO:start"), good).encode(), NOW, NOW + HORIZON, "Europe/Paris")
    assert (len(told["windows"]), told["skipped"]) == (1, 1)


def each_day(count: int) -> str:
    start = "DTSTART:20260303T000000Z"
    return event("many", start, "DURATION:PT1M", f"RRULE:FREQ=HOURLY;COUNT={count}")


async def test_a_thousand_occurrences_are_read_and_one_more_is_refused() -> None:
    assert len(await windows(each_day(1000))) == 1000
    with pytest.raises(Rejected) as refused:
        await windows(each_day(1001))
    assert refused.value.code == "ical.too_many"


BOMBS = {
    "every second": ("ical.too_many", calendar(event("b", *OLD, "RRULE:FREQ=SECONDLY;COUNT=1000000000"))),
    "every second of every hour": (
        "ical.too_many",
        calendar(event("b", *OLD, f"RRULE:FREQ=DAILY;{ALL_HOURS};{ALL_MINUTES};{ALL_SECONDS}")),
    ),
    "every minute of every hour": (
        "ical.too_costly",
        calendar(event("b", *OLD, f"RRULE:FREQ=DAILY;{ALL_HOURS};{ALL_MINUTES}")),
    ),
    "five hundred for ever": (
        "ical.too_costly",
        calendar(*[event(f"b{n}", *OLD, "RRULE:FREQ=DAILY") for n in range(500)]),
    ),
    "a zone of every second": (
        "ical.too_costly",
        calendar(
            BERLIN.replace("FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU", "FREQ=SECONDLY"),
            event("b", "DTSTART;TZID=Somewhere of ours:20260310T100000", "DURATION:PT1H"),
        ),
    ),
    "every day since the year one": (
        "ical.too_costly",
        calendar(event("b", "DTSTART:00010101T000000Z", "DURATION:PT1H", "RRULE:FREQ=DAILY")),
    ),
    "HTML": ("ical.not_a_calendar", "<!doctype html><html><body>Sign in</body></html>"),
    "nothing": ("ical.not_a_calendar", ""),
    "a calendar without end": ("ical.cut_off", calendar(event("b", *OLD)).replace("END:VCALENDAR", "")),
    "an event without end": (
        "ical.not_a_calendar",
        calendar(event("b", *OLD)).replace("END:VEVENT" + CRLF, ""),
    ),
    "noise": ("ical.not_a_calendar", "\0\x01\x02 BEGIN:VCALENDAR"),
}


@pytest.mark.parametrize("name", BOMBS)
async def test_trouble_is_refused_by_name(name: str) -> None:
    code, text = BOMBS[name]
    with pytest.raises(Rejected) as refused:
        await read(text.encode(), NOW, NOW + HORIZON, "Europe/Paris")
    assert refused.value.code == code  # by the child's own limit of CPU time, however busy the machine is


async def test_a_thousand_components_deep_costs_no_stack() -> None:
    deep = ("BEGIN:VEVENT" + CRLF) * 5000 + ("END:VEVENT" + CRLF) * 5000
    assert await windows(deep.rstrip()) == []
