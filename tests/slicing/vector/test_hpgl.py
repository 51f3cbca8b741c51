"""HPGL for vinyl cutters: read back here command by command, and by Debian's hp2xx, which knows nothing of us."""

from __future__ import annotations

import re
import shutil
import subprocess
from itertools import pairwise
from math import cos, pi, sin, tau
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely import LineString  # type: ignore[import-untyped]

from slicing.faults import FileRefused
from slicing.vector import hpgl
from slicing.vector.design import FloatArray
from slicing.vector.machines import CUTTERS, CutMachine
from slicing.vector.toolpath import CUT, ENGRAVE, IGNORE, SCORE, Contour, Operation, Scan, Settings, Toolpath
from tests.services import missing

VINYL = CUTTERS["vinyl-600-hpgl"]
PEN = CutMachine(name="pen", bed_mm=(600.0, 2000.0), language="hpgl", source="knife", blade_offset_mm=0.0)
HP2XX_PER_MM = 72 / 25.4


def a_contour(
    *points: tuple[float, float], closed: bool = False, gaps: tuple[tuple[float, float], ...] = ()
) -> Contour:
    return Contour(points=np.array(points, dtype=np.float64), closed=closed, gaps=gaps)


def a_circle(radius: float, x: float = 100.0, y: float = 100.0) -> Contour:
    angles = np.linspace(0, tau, 257)[:-1]
    return Contour(
        points=np.column_stack([x + radius * np.cos(angles), y + radius * np.sin(angles)]), closed=True
    )


def a_toolpath(*contours: Contour, kind: str = CUT, speed: float = 200.0, passes: int = 1) -> Toolpath:
    operation = Operation(
        kind=kind,
        key="stroke:#ff0000",
        settings=Settings(speed_mm_s=speed, power_permille=0, passes=passes),
        contours=contours,
    )
    return Toolpath(machine=VINYL.name, material="vinyl", operations=(operation,))


SQUARE = a_contour((10, 10), (60, 10), (60, 40), (10, 40), closed=True)


def strokes(data: bytes) -> list[FloatArray]:
    """What is drawn with the knife down, in mm, one array each time it is set down."""
    drawn: list[list[list[float]]] = []
    for command in data.decode("ascii").split(";"):
        pairs = [
            [int(n) / hpgl.UNITS_PER_MM for n in pair] for pair in re.findall(r"(-?\d+),(-?\d+)", command)
        ]
        if command.startswith("PU"):
            drawn.append(pairs)
        elif command.startswith("PD"):
            drawn[-1] += pairs
    return [np.array(points) for points in drawn if len(points) > 1]


def length(points: FloatArray) -> float:
    return float(np.hypot(*np.diff(points, axis=0).T).sum())


def test_a_file_begins_and_ends_as_cutters_want_it() -> None:
    data = hpgl.write(a_toolpath(a_contour((1, 2), (3, 4))), PEN)

    assert data == b"IN;PA;SP1;VS20;PU40,80;PD120,160;PU0,0;SP0;"


@pytest.mark.parametrize(
    ("mm_s", "command"), [(0.1, b"VS1;"), (200, b"VS20;"), (95, b"VS10;"), (9999, b"VS80;")]
)
def test_the_speed_is_in_whole_centimetres_a_second(mm_s: float, command: bytes) -> None:
    assert command in hpgl.write(a_toolpath(SQUARE, speed=mm_s), PEN)


def test_long_lines_come_in_commands_that_a_cutter_can_hold() -> None:
    data = hpgl.write(a_toolpath(a_circle(90)), VINYL)

    assert max(command.count(",") for command in data.decode().split(";")) <= 2 * hpgl.PAIRS_MAX
    assert len(strokes(data)) == 1


def test_passes_cut_again_and_what_is_ignored_is_not_cut() -> None:
    assert len(strokes(hpgl.write(a_toolpath(SQUARE, passes=3), PEN))) == 3
    assert strokes(hpgl.write(a_toolpath(SQUARE, kind=IGNORE), PEN)) == []
    assert len(strokes(hpgl.write(a_toolpath(SQUARE, kind=SCORE), PEN))) == 1


