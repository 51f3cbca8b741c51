"""What a sliced file says about itself: time, filament, layers, and how much filament is used up to each
byte.

Reads G-code written by our own slicer with our own profile (relative E). Streams: a 100 MB file costs no
memory. Knows nothing of machines; whether a machine may run it is judged elsewhere.
"""

from __future__ import annotations

import os
import re
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, Self

CURVE_POINTS_MAX = 2000
_TAIL_BYTES = 256 * 1024
_LAST_LINE = b"; prusaslicer_config = end"
_TIME = re.compile(r"; estimated printing time \(normal mode\) = (.+)")
_SPAN = re.compile(r"(\d+)([dhms])")
_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_EXTRUSION = re.compile(rb"^G[0123]\s[^;]*?E(-?\d*\.?\d+)")
_PROGRESS = re.compile(rb"^M73 P(\d+)")


class NotOurGcode(ValueError):
    """The file lacks what our slicer always writes: it is cut short or not ours."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Cumulative filament against byte offset: how much has been used when that much of the file has been
    run.

    Offsets and lengths never fall; the first point is (0, 0), the last is the file's end and total,
    whatever was thinned out between them. `fractions` is the share of print time at the same bytes, from
    the slicer's M73.
    """

    bytes: tuple[int, ...]
    millimetres: tuple[float, ...]
    fractions: tuple[float, ...]
    milligrams_per_mm: float

    def millimetres_at(self, offset: int) -> float:
        """Filament in mm used before this byte; clamped to the ends, straight lines between points."""
        return self._at(offset, self.millimetres)

    def milligrams_at(self, offset: int) -> float:
        """The same in milligrams, by the profile's density and diameter."""
        return self.millimetres_at(offset) * self.milligrams_per_mm

    def fraction_at(self, offset: int) -> float:
        """Share of the printing time done at this byte, 0 to 1, as the slicer reckons it."""
        return self._at(offset, self.fractions)

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
            "fractions": list(self.fractions),
            "milligrams_per_mm": self.milligrams_per_mm,
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        return cls(
            bytes=tuple(raw["bytes"]),
            millimetres=tuple(raw["millimetres"]),
            fractions=tuple(raw["fractions"]),
            milligrams_per_mm=raw["milligrams_per_mm"],
        )


@dataclass(frozen=True, kw_only=True)
class GcodeReport:
    """The slicer's own figures for the whole file, and the curve.

    `filament_millimetres` is what the slicer reports (its billing figure); the curve's total also holds the
    priming line of the start G-code, which the machine does push through the nozzle.
    """

    seconds: int
    filament_millimetres: float
    milligrams: int
    layers: int
    bytes: int
    curve: Curve

    def to_json(self) -> dict[str, Any]:
        return {
            "seconds": self.seconds,
            "filament_millimetres": self.filament_millimetres,
            "milligrams": self.milligrams,
            "layers": self.layers,
            "bytes": self.bytes,
            "curve": self.curve.to_json(),
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        return cls(**{**raw, "curve": Curve.from_json(raw["curve"])})


def read(file: BinaryIO, milligrams_per_mm: float) -> GcodeReport:
    """Read a finished file, open for reading. Raises NotOurGcode if its end or its figures are missing,
    OSError.

    Some 10 MB a second: callers with an event loop use `Analyser.read_gcode`, which does it in a child.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _TAIL_BYTES))
    tail = file.read()
    if not tail.rstrip().endswith(_LAST_LINE):
        raise NotOurGcode("the file does not end with the slicer's configuration: it was cut short")
    figures = _figures(tail.decode("utf-8", "replace"))
    curve, layers = _walk(file, size, milligrams_per_mm)
    return GcodeReport(
        seconds=figures["seconds"],
        filament_millimetres=figures["mm"],
        milligrams=round(figures["mm"] * milligrams_per_mm),
        layers=layers,
        bytes=size,
        curve=curve,
    )


def _figures(tail: str) -> dict[str, Any]:
    time = _TIME.search(tail)
    filament = re.search(r"; filament used \[mm\] = ([\d.]+)", tail)
    if time is None or filament is None:
        raise NotOurGcode("the slicer's figures for time and filament are missing")
    return {"seconds": seconds_of(time[1]), "mm": float(filament[1])}


def seconds_of(span: str) -> int:
    """`1d 2h 3m 4s` in seconds. Raises NotOurGcode if nothing of it is a time."""
    parts = _SPAN.findall(span)
    if not parts:
        raise NotOurGcode(f"not a duration: {span[:40]!r}")
    return sum(int(number) * _SECONDS[unit] for number, unit in parts)


def _walk(file: BinaryIO, size: int, milligrams_per_mm: float) -> tuple[Curve, int]:
    """One pass: net filament pushed so far at the end of each extruding line. A retraction is paid back,
    not billed.
    """
    at: list[int] = [0]
    used: list[float] = [0.0]
    share: list[float] = [0.0]
    offset = layers = 0
    net = peak = progress = 0.0
    file.seek(0)
    for line in file:
        offset += len(line)
        if line.startswith(b"G") and (match := _EXTRUSION.match(line)):
            net += float(match[1])
            if net > peak:
                peak = net
                at.append(offset)
                used.append(peak)
                share.append(progress)
        elif line.startswith(b"M73") and (done := _PROGRESS.match(line)):
            progress = max(progress, min(int(done[1]), 100) / 100)
        elif line.startswith(b";LAYER_CHANGE"):
            layers += 1
        if len(at) > 20 * CURVE_POINTS_MAX:
            at, used, share = _thin(at, used, share, 10 * CURVE_POINTS_MAX)
    if at[-1] < size:
        at, used, share = [*at, size], [*used, peak], [*share, max(progress, share[-1])]
    at, used, share = _thin(at, used, share, CURVE_POINTS_MAX)
    curve = Curve(
        bytes=tuple(at),
        millimetres=tuple(round(v, 3) for v in used),
        fractions=tuple(share),
        milligrams_per_mm=milligrams_per_mm,
    )
    return curve, layers


def _thin(
    at: list[int], used: list[float], share: list[float], most: int
) -> tuple[list[int], list[float], list[float]]:
    """Evenly fewer points; the first and the last two (end of printing, end of file) always stay."""
    count = len(at)
    if count <= most:
        return at, used, share
    keep = sorted({round(i * (count - 2) / (most - 2)) for i in range(most - 1)} | {count - 1})
    return [at[i] for i in keep], [used[i] for i in keep], [share[i] for i in keep]
