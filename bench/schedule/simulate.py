"""Weeks of a lab, event by event: the policy decides whenever something changed, nature does the rest. Pure.

What always holds: a run in progress is never killed; a machine holds one run; a bed takes nothing before the staff have
cleared it; a laser starts only while the lab is staffed and open to its member. A booking whose holder finds a foreign
run on the machine is missed; where only the bed is not cleared yet, the staff clear it then and there. A job whose
machine broke goes back to the queue with the date at which it came.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from heapq import heappop, heappush
from itertools import count
from uuid import UUID, uuid5

from bench.schedule.policies import Decides, View, order_of
from bench.schedule.weeks import Weeks, staffed_after
from orchestrator.domain.calendar import next_open, open_until
from orchestrator.domain.forecast import Forecast, Lane, Trust, forecast, stretch
from orchestrator.domain.machine import Activity, Bed, Machine
from orchestrator.domain.matching import Candidate, Moment, Station
from orchestrator.domain.policy import Policy
from orchestrator.domain.quote import Spread
from orchestrator.domain.reservation import Purpose, Reservation, ReservationState

DRAIN = timedelta(days=28)
"""How long after the last arrival jobs may still be started."""
CLEARED_FOR_HOLDER = timedelta(minutes=2)
PAIRS_KEPT = 300
"""So many of the latest forecasts teach."""


@dataclass(kw_only=True)
class Told:
    """A forecast, the stretch that was in it, and when it was made."""

    at: datetime
    forecast: Forecast
    stretch_permille: int


@dataclass(kw_only=True)
class Life:
    """What became of a job."""

    candidate: Candidate
    told: Told | None = None
    started_at: datetime | None = None  # its first run
    machine_id: UUID | None = None
    done_at: datetime | None = None
    tries: int = 0


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """A run, as it was."""

    machine_id: UUID
    job_id: UUID
    member_id: UUID
    start: datetime
    end: datetime
    failed: bool
    overtook: bool  # somebody who came earlier still waited for such a machine


@dataclass(kw_only=True)
class Outcome:
    weeks: Weeks
    lives: dict[UUID, Life]
    runs: list[Stretch]
    met: int = 0  # bookings whose holder found the machine free of others' runs
    missed: list[UUID] = field(default_factory=list)  # and those who did not
    down: int = 0  # the machine was broken
    crossed_maintenance: int = 0
    decisions: int = 0


@dataclass(kw_only=True)
class _Place:
    """A machine as it stands."""

    machine: Machine
    windows: list[Reservation]
    candidate: Candidate | None = None
    started_at: datetime | None = None
    run_id: UUID | None = None
    overtook: bool = False
    fails: bool = False
    left_seconds: float = 0  # of work until it breaks
    failures: int = 0
    station: Station | None = None  # as last shown; None: something changed

    def changed(self, **machine: object) -> None:
        self.machine = replace(self.machine, **machine)  # type: ignore[arg-type]
        self.station = None


def simulate(
    weeks: Weeks, decides: Decides, policy: Policy | None = None, *, foretell: bool = False
) -> Outcome:
    """`foretell`: also ask for a forecast of each job when it is queued, by our order."""
    return _Lab(weeks, decides, policy or Policy(), foretell).run()


class _Lab:
    def __init__(self, weeks: Weeks, decides: Decides, policy: Policy, foretell: bool) -> None:
        self.weeks, self.decides, self.policy, self.foretell = weeks, decides, policy, foretell
        self.now = weeks.starts_at
        self.out = Outcome(weeks=weeks, lives={}, runs=[])
        self.queue: dict[UUID, Candidate] = {}
        self.places = {
            m.id: _Place(machine=m, windows=[], left_seconds=weeks.nature.breaks_after_seconds[m.id][0])
            for m in weeks.machines
        }
        self.members = {m.id: m for m in (*weeks.people.members, *weeks.people.students)}
        self.used: dict[UUID, tuple[float, datetime]] = {}
        self.attempts: dict[tuple[UUID, UUID], int] = {}
        self.trust, self.pairs = Trust(), list[tuple[float, float]]()
        self._events: list[tuple[datetime, int, Callable[[], None]]] = []
        self._number = count()
        self._plan()

    def _plan(self) -> None:
        for candidate in self.weeks.asks:
            assert candidate.job.queued_at is not None
            self._at(candidate.job.queued_at, partial(self._arrives, candidate))
        for window in self.weeks.reservations:
            self._at(max(window.created_at, self.now), partial(self._booked, window))
            self._at(window.starts_at, partial(self._begins, window))
            self._at(window.ends_at, partial(self._dropped, window))
            came = self.weeks.nature.comes_at.get(window.id)
            if came is not None:
                self._at(came, partial(self._holder_comes, window))
            elif window.purpose is Purpose.BOOKING:
                no_show = timedelta(minutes=self.policy.no_show_minutes)
                self._at(window.starts_at + no_show, partial(self._dropped, window))
        self._at(self.now, self._opens)

    def run(self) -> Outcome:
        until = self.weeks.ends_at + DRAIN
        while self._events and (self.queue or self._events[0][0] < self.weeks.ends_at or self._busy()):
            self.now = self._events[0][0]
            if self.now > until:
                break
            while self._events and self._events[0][0] == self.now:
                heappop(self._events)[2]()
            self._decide()
        return self.out

    def _busy(self) -> bool:
        return any(p.candidate for p in self.places.values())

    def _at(self, when: datetime, then: Callable[[], None]) -> None:
        heappush(self._events, (when, next(self._number), then))

    # --- what happens -----------------------------------------------------------------------------

    def _arrives(self, c: Candidate) -> None:
        self.queue[c.job.id] = c
        life = self.out.lives[c.job.id] = Life(candidate=c)
        if self.foretell:
            view = self._view()
            lanes = [self._lane(p) for p in self.places.values()]
            found = forecast(order_of(view), lanes, view.moment, self.trust).get(c.job.id)
            if found is not None:
                life.told = Told(at=self.now, forecast=found, stretch_permille=self.trust.stretch_permille)

    def _opens(self) -> None:
        """A new hour may begin for somebody: every quarter of an hour while the staff are there, else when they are."""
        calendar = self.weeks.calendar
        if open_until(calendar, None, self.now, staffed=True):
            self._at(self.now + timedelta(minutes=30), self._opens)
        else:
            opens = next_open(calendar, None, self.now, staffed=True)
            assert opens is not None
            self._at(opens, self._opens)

    def _booked(self, window: Reservation) -> None:
        place = self._place(window)
        place.windows = sorted([*place.windows, window], key=lambda w: (w.starts_at, w.id.int))
        place.station = None

    def _begins(self, window: Reservation) -> None:
        if window.purpose is Purpose.MAINTENANCE and self._place(window).candidate:
            self.out.crossed_maintenance += 1

    def _dropped(self, window: Reservation) -> None:
        """It has ended, or nobody came."""
        place = self._place(window)
        place.windows = [w for w in place.windows if w.id != window.id]
        place.station = None

    def _holder_comes(self, window: Reservation) -> None:
        place = self._place(window)
        if place.candidate is not None and not window.is_for(place.candidate.member):
            self.out.missed.append(window.id)
        elif place.machine.maintenance:
            self.out.down += 1
        else:
            self.out.met += 1
            if place.candidate is None and place.machine.bed is not Bed.CLEAR:
                self._at(self.now + CLEARED_FOR_HOLDER, lambda: self._cleared(place))

    def _ends(self, place: _Place) -> None:
        assert place.candidate is not None
        assert place.started_at is not None
        c, start = place.candidate, place.started_at
        self.out.runs.append(
            Stretch(
                machine_id=place.machine.id,
                job_id=c.job.id,
                member_id=c.member.id,
                start=start,
                end=self.now,
                failed=place.fails,
                overtook=place.overtook,
            )
        )
        worked = (self.now - start).total_seconds()
        self._charge(c.member.id, (0 if place.fails else worked) - c.takes.p50)
        place.candidate = place.started_at = place.run_id = None
        place.changed(bed=Bed.OCCUPIED, activity=Activity.IDLE)
        if place.fails:
            self._fails(place, c)
        else:
            place.left_seconds -= worked
            self._done(c)
            delay = self.weeks.nature.clearing_seconds[c.job.id]
            self._at(staffed_after(self.now, delay), lambda: self._cleared(place))

    def _done(self, c: Candidate) -> None:
        self.out.lives[c.job.id].done_at = self.now

    def _fails(self, place: _Place, c: Candidate) -> None:
        """The machine broke: the house's fault. The job is the next again by its date; the machine is mended."""
        nature, machine_id = self.weeks.nature, place.machine.id
        self.attempts[c.job.id, machine_id] = self.attempts.get((c.job.id, machine_id), 0) + 1
        self.queue[c.job.id] = replace(c, job=replace(c.job, failed_runs=c.job.failed_runs + 1))
        mending = nature.repair_seconds[machine_id][place.failures]
        place.failures += 1
        place.left_seconds = nature.breaks_after_seconds[machine_id][place.failures]
        place.changed(maintenance=True)
        self._at(staffed_after(self.now, mending), lambda: self._mended(place))

    def _mended(self, place: _Place) -> None:
        place.changed(maintenance=False, bed=Bed.CLEAR)

    def _cleared(self, place: _Place) -> None:
        if place.candidate is None and not place.machine.maintenance:
            place.changed(bed=Bed.CLEAR)

    # --- decisions --------------------------------------------------------------------------------

    def _decide(self) -> None:
        if not self.queue:
            return
        self.out.decisions += 1
        for pair in self.decides(self._view()):
            self._starts(self.places[pair.machine_id], self.queue.pop(pair.job_id))

    def _starts(self, place: _Place, c: Candidate) -> None:
        seconds = self.weeks.nature.takes_seconds[c.job.id]
        place.fails = seconds >= place.left_seconds
        place.overtook = any(other.came < c.came and other.needs == c.needs for other in self.queue.values())
        place.candidate, place.started_at = c, self.now
        place.run_id = uuid5(c.job.id, str(c.job.failed_runs))
        place.changed(bed=Bed.OCCUPIED, activity=Activity.PRINTING)
        self._at(self.now + timedelta(seconds=min(seconds, place.left_seconds)), lambda: self._ends(place))
        self._charge(c.member.id, c.takes.p50)
        life = self.out.lives[c.job.id]
        life.tries += 1
        life.machine_id = place.machine.id
        if life.started_at is None:
            life.started_at = self.now
            self._learn(life)

    def _learn(self, life: Life) -> None:
        if life.told is None:
            return
        late = (life.told.forecast.start.p90 - life.told.at).total_seconds()
        plain = late * 1000 / life.told.stretch_permille  # as it would have been told without a stretch
        self.pairs = [*self.pairs[-PAIRS_KEPT + 1 :], (plain, (self.now - life.told.at).total_seconds())]
        self.trust = Trust(stretch_permille=stretch(self.pairs))

    # --- what is known ----------------------------------------------------------------------------

    def _charge(self, member_id: UUID, seconds: float) -> None:
        """What a run is told to take counts as used from its start, so that nobody gets ten machines at once."""
        self.used[member_id] = (max(0.0, self._used(member_id) + seconds), self.now)

    def _used(self, member_id: UUID) -> float:
        seconds, at = self.used.get(member_id, (0.0, self.now))
        return float(seconds * 0.5 ** ((self.now - at) / timedelta(days=self.policy.half_life_days)))

    def _view(self) -> View:
        return View(
            moment=Moment(now=self.now, policy=self.policy),
            queue=list(self.queue.values()),
            stations=[self._station(place) for place in self.places.values()],
            used={member_id: self._used(member_id) for member_id in self.used},
            members=self.members,
            organisations=self.weeks.people.organisations,
            attempts=self.attempts,
        )

    def _station(self, place: _Place) -> Station:
        if place.station is None:
            place.station = Station(
                machine=place.machine,
                run_id=place.run_id,
                windows=tuple(w for w in place.windows if w.state is ReservationState.BOOKED),
                calendar=self.weeks.calendar,
            )
        return place.station

    def _lane(self, place: _Place) -> Lane:
        if place.candidate is None or place.started_at is None:
            return Lane(station=self._station(place))
        return Lane(
            station=self._station(place), free_in=_left(place.candidate.takes, self.now - place.started_at)
        )

    def _place(self, window: Reservation) -> _Place:
        assert window.machine_id is not None
        return self.places[window.machine_id]


def _left(takes: Spread, worked: timedelta) -> Spread:
    """Of a run, by what was told of it; one that is late is nearly done."""
    gone = round(worked.total_seconds())
    p50 = max(takes.p50 - gone, 120)
    return Spread(p50=p50, p90=max(takes.p90 - gone, p50 + 300))
