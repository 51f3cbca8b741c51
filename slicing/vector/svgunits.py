"""Lengths, view boxes, transforms and colours as SVG writes them. Pure functions over strings; knows no tree."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from math import cos, hypot, isfinite, radians, sin, sqrt, tan
from types import MappingProxyType
from typing import Final

from PIL import ImageColor

from slicing.vector import pathdata
from slicing.vector.svgflat import Matrix

IDENTITY: Final[Matrix] = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)
MM_PER_INCH = 25.4

UNITS: Mapping[str, float] = MappingProxyType(
    {"96dpi": 96.0, "90dpi": 90.0, "72dpi": 72.0, "mm": 25.4, "cm": 2.54, "in": 1.0}
)
"""What a member may say a user unit is, as user units to the inch."""

_PER_INCH: Final = {"in": 1.0, "mm": 25.4, "cm": 2.54, "q": 101.6, "pt": 72.0, "pc": 6.0}
_LENGTH = re.compile(
    r"\s*([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)\s*(px|in|mm|cm|pt|pc|[qQ]|em|ex|rem|%|)\s*",
    re.IGNORECASE,
)
_FUNCTION = re.compile(r"([A-Za-z]+)\s*\(([^()]*)\)[\s,]*")
_ARGUMENT = re.compile(r"([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)([A-Za-z%]*)")
_ALIGN = re.compile(r"(?:defer\s+)?x(Min|Mid|Max)Y(Min|Mid|Max)(?:\s+(meet|slice))?")
_SHARE: Final = {"Min": 0.0, "Mid": 0.5, "Max": 1.0}


@lru_cache(maxsize=4096)
def parsed(text: str) -> tuple[float, str] | None:
    """The number and the unit, in lower case; None for what is no length."""
    found = _LENGTH.fullmatch(text)
    if found is None:
        return None
    value = float(found.group(1))
    return (value, found.group(2).lower()) if isfinite(value) else None


def user_units(value: float, unit: str, *, dpi: float, whole: float, font: float) -> float:
    """A length in user units: `whole` is what 100 % is, `font` the size of an em."""
    if unit in ("", "px"):
        return value
    if unit in _PER_INCH:
        return value * dpi / _PER_INCH[unit]
    if unit == "%":
        return value * whole / 100
    return value * font * (0.5 if unit == "ex" else 1.0)


def is_physical(text: str | None) -> bool:
    """Says a size in the real world: not pixels, not a share of something."""
    found = parsed(text) if text else None
    return found is not None and found[1] in _PER_INCH and found[0] > 0


def times(outer: Matrix, inner: Matrix) -> Matrix:
    """First `inner`, then `outer`."""
    a, b, c, d, e, f = outer
    g, h, i, j, k, m = inner
    return (
        a * g + c * h,
        b * g + d * h,
        a * i + c * j,
        b * i + d * j,
        a * k + c * m + e,
        b * k + d * m + f,
    )


def diagonal(across: float, down: float) -> float:
    """What a share is of that is neither across nor down, as SVG has it."""
    return hypot(across, down) / sqrt(2)


def growth(matrix: Matrix) -> float:
    """By how much it makes a length larger, on the whole."""
    return sqrt(abs(matrix[0] * matrix[3] - matrix[1] * matrix[2]))


@lru_cache(maxsize=4096)
def transform(text: str, dpi: float = 96.0) -> Matrix | None:
    """An attribute's or CSS's transform list; None if any of it is wrong, as then none of it counts."""
    text, at, matrix = text.strip(), 0, IDENTITY
    if text == "none":
        return matrix
    while at < len(text):
        found = _FUNCTION.match(text, at)
        step = None if found is None else _step(found.group(1), found.group(2), dpi)
        if found is None or step is None:
            return None
        matrix, at = times(matrix, step), found.end()
    return matrix


def _step(name: str, text: str, dpi: float) -> Matrix | None:
    values: list[float] = []
    for number, unit in _ARGUMENT.findall(text):
        value, unit = float(number), unit.lower()
        if unit in ("deg", "rad", "grad", "turn"):
            value = pathdata.degrees_of(value, unit)
        elif unit in _PER_INCH:
            value *= dpi / _PER_INCH[unit]
        elif unit not in ("", "px"):
            return None
        values.append(value)
    if _ARGUMENT.sub("", text).strip(" \t\r\n,"):
        return None
    try:
        return _STEPS[name.lower()](*values)
    except (KeyError, TypeError, ValueError):  # no such step, not so many numbers, an endless angle
        return None


def _matrix(a: float, b: float, c: float, d: float, e: float, f: float) -> Matrix:
    return a, b, c, d, e, f


def _translate(x: float, y: float = 0.0) -> Matrix:
    return 1.0, 0.0, 0.0, 1.0, x, y


def _scale(x: float, y: float | None = None) -> Matrix:
    return x, 0.0, 0.0, x if y is None else y, 0.0, 0.0


def _rotate(angle: float, *centre: float) -> Matrix:
    if len(centre) not in (0, 2):
        raise TypeError
    c, s = cos(radians(angle)), sin(radians(angle))
    x, y = centre or (0.0, 0.0)
    return c, s, -s, c, x - c * x + s * y, y - s * x - c * y


def _skew_x(angle: float) -> Matrix:
    return 1.0, 0.0, tan(radians(angle)), 1.0, 0.0, 0.0


def _skew_y(angle: float) -> Matrix:
    return 1.0, tan(radians(angle)), 0.0, 1.0, 0.0, 0.0


_STEPS: Final[Mapping[str, Callable[..., Matrix]]] = {
    "matrix": _matrix,
    "translate": _translate,
    "translatex": lambda x: _translate(x),
    "translatey": lambda y: _translate(0.0, y),
    "scale": _scale,
    "scalex": lambda x: _scale(x, 1.0),
    "scaley": lambda y: _scale(1.0, y),
    "rotate": _rotate,
    "skewx": _skew_x,
    "skewy": _skew_y,
}

_BOX_MIN, _BOX_MAX = 1e-9, 1e9  # user units: beyond, nothing can be meant
Box = tuple[float, float, float, float]


def view_box(text: str | None) -> Box | None:
    """x, y, width, height; None where there is none or it has no area."""
    values, clean = pathdata.numbers(text or "")
    if not clean or len(values) != 4 or not all(map(isfinite, values)):
        return None
    x, y, width, height = values
    return (x, y, width, height) if min(width, height) > _BOX_MIN and max(width, height) < _BOX_MAX else None


def fitted(box: Box, aspect: str, width: float, height: float) -> Matrix:
    """From a view box to a viewport of this size at 0, 0, as `preserveAspectRatio` says."""
    x, y, inner_width, inner_height = box
    across, down = width / inner_width, height / inner_height
    if aspect.strip().split(" ")[0] == "none":
        return across, 0.0, 0.0, down, -x * across, -y * down
    found = _ALIGN.fullmatch(aspect.strip())
    align_x, align_y, how = found.groups() if found else ("Mid", "Mid", "meet")
    scale = max(across, down) if how == "slice" else min(across, down)
    return (
        scale,
        0.0,
        0.0,
        scale,
        _SHARE[align_x] * (width - inner_width * scale) - x * scale,
        _SHARE[align_y] * (height - inner_height * scale) - y * scale,
    )


_NAMED = {name: value for name, value in ImageColor.colormap.items() if isinstance(value, str)}
_HEX = re.compile(r"#([0-9a-f]{8}|[0-9a-f]{6}|[0-9a-f]{3,4})(?![0-9a-f])")
_RGB = re.compile(r"(rgb|hsl)a?\(([^()]*)\)")
_CHANNEL = re.compile(r"([+-]?[0-9.]+(?:e[+-]?[0-9]+)?)(%|deg|)")


@lru_cache(maxsize=4096)
def colour(text: str) -> tuple[str, float] | None:
    """`#rrggbb` and its opacity; None for what is no colour."""
    text = text.strip().lower()
    if text == "transparent":
        return "#000000", 0.0
    if found := _HEX.match(text):
        digits = found.group(1)
        if len(digits) < 6:
            digits = "".join(digit * 2 for digit in digits)
        rest = text[found.end() :].strip()
        if rest and not rest.startswith("icc-color"):
            return None
        return f"#{digits[:6]}", int(digits[6:] or "ff", 16) / 255
    if function := _RGB.match(text):
        return _function(function.group(1), function.group(2))
    named = _NAMED.get(text)
    return (named, 1.0) if named else None


def _function(name: str, inside: str) -> tuple[str, float] | None:
    channels = _CHANNEL.findall(inside)
    if len(channels) not in (3, 4) or _CHANNEL.sub("", inside).strip(" ,/"):
        return None
    try:
        values = [(float(value), unit) for value, unit in channels]
    except ValueError:
        return None
    alpha = 1.0
    if len(values) == 4:
        alpha = values[3][0] / (100 if values[3][1] == "%" else 1)
    if not all(isfinite(value) for value, _ in values):
        return None
    if name == "hsl":
        (hue, _), (saturation, _), (light, _) = values[:3]
        red, green, blue = ImageColor.getrgb(
            f"hsl({hue % 360:.4f},{_held(saturation, 100):.4f}%,{_held(light, 100):.4f}%)"
        )[:3]
    else:
        red, green, blue = (
            round(_held(value * 255 / 100 if unit == "%" else value, 255)) for value, unit in values[:3]
        )
    return f"#{red:02x}{green:02x}{blue:02x}", _held(alpha, 1)


def _held(value: float, most: float) -> float:
    return min(max(value, 0.0), most)
