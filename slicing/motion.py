"""How long every move takes: the look-ahead planner of Marlin as PrusaSlicer's own estimate has it, as whole arrays.

Knows moves and a machine's limits; knows no file and no profile. Source of the rules: what PrusaSlicer 2.5 does for its
"estimated printing time", quirks included, because a member compares our time with the slicer's.

A planner looks ahead: how fast a move may begin depends on how the following ones must brake. In squares of speeds that
is u[k] = min(c[k], u[k+1] + w[k]), with c the fastest the corner allows and w = 2 x acceleration x length. With s the
running sum of w it says u[k] + s[k] = min(c[k] + s[k], u[k+1] + s[k+1]): a running minimum from the end, exact and
without a loop.

The one quirk that shows in the total: a move's end is not held to what its length lets it reach. PrusaSlicer looks
forward first and braking backward afterwards, which undoes the former; a firmware does it the other way round. Over 98
files the slicer's way gives the slicer's time within 0.11 % (`./etabli bench planner`); the firmware's gave up to 1.9 %
more, where there are many tiny moves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from slicing.gcodetext import Floats
from slicing.moves import Batch, Limits, Moves

HELD = 512
"""Moves kept back at the end of what is known: a firmware looks 16 to 32 ahead, PrusaSlicer 64 and more."""
CHUNK = 8192
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
    of the speed with which it hands over. All mm/s.
    """

    asked: float = 0.0
    axes: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    safe: float = 0.0
    square: float | None = None


_HALT = _Before()


def seconds(moves: Moves, limits: Limits) -> Floats:
    """Of each move, from a halt to a halt."""
    batch = Batch(moves=moves, limits=limits, halted=True, dwell_seconds=0.0)
    return _settled(batch, _HALT, len(moves))[0].seconds


def timed(batches: Iterable[Batch]) -> Iterator[Timed]:
    """The moves of a file with their seconds, in order; a halt or a change of limits empties the look-ahead."""
    held: Batch | None = None
    before = _HALT
    for batch in batches:
        if held is not None:
            if batch.halted or batch.limits != held.limits:
                yield _settled(held, before, len(held.moves))[0]
                before = _HALT
            else:
                batch = replace(held, moves=held.moves.then(batch.moves))
        count = max(0, len(batch.moves) - HELD)
        if count:
            done, before = _settled(batch, before, count)
            yield done
            batch = replace(batch, moves=batch.moves[count:], dwell_seconds=0.0)
        held = batch
    if held is not None:
        yield _settled(held, before, len(held.moves))[0]


def _settled(batch: Batch, before: _Before, count: int) -> tuple[Timed, _Before]:
    """The first `count` moves, planned chunk by chunk; and what those after them must know."""
    took = [np.zeros(0)]
    for low in range(0, count, CHUNK):
        settled = min(CHUNK, count - low)
        part, before = _plan(batch.moves[low : low + settled + HELD], batch.limits, before, settled)
        took.append(part)
    done = Timed(moves=batch.moves[:count], seconds=np.concatenate(took), dwell_seconds=batch.dwell_seconds)
    return done, before


def _plan(moves: Moves, limits: Limits, before: _Before, settled: int) -> tuple[Floats, _Before]:
    """Seconds of the first `settled` moves, planned with all of them in sight."""
    deltas = (moves.dx, moves.dy, moves.dz, moves.de if limits.flow == 1 else moves.de * limits.flow)
    sizes = [np.abs(delta) for delta in deltas]
    length = np.sqrt(moves.dx * moves.dx + moves.dy * moves.dy + moves.dz * moves.dz)
    alone = length == 0  # only the filament moves
    if alone.any():
        length = np.where(alone, np.maximum(sizes[3], _TINY), length)
    asked, cruise = _speeds(moves, limits, length, sizes)
    rate = cruise / length
    axes = [delta * rate for delta in deltas]
    acceleration = _accelerations(moves, limits, length, sizes, alone)
    safe = _safe(cruise, axes, limits.jerk)
    corner = _corners(asked, cruise, safe, axes, limits.jerk, before)
    reach = 2 * acceleration * length
    square = _squares(corner * corner, reach, float(safe[-1]), before)
    took = _durations(square[: settled + 1], cruise[:settled], acceleration[:settled], reach[:settled])
    last = settled - 1
    x, y, z, e = (float(speed[last]) for speed in axes)
    after = _Before(
        asked=float(asked[last]), axes=(x, y, z, e), safe=float(safe[last]), square=float(square[settled])
    )
    return took, after


def _speeds(moves: Moves, limits: Limits, length: Floats, sizes: Sequence[Floats]) -> tuple[Floats, Floats]:
    """Speed asked for, and the one reached when no axis goes faster than it may."""
    least = SPEED_MIN
    if limits.extruding_rate_min or limits.travel_rate_min:
        rates = np.where(sizes[3] != 0, limits.extruding_rate_min, limits.travel_rate_min)
        asked = np.maximum(moves.feedrate, np.maximum(rates, least))
    else:
        asked = np.maximum(moves.feedrate, least)
    return asked, np.minimum(asked, length / _shortest(sizes, limits.speed))


