"""Geometry of layers in pure numpy: cutting triangles by planes, filling winding numbers, growing and
shrinking.

Knows arrays and millimetres only; nothing of filament, speed or files. A volume is uint8 of shape (nz, ny,
nx) whose border of three pixels is always empty: that is what lets every shift be one flat slice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]

MARGIN_PIXELS = 3.5


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Where the pixels and the planes are. Lengths in mm; `stride` layers stand behind each plane."""

    x0: float
    y0: float
    z0: float
    dz: float
    px: float
    nx: int
    ny: int
    nz: int
    stride: int
    layers: int

    @property
    def scale(self) -> float:
        """How many real layers one sampled layer stands for."""
        return self.layers / self.nz


@dataclass(frozen=True, kw_only=True)
class Segments:
    """All (triangle, plane) cuts. From (ax, ay) to (bx, by) the solid is on the left."""

    layer: I64
    ax: F64
    ay: F64
    bx: F64
    by: F64


def bounds(triangles: F64) -> tuple[F64, F64]:
    """Lowest and highest corner of the box, in mm."""
    corners = triangles.reshape(-1, 3)
    columns = [corners[:, axis] for axis in range(3)]
    return np.array([column.min() for column in columns]), np.array([column.max() for column in columns])


def cut(triangles: F64, grid: Grid) -> Segments:
    """Cut every triangle by every plane it meets, half-open: a corner on a plane counts once, flat
    triangles never.

    Both triangles at an edge compute its crossing by the same arithmetic, so neighbours' ends are
    bit-identical.
    """
    z = np.ascontiguousarray(triangles[:, :, 2])
    # Column by column: numpy reduces over an axis of length three many times slower.
    z_low = np.minimum(np.minimum(z[:, 0], z[:, 1]), z[:, 2])
    z_high = np.maximum(np.maximum(z[:, 0], z[:, 1]), z[:, 2])
    first = np.clip(np.ceil((z_low - grid.z0) / grid.dz), 0, grid.nz).astype(np.int64)
    last = np.clip(np.ceil((z_high - grid.z0) / grid.dz), 0, grid.nz).astype(np.int64)
    met = np.flatnonzero(last > first)
    triangles, z, first, count = triangles[met], z[met], first[met], (last - first)[met]
    a, b, c, even = _by_height(triangles, z)
    which = np.repeat(np.arange(len(met)), count)
    offset = np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)
    layer = first[which] + offset
    plane = grid.z0 + layer * grid.dz
    px, py = _along(a, c, which, plane)
    upper = plane >= b[which, 2]
    # Row t of the stacked edges is a-b of triangle t, row t + m is b-c: one gather instead of two and a
    # choice.
    start, end = np.concatenate((a, b)), np.concatenate((b, c))
    qx, qy = _along(start, end, which + upper * len(met), plane)
    forward = even[which]
    return Segments(
        layer=layer,
        ax=np.where(forward, px, qx),
        ay=np.where(forward, py, qy),
        bx=np.where(forward, qx, px),
        by=np.where(forward, qy, py),
    )


def _by_height(triangles: F64, z: F64) -> tuple[F64, F64, F64, NDArray[np.bool_]]:
    order = np.argsort(z, axis=1, kind="stable")
    rows = np.arange(len(z))
    code = order[:, 0] * 3 + order[:, 1]
    even = (code == 1) | (code == 5) | (code == 6)
    return triangles[rows, order[:, 0]], triangles[rows, order[:, 1]], triangles[rows, order[:, 2]], even


def _along(start: F64, end: F64, which: I64, plane: F64) -> tuple[F64, F64]:
    rise = end[:, 2] - start[:, 2]
    safe = np.where(rise > 0, rise, 1.0)
    up = plane - start[which, 2]
    slope_x, slope_y = (end[:, 0] - start[:, 0]) / safe, (end[:, 1] - start[:, 1]) / safe
    return start[which, 0] + up * slope_x[which], start[which, 1] + up * slope_y[which]


@dataclass(frozen=True, kw_only=True)
class Outline:
    """Per plane: exact contour length, its L1 and Linf lengths (mm), signed area (mm2)."""

    length: F64
    l1: F64
    linf: F64
    area: F64


def outline(segments: Segments, grid: Grid) -> Outline:
    """Sums over the segments of each plane; the area by the shoelace formula about the grid's corner."""
    dx, dy = segments.bx - segments.ax, segments.by - segments.ay
    wide, tall = np.abs(dx), np.abs(dy)
    cross = (segments.ax - grid.x0) * dy - (segments.ay - grid.y0) * dx

    def per_layer(values: F64) -> F64:
        return np.bincount(segments.layer, weights=values, minlength=grid.nz).astype(np.float64)

    return Outline(
        length=per_layer(np.hypot(dx, dy)),
        l1=per_layer(wide + tall),
        linf=per_layer(np.maximum(wide, tall)),
        area=per_layer(cross) / 2,
    )