def test_a_closed_line_is_cut_past_its_beginning_and_an_open_one_is_not() -> None:
    (closed,) = strokes(hpgl.write(a_toolpath(SQUARE), PEN))
    (open_,) = strokes(hpgl.write(a_toolpath(a_contour((0, 0), (50, 0), (50, 30))), PEN))

    assert length(closed) == pytest.approx(160 + hpgl.OVERCUT_MM)
    assert closed[-1] == pytest.approx([11, 10])
    assert length(open_) == pytest.approx(80)


def test_tabs_are_left_standing() -> None:
    tabbed = a_contour((0, 0), (50, 0), (50, 50), (0, 50), closed=True, gaps=((20, 25), (95, 105)))

    pieces = strokes(hpgl.write(a_toolpath(tabbed), PEN))

    assert [length(piece) for piece in pieces] == pytest.approx([20, 70, 95])
    assert sum(map(length, pieces)) == pytest.approx(200 - 5 - 10)


def test_the_weed_box_goes_around_everything_inside_the_bed() -> None:
    box = strokes(hpgl.write(a_toolpath(SQUARE), PEN, weed_box=True))[-1]
    near_edge = strokes(hpgl.write(a_toolpath(a_contour((1, 1), (599, 1))), PEN, weed_box=True))[-1]

    assert (box.min(axis=0).tolist(), box.max(axis=0).tolist()) == ([5, 5], [65, 45])
    assert (near_edge.min(axis=0).tolist(), near_edge.max(axis=0).tolist()) == ([0, 0], [600, 6])


def dragged(pivot: FloatArray, offset: float, heading: float = 0.0) -> FloatArray:
    """Where the tip of a trailing blade goes when its pivot goes along `pivot`: a tractrix, in small steps."""
    tip = pivot[0] - offset * np.array([cos(heading), sin(heading)])
    places = [tip]
    for begin, end in pairwise(pivot):
        steps = max(1, int(np.hypot(*(end - begin)) / 0.002))
        for step in range(1, steps + 1):
            at = begin + (end - begin) * step / steps
            pull = at - tip
            tip = at - offset * pull / np.hypot(*pull)
            places.append(tip)
    return np.array(places)


@pytest.mark.parametrize("contour", [SQUARE, a_circle(8), a_contour((10, 10), (40, 10), (15, 30), (15, 12))])
def test_the_blades_tip_goes_where_the_drawing_does(contour: Contour) -> None:
    (pivot,) = strokes(hpgl.write(a_toolpath(contour), VINYL, overcut_mm=0))
    ring = np.vstack([contour.points, contour.points[:1]]) if contour.closed else contour.points

    tip = dragged(pivot, VINYL.blade_offset_mm)

    drawn = LineString(ring)
    assert LineString(tip).hausdorff_distance(drawn) < 0.06
    assert tip[-1] == pytest.approx(ring[-1], abs=0.06)


def test_without_the_offset_made_good_the_tip_would_cut_the_corners() -> None:
    tip = dragged(np.vstack([SQUARE.points, SQUARE.points[:1]]), VINYL.blade_offset_mm)

    assert LineString(tip).hausdorff_distance(LineString(SQUARE.points[[0, 1, 2, 3, 0]])) > 0.2


@given(st.lists(st.tuples(st.floats(1, 500), st.floats(1, 500)), min_size=2, max_size=30), st.booleans())
def test_no_point_is_further_off_than_the_grid_of_the_machine(
    points: list[tuple[float, float]], closed: bool
) -> None:
    contour = a_contour(*points, closed=closed and len(points) > 2)
    ring = np.vstack([contour.points, contour.points[:1]]) if contour.closed else contour.points

    for stroke in strokes(hpgl.write(a_toolpath(contour), PEN, overcut_mm=0)):
        assert LineString(stroke).hausdorff_distance(LineString(ring)) < 0.03


