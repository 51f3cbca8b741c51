"""Files and quotes: bytes in, a price out."""

from __future__ import annotations

from uuid import UUID

from pydantic import Field

from orchestrator.domain.errors import Fault, Rejected
from orchestrator.domain.process import Process
from orchestrator.flow import report, submit
from web.api import shapes
from web.api.shapes import ProcessBody, ShownFile, ShownQuote
from web.multipart import upload_of
from web.security import language_of, member_of
from web.typed import Call, Given, Lenient, Shown


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
    try:
        return Process(
            material=body.material,
            quality=body.quality,
            infill_percent=body.infill_percent,
            supports=body.supports,
        )
    except ValueError as wrong:
        fault = Fault(
            rule="field.range",
            where="process.infill_percent",
            seen=str(body.infill_percent),
            remedy="A percentage from 0 to 100.",
        )
        raise Rejected(str(wrong), code="fields", faults=(fault,)) from wrong


async def quote(call: Call, params: ById) -> ShownQuote:
    return shapes.quote(await report.quote_of(call.lab, member_of(call.request), params.id))
