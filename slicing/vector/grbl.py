"""A toolpath as G-code for GRBL 1.1 (grblHAL, FluidNC): a pure function of toolpath and machine.

The beam is M4 throughout, dynamic power: it follows the speed and is off at a standstill. Its power is a word of the
very move that burns, so that the controller never stops to change it; travel carries S0 besides. Nothing here starts,
homes, waits or sets up a machine. Each line fits GRBL's buffers, the comments at the top included.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from slicing.vector import planner
from slicing.vector.beam import Moves, moves
from slicing.vector.machines import CutMachine
from slicing.vector.toolpath import Toolpath
from slicing.vector.vectorestimate import of_moves

HEADER = "G21 G90 G94 G54"
TRAILER = ("M5", "M9", "G0 X0 Y0", "M2")


def write(toolpath: Toolpath, machine: CutMachine) -> bytes:
    """The file. Raises FileRefused for what `moves` refuses.

    Its first comments name the toolpath and say, for a simulated machine and for people, how long it takes: `;TIME:`
    is the moves alone, in seconds, without the machine's set-up.
    """
    way = moves(toolpath, machine)
    took = of_moves(way, planner.seconds(way, machine), toolpath, machine)
    head = [
        f"; etabli toolpath {toolpath.sha256}",
        f";TIME:{max(1, ceil(took.features['seconds_motion']))}",
        f"; beam seconds = {took.beam_seconds_p50}",
        HEADER,
        "M4 S0",
    ]
    # The way home is in the trailer, behind M5.
    return "\n".join([*head, *_lines(way, toolpath, machine), *TRAILER, ""]).encode("ascii")


def _lines(way: Moves, toolpath: Toolpath, machine: CutMachine) -> Iterator[str]:
    fastest = max(machine.speed_max_mm_s)
    feeds = [_number(round(60 * min(o.settings.speed_mm_s, fastest), 1)) for o in toolpath.operations]
    air = [o.settings.air for o in toolpath.operations]
    x = y = "0"
    blowing, power, feed = False, 0, ""
    columns = (way.x, way.y, way.power, way.rapid, way.op)
    for to_x, to_y, s, rapid, op in zip(*(column.tolist() for column in columns), strict=True):
        if op < 0:
            return
        if air[op] != blowing:
            blowing = air[op]
            yield "M8" if blowing else "M9"
        line = "G0" if rapid else "G1"
        was_x, was_y, x, y = x, y, _number(to_x), _number(to_y)
        line += f" X{x}" if x != was_x else ""
        line += f" Y{y}" if y != was_y else ""
        line += f" S{s}" if s != power else ""
        power = s
        if not rapid and feeds[op] != feed:
            feed = feeds[op]
            line += f" F{feed}"
        yield line


def _number(value: float) -> str:
    """With up to three decimals, and none that say nothing."""
    return f"{value:.3f}".rstrip("0").rstrip(".")
