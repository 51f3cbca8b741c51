"""What the fork that reads drawings hands out: frozen, JSON-able both ways."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from slicing.results import MeshWarning
from slicing.vector.design import Group
from slicing.vector.vectorestimate import CutEstimate


@dataclass(frozen=True, kw_only=True)
class DrawingAnalysis:
    """What a drawing is. The size is that of its lines, not of its page."""

    kind: str  # `svg` or `dxf`
    bytes: int
    size_mm: tuple[float, float]
    unit: str
    source: str
    groups: tuple[Group, ...]
    warnings: tuple[MeshWarning, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        width, depth = raw["size_mm"]
        groups = tuple(Group(**{**group, "box_mm": tuple(group["box_mm"])}) for group in raw["groups"])
        warnings = tuple(MeshWarning.from_json(warning) for warning in raw["warnings"])
        return cls(**{**raw, "size_mm": (width, depth), "groups": groups, "warnings": warnings})


@dataclass(frozen=True, kw_only=True)
class CutResult:
    """A drawing planned for one machine."""

    estimate: CutEstimate
    kinds: Mapping[str, str]  # what became of each group
    sheet_mm2: float  # the work's own box, with its margin
    place_mm: tuple[float, float, float, float]  # of all copies on the bed: low x, low y, high x, high y
    toolpath_sha256: str
    warnings: tuple[MeshWarning, ...]

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "estimate": self.estimate.to_json()}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        low_x, low_y, high_x, high_y = raw["place_mm"]
        warnings = tuple(MeshWarning.from_json(warning) for warning in raw["warnings"])
        fields = {
            **raw,
            "estimate": CutEstimate.from_json(raw["estimate"]),
            "place_mm": (low_x, low_y, high_x, high_y),
            "warnings": warnings,
        }
        return cls(**fields)
