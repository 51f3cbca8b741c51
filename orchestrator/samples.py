"""Samples of our own for the demo lab: models (outlines, extruded) and drawings."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from math import cos, hypot, pi, sin

Point = tuple[float, float, float]
Triangle = tuple[Point, Point, Point]


def star(points: int = 5, outer_mm: float = 22, inner_mm: float = 10, height_mm: float = 4) -> bytes:
    """A star tag, as binary STL."""
    outline = [
        (
            (outer_mm if i % 2 == 0 else inner_mm) * cos(pi * i / points),
            (outer_mm if i % 2 == 0 else inner_mm) * sin(pi * i / points),
        )
        for i in range(2 * points)
    ]
    return _stl("star tag", _extrude(outline, height_mm))


def gear(teeth: int = 16, radius_mm: float = 20, tooth_mm: float = 4, height_mm: float = 8) -> bytes:
    """A spur gear without a bore, as binary STL."""
    outline = []
    for tooth in range(teeth):
        for share, radius in (
            (0.0, radius_mm),
            (0.25, radius_mm + tooth_mm),
            (0.5, radius_mm + tooth_mm),
            (0.75, radius_mm),
        ):
            angle = 2 * pi * (tooth + share) / teeth
            outline.append((radius * cos(angle), radius * sin(angle)))
    return _stl("gear", _extrude(outline, height_mm))


def _extrude(outline: Sequence[tuple[float, float]], height: float) -> list[Triangle]:
    """Closed prism over a counter-clockwise outline around the origin."""
    triangles: list[Triangle] = []
    for (ax, ay), (bx, by) in zip(outline, [*outline[1:], outline[0]], strict=True):
        triangles.append(((0, 0, 0), (bx, by, 0), (ax, ay, 0)))
        triangles.append(((0, 0, height), (ax, ay, height), (bx, by, height)))
        triangles.append(((ax, ay, 0), (bx, by, 0), (bx, by, height)))
        triangles.append(((ax, ay, 0), (bx, by, height), (ax, ay, height)))
    return triangles


def _stl(name: str, triangles: Sequence[Triangle]) -> bytes:
    head = name.encode().ljust(80, b" ") + struct.pack("<I", len(triangles))
    body = (struct.pack("<12fH", 0, 0, 0, *a, *b, *c, 0) for a, b, c in triangles)
    return head + b"".join(body)


# --- drawings -------------------------------------------------------------------------------------

RED, BLUE, BLACK = "#ff0000", "#0000ff", "#000000"
"""Cut, score, engrave: the lab's usual colours."""


def coaster() -> bytes:
    """A round coaster of 90 mm: cut around and in its middle, scored petals, an engraved ring of dots."""
    parts = [_circle(45, 45, 44, stroke=RED), _circle(45, 45, 6, stroke=RED)]
    for turn in range(12):
        angle = turn * pi / 6
        x, y = 45 + 25 * cos(angle), 45 + 25 * sin(angle)
        parts.append(
            f'<ellipse cx="{x:.3f}" cy="{y:.3f}" rx="14" ry="5" transform="rotate({turn * 30} {x:.3f} {y:.3f})" '
            f'fill="none" stroke="{BLUE}" stroke-width="0.2"/>'
        )
        parts.append(_circle(45 + 41 * cos(angle), 45 + 41 * sin(angle), 1.2, fill=BLACK))
    return _svg(90, 90, parts)


def open_box(width: int = 80, depth: int = 60, height: int = 40, sheet_mm: float = 3.0) -> bytes:
    """Five sides of a box with finger joints of 10 mm, for a sheet of that thickness."""
    gap, parts, x = 6.0, [], 6.0
    sides = ((width, depth, "+-+-"), (width, height, "-+ +"), (width, height, "-+ +"))
    y = 6.0
    for across, along, edges in (*sides, (depth, height, "+- -"), (depth, height, "+- -")):
        if x + across + 2 * sheet_mm > 280:
            x, y = 6.0, y + depth + 2 * sheet_mm + gap
        parts.append(_panel(x + sheet_mm, y + sheet_mm, across, along, edges, sheet_mm))
        x += across + 2 * sheet_mm + gap
    return _svg(290, round(y + max(depth, height) + 2 * sheet_mm + gap), parts)


def _panel(x: float, y: float, across: int, along: int, edges: str, sheet_mm: float) -> str:
    """A rectangle whose four edges (bottom, right, top, left) carry fingers (`+`), gaps (`-`) or nothing."""
    points: list[tuple[float, float]] = []
    corners = ((0.0, 0.0), (across, 0.0), (across, along), (0.0, along))
    for side, kind in enumerate(edges):
        (x0, y0), (x1, y1) = corners[side], corners[(side + 1) % 4]
        length = hypot(x1 - x0, y1 - y0)
        ux, uy = (x1 - x0) / length, (y1 - y0) / length
        out = {"+": sheet_mm, "-": -sheet_mm}.get(kind, 0.0)
        fingers = max(1, round(length / 20)) * 2 + 1
        for finger in range(fingers):
            offset = out if finger % 2 else 0.0
            for end in (finger, finger + 1):
                step = length * end / fingers
                points.append((x + x0 + ux * step + uy * offset, y + y0 + uy * step - ux * offset))
    path = " ".join(f"{px:.3f},{py:.3f}" for px, py in points)
    return f'<polygon points="{path}" fill="none" stroke="{RED}" stroke-width="0.2"/>'


def _circle(x: float, y: float, r: float, *, stroke: str = "none", fill: str = "none") -> str:
    return f'<circle cx="{x:.3f}" cy="{y:.3f}" r="{r}" fill="{fill}" stroke="{stroke}" stroke-width="0.2"/>'


def _svg(width: int, height: int, parts: list[str]) -> bytes:
    head = f'width="{width}mm" height="{height}mm" viewBox="0 0 {width} {height}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {head}>{"".join(parts)}</svg>\n'.encode()
