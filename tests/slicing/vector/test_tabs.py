"""Tabs: as many as asked for, spread evenly, off the corners, and never more than the line can bear."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slicing.vector.tabs import gaps
from tests.slicing.vector.drawn import circle, square


def test_four_tabs_on_a_square_lie_in_the_middle_of_its_sides() -> None:
    middles = [(low + high) / 2 for low, high in gaps(square(0, 0, 40).points, 4, 1.0)]

    assert middles == pytest.approx([20, 60, 100, 140], abs=1.0)


def test_three_tabs_on_a_square_keep_away_from_its_corners() -> None:
    for low, high in gaps(square(0, 0, 30).points, 3, 1.0):
        assert min(abs((low + high) / 2 - corner) for corner in range(0, 121, 30)) > 3


@pytest.mark.parametrize(("side", "asked", "made"), [(40, 0, 0), (2, 4, 2), (0.5, 4, 0)])
def test_a_short_line_gets_fewer_tabs(side: float, asked: int, made: int) -> None:
    assert len(gaps(square(0, 0, side).points, asked, 1.0)) == made


@settings(max_examples=100, deadline=None)
@given(
    radius=st.floats(1, 200), count=st.integers(1, 20), width=st.floats(0.1, 5), points=st.integers(3, 200)
)
def test_tabs_ascend_within_the_line_and_never_meet(
    radius: float, count: int, width: float, points: int
) -> None:
    ring = circle(0, 0, radius, points).points

    found = gaps(ring, count, width)

    edges = [edge for gap in found for edge in gap]
    assert edges == sorted(edges)
    assert all(high - low == pytest.approx(width) for low, high in found)
    if edges:
        assert edges[0] >= -1e-9
        assert edges[-1] <= 2 * 3.1416 * radius
