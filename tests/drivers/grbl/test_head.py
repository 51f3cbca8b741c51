"""Which line the head is on, told from places alone, also where the path runs over itself."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.grbl.head import Head
from drivers.grbl.program import Bounds, Program, check

POLL_SECONDS = 0.2


def a_program(places: list[tuple[float, float]], feed: float = 600.0) -> Program:
    moves = "\n".join(f"G1 X{x:.3f} Y{y:.3f} S500 F{feed:g}" for x, y in places)
    return check(f"G21 G90\nM4 S0\n{moves}\nM5\nM2\n".encode(), Bounds())


def follow(program: Program, feed: float = 600.0) -> list[tuple[int, int]]:
    """Line where the head is, and where it is taken to be, at each report of a cut at constant speed."""
    head, told = Head(program=program), []
    step, at, since = feed / 60 * POLL_SECONDS, 0.0, 0.0
    for number in range(1, len(program)):
        ax, ay = program.xs[number - 1], program.ys[number - 1]
        bx, by = program.xs[number], program.ys[number]
        length = math.dist((ax, ay), (bx, by))
        while since <= length and length:
            share = since / length
            place = ax + (bx - ax) * share, ay + (by - ay) * share
            head.seen(place, feed, at, low=0, high=min(number + 15, len(program) - 1))
            told.append((number, head.line))
            since += step
            at += POLL_SECONDS
        since -= length
    return told


@pytest.mark.parametrize(
    "places",
    [
        [(10, 0), (10, 10), (0, 10), (0, 0)] * 5,  # passes over the same square
        [(50, 0), (0, 0)] * 6,  # there and back
        [(x, 5.0 * (x % 2)) for x in range(60)],  # short strokes
        [(30, 0), (20, 0), (40, 0), (10, 0)],  # over itself
    ],
)
def test_the_line_is_found_where_the_path_runs_over_itself(places: list[tuple[float, float]]) -> None:
    told = follow(a_program([(float(x), float(y)) for x, y in places]))[
        1:
    ]  # at first it stands where nothing tells

    assert max(abs(true - taken) for true, taken in told) <= 1
    assert sum(true == taken for true, taken in told) >= 0.9 * len(told)


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), min_size=2, max_size=40), st.data())
def test_it_never_goes_back_and_stays_among_the_lines_that_were_sent(
    places: list[tuple[int, int]], data: st.DataObject
) -> None:
    program = a_program([(float(x), float(y)) for x, y in places])
    head, before, high = Head(program=program), 0, 0

    for report in range(20):
        high = data.draw(st.integers(high, len(program) - 1))
        place = data.draw(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)))
        head.seen(place, data.draw(st.floats(0, 1e5)), report * POLL_SECONDS, low=0, high=high)
        assert before <= head.line <= max(high, 1)
        before = head.line
