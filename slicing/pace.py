"""Seconds per layer of every kind of move: straight moves as trapezoids with classic jerk, then cooling.

Estimates what PrusaSlicer 2.5's own motion planner reports. Knows areas and lengths only; no mesh, no raster.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot, pi

import numpy as np

from slicing import contours
from slicing.bitraster import F64
from slicing.coefficients import Coefficients, PaceFactors
from slicing.contours import Sample, trapezoid_seconds
from slicing.recipe import Line, Recipe
from slicing.supports import Supports
from slicing.zones import Zones

CHORD_MM_MIN = 0.4
SPARSE_FILL_CAP = 0.9
ANCHOR_MOVE_MM = 3.0
SLANTED_TURN = 1.2
CRUISING_TRAVEL = 0.5
"""Share of the travelling time that is left without accelerations."""


@dataclass(frozen=True, kw_only=True)
class Lengths:
    """Extruded mm per sampled layer, by kind."""

    external: F64
    inner: F64
    solid: F64
    top: F64
    bridge: F64
    sparse: F64
    anchors: F64

    def total(self) -> F64:
        return self.external + self.inner + self.solid + self.top + self.bridge + self.sparse + self.anchors


def layer_seconds(
    z: Zones, length: Lengths, sample: Sample | None, r: Recipe, f: PaceFactors
) -> dict[str, F64]:
    """Seconds of printing per sampled layer, by kind, as if each were an ordinary layer."""
    external, inner = _perimeter_paces(sample, r)
    flat_edge = z.flat_edge
    flat_chord = _chord(z.top + z.bottom + z.bridge, flat_edge)
    return {
        "external": f.external * length.external * external,
        "inner": f.inner * length.inner * inner,
        "solid": f.solid * _lines(length.solid, _chord(z.solid, z.solid_edge), r.solid, r.jerk),
        "top": f.top * _lines(length.top, flat_chord, r.top, r.jerk),
        "bridge": f.bridge * _lines(length.bridge, flat_chord, r.bridge, r.jerk),
        "sparse": _sparse_seconds(z, length, r, f),
        "anchors": f.anchors * _lines(length.anchors, np.asarray(ANCHOR_MOVE_MM), r.infill, r.jerk),
    }


def _sparse_seconds(z: Zones, length: Lengths, r: Recipe, f: PaceFactors) -> F64:
    """Straight lines reach their speed; a wave is only as fast as its bends allow, sqrt(a r) with r its radius."""
    if r.pattern == "gyroid" and r.density > 0:
        bend = f.wavy * r.infill.spacing / r.density
        wavy = min(r.infill.speed, (r.infill.acceleration * bend) ** 0.5)
        seconds: F64 = f.sparse_wavy * length.sparse / wavy
        return seconds
    return f.sparse * _lines(length.sparse, _chord(z.sparse, z.sparse_edge), r.infill, r.jerk)


def _perimeter_paces(sample: Sample | None, r: Recipe) -> tuple[float, float]:
    """Seconds per mm of the outermost perimeter, and of the others."""
    if sample is None:
        return 1 / r.external.speed, 1 / r.inner.speed
    a = r.external.acceleration
    return (
        contours.seconds_per_mm(sample.chains, r.external.speed, r.v_small_external, a, r.jerk),
        contours.seconds_per_mm(sample.chains, r.inner.speed, r.v_small_inner, a, r.jerk),
    )


def _chord(area: F64, edge: F64) -> F64:
    """Mean length of a straight line through a region (Cauchy)."""
    return np.maximum(pi * area / np.maximum(edge, 1e-9), CHORD_MM_MIN)


def _lines(length: F64, chord: F64, line: Line, jerk: float) -> F64:
    """Parallel lines of a mean length, joined at their ends by a turn that is slanted to both axes."""
    number = np.maximum(length / chord, 1e-9)
    return trapezoid_seconds(length, number, line.speed, line.acceleration, SLANTED_TURN * jerk)


def first_layer_seconds(z: Zones, length: Lengths, r: Recipe, f: PaceFactors) -> float:
    """Seconds of printing the first layer."""
    walls = float(length.external[0] + length.inner[0]) / r.v_first
    filled = float(length.solid[0] + length.top[0] + length.bridge[0] + length.sparse[0])
    area = float(z.top[0] + z.bottom[0] + z.bridge[0] + z.solid[0])
    chord = max(pi * area / max(float(z.flat_edge[0] + z.solid_edge[0]), 1e-9), CHORD_MM_MIN)
    lines = trapezoid_seconds(filled, max(filled / chord, 1e-9), r.v_first_infill, r.a_first, r.jerk)
    # The first layer has lines of its own width: wider ones are fewer.
    wider = (r.skirt.width - r.h_first * (1 - pi / 4)) / r.inner.spacing
    return f.first * (walls + float(lines)) / max(wider, 0.5)


def travel_seconds(z: Zones, count: F64, extent: F64, r: Recipe, f: PaceFactors) -> F64:
    """Seconds of travelling and retracting per sampled layer."""
    number = (
        f.travels_per_contour * count
        + f.travels_per_solid_edge * (z.solid_edge + z.flat_edge) / 40
        + f.travels_per_sparse_edge * z.sparse_edge / 40
    )
    far = f.travel_mm + f.travel_span * hypot(float(extent[0]), float(extent[1]))
    move = float(trapezoid_seconds(far, 1.0, r.v_travel, r.a_travel, min(r.jerk, r.v_travel)))
    retracted = f.retracted_sparingly if r.retracts_sparingly else f.retracted
    return number * (retracted * r.retract_seconds + move)


def support_mm(s: Supports, r: Recipe, c: Coefficients) -> F64:
    """Extruded mm of supports per sampled layer: lines at their spacing, a contour, the interface."""
    line = r.support.line.spacing
    density = min(1.0, line / (r.support.spacing + line))
    faces = min(1.0, line / (r.support.interface_spacing + line))
    mm2 = c.support_column * density * s.column + c.support_edge * line * s.edge
    mm2 = mm2 + c.support_interface * faces / 0.61 * s.interface
    if len(mm2):
        mm2[0] = max(mm2[0], c.support_base * s.column[0])  # the foot on the bed is laid densely
    return mm2 / line


def support_seconds(s: Supports, r: Recipe, c: Coefficients) -> dict[str, F64]:
    """Seconds of printing supports per sampled layer."""
    area = s.column + s.interface
    lines = _lines(support_mm(s, r, c), _chord(area, s.edge), r.support.line, r.jerk)
    return {"support": c.pace.support * lines}


def support_travel_seconds(s: Supports, r: Recipe, f: PaceFactors) -> F64:
    """Seconds of travelling between support islands per sampled layer."""
    some = (s.column + s.interface) > 0
    return (f.support_travels * some + f.support_travels_per_edge * s.edge / 40) * (
        r.retract_seconds + 10 / r.v_travel
    )


def cruising_seconds(length: Lengths, r: Recipe) -> F64:
    """Seconds of printing a layer if every move ran at its speed from end to end: what the cooling reckons with."""
    return (
        length.external / r.external.speed
        + length.inner / r.inner.speed
        + length.solid / r.solid.speed
        + length.top / r.top.speed
        + length.bridge / r.bridge.speed
        + (length.sparse + length.anchors) / r.infill.speed
    )


def cooled(printing: F64, cruising: F64, travel: F64, length: F64, r: Recipe) -> F64:
    """Layer times after the slow-down of layers that are done too soon.

    The slicer compares the time without accelerations to what the profile asks and slows printing, not travelling, by
    what is missing, down to its least speed; what accelerating costs shrinks with the speed.
    """
    missing = np.maximum(r.slow_below - cruising - CRUISING_TRAVEL * travel, 0)
    slowed = cruising + np.minimum(missing, np.maximum(length / r.v_minimum - cruising, 0))
    lost = np.maximum(printing - cruising, 0)
    return np.maximum(printing, slowed + lost * cruising / np.maximum(slowed, 1e-9)) + travel
