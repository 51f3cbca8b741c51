"""The G-code of a toolpath: what it burns, where, and that nothing in it could surprise a person at the machine."""

from __future__ import annotations

import re
from dataclasses import replace
from math import hypot

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slicing.faults import FileRefused
from slicing.vector import grbl, lasercheck, planner
from slicing.vector.beam import SKIP_MM, moves, overscan_mm
from slicing.vector.toolpath import Contour, Toolpath
from tests.slicing.vector.cutting import (
    CO2,
    DIODE,
    a_cut,
    a_scan,
    a_toolpath,
    an_engraving,
    burnt,
    circle_points,
    settings,
    square,
)


def code(toolpath: Toolpath) -> list[str]:
    """The lines, without the comments at the top."""
    return [line for line in grbl.write(toolpath, CO2).decode("ascii").splitlines() if line[0] != ";"]


def test_a_square_is_travelled_to_and_cut_with_dynamic_power() -> None:
    toolpath = a_toolpath(a_cut(square(10, 20, 30)))

    assert code(toolpath) == [
        "G21 G90 G94 G54",
        "M4 S0",
        "G0 X10 Y20",
        "G1 X40 S700 F1200",
        "G1 Y50",
        "G1 X10",
        "G1 Y20",
        "M5",
        "M9",
        "G0 X0 Y0",
        "M2",
    ]


def test_the_first_lines_name_the_toolpath_and_say_how_long_it_takes() -> None:
    toolpath = a_toolpath(a_cut(square(10, 20, 30)))

    head = grbl.write(toolpath, CO2).decode("ascii").splitlines()[:3]

    assert head == [f"; etabli toolpath {toolpath.sha256}", ";TIME:7", "; beam seconds = 7"]


def test_air_is_on_for_the_operations_that_ask_for_it() -> None:
    toolpath = a_toolpath(
        a_cut(square(10, 10, 5), settings=settings(air=True)),
        a_cut(square(30, 10, 5), settings=settings(air=True)),
        a_cut(square(50, 10, 5), settings=settings(air=False)),
    )

    air = [line for line in code(toolpath) if line in ("M8", "M9")]

    assert air == ["M8", "M9", "M9"]


def test_each_pass_of_a_line_comes_before_the_next_line() -> None:
    toolpath = a_toolpath(a_cut(square(10, 10, 10), square(40, 10, 10), settings=settings(passes=3)))

    begins = [x0 for x0, *_ in burnt(grbl.write(toolpath, CO2))]

    assert [x < 30 for x in begins] == [True] * 12 + [False] * 12


def test_an_open_line_is_followed_back_in_its_second_pass() -> None:
    line = Contour(points=np.array([(10.0, 10.0), (50.0, 10.0)]), closed=False)

    cuts = list(burnt(grbl.write(a_toolpath(a_cut(line, settings=settings(passes=2))), CO2)))

    assert [(x0, x1) for x0, _, x1, *_ in cuts] == [(10, 50), (50, 10)]


def test_tabs_are_passed_at_the_same_speed_without_power() -> None:
    held = square(10, 10, 30, gaps=((14.0, 16.0), (59.5, 60.5)))

    lines = code(a_toolpath(a_cut(held)))

    assert lines[3:11] == [
        "G1 X24 S700 F1200",
        "G1 X26 S0",
        "G1 X40 S700",
        "G1 Y39.5",
        "G1 Y40 S0",
        "G1 X39.5",
        "G1 X10 S700",
        "G1 Y10",
    ]


@pytest.mark.parametrize("passes", [1, 2])
def test_tabs_stay_where_they_are_in_every_pass(passes: int) -> None:
    line = Contour(points=np.array([(0.0, 0.0), (100.0, 0.0)]), closed=False, gaps=((20.0, 25.0),))

    cuts = list(burnt(grbl.write(a_toolpath(a_cut(line, settings=settings(passes=passes))), CO2)))

    assert {tuple(sorted((x0, x1))) for x0, _, x1, *_ in cuts} == {(0, 20), (25, 100)}
    assert len(cuts) == 2 * passes


def test_engraving_goes_there_and_back_and_is_at_full_speed_where_it_burns() -> None:
    area = an_engraving(a_scan(50.1, (100, 120, 1.0)), a_scan(50.3, (100, 110, 1.0), (110, 115, 0.5)))

    lines = code(a_toolpath(area))

    assert overscan_mm(area.settings, CO2) == 15.0  # 300^2 / (2 * 3000)
    assert lines[2:-4] == [
        "G0 X85 Y50.1",
        "G1 X100 F18000",
        "G1 X120 S300",
        "G1 X135 S0",
        "G0 X130 Y50.3",
        "G1 X115",
        "G1 X110 S150",
        "G1 X100 S300",
        "G1 X85 S0",
    ]


def test_overscan_ends_at_the_edge_of_the_bed() -> None:
    area = an_engraving(a_scan(50.1, (2, 598, 1.0)))

    assert "G0 Y50.1" in code(a_toolpath(area))
    assert "G1 X600 S0" in code(a_toolpath(area))


def test_a_wide_blank_in_a_line_is_travelled_over() -> None:
    reach = 15.0
    near = an_engraving(a_scan(50.1, (50, 60, 1.0), (60 + 2 * reach + SKIP_MM - 1, 200, 1.0)))
    far = an_engraving(a_scan(50.1, (50, 60, 1.0), (60 + 2 * reach + SKIP_MM + 1, 200, 1.0)))

    travels = [sum(line.startswith("G0") for line in code(a_toolpath(area))) for area in (near, far)]

    assert travels == [2, 3]  # the way home among them


