"""The queue and the fleet at one moment, as the chooser, the forecast and whoever asks why see them.

A queue of ten thousand is read again for every decision, so what has not changed is remembered from one look to the
next: a job by its version, its member with their trainings, what runs have taught, what people have used. None of it is
truth: it is all in the database, and a process that forgets it reads it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from orchestrator.domain.calendar import SiteCalendar, next_open
from orchestrator.domain.calibration import permille_left, run_spread
from orchestrator.domain.forecast import Forecast, Lane, Trust, forecast, stretch
from orchestrator.domain.job import Job
from orchestrator.domain.matching import Candidate, Moment, Station, machine_refusals
from orchestrator.domain.member import Entitlement, Member
from orchestrator.domain.order import Standing, Use, decayed, fair_shares, loaded, ranked
from orchestrator.domain.quote import Spread
from orchestrator.domain.run import Run
from orchestrator.flow.known import Known, known
from orchestrator.ports import Unit

WINDOWS_AHEAD = timedelta(days=31)
"""How far ahead reservations are looked at: longer than any run."""
USE_SECONDS = 60
"""How long what people have used of late is taken as known."""
TRUST_SECONDS = 600
HALF_LIVES = 8
"""Use that has been halved so often is nobody's any more."""
FORECAST_SECONDS = 30
"""A forecast is made again when something happened, or after so long."""
LONG_QUEUE = 300
"""From here on a forecast takes long enough to be made beside the loop."""
CLEARINGS_MIN = 10
CLEARING_SECONDS_MAX = 3 * 86_400

Person = tuple[Member, tuple[Entitlement, ...]]


@dataclass(frozen=True, kw_only=True)
class Situation:
    """The queue in its order, and the fleet."""

    queue: tuple[Candidate, ...]  # the next first
    stations: tuple[Station, ...]
    standing: Standing
    moment: Moment
    learned: Known


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """A situation, with everybody's place and forecast."""

    seen: Situation
    places: Mapping[UUID, int]  # 1 is next
    forecasts: Mapping[UUID, Forecast]
    head: int  # of the event log at that moment


