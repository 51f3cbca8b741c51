"""The page of a drawing between upload and accepted price: where it lies on the bed, what becomes of each colour, in
which sheet, and how the cut will go.

It reads what the form says and puts together what the template shows; what may be cut and what it costs, others say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.domain.file import Analysis, DrawnGroup
from orchestrator.domain.machine import Kind, Machine
from orchestrator.domain.member import Member
from orchestrator.domain.process import VINYL, CutKind, CutProcess
from orchestrator.domain.quote import CutRow, Quote
from orchestrator.domain.sheet import SheetMaterial
from orchestrator.flow import advise, report
from orchestrator.flow.lab import Lab

MARK = "cut"
"""Value of the form's hidden field `making`."""
OPERATION, BY_RULE = "op:", "rule:"
"""A form's `op:<key>` is what was chosen for a group; `rule:<key>` what was shown there because a rule says so."""
IN_ORDER = (CutKind.ENGRAVE, CutKind.SCORE, CutKind.CUT, CutKind.IGNORE)
"""What is done first, last."""
GRID_MM = 100
USUAL_BED_MM = (600, 400)
"""What is drawn while the lab has no such machine."""


def is_cut(form: Mapping[str, str]) -> bool:
    return form.get("making") == MARK


def process(form: Mapping[str, str]) -> CutProcess:
    """Raises ValueError for what no form of ours offers; what is missing is the lab's default."""
    usual = CutProcess()

    def whole(name: str) -> int:
        return int(form.get(name) or getattr(usual, name))

    width, depth = form.get("sheet_width", "").strip(), form.get("sheet_depth", "").strip()
    return CutProcess(
        material=form.get("material") or usual.material,
        operations=_operations(form),
        remove_duplicates="remove_duplicates" in form,
        kerf="kerf" in form,
        tabs=whole("tabs"),
        scale_percent=whole("scale_percent"),
        rotation_degrees=whole("rotation_degrees"),
        x_mm=_millimetres(form.get("x_mm", "")),
        y_mm=_millimetres(form.get("y_mm", "")),
        sheet_mm=(int(width), int(depth)) if width and depth else None,
        own_sheet="own_sheet" in form,
        unit=form.get("unit", ""),
    )


def _millimetres(text: str) -> float | None:
    return round(float(text), 2) if text.strip() else None


def _operations(form: Mapping[str, str]) -> tuple[tuple[str, CutKind], ...]:
    """What was chosen otherwise than the rule says. An empty choice goes back to the rule."""
    chosen = {}
    for name, value in form.items():
        key = name.removeprefix(OPERATION)
        if key != name and value and form.get(BY_RULE + key) != value:
            chosen[key] = CutKind(value)
    return tuple(sorted(chosen.items()))


@dataclass(frozen=True, kw_only=True)
class GroupRow:
    """One colour of the drawing: what it is, what becomes of it, and what that takes (None: nothing is priced)."""

    number: int  # in the drawing's own order: it stays when the order of work changes
    group: DrawnGroup
    kind: CutKind
    overruled: bool  # by the member
    kinds: tuple[CutKind, ...]
    done: CutRow | None


def rows(analysis: Analysis, making: CutProcess, quote: Quote | None) -> list[GroupRow]:
    """In the order of work."""
    if analysis.drawing is None:
        return []
    cutting = quote.estimate.cutting if quote else None
    done = {row.key: row for row in cutting.rows} if cutting else {}
    chosen = dict(making.operations)
    made = []
    for number, group in enumerate(analysis.drawing.groups):
        row = done.get(group.key)
        kind = chosen.get(group.key) or (row.kind if row else CutKind.IGNORE)
        overruled = group.key in chosen
        kinds = kinds_for(group, knife=making.material == VINYL)
        made.append(
            GroupRow(
                number=number,
                group=group,
                kind=kind,
                overruled=overruled,
                kinds=kinds,
                done=row if row and row.kind is kind else None,
            )
        )
    return sorted(made, key=lambda one: IN_ORDER.index(one.kind))


def kinds_for(group: DrawnGroup, *, knife: bool) -> tuple[CutKind, ...]:
    """What can be chosen; whether the material takes it, the price says."""
    if group.paint == "picture":
        return (CutKind.IGNORE,) if knife else (CutKind.ENGRAVE, CutKind.IGNORE)
    return (CutKind.CUT, CutKind.IGNORE) if knife else tuple(CutKind)


