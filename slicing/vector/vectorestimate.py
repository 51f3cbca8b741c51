"""What a toolpath takes on its machine: seconds, seconds of beam, lengths and areas, by operation.

The seconds are the planner's, whose rules are exact for GRBL; what it cannot know is whether the machine is as its
figures say. Until real runs have been compared, a machine's time lies within 15 % of ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from slicing.vector import planner
from slicing.vector.beam import Moves, moves
from slicing.vector.design import FloatArray
from slicing.vector.machines import CutMachine
from slicing.vector.toolpath import CUT, SCORE, Operation, Toolpath

SPREAD = 0.15
"""How far a machine that was never compared may be from its figures: p90 lies that much above p50."""


@dataclass(frozen=True, kw_only=True)
class OperationEstimate:
    """One operation of the toolpath, the way to its lines included. `length_mm` is what the beam goes, each pass."""

    kind: str
    key: str
    seconds: float
    beam_seconds: float
    length_mm: float


@dataclass(frozen=True, kw_only=True)
class CutEstimate:
    """p50 is the expectation, nine in ten stay below p90. Beam seconds are those with power (or the knife down).

    The seconds hold the machine's set-up, `features["seconds_motion"]` the moves alone: what a controller counts.
    Lengths are with the beam on and count each pass; the area counts once.
    """

    seconds_p50: int
    seconds_p90: int
    beam_seconds_p50: int
    beam_seconds_p90: int
    cut_mm: float
    engrave_mm2: float
    travel_mm: float
    pierces: int
    operations: tuple[OperationEstimate, ...]
    bounds_mm: tuple[float, float, float, float]
    features: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        low_x, low_y, high_x, high_y = (float(edge) for edge in raw["bounds_mm"])
        operations = tuple(OperationEstimate(**operation) for operation in raw["operations"])
        return cls(**{**raw, "operations": operations, "bounds_mm": (low_x, low_y, high_x, high_y)})


def estimate(toolpath: Toolpath, machine: CutMachine) -> CutEstimate:
    """Pure: same toolpath, same figures. Raises FileRefused where the toolpath cannot become moves."""
    way = moves(toolpath, machine)
    return of_moves(way, planner.seconds(way, machine), toolpath, machine)


def of_moves(way: Moves, seconds: FloatArray, toolpath: Toolpath, machine: CutMachine) -> CutEstimate:
    """The same, of moves and seconds that are already there."""
    length = way.lengths_mm
    operations = tuple(
        _operation(operation, way.op == place, way, seconds, length)
        for place, operation in enumerate(toolpath.operations)
    )
    motion, beam = float(seconds.sum()), float(seconds[way.on].sum())
    lengths = {kind: sum(o.length_mm for o in operations if o.kind == kind) for kind in (CUT, SCORE)}
    return CutEstimate(
        seconds_p50=_up(motion + machine.setup_seconds),
        seconds_p90=_up((motion + machine.setup_seconds) * (1 + SPREAD)),
        beam_seconds_p50=_up(beam),
        beam_seconds_p90=_up(beam * (1 + SPREAD)),
        cut_mm=round(lengths[CUT], 1),
        engrave_mm2=round(sum(map(_area_mm2, toolpath.operations)), 1),
        travel_mm=round(float(length[~way.on].sum()), 1),
        pierces=int(np.count_nonzero(way.on & ~_shifted(way.on))),
        operations=operations,
        bounds_mm=toolpath.bounds_mm,
        features={
            "seconds_motion": round(motion, 2),
            "seconds_travel": round(float(seconds[~way.on].sum()), 2),
            "seconds_setup": machine.setup_seconds,
            "score_mm": round(lengths[SCORE], 1),
            "moves": len(way),
            "halts": int(np.count_nonzero(way.halt)),
            "lines": sum(len(operation.scans) for operation in toolpath.operations),
            "contours": sum(len(operation.contours) for operation in toolpath.operations),
        },
    )


def _operation(
    operation: Operation,
    mine: np.ndarray[Any, np.dtype[np.bool_]],
    way: Moves,
    seconds: FloatArray,
    length: FloatArray,
) -> OperationEstimate:
    return OperationEstimate(
        kind=operation.kind,
        key=operation.key,
        seconds=round(float(seconds[mine].sum()), 2),
        beam_seconds=round(float(seconds[mine & way.on].sum()), 2),
        length_mm=round(float(length[mine & way.on].sum()), 1),
    )


def _area_mm2(operation: Operation) -> float:
    lines = [scan.spans[scan.spans[:, 2] > 0] for scan in operation.scans]
    return sum(float((s[:, 1] - s[:, 0]).sum()) for s in lines) * operation.settings.interval_mm


def _shifted(on: np.ndarray[Any, np.dtype[np.bool_]]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return np.concatenate((np.zeros(1, dtype=bool), on[:-1]))


def _up(seconds: float) -> int:
    """Whole seconds, and never none for something."""
    return int(np.ceil(round(seconds, 3)))
