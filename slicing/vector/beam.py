"""A toolpath as straight moves, in the order the machine makes them: passes, tabs, overscan, the way between.

One representation for the planner, the post-processor and the page's simulation, so that what is timed and shown is
what is written. Knows no bytes and no seconds. Refuses what does not lie on the bed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slicing.faults import refused
from slicing.vector.design import FloatArray
from slicing.vector.machines import CutMachine
from slicing.vector.toolpath import Contour, Operation, Scan, Settings, Toolpath

DECIMALS = 3
"""Coordinates are whole micrometres, here already, so that the planner sees what the machine will read."""
SKIP_MM = 20.0
"""A blank in an engraving line is passed as travel if it is that much longer than the overscan on both its sides."""
SPEED_MM_S_MIN = 0.1
"""Slower is a mistake: it burns a hole."""
PIECES_MAX = 100_000
_EDGE_MM = 1e-6

Row = tuple[float, float, float, float, bool, bool]
"""End x, y; mm/s; share of the machine's power; rapid; beam (or knife) on. Also the columns of the arrays here."""
_HOME: Row = (0.0, 0.0, 0.0, 0.0, True, False)


@dataclass(frozen=True, kw_only=True)
class Moves:
    """Each move goes from the end of the one before to (x, y); the first from (0, 0). No move stands still.

    `power` is what the controller is told (S), a whole number up to the machine's `power_max`. `on`: the beam burns or
    the knife is down. `op` is the operation it belongs to, the way to it included; -1 for the way home. `halt`: the
    machine stands still before it, as GRBL does to switch the air.
    """

    x: FloatArray
    y: FloatArray
    feed: FloatArray  # mm/s, as asked for; a rapid goes as fast as it can
    power: NDArray[np.int64]
    rapid: NDArray[np.bool_]
    on: NDArray[np.bool_]
    op: NDArray[np.int64]
    halt: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.x)

    @property
    def lengths_mm(self) -> FloatArray:
        lengths: FloatArray = np.hypot(np.diff(self.x, prepend=0.0), np.diff(self.y, prepend=0.0))
        return lengths


def moves(toolpath: Toolpath, machine: CutMachine) -> Moves:
    """All moves of a toolpath, with the way home at the end. Raises FileRefused: `laser.outside`, `laser.setting`."""
    _on_the_bed(toolpath, machine)
    blocks, owners = [], []
    for place, operation in enumerate(toolpath.operations):
        _checked(operation)
        mine = [_contour(contour, operation.settings) for contour in operation.contours]
        mine += _engraving(operation, machine)
        blocks += mine
        owners += [place] * sum(map(len, mine))
    blocks.append(np.array([_HOME]))
    rows, op = np.concatenate(blocks), np.array([*owners, -1])
    if machine.language == "grbl" and machine.burn_seconds_max > 0:
        rows, op = _pieces(rows, op, machine.burn_seconds_max)
    return _packed(rows, op, toolpath, machine)


def _pieces(
    rows: FloatArray, op: NDArray[np.int64], seconds_max: float
) -> tuple[FloatArray, NDArray[np.int64]]:
    """Burning moves cut into pieces of so many seconds: a controller that is fed works off its buffer when the cable
    is cut, and what fits into it (15 moves, and five or so more as text) must then be over within two seconds.
    """
    steps = np.diff(rows[:, :2], axis=0, prepend=np.zeros((1, 2)))
    longest = np.maximum(rows[:, 2] * seconds_max, 1e-3)
    burns = (rows[:, 5] != 0) & (rows[:, 3] > 0)
    counts = np.where(burns, np.ceil(np.hypot(*steps.T) / longest - 1e-9), 1).astype(np.int64)
    counts = np.clip(counts, 1, PIECES_MAX)
    of = np.repeat(np.arange(len(rows)), counts)
    number = np.arange(len(of)) - np.repeat(np.cumsum(counts) - counts, counts)
    left = 1 - (number + 1) / counts[of]  # share of the move that is still to come
    pieces = rows[of]
    pieces[:, :2] -= steps[of] * left[:, None]
    return pieces, op[of]


def _packed(rows: FloatArray, op: NDArray[np.int64], toolpath: Toolpath, machine: CutMachine) -> Moves:
    """As columns, without moves that go nowhere."""
    place = np.clip(np.round(rows[:, :2], DECIMALS), 0.0, machine.bed_mm)
    goes = (np.diff(place, axis=0, prepend=np.zeros((1, 2))) != 0).any(axis=1)
    rows, place, op = rows[goes], place[goes], op[goes]
    air = np.array([*(o.settings.air for o in toolpath.operations), False])[op]
    power = np.rint(rows[:, 3] * machine.power_max).astype(np.int64)
    return Moves(
        x=place[:, 0],
        y=place[:, 1],
        feed=np.minimum(rows[:, 2], max(machine.speed_max_mm_s)),
        power=power,
        rapid=rows[:, 4] != 0,
        on=(rows[:, 5] != 0) & ((power > 0) | (machine.source == "knife")),
        op=op,
        halt=(np.diff(air, prepend=False) != 0) | (op < 0),
    )


# --- What cannot be done -----------------------------------------------------------------------------------------


