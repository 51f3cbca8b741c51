"""What a drawing is, whatever it was read from: flattened lines in millimetres, with the paint that says what for.

Coordinates are the page's: millimetres, x to the right, y down, origin at the page's top left corner. Curves are
already flattened, to `FLATTEN_MM` at the most from the true curve.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from slicing.results import MeshWarning

FloatArray = NDArray[np.float64]

FLATTEN_MM = 0.005
"""How far a chord may lie from its curve; small curves are held closer, so that lengths are right to 0.03 %."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One subpath, as a polyline. A closed one does not repeat its first point."""

    points: FloatArray  # (n, 2), n >= 2
    closed: bool


@dataclass(frozen=True, kw_only=True)
class Shape:
    """One painted element: all its subpaths, so that holes in a fill are holes.

    `stroke` and `fill` are `#rrggbb` in lower case, or empty where nothing is painted. An element that paints neither
    is no shape.
    """

    lines: tuple[Line, ...]
    stroke: str = ""
    fill: str = ""
    layer: str = ""  # Inkscape's or the DXF's layer label; empty: none
    stroke_width_mm: float = 0.0
    even_odd: bool = False  # the fill rule; False: nonzero
    from_text: bool = False  # outlines of letters


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A raster image on the page. `to_page` takes pixel coordinates (column, row; corners, not centres) to mm."""

    grey: NDArray[np.uint8]  # (rows, columns); 0 black, 255 white; what is transparent is white
    to_page: tuple[
        float, float, float, float, float, float
    ]  # x = a·c + c·r + e, y = b·c + d·r + f, as in SVG
    layer: str = ""


@dataclass(frozen=True, kw_only=True)
class Design:
    kind: str  # `svg` or `dxf`
    size_mm: tuple[float, float]  # of the page; of the drawing where it has no page
    shapes: tuple[Shape, ...]
    pictures: tuple[Picture, ...] = ()
    warnings: tuple[MeshWarning, ...] = ()
    unit: str = (
        "mm"  # how a user unit was read: `physical` (width, height and viewBox), `96dpi`, `90dpi`, `mm`, …
    )
    source: str = ""  # the program it comes from, where it says so: `inkscape`, `boxes.py`, `illustrator`, …
    kerf_applied: bool = False  # boxes.py has already widened its parts by the beam (its `burn`)


@dataclass(frozen=True, kw_only=True)
class Group:
    """All of a drawing that is painted alike on one layer: one row on the page where operations are chosen.

    `key` is `stroke:#ff0000`, `fill:#000000` or `picture`, with `@label` behind it on a named layer.
    """

    key: str
    paint: str  # `stroke`, `fill` or `picture`
    colour: str  # `#rrggbb`; empty for pictures
    layer: str
    count: int  # elements
    length_mm: float  # of all its lines; for a fill the length of its outline
    closed: bool  # every line of it is closed
    from_text: bool  # all of it are letters
    box_mm: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)  # low x, low y, high x, high y
    params: Mapping[str, float] = field(default_factory=dict)


def group_key(paint: str, colour: str, layer: str) -> str:
    """The name under which a member chooses what becomes of it."""
    name = f"{paint}:{colour}" if colour else paint
    return f"{name}@{layer}" if layer else name
