"""What may go wrong when a drawing is cut as chosen, said so that a beginner can act on it.

Each check looks at the lines, already at their size, and returns what is worth telling. A false alarm costs more trust
than a silence: slits in a part are no open contours, and what falls out of a hole is scrap.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from slicing.messages import warning
from slicing.results import MeshWarning
from slicing.vector import plane
from slicing.vector.design import FloatArray
from slicing.vector.kerf import Compensated
from slicing.vector.materials import Choice, Material
from slicing.vector.nesting import Nest
from slicing.vector.overlaps import Overlaps
from slicing.vector.pieces import JOIN_MM, Piece

SMALL_PART_MM = 5.0
"""Both ways smaller than this falls through a honeycomb table."""
THIN_MM = 0.3
THIN_MM2 = 0.3
"""Smaller thin places are corners."""
THIN_POINTS_MAX = 60_000
NEARLY_CLOSED_MM = 2.0
MANY = 5_000
PLACES_MAX = 20

ToPage = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True, kw_only=True)
class Cuts:
    """The lines to be cut, with what lies in what, before kerf; `to_page` leads back to the drawing."""

    pieces: Sequence[Piece]
    nest: Nest
    kerf_mm: float
    to_page: ToPage


def check(cuts: Cuts) -> list[MeshWarning]:
    return [found for look in CHECKS if (found := look(cuts)) is not None]


def _open(cuts: Cuts) -> MeshWarning | None:
    """Lines that end in nothing, outside of every part: what they were to cut out will not come out."""
    loose = [n for n in _free(cuts.pieces) if cuts.nest.depth[n] == 0 and not _nearly(cuts.pieces[n])]
    if not loose:
        return None
    places = [end for n in loose for end in (cuts.pieces[n].points[0], cuts.pieces[n].points[-1])]
    return warning("laser.open", "warning", place=_spots(places, cuts.to_page), count=len(loose))


def _gap(cuts: Cuts) -> MeshWarning | None:
    """Contours that miss their own beginning by a little."""
    nearly = [n for n in _free(cuts.pieces) if _nearly(cuts.pieces[n])]
    if not nearly:
        return None
    widest = max(_ends_apart(cuts.pieces[n]) for n in nearly)
    places = [cuts.pieces[n].points[-1] for n in nearly]
    return warning(
        "laser.open_gap",
        "warning",
        place=_spots(places, cuts.to_page),
        count=len(nearly),
        gap_mm=_said(widest),
    )


def _small(cuts: Cuts) -> MeshWarning | None:
    small: list[tuple[float, FloatArray]] = []
    for n, piece in enumerate(cuts.pieces):
        if piece.closed and cuts.nest.depth[n] % 2 == 0:
            low, high = piece.points.min(axis=0), piece.points.max(axis=0)
            if (size := float((high - low).max())) < SMALL_PART_MM:
                small.append((size, (low + high) / 2))
    if not small:
        return None
    small.sort(key=lambda part: part[0])
    return warning(
        "laser.small_parts",
        "warning",
        place=_spots([middle for _, middle in small], cuts.to_page),
        count=len(small),
        size_mm=_said(small[0][0]),
        limit_mm=_said(SMALL_PART_MM),
    )


def _thin(cuts: Cuts) -> MeshWarning | None:
    """Bridges and slivers of a part that the beam itself, or the first touch, breaks."""
    rings = [piece for piece in cuts.pieces if piece.closed and len(piece.points) >= 3]
    if not rings or sum(len(piece.points) for piece in rings) > THIN_POINTS_MAX:
        return None
    width = max(THIN_MM, cuts.kerf_mm)
    holes: dict[int, list[FloatArray]] = {}
    for n, piece in enumerate(cuts.pieces):
        if piece.closed and cuts.nest.depth[n] % 2 == 1:
            holes.setdefault(int(cuts.nest.parent[n]), []).append(piece.points)
    parts = [
        plane.with_holes(piece.points, holes.get(n, []))
        for n, piece in enumerate(cuts.pieces)
        if piece.closed and len(piece.points) >= 3 and cuts.nest.depth[n] % 2 == 0
    ]
    places = plane.thin_places(parts, width, THIN_MM2)
    if not len(places):
        return None
    return warning(
        "laser.thin",
        "warning",
        place=_spots(list(places), cuts.to_page),
        count=len(places),
        width_mm=_said(width),
    )


def _many(cuts: Cuts) -> MeshWarning | None:
    if len(cuts.pieces) <= MANY:
        return None
    return warning("laser.many", "note", count=len(cuts.pieces))


CHECKS: tuple[Callable[[Cuts], MeshWarning | None], ...] = (_open, _gap, _small, _thin, _many)


def double_cuts(found: Overlaps, removed: bool, to_page: ToPage) -> list[MeshWarning]:
    warnings = []
    if found.count:
        warnings.append(
            warning(
                "laser.double_cut_removed" if removed else "laser.double_cut",
                "note" if removed else "question",
                place=_spots([np.array(place) for place in found.places], to_page),
                count=found.count,
                length_mm=_said(found.length_mm),
            )
        )
    if not found.complete:
        warnings.append(warning("laser.double_cut_unchecked", "note"))
    return warnings


def kerf(done: Compensated, kerf_mm: float, to_page: ToPage) -> list[MeshWarning]:
    warnings = []
    for code, pieces in (("laser.kerf_vanished", done.vanished), ("laser.kerf_crossing", done.crossing)):
        if pieces:
            places = [piece.points.mean(axis=0) for piece in pieces]
            spots = _spots(places, to_page)
            warnings.append(warning(code, "warning", place=spots, count=len(pieces), kerf_mm=_said(kerf_mm)))
    return warnings


def material(chosen: Material, choices: Sequence[Choice]) -> list[MeshWarning]:
    """What is to be known of the material: flames, and settings that nobody tried in this lab."""
    warnings = []
    names = (chosen.en, chosen.fr)
    if chosen.flare_risk and any(choice.settings.power_permille for choice in choices):
        warnings.append(warning("laser.flare", "warning", material=names))
    if any(not choice.preset.tested_on for choice in choices):
        source = next(choice.preset.provenance for choice in choices if not choice.preset.tested_on)
        warnings.append(warning("laser.untested", "note", material=names, source=source))
    return warnings


def _free(pieces: Sequence[Piece]) -> list[int]:
    """Open lines one end of which at least touches no other line."""
    loose = [n for n, piece in enumerate(pieces) if not piece.closed and piece.ring is None]
    if not loose:
        return []
    parts = [plane.segments(piece.points, piece.closed) for piece in pieces]
    owner = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    ends = np.array([(pieces[n].points[0], pieces[n].points[-1]) for n in loose]).reshape(-1, 2)
    end, piece = plane.points_near_lines(ends, np.vstack(parts), JOIN_MM)
    others = owner[piece] != np.repeat(loose, 2)[end]
    touched = np.zeros(len(ends), dtype=np.bool_)
    touched[end[others]] = True
    return [n for n, (first, last) in zip(loose, touched.reshape(-1, 2), strict=True) if not (first and last)]


def _ends_apart(piece: Piece) -> float:
    return float(np.hypot(*(piece.points[0] - piece.points[-1])))


def _nearly(piece: Piece) -> bool:
    return len(piece.points) > 3 and _ends_apart(piece) <= min(
        NEARLY_CLOSED_MM, 0.05 * plane.length(piece.points, closed=False)
    )


def _spots(points: Sequence[FloatArray], to_page: ToPage) -> tuple[tuple[float, ...], ...]:
    some = to_page(np.array(points[:PLACES_MAX], dtype=np.float64).reshape(-1, 2))
    return tuple((round(x, 2), round(y, 2), 0.0) for x, y in some.tolist())


def _said(value: float) -> float:
    """Figures as people read them: a tenth, or a hundredth of what is small."""
    return round(value, 1 if value >= 10 else 2)
