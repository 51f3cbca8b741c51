"""Engraving lines of several areas and pictures put together: one line of the bed is driven once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from slicing.vector import plane
from slicing.vector.design import FloatArray
from slicing.vector.toolpath import Scan


def merged(parts: Iterable[Sequence[Scan]]) -> tuple[Scan, ...]:
    """All scans by their y, upwards; where two would burn the same spot, the stronger one does."""
    rows: dict[float, list[FloatArray]] = {}
    for part in parts:
        for scan in part:
            rows.setdefault(scan.y, []).append(scan.spans)
    return tuple(
        Scan(y=y, spans=spans[0] if len(spans) == 1 else _merged(np.vstack(spans)))
        for y, spans in sorted(rows.items())
    )


def _merged(spans: FloatArray) -> FloatArray:
    spans = spans[np.argsort(spans[:, 0], kind="stable")]
    if (spans[1:, 0] >= spans[:-1, 1]).all():
        return spans
    edges = np.unique(spans[:, :2])
    share = np.zeros(len(edges) - 1)
    for low, high, strength in spans:
        first, last = np.searchsorted(edges, (low, high))
        share[first:last] = np.maximum(share[first:last], strength)
    pieces = np.stack((edges[:-1], edges[1:], share), axis=1)[share > 0]
    if not len(pieces):
        return pieces
    new = np.concatenate(([True], (pieces[1:, 0] > pieces[:-1, 1]) | (pieces[1:, 2] != pieces[:-1, 2])))
    first = np.flatnonzero(new)
    last = np.concatenate((first[1:] - 1, [len(pieces) - 1]))
    return np.stack((pieces[first, 0], pieces[last, 1], pieces[first, 2]), axis=1)


def turned_alike(rings: Sequence[FloatArray]) -> list[FloatArray]:
    """The rings of one shape all turned over where its largest one runs clockwise.

    Shapes so turned can be filled together by the nonzero rule: where two lie on each other neither makes a hole.
    """
    largest = max((plane.signed_area(ring) for ring in rings), key=abs, default=0.0)
    return list(rings) if largest >= 0 else [ring[::-1] for ring in rings]
