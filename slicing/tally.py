"""What the timed moves of a file add up to: filament and seconds so far at each byte, by feature, by layer.

Takes one batch after another and keeps no moves, so that the longest file costs no more memory than a short one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicing.gcodetext import Floats
from slicing.motion import Timed
from slicing.moves import FEATURES, Moves

KINDS = (*FEATURES, "travel", "retraction", "waiting")
"""What the machine may be doing: drawing a feature, moving without (wiping included), moving only the filament."""
_TRAVEL, _RETRACTION, _WAITING = (KINDS.index(kind) for kind in ("travel", "retraction", "waiting"))
_POINTS_KEPT, _POINTS_PENDING = 20_000, 60_000


class Tally:
    """Sums over moves in file order. Arrays by kind follow KINDS; the first entry by layer is what precedes them all.

    `points()` has three rows: byte, filament in mm pushed so far, seconds so far. A retraction is paid back, not used.
    """

    def __init__(self) -> None:
        self.seconds_by_kind: Floats = np.zeros(len(KINDS))
        self.millimetres_by_kind: Floats = np.zeros(len(KINDS))
        self._by_layer: Floats = np.zeros(1)
        self._points: list[Floats] = [np.zeros((3, 1))]
        self._pending = 0
        self._net = 0.0  # of filament, retractions taken off

    def add(self, timed: Timed) -> None:
        """The next moves of the file; a wait counts with the move after it."""
        moves, kinds = timed.moves, _kinds(timed.moves)
        took = timed.seconds.copy()
        took[:1] += timed.dwell_seconds
        self.seconds_by_kind += np.bincount(kinds, timed.seconds, minlength=len(KINDS))
        self.seconds_by_kind[_WAITING] += timed.dwell_seconds
        self.millimetres_by_kind += np.bincount(kinds, moves.de, minlength=len(KINDS))
        self._add_layers(np.bincount(moves.layer + 1, took).astype(np.float64))
        last = self._points[-1][:, -1]
        net = self._net + np.cumsum(moves.de)
        used = np.maximum.accumulate(np.maximum(net, last[1]))
        self._net = float(net[-1])
        self._points.append(np.stack([moves.end_byte.astype(np.float64), used, last[2] + np.cumsum(took)]))
        self._pending += len(moves)
        if self._pending > _POINTS_PENDING:
            self._points, self._pending = [self.points(_POINTS_KEPT)], 0

    def _add_layers(self, seconds: Floats) -> None:
        if len(seconds) > len(self._by_layer):
            seconds[: len(self._by_layer)] += self._by_layer
            self._by_layer = seconds
        else:
            self._by_layer[: len(seconds)] += seconds

    def seconds_by_layer(self, layers: int) -> Floats:
        """Before the first layer, then of each of so many; 0 for one that nothing moves in."""
        padded: Floats = np.zeros(layers + 1)
        padded[: len(self._by_layer)] = self._by_layer
        return padded

    def points(self, most: int) -> Floats:
        """At most so many, bytes rising, the first (0, 0, 0) and the last among them.

        Straight lines between them err by less than 4 / (most - 4) of the total, in mm as in seconds.
        """
        return thinned(np.concatenate(self._points, axis=1), most)


def thinned(points: Floats, most: int) -> Floats:
    """Columns of `points` where the share of filament plus that of time has grown by one step: both ends of each step,
    so that what happens at once (a long move, a wait) stays where it happens.
    """
    count = points.shape[1]
    if count <= most:
        return points
    shares = sum((row / row[-1] for row in points[1:] if row[-1] > 0), np.zeros(count))
    step = np.floor(shares * ((most // 2 - 2) / max(float(shares[-1]), 1e-12)))
    keep = np.ones(count, dtype=np.bool_)
    grows = step[1:] != step[:-1]
    keep[1:-1] = grows[:-1] | grows[1:]
    kept: Floats = points[:, keep]
    return kept


def _kinds(moves: Moves) -> NDArray[Any]:
    """Of each move, as a place in KINDS."""
    still = (moves.dx == 0) & (moves.dy == 0) & (moves.dz == 0)
    drawing = np.where(moves.de > 0, moves.feature, np.uint8(_TRAVEL))
    return np.where(still, np.uint8(_RETRACTION), drawing)
