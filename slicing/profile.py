"""Our flat slicer profiles, and one print's resolved settings: the same key map feeds the estimator and the slicer.

A print's settings are layers, each over the one before: what all machines share (`base.ini`), the machine, the
material, the quality, the member's choices, and last what nobody may change. A machine imported from a vendor's bundle
brings files of its own, `material-pla@NAME.ini` and `quality-normal@NAME.ini`, which stand in place of the lab's
`material-pla.ini` and `quality-normal.ini` for that machine alone: with the lab's default process it prints exactly as
its vendor meant; a material or quality the import did not bring comes from the lab's files, over the vendor's speeds.

A member's choices select files and a few bounded values; no text of a member ever enters a profile.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import hypot
from pathlib import Path
from types import MappingProxyType
from typing import Self

from slicing.bundles import harmless

PROFILES = Path(__file__).parent / "profiles"
QUALITIES = ("draft", "normal", "fine")
INFILL_PERCENT_MAX = 100
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
"""What a machine, a material or a quality may be called: a file name on every system, and never a path."""

Choice = bool | int | str

FORCED: Mapping[str, str] = MappingProxyType(
    {
        # Nothing may run a command, name a file or rewrite what was checked.
        "post_process": "",
        "output_filename_format": "out.gcode",
        "gcode_substitutions": "",
        # What our reading of G-code relies on: relative E in mm, M73, every copy labelled, all copies layer by layer.
        "use_relative_e_distances": "1",
        "use_volumetric_e": "0",
        "remaining_times": "1",
        "gcode_label_objects": "1",
        "complete_objects": "0",
        "spiral_vase": "0",
        "wipe_tower": "0",
        "thumbnails": "",
    }
)


class UnknownProfile(ValueError):
    """A machine, material or quality for which the lab has no profile: the operator's to mend."""


class OverrideRefused(ValueError):
    """A choice that a member may not make; `key`, what was `seen` and what is `allowed`, in both languages."""

    def __init__(self, key: str, seen: Choice, allowed_en: str, allowed_fr: str) -> None:
        super().__init__(f"{key} cannot be {seen!r}: {allowed_en}")
        self.key = key
        self.seen = str(seen)[:100]
        self.allowed_en = allowed_en
        self.allowed_fr = allowed_fr


@dataclass(frozen=True, kw_only=True)
class Override:
    """One slicer key that a member may set: a whole number between two ends, a yes or no, or one of some words."""

    least: int = 0
    most: int = 0
    words: tuple[str, ...] = ()
    flag: bool = False
    unit: str = ""  # written after the number

    def spelled(self, key: str, value: Choice) -> str:
        """The value as PrusaSlicer writes it. Raises OverrideRefused."""
        if self.flag:
            if isinstance(value, bool):
                return "1" if value else "0"
            raise OverrideRefused(key, value, "yes or no", "oui ou non")
        if self.words:
            if value in self.words:
                return str(value)
            listed = ", ".join(self.words)
            raise OverrideRefused(key, value, f"one of {listed}", f"un choix parmi {listed}")
        if isinstance(value, int) and not isinstance(value, bool) and self.least <= value <= self.most:
            return f"{value}{self.unit}"
        raise OverrideRefused(
            key,
            value,
            f"a whole number from {self.least} to {self.most}",
            f"un nombre entier de {self.least} à {self.most}",
        )


OVERRIDES: Mapping[str, Override] = MappingProxyType(
    {
        "fill_density": Override(least=0, most=INFILL_PERCENT_MAX, unit="%"),
        "fill_pattern": Override(
            words=("rectilinear", "grid", "triangles", "cubic", "honeycomb", "gyroid", "concentric")
        ),
        "perimeters": Override(least=1, most=6),
        "brim_width": Override(least=0, most=10),
        "support_material": Override(flag=True),
        "support_material_buildplate_only": Override(flag=True),
    }
)
"""All that a member may set, by the slicer's own keys. Whatever is not here is refused."""
_FULL_PATTERNS = ("rectilinear", "concentric")
"""Patterns that can fill a part wholly: of any other the slicer says that it cannot be 100 %."""


