"""Who gets which machine now: waiting jobs in their order, each to the best of the free machines that may take it.

Backfill (EASY: Lifka, "The ANL/IBM SP scheduling system", 1995, here with one job a machine): a job that cannot start
yet does not keep a free machine idle. A shorter one goes before it where it is done in time: before the next window on
that machine, before the lab closes, and before the instant at which the one it overtakes could start there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from uuid import UUID

from orchestrator.domain.calendar import FOR_EVER
from orchestrator.domain.machine import holds
from orchestrator.domain.matching import (
    ASKER_FITS,
    Candidate,
    Moment,
    Needs,
    Refusal,
    Station,
    Until,
    machine_refusals,
    suits,
)


@dataclass(frozen=True, kw_only=True)
class Pairing:
    job_id: UUID
    machine_id: UUID


def choose(
    queue: Sequence[Candidate],
    stations: Iterable[Station],
    moment: Moment,
    attempts: Mapping[tuple[UUID, UUID], int] | None = None,
) -> tuple[Pairing, ...]:
    """Pair waiting jobs, in the order given, with machines that may take them now; each machine once, each job once.

    Among the machines that fit, one on which this job has failed less often goes first, then the smallest bed (the big
    ones stay free for big parts), then the one whose next window is nearest (the others stay free for long jobs), then
    the name, so that the choice is the same for the same snapshot.
    """
    free = _Free([s for s in stations if not machine_refusals(s)], moment, attempts or {})
    pairs: list[Pairing] = []
    for candidate in queue:
        if not free.left:
            break
        machine_id = free.take(candidate)
        if machine_id is not None:
            pairs.append(Pairing(job_id=candidate.job.id, machine_id=machine_id))
    return tuple(pairs)


@dataclass
class _Beds:
    """Free machines that suit, with a work area of one size, the preferred first."""

    size_mm: tuple[int, int, int]
    stations: dict[UUID, Station]


class _Free:
    """The machines that take something now, by what they suit; each is given away once."""

    def __init__(
        self, stations: list[Station], moment: Moment, attempts: Mapping[tuple[UUID, UUID], int]
    ) -> None:
        self._stations = sorted(stations, key=lambda s: _preference(s, moment.now))
        self._moment = moment
        self._attempts = attempts
        self._suited: dict[int, list[_Beds]] = {}  # by the address of a Needs: equal ones are the same
        self._given: set[UUID] = set()
        self._kept_from: dict[
            UUID, datetime
        ] = {}  # by machine: when one that was overtaken could start there
        self._in_vain: dict[
            object, tuple[int, int]
        ] = {}  # kind of job -> (seconds, milligrams) that found nothing
        self._holders = {
            h.int for s in stations for w in s.windows for h in (w.member_id, w.organisation_id) if h
        }
        self._margin_seconds = moment.policy.margin_minutes * 60
        self._until_window = {s.machine.id: _until_window(s, moment.now) for s in stations}
        self.left = len(stations)

    def take(self, c: Candidate) -> UUID | None:
        """The machine this job gets, which is then gone; None: none of them now."""
        suited = self._suited_for(c.needs)
        if not suited:
            return None
        kind = self._kind(c, suited)
        in_vain = self._in_vain.get(kind)
        if in_vain is not None and c.takes.p90 >= in_vain[0] and c.milligrams >= in_vain[1]:
            return None  # machines only become fewer, and what is longer or heavier fits nowhere it did not
        room = [beds for beds in suited if beds.stations and holds(beds.size_mm, c.size_mm)]
        best = self._best(c, room)
        if best is None:
            self._in_vain[kind] = (c.takes.p90, c.milligrams)
            return None
        self._give_away(best.machine.id)
        return best.machine.id

    def _kind(self, c: Candidate, suited: list[_Beds]) -> object:
        """What the rules look at beside how long and heavy the job is."""
        own = c.member.id if self._holds(c) or not c.member.current(self._moment.now) else None
        return id(suited), c.size_mm, c.standing, own

    def _suited_for(self, needs: Needs) -> list[_Beds]:
        """By size, the smallest first."""
        known = self._suited.get(id(needs))
        if known is None:
            by_size: dict[tuple[int, int, int], _Beds] = {}
            for station in self._stations:
                machine = station.machine
                if machine.id not in self._given and suits(needs, machine):
                    beds = by_size.setdefault(machine.abilities.size_mm, _Beds(machine.abilities.size_mm, {}))
                    beds.stations[machine.id] = station
            self._suited[id(needs)] = known = list(by_size.values())
        return known

    def _give_away(self, machine_id: UUID) -> None:
        self.left -= 1
        self._given.add(machine_id)
        for known in self._suited.values():
            for beds in known:
                beds.stations.pop(machine_id, None)

    def _best(self, c: Candidate, room: list[_Beds]) -> Station | None:
        """The first that fits, or of all that fit the one on which it has failed least."""
        needed = c.takes.p90 + self._margin_seconds
        stranger = not self._holds(c)
        fitting: list[Station] = []
        for station in chain.from_iterable(beds.stations.values() for beds in room):
            if stranger and self._until_window[station.machine.id] < needed:
                continue  # what `_window` would say, at a hundredth of the price
            if self._refusal(c, station) is None:
                if not self._attempts:
                    return station
                fitting.append(station)
        if fitting:
            return min(fitting, key=lambda s: self._attempts.get((c.job.id, s.machine.id), 0))
        self._keep_place(c, room)
        return None

    def _keep_place(self, c: Candidate, room: list[_Beds]) -> None:
        """Where this job could start first is its place: who comes after it must be done there by then."""
        could = [
            (no.at, station.machine.id)
            for beds in room
            for station in beds.stations.values()
            if (no := self._refusal(c, station)) and no.until is Until.TIME and no.at is not None
        ]
        if could:
            at, machine_id = min(could)
            self._kept_from[machine_id] = min(at, self._kept_from.get(machine_id, FOR_EVER))

    def _holds(self, c: Candidate) -> bool:
        """Is one of the windows its member's?"""
        organisation_id = c.member.organisation_id
        return c.member.id.int in self._holders or (
            organisation_id is not None and organisation_id.int in self._holders
        )

    def _refusal(self, c: Candidate, station: Station) -> Refusal | None:
        for rule in ASKER_FITS:
            no = rule(c, station, self._moment)
            if no is not None:
                return no
        kept = self._kept_from.get(station.machine.id)
        if kept is not None and self._moment.end_of(c) > kept:
            return Refusal(
                rule="kept",
                reason="A job that was here before it could start there first.",
                until=Until.TIME,
                at=None,
            )
        return None


def _until_window(station: Station, now: datetime) -> float:
    """Seconds until somebody's window begins there; 0 within one, infinite where there is none."""
    starts = next((w.starts_at for w in station.windows if w.ends_at > now), None)
    return float("inf") if starts is None else max(0.0, (starts - now).total_seconds())


def _preference(station: Station, now: datetime) -> tuple[int, float, str, int]:
    x, y, z = station.machine.abilities.size_mm
    return (x * y * z, _until_window(station, now), station.machine.name, station.machine.id.int)
