"""What may go wrong when a part is printed as chosen, said so that a beginner can act on it.

Each check is a function in `CHECKS`: it looks at the part, measured once, and returns what is worth telling or
nothing. A false alarm costs more trust than a silence: every limit here was set on parts that print well. Knows
the flat profile and the raster; the estimate, prices and files are not its business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, radians, sqrt, tan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicing import raster, runs
from slicing.messages import TURN_NAMES, warning
from slicing.placement import TURNS, Placement
from slicing.places import CELL_MM, Place, box_around, listed, neighbours, rounded, tidy
from slicing.raster import F64, I64, U8, Grid, Segments
from slicing.results import MeshWarning
from slicing.runs import Runs

I16 = NDArray[np.int16]

VOXELS_MAX = 1_200_000
PIXEL_MM = 0.45
CROSSINGS_MAX = 150_000
TOLERANCE_DEGREES = 10  # beyond the profile's overhang threshold that still prints well enough to say nothing
LEDGE_MM2, SLOPE_MM2 = 12.0, 100.0  # unsupported: in one level ledge, or over a whole slope
LEDGE_STEPS_MM = 1.4
BRIDGE_NOTE_MM, BRIDGE_WARNING_MM = 10.0, 30.0
ISLAND_MM2 = 1.0
FOOT_MM2 = 100.0
THIN_MM2 = 4.0
LAYERS_USEFUL = 1200
MARGIN_MM = 0.05


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What of a profile these checks depend on: mm, degrees."""

    layer: float
    line: float  # the outermost line's width: what no wall may be thinner than
    slope: float  # mm a layer may grow outwards for each mm upwards
    supports: bool
    brim: float
    bed: tuple[float, float, float]
    density: float

    @classmethod
    def of(cls, keys: Mapping[str, str]) -> Settings:
        """Raises ValueError on a value that is no number."""
        nozzle, layer = _number(keys, "nozzle_diameter", 0.4), _number(keys, "layer_height", 0.2)
        width = _width(keys, "extrusion_width", layer, nozzle * 1.125)
        threshold = _number(keys, "support_material_threshold", 45) or 45
        return cls(
            layer=layer,
            line=_width(keys, "external_perimeter_extrusion_width", layer, width),
            slope=1 / tan(radians(max(threshold - TOLERANCE_DEGREES, 15))),
            supports=keys.get("support_material", "0").strip() == "1",
            brim=_number(keys, "brim_width", 0),
            bed=_bed(keys),
            density=_number(keys, "filament_density", 1.24) or 1.24,
        )


def _number(keys: Mapping[str, str], key: str, default: float) -> float:
    text = keys.get(key, "").split(",")[0].strip()
    return float(text) if text else default


def _width(keys: Mapping[str, str], key: str, layer: float, default: float) -> float:
    """A line width: 0 means "choose for me", a percentage is of the layer height."""
    text = keys.get(key, "").split(",")[0].strip()
    value = float(text[:-1]) * layer / 100 if text.endswith("%") else float(text or 0)
    return value if value > 0 else default


