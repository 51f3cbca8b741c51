"""Areas and pictures as engraving lines: judged by areas, by shapely, and by the picture put together again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from shapely import Polygon  # type: ignore[import-untyped]

from slicing.faults import FileRefused
from slicing.vector import engrave
from slicing.vector.design import FloatArray, Picture
from slicing.vector.engrave import fill_scans, picture_scans
from slicing.vector.toolpath import Scan, Settings
from tests.slicing.vector.cutting import circle_points, settings

FINE = settings(interval_mm=0.1)
UPRIGHT = (0.5, 0.0, 0.0, -0.5, 10.0, 30.0)
"""Pixels of half a millimetre; the picture's top at y = 30."""


def area(scans: tuple[Scan, ...], chosen: Settings = FINE) -> float:
    """mm2, each piece weighed with its power."""
    return chosen.interval_mm * sum(
        float(((s.spans[:, 1] - s.spans[:, 0]) * s.spans[:, 2]).sum()) for s in scans
    )


def box(x: float, y: float, side: float) -> FloatArray:
    return np.array([(x, y), (x + side, y), (x + side, y + side), (x, y + side)])


def test_a_square_is_filled_line_by_line() -> None:
    scans = fill_scans([box(10, 20, 1)], False, settings(interval_mm=0.25))

    assert [scan.y for scan in scans] == [20.125, 20.375, 20.625, 20.875]
    assert all(scan.spans.tolist() == [[10, 11, 1]] for scan in scans)


def test_a_disc_has_its_area() -> None:
    scans = fill_scans([circle_points(50, 50, 10, 720)], False, FINE)

    assert area(scans) == pytest.approx(np.pi * 100, rel=1e-3)


@pytest.mark.parametrize(
    ("turned", "even_odd", "expected"),
    [
        (False, False, 100.0),  # nonzero, wound alike: no hole
        (True, False, 84.0),
        (False, True, 84.0),
        (True, True, 84.0),
    ],
)
def test_whether_a_ring_is_a_hole_the_fill_rule_says(turned: bool, even_odd: bool, expected: float) -> None:
    inner = box(3, 3, 4)

    scans = fill_scans([box(0, 0, 10), inner[::-1] if turned else inner], even_odd, FINE)

    assert area(scans) == pytest.approx(expected)


def test_neighbours_of_one_edge_are_one_piece() -> None:
    scans = fill_scans([box(0, 0, 5), box(5, 0, 5)], False, FINE)

    assert all(scan.spans.tolist() == [[0, 10, 1]] for scan in scans)


def test_blank_lines_are_left_out() -> None:
    scans = fill_scans([box(0, 0, 1), box(0, 100, 1)], False, FINE)

    assert len(scans) == 20
    assert list(scans) == sorted(scans, key=lambda scan: scan.y)


@pytest.mark.parametrize(
    "rings",
    [
        [],
        [np.zeros((0, 2))],
        [np.array([(0.0, 0.0), (5.0, 5.0)])],
        [np.array([(0.0, 0.0), (5.0, 0.0), (9.0, 0.0)])],
        [box(0, 0, 0.004)],
    ],
)
def test_what_has_no_inside_fills_nothing(rings: list[FloatArray]) -> None:
    assert fill_scans(rings, False, FINE) == ()


@given(
    st.lists(st.tuples(st.floats(0, 30), st.floats(0, 30)), min_size=3, max_size=9),
    st.lists(st.tuples(st.floats(0, 30), st.floats(0, 30)), min_size=3, max_size=9),
)
def test_even_odd_is_the_difference_of_two_polygons(
    first: list[tuple[float, float]], second: list[tuple[float, float]]
) -> None:
    """Judged by shapely, which counts areas and no lines."""
    one, other = Polygon(first), Polygon(second)
    if not (one.is_valid and other.is_valid):
        return

    scans = fill_scans([np.array(first), np.array(second)], True, FINE)

    edges = one.length + other.length
    assert area(scans) == pytest.approx(one.symmetric_difference(other).area, abs=0.02 * edges + 0.1)


def test_more_lines_than_anybody_waits_for_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engrave, "CROSSINGS_MAX", 50)

    with pytest.raises(FileRefused) as told:
        fill_scans([box(0, 0, 10)], False, FINE)

    assert told.value.code == "laser.too_fine"


def test_lines_at_no_distance_are_refused() -> None:
    with pytest.raises(FileRefused):
        fill_scans([box(0, 0, 10)], False, settings(interval_mm=0.0))


# --- Pictures ----------------------------------------------------------------------------------------------------


def a_picture(grey: NDArray[np.uint8], **changes: tuple[float, ...]) -> Picture:
    fields = {"to_page": UPRIGHT} | changes
    return Picture(grey=grey, **fields)  # type: ignore[arg-type]


