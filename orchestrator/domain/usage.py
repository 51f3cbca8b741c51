"""What a Run really consumed, where the figure comes from and how good it is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Source(StrEnum):
    MACHINE = "machine"  # the machine counted it
    CURVE = "curve"  # read off the artifact's consumption curve at the position the machine reported
    ARTIFACT = "artifact"  # the slicer's total, for a run seen to finish
    CLOCK = "clock"  # our own monotonic observation
    NONE = "none"


class Quality(StrEnum):
    MEASURED = "measured"
    GAP_FILLED = (
        "gap_filled"  # the link was down for part of the run: min(estimate, measured), flagged for review
    )


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Machine seconds count printing only; a pause is not billed."""

    machine_seconds: int
    filament_milligrams: int
    seconds_source: Source
    filament_source: Source
    quality: Quality = Quality.MEASURED
    beam_seconds: int | None = None  # the laser was on; None: a machine without one
    beam_source: Source = Source.NONE
    cut_millimetres: int = 0
    sheet_mm2: int = 0
    sheet_material: str = ""  # empty: none of the lab's

    def __post_init__(self) -> None:
        counts = (
            self.machine_seconds,
            self.filament_milligrams,
            self.beam_seconds or 0,
            self.cut_millimetres,
            self.sheet_mm2,
        )
        if min(counts) < 0:
            raise ValueError("usage never runs backwards")


NOTHING = Usage(
    machine_seconds=0, filament_milligrams=0, seconds_source=Source.NONE, filament_source=Source.NONE
)
