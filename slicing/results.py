"""The values slicing hands out: frozen, JSON-able both ways, units in the names. No behaviour beyond that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

Rectangle = tuple[float, float, float, float]
"""Low x, low y, width and depth, mm."""


@dataclass(frozen=True, kw_only=True)
class MeshWarning:
    """Something worth telling that does not stop the job. `severity` is `note`, `warning` or `question`.

    `place` lists points (x, y, z) and boxes (x0, y0, z0, x1, y1, z1) in mm, in the file's own coordinates: at most
    some twenty, the worst first. The remedies say what to do, and are empty where there is nothing to do.
    """

    code: str
    severity: str
    text_en: str
    text_fr: str
    params: Mapping[str, Any]
    remedy_en: str = ""
    remedy_fr: str = ""
    place: tuple[tuple[float, ...], ...] = ()

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        """Rows written before remedies and places were known have neither."""
        return cls(**{**raw, "place": tuple(tuple(p) for p in raw.get("place", ()))})


@dataclass(frozen=True, kw_only=True)
class MeshAnalysis:
    """What the geometry is. Lengths in mm; `bodies` is None where counting would cost more than it tells."""

    kind: str
    bytes: int
    triangles: int
    size_mm: tuple[float, float, float]
    volume_mm3: float
    area_mm2: float
    watertight: bool
    open_edges: int
    bodies: int | None
    warnings: tuple[MeshWarning, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        fields = dict(raw)
        fields["size_mm"] = tuple(float(v) for v in raw["size_mm"])
        fields["warnings"] = tuple(MeshWarning.from_json(w) for w in raw["warnings"])
        return cls(**fields)


@dataclass(frozen=True, kw_only=True)
class PrintEstimate:
    """Seconds and milligrams for the whole quantity: p50 is the expectation, nine in ten stay below p90.

    `confidence` is `high`, `medium` or `low`; `reasons` are the codes that lowered it; `features` are the
    sums the figures were made of (mm3, mm, counts), kept so that a calibration can be refitted later.
    """

    seconds_p50: int
    seconds_p90: int
    milligrams_p50: int
    milligrams_p90: int
    quantity: int
    confidence: str
    reasons: tuple[str, ...]
    features: Mapping[str, float]
    source: str = "mesh"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        return cls(**{**raw, "reasons": tuple(raw["reasons"])})


@dataclass(frozen=True, kw_only=True)
class Study:
    """One reading of a file: what it is, and what it would take under one profile."""

    analysis: MeshAnalysis
    estimate: PrintEstimate


@dataclass(frozen=True, kw_only=True)
class Overview:
    """Where each layer begins in a file of `size` bytes, and what all of them together draw: the view that stays the
    same from layer to layer (None: nothing is drawn).
    """

    first_bytes: tuple[int, ...]
    size: int
    view_mm: Rectangle | None

    def span(self, number: int) -> tuple[int, int]:
        """First byte and end of a layer, counted from 1. Raises IndexError."""
        if not 1 <= number <= len(self.first_bytes):
            raise IndexError(number)
        return (*self.first_bytes, self.size)[number - 1], (*self.first_bytes, self.size)[number]


def rectangle(numbers: Sequence[float]) -> Rectangle:
    """Four numbers of a JSON list. Raises ValueError for more or fewer."""
    x, y, width, depth = map(float, numbers)
    return x, y, width, depth
