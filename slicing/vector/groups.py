"""A drawing's shapes sorted by how they are painted: the rows where a member says what becomes of them.

At most GROUPS_MAX rows. A drawing with more has the rarest paints in rows `stroke` and `fill` without a colour, which
say `other` in their params, and all its pictures in one: nobody chooses for a hundred colours, and none is lost.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slicing.vector.design import Design, FloatArray, Group, Line, Picture, Shape, group_key

GROUPS_MAX = 64

_Box = tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True)
class Measures:
    """Of each shape: mm of all its lines, box (low x, low y, high x, high y), and whether every line is closed."""

    length_mm: FloatArray  # (n,)
    box_mm: FloatArray  # (n, 4)
    closed: NDArray[np.bool_]  # (n,)


def measures(shapes: Sequence[Shape]) -> Measures:
    """All shapes at once."""
    if not shapes:
        return Measures(length_mm=np.zeros(0), box_mm=np.zeros((0, 4)), closed=np.zeros(0, dtype=bool))
    lines = [line for shape in shapes for line in shape.lines]
    of_line = np.array([len(shape.lines) for shape in shapes])
    first_line = np.cumsum(of_line) - of_line
    lengths = line_lengths(lines)
    sizes = np.array([len(line.points) for line in lines])
    first = np.cumsum(sizes) - sizes
    points = np.concatenate([line.points for line in lines])
    low = np.minimum.reduceat(points, first[first_line])
    high = np.maximum.reduceat(points, first[first_line])
    closed = np.array([line.closed for line in lines])
    return Measures(
        length_mm=np.add.reduceat(lengths, first_line),
        box_mm=np.hstack((low, high)),
        closed=np.logical_and.reduceat(closed, first_line),
    )


def line_lengths(lines: Sequence[Line]) -> FloatArray:
    """mm of each line, its closing side included."""
    if not lines:
        return np.zeros(0)
    sizes = np.array([len(line.points) for line in lines])
    first = np.cumsum(sizes) - sizes
    points = np.concatenate([line.points for line in lines])
    after = np.roll(points, -1, axis=0)
    last = first + sizes - 1
    closed = np.array([line.closed for line in lines])
    after[last] = np.where(closed[:, None], points[first], points[last])
    lengths: FloatArray = np.add.reduceat(np.hypot(*(after - points).T), first)
    return lengths


def length_mm(shapes: Sequence[Shape]) -> float:
    """Of all lines together."""
    return float(measures(shapes).length_mm.sum())


def keys(design: Design) -> tuple[tuple[str, ...], ...]:
    """For each shape the keys of its groups, fill first: the one way to find a shape's row again."""
    wanted = _wanted(design)
    return tuple(
        tuple(_key(paint, colour, shape.layer, wanted) for paint, colour in _paints(shape))
        for shape in design.shapes
    )


def groups(design: Design) -> tuple[Group, ...]:
    """In the order in which the drawing first shows them."""
    measured = measures(design.shapes)
    members: dict[str, list[int]] = defaultdict(list)
    for number, found in enumerate(keys(design)):
        for key in found:
            members[key].append(number)
    rows = [_row(key, numbers, design.shapes, measured) for key, numbers in members.items()]
    layers: dict[str, list[Picture]] = defaultdict(list)
    each = len(rows) + len({picture.layer for picture in design.pictures}) <= GROUPS_MAX
    for picture in design.pictures:
        layers[picture.layer if each else ""].append(picture)
    return (*rows, *(_picture_row(layer, pictures) for layer, pictures in layers.items()))


def _paints(shape: Shape) -> list[tuple[str, str]]:
    both = (("fill", shape.fill), ("stroke", shape.stroke))
    return [(paint, colour) for paint, colour in both if colour]


def _wanted(design: Design) -> frozenset[str]:
    """The keys that have a row of their own: all, or the most frequent where there are too many."""
    count: dict[str, int] = defaultdict(int)
    for shape in design.shapes:
        for paint, colour in _paints(shape):
            count[group_key(paint, colour, shape.layer)] += 1
    most = GROUPS_MAX - bool(design.pictures)
    if len(count) > most:
        kept = sorted(count, key=lambda key: (-count[key], key))[: most - 2]
        return frozenset(kept)
    return frozenset(count)


def _key(paint: str, colour: str, layer: str, wanted: frozenset[str]) -> str:
    key = group_key(paint, colour, layer)
    return key if key in wanted else group_key(paint, "", "")


def _row(key: str, numbers: Sequence[int], shapes: Sequence[Shape], measured: Measures) -> Group:
    chosen = np.array(numbers)
    name, _, layer = key.partition("@")
    paint, _, colour = name.partition(":")
    params: Mapping[str, float] = {} if colour else {"other": 1.0}
    return Group(
        key=key,
        paint=paint,
        colour=colour,
        layer=layer,
        count=len(numbers),
        length_mm=float(measured.length_mm[chosen].sum()),
        closed=bool(measured.closed[chosen].all()),
        from_text=all(shapes[number].from_text for number in numbers),
        box_mm=_around(measured.box_mm[chosen]),
        params=params,
    )


def _picture_row(layer: str, pictures: Sequence[Picture]) -> Group:
    boxes = []
    for picture in pictures:
        rows, columns = picture.grey.shape
        a, b, c, d, e, f = picture.to_page
        corners = np.array([(0, 0), (columns, 0), (0, rows), (columns, rows)]) @ np.array([(a, b), (c, d)])
        boxes.append(np.hstack((corners.min(axis=0), corners.max(axis=0))) + np.array([e, f, e, f]))
    return Group(
        key=group_key("picture", "", layer),
        paint="picture",
        colour="",
        layer=layer,
        count=len(pictures),
        length_mm=0.0,
        closed=True,
        from_text=False,
        box_mm=_around(np.array(boxes)),
    )


def _around(boxes: FloatArray) -> _Box:
    low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])
