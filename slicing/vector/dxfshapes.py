"""The lines of one DXF entity: curves flattened, its own plane turned into the drawing's. Knows no block, no colour.

Arcs are reckoned here, from their own radius, and not through Bézier curves: those miss an arc of 500 mm by 0.1 mm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from math import acos, atan, atan2, ceil, cos, hypot, inf, pi, radians, sin, tau
from typing import Any

import numpy as np

from slicing.vector.design import FloatArray
from slicing.vector.quietdxf import ezdxf

Drawn = tuple[FloatArray, bool]
"""Points (n, 3) and whether they are closed; a closed line does not repeat its first point."""

TURN_MAX = tau / 96
"""Of one chord, however small the circle: its length is then right to 0.02 %."""
_SAME = 1e-9
"""Relative: how near two ends must be for one point."""


REACH = 4e6
"""Of a curve's control points, in tolerances: with 0.005 mm that is 20 m. Flattening a larger one would take for ever,
in C code that nothing interrupts."""


class Overlong(Exception):
    """One entity alone makes more segments than a whole drawing may."""


class Overlarge(Exception):
    """One entity alone is larger than a whole drawing may be, or has a coordinate that is no number."""


def lines_of(entity: Any, tolerance: float, most: int) -> list[Drawn]:
    """All lines of `entity`, within `tolerance` (drawing units) of the true ones and `most` points in all. KeyError for
    a type that has none; whatever ezdxf raises for a damaged one passes."""
    return [
        closed_up(points, closed) for points, closed in _READERS[entity.dxftype()](entity, tolerance, most)
    ]


def is_read(kind: str) -> bool:
    return kind in _READERS


def closed_up(points: FloatArray, closed: bool) -> Drawn:
    """One that ends where it began is closed, whether it says so or not."""
    if len(points) > 2 and np.allclose(points[0], points[-1], rtol=_SAME, atol=_SAME):
        return points[:-1], True
    return points, closed


# --- one reader a type --------------------------------------------------------------------------


def _line(entity: Any, tolerance: float, most: int) -> Iterator[Drawn]:
    yield _points([entity.dxf.start, entity.dxf.end]), False


def _circle(entity: Any, tolerance: float, most: int) -> Iterator[Drawn]:
    yield _round(entity, 0.0, tau, tolerance, most)[:-1], True


def _arc(entity: Any, tolerance: float, most: int) -> Iterator[Drawn]:
    start, end = radians(entity.dxf.start_angle), radians(entity.dxf.end_angle)
    yield _round(entity, start, (end - start) % tau or tau, tolerance, most), False


def _round(entity: Any, start: float, sweep: float, tolerance: float, most: int) -> FloatArray:
    center, radius = entity.dxf.center, abs(entity.dxf.radius)
    angles = start + sweep * _steps(radius, sweep, tolerance, most)
    flat = np.column_stack([center.x + radius * np.cos(angles), center.y + radius * np.sin(angles)])
    return _to_world(entity, flat, center.z)


def _ellipse(entity: Any, tolerance: float, most: int) -> Iterator[Drawn]:
    """In the drawing's own coordinates, by its parameter: no chord is worse than on a circle of the major radius."""
    center, major, minor = (
        _points([v])[0] for v in (entity.dxf.center, entity.dxf.major_axis, entity.minor_axis)
    )
    start, end = float(entity.dxf.start_param), float(entity.dxf.end_param)
    sweep = (end - start) % tau or tau
    angles = (start + sweep * _steps(float(np.linalg.norm(major)), sweep, tolerance, most))[:, None]
    yield center + np.cos(angles) * major + np.sin(angles) * minor, False


def _spline(entity: Any, tolerance: float, most: int) -> Iterator[Drawn]:
    _check_reach(_points(entity.construction_tool().control_points), tolerance)
    # Of small curves the length, too, is to be right: for that chords must be nearer than the tolerance asks.
    yield _points(_at_most(entity.flattening(tolerance / 8, 4), most)), bool(entity.closed)


def _lwpolyline(entity: Any, tolerance: float, most: int) -> Iterator[Drawn]:
    rows = np.array(entity.get_points("xyb"), dtype=np.float64).reshape(-1, 3)
    closed = bool(entity.closed)
    flat = bulged(rows, closed, tolerance, most)
    if len(flat) > 1:
        yield _to_world(entity, flat, float(entity.dxf.elevation)), closed


def _polyline(entity: Any, tolerance: float, most: int) -> Iterator[Drawn]:
    frame = 16  # a spline's control point, kept for editing only
    vertices = [vertex for vertex in entity.vertices if not vertex.dxf.flags & frame]
    closed = bool(entity.is_closed)
    if len(vertices) < 2:
        return
    places = _points(vertex.dxf.location for vertex in vertices)
    if entity.is_3d_polyline:
        yield places, closed
        return
    bulges = np.array([vertex.dxf.bulge for vertex in vertices], dtype=np.float64)
    flat = bulged(np.column_stack([places[:, :2], bulges]), closed, tolerance, most)
    yield _to_world(entity, flat, float(entity.dxf.elevation.z)), closed


