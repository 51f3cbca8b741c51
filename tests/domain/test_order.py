"""In which order waiting jobs are served, and what fair share means."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.domain.calendar import Opening, SiteCalendar
from orchestrator.domain.job import Priority
from orchestrator.domain.matching import Candidate
from orchestrator.domain.member import Member, Organisation
from orchestrator.domain.order import (
    Standing,
    Use,
    decayed,
    fair_shares,
    loaded,
    overtaking_days,
    ranked,
    score,
)
from orchestrator.domain.policy import Policy
from orchestrator.domain.process import Material
from orchestrator.domain.quote import Spread
from tests.builders import NOON, a_job, a_machine, a_member

POLICY = Policy()
NOTHING = Standing(shares={}, loaded={})
DAYS = CALENDAR = SiteCalendar(
    site="lab", openings=tuple(Opening(weekday=d, from_minute=9 * 60, to_minute=19 * 60) for d in range(7))
)


def a_candidate(hours_waited: float = 0, seconds: int = 3600, **job: Any) -> Candidate:
    queued_at = NOON - timedelta(hours=hours_waited)
    return Candidate(
        job=a_job(**({"queued_at": queued_at, "created_at": queued_at} | job)),
        member=a_member(),
        takes=Spread(p50=seconds, p90=seconds * 5 // 4),
    )


JOBS = st.builds(
    a_candidate,
    hours_waited=st.floats(0, 400),
    seconds=st.integers(60, 200_000),
    priority=st.sampled_from(Priority),
    deadline=st.one_of(st.none(), st.integers(-100, 100).map(lambda hours: NOON + timedelta(hours=hours))),
    member_id=st.sampled_from([UUID(int=n) for n in range(5)]),
)
SHARES = st.dictionaries(st.sampled_from([UUID(int=n) for n in range(5)]), st.floats(0, 1))


# --- the order ----------------------------------------------------------------------------------------


@settings(deadline=None)
@given(early=JOBS, late=JOBS, shares=SHARES, all_loaded=st.booleans())
def test_who_has_waited_the_overtaking_days_longer_goes_first_whatever_the_other_has(
    early: Candidate, late: Candidate, shares: dict[UUID, float], all_loaded: bool
) -> None:
    longer = timedelta(days=overtaking_days(POLICY), seconds=1)
    assert late.job.queued_at is not None
    early = a_candidate(
        queued_at=late.job.queued_at - longer,
        priority=early.job.priority,
        deadline=early.job.deadline,
        member_id=early.job.member_id,
        seconds=early.takes.p50,
    )
    standing = Standing(shares=shares, loaded={late.needs: all_loaded}, calendar=CALENDAR)

    assert ranked([late, early], standing, POLICY, NOON) == [early, late]


@settings(deadline=None)
@given(queue=st.lists(JOBS, max_size=20), shares=SHARES, random=st.randoms())
def test_the_order_is_the_same_for_the_same_jobs_however_they_come_in(
    queue: list[Candidate], shares: dict[UUID, float], random: Any
) -> None:
    standing = Standing(shares=shares, loaded={}, calendar=CALENDAR)
    shuffled = random.sample(queue, len(queue))

    assert ranked(shuffled, standing, POLICY, NOON) == ranked(queue, standing, POLICY, NOON)


@settings(deadline=None)
@given(job=JOBS, shares=SHARES)
def test_every_term_but_the_age_lies_between_none_and_all_of_its_weight(
    job: Candidate, shares: dict[UUID, float]
) -> None:
    found = score(job, Standing(shares=shares, loaded={}, calendar=CALENDAR), POLICY, NOON)

    assert all(0 <= term.value <= 1 for term in found.terms if term.name != "age")
    assert found.points == pytest.approx(sum(term.points for term in found.terms))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param({"hours_waited": 2}, {"hours_waited": 1}, id="who came earlier"),
        pytest.param({"priority": Priority.URGENT}, {"priority": Priority.TEACHING}, id="the higher class"),
        pytest.param({"priority": Priority.STANDARD}, {"priority": Priority.LOW}, id="not who fills holes"),
        pytest.param({"seconds": 1200}, {"seconds": 12_000}, id="the shorter"),
        pytest.param({"deadline": NOON + timedelta(hours=2)}, {}, id="whose deadline is near"),
        pytest.param(
            {"deadline": NOON + timedelta(hours=2)},
            {"deadline": NOON + timedelta(hours=40)},
            id="whose deadline is nearer",
        ),
    ],
)
def test_beside_an_equal_it_goes_first(first: dict[str, Any], second: dict[str, Any]) -> None:
    before, after = a_candidate(**first), a_candidate(**second)

    assert ranked([after, before], NOTHING, POLICY, NOON) == [before, after]


def test_who_used_less_of_late_goes_first() -> None:
    greedy, modest = a_candidate(), a_candidate()
    standing = Standing(shares={greedy.job.member_id: 0.1, modest.job.member_id: 0.9}, loaded={})

    assert ranked([greedy, modest], standing, POLICY, NOON) == [modest, greedy]


def test_shortly_before_the_staff_leave_what_works_through_the_night_goes_first() -> None:
    closing = NOON.replace(hour=17, minute=30)  # 18:30 in Paris, half an hour before the end
    hour, night = a_candidate(seconds=3600), a_candidate(seconds=14 * 3600)
    standing = Standing(shares={}, loaded={}, calendar=CALENDAR)

    assert ranked([hour, night], standing, POLICY, closing) == [night, hour]
    assert ranked([hour, night], standing, POLICY, NOON) == [hour, night]


def test_a_lab_without_hours_clears_its_beds_at_any_time() -> None:
    found = score(a_candidate(), NOTHING, POLICY, NOON)

    assert next(term.value for term in found.terms if term.name == "turn") == 1


def test_what_is_mounted_counts_only_where_a_machine_could_take_the_job() -> None:
    job = a_candidate()

    assert loaded([job.needs], [a_machine()]) == {job.needs: True}
    assert loaded([job.needs], [a_machine(material=Material.PETG)]) == {job.needs: False}
    assert loaded([job.needs], []) == {job.needs: False}


# --- fair share ---------------------------------------------------------------------------------------


def _people(*organisations: Organisation | None) -> list[Member]:
    return [a_member(organisation_id=o.id if o else None) for o in organisations]


def test_fair_share_is_a_half_for_who_used_just_their_share() -> None:
    one, two = _people(None, None)

    assert fair_shares([one, two], {}, {one.id: 50, two.id: 50}) == {one.id: 0.5, two.id: 0.5}


def test_fair_share_is_one_for_all_where_nobody_used_anything() -> None:
    one, two = _people(None, None)

    assert fair_shares([one, two], {}, {}) == {one.id: 1, two.id: 1}


def test_fair_share_of_slurms_example_with_its_accounts_b_c_e_and_f() -> None:
    """The shares and uses of slurm.schedmd.com/classic_fair_share.html, "Example": B 30, C 10, E 25 and F 35 shares;
    users 1, 2 and 4 used 0.2, 0.25 and 0.25. Without A and D above them, as we have no third tier, and as parts of the
    0.7 that were used at all. Worked out by hand with its formulas UE and F."""
    b, c, e, f = (
        Organisation(id=uuid4(), name=n, shares=s) for n, s in zip("BCEF", (30, 10, 25, 35), strict=True)
    )
    one, two, three, four, five = people = _people(b, c, c, e, f)
    used = {one.id: 0.2, two.id: 0.25, four.id: 0.25}

    found = fair_shares(people, {o.id: o for o in (b, c, e, f)}, used)

    part = 0.25 / 0.7
    assert found[one.id] == pytest.approx(2 ** -(0.2 / 0.7 / 0.3))
    assert found[two.id] == pytest.approx(2 ** -(part / 0.05))  # UE = U + (U - U) / 2
    assert found[three.id] == pytest.approx(2 ** -(part / 2 / 0.05))  # UE = 0 + (U - 0) / 2
    assert found[four.id] == pytest.approx(2 ** -(part / 0.25))
    assert found[five.id] == 1
    assert sorted(people, key=lambda m: found[m.id]) == [two, three, four, one, five]


def test_fair_share_of_slurms_users_4_and_2_where_the_tiers_are_the_same() -> None:
    """Of the same example: user 4, alone in account E, used 0.25 of a share of 0.25: 0.5. An account of 0.25 that used
    0.3 in all, a quarter of it by each of two: UE = 0.15 + (0.3 - 0.15) / 2 = 0.225 of a share of 0.125."""
    e, g, rest = (Organisation(id=uuid4(), name=n, shares=s) for n, s in (("E", 25), ("G", 25), ("rest", 50)))
    four, six, seven, other = people = _people(e, g, g, rest)
    used = {four.id: 0.25, six.id: 0.15, seven.id: 0.15, other.id: 0.45}

    found = fair_shares(people, {o.id: o for o in (e, g, rest)}, used)

    assert found[four.id] == pytest.approx(0.5)
    assert found[six.id] == found[seven.id] == pytest.approx(2 ** -(0.225 / 0.125))


def test_what_a_colleague_used_counts_against_one_who_used_nothing() -> None:
    firm = Organisation(id=uuid4(), name="firm")
    busy, colleague, stranger = _people(firm, firm, None)

    found = fair_shares([busy, colleague, stranger], {firm.id: firm}, {busy.id: 100})

    assert found[busy.id] < found[colleague.id] < found[stranger.id] == 1


def test_use_counts_half_after_each_half_life() -> None:
    member_id = uuid4()
    week = 7 * 86_400

    uses = [Use(member_id=member_id, seconds=100, age_seconds=age) for age in (0, week, 2 * week)]

    assert decayed(uses, 7) == {member_id: pytest.approx(175)}
