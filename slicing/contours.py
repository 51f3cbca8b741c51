"""What the nozzle feels along a contour: its length, its corners, whether it is a small loop. Pure numpy.

Contours are chains of cuts joined where one ends and the next begins; no mesh topology is needed. Lengths in mm,
speeds in mm/s.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slicing.bitraster import F32, F64, I64, Cuts

SHORT_MM = 0.002
CONTOUR_MM_MIN = 0.5
SMALL_LOOP_MM = 2 * np.pi * 6.5
"""PrusaSlicer's own limit: shorter loops run at the small-perimeter speed."""
SAMPLED_LAYERS = 40
SAMPLED_CUTS = 16_000


@dataclass(frozen=True, kw_only=True)
class Chains:
    """Contours of some layers, and the turns between consecutive cuts.

    `turn` is the largest component of the change of unit direction at each cut's end (0 straight, up to 2);
    `contour_of` maps a cut to its contour.
    """

    layer: I64
    length: F64
    contour_of: I64
    turn: F32


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Chains of some planes, and the number of contours of every plane (interpolated)."""

    chains: Chains
    count: F64


def sample(cuts: Cuts, planes: int) -> Sample:
    """Chain a few planes, evenly chosen: fine meshes say as much about pace with fewer of them."""
    step = max(1, -(-planes // SAMPLED_LAYERS), min(len(cuts.layer) // SAMPLED_CUTS, planes // 8))
    chosen = np.zeros(planes, dtype=np.bool_)
    chosen[step // 2 :: step] = True
    if planes:
        chosen[0] = True
    chains = chain(cuts, np.flatnonzero(chosen[cuts.layer]))
    layers = np.flatnonzero(chosen)
    long_enough = chains.length >= CONTOUR_MM_MIN
    count = np.bincount(chains.layer[long_enough], minlength=planes)[layers]
    return Sample(chains=chains, count=np.interp(np.arange(planes), layers, count))


def chain(cuts: Cuts, chosen: I64) -> Chains:
    """Join the chosen cuts into contours; those under 0.5 mm drop out later by their length."""
    dx, dy = cuts.bx[chosen] - cuts.ax[chosen], cuts.by[chosen] - cuts.ay[chosen]
    real = np.flatnonzero((dx != 0) | (dy != 0))
    if len(real) < len(chosen):
        chosen, dx, dy = chosen[real], dx[real], dy[real]
    layer = cuts.layer[chosen]
    length = np.sqrt(dx * dx + dy * dy)
    ax, ay, bx, by = cuts.ax[chosen], cuts.ay[chosen], cuts.bx[chosen], cuts.by[chosen]
    following = _following(_keys(ax, ay, layer), _keys(bx, by, layer))
    label = _labels(following)
    first = np.flatnonzero(label == np.arange(len(label)))
    number = np.empty(len(label), dtype=np.int64)
    number[first] = np.arange(len(first))
    contour_of = number[label]
    total = np.bincount(contour_of, weights=length, minlength=len(first)).astype(np.float64)
    turn = _turns(dx / length, dy / length, length, following)
    return Chains(layer=layer[first], length=total, contour_of=contour_of, turn=turn)


def _keys(x: F32, y: F32, layer: I64) -> I64:
    """A hash of a point: neighbours' ends are bit-identical, and a collision would join two contours once in ages."""
    column, row = x.view(np.int32).astype(np.int64), y.view(np.int32).astype(np.int64)
    return column * -7046029254386353131 + row * 2685821657736338717 + layer * 1442695040888963407


def _following(start: I64, end: I64) -> I64:
    """For each cut the one that begins where it ends; itself where the mesh is open."""
    by_start, by_end = np.argsort(start), np.argsort(end)
    following = np.arange(len(start))
    sorted_start = start[by_start]
    if np.array_equal(sorted_start, end[by_end]):
        # Closed everywhere: pairing the two sorted lists is a permutation even where contours touch.
        following[by_end] = by_start
        return following
    at = np.searchsorted(sorted_start, end).clip(max=max(len(start) - 1, 0))
    matches = sorted_start[at] == end
    following[matches] = by_start[at][matches]
    return following


def _labels(following: I64) -> I64:
    """The smallest cut of each cycle, by doubling the step until nothing changes."""
    label, step = np.arange(len(following)), following
    for _ in range(32):
        lower = np.minimum(label, label[step])
        if np.array_equal(lower, label):
            break
        label, step = lower, step[step]
    # An open chain's cuts may keep labels that are no root: point them at the root they lead to.
    for _ in range(32):
        root = label[label]
        if np.array_equal(root, label):
            break
        label = root
    return label


def _turns(ux: F32, uy: F32, length: F32, following: I64) -> F32:
    onward = following
    short = length < SHORT_MM
    if short.any():
        for _ in range(3):
            onward = np.where(short[onward], following[onward], onward)
    turn: F32 = np.maximum(np.abs(ux[onward] - ux), np.abs(uy[onward] - uy))
    turn[short] = 0.0
    turn[onward == np.arange(len(onward))] = 1.0
    return turn


def seconds_per_mm(
    chains: Chains, speed: float, small_speed: float, acceleration: float, jerk: float
) -> float:
    """Mean seconds per mm along all contours: c corners make c + 1 equal moves joined at the mean corner speed.

    Classic jerk: a corner whose largest change of unit direction is d passes at jerk / d; it counts below 0.85 v.
    Loops shorter than 41 mm run at the small-perimeter speed.
    """
    usable = chains.length >= CONTOUR_MM_MIN
    if not usable.any():
        return 1 / speed
    pace = np.where(chains.length < SMALL_LOOP_MM, small_speed, speed)
    # Corners too gentle for the fastest loop are too gentle for all: most of a fine mesh drops out here.
    sharp = np.flatnonzero(chains.turn > jerk / (0.85 * max(speed, small_speed)))
    contour = chains.contour_of[sharp]
    own = pace[contour]
    passing = np.minimum(own, jerk / chains.turn[sharp])
    corner = passing < 0.85 * own
    contour, passing = contour[corner], passing[corner]
    many = np.bincount(contour, minlength=len(pace))
    total = np.bincount(contour, weights=passing, minlength=len(pace))
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
