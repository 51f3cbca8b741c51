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
class Analysis:
    """What the geometry is. Lengths in mm, after the file's own unit was applied."""

    kind: FileKind
    triangles: int
    size_mm: tuple[float, float, float]
    volume_mm3: float
    area_mm2: float
    watertight: bool
    bodies: int | None = None  # None: not counted
    warnings: tuple[Warning, ...] = ()


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
