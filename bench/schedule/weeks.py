"""Weeks of a fab lab from a seed: who asks for what and when, who has booked, and what nobody can know beforehand.

Where the figures come from:
- Members' jobs a week, their hours and lengths: ours, a lab that is as busy as it can be. Print jobs have a long tail
  (log-normal, 20 min to 30 h, in the middle 2 h); more of them come in the afternoon, in the evening and on Saturday,
  few at lunch, some at night from home. A busy member brings several at once.
- What a run takes beside what was told: slicing-estimation.md. A calibrated machine is within 3.8 % (median) and 8.4 %
  (p90) of its slicer's word (section 4.3), a log-normal of sigma 0.055; one job in ten has supports: 7 and 22 %
  (section 8), sigma 0.13. The told p90 is that of the same law: calibrated.
- A class of 20 with one deadline, the rush before it: the brief of a school's workshop, ours.
- A booking is never killed, foreign p90 keeps clear of it, a no-show releases it: booking-api.md, section 5. How many
  there are, that one in eight does not come, that they are made two to six days ahead: ours.
- Failures: ours, one in 200 hours of printing, mended within hours of the staff (log-normal, in the middle 90 min).
- A bed is cleared by the staff some time after the end (log-normal, 10 min in the middle, p90 40 min): ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from math import exp, log
from random import Random
from uuid import UUID
from zoneinfo import ZoneInfo

from bench.schedule.lab import (
    CALENDAR,
    LASERS,
    PRINTERS,
    SITE,
    Model,
    People,
    an_id,
    fleet,
    people,
)
from orchestrator.domain.calendar import SiteCalendar, next_open, open_until
from orchestrator.domain.forecast import Z90
from orchestrator.domain.job import Artifact, Job, JobState, Priority
from orchestrator.domain.machine import Kind, Machine
from orchestrator.domain.matching import Candidate
from orchestrator.domain.member import Member
from orchestrator.domain.process import CutProcess, Making, Material, Process
from orchestrator.domain.quote import Spread
from orchestrator.domain.reservation import Purpose, Reservation

ZONE = ZoneInfo(CALENDAR.zone)
FIRST_DAY = date(2026, 3, 2)  # a Monday
BY_HOUR = (
    *(1.0, 0.4, 0.2, 0.1, 0.1, 0.1, 0.3, 0.6, 1.5, 3.0, 5.0, 5.0),
    *(2.0, 3.0, 7.0, 8.0, 8.0, 8.0, 8.0, 6.0, 5.0, 4.0, 3.0, 2.0),
)
BY_WEEKDAY = (0.8, 1.0, 1.2, 1.1, 1.0, 1.3, 0.4)
PRINT_BATCHES_A_WEEK, LASER_JOBS_A_WEEK = 300, 130
BATCH_MORE = 0.36  # that one more job comes with the last one
PRINT_MEDIAN_S, PRINT_SIGMA = 2 * 3600, 1.15
LASER_MEDIAN_S, LASER_SIGMA = 20 * 60, 0.6
PRINT_RANGE_S, LASER_RANGE_S = (20 * 60, 30 * 3600), (3 * 60, 2 * 3600)
SURE, UNSURE, UNSURE_SHARE = 0.055, 0.13, 0.1
BOOKINGS_A_WEEK, LASER_BOOKINGS_A_WEEK, MAINTENANCE_A_WEEK = 16, 12, 3
NO_SHOWS = 1 / 8
HOURS_BETWEEN_FAILURES = 200
REPAIR_MEDIAN_S, REPAIR_SIGMA = 90 * 60, 0.8
CLEARING = Spread(p50=10 * 60, p90=40 * 60)


@dataclass(frozen=True, kw_only=True)
class Nature:
    """What no policy may see: how long things really take, who does not come, what breaks."""

    takes_seconds: Mapping[UUID, float]  # by job
    comes_at: Mapping[UUID, datetime]  # by booking; one whose holder never comes is absent
    breaks_after_seconds: Mapping[
        UUID, tuple[float, ...]
    ]  # by machine: of work, from one failure to the next
    repair_seconds: Mapping[UUID, tuple[float, ...]]  # by machine: of the staff's hours
    clearing_seconds: Mapping[UUID, float]  # by job: how long its bed waits, of the staff's hours


@dataclass(frozen=True, kw_only=True)
class Weeks:
    seed: int
    starts_at: datetime
    ends_at: datetime
    calendar: SiteCalendar
    machines: tuple[Machine, ...]
    people: People
    asks: tuple[Candidate, ...]  # in the order in which they are queued
    reservations: tuple[Reservation, ...]
    nature: Nature


def weeks(seed: int, count: int = 1, load: float = 1.0) -> Weeks:
    """The same for the same seed. `load` scales how many jobs members bring."""
    rng = Random(seed)
    machines, folk = fleet(rng), people(rng)
    starts_at = _instant(FIRST_DAY, 0)
    ends_at = _instant(FIRST_DAY + timedelta(weeks=count), 0)
    make = _Maker(rng, folk)
    asks = [*_members_jobs(make, count, load), *_classes(make, count)]
    reservations = _reservations(rng, machines, folk, count)
    comes_at = {r.id: came for r in reservations if (came := _comes(rng, r))}
    asks += [_holders_job(make, r, machines, comes_at[r.id]) for r in reservations if r.id in comes_at]
    asks.sort(key=lambda c: (c.came, c.job.id.int))
    return Weeks(
        seed=seed,
        starts_at=starts_at,
        ends_at=ends_at,
        calendar=CALENDAR,
        machines=machines,
        people=folk,
        asks=tuple(asks),
        reservations=tuple(reservations),
        nature=Nature(
            takes_seconds=make.takes_seconds,
            comes_at=comes_at,
            breaks_after_seconds={m.id: _failures(rng, count) for m in machines},
            repair_seconds={m.id: _repairs(rng, count) for m in machines},
            clearing_seconds={
                c.job.id: 180.0 if c.needs.profile == LASERS.profile else _log_normal(rng, CLEARING)
                for c in asks
            },
        ),
    )


def _instant(day: date, minute: float) -> datetime:
    return (datetime.combine(day, time(), ZONE) + timedelta(minutes=minute)).astimezone(UTC)


def _log_normal(rng: Random, spread: Spread) -> float:
    return spread.p50 * exp(rng.gauss(0, log(spread.p90 / spread.p50) / Z90))


def _length(rng: Random, median_s: float, sigma: float, bounds: tuple[int, int]) -> float:
    return min(bounds[1], max(bounds[0], median_s * exp(rng.gauss(0, sigma))))


# --- jobs ---------------------------------------------------------------------------------------------


class _Maker:
    """Makes jobs, and notes how long each really takes."""

    def __init__(self, rng: Random, folk: People) -> None:
        self.rng = rng
        self.folk = folk
        self.takes_seconds: dict[UUID, float] = {}

    def job(
        self,
        member: Member,
        queued_at: datetime,
        seconds: float,
        model: Model,
        *,
        material: Material = Material.PLA,
        priority: Priority = Priority.STANDARD,
        deadline: datetime | None = None,
    ) -> Candidate:
        rng = self.rng
        sigma = UNSURE if rng.random() < UNSURE_SHARE else SURE
        told = Spread(p50=round(seconds), p90=round(seconds * exp(Z90 * sigma)))
        job_id = an_id(rng)
        self.takes_seconds[job_id] = told.p50 * exp(rng.gauss(0, sigma))
        job = a_job(rng, member, queued_at, told, model, material, priority, deadline, job_id)
        return Candidate(job=job, member=member, entitlements=self.folk.entitlements[member.id], takes=told)


def a_job(
    rng: Random,
    member: Member,
    queued_at: datetime,
    told: Spread,
    model: Model,
    material: Material = Material.PLA,
    priority: Priority = Priority.STANDARD,
    deadline: datetime | None = None,
    job_id: UUID | None = None,
) -> Job:
    process: Making = CutProcess() if model is LASERS else Process(material=material)
    return Job(
        id=job_id or an_id(rng),
        member_id=member.id,
        account_id=member.account_id,
        quote_id=an_id(rng),
        file_id=an_id(rng),
        process=process,
        quantity=1,
        machine_class=None,
        state=JobState.QUEUED,
        version=1,
        created_at=queued_at,
        queued_at=queued_at,
        artifact=_artifact(rng, model, told, material),
        priority=priority,
        deadline=deadline,
    )


def _artifact(rng: Random, model: Model, told: Spread, material: Material) -> Artifact:
    side = rng.choice((40, 80, 120, 150)) if model is not PRINTERS[-1] else rng.choice((150, 240, 300))
    return Artifact(
        sha256="",
        size_bytes=0,
        profile=model.profile,
        material=material.value,
        size_mm=(side, side, 40 if model is LASERS else side),
        print_seconds=told.p50,
        filament_milligrams=told.p50 * 3,
        filament_micrometres=0,
        curve=(),
        slicer="",
    )


def _moments(rng: Random, expected: float, count: int) -> Iterator[datetime]:
    """As many as are expected a week (Poisson), by weekday and hour."""
    hours, days = sum(BY_HOUR), sum(BY_WEEKDAY)
    for day in range(7 * count):
        for hour, weight in enumerate(BY_HOUR):
            rate = expected * BY_WEEKDAY[day % 7] / days * weight / hours
            minute = rng.expovariate(rate) * 60
            while minute < 60:
                yield _instant(FIRST_DAY + timedelta(days=day), hour * 60 + minute)
                minute += rng.expovariate(rate) * 60


def _members_jobs(make: _Maker, count: int, load: float) -> Iterator[Candidate]:
    rng, folk = make.rng, make.folk
    for at in _moments(rng, PRINT_BATCHES_A_WEEK * load, count):
        member = rng.choices(folk.members, folk.weights)[0]
        model = rng.choices(PRINTERS, [m.share for m in PRINTERS])[0]
        material = Material.PETG if rng.random() < model.petg / model.machines * 0.8 else Material.PLA
        more = True
        while more:
            seconds = _length(rng, PRINT_MEDIAN_S, PRINT_SIGMA, PRINT_RANGE_S)
            yield make.job(member, at, seconds, model, material=material, deadline=_wish(rng, at, seconds))
            at += timedelta(seconds=rng.uniform(20, 300))
            more = rng.random() < BATCH_MORE
    for at in _moments(rng, LASER_JOBS_A_WEEK * load, count):
        member = rng.choices(folk.members, folk.weights)[0]
        yield make.job(member, at, _length(rng, LASER_MEDIAN_S, LASER_SIGMA, LASER_RANGE_S), LASERS)


def _wish(rng: Random, at: datetime, seconds: float) -> datetime | None:
    """One member in ten needs it by a day."""
    return at + timedelta(seconds=seconds, hours=rng.uniform(24, 96)) if rng.random() < 0.1 else None


def _classes(make: _Maker, count: int) -> Iterator[Candidate]:
    """Each week twenty students with one deadline, Friday at 14:00; most of them come late."""
    rng = make.rng
    for week in range(count):
        friday = FIRST_DAY + timedelta(weeks=week, days=4)
        deadline = _instant(friday, 14 * 60)
        for student in make.folk.students:
            hours_before = min(96.0, 24 + rng.expovariate(1 / 16))
            model = rng.choice(PRINTERS[:2])
            seconds = _length(rng, 90 * 60, 0.5, (20 * 60, 5 * 3600))
            yield make.job(
                student,
                deadline - timedelta(hours=hours_before),
                seconds,
                model,
                priority=Priority.TEACHING,
                deadline=deadline,
            )


# --- bookings -----------------------------------------------------------------------------------------


def _reservations(rng: Random, machines: tuple[Machine, ...], folk: People, count: int) -> list[Reservation]:
    """No two of them live on one machine; the first wins, as in the product."""
    printers = [m for m in machines if m.kind is Kind.PRINTER]
    lasers = [m for m in machines if m.kind is Kind.LASER]
    wanted = [
        *((Purpose.BOOKING, printers, (2.0, 5.0)) for _ in range(BOOKINGS_A_WEEK * count)),
        *((Purpose.BOOKING, lasers, (1.0, 2.0)) for _ in range(LASER_BOOKINGS_A_WEEK * count)),
        *((Purpose.MAINTENANCE, machines, (1.0, 3.0)) for _ in range(MAINTENANCE_A_WEEK * count)),
    ]
    found: list[Reservation] = []
    for purpose, among, hours in wanted:
        machine = rng.choice(among)
        member = rng.choice(folk.members) if purpose is Purpose.BOOKING else None
        starts_at = _open_hour(rng, member, rng.uniform(*hours) * 3600, count)
        if starts_at is None:
            continue
        ends_at = starts_at + timedelta(minutes=15 * round(rng.uniform(*hours) * 4))
        if any(r.machine_id == machine.id and r.overlaps(starts_at, ends_at) for r in found):
            continue
        made_at = starts_at - timedelta(days=rng.uniform(2, 6))
        found.append(
            Reservation(
                id=an_id(rng),
                system="bench",
                external_id=str(len(found)),
                site=SITE,
                machine_id=machine.id,
                machine_class=None,
                purpose=purpose,
                starts_at=starts_at,
                ends_at=ends_at,
                created_at=made_at,
                changed_at=made_at,
                member_id=member.id if member else None,
            )
        )
    return sorted(found, key=lambda r: (r.starts_at, r.id.int))


def _open_hour(rng: Random, member: Member | None, seconds: float, count: int) -> datetime | None:
    """A quarter of an hour from which it is open long enough for whose the booking is."""
    public = member.public if member else None
    for _ in range(50):
        at = _instant(FIRST_DAY + timedelta(days=rng.randrange(2, 7 * count)), 15 * rng.randrange(96))
        until = open_until(CALENDAR, public, at, staffed=True)
        if until is not None and (until - at).total_seconds() >= seconds:
            return at
    return None


def _comes(rng: Random, reservation: Reservation) -> datetime | None:
    if reservation.purpose is not Purpose.BOOKING or rng.random() < NO_SHOWS:
        return None
    return reservation.starts_at + timedelta(minutes=rng.uniform(0, 10))


def _holders_job(
    make: _Maker, reservation: Reservation, machines: tuple[Machine, ...], comes_at: datetime
) -> Candidate:
    """What the holder comes with: made for that machine, and likely done within the window."""
    machine = next(m for m in machines if m.id == reservation.machine_id)
    member = next(m for m in make.folk.members if m.id == reservation.member_id)
    model = next(m for m in (*PRINTERS, LASERS) if m.profile == machine.abilities.profile)
    room = (reservation.ends_at - comes_at).total_seconds() - 900
    seconds = room * make.rng.uniform(0.3, 0.8)
    return make.job(member, comes_at, seconds, model, material=machine.material or Material.PLA)


# --- trouble ------------------------------------------------------------------------------------------


def _failures(rng: Random, count: int) -> tuple[float, ...]:
    return tuple(rng.expovariate(1 / HOURS_BETWEEN_FAILURES) * 3600 for _ in range(20 * count))


def _repairs(rng: Random, count: int) -> tuple[float, ...]:
    return tuple(REPAIR_MEDIAN_S * exp(rng.gauss(0, REPAIR_SIGMA)) for _ in range(20 * count))


def staffed_after(start: datetime, seconds: float) -> datetime:
    """When the staff, in their hours, have worked on it for so long."""
    at: datetime | None = start
    left = seconds
    while at is not None:
        at = next_open(CALENDAR, None, at, staffed=True)
        until = open_until(CALENDAR, None, at, staffed=True) if at else None
        if at is None or until is None:
            break
        here = (until - at).total_seconds()
        if here >= left:
            return at + timedelta(seconds=left)
        left -= here
        at = until
    raise ValueError("The staff never come again.")
