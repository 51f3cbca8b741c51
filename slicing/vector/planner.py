"""How long every move takes on a GRBL machine: junction deviation and look-ahead, as whole arrays.

The rules are those of GRBL 1.1's planner, which grblHAL and FluidNC share: positions in whole steps, speed and
acceleration held on each axis, corners by junction deviation. Ruida and HPGL machines are timed by the same rules, with
their own figures. Knows moves and a machine; no files, no bytes.

A planner looks ahead: how fast a move may begin depends on how the following ones must brake. In squares of speeds:
u[k] = min(c[k], u[k+1] + w[k]), with c the fastest the corner allows and w = 2 x acceleration x length. With s the
running sum of w this is a running minimum of c + s from the end, exact and without a loop; the same forward.

A small controller sees only so many moves, and must be able to stop at the last of them: u[k] <= s[k + ahead] - s[k].
That is what makes many short moves slow, as in a picture of single dots.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from slicing.vector.beam import Moves
from slicing.vector.design import FloatArray
from slicing.vector.machines import CutMachine

AHEAD_GRBL = 14
"""Moves that GRBL knows of beyond the one it makes, of the 15 in its buffer; grblHAL knows 99."""
AHEAD_ALL = 1 << 30
_STRAIGHT = 0.999999
"""Cosine beyond which GRBL takes a corner for straight on, or for a reversal."""
_TINY = 1e-12


def seconds(
    moves: Moves, machine: CutMachine, *, ahead: int | None = None, laser_mode: bool = True
) -> FloatArray:
    """Of each move, from a halt to a halt; 0 for one shorter than a step. `ahead`: how many more moves are known.

    Without laser mode ($32=0) GRBL stands still for every change of power.
    """
    if ahead is None:
        ahead = AHEAD_GRBL if machine.language == "grbl" else AHEAD_ALL
    took = np.zeros(len(moves))
    dx, dy = _deltas(moves.x, machine.steps_per_mm[0]), _deltas(moves.y, machine.steps_per_mm[1])
    goes = np.flatnonzero((dx != 0) | (dy != 0))
    if not len(goes):
        return took
    dx, dy = dx[goes], dy[goes]
    length = np.hypot(dx, dy)
    ux, uy = dx / length, dy / length
    acceleration = _held(ux, uy, machine.acceleration_mm_s2)
    cruise = _cruise(moves, goes, _held(ux, uy, machine.speed_max_mm_s), machine)
    corner = _corners(ux, uy, cruise, machine)
    halt = moves.halt if laser_mode else moves.halt | (np.diff(moves.power, prepend=0) != 0)
    corner[_halts(halt, goes)] = 0.0
    reach = 2 * acceleration * length
    took[goes] = _durations(_squares(corner, reach, ahead), cruise, acceleration, reach)
    return took


def _deltas(places: FloatArray, steps_per_mm: float) -> FloatArray:
    """In whole steps, as mm."""
    deltas: FloatArray = np.diff(np.rint(places * steps_per_mm), prepend=0.0) / steps_per_mm
    return deltas


def _held(ux: FloatArray, uy: FloatArray, most: tuple[float, float]) -> FloatArray:
    """How much along this direction, so that no axis has more than it may."""
    held: FloatArray = 1 / np.maximum(np.maximum(np.abs(ux) / most[0], np.abs(uy) / most[1]), _TINY)
    return held


def _cruise(moves: Moves, goes: NDArray[np.int64], fastest: FloatArray, machine: CutMachine) -> FloatArray:
    travel = machine.travel_mm_s or np.inf
    asked = np.where(moves.rapid[goes], travel, moves.feed[goes])
    return np.minimum(asked, fastest)


def _halts(halt: NDArray[np.bool_], goes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """A halt before a move that goes nowhere is one before the next that goes."""
    count = np.cumsum(halt)[goes]
    return np.diff(count, prepend=0) > 0


def _corners(ux: FloatArray, uy: FloatArray, cruise: FloatArray, machine: CutMachine) -> FloatArray:
    """Square of the fastest speed at which each move may begin: 0 for the first, and where the way turns back."""
    corner = np.zeros(len(ux))
    if len(ux) < 2:
        return corner
    cos = -(ux[:-1] * ux[1:] + uy[:-1] * uy[1:])
    half = np.sqrt(np.maximum(0.5 * (1 - cos), 0.0))  # the sine of half the angle between the two
    jx, jy = ux[1:] - ux[:-1], uy[1:] - uy[:-1]
    size = np.maximum(np.hypot(jx, jy), _TINY)
    turning = _held(jx / size, jy / size, machine.acceleration_mm_s2)
    square = turning * machine.junction_deviation_mm * half / np.maximum(1 - half, _TINY)
    square = np.where(cos < -_STRAIGHT, np.inf, np.where(cos > _STRAIGHT, 0.0, square))
    slower = np.minimum(cruise[1:], cruise[:-1])
    corner[1:] = np.minimum(square, slower * slower)
    return corner


def _squares(corner: FloatArray, reach: FloatArray, ahead: int) -> FloatArray:
    """Square of the speed at the beginning of each move, and, one more, of the halt at the end.

    Nothing changes if a move reaches further than the fastest corner, and the running sum stays small so.
    """
    count = len(corner)
    total = np.zeros(count + 1)
    np.cumsum(np.minimum(reach, max(float(corner.max()), 1.0)), out=total[1:])
    most = np.zeros(count + 1)
    most[:count] = corner
    if ahead < count:
        most[:-ahead] = np.minimum(most[:-ahead], total[ahead:] - total[:-ahead])
    backward = np.minimum.accumulate((most + total)[::-1])[::-1] - total
    forward = np.minimum.accumulate(np.minimum(backward, most) - total) + total
    return np.maximum(np.minimum(forward, most), 0.0)


def _durations(
    square: FloatArray, cruise: FloatArray, acceleration: FloatArray, reach: FloatArray
) -> FloatArray:
    """Speeding up, cruising, slowing down; where it never cruises, the peak is where the two meet."""
    begin, end = square[:-1], square[1:]
    peak = np.minimum(cruise * cruise, (reach + begin + end) / 2)
    top = np.sqrt(peak)
    cruising = np.maximum(reach - (2 * peak - begin - end), 0.0) / np.maximum(top, _TINY)
    took: FloatArray = (2 * top - np.sqrt(begin) - np.sqrt(end) + cruising / 2) / acceleration
    return took