def _on_the_bed(toolpath: Toolpath, machine: CutMachine) -> None:
    x0, y0, x1, y1 = toolpath.bounds_mm
    bed_x, bed_y = machine.bed_mm
    if (
        min(x0, y0) >= -_EDGE_MM and x1 <= bed_x + _EDGE_MM and y1 <= bed_y + _EDGE_MM
    ):  # NaN is no place either
        return
    raise refused(
        "laser.outside",
        x0=round(x0, 1),
        y0=round(y0, 1),
        x1=round(x1, 1),
        y1=round(y1, 1),
        bed_x=bed_x,
        bed_y=bed_y,
        machine=machine.name,
    )


def _checked(operation: Operation) -> None:
    settings = operation.settings
    wrong = [
        name
        for name, good in (
            ("speed_mm_s", SPEED_MM_S_MIN <= settings.speed_mm_s < np.inf),
            ("power_permille", 0 <= settings.power_permille <= 1000),
            ("passes", 1 <= settings.passes <= 100),
            ("interval_mm", 0 < settings.interval_mm < np.inf or not operation.scans),
        )
        if not good
    ]
    if wrong:
        value = getattr(settings, wrong[0])
        raise refused("laser.setting", setting=wrong[0], value=value, key=operation.key)


# --- Lines -------------------------------------------------------------------------------------------------------


def _contour(contour: Contour, settings: Settings) -> FloatArray:
    """All passes of a line before the next one: a hole is through before the outline around it is begun."""
    points, burns = _stretches(contour)
    there = _worked(points[1:], burns, settings)
    # An open line is followed back: no travel between passes.
    back = there if contour.closed else _worked(points[-2::-1], burns[::-1], settings)
    return np.concatenate(
        ([_travel(*points[0])], *([there, back][number % 2] for number in range(settings.passes)))
    )


def _travel(x: float, y: float) -> Row:
    return (x, y, 0.0, 0.0, True, False)


def _worked(ends: FloatArray, burns: NDArray[np.bool_], settings: Settings) -> FloatArray:
    rows = np.zeros((len(ends), 6))
    rows[:, :2] = ends
    rows[:, 2] = settings.speed_mm_s
    rows[:, 3] = burns * (settings.power_permille / 1000)
    rows[:, 5] = burns
    return rows


def _stretches(contour: Contour) -> tuple[FloatArray, NDArray[np.bool_]]:
    """The corners, ends of gaps among them, and of each stretch between two whether the beam is on."""
    points = np.vstack((contour.points, contour.points[:1])) if contour.closed else contour.points
    burns = np.ones(len(points) - 1, dtype=bool)
    if contour.gaps:
        along = np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))))
        gaps = np.clip(np.array(contour.gaps, dtype=np.float64), 0.0, along[-1])
        at = np.union1d(along, gaps)
        points = np.stack([np.interp(at, along, points[:, axis]) for axis in (0, 1)], axis=1)
        middle = (at[1:] + at[:-1]) / 2
        burns = ~((middle[:, None] > gaps[:, 0]) & (middle[:, None] < gaps[:, 1])).any(axis=1)
    return points, burns


# --- Areas -------------------------------------------------------------------------------------------------------


def _engraving(operation: Operation, machine: CutMachine) -> Iterator[FloatArray]:
    """Line by line, there and back; each begins and ends at full speed where the bed leaves room for it."""
    settings = operation.settings
    reach = overscan_mm(settings, machine)
    there = True
    for number in range(settings.passes):
        for scan in operation.scans[:: 1 if number % 2 == 0 else -1]:
            for spans in _runs(scan, reach, settings, machine)[:: 1 if there else -1]:
                yield _run(scan.y, spans if there else spans[::-1, [1, 0, 2]], reach, settings, machine)
            there = not there


def overscan_mm(settings: Settings, machine: CutMachine) -> float:
    """The way to reach the engraving's speed along x."""
    if not machine.overscan:
        return 0.0
    return float(
        min(settings.speed_mm_s, machine.speed_max_mm_s[0]) ** 2 / (2 * machine.acceleration_mm_s2[0])
    )


def _runs(scan: Scan, reach: float, settings: Settings, machine: CutMachine) -> list[FloatArray]:
    """The line, in two and more where travel is the faster way over what stays blank."""
    spans = scan.spans[scan.spans[:, 2] > 0]
    if len(spans) < 2 or _travel_mm_s(machine) <= settings.speed_mm_s:
        return [spans] if len(spans) else []
    long = np.flatnonzero(spans[1:, 0] - spans[:-1, 1] > 2 * reach + SKIP_MM) + 1
    return np.split(spans, long)


def _travel_mm_s(machine: CutMachine) -> float:
    return min(machine.speed_max_mm_s[0], machine.travel_mm_s or np.inf)


def _run(y: float, spans: FloatArray, reach: float, settings: Settings, machine: CutMachine) -> FloatArray:
    """One stretch, in the direction of its spans: the way in, each piece and the blank before it, the way out."""
    ahead = reach if spans[-1, 1] > spans[0, 0] else -reach
    begin, end = np.clip((spans[0, 0] - ahead, spans[-1, 1] + ahead), 0.0, machine.bed_mm[0])
    rows = np.zeros((2 * len(spans) + 2, 6))
    rows[0] = _travel(begin, y)
    rows[1:-1, 0] = spans[:, :2].ravel()
    rows[-1, 0] = end
    rows[1:, 1] = y
    rows[1:, 2] = settings.speed_mm_s
    rows[2:-1:2, 3] = spans[:, 2] * (settings.power_permille / 1000)
    rows[2:-1:2, 5] = True
    return rows
