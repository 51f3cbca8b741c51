"""When a site is open, for whom, and what the clocks' changes do to it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.domain.calendar import (
    FOR_EVER,
    Opening,
    SiteCalendar,
    is_holiday,
    next_open,
    open_until,
    staffed_ahead,
)
from orchestrator.domain.member import Public


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def hours(weekday: int, start: float, end: float, *publics: Public, staffed: bool = True) -> Opening:
    return Opening(
        weekday=weekday,
        from_minute=round(start * 60),
        to_minute=round(end * 60),
        publics=frozenset(publics),
        staffed=staffed,
    )


# Monday 2 March 2026 is winter in Paris: UTC + 1.
LAB = SiteCalendar(
    site="lab",
    openings=(
        hours(0, 9, 12, Public.PROFESSIONAL),
        hours(0, 12, 18),
        hours(0, 18, 22, staffed=False),
        hours(4, 20, 24),
        hours(5, 0, 2),
    ),
    holidays=(date(2026, 3, 9),),
)
NIGHTS = SiteCalendar(site="lab", openings=(hours(6, 1, 4),))  # every Sunday, 1:00 to 4:00


@pytest.mark.parametrize(
    ("at", "public", "staffed", "until"),
    [
        pytest.param("2026-03-02T07:59", None, False, None, id="before it opens"),
        pytest.param("2026-03-02T08:00", None, False, "2026-03-02T21:00", id="openings that touch are one"),
        pytest.param("2026-03-02T08:00", Public.STUDENT, False, None, id="not for this public yet"),
        pytest.param("2026-03-02T11:00", Public.STUDENT, False, "2026-03-02T21:00", id="from noon on"),
        pytest.param("2026-03-02T11:00", None, True, "2026-03-02T17:00", id="with staff until six"),
        pytest.param("2026-03-02T17:00", None, True, None, id="the staff have gone at the very minute"),
        pytest.param("2026-03-02T21:00", None, False, None, id="closed at the very minute"),
        pytest.param("2026-03-06T20:00", None, False, "2026-03-07T01:00", id="over midnight without a break"),
        pytest.param("2026-03-07T00:30", None, False, "2026-03-07T01:00", id="after midnight"),
        pytest.param("2026-03-09T12:00", None, False, None, id="a holiday"),
    ],
)
def test_it_is_open_until(at: str, public: Public | None, staffed: bool, until: str | None) -> None:
    assert open_until(LAB, public, utc(at), staffed=staffed) == (utc(until) if until else None)


@pytest.mark.parametrize(
    ("at", "seconds", "opens"),
    [
        pytest.param("2026-03-02T07:00", 0, "2026-03-02T08:00", id="this morning"),
        pytest.param("2026-03-02T10:00", 0, "2026-03-02T10:00", id="it is open now"),
        pytest.param("2026-03-02T20:00", 7200, "2026-03-06T19:00", id="not long enough today"),
        pytest.param("2026-03-06T22:00", 3 * 3600, "2026-03-06T22:00", id="long enough over midnight"),
        pytest.param("2026-03-07T02:00", 7 * 3600, "2026-03-16T08:00", id="not on the holiday"),
        pytest.param("2026-03-02T07:00", 14 * 3600, None, id="never so long"),
    ],
)
def test_it_opens_next(at: str, seconds: int, opens: str | None) -> None:
    assert next_open(LAB, None, utc(at), seconds=seconds) == (utc(opens) if opens else None)


@pytest.mark.parametrize(
    ("sunday", "opens", "closes"),
    [
        pytest.param("2026-03-22", "2026-03-22T00:00", "2026-03-22T03:00", id="a winter night: three hours"),
        pytest.param("2026-03-29", "2026-03-29T00:00", "2026-03-29T02:00", id="clocks go forward: two hours"),
        pytest.param("2026-07-05", "2026-07-04T23:00", "2026-07-05T02:00", id="a summer night: three hours"),
        pytest.param("2026-10-25", "2026-10-24T23:00", "2026-10-25T03:00", id="clocks go back: four hours"),
    ],
)
def test_an_opening_in_the_night_in_which_the_clocks_change(sunday: str, opens: str, closes: str) -> None:
    saturday_noon = utc(f"{sunday}T12:00") - timedelta(days=1)

    assert next_open(NIGHTS, None, saturday_noon) == utc(opens)
    assert open_until(NIGHTS, None, utc(opens)) == utc(closes)


@pytest.mark.parametrize("calendar", [None, SiteCalendar(site="lab")], ids=["none", "without openings"])
def test_a_site_without_hours_is_always_open_and_staffed(calendar: SiteCalendar | None) -> None:
    at = utc("2026-03-02T03:00")

    assert open_until(calendar, Public.YOUTH, at, staffed=True) == FOR_EVER
    assert next_open(calendar, Public.YOUTH, at, seconds=1e9, staffed=True) == at
    assert staffed_ahead(calendar, at) == [(0.0, float("inf"))]


def test_a_holiday_is_that_of_the_local_day() -> None:
    assert is_holiday(LAB, utc("2026-03-08T23:30"))
    assert not is_holiday(LAB, utc("2026-03-09T23:30"))


def test_the_staff_of_a_lab_that_is_never_closed_are_there_without_a_break() -> None:
    always = SiteCalendar(site="lab", openings=tuple(hours(day, 0, 24) for day in range(7)))
    at = utc("2026-03-25T12:00")

    until = open_until(always, None, at)

    assert until is not None
    assert until - at > timedelta(days=60)


OPENINGS = st.builds(
    lambda day, start, long, staffed: Opening(
        weekday=day, from_minute=start, to_minute=min(1440, start + long), staffed=staffed
    ),
    st.integers(0, 6),
    st.integers(0, 1439),
    st.integers(1, 1440),
    st.booleans(),
)
CALENDARS = st.builds(
    lambda openings: SiteCalendar(site="lab", openings=tuple(openings)),
    st.lists(OPENINGS, min_size=1, max_size=6),
)
INSTANTS = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)).map(lambda d: d.replace(tzinfo=UTC))  # noqa: DTZ001


@settings(deadline=None)
@given(calendar=CALENDARS, at=INSTANTS, staffed=st.booleans())
def test_it_is_open_at_the_next_opening_and_not_before(
    calendar: SiteCalendar, at: datetime, staffed: bool
) -> None:
    opens = next_open(calendar, None, at, staffed=staffed)
    if opens is None:
        return

    until = open_until(calendar, None, opens, staffed=staffed)

    assert until is not None
    assert until > opens >= at
    assert opens == at or open_until(calendar, None, at, staffed=staffed) is None


@settings(deadline=None)
@given(calendar=CALENDARS, at=INSTANTS)
def test_the_staffs_hours_ahead_agree_with_the_questions_one_by_one(
    calendar: SiteCalendar, at: datetime
) -> None:
    spans = staffed_ahead(calendar, at)

    assert all(before[1] < after[0] for before, after in pairwise(spans))
    for start, end in spans[:3]:
        opens = at + timedelta(seconds=max(start, 0))
        assert open_until(calendar, None, opens, staffed=True) == at + timedelta(seconds=end)
