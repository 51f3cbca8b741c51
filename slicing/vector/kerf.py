"""The width of the cut made good: parts keep their size because the beam runs half its width outside of them.

Outer contours grow, holes shrink (a hole is cut from its inside). Open lines have no side and stay where they are, as
does what crosses itself. Knows nothing of materials.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from slicing.vector import plane
from slicing.vector.nesting import Nest
from slicing.vector.pieces import Piece


@dataclass(frozen=True, kw_only=True)
class Compensated:
    pieces: tuple[Piece, ...]
    vanished: tuple[Piece, ...] = ()  # holes narrower than the cut: nothing of them is left
    crossing: tuple[Piece, ...] = ()  # contours that cross themselves, left as they are


def compensated(pieces: Sequence[Piece], nest: Nest, kerf_mm: float) -> Compensated:
    """Closed contours moved by half of `kerf_mm`, the full width of the cut."""
    closed = [n for n, piece in enumerate(pieces) if piece.closed and len(piece.points) >= 3]
    if kerf_mm <= 0 or not closed:
        return Compensated(pieces=tuple(pieces))
    shapes = plane.mended(plane.polygons([pieces[n].points for n in closed]))
    sound = plane.valid(shapes)
    outwards = np.where(nest.depth[closed] % 2 == 0, kerf_mm / 2, -kerf_mm / 2)
    moved = dict(
        zip(np.array(closed)[sound], plane.offset(shapes[sound], outwards[sound]), strict=True),
    )
    found: list[Piece] = []
    for n, piece in enumerate(pieces):
        rings = moved.get(n)
        found += [piece] if rings is None else [replace(piece, points=ring) for ring in rings]
    return Compensated(
        pieces=tuple(found),
        vanished=tuple(pieces[n] for n, rings in moved.items() if not rings),
        crossing=tuple(pieces[n] for n, good in zip(closed, sound, strict=True) if not good),
    )