def drawn(scans: tuple[Scan, ...], x: float, y: float, interval: float = 0.1) -> float:
    """The power at a place."""
    for scan in scans:
        if abs(scan.y - y) <= interval / 2 + 1e-9:
            return float(sum(s for x0, x1, s in scan.spans.tolist() if x0 <= x < x1))
    return 0.0


def test_black_burns_at_full_power_and_white_not_at_all() -> None:
    grey = np.full((20, 20), 255, dtype=np.uint8)
    grey[5:10, 0:10] = 0

    scans = picture_scans(a_picture(grey), FINE)

    assert area(scans) == pytest.approx(2.5 * 5, rel=0.03)
    assert drawn(scans, 12, 26.55) == 1.0  # row 5 and below lie at y < 27.5
    assert drawn(scans, 12, 28.55) == 0.0
    assert drawn(scans, 17, 26.55) == 0.0


def test_grey_is_power_in_between() -> None:
    grey = np.full((20, 20), 128, dtype=np.uint8)

    scans = picture_scans(a_picture(grey), FINE)

    assert {len(scan.spans) for scan in scans} == {1}
    assert scans[0].spans[0, 2] == pytest.approx(0.5, abs=0.5 / (engrave.LEVELS - 1))
    assert len(scans) == 100


def test_dithered_grey_is_dots_of_full_power() -> None:
    grey = np.full((40, 40), 191, dtype=np.uint8)

    scans = picture_scans(a_picture(grey), FINE, dither=True)

    assert {s for scan in scans for s in scan.spans[:, 2].tolist()} == {1.0}
    assert area(scans) == pytest.approx(400 * 64 / 255, rel=0.05)


def test_a_white_picture_burns_nothing() -> None:
    assert picture_scans(a_picture(np.full((20, 20), 255, dtype=np.uint8)), FINE) == ()


@pytest.mark.parametrize(
    "to_page",
    [
        (0.5, 0.0, 0.0, -0.5, 10.0, 30.0),
        (0.0, 0.5, 0.5, 0.0, 10.0, 20.0),  # turned and mirrored
        (0.35, 0.35, 0.35, -0.35, 20.0, 30.0),  # by 45 degrees
        (0.03, 0.0, 0.0, -0.03, 10.0, 30.0),  # shrunk: finer than the lines
    ],
)
def test_a_picture_lies_where_it_was_placed(to_page: tuple[float, ...]) -> None:
    random = np.random.default_rng(3)
    coarse = random.integers(0, 2, (5, 4)).astype(np.uint8) * 255
    grey = np.kron(coarse, np.ones((12, 12), dtype=np.uint8))
    a, b, c, d, e, f = to_page

    scans = picture_scans(a_picture(grey, to_page=to_page), FINE)

    for (row, column), value in np.ndenumerate(coarse):
        u, v = 12 * column + 6, 12 * row + 6
        assert drawn(scans, a * u + c * v + e, b * u + d * v + f) == pytest.approx(1 - value / 255, abs=0.11)
    assert area(scans) == pytest.approx((coarse == 0).sum() * 144 * abs(a * d - b * c), rel=0.05)


def test_thin_strokes_of_a_large_picture_grow_pale_and_do_not_vanish() -> None:
    grey = np.full((1000, 1000), 255, dtype=np.uint8)
    grey[:, ::10] = 0

    scans = picture_scans(a_picture(grey, to_page=(0.01, 0, 0, -0.01, 0, 10)), FINE)

    assert area(scans) == pytest.approx(10.0, rel=0.4)


@pytest.mark.parametrize(
    "picture",
    [
        a_picture(np.zeros((0, 5), dtype=np.uint8)),
        a_picture(np.zeros((5, 5), dtype=np.uint8), to_page=(0, 0, 0, 0, 5, 5)),
        a_picture(np.zeros((5, 5), dtype=np.uint8), to_page=(1, 1, 1, 1, 5, 5)),
    ],
)
def test_a_picture_of_no_size_burns_nothing(picture: Picture) -> None:
    assert picture_scans(picture, FINE) == ()


def test_a_picture_of_more_dots_than_can_be_made_is_refused() -> None:
    huge = a_picture(np.zeros((10, 10), dtype=np.uint8), to_page=(100, 0, 0, -100, 0, 1000))

    with pytest.raises(FileRefused) as told:
        picture_scans(huge, replace(FINE, interval_mm=0.05))

    assert told.value.code == "laser.too_fine"


def test_more_pieces_than_a_file_can_hold_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engrave, "SPANS_MAX", 100)
    noise = np.random.default_rng(1).integers(0, 255, (50, 50)).astype(np.uint8)

    with pytest.raises(FileRefused):
        picture_scans(a_picture(noise), FINE)
