"""Who decides: ours (orchestrator.domain) and what print queues do today, all under the same hard rules.

A policy sees a View and nothing else: no actual duration is in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from orchestrator.domain.choosing import Pairing, choose
from orchestrator.domain.machine import holds
from orchestrator.domain.matching import (
    PERSON_FITS,
    TIME_FITS,
    Candidate,
    Moment,
    Station,
    machine_refusals,
    suits,
)
from orchestrator.domain.member import Member, Organisation
from orchestrator.domain.order import Standing, fair_shares, loaded, ranked


@dataclass(frozen=True, kw_only=True)
class View:
    """What is known at the moment of a decision."""

    moment: Moment
    queue: Sequence[Candidate]
    stations: Sequence[Station]
    used: Mapping[UUID, float]  # machine seconds by member, of late
    members: Mapping[UUID, Member]
    organisations: Mapping[UUID, Organisation]
    attempts: Mapping[tuple[UUID, UUID], int]


Decides = Callable[[View], Sequence[Pairing]]


def order_of(view: View) -> list[Candidate]:
    """Ours, without the choice: forecasts ask for it too."""
    about = {c.member.id for c in view.queue} | set(view.used)
    shares = fair_shares([view.members[one] for one in about], view.organisations, view.used)
    mounted = loaded((c.needs for c in view.queue), [s.machine for s in view.stations])
    standing = Standing(shares=shares, loaded=mounted, calendar=view.stations[0].calendar)
    return ranked(view.queue, standing, view.moment.policy, view.moment.now)


def ours(view: View) -> Sequence[Pairing]:
    return choose(order_of(view), view.stations, view.moment, view.attempts)


def fcfs(view: View) -> Sequence[Pairing]:
    """First come, first served: each in turn on the first machine that may take it now; none keeps a place."""
    return _greedy(sorted(view.queue, key=lambda c: (c.came, c.job.id.int)), view.stations, view.moment)


def fcfs_blind(view: View) -> Sequence[Pairing]:
    """The same, but a window counts only once it has begun."""
    now = view.moment.now
    seen = [replace(s, windows=tuple(w for w in s.windows if w.starts_at <= now)) for s in view.stations]
    return _greedy(sorted(view.queue, key=lambda c: (c.came, c.job.id.int)), seen, view.moment)


def sjf(view: View) -> Sequence[Pairing]:
    """The shortest first."""
    order = sorted(view.queue, key=lambda c: (c.takes.p50, c.came, c.job.id.int))
    return _greedy(order, view.stations, view.moment)


def _greedy(queue: Iterable[Candidate], stations: Iterable[Station], moment: Moment) -> list[Pairing]:
    free = [s for s in stations if not machine_refusals(s)]
    pairs: list[Pairing] = []
    for c in queue:
        if not free:
            break
        for station in free:
            if _fits(c, station, moment):
                pairs.append(Pairing(job_id=c.job.id, machine_id=station.machine.id))
                free.remove(station)
                break
    return pairs


def _fits(c: Candidate, station: Station, moment: Moment) -> bool:
    machine = station.machine
    return (
        suits(c.needs, machine)
        and holds(machine.abilities.size_mm, c.size_mm)
        and not any(rule(c, station, moment) for rule in (*PERSON_FITS, *TIME_FITS))
    )


POLICIES: Mapping[str, Decides] = {
    "ours": ours,
    "fcfs": fcfs,
    "fcfs, blind": fcfs_blind,
    "sjf": sjf,
}
