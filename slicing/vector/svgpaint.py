"""Paint to one colour: references to gradients and patterns resolved, with a flag for what a colour cannot say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slicing.vector import svgunits
from slicing.vector.svgcss import declarations
from slicing.vector.svgstyle import Style

if TYPE_CHECKING:
    from slicing.vector.svgwalk import Walk
    from slicing.vector.svgxml import Element

_CHAIN_MAX = 10
_GRADIENTS = ("linearGradient", "radialGradient")


def of(walk: Walk, style: Style, name: str) -> tuple[str, str, tuple[str, ...]]:
    """Stroke, fill (empty: none) and the codes to tell of them."""
    flags: list[str] = []
    stroke = fill = ""
    if style.stroke and style.stroke_shows:
        stroke = colour(walk, style.stroke, style, flags)
        found = svgunits.parsed(style.width)
        if stroke and found is not None and found[0] <= 0:
            stroke = ""
            flags.append("svg.no_width")
    if stroke and style.dashed:
        flags.append("svg.dashes")
    if style.fill and style.fill_shows and name != "line":
        fill = colour(walk, style.fill, style, flags)
    if style.marked and name in ("path", "line", "polyline", "polygon"):
        flags.append("svg.markers")
    return stroke, fill, tuple(dict.fromkeys(flags))


def colour(walk: Walk, paint: str, style: Style, flags: list[str]) -> str:
    if paint == "currentColor":
        return style.color
    if not paint.startswith("url("):
        return paint
    target = walk.referred(paint)
    kind = "" if target is None else walk.name(target)
    if target is not None and kind in _GRADIENTS:
        stops = _stops(walk, target)
        if len(set(stops)) > 1:
            flags.append("svg.gradient")
        return stops[0] if stops else ""
    if kind == "pattern":
        flags.append("svg.pattern")
        return ""
    fallback = paint.partition(")")[2].strip()
    if fallback.lower() == "currentcolor":
        return style.color
    found = svgunits.colour(fallback) if fallback else None
    return found[0] if found is not None and found[1] > 0 else ""


def _stops(walk: Walk, gradient: Element) -> list[str]:
    """The colours of a gradient; it may have them from another one."""
    for _ in range(_CHAIN_MAX):
        stops = [child for child in gradient if walk.name(child) == "stop"]
        if stops:
            return [_stop(stop) for stop in stops[:100]]
        target = walk.ids.get(walk.link(gradient)[1:])
        if target is None or walk.name(target) not in _GRADIENTS:
            break
        gradient = target
    return []


def _stop(stop: Element) -> str:
    stated = {name: value for name, value, _ in declarations(stop.get("style") or "")}
    found = svgunits.colour(stated.get("stop-color") or stop.get("stop-color") or "black")
    return found[0] if found else "#000000"
