"""Sample models of our own for the demo lab: extruded outlines that can be seen whole from their middle."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from math import cos, pi, sin

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
