"""What a sliced file says about itself (time, filament, layers), and what its moves add up to: seconds and filament up
to each byte, by layer and by feature.

Reads G-code written by our own slicer with our own profile. Streams: a 100 MB file costs no memory. Knows nothing of
machines; whether a machine may run it is judged elsewhere.
"""

from __future__ import annotations

import math
import os
import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO, Self

from slicing.gcodetext import NotGcode
from slicing.motion import timed
from slicing.moves import Layer, Limits, Reader
from slicing.tally import KINDS, Tally

CURVE_POINTS_MAX = 2000
LAYER_ENTRIES_MAX = 4000
"""With the curve they stay well within what a child may answer; a taller file has several layers to an entry."""
_TAIL_BYTES = 256 * 1024
_FIRST_LINE, _LAST_LINE = b"; prusaslicer_config = begin", b"; prusaslicer_config = end"
_TIME = re.compile(r"; estimated printing time \(normal mode\) = (.+)")
_SPAN = re.compile(r"(\d+)([dhms])")
_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


class NotOurGcode(ValueError):
    """The file lacks what our slicer always writes: it is cut short or not ours."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Filament and printing time against byte offset: how much of either is past when that much of the file has been
    run.

    Nothing ever falls; the first point is all 0, the last is the file's end and the totals, whatever was thinned out
    between them. `seconds` are our planner's.
    """

    bytes: tuple[int, ...]
    millimetres: tuple[float, ...]
    seconds: tuple[float, ...]
    milligrams_per_mm: float

    @property
    def fractions(self) -> tuple[float, ...]:
        """Share of the printing time done at each point."""
        return tuple(self._share(seconds) for seconds in self.seconds)

    def _share(self, seconds: float) -> float:
        return seconds / self.seconds[-1] if self.seconds[-1] else 1.0

    def millimetres_at(self, offset: int) -> float:
        """Filament in mm used before this byte; clamped to the ends, straight lines between points."""
        return self._at(offset, self.millimetres)

    def milligrams_at(self, offset: int) -> float:
        """The same in milligrams, by the profile's density and diameter."""
        return self.millimetres_at(offset) * self.milligrams_per_mm

    def seconds_at(self, offset: int) -> float:
        """Printing time in seconds before this byte, by the same rules."""
        return self._at(offset, self.seconds)

    def seconds_left_at(self, offset: int) -> float:
        """Printing time in seconds from this byte to the end."""
        return self.seconds[-1] - self.seconds_at(offset)

    def fraction_at(self, offset: int) -> float:
        """Share of the printing time done at this byte, 0 to 1."""
        return self._share(self.seconds_at(offset))

    def _at(self, offset: int, values: tuple[float, ...]) -> float:
        right = bisect_right(self.bytes, offset)
        if right == 0:
            return values[0]
        if right == len(self.bytes):
            return values[-1]
        low, high = self.bytes[right - 1], self.bytes[right]
        share = (offset - low) / (high - low)
        return values[right - 1] + share * (values[right] - values[right - 1])

    def to_json(self) -> dict[str, Any]:
        return {
            "bytes": list(self.bytes),
            "millimetres": list(self.millimetres),
            "seconds": list(self.seconds),
            "milligrams_per_mm": self.milligrams_per_mm,
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        return cls(
            bytes=tuple(raw["bytes"]),
            millimetres=tuple(raw["millimetres"]),
            seconds=tuple(raw["seconds"]),
            milligrams_per_mm=raw["milligrams_per_mm"],
        )


@dataclass(frozen=True, kw_only=True)
class LayerTable:
    """The layers in order, `each` of them to an entry (1 but for the tallest files, the last entry may hold fewer).

    Of each entry: the byte its first layer begins at, that layer's height in mm (None where the slicer says none), and
    the printing seconds of all its layers. `before_seconds` pass before the first.
    """

    each: int
    first_bytes: tuple[int, ...]
    z_mm: tuple[float | None, ...]
    seconds: tuple[float, ...]
    before_seconds: float

    def layer_at(self, offset: int) -> int:
        """The layer this byte is in, from 0; -1 before the first. Where `each` is over 1, the first of its entry."""
        entry = bisect_right(self.first_bytes, offset) - 1
        return entry * self.each if entry >= 0 else -1

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        lists = {name: tuple(raw[name]) for name in ("first_bytes", "z_mm", "seconds")}
        return cls(each=raw["each"], before_seconds=raw["before_seconds"], **lists)


@dataclass(frozen=True, kw_only=True)
class Use:
    """What one kind of work takes; the millimetres are filament, below 0 where it is drawn back."""

    seconds: float
    millimetres: float


@dataclass(frozen=True, kw_only=True)
class GcodeReport:
    """The slicer's own figures for the whole file, and what our planner makes of its moves.

    `seconds` and `filament_millimetres` are what the slicer reports (its billing figures). `planner_seconds` beside it
    is ours, and counts the waits (G4) that the slicer leaves out: they are `uses["waiting"]`. The curve's total also
    holds the priming line of the start G-code, which the machine does push through the nozzle. `uses` is by
    `slicing.tally.KINDS`, those that occur.
    """

    seconds: int
    planner_seconds: float
    filament_millimetres: float
    milligrams: int
    layers: int
    bytes: int
    curve: Curve
    uses: Mapping[str, Use]
    layer_table: LayerTable

    def to_json(self) -> dict[str, Any]:
        return {
            "seconds": self.seconds,
            "planner_seconds": self.planner_seconds,
            "filament_millimetres": self.filament_millimetres,
            "milligrams": self.milligrams,
            "layers": self.layers,
            "bytes": self.bytes,
            "curve": self.curve.to_json(),
            "uses": {kind: asdict(use) for kind, use in self.uses.items()},
            "layer_table": self.layer_table.to_json(),
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        parsed = {
            "curve": Curve.from_json(raw["curve"]),
            "uses": {kind: Use(**use) for kind, use in raw["uses"].items()},
            "layer_table": LayerTable.from_json(raw["layer_table"]),
        }
        return cls(**{**raw, **parsed})


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
