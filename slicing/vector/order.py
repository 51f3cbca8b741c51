"""In which order lines are cut: what lies inside before what lies around it, and little travel in between.

A part that is cut out falls or shifts, and what would still be cut in it is lost. Within one depth the next line is
the nearest one, and the way is then untangled (2-opt). A closed line may begin anywhere, an open one at either end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, sqrt

import numpy as np

from slicing.vector.design import FloatArray
from slicing.vector.pieces import Piece
from slicing.vector.plane import IntArray

UNTANGLED_MAX = 1500
SWEEPS_MAX = 4
TILE = 400
ENTRIES = 8
"""Of a closed line so many of its points are looked at when the nearest line is chosen; then all of them."""


@dataclass(frozen=True, kw_only=True)
class _Way:
    """Lines in an order, each with the point where it is entered and the one where it is left."""

    number: IntArray
    entry: FloatArray
    exit: FloatArray


def cuts(
    pieces: Sequence[Piece], depth: IntArray, rank: Mapping[str, int], start: FloatArray
) -> list[tuple[int, Piece]]:
    """All pieces with their numbers, deepest first; within a depth key by key, the lower rank first."""
    levels: dict[tuple[int, int, str], list[int]] = {}
    for n, piece in enumerate(pieces):
        levels.setdefault((-int(depth[n]), rank.get(piece.key, 0), piece.key), []).append(n)
    found: list[tuple[int, Piece]] = []
    for level in sorted(levels):
        numbers = levels[level]
        for n, piece in route([pieces[n] for n in numbers], start):
            found.append((numbers[n], piece))
        last = found[-1][1]
        start = last.points[0] if last.closed else last.points[-1]
    return found


def route(pieces: Sequence[Piece], start: FloatArray) -> list[tuple[int, Piece]]:
    """The pieces with their numbers in a short way from `start`, turned and started where that saves travel."""
    if not pieces:
        return []
    ways: list[_Way] = []
    at = start
    for tile in _tiles(pieces):
        ways.append(_nearest(pieces, tile, at))
        at = ways[-1].exit[-1]
    way = ways[0] if len(ways) == 1 else _together(ways)
    if len(pieces) <= UNTANGLED_MAX:
        way = _untangled(way, start)
    return _begun(pieces, way, start)


def travel_mm(pieces: Sequence[Piece], start: FloatArray) -> float:
    """Beam-off way through the pieces in their order."""
    at, total = start, 0.0
    for piece in pieces:
        total += _apart(at, piece.points[0])
        at = piece.points[0] if piece.closed else piece.points[-1]
    return total


def _apart(a: FloatArray, b: FloatArray) -> float:
    return float(np.hypot(a[0] - b[0], a[1] - b[1]))


def _tiles(pieces: Sequence[Piece]) -> list[IntArray]:
    """Few lines at once, or the search for the nearest takes the square of their number: strips, to and fro."""
    if len(pieces) <= UNTANGLED_MAX:
        return [np.arange(len(pieces))]
    middles = np.array([(p.points.min(axis=0) + p.points.max(axis=0)) / 2 for p in pieces])
    low, high = middles.min(axis=0), middles.max(axis=0)
    strips = ceil(sqrt(len(pieces) / TILE))
    strip = np.minimum((middles[:, 1] - low[1]) / max(high[1] - low[1], 1e-9) * strips, strips - 1).astype(
        int
    )
    along = np.where(strip % 2 == 0, middles[:, 0], -middles[:, 0])
    order = np.lexsort((along, strip))
    return [order[first : first + TILE] for first in range(0, len(order), TILE)]


def _nearest(pieces: Sequence[Piece], tile: IntArray, at: FloatArray) -> _Way:
    entries = [_entries(pieces[n]) for n in tile]
    first = np.concatenate(([0], np.cumsum([len(e) for e in entries])))
    points = np.vstack(entries)
    owner = np.repeat(np.arange(len(tile)), np.diff(first))
    number, entry, leave = [], [], []
    for _ in range(len(tile)):
        apart = (points[:, 0] - at[0]) ** 2 + (points[:, 1] - at[1]) ** 2
        nearest = int(np.argmin(apart))
        line = int(owner[nearest])
        piece = pieces[tile[line]]
        entered = points[nearest].copy()
        if piece.closed:
            at = entered
        else:
            at = piece.points[-1] if nearest == first[line] else piece.points[0]
        points[first[line] : first[line + 1]] = np.inf
        number.append(int(tile[line]))
        entry.append(entered)
        leave.append(at)
    return _Way(number=np.array(number), entry=np.array(entry), exit=np.array(leave))


def _entries(piece: Piece) -> FloatArray:
    """Where a line may be entered; of an open one first its beginning, then its end."""
    if not piece.closed:
        ends: FloatArray = piece.points[[0, -1]]
        return ends
    count = len(piece.points)
    some: FloatArray = piece.points[np.linspace(0, count, min(ENTRIES, count), endpoint=False).astype(int)]
    return some


def _together(ways: Sequence[_Way]) -> _Way:
    return _Way(
        number=np.concatenate([way.number for way in ways]),
        entry=np.vstack([way.entry for way in ways]),
        exit=np.vstack([way.exit for way in ways]),
    )


def _untangled(way: _Way, start: FloatArray) -> _Way:
    """2-opt: wherever going through a stretch the other way round is shorter, it is turned. A few sweeps at most."""
    number, entry, leave = way.number.copy(), way.entry.copy(), way.exit.copy()
    count = len(number)
    for _ in range(SWEEPS_MAX):
        better = False
        for i in range(count - 1):
            before = start if i == 0 else leave[i - 1]
            ends, nexts = leave[i + 1 :], entry[i + 2 :]
            change = np.hypot(*(ends - before).T) - _apart(before, entry[i])
            change[:-1] += np.hypot(*(nexts - entry[i]).T) - np.hypot(*(nexts - ends[:-1]).T)
            best = int(np.argmin(change))
            if change[best] < -1e-6:
                turned = slice(i, i + best + 2)
                number[turned] = number[turned][::-1]
                entry[turned], leave[turned] = leave[turned][::-1].copy(), entry[turned][::-1].copy()
                better = True
        if not better:
            break
    return _Way(number=number, entry=entry, exit=leave)


def _begun(pieces: Sequence[Piece], way: _Way, start: FloatArray) -> list[tuple[int, Piece]]:
    """Each line begun where the way to it and on from it is shortest."""
    found: list[tuple[int, Piece]] = []
    at = start
    for place, n in enumerate(way.number):
        piece = pieces[int(n)]
        if piece.closed:
            apart = np.hypot(*(piece.points - at).T)
            if place + 1 < len(way.number):
                apart += np.hypot(*(piece.points - way.entry[place + 1]).T)
            piece = replace(piece, points=np.roll(piece.points, -int(np.argmin(apart)), axis=0))
            at = piece.points[0]
        else:
            if _apart(way.entry[place], piece.points[0]) > _apart(way.entry[place], piece.points[-1]):
                piece = replace(piece, points=piece.points[::-1])
            at = piece.points[-1]
        found.append((int(n), piece))
    return found
