"""A slicer's flat profile as numbers: widths, spacings, speeds and accelerations of every kind of line.

The rules (what a percentage refers to, what zero stands for) are PrusaSlicer 2.5's. Knows nothing of meshes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, hypot, pi, sqrt

UNLIMITED = 1e9
BRIDGE_EXTRA_SPACING_MM = 0.05
"""What PrusaSlicer leaves between two round threads of a thick bridge."""


class Keys:
    """Reads numbers out of a flat profile: first of a list, percent of something, 0 meaning "as another
    key".
    """

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._keys = keys

    def number(self, key: str, default: float = 0.0, *, of: float = 0.0) -> float:
        """The value of `key`; a percentage is one of `of`. Raises ValueError on a value that is no number."""
        text = self._keys.get(key, "").split(",")[0].strip().strip('"')
        if not text:
            return default
        return float(text[:-1]) * of / 100 if text.endswith("%") else float(text)

    def positive(self, key: str, default: float, *, of: float = 0.0) -> float:
        """As `number`, with zero and less standing for `default`."""
        value = self.number(key, default, of=of)
        return value if value > 0 else default

    def flag(self, key: str, default: str = "0") -> bool:
        return self._keys.get(key, default).strip() == "1"

    def text(self, key: str, default: str) -> str:
        return self._keys.get(key, "").strip() or default


@dataclass(frozen=True, kw_only=True)
class Line:
    """How one kind of line is laid: width and spacing in mm, speed in mm/s, acceleration in mm/s2."""

    width: float
    spacing: float
    speed: float
    acceleration: float


@dataclass(frozen=True, kw_only=True)
class Support:
    """What the profile says of supports. Lengths in mm, angles in degrees, speeds in mm/s."""

    wanted: bool
    threshold: float
    bridges_free: bool
    perimeters_bridge: bool
    plate_only: bool
    spacing: float
    interface_layers: int
    interface_spacing: float
    xy_gap: float
    z_gap: float
    sheath: bool
    line: Line
    interface_speed: float


@dataclass(frozen=True, kw_only=True)
class Skirt:
    """Loops around the print, and the brim: mm and counts."""

    loops: int
    height: int
    distance: float
    length_min_mm: float
    width: float
    brim: float


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A profile as numbers: mm, mm/s, mm/s2, seconds."""

    h: float
    h_first: float
    perimeters: int
    top_layers: int
    bottom_layers: int
    density: float
    pattern: str
    anchor_mm: float
    anchor_max_mm: float
    overlap: float
    vertical_shells: bool
    external: Line
    inner: Line
    infill: Line
    solid: Line
    top: Line
    bridge: Line
    bridge_thickness: float
    v_small_external: float
    v_small_inner: float
    v_first: float
    v_first_infill: float
    a_first: float
    v_travel: float
    a_travel: float
    jerk: float
    retract_seconds: float
    retracts_sparingly: bool
    script_seconds: float
    slow_below: float
    v_minimum: float
    skirt: Skirt
    support: Support
    filament_density: float
    filament_mm2: float
    flow: float

    def layer_count(self, height_mm: float) -> int:
        """Layers of a part: one more for every middle of a layer that lies inside it."""
        return 1 + max(0, ceil((height_mm - self.h_first) / self.h - 0.5 - 1e-6))

    @property
    def loops_mm(self) -> tuple[float, ...]:
        """Distance from the surface to the middle of each perimeter, outermost first."""
        between = (self.external.spacing + self.inner.spacing) / 2
        first = self.external.width / 2
        return tuple(
            first if i == 0 else first + between + (i - 1) * self.inner.spacing
            for i in range(self.perimeters)
        )

    @property
    def last_spacing(self) -> float:
        """Spacing of the innermost perimeter."""
        return self.external.spacing if self.perimeters <= 1 else self.inner.spacing

    @property
    def wall_mm(self) -> float:
        """Depth of the perimeters, from the surface inwards."""
        return self.loops_mm[-1] + self.last_spacing / 2 if self.perimeters else 0.0

    @property
    def overlap_mm(self) -> float:
        """How far the infill reaches into the innermost perimeter."""
        return self.overlap * self.last_spacing if self.perimeters else 0.0

    @property
    def infill_from_mm(self) -> float:
        """Distance from the surface to where infill begins."""
        return self.wall_mm - self.overlap_mm


def spacing(width: float, height: float) -> float:
    """Distance of two neighbouring lines of this width: their round sides overlap. Never less than a thread's."""
    return max(width - height * (1 - pi / 4), width * 0.2)


