"""Builders for the tests of operations and cut geometry: drawings of a few lines, and their groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import pi
from typing import Any

import numpy as np

from slicing.vector import plane
from slicing.vector.build import Built, built
from slicing.vector.design import Design, FloatArray, Group, Line, Picture, Shape, group_key
from slicing.vector.machines import CUTTERS, CutMachine
from slicing.vector.pieces import Piece
from slicing.vector.toolpath import Contour, Toolpath

CO2 = CUTTERS["co2-6040-grbl"]
DIODE = CUTTERS["diode-4040-grbl"]
KNIFE = CUTTERS["vinyl-600-hpgl"]
RED, BLUE, GREEN, BLACK = "#ff0000", "#0000ff", "#00ff00", "#000000"


def line(*points: tuple[float, float], closed: bool = False) -> Line:
    return Line(points=np.array(points, dtype=np.float64), closed=closed)


def square(x: float, y: float, side: float) -> Line:
    return line((x, y), (x + side, y), (x + side, y + side), (x, y + side), closed=True)


def circle(x: float, y: float, radius: float, count: int = 90, begin: float = 0.0, turn: int = 1) -> Line:
    angle = begin + turn * np.arange(count) * (2 * pi / count)
    return Line(
        points=np.stack((x + radius * np.cos(angle), y + radius * np.sin(angle)), axis=1), closed=True
    )


def shape(*lines: Line, stroke: str = RED, **changes: Any) -> Shape:
    return Shape(lines=lines, stroke=stroke, **changes)


def design(*shapes: Shape, **changes: Any) -> Design:
    fields: dict[str, Any] = {"kind": "svg", "size_mm": (600.0, 400.0), "shapes": shapes}
    return Design(**(fields | changes))


def piece(drawn: Line, key: str = "stroke:#ff0000") -> Piece:
    return Piece(key=key, points=drawn.points, closed=drawn.closed)


def pieces(*lines: Line) -> list[Piece]:
    return [piece(drawn) for drawn in lines]


def picture(x: float, y: float, side: float) -> Picture:
    grey = np.zeros((10, 10), np.uint8)
    return Picture(grey=grey, to_page=(side / 10, 0.0, 0.0, side / 10, x, y))


def groups(drawn: Design) -> list[Group]:
    """What the rows of the operations page are made of, written without the program's own."""
    found: dict[str, list[tuple[str, str, str, Shape]]] = {}
    for each in drawn.shapes:
        for paint, colour in (("stroke", each.stroke), ("fill", each.fill)):
            if colour:
                key = group_key(paint, colour, each.layer)
                found.setdefault(key, []).append((paint, colour, each.layer, each))
    rows = [_group(key, some) for key, some in found.items()]
    layers = dict.fromkeys(each.layer for each in drawn.pictures)
    for layer in layers:
        count = sum(1 for each in drawn.pictures if each.layer == layer)
        rows.append(
            Group(
                key=group_key("picture", "", layer),
                paint="picture",
                colour="",
                layer=layer,
                count=count,
                length_mm=0.0,
                closed=True,
                from_text=False,
            )
        )
    return rows


def _group(key: str, some: Sequence[tuple[str, str, str, Shape]]) -> Group:
    paint, colour, layer, _ = some[0]
    lines = [each for *_, one in some for each in one.lines]
    return Group(
        key=key,
        paint=paint,
        colour=colour,
        layer=layer,
        count=len(some),
        length_mm=sum(plane.length(each.points, each.closed) for each in lines),
        closed=all(each.closed for each in lines),
        from_text=all(one.from_text for *_, one in some),
    )


def made(drawn: Design, machine: CutMachine = CO2, **plan: Any) -> Built:
    material = "vinyl-sticker" if machine.source == "knife" else "birch-ply-3"
    return built(drawn, {"material": material, **plan}, machine, groups=groups(drawn))


def contours(toolpath: Toolpath, kind: str = "cut") -> list[Contour]:
    return [c for operation in toolpath.operations if operation.kind == kind for c in operation.contours]


def cut_mm(toolpath: Toolpath, kind: str = "cut") -> float:
    return sum(plane.length(c.points, c.closed) for c in contours(toolpath, kind))


def codes(toolpath: Toolpath) -> set[str]:
    return {warning.code for warning in toolpath.warnings} - {"laser.untested"}


def points_of(toolpath: Toolpath) -> FloatArray:
    return np.vstack([c.points for operation in toolpath.operations for c in operation.contours])


def params(toolpath: Toolpath, code: str) -> Mapping[str, Any]:
    return next(warning.params for warning in toolpath.warnings if warning.code == code)


def kinds(toolpath: Toolpath) -> Iterator[tuple[str, str]]:
    return ((operation.kind, operation.key) for operation in toolpath.operations)
