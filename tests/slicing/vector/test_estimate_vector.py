"""What a toolpath takes: figures that can be worked out by hand, and sums that agree with the G-code."""

from __future__ import annotations

import json
from math import ceil, hypot

import numpy as np
import pytest

from slicing.vector import grbl
from slicing.vector.beam import moves
from slicing.vector.machines import CUTTERS
from slicing.vector.toolpath import Contour
from slicing.vector.vectorestimate import SPREAD, CutEstimate, estimate
from tests.slicing.vector.cutting import (
    CO2,
    a_cut,
    a_machine,
    a_scan,
    a_toolpath,
    an_engraving,
    burnt,
    settings,
    square,
)


def a_job() -> CutEstimate:
    return estimate(
        a_toolpath(
            an_engraving(*(a_scan(50.1 + 0.2 * line, (100, 150, 1.0)) for line in range(50))),
            a_cut(square(20, 20, 100), kind="score", settings=settings(speed_mm_s=100.0)),
            a_cut(square(10, 10, 200, gaps=((50.0, 52.0),)), settings=settings(passes=2, air=True)),
        ),
        CO2,
    )


def test_a_line_takes_its_length_by_its_speed_and_the_ramps() -> None:
    line = Contour(points=np.array([(0.0, 0.0), (400.0, 0.0)]), closed=False)

    took = estimate(a_toolpath(a_cut(line)), a_machine(1000.0, setup_seconds=5.0))

    assert took.features["seconds_motion"] == pytest.approx(
        20 + 0.02 + 400 / 200 + 0.2, abs=0.01
    )  # and the way home
    assert took.seconds_p50 == 28
    assert took.beam_seconds_p50 == 21
    assert (took.cut_mm, took.travel_mm, took.pierces) == (400.0, 400.0, 1)


def test_lengths_areas_and_pierces_are_those_of_the_work() -> None:
    took = a_job()

    assert took.cut_mm == pytest.approx(2 * (800 - 2))
    assert took.features["score_mm"] == pytest.approx(400)
    assert took.engrave_mm2 == pytest.approx(50 * 50 * 0.2)
    # 50 lines, the scored square, the cut one and behind its tab; its second pass follows on from the first.
    assert took.pierces == 50 + 1 + 1 + 2
    assert took.bounds_mm == (10.0, 10.0, 210.0, 210.0)


def test_the_operations_and_the_way_home_make_the_whole() -> None:
    took = a_job()

    home = hypot(10, 10) / 500
    parts = sum(operation.seconds for operation in took.operations)
    assert took.features["seconds_motion"] == pytest.approx(parts + home, abs=0.5)
    assert sum(o.beam_seconds for o in took.operations) == pytest.approx(took.beam_seconds_p50, abs=1)
    assert [(o.kind, o.length_mm) for o in took.operations] == [
        ("engrave", 2500),
        ("score", 400),
        ("cut", 1596),
    ]


def test_nine_in_ten_lie_within_the_spread_of_a_machine_never_compared() -> None:
    took = a_job()

    assert took.seconds_p90 == pytest.approx(took.seconds_p50 * (1 + SPREAD), abs=1)
    assert took.beam_seconds_p90 == pytest.approx(took.beam_seconds_p50 * (1 + SPREAD), abs=1)


def test_the_estimate_agrees_with_the_file() -> None:
    toolpath = a_toolpath(a_cut(square(10, 10, 50), square(100, 10, 50), settings=settings(passes=2)))

    took, file = estimate(toolpath, CO2), grbl.write(toolpath, CO2)

    cut = sum(hypot(x1 - x0, y1 - y0) for x0, y0, x1, y1, *_ in burnt(file))
    assert took.cut_mm == pytest.approx(cut)
    assert f";TIME:{ceil(took.features['seconds_motion'])}\n".encode() in file


def test_a_knife_cuts_without_power() -> None:
    took = estimate(
        a_toolpath(a_cut(square(10, 10, 50), settings=settings(power_permille=0))), CUTTERS["vinyl-600-hpgl"]
    )

    assert took.cut_mm == 200
    assert took.beam_seconds_p50 >= 10


def test_a_toolpath_without_work_takes_the_setup_alone() -> None:
    took = estimate(a_toolpath(), CO2)

    assert took.seconds_p50 == CO2.setup_seconds
    assert (took.beam_seconds_p50, took.cut_mm, took.pierces) == (0, 0, 0)
    assert len(moves(a_toolpath(), CO2)) == 0


def test_it_survives_json() -> None:
    took = a_job()

    assert CutEstimate.from_json(json.loads(json.dumps(took.to_json()))) == took


def test_same_toolpath_same_figures() -> None:
    assert a_job() == a_job()
