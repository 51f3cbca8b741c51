"""Layers as bits: 64 pixels an operation. Filling by winding number, growing, shrinking, counting.

A volume is uint64 of shape (layers, words, rows): bit b of word w is column 64 w + b, so that a step along y is one
step in memory and a step along x moves bits within words and carries one between neighbours. Three columns and rows
at every border stay empty. Lengths are mm; nothing here knows of filament or speed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Bits = NDArray[np.uint64]

MARGIN = 3.5
WORD = 64
NEGATIVE_SHARE = 0.001
"""Share of the solid wound the wrong way beyond which the exact outline no longer tells its area."""
_ONE = np.uint64(1)


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Where the pixels and the planes are. Lengths in mm; `stride` layers stand behind each plane."""

    x0: float
    y0: float
    z0: float
    dz: float
    px: float
    words: int
    ny: int
    nz: int
    stride: int
    layers: int

    @property
    def scale(self) -> float:
        """How many real layers one sampled layer stands for."""
        return self.layers / self.nz

    @property
    def nx(self) -> int:
        return self.words * WORD


@dataclass(frozen=True, kw_only=True)
class Cuts:
    """All (triangle, plane) cuts: from (ax, ay) to (bx, by), in mm from the grid's corner, solid on the left."""

    layer: I64
    ax: F32
    ay: F32
    bx: F32
    by: F32


def cut(triangles: F64, grid: Grid) -> Cuts:
    """Cut every triangle by every plane it meets, half-open: a corner on a plane counts once, flat triangles never.

    Both triangles at an edge reckon its crossings by the same arithmetic, so neighbours' ends are bit-identical.
    """
    corners = _in_planes(triangles, grid)
    low, high = np.minimum.reduce(corners[2]), np.maximum.reduce(corners[2])
    last = np.ceil(np.minimum(high, grid.nz))
    met = np.flatnonzero(last > np.ceil(np.maximum(low, 0)))
    corners = corners[:, :, met]
    order, even = _by_height(corners[2])
    rows = np.arange(len(met))
    a, b, c = (corners[:, order[i], rows] for i in range(3))
    first = np.ceil(np.maximum(a[2], 0))
    bend = np.clip(np.ceil(b[2]), first, last[met])
    count = (last[met] - first).astype(np.int64)
    which = np.repeat(rows, count)
    start = np.cumsum(count) - count
    step = (np.arange(len(which)) - start[which]).astype(np.float32)
    long = _edge(a, c, first)
    # Edge t of the short ones is a-b of triangle t, edge t + m is b-c: one gather instead of two and a choice.
    short = np.concatenate((_edge(a, b, first), _edge(b, c, bend)))
    lower = (bend - first).astype(np.float32)[which]
    upper = step >= lower
    px, py = _along(long, which, step)
    qx, qy = _along(short, which + upper * len(met), step - upper * lower)
    forward = even[which]
    return Cuts(
        layer=first.astype(np.int64)[which] + step.astype(np.int64),
        ax=np.where(forward, px, qx),
        ay=np.where(forward, py, qy),
        bx=np.where(forward, qx, px),
        by=np.where(forward, qy, py),
    )


def _in_planes(triangles: F64, grid: Grid) -> F64:
    """Coordinates by axis and corner, (3, 3, m): x and y in mm from the grid's corner, z counted in planes."""
    by_axis = np.ascontiguousarray(triangles.transpose(2, 1, 0))
    by_axis[0] -= grid.x0
    by_axis[1] -= grid.y0
    by_axis[2] -= grid.z0
    by_axis[2] *= 1 / grid.dz
    return by_axis


def _by_height(z: F64) -> tuple[I64, NDArray[np.bool_]]:
    """Which corner is lowest, middle, highest, (3, m); and whether that order is a rotation of the triangle's own."""
    # Ties are broken by position, as a stable sort would: the three ranks are then always a permutation.
    ab, bc, ac = z[0] <= z[1], z[1] <= z[2], z[0] <= z[2]
    rank0 = 2 - ab.astype(np.int8) - ac
    rank1 = 1 + ab.astype(np.int8) - bc
    rank2 = bc.astype(np.int8) + ac
    order = np.empty(z.shape, dtype=np.int64)
    columns = np.arange(z.shape[1])
    for corner, rank in enumerate((rank0, rank1, rank2)):
        order[rank, columns] = corner
    return order, (order[1] - order[0]) % 3 == 1


