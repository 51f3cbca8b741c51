"""How a thing is to be made, as a caller says it and as we say it back: a print or a cut."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import Discriminator, Field, Tag, ValidationError

from orchestrator.domain.errors import Rejected
from orchestrator.domain.file import DRAWINGS, Analysis
from orchestrator.domain.process import (
    RANGES,
    Colour,
    CutKind,
    CutProcess,
    Making,
    Material,
    Process,
    Quality,
    Turn,
    cut_faults,
    out_of_range,
)
from orchestrator.domain.sheet import SheetMaterial
from web.errors import TAG, field_faults
from web.typed import Given, Shown

OPERATIONS_MAX = 64
Body = TypeVar("Body", "ProcessBody", "CutBody")


class ProcessBody(Given):
    material: Material = Field(default=Material.PLA, strict=False)
    quality: Quality = Field(default=Quality.NORMAL, strict=False)
    infill_percent: int = 15
    supports: bool = False
    perimeters: int = 2
    brim_mm: int = 0
    scale_percent: int = 100
    turn: Turn = Field(default=Turn.AS_DRAWN, strict=False)
    colour: Colour | None = Field(default=None, strict=False)
    """None: whatever is loaded."""


class CutBody(Given):
    material: str = Field(default=CutProcess().material, min_length=1, max_length=64)
    """Name of a material of `/materials`."""
    operations: dict[Annotated[str, Field(max_length=200)], CutKind] = Field(
        default_factory=dict, max_length=OPERATIONS_MAX
    )
    """What becomes of a group of the drawing, by its key; the others follow the lab's rules."""
    remove_duplicates: bool = True
    kerf: bool = True
    tabs: int = 0
    scale_percent: int = 100
    rotation_degrees: int = 0
    x_mm: float | None = None
    """Where the lower left corner of the work lies on the bed; null: where there is room."""
    y_mm: float | None = None
    sheet_mm: tuple[int, int] | None = None
    own_sheet: bool = False
    unit: str = Field(default="", max_length=16)


_PRINT, _CUT = f"{TAG}print", f"{TAG}cut"


def _which(given: Any) -> str:
    """By what only one of the two has. An empty one is either: the file decides."""
    if isinstance(given, CutBody):
        return _CUT
    if not isinstance(given, dict):
        return _PRINT
    only_cut = set(CutBody.model_fields) - set(ProcessBody.model_fields)
    material = given.get("material")
    of_a_print = not isinstance(material, str) or material in {one.value for one in Material}
    could_be_a_cut = not of_a_print and set(CutBody.model_fields).issuperset(given)
    return _CUT if only_cut & set(given) or could_be_a_cut else _PRINT


MakingBody = Annotated[
    Annotated[ProcessBody, Tag(_PRINT)] | Annotated[CutBody, Tag(_CUT)], Discriminator(_which)
]


def making(body: ProcessBody | CutBody, analysis: Analysis | None) -> Making:
    """What was asked for, as the file wants it: what was left out is the lab's default for its kind.

    Raises Rejected with a fault for each choice that cannot be.
    """
    drawn = analysis is not None and analysis.kind in DRAWINGS
    asked = body.model_dump(exclude_unset=True)
    if drawn and isinstance(body, ProcessBody):
        body = _read_as(CutBody, asked)
    elif not drawn and isinstance(body, CutBody):
        body = _read_as(ProcessBody, asked)
    if isinstance(body, CutBody):
        return _cut(body)
    chosen = dict(body)
    if faults := out_of_range({name: chosen[name] for name in RANGES}):
        raise Rejected("This process is not possible.", code="fields", faults=faults)
    return Process(**chosen)


def _read_as(wanted: type[Body], asked: dict[str, Any]) -> Body:
    try:
        return wanted.model_validate(asked)
    except ValidationError as wrong:
        raise field_faults(wrong, "process") from wrong


def _cut(body: CutBody) -> CutProcess:
    chosen = dict(body) | {"operations": tuple(sorted(body.operations.items()))}
    if faults := cut_faults(chosen):
        raise Rejected("This process is not possible.", code="fields", faults=faults)
    return CutProcess(**chosen)


class ShownProcess(Shown):
    material: str
    quality: str
    infill_percent: int
    supports: bool
    perimeters: int
    brim_mm: int
    scale_percent: int
    turn: str
    """How the part lies: `as_drawn`, or turned about an axis by so many degrees (`x90`)."""
    colour: str | None
    """None: whatever is loaded."""


class ShownCutProcess(Shown):
    material: str
    operations: dict[str, str]
    remove_duplicates: bool
    kerf: bool
    tabs: int
    scale_percent: int
    rotation_degrees: int
    x_mm: float | None
    y_mm: float | None
    sheet_mm: tuple[int, int] | None
    own_sheet: bool
    unit: str


def process(value: Making) -> ShownProcess | ShownCutProcess:
    if isinstance(value, CutProcess):
        return ShownCutProcess(
            material=value.material,
            operations={key: kind.value for key, kind in value.operations},
            remove_duplicates=value.remove_duplicates,
            kerf=value.kerf,
            tabs=value.tabs,
            scale_percent=value.scale_percent,
            rotation_degrees=value.rotation_degrees,
            x_mm=value.x_mm,
            y_mm=value.y_mm,
            sheet_mm=value.sheet_mm,
            own_sheet=value.own_sheet,
            unit=value.unit,
        )
    return ShownProcess(
        material=value.material.value,
        quality=value.quality.value,
        infill_percent=value.infill_percent,
        supports=value.supports,
        perimeters=value.perimeters,
        brim_mm=value.brim_mm,
        scale_percent=value.scale_percent,
        turn=value.turn.value,
        colour=value.colour.value if value.colour else None,
    )


class ShownSheetSetting(Shown):
    kind: str
    speed_mm_s: float
    power_percent: float
    passes: int
    source: str
    """Where the figures are from."""
    confidence: str
    """`vendor`, `lab_tested`, `scaled` or `community`."""
    tested_on: str
    """In this lab, ISO date; empty: never."""


class ShownSheet(Shown):
    name: str
    text: str
    thickness_mm: float
    settings: list[ShownSheetSetting]
    refusal: str
    """Why a machine must never be given it; empty: it may be cut."""


def sheet(value: SheetMaterial, language: str) -> ShownSheet:
    return ShownSheet(
        name=value.name,
        text=value.texts.get(language, value.texts.get("en", value.name)),
        thickness_mm=value.thickness_mm,
        settings=[
            ShownSheetSetting(
                kind=one.kind,
                speed_mm_s=one.speed_mm_s,
                power_percent=one.power_percent,
                passes=one.passes,
                source=one.source,
                confidence=one.confidence,
                tested_on=one.tested_on,
            )
            for one in value.settings
        ],
        refusal=value.refusals.get(language, value.refusals.get("en", "")),
    )
