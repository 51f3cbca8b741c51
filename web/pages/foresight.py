"""A forecast in words: about when, at the latest when, where, and after whom.

Minutes are rounded to five: nobody believes a forecast to the minute.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestrator.domain.forecast import Forecast, Instants
from web.pages.formats import Formats
from web.pages.i18n import N_
from web.pages.labels import Gettext

STEP = timedelta(minutes=5)


@dataclass(frozen=True, kw_only=True)
class When:
    about: str
    latest: str  # empty: it says nothing more


@dataclass(frozen=True, kw_only=True)
class Foresight:
    start: When
    end: When
    late: bool  # the deadline would probably be missed


def told(
    forecast: Forecast, deadline: datetime | None, fmt: Formats, now: datetime, translate: Gettext
) -> Foresight:
    return Foresight(
        start=when(forecast.start, fmt, now, translate),
        end=when(forecast.end, fmt, now, translate),
        late=deadline is not None and forecast.end.p50 > deadline,
    )


def when(at: Instants, fmt: Formats, now: datetime, translate: Gettext) -> When:
    about, latest = _rounded(at.p50), _rounded(at.p90, up=True)
    return When(
        about=_about(about, fmt, now, translate),
        latest=_latest(latest, about, fmt, now, translate) if latest > about else "",
    )


def _about(at: datetime, fmt: Formats, now: datetime, translate: Gettext) -> str:
    if at <= now:
        return translate(N_("any moment now"))
    time, days = fmt.clock(at), fmt.days_ahead(at, now)
    if days == 0:
        return translate(N_("at about %(time)s")) % {"time": time}
    if days == 1:
        return translate(N_("tomorrow about %(time)s")) % {"time": time}
    return translate(N_("%(day)s about %(time)s")) % {"day": fmt.near_day(at, now), "time": time}


def _latest(at: datetime, about: datetime, fmt: Formats, now: datetime, translate: Gettext) -> str:
    time, days = fmt.clock(at), fmt.days_ahead(at, now)
    if days == fmt.days_ahead(max(about, now), now):
        return translate(N_("at the latest %(time)s")) % {"time": time}
    if days == 1:
        return translate(N_("at the latest tomorrow at %(time)s")) % {"time": time}
    return translate(N_("at the latest %(day)s at %(time)s")) % {"day": fmt.near_day(at, now), "time": time}


def _rounded(at: datetime, *, up: bool = False) -> datetime:
    over = timedelta(seconds=at.timestamp() % STEP.total_seconds())
    if not over:
        return at
    return at - over + STEP if up or over * 2 >= STEP else at - over