def _edge(start: F64, end: F64, first: F64) -> F32:
    """x and y where the edge meets its first plane, and their step from plane to plane: (m, 4)."""
    rise = end[2] - start[2]
    safe = np.where(rise > 0, rise, 1.0)
    up = first - start[2]
    table = np.empty((len(first), 4), dtype=np.float32)
    for axis in range(2):
        slope = (end[axis] - start[axis]) / safe
        table[:, axis] = start[axis] + up * slope
        table[:, 2 + axis] = slope
    return table


def _along(edges: F32, which: I64, step: F32) -> tuple[F32, F32]:
    rows = edges[which]
    return rows[:, 0] + step * rows[:, 2], rows[:, 1] + step * rows[:, 3]


@dataclass(frozen=True, kw_only=True)
class Outline:
    """Per plane: exact contour length, its L1 and Linf lengths (mm), signed area (mm2)."""

    length: F64
    l1: F64
    linf: F64
    area: F64


def outline(cuts: Cuts, grid: Grid) -> Outline:
    """Sums over the cuts of each plane; the area by the shoelace formula about the grid's corner."""
    dx, dy = cuts.bx - cuts.ax, cuts.by - cuts.ay
    wide, tall = np.abs(dx), np.abs(dy)

    def per_layer(values: F32) -> F64:
        return np.bincount(cuts.layer, weights=values, minlength=grid.nz).astype(np.float64)

    along_x, along_y = per_layer(wide), per_layer(tall)
    largest = per_layer(np.maximum(wide, tall))
    return Outline(
        length=per_layer(np.sqrt(dx * dx + dy * dy)),
        l1=along_x + along_y,
        linf=largest,
        area=per_layer(cuts.ax * dy - cuts.ay * dx) / 2,
    )


@dataclass(frozen=True, kw_only=True)
class Filled:
    """The solid by winding number != 0, and how far the mesh was from being a clean one."""

    solid: Bits
    leak_rows: int
    negative: bool
    overlap_share: float


def fill(cuts: Cuts, grid: Grid) -> Filled:
    """Solid where the winding number is not zero. Rows that do not close are left empty and counted as leaks."""
    keys, bits = _crossings(cuts, grid)
    keys.sort()
    winding = np.cumsum(((keys & 1) << 1) - 1)
    leaks = 0
    if len(keys):
        row = keys >> (bits + 1)
        ends = np.flatnonzero(row[1:] != row[:-1])
        if winding[-1] != 0 or winding[ends].any():
            keys, winding, leaks = _without_leaks(keys, row, ends)
    negative, overlap = False, 0.0
    if winding.min(initial=0) < 0 or winding.max(initial=0) > 1:
        keys, negative, overlap = _entering(keys, winding, bits)
    solid = np.zeros(grid.nz * grid.words * grid.ny, dtype=np.uint64)
    if len(keys):
        _toggle(solid, keys, bits, grid)
    volume = solid.reshape(grid.nz, grid.words, grid.ny)
    _prefix_parity(volume)
    return Filled(solid=volume, leak_rows=leaks, negative=negative, overlap_share=overlap)


