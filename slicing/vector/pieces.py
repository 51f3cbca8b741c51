"""A line on its way from the drawing to the toolpath: what overlaps, joining, kerf and order work on.

Owns the value and how open lines that touch are joined; what becomes of it is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from slicing.vector import plane
from slicing.vector.design import FloatArray
from slicing.vector.plane import BoolArray

JOIN_MM = 0.05
"""Ends so near to each other are one line interrupted, not two: far less than the width of the cut."""
DOT_MM = 0.01


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One line with the Group it comes from. `ring` is the closed contour that an open rest was once part of, before
    what another line cuts as well was taken away.
    """

    key: str
    points: FloatArray  # (n, 2), machine or page millimetres
    closed: bool
    ring: FloatArray | None = None

    @property
    def outline(self) -> FloatArray | None:
        """The contour it bounds, or once bounded."""
        return self.points if self.closed else self.ring


def cleaned(piece: Piece) -> Piece | None:
    """Without repeated points, and closed where it ends at its beginning; None for what is no line but a dot."""
    points, closed = piece.points, piece.closed
    steps = np.hypot(*np.diff(points, axis=0).T)
    points = points[np.concatenate(([True], steps > 1e-6))]
    if len(points) > 2 and float(np.hypot(*(points[0] - points[-1]))) <= 1e-6:
        points, closed = points[:-1], True
    if len(points) < 2 or float(np.ptp(points, axis=0).max()) < DOT_MM:
        return None
    if len(points) == 2:
        closed = False
    if len(points) == len(piece.points) and closed == piece.closed:
        return piece
    return replace(piece, points=points, closed=closed)


def joined(pieces: Sequence[Piece]) -> list[Piece]:
    """Open lines of the same key whose ends touch, and nobody else's, become one; closed where the ends meet."""
    whole = [piece for piece in pieces if piece.closed or piece.ring is not None]
    loose = [piece for piece in pieces if not (piece.closed or piece.ring is not None)]
    by_key: dict[str, list[Piece]] = {}
    for piece in loose:
        by_key.setdefault(piece.key, []).append(piece)
    for some in by_key.values():
        whole += _chained(some)
    return whole


def _chained(pieces: Sequence[Piece]) -> list[Piece]:
    """Follows each line from end to end through places where just two ends meet."""
    if not pieces:
        return []
    ends = np.array([(piece.points[0], piece.points[-1]) for piece in pieces]).reshape(-1, 2)
    partner = _partners(ends)
    used: BoolArray = np.zeros(len(pieces), dtype=np.bool_)
    every = range(2 * len(pieces))
    starts = [end for end in every if partner[end] < 0] + list(every)  # what has a free end; then rings
    return [_followed(pieces, partner, used, start) for start in starts if not used[start // 2]]


def _partners(ends: FloatArray) -> list[int]:
    """For each end (2 i: first point of i, 2 i + 1: its last) the only other end that it touches, or -1."""
    left, right = plane.points_near(ends, JOIN_MM)
    count = np.bincount(np.concatenate((left, right)), minlength=len(ends))
    alone = (count[left] == 1) & (count[right] == 1)
    partner = np.full(len(ends), -1)
    partner[left[alone]], partner[right[alone]] = right[alone], left[alone]
    return [int(value) for value in partner]


def _followed(pieces: Sequence[Piece], partner: list[int], used: BoolArray, start: int) -> Piece:
    first = pieces[start // 2]
    parts: list[FloatArray] = []
    end = start
    while not used[end // 2]:
        used[end // 2] = True
        points = pieces[end // 2].points
        points = points if end % 2 == 0 else points[::-1]
        parts.append(points if not parts else _onwards(parts[-1], points))
        leaving = partner[end ^ 1]
        if leaving < 0:
            break
        end = leaving
    if len(parts) == 1 and not _meets(parts[0]):
        return first
    line = np.vstack(parts)
    if _meets(line):
        return Piece(key=first.key, points=line[:-1], closed=True)
    return Piece(key=first.key, points=line, closed=False)


def _onwards(before: FloatArray, points: FloatArray) -> FloatArray:
    """The next line without the point it shares with the last one, but with both where they only nearly meet."""
    shared = float(np.hypot(*(before[-1] - points[0]))) <= 1e-3
    return points[1:] if shared else points


def _meets(line: FloatArray) -> bool:
    return len(line) > 3 and float(np.hypot(*(line[0] - line[-1]))) <= JOIN_MM