def _bed(keys: Mapping[str, str]) -> tuple[float, float, float]:
    """Room for a part: the bed without what the skirt and the brim take on each side, and the height."""
    corners = [tuple(float(v) for v in c.split("x")) for c in keys.get("bed_shape", "0x0,200x200").split(",")]
    skirt = 0.0
    if _number(keys, "skirts", 0):
        skirt = _number(keys, "skirt_distance", 6) + 0.5 * _number(keys, "skirts", 0)
    edge = 2 * max(skirt, _number(keys, "brim_width", 0))
    width, depth = (max(c[i] for c in corners) - min(c[i] for c in corners) - edge for i in (0, 1))
    return width, depth, _number(keys, "max_print_height", 200)


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part measured once for all checks: its box in mm, its layers as pixels and as exact runs."""

    triangles: F64
    low: F64
    high: F64
    settings: Settings
    grid: Grid
    solid: U8
    x_runs: Runs
    y_runs: Runs
    step: float

    @property
    def size(self) -> F64:
        return self.high - self.low

    @property
    def pixel_mm2(self) -> float:
        return self.grid.px**2

    def boxes(self, layers: I64, rows: I64, columns: I64) -> F64:
        """Boxes (n, 6) in mm around pixels, as tall as their layer."""
        g = self.grid
        x, y, z = g.x0 + columns * g.px, g.y0 + rows * g.px, g.z0 + (layers - 0.5) * g.dz
        half = g.px / 2
        return np.stack((x - half, y - half, z, x + half, y + half, z + g.dz), axis=1)


def check(triangles: F64, keys: Mapping[str, str]) -> tuple[MeshWarning, ...]:
    """Everything worth telling about triangles (m, 3, 3) in mm, as they will lie on the bed, under a flat profile.

    Places are in the coordinates of `triangles`. Raises ValueError on a profile with a value that is no number.
    """
    settings = Settings.of(keys)
    low, high = raster.bounds(triangles)
    if too_big := _too_big(triangles, low, high, settings):
        return (too_big,)  # nothing else matters yet
    part = measure(triangles, low, high, settings)
    return tuple(found for look in CHECKS for found in look(part))


def as_drawn(warnings: Sequence[MeshWarning], placement: Placement) -> tuple[MeshWarning, ...]:
    """The same warnings with their places in the file's own coordinates rather than on the bed."""
    back = np.array(TURNS[placement.turn], dtype=np.float64) * (100 / placement.scale_percent)

    def of(place: Place) -> Place:
        corners = np.asarray(place).reshape(-1, 3) @ back
        low, high = corners.min(axis=0), corners.max(axis=0)
        return rounded(low if len(corners) == 1 else np.concatenate((low, high)))

    return tuple(replace(w, place=tuple(of(place) for place in w.place)) for w in warnings)


def measure(triangles: F64, low: F64, high: F64, settings: Settings) -> Part:
    grid = _grid(low, high, settings.layer)
    segments = raster.cut(triangles, grid)
    wide = float(np.abs(segments.bx - segments.ax).sum() + np.abs(segments.by - segments.ay).sum())
    step = min(max(0.3, wide / CROSSINGS_MAX), 1.0)
    return Part(
        triangles=triangles,
        low=low,
        high=high,
        settings=settings,
        grid=grid,
        solid=raster.fill(segments, grid).solid,
        x_runs=runs.along_x(segments, grid, step),
        y_runs=runs.along_y(segments, grid, step),
        step=step,
    )


