"""The double cut: found whatever the lines are made of, taken away without moving a point."""

from __future__ import annotations

from collections.abc import Sequence
from time import process_time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slicing.vector import plane
from slicing.vector.design import Line
from slicing.vector.overlaps import overlaps, remove_duplicates
from slicing.vector.pieces import Piece, cleaned, joined
from tests.slicing.vector.drawn import circle, line, piece, pieces, square

SQUARE = square(0, 0, 10)
BACKWARDS = line((0, 10), (10, 10), (10, 0), (0, 0), closed=True)


def total_mm(some: Sequence[Piece]) -> float:
    return sum(plane.length(each.points, each.closed) for each in some)


@pytest.mark.parametrize(
    ("drawn", "count", "twice_mm"),
    [
        ([SQUARE], 0, 0),
        ([SQUARE, SQUARE], 1, 40),
        ([SQUARE, SQUARE, SQUARE], 2, 80),
        ([SQUARE, BACKWARDS], 1, 40),
        ([SQUARE, line((10, 10), (0, 10), (0, 0), (10, 0), closed=True)], 1, 40),
        ([SQUARE, line((10, 5), (10, 10), (0, 10), (0, 0), (10, 0), (10, 5))], 1, 40),
        ([SQUARE, line((0, 0), (10, 0)), line((10, 10), (10, 0)), line((0, 3), (0, 8))], 3, 25),
        ([SQUARE, square(10, 0, 10)], 1, 10),  # two parts share an edge
        ([SQUARE, square(0.02, 0.02, 10)], 1, 40),
        ([SQUARE, square(0.1, 0.1, 10)], 0, 0),
        ([line((0, 0), (10, 0)), line((5, 0.01), (15, 0.01))], 1, 5),
        ([line((0, 0), (10, 0)), line((10, 0), (20, 0))], 0, 0),
        ([line((0, 0), (10, 0)), line((9.9, 0), (20, 0))], 0, 0),  # touching ends are no double cut
        ([line((0, 0), (10, 10)), line((0, 10), (10, 0))], 0, 0),
        ([line((0, 0), (100, 0)), line((0, 0.5), (100, -0.5))], 0, 0),  # crossing at half a degree
        ([line((0, 0), (10, 0), (0, 0))], 1, 10),  # there and back again
    ],
)
def test_each_kind_of_double_line_is_found(drawn: list[Line], count: int, twice_mm: float) -> None:
    found = overlaps(pieces(*drawn))

    assert found.complete
    assert found.count == count
    assert found.length_mm == pytest.approx(twice_mm, abs=0.05)


@pytest.mark.parametrize("radius", [0.1, 0.5, 2, 10, 80])
def test_a_circle_flattened_otherwise_and_the_other_way_round_is_still_the_same(radius: float) -> None:
    chord = 2 * np.arccos(1 - min(0.5, 0.005 / radius))
    count = max(8, int(np.ceil(2 * np.pi / chord)))
    twice = pieces(circle(3, 4, radius, count), circle(3, 4, radius, count + 5, begin=0.3, turn=-1))

    found = overlaps(twice)

    assert remove_duplicates(twice, found) == twice[:1]


def test_what_shares_an_edge_keeps_three_sides_and_knows_that_it_was_closed() -> None:
    two = pieces(SQUARE, square(10, 0, 10))

    kept = remove_duplicates(two, overlaps(two))

    assert kept[0] is two[0]
    assert not kept[1].closed
    assert kept[1].ring is two[1].points
    assert kept[1].points.tolist() == [[10, 0], [20, 0], [20, 10], [10, 10]]


def test_where_only_some_of_a_line_is_double_the_rest_stays_where_it_is() -> None:
    two = pieces(line((0, 0), (10, 0)), line((-5, 0), (15, 0)))

    kept = remove_duplicates(two, overlaps(two))

    assert [each.points.tolist() for each in kept[1:]] == [[[-5, 0], [0, 0]], [[10, 0], [15, 0]]]


def test_of_many_lines_side_by_side_none_is_lost() -> None:
    """Each lies within the tolerance of the next, but the last does not lie on the first."""
    hatch = pieces(*(line((0, 0.04 * n), (10, 0.04 * n)) for n in range(20)))

    kept = remove_duplicates(hatch, overlaps(hatch))

    left = np.array([each.points[0, 1] for each in kept])
    assert all(np.abs(left - 0.04 * n).min() <= 0.05 for n in range(20))


