"""What a sliced file says about itself (time, filament, layers), and what its moves add up to: seconds and filament up
to each byte, by layer and by feature.

Reads G-code written by our own slicer with our own profile. Streams: a 100 MB file costs no memory. Knows nothing of
machines; whether a machine may run it is judged elsewhere.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

from slicing.gcodetext import NotGcode
from slicing.motion import timed
from slicing.moves import Layer, Limits, Reader
from slicing.report import Curve, GcodeReport, LayerTable, NotOurGcode, Use
from slicing.tally import KINDS, Tally

CURVE_POINTS_MAX = 2000
LAYER_ENTRIES_MAX = 4000
"""With the curve they stay well within what a child may answer; a taller file has several layers to an entry."""
_TAIL_BYTES = 256 * 1024
_FIRST_LINE, _LAST_LINE = b"; prusaslicer_config = begin", b"; prusaslicer_config = end"
_TIME = re.compile(r"; estimated printing time \(normal mode\) = (.+)")
_SPAN = re.compile(r"(\d+)([dhms])")
_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


def read(file: BinaryIO, milligrams_per_mm: float, keys: Mapping[str, str] | None = None) -> GcodeReport:
    """Read a finished file, open for reading. The machine's limits come from these profile keys, or else from the
    configuration that ends the file; what its start G-code sets (M201 to M205) wins.

    Raises NotOurGcode if its end or its figures are missing or its moves cannot be followed, OSError.
    Some 30 to 60 MB a second: callers with an event loop use `Analyser.read_gcode`, which does it in a child.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _TAIL_BYTES))
    tail = file.read()
    if not tail.rstrip().endswith(_LAST_LINE):
        raise NotOurGcode("the file does not end with the slicer's configuration: it was cut short")
    figures = _figures(tail.decode("utf-8", "replace"))
    reader, tally = _walk(file, _configuration(tail) if keys is None else keys)
    curve = _curve(tally, size, milligrams_per_mm)
    return GcodeReport(
        seconds=figures["seconds"],
        planner_seconds=curve.seconds[-1],
        filament_millimetres=figures["mm"],
        milligrams=round(figures["mm"] * milligrams_per_mm),
        layers=len(reader.layers),
        bytes=size,
        curve=curve,
        uses=_uses(tally),
        layer_table=_layer_table(reader.layers, tally),
    )


def _figures(tail: str) -> dict[str, Any]:
    time = _TIME.search(tail)
    filament = re.search(r"; filament used \[mm\] = ([\d.]+)", tail)
    if time is None or filament is None:
        raise NotOurGcode("the slicer's figures for time and filament are missing")
    return {"seconds": seconds_of(time[1]), "mm": float(filament[1])}


def _configuration(tail: bytes) -> dict[str, str]:
    """The profile's keys as the slicer wrote them at the end."""
    lines = tail[tail.rfind(_FIRST_LINE) :].decode("utf-8", "replace").splitlines()
    pairs = (line.removeprefix("; ").partition(" = ") for line in lines)
    return {key: value for key, _, value in pairs}


def seconds_of(span: str) -> int:
    """`1d 2h 3m 4s` in seconds. Raises NotOurGcode if nothing of it is a time."""
    parts = _SPAN.findall(span)
    if not parts:
        raise NotOurGcode(f"not a duration: {span[:40]!r}")
    return sum(int(number) * _SECONDS[unit] for number, unit in parts)


def _walk(file: BinaryIO, keys: Mapping[str, str]) -> tuple[Reader, Tally]:
    """One pass over all moves."""
    relative = keys.get("use_relative_e_distances", "1") == "1"
    reader, tally = Reader(Limits.of(keys), relative_e=relative), Tally()
    try:
        for done in timed(reader.read(file)):
            tally.add(done)
    except NotGcode as error:
        raise NotOurGcode(str(error)) from error
    return reader, tally


def _curve(tally: Tally, size: int, milligrams_per_mm: float) -> Curve:
    at, used, passed = tally.points(CURVE_POINTS_MAX - 1).tolist()
    if at[-1] < size:
        at, used, passed = [*at, size], [*used, used[-1]], [*passed, passed[-1]]
    return Curve(
        bytes=tuple(map(int, at)),
        millimetres=_rounded(used, 3),
        seconds=_rounded(passed, 2),
        milligrams_per_mm=milligrams_per_mm,
    )


def _uses(tally: Tally) -> dict[str, Use]:
    sums = zip(KINDS, tally.seconds_by_kind.tolist(), tally.millimetres_by_kind.tolist(), strict=True)
    return {
        kind: Use(seconds=round(seconds, 2), millimetres=round(millimetres, 3))
        for kind, seconds, millimetres in sums
        if seconds > 0
    }


def _layer_table(layers: Sequence[Layer], tally: Tally) -> LayerTable:
    before, *seconds = tally.seconds_by_layer(len(layers)).tolist()
    each = max(1, -(-len(layers) // LAYER_ENTRIES_MAX))
    firsts = layers[::each]
    return LayerTable(
        each=each,
        first_bytes=tuple(layer.first_byte for layer in firsts),
        z_mm=tuple(None if math.isnan(layer.z_mm) else layer.z_mm for layer in firsts),
        seconds=_rounded([sum(seconds[low : low + each]) for low in range(0, len(layers), each)], 2),
        before_seconds=round(before, 2),
    )


def _rounded(values: Sequence[float], digits: int) -> tuple[float, ...]:
    return tuple(round(value, digits) for value in values)
