"""Who gets which machine: in order, each once, short ones before the windows, nobody's place taken."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.domain.choosing import choose
from orchestrator.domain.machine import Abilities, Activity, Bed
from orchestrator.domain.matching import Candidate, Fit, Moment, Station, fit
from orchestrator.domain.member import Entitlement, Member
from orchestrator.domain.order import Standing, overtaking_days, ranked
from orchestrator.domain.policy import Policy
from orchestrator.domain.process import Material
from orchestrator.domain.quote import Spread
from orchestrator.domain.reservation import Reservation
from tests.builders import NOON, a_job, a_machine, a_member, a_window, an_artifact

NOW = Moment(now=NOON)
MEMBERS = [a_member() for _ in range(4)]


def a_candidate(minutes: int = 60, member: Member | None = None, **job: Any) -> Candidate:
    member = member or a_member()
    return Candidate(
        job=a_job(member_id=member.id, **job),
        member=member,
        entitlements=(Entitlement(member_id=member.id, machine_class="fdm"),),
        takes=Spread(p50=minutes * 54, p90=minutes * 60),
    )


def a_station(*windows: Reservation, run_id: UUID | None = None, **machine: Any) -> Station:
    return Station(
        machine=a_machine(**({"activity": Activity.IDLE} | machine)),
        run_id=run_id,
        windows=tuple(sorted(windows, key=lambda w: w.starts_at)),
    )


def names(pairs: Any, queue: list[Candidate]) -> list[Candidate]:
    by_id = {c.job.id: c for c in queue}
    return [by_id[pair.job_id] for pair in pairs]


CANDIDATES = st.builds(
    a_candidate,
    minutes=st.integers(1, 600),
    member=st.sampled_from(MEMBERS),
    artifact=st.sampled_from([an_artifact(size_mm=(s, s, s)) for s in (20, 170, 205, 400)]),
)
WINDOWS = st.builds(
    a_window,
    in_minutes=st.integers(-30, 600),
    minutes=st.integers(31, 90),
    member_id=st.sampled_from([m.id for m in MEMBERS]),
)
STATIONS = st.builds(
    lambda windows, busy, small, clear, material: a_station(
        *windows,
        run_id=uuid4() if busy else None,
        bed=Bed.CLEAR if clear else Bed.OCCUPIED,
        material=material,
        abilities=Abilities(size_mm=(180, 180, 180) if small else (250, 210, 210), profile="mk3s"),
    ),
    windows=st.lists(WINDOWS, max_size=1),
    busy=st.booleans(),
    small=st.booleans(),
    clear=st.booleans(),
    material=st.sampled_from(Material),
)
QUEUES, FLEETS = st.lists(CANDIDATES, max_size=12), st.lists(STATIONS, max_size=8)


@settings(deadline=None)
@given(queue=QUEUES, fleet=FLEETS)
def test_each_machine_and_each_job_is_chosen_at_most_once_and_always_fits(
    queue: list[Candidate], fleet: list[Station]
) -> None:
    pairs = choose(queue, fleet, NOW)

    assert len({p.job_id for p in pairs}) == len({p.machine_id for p in pairs}) == len(pairs)
    by_job, by_machine = {c.job.id: c for c in queue}, {s.machine.id: s for s in fleet}
    assert all(fit(by_job[p.job_id], by_machine[p.machine_id], NOW) == Fit() for p in pairs)


@settings(deadline=None)
@given(queue=QUEUES, fleet=FLEETS, random=st.randoms())
def test_the_choice_is_the_same_for_the_same_snapshot_in_whatever_order_the_machines_come(
    queue: list[Candidate], fleet: list[Station], random: Any
) -> None:
    assert choose(queue, random.sample(fleet, len(fleet)), NOW) == choose(queue, fleet, NOW)


@settings(deadline=None)
@given(queue=QUEUES, fleet=FLEETS)
def test_a_started_job_is_done_nine_times_in_ten_before_a_foreign_window_begins(
    queue: list[Candidate], fleet: list[Station]
) -> None:
    by_job, by_machine = {c.job.id: c for c in queue}, {s.machine.id: s for s in fleet}

    for pair in choose(queue, fleet, NOW):
        c = by_job[pair.job_id]
        end = NOON + timedelta(seconds=c.takes.p90, minutes=NOW.policy.margin_minutes)
        foreign = [w for w in by_machine[pair.machine_id].windows if not w.is_for(c.member)]
        assert not any(w.overlaps(NOON, end) for w in foreign)


def test_a_shorter_job_fills_the_hole_before_a_booking() -> None:
    long, short = a_candidate(minutes=120), a_candidate(minutes=30)

    pairs = choose([long, short], [a_station(a_window(60))], NOW)

    assert names(pairs, [long, short]) == [short]


def test_a_job_that_would_be_done_just_when_a_booking_begins_keeps_its_margin() -> None:
    station = a_station(a_window(60))

    assert choose([a_candidate(minutes=55)], [station], NOW)
    assert not choose([a_candidate(minutes=56)], [station], NOW)


def test_the_holder_may_use_their_window_and_a_stranger_may_not() -> None:
    holder = a_member()
    station = a_station(a_window(-5, 90, holder.id))

    assert choose([a_candidate(minutes=30, member=holder)], [station], NOW)
    assert not choose([a_candidate(minutes=30)], [station], NOW)


def test_who_is_overtaken_keeps_the_place_at_which_they_could_start_first() -> None:
    """The first waits for the end of a booking in which the second may print: not beyond it."""
    holder, first = a_member(), a_candidate(minutes=300)
    station = a_station(a_window(-5, 65, holder.id))
    within, beyond = a_candidate(minutes=50, member=holder), a_candidate(minutes=80, member=holder)

    assert names(choose([first, within], [station], NOW), [first, within]) == [within]
    assert not choose([first, beyond], [station], NOW)
    assert choose([beyond], [station], NOW)


@settings(deadline=None)
@given(
    first=st.integers(1, 600),
    others=st.lists(st.integers(1, 600), max_size=6),
    holders=st.lists(st.integers(0, 3), min_size=6, max_size=6),
    windows=st.lists(st.tuples(st.integers(-30, 300), st.integers(31, 200), st.integers(0, 3)), max_size=4),
)
def test_backfill_never_delays_the_start_of_the_one_it_overtakes(
    first: int, others: list[int], holders: list[int], windows: list[tuple[int, int, int]]
) -> None:
    stations = [a_station(a_window(at, long, MEMBERS[who].id)) for at, long, who in windows]
    head = a_candidate(minutes=first)
    rest = [a_candidate(minutes=m, member=MEMBERS[h]) for m, h in zip(others, holders, strict=False)]
    pairs = choose([head, *rest], stations, NOW)
    if any(pair.job_id == head.job.id for pair in pairs):
        return

    asked = {c.job.id: c for c in rest}
    taken = {p.machine_id: NOW.end_of(asked[p.job_id]) for p in pairs}

    alone = _first_start(head, stations, {})
    assert _first_start(head, stations, taken) == alone


def _first_start(c: Candidate, stations: list[Station], taken: dict[UUID, datetime]) -> datetime | None:
    """When it could start first where each machine is taken until then: now, or when a window ends."""
    starts = []
    for station in stations:
        for at in (NOON, *(w.ends_at for w in station.windows)):
            later = replace(NOW, now=at)
            windows = tuple(w for w in station.windows if w.ends_at > at)
            free = taken.get(station.machine.id, NOON) <= at
            if free and fit(c, replace(station, windows=windows), later) == Fit():
                starts.append(at)
    return min(starts, default=None)


def test_among_machines_that_fit_the_smallest_bed_goes_first_then_the_nearest_window() -> None:
    big = a_station(name="A", abilities=Abilities(size_mm=(300, 300, 300), profile="mk3s"))
    free, booked = a_station(name="B"), a_station(a_window(600), name="C")

    pairs = choose([a_candidate(), a_candidate(), a_candidate()], [big, free, booked], NOW)

    assert [p.machine_id for p in pairs] == [booked.machine.id, free.machine.id, big.machine.id]


def test_a_job_that_failed_on_a_machine_goes_to_another() -> None:
    first, second = a_station(name="A"), a_station(name="B")
    job = a_candidate()

    pairs = choose([job], [first, second], NOW, {(job.job.id, first.machine.id): 1})

    assert [p.machine_id for p in pairs] == [second.machine.id]


def test_in_an_endless_stream_of_better_ranked_jobs_one_that_fits_is_started_within_the_overtaking_days() -> (
    None
):
    """One machine, always a new job that is shorter, urgent and by somebody who used nothing."""
    policy, station = Policy(), a_station()
    long = a_candidate(minutes=600, queued_at=NOON)
    modest = Standing(shares={long.job.member_id: 0.0}, loaded={})
    now, rivals = NOON, 0
    while now - NOON <= timedelta(days=overtaking_days(policy) + 1):
        urgent = replace(a_candidate(minutes=10), job=a_job(queued_at=now, priority="urgent", deadline=now))
        rival = replace(urgent, entitlements=long.entitlements, member=long.member)
        order = ranked([long, rival], modest, policy, now)
        pairs = choose(order, [station], Moment(now=now, policy=policy))
        if pairs[0].job_id == long.job.id:
            break
        now, rivals = now + timedelta(hours=1), rivals + 1

    assert rivals > 24
    assert now - NOON <= timedelta(days=overtaking_days(policy), hours=1)