def refusal(toolpath: Toolpath) -> str:
    with pytest.raises(FileRefused) as caught:
        hpgl.write(toolpath, VINYL)
    return caught.value.code


def test_areas_and_what_lies_beyond_the_bed_are_refused() -> None:
    scan = Scan(y=1.0, spans=np.array([[0.0, 5.0, 1.0]]))
    settings = Settings(speed_mm_s=100, power_permille=0)
    engraved = Operation(kind=ENGRAVE, key="fill:#000000", settings=settings, scans=(scan,))

    assert refusal(Toolpath(machine=VINYL.name, material="vinyl", operations=(engraved,))) == "hpgl.engraving"
    assert refusal(a_toolpath(a_contour((0, 0), (601, 0)))) == "hpgl.too_far"
    assert refusal(a_toolpath(a_contour((-1, 0), (60, 0)))) == "hpgl.too_far"


def test_an_empty_toolpath_cuts_nothing() -> None:
    assert hpgl.write(Toolpath(machine="", material="", operations=()), VINYL) == b"IN;PA;SP1;PU0,0;SP0;"


# --- the judge ------------------------------------------------------------------------------------


def read_by_hp2xx(data: bytes, directory: Path) -> list[FloatArray]:
    program = shutil.which("hp2xx")
    if program is None:
        missing("hp2xx is not installed")
    (directory / "in.plt").write_bytes(data)
    command = [program, "-q", "-t", "-m", "svg", "-f", "out.svg", "in.plt"]
    subprocess.run(
        command, cwd=directory, check=True, timeout=30, stdin=subprocess.DEVNULL, capture_output=True
    )
    paths = re.findall(r'<path d="([^"]*)"', (directory / "out.svg").read_text())
    numbers = (re.findall(r"(-?[\d.]+), (-?[\d.]+)", path) for path in paths)
    return joined([np.array(pairs, dtype=np.float64) / HP2XX_PER_MM for pairs in numbers])


def joined(paths: list[FloatArray]) -> list[FloatArray]:
    """hp2xx breaks a long line into paths of some twelve points, each beginning where the last one ended."""
    lines = paths[:1]
    for path in paths[1:]:
        if np.array_equal(path[0], lines[-1][-1]):
            lines[-1] = np.vstack([lines[-1], path[1:]])
        else:
            lines.append(path)
    return lines


@pytest.mark.peers
def test_hp2xx_reads_back_every_contour(tmp_path: Path) -> None:
    star = [(300 + r * cos(i * pi / 5), 300 + r * sin(i * pi / 5)) for i, r in enumerate([90, 35] * 5)]
    contours = [
        SQUARE,
        a_circle(1),
        a_circle(40, 400, 900),
        a_contour(*star, closed=True),
        a_contour((5, 5), (9, 8)),
    ]

    read = read_by_hp2xx(hpgl.write(a_toolpath(*contours), PEN, overcut_mm=0), tmp_path)

    rings = [np.vstack([c.points, c.points[:1]]) if c.closed else c.points for c in contours]
    low = np.vstack(rings).min(axis=0)
    read_low, read_high = np.vstack(read).min(axis=0), np.vstack(read).max(axis=0)
    assert len(read) == len(rings)
    for seen, ring in zip(read, rings, strict=True):
        assert length(seen) == pytest.approx(length(ring), abs=0.1)
        up = np.column_stack([seen[:, 0] - read_low[0], read_high[1] - seen[:, 1]])
        assert up.min(axis=0) == pytest.approx(ring.min(axis=0) - low, abs=0.1)
        assert up.max(axis=0) == pytest.approx(ring.max(axis=0) - low, abs=0.1)


@pytest.mark.peers
def test_hp2xx_reads_what_is_cut_with_a_blade_as_well(tmp_path: Path) -> None:
    data = hpgl.write(a_toolpath(SQUARE, a_circle(20)), VINYL, weed_box=True)

    read = read_by_hp2xx(data, tmp_path)

    assert [length(stroke) for stroke in read] == pytest.approx(
        [length(stroke) for stroke in strokes(data)], abs=0.1
    )