def test_a_line_of_tiny_pieces_is_not_eaten_up() -> None:
    dotted = pieces(*(line((0.04 * n, 0), (0.04 * n + 0.04, 0)) for n in range(100)))

    assert overlaps(dotted).count == 0


def test_the_warning_says_where() -> None:
    found = overlaps(pieces(SQUARE, line((0, 2), (0, 6))))

    assert found.places == ((0.0, 4.0),)


coordinate = st.integers(0, 4)
corner = st.tuples(coordinate, coordinate)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(corner, min_size=2, max_size=5), min_size=1, max_size=8))
def test_what_is_left_covers_all_that_was_drawn_and_nothing_twice(drawn: list[list[tuple[int, int]]]) -> None:
    lines = [cleaned(piece(line(*[(10.0 * x, 10.0 * y) for x, y in points]))) for points in drawn]
    some = [each for each in lines if each is not None]

    kept = remove_duplicates(some, overlaps(some))

    assert overlaps(kept).count == 0
    assert covered(some, kept)
    assert covered(kept, some)


def covered(some: Sequence[Piece], by: Sequence[Piece]) -> bool:
    """Points all along the first lie on the second."""
    if not some:
        return True
    ends = np.vstack([plane.segments(each.points, each.closed) for each in some])
    points = np.vstack(
        [ends[:, :2] + (ends[:, 2:] - ends[:, :2]) * share for share in np.linspace(0.05, 0.95, 9)]
    )
    lines = np.vstack([plane.segments(each.points, each.closed) for each in by])
    near, _ = plane.points_near_lines(points, lines, 0.051)
    return len(set(near.tolist())) == len(points)


def test_four_lines_that_touch_become_a_square() -> None:
    sides = [
        line((0, 0), (10, 0)),
        line((10.03, 10), (10, 0.02)),
        line((10, 10), (0, 10)),
        line((0, 0), (0, 10)),
    ]

    (whole,) = joined(pieces(*sides))

    assert whole.closed
    assert plane.length(whole.points, closed=True) == pytest.approx(40, abs=0.15)


def test_lines_of_other_colours_or_with_a_third_at_their_end_are_not_joined() -> None:
    star = pieces(line((0, 0), (10, 0)), line((0, 0), (0, 10)), line((0, 0), (-10, 0)))
    other = [piece(line((10, 0), (20, 0)), key="stroke:#0000ff")]

    assert len(joined([*star, *other])) == 4


def test_two_squares_that_share_a_corner_are_two() -> None:
    sides = [((0, 0), (10, 0)), ((10, 0), (10, 10)), ((10, 10), (0, 10)), ((0, 10), (0, 0))]
    sides += [((10, 10), (20, 10)), ((20, 10), (20, 20)), ((20, 20), (10, 20)), ((10, 20), (10, 10))]

    found = joined(pieces(*(line(*ends) for ends in sides)))

    assert [each.closed for each in found] == [True, True]


@pytest.mark.parametrize(
    ("drawn", "seconds"),
    [
        ([circle(20 * (n % 20), 20 * (n // 20), 8, 150, begin=0.01 * (n % 2)) for n in range(200)], 2.0),
        (
            [
                circle(20 * (n % 10), 20 * (n // 10 % 10), 8, 150, begin=0.001 * (n // 100))
                for n in range(200)
            ],
            2.0,
        ),
        ([line((0, 0), (100, 0))] * 30_000, 3.0),
    ],
    ids=["apart", "all twice", "the same one"],
)
def test_thirty_thousand_segments_are_compared_in_a_moment(drawn: list[Line], seconds: float) -> None:
    many = pieces(*drawn)
    begin = process_time()

    found = overlaps(many)

    assert found.complete
    assert process_time() - begin < seconds


def test_too_many_lines_on_one_heap_are_said_not_to_be_compared_instead_of_never_ending() -> None:
    rng = np.random.default_rng(1)
    heap = pieces(*(line((x, y), (100 + x, y)) for x, y in rng.uniform(0, 0.3, (12_000, 2))))

    assert not overlaps(heap).complete
