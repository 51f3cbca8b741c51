"""When a queued job will start and end: the chooser, simulated ahead."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.domain.calendar import Opening, SiteCalendar
from orchestrator.domain.choosing import choose
from orchestrator.domain.forecast import PAIRS_MIN, Lane, Trust, forecast, stretch
from orchestrator.domain.machine import Activity, Bed
from orchestrator.domain.matching import Candidate, Moment, Station
from orchestrator.domain.member import Entitlement
from orchestrator.domain.process import Material
from orchestrator.domain.quote import Spread
from orchestrator.domain.reservation import Reservation
from tests.builders import NOON, a_job, a_machine, a_member, a_window, an_artifact

NOW = Moment(now=NOON)
HOUR = timedelta(hours=1)


def a_candidate(minutes: int = 60, **job: Any) -> Candidate:
    member = a_member()
    return Candidate(
        job=a_job(member_id=member.id, **job),
        member=member,
        entitlements=(Entitlement(member_id=member.id, machine_class="fdm"),),
        takes=Spread(p50=minutes * 60, p90=minutes * 72),
    )


def a_lane(
    *windows: Reservation, free_in: int | None = None, calendar: SiteCalendar | None = None, **machine: Any
) -> Lane:
    station = Station(
        machine=a_machine(**({"activity": Activity.IDLE} | machine)),
        run_id=uuid4() if free_in else None,
        windows=windows,
        calendar=calendar,
    )
    return Lane(station=station, free_in=Spread(p50=free_in * 60, p90=free_in * 66) if free_in else None)


CANDIDATES = st.builds(
    a_candidate,
    minutes=st.integers(1, 600),
    artifact=st.sampled_from([an_artifact(size_mm=(s, s, s)) for s in (20, 205, 400)]),
)
LANES = st.builds(
    lambda windows, free_in, clear: a_lane(
        *windows, free_in=free_in, bed=Bed.CLEAR if clear else Bed.OCCUPIED
    ),
    windows=st.lists(st.builds(a_window, st.integers(-30, 600), st.integers(31, 90)), max_size=1),
    free_in=st.one_of(st.none(), st.integers(1, 300)),
    clear=st.booleans(),
)


@settings(deadline=None)
@given(queue=st.lists(CANDIDATES, max_size=8), lanes=st.lists(LANES, max_size=5))
def test_nothing_is_foretold_before_the_chooser_would_start_it(
    queue: list[Candidate], lanes: list[Lane]
) -> None:
    """The first of the queue is foretold for now just where it is given a machine now."""
    chosen = {p.job_id for p in choose(queue[:1], [lane.station for lane in lanes], NOW)}

    told = forecast(queue, lanes, NOW)

    for c in queue[:1]:
        starts_now = c.job.id in told and told[c.job.id].start.p50 == NOON
        assert starts_now == (c.job.id in chosen)


@settings(deadline=None)
@given(
    queue=st.lists(CANDIDATES, max_size=8),
    lanes=st.lists(LANES, max_size=5),
    permille=st.integers(1000, 4000),
)
def test_late_is_never_before_the_middle_nor_an_end_before_its_start(
    queue: list[Candidate], lanes: list[Lane], permille: int
) -> None:
    told = forecast(queue, lanes, NOW, Trust(stretch_permille=permille))

    for c in queue:
        if c.job.id in told:
            one = told[c.job.id]
            assert NOON <= one.start.p50 <= one.start.p90
            assert one.end.p50 == one.start.p50 + timedelta(seconds=c.takes.p50)
            assert one.end.p50 <= one.end.p90
            assert one.start.p90 < one.end.p90


@settings(deadline=None)
@given(queue=st.lists(CANDIDATES, max_size=8), lanes=st.lists(LANES, max_size=5))
def test_no_two_foretold_on_one_machine_overlap(queue: list[Candidate], lanes: list[Lane]) -> None:
    told = forecast(queue, lanes, NOW)

    spans = sorted((f.machine_id.int, f.start.p50, f.end.p50) for f in told.values() if f.machine_id)
    for one, other in itertools.pairwise(spans):
        assert one[0] != other[0] or one[2] <= other[1]


def test_a_job_waits_for_the_run_and_for_the_clearing_of_its_bed() -> None:
    c = a_candidate()

    told = forecast([c], [a_lane(free_in=60)], NOW, Trust(clearing=Spread(p50=600, p90=1200)))

    assert told[c.job.id].start.p50 == NOON + timedelta(minutes=70)
    assert told[c.job.id].after == 1


def test_a_bed_whose_run_ends_at_night_is_cleared_in_the_morning() -> None:
    days = SiteCalendar(
        site="lab", openings=tuple(Opening(weekday=d, from_minute=540, to_minute=1080) for d in range(7))
    )
    c = a_candidate()

    told = forecast([c], [a_lane(free_in=8 * 60, calendar=days)], NOW)

    assert told[c.job.id].start.p50 == datetime(2026, 3, 3, 8, 10, tzinfo=UTC)  # nine o'clock in Paris


def test_a_long_job_is_foretold_after_the_booking_and_a_short_one_before_it() -> None:
    window = a_window(90)
    long, short = a_candidate(minutes=120), a_candidate(minutes=30)

    told = forecast([long, short], [a_lane(window)], NOW)

    assert told[long.job.id].start.p50 == window.ends_at
    assert told[short.job.id].start.p50 == NOON


def test_what_no_machine_could_take_is_not_foretold() -> None:
    giant = a_candidate(artifact=an_artifact(size_mm=(400, 400, 400)))

    assert not forecast([giant], [a_lane()], NOW)
    assert not forecast([a_candidate()], [a_lane(maintenance=True)], NOW)
    assert not forecast([a_candidate()], [], NOW)


def test_a_job_whose_material_somebody_must_load_is_foretold_where_it_could_be() -> None:
    c = a_candidate()

    assert c.job.id in forecast([c], [a_lane(material=None)], NOW)
    assert c.job.id not in forecast(
        [c], [a_lane(material=Material.PETG, kind="printer", machine_class="resin")], NOW
    )


def test_along_a_machine_spreads_add_up_as_variances() -> None:
    """Three jobs of one hour, each 12 minutes late at most nine times in ten: the fourth waits for far less than 36."""
    queue = [a_candidate() for _ in range(4)]

    told = forecast(queue, [a_lane()], NOW, Trust(clearing=Spread(p50=0, p90=0)))

    last = told[queue[-1].job.id].start
    assert last.p50 == NOON + 3 * HOUR
    assert timedelta(minutes=20) < last.p90 - last.p50 < timedelta(minutes=22)


def test_few_forecasts_teach_nothing() -> None:
    assert stretch([(3600, 7200)] * (PAIRS_MIN - 1), 1300) == 1300


def test_the_stretch_is_what_would_have_held_for_nine_in_ten() -> None:
    waits = [(1000.0, 1000.0 + 10 * n) for n in range(100)]

    learned = stretch(waits)

    assert sum(happened <= late * learned / 1000 for late, happened in waits) >= 90
    assert learned == 1900


def test_forecasts_that_come_too_early_are_never_made_earlier_than_simulated() -> None:
    assert stretch([(1000, 100)] * 50) == 1000
