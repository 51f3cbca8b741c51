"""What the nozzle feels along a contour: its length, its corners, whether it is a small loop. Pure numpy.

Contours are chains of segments joined where one ends and the next begins; no mesh topology is needed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slicing.raster import F64, I64, Segments

WELD_MM = 1e-4
SHORT_MM = 0.002
CONTOUR_MM_MIN = 0.5
SMALL_LOOP_MM = 2 * np.pi * 6.5


@dataclass(frozen=True, kw_only=True)
class Chains:
    """Contours of some layers, and the turns between consecutive segments.

    `turn` is the largest component of the change of unit direction at each segment's end (0 straight, up to
    2); `contour_of` maps a segment to its contour.
    """

    layer: I64
    length: F64
    contour_of: I64
    turn: F64


def chain(segments: Segments, layers: I64) -> Chains:
    """Join the segments of the given planes into contours; those under 0.5 mm drop out later by their
    length.
    """
    chosen = np.zeros(int(max(segments.layer.max(initial=0), layers.max(initial=0))) + 1, dtype=np.bool_)
    chosen[layers] = True
    dx, dy = segments.bx - segments.ax, segments.by - segments.ay
    keep = np.flatnonzero(chosen[segments.layer] & ((dx != 0) | (dy != 0)))
    layer, dx, dy = segments.layer[keep], dx[keep], dy[keep]
    following = _following(segments, keep, layer)
    length = np.hypot(dx, dy)
    root, contour_of = np.unique(_labels(following), return_inverse=True)
    total = np.bincount(contour_of, weights=length, minlength=len(root)).astype(np.float64)
    turn = _turns(dx / length, dy / length, length, following)
    return Chains(layer=layer[root], length=total, contour_of=contour_of, turn=turn)


def _following(segments: Segments, keep: I64, layer: I64) -> I64:
    """For each segment the one that begins where it ends; itself where the mesh is open."""
    start = _keys(segments.ax[keep], segments.ay[keep], layer)
    end = _keys(segments.bx[keep], segments.by[keep], layer)
    by_start, by_end = np.argsort(start), np.argsort(end)
    following = np.arange(len(keep))
    if np.array_equal(start[by_start], end[by_end]):
        # Closed everywhere: pairing the two sorted lists is a permutation even where contours touch.
        following[by_end] = by_start
        return following
    at = np.searchsorted(start[by_start], end).clip(max=max(len(keep) - 1, 0))
    found = by_start[at] if len(keep) else at
    matches = start[found] == end
    following[matches] = found[matches]
    return following


def _keys(x: F64, y: F64, layer: I64) -> I64:
    column = np.rint((x - (x.min() if len(x) else 0)) / WELD_MM).astype(np.int64)
    row = np.rint((y - (y.min() if len(y) else 0)) / WELD_MM).astype(np.int64)
    # A hash, not a packing: 64 bits mixed; a collision would join two contours of some ten thousand, once
    # in ages.
    return (column * -7046029254386353131 + row * 2685821657736338717 + layer * 1442695040888963407).astype(
        np.int64
    )


def _labels(following: I64) -> I64:
    """The smallest segment of each cycle, by doubling the step until nothing changes."""
    label, step = np.arange(len(following)), following
    for _ in range(32):
        lower = np.minimum(label, label[step])
        if np.array_equal(lower, label):
            break
        label, step = lower, step[step]
    return label


def _turns(ux: F64, uy: F64, length: F64, following: I64) -> F64:
    onward = following
    for _ in range(3):
        onward = np.where(length[onward] < SHORT_MM, following[onward], onward)
    turn = np.maximum(np.abs(ux[onward] - ux), np.abs(uy[onward] - uy))
    turn[length < SHORT_MM] = 0.0
    turn[onward == np.arange(len(onward))] = 1.0
    return turn


def seconds_per_mm(
    chains: Chains, speed: float, small_speed: float, acceleration: float, jerk: float
) -> float:
    """Mean seconds per mm along all contours: c corners make c + 1 equal moves joined at the mean corner
    speed.

    Classic jerk: a corner whose largest change of unit direction is d passes at jerk / d; it counts below
    0.85 v. Loops shorter than 41 mm run at the small-perimeter speed.
    """
    usable = chains.length >= CONTOUR_MM_MIN
    if not usable.any():
        return 1 / speed
    pace = np.where(chains.length < SMALL_LOOP_MM, small_speed, speed)
    own_pace = pace[chains.contour_of]
    passing = np.minimum(own_pace, jerk / np.maximum(chains.turn, 1e-9))
    corner = passing < 0.85 * own_pace
    many = np.bincount(chains.contour_of[corner], minlength=len(pace))
    total = np.bincount(chains.contour_of[corner], weights=passing[corner], minlength=len(pace))
    joint: F64 = np.where(many > 0, total / np.maximum(many, 1), np.minimum(jerk, pace)).astype(np.float64)
    moves = (many + 1).astype(np.float64)
    seconds = trapezoid_seconds(chains.length, moves, pace, acceleration, joint)
    return float(seconds[usable].sum() / chains.length[usable].sum())


def trapezoid_seconds(
    length: F64 | float, moves: F64 | float, speed: F64 | float, acceleration: float, junction: F64 | float
) -> NDArray[np.float64]:
    """Seconds for `length` mm in equal straight `moves`, cruising at `speed`, passing the joints at
    `junction` mm/s.
    """
    length, moves = (
        np.asarray(length, dtype=np.float64),
        np.maximum(np.asarray(moves, dtype=np.float64), 1e-9),
    )
    speed_, joint = np.asarray(speed, dtype=np.float64), np.minimum(junction, speed)
    each = length / moves
    reaches = each >= (speed_**2 - joint**2) / acceleration
    cruising = each / speed_ + (speed_ - joint) ** 2 / (acceleration * speed_)
    peaking = 2 * (np.sqrt(acceleration * each + joint**2) - joint) / acceleration
    seconds: NDArray[np.float64] = moves * np.where(reaches, cruising, peaking)
    return seconds
