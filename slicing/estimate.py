"""The instant estimate: seconds and milligrams of a mesh under a profile, as a pure numpy function.

Method: raster every layer by winding number, split its area into wall, solid, sparse and support, and price
each zone by the geometry of extrusion (a line of width w in a layer of height h has the volume h (w - h (1
- pi/4)) per mm) and by trapezoidal motion with classic jerk. Coefficients are those measured against
PrusaSlicer 2.5.0; they estimate *its* figures, not yet a machine's. Knows nothing of files, jobs or prices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil, hypot, pi, radians, sqrt, tan

import numpy as np

from slicing import contours, raster
from slicing.raster import F64, U8, Filled, Grid, Outline, Segments
from slicing.results import PrintEstimate

SAMPLED_LAYERS_MAX = 48
SAMPLED_SEGMENTS = 60_000
SPARSE_FILL_CAP = 0.9
# Share of the solid area covered twice; beyond it the exact outline counts walls that the slicer merges.
OVERLAP_SHARE = 0.002


@dataclass(frozen=True, kw_only=True)
class Coefficients:
    """Factors on the physical model; 1 where physics fixes the term. Fitted on a first machine's profile."""

    wall: float = 1.0
    solid: float = 1.0
    sparse: float = 1.0
    anchors: float = 0.40
    overlap: float = 1.0
    skirt: float = 1.1
    support_column: float = 0.22
    support_interface: float = 0.60
    time_solid: float = 1.15
    time_top: float = 1.0
    time_bridge: float = 1.4
    time_sparse: float = 1.4
    time_anchors: float = 0.35
    time_support: float = 1.25
    travels_per_contour: float = 2.0
    travels_per_patch: float = 0.8
    travels_per_area: float = 0.8
    fixed_seconds: float = 21.0


DEFAULT = Coefficients()