def recipe(keys: Mapping[str, str]) -> Recipe:
    """Resolve a flat PrusaSlicer key map. Raises ValueError on a value that is no number."""
    k = Keys(keys)
    h, nozzle = k.positive("layer_height", 0.2), k.positive("nozzle_diameter", 0.4)
    lines = _Lines(k, h, nozzle)
    h_first = k.positive("first_layer_height", h, of=h)
    v_inner, v_infill = k.positive("perimeter_speed", 60), k.positive("infill_speed", 80)
    v_external = k.positive("external_perimeter_speed", v_inner, of=v_inner)
    v_small = k.positive("small_perimeter_speed", v_inner, of=v_inner)
    v_solid = k.positive("solid_infill_speed", v_infill, of=v_infill)
    external = lines.line("external_perimeter_extrusion_width", v_external, "perimeter_acceleration")
    inner = lines.line("perimeter_extrusion_width", v_inner, "perimeter_acceleration")
    solid = lines.line("solid_infill_extrusion_width", v_solid, "infill_acceleration")
    v_first = k.positive("first_layer_speed", v_inner, of=v_inner)
    bridge, flow = _bridge(k, lines, solid, h, nozzle)
    return Recipe(
        h=h,
        h_first=h_first,
        perimeters=max(0, int(k.number("perimeters", 2))),
        top_layers=_shell_layers(k, "top", h),
        bottom_layers=_shell_layers(k, "bottom", h),
        density=min(1.0, max(0.0, k.number("fill_density", 0.15, of=1.0))),
        pattern=k.text("fill_pattern", "stars"),
        anchor_mm=k.number("infill_anchor", 6 * solid.spacing, of=lines.width("infill_extrusion_width")),
        anchor_max_mm=k.number("infill_anchor_max", 50, of=lines.width("infill_extrusion_width")),
        overlap=k.number("infill_overlap", 0.25, of=1.0),
        vertical_shells=k.flag("ensure_vertical_shell_thickness", "1"),
        external=external,
        inner=inner,
        infill=lines.line("infill_extrusion_width", v_infill, "infill_acceleration"),
        solid=solid,
        top=lines.line(
            "top_infill_extrusion_width",
            k.positive("top_solid_infill_speed", v_solid, of=v_solid),
            "infill_acceleration",
        ),
        bridge=bridge,
        bridge_thickness=flow,
        v_small_external=min(v_small, external.speed),
        v_small_inner=min(v_small, inner.speed),
        v_first=v_first,
        v_first_infill=k.positive("first_layer_speed", v_infill, of=v_infill),
        a_first=lines.acceleration("first_layer_acceleration"),
        v_travel=min(k.positive("travel_speed", 130), k.positive("machine_max_feedrate_x", UNLIMITED)),
        a_travel=lines.a_default,
        jerk=k.positive("machine_max_jerk_x", 8),
        retract_seconds=_retract_seconds(k),
        retracts_sparingly=k.flag("only_retract_when_crossing_perimeters"),
        script_seconds=script_seconds(keys),
        slow_below=k.number("slowdown_below_layer_time") if k.flag("cooling") else 0.0,
        v_minimum=k.positive("min_print_speed", 10),
        skirt=Skirt(
            loops=int(k.number("skirts")),
            height=int(k.number("skirt_height", 1)),
            distance=k.number("skirt_distance", 6),
            length_min_mm=k.number("min_skirt_length"),
            width=k.positive("first_layer_extrusion_width", lines.width("extrusion_width"), of=h_first),
            brim=k.number("brim_width"),
        ),
        support=_support(k, lines, h, nozzle, external.width),
        filament_density=k.positive("filament_density", 1.24),
        filament_mm2=pi * k.positive("filament_diameter", 1.75) ** 2 / 4,
        flow=k.positive("extrusion_multiplier", 1),
    )


class _Lines:
    """Widths, capped speeds and accelerations, all of one layer height."""

    def __init__(self, k: Keys, h: float, nozzle: float) -> None:
        self._k, self._h = k, h
        self._width = k.positive("extrusion_width", nozzle * 1.125, of=h)
        # The slicer's own reckoning of time caps every acceleration it asks for by the machine's extruding limit.
        self.a_most = min(
            k.positive("machine_max_acceleration_x", 1000),
            k.positive("machine_max_acceleration_extruding", 1500),
        )
        self.a_default = min(k.positive("default_acceleration", self.a_most), self.a_most)
        self._mm3_per_second = min(
            k.positive("filament_max_volumetric_speed", UNLIMITED),
            k.positive("max_volumetric_speed", UNLIMITED),
        )

    def width(self, key: str) -> float:
        return self._k.positive(key, self._width, of=self._h)

    def acceleration(self, key: str) -> float:
        return min(self._k.positive(key, self.a_default), self.a_most)

    def capped(self, speed: float, mm3_per_mm: float) -> float:
        return min(speed, self._mm3_per_second / mm3_per_mm)

    def line(self, width_key: str, speed: float, acceleration_key: str) -> Line:
        return self.of_width(self.width(width_key), speed, acceleration_key)

    def of_width(self, width: float, speed: float, acceleration_key: str) -> Line:
        apart = spacing(width, self._h)
        return Line(
            width=width,
            spacing=apart,
            speed=self.capped(speed, apart * self._h),
            acceleration=self.acceleration(acceleration_key),
        )


