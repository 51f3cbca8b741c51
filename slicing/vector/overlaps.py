"""The double cut: lines that lie on another line, found and taken away so that each piece of line is cut once.

Twice through the same line burns the edge, widens the cut and costs the time of another cut. Found whatever the lines
are made of: copies, reversed, started elsewhere, split into pieces, flattened otherwise, or overlapping in part. The
earlier line stays as it is; of a later one what lies on it goes. No point is moved. Knows nothing of operations.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from slicing.vector import plane
from slicing.vector.design import FloatArray
from slicing.vector.pieces import Piece
from slicing.vector.plane import BoolArray, IntArray

TOLERANCE_MM = 0.05
SHORTEST_MM = 0.5
"""Lines that meet, cross or touch have a little in common, and are no double cut."""
SHORTEST_CLOSED_MM = 3.0
"""An outline is not opened for less: where it goes into a corner and back is drawn so, to make room for the corner."""
SHORT_MM = 2.0
PAIRS_MAX = 6_000_000
CHUNK = 256
PLACES_MAX = 20

Runs = dict[int, list[tuple[float, float]]]


@dataclass(frozen=True, kw_only=True)
class Overlaps:
    """What of each piece lies on an earlier one: runs (from, to) in mm along it, by its number. `complete` is False
    where so many lines crowd together that not all could be compared.
    """

    runs: Runs = field(default_factory=dict)
    length_mm: float = 0.0
    complete: bool = True
    places: tuple[tuple[float, float], ...] = ()  # the middle of the longest runs

    @property
    def count(self) -> int:
        return len(self.runs)


@dataclass(frozen=True, kw_only=True)
class _Segments:
    """All segments of all pieces in one row, with the place of each on one long axis: pieces one after the other."""

    ends: FloatArray  # (n, 4)
    length: FloatArray
    start: FloatArray  # where it begins on the axis
    piece: IntArray
    base: FloatArray  # where each piece begins on the axis
    total: FloatArray  # mm of each piece
    closed: BoolArray  # of each piece

    @classmethod
    def of(cls, pieces: Sequence[Piece]) -> _Segments:
        parts = [plane.segments(piece.points, piece.closed) for piece in pieces]
        ends = np.vstack(parts)
        length = np.hypot(ends[:, 2] - ends[:, 0], ends[:, 3] - ends[:, 1])
        piece = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        total: FloatArray = np.bincount(piece, weights=length, minlength=len(parts)).astype(np.float64)
        apart = 10 * TOLERANCE_MM
        start = np.concatenate(([0.0], np.cumsum(length)[:-1])) + piece * apart
        base = start[np.searchsorted(piece, np.arange(len(parts)))]
        closed = np.array([each.closed for each in pieces])
        return cls(ends=ends, length=length, start=start, piece=piece, base=base, total=total, closed=closed)

    def some(self, which: IntArray) -> _Segments:
        return _Segments(
            ends=self.ends[which],
            length=self.length[which],
            start=self.start[which],
            piece=self.piece[which],
            base=self.base,
            total=self.total,
            closed=self.closed,
        )


def overlaps(pieces: Sequence[Piece], tolerance_mm: float = TOLERANCE_MM) -> Overlaps:
    """What of each line lies within the tolerance of an earlier line, or of an earlier part of itself."""
    if not pieces:
        return Overlaps()
    s = _Segments.of(pieces)
    spans, complete = _covered(s, tolerance_mm)
    runs = _by_piece(_runs(spans, s, tolerance_mm), s)
    if runs:
        runs, sure = _confirmed(runs, pieces, tolerance_mm)
        complete = complete and sure
    return _told(runs, pieces, complete)


def remove_duplicates(pieces: Sequence[Piece], found: Overlaps) -> list[Piece]:
    """The pieces without what lies on an earlier one: untouched, gone, or cut into open rests."""
    kept: list[Piece] = []
    for number, piece in enumerate(pieces):
        runs = found.runs.get(number)
        kept += [piece] if runs is None else _rests(piece, runs)
    return kept


def _rests(piece: Piece, runs: Sequence[tuple[float, float]]) -> list[Piece]:
    total = plane.length(piece.points, piece.closed)
    edges = [0.0, *(edge for run in runs for edge in run), total]
    spans = [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a > 1e-6]
    parts = [_part(piece, *span) for span in spans]
    wraps = piece.closed and len(parts) > 1 and spans[0][0] == 0.0 and spans[-1][1] == total
    if wraps:
        parts = [np.vstack((parts[-1], parts[0][1:])), *parts[1:-1]]
    return [Piece(key=piece.key, points=part, closed=False, ring=piece.outline) for part in parts]


def _part(piece: Piece, start: float, end: float) -> FloatArray:
    """The polyline between two places along a piece."""
    points = np.vstack((piece.points, piece.points[:1])) if piece.closed else piece.points
    along = np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))))
    inside = (along > start + 1e-9) & (along < end - 1e-9)
    xs, ys = (np.interp((start, end), along, points[:, axis]) for axis in (0, 1))
    return np.vstack(([xs[0], ys[0]], points[inside], [xs[1], ys[1]]))


def _covered(s: _Segments, tolerance: float, stays: int = 0) -> tuple[FloatArray, bool]:
    """Spans (n, 2) on the axis of what lies on an earlier segment, and whether all pairs could be looked at.

    With `stays`, only of those behind the first so many segments, on one of these.
    """
    copies = _copies(s)
    if stays:
        copies[:stays] = False  # a copy that stays is no earlier line of those that go
    found = [np.stack((s.start, s.start + s.length), axis=1)[copies & (np.arange(len(copies)) >= stays)]]
    pairs = 0
    for later, earlier in _neighbours(s, np.flatnonzero(~copies & (s.length > 1e-9)), tolerance):
        if stays:
            wanted = (later >= stays) & (earlier < stays)
            later, earlier = later[wanted], earlier[wanted]
        pairs += len(later)
        if pairs > PAIRS_MAX:
            return np.vstack(found), False
        found.append(_spans(s.some(later), s.some(earlier), tolerance))
    return np.vstack(found), True


def _neighbours(s: _Segments, every: IntArray, tolerance: float) -> Iterator[tuple[IntArray, IntArray]]:
    """Pairs (later, earlier) of nearly parallel segments near each other, by turning each direction to the horizontal:
    there only those in one row have boxes that touch, however long they are.

    Long ones can lie on each other only when all but parallel; pieces of a curve that was flattened otherwise differ by
    as much as their chords turn.
    """
    angle = np.arctan2(s.ends[:, 3] - s.ends[:, 1], s.ends[:, 2] - s.ends[:, 0]) % np.pi
    short = every[s.length[every] < SHORT_MM]
    for among, sectors in ((every, 60), (short, 12)):
        sector = np.minimum((angle[among] / np.pi * sectors).astype(np.int64), sectors - 1)
        for number in range(sectors):
            own = among[sector == number]
            if not len(own):
                continue
            apart = (sector - number) % sectors
            near = among[(apart <= 1) | (apart == sectors - 1)]
            middle = (number + 0.5) * np.pi / sectors
            boxes, others = (_turned_boxes(s.ends[some], -middle, tolerance / 2) for some in (own, near))
            rows = plane.Boxes(others)
            for first in range(0, len(own), CHUNK):
                later, earlier = rows.meeting(boxes[first : first + CHUNK])
                later, earlier = own[first + later], near[earlier]
                wanted = earlier < later
                yield later[wanted], earlier[wanted]


def _turned_boxes(ends: FloatArray, by: float, margin: float) -> FloatArray:
    cos, sin = np.cos(by), np.sin(by)
    xs = ends[:, ::2] * cos - ends[:, 1::2] * sin
    ys = ends[:, ::2] * sin + ends[:, 1::2] * cos
    low, high = (xs.min(1), ys.min(1)), (xs.max(1), ys.max(1))
    return np.stack((low[0] - margin, low[1] - margin, high[0] + margin, high[1] + margin), axis=1)


def _spans(later: _Segments, earlier: _Segments, tolerance: float) -> FloatArray:
    """Where on the axis each of `later` runs beside its `earlier`: over all that they have in common lengthwise, they
    must be within the tolerance. So lines that cross at a small angle are not taken for one.
    """
    along = (earlier.ends[:, 2:] - earlier.ends[:, :2]) / earlier.length[:, None]
    at = [later.ends[:, side : side + 2] - earlier.ends[:, :2] for side in (0, 2)]
    begin, end = ((a * along).sum(axis=1) for a in at)
    aside = [a[:, 1] * along[:, 0] - a[:, 0] * along[:, 1] for a in at]
    step = end - begin
    parallel = np.abs(step) > 0.8 * later.length
    safe = np.where(parallel, step, 1.0)
    one, two = -begin / safe, (earlier.length - begin) / safe
    low, high = np.maximum(np.minimum(one, two), 0.0), np.minimum(np.maximum(one, two), 1.0)
    wanted = parallel & ((high - low) * later.length > 1e-9)
    for share in (low, high):
        wanted &= np.abs(aside[0] + share * (aside[1] - aside[0])) <= tolerance
    found = later.start[:, None] + np.stack((low, high), axis=1) * later.length[:, None]
    kept: FloatArray = found[wanted]
    return kept


def _copies(s: _Segments) -> BoolArray:
    """Segments that are, to the micrometre, an earlier one, in either direction."""
    ends = np.round(s.ends * 1000).astype(np.int64)
    swap = (ends[:, 0] > ends[:, 2]) | ((ends[:, 0] == ends[:, 2]) & (ends[:, 1] > ends[:, 3]))
    ends[swap] = ends[swap][:, [2, 3, 0, 1]]
    order = np.lexsort((np.arange(len(ends)), *ends.T))
    copies = np.zeros(len(ends), dtype=np.bool_)
    copies[order[1:]] = (ends[order[1:]] == ends[order[:-1]]).all(axis=1)
    return copies


def _runs(spans: FloatArray, s: _Segments, tolerance: float) -> FloatArray:
    """Spans merged over gaps no wider than the tolerance; what is left that is long, or all of its line."""
    if not len(spans):
        return spans
    spans = spans[np.argsort(spans[:, 0], kind="stable")]
    reach = np.maximum.accumulate(spans[:, 1])
    new = np.concatenate(([True], spans[1:, 0] > reach[:-1] + tolerance))
    first = np.flatnonzero(new)
    runs = np.stack((spans[first, 0], np.maximum.reduceat(spans[:, 1], first)), axis=1)
    piece = np.searchsorted(s.base, runs[:, 0] + 1e-6, side="right") - 1
    begin, end = s.base[piece], s.base[piece] + s.total[piece]
    # No sliver is left at the ends of a line: the beam would be on for less than its own width.
    runs[:, 0] = np.where(runs[:, 0] - begin <= tolerance, begin, runs[:, 0])
    runs[:, 1] = np.where(end - runs[:, 1] <= tolerance, end, runs[:, 1])
    whole = (runs[:, 0] == begin) & (runs[:, 1] == end)
    shortest = np.where(s.closed[piece], SHORTEST_CLOSED_MM, SHORTEST_MM)
    counts: BoolArray = whole | (runs[:, 1] - runs[:, 0] >= shortest)
    return runs[counts]


def _by_piece(runs: FloatArray, s: _Segments) -> Runs:
    """Runs in mm along their own piece."""
    found: Runs = {}
    for start, end in runs:
        number = int(np.searchsorted(s.base, start + 1e-6, side="right")) - 1
        base, total = float(s.base[number]), float(s.total[number])
        found.setdefault(number, []).append((float(start) - base, min(float(end) - base, total)))
    return found


def _confirmed(runs: Runs, pieces: Sequence[Piece], tolerance: float) -> tuple[Runs, bool]:
    """Only runs that lie on something that stays. Of three lines side by side the third may lie on the second, which
    goes for the first; it would be lost, and is farther away from the first than the tolerance.
    """
    stay = [
        rest for n, piece in enumerate(pieces) for rest in (_rests(piece, runs[n]) if n in runs else [piece])
    ]
    spots = [(number, run) for number, some in runs.items() for run in some]
    gone = [Piece(key="", points=_part(pieces[number], *run), closed=False) for number, run in spots]
    s = _Segments.of([*stay, *gone])
    spans, complete = _covered(s, tolerance, stays=int(np.searchsorted(s.piece, len(stay))))
    if not complete:
        return {}, False
    on = _by_piece(_runs(spans, s, tolerance), s)
    kept: Runs = {}
    for number, (owner, run) in enumerate(spots, start=len(stay)):
        if number in on and _is_whole(on[number][0], float(s.total[number])):
            kept.setdefault(owner, []).append(run)
    return kept, True


def _is_whole(run: tuple[float, float], total: float) -> bool:
    return run[0] < 1e-6 and run[1] > total - 1e-6


def _told(runs: Runs, pieces: Sequence[Piece], complete: bool) -> Overlaps:
    spots = [(end - start, number, (start + end) / 2) for number, some in runs.items() for start, end in some]
    spots.sort(key=lambda spot: (-spot[0], spot[1], spot[2]))
    places = [_part(pieces[number], middle, middle)[0] for _, number, middle in spots[:PLACES_MAX]]
    return Overlaps(
        runs=runs,
        length_mm=sum(spot[0] for spot in spots),
        complete=complete,
        places=tuple((float(x), float(y)) for x, y in places),
    )
