"""When will a queued job start and end? The chooser's rules, simulated ahead: jobs in their order, each on the machine
where it can begin first, in the holes between windows and opening hours.

A time has a middle (p50) and a late end (p90). Along a machine the spreads of its jobs add up as variances, not as
worst cases: three jobs are rarely all late. People are foreseen: a bed is cleared some time after a run ends, and only
while the lab is staffed. What no simulation sees (who comes tomorrow, what breaks) is learned: `Trust.stretch_permille`
widens the late end until nine in ten forecasts held.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import sqrt
from uuid import UUID

from orchestrator.domain.calendar import next_open, open_until
from orchestrator.domain.machine import Bed, holds
from orchestrator.domain.matching import (
    BARS,
    Candidate,
    Moment,
    Needs,
    Station,
    could_ever,
    machine_refusals,
    suits,
)
from orchestrator.domain.quote import Spread

GAP_SECONDS_MIN = 300
"""A shorter hole is filled by nobody."""
Z90 = 1.2816
"""Standard deviations from the middle of a normal distribution to what nine in ten stay under."""


@dataclass(frozen=True, kw_only=True)
class Instants:
    p50: datetime
    p90: datetime


@dataclass(frozen=True, kw_only=True)
class Forecast:
    start: Instants
    end: Instants
    machine_id: UUID | None = None  # where it would be
    after: int = 0  # jobs before it there, the one that is on the machine included


@dataclass(frozen=True, kw_only=True)
class Trust:
    """What experience says: how long a bed waits for its clearing, and how much later than simulated things are."""

    clearing: Spread = field(default_factory=lambda: Spread(p50=600, p90=3600))  # seconds, in staffed hours
    stretch_permille: int = 1000


@dataclass(frozen=True, kw_only=True)
class Lane:
    """A machine, and the seconds until its present run ends; None: it has none."""

    station: Station
    free_in: Spread | None = None


def forecast(
    queue: Sequence[Candidate], lanes: Sequence[Lane], moment: Moment, trust: Trust | None = None
) -> Mapping[UUID, Forecast]:
    """By job id; a job that no machine could ever take, or whose member may not use any, is absent."""
    trust = Trust() if trust is None else trust
    yard = _Yard([_Track(lane, moment, trust) for lane in lanes if not _out(lane.station)])
    found: dict[UUID, Forecast] = {}
    for c in queue:
        slot = yard.earliest(c)
        if slot is not None:
            found[c.job.id] = yard.take(c, slot)
    return found


OUT = frozenset({"attended", "maintenance", "held", "link"})
"""A machine that refuses so is not counted on: nobody can say when it is back."""


def _out(station: Station) -> bool:
    return any(no.rule in OUT for no in machine_refusals(station))


class _Yard:
    """All machines, by what they suit, the one that is free first at the front."""

    def __init__(self, tracks: list[_Track]) -> None:
        self._tracks = tracks
        self._suited: dict[Needs, list[_Track]] = {}

    def earliest(self, c: Candidate) -> _Slot | None:
        best: _Slot | None = None
        barred: dict[str, bool] = {}  # by machine class: does its member have no business there?
        for track in self._suited_for(c.needs):
            if best is not None and track.free_from >= best.start:
                break
            machine = track.station.machine
            if machine.machine_class not in barred:
                barred[machine.machine_class] = track.bars(c)
            if barred[machine.machine_class] or not holds(machine.abilities.size_mm, c.size_mm):
                continue
            slot = track.slot_for(c)
            if slot is not None and (best is None or slot.start < best.start):
                best = slot
        return best

    def take(self, c: Candidate, slot: _Slot) -> Forecast:
        told = slot.track.take(c, slot)
        for tracks in self._suited.values():
            if slot.track in tracks:
                tracks.remove(slot.track)
                insort(tracks, slot.track, key=_free_from)
        return told

    def _suited_for(self, needs: Needs) -> list[_Track]:
        """Machines that have what it needs mounted; where none has, those on which somebody could mount it."""
        known = self._suited.get(needs)
        if known is None:
            could = [track for track in self._tracks if could_ever(needs, track.station.machine)]
            known = [track for track in could if suits(needs, track.station.machine)] or could
            known.sort(key=_free_from)
            self._suited[needs] = known
        return known


def _free_from(track: _Track) -> float:
    return track.free_from


@dataclass(frozen=True, kw_only=True)
class _Slot:
    track: _Track
    start: float  # seconds from now, in the middle
    variance: float  # of that start
    gap: int  # which of the track's


@dataclass(order=True)
class _Gap:
    """A stretch in which a machine has nothing to do yet: seconds from now."""

    start: float
    end: float
    variance: float = field(compare=False)  # of its start
    before: int = field(compare=False)  # jobs before it


class _Track:
    """A machine's time ahead: the gaps between what it will do."""

    def __init__(self, lane: Lane, moment: Moment, trust: Trust) -> None:
        self.station = lane.station
        self._moment = moment
        self._trust = trust
        self._margin = moment.policy.margin_minutes * 60
        self._windows = [(self._at(w.starts_at), self._at(w.ends_at), w) for w in self.station.windows]
        self._free_hours = self.station.calendar is None or not self.station.calendar.openings
        self._gaps: list[_Gap] = []
        start, variance, before = self._free(lane)
        insort(self._gaps, _Gap(start, float("inf"), variance, before))
        self.free_from = start

    def _free(self, lane: Lane) -> tuple[float, float, int]:
        if lane.free_in is not None:
            start, variance = self._cleared(lane.free_in.p50, _variance(lane.free_in))
            return start, variance, 1
        if self.station.machine.bed is not Bed.CLEAR:
            start, variance = self._cleared(0.0, 0.0)
            return start, variance, 0
        return 0.0, 0.0, 0

    def _cleared(self, end: float, variance: float) -> tuple[float, float]:
        """When somebody has cleared the bed after a run that ends then: in staffed hours only."""
        open_at = self._at(next_open(self.station.calendar, None, self._when(end), staffed=True))
        clearing = self._trust.clearing
        return max(end, open_at) + clearing.p50, variance + _variance(clearing)

    def bars(self, c: Candidate) -> bool:
        return any(rule(c, self.station, self._moment) for rule in BARS)

    def slot_for(self, c: Candidate) -> _Slot | None:
        """The first hole that this job fits; None: there is none in sight."""
        for place, gap in enumerate(self._gaps):
            start = self._start_in(c, gap.start)
            if start is not None and start + c.takes.p50 <= gap.end:
                variance = gap.variance if start <= gap.start else 0.0
                return _Slot(track=self, start=start, variance=variance, gap=place)
        return None

    def _start_in(self, c: Candidate, earliest: float) -> float | None:
        """The first second from `earliest` on at which hours and foreign windows let it start."""
        if self._free_hours and not self._windows:
            return earliest
        start = earliest
        for _ in range(len(self.station.windows) + 2):
            opened = self._opened(c, start)
            if opened is None:
                return None
            clear = self._past_windows(c, opened)
            if clear == opened:
                return opened
            start = clear
        return None

    def _opened(self, c: Candidate, start: float) -> float | None:
        station = self.station
        if station.calendar is None or not station.calendar.openings:
            return start
        if station.attended:
            seconds = c.takes.p90 + self._margin
            when = next_open(
                station.calendar, c.member.public, self._when(start), seconds=seconds, staffed=True
            )
            return None if when is None else max(start, self._at(when))
        if station.calendar.unattended or open_until(station.calendar, None, self._when(start)):
            return start
        when = next_open(station.calendar, None, self._when(start))
        return None if when is None else max(start, self._at(when))

    def _past_windows(self, c: Candidate, start: float) -> float:
        end = start + c.takes.p90 + self._margin
        for begins, ends, window in self._windows:
            if begins >= end:
                break
            if ends > start and not window.is_for(c.member):
                return ends
        return start

    def take(self, c: Candidate, slot: _Slot) -> Forecast:
        """Give the hole to the job; what is left of it on both sides stays free."""
        gap = self._gaps.pop(slot.gap)
        end, variance = slot.start + c.takes.p50, slot.variance + _variance(c.takes)
        cleared, after_variance = self._cleared(end, variance)
        if slot.start - gap.start >= GAP_SECONDS_MIN:
            insort(self._gaps, _Gap(gap.start, slot.start, gap.variance, gap.before))
        if gap.end - cleared >= GAP_SECONDS_MIN:
            insort(self._gaps, _Gap(cleared, gap.end, after_variance, gap.before + 1))
        self.free_from = self._gaps[0].start
        return self._forecast(c, slot, gap, end, variance)

    def _forecast(self, c: Candidate, slot: _Slot, gap: _Gap, end: float, variance: float) -> Forecast:
        stretch = self._trust.stretch_permille / 1000
        late = (slot.start + Z90 * sqrt(slot.variance)) * stretch
        late = max(slot.start, self._start_in(c, late) or late)
        late_end = max(
            late + c.takes.p50, (end + Z90 * sqrt(variance)) * stretch, late + c.takes.p90 * min(stretch, 1)
        )
        return Forecast(
            start=Instants(p50=self._when(slot.start), p90=self._when(late)),
            end=Instants(p50=self._when(end), p90=self._when(max(end, late_end))),
            machine_id=self.station.machine.id,
            after=gap.before,
        )

    def _when(self, seconds: float) -> datetime:
        return self._moment.now + timedelta(seconds=min(seconds, _FAR_SECONDS))

    def _at(self, when: datetime | None) -> float:
        return _FAR_SECONDS if when is None else (when - self._moment.now).total_seconds()


_FAR_SECONDS = 366 * 86_400.0


def _variance(takes: Spread) -> float:
    return ((takes.p90 - takes.p50) / Z90) ** 2


# --- learning from what happened ----------------------------------------------------------------------

STRETCH_PERMILLE_MIN, STRETCH_PERMILLE_MAX = 1000, 4000
PAIRS_MIN = 20
"""Fewer forecasts teach nothing."""


def stretch(waits: Sequence[tuple[float, float]], before_permille: int = 1000) -> int:
    """The stretch that would have held for nine in ten: `waits` are (foretold late, happened), in seconds.

    `before_permille` is the stretch that was in the foretold ones.
    """
    told = sorted(happened / late for late, happened in waits if late > 60)
    if len(told) < PAIRS_MIN:
        return before_permille
    wanted = told[min(len(told) - 1, int(0.9 * len(told)))] * before_permille
    return round(min(STRETCH_PERMILLE_MAX, max(STRETCH_PERMILLE_MIN, wanted)))
