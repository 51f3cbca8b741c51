"""Which contour lies in which: what is a part, what is a hole in it, what must be cut first.

Depth 0 lies in nothing, and its outside is thrown away; depth 1 is a hole in a part; depth 2 is a part in a hole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from slicing.vector import plane
from slicing.vector.pieces import Piece
from slicing.vector.plane import IntArray

CHUNK = 512


@dataclass(frozen=True, kw_only=True)
class Nest:
    """For each piece how many contours it lies in, and the number of the smallest of them (-1: none)."""

    depth: IntArray
    parent: IntArray


def nested(pieces: Sequence[Piece]) -> Nest:
    """Of two contours that are alike neither lies in the other; of two that cross the smaller may lie in the larger."""
    depth, parent = np.zeros(len(pieces), np.int64), np.full(len(pieces), -1, np.int64)
    outlines = [(n, piece.outline) for n, piece in enumerate(pieces)]
    bounding = [(n, ring) for n, ring in outlines if ring is not None and len(ring) >= 3]
    if not bounding:
        return Nest(depth=depth, parent=parent)
    owner = np.array([n for n, _ in bounding])
    shapes = plane.polygons([ring for _, ring in bounding])
    area = np.zeros(len(pieces))
    area[owner] = plane.areas(shapes)
    points = np.array([piece.points[0] + (piece.points[1] - piece.points[0]) / 2 for piece in pieces])
    points[owner] = plane.inner_points(shapes, points[owner])
    rooms = plane.Rooms(shapes)
    for first in range(0, len(pieces), CHUNK):
        inside, around = rooms.around(points[first : first + CHUNK])
        inside, around = inside + first, owner[around]
        larger = area[around] > area[inside] * (1 + 1e-6)
        inside, around = inside[larger], around[larger]
        np.add.at(depth, inside, 1)
        by_area = np.argsort(-area[around], kind="stable")
        parent[inside[by_area]] = around[by_area]  # the smallest is written last
    return Nest(depth=depth, parent=parent)
