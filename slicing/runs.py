"""Where straight lines run through a part, with exact ends: how thick a wall is does not depend on any pixel.

Lines lie in the planes of a cut, all parallel to x or all to y, a step apart. Pure numpy; knows millimetres only.
Also the one way this package joins things that touch into groups: `joined`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slicing.raster import F64, I64, Grid, Segments

CLOSED_MM = 0.1  # the slicer closes slits narrower than this: a wall goes on behind them


@dataclass(frozen=True, kw_only=True)
class Runs:
    """Stretches of line inside the solid, by line and then along it. Lengths in mm.

    `layer` is the plane and `across` the line's own coordinate; from `start` to `end` the line is inside. `lean` is
    the cosine between line and surface normal, the mean of both ends; `parallel` says that both ends face each other.
    """

    layer: I64
    across: F64
    start: F64
    end: F64
    lean: F64
    parallel: NDArray[np.bool_]

    @property
    def thickness(self) -> F64:
        """Of the wall that each run crosses, where `parallel`."""
        return (self.end - self.start) * self.lean


def along_x(segments: Segments, grid: Grid, step: float) -> Runs:
    """Runs along x, one line every `step` mm of y. Lines on which an open mesh does not close are left out."""
    return _runs(segments.layer, segments.ax, segments.ay, segments.bx, segments.by, grid.y0, step)


def along_y(segments: Segments, grid: Grid, step: float) -> Runs:
    """Runs along y, one line every `step` mm of x."""
    return _runs(segments.layer, segments.ay, segments.ax, segments.by, segments.bx, grid.x0, step)


def _runs(layer: I64, ax: F64, ay: F64, bx: F64, by: F64, y0: float, step: float) -> Runs:
    low, high = np.minimum(ay, by), np.maximum(ay, by)
    first = np.ceil((low - y0) / step).astype(np.int64)
    count = np.ceil((high - y0) / step).astype(np.int64) - first
    which = np.repeat(np.arange(len(count)), count)
    row = np.arange(len(which)) + np.repeat(first - (np.cumsum(count) - count), count)
    dx, dy = bx - ax, by - ay
    length = np.hypot(dx, dy)
    slope = np.divide(dx, dy, out=np.zeros_like(dx), where=dy != 0)
    at = ax[which] + (y0 + row * step - ay[which]) * slope[which]
    rows = int(row.max(initial=0)) + 1
    line = layer[which] * rows + row
    sign = np.where(dy > 0, 1, -1)[which]
    closed = np.bincount(line, weights=sign, minlength=1) == 0
    keep = np.flatnonzero(closed[line])
    low_at = float(at.min(initial=0.0))
    width = float(at.max(initial=0.0)) - low_at + 1.0
    # One number sorts by line and then along it: a line's crossings lie in a band of their own.
    order = keep[np.argsort(line[keep] * width + (at[keep] - low_at))]
    line, at, sign, which = line[order], at[order], sign[order], which[order]
    winding = np.cumsum(sign)
    enters = np.flatnonzero((winding != 0) & (winding - sign == 0))
    leaves = np.flatnonzero((winding == 0) & (winding - sign != 0))
    gap = at[enters[1:]] - at[leaves[:-1]]
    apart = (gap > CLOSED_MM) | (line[enters[1:]] != line[leaves[:-1]])
    enters = enters[np.concatenate(([True], apart))] if len(enters) else enters
    leaves = leaves[np.concatenate((apart, [True]))] if len(leaves) else leaves
    one, two = which[enters], which[leaves]
    cosine_one, cosine_two = np.abs(dy[one]) / length[one], np.abs(dy[two]) / length[two]
    facing = -(dx[one] * dx[two] + dy[one] * dy[two]) / (length[one] * length[two])
    return Runs(
        layer=line[enters] // rows,
        across=y0 + (line[enters] % rows) * step,
        start=at[enters],
        end=at[leaves],
        lean=(cosine_one + cosine_two) / 2,
        parallel=facing > 0.94,  # within 20 degrees: a wall, not the tip of a wedge
    )


def joined(count: int, one: I64, two: I64) -> I64:
    """Group of each of `count` things, given pairs that belong together: the smallest member's number."""
    label = np.arange(count)
    while len(one):
        lowest = np.minimum(label[one], label[two])
        # Pull down the groups of both, then shorten every chain to its end.
        np.minimum.at(label, label[one], lowest)
        np.minimum.at(label, label[two], lowest)
        while not np.array_equal(label, label[label]):
            label = label[label]
        differ = label[one] != label[two]
        one, two = one[differ], two[differ]
    return label
