"""Tabs: short places where a part's outline is not cut, so that it does not fall, tilt or fly before it is done."""

from __future__ import annotations

import numpy as np

from slicing.vector import plane
from slicing.vector.design import FloatArray

SHARP_DEGREES = 25.0
PHASES = 48
ROOM = 4.0
"""A tab's share of the line is at most one in so many."""


def gaps(ring: FloatArray, count: int, width_mm: float) -> tuple[tuple[float, float], ...]:
    """(from, to) in mm along a closed line from its first point: evenly spread, as far from corners as that allows.

    Fewer than asked for where the line is too short for them; none of them runs over the line's beginning.
    """
    total = plane.length(ring, closed=True)
    count = min(count, int(total / (ROOM * width_mm)))
    if count < 1:
        return ()
    step = total / count
    corners = _corners(ring)
    phases = np.linspace(width_mm / 2, step - width_mm / 2, PHASES)
    places = phases[:, None] + np.arange(count) * step
    chosen = places[int(np.argmax(_clearance(places, corners, total)))]
    return tuple((float(at - width_mm / 2), float(at + width_mm / 2)) for at in chosen)


def _corners(ring: FloatArray) -> FloatArray:
    """Where along the line it turns sharply, mm."""
    steps = np.roll(ring, -1, axis=0) - ring
    angle = np.arctan2(steps[:, 1], steps[:, 0])
    turn = np.abs((angle - np.roll(angle, 1) + np.pi) % (2 * np.pi) - np.pi)
    along = np.concatenate(([0.0], np.cumsum(plane.lengths(ring, closed=True))[:-1]))
    found: FloatArray = along[turn > np.radians(SHARP_DEGREES)]
    return found


def _clearance(places: FloatArray, corners: FloatArray, total: float) -> FloatArray:
    """For each row of places how far the one nearest to a corner is from it."""
    if not len(corners):
        # Without corners any phase is as good: the middle one, farthest from the line's beginning.
        middle: FloatArray = -np.abs(np.arange(len(places)) - len(places) / 2)
        return middle
    around = np.concatenate((corners[-1:] - total, corners, corners[:1] + total))
    after = np.clip(np.searchsorted(around, places), 1, len(around) - 1)
    nearest: FloatArray = np.minimum(np.abs(places - around[after - 1]), np.abs(around[after] - places)).min(
        axis=1
    )
    return nearest
