"""How long every move takes: the look-ahead planner of Marlin and of PrusaSlicer's own estimate, as whole arrays.

Knows moves and a machine's limits; knows no file and no profile. The rules are Marlin's classic jerk as PrusaSlicer 2.5
imitates it, quirks included, because a member compares our time with the slicer's.

A planner looks ahead: how fast a move may begin depends on how the following ones must brake. In squares of speeds that
is u[k] = min(c[k], u[k+1] + w[k]), with c the fastest the corner allows and w = 2 x acceleration x length. With s the
running sum of w it says u[k] + s[k] = min(c[k] + s[k], u[k+1] + s[k+1]): a running minimum from the end, exact and
without a loop. Speeding up is the same from the other side.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from slicing.moves import Batch, Floats, Limits, Moves

HELD = 512
"""Moves kept back at the end of what is known: a firmware looks 16 to 32 ahead, PrusaSlicer 64."""
CHUNK = 8_192
"""Moves planned at once: their arrays fit the processor's cache."""
SPEED_MIN = 1e-3
"""mm/s; nothing is slower, so that no move takes for ever."""
ACCELERATION_DEFAULT = 1500.0
"""mm/s2 where neither file nor profile says one."""
_STANDING = 1e-4
"""mm/s asked of the move before, up to which a move begins as from a halt."""
_COASTING = 0.99
_TINY = 1e-12


@dataclass(frozen=True, kw_only=True)
class Timed:
    """Moves and the seconds each of them takes; `dwell_seconds` passed before the first."""

    moves: Moves
    seconds: Floats
    dwell_seconds: float


@dataclass(frozen=True, kw_only=True)
class _Before:
    """The move before: its speed as asked for, along the four axes, and at which it may end in a halt; and the square
    of the speed with which it hands over.
    """

    asked: float = 0.0
    axes: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)
    safe: float = 0.0
    square: float | None = None  # nobody handed over: the machine stands


def seconds(moves: Moves, limits: Limits, *, firmware: bool = False) -> Floats:
    """Of each move, all of them from a halt to a halt.

    PrusaSlicer lets a move begin as fast as its corner and the braking allow, even where there was no room to reach
    that speed. `firmware` forbids that, as a machine does: some 0.2 % more time, 2 % where all moves are tiny.
    """
    parts = [part for part, _ in _parts(moves, limits, _Before(), firmware=firmware, last=True)]
    return np.concatenate(parts or [np.zeros(0)])


def timed(batches: Iterable[Batch], *, firmware: bool = False) -> Iterator[Timed]:
    """The moves of a file with their seconds, in order; a halt or a change of limits empties the look-ahead."""
    held: Batch | None = None
    before = _Before()
    for batch in batches:
        if held is not None and (batch.halted or batch.limits != held.limits):
            yield _ended(held, before, firmware)
            held, before = None, _Before()
        whole = batch if held is None else replace(held, moves=held.moves.then(batch.moves))
        done = [np.zeros(0)]
        for part, after in _parts(whole.moves, whole.limits, before, firmware=firmware, last=False):
            done.append(part)
            before = after
        took = np.concatenate(done)
        if len(took):
            yield Timed(moves=whole.moves[: len(took)], seconds=took, dwell_seconds=whole.dwell_seconds)
            whole = replace(whole, dwell_seconds=0.0)
        held = replace(whole, moves=whole.moves[len(took) :])
    if held is not None:
        yield _ended(held, before, firmware)


def _ended(held: Batch, before: _Before, firmware: bool) -> Timed:
    parts = [part for part, _ in _parts(held.moves, held.limits, before, firmware=firmware, last=True)]
    return Timed(moves=held.moves, seconds=np.concatenate(parts), dwell_seconds=held.dwell_seconds)


def _parts(
    moves: Moves, limits: Limits, before: _Before, *, firmware: bool, last: bool
) -> Iterator[tuple[Floats, _Before]]:
    """Seconds chunk by chunk, with what the next chunk must know. Not `last`: the final HELD moves are left."""
    end = len(moves) if last else len(moves) - HELD
    for low in range(0, end, CHUNK):
        high = min(low + CHUNK, end)
        seen = moves[low : min(high + HELD, len(moves))]
        part, before = _plan(seen, limits, before, high - low, firmware)
        yield part, before


def _plan(
    moves: Moves, limits: Limits, before: _Before, settled: int, firmware: bool
) -> tuple[Floats, _Before]:
    """Seconds of the first `settled` moves, planned with all of them in sight."""
    asked, cruise, acceleration, length, axes = _speeds(moves, limits)
    safe = cruise.copy()
    for speed, jerk in zip(axes, limits.jerk, strict=True):
        np.minimum(safe, np.where(np.abs(speed) > jerk, jerk, np.inf), out=safe)
    corner = _corners(asked, cruise, safe, axes, limits, before)
    reach = 2 * acceleration * length
    square = _squares(corner, reach, float(safe[-1]), before.square, firmware)[: settled + 1]
    took = _durations(square, cruise[:settled], acceleration[:settled], reach[:settled])
    i = settled - 1
    return took, _Before(
        asked=float(asked[i]),
        axes=tuple(float(speed[i]) for speed in axes),
        safe=float(safe[i]),
        square=float(square[settled]),
    )


