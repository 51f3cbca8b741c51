"""The way of the beam for the page: in order, in time, thin enough, and with the look of what it shows."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from shapely import LineString, hausdorff_distance  # type: ignore[import-untyped]

from slicing.vector.simulate import simulation
from slicing.vector.toolpath import Contour
from slicing.vector.vectorestimate import estimate
from tests.slicing.vector.cutting import (
    CO2,
    a_cut,
    a_scan,
    a_toolpath,
    an_engraving,
    circle_points,
    settings,
    square,
)


def strokes(shown: dict[str, Any], op: int) -> list[list[tuple[float, float]]]:
    """What a page draws of an operation: each run of points reached with its beam on, and the point it began at."""
    found: list[list[tuple[float, float]]] = []
    for (x0, y0, _, before), (x, y, _, this) in pairwise(shown["moves"]):
        if this == op:
            if before != op or not found:
                found.append([(x0, y0)])
            found[-1].append((x, y))
    return found


def test_a_square_is_shown_corner_by_corner() -> None:
    toolpath = a_toolpath(a_cut(square(10, 20, 30)))

    shown = simulation(toolpath, CO2)

    assert shown["bed_mm"] == [600, 400]
    assert [(x, y, op) for x, y, _, op in shown["moves"]] == [
        (0, 0, -1),
        (10, 20, -1),
        (40, 20, 0),
        (40, 50, 0),
        (10, 50, 0),
        (10, 20, 0),
        (0, 0, -1),
    ]
    assert shown["seconds"] == estimate(toolpath, CO2).features["seconds_motion"]
    assert shown["operations"][0]["length_mm"] == 120


def test_time_goes_on_and_ends_with_the_work() -> None:
    shown = simulation(a_toolpath(an_engraving(a_scan(50.1, (10, 20, 1.0))), a_cut(square(10, 20, 30))), CO2)

    times = [t for _, _, t, _ in shown["moves"]]

    assert times == sorted(times)
    assert times[-1] == pytest.approx(shown["seconds"], abs=0.01)


def test_tabs_are_seen_as_gaps() -> None:
    shown = simulation(a_toolpath(a_cut(square(10, 20, 30, gaps=((10.0, 12.0),)))), CO2)

    assert [len(stroke) for stroke in strokes(shown, 0)] == [2, 5]


@pytest.mark.parametrize("most", [50, 500, 4000])
def test_whatever_the_work_the_page_gets_no_more_points_than_it_can_draw(most: int) -> None:
    toolpath = a_toolpath(
        an_engraving(
            *(
                a_scan(10.1 + line * 0.2, *((x, x + 1.0, 1.0) for x in range(10, 100, 3)))
                for line in range(900)
            )
        ),
        a_cut(*(square(10 + 5 * i, 200 + 5 * j, 3) for i in range(60) for j in range(30))),
        a_cut(Contour(points=circle_points(300, 200, 150, 9000), closed=True)),
    )

    shown = simulation(toolpath, CO2, moves_max=most)

    assert len(shown["moves"]) <= most
    assert {op for *_, op in shown["moves"]} == {-1, 0, 1, 2} or most == 50


def test_a_thinned_outline_keeps_its_look() -> None:
    points = circle_points(300, 200, 150, 9000) + np.sin(np.arange(9000) / 40)[:, None]
    outline = Contour(points=points, closed=True)

    shown = simulation(a_toolpath(a_cut(outline)), CO2, moves_max=1000)

    (stroke,) = strokes(shown, 0)
    assert len(stroke) < 1000
    assert hausdorff_distance(LineString(stroke), LineString(np.vstack((points, points[:1])))) < 0.4


def test_a_thinned_time_is_the_one_of_its_place() -> None:
    outline = Contour(points=circle_points(300, 200, 150, 9000), closed=True)
    toolpath = a_toolpath(a_cut(outline, settings=settings(speed_mm_s=10.0)))

    thin, full = simulation(toolpath, CO2, moves_max=300), simulation(toolpath, CO2, moves_max=100_000)

    at = {(x, y): t for x, y, t, op in full["moves"][2:-1] if op >= 0}
    known = [(t, at[x, y]) for x, y, t, op in thin["moves"][2:-2] if op >= 0]
    assert len(known) > 20
    assert all(ours == theirs for ours, theirs in known)


def test_it_is_plain_json() -> None:
    shown = simulation(a_toolpath(a_cut(square(10, 20, 30))), CO2)

    assert json.loads(json.dumps(shown)) == shown


def test_nothing_to_do_shows_a_head_at_rest() -> None:
    assert simulation(a_toolpath(), CO2)["moves"] == [[0.0, 0.0, 0.0, -1], [0.0, 0.0, 0.0, -1]]
