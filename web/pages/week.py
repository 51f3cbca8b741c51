"""A site's week as a picture: each day's openings as bars on a line of 24 hours. Decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.domain.calendar import Opening, SiteCalendar


@dataclass(frozen=True, kw_only=True)
class Bar:
    """An opening in the picture of a day."""

    begins: int
    minutes: int
    staffed: bool
    some: bool  # not for everybody


@dataclass(frozen=True, kw_only=True)
class Day:
    weekday: int
    openings: tuple[Opening, ...]
    bars: tuple[Bar, ...]


def week(calendar: SiteCalendar) -> list[Day]:
    return [_day(number, calendar.openings) for number in range(7)]


def _day(weekday: int, openings: Sequence[Opening]) -> Day:
    those = tuple(
        sorted(
            (one for one in openings if one.weekday == weekday),
            key=lambda one: (one.from_minute, one.to_minute),
        )
    )
    bars = tuple(
        Bar(
            begins=one.from_minute,
            minutes=one.to_minute - one.from_minute,
            staffed=one.staffed,
            some=bool(one.publics),
        )
        for one in those
    )
    return Day(weekday=weekday, openings=those, bars=bars)


def clock(minute: int) -> str:
    """As people write it; the end of the day is 24:00."""
    return f"{minute // 60:02}:{minute % 60:02}"