def _speeds(moves: Moves, limits: Limits) -> tuple[Floats, Floats, Floats, Floats, list[Floats]]:
    """Speed asked for, cruising speed, acceleration, length, and the cruising speed along each axis."""
    length = np.sqrt(moves.dx * moves.dx + moves.dy * moves.dy + moves.dz * moves.dz)
    alone = length == 0  # only the filament moves
    length[alone] = np.abs(moves.de[alone])
    travel = moves.de == 0
    least = np.where(travel, limits.travel_rate_min, limits.extruding_rate_min)
    asked = np.maximum(np.maximum(moves.feedrate, least), SPEED_MIN)
    acceleration = _capped(moves.acceleration, limits.extruding)
    acceleration[travel] = _capped(moves.travel_acceleration[travel], limits.travelling)
    acceleration[alone] = _capped(moves.retract_acceleration[alone], limits.retracting)
    inverse = 1 / length
    shares = [moves.dx * inverse, moves.dy * inverse, moves.dz * inverse, moves.de * inverse]
    slower = np.ones(len(length))  # how much more each axis is asked than it may do
    for share, most in zip(shares, limits.acceleration, strict=True):
        if most > 0:
            np.maximum(slower, np.abs(share) * acceleration * (1 / most), out=slower)
    acceleration /= slower
    shares[3] *= limits.flow
    slower[:] = 1
    for share, most in zip(shares, limits.speed, strict=True):
        if most > 0:
            np.maximum(slower, np.abs(share) * asked * (1 / most), out=slower)
    cruise = asked / slower
    for share in shares:
        share *= cruise
    return asked, cruise, acceleration, length, shares


def _capped(asked: Floats, cap: float) -> Floats:
    """What M204 asked for, at most the cap; the cap where it said nothing."""
    wanted: Floats = np.where(asked > 0, asked, cap if cap > 0 else ACCELERATION_DEFAULT)
    return np.minimum(wanted, cap) if cap > 0 else wanted


def _corners(
    asked: Floats, cruise: Floats, safe: Floats, axes: list[Floats], limits: Limits, before: _Before
) -> Floats:
    """Square of the fastest at which each move may begin.

    Starts at the slower of the two speeds. If the move before is the faster one its axis speeds are scaled down to it;
    the other way round nothing is scaled: Marlin's quirk. Then all is slowed until no axis jumps by more than its jerk.
    Where both moves could as well halt in between, they do.
    """
    coming = _shifted(asked, before.asked)
    corner = np.minimum(coming, cruise)
    scale = corner / np.maximum(coming, _TINY)
    excess = np.ones(len(cruise))  # how many times the jerk an axis would jump
    for axis, entering in enumerate(axes):
        leaving = _shifted(entering, before.axes[axis]) * scale
        # Of one sign, the difference; of two, the larger: the axis stops in between.
        jump = np.minimum(np.abs(leaving - entering), np.maximum(np.abs(leaving), np.abs(entering)))
        np.maximum(excess, jump * (1 / max(limits.jerk[axis], SPEED_MIN)), out=excess)
    corner /= excess
    bound = corner * _COASTING
    halting = ((_shifted(safe, before.safe) > bound) & (safe > bound)) | (coming <= _STANDING)
    corner = np.where(halting, safe, corner)
    return corner * corner


def _shifted(values: Floats, first: float) -> Floats:
    """Each move's predecessor's value."""
    shifted = np.empty(len(values))
    shifted[0] = first
    shifted[1:] = values[:-1]
    return shifted


def _squares(corner: Floats, reach: Floats, safe: float, first: float | None, firmware: bool) -> Floats:
    """Square of the speed at the beginning of each move, and at the end of the last."""
    count = len(corner)
    square = np.empty(count + 1)
    square[:count], square[count] = corner, safe * safe
    total = np.zeros(count + 1)
    # No speed exceeds the fastest corner: what reaches further may be cut, and the sum stays small and exact.
    np.cumsum(np.minimum(reach, square.max()), out=total[1:])
    square += total
    square = np.minimum.accumulate(square[::-1])[::-1] - total
    if first is not None:
        square[0] = first  # as settled when this was the next chunk's first
    if firmware:
        square = np.minimum.accumulate(square - total) + total
    return np.maximum(square, 0.0)


def _durations(square: Floats, cruise: Floats, acceleration: Floats, reach: Floats) -> Floats:
    """Speeding up, cruising, slowing down; where it never cruises, the peak is where the first meets the last."""
    begin = square[:-1]
    end = np.minimum(square[1:], begin + reach)  # where there is no room for more
    both = begin + end
    peak = np.minimum(cruise * cruise, (reach + both) * 0.5)
    top = np.sqrt(peak)
    cruising = np.maximum(reach - (2 * peak - both), 0.0) / top
    took: Floats = (2 * top - np.sqrt(begin) - np.sqrt(end) + 0.5 * cruising) / acceleration
    return took
