"""What is told of a drawing that was read: collected as codes with places, said once each. No geometry is made here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from slicing.faults import FileRefused, refused
from slicing.messages import warning
from slicing.results import MeshWarning
from slicing.vector.design import FLATTEN_MM, Line, Picture
from slicing.vector.svglimits import PLACES_MAX

COARSE_MM = FLATTEN_MM * 1.5
_STRETCH = 0.01  # of the page's proportions, before it is told
_NOTES = (
    *("svg.script", "svg.locked", "svg.unpainted", "svg.clipped_away", "svg.picture"),
    *("svg.recursive", "svg.off_page", "svg.foreign"),
)

Place = tuple[float, ...]


@dataclass(kw_only=True)
class Found:
    """`seen` counts what has no place; `places` are boxes of what has one, and count as well."""

    seen: Counter[str]
    names: dict[str, list[str]]
    places: dict[str, list[Place]] = field(default_factory=dict)
    tolerance_mm: float = 0.0

    def at(self, code: str, lines: Sequence[Line]) -> None:
        self.seen[code] += 1
        boxes = self.places.setdefault(code, [])
        if len(boxes) < PLACES_MAX:
            low = np.min([line.points.min(axis=0) for line in lines], axis=0).tolist()
            high = np.max([line.points.max(axis=0) for line in lines], axis=0).tolist()
            boxes.append((*(round(v, 3) for v in low), 0.0, *(round(v, 3) for v in high), 0.0))


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What the file says of its size, and what came out."""

    page_mm: tuple[float, float] | None
    drawing_mm: tuple[float, float]
    unit: str  # what the member has said; empty: nothing yet
    physical: bool
    boxed: bool
    stretched: float
    old_inkscape: bool


def questions(sizes: Sizes, source: str) -> Iterator[MeshWarning]:
    """How large the drawing is, where the file does not say it beyond doubt."""
    if not sizes.unit:
        code = ""
        if sizes.old_inkscape and not sizes.boxed:
            code = "svg.unit_inkscape?"
        elif not sizes.physical:
            code = "svg.unit_illustrator?" if source == "illustrator" else "svg.unit?"
        if code:
            yield warning(code, "question", **dict[str, Any](_readings(sizes.drawing_mm)))
    if sizes.page_mm is not None and abs(sizes.stretched - 1) > _STRETCH:
        yield warning("svg.view_box_stretched", "warning", percent=round(abs(sizes.stretched - 1) * 100))


def _readings(drawing_mm: tuple[float, float]) -> dict[str, float]:
    """How wide and high the drawing is, read with each unit."""
    readings = {}
    for name, dpi in (("96", 96.0), ("90", 90.0), ("72", 72.0), ("mm", 25.4)):
        for axis, size in zip("xy", drawing_mm, strict=True):
            readings[axis + name] = round(size * 96 / dpi, 1)
    return readings


def told(found: Found) -> Iterator[MeshWarning]:
    for code in sorted(found.seen):
        count = found.seen[code]
        if count <= 0:
            continue
        names = list(dict.fromkeys(name for name in found.names.get(code, ()) if name))
        named = f" ({', '.join(names[:5])})" if names else ""
        params = {"count": count, "names": named}
        yield warning(
            code, "note" if code in _NOTES else "warning", place=found.places.get(code, ()), **params
        )
    if found.tolerance_mm:
        yield warning("svg.coarse", "warning", tolerance=round(found.tolerance_mm, 3))


def nothing(found: Found) -> FileRefused:
    """Why there is nothing to cut, with what was there."""
    seen = found.seen
    if seen["svg.clipped_away"] or seen["svg.clip"] or seen["svg.mask"]:
        code = "svg.nothing_clipped"
    elif seen["svg.text_lost"] or seen["svg.flowed_text"]:
        code = "svg.nothing_text"
    elif seen["svg.hidden"]:
        code = "svg.nothing_hidden"
    elif seen["svg.external"]:
        code = "svg.nothing_external"
    elif seen["svg.unpainted"] or seen["svg.no_width"] or seen["svg.pattern"]:
        code = "svg.nothing_painted"
    else:
        code = "svg.nothing"
    said = ", ".join(f"{name.removeprefix('svg.')}: {count}" for name, count in sorted(seen.items()) if count)
    return refused(code, seen=said or "no element that is drawn")


def frame(picture: Picture) -> Line:
    """The outline of a picture on the page."""
    rows, columns = picture.grey.shape
    a, b, c, d, e, f = picture.to_page
    corners = np.array([(0, 0), (columns, 0), (columns, rows), (0, rows)], dtype=np.float64)
    return Line(points=corners @ np.array([(a, b), (c, d)]) + np.array([e, f]), closed=True)
