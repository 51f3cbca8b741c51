"""Support columns under overhangs, on bits: how much is built, interface layers apart. Volumes in mm3.

Knows no patterns and no speeds beyond the profile's geometry: what the columns weigh is the estimate's business.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import radians, tan

import numpy as np

from slicing import bitraster
from slicing.bitraster import F64, Bits, Grid
from slicing.recipe import Recipe

MARGIN_MM = 1.5
"""How far PrusaSlicer widens what it supports, on all sides."""
APART_MAX = 4


@dataclass(frozen=True, kw_only=True)
class Supports:
    """Per sampled layer, mm2: columns without their interface, the interface, and the columns' contour in mm."""

    column: F64
    interface: F64
    edge: F64

    @classmethod
    def none(cls, planes: int) -> Supports:
        nothing = np.zeros(planes)
        return cls(column=nothing, interface=nothing, edge=nothing)

    @property
    def layers(self) -> int:
        """Sampled layers that carry supports."""
        return int(np.count_nonzero(self.column + self.interface))


def supports(solid: Bits, inner: Bits, grid: Grid, r: Recipe) -> Supports:
    """Columns under overhangs, marched down from the top; `inner` is where infill lies, which alone bridges a gap."""
    contact = _contact(solid, grid, r)
    if r.support.bridges_free:
        contact &= ~_bridged(solid, inner, contact, grid, r)
    column, interface = _marched(_footprint(contact, grid), solid, grid, r)
    pixel = grid.px**2
    return Supports(
        column=bitraster.per_layer(column & ~interface) * pixel,
        interface=bitraster.per_layer(interface) * pixel,
        edge=bitraster.edges(column) * grid.px * np.pi / 4,
    )


def _contact(solid: Bits, grid: Grid, r: Recipe) -> Bits:
    """What reaches further over the layer below than the threshold allows, back to where that layer ends."""
    reach = grid.stride * r.h / tan(radians(r.support.threshold)) / grid.px
    apart = min(range(1, 1 + min(APART_MAX, len(solid))), key=lambda n: _misfit(n * reach))
    growth = max(1, round(apart * reach))
    result = np.zeros_like(solid)
    if apart < len(solid):
        allowed = solid[:-apart]
        for i in range(growth):
            allowed = bitraster.grown(allowed, "ds"[i % 2])
        beyond = solid[apart:] & ~allowed
        for i in range(growth):
            beyond = bitraster.grown(beyond, "sd"[i % 2])
        result[apart:] = beyond & solid[apart:] & ~solid[apart - 1 : -1]
    return result


def _misfit(pixels: float) -> float:
    """How badly a distance fits whole pixels, as a share of it."""
    return abs(pixels - max(1, round(pixels))) / pixels


def _bridged(solid: Bits, inner: Bits, contact: Bits, grid: Grid, r: Recipe) -> Bits:
    """Contact whose run along x or along y ends on both sides in solid that is itself supported.

    Infill bridges, and the perimeters beside it with it; perimeters alone, as in the rings of a dome, do not.
    """
    held = solid & ~contact
    spanning = _held_along_x(contact, held) | _held_along_y(contact, held)
    beside = 1.5 * r.wall_mm / grid.px
    infill = bitraster.opened_2x2(spanning & inner)
    return spanning & bitraster.some_layers(infill, lambda part: bitraster.spread(part, beside))


def _held_along_x(overhang: Bits, held: Bits) -> Bits:
    left = _flood(overhang, held, 1, 0)
    return left & _flood(overhang, held, -1, 0)


def _held_along_y(overhang: Bits, held: Bits) -> Bits:
    up = _flood(overhang, held, 0, 1)
    return up & _flood(overhang, held, 0, -1)


def _flood(within: Bits, source: Bits, dx: int, dy: int) -> Bits:
    """What of `within` is reached from `source` going straight in one direction, by doubling (Kogge-Stone)."""
    reached, open_ = within & bitraster.moved(source, dx, dy), within
    step = 1
    limit = within.shape[1] * bitraster.WORD if dx else within.shape[2]
    while step <= limit:
        reached = reached | (open_ & bitraster.moved(reached, dx * step, dy * step))
        open_ = open_ & bitraster.moved(open_, dx * step, dy * step)
        if not open_.any():
            break
        step *= 2
    return reached


def _footprint(contact: Bits, grid: Grid) -> Bits:
    """Where support is built for it: with the slicer's margin around."""
    grown = bitraster.some_layers(contact, lambda part: bitraster.spread(part, MARGIN_MM / grid.px))
    return grown & ~_border(contact, grid)


def _border(volume: Bits, grid: Grid) -> Bits:
    edge = np.zeros(volume.shape[1:], dtype=np.uint64)
    edge[:, :2] = edge[:, -2:] = ~np.uint64(0)
    edge[0] |= np.uint64(3)
    edge[-1] |= np.uint64(3) << np.uint64(62)
    return edge


def _marched(foot: Bits, solid: Bits, grid: Grid, r: Recipe) -> tuple[Bits, Bits]:
    """Columns and the interface under what they carry, layer by layer downwards."""
    column, interface = np.zeros_like(solid), np.zeros_like(solid)
    blocked = solid
    for i in range(max(1, round(r.support.xy_gap / grid.px))):
        blocked = bitraster.grown(blocked, "sd"[i % 2])
    active = np.zeros_like(solid[0])
    thick = max(1, round(r.support.interface_layers / grid.stride)) if r.support.interface_layers else 0
    for k in range(len(solid) - 2, -1, -1):
        active = (active | foot[k + 1]) & ~blocked[k]
        column[k] = active
        if thick:
            interface[k] = np.bitwise_or.reduce(foot[k + 1 : k + 1 + thick], axis=0) & active
    return column, interface
