"""Geometry of the plane for cutting: the one door to shapely here, with types. Arrays of points in mm, nothing else.

Polylines are arrays (n, 2); a ring does not repeat its first point.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import shapely  # type: ignore[import-untyped]
from numpy.typing import NDArray

from slicing.vector.design import FloatArray

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

PART_MM, PARTS_MAX = 10.0, 200_000
MENDED_SHARE = 0.01


class Boxes:
    """Many boxes (n, 4) of low x, low y, high x, high y, ready to be asked which of them another touches."""

    def __init__(self, boxes: FloatArray) -> None:
        self._tree = shapely.STRtree(shapely.box(*boxes.T))

    def meeting(self, others: FloatArray) -> tuple[IntArray, IntArray]:
        """Pairs (other, box) that touch."""
        found = self._tree.query(shapely.box(*others.T))
        return found[0], found[1]


def segments(points: FloatArray, closed: bool) -> FloatArray:
    """(n, 4): x0, y0, x1, y1 of each piece of a polyline."""
    following = np.roll(points, -1, axis=0) if closed else points[1:]
    return np.hstack((points if closed else points[:-1], following))


def lengths(points: FloatArray, closed: bool) -> FloatArray:
    """mm of each piece of a polyline."""
    pieces = segments(points, closed)
    found: FloatArray = np.hypot(pieces[:, 2] - pieces[:, 0], pieces[:, 3] - pieces[:, 1])
    return found


def length(points: FloatArray, closed: bool) -> float:
    return float(lengths(points, closed).sum())


def box_of(points: Sequence[FloatArray]) -> tuple[float, float, float, float]:
    """Low x, low y, high x, high y."""
    low = np.min([p.min(axis=0) for p in points], axis=0)
    high = np.max([p.max(axis=0) for p in points], axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def signed_area(ring: FloatArray) -> float:
    x, y = (ring - ring[0]).T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def polygons(rings: Sequence[FloatArray]) -> NDArray[Any]:
    """One polygon a ring, as drawn: crossing ones are not mended."""
    made = [shapely.linearrings(ring) if len(ring) >= 3 else None for ring in rings]
    found: NDArray[Any] = shapely.polygons(np.array(made, dtype=object))
    return found


def valid(shapes: NDArray[Any]) -> BoolArray:
    found: BoolArray = shapely.is_valid(shapes)
    return found


def mended(shapes: NDArray[Any]) -> NDArray[Any]:
    """The polygons, those that cross or touch themselves freed from that, if they stay in one and lose no area."""
    found = shapes.copy()
    wrong = np.flatnonzero(~shapely.is_valid(shapes))
    for n, shape in zip(wrong, shapely.make_valid(shapes[wrong], method="structure"), strict=True):
        whole = max(shapely.get_parts(shape), key=shapely.area, default=None)
        area = shapely.area(shapes[n])
        if whole is not None and abs(shapely.area(whole) - area) <= MENDED_SHARE * area:
            found[n] = shapely.polygons(shapely.get_exterior_ring(whole))
    return found


def areas(shapes: NDArray[Any]) -> FloatArray:
    found: FloatArray = shapely.area(shapes)
    return found


def inner_points(shapes: NDArray[Any], otherwise: FloatArray) -> FloatArray:
    """A point of each that surely lies inside; where there is none, the one given."""
    made = shapely.point_on_surface(shapes)
    there = ~(shapely.is_empty(made) | shapely.is_missing(made))
    found = otherwise.copy()
    found[there] = shapely.get_coordinates(made[there])
    return found


class Rooms:
    """Many polygons, ready to be asked which of them a point lies in."""

    def __init__(self, shapes: NDArray[Any]) -> None:
        shapely.prepare(shapes)
        self._tree = shapely.STRtree(shapes)

    def around(self, points: FloatArray) -> tuple[IntArray, IntArray]:
        """Pairs (point, polygon) where the point lies inside the polygon."""
        found = self._tree.query(shapely.points(points), predicate="within")
        return found[0], found[1]


def points_near(points: FloatArray, within_mm: float) -> tuple[IntArray, IntArray]:
    """Pairs (i < j) of points at most so far from each other."""
    made = shapely.points(points)
    found = shapely.STRtree(made).query(made, predicate="dwithin", distance=within_mm)
    once = found[0] < found[1]
    return found[0][once], found[1][once]


def points_near_lines(points: FloatArray, pieces: FloatArray, within_mm: float) -> tuple[IntArray, IntArray]:
    """Pairs (point, piece) at most so far from each other; pieces are (n, 4)."""
    lines, owner = _shortened(pieces)
    tree = shapely.STRtree(shapely.linestrings(lines.reshape(-1, 2, 2)))
    found = tree.query(shapely.points(points), predicate="dwithin", distance=within_mm)
    return found[0], owner[found[1]]


def _shortened(pieces: FloatArray) -> tuple[FloatArray, IntArray]:
    """Long pieces divided, and which each part is of: the box of a long slanting line holds half of the drawing."""
    long = np.hypot(pieces[:, 2] - pieces[:, 0], pieces[:, 3] - pieces[:, 1])
    count = np.maximum(1, np.ceil(long / max(PART_MM, float(long.sum()) / PARTS_MAX))).astype(np.int64)
    owner = np.repeat(np.arange(len(pieces)), count)
    number = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    way = (pieces[owner, 2:] - pieces[owner, :2]) / count[owner, None]
    begin = pieces[owner, :2] + number[:, None] * way
    return np.hstack((begin, begin + way)), owner


def offset(shapes: NDArray[Any], by_mm: FloatArray, mitre: float = 2.0) -> list[list[FloatArray]]:
    """The rings of each polygon grown (or shrunk, where negative) by so much, corners kept up to the mitre limit;
    none where nothing is left.
    """
    grown = shapely.buffer(shapes, by_mm, join_style="mitre", mitre_limit=mitre)
    return [rings(shape) for shape in grown]


def rings(shape: Any) -> list[FloatArray]:
    """Outlines and holes of a (multi)polygon."""
    lines = shapely.get_rings(shapely.get_parts(shape))
    return [shapely.get_coordinates(line)[:-1] for line in lines if shapely.get_num_points(line) > 3]


def with_holes(outline: FloatArray, holes: Sequence[FloatArray]) -> Any:
    inner = [shapely.linearrings(hole) for hole in holes if len(hole) >= 3]
    return shapely.polygons(shapely.linearrings(outline), holes=inner or None)


def thin_places(shapes: Sequence[Any], width_mm: float, area_mm2: float) -> FloatArray:
    """A point (n, 2) in each place of the polygons narrower than so much, if it is of some extent; worst first."""
    whole = np.array(shapes, dtype=object)
    whole = mended(whole)
    whole = whole[shapely.is_valid(whole)]  # what crosses itself has no inside to be thin
    kept = shapely.buffer(whole, -width_mm / 2, join_style="mitre", mitre_limit=5.0)
    # Grown a hair more than it was shrunk, or rounding leaves slivers along every edge.
    opened = shapely.buffer(kept, width_mm / 2 * 1.05, join_style="mitre", mitre_limit=5.0)
    lost = shapely.get_parts(shapely.difference(whole, opened))
    lost = lost[shapely.area(lost) > area_mm2]
    order = np.argsort(-shapely.area(lost), kind="stable")
    found: FloatArray = shapely.get_coordinates(shapely.point_on_surface(lost[order])).reshape(-1, 2)
    return found
