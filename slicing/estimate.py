"""The instant estimate: seconds and milligrams of a mesh under a profile, as a pure numpy function.

Every layer is filled with bits, split into what the slicer would print there, and priced by the geometry of extrusion
and by trapezoidal motion with classic jerk. Coefficients are those measured against PrusaSlicer 2.5.0; they estimate
*its* figures, not yet a machine's. Knows nothing of files, jobs or prices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import pi, sqrt

import numpy as np

from slicing import bitraster, contours, pace, raster
from slicing.bitraster import F64, Cuts, Grid
from slicing.coefficients import DEFAULT, Coefficients
from slicing.contours import Sample
from slicing.interval import judged
from slicing.pace import Lengths
from slicing.recipe import Recipe, recipe
from slicing.results import PrintEstimate
from slicing.supports import Supports, supports
from slicing.zones import Zones, plan, zones

HULL_DIRECTIONS = 16


@dataclass(frozen=True, kw_only=True)
class Slices:
    """Everything measured on the raster, before any price in grams or seconds."""

    grid: Grid
    zones: Zones
    supports: Supports
    sample: Sample | None
    leak_rows: int
    overlap_share: float
    extent: F64
    girth_mm: float


def estimate_print(
    triangles: F64, keys: Mapping[str, str], quantity: int = 1, coefficients: Coefficients = DEFAULT
) -> PrintEstimate:
    """Estimate `quantity` copies on one plate. `triangles` is (m, 3, 3) in mm, wound outward as a whole.

    The result's `features` are volumes in mm3 and seconds by kind. Pure: same input, same output.
    """
    r = recipe(keys)
    slices = measure(triangles, r)
    volumes = material_mm3(slices, r, coefficients)
    seconds = seconds_by_kind(slices, r, coefficients, quantity)
    skirt = volumes.pop("skirt")
    cubic_mm = (sum(volumes.values()) * quantity + skirt * sqrt(quantity)) * r.flow
    features = {f"mm3_{name}": round(value, 2) for name, value in volumes.items()}
    features |= {f"s_{name}": round(value, 1) for name, value in seconds.items()}
    features |= _circumstances(slices, volumes, r) | {"mm3_skirt": round(skirt, 2)}
    return judged(cubic_mm * r.filament_density, sum(seconds.values()), quantity, features)


def _circumstances(slices: Slices, volumes: Mapping[str, float], r: Recipe) -> dict[str, float]:
    """What makes a figure more or less certain, and what later learning may ask for."""
    g, z = slices.grid, slices.zones
    total = max(sum(volumes.values()), 1e-9)
    dense = max(float(z.area.sum()), 1e-9)
    return {
        "layers": g.layers,
        "px_mm": round(g.px, 3),
        "stride": g.stride,
        "leak_rows": slices.leak_rows,
        "leak_share": round(slices.leak_rows / (g.nz * g.ny), 5),
        "overlap_share": round(slices.overlap_share, 4),
        "support_share": round((volumes["support"] + volumes["interface"]) / total, 4),
        "support_mm3": round(float((slices.supports.column + slices.supports.interface).sum()) * g.dz, 1),
        "support_layers": round(slices.supports.layers * g.scale),
        "contours": round(float(slices.sample.count.sum()) * g.scale) if slices.sample else 0,
        "contour_mm": round(float(z.outline_mm.sum()) * g.scale, 1),
        "hidden_share": round(float(z.hidden_mm.sum()) / max(float(z.outline_mm.sum()), 1e-9), 4),
        "wall_share": round(float(z.wall.sum()) / dense, 4),
        "height_mm": round(g.layers * r.h, 2),
    }


def measure(triangles: F64, r: Recipe) -> Slices:
    """Raster the mesh and split its layers; the expensive half of the estimate."""
    low, high = raster.bounds(triangles)
    grid = plan(low, high, r)
    cuts = bitraster.cut(triangles, grid)
    filled = bitraster.fill(cuts, grid)
    split, inner = zones(filled, bitraster.outline(cuts, grid), grid, r)
    return Slices(
        grid=grid,
        zones=split,
        supports=supports(filled.solid, inner, grid, r) if r.support.wanted else Supports.none(grid.nz),
        sample=contours.sample(cuts, grid.nz) if len(cuts.layer) else None,
        leak_rows=filled.leak_rows,
        overlap_share=filled.overlap_share,
        extent=high - low,
        girth_mm=_girth(cuts, max(1, r.skirt.height // grid.stride)),
    )


def _girth(cuts: Cuts, planes: int) -> float:
    """Perimeter of the convex hull of the lowest planes: pi times the mean width over all directions (Cauchy)."""
    lowest = np.flatnonzero(cuts.layer < planes)
    if not len(lowest):
        return 0.0
    angle = np.arange(HULL_DIRECTIONS) * (pi / HULL_DIRECTIONS)
    towards = np.stack((np.cos(angle), np.sin(angle))).astype(np.float32)
    along = np.stack((cuts.ax[lowest], cuts.ay[lowest]), axis=1) @ towards
    return pi * float((along.max(axis=0) - along.min(axis=0)).mean())


def line_lengths(z: Zones, r: Recipe) -> Lengths:
    """Extruded mm per sampled layer, by kind."""
    # The outermost line's round outer side leaves this strip of the outline empty.
    strip = (r.external.width - r.external.spacing) / 2
    wall = np.maximum(z.wall - strip * z.outline_mm, 0)
    external = np.minimum(z.external_mm, wall / r.external.spacing)
    sparse = r.density * z.sparse / r.infill.spacing
    room = np.maximum(pace.SPARSE_FILL_CAP * z.sparse / r.infill.spacing - sparse, 0)
    anchored = 0.0 < r.density < 1.0 and r.anchor_max_mm > 0
    bottom = z.bottom.copy()
    bottom[0] = 0  # what lies on the bed is no bridge
    solid = z.solid + (z.bottom - bottom)
    return Lengths(
        external=external,
        inner=np.maximum(wall - external * r.external.spacing, 0) / r.inner.spacing,
        solid=solid / r.solid.spacing,
        top=z.top / r.top.spacing,
        bridge=(bottom + z.bridge) / r.bridge.spacing,
        sparse=sparse,
        anchors=np.minimum(z.sparse_edge / 2, room) if anchored else np.zeros_like(sparse),
    )


def material_mm3(slices: Slices, r: Recipe, c: Coefficients = DEFAULT) -> dict[str, float]:
    """Cubic mm of plastic of one copy by kind; `skirt` (brim included) is once a plate."""
    length = line_lengths(slices.zones, r)

    def of(lines: F64, thick_mm2: float) -> float:
        total = float(lines.sum()) * r.h * slices.grid.scale + float(lines[0]) * (r.h_first - r.h)
        return total * thick_mm2

    bridge = float(length.bridge.sum()) * slices.grid.scale * r.bridge.spacing * r.bridge_thickness
    loops, _ = skirt_mm(slices, r)
    supported = of(pace.support_mm(slices.supports, r, c), r.support.line.spacing)
    faces = float(slices.supports.interface.sum()) * c.support_interface * r.h * slices.grid.scale
    faces = min(1.0, faces / max(supported, 1e-9))
    return {
        "external": c.external * of(length.external, r.external.spacing),
        "inner": c.inner * of(length.inner, r.inner.spacing),
        "solid": c.solid * of(length.solid, r.solid.spacing),
        "top": c.top * of(length.top, r.top.spacing),
        "bridge": c.bridge * bridge,
        "sparse": c.sparse * of(length.sparse, r.infill.spacing),
        "anchors": c.anchors * of(length.anchors, r.infill.spacing),
        "support": supported * (1 - faces),
        "interface": supported * faces,
        "skirt": c.skirt * loops * _skirt_mm2(r) + _brim_mm3(slices, r),
    }


def _skirt_mm2(r: Recipe) -> float:
    return r.h_first * (r.skirt.width - r.h_first * (1 - pi / 4))


def skirt_mm(slices: Slices, r: Recipe) -> tuple[float, int]:
    """Length of all loops of all layers, and how many layers have them.

    Loops are added until the first layer's are as long as the profile asks (in mm of filament).
    """
    if not r.skirt.loops:
        return 0.0, 0
    layers = min(max(1, r.skirt.height), slices.grid.layers)
    apart = r.skirt.width - r.h_first * (1 - pi / 4)
    asked = r.skirt.length_min_mm * r.filament_mm2 / _skirt_mm2(r)
    first = slices.girth_mm + 2 * pi * (r.skirt.distance + r.skirt.brim + r.skirt.width / 2)
    once, loops = 0.0, 0
    while loops < r.skirt.loops or (once < asked and loops < 100):
        once += first + 2 * pi * apart * loops
        loops += 1
    return once * layers, layers


def _brim_mm3(slices: Slices, r: Recipe) -> float:
    if r.skirt.brim <= 0:
        return 0.0
    outline = float(slices.zones.outline_mm[0]) if len(slices.zones.outline_mm) else 0.0
    return (outline * r.skirt.brim + pi * r.skirt.brim**2) * r.h_first


def seconds_by_kind(
    slices: Slices, r: Recipe, c: Coefficients = DEFAULT, quantity: int = 1
) -> dict[str, float]:
    """Seconds of printing by kind for `quantity` copies on one plate; `cooling` is what slowing down adds."""
    z, f, scale = slices.zones, c.pace, slices.grid.scale
    length = line_lengths(z, r)
    kinds = pace.layer_seconds(z, length, slices.sample, r, f)
    count = slices.sample.count if slices.sample else np.zeros(slices.grid.nz)
    travel = pace.travel_seconds(z, count, slices.extent, r, f)
    if r.support.wanted:
        kinds |= pace.support_seconds(slices.supports, r, c)
        travel = travel + pace.support_travel_seconds(slices.supports, r, f)
    printing: F64 = np.add.reduce(list(kinds.values()))
    first = pace.first_layer_seconds(z, length, r, f)
    changed = first - float(printing[0])
    printing = printing.copy()
    printing[0] += changed / scale  # the plane stands for `scale` layers, one of which is the first
    plate, moves = quantity * printing, quantity * travel + f.per_layer
    extruded = quantity * (length.total() + pace.support_mm(slices.supports, r, c))
    cruising = quantity * pace.cruising_seconds(length, r)
    if r.support.wanted:
        cruising = cruising + quantity * pace.support_mm(slices.supports, r, c) / r.support.line.speed
    layers = pace.cooled(plate, cruising, moves, extruded, r)
    all_loops, skirted = skirt_mm(slices, r)
    loop = all_loops / max(skirted, 1)
    skirt = loop / r.v_first + (all_loops - loop) / r.inner.speed if skirted else 0.0
    brim = _brim_mm3(slices, r) / max(_skirt_mm2(r), 1e-9) / r.v_first
    result = {name: quantity * scale * float(value.sum()) for name, value in kinds.items()}
    return result | {
        "first": quantity * changed,
        "travel": scale * float(moves.sum()),
        "cooling": scale * float((layers - plate - moves).sum()),
        "skirt": (skirt + brim) * sqrt(quantity),
        "fixed": f.fixed_seconds + r.script_seconds,
    }
