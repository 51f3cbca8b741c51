"""What one decision costs on one core: fair shares, what is mounted, the order and the choice together; and a forecast.

300 machines of two sizes, half of them with a booking ahead, one job in five with a deadline. `first`: each candidate
is asked for the first time, as after a start; `warm`: what they work out once is there. Seconds of the processor, so
that what else the machine does counts less.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import log
from random import Random
from statistics import median
from uuid import UUID

from bench.schedule.lab import PRINTERS, a_machine, a_member, an_id
from bench.schedule.weeks import a_job
from bench.table import Row
from orchestrator.domain.choosing import choose
from orchestrator.domain.forecast import Lane, forecast
from orchestrator.domain.machine import Kind
from orchestrator.domain.matching import Candidate, Moment, Station
from orchestrator.domain.member import Entitlement, Member, Public
from orchestrator.domain.order import Standing, fair_shares, loaded, ranked
from orchestrator.domain.quote import Spread
from orchestrator.domain.reservation import Purpose, Reservation

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
MACHINES, TIMES = 300, 5
QUEUES, FREE = (1_000, 10_000, 100_000), (1.0, 0.1, 0.01)
FORECAST_QUEUES = (1_000, 10_000)


@dataclass(frozen=True, kw_only=True)
class World:
    members: list[Member]
    used: dict[UUID, float]
    queue: list[Candidate]
    stations: list[Station]

    def first(self) -> World:
        """The same, as if nobody had asked yet."""
        return replace(self, queue=[replace(c) for c in self.queue])


def world(queued: int, free: float, seed: int = 1) -> World:
    rng = Random(seed)
    members = [a_member(rng, Public.INDIVIDUAL) for _ in range(max(10, queued // 10))]
    held = {m.id: (Entitlement(member_id=m.id, machine_class="fdm"),) for m in members}
    queue = []
    for _ in range(queued):
        member, seconds = rng.choice(members), rng.randint(600, 40_000)
        job = a_job(
            rng,
            member,
            NOW - timedelta(seconds=rng.randint(0, 500_000)),
            Spread(p50=seconds, p90=round(seconds * 1.2)),
            rng.choice(PRINTERS[:2]),
            deadline=NOW + timedelta(hours=rng.randint(1, 90)) if rng.random() < 0.2 else None,
        )
        takes = Spread(p50=seconds, p90=round(seconds * 1.2))
        queue.append(Candidate(job=job, member=member, entitlements=held[member.id], takes=takes))
    return World(
        members=members,
        used={m.id: rng.random() * 50_000 for m in members},
        queue=queue,
        stations=[_station(rng, number, members, free) for number in range(MACHINES)],
    )


def _station(rng: Random, number: int, members: list[Member], free: float) -> Station:
    machine = a_machine(rng, PRINTERS[number % 2], number, Kind.PRINTER)
    busy = None if rng.random() < free else an_id(rng)
    if rng.random() < 0.5:
        return Station(machine=machine, run_id=busy)
    starts_at = NOW + timedelta(minutes=rng.randint(5, 600))
    window = Reservation(
        id=an_id(rng),
        system="bench",
        external_id=str(number),
        site=machine.site,
        machine_id=machine.id,
        machine_class=None,
        purpose=Purpose.BOOKING,
        starts_at=starts_at,
        ends_at=starts_at + timedelta(hours=2),
        created_at=NOW,
        changed_at=NOW,
        member_id=rng.choice(members).id,
    )
    return Station(machine=machine, run_id=busy, windows=(window,))


def _order(w: World, moment: Moment) -> list[Candidate]:
    standing = Standing(
        shares=fair_shares(w.members, {}, w.used),
        loaded=loaded((c.needs for c in w.queue), [s.machine for s in w.stations]),
    )
    return ranked(w.queue, standing, moment.policy, moment.now)


def _decide(w: World) -> object:
    moment = Moment(now=NOW)
    return choose(_order(w, moment), w.stations, moment)


def _forecast(w: World) -> object:
    moment, left = Moment(now=NOW), Spread(p50=3000, p90=4000)
    lanes = [Lane(station=s, free_in=left if s.run_id else None) for s in w.stations]
    return forecast(_order(w, moment), lanes, moment)


def _milliseconds(run: Callable[[World], object], worlds: list[World]) -> tuple[float, ...]:
    took = []
    for one in worlds:
        gc.collect()
        began = time.process_time()
        run(one)
        took.append((time.process_time() - began) * 1000)
    return tuple(took)


def rows() -> list[Row]:
    found: list[Row] = []
    medians: dict[tuple[float, str], list[float]] = {}
    for queued in QUEUES:
        for free in FREE:
            w = world(queued, free)
            _decide(w)
            for label, worlds in (("first", [w.first() for _ in range(TIMES)]), ("warm", [w] * TIMES)):
                took = _milliseconds(_decide, worlds)
                what = f"decision, {queued:,} jobs, {free:.0%} free, {label}".replace(",", " ", 1)
                asked = "<= 50 ms" if queued == 10_000 else ""
                found.append(Row(what=what, unit="ms", values=took, asked=asked))
                medians.setdefault((free, label), []).append(median(took))
    for (free, label), took_ms in medians.items():
        slopes = tuple(log(after / before, 10) for before, after in pairwise(took_ms))
        what = f"growth: exponent a decade, {free:.0%} free, {label}"
        found.append(Row(what=what, unit="", values=slopes, asked=f"<= {N_LOG_N:.2f}, n log n"))
    for queued in FORECAST_QUEUES:
        took = _milliseconds(_forecast, [world(queued, 0.1)] * 3)
        found.append(Row(what=f"forecast of {queued} jobs, 10% free", unit="ms", values=took))
    return found


N_LOG_N = log(100_000 * log(100_000) / (10_000 * log(10_000)), 10)
"""The exponent of n log n from 10 000 to 100 000."""
