"""What a sliced file turned out to hold, as plain values that travel as JSON: figures, curve, layers, uses.

Made by `slicing.gcode` in a child; read by everybody else, who need no arrays for it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self


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

    def thinned(self, most: int) -> Self:
        """The same in fewer points: both ends of each step of filament and time, so that a jump stays where it is."""
        if len(self.bytes) <= most:
            return self
        totals = self.millimetres[-1] or 1.0, self.seconds[-1] or 1.0
        steps = [
            int((mm / totals[0] + seconds / totals[1]) / 2 * (most // 2 - 2))
            for mm, seconds in zip(self.millimetres, self.seconds, strict=True)
        ]
        last = len(steps) - 1
        keep = [i for i in range(last + 1) if i in (0, last) or not steps[i - 1] == steps[i] == steps[i + 1]]
        return replace(
            self,
            bytes=tuple(self.bytes[i] for i in keep),
            millimetres=tuple(self.millimetres[i] for i in keep),
            seconds=tuple(self.seconds[i] for i in keep),
        )

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
