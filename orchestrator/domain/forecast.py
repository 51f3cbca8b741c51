"""When will a queued job start and end? The queue is dealt to the machines that suit, in order, twice: once
as everything goes as expected (p50), once as everything goes slowly (p90).

It does not foresee people: a bed that must be cleared counts as cleared at once. It is a first word, not a
promise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID


@dataclass(frozen=True, kw_only=True)
class Instants:
    p50: datetime
    p90: datetime


@dataclass(frozen=True, kw_only=True)
class Forecast:
    start: Instants
    end: Instants


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """A queued job: how long it takes, and the machines that could ever take it."""

    job_id: UUID
    seconds_p50: int
    seconds_p90: int
    machines: frozenset[UUID]


@dataclass(frozen=True, kw_only=True)
class Lane:
    """A machine and the seconds, from now, until its present run ends."""

    machine_id: UUID
    free_in_p50: int = 0
    free_in_p90: int = 0


def forecast(queue: Sequence[Waiting], lanes: Sequence[Lane], now: datetime) -> Mapping[UUID, Forecast]:
    """Forecast per job id; a job no machine could ever take is absent."""
    likely = _deal(
        [(w.job_id, w.seconds_p50, w.machines) for w in queue], {m.machine_id: m.free_in_p50 for m in lanes}
    )
    late = _deal(
        [(w.job_id, w.seconds_p90, w.machines) for w in queue], {m.machine_id: m.free_in_p90 for m in lanes}
    )
    return {
        job_id: Forecast(
            start=Instants(p50=_at(now, start), p90=_at(now, max(start, late[job_id][0]))),
            end=Instants(p50=_at(now, end), p90=_at(now, max(end, late[job_id][1]))),
        )
        for job_id, (start, end) in likely.items()
    }


def _deal(
    queue: Sequence[tuple[UUID, int, frozenset[UUID]]], free_in: dict[UUID, int]
) -> dict[UUID, tuple[int, int]]:
    """Seconds from now at which each job starts and ends, each taken by the machine that is free first."""
    spans: dict[UUID, tuple[int, int]] = {}
    for job_id, seconds, machines in queue:
        lanes = [(free_in[machine], machine) for machine in machines if machine in free_in]
        if not lanes:
            continue
        start, machine = min(lanes)
        free_in[machine] = start + seconds
        spans[job_id] = (start, start + seconds)
    return spans


def _at(now: datetime, seconds: int) -> datetime:
    return now + timedelta(seconds=seconds)