class Sight:
    """What one process remembers between two looks; whoever looks waits for the one who looks already."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._jobs: dict[UUID, Job] = {}
        self._people: dict[UUID, Person] = {}
        self._candidates: dict[UUID, Candidate] = {}
        self._learned = Known(by={})
        self._used: tuple[datetime, Sequence[Use]] | None = None
        self._trust: tuple[datetime, Trust] | None = None
        self._outlook: Outlook | None = None
        self.noticed: dict[UUID, str] = {}  # the day on which a waiting job's refusals were last counted

    # --- the queue ------------------------------------------------------------------------------

    async def look(self, unit: Unit, moment: Moment, *, site: str | None, free_only: bool) -> Situation:
        """`site` None: all of them. `free_only`: only the machines that take something now, and the queue only where
        there is one."""
        async with self._turn:
            return await self._look(unit, moment, site, free_only)

    async def _look(self, unit: Unit, moment: Moment, site: str | None, free_only: bool) -> Situation:
        stations = await stations_of(unit, site, moment.now)
        if free_only:
            stations = tuple(s for s in stations if not machine_refusals(s))
        learned = await known(unit)
        waiting = await self._waiting(unit, learned) if stations or not free_only else ()
        standing = await self._standing(unit, moment, waiting, stations)
        return Situation(
            queue=tuple(ranked(waiting, standing, moment.policy, moment.now)),
            stations=stations,
            standing=standing,
            moment=moment,
            learned=learned,
        )

    async def candidate(self, unit: Unit, job: Job, learned: Known) -> Candidate | None:
        """One job as matching sees it, waiting or not; None: whose it was is gone."""
        people = await unit.people_of([job.member_id])
        return _candidate(job, people[0], learned) if people else None

    async def _waiting(self, unit: Unit, learned: Known) -> tuple[Candidate, ...]:
        queued = await unit.queued()
        await self._read_jobs(unit, queued)
        changed = await self._read_people(unit) or learned != self._learned
        self._learned = learned
        if changed:
            self._candidates = {}
        found: list[Candidate] = []
        for job_id, _version in queued:
            job = self._jobs.get(job_id)
            person = self._people.get(job.member_id) if job else None
            if job is None or person is None:
                continue
            seen = self._candidates.get(job_id)
            if seen is None or seen.job is not job:
                seen = self._candidates[job_id] = _candidate(job, person, learned)
            found.append(seen)
        return tuple(found)

    async def _read_jobs(self, unit: Unit, queued: Sequence[tuple[UUID, int]]) -> None:
        known_jobs = self._jobs
        news = [
            job_id
            for job_id, version in queued
            if job_id not in known_jobs or known_jobs[job_id].version != version
        ]
        if len(known_jobs) + len(news) != len(queued) or news:
            waiting = {job_id for job_id, _version in queued}
            self._jobs = {job_id: job for job_id, job in known_jobs.items() if job_id in waiting}
            self._candidates = {key: c for key, c in self._candidates.items() if key in waiting}
            self._jobs.update({job.id: job for job in await unit.jobs_of(news)})

    async def _read_people(self, unit: Unit) -> bool:
        """True where somebody who waits is not as they were."""
        read = await unit.people_of({job.member_id for job in self._jobs.values()})
        now = {person[0].id: person for person in read}
        if now == self._people:
            return False
        self._people = now
        return True

    # --- the order ------------------------------------------------------------------------------

    async def _standing(
        self, unit: Unit, moment: Moment, waiting: Sequence[Candidate], stations: Sequence[Station]
    ) -> Standing:
        if not waiting:
            return Standing(shares={}, loaded={})
        uses = [*await self._past_use(unit, moment), *await self._present_use(unit)]
        used = decayed(uses, moment.policy.half_life_days)
        people = {c.member.id: c.member for c in waiting}
        people.update({m.id: m for m, _ in await unit.people_of(set(used) - people.keys())})
        organisations = (
            {one.id: one for one in await unit.organisations()}
            if any(member.organisation_id for member in people.values())
            else {}
        )
        return Standing(
            shares=fair_shares(list(people.values()), organisations, used),
            loaded=loaded((c.needs for c in waiting), [s.machine for s in stations]),
            calendar=next((s.calendar for s in stations if s.calendar), None),
        )

    async def _past_use(self, unit: Unit, moment: Moment) -> Sequence[Use]:
        fresh = self._used is not None and _fresh(self._used[0], moment.now, USE_SECONDS)
        if self._used is None or not fresh:
            since = moment.now - timedelta(days=HALF_LIVES * moment.policy.half_life_days)
            today = moment.now.date()
            uses = [
                Use(
                    member_id=spent.member_id,
                    seconds=spent.seconds,
                    age_seconds=max(0, (today - spent.day).days) * 86_400,
                )
                for spent in await unit.spent_since(since)
            ]
            self._used = (moment.now, uses)
        return self._used[1]

    async def _present_use(self, unit: Unit) -> list[Use]:
        """What is on a machine counts whole: who has three of them now need not be given a fourth."""
        runs = await unit.active_runs()
        jobs = {job.id: job for job in await unit.jobs_of(run.job_id for run in runs)}
        return [
            Use(member_id=job.member_id, seconds=job.artifact.print_seconds)
            for job in jobs.values()
            if job.artifact is not None
        ]

    # --- the outlook ----------------------------------------------------------------------------

    async def outlook(self, unit: Unit, moment: Moment) -> Outlook:
        """Everybody's place and forecast; the last one made, where nothing has happened since."""
        async with self._turn:
            head = await unit.head()
            last = self._outlook
            if last and last.head == head and _fresh(last.seen.moment.now, moment.now, FORECAST_SECONDS):
                return last
            self._outlook = await self._outlook_now(unit, moment, head)
            return self._outlook

    async def _outlook_now(self, unit: Unit, moment: Moment, head: int) -> Outlook:
        seen = await self._look(unit, moment, None, free_only=False)
        forecasts: Mapping[UUID, Forecast] = {}
        if seen.queue:
            lanes, experience = await lanes_of(unit, seen), await self._experience(unit, seen)
            if len(seen.queue) < LONG_QUEUE:
                forecasts = forecast(seen.queue, lanes, moment, experience)
            else:
                forecasts = await asyncio.to_thread(forecast, seen.queue, lanes, moment, experience)
        places = {c.job.id: place for place, c in enumerate(seen.queue, start=1)}
        return Outlook(seen=seen, places=places, forecasts=forecasts, head=head)

    async def _experience(self, unit: Unit, seen: Situation) -> Trust:
        if self._trust is None or not _fresh(self._trust[0], seen.moment.now, TRUST_SECONDS):
            calendar = next((s.calendar for s in seen.stations if s.calendar), None)
            self._trust = (seen.moment.now, await trust(unit, calendar))
        return self._trust[1]


