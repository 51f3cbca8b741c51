"""`etabli estimate`: the member's price question from a terminal, on many files, without a lab, a database or a slicer.

Owns how a file's estimate reads as a line or as JSON. Refuses to know prices.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slicing.analyser import Analyser
from slicing.faults import FileRefused
from slicing.placement import AS_DRAWN, Placement
from slicing.plate import check_fit
from slicing.profile import PrintProfile
from slicing.results import Study
from slicing.sandbox import Sandbox

ENDINGS = (".stl", ".3mf", ".obj")


@dataclass(frozen=True, kw_only=True)
class Estimated:
    """One file's answer: a study, or why not; exactly one of them."""

    path: Path
    study: Study | None = None
    refused: FileRefused | None = None

    def to_json(self) -> dict[str, Any]:
        said: dict[str, Any] = {"file": str(self.path)}
        if self.study is not None:
            said |= {"analysis": self.study.analysis.to_json(), "estimate": self.study.estimate.to_json()}
        if self.refused is not None:
            no = self.refused
            said["refused"] = {"rule": no.code, "text": no.message_en, "seen": no.seen, "remedy": no.remedy}
        return said

    def lines(self, language: str) -> list[str]:
        """What the terminal shows: one line, and one more for each warning."""
        french = language == "fr"
        if self.refused is not None:
            no = self.refused
            text, remedy = (no.message_fr, no.remedy_fr) if french else (no.message_en, no.remedy)
            return [
                f"{self.path.name}: {'refusé' if french else 'refused'} ({no.code})",
                f"    {text} {remedy}",
            ]
        assert self.study is not None
        analysis, e = self.study.analysis, self.study.estimate
        size = " x ".join(f"{mm:.1f}" for mm in analysis.size_mm)
        figures = (
            f"{span(e.seconds_p50)} (<= {span(e.seconds_p90)})  "
            f"{e.milligrams_p50 / 1000:.1f} g (<= {e.milligrams_p90 / 1000:.1f} g)"
        )
        told = [f"{self.path.name}: {figures}  {size} mm  {e.confidence}"]
        return told + [f"    {w.text_fr if french else w.text_en}" for w in analysis.warnings]


def span(seconds: int) -> str:
    """`1 h 05 min`, rounded up to the minute."""
    hours, minutes = divmod(-(-seconds // 60), 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"


def found(paths: Sequence[Path]) -> list[Path]:
    """Files as they are named; folders as the models in them, by name. Raises FileNotFoundError."""
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            files += sorted(p for p in path.rglob("*") if p.suffix.lower() in ENDINGS and p.is_file())
        elif path.is_file():
            files.append(path)
        else:
            raise FileNotFoundError(path)
    return files


async def estimates(
    files: Sequence[Path],
    profile: PrintProfile,
    *,
    quantity: int = 1,
    placement: Placement = AS_DRAWN,
    at_once: int = 2,
) -> AsyncIterator[Estimated]:
    """Each file's answer, in the order of `files`, `at_once` at a time. Raises SlicerUnavailable."""
    analyser = Analyser(Sandbox(concurrency=at_once))
    await analyser.start()
    try:
        async with asyncio.TaskGroup() as group:
            waiting = [
                group.create_task(_one(analyser, path, profile, quantity, placement)) for path in files
            ]
            for task in waiting:
                yield await task
    finally:
        await analyser.close()


async def _one(
    analyser: Analyser, path: Path, profile: PrintProfile, quantity: int, placement: Placement
) -> Estimated:
    try:
        study = await analyser.study(path, path.name, profile, quantity, placement)
        check_fit(study.analysis.size_mm, profile, quantity)
    except FileRefused as no:
        return Estimated(path=path, refused=no)
    return Estimated(path=path, study=study)