def _grid(low: F64, high: F64, layer: float) -> Grid:
    """Pixels and layers within the voxel budget, coarser in turn so that a pixel stays about two layers wide."""
    extent = high - low
    layers = max(1, round(float(extent[2]) / layer))
    px, stride = PIXEL_MM, 1
    while (int(extent[0] / px) + 8) * (int(extent[1] / px) + 8) * -(-layers // stride) > VOXELS_MAX:
        if px < 2.2 * stride * layer or stride >= layers:
            px *= 1.15
        else:
            stride += 1
    dz = stride * layer
    return Grid(
        x0=float(low[0]) - raster.MARGIN_PIXELS * px,
        y0=float(low[1]) - raster.MARGIN_PIXELS * px,
        z0=float(low[2]) + min(dz, float(extent[2])) / 2,
        dz=dz,
        px=px,
        nx=int(extent[0] / px) + 8,
        ny=int(extent[1] / px) + 8,
        nz=-(-layers // stride),
        stride=stride,
        layers=layers,
    )


def needs_supports(triangles: F64, keys: Mapping[str, str]) -> bool:
    """Would something of it begin or hang in the air, as it lies, without supports?"""
    settings = replace(Settings.of(keys), supports=False)
    part = measure(triangles, *raster.bounds(triangles), settings)
    told = {found.code for found in (*_islands(part), *_overhangs(part), *_standing(part))}
    return bool(told & {"print.floating", "print.in_air", "print.overhang", "print.tips_over"})


# Too big ------------------------------------------------------------------------------------------------------------


def _too_big(triangles: F64, low: F64, high: F64, settings: Settings) -> MeshWarning | None:
    """The part does not lie in the machine: by how much it must shrink, or how it must turn."""
    size, bed = high - low, np.array(settings.bed)
    if inside(size, settings.bed):
        return None
    fits = max(float((bed / size).min()), float((bed / size[[1, 0, 2]]).min()))
    names = dict(zip(("x", "y", "z", "bed_x", "bed_y", "bed_z"), (*size, *bed), strict=True))
    figures: dict[str, Any] = {name: f"{value:.1f}" for name, value in names.items()}
    figures["scale_percent"] = max(1, int(fits * 100))
    turn = _turn_that_fits(size, settings.bed)
    if turn:
        return warning("print.too_big.turn", "warning", turn=turn, turn_name=TURN_NAMES[turn], **figures)
    if size[2] <= bed[2] and (degrees := _rotation_that_fits(triangles, bed)):
        return warning("print.too_big.rotate", "warning", degrees=degrees, **figures)
    return warning("print.too_big", "warning", **figures)


def inside(size: Sequence[float] | F64, room: Sequence[float]) -> bool:
    """Does a part of this size lie in this room, as it is or turned by a quarter on the bed? All in mm."""
    x, y, z = size
    width, depth, height = room
    return bool(z <= height and ((x <= width and y <= depth) or (y <= width and x <= depth)))


def _turn_that_fits(size: F64, bed: Sequence[float]) -> str:
    for turn, rows in TURNS.items():
        turned = np.abs(np.array(rows)) @ size
        if inside(turned, bed):
            return turn
    return ""


def _rotation_that_fits(triangles: F64, bed: F64) -> int:
    """Whole degrees about the vertical by which the part fits the bed, or 0: widths of its shadow all round."""
    angles = np.radians(np.arange(180))
    points = triangles[:, :, :2].reshape(-1, 2)
    width = np.array([np.ptp(points @ np.array([np.cos(a), np.sin(a)])) for a in angles])
    depth = np.roll(width, -90)
    fits = np.flatnonzero((width <= bed[0]) & (depth <= bed[1]))
    # The member turns the part the other way round than the axis is turned here.
    return int(180 - fits[np.argmin(np.abs(fits - 90))]) if len(fits) else 0


# Overhangs, bridges, islands ----------------------------------------------------------------------------------------


def _overhangs(part: Part) -> list[MeshWarning]:
    """Ledges and slopes with nothing below, and the bridges among them."""
    hanging, apart = _hanging(part)
    held = _held_runs(hanging, part)
    found = _bridge(part, held)
    free = raster.opened_2x2(hanging & (held == 0))
    if part.settings.supports or not free.any():
        return found
    deep = raster.shrink(free, "ds" * max(1, round(LEDGE_STEPS_MM / 4 / part.grid.px)))
    area = float(np.count_nonzero(free)) * part.pixel_mm2 / apart
    ledges = raster.grow(deep, "ds" * max(1, round(LEDGE_STEPS_MM / 4 / part.grid.px))) & free
    ledge = float(np.count_nonzero(ledges)) * part.pixel_mm2 / apart
    if ledge < LEDGE_MM2 and area < SLOPE_MM2:
        return found
    shown = ledges if ledge >= LEDGE_MM2 else free
    columns = _support_mm3(free, part)
    found.append(
        warning(
            "print.overhang",
            "warning",
            place=_places(part, shown),
            area_mm2=round(area),
            ledge_mm2=round(ledge),
            grams=tidy(columns * part.settings.density / 1000),
        )
    )
    return found


def _hanging(part: Part) -> tuple[U8, int]:
    """Pixels that stick out beyond what the layer some layers below can carry, and how many layers below that is."""
    grid, reach = part.grid, part.settings.slope * part.grid.dz
    apart = max(1, ceil(grid.px / reach))
    steps = "".join("sd"[i % 2] for i in range(max(1, round(reach * apart / grid.px))))
    result = np.zeros_like(part.solid)
    if apart < len(part.solid):
        result[apart:] = part.solid[apart:] & ~raster.grow(part.solid[:-apart], steps) & 1
    return result, apart


def _held_runs(hanging: U8, part: Part) -> F64:
    """For each pixel the length in mm of the shorter run, along x or y, that is held at both ends; 0 where none is."""
    firm: U8 = part.solid & (1 - hanging)
    along_x = _held(hanging, firm)
    turned, turned_firm = (np.ascontiguousarray(v.transpose(0, 2, 1)) for v in (hanging, firm))
    along_y = _held(turned, turned_firm).transpose(0, 2, 1)
    both = np.where((along_x > 0) & (along_y > 0), np.minimum(along_x, along_y), np.maximum(along_x, along_y))
    result: F64 = both * part.grid.px
    return result


def _held(hanging: U8, firm: U8) -> I16:
    flat, support = hanging.reshape(-1), firm.reshape(-1)
    change = np.diff(flat.view(np.int8), prepend=np.int8(0), append=np.int8(0))
    start, end = np.flatnonzero(change == 1), np.flatnonzero(change == -1)
    good = np.flatnonzero(support[start - 1] & support[np.minimum(end, len(flat) - 1)])
    length = np.zeros(len(flat), dtype=np.int16)
    pixels, which = _every(start[good], end[good])
    length[pixels] = (end - start)[good][which]
    return length.reshape(hanging.shape)


def _every(first: I64, end: I64) -> tuple[I64, I64]:
    count = end - first
    which = np.repeat(np.arange(len(count)), count)
    return np.arange(len(which)) + np.repeat(first - (np.cumsum(count) - count), count), which


def _bridge(part: Part, held: F64) -> list[MeshWarning]:
    longest = float(held.max(initial=0.0))
    if longest < BRIDGE_NOTE_MM:
        return []
    severity = "warning" if longest >= BRIDGE_WARNING_MM else "note"
    shown = (held > 0.8 * longest).view(np.uint8)
    return [warning("print.bridge", severity, place=_places(part, shown), span_mm=round(longest))]


def _support_mm3(free: U8, part: Part) -> float:
    """What supports would take: columns down from every overhang to the bed or the part, sparse but for their top."""
    foot = raster.grow(free, "s")
    blocked = raster.grow(part.solid, "d")
    active = np.zeros_like(part.solid[0])
    column = interface = 0
    for k in range(len(part.solid) - 2, -1, -1):
        new = foot[k + 1] & ~active & ~part.solid[k] & 1
        active = (active | foot[k + 1]) & ~blocked[k] & 1
        column += int(np.count_nonzero(active))
        interface += int(np.count_nonzero(new))
    return part.pixel_mm2 * (0.22 * column * part.grid.dz + 0.60 * 2 * part.settings.layer * interface)


def _islands(part: Part) -> list[MeshWarning]:
    """What begins in mid-air: pieces that touch nothing at all, and tips that only join the part further up."""
    flat = part.solid.reshape(-1)
    change = np.diff(flat.view(np.int8), prepend=np.int8(0), append=np.int8(0))
    start, end = np.flatnonzero(change == 1), np.flatnonzero(change == -1)
    _, ny, nx = part.solid.shape
    layer = start // (nx * ny)
    beside, below = _touching(start, end, nx), _touching(start, end, nx * ny)
    patch = runs.joined(len(start), *beside)
    rests = np.zeros(len(start), dtype=np.bool_)
    rests[patch[below[1]]] = True
    hangs = ~rests[patch] & (layer > 0)
    if not hangs.any():
        return []
    body = runs.joined(
        len(start), np.concatenate((beside[0], below[0])), np.concatenate((beside[1], below[1]))
    )
    on_bed = np.zeros(len(start), dtype=np.bool_)
    on_bed[body[layer == 0]] = True
    loose = ~on_bed[body]
    return [
        *_floating(part, start, end, body, loose),
        *_tips(part, start, end, patch, hangs & ~loose),
    ]


def _touching(start: I64, end: I64, shift: int) -> tuple[I64, I64]:
    """Pairs (lower, upper) of pixel runs that overlap once the lower is moved up by `shift`."""
    first = np.searchsorted(end, start + shift, side="right")
    last = np.searchsorted(start, end + shift, side="left")
    upper, lower = _every(first, np.maximum(last, first))
    return lower, upper


def _floating(part: Part, start: I64, end: I64, body: I64, loose: Any) -> list[MeshWarning]:
    volume = np.bincount(body[loose], weights=(end - start)[loose]) * part.pixel_mm2 * part.grid.dz
    real = np.flatnonzero(volume > 1.0)
    if not len(real):
        return []
    boxes = _boxes_of(part, start, end, body, real)
    above = float(boxes[:, 2].min() - part.low[2])
    severity = "note" if part.settings.supports else "warning"
    return [
        warning(
            "print.floating", severity, place=listed(boxes), count=len(real), above_mm=tidy(max(above, 0.0))
        )
    ]


def _tips(part: Part, start: I64, end: I64, patch: I64, hangs: Any) -> list[MeshWarning]:
    area = np.bincount(patch[hangs], weights=(end - start)[hangs]) * part.pixel_mm2
    real = np.flatnonzero(area >= ISLAND_MM2)
    if part.settings.supports or not len(real):
        return []
    boxes = _boxes_of(part, start, end, patch, real)
    above = float(boxes[:, 2].min() - part.low[2])
    return [warning("print.in_air", "warning", place=listed(boxes), count=len(real), above_mm=tidy(above))]


def _boxes_of(part: Part, start: I64, end: I64, group: I64, chosen: I64) -> F64:
    """Boxes (n, 6) around the pixel runs of each chosen group."""
    _, ny, nx = part.solid.shape
    mine = np.flatnonzero(np.isin(group, chosen))
    number = np.searchsorted(chosen, group[mine])
    layer, row = start[mine] // (nx * ny), start[mine] // nx % ny
    left = part.boxes(layer, row, start[mine] % nx)
    right = part.boxes(layer, row, (end[mine] - 1) % nx)
    return box_around(np.concatenate((left, right)), np.concatenate((number, number)), len(chosen))


# Standing -----------------------------------------------------------------------------------------------------------


def _standing(part: Part) -> list[MeshWarning]:
    """Whether the part stays on the bed: how much of it touches, where its weight is, how tall it is."""
    if part.settings.brim >= 3:
        return []
    foot = _foot(part)
    if foot is None:
        return []
    area, around = foot
    middle = _middle(part)
    angles = np.radians(np.arange(0, 360, 5))
    outwards = np.stack((np.cos(angles), np.sin(angles)))
    margin = float(((around @ outwards).max(axis=0) - middle[:2] @ outwards).min())
    place = ((*middle[:2].tolist(), float(part.low[2])),)
    height = float(part.size[2])
    if margin < 0 and not part.settings.supports:
        return [warning("print.tips_over", "warning", place=place, beyond_mm=tidy(-margin))]
    slender = float(middle[2] - part.low[2]) / max(margin, 0.1)
    if height > 20 and slender > 6:
        return [
            warning("print.slender", "warning", place=place, height_mm=tidy(height), foot_mm2=round(area))
        ]
    if area < FOOT_MM2 and height > 10 and height > 3 * sqrt(area):
        return [
            warning("print.small_foot", "warning", place=place, foot_mm2=tidy(area), height_mm=tidy(height))
        ]
    return []


def _foot(part: Part) -> tuple[float, F64] | None:
    """Area of the first layer in mm2 and points (n, 2) around it; None where that layer is empty."""
    low = float(part.low[2])
    first = replace(part.grid, z0=low + min(part.settings.layer, float(part.size[2])) / 2, nz=1, dz=1e9)
    segments: Segments = raster.cut(part.triangles, first)
    if not len(segments.layer):
        return None
    area = float(np.count_nonzero(raster.fill(segments, first).solid)) * part.pixel_mm2
    exact = float(raster.outline(segments, first).area[0])
    return max(area, exact), np.stack((segments.ax, segments.ay), axis=1)


def _middle(part: Part) -> F64:
    """Centre of mass in mm, as if the part were full."""
    g, plan = part.grid, part.solid.sum(axis=0, dtype=np.int32)
    per_layer = raster.count_per_layer(part.solid)
    total = max(float(per_layer.sum()), 1.0)
    column, row = plan.sum(axis=0), plan.sum(axis=1)
    x, y, z = (
        float((weights * np.arange(len(weights))).sum()) / total for weights in (column, row, per_layer)
    )
    return np.array([g.x0 + x * g.px, g.y0 + y * g.px, g.z0 + z * g.dz])


# Thin walls ---------------------------------------------------------------------------------------------------------


def _thin(part: Part) -> list[MeshWarning]:
    """Walls narrower than one line, which the slicer leaves out; measured on exact runs, not on pixels."""
    walls = _walls(part)
    gone = _gathered(part, walls[walls[:, 3] < part.settings.line - 0.02])
    area = float(gone[1].sum())
    if area < THIN_MM2:
        return []
    total = float(((part.x_runs.end - part.x_runs.start) * part.step).sum()) * part.grid.dz
    thinnest = float(np.median(gone[2]))
    return [
        warning(
            "print.thin_walls",
            "warning",
            place=listed(gone[0]),
            wall_mm2=round(area),
            share_percent=tidy(100 * area * thinnest / max(total, 1e-9)),
            thickness_mm=round(thinnest, 2),
            line_mm=round(part.settings.line, 2),
        )
    ]


def _walls(part: Part) -> F64:
    """Walls under two lines thick, rows (x, y, z, thickness, surface of one side in mm2), each met once."""
    found = []
    for lines, flip in ((part.x_runs, False), (part.y_runs, True)):
        thickness = lines.thickness
        # Across x where the wall rather faces x, across y where it rather faces y: no wall counts twice.
        facing = lines.lean > 0.7071 if flip else lines.lean >= 0.7071
        thin = np.flatnonzero(
            lines.parallel & facing & (thickness < 2 * part.settings.line) & (thickness > 0.02)
        )
        along = (lines.start[thin] + lines.end[thin]) / 2
        across = lines.across[thin]
        z = part.grid.z0 + lines.layer[thin] * part.grid.dz
        x, y = (across, along) if flip else (along, across)
        found.append(
            np.stack((x, y, z, thickness[thin], part.step / lines.lean[thin] * part.grid.dz), axis=1)
        )
    return np.concatenate(found)


def _gathered(part: Part, walls: F64) -> tuple[F64, F64, F64]:
    """Boxes (n, 6), surfaces and thicknesses of walls that go on: in every layer at length, and over some layers.

    The tip of a wedge and a single narrow layer of a ridge do not; saying so would be a false alarm.
    """
    if not len(walls):
        return np.zeros((0, 6)), np.zeros(0), np.zeros(0)
    cell = np.floor((walls[:, :3] - part.low) / CELL_MM).astype(np.int64)
    wide = cell.max(axis=0) + 3
    number = (cell[:, 0] * wide[1] + cell[:, 1]) * wide[2] + cell[:, 2]
    cells, which = np.unique(number, return_inverse=True)
    layer = np.rint((walls[:, 2] - part.grid.z0) / part.grid.dz).astype(np.int64)
    layers = np.bincount(np.unique(which * (part.grid.nz + 1) + layer) // (part.grid.nz + 1))
    surface = np.bincount(which, weights=walls[:, 4])
    length = surface / part.grid.dz / layers
    tall = layers * part.grid.dz
    kept = (
        (length >= 1.2)
        & (tall >= min(0.6, 0.5 * float(part.size[2])))
        & ((layers > 1) | (part.grid.stride > 2))
    )
    mine = np.flatnonzero(kept[which])
    if not len(mine):
        return np.zeros((0, 6)), np.zeros(0), np.zeros(0)
    group = neighbours(cells, wide)[which[mine]]
    names, group = np.unique(group, return_inverse=True)
    half = np.array([part.step, part.step, part.grid.dz]) / 2
    boxes = box_around(
        np.concatenate((walls[mine, :3] - half, walls[mine, :3] + half), axis=1), group, len(names)
    )
    area = np.bincount(group, weights=walls[mine, 4]).astype(np.float64)
    thickness = np.bincount(group, weights=walls[mine, 3] * walls[mine, 4]) / area
    order = np.argsort(-area)
    return boxes[order], area[order], thickness[order]


# Layers -------------------------------------------------------------------------------------------------------------


def _layers(part: Part) -> list[MeshWarning]:
    if part.grid.layers <= LAYERS_USEFUL:
        return []
    return [
        warning("print.many_layers", "note", layers=part.grid.layers, layer_mm=round(part.settings.layer, 2))
    ]


CHECKS: tuple[Callable[[Part], list[MeshWarning]], ...] = (_islands, _overhangs, _standing, _thin, _layers)


def _places(part: Part, pixels: U8) -> tuple[Place, ...]:
    """Boxes in mm around groups of set pixels, the largest group first."""
    layer, row, column = np.nonzero(pixels)
    boxes = part.boxes(layer, row, column)
    cell = np.floor((boxes[:, :3] - part.low) / CELL_MM).astype(np.int64) + 1
    wide = cell.max(axis=0) + 3
    cells, which = np.unique((cell[:, 0] * wide[1] + cell[:, 1]) * wide[2] + cell[:, 2], return_inverse=True)
    names, group = np.unique(neighbours(cells, wide)[which], return_inverse=True)
    boxed = box_around(boxes, group, len(names))
    return listed(boxed[np.argsort(-np.bincount(group))])
