"""A Toolpath: what one machine is to do with one drawing, in its order. Shared by laser and vinyl; no bytes, no time.

Coordinates are the machine's: millimetres, x to the right, y up, origin at the work area's front left corner.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from slicing.results import MeshWarning
from slicing.vector.design import FloatArray

CUT, SCORE, ENGRAVE, IGNORE = "cut", "score", "engrave", "ignore"
OPERATIONS = (CUT, SCORE, ENGRAVE, IGNORE)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How the beam (or the knife) goes: from a material preset."""

    speed_mm_s: float
    power_permille: int  # of the tube's or diode's full power; 0 for a knife
    passes: int = 1
    interval_mm: float = 0.1  # between engraving lines
    kerf_mm: float = 0.0  # full width of the cut; half of it is the offset
    air: bool = True


@dataclass(frozen=True, kw_only=True)
class Contour:
    """One continuous line of the beam. A closed one does not repeat its first point; it ends where it began.

    `gaps` are tabs: (from, to) in mm along the line, from its first point, where the beam is off.
    """

    points: FloatArray  # (n, 2)
    closed: bool
    gaps: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Scan:
    """One engraving line: at `y` (along x), power from piece to piece. Pieces ascend in x and do not overlap."""

    y: float
    spans: FloatArray  # (n, 3): x0, x1, share of the operation's power, 0..1


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One kind of work with one setting. `scans` for an engraved area, `contours` otherwise; in their order."""

    kind: str  # `cut`, `score` or `engrave`
    key: str  # the Group it comes from
    settings: Settings
    contours: tuple[Contour, ...] = ()
    scans: tuple[Scan, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Toolpath:
    machine: str  # name of the CutMachine it is made for
    material: str  # name of the preset
    operations: tuple[Operation, ...]  # engrave, then score, then inner cuts, then outer cuts
    warnings: tuple[MeshWarning, ...] = ()

    @property
    def bounds_mm(self) -> tuple[float, float, float, float]:
        """Low x, low y, high x, high y of all beam-on lines; zeros for an empty one."""
        corners = [_corners(operation) for operation in self.operations]
        boxes = np.vstack([box for box in corners if box is not None] or [np.zeros((1, 2))])
        low, high = boxes.min(axis=0), boxes.max(axis=0)
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])

    def to_json(self) -> dict[str, Any]:
        """Plain form, coordinates rounded to the micrometre: the same toolpath always gives the same."""
        return {
            "machine": self.machine,
            "material": self.material,
            "operations": [_operation_json(operation) for operation in self.operations],
        }

    @property
    def sha256(self) -> str:
        """Names this toolpath: a release at the machine is bound to it."""
        plain = json.dumps(self.to_json(), separators=(",", ":"), sort_keys=True)
        return hashlib.sha256(plain.encode()).hexdigest()


def counted_from(toolpath: Toolpath, origin: str, bed_mm: tuple[float, float]) -> Toolpath:
    """The same work in the coordinates of a machine that counts from another corner of its bed, inwards from there."""
    side, edge = origin.split("-")
    if (side, edge) == ("front", "left"):
        return toolpath
    flips = np.array([-1.0 if edge == "right" else 1.0, -1.0 if side == "rear" else 1.0])
    shift = np.where(flips < 0, np.array(bed_mm), 0.0)
    operations = tuple(
        replace(
            operation,
            contours=tuple(replace(c, points=c.points * flips + shift) for c in operation.contours),
            scans=tuple(_flipped(scan, flips, shift) for scan in operation.scans),
        )
        for operation in toolpath.operations
    )
    return replace(toolpath, operations=operations)


def _flipped(scan: Scan, flips: FloatArray, shift: FloatArray) -> Scan:
    spans = scan.spans.copy()
    if flips[0] < 0:
        spans = spans[::-1].copy()
        spans[:, :2] = shift[0] - spans[:, 1::-1]
    return Scan(y=float(scan.y * flips[1] + shift[1]), spans=spans)


def _corners(operation: Operation) -> FloatArray | None:
    parts = [contour.points for contour in operation.contours]
    parts += [
        np.array([[scan.spans[0, 0], scan.y], [scan.spans[-1, 1], scan.y]])
        for scan in operation.scans
        if len(scan.spans)
    ]
    return np.vstack(parts) if parts else None


def _operation_json(operation: Operation) -> dict[str, Any]:
    settings = operation.settings
    return {
        "kind": operation.kind,
        "key": operation.key,
        "settings": {name: getattr(settings, name) for name in settings.__dataclass_fields__},
        "contours": [
            {"points": _rounded(c.points), "closed": c.closed, "gaps": [list(g) for g in c.gaps]}
            for c in operation.contours
        ],
        "scans": [{"y": round(s.y, 3), "spans": _rounded(s.spans)} for s in operation.scans],
    }


def _rounded(points: FloatArray) -> list[list[float]]:
    # + 0.0 turns a negative zero, which JSON would spell otherwise, into zero.
    rounded: list[list[float]] = (np.round(points, 3) + 0.0).tolist()
    return rounded
