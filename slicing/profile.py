"""Our flat slicer profiles, and one print's resolved settings: the same key map feeds the estimator and the
slicer.

A member's choices select files and three bounded values; no text of a member ever enters a profile.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Self

PROFILES = Path(__file__).parent / "profiles"
QUALITIES = ("draft", "normal", "fine")
INFILL_PERCENT_MAX = 100


class UnknownProfile(ValueError):
    """A machine, material or quality for which the lab has no profile: the operator's to mend."""


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
    ) -> Self:
        """Base, machine, material, quality, then the two choices. Raises UnknownProfile, ValueError."""
        if not 0 <= infill_percent <= INFILL_PERCENT_MAX:
            raise ValueError(f"infill is a percentage from 0 to 100, not {infill_percent}")
        if quality not in QUALITIES:
            raise UnknownProfile(f"no quality preset {quality!r}")
        keys: dict[str, str] = {}
        for name in ("base", f"machine-{machine_profile}", f"material-{material}", f"quality-{quality}"):
            keys |= _read(name)
        keys["fill_density"] = f"{infill_percent}%"
        if infill_percent == INFILL_PERCENT_MAX:
            keys["fill_pattern"] = "rectilinear"  # a gyroid cannot be full: the slicer refuses it
        keys["support_material"] = "1" if supports else "0"
        keys["post_process"] = ""
        return cls(machine=machine_profile, keys=MappingProxyType(keys))

    def to_ini(self) -> str:
        """The flat file for `--load`, sorted, so that equal profiles are equal bytes."""
        return "".join(f"{key} = {value}\n" for key, value in sorted(self.keys.items()))

    @property
    def digest(self) -> str:
        """sha256 of the ini: with the model's hash and the slicer's version it names a slice."""
        return hashlib.sha256(self.to_ini().encode()).hexdigest()

    @property
    def bed_mm(self) -> tuple[float, float, float]:
        """Width, depth and height the machine can print."""
        corners = [tuple(float(v) for v in corner.split("x")) for corner in self.keys["bed_shape"].split(",")]
        width = max(c[0] for c in corners) - min(c[0] for c in corners)
        depth = max(c[1] for c in corners) - min(c[1] for c in corners)
        return width, depth, float(self.keys["max_print_height"])

    @property
    def edge_mm(self) -> float:
        """What skirt and brim need around the parts on each side."""
        skirt = 0.0
        if int(self.keys.get("skirts", "0")):
            skirt = float(self.keys.get("skirt_distance", "0")) + int(self.keys["skirts"]) * 0.5
        return max(skirt, float(self.keys.get("brim_width", "0")))

    @property
    def filament_density(self) -> float:
        """g/cm3; milligrams per mm3 is the same number."""
        return float(self.keys["filament_density"])

    @property
    def filament_mm2(self) -> float:
        """Cross-section of the filament."""
        return 3.141592653589793 * float(self.keys["filament_diameter"]) ** 2 / 4


def available(kind: str) -> tuple[str, ...]:
    """Names of our profiles of a kind: `machine`, `material` or `quality`."""
    return tuple(sorted(path.stem.split("-", 1)[1] for path in PROFILES.glob(f"{kind}-*.ini")))


def _read(name: str) -> dict[str, str]:
    kind, _, own = name.partition("-")
    if own and own not in available(kind):  # never a path made of somebody's words
        raise UnknownProfile(f"no {kind} profile {own!r}")
    keys: dict[str, str] = {}
    for line in (PROFILES / f"{name}.ini").read_text(encoding="utf-8").splitlines():
        key, mark, value = line.partition("=")
        if mark and not line.startswith("#"):
            keys[key.strip()] = value.strip()
    return keys
