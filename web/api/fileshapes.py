"""The shapes of a member's file and what is known of it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from orchestrator.domain import file as files
from web.api.moments import moment
from web.errors import ShownFault, shown_fault
from web.typed import Shown


class ShownWarning(Shown):
    rule: str
    severity: str
    """`info`, `warning`, or `question`: only you can answer it."""
    text: str
    remedy: str
    """What to do; empty: nothing."""
    places: list[list[float]]
    """Where: points [x, y, z] or boxes [x, y, z, x, y, z], in mm, in the part as drawn."""
    params: dict[str, Any]


class ShownGroup(Shown):
    key: str
    """The name under which an operation is chosen for it."""
    paint: str
    colour: str
    layer: str
    count: int
    length_mm: float
    closed: bool
    from_text: bool


class ShownDrawing(Shown):
    groups: list[ShownGroup]
    unit: str
    source: str


class ShownAnalysis(Shown):
    kind: str
    size_mm: tuple[float, float, float]
    volume_mm3: float
    area_mm2: float
    triangles: int
    watertight: bool
    bodies: int | None
    warnings: list[ShownWarning]
    drawing: ShownDrawing | None
    """What only drawings have; None: a model."""


class ShownFile(Shown):
    id: UUID
    sha256: str
    name: str
    kind: str | None
    """None until it is known."""
    size_bytes: int
    created_at: str
    analysis: ShownAnalysis | None
    """None until it is done."""
    refusals: list[ShownFault]


def warning(value: files.Warning, language: str) -> ShownWarning:
    return ShownWarning(
        rule=value.rule,
        severity=value.severity.value,
        text=value.texts.get(language, value.texts.get("en", "")),
        remedy=value.remedies.get(language, value.remedies.get("en", "")),
        places=[list(place) for place in value.places],
        params=dict(value.params),
    )


def analysis(value: files.Analysis, language: str) -> ShownAnalysis:
    return ShownAnalysis(
        kind=value.kind.value,
        size_mm=value.size_mm,
        volume_mm3=round(value.volume_mm3, 3),
        area_mm2=round(value.area_mm2, 3),
        triangles=value.triangles,
        watertight=value.watertight,
        bodies=value.bodies,
        warnings=[warning(w, language) for w in value.warnings],
        drawing=_drawing(value.drawing) if value.drawing else None,
    )


def _drawing(value: files.Drawing) -> ShownDrawing:
    return ShownDrawing(
        groups=[
            ShownGroup(
                key=group.key,
                paint=group.paint,
                colour=group.colour,
                layer=group.layer,
                count=group.count,
                length_mm=round(group.length_mm, 3),
                closed=group.closed,
                from_text=group.from_text,
            )
            for group in value.groups
        ],
        unit=value.unit,
        source=value.source,
    )


def file(value: files.File, language: str) -> ShownFile:
    return ShownFile(
        id=value.id,
        sha256=value.sha256,
        name=value.name,
        kind=value.analysis.kind.value if value.analysis else None,
        size_bytes=value.size_bytes,
        created_at=moment(value.created_at),
        analysis=analysis(value.analysis, language) if value.analysis else None,
        refusals=[shown_fault(f, language) for f in value.refusals],
    )
