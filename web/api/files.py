"""Files and quotes: bytes in, a price out."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

from aiohttp import web
from pydantic import Field

from orchestrator.domain.process import Turn
from orchestrator.flow import advise, report, submit
from web.api import shapes
from web.api.fileshapes import ShownFile
from web.api.fileshapes import file as shown_file
from web.api.makings import MakingBody, ProcessBody, ShownSheet, making, sheet
from web.api.shapes import ShownAdvice, ShownQuote
from web.multipart import upload_of
from web.security import language_of, member_of
from web.typed import Call, Given, Lenient, Shown

PREVIEW_CACHE = (
    "private, max-age=31536000, immutable"  # a file and a quote never change, so neither do their pictures
)


class ById(Lenient):
    id: UUID


class FileList(Shown):
    items: list[ShownFile]
    next: str | None


class QuoteBody(Given):
    file_id: UUID = Field(strict=False)
    process: MakingBody = ProcessBody()
    quantity: int = 1
    machine_class: str | None = Field(default=None, min_length=1, max_length=64)


async def upload(call: Call) -> ShownFile:
    async with upload_of(call.request) as sent:
        file = await submit.upload(call.lab, member_of(call.request), sent.name, sent.chunks)
    return shown_file(file, language_of(call.request))


async def file(call: Call, params: ById) -> ShownFile:
    found = await report.file_of(call.lab, member_of(call.request), params.id)
    return shown_file(found, language_of(call.request))


async def files(call: Call) -> FileList:
    found = await report.files_of(call.lab, member_of(call.request))
    language = language_of(call.request)
    return FileList(items=[shown_file(one, language) for one in found], next=None)


async def make_quote(call: Call, body: QuoteBody) -> ShownQuote:
    who = member_of(call.request)
    _file, analysis = await submit.analysed_file(call.lab, who, body.file_id)
    made = await submit.quote(
        call.lab,
        who,
        file_id=body.file_id,
        process=making(body.process, analysis),
        quantity=body.quantity,
        machine_class=body.machine_class,
    )
    return shapes.quote(made)


async def quote(call: Call, params: ById) -> ShownQuote:
    return shapes.quote(await report.quote_of(call.lab, member_of(call.request), params.id))


async def advice(call: Call, params: ById) -> ShownAdvice:
    """Looked at when asked for, so that the price never waits for it."""
    found = await advise.advice(call.lab, member_of(call.request), params.id)
    return shapes.advice(found, language_of(call.request))


class PreviewQuery(Lenient):
    turn: Turn = Turn.AS_DRAWN


async def preview(call: Call, params: ById, query: PreviewQuery) -> web.StreamResponse:
    return _png(await advise.preview(call.lab, member_of(call.request), params.id, query.turn))


async def ringed(call: Call, params: ById) -> web.StreamResponse:
    return _png(await advise.ringed(call.lab, member_of(call.request), params.id))


def _png(path: Path) -> web.StreamResponse:
    return web.FileResponse(path, headers={"Content-Type": "image/png", "Cache-Control": PREVIEW_CACHE})


class ShownCutPlan(Shown):
    bed_mm: tuple[float, float]
    seconds: float
    operations: list[dict[str, Any]]
    """`kind`, `key`, `seconds` and `length_mm` of each, in their order."""
    moves: list[list[float]]
    """[x, y, seconds from the start, index of the operation or -1], in mm on the bed, from its front left corner."""


async def cut_plan(call: Call, params: ById) -> ShownCutPlan:
    plan = await advise.cut_plan(call.lab, member_of(call.request), params.id)
    return ShownCutPlan.model_validate(plan.simulation)


async def cut_drawing(call: Call, params: ById) -> web.StreamResponse:
    """Rebuilt from our own lines, and shown as an image only: nothing in it runs or loads."""
    plan = await advise.cut_plan(call.lab, member_of(call.request), params.id)
    return web.Response(body=plan.svg, content_type="image/svg+xml", headers={"Cache-Control": PREVIEW_CACHE})


class SheetList(Shown):
    items: list[ShownSheet]
    next: str | None


class SheetQuery(Lenient):
    profile: str = Field(max_length=64)
    """The profile of a laser or vinyl cutter."""


async def materials(call: Call, query: SheetQuery) -> SheetList:
    language = language_of(call.request)
    return SheetList(
        items=[sheet(one, language) for one in advise.sheets(call.lab, query.profile)], next=None
    )
