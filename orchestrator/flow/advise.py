"""What helps a member decide beside the price: the picture of the part, what may go wrong, how it would better lie;
and for a drawing, the cut as it will go."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from orchestrator.domain.advice import Advice
from orchestrator.domain.errors import Misconfigured, NotFound
from orchestrator.domain.file import File
from orchestrator.domain.member import Member
from orchestrator.domain.process import CutProcess, Turn
from orchestrator.domain.quote import Quote
from orchestrator.domain.sheet import SheetMaterial
from orchestrator.flow import report
from orchestrator.flow.lab import Lab
from orchestrator.flow.submit import refused
from orchestrator.ports import CutPlan


async def advice(lab: Lab, who: Member, quote_id: UUID) -> Advice:
    """Raises NotFound; Unavailable while it cannot be looked at, which never touches the price."""
    quote, file = await _quoted(lab, who, quote_id)
    return await lab.workshop.advise(lab.files.path(file.sha256), file.name, quote.profile, quote.process)


async def ringed(lab: Lab, who: Member, quote_id: UUID) -> Path:
    """The path of a picture with the places that the advice speaks of. Raises as `advice`."""
    quote, file = await _quoted(lab, who, quote_id)
    path = lab.files.path(file.sha256)
    if isinstance(quote.process, CutProcess):
        return await lab.workshop.preview(path, file.name, Turn.AS_DRAWN)
    return await lab.workshop.ringed(path, file.name, quote.profile, quote.process)


async def cut_plan(lab: Lab, who: Member, quote_id: UUID) -> CutPlan:
    """The cut as quoted. Raises NotFound for the quote of a model, or none; else as `advice`."""
    quote, file = await _quoted(lab, who, quote_id)
    if not isinstance(quote.process, CutProcess):
        raise NotFound("A model is not cut.")
    path = lab.files.path(file.sha256)
    return await lab.workshop.plan(path, file.name, quote.profile, quote.process, quote.quantity)


def sheets(lab: Lab, profile: str) -> Sequence[SheetMaterial]:
    """Raises NotFound for a profile of no cutter."""
    try:
        return lab.workshop.materials(profile)
    except Misconfigured as unknown:
        if unknown.code != "cutter.profile":
            raise
        raise NotFound("There is no such cutter.") from unknown


async def _quoted(lab: Lab, who: Member, quote_id: UUID) -> tuple[Quote, File]:
    quote = await report.quote_of(lab, who, quote_id)
    file = await lab.store.read(lambda unit: unit.file(quote.file_id))
    if file is None:
        raise NotFound("There is no such file.")
    return quote, file


async def preview(lab: Lab, who: Member, file_id: UUID, turn: Turn) -> Path:
    """The picture's path. Raises NotFound, Rejected where the file cannot be made, Unavailable."""
    file = await report.file_of(lab, who, file_id)
    if file.refusals:
        raise refused(file)
    return await lab.workshop.preview(lab.files.path(file.sha256), file.name, turn)
