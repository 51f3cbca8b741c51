"""The laboratory of scheduling: its weeks come from a seed, and its nature keeps its secrets."""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta
from itertools import combinations, pairwise

import pytest

from bench.schedule.metrics import figures, jain, quantile
from bench.schedule.policies import POLICIES, View
from bench.schedule.simulate import Outcome, simulate
from bench.schedule.weeks import Nature, staffed_after, weeks
from orchestrator.domain.calendar import open_until
from orchestrator.domain.machine import Kind
from orchestrator.domain.matching import Candidate


def test_the_same_seed_makes_the_same_week() -> None:
    assert weeks(7) == weeks(7)
    assert weeks(7).asks != weeks(8).asks


def test_nine_in_ten_runs_take_no_longer_than_told() -> None:
    many = weeks(1, count=8)

    held = [many.nature.takes_seconds[c.job.id] <= c.takes.p90 for c in many.asks]

    assert 0.88 < sum(held) / len(held) < 0.92


def test_no_two_bookings_live_on_one_machine_and_all_are_in_the_staffs_hours() -> None:
    week = weeks(3, count=4)

    for one, other in combinations(week.reservations, 2):
        assert one.machine_id != other.machine_id or not one.overlaps(other.starts_at, other.ends_at)
    assert all(open_until(week.calendar, None, r.starts_at, staffed=True) for r in week.reservations)


def test_no_policy_is_shown_what_only_nature_knows() -> None:
    secrets = {f.name for f in fields(Nature)}

    assert not secrets & {f.name for kind in (View, Candidate) for f in fields(kind)}


def test_the_staffs_hours_do_not_pass_while_they_are_away() -> None:
    week = weeks(1)
    saturday = week.starts_at + timedelta(days=5, hours=17, minutes=30)  # half an hour before they leave

    assert staffed_after(saturday, 3600) == week.starts_at + timedelta(days=7, hours=14, minutes=30)


@pytest.fixture(scope="module", params=POLICIES)
def outcome(request: pytest.FixtureRequest) -> Outcome:
    return simulate(weeks(2, load=0.6), POLICIES[request.param])


def test_every_job_is_started_and_done_under_every_policy(outcome: Outcome) -> None:
    assert len(outcome.lives) == len(outcome.weeks.asks)
    assert all(life.started_at and life.done_at for life in outcome.lives.values())


def test_a_machine_holds_one_run_and_a_laser_works_in_the_staffs_hours(outcome: Outcome) -> None:
    lasers = {m.id for m in outcome.weeks.machines if m.kind is Kind.LASER}
    runs = sorted(outcome.runs, key=lambda run: (run.machine_id.int, run.start))
    for one, other in pairwise(runs):
        assert one.machine_id != other.machine_id or one.end <= other.start
    assert all(
        open_until(outcome.weeks.calendar, None, run.start, staffed=True)
        for run in runs
        if run.machine_id in lasers
    )


def test_a_job_is_worked_on_as_long_as_nature_says(outcome: Outcome) -> None:
    for run in outcome.runs:
        if not run.failed:
            took = (run.end - run.start).total_seconds()
            assert took == pytest.approx(outcome.weeks.nature.takes_seconds[run.job_id], abs=0.01)


def test_ours_keeps_every_booking_and_the_figures_are_whole() -> None:
    found = figures(simulate(weeks(2, load=0.6), POLICIES["ours"], foretell=True))

    assert (found.missed, found.unstarted) == (0, 0)
    assert found.start_held_percent is not None
    assert 0 < found.utilisation_percent < 100


def test_jains_index_of_his_examples() -> None:
    assert jain([3, 3, 3]) == pytest.approx(1)
    assert jain([1, 0, 0, 0]) == pytest.approx(0.25)


def test_a_quantile_is_a_value_that_so_many_do_not_exceed() -> None:
    assert quantile(list(range(1, 101)), 0.95) == 95
    assert quantile([4], 0.95) == 4