def _fresh(made: datetime, now: datetime, seconds: float) -> bool:
    return timedelta() <= now - made < timedelta(seconds=seconds)


def _candidate(job: Job, person: Person, learned: Known) -> Candidate:
    artifact = job.artifact
    takes = run_spread(artifact, learned.of(artifact.profile)) if artifact else Spread(p50=0, p90=0)
    return Candidate(job=job, member=person[0], entitlements=person[1], takes=takes)


# --- the fleet --------------------------------------------------------------------------------------


async def stations_of(unit: Unit, site: str | None, now: datetime) -> tuple[Station, ...]:
    """The machines of a site, or all, each with its run, the windows held on it and its site's hours."""
    machines = await unit.machines(site)
    runs = {run.machine_id: run.id for run in await unit.active_runs()}
    windows = await unit.reservations(now, now + WINDOWS_AHEAD)
    calendars = {name: await unit.calendar(name) for name in {machine.site for machine in machines}}
    return tuple(
        Station(
            machine=machine,
            run_id=runs.get(machine.id),
            windows=tuple(window for window in windows if window.covers(machine)),
            calendar=calendars[machine.site],
        )
        for machine in machines
    )


async def lanes_of(unit: Unit, seen: Situation) -> list[Lane]:
    """Each machine, with how long its present run still takes."""
    runs = {run.id: run for run in await unit.active_runs()}
    jobs = {job.id: job for job in await unit.jobs_of(run.job_id for run in runs.values())}
    lanes: list[Lane] = []
    for station in seen.stations:
        run = runs.get(station.run_id) if station.run_id else None
        job = jobs.get(run.job_id) if run else None
        free_in = busy_for(run, job, seen.learned) if run and job else None
        lanes.append(Lane(station=station, free_in=free_in))
    return lanes


def busy_for(run: Run, job: Job, learned: Known) -> Spread:
    """Seconds until a run is over."""
    if job.artifact is None:
        return Spread(p50=0, p90=0)
    takes = run_spread(job.artifact, learned.of(job.artifact.profile, run.machine_id))
    left = permille_left(job.artifact, run)
    return Spread(p50=takes.p50 * left // 1000, p90=takes.p90 * left // 1000)


def next_boundary(seen: Situation) -> datetime | None:
    """When the clock alone may change what is possible: a window begins or ends, nobody came, the lab opens."""
    now = seen.moment.now
    no_show = timedelta(minutes=seen.moment.policy.no_show_minutes)
    instants: list[datetime] = []
    calendars: set[SiteCalendar] = set()
    for station in seen.stations:
        for window in station.windows:
            instants += [window.starts_at, window.starts_at + no_show, window.ends_at]
        if station.calendar is not None and station.calendar.openings:
            calendars.add(station.calendar)
    opens = [_opens(calendar, now) for calendar in calendars]
    return min((at for at in (*instants, *opens) if at is not None and at > now), default=None)


def _opens(calendar: SiteCalendar, now: datetime) -> datetime | None:
    opens = next_open(calendar, None, now, staffed=True)
    return opens if opens is not None and opens > now else now + timedelta(minutes=15)


# --- experience -------------------------------------------------------------------------------------


async def trust(unit: Unit, calendar: SiteCalendar | None) -> Trust:
    """What the last runs and forecasts say of clearings, and of how late things are."""
    told = [one for one in await unit.foretold() if one.started_at is not None]
    waits = [
        ((one.start_p90 - one.at).total_seconds(), (one.started_at - one.at).total_seconds())
        for one in told
        if one.started_at is not None
    ]
    clearing = _clearing(await unit.clearings(), calendar)
    stretched = stretch(waits)
    return (
        Trust(stretch_permille=stretched)
        if clearing is None
        else Trust(clearing=clearing, stretch_permille=stretched)
    )


def _clearing(pairs: Sequence[tuple[datetime, datetime]], calendar: SiteCalendar | None) -> Spread | None:
    """Seconds in staffed hours; None where too few are known."""
    waits: list[int] = []
    for ended, cleared in pairs:
        begin = next_open(calendar, None, ended, staffed=True) or ended
        seconds = round((cleared - max(ended, begin)).total_seconds())
        if 0 <= seconds <= CLEARING_SECONDS_MAX:
            waits.append(seconds)
    if len(waits) < CLEARINGS_MIN:
        return None
    waits.sort()
    return Spread(p50=waits[len(waits) // 2], p90=waits[9 * len(waits) // 10])