def _bridge(k: Keys, lines: _Lines, solid: Line, h: float, nozzle: float) -> tuple[Line, float]:
    """The bridging line, and the mm of thickness it lays: round threads if thick, else a solid layer's share."""
    ratio, speed = k.positive("bridge_flow_ratio", 1), k.positive("bridge_speed", 60)
    acceleration = lines.acceleration("bridge_acceleration")
    if not k.flag("thick_bridges", "1"):
        line = Line(
            width=solid.width,
            spacing=solid.spacing,
            speed=lines.capped(speed, solid.spacing * h * ratio),
            acceleration=acceleration,
        )
        return line, h * ratio
    thread = nozzle * sqrt(ratio)
    area, apart = pi * thread**2 / 4, thread + BRIDGE_EXTRA_SPACING_MM
    line = Line(width=thread, spacing=apart, speed=lines.capped(speed, area), acceleration=acceleration)
    return line, area / apart


def _shell_layers(k: Keys, side: str, h: float) -> int:
    wanted = int(k.number(f"{side}_solid_layers"))
    if not wanted:
        return 0  # a minimal thickness alone makes no shell
    return max(wanted, ceil(k.number(f"{side}_solid_min_thickness") / h - 1e-9))


def _support(k: Keys, lines: _Lines, h: float, nozzle: float, external_width: float) -> Support:
    speed = k.positive("support_material_speed", 60)
    width = k.positive("support_material_extrusion_width", nozzle, of=h)
    return Support(
        wanted=k.flag("support_material"),
        threshold=k.positive("support_material_threshold", 45),
        bridges_free=k.flag("dont_support_bridges", "1"),
        perimeters_bridge=k.flag("overhangs", "1"),
        plate_only=k.flag("support_material_buildplate_only"),
        spacing=k.number("support_material_spacing", 2.5),
        interface_layers=int(k.number("support_material_interface_layers", 3)),
        interface_spacing=k.number("support_material_interface_spacing"),
        xy_gap=k.number("support_material_xy_spacing", external_width / 2, of=external_width),
        z_gap=k.number("support_material_contact_distance", 0.2),
        sheath=k.flag("support_material_with_sheath"),
        line=lines.of_width(width, speed, "default_acceleration"),
        interface_speed=k.positive("support_material_interface_speed", speed, of=speed),
    )


def _retract_seconds(k: Keys) -> float:
    """Lift, retract, lower, prime: accelerations of Z and E included."""
    length, out = k.number("retract_length"), k.positive("retract_speed", 40)
    back = k.positive("deretract_speed", out)
    a_z, a_e = k.positive("machine_max_acceleration_z", 200), k.positive("machine_max_acceleration_e", 5000)
    return 4 * sqrt(k.number("retract_lift") / a_z) + length / out + length / back + (out + back) / a_e


_MOVE = re.compile(r"\bG[01]\b([^;\n]*)")
_WORD = re.compile(r"([XYZEF])(-?\d*\.?\d+)")
_DWELL = re.compile(r"\bG4\s+([SP])(\d+)")


def script_seconds(keys: Mapping[str, str]) -> float:
    """Seconds of the moves and dwells written out in the profile's own start and end G-code; homing is not counted."""
    total = 0.0
    for key in ("start_gcode", "end_gcode"):
        text = keys.get(key, "").replace("\\n", "\n")
        at, feed = {"X": 0.0, "Y": 0.0, "Z": 0.0, "E": 0.0}, 0.0
        for move in _MOVE.finditer(text):
            words = {axis: float(value) for axis, value in _WORD.findall(move.group(1))}
            feed = words.pop("F", feed)
            apart = [value - at[axis] for axis, value in words.items() if axis != "E"]
            at |= words
            distance = hypot(*apart) if any(apart) else abs(words.get("E", 0.0))
            total += distance / max(feed / 60, 1.0) if feed else 0.0
        total += sum(float(n) / (1000 if unit == "P" else 1) for unit, n in _DWELL.findall(text))
    return total