def _accelerations(
    moves: Moves, limits: Limits, length: Floats, sizes: Sequence[Floats], alone: NDArray[np.bool_]
) -> Floats:
    """Which of the three applies, and no axis faster than it may."""
    extruding = _capped(moves.acceleration, limits.extruding)
    travelling = _capped(moves.travel_acceleration, limits.travelling)
    acceleration = np.where(sizes[3] != 0, extruding, travelling)
    if alone.any():
        acceleration = np.where(alone, _capped(moves.retract_acceleration, limits.retracting), acceleration)
    return np.minimum(acceleration, length / _shortest(sizes, limits.acceleration))


def _capped(asked: Floats, cap: float) -> Floats:
    """What M204 asked for, at most the cap; the cap where it said nothing (NaN)."""
    otherwise = cap if cap > 0 else ACCELERATION_DEFAULT
    wanted: Floats = np.where(asked > 0, asked, otherwise)
    return np.minimum(wanted, cap) if cap > 0 else wanted


def _shortest(sizes: Sequence[Floats], most: Sequence[float]) -> Floats:
    """By how much each move uses up its slowest axis: |distance| / limit; a limit of 0 is none."""
    used: Floats = np.full(len(sizes[0]), _TINY)
    for size, limit in zip(sizes, most, strict=True):
        if limit > 0:
            np.maximum(used, size * (1 / limit), out=used)
    return used


def _safe(cruise: Floats, axes: Sequence[Floats], jerk: Sequence[float]) -> Floats:
    """The speed from which a move may stop dead: where an axis is faster than its jerk, that jerk."""
    safe = cruise.copy()
    for speed, most in zip(axes, jerk, strict=True):
        np.minimum(safe, most, out=safe, where=np.abs(speed) > most)
    return safe


def _corners(
    asked: Floats,
    cruise: Floats,
    safe: Floats,
    axes: Sequence[Floats],
    jerk: Sequence[float],
    before: _Before,
) -> Floats:
    """The fastest at which each move may begin.

    The faster of two moves is first slowed to the other: but the first as it was asked for, the second as its axes
    allow, and only the first has its axes slowed with it. Then the whole corner, until no axis jumps by more than its
    jerk. Where an axis turns round, the jump is the larger of its two speeds, as if it stood still in between.
    """
    coming = _shifted(asked, before.asked)
    corner = np.minimum(coming, cruise)
    scale = corner / np.maximum(coming, SPEED_MIN)
    worst = np.ones(len(cruise))
    for speed, last, most in zip(axes, before.axes, jerk, strict=True):
        leaving = _shifted(speed, last) * scale
        jump = np.maximum(np.abs(leaving), np.abs(speed))
        np.minimum(jump, np.abs(leaving - speed), out=jump)  # the smaller only where both have the same sign
        np.maximum(worst, jump * (1 / max(most, _TINY)), out=worst)
    corner /= worst
    slower = np.minimum(_shifted(safe, before.safe), safe)
    return np.where((slower > corner * _COASTING) | (coming <= _STANDING), safe, corner)


def _shifted(values: Floats, first: float) -> Floats:
    """What each move finds of the one before."""
    shifted = np.empty(len(values))
    shifted[0] = first
    shifted[1:] = values[:-1]
    return shifted


def _squares(corner: Floats, reach: Floats, last_safe: float, before: _Before) -> Floats:
    """Square of the speed at the beginning of each move, and at the end of the last, where the machine stops.

    Nothing changes if a move reaches further than the fastest corner, and the running sum stays small so.
    """
    count = len(corner)
    end = last_safe * last_safe
    total = np.zeros(count + 1)
    np.cumsum(np.minimum(reach, max(float(corner.max()), end)), out=total[1:])
    square = np.empty(count + 1)
    square[:count], square[count] = corner, end
    square += total
    square = np.minimum.accumulate(square[::-1])[::-1] - total
    if before.square is not None:
        square[0] = before.square
    return np.maximum(square, 0.0)


def _durations(square: Floats, cruise: Floats, acceleration: Floats, reach: Floats) -> Floats:
    """Speeding up, cruising, slowing down; where it never cruises, the peak is where the two meet."""
    begin, end = square[:-1], square[1:]
    peak = np.minimum(cruise * cruise, (reach + begin + end) / 2)
    np.minimum(peak, begin + reach, out=peak)
    end = np.minimum(end, peak)
    top = np.sqrt(peak)
    cruising = np.maximum(reach - (2 * peak - begin - end), 0.0) / np.maximum(top, _TINY)
    took: Floats = (2 * top - np.sqrt(begin) - np.sqrt(end) + cruising / 2) / acceleration
    return took
