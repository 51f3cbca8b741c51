"""A File is an upload, stored once by its sha256 and never changed; its Analysis hangs on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from orchestrator.domain.errors import Fault
from orchestrator.domain.event import Json


class FileKind(StrEnum):
    STL = "stl"
    THREE_MF = "3mf"
    OBJ = "obj"
    SVG = "svg"
    DXF = "dxf"


DRAWINGS = frozenset({FileKind.SVG, FileKind.DXF})
"""Cut, not printed."""


class Severity(StrEnum):
    INFO = "info"
    WARNING = "warning"
    QUESTION = "question"  # only the member knows: was it drawn in inches?


@dataclass(frozen=True, kw_only=True)
class Warning:
    """Something worth knowing before paying: it can be made, but."""

    rule: str
    severity: Severity
    texts: Mapping[str, str] = field(default_factory=dict)  # "en" / "fr" -> sentence
    remedies: Mapping[str, str] = field(default_factory=dict)  # "en" / "fr" -> what to do
    places: tuple[tuple[float, ...], ...] = ()  # points (x, y, z) or boxes (low, high), mm, as drawn
    params: Mapping[str, Json] = field(default_factory=dict)  # the figures in the sentence


@dataclass(frozen=True, kw_only=True)
class DrawnGroup:
    """All of a drawing that is painted alike on one layer: what one operation is chosen for."""

    key: str  # `stroke:#ff0000`, `fill:#000000`, `picture`; with `@layer` behind it on a named one
    paint: str  # `stroke`, `fill` or `picture`
    colour: str  # `#rrggbb`; empty for pictures
    layer: str
    count: int
    length_mm: float
    closed: bool
    from_text: bool


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """What only drawings have."""

    groups: tuple[DrawnGroup, ...]
    unit: str  # how its numbers were read: `physical`, `96dpi`, `mm`, …
    source: str  # the program it comes from, where it says so

    @property
    def length_mm(self) -> float:
        return sum(group.length_mm for group in self.groups if group.paint == "stroke")


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """What the geometry is. Lengths in mm, after the file's own unit was applied. A drawing has no volume, and z 0."""

    kind: FileKind
    triangles: int
    size_mm: tuple[float, float, float]
    volume_mm3: float
    area_mm2: float
    watertight: bool
    bodies: int | None = None  # None: not counted
    warnings: tuple[Warning, ...] = ()
    drawing: Drawing | None = None  # None: a model


@dataclass(frozen=True, kw_only=True)
class File:
    """`analysis` and `refusals` are both empty until the analysis is done; then exactly one is not."""

    id: UUID
    owner_id: UUID
    sha256: str
    name: str  # for display only, never a path
    size_bytes: int
    created_at: datetime
    analysis: Analysis | None = None
    refusals: tuple[Fault, ...] = ()

    @property
    def analysed(self) -> bool:
        return self.analysis is not None or bool(self.refusals)
