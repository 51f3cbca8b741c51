"""The way of the beam over time, thin enough for a page to draw: plain JSON.

What is drawn is a likeness: outlines keep their shape within `TOLERANCES_MM`, engraved areas their lines or every
nth of them. The times are the planner's. Knows no page.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from shapely import LineString, get_coordinates, simplify  # type: ignore[import-untyped]

from slicing.vector import planner
from slicing.vector.beam import Moves, moves
from slicing.vector.design import FloatArray
from slicing.vector.machines import CutMachine
from slicing.vector.toolpath import Toolpath

MOVES_MAX = 4000
BLANK_MM = 0.5
"""A shorter blank in an engraving line is not seen on a page."""
TOLERANCES_MM = (0.02, 0.05, 0.1, 0.2, 0.4)
"""How far a corner left out may lie from what is drawn; tried in turn until the page can take it."""


@dataclass(frozen=True, kw_only=True)
class _Stroke:
    """One stretch with the beam on. `points`: x, y, t of its beginning, corners and end."""

    op: int
    scan: bool  # a piece of an engraving line
    line: int  # lines count on; the pieces of an engraving line share its number
    points: FloatArray


def simulation(toolpath: Toolpath, machine: CutMachine, moves_max: int = MOVES_MAX) -> dict[str, Any]:
    """`moves` are [x, y, t, op] in order: where the head is at second t, having come with the beam of operation `op`
    on, or without (-1). Raises FileRefused where the toolpath cannot become moves.
    """
    way = moves(toolpath, machine)
    seconds = planner.seconds(way, machine)
    length = way.lengths_mm
    strokes = list(_strokes(way, np.cumsum(seconds), toolpath))
    end = float(seconds.sum())
    return {
        "bed_mm": list(machine.bed_mm),
        "seconds": round(end, 2),
        "operations": [
            {
                "kind": operation.kind,
                "key": operation.key,
                "seconds": round(float(seconds[way.op == place].sum()), 2),
                "length_mm": round(float(length[(way.op == place) & way.on].sum()), 1),
            }
            for place, operation in enumerate(toolpath.operations)
        ],
        "moves": _rows(_thinned(strokes, moves_max - 2), end),
    }


def _strokes(way: Moves, at: FloatArray, toolpath: Toolpath) -> Iterator[_Stroke]:
    """Each stretch with the beam on; of an engraving line each piece, where the blank before it can be seen."""
    scans = np.array([bool(o.scans) and not o.contours for o in toolpath.operations] + [False], dtype=bool)
    scan = scans[way.op]
    burning: NDArray[np.bool_] = way.on | (scan & ~way.rapid)
    edges = np.flatnonzero(np.diff(burning, prepend=False, append=False))
    for line, (begin, end) in enumerate(edges.reshape(-1, 2).tolist()):
        for low, high in _lit(way, begin, end):
            points = np.stack([_with_before(values, low, high) for values in (way.x, way.y, at)], axis=1)
            yield _Stroke(op=int(way.op[low]), scan=bool(scan[begin]), line=line, points=points)


def _lit(way: Moves, begin: int, end: int) -> list[tuple[int, int]]:
    """Runs of moves with the beam on, those with next to nothing between them as one. Lead-in and lead-out are dark."""
    edges = np.flatnonzero(np.diff(way.on[begin:end], prepend=False, append=False)) + begin
    merged: list[tuple[int, int]] = []
    for low, high in edges.reshape(-1, 2).tolist():
        if merged and abs(way.x[low - 1] - way.x[merged[-1][1] - 1]) < BLANK_MM:
            merged[-1] = merged[-1][0], high
        else:
            merged.append((low, high))
    return merged


def _with_before(values: FloatArray, low: int, high: int) -> FloatArray:
    if low:
        return values[low - 1 : high]
    return np.concatenate(([0.0], values[:high]))


def _thinned(strokes: Sequence[_Stroke], room: int) -> list[_Stroke]:
    """At most `room` points: first fewer corners, then only every nth stroke of an operation, then rougher ones."""
    thin = list(strokes)
    for tolerance in TOLERANCES_MM:
        if _size(thin) <= room:
            return thin
        thin = [_simplified(stroke, tolerance) for stroke in strokes]
    every = thin
    nth = 1.0
    while _size(thin) > room and nth < len(every):
        nth = max(nth * 1.2, nth + 1)
        thin = [stroke for op in sorted({s.op for s in every}) for stroke in _nth(every, op, int(nth))]
    thin.sort(key=lambda stroke: float(stroke.points[0, 2]))
    while _size(thin) > room and any(len(stroke.points) > 2 for stroke in thin):
        thin = [_rougher(stroke) for stroke in thin]
    return thin[: room // 2] if _size(thin) > room else thin


def _size(strokes: Sequence[_Stroke]) -> int:
    return sum(len(stroke.points) for stroke in strokes)


def _nth(strokes: Sequence[_Stroke], op: int, nth: int) -> list[_Stroke]:
    """Every nth line of an operation, whole."""
    mine = [stroke for stroke in strokes if stroke.op == op]
    kept = set(sorted({stroke.line for stroke in mine})[::nth])
    return [stroke for stroke in mine if stroke.line in kept]


def _simplified(stroke: _Stroke, tolerance: float) -> _Stroke:
    """Douglas and Peucker's; the time rides along as height."""
    if stroke.scan:
        return replace(stroke, points=stroke.points[[0, -1]])
    line = simplify(LineString(stroke.points), tolerance, preserve_topology=False)
    points = get_coordinates(line, include_z=True)
    return replace(stroke, points=points if len(points) > 1 else stroke.points[[0, -1]])


def _rougher(stroke: _Stroke) -> _Stroke:
    """Every other corner, and both ends."""
    points = np.vstack((stroke.points[:-1:2], stroke.points[-1:]))
    return replace(stroke, points=points)


def _rows(strokes: Sequence[_Stroke], end: float) -> list[list[float]]:
    rows: list[list[float]] = [[0.0, 0.0, 0.0, -1]]
    for stroke in strokes:
        table = np.round(stroke.points, 3).tolist()
        rows += [[*row, -1 if i == 0 else stroke.op] for i, row in enumerate(table)]
    return [*rows, [0.0, 0.0, round(end, 3), -1]]
