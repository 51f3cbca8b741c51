"""A plan as a picture: for each machine a line of time, on it what takes the machine, by percent of the whole.

Presentation only. The picture is for the eye; every page that shows it says the same in words beside it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from orchestrator.domain.machine import Machine
from orchestrator.domain.reservation import Reservation
from orchestrator.flow import availability
from orchestrator.flow.availability import Stretch
from orchestrator.flow.planned import Lane, Plan
from web.pages.i18n import N_

KINDS = {
    "running": N_("at work"),
    "reserved": N_("reserved"),
    "event": N_("event"),
    "maintenance": N_("maintenance"),
    "closure": N_("closed"),
    "held": N_("held back"),
    "expected": N_("expected"),
}


@dataclass(frozen=True, kw_only=True)
class Block:
    """One thing on a machine's line; `late` is how far its late end (p90) goes beyond its middle one."""

    kind: str
    x: str  # percent
    width: str
    late_x: str
    late_width: str  # "0": it is as sure as it looks
    starts_at: datetime
    ends_at: datetime | None  # None: nobody can say
    text: str  # whose, or what; empty: nothing to name
    href: str = ""


@dataclass(frozen=True, kw_only=True)
class Tick:
    x: str
    at: datetime


def kind_of(window: Reservation) -> str:
    return availability.KINDS[window.purpose]


def sites(machines: Iterable[Machine]) -> list[str]:
    return sorted({machine.site for machine in machines})


def classes(machines: Iterable[Machine]) -> list[tuple[str, str]]:
    """Site and class, where a class has more than one machine."""
    counted = Counter((machine.site, machine.machine_class) for machine in machines)
    return sorted(key for key, number in counted.items() if number > 1)


def bounds(day: datetime, zone: str, *, week: bool) -> tuple[datetime, datetime]:
    """The day, or the week from Monday on, that `day` lies in, as clocks of the site count it; in UTC."""
    place = ZoneInfo(zone)
    date = day.astimezone(place).date()
    if week:
        date -= timedelta(days=date.weekday())
    until = date + timedelta(days=7 if week else 1)
    start, end = (datetime.combine(one, time(), place).astimezone(UTC) for one in (date, until))
    return start, end


def ahead(now: datetime, zone: str) -> tuple[datetime, datetime]:
    """24 hours from the last third hour on, as clocks of the site show it; in UTC."""
    local = now.astimezone(ZoneInfo(zone))
    start = local.replace(hour=local.hour // 3 * 3, minute=0, second=0, microsecond=0).astimezone(UTC)
    return start, start + timedelta(hours=24)


def ticks(plan: Plan, zone: str, *, week: bool) -> list[Tick]:
    """Each midnight of a week; each third hour of a day, as clocks show it."""
    place, step = ZoneInfo(zone), timedelta(days=1) if week else timedelta(hours=3)
    at, found = plan.start.astimezone(place).replace(tzinfo=None), list[Tick]()
    while (instant := at.replace(tzinfo=place).astimezone(UTC)) < plan.end:
        found.append(Tick(x=_percent(plan, instant), at=instant))
        at += step
    return found


def now_at(plan: Plan, now: datetime) -> str:
    """Where the present is; empty: elsewhere."""
    return _percent(plan, now) if plan.start <= now < plan.end else ""


def blocks(plan: Plan, lane: Lane) -> list[Block]:
    """Those that are only expected first, so that what is sure lies over them."""
    return [*_expected(plan, lane), *(_block(plan, lane, one) for one in lane.taken)]


def _expected(plan: Plan, lane: Lane) -> Iterator[Block]:
    for one in lane.expected:
        yield _made(
            plan,
            "expected",
            one.forecast.start.p50,
            one.forecast.end.p50,
            one.forecast.end.p90,
            text=f"{one.work.file_name} · {one.work.member_name}",
            href=f"/jobs/{one.work.job_id}",
        )


def _block(plan: Plan, lane: Lane, one: Stretch) -> Block:
    if one.kind == "running" and lane.running is not None:
        text, href = f"{lane.running.file_name} · {lane.running.member_name}", f"/jobs/{lane.running.job_id}"
    else:
        text, href = _whose(plan, one), ""
    late = one.ends_at.p90 if one.ends_at else None
    return _made(plan, one.kind, one.starts_at, one.ends_at.p50 if one.ends_at else None, late, text, href)


def _whose(plan: Plan, one: Stretch) -> str:
    window = one.reservation
    if window is None:
        return ""
    named = [plan.names.get(key, "") for key in (window.member_id, window.organisation_id) if key]
    return " · ".join(word for word in (*named, window.note) if word)


def _made(
    plan: Plan,
    kind: str,
    start: datetime,
    end: datetime | None,
    late: datetime | None,
    text: str,
    href: str,
) -> Block:
    until = end or plan.end
    x, stop, last = (_share(plan, at) for at in (start, until, late or until))
    return Block(
        kind=kind,
        x=_text(x),
        width=_text(stop - x),
        late_x=_text(stop),
        late_width=_text(max(0.0, last - stop)),
        starts_at=start,
        ends_at=end,
        text=text,
        href=href,
    )


def _share(plan: Plan, at: datetime) -> float:
    """Percent of the picture's width, kept within it."""
    share = (at - plan.start) / (plan.end - plan.start)
    return 100 * min(1.0, max(0.0, share))


def _percent(plan: Plan, at: datetime) -> str:
    return _text(_share(plan, at))


def _text(percent: float) -> str:
    return f"{percent:.2f}".rstrip("0").rstrip(".")