@dataclass(frozen=True, kw_only=True)
class Filled:
    """The solid by winding number != 0, and how far the mesh was from being a clean one."""

    solid: U8
    leak_rows: int
    negative: bool
    overlap_share: float


def fill(segments: Segments, grid: Grid) -> Filled:
    """Scan-convert: +-1 where a segment crosses a pixel row, summed along x. Rows that do not close are
    cleared.
    """
    deltas = np.zeros(grid.nz * grid.ny * grid.nx, dtype=np.int8)
    _mark_crossings(segments, grid, deltas)
    rows = deltas.reshape(grid.nz, grid.ny, grid.nx)
    winding = np.add.accumulate(rows, axis=2, dtype=np.int8)
    leaking = winding[:, :, -1] != 0
    leaks = int(np.count_nonzero(leaking))
    if leaks:
        winding[leaking] = 0
    solid = (winding != 0).view(np.uint8)
    low, high = int(winding.min(initial=0)), int(winding.max(initial=0))
    covered = int(np.count_nonzero(solid))
    excess = 0
    if high > 1 or low < -1:
        excess = int(np.abs(winding).sum(dtype=np.int64)) - covered
    return Filled(solid=solid, leak_rows=leaks, negative=low < 0, overlap_share=excess / max(covered, 1))


def _mark_crossings(segments: Segments, grid: Grid, deltas: NDArray[np.int8]) -> None:
    ya, yb = (segments.ay - grid.y0) / grid.px, (segments.by - grid.y0) / grid.px
    low, high = np.minimum(ya, yb), np.maximum(ya, yb)
    first = np.ceil(low).astype(np.int64)
    count = np.ceil(high).astype(np.int64) - first
    met = np.flatnonzero(count > 0)
    if not len(met):
        return
    count, first = count[met], first[met]
    which = np.repeat(np.arange(len(met)), count)
    row = np.repeat(first - (np.cumsum(count) - count), count) + np.arange(len(which))
    xa, xb = (segments.ax[met] - grid.x0) / grid.px, (segments.bx[met] - grid.x0) / grid.px
    ya, yb = ya[met], yb[met]
    slope = (xb - xa) / (yb - ya)
    column = np.ceil((xa - ya * slope)[which] + row * slope[which]).astype(np.int64)
    # Rounding may push a crossing of an almost level segment beyond its ends; the clamp keeps the border
    # empty.
    np.clip(column, 1, grid.nx - 1, out=column)
    at = (segments.layer[met] * grid.ny)[which] + row
    sign = np.where(yb > ya, -1, 1).astype(np.int8)[which]
    np.add.at(deltas, at * grid.nx + column, sign)


def count_per_layer(volume: U8) -> F64:
    """Pixels set per layer; a loop over layers because counting a flat slice is vectorised and counting an
    axis is not.
    """
    flat = volume.reshape(len(volume), -1).view(np.bool_)
    return np.fromiter((np.count_nonzero(layer) for layer in flat), dtype=np.float64, count=len(flat))


def shrink(volume: U8, steps: str) -> U8:
    """Erode by each step in turn: `d` a 4-neighbour diamond, `s` a 3x3 square."""
    return _morph(volume, steps, np.bitwise_and)


def grow(volume: U8, steps: str) -> U8:
    """Dilate by each step in turn. The caller's border must be wide enough to stay empty; it is cleared
    here.
    """
    result = _morph(volume, steps, np.bitwise_or)
    result[:, :1, :] = result[:, -1:, :] = 0
    result[:, :, :1] = result[:, :, -1:] = 0
    return result


def _morph(volume: U8, steps: str, join: Any) -> U8:
    nx = volume.shape[2]
    flat = volume.reshape(-1)
    for step in steps:
        if step == "d":
            flat = _joined(flat, flat, (1, nx), join)
        else:
            wide = _joined(flat, flat, (1,), join)
            flat = _joined(wide, wide, (nx,), join)
    return flat.reshape(volume.shape)


def _joined(flat: U8, moved: U8, shifts: tuple[int, ...], join: Any) -> U8:
    result = flat.copy()
    for shift in shifts:
        join(result[shift:], moved[:-shift], out=result[shift:])
        join(result[:-shift], moved[shift:], out=result[:-shift])
    return result


def opened_2x2(volume: U8) -> U8:
    """Remove whatever a 2x2 square does not fit into."""
    nx = volume.shape[2]
    flat = volume.reshape(-1)
    eroded = flat.copy()
    np.bitwise_and(eroded[:-1], flat[1:], out=eroded[:-1])
    wide = eroded.copy()
    np.bitwise_and(eroded[:-nx], wide[nx:], out=eroded[:-nx])
    result = eroded.copy()
    np.bitwise_or(result[1:], eroded[:-1], out=result[1:])
    wide = result.copy()
    np.bitwise_or(result[nx:], wide[:-nx], out=result[nx:])
    return result.reshape(volume.shape)
