"""Builders for the tests of toolpaths: shapes, operations, machines; and G-code read back, apart from our reader."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import pi
from typing import Any

import numpy as np

from slicing.vector.beam import Moves
from slicing.vector.design import FloatArray
from slicing.vector.machines import CUTTERS, CutMachine
from slicing.vector.toolpath import Contour, Operation, Scan, Settings, Toolpath
from tests.slicing.vector.grblsim import Line

CO2 = replace(CUTTERS["co2-6040-grbl"], burn_seconds_max=0.0)
DIODE = replace(CUTTERS["diode-4040-grbl"], burn_seconds_max=0.0)
"""Without cutting long moves into pieces, so that a test can say each of them."""
Row = tuple[float, float, float | None]  # x, y, mm/s; None for travel


def a_machine(acceleration: float = 3000.0, **changes: Any) -> CutMachine:
    """The one of the reference's timings: 200 mm/s, 250 steps/mm."""
    fields: dict[str, Any] = {
        "speed_max_mm_s": (200.0, 200.0),
        "acceleration_mm_s2": (acceleration, acceleration),
        "steps_per_mm": (250.0, 250.0),
    }
    return replace(CO2, **(fields | changes))


def settings(**changes: Any) -> Settings:
    fields: dict[str, Any] = {"speed_mm_s": 20.0, "power_permille": 700, "air": False}
    return Settings(**(fields | changes))


def square(x: float, y: float, side: float, **changes: Any) -> Contour:
    points = np.array([(x, y), (x + side, y), (x + side, y + side), (x, y + side)])
    fields: dict[str, Any] = {"points": points, "closed": True}
    return Contour(**(fields | changes))


def circle_points(x: float, y: float, radius: float, count: int) -> FloatArray:
    """Begins to the right; the last point is not the first."""
    turn = np.arange(count) * (2 * pi / count)
    return np.stack((x + radius * np.cos(turn), y + radius * np.sin(turn)), axis=1)


def a_cut(*contours: Contour, **changes: Any) -> Operation:
    fields: dict[str, Any] = {
        "kind": "cut",
        "key": "stroke:#ff0000",
        "settings": settings(),
        "contours": contours,
    }
    return Operation(**(fields | changes))


def an_engraving(*scans: Scan, **changes: Any) -> Operation:
    fields: dict[str, Any] = {
        "kind": "engrave",
        "key": "fill:#000000",
        "settings": settings(speed_mm_s=300.0, power_permille=300, interval_mm=0.2),
        "scans": scans,
    }
    return Operation(**(fields | changes))


def a_scan(y: float, *spans: tuple[float, float, float]) -> Scan:
    return Scan(y=y, spans=np.array(spans, dtype=np.float64).reshape(-1, 3))


def a_toolpath(*operations: Operation) -> Toolpath:
    return Toolpath(machine=CO2.name, material="plywood-3", operations=operations)


# --- Moves without a toolpath ------------------------------------------------------------------------------------


def moves_of(rows: Sequence[Row]) -> Moves:
    count = len(rows)
    rapid = np.array([feed is None for *_, feed in rows], dtype=bool)
    return Moves(
        x=np.array([x for x, _, _ in rows], dtype=np.float64),
        y=np.array([y for _, y, _ in rows], dtype=np.float64),
        feed=np.array([feed or 0.0 for *_, feed in rows], dtype=np.float64),
        power=np.where(rapid, 0, 500),
        rapid=rapid,
        on=~rapid,
        op=np.zeros(count, dtype=np.int64),
        halt=np.zeros(count, dtype=bool),
    )


def lines_of(moves: Moves) -> list[Line]:
    """For the judge."""
    columns = (moves.x, moves.y, moves.feed, moves.rapid, moves.halt)
    return [
        Line(x=x, y=y, feed=None if rapid else 60 * feed, sync=halt)
        for x, y, feed, rapid, halt in zip(*(column.tolist() for column in columns), strict=True)
    ]


# --- Ways that are timed ------------------------------------------------------------------------------------------


def circles() -> list[Row]:
    """Circles r20 and r2 in chords of half a millimetre, travel between and the way home: 609 moves.

    Put together again from the record of a firmware's time: moves, first places, length by speed (8.0 s) are its own,
    where the other circles lay it does not say.
    """
    rows: list[Row] = []
    places = [(40, 60, 20, 251), (40, 110, 20, 251)] + [
        (x, y, 2, 25) for x, y in ((100, 90), (110, 40), (70, 40), (90, 30))
    ]
    for x, y, radius, count in places:
        points = circle_points(x, y, radius, count)
        rows += [
            (*points[0], None),
            *((px, py, 50.0) for px, py in [*points[1:].tolist(), points[0].tolist()]),
        ]
    return [*rows, (0.0, 0.0, None)]


def raster(lines: int = 40, width: float = 70.0, interval: float = 0.2) -> list[Row]:
    """There and back at 100 mm/s."""
    rows: list[Row] = []
    for line in range(lines):
        begin, end = (0.0, width) if line % 2 == 0 else (width, 0.0)
        rows += [(begin, line * interval, 100.0), (end, line * interval, 100.0)]
    return rows[1:]


def a_box() -> list[Row]:
    """Four sides of finger joints whose inner corners have dog-bones of 0.05 mm, as boxes.py draws them."""
    rows: list[Row] = []
    for side in range(4):
        x0, y0 = 10 + 90 * (side % 2), 10 + 60 * (side // 2)
        rows.append((x0, y0, None))
        for finger in range(8):
            x = x0 + 10 * finger
            rows += [(x, y0 + 3, 15.0), (x - 0.05, y0 + 3.05, 15.0), (x, y0 + 3, 15.0), (x + 5, y0 + 3, 15.0)]
            rows += [(x + 5, y0, 15.0), (x + 4.95, y0 - 0.05, 15.0), (x + 5, y0, 15.0), (x + 10, y0, 15.0)]
        rows += [(x0 + 80, y0 + 50, 15.0), (x0, y0 + 50, 15.0), (x0, y0, 15.0)]
    return [*rows, (0.0, 0.0, None)]


def dots(rows_count: int = 12) -> list[Row]:
    """A dithered picture at 200 mm/s: more moves in sight than GRBL's buffer holds."""
    random = np.random.default_rng(7)
    rows: list[Row] = []
    for line in range(rows_count):
        places = np.cumsum(random.integers(1, 5, 300) * 0.1)
        places = places if line % 2 == 0 else places[::-1]
        rows.append((float(places[0]), line * 0.1, None))
        rows += [(x, line * 0.1, 200.0) for x in places[1:].tolist()]
    return rows


# --- G-code read back --------------------------------------------------------------------------------------------

_WORD = re.compile(r"([A-Z])(-?[\d.]+)")


def burnt(gcode: bytes) -> Iterator[tuple[float, float, float, float, float, float]]:
    """x0, y0, x1, y1, S, F of every move made with the beam on: modal, as the standard says."""
    state = {"X": 0.0, "Y": 0.0, "S": 0.0, "F": 0.0}
    motion, beam = 0.0, False
    for line in gcode.decode("ascii").splitlines():
        words = _WORD.findall(line.split(";")[0])
        before = dict(state)
        for letter, said in words:
            value = float(said)
            if letter in state:
                state[letter] = value
            elif letter == "G" and value in (0, 1):
                motion = value
            elif letter == "M" and value in (4, 5):
                beam = value == 4
        moved = (before["X"], before["Y"]) != (state["X"], state["Y"])
        if moved and beam and motion == 1 and state["S"] > 0:
            yield before["X"], before["Y"], state["X"], state["Y"], state["S"], state["F"]
