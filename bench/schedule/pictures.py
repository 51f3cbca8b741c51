"""The pictures of docs/scheduling.md, as SVG: how long jobs wait under each policy, one machine's week, and forecasts
against what came."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from html import escape
from pathlib import Path
from uuid import UUID

from bench.schedule.metrics import wait_seconds
from bench.schedule.policies import POLICIES
from bench.schedule.simulate import Outcome, simulate
from bench.schedule.weeks import ZONE, Weeks, weeks
from orchestrator.domain.calendar import next_open, open_until
from orchestrator.domain.reservation import Purpose

SEED = 1
COLOURS: Mapping[str, str] = {
    "ours": "#0b6e4f",
    "fcfs": "#b3541e",
    "fcfs, blind": "#8a8a8a",
    "sjf": "#3b5bdb",
}
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 760, 340, 60, 44, 34
INK, PALE = "#222", "#ddd"


def draw(folder: Path) -> None:
    """All three, from one draw of the week."""
    week = weeks(SEED)
    outs = {name: simulate(week, decides, foretell=name == "ours") for name, decides in POLICIES.items()}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "schedule-waits.svg").write_text(waits(outs))
    (folder / "schedule-machines.svg").write_text(machines(outs["ours"]))
    (folder / "schedule-forecasts.svg").write_text(forecasts(outs["ours"]))


def _svg(title: str, parts: Iterable[str], height: int = HEIGHT) -> str:
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
        f' font-family="sans-serif" font-size="12" fill="{INK}" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        _text(LEFT, 18, title, size=14),
        *parts,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _text(x: float, y: float, words: str, *, size: int = 12, anchor: str = "start", fill: str = INK) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{fill}">'
        f"{escape(words)}</text>"
    )


def _line(x1: float, y1: float, x2: float, y2: float, stroke: str = PALE) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{stroke}"/>'


def _box(x: float, y: float, width: float, height: float, fill: str, about: str = "", extra: str = "") -> str:
    inner = f"<title>{escape(about)}</title>" if about else ""
    size = f'width="{max(width, 0.8):.1f}" height="{height:.1f}"'
    return f'<rect x="{x:.1f}" y="{y:.1f}" {size} fill="{fill}" {extra}>{inner}</rect>'


# --- how long jobs wait -------------------------------------------------------------------------------

WAIT_HOURS_MAX = 96


def waits(outs: Mapping[str, Outcome]) -> str:
    """Of all jobs, how many had started after so many hours."""
    wide, high = WIDTH - LEFT - 20, HEIGHT - TOP - BOTTOM

    def at(hours: float, share: float) -> tuple[float, float]:
        return LEFT + wide * min(hours, WAIT_HOURS_MAX) / WAIT_HOURS_MAX, TOP + high * (1 - share)

    parts = []
    for percent in range(0, 101, 25):
        y = at(0, percent / 100)[1]
        parts += [_line(LEFT, y, LEFT + wide, y), _text(LEFT - 8, y + 4, f"{percent} %", anchor="end")]
    for hours in range(0, WAIT_HOURS_MAX + 1, 12):
        parts.append(_text(at(hours, 0)[0], HEIGHT - BOTTOM + 16, f"{hours} h", anchor="middle"))
    for number, (name, out) in enumerate(outs.items()):
        found = sorted(wait_seconds(life) / 3600 for life in out.lives.values() if life.started_at)
        steps = [at(hours, (place + 1) / len(found)) for place, hours in enumerate(found)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in steps)
        dash = ' stroke-dasharray="5 3"' if "blind" in name else ""
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{COLOURS[name]}" stroke-width="2"{dash}/>'
        )
        y = TOP + high - 20 * (len(outs) - number)
        parts += [
            _line(LEFT + wide - 130, y, LEFT + wide - 105, y, COLOURS[name]),
            _text(LEFT + wide - 98, y + 4, name, fill=COLOURS[name]),
        ]
    return _svg("Jobs that had started after so many hours in the queue", parts)


# --- a week of some machines --------------------------------------------------------------------------

STRIP, SHOWN_MACHINES = 26, 9
FILLS = {"run": "#0b6e4f", "backfill": "#7fc8a9", "failed": "#c92a2a"}


def machines(out: Outcome) -> str:
    """Runs on the machines that have most windows, dark; those that overtook, light; windows framed."""
    week = out.weeks
    names = {m.id: m.name for m in week.machines}
    booked = {m.id: sum(r.machine_id == m.id for r in week.reservations) for m in week.machines}
    rows = sorted(names, key=lambda one: (-booked[one], names[one]))[:SHOWN_MACHINES]
    height = TOP + STRIP * len(rows) + 66
    parts = _staffed(week, TOP, STRIP * len(rows))
    for day in range(7):
        when = week.starts_at + timedelta(days=day)
        parts.append(_text(_x(week, when) + 4, TOP + STRIP * len(rows) + 16, f"{when.astimezone(ZONE):%a}"))
    for number, machine_id in enumerate(rows):
        parts += _strip(out, machine_id, TOP + STRIP * number + 4, names[machine_id])
    y = TOP + STRIP * len(rows) + 40
    words = (("run", "run"), ("backfill", "overtook one that came before it"), ("failed", "machine broke"))
    for place, (fill, label) in enumerate(words):
        x = LEFT + (0, 70, 300)[place]
        parts += [_box(x, y - 10, 14, 12, FILLS[fill]), _text(x + 20, y, label)]
    parts += [
        _box(LEFT + 420, y - 10, 14, 12, "none", extra='stroke="#3b5bdb" stroke-width="2"'),
        _text(LEFT + 440, y, "booking; dashed: nobody came"),
        _text(LEFT, y + 18, "framed orange: maintenance; grey behind: the staff are there"),
    ]
    return _svg("A week of the machines with most bookings", parts, height)


def _x(week: Weeks, when: datetime) -> float:
    share = (when - week.starts_at) / (week.ends_at - week.starts_at)
    return LEFT + (WIDTH - LEFT - 20) * min(1.0, max(0.0, share))


def _staffed(week: Weeks, top: float, high: float) -> list[str]:
    parts, at = [], week.starts_at
    while (opens := next_open(week.calendar, None, at, staffed=True)) and opens < week.ends_at:
        until = open_until(week.calendar, None, opens, staffed=True)
        assert until is not None
        parts.append(_box(_x(week, opens), top, _x(week, until) - _x(week, opens), high, "#eee"))
        at = until
    return parts


def _strip(out: Outcome, machine_id: UUID, y: float, name: str) -> list[str]:
    week = out.weeks
    parts = [_text(LEFT - 8, y + 13, name, anchor="end")]
    for run in out.runs:
        if run.machine_id == machine_id and run.start < week.ends_at:
            kind = "failed" if run.failed else "backfill" if run.overtook else "run"
            x = _x(week, run.start)
            about = f"{run.start.astimezone(ZONE):%a %H:%M} to {run.end.astimezone(ZONE):%a %H:%M}"
            parts.append(_box(x, y, _x(week, run.end) - x - 0.6, STRIP - 8, FILLS[kind], about))
    for window in week.reservations:
        if window.machine_id == machine_id:
            booking = window.purpose is Purpose.BOOKING
            colour = "#3b5bdb" if booking else "#e8590c"
            dash = ' stroke-dasharray="3 2"' if booking and window.id not in week.nature.comes_at else ""
            x = _x(week, window.starts_at)
            extra = f'stroke="{colour}" stroke-width="2"{dash}'
            parts.append(_box(x, y - 2, _x(week, window.ends_at) - x, STRIP - 4, "none", extra=extra))
    return parts


# --- forecasts ----------------------------------------------------------------------------------------

TOLD_HOURS_MAX = 72


def forecasts(out: Outcome) -> str:
    """Each job's start: the p90 that was foretold against what came; below the diagonal it held."""
    wide, high = WIDTH - LEFT - 20, HEIGHT - TOP - BOTTOM

    def at(told: float, came: float) -> tuple[float, float]:
        return (
            LEFT + wide * min(told, TOLD_HOURS_MAX) / TOLD_HOURS_MAX,
            TOP + high * (1 - min(came, TOLD_HOURS_MAX) / TOLD_HOURS_MAX),
        )

    parts = [_line(*at(0, 0), *at(TOLD_HOURS_MAX, TOLD_HOURS_MAX), INK)]
    for hours in range(0, TOLD_HOURS_MAX + 1, 12):
        x, y = at(hours, hours)
        parts += [
            _text(x, HEIGHT - BOTTOM + 16, f"{hours} h", anchor="middle"),
            _text(LEFT - 8, y + 4, f"{hours} h", anchor="end"),
            _line(LEFT, y, LEFT + wide, y),
        ]
    held = total = 0
    for life in out.lives.values():
        if life.told is None or life.started_at is None:
            continue
        told = (life.told.forecast.start.p90 - life.told.at).total_seconds() / 3600
        came = (life.started_at - life.told.at).total_seconds() / 3600
        total, held = total + 1, held + (came <= told)
        x, y = at(told, came)
        fill = COLOURS["ours"] if came <= told else FILLS["failed"]
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{fill}" fill-opacity="0.6"/>')
    parts.append(_text(LEFT + wide / 2, HEIGHT - 8, "p90 foretold when it was queued", anchor="middle"))
    words = f"When jobs started, against what was foretold: {held} of {total} no later"
    return _svg(words, parts)
