"""Order: what lies inside first, and not much travel."""

from __future__ import annotations

from time import process_time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slicing.vector import plane
from slicing.vector.design import Line
from slicing.vector.nesting import nested
from slicing.vector.order import cuts, route, travel_mm
from slicing.vector.pieces import Piece
from tests.slicing.vector.drawn import circle, line, pieces, square

ORIGIN = np.zeros(2)


def ordered(*lines: Line) -> list[int]:
    some = pieces(*lines)
    return [number for number, _ in cuts(some, nested(some).depth, {}, ORIGIN)]


def test_a_hole_is_cut_before_its_part_and_a_part_in_it_before_the_hole() -> None:
    assert ordered(square(0, 0, 100), square(10, 10, 50), square(20, 20, 10)) == [2, 1, 0]


def test_a_slit_is_cut_before_the_part_it_is_in() -> None:
    assert ordered(square(0, 0, 100), line((10, 10), (20, 20)), line((200, 200), (300, 300)))[0] == 1


def test_of_the_same_depth_the_lower_rank_goes_first() -> None:
    red, green = pieces(square(0, 0, 10)), [Piece(key="green", points=square(50, 50, 10).points, closed=True)]

    found = cuts([*red, *green], np.zeros(2, np.int64), {"green": 0, "stroke:#ff0000": 1}, ORIGIN)

    assert [each.key for _, each in found] == ["green", "stroke:#ff0000"]


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_whatever_is_nested_however_nothing_is_cut_before_what_lies_in_it(data: st.DataObject) -> None:
    boxes: list[tuple[float, float, float]] = []

    def fill(x: float, y: float, side: float, deep: int) -> None:
        boxes.append((x, y, side))
        if deep < 4:
            quarter = (side - 3) / 2
            for column, row in data.draw(
                st.sets(st.tuples(st.integers(0, 1), st.integers(0, 1)), max_size=3)
            ):
                fill(x + 1 + column * (quarter + 1), y + 1 + row * (quarter + 1), quarter, deep + 1)

    for n in range(data.draw(st.integers(1, 3))):
        fill(120.0 * n, 0.0, 100.0, 0)
    boxes = data.draw(st.permutations(boxes))

    place = {number: at for at, number in enumerate(ordered(*(square(*box) for box in boxes)))}

    assert sorted(place) == list(range(len(boxes)))
    for inner, (x, y, side) in enumerate(boxes):
        for outer, (left, top, wide) in enumerate(boxes):
            if left < x and x + side < left + wide and top < y and y + side < top + wide:
                assert place[inner] < place[outer]


def test_a_closed_line_begins_where_the_beam_is_and_stays_the_same_line() -> None:
    ((_, begun),) = route(pieces(circle(100, 0, 10, 60)), ORIGIN)

    assert begun.points[0] == pytest.approx([90, 0], abs=1e-9)
    assert plane.length(begun.points, closed=True) == pytest.approx(2 * np.pi * 10, rel=1e-3)


def test_an_open_line_is_cut_from_its_nearer_end() -> None:
    ((_, begun),) = route(pieces(line((100, 0), (10, 0))), ORIGIN)

    assert begun.points.tolist() == [[10, 0], [100, 0]]


def test_a_row_drawn_criss_cross_is_cut_along() -> None:
    rng = np.random.default_rng(3)
    row = pieces(*(line((10.0 * n, 0), (10.0 * n, 5)) for n in rng.permutation(40)))

    way = [each for _, each in route(row, ORIGIN)]

    assert travel_mm(way, ORIGIN) == pytest.approx(390)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40), st.booleans()), min_size=1, max_size=25))
def test_each_line_is_cut_once_and_unchanged_on_a_way_no_longer_than_as_drawn(
    places: list[tuple[int, int, bool]],
) -> None:
    some = pieces(
        *(
            square(10 * x, 10 * y, 4) if ring else line((10 * x, 10 * y), (10 * x + 7, 10 * y))
            for x, y, ring in places
        )
    )

    found = route(some, ORIGIN)

    assert sorted(number for number, _ in found) == list(range(len(some)))
    for number, each in found:
        assert sorted(map(tuple, each.points.tolist())) == sorted(map(tuple, some[number].points.tolist()))
        assert plane.length(each.points, each.closed) == pytest.approx(
            plane.length(some[number].points, each.closed)
        )
    nearest_only = len(some) > 3
    assert (
        travel_mm([each for _, each in found], ORIGIN)
        <= travel_mm(some, ORIGIN) * (1.25 if nearest_only else 1) + 80
    )


@pytest.mark.parametrize("count", [1500, 10_000])
def test_many_lines_are_ordered_in_a_moment(count: int) -> None:
    rng = np.random.default_rng(5)
    many = pieces(*(circle(x, y, 2, 24) for x, y in rng.uniform(0, 600, (count, 2))))
    begin = process_time()

    way = [each for _, each in route(many, ORIGIN)]

    assert process_time() - begin < 4.0
    # A random way through n points in a square takes n/2 of its sides, the shortest about 0.71 sqrt(n).
    assert travel_mm(way, ORIGIN) < 1.35 * 0.7124 * np.sqrt(count) * 600
