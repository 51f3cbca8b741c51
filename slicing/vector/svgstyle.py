"""What an element looks like: the cascade (attributes, rules, `style`), inheritance, and paint as a colour."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from slicing.faults import refused
from slicing.vector import svgunits
from slicing.vector.svgcss import Declarations, Sheet, declarations
from slicing.vector.svglimits import ATTRIBUTES_MAX
from slicing.vector.svgxml import Element

FONT_PX = 12.0
"""Where nothing says how large letters are: what usvg and Inkscape take."""

TEXT_PROPERTIES: Final = frozenset(
    (
        *("font", "font-family", "font-size", "font-weight", "font-style", "font-stretch", "font-variant"),
        *("text-anchor", "letter-spacing", "word-spacing", "writing-mode", "direction", "text-rendering"),
    )
)
TEXT_OWN: Final = frozenset(
    ("text-decoration", "dominant-baseline", "alignment-baseline", "baseline-shift", "unicode-bidi")
)
_FONT_WORDS: Final = {
    "xx-small": 0.6,
    "x-small": 0.75,
    "small": 8 / 9,
    "medium": 1.0,
    "large": 1.2,
    "x-large": 1.5,
    "xx-large": 2.0,
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Style:
    """Inherited. A paint is a colour, `currentColor`, a reference as written, or empty for none."""

    fill: str = "#000000"
    stroke: str = ""
    color: str = "#000000"
    fill_shows: bool = True  # not wholly transparent
    stroke_shows: bool = True
    width: str = "1"
    even_odd: bool = False
    clip_even_odd: bool = False
    visible: bool = True
    dashed: bool = False
    marked: bool = False
    font_px: float = FONT_PX
    text: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Own:
    """Not inherited: concerns the element and what is in it as a whole."""

    shown: bool = True  # display
    faded: bool = False  # opacity 0
    clip: str = ""
    mask: str = ""
    filter: str = ""
    overflow: str = ""
    transform: str = ""
    origin: str = ""
    text: Mapping[str, str] = field(default_factory=dict)


class Cascade:
    """Elements that say the same under the same parent share one Style."""

    def __init__(self, sheet: Sheet, dpi: float) -> None:
        self._sheet = sheet
        self._dpi = dpi
        self._seen: dict[tuple[object, ...], tuple[Style, Own]] = {}
        self._rules: dict[Element, Declarations] = {}

    def of(self, element: Element, name: str, parent: Style) -> tuple[Style, Own]:
        if len(element.attrib) > ATTRIBUTES_MAX:  # looking at all of them takes the square of their number
            raise refused("svg.attributes", limit=ATTRIBUTES_MAX)
        attributes = tuple((key, value) for key, value in element.items() if key in _ATTRIBUTES)
        inline = element.get("style") or ""
        ruled: Declarations = ()
        if self._sheet:
            found = self._rules.get(element)
            if found is None:
                found = self._rules[element] = self._sheet.stated(element, name)
            ruled = found
        key = (parent, attributes, inline, ruled)
        known = self._seen.get(key)
        if known is None:
            known = self._seen[key] = self._computed(parent, _cascaded(attributes, ruled, inline))
        return known

    def _computed(self, parent: Style, stated: Mapping[str, str]) -> tuple[Style, Own]:
        changes: dict[str, object] = {}
        own: dict[str, object] = {}
        text: dict[str, str] = {}
        for name, value in stated.items():
            if value.lower() == "inherit":
                continue  # nearly all inherit anyway; what does not is rarely asked to
            if name in TEXT_PROPERTIES:
                text[name] = value
            elif name in TEXT_OWN:
                own.setdefault("text", {})
                own["text"] = {**_mapping(own["text"]), name: value}
            elif reader := _INHERITED.get(name):
                changes |= reader(value)
            elif own_reader := _OWN.get(name):
                own |= own_reader(value)
        if "font-size" in text:
            size = self._font(text["font-size"], parent.font_px)
            text["font-size"] = f"{size:.6g}"
            changes["font_px"] = size
        if text:
            changes["text"] = {**parent.text, **text}
        return replace(parent, **changes) if changes else parent, Own(**own)  # type: ignore[arg-type]

    def _font(self, value: str, parent: float) -> float:
        word = value.strip().lower()
        if word in _FONT_WORDS:
            return FONT_PX * _FONT_WORDS[word]
        if word in ("larger", "smaller"):
            return parent * (1.2 if word == "larger" else 1 / 1.2)
        found = svgunits.parsed(word)
        if found is None or found[0] < 0:
            return parent
        return svgunits.user_units(*found, dpi=self._dpi, whole=parent, font=parent)


def _mapping(value: object) -> Mapping[str, str]:
    return value if isinstance(value, dict) else {}


def _cascaded(attributes: tuple[tuple[str, str], ...], ruled: Declarations, inline: str) -> dict[str, str]:
    stated = {name: value.strip() for name, value in attributes}
    last: dict[str, str] = {}
    for name, value, important in (*ruled, *(declarations(inline) if inline else ())):
        if name in _KNOWN:
            if important:
                last[name] = value
            stated[name] = value
    return stated | last


def _paint(name: str) -> Callable[[str], dict[str, object]]:
    def read(value: str) -> dict[str, object]:
        low = value.lower()
        if low in ("none", "context-fill", "context-stroke"):
            return {name: ""}
        if low == "currentcolor":
            return {name: "currentColor"}
        if low.startswith("url("):
            return {name: value}
        found = svgunits.colour(value)
        if found is None:
            return {}
        return {name: found[0] if found[1] > 0 else ""}

    return read


def _colour(value: str) -> dict[str, object]:
    found = svgunits.colour(value)
    return {"color": found[0] if found[1] > 0 else ""} if found else {}


def _opaque(name: str) -> Callable[[str], dict[str, object]]:
    def read(value: str) -> dict[str, object]:
        number = _share(value)
        return {} if number is None else {name: number > 0}

    return read


def _share(value: str) -> float | None:
    found = svgunits.parsed(value)
    return None if found is None or found[1] not in ("", "%") else found[0]


def _width(value: str) -> dict[str, object]:
    return {"width": value} if svgunits.parsed(value) else {}


def _dashes(value: str) -> dict[str, object]:
    lengths = [svgunits.parsed(one) for one in value.replace(",", " ").split()]
    sizes = [one[0] for one in lengths if one is not None]
    return {"dashed": len(sizes) == len(lengths) and min(sizes, default=-1) >= 0 and sum(sizes) > 0}


_INHERITED: Final[Mapping[str, Callable[[str], dict[str, object]]]] = {
    "fill": _paint("fill"),
    "stroke": _paint("stroke"),
    "color": _colour,
    "stroke-width": _width,
    "fill-opacity": _opaque("fill_shows"),
    "stroke-opacity": _opaque("stroke_shows"),
    "fill-rule": lambda value: {"even_odd": value == "evenodd"},
    "clip-rule": lambda value: {"clip_even_odd": value == "evenodd"},
    "visibility": lambda value: {"visible": value not in ("hidden", "collapse")},
    "stroke-dasharray": _dashes,
    "marker": lambda value: {"marked": value != "none"},
    "marker-start": lambda value: {"marked": True} if value != "none" else {},
    "marker-mid": lambda value: {"marked": True} if value != "none" else {},
    "marker-end": lambda value: {"marked": True} if value != "none" else {},
}
_OWN: Final[Mapping[str, Callable[[str], dict[str, object]]]] = {
    "display": lambda value: {"shown": value != "none"},
    "opacity": lambda value: {"faded": _share(value) is not None and (_share(value) or 0) <= 0},
    "clip-path": lambda value: {"clip": "" if value == "none" else value},
    "mask": lambda value: {"mask": "" if value == "none" else value},
    "filter": lambda value: {"filter": "" if value == "none" else value},
    "overflow": lambda value: {"overflow": value},
    "transform": lambda value: {"transform": value},
    "transform-origin": lambda value: {"origin": value},
}
_KNOWN: Final = frozenset((*_INHERITED, *_OWN, *TEXT_PROPERTIES, *TEXT_OWN))
_ATTRIBUTES: Final = _KNOWN - {"transform"}  # that attribute is read where the element is
