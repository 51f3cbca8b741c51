"""Basic shapes to vertices, by the rules of SVG 1.1 chapter 9: what has no size is nothing, radii are clamped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from slicing.vector import pathdata
from slicing.vector.svgxml import Element

if TYPE_CHECKING:
    from slicing.vector.svgwalk import Scope, Walk

FIXED: Final = frozenset(("path", "polyline", "polygon"))  # the same wherever they are used
ACROSS: Final = frozenset(("x", "cx", "x1", "x2", "rx", "width"))
DOWN: Final = frozenset(("y", "cy", "y1", "y2", "ry", "height"))


def add(walk: Walk, element: Element, name: str, scope: Scope) -> bool:
    """Adds to the walk's outlines, nothing for what is not drawn; False if a part of it could not be read."""
    if name == "path":
        return walk.outlines.path(element.get("d", "") if element.get("d") != "none" else "")
    if name in ("polyline", "polygon"):
        points, clean = pathdata.numbers(element.get("points", ""))
        walk.outlines.polyline(points, closed=name == "polygon")
        return clean and len(points) % 2 == 0
    if name == "line":
        ends = [walk.measure(element, key, scope) for key in ("x1", "y1", "x2", "y2")]
        walk.outlines.polyline(ends, closed=False)
        return True
    return _rect(walk, element, scope) if name == "rect" else _round(walk, element, name, scope)


def _rect(walk: Walk, element: Element, scope: Scope) -> bool:
    x, y, width, height = (walk.measure(element, key, scope) for key in ("x", "y", "width", "height"))
    if width <= 0 or height <= 0:
        return width >= 0 and height >= 0
    rx, ry = _radii(walk, element, scope)
    rx, ry = min(rx, width / 2), min(ry, height / 2)
    if rx > 0 and ry > 0:
        walk.outlines.rounded(x, y, width, height, rx, ry)
    else:
        corners = [x, y, x + width, y, x + width, y + height, x, y + height]
        walk.outlines.polyline(corners, closed=True)
    return True


def _radii(walk: Walk, element: Element, scope: Scope) -> tuple[float, float]:
    """Each of rx and ry is the other where it is not said, or negative; 0 where neither is."""
    rx, ry = (walk.measure(element, key, scope, -1.0) for key in ("rx", "ry"))
    rx = ry if rx < 0 else rx
    ry = rx if ry < 0 else ry
    return max(rx, 0.0), max(ry, 0.0)


def _round(walk: Walk, element: Element, name: str, scope: Scope) -> bool:
    cx, cy = walk.measure(element, "cx", scope), walk.measure(element, "cy", scope)
    if name == "circle":
        rx = ry = walk.measure(element, "r", scope)
    else:
        rx, ry = _radii(walk, element, scope)
    if rx > 0 and ry > 0:
        walk.outlines.ellipse(cx, cy, rx, ry)
    return rx >= 0 and ry >= 0