def _crossings(cuts: Cuts, grid: Grid) -> tuple[I64, int]:
    """One sortable number per crossing of a pixel row: row of all rows, column, direction; and the column's bits."""
    scale = np.float32(1 / grid.px)
    ya, yb = cuts.ay * scale, cuts.by * scale
    ra, rb = np.ceil(ya), np.ceil(yb)
    met = np.flatnonzero(ra != rb)
    ya, yb, ra, rb = ya[met], yb[met], ra[met], rb[met]
    xa = cuts.ax[met] * scale
    slope = (cuts.bx[met] * scale - xa) / (yb - ya)
    low = np.minimum(ra, rb)
    table = np.empty((len(met), 2), dtype=np.float32)
    table[:, 0] = xa + (low - ya) * slope
    table[:, 1] = slope
    count = np.abs(rb - ra).astype(np.int64)
    bits = int(grid.nx - 1).bit_length()
    base = (cuts.layer[met] * grid.ny + low.astype(np.int64)) << (bits + 1) | (yb < ya)
    which = np.repeat(np.arange(len(met)), count)
    off = np.arange(len(which)) - (np.cumsum(count) - count)[which]
    line = table[which]
    column = np.ceil(line[:, 0] + off.astype(np.float32) * line[:, 1])
    # Rounding may push a crossing of an almost level cut beyond its ends; the clamp keeps the border empty.
    np.clip(column, 1, grid.nx - 2, out=column)
    return base[which] + (off << (bits + 1)) + (column.astype(np.int64) << 1), bits


def _without_leaks(keys: I64, row: I64, ends: I64) -> tuple[I64, I64, int]:
    starts = np.concatenate(([0], ends + 1))
    closing = np.add.reduceat(((keys & 1) << 1) - 1, starts)
    lengths = np.diff(np.append(starts, len(keys)))
    kept = keys[np.repeat(closing == 0, lengths)]
    return kept, np.cumsum(((kept & 1) << 1) - 1), int(np.count_nonzero(closing))


def _entering(keys: I64, winding: I64, bits: int) -> tuple[I64, bool, float]:
    """Only the crossings between empty and not empty; whether bodies are inside out; the share covered more than once.

    Crossings of one pixel come in any order, so a winding counts only where it lasts for a pixel at least.
    """
    inside = winding != 0
    before = np.concatenate(([False], inside[:-1]))
    column = (keys >> 1) & ((1 << bits) - 1)
    run = np.diff(column, append=column[-1:]) * inside
    solid = max(float(run.sum()), 1.0)
    negative = float(run[winding < 0].sum()) / solid
    excess = float((run * (np.abs(winding) - 1)).sum()) / solid
    return keys[inside != before], negative > NEGATIVE_SHARE, excess


def _toggle(solid: Bits, keys: I64, bits: int, grid: Grid) -> None:
    row_of_all, column = keys >> (bits + 1), (keys >> 1) & ((1 << bits) - 1)
    word = row_of_all
    if grid.words > 1:
        layer = row_of_all // grid.ny
        word = row_of_all + (layer * (grid.words - 1) + (column >> 6)) * grid.ny
    np.bitwise_xor.at(solid, word, _ONE << (column & 63).astype(np.uint64))


def _prefix_parity(volume: Bits) -> None:
    """Turn toggles into runs: every bit becomes the parity of all toggles at or before it in its row."""
    for shift in (1, 2, 4, 8, 16, 32):
        volume ^= volume << np.uint64(shift)
    for word in range(1, volume.shape[1]):
        before = volume[:, word - 1] >> np.uint64(63)
        volume[:, word] ^= np.uint64(0) - before


def moved(volume: Bits, dx: int, dy: int) -> Bits:
    """The volume shifted by any number of columns and rows; what comes in is empty."""
    result = volume
    if abs(dx) >= WORD:
        words = dx // WORD if dx > 0 else -(-dx // WORD)
        result, dx = _slid(volume, 1, words), dx - words * WORD
    if dx:
        result = _moved_x(result, dx)
    return _slid(result, 2, dy) if dy else result


def _slid(volume: Bits, axis: int, by: int) -> Bits:
    """Moved by whole words or rows along an axis."""
    result = np.zeros_like(volume)
    size = volume.shape[axis] - abs(by)
    if size > 0:
        there = [slice(None)] * 3
        here = [slice(None)] * 3
        there[axis] = slice(by, None) if by > 0 else slice(None, size)
        here[axis] = slice(None, size) if by > 0 else slice(-by, None)
        result[tuple(there)] = volume[tuple(here)]
    return result


def _moved_x(volume: Bits, dx: int) -> Bits:
    size, rest = np.uint64(abs(dx)), np.uint64(WORD - abs(dx))
    if dx > 0:
        result = volume << size
        result[:, 1:] |= volume[:, :-1] >> rest
    else:
        result = volume >> size
        result[:, :-1] |= volume[:, 1:] << rest
    return result


