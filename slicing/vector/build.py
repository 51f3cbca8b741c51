"""From a drawing and what was chosen for it to a Toolpath for one machine: the way through all the others here.

One copy is prepared at its size (overlaps, joining, kerf, checks), then laid as often as wanted, then ordered as a
whole. Pure: the same drawing and choice always give the same toolpath.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from slicing.faults import refused
from slicing.messages import warning
from slicing.results import MeshWarning
from slicing.vector import checks, order, overlaps, place, plane, tabs
from slicing.vector.design import Design, FloatArray, Group
from slicing.vector.groups import groups as grouped
from slicing.vector.kerf import compensated
from slicing.vector.machines import CutMachine
from slicing.vector.materials import Materials, materials
from slicing.vector.nesting import Nest, nested
from slicing.vector.operations import inner_first
from slicing.vector.pieces import Piece, joined
from slicing.vector.place import Box, Frame, Sheet
from slicing.vector.plan import Plan
from slicing.vector.scans import merged, turned_alike
from slicing.vector.toolpath import CUT, ENGRAVE, SCORE, Contour, Operation, Scan, Settings, Toolpath
from slicing.vector.work import Area, Chosen, Work, chosen, collected, told

POINTS_MAX = 3_000_000


@dataclass(frozen=True, kw_only=True)
class SheetUse:
    """What of the material is gone: the box around all copies with a margin, at most the sheet; and the sheet."""

    sheet_mm2: float
    whole_mm2: float
    box_mm: Box


@dataclass(frozen=True, kw_only=True)
class Built:
    toolpath: Toolpath
    use: SheetUse
    kinds: Mapping[str, str]  # what became of each Group
    places_mm: tuple[tuple[float, float], ...]  # lower left corner of each copy
    size_mm: tuple[float, float]  # of one copy


@dataclass(frozen=True, kw_only=True)
class _Copy:
    """One copy, ready to be laid."""

    cut: Sequence[Piece]
    nest: Nest
    score: Sequence[Piece]
    work: Work
    box: Box
    warnings: Sequence[MeshWarning]


def build(
    design: Design, plan: Mapping[str, Any], machine: CutMachine, found: Materials | None = None
) -> Toolpath:
    """As `built`, only the toolpath."""
    return built(design, plan, machine, found).toolpath


def built(
    design: Design,
    plan: Mapping[str, Any],
    machine: CutMachine,
    found: Materials | None = None,
    groups: Sequence[Group] | None = None,
) -> Built:
    """Raises FileRefused with a code of `words_cut`: for the plan, the material, the operations, the size or place."""
    wanted = Plan.of(plan)
    choice = chosen(
        design, grouped(design) if groups is None else groups, wanted, machine, found or materials()
    )
    sheet = Sheet.of(machine, wanted.sheet_mm)
    copy = _prepared(design, choice, wanted, machine, sheet)
    low_x, low_y, high_x, high_y = copy.box
    size = (high_x - low_x, high_y - low_y)
    spots = place.places(size, sheet, wanted.quantity, (wanted.x_mm, wanted.y_mm), wanted.scale_percent)
    shifts = [np.array([x - low_x, y - low_y]) for x, y in spots]
    operations = [
        *_engraved(copy.work, choice, shifts),
        *_scored(copy.score, choice, shifts),
        *_cut(design, copy, choice, wanted, shifts),
    ]
    toolpath = Toolpath(
        machine=machine.name,
        material=wanted.material,
        operations=tuple(operations),
        warnings=tuple(copy.warnings),
    )
    return Built(
        toolpath=toolpath,
        use=_use(spots, size, sheet),
        kinds=choice.kinds,
        places_mm=tuple(spots),
        size_mm=size,
    )


def _prepared(design: Design, choice: Chosen, plan: Plan, machine: CutMachine, sheet: Sheet) -> _Copy:
    frame = Frame.of(plan.scale_percent, plan.rotation_degrees)
    work = collected(design, choice, plan, machine, frame)
    kerf = choice.choices[CUT].settings.kerf_mm if CUT in choice.choices else 0.0
    compensates = bool(work.cut) and plan.kerf and kerf > 0 and not design.kerf_applied
    _check_size(work, plan, sheet, kerf if compensates else 0.0)
    warnings = told(choice, work)
    cut, found = _once(work.cut, plan, frame)
    score, again = _once(work.score, plan, frame)
    warnings += [*found, *again]
    nest = nested(cut)
    warnings += checks.check(checks.Cuts(pieces=cut, nest=nest, kerf_mm=kerf, to_page=frame.to_page))
    if plan.kerf and kerf and design.kerf_applied:
        warnings.append(warning("laser.kerf_already", "note"))
    if compensates:
        done = compensated(cut, nest, kerf)
        warnings += checks.kerf(done, kerf, frame.to_page)
        cut, nest = list(done.pieces), nested(done.pieces)
    used = {
        kind for kind, some in ((CUT, cut), (SCORE, score), (ENGRAVE, work.areas or work.pictures)) if some
    }
    warnings += checks.material(
        choice.material, [choice.choices[k] for k in (CUT, SCORE, ENGRAVE) if k in used]
    )
    box = _box(cut, score, work)
    return _Copy(cut=cut, nest=nest, score=score, work=work, box=box, warnings=warnings)


def _once(pieces: Sequence[Piece], plan: Plan, frame: Frame) -> tuple[list[Piece], list[MeshWarning]]:
    """The lines without what lies on another one, if that is wanted, joined where they touch; and what was found."""
    found = overlaps.overlaps(pieces)
    warnings = checks.double_cuts(found, plan.remove_duplicates, frame.to_page)
    kept = overlaps.remove_duplicates(pieces, found) if plan.remove_duplicates else list(pieces)
    return joined(kept), warnings


def _check_size(work: Work, plan: Plan, sheet: Sheet, kerf_mm: float) -> None:
    """Before anything that takes its time is done with what will not fit."""
    points = sum(len(piece.points) for piece in (*work.cut, *work.score))
    if points * plan.quantity > POINTS_MAX:
        raise refused("laser.too_complex", points=points * plan.quantity, limit=POINTS_MAX)
    low_x, low_y, high_x, high_y = _box(work.cut, work.score, work)
    width, height = high_x - low_x + kerf_mm, high_y - low_y + kerf_mm
    place.check_size(width, height, sheet, plan.scale_percent, of_kerf_mm=kerf_mm)


def _box(cut: Sequence[Piece], score: Sequence[Piece], work: Work) -> Box:
    """Around everything that is done. Raises FileRefused `laser.nothing` where that is nothing at all."""
    points = [piece.points for piece in (*cut, *score)]
    points += [ring for areas in work.areas.values() for area in areas for ring in area.rings]
    points += [place.picture_corners(p) for pictures in work.pictures.values() for p in pictures]
    if not points:
        raise refused("laser.nothing", groups=0)
    return plane.box_of(points)


def _engraved(work: Work, choice: Chosen, shifts: Sequence[FloatArray]) -> list[Operation]:
    found: list[Operation] = []
    for key in [*work.areas, *(key for key in work.pictures if key not in work.areas)]:
        settings = choice.choices[ENGRAVE].settings
        scans = merged(
            [*_filled(work.areas.get(key, []), settings, shifts), *_pictured(work, key, settings, shifts)]
        )
        if scans:
            found.append(Operation(kind=ENGRAVE, key=key, settings=settings, scans=scans))
    return found


def _filled(areas: Sequence[Area], settings: Settings, shifts: Sequence[FloatArray]) -> list[Sequence[Scan]]:
    """Areas of the nonzero rule at once; of even-odd ones each for itself, lest one makes a hole in another."""
    if not areas:
        return []
    from slicing.vector import engrave

    nonzero = [ring for area in areas if _plain(area) for ring in turned_alike(area.rings)]
    odd = [area.rings for area in areas if not _plain(area)]
    parts: list[Sequence[Scan]] = []
    for shift in shifts:
        if nonzero:
            parts.append(engrave.fill_scans([ring + shift for ring in nonzero], False, settings))
        parts += [engrave.fill_scans([ring + shift for ring in rings], True, settings) for rings in odd]
    return parts


def _plain(area: Area) -> bool:
    """Of a single ring without crossings both rules make the same; that it crosses itself is rare, and told apart."""
    return not area.even_odd or (len(area.rings) == 1 and bool(plane.valid(plane.polygons(area.rings))[0]))


def _pictured(work: Work, key: str, settings: Settings, shifts: Sequence[FloatArray]) -> list[Sequence[Scan]]:
    pictures = work.pictures.get(key, [])
    if not pictures:
        return []
    from slicing.vector import engrave

    found: list[Sequence[Scan]] = []
    for x, y in shifts:
        for picture in pictures:
            a, b, c, d, e, f = picture.to_page
            moved = replace(picture, to_page=(a, b, c, d, e + float(x), f + float(y)))
            found.append(engrave.picture_scans(moved, settings))
    return found


def _scored(pieces: Sequence[Piece], choice: Chosen, shifts: Sequence[FloatArray]) -> list[Operation]:
    if not pieces:
        return []
    laid = _laid(pieces, shifts)
    level = np.zeros(len(laid), np.int64)
    rows = [
        (piece.key, _contour(piece)) for _, piece in order.cuts(laid, level, _rank(choice, ()), np.zeros(2))
    ]
    return _grouped(SCORE, rows, choice.choices[SCORE].settings)


def _cut(
    design: Design, copy: _Copy, choice: Chosen, plan: Plan, shifts: Sequence[FloatArray]
) -> list[Operation]:
    if not copy.cut:
        return []
    laid = _laid(copy.cut, shifts)
    depth = np.tile(copy.nest.depth, len(shifts))
    rank = _rank(choice, inner_first(design))
    rows = []
    for number, piece in order.cuts(laid, depth, rank, np.zeros(2)):
        held = plan.tabs and piece.closed and depth[number] % 2 == 0
        gaps = tabs.gaps(piece.points, plan.tabs, plan.tab_mm) if held else ()
        rows.append((piece.key, _contour(piece, gaps)))
    return _grouped(CUT, rows, choice.choices[CUT].settings)


def _rank(choice: Chosen, first: Sequence[str]) -> dict[str, int]:
    """Keys in the order of the drawing, those that are cut first before all others."""
    return {
        key: number - (len(choice.kinds) if key.partition("@")[0].removeprefix("stroke:") in first else 0)
        for number, key in enumerate(choice.kinds)
    }


def _laid(pieces: Sequence[Piece], shifts: Sequence[FloatArray]) -> list[Piece]:
    return [replace(piece, points=piece.points + shift, ring=None) for shift in shifts for piece in pieces]


def _contour(piece: Piece, gaps: tuple[tuple[float, float], ...] = ()) -> Contour:
    return Contour(points=piece.points, closed=piece.closed, gaps=gaps)


def _grouped(kind: str, rows: Sequence[tuple[str, Contour]], settings: Settings) -> list[Operation]:
    """One operation for each stretch of the same key."""
    stretches: list[tuple[str, list[Contour]]] = []
    for key, contour in rows:
        if not stretches or stretches[-1][0] != key:
            stretches.append((key, []))
        stretches[-1][1].append(contour)
    return [
        Operation(kind=kind, key=key, settings=settings, contours=tuple(contours))
        for key, contours in stretches
    ]


def _use(spots: Sequence[tuple[float, float]], size: tuple[float, float], sheet: Sheet) -> SheetUse:
    corners = np.array(spots)
    low = np.maximum(corners.min(axis=0) - place.MARGIN_MM, 0)
    high = corners.max(axis=0) + size + place.MARGIN_MM
    high = np.minimum(high, (sheet.width_mm, sheet.height_mm))
    width, height = np.round(high - low, 3).tolist()
    return SheetUse(
        sheet_mm2=round(width * height, 1),
        whole_mm2=round(sheet.width_mm * sheet.height_mm, 1),
        box_mm=(float(low[0]), float(low[1]), float(high[0]), float(high[1])),
    )
