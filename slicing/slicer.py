"""What we ask of a slicer, whichever it is. Another slicer is another file, and a row in `slicing.slicers`.

It is given a member's file and one of our profiles, and leaves one checked G-code file; it refuses with FileRefused
what the sender can mend, and raises SlicerUnavailable, with the tool's own words, for what he cannot.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from slicing.placement import AS_DRAWN, Placement
from slicing.profile import PrintProfile
from slicing.report import GcodeReport
from slicing.results import MeshAnalysis

Progress = Callable[[int, str], Awaitable[None]]
"""Told how far a slice is, in thousandths that never fall, and the slicer's own words for what it does."""


@dataclass(frozen=True, kw_only=True)
class SliceResult:
    """A checked G-code file and what it says. `remembered`: it came from the cache, nothing was sliced."""

    gcode_path: Path
    report: GcodeReport
    analysis: MeshAnalysis
    quantity: int
    slicer: str
    remembered: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            "gcode_path": str(self.gcode_path),
            "report": self.report.to_json(),
            "analysis": self.analysis.to_json(),
            "quantity": self.quantity,
            "slicer": self.slicer,
            "remembered": self.remembered,
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        return cls(
            gcode_path=Path(raw["gcode_path"]),
            report=GcodeReport.from_json(raw["report"]),
            analysis=MeshAnalysis.from_json(raw["analysis"]),
            quantity=raw["quantity"],
            slicer=raw["slicer"],
            remembered=raw["remembered"],
        )


class Slicer(Protocol):
    async def version(self) -> str:
        """Its own name and version; equal version, model and profile give equal G-code. Raises SlicerUnavailable."""

    async def slice(
        self,
        model_path: Path,
        profile: PrintProfile,
        quantity: int,
        out_dir: Path,
        filename: str = "",
        placement: Placement = AS_DRAWN,
        progress: Progress | None = None,
    ) -> SliceResult:
        """Slice `quantity` copies onto one plate into `out_dir` (created, ours alone), and leave only the G-code there.

        `filename` is the sender's name: a hint about its kind, never opened. Cancelling kills the slicer and leaves
        nothing behind. What `progress` raises ends the slice.
        """