def shrunk(volume: Bits, step: str) -> Bits:
    """Eroded once: `d` by a 4-neighbour diamond, `s` by a 3x3 square."""
    result = volume & _moved_x(volume, 1)
    result &= _moved_x(volume, -1)
    across = result if step == "s" else volume
    flat, source = result.reshape(-1), across.reshape(-1)
    if step == "s":
        source = source.copy()
    flat[1:] &= source[:-1]
    flat[:-1] &= source[1:]
    return result


def grown(volume: Bits, step: str) -> Bits:
    """Dilated once; the caller keeps the border empty by masking."""
    result = volume | _moved_x(volume, 1)
    result |= _moved_x(volume, -1)
    source = result.copy() if step == "s" else volume
    result[:, :, 1:] |= source[:, :, :-1]
    result[:, :, :-1] |= source[:, :, 1:]
    return result


def opened_2x2(volume: Bits) -> Bits:
    """Without whatever a 2x2 square does not fit into."""
    kept = volume & _moved_x(volume, -1)
    kept[:, :, :-1] &= kept[:, :, 1:].copy()
    back = kept | _moved_x(kept, 1)
    back[:, :, 1:] |= back[:, :, :-1].copy()
    return back


def spread(volume: Bits, pixels: float) -> Bits:
    """Dilated by an octagon of about this radius: a segment along each of four directions, by doubling."""
    straight, slanted = round(0.414 * pixels), round(0.293 * pixels)
    result = volume
    for dx, dy, reach in ((1, 0, straight), (0, 1, straight), (1, 1, slanted), (1, -1, slanted)):
        result = _swept(result, dx, dy, reach)
    return result


def _swept(volume: Bits, dx: int, dy: int, reach: int) -> Bits:
    """Dilated by the segment from -reach to +reach steps of (dx, dy)."""
    result, done = volume, 0
    while done < reach:
        step = min(2 * done + 1, reach - done)
        # Both ways at once: after it the segment reaches `done + step` each way without a hole.
        result = result | moved(result, dx * step, dy * step) | moved(result, -dx * step, -dy * step)
        done += step
    return result


def opened(part: Bits, pixels: float) -> Bits:
    """Without what an octagon of this radius does not fit into."""
    kept = ~spread(~part, pixels)
    return spread(kept, pixels) & part


def some_layers(volume: Bits, change: Callable[[Bits], Bits]) -> Bits:
    """`change` done to the layers that hold anything; the others stay empty."""
    some = np.flatnonzero(volume.reshape(len(volume), -1).any(axis=1))
    result = np.zeros_like(volume)
    if len(some):
        result[some] = change(volume[some])
    return result


def per_layer(volume: Bits) -> F64:
    """Pixels set in each layer."""
    counts = np.bitwise_count(volume).reshape(len(volume), -1)
    return np.add.reduce(counts, axis=1, dtype=np.float64) if counts.size else np.zeros(len(volume))


def edges(volume: Bits) -> F64:
    """Pixel sides between set and empty, in x and in y, per layer."""
    counts = np.bitwise_count(volume ^ _moved_x(volume, 1))
    flat = volume.reshape(-1)
    counts.reshape(-1)[1:] += np.bitwise_count(flat[1:] ^ flat[:-1])
    total: F64 = np.add.reduce(counts.reshape(len(volume), -1), axis=1, dtype=np.float64)
    return total


def window(volume: Bits, below: int, above: int, join: np.ufunc) -> Bits:
    """`join` over the layers k - below .. k + above of every k, by doubling; beyond the ends nothing is joined."""
    result = volume.copy()
    for reach, up in ((above, True), (below, False)):
        source, done = result, 0
        while done < reach:
            step = min(done + 1, reach - done)
            nearer = source.copy()
            if up:
                join(nearer[:-step], source[step:], out=nearer[:-step])
            else:
                join(nearer[step:], source[:-step], out=nearer[step:])
            source, done = nearer, done + step
        result = source
    return result
