"""What must change so that our windows are another system's: a table, and any two states of a calendar."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.domain.mirror import CONFLICT, Mirrored, Wanted, mirror
from orchestrator.domain.reservation import Purpose, Reservation, ReservationState
from tests.builders import NOON, a_machine

ADA, BABBAGE = a_machine(name="Ada"), a_machine(name="Babbage")
MACHINES = (ADA, BABBAGE)


def wish(name: str, first: int, last: int, **other: Any) -> Wanted:
    values: dict[str, Any] = {"machine_id": ADA.id, "machine_class": None} | other
    return Wanted(
        external_id=name,
        site="lab",
        purpose=Purpose.BOOKING,
        starts_at=NOON + timedelta(hours=first),
        ends_at=NOON + timedelta(hours=last),
        **values,
    )


def mirrored(
    wanted: list[Wanted], known: dict[str, Reservation] | None = None, others: tuple[Reservation, ...] = ()
) -> Mirrored:
    since = NOON - timedelta(days=1)
    return mirror("them", wanted, known or {}, others, MACHINES, since=since, now=NOON)


def applied(
    known: dict[str, Reservation], done: Mirrored, others: tuple[Reservation, ...] = ()
) -> dict[str, Any]:
    """As the database would: each step alone, refused where its place is not free."""
    now = dict(known)
    for step in done.steps:
        name = step.after.external_id
        assert now.get(name) == step.before
        if step.after.holds:
            for other in (*others, *now.values()):
                clash = other.holds and other.id != step.after.id and _meet(other, step.after)
                assert not clash, (step, other)
        now[name] = step.after
    return now


def _meet(one: Reservation, other: Reservation) -> bool:
    same = any(one.covers(machine) and other.covers(machine) for machine in MACHINES)
    return same and one.overlaps(other.starts_at, other.ends_at)


def test_a_class_and_the_whole_site_hold_each_machine_of_theirs() -> None:
    done = mirrored(
        [
            wish("site", 0, 2, machine_id=None),
            wish("ada", 1, 3),
            wish("class", 4, 6, machine_id=None, machine_class="fdm"),
            wish("babbage", 5, 7, machine_id=BABBAGE.id),
            wish("free", 6, 7),
        ]
    )
    refused = [step.after.external_id for step in done.steps if step.topic == CONFLICT]
    assert (refused, done.conflicts, done.held) == (["ada", "babbage"], 2, 3)


def test_what_began_before_the_answer_begins_is_left_alone() -> None:
    old = mirrored([wish("old", -40, 40)]).steps[0].after
    done = mirrored([wish("new", 1, 2)], {"old": old})
    assert [step.topic for step in done.steps] == [CONFLICT]


def test_three_that_change_places_in_a_circle_find_them() -> None:
    first = mirrored([wish("a", 0, 1), wish("b", 1, 2), wish("c", 2, 3)])
    known = applied({}, first)
    turned = [wish("a", 1, 2), wish("b", 2, 3), wish("c", 0, 1)]
    now = applied(known, mirrored(turned, known))
    assert all(one.holds for one in now.values())
    assert mirrored(turned, now).steps == ()


WISHES = st.dictionaries(
    st.sampled_from("abcdef"),
    st.tuples(st.integers(0, 12), st.integers(1, 5), st.sampled_from([ADA.id, BABBAGE.id, None])),
    max_size=6,
)


@settings(max_examples=300, deadline=None)
@given(WISHES, WISHES, st.sets(st.integers(0, 12), max_size=3))
def test_from_any_calendar_to_any_other_each_step_is_possible_and_the_end_is_still(
    before: dict[str, Any], after: dict[str, Any], taken: set[int]
) -> None:
    others = tuple(
        replace(mirrored([wish("x", hour, hour + 1)]).steps[0].after, id=uuid4(), system="other")
        for hour in sorted(taken)
    )
    known: dict[str, Reservation] = {}
    done = mirrored([])
    for told in (before, after, after):
        wanted = [wish(n, first, first + long, machine_id=where) for n, (first, long, where) in told.items()]
        done = mirrored(wanted, known, others)
        known = applied(known, done, others)
        holding = {name for name, one in known.items() if one.holds}
        assert holding <= told.keys()
        assert len(holding) == done.held
        assert len(told) == done.held + done.conflicts
    assert not done.steps or done.conflicts  # a place that came free by the last moves may be taken now


def test_a_released_window_is_not_held_again_by_being_told_again() -> None:
    (step,) = mirrored([wish("a", 0, 1)]).steps
    released = replace(step.after, state=ReservationState.RELEASED)
    assert mirrored([wish("a", 0, 1)], {"a": released}).steps == ()
    assert mirrored([wish("a", 2, 3)], {"a": released}).steps[0].after.holds
