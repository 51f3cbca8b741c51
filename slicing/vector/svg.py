"""An SVG to a Design: what of it can be cut, in millimetres, and in words what cannot.

Reads like a browser draws: what is not painted, hidden, or outside a clip is no line. What a cutter cannot do as
drawn (dashes, gradients, half a clip) is named in a warning, and left out where cutting it would be wrong. Nothing is
fetched.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from slicing.faults import refused
from slicing.vector import svgnotes, svgtext, svgunits
from slicing.vector.design import Design, FloatArray, Line, Picture, Shape
from slicing.vector.groups import measures
from slicing.vector.svgclip import Clips, Passes
from slicing.vector.svgflat import Matrix, flatten
from slicing.vector.svglimits import COORDINATE_MM_MAX
from slicing.vector.svgnotes import Found, Sizes
from slicing.vector.svgunits import MM_PER_INCH, UNITS, times
from slicing.vector.svgwalk import Mark, Scope, Walk, Writing
from slicing.vector.svgxml import INKSCAPE, Document, Element, opened

_OFF_MM = 0.05  # beyond the page's edge, before it is told
_FLAT_MM = 1e-6
_SIDE_MIN, _SIDE_MAX = 1e-6, 1e7  # of a page, in pixels
_DEFAULT_UNIT = "96dpi"
_DEFAULT_PX = 100.0  # what a share of the page is of, where the page has no size
_OLD_INKSCAPE = 0.92  # older ones drew with 90 units to the inch


def read(data: bytes, *, unit: str = "") -> Design:
    """The drawing, flattened. `unit` (a key of UNITS) is what the member says a user unit is; empty: as the file says,
    and a question where it does not. Raises FileRefused (`file.empty`, `svg.*`).
    """
    if unit and unit not in UNITS:
        raise refused("svg.unit", unit=unit[:20], units=", ".join(UNITS))
    document = opened(data)
    walk = Walk(document, UNITS[unit or _DEFAULT_UNIT])
    page = _page(walk, document.root)
    root = walk.entered(document.root, "svg", page.scope)
    if root is not None:
        walk.children(document.root, root)
    found = Found(seen=walk.seen, names=walk.names)
    shapes = tuple(_shapes(walk, found))
    pictures = tuple(_pictures(walk, found))
    if not shapes and not pictures:
        raise svgnotes.nothing(found)
    low, high = _extent(shapes, pictures)
    sizes = Sizes(
        page_mm=page.size_mm,
        drawing_mm=(high[0] - low[0], high[1] - low[1]),
        unit=unit,
        physical=page.physical,
        boxed=page.boxed,
        stretched=page.stretched,
        old_inkscape=_is_old_inkscape(document.root),
    )
    source = _source(document)
    if page.size_mm is not None:
        _off_page(found, shapes, page.size_mm)
    return Design(
        kind="svg",
        size_mm=page.size_mm or (max(high[0], high[0] - low[0]), max(high[1], high[1] - low[1])),
        shapes=shapes,
        pictures=pictures,
        warnings=(*svgnotes.questions(sizes, source), *svgnotes.told(found)),
        unit="physical" if page.physical and page.boxed else unit or _DEFAULT_UNIT,
        source=source,
        kerf_applied=source == "boxes.py" and not _without_burn(document),
    )


# --- the page --------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Page:
    scope: Scope
    size_mm: tuple[float, float] | None  # None: the file gives none
    physical: bool  # both sides in mm, inches, …
    boxed: bool  # it has a viewBox
    stretched: float  # by how much the viewBox' shape differs from the page's: 1 is not at all


def _page(walk: Walk, root: Element) -> _Page:
    written = root.get("viewBox")
    box = svgunits.view_box(written)
    if written is not None and box is None:
        raise refused("svg.view_box", value=written[:60])
    whole = (box[2], box[3]) if box else (_DEFAULT_PX, _DEFAULT_PX)
    sides = [
        walk.length(root.get(side), full, full, walk.root_style.font_px)
        for side, full in zip(("width", "height"), whole, strict=True)
    ]
    sized = box is not None or all(_says_a_length(root.get(side)) for side in ("width", "height"))
    if not all(_SIDE_MIN < side < _SIDE_MAX for side in sides):
        raise refused("svg.size", width=f"{sides[0]:g}", height=f"{sides[1]:g}")
    mm = MM_PER_INCH / walk.dpi
    matrix: Matrix = (mm, 0.0, 0.0, mm, 0.0, 0.0)
    stretched = 1.0
    if box is not None:
        matrix = times(matrix, svgunits.fitted(box, root.get("preserveAspectRatio", ""), sides[0], sides[1]))
        stretched = (sides[0] / sides[1]) / (box[2] / box[3])
    viewport = whole if box else (sides[0], sides[1])
    walk.root_viewport = viewport
    return _Page(
        scope=Scope(matrix=matrix, style=walk.root_style, viewport=viewport),
        size_mm=(sides[0] * mm, sides[1] * mm) if sized else None,
        physical=all(svgunits.is_physical(root.get(side)) for side in ("width", "height")),
        boxed=box is not None,
        stretched=stretched,
    )


def _says_a_length(text: str | None) -> bool:
    found = svgunits.parsed(text) if text else None
    return found is not None and found[1] != "%"


def _is_old_inkscape(root: Element) -> bool:
    found = re.match(r"\d+\.\d+", root.get(INKSCAPE + "version") or "")
    return found is not None and float(found.group()) < _OLD_INKSCAPE


def _source(document: Document) -> str:
    """The program that wrote it, as far as it signs its work."""
    head = document.head.lower()
    for mark, name in (
        ("boxes.py", "boxes.py"),
        ("adobe illustrator", "illustrator"),
        ("coreldraw", "coreldraw"),
        ("created with inkscape", "inkscape"),
    ):
        if mark in head:
            return name
    if document.root.get(INKSCAPE + "version"):
        return "inkscape"
    return next((name for key, name in _SIGNS if key in document.root.nsmap), "")


_SIGNS = (("vpype", "vpype"), ("serif", "affinity"), ("inkscape", "inkscape"))


def _without_burn(document: Document) -> bool:
    return re.search(r"burn[=: ]\s*0+(?:\.0*)?(?![0-9.])", document.head) is not None


# --- shapes ----------------------------------------------------------------------------------------------


def _shapes(walk: Walk, found: Found) -> Iterator[Shape]:
    marks = _outlined(walk, found)
    flat = flatten(walk.outlines, [mark.span for mark in marks], [mark.matrix for mark in marks])
    if flat.tolerance_mm > svgnotes.COARSE_MM:
        found.tolerance_mm = flat.tolerance_mm
    clips = Clips(walk)
    for mark, lines in zip(marks, flat.lines_of, strict=True):
        if not lines:
            continue
        if mark.clips or mark.flags:
            if mark.clips and (passes := clips.judge(mark.clips, lines)) is not Passes.WHOLLY:
                found.at("svg.clipped_away" if passes is Passes.NOT else "svg.clip", lines)
                continue
            for flag in dict.fromkeys(mark.flags):
                found.at(flag, lines)
            if "svg.mask" in mark.flags:
                continue
        fill = mark.fill if mark.fill and _has_area(lines) else ""
        if mark.stroke or fill:
            yield Shape(
                lines=lines,
                stroke=mark.stroke,
                fill=fill,
                layer=mark.layer,
                stroke_width_mm=mark.width_mm,
                even_odd=mark.even_odd,
                from_text=mark.from_text,
            )


def _outlined(walk: Walk, found: Found) -> list[Mark]:
    """All marks in their order, letters as outlines in the place of their text."""
    writings = [item for item in walk.items if isinstance(item, Writing)]
    letters = iter(svgtext.outlines(walk, writings, found) if writings else ())
    marks: list[Mark] = []
    for item in walk.items:
        if isinstance(item, Writing):
            marks += next(letters, ())
        else:
            marks.append(item)
    return marks


def _has_area(lines: Sequence[Line]) -> bool:
    return any(len(line.points) > 2 and _bulges(line.points) for line in lines)


def _bulges(points: FloatArray) -> bool:
    """Not all on one straight line."""
    reach = points[1:] - points[0]
    far = reach[np.argmax(np.abs(reach).sum(axis=1))]
    beside = np.abs(reach[:, 0] * far[1] - reach[:, 1] * far[0])
    return bool(beside.max() > _FLAT_MM * float(np.hypot(*far)))


def _pictures(walk: Walk, found: Found) -> Iterator[Picture]:
    clips = Clips(walk)
    for picture, around, flags in walk.pictures:
        frame = (svgnotes.frame(picture),)
        if not (np.abs(frame[0].points) <= COORDINATE_MM_MAX).all():
            raise refused("svg.coordinate", value="?", limit=round(COORDINATE_MM_MAX / 1000))
        passes = clips.judge(around, frame) if around else Passes.WHOLLY
        if passes is not Passes.WHOLLY:
            found.at("svg.clipped_away" if passes is Passes.NOT else "svg.clip", frame)
            continue
        for flag in dict.fromkeys(flags):
            found.at(flag, frame)
        if "svg.mask" not in flags:
            yield picture


def _extent(
    shapes: Sequence[Shape], pictures: Sequence[Picture]
) -> tuple[tuple[float, float], tuple[float, float]]:
    points = [line.points for shape in shapes for line in shape.lines]
    points += [svgnotes.frame(picture).points for picture in pictures]
    together = np.vstack(points)
    low, high = together.min(axis=0), together.max(axis=0)
    return (float(low[0]), float(low[1])), (float(high[0]), float(high[1]))


def _off_page(found: Found, shapes: Sequence[Shape], size_mm: tuple[float, float]) -> None:
    boxes = measures(shapes).box_mm
    off = (boxes[:, :2] < -_OFF_MM).any(axis=1) | (boxes[:, 2:] > np.array(size_mm) + _OFF_MM).any(axis=1)
    for number in np.flatnonzero(off).tolist():
        found.at("svg.off_page", shapes[number].lines)
