"""Which part of every layer is wall, solid, bridge or sparse: what the slicer would do, on a raster of bits.

Follows PrusaSlicer 2.5: perimeters by distance from the surface, shells by what is uncovered above or below and by
what the neighbouring layers' infill does not share, uncovered regions widened into the infill, the first solid layer
over sparse infill bridged. Areas in mm2, lengths in mm. Knows nothing of time or filament.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi

import numpy as np

from slicing import bitraster
from slicing.bitraster import F64, Bits, Filled, Grid, Outline
from slicing.recipe import Recipe

PIXEL_MM = 0.2
VOXELS_MAX = 40_000_000
# Share of the solid area covered twice; beyond it the exact outline counts walls that the slicer merges.
OVERLAP_SHARE = 0.002
EXTERNAL_MARGIN_MM = 3.0
"""How far PrusaSlicer widens what is uncovered above or below into the infill around it."""


@dataclass(frozen=True, kw_only=True)
class Zones:
    """Per sampled layer: areas in mm2, contour lengths in mm, corrected for the raster."""

    area: F64
    outline_mm: F64
    hidden_mm: F64
    external_mm: F64
    inner_mm: F64
    wall: F64
    interior: F64
    interior_edge: F64
    top: F64
    bottom: F64
    bridge: F64
    flat_edge: F64
    solid: F64
    solid_edge: F64
    sparse: F64
    sparse_edge: F64


def plan(low: F64, high: F64, r: Recipe) -> Grid:
    """The finest grid within the voxel budget: first coarser pixels, then fewer layers, then coarser still.

    A pixel is a whole fraction of the depth at which infill begins, so that eroding comes out there.
    """
    extent = high - low
    layers = r.layer_count(float(extent[2]))
    depth = max(r.infill_from_mm, r.infill.width / 2)
    steps, stride = max(1, round(depth / PIXEL_MM)), 1
    px = depth / steps
    while True:
        words, ny = _words(float(extent[0]), px), int(float(extent[1]) / px) + 8
        nz = -(-layers // stride)
        if words * 64 * ny * nz <= VOXELS_MAX:
            break
        if steps > 1 and depth / (steps - 1) < 0.4:
            steps -= 1
            px = depth / steps
        elif stride < 2 and nz > 40:
            stride += 1
        elif steps > 1:
            steps -= 1
            px = depth / steps
        elif stride < 4 and nz > 40:
            stride += 1
        else:
            px *= 1.2
    dz = stride * r.h
    first = max(r.h_first - r.h / 2, r.h_first / 4) if stride == 1 else min(dz, float(extent[2])) / 2
    return Grid(
        x0=float(low[0]) - bitraster.MARGIN * px,
        y0=float(low[1]) - bitraster.MARGIN * px,
        z0=float(low[2]) + min(first, float(extent[2]) / 2),
        dz=dz,
        px=px,
        words=words,
        ny=ny,
        nz=nz,
        stride=stride,
        layers=layers,
    )


def _words(width_mm: float, px: float) -> int:
    return -(-(int(width_mm / px) + 8) // bitraster.WORD)


def zones(filled: Filled, around: Outline, grid: Grid, r: Recipe) -> tuple[Zones, Bits]:
    """Split every sampled layer; and where its infill lies."""
    pixel = grid.px**2
    covered = bitraster.per_layer(filled.solid) * pixel
    clean = not filled.leak_rows and not filled.negative and filled.overlap_share <= OVERLAP_SHARE
    area = np.maximum(around.area, 0) if clean else covered
    levels, inner, kappa = _walls(filled.solid, around, grid, r)
    seen = np.minimum(1.0, levels[0] / np.maximum(around.l1, 1e-9))
    if filled.overlap_share > OVERLAP_SHARE:  # what lies inside another body is no wall, and no slit either
        length, hidden = around.length * seen, np.zeros(grid.nz)
    else:
        length, hidden = around.length, np.where(seen < 0.93, around.length * (1 - seen), 0.0)
    external, others = _loops(levels, length - hidden, grid, r)
    external, others = external + hidden, others + hidden * max(0, r.perimeters - 1)
    opened = bitraster.opened_2x2(inner)
    inner_area = bitraster.per_layer(opened) * pixel
    smooth = np.where(around.l1 > 0, around.length / np.maximum(around.l1, 1e-9), pi / 4)
    interior_edge = bitraster.edges(opened) * grid.px * smooth
    depth = r.infill_from_mm
    gone = np.minimum(kappa * np.maximum(area - inner_area, 0) + depth * hidden, area)
    interior = area - gone
    to_true = np.where(inner_area > 0, interior / np.maximum(inner_area, 1e-9), 0.0) * pixel
    split = _infill(opened, filled.solid, grid, r)
    sparse, solid = (bitraster.per_layer(split[name]) * to_true for name in ("sparse", "solid"))
    top, bottom, bridge = (bitraster.per_layer(split[name]) * to_true for name in ("top", "bottom", "bridge"))
    # What is uncovered is one layer of those a plane stands for; the others beneath it are shell.
    once = 1 / grid.scale
    solid = solid + (1 - once) * (top + bottom + bridge)
    top, bottom, bridge = once * top, once * bottom, once * bridge
    result = Zones(
        area=area,
        outline_mm=length,
        hidden_mm=hidden,
        external_mm=external,
        inner_mm=others,
        wall=np.minimum(gone + r.overlap_mm * interior_edge, area),
        interior=interior,
        interior_edge=interior_edge,
        top=top,
        bottom=bottom,
        bridge=bridge,
        flat_edge=once * bitraster.edges(split["top"] | split["bottom"] | split["bridge"]) * grid.px * smooth,
        solid=solid,
        solid_edge=bitraster.edges(split["solid"]) * grid.px * smooth,
        sparse=sparse,
        sparse_edge=bitraster.edges(split["sparse"]) * grid.px * smooth,
    )
    return result, opened


def _walls(solid: Bits, around: Outline, grid: Grid, r: Recipe) -> tuple[list[F64], Bits, F64]:
    """Raster perimeters (mm, L1) after 0, 1, ... erosions, what is left inside, and the metric's correction.

    A diamond step moves a slanted edge less than an upright one, a square step more: the outline's own directions say
    by how much.
    """
    steps = max(1, round(r.infill_from_mm / grid.px)) if r.perimeters else 0
    levels, inner = [bitraster.edges(solid) * grid.px], solid
    kinds = "".join("ds"[i % 2] for i in range(steps))
    for kind in kinds:
        inner = bitraster.shrunk(inner, kind)
        levels.append(bitraster.edges(inner) * grid.px)
    eroded = grid.px * (kinds.count("s") * around.l1 + kinds.count("d") * around.linf)
    kappa = np.clip(r.infill_from_mm * around.length / np.maximum(eroded, 1e-9), 0.7, 1.3)
    return levels, inner, kappa


def _loops(levels: list[F64], length: F64, grid: Grid, r: Recipe) -> tuple[F64, F64]:
    """Lengths of the outermost perimeter and of all others, by how the outline shrinks with depth."""
    loops = []
    for depth in r.loops_mm:
        at = min(depth / grid.px, len(levels) - 1)
        below = min(int(at), len(levels) - 2) if len(levels) > 1 else 0
        part = at - below
        edge = levels[below] * (1 - part) + levels[min(below + 1, len(levels) - 1)] * part
        loops.append(length * edge / np.maximum(levels[0], 1e-9))
    if not loops:
        return np.zeros(grid.nz), np.zeros(grid.nz)
    return loops[0], np.add.reduce(loops[1:]) if loops[1:] else np.zeros(grid.nz)


def _infill(inner: Bits, solid: Bits, grid: Grid, r: Recipe) -> dict[str, Bits]:
    """The infill's kinds: top, bottom (first layer or bridge alike), bridge (over sparse), solid (the rest), sparse."""
    nothing = np.zeros_like(inner)
    top, bottom = _uncovered(inner, solid, grid, r)
    if r.density >= 1:
        rest = inner & ~top & ~bottom
        return {"top": top, "bottom": bottom, "bridge": nothing, "solid": rest, "sparse": nothing}
    above = max(0, round(r.top_layers / grid.stride) - 1) if r.top_layers else 0
    below = max(0, round(r.bottom_layers / grid.stride) - 1) if r.bottom_layers else 0
    internal = inner & ~(top | bottom)
    shell = bitraster.window(top, 0, above, np.bitwise_or) | bitraster.window(bottom, below, 0, np.bitwise_or)
    if r.vertical_shells:
        shell |= ~bitraster.window(inner, below, above, np.bitwise_and)
    shell &= internal
    shell = bitraster.opened_2x2(shell)
    sparse = internal & ~shell
    over = np.zeros_like(inner)
    over[1:] = shell[1:] & sparse[:-1]
    radius = 3 * r.bridge.width / grid.px
    bridge = bitraster.some_layers(over, lambda some: bitraster.opened(some, radius)) & shell
    return {"top": top, "bottom": bottom, "bridge": bridge, "solid": shell & ~bridge, "sparse": sparse}


def _uncovered(inner: Bits, solid: Bits, grid: Grid, r: Recipe) -> tuple[Bits, Bits]:
    """Infill with nothing above, and with nothing below, each widened into the infill around it; bottom comes first."""
    top, bottom = inner.copy(), inner.copy()
    top[:-1] &= ~solid[1:]
    bottom[1:] &= ~solid[:-1]
    if not r.top_layers:
        top[:] = 0
    if not r.bottom_layers:
        bottom[:] = 0
    wide = EXTERNAL_MARGIN_MM / grid.px if r.density > 0 else 0.0
    bottom = _widened(bottom, inner, wide)
    return _widened(top, inner, wide) & ~bottom, bottom


def _widened(part: Bits, within: Bits, pixels: float) -> Bits:
    return within & bitraster.some_layers(
        bitraster.opened_2x2(part), lambda some: bitraster.spread(some, pixels)
    )
