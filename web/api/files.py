"""Files and quotes: bytes in, a price out."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from aiohttp import web
from pydantic import Field

from orchestrator.domain.errors import Rejected
from orchestrator.domain.process import RANGES, Process, Turn, out_of_range
from orchestrator.flow import advise, report, submit
from web.api import shapes
from web.api.shapes import ProcessBody, ShownAdvice, ShownFile, ShownQuote
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
    process: ProcessBody = ProcessBody()
    quantity: int = 1
    machine_class: str | None = Field(default=None, min_length=1, max_length=64)


async def upload(call: Call) -> ShownFile:
    async with upload_of(call.request) as sent:
        file = await submit.upload(call.lab, member_of(call.request), sent.name, sent.chunks)
    return shapes.file(file, language_of(call.request))


async def file(call: Call, params: ById) -> ShownFile:
    found = await report.file_of(call.lab, member_of(call.request), params.id)
    return shapes.file(found, language_of(call.request))


async def files(call: Call) -> FileList:
    found = await report.files_of(call.lab, member_of(call.request))
    language = language_of(call.request)
    return FileList(items=[shapes.file(one, language) for one in found], next=None)


async def make_quote(call: Call, body: QuoteBody) -> ShownQuote:
    made = await submit.quote(
        call.lab,
        member_of(call.request),
        file_id=body.file_id,
        process=_process(body.process),
        quantity=body.quantity,
        machine_class=body.machine_class,
    )
    return shapes.quote(made)


def _process(body: ProcessBody) -> Process:
    """Raises Rejected with a fault for each number that is out of range."""
    chosen = dict(body)
    faults = out_of_range({name: chosen[name] for name in RANGES})
    if faults:
        raise Rejected("This process is not possible.", code="fields", faults=faults)
    return Process(**chosen)


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
