"""Where on a part: boxes around pixels that hang together, in mm, the largest first, few enough to be shown.

Knows grids and millimetres; what is wrong there, others know.
"""

from __future__ import annotations

import numpy as np

from slicing import runs
from slicing.raster import F64, I64

Place = tuple[float, ...]
"""A point (x, y, z) or a box (x0, y0, z0, x1, y1, z1), mm."""

CELL_MM = 2.0
PLACES_MAX = 20


def neighbours(cells: I64, wide: I64) -> I64:
    """Group of each cell, of those that touch along a side, an edge or a corner. `cells` is sorted and packed."""
    ones, twos = [], []
    for dx in (0, 1):
        for dy in (-1, 0, 1):
            for dz in (-1, 0, 1):
                shift = (dx * wide[1] + dy) * wide[2] + dz
                if shift <= 0:
                    continue
                at = np.searchsorted(cells, cells + shift).clip(max=len(cells) - 1)
                one = np.flatnonzero(cells[at] == cells + shift)
                ones.append(one)
                twos.append(at[one])
    return runs.joined(len(cells), np.concatenate(ones), np.concatenate(twos))


def box_around(boxes: F64, group: I64, count: int) -> F64:
    """One box (6) around all boxes of each group."""
    result = np.concatenate((np.full((count, 3), np.inf), np.full((count, 3), -np.inf)), axis=1)
    np.minimum.at(result[:, :3], group, boxes[:, :3])
    np.maximum.at(result[:, 3:], group, boxes[:, 3:])
    return result


def listed(boxes: F64) -> tuple[Place, ...]:
    return tuple(rounded(box) for box in boxes[:PLACES_MAX])


def rounded(values: F64) -> Place:
    return tuple(round(float(v), 2) for v in values)


def tidy(value: float) -> float:
    """Two figures are enough for a person."""
    return round(value) if value >= 10 else round(value, 1)
