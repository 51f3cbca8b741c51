"""All vertices of a drawing at once: to the page's millimetres, and curves to chords. Pure numpy; knows no SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from slicing.faults import refused
from slicing.vector.design import FLATTEN_MM, FloatArray, Line
from slicing.vector.pathdata import CLOSE, CURVE, MOVE, Outlines
from slicing.vector.svglimits import COARSEST_MM, COORDINATE_MM_MAX, FLAT_POINTS_MAX

_FINEST_MM = FLATTEN_MM / 16
_SAGITTA = 0.001
"""Of a curve's own length: keeps the length of a small circle right to 0.03 %, which FLATTEN_MM alone would not."""
_CLOSED_MM = 0.001  # a line that ends so near to where it began is closed
_BATCH = 1 << 18  # curve points worked on at a time: what bounds the memory

Ints = NDArray[np.int64]
Matrix = tuple[float, float, float, float, float, float]


@dataclass(frozen=True, kw_only=True)
class Flat:
    """`lines_of[i]` are the lines of the i-th span of vertices; `tolerance_mm` is the one that was kept to."""

    lines_of: list[tuple[Line, ...]]
    tolerance_mm: float


def flatten(
    outlines: Outlines,
    spans: Sequence[tuple[int, int]],
    matrices: Sequence[Matrix],
    *,
    points_max: int = FLAT_POINTS_MAX,
    reach_mm: float = COORDINATE_MM_MAX,
) -> Flat:
    """The lines of each span (first vertex, end), in mm. Raises FileRefused for what is further than `reach_mm`, or for
    more points than `points_max` even when flattened coarsely.
    """
    if not any(end > first for first, end in spans):
        return Flat(lines_of=[()] * len(spans), tolerance_mm=FLATTEN_MM)
    codes = np.frombuffer(bytes(outlines.codes), dtype=np.uint8)
    points = np.frombuffer(outlines.coords, dtype=np.float64).reshape(-1, 2)
    starts = np.array(spans, dtype=np.int64)
    owner = np.repeat(np.arange(len(spans)), starts[:, 1] - starts[:, 0])
    in_order = starts[0, 0] == 0 and starts[-1, 1] == len(codes) and (starts[1:, 0] == starts[:-1, 1]).all()
    if not in_order:  # a shape that is used again has its vertices only once
        chosen = np.concatenate([np.arange(first, end) for first, end in spans])
        codes, points = codes[chosen], points[chosen]
    placed = _placed(points, np.array(matrices, dtype=np.float64), owner, reach_mm)
    return _cut(_chords(placed, codes, owner, points_max), len(spans))


def _placed(points: FloatArray, matrices: FloatArray, owner: Ints, reach_mm: float) -> FloatArray:
    with np.errstate(all="ignore"):
        m = matrices[owner]
        placed: FloatArray = np.stack(
            (
                m[:, 0] * points[:, 0] + m[:, 2] * points[:, 1] + m[:, 4],
                m[:, 1] * points[:, 0] + m[:, 3] * points[:, 1] + m[:, 5],
            ),
            axis=1,
        )
        usable = np.abs(placed) <= reach_mm  # false for what is not a number
    if not usable.all():
        worst = placed[~usable][0]
        raise refused("svg.coordinate", value=f"{worst:.3g}", limit=round(reach_mm / 1000))
    return placed


@dataclass(frozen=True, kw_only=True)
class _Chords:
    points: FloatArray
    begins: NDArray[np.bool_]  # the point begins a line
    closes: NDArray[np.bool_]  # the line of this last point is closed
    owner: Ints
    tolerance_mm: float