@dataclass(frozen=True)
class Shelf:
    """Where profiles are looked for, the first folder first: those a lab imported win over those that ship."""

    folders: tuple[Path, ...] = (PROFILES,)

    @classmethod
    def of(cls, imported: Path | None) -> Self:
        """The folder of a lab (it may not exist yet), then ours."""
        return cls((imported, PROFILES) if imported else (PROFILES,))

    def available(self, kind: str) -> tuple[str, ...]:
        """Names of a kind: `machine`, `material` or `quality`, without those that belong to one machine only."""
        stems = (
            path.stem.split("-", 1)[1] for folder in self.folders for path in folder.glob(f"{kind}-*.ini")
        )
        return tuple(sorted({stem for stem in stems if "@" not in stem}))

    def of_machine(self, kind: str, machine: str) -> tuple[str, ...]:
        """Names of a kind that this machine brought with it, such as the materials of its vendor's presets."""
        mark = f"@{machine}.ini"
        names = (
            path.name.removesuffix(mark).split("-", 1)[1]
            for folder in self.folders
            for path in folder.glob(f"{kind}-*{mark}")
        )
        return tuple(sorted(set(names)))

    def read(self, name: str) -> dict[str, str] | None:
        """The keys of `name.ini`, without any that could run, name or reveal something; None where there is none."""
        path = next((p for folder in self.folders if (p := folder / f"{name}.ini").is_file()), None)
        if path is None:
            return None
        keys: dict[str, str] = {}
        for line in path.read_text(encoding="utf-8").splitlines():
            key, mark, value = line.partition("=")
            if mark and not line.startswith("#") and harmless(key.strip()):
                keys[key.strip()] = value.strip()
        return keys

    def chosen(self, kind: str, name: str, machine: str = "") -> dict[str, str]:
        """The machine's own file of this kind, else the lab's. Raises UnknownProfile; never a path of somebody's."""
        if NAME.fullmatch(name) and (not machine or NAME.fullmatch(machine)):
            own = self.read(f"{kind}-{name}@{machine}") if machine else None
            keys = self.read(f"{kind}-{name}") if own is None else own
            if keys is not None:
                return keys
        raise UnknownProfile(f"no {kind} profile {name!r}")


OURS = Shelf()


@dataclass(frozen=True, kw_only=True)
class PrintProfile:
    """Everything the slicer is told. `keys` are PrusaSlicer's own names and spellings."""

    machine: str
    keys: Mapping[str, str]

    @classmethod
    def resolve(
        cls,
        machine_profile: str,
        material: str = "pla",
        quality: str = "normal",
        infill_percent: int = 15,
        supports: bool = False,
        *,
        overrides: Mapping[str, Choice] = MappingProxyType({}),
        shelf: Shelf = OURS,
    ) -> Self:
        """Base, machine, material, quality, then the choices. Raises UnknownProfile, OverrideRefused (ValueError).

        `overrides` are keys of OVERRIDES; what is not chosen there stays as machine and quality have it.
        """
        if quality not in QUALITIES:
            raise UnknownProfile(f"no quality preset {quality!r}")
        machine = shelf.chosen("machine", machine_profile)
        keys = (shelf.read("base") or {}) | machine
        keys |= shelf.chosen("material", material, machine_profile)
        layers = shelf.chosen("quality", quality, machine_profile)
        own = quality in shelf.of_machine("quality", machine_profile)
        keys |= layers if own else _bounded(layers, keys)
        keys |= _choices({"fill_density": infill_percent, "support_material": supports} | dict(overrides))
        keys |= FORCED
        return cls(machine=machine_profile, keys=MappingProxyType(_consistent(keys)))

    def to_ini(self, **instead: str) -> str:
        """The flat file for `--load`, sorted, so that equal profiles are equal bytes; `instead` replaces keys."""
        return "".join(f"{key} = {value}\n" for key, value in sorted({**self.keys, **instead}.items()))

    @property
    def digest(self) -> str:
        """sha256 of the ini: with the model's hash and the slicer's version it names a slice."""
        return hashlib.sha256(self.to_ini().encode()).hexdigest()

    @property
    def rectangle_mm(self) -> tuple[float, float, float, float]:
        """Low x, low y, width and depth of what lies inside the bed's outline: all of a square bed, of a round one the
        square within. Shaped like the outline's box, about its centre.
        """
        corners = [_corner(word) for word in self.keys["bed_shape"].split(",")]
        xs, ys = [x for x, _ in corners], [y for _, y in corners]
        width, depth = max(xs) - min(xs), max(ys) - min(ys)
        centre = (min(xs) + width / 2, min(ys) + depth / 2)
        share = _share_inside(corners, centre, width, depth)
        return (
            centre[0] - share * width / 2,
            centre[1] - share * depth / 2,
            share * width,
            share * depth,
        )

    @property
    def bed_mm(self) -> tuple[float, float, float]:
        """Width, depth and height the machine can print."""
        _, _, width, depth = self.rectangle_mm
        return width, depth, float(self.keys["max_print_height"])

    @property
    def edge_mm(self) -> float:
        """What skirt and brim need around the parts on each side."""
        skirt = 0.0
        if int(self.keys.get("skirts", "0")):
            skirt = float(self.keys.get("skirt_distance", "0")) + int(self.keys["skirts"]) * 0.5
        return skirt + float(self.keys.get("brim_width", "0"))

    @property
    def filament_density(self) -> float:
        """g/cm3; milligrams per mm3 is the same number."""
        return float(_first(self.keys["filament_density"]))

    @property
    def filament_mm2(self) -> float:
        """Cross-section of the filament."""
        return 3.141592653589793 * float(_first(self.keys["filament_diameter"])) ** 2 / 4


