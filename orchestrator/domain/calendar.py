"""A site's opening hours: when it is open, for whom, and with staff or without. Values are local; instants are UTC.

A site without openings has no calendar: it is always open and staffed, as in a lab that one person runs from their
workshop. Daylight saving is the zone's affair: an opening from 1:00 to 4:00 lasts two, three or four hours.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from orchestrator.domain.member import Public


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