def _chords(placed: FloatArray, codes: NDArray[np.uint8], owner: Ints, points_max: int) -> _Chords:
    # Where a point comes out: moves, lines, and the last of a curve's three vertices.
    third = np.zeros(len(codes), dtype=bool)
    of_curves = np.flatnonzero(codes == CURVE)
    third[of_curves[2::3]] = True
    ends = np.flatnonzero((codes < CURVE) | third)
    curved = np.flatnonzero(third[ends])
    control = ends[curved]
    a, b, c, d = (placed[control - back] for back in (3, 2, 1, 0))
    bend = np.maximum(np.hypot(*(a - 2 * b + c).T), np.hypot(*(b - 2 * c + d).T))
    length = np.hypot(*(b - a).T) + np.hypot(*(c - b).T) + np.hypot(*(d - c).T)
    allowed = np.clip(_SAGITTA * length, _FINEST_MM, FLATTEN_MM)
    pieces, coarser = _pieces(bend, allowed, len(ends) - len(curved), points_max)
    counts = np.ones(len(ends), dtype=np.int64)
    counts[curved] = pieces
    offset = np.cumsum(counts) - counts
    out = np.empty((int(counts.sum()), 2))
    straight = np.ones(len(ends), dtype=bool)
    straight[curved] = False
    out[offset[straight]] = placed[ends[straight]]
    for batch in _batches(pieces):
        _bend(out, offset[curved[batch]], pieces[batch], (a[batch], b[batch], c[batch], d[batch]))
    begins = np.zeros(len(out), dtype=bool)
    begins[offset[codes[ends] == MOVE]] = True
    closes = np.zeros(len(out), dtype=bool)
    closing = np.searchsorted(ends, np.flatnonzero(codes == CLOSE)) - 1
    closes[(offset + counts - 1)[closing]] = True
    return _Chords(
        points=out,
        begins=begins,
        closes=closes,
        owner=np.repeat(owner[ends], counts),
        tolerance_mm=FLATTEN_MM * coarser,
    )


def _pieces(bend: FloatArray, allowed: FloatArray, others: int, points_max: int) -> tuple[Ints, float]:
    """Chords a curve needs (Wang's bound), and by how much the tolerance was widened to stay within `points_max`."""
    coarser = 1.0
    while True:
        pieces: Ints = np.maximum(1, np.ceil(np.sqrt(0.75 * bend / (allowed * coarser)))).astype(np.int64)
        total = int(pieces.sum()) + others
        if total <= points_max:
            return pieces, coarser
        coarser *= max(1.1, (int(pieces.sum()) / max(points_max - others, 1)) ** 2)
        if FLATTEN_MM * coarser > COARSEST_MM:
            raise refused("svg.points", limit=points_max)


def _batches(pieces: Ints) -> list[slice]:
    if not len(pieces):
        return []
    number = np.cumsum(pieces) // _BATCH
    edges = [0, *(np.flatnonzero(np.diff(number)) + 1).tolist(), len(pieces)]
    return [slice(low, high) for low, high in pairwise(edges)]


def _bend(
    out: FloatArray,
    offset: Ints,
    pieces: Ints,
    control: tuple[FloatArray, FloatArray, FloatArray, FloatArray],
) -> None:
    a, b, c, d = control
    total = int(pieces.sum())
    first = np.cumsum(pieces) - pieces
    within = np.arange(total) - np.repeat(first, pieces)
    t = ((within + 1) / np.repeat(pieces, pieces))[:, None]
    s = 1 - t
    index = np.repeat(np.arange(len(pieces)), pieces)
    where = within + np.repeat(offset, pieces)
    out[where] = s * s * s * a[index] + 3 * t * s * (s * b[index] + t * c[index]) + t * t * t * d[index]
    out[offset + pieces - 1] = d


def _cut(chords: _Chords, count: int) -> Flat:
    """Into lines, without points that stand on one another."""
    points, begins = chords.points, chords.begins
    keep = begins.copy()
    keep[1:] |= (points[1:] != points[:-1]).any(axis=1)
    line = np.cumsum(begins) - 1  # of every point, counted before any is left out
    closed = np.zeros(int(line[-1]) + 1 if len(line) else 0, dtype=bool)
    closed[line[chords.closes]] = True
    kept, numbers = points[keep], line[keep]
    firsts = np.flatnonzero(np.diff(numbers, prepend=-1))
    lasts = np.append(firsts[1:], len(kept)) - 1
    near = np.hypot(*(kept[lasts] - kept[firsts]).T) <= _CLOSED_MM if len(kept) else np.zeros(0, dtype=bool)
    owners = chords.owner[keep]
    lines_of: list[list[Line]] = [[] for _ in range(count)]
    rows = zip(
        firsts.tolist(),
        lasts.tolist(),
        near.tolist(),
        closed.tolist(),
        owners[firsts].tolist() if len(kept) else [],
        strict=True,
    )
    for first, last, meets, is_closed, owner in rows:
        meets_itself = meets and last - first >= 2
        end = last if meets_itself else last + 1
        if end - first >= 2:
            lines_of[owner].append(Line(points=kept[first:end], closed=is_closed or meets_itself))
    return Flat(lines_of=[tuple(lines) for lines in lines_of], tolerance_mm=chords.tolerance_mm)