def available(kind: str) -> tuple[str, ...]:
    """Names of the profiles that ship: `machine`, `material` or `quality`."""
    return OURS.available(kind)


def _choices(wanted: Mapping[str, Choice]) -> dict[str, str]:
    """Each choice spelled for the slicer, and whether they go together. Raises OverrideRefused."""
    spelled = {}
    for key, value in wanted.items():
        if key not in OVERRIDES:
            raise OverrideRefused(key, value, "members cannot set it", "les membres ne peuvent pas le régler")
        spelled[key] = OVERRIDES[key].spelled(key, value)
    if spelled["fill_density"] == "100%" and spelled.get("fill_pattern", "rectilinear") not in _FULL_PATTERNS:
        listed = ", ".join(_FULL_PATTERNS)
        raise OverrideRefused(
            "fill_pattern",
            wanted["fill_pattern"],
            f"at 100 % one of {listed}",
            f"à 100 %, un choix parmi {listed}",
        )
    return spelled


def _consistent(keys: dict[str, str]) -> dict[str, str]:
    """What must follow from the rest for the slicer to take it."""
    if keys["first_layer_height"].endswith("%"):  # bundles write it so; without its window the slicer cannot
        share = float(keys["first_layer_height"].rstrip("%")) / 100
        keys["first_layer_height"] = f"{share * float(keys['layer_height']):g}"
    if keys["fill_density"] == "100%" and keys.get("fill_pattern") not in _FULL_PATTERNS:
        keys["fill_pattern"] = "rectilinear"  # a gyroid cannot be full: the slicer refuses it
    brim = float(keys.get("brim_width", "0"))
    if brim:  # brims of neighbours must not grow together
        keys["duplicate_distance"] = f"{max(float(keys.get('duplicate_distance', '6')), 2 * brim + 1):g}"
    if "G92 E0" not in keys.get("layer_gcode", "") + keys.get("before_layer_gcode", ""):
        # With relative E the slicer wants its counter reset on each layer, or it refuses the whole profile.
        keys["layer_gcode"] = "\\n".join(filter(None, (keys.get("layer_gcode", ""), "G92 E0")))
    return keys


def _bounded(quality: dict[str, str], below: Mapping[str, str]) -> dict[str, str]:
    """The quality with its layers brought within what this machine's nozzle can lay."""
    nozzle = float(_first(below.get("nozzle_diameter", "0.4")))
    least = float(_first(below.get("min_layer_height", "0.07")))
    most = float(_first(below.get("max_layer_height", "0"))) or 0.75 * nozzle
    bounded = dict(quality)
    for key in ("layer_height", "first_layer_height"):
        if key in quality and not quality[key].endswith("%"):
            bounded[key] = f"{min(max(float(quality[key]), least), max(most, least)):g}"
    return bounded


def _first(value: str) -> str:
    """Of a list with one value an extruder or a mode, the first."""
    return value.split(",")[0].strip()


def _corner(word: str) -> tuple[float, float]:
    x, _, y = word.partition("x")
    return float(x), float(y)


def _share_inside(
    corners: list[tuple[float, float]], centre: tuple[float, float], width: float, depth: float
) -> float:
    """How far the outline's box must shrink about its centre to lie within a convex outline: 1 for a rectangle."""
    area = sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(corners, corners[1:] + corners[:1], strict=True))
    share = 1.0
    for a, b in zip(corners, corners[1:] + corners[:1], strict=True):
        length = hypot(b[0] - a[0], b[1] - a[1])
        if length == 0:
            continue
        sign = (1 if area > 0 else -1) / length
        out_x, out_y = (b[1] - a[1]) * sign, (a[0] - b[0]) * sign
        room = (a[0] - centre[0]) * out_x + (a[1] - centre[1]) * out_y
        share = min(share, room / (abs(out_x) * width / 2 + abs(out_y) * depth / 2))
    return share