class Keys:
    """Reads numbers out of a flat profile: first of a list, percent of something, 0 meaning "as another
    key".
    """

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._keys = keys

    def number(self, key: str, default: float = 0.0, *, of: float = 0.0) -> float:
        text = self._keys.get(key, "").split(",")[0].strip().strip('"')
        if not text:
            return default
        return float(text[:-1]) * of / 100 if text.endswith("%") else float(text)

    def positive(self, key: str, default: float, *, of: float = 0.0) -> float:
        value = self.number(key, default, of=of)
        return value if value > 0 else default

    def flag(self, key: str) -> bool:
        return self._keys.get(key, "0").strip() == "1"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A profile as numbers: mm, mm/s, mm/s2, seconds. Spacings follow from the widths."""

    h: float
    perimeters: int
    top_layers: int
    bottom_layers: int
    density: float
    overlap: float
    w_external: float
    w_perimeter: float
    w_infill: float
    w_solid: float
    w_top: float
    w_support: float
    v_external: float
    v_perimeter: float
    v_small: float
    v_infill: float
    v_solid: float
    v_top: float
    v_bridge: float
    v_support: float
    v_first: float
    v_travel: float
    a_perimeter: float
    a_infill: float
    a_default: float
    a_bridge: float
    a_first: float
    jerk: float
    retract_seconds: float
    slow_below: float
    v_minimum: float
    skirts: int
    skirt_height: int
    skirt_distance: float
    supports: bool
    support_angle: float
    bridges_free: bool
    filament_density: float
    flow: float

    def spacing(self, width: float) -> float:
        """Distance of two neighbouring lines of this width."""
        return width - self.h * (1 - pi / 4)

    @property
    def wall_band(self) -> float:
        """Depth of the perimeters, from the surface inwards."""
        outer, inner = self.spacing(self.w_external), self.spacing(self.w_perimeter)
        if self.perimeters == 0:
            return self.w_infill / 2
        return self.w_external / 2 + outer / 2 + (self.perimeters - 1) * inner


def recipe(keys: Mapping[str, str]) -> Recipe:
    """Resolve a flat PrusaSlicer key map. Raises ValueError on a value that is no number."""
    k = Keys(keys)
    h, nozzle = k.number("layer_height", 0.2), k.number("nozzle_diameter", 0.4)
    width = k.positive("extrusion_width", nozzle * 1.125, of=h)
    v_perimeter, v_infill = k.positive("perimeter_speed", 60), k.positive("infill_speed", 80)
    v_external = k.positive("external_perimeter_speed", v_perimeter, of=v_perimeter)
    v_solid = k.positive("solid_infill_speed", v_infill, of=v_infill)
    a_most = k.positive("machine_max_acceleration_x", 1000)
    a_default = k.positive(
        "default_acceleration", min(a_most, k.positive("machine_max_acceleration_extruding", 1500))
    )
    spacing_infill = k.positive("infill_extrusion_width", width, of=h) - h * (1 - pi / 4)
    flow_cap = k.positive("filament_max_volumetric_speed", 1e9) / (h * spacing_infill)

    def acceleration(key: str) -> float:
        return min(k.positive(key, a_default), a_most)

    def line(key: str) -> float:
        return k.positive(key, width, of=h)

    def layers(side: str) -> int:
        return max(
            int(k.number(f"{side}_solid_layers")), ceil(k.number(f"{side}_solid_min_thickness") / h - 1e-9)
        )

    return Recipe(
        h=h,
        perimeters=int(k.number("perimeters", 2)),
        top_layers=layers("top"),
        bottom_layers=layers("bottom"),
        density=min(1.0, k.number("fill_density", 0.15, of=1.0)),
        overlap=k.number("infill_overlap", 0.25, of=1.0),
        w_external=line("external_perimeter_extrusion_width"),
        w_perimeter=line("perimeter_extrusion_width"),
        w_infill=line("infill_extrusion_width"),
        w_solid=line("solid_infill_extrusion_width"),
        w_top=line("top_infill_extrusion_width"),
        w_support=line("support_material_extrusion_width"),
        v_external=v_external,
        v_perimeter=v_perimeter,
        v_small=k.positive("small_perimeter_speed", v_perimeter, of=v_perimeter),
        v_infill=min(v_infill, flow_cap),
        v_solid=v_solid,
        v_top=k.positive("top_solid_infill_speed", v_solid, of=v_solid),
        v_bridge=k.positive("bridge_speed", 60),
        v_support=k.positive("support_material_speed", 60),
        v_first=k.positive("first_layer_speed", v_perimeter, of=v_perimeter),
        v_travel=k.positive("travel_speed", 130),
        a_perimeter=acceleration("perimeter_acceleration"),
        a_infill=acceleration("infill_acceleration"),
        a_default=min(a_default, a_most),
        a_bridge=acceleration("bridge_acceleration"),
        a_first=acceleration("first_layer_acceleration"),
        jerk=k.positive("machine_max_jerk_x", 8),
        retract_seconds=_retract_seconds(k),
        slow_below=k.number("slowdown_below_layer_time") if k.flag("cooling") else 0.0,
        v_minimum=k.positive("min_print_speed", 10),
        skirts=int(k.number("skirts")),
        skirt_height=int(k.number("skirt_height", 1)),
        skirt_distance=k.number("skirt_distance", 6),
        supports=k.flag("support_material"),
        support_angle=k.positive("support_material_threshold", 45),
        bridges_free=k.flag("dont_support_bridges"),
        filament_density=k.positive("filament_density", 1.24),
        flow=k.positive("extrusion_multiplier", 1),
    )


def _retract_seconds(k: Keys) -> float:
    """Lift, retract, lower, prime: accelerations of Z and E included."""
    length, out = k.number("retract_length"), k.positive("retract_speed", 40)
    back = k.positive("deretract_speed", out)
    a_z, a_e = k.positive("machine_max_acceleration_z", 200), k.positive("machine_max_acceleration_e", 5000)
    return 4 * sqrt(k.number("retract_lift") / a_z) + length / out + length / back + (out + back) / a_e


@dataclass(frozen=True, kw_only=True)
class Zones:
    """Per sampled layer: areas in mm2, perimeters and line lengths in mm. Lengths already corrected for the
    raster.
    """

    wall: F64
    solid: F64
    top: F64
    bridge: F64
    sparse: F64
    interior_edge: F64
    sparse_edge: F64
    external_mm: F64
    inner_mm: F64
    sparse_mm: F64
    anchor_mm: F64
    overlap_area: F64


@dataclass(frozen=True, kw_only=True)
class Supports:
    """Column and interface volumes (mm3) and how many sampled layers carry supports."""

    column: float = 0.0
    interface: float = 0.0
    layers: int = 0


@dataclass(frozen=True, kw_only=True)
class Slices:
    """Everything measured on the raster, before any price in grams or seconds."""

    grid: Grid
    outline: Outline
    zones: Zones
    supports: Supports
    leak_rows: int
    contour_count: F64
    chains: contours.Chains | None
    extent: F64
    features: dict[str, float] = field(default_factory=dict)


def estimate_print(
    triangles: F64, keys: Mapping[str, str], quantity: int = 1, coefficients: Coefficients = DEFAULT
) -> PrintEstimate:
    """Estimate `quantity` copies on one plate. `triangles` is (m, 3, 3) in mm, wound outward as a whole.

    The result's `features` are volumes in mm3 and seconds by kind. Pure: same input, same output.
    """
    r = recipe(keys)
    slices = measure(triangles, r)
    volumes = material_mm3(slices, r, coefficients)
    seconds = time_seconds(slices, r, coefficients, quantity)
    once = volumes.pop("skirt")
    total = (sum(volumes.values()) * quantity + once * _skirt_growth(quantity)) * r.flow
    support_share = volumes["support"] / max(sum(volumes.values()), 1e-9)
    features = {f"mm3_{name}": round(value, 2) for name, value in volumes.items()}
    features |= {"mm3_skirt": round(once, 2), "px_mm": round(slices.grid.px, 3), "stride": slices.grid.stride}
    features |= {
        "leak_rows": slices.leak_rows,
        "support_share": round(support_share, 4),
        "layers": slices.grid.layers,
    }
    return _judged(total * r.filament_density, seconds, quantity, features)


def _skirt_growth(quantity: int) -> float:
    return sqrt(quantity)


def _judged(milligrams: float, seconds: float, quantity: int, features: Mapping[str, float]) -> PrintEstimate:
    """p50 is the figure, p90 widens it by what is known to make it less certain."""
    doubts: list[tuple[str, float, float]] = []
    if features["leak_rows"]:
        doubts.append(("estimate.open_mesh", 0.12, 0.10))
    if features["support_share"] > 0.05:
        doubts.append(("estimate.supports", 0.12, 0.15))
    if features["px_mm"] > 0.6:
        doubts.append(("estimate.coarse_raster", 0.05, 0.04))
    if milligrams / quantity < 1000:
        doubts.append(("estimate.tiny_part", 0.10, 0.20))
    grams_over = 1.07 + sum(grams for _, grams, _ in doubts)
    time_over = 1.11 + sum(time for _, _, time in doubts)
    confidence = "high" if not doubts else "medium" if len(doubts) == 1 else "low"
    return PrintEstimate(
        seconds_p50=max(1, round(seconds)),
        seconds_p90=max(1, ceil(seconds * time_over)),
        milligrams_p50=max(1, round(milligrams)),
        milligrams_p90=max(1, ceil(milligrams * grams_over)),
        quantity=quantity,
        confidence=confidence,
        reasons=tuple(code for code, _, _ in doubts),
        features=features,
    )


def measure(triangles: F64, r: Recipe) -> Slices:
    """Raster the mesh and sum its zones; the expensive half of the estimate."""
    low, high = raster.bounds(triangles)
    grid = raster.plan(low, high, r.h, r.wall_band, r.perimeters)
    segments = raster.cut(triangles, grid)
    around = raster.outline(segments, grid)
    filled = raster.fill(segments, grid)
    area, hidden = _true_area(filled, around, grid)
    if filled.overlap_share > OVERLAP_SHARE:
        around, hidden = _merged(filled, around, grid), np.zeros(grid.nz)
    zones = _zones(filled.solid, area, hidden, around, grid, r)
    supports = _supports(filled.solid, grid, r) if r.supports else Supports()
    chains, count = _contours(segments, grid)
    return Slices(
        grid=grid,
        outline=around,
        zones=zones,
        supports=supports,
        leak_rows=filled.leak_rows,
        contour_count=count,
        chains=chains,
        extent=high - low,
    )


def _true_area(filled: Filled, around: Outline, grid: Grid) -> tuple[F64, F64]:
    """Exact shoelace areas where the mesh is clean, else the raster's; and the contour length the raster
    cannot see.
    """
    clean = not filled.leak_rows and not filled.negative and filled.overlap_share <= OVERLAP_SHARE
    area = np.maximum(around.area, 0) if clean else raster.count_per_layer(filled.solid) * grid.px**2
    seen = raster.edges_per_layer(filled.solid) * grid.px
    visible = np.minimum(1.0, seen / np.maximum(around.l1, 1e-9))
    return area, np.where(visible < 0.93, around.length * (1 - visible), 0.0)


def _merged(filled: Filled, around: Outline, grid: Grid) -> Outline:
    """The outline of overlapping bodies as one: what lies inside another body is no wall, and no slit either."""
    seen = np.minimum(1.0, raster.edges_per_layer(filled.solid) * grid.px / np.maximum(around.l1, 1e-9))
    return Outline(
        length=around.length * seen, l1=around.l1 * seen, linf=around.linf * seen, area=around.area
    )


def _wall_steps(grid: Grid, r: Recipe) -> str:
    count = max(1, round(r.wall_band / grid.px))
    first, second = ("d", "s") if grid.px < 0.7 else ("s", "d")
    return "".join(first if step % 2 == 0 else second for step in range(count))


def _zones(solid: U8, area: F64, hidden: F64, around: Outline, grid: Grid, r: Recipe) -> Zones:
    pixel, band = grid.px**2, r.wall_band
    steps = _wall_steps(grid, r)
    inner = raster.shrink(solid, steps)
    eroded = grid.px * (steps.count("s") * around.l1 + steps.count("d") * around.linf)
    kappa = np.clip(band * around.length / np.maximum(eroded, 1e-9), 0.7, 1.3)
    if grid.px < 0.7:
        inner = raster.opened_2x2(inner)
    inner_area = raster.count_per_layer(inner) * pixel
    wall = np.minimum(kappa * np.maximum(area - inner_area, 0) + band * hidden, area)
    interior = area - wall
    to_true = np.where(inner_area > 0, interior / np.maximum(inner_area, 1e-9), 0.0)
    bottom = max(1, round(r.bottom_layers / grid.stride)) if r.bottom_layers else 0
    top = max(1, round(r.top_layers / grid.stride)) if r.top_layers else 0
    core = raster.all_within(inner, bottom, top)
    sparse = raster.count_per_layer(core) * pixel * to_true
    solid_area = np.maximum(interior - sparse, 0)
    roof, bridge = _exposed(inner, solid, pixel, to_true, solid_area)
    smooth = np.where(around.l1 > 0, around.length / np.maximum(around.l1, 1e-9), pi / 4)
    sparse_edge = raster.edges_per_layer(core) * grid.px * smooth
    interior_edge = raster.edges_per_layer(inner) * grid.px * smooth
    s_external, s_inner = r.spacing(r.w_external), r.spacing(r.w_perimeter)
    external_mm = np.minimum(around.length, wall / s_external)
    sparse_mm = r.density * sparse / r.spacing(r.w_infill)
    room = SPARSE_FILL_CAP * sparse / r.spacing(r.w_infill) - sparse_mm
    filled_part = np.where(interior > 0, (solid_area + r.density * sparse) / np.maximum(interior, 1e-9), 0.0)
    return Zones(
        wall=wall,
        solid=solid_area,
        top=roof,
        bridge=bridge,
        sparse=sparse,
        interior_edge=interior_edge,
        sparse_edge=sparse_edge,
        external_mm=external_mm,
        inner_mm=np.maximum(wall - external_mm * s_external, 0) / s_inner,
        sparse_mm=sparse_mm,
        anchor_mm=np.minimum(sparse_edge, 2 * np.maximum(room, 0))
        if r.density > 0
        else np.zeros_like(sparse),
        overlap_area=r.overlap * r.w_infill * interior_edge / 2 * filled_part,
    )


def _exposed(inner: U8, solid: U8, pixel: float, to_true: F64, solid_area: F64) -> tuple[F64, F64]:
    """Areas of the interior with nothing above (top) and nothing below (bridge), each capped by what is
    solid.
    """
    top, bridge = np.zeros(len(inner)), np.zeros(len(inner))
    top[-1] = np.count_nonzero(inner[-1])
    if len(inner) > 1:
        top[:-1] = raster.count_per_layer(inner[:-1] & (1 - solid[1:]))
        bridge[1:] = raster.count_per_layer(inner[1:] & (1 - solid[:-1]))
    roof = np.minimum(top * pixel * to_true, solid_area)
    return roof, np.minimum(bridge * pixel * to_true, solid_area - roof)


def _contours(segments: Segments, grid: Grid) -> tuple[contours.Chains | None, F64]:
    """Chains of at most 48 sampled layers, and the number of contours of every layer, interpolated between
    them.
    """
    # Fine meshes say the same about pace with fewer layers; chaining is the dearest step per segment.
    step = max(1, grid.nz // SAMPLED_LAYERS_MAX, min(len(segments.layer) // SAMPLED_SEGMENTS, grid.nz // 12))
    layers = np.arange(0, grid.nz, step)
    if not len(segments.layer):
        return None, np.zeros(grid.nz)
    chains = contours.chain(segments, layers)
    long_enough = chains.length >= contours.CONTOUR_MM_MIN
    count = np.bincount(chains.layer[long_enough], minlength=grid.nz)[layers]
    return chains, np.interp(np.arange(grid.nz), layers, count)


def _supports(solid: U8, grid: Grid, r: Recipe) -> Supports:
    """Columns under overhangs, marched down from the top; a span held on both ends along x or y is a
    bridge.
    """
    overhang = _overhang(solid, grid, r)
    if r.bridges_free:
        overhang &= ~_bridged(solid, overhang) & 1
    foot = raster.shrink(raster.grow(overhang, "s"), "d") | overhang if grid.px < 0.7 else overhang
    foot = raster.grow(foot, "s")
    blocked = raster.grow(solid, "d")
    active = np.zeros_like(solid[0])
    column = interface = 0
    layers = 0
    for k in range(len(solid) - 2, -1, -1):
        new = foot[k + 1] & ~active & ~solid[k] & 1
        active = (active | foot[k + 1]) & ~blocked[k] & 1
        here = int(np.count_nonzero(active))
        column += here
        interface += int(np.count_nonzero(new))
        layers += here > 0
    pixel = grid.px**2
    return Supports(
        column=column * pixel * grid.stride * r.h, interface=2 * r.h * interface * pixel, layers=layers
    )


def _overhang(solid: U8, grid: Grid, r: Recipe) -> U8:
    reach = grid.stride * r.h / tan(radians(r.support_angle))
    apart = max(1, round(grid.px / reach)) if reach < grid.px else 1
    growth = max(1, round(reach * apart / grid.px))
    steps = "".join("ds"[i % 2] for i in range(growth))
    result = np.zeros_like(solid)
    if apart < len(solid):
        result[apart:] = solid[apart:] & ~raster.grow(solid[:-apart], steps) & 1
    return result


def _bridged(solid: U8, overhang: U8) -> U8:
    """Overhang pixels whose run along x or along y ends on both sides in solid that is itself supported."""
    held: U8 = solid & (1 - overhang)
    along_x = _run_held(overhang, held)
    turned, turned_held = (np.ascontiguousarray(v.transpose(0, 2, 1)) for v in (overhang, held))
    return along_x | _run_held(turned, turned_held).transpose(0, 2, 1)


def _run_held(overhang: U8, held: U8) -> U8:
    flat, support = overhang.reshape(-1), held.reshape(-1)
    change = np.diff(flat.astype(np.int8), prepend=np.int8(0), append=np.int8(0))
    start, end = np.flatnonzero(change == 1), np.flatnonzero(change == -1)
    good = (support[start - 1] & support[np.minimum(end, len(flat) - 1)]).astype(np.int8)
    marks = np.zeros(len(flat) + 1, dtype=np.int8)
    marks[start] += good
    marks[end] -= good
    return np.add.accumulate(marks, dtype=np.int8)[:-1].view(np.uint8).reshape(overhang.shape)


def _skirt_mm(slices: Slices, r: Recipe) -> tuple[float, float]:
    """Length of the first loop, and of all loops of all layers."""
    if not r.skirts:
        return 0.0, 0.0
    loop = 1.8 * float(slices.extent[0] + slices.extent[1]) + 2 * pi * (r.skirt_distance + r.w_perimeter)
    return loop, loop * r.skirts * min(r.skirt_height, slices.grid.layers)


def material_mm3(slices: Slices, r: Recipe, c: Coefficients = DEFAULT) -> dict[str, float]:
    """Cubic mm of plastic of one copy by kind; `skirt` is once a plate."""
    z, each = slices.zones, r.h * slices.grid.scale
    s_infill = r.spacing(r.w_infill)
    return {
        "wall": c.wall * each * float(z.wall.sum()),
        "solid": c.solid * each * float(z.solid.sum()),
        "sparse": c.sparse * each * float(z.sparse_mm.sum()) * s_infill,
        "anchors": c.anchors * each * float(z.anchor_mm.sum()) * s_infill,
        "overlap": c.overlap * each * float(z.overlap_area.sum()),
        "support": c.support_column * slices.supports.column
        + c.support_interface * slices.supports.interface,
        "skirt": c.skirt * _skirt_mm(slices, r)[1] * r.h * r.spacing(r.w_perimeter),
    }


def time_seconds(slices: Slices, r: Recipe, c: Coefficients = DEFAULT, quantity: int = 1) -> float:
    """Seconds of printing for `quantity` copies on one plate, cooling slow-down and travels included."""
    z, scale = slices.zones, slices.grid.scale
    printing = _layer_seconds(slices, r, c)
    travel = _travel_seconds(slices, r, c)
    length = z.external_mm + z.inner_mm + z.sparse_mm + 0.4 * z.sparse_edge + z.solid / 0.4
    first = _first_layer_seconds(slices, r)
    printing[0] = ((scale - 1) * printing[0] + first) / scale
    printing, travel, length = printing * quantity, travel * quantity + 0.15, length * quantity
    slowed = np.minimum(r.slow_below, travel + np.maximum(printing, length / r.v_minimum))
    layers = np.maximum(printing + travel, slowed)
    loop, all_loops = _skirt_mm(slices, r)
    skirt = (
        (loop / r.v_first + max(all_loops - loop, 0) / r.v_perimeter) * _skirt_growth(quantity)
        if loop
        else 0.0
    )
    return scale * float(layers.sum()) + skirt + c.fixed_seconds + quantity * _support_seconds(slices, r, c)


def _layer_seconds(slices: Slices, r: Recipe, c: Coefficients) -> F64:
    z = slices.zones
    external, inner = _perimeter_pace(slices, r)
    chord_sparse = np.maximum(pi * z.sparse / np.maximum(z.sparse_edge, 1e-9), 0.4)
    chord_solid = np.maximum(pi * z.solid / np.maximum(z.interior_edge + z.sparse_edge, 1e-9), 0.4)

    def lines(length: F64, chord: F64 | float, speed: float, acceleration: float) -> F64:
        return contours.trapezoid_seconds(
            length, np.maximum(length / chord, 1e-9), speed, acceleration, r.jerk
        )

    plain = np.maximum(z.solid - z.top - z.bridge, 0) / r.spacing(r.w_solid)
    return (
        z.external_mm * external
        + z.inner_mm * inner
        + c.time_solid * lines(plain, chord_solid, r.v_solid, r.a_infill)
        + c.time_top * lines(z.top / r.spacing(r.w_top), chord_solid, r.v_top, r.a_default)
        + c.time_bridge * lines(z.bridge / r.spacing(r.w_solid), chord_solid, r.v_bridge, r.a_bridge)
        + c.time_sparse * lines(z.sparse_mm, chord_sparse, r.v_infill, r.a_infill)
        + c.time_anchors * lines(z.anchor_mm, 3.0, r.v_infill, r.a_infill)
    )


def _perimeter_pace(slices: Slices, r: Recipe) -> tuple[float, float]:
    if slices.chains is None:
        return 1 / r.v_external, 1 / r.v_perimeter
    return (
        contours.seconds_per_mm(
            slices.chains, r.v_external, min(r.v_small, r.v_external), r.a_perimeter, r.jerk
        ),
        contours.seconds_per_mm(slices.chains, r.v_perimeter, r.v_small, r.a_perimeter, r.jerk),
    )


def _first_layer_seconds(slices: Slices, r: Recipe) -> float:
    z = slices.zones
    walls = float(z.external_mm[0] + z.inner_mm[0]) / r.v_first
    chord = max(pi * float(z.solid[0]) / max(float(z.interior_edge[0] + z.sparse_edge[0]), 1e-9), 0.4)
    filled = float(z.solid[0]) / r.spacing(r.w_solid) + float(z.sparse_mm[0])
    moves = max(filled / chord, 1e-9)
    return walls + float(contours.trapezoid_seconds(filled, moves, r.v_first, r.a_first, r.jerk))


def _travel_seconds(slices: Slices, r: Recipe, c: Coefficients) -> F64:
    z = slices.zones
    each = r.retract_seconds + 0.03 + 0.12 * hypot(*slices.extent[:2]) / r.v_travel
    patches = np.where(z.sparse + z.solid > 0, 1 + z.sparse_edge / 40, 0.0)
    number = (
        c.travels_per_contour * slices.contour_count
        + c.travels_per_patch * patches
        + c.travels_per_area * z.solid / 60
    )
    return number * each


def _support_seconds(slices: Slices, r: Recipe, c: Coefficients) -> float:
    s = slices.supports
    volume = c.support_column * s.column + c.support_interface * s.interface
    line = volume / (r.h * r.spacing(r.w_support))
    return c.time_support * line / r.v_support + 3 * r.retract_seconds * s.layers * slices.grid.scale