def _solid(entity: Any, tolerance: float, most: int) -> Iterator[Drawn]:
    """A filled triangle or quadrilateral; its third and fourth corners are swapped by an old habit of the format."""
    corners = _points([entity.dxf.vtx0, entity.dxf.vtx1, entity.dxf.vtx3, entity.dxf.vtx2])
    yield _to_world(entity, corners[:, :2], float(corners[0, 2])), True


def _hatch(entity: Any, tolerance: float, most: int) -> Iterator[Drawn]:
    for path in ezdxf.path.from_hatch(entity):
        for sub in path.sub_paths():
            _check_reach(_points(sub.control_vertices()), tolerance)
            points = _points(_at_most(sub.flattening(tolerance / 8, 4), most))
            if len(points) > 2:
                yield points, True


_READERS: Mapping[str, Callable[[Any, float, int], Iterator[Drawn]]] = {
    "LINE": _line,
    "CIRCLE": _circle,
    "ARC": _arc,
    "ELLIPSE": _ellipse,
    "SPLINE": _spline,
    "HELIX": _spline,
    "LWPOLYLINE": _lwpolyline,
    "POLYLINE": _polyline,
    "SOLID": _solid,
    "TRACE": _solid,
    "HATCH": _hatch,
    "MPOLYGON": _hatch,
}

FILLED = frozenset({"SOLID", "TRACE", "HATCH", "MPOLYGON"})


# --- arcs -----------------------------------------------------------------------------------------


def bulged(rows: FloatArray, closed: bool, tolerance: float, most: int) -> FloatArray:
    """Points (n, 2) of a polyline whose rows are x, y and the bulge of the segment that begins there: the tangent of a
    quarter of its arc's angle, positive to the left."""
    ends = np.roll(rows, -1, axis=0) if closed else rows[1:]
    pieces: list[FloatArray] = []
    for (x, y, bulge), (end_x, end_y, _) in zip(rows.tolist(), ends.tolist(), strict=False):
        chord = hypot(end_x - x, end_y - y)
        if abs(bulge) < _SAME or chord == 0.0:
            pieces.append(np.array([[x, y]]))
            continue
        sweep = 4 * atan(bulge)
        radius = chord / 2 / abs(sin(sweep / 2))
        away = radius * cos(sweep / 2) * (1 if bulge > 0 else -1)  # from the chord's middle, to its left
        center_x = (x + end_x) / 2 - (end_y - y) / chord * away
        center_y = (y + end_y) / 2 + (end_x - x) / chord * away
        start = atan2(y - center_y, x - center_x)
        angles = start + sweep * _steps(radius, sweep, tolerance, most)[:-1]
        arc = np.column_stack([center_x + radius * np.cos(angles), center_y + radius * np.sin(angles)])
        arc[0] = x, y
        pieces.append(arc)
    if not closed:
        pieces.append(rows[-1:, :2])
    return np.vstack(pieces) if pieces else np.zeros((0, 2))


def _steps(radius: float, sweep: float, tolerance: float, most: int) -> FloatArray:
    """From 0 to 1, so fine that no chord is further than `tolerance` from its arc."""
    turn = min(TURN_MAX, 2 * acos(max(0.0, 1 - tolerance / radius))) if radius > tolerance else pi / 4
    count = abs(sweep) / max(turn, 1e-9)
    if not count < most:
        raise Overlong
    return np.linspace(0.0, 1.0, max(1, ceil(count - 1e-9)) + 1)


# --- inside -----------------------------------------------------------------------------------------


def _points(vectors: Iterable[Any]) -> FloatArray:
    return np.array([(v.x, v.y, v.z) for v in vectors], dtype=np.float64).reshape(-1, 3)


def _check_reach(points: FloatArray, tolerance: float) -> None:
    if not np.isfinite(points).all() or np.ptp(points, axis=0).max(initial=0.0) > REACH * tolerance:
        raise Overlarge


def _at_most(vectors: Iterable[Any], most: int) -> Iterator[Any]:
    for number, vector in enumerate(vectors):
        if number > most:
            raise Overlong
        yield vector


def _to_world(entity: Any, flat: FloatArray, elevation: float) -> FloatArray:
    """From the entity's own plane, by DXF's arbitrary axis rule, to the drawing's coordinates."""
    points = np.column_stack([flat, np.full(len(flat), elevation)])
    ocs = entity.ocs()
    if not ocs.transform:
        return points
    axes = _points([ocs.ux, ocs.uy, ocs.uz])
    turned: FloatArray = points @ axes
    return turned


def size_of(points: FloatArray) -> float:
    """The largest coordinate; infinite where one is no number."""
    largest = float(np.abs(points).max(initial=0.0))
    return largest if np.isfinite(points).all() else inf
