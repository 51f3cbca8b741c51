"""What a clip lets through. A line is never cut at a clip here: it is wholly inside, wholly outside, or told of."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

import numpy as np
import shapely  # type: ignore[import-untyped]
from shapely.geometry.base import BaseGeometry  # type: ignore[import-untyped]

from slicing.faults import FileRefused
from slicing.vector.design import FloatArray, Line
from slicing.vector.pathdata import Outlines
from slicing.vector.svgflat import Matrix, flatten
from slicing.vector.svgshapes import add
from slicing.vector.svgunits import times, transform
from slicing.vector.svgwalk import Clip, Scope, Walk
from slicing.vector.svgxml import Element

_REACH_MM = 1e9  # a clip may reach far beyond the page
_TOUCH_MM = 0.02  # a line on the clip's very edge is inside
_CHILDREN_MAX = 200
_CROSSED_POINTS_MAX = 200  # of an outline that crosses itself: untangling may take the square of it
_POINTS_MAX = 100_000  # of all regions together
_NESTED_MAX = 20  # clips that are clipped themselves
_SHAPES = ("path", "rect", "circle", "ellipse", "line", "polyline", "polygon")


class Passes(Enum):
    WHOLLY = "wholly"
    PARTLY = "partly"  # or nobody knows
    NOT = "not"


class _Region(NamedTuple):
    """What is let through, and what is if the edge counts in, or does not."""

    exact: BaseGeometry
    wide: BaseGeometry
    narrow: BaseGeometry


class Clips:
    """Regions of the clips of one drawing, each made once."""

    def __init__(self, walk: Walk) -> None:
        self._walk = walk
        self._depth = 0
        self._points = 0
        self._regions: dict[Clip, _Region | None] = {}

    def judge(self, clips: Sequence[Clip], lines: Sequence[Line]) -> Passes:
        """What of these lines shows through all of these clips."""
        verdict = Passes.WHOLLY
        points = [line.points for line in lines]
        for clip in clips:
            if clip not in self._regions:
                self._regions[clip] = _prepared(self._region(clip))
            passes = _through(self._regions[clip], points, lines)
            if passes is Passes.NOT:
                return passes
            verdict = passes if passes is Passes.PARTLY else verdict
        return verdict

    def _region(self, clip: Clip) -> BaseGeometry | None:
        """None: nobody knows. An empty region lets nothing through."""
        if clip.box is not None:
            x, y, width, height = clip.box
            corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
            return shapely.Polygon([_at(clip.matrix, corner) for corner in corners])
        element, walk = clip.element, self._walk
        if element is None or element.get("clipPathUnits") == "objectBoundingBox":
            return None
        style, own = walk.cascade.of(element, "clipPath", walk.root_style)
        matrix = _moved(walk, clip.matrix, own.transform or element.get("transform", ""))
        if matrix is None or len(element) > _CHILDREN_MAX:
            return None
        scope = Scope(matrix=matrix, style=style, viewport=walk.root_viewport)
        regions = [self._child(child, scope) for child in element if walk.name(child) not in _SILENT]
        if any(region is None for region in regions):
            return None
        whole = shapely.union_all([region for region in regions if region is not None])
        if own.clip:
            target = walk.referred(own.clip)
            if target is None or self._depth > _NESTED_MAX:
                return None
            self._depth += 1
            other = self._region(Clip(clip.matrix, target))
            return None if other is None else whole.intersection(other)
        return whole

    def _child(self, element: Element, scope: Scope) -> BaseGeometry | None:
        walk = self._walk
        name = walk.name(element)
        style, own = walk.cascade.of(element, name, scope.style)
        if not own.shown or not style.visible:
            return shapely.Polygon()
        matrix = _moved(walk, scope.matrix, own.transform or element.get("transform", ""))
        if matrix is None or own.clip or own.mask:
            return None
        if name == "use":
            target = walk.ids.get(walk.link(element)[1:])
            if target is None or walk.name(target) not in _SHAPES:
                return None
            x, y = walk.measure(element, "x", scope), walk.measure(element, "y", scope)
            return self._child(target, scope._replace(matrix=times(matrix, (1, 0, 0, 1, x, y)), style=style))
        if name not in _SHAPES or self._points > _POINTS_MAX:
            return None
        gathered, walk.outlines = walk.outlines, Outlines()
        try:
            add(walk, element, name, scope._replace(style=style))
            span = (0, len(walk.outlines))
            flat = flatten(walk.outlines, [span], [matrix], points_max=_POINTS_MAX, reach_mm=_REACH_MM)
        except FileRefused:  # nobody knows; what is clipped by it is told
            return None
        finally:
            walk.outlines = gathered
        self._points += sum(len(line.points) for line in flat.lines_of[0])
        return _filled(flat.lines_of[0])


_SILENT = ("title", "desc", "metadata", "")


def _moved(walk: Walk, matrix: Matrix, written: str) -> Matrix | None:
    if not written:
        return matrix
    step = transform(written, walk.dpi)
    return None if step is None else times(matrix, step)


def _at(matrix: Matrix, point: tuple[float, float]) -> tuple[float, float]:
    x, y = point
    return matrix[0] * x + matrix[2] * y + matrix[4], matrix[1] * x + matrix[3] * y + matrix[5]


def _filled(lines: Sequence[Line]) -> BaseGeometry | None:
    """What the lines enclose. Where they overlap it is left out, whatever the rule: rather too little than too much.
    None for what would take too long.
    """
    if len(lines) > _CHILDREN_MAX:
        return None
    region: BaseGeometry = shapely.Polygon()
    for line in lines:
        if len(line.points) < 3:
            continue
        inside = shapely.Polygon(line.points)
        if not inside.is_valid:
            if len(line.points) > _CROSSED_POINTS_MAX:
                return None
            inside = shapely.make_valid(inside)
        region = region.symmetric_difference(inside)
    return region


def _prepared(region: BaseGeometry | None) -> _Region | None:
    if region is None:
        return None
    wide = region.buffer(_TOUCH_MM, quad_segs=2, join_style="mitre")
    narrow = region.buffer(-_TOUCH_MM)
    shapely.prepare(wide)
    shapely.prepare(narrow)
    return _Region(region, wide, narrow)


def _through(region: _Region | None, points: Sequence[FloatArray], lines: Sequence[Line]) -> Passes:
    if region is None:
        return Passes.PARTLY
    if region.exact.is_empty:
        return Passes.NOT
    together = np.vstack(points)
    box = shapely.box(*together.min(axis=0), *together.max(axis=0))
    if region.wide.covers(box):
        return Passes.WHOLLY
    if not region.narrow.intersects(box):
        return Passes.NOT
    drawn = shapely.MultiLineString([_ring(line) for line in lines])
    return Passes.WHOLLY if region.wide.covers(drawn) else Passes.PARTLY


def _ring(line: Line) -> FloatArray:
    return np.vstack((line.points, line.points[:1])) if line.closed else line.points