@pytest.mark.parametrize(
    "contour",
    [
        square(-1, 10, 20),
        square(590, 10, 20),
        square(10, 390, 20),
        Contour(points=np.array([(1.0, 1.0), (float("nan"), 5.0)]), closed=False),
        Contour(points=np.array([(1.0, 1.0), (5.0, float("inf"))]), closed=False),
    ],
)
def test_what_is_not_on_the_bed_is_refused(contour: Contour) -> None:
    with pytest.raises(FileRefused) as told:
        grbl.write(a_toolpath(a_cut(contour)), CO2)

    assert told.value.code == "laser.outside"


@pytest.mark.parametrize(
    "changes",
    [
        {"speed_mm_s": 0.0},
        {"speed_mm_s": float("nan")},
        {"power_permille": 1001},
        {"power_permille": -1},
        {"passes": 0},
        {"passes": 1000},
    ],
)
def test_a_setting_that_no_beam_can_work_with_is_refused(changes: dict[str, float]) -> None:
    with pytest.raises(FileRefused) as told:
        grbl.write(a_toolpath(a_cut(square(10, 10, 10), settings=settings(**changes))), CO2)

    assert told.value.code == "laser.setting"


def test_an_engraving_outside_the_bed_is_refused() -> None:
    with pytest.raises(FileRefused):
        grbl.write(a_toolpath(an_engraving(a_scan(50.1, (590, 610, 1.0)))), CO2)


def test_the_same_toolpath_gives_the_same_bytes() -> None:
    first, second = (a_toolpath(a_cut(square(10, 10, 10))) for _ in range(2))

    assert grbl.write(first, CO2) == grbl.write(second, CO2)


def test_a_beam_without_power_burns_nothing() -> None:
    toolpath = a_toolpath(a_cut(square(10, 10, 10), settings=settings(power_permille=0)))

    assert not list(burnt(grbl.write(toolpath, CO2)))
    assert not moves(toolpath, CO2).on.any()


places = st.tuples(st.floats(0, 400), st.floats(0, 400))
lines = st.lists(places, min_size=2, max_size=12)
spans = st.lists(st.floats(0, 400), min_size=2, max_size=8, unique=True)


@given(
    outlines=st.lists(lines, max_size=4),
    closed=st.booleans(),
    gap=st.tuples(st.floats(0, 200), st.floats(0, 200)),
    scans=st.lists(spans, max_size=4),
    power=st.integers(0, 1000),
    speed=st.floats(0.1, 900),
    passes=st.integers(1, 3),
)
def test_every_file_of_ours_passes_the_check_and_burns_what_was_asked(
    outlines: list[list[tuple[float, float]]],
    closed: bool,
    gap: tuple[float, float],
    scans: list[list[float]],
    power: int,
    speed: float,
    passes: int,
) -> None:
    chosen = settings(power_permille=power, speed_mm_s=speed, passes=passes, air=closed)
    contours = [
        Contour(points=np.array(o), closed=closed, gaps=(gap,) if gap[0] < gap[1] else ()) for o in outlines
    ]
    areas = [
        a_scan(7.1 * row + 0.05, *((x0, x1, 1.0) for x0, x1 in zip(xs[::2], xs[1::2], strict=False)))
        for row, xs in enumerate(sorted(scan) for scan in scans)
    ]
    toolpath = a_toolpath(an_engraving(*areas, settings=chosen), a_cut(*contours, settings=chosen))

    file = grbl.write(toolpath, DIODE)

    assert lasercheck.check(file, DIODE) == ()
    asked = sum(_length(contour) for contour in contours) + sum(
        float((area.spans[:, 1] - area.spans[:, 0]).sum()) for area in areas
    )
    done = sum(hypot(x1 - x0, y1 - y0) for x0, y0, x1, y1, *_ in burnt(file))
    assert done == pytest.approx(asked * passes if power else 0.0, abs=0.2, rel=1e-3)
    assert not re.search(rb"M0?3\b", file)


def _length(contour: Contour) -> float:
    points = np.vstack((contour.points, contour.points[:1])) if contour.closed else contour.points
    whole = float(np.hypot(*np.diff(points, axis=0).T).sum())
    return whole - sum(max(0.0, min(end, whole) - min(begin, whole)) for begin, end in contour.gaps)


def test_curves_keep_their_length() -> None:
    disc = Contour(points=circle_points(100, 100, 40, 500), closed=True)

    cuts = burnt(grbl.write(a_toolpath(a_cut(disc)), replace(CO2, power_max=255)))
    lengths = [(hypot(x1 - x0, y1 - y0), power) for x0, y0, x1, y1, power, _ in cuts]

    assert sum(length for length, _ in lengths) == pytest.approx(251.33, rel=1e-4)
    assert {power for _, power in lengths} == {178}  # 700 of 1000 on a machine whose full power is 255


# --- what a cut cable leaves in the buffer ----------------------------------------------------------


def test_no_burning_move_is_longer_than_what_a_cut_cable_may_leave_burning() -> None:
    machine = replace(CO2, burn_seconds_max=0.1)
    path = a_toolpath(a_cut(square(10, 10, 100)))

    pieces, whole = moves(path, machine), moves(path, CO2)

    burning = pieces.lengths_mm[pieces.on] / pieces.feed[pieces.on]
    assert burning.max() <= 0.1 + 1e-6
    assert pieces.lengths_mm[pieces.on].sum() == pytest.approx(whole.lengths_mm[whole.on].sum(), abs=0.05)
    assert set(zip(whole.x, whole.y, strict=True)) <= set(zip(pieces.x, pieces.y, strict=True))
    assert planner.seconds(pieces, machine).sum() == pytest.approx(
        planner.seconds(whole, CO2).sum(), rel=0.005
    )
