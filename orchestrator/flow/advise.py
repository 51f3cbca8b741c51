"""What helps a member decide beside the price: the picture of the part, what may go wrong, how it would better lie."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from orchestrator.domain.advice import Advice
from orchestrator.domain.errors import NotFound
from orchestrator.domain.file import File
from orchestrator.domain.member import Member
from orchestrator.domain.process import Turn
from orchestrator.domain.quote import Quote
from orchestrator.flow import report
from orchestrator.flow.lab import Lab
from orchestrator.flow.submit import refused


async def advice(lab: Lab, who: Member, quote_id: UUID) -> Advice:
    """Raises NotFound; Unavailable while it cannot be looked at, which never touches the price."""
    quote, file = await _quoted(lab, who, quote_id)
    return await lab.workshop.advise(lab.files.path(file.sha256), file.name, quote.profile, quote.process)


async def ringed(lab: Lab, who: Member, quote_id: UUID) -> Path:
    """The path of a picture with the places that the advice speaks of. Raises as `advice`."""
    quote, file = await _quoted(lab, who, quote_id)
    return await lab.workshop.ringed(lab.files.path(file.sha256), file.name, quote.profile, quote.process)


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
