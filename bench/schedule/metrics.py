"""What came of the weeks, in figures.

- wait: from queued to the first start. Bounded slowdown: (wait + run) / max(run, 10 min), at least 1 (Feitelson et al.,
  "Theory and practice in parallel job scheduling", 1997; they bound at 10 s, prints are longer).
- fairness: Jain's index over members of their mean bounded slowdown, (sum x)^2 / (n sum x^2): 1 where all fare alike
  (Jain, Chiu and Hawe, DEC-TR-301, 1984).
- service: Jain's index over members of service / demand, the time their jobs were worked on as a part of the time they
  were there, waiting included: the index as its authors define it for unequal demands, of a good that is handed out.
  The index of a cost, as above, calls it fair where all wait long, and unfair where all but a few wait not at all.
- a forecast held where what it is about came no later than its p90.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from statistics import fmean, median
from uuid import UUID

from bench.schedule.simulate import Life, Outcome
from orchestrator.domain.job import Priority

BOUND_SECONDS = 600.0
HOUR = 3600.0


@dataclass(frozen=True, kw_only=True)
class Figures:
    mean_wait_hours: float
    p95_wait_hours: float
    longest_wait_hours: float
    light_wait_hours: float  # mean, of members with one or two jobs
    slowdown: float
    fairness: float
    service: float
    missed: int
    bookings: int
    crossed_maintenance: int
    utilisation_percent: float
    classes_late_percent: float
    unstarted: int
    start_held_percent: float | None  # None: nothing was foretold
    end_held_percent: float | None
    start_error_hours: float | None  # median, of p50
    end_error_hours: float | None


def figures(out: Outcome) -> Figures:
    lives = [life for life in out.lives.values() if life.started_at is not None]
    waits = [wait_seconds(life) for life in lives]
    return Figures(
        mean_wait_hours=fmean(waits) / HOUR,
        p95_wait_hours=quantile(waits, 0.95) / HOUR,
        longest_wait_hours=max(waits) / HOUR,
        light_wait_hours=fmean(_light(lives)) / HOUR,
        slowdown=fmean(slowdown(life) for life in lives),
        fairness=jain([fmean(row) for row in _by_member(lives).values()]),
        service=jain(list(_service(lives).values())),
        missed=len(out.missed),
        bookings=len(out.missed) + out.met + out.down,
        crossed_maintenance=out.crossed_maintenance,
        utilisation_percent=100 * _utilisation(out),
        classes_late_percent=100 * _late(list(out.lives.values())),
        unstarted=len(out.lives) - len(lives),
        **_forecasts(out),
    )


def wait_seconds(life: Life) -> float:
    assert life.started_at is not None
    return life.started_at.timestamp() - life.candidate.came


def slowdown(life: Life) -> float:
    """By how long it was told to take: what it really took is the same under every policy."""
    run = max(float(life.candidate.takes.p50), BOUND_SECONDS)
    return max(1.0, (wait_seconds(life) + life.candidate.takes.p50) / run)


def jain(values: Sequence[float]) -> float:
    return sum(values) ** 2 / (len(values) * sum(value * value for value in values))


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of them does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-int(share * 1e9) * len(ordered) // 10**9) - 1))]


def _by_member(lives: Sequence[Life]) -> Mapping[UUID, list[float]]:
    found: defaultdict[UUID, list[float]] = defaultdict(list)
    for life in lives:
        found[life.candidate.member.id].append(slowdown(life))
    return found


def _service(lives: Sequence[Life]) -> Mapping[UUID, float]:
    worked: defaultdict[UUID, float] = defaultdict(float)
    there: defaultdict[UUID, float] = defaultdict(float)
    for life in lives:
        worked[life.candidate.member.id] += life.candidate.takes.p50
        there[life.candidate.member.id] += life.candidate.takes.p50 + wait_seconds(life)
    return {member_id: seconds / there[member_id] for member_id, seconds in worked.items()}


def _light(lives: Sequence[Life]) -> list[float]:
    waits: defaultdict[UUID, list[float]] = defaultdict(list)
    for life in lives:
        waits[life.candidate.member.id].append(wait_seconds(life))
    return [wait for row in waits.values() if len(row) <= 2 for wait in row]


def _utilisation(out: Outcome) -> float:
    """Of the machines' hours from the first arrival to the last, how many they worked."""
    start, end = out.weeks.starts_at, out.weeks.ends_at
    worked = sum(
        (max(timedelta(), min(run.end, end) - max(run.start, start)) for run in out.runs), timedelta()
    )
    return worked / ((end - start) * len(out.weeks.machines))


def _late(lives: Sequence[Life]) -> float:
    students = [life for life in lives if life.candidate.job.priority is Priority.TEACHING]
    late = [
        life
        for life in students
        if life.candidate.job.deadline and (not life.done_at or life.done_at > life.candidate.job.deadline)
    ]
    return len(late) / len(students) if students else 0.0


def _forecasts(out: Outcome) -> dict[str, float | None]:
    names = ("start_held_percent", "end_held_percent", "start_error_hours", "end_error_hours")
    told = [life for life in out.lives.values() if life.told is not None]
    if not told:
        return dict.fromkeys(names)
    starts, ends, start_errors, end_errors = [], [], [], []
    for life in told:
        assert life.told is not None
        said = life.told.forecast
        starts.append(life.started_at is not None and life.started_at <= said.start.p90)
        ends.append(life.done_at is not None and life.done_at <= said.end.p90)
        if life.started_at and life.done_at:
            start_errors.append(abs((life.started_at - said.start.p50).total_seconds()) / HOUR)
            end_errors.append(abs((life.done_at - said.end.p50).total_seconds()) / HOUR)
    values = (100 * fmean(starts), 100 * fmean(ends), median(start_errors), median(end_errors))
    return dict(zip(names, values, strict=True))
