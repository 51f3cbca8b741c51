"""What is known of a shape, and how it becomes a machine file."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from orchestrator.domain.advice import Advice
from orchestrator.domain.event import Json
from orchestrator.domain.file import Analysis
from orchestrator.domain.job import Artifact
from orchestrator.domain.process import CutProcess, Making, Process, Turn
from orchestrator.domain.quote import Estimate
from orchestrator.domain.sheet import SheetMaterial


@dataclass(frozen=True, kw_only=True)
class Sliced:
    path: Path  # in the given directory
    artifact: Artifact  # its sha256 and size are those of `path`


SliceProgress = Callable[[int, str], Awaitable[None]]
"""Told how far slicing is, in thousandths that never fall, and what the slicer says it does. What it raises ends it."""


@dataclass(frozen=True, kw_only=True)
class CutPlan:
    svg: (
        bytes  # rebuilt from our own lines: nothing of the member's file is in it but coordinates and colours
    )
    simulation: Json  # `bed_mm`, `seconds`, `operations`, and `moves` as [x, y, seconds, operation or -1]


class Workshop(Protocol):
    """Everything that opens a member's file; all of it in a sandbox. A file that cannot be made raises
    Rejected."""

    async def analyse(self, path: Path, name: str) -> Analysis: ...

    async def estimate(
        self, path: Path, name: str, profile: str, process: Making, quantity: int
    ) -> Estimate: ...

    async def advise(self, path: Path, name: str, profile: str, process: Making) -> Advice:
        """What may go wrong as chosen, and how the part would better lie; slower than a price, a second or so."""

    async def preview(self, path: Path, name: str, turn: Turn) -> Path:
        """A PNG of the part, kept for the next time; the same file and turn are drawn once."""

    async def ringed(self, path: Path, name: str, profile: str, process: Process) -> Path:
        """The same, with rings around the places that may go wrong as chosen."""

    async def layer(self, path: Path, profile: str, number: int) -> bytes:
        """One layer of a sliced file, from 1, as an SVG picture. Raises NotFound where there is no such layer."""

    async def slice(
        self,
        path: Path,
        name: str,
        profile: str,
        process: Making,
        quantity: int,
        into: Path,
        progress: SliceProgress | None = None,
    ) -> Sliced:
        """Raises Rejected with the slicer's own words, Unavailable when the slicer is missing or died."""

    def materials(self, profile: str) -> Sequence[SheetMaterial]:
        """The sheets that a laser or vinyl cutter knows, those that it must never be given among them."""

    async def plan(self, path: Path, name: str, profile: str, process: CutProcess, quantity: int) -> CutPlan:
        """What the page of a drawing shows: a clean picture of its lines, and the cut as it will go."""
