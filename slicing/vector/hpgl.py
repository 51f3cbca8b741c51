"""A Toolpath as HPGL for a vinyl cutter: absolute, 40 units a millimetre, with a drag knife's offset made good.

A drag knife's tip trails behind the pivot that the machine moves. So the pivot runs ahead of every line by the offset,
and turns around each corner on an arc while the tip stands in it. A closed line is cut a little past its beginning,
so that the two ends meet.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import atan2, ceil, cos, pi, radians, sin

import numpy as np
import shapely  # type: ignore[import-untyped]

from slicing.faults import refused
from slicing.vector import strokes
from slicing.vector.design import FloatArray
from slicing.vector.machines import CutMachine
from slicing.vector.toolpath import IGNORE, Contour, Operation, Toolpath

UNITS_PER_MM = 40
OVERCUT_MM = 1.0
WEED_MARGIN_MM = 5.0
PAIRS_MAX = 64
"""In one command: a cutter's buffer is small."""
SWIVEL_STEP = radians(15)
STRAIGHT = radians(3)
"""A corner flatter than this needs no arc: the knife follows by itself."""
THIN_MM = 0.01
"""Points nearer than this to the line between their neighbours are left out: they are less than half a unit."""
_BED_TOLERANCE_MM = 0.05
_SPEED_CM_S = (1, 80)

Point = tuple[float, float]


def write(
    toolpath: Toolpath, machine: CutMachine, *, overcut_mm: float = OVERCUT_MM, weed_box: bool = False
) -> bytes:
    """The whole file. Raises FileRefused: `hpgl.engraving` for areas, `hpgl.too_far` beyond the bed."""
    operations = [operation for operation in toolpath.operations if operation.kind != IGNORE]
    if any(operation.scans for operation in operations):
        raise refused("hpgl.engraving")
    _check_bed(toolpath, machine)
    knife = _Knife(machine.blade_offset_mm, overcut_mm)
    commands = ["IN", "PA", "SP1"]
    for operation in operations:
        commands.append(f"VS{_speed(operation)}")
        for contour in operation.contours:
            for _ in range(max(1, operation.settings.passes)):
                commands += knife.cut(contour)
    if weed_box and operations:
        commands += knife.cut(_weed_box(toolpath, machine))
    commands += ["PU0,0", "SP0"]
    return (";".join(commands) + ";").encode("ascii")


def _check_bed(toolpath: Toolpath, machine: CutMachine) -> None:
    low_x, low_y, high_x, high_y = toolpath.bounds_mm
    width, height = machine.bed_mm
    inside = min(low_x, low_y) >= -_BED_TOLERANCE_MM
    if not (inside and high_x <= width + _BED_TOLERANCE_MM and high_y <= height + _BED_TOLERANCE_MM):
        raise refused("hpgl.too_far", width_mm=width, height_mm=height)


def _speed(operation: Operation) -> int:
    least, most = _SPEED_CM_S
    return min(most, max(least, round(operation.settings.speed_mm_s / 10)))


def _weed_box(toolpath: Toolpath, machine: CutMachine) -> Contour:
    """A frame around all, by which the waste comes off in one piece; inside the bed."""
    low_x, low_y, high_x, high_y = toolpath.bounds_mm
    low = np.maximum([low_x - WEED_MARGIN_MM, low_y - WEED_MARGIN_MM], 0.0)
    high = np.minimum([high_x + WEED_MARGIN_MM, high_y + WEED_MARGIN_MM], machine.bed_mm)
    corners = [(low[0], low[1]), (high[0], low[1]), (high[0], high[1]), (low[0], high[1])]
    return Contour(points=np.array(corners), closed=True)


class _Knife:
    """Remembers which way the blade points: it stays so while it is lifted. It is taken to begin along x."""

    def __init__(self, offset_mm: float, overcut_mm: float) -> None:
        self._offset_mm = offset_mm
        self._overcut_mm = overcut_mm
        self._heading = 0.0

    def cut(self, contour: Contour) -> Iterator[str]:
        for tip in _tips(contour, self._overcut_mm):
            pivot = self._pivot(tip)
            yield f"PU{_pair(pivot[0])}"
            for at in range(1, len(pivot), PAIRS_MAX):
                yield "PD" + ",".join(_pair(point) for point in pivot[at : at + PAIRS_MAX])

    def _pivot(self, tip: FloatArray) -> list[Point]:
        """Where the machine must be so that the tip goes along `tip`."""
        places: list[Point] = [(float(x), float(y)) for x, y in tip]
        if self._offset_mm <= 0:
            return places
        pivot: list[Point] = [self._ahead(places[0])]
        for (x, y), (next_x, next_y) in pairwise(places):
            pivot += self._swivel((x, y), atan2(next_y - y, next_x - x))
            pivot.append(self._ahead((next_x, next_y)))
        return pivot

    def _swivel(self, around: Point, heading: float) -> Iterator[Point]:
        """Turns the blade in place, the shorter way."""
        turn = (heading - self._heading + pi) % (2 * pi) - pi
        begin = self._heading
        if abs(turn) > STRAIGHT:
            steps = ceil(abs(turn) / SWIVEL_STEP)
            for step in range(1, steps + 1):
                self._heading = begin + turn * step / steps
                yield self._ahead(around)
        self._heading = heading

    def _ahead(self, tip: Point) -> Point:
        return (
            tip[0] + self._offset_mm * cos(self._heading),
            tip[1] + self._offset_mm * sin(self._heading),
        )


def _tips(contour: Contour, overcut_mm: float) -> Iterator[FloatArray]:
    """Where the tip is to go without being lifted; a whole closed line is cut a little past its beginning."""
    for line in map(_thinned, strokes.between_tabs(contour)):
        whole = strokes.length_mm(line)
        if whole <= 0:
            continue
        if contour.closed and not contour.gaps and overcut_mm > 0:
            yield np.vstack([line, strokes.stretch(line, 0.0, min(overcut_mm, whole))[1:]])
        else:
            yield line


def _thinned(line: FloatArray) -> FloatArray:
    if len(line) < 3:
        return line
    simple = shapely.simplify(shapely.linestrings(line), THIN_MM, preserve_topology=False)
    thin: FloatArray = shapely.get_coordinates(simple)
    return thin


def _pair(point: Point) -> str:
    return f"{round(point[0] * UNITS_PER_MM)},{round(point[1] * UNITS_PER_MM)}"
