"""Kerf: parts keep their size, holes too; what has no side is left alone."""

from __future__ import annotations

from math import pi

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slicing.vector import plane
from slicing.vector.design import Line
from slicing.vector.kerf import Compensated, compensated
from slicing.vector.nesting import nested
from tests.slicing.vector.drawn import circle, line, pieces, square


def widened(*lines: Line, kerf_mm: float = 0.2) -> Compensated:
    some = pieces(*lines)
    return compensated(some, nested(some), kerf_mm)


def sizes(done: Compensated) -> list[float]:
    return [round(float(np.ptp(each.points, axis=0).max()), 6) for each in done.pieces]


def test_the_outside_grows_a_hole_shrinks_and_a_part_in_the_hole_grows() -> None:
    done = widened(square(0, 0, 100), square(10, 10, 50), square(20, 20, 10))

    assert sizes(done) == [100.2, 49.8, 10.2]


def test_the_order_in_which_they_are_drawn_does_not_matter() -> None:
    assert sizes(widened(square(20, 20, 10), square(0, 0, 100), square(10, 10, 50))) == [10.2, 100.2, 49.8]


@pytest.mark.parametrize("turn", [1, -1])
def test_the_direction_in_which_they_are_drawn_does_not_matter(turn: int) -> None:
    (grown,) = widened(circle(0, 0, 20, 400, turn=turn)).pieces

    assert plane.length(grown.points, closed=True) == pytest.approx(2 * pi * 20.1, rel=1e-4)


def test_a_sharp_tip_grows_no_long_thorn() -> None:
    thorn = line((0, 0), (50, 0.5), (50, -0.5), closed=True)

    assert sizes(widened(thorn))[0] < 50 + 3 * 0.2


def test_open_lines_stay_where_they_are() -> None:
    some = pieces(square(0, 0, 100), line((10, 10), (20, 20)))

    assert compensated(some, nested(some), 0.2).pieces[1] is some[1]


def test_no_kerf_changes_nothing() -> None:
    some = pieces(square(0, 0, 100))

    assert compensated(some, nested(some), 0.0).pieces == tuple(some)


def test_a_hole_narrower_than_the_cut_vanishes_and_is_told() -> None:
    done = widened(square(0, 0, 100), line((10, 10), (20, 10), (20, 10.15), (10, 10.15), closed=True))

    assert len(done.pieces) == 1
    assert len(done.vanished) == 1


def test_what_crosses_itself_stays_and_is_told() -> None:
    bow_tie = line((0, 0), (10, 10), (10, 0), (0, 10), closed=True)

    done = widened(bow_tie)

    assert np.array_equal(done.pieces[0].points, bow_tie.points)
    assert len(done.crossing) == 1


def test_a_corner_drawn_into_itself_and_back_does_not_keep_a_part_from_growing() -> None:
    """A dog-bone: the line goes into the corner and back out on itself."""
    box = line((0, 0), (20, 0), (20.1, -0.1), (20, 0), (20, 20), (0, 20), closed=True)

    done = widened(box)

    assert not done.crossing
    assert sizes(done)[0] == pytest.approx(20.2, abs=0.15)


def test_a_narrow_mouth_that_closes_leaves_a_hole() -> None:
    ring = line(
        (0, 0), (9.95, 0), (9.95, 5), (5, 5), (5, 15), (15, 15), (15, 5), (10.05, 5), (10.05, 0), (20, 0), (20, 20),
        (0, 20), closed=True,
    )  # fmt: skip

    assert sizes(widened(ring)) == [20.2, 9.8]


def test_identical_contours_lie_in_one_another_in_no_way() -> None:
    assert nested(pieces(square(0, 0, 10), square(0, 0, 10))).depth.tolist() == [0, 0]


@settings(max_examples=60, deadline=None)
@given(x=st.floats(-500, 500), y=st.floats(-500, 500), side=st.floats(2, 300), kerf_mm=st.floats(0.01, 0.5))
def test_the_part_that_comes_out_has_the_size_that_was_drawn(
    x: float, y: float, side: float, kerf_mm: float
) -> None:
    (way,) = widened(square(x, y, side), kerf_mm=kerf_mm).pieces

    width = np.ptp(way.points, axis=0) - kerf_mm
    assert width == pytest.approx([side, side], abs=1e-6)