@dataclass(frozen=True, kw_only=True)
class Sheets:
    allowed: tuple[SheetMaterial, ...]
    never: tuple[SheetMaterial, ...]

    def named(self, name: str) -> SheetMaterial | None:
        return next((sheet for sheet in self.allowed if sheet.name == name), None)


def sheets(lab: Lab, machines: Sequence[Machine], profile: str) -> Sheets:
    """What the machine of this profile takes, and vinyl where the lab has a knife for it."""
    laser = next((m.abilities.profile for m in machines if m.kind is Kind.LASER), "")
    knife = next((m.abilities.profile for m in machines if m.kind is Kind.VINYL), "")
    if profile and profile != knife:
        laser = profile
    known = [sheet for sheet in _sheets(lab, laser) if sheet.name != VINYL or sheet.refusals]
    cut = [sheet for sheet in _sheets(lab, knife) if sheet.name == VINYL and not sheet.refusals]
    return Sheets(
        allowed=tuple([sheet for sheet in known if not sheet.refusals] + cut),
        never=tuple(sheet for sheet in known if sheet.refusals),
    )


def _sheets(lab: Lab, profile: str) -> Sequence[SheetMaterial]:
    return advise.sheets(lab, profile) if profile else ()


def sheet_name(lab: Lab, making: CutProcess, profile: str, locale: str) -> str:
    """What people call a process's material; its own name where nobody knows it any more."""
    for sheet in _sheets(lab, profile):
        if sheet.name == making.material:
            return in_words(sheet.texts, locale) or sheet.name
    return making.material


def in_words(texts: Mapping[str, str], locale: str) -> str:
    return texts.get(locale) or texts.get("en", "")


@dataclass(frozen=True, kw_only=True)
class Stage:
    """The bed as it is drawn: y goes down on a screen, and up on the bed."""

    bed_mm: tuple[float, float]
    sheet_mm: tuple[float, float]
    x: float
    y: float  # of the work's upper edge, from the bed's back
    width: float
    height: float

    @property
    def grid(self) -> str:
        """Lines every so many millimetres, as an SVG path."""
        across, along = self.bed_mm
        upright = [f"M{x} 0V{along:g}" for x in range(GRID_MM, int(across), GRID_MM)]
        level = [f"M0 {along - y:g}H{across:g}" for y in range(GRID_MM, int(along), GRID_MM)]
        return "".join(upright + level)


def stage(bed_mm: tuple[float, float], making: CutProcess, quote: Quote | None) -> Stage:
    width, depth = bed_mm
    sheet = making.sheet_mm or bed_mm
    cutting = quote.estimate.cutting if quote else None
    low_x, low_y, high_x, high_y = cutting.place_mm if cutting else (0.0, 0.0, 0.0, 0.0)
    return Stage(
        bed_mm=bed_mm,
        sheet_mm=(min(sheet[0], width), min(sheet[1], depth)),
        x=low_x,
        y=depth - high_y,
        width=high_x - low_x,
        height=high_y - low_y,
    )


def bed_of(machines: Sequence[Machine], profile: str, making: CutProcess) -> tuple[float, float]:
    kind = Kind.VINYL if making.material == VINYL else Kind.LASER
    of_profile = [m for m in machines if m.abilities.profile == profile and m.kind is not Kind.PRINTER]
    found = of_profile or [m for m in machines if m.kind is kind]
    width, depth, _height = found[0].abilities.size_mm if found else (*USUAL_BED_MM, 0)
    return float(width), float(depth)


async def values(
    lab: Lab, who: Member, analysis: Analysis, quote: Quote | None, making: CutProcess
) -> dict[str, Any]:
    """What the page of a drawing shows beside what every page of a price shows."""
    machines = [view.machine for view in await report.fleet(lab, who)]
    profile = quote.profile if quote else ""
    found = sheets(lab, machines, profile)
    return {
        "rows": rows(analysis, making, quote),
        "sheets": found,
        "sheet": found.named(making.material),
        "stage": stage(bed_of(machines, profile, making), making, quote),
        "in_words": in_words,
    }
