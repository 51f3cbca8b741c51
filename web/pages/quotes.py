"""From a dropped file to an accepted price: the page of the choices, with the picture, what may go wrong, and the cost.

A price that cannot be made leaves the choices standing beside the reason, so that the next click can mend it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from aiohttp import web

from orchestrator.domain.errors import EtabliError, Rejected, Unavailable
from orchestrator.domain.file import File
from orchestrator.domain.member import Member
from orchestrator.domain.process import Colour, CutProcess, Making, Material, Process, Quality, Turn, placed
from orchestrator.domain.quote import Quote
from orchestrator.flow import advise, report, submit
from orchestrator.flow.lab import Lab
from web.multipart import upload_of
from web.pages import cuts
from web.pages.face import as_id, form_of, id_in, lab_of, me, page, problem, see
from web.pages.jobs import listed


async def upload(request: web.Request) -> web.StreamResponse:
    """Take the file in, price it with the lab's default process, and show that; a refusal shows its rules."""
    lab, who = lab_of(request), me(request)
    try:
        async with upload_of(request) as sent:
            file = await submit.upload(lab, who, sent.name, sent.chunks)
    except Rejected as no:
        return await listed(request, refusal=no, status=problem(request, no).status)
    return see(await _price_first(request, file))


async def _price_first(request: web.Request, file: File) -> str:
    """The page of its first price; where there is none yet, the file's own page says why and what to choose."""
    try:
        quote = await _quote(lab_of(request), me(request), file.id, _usual(file), 1)
    except Rejected:
        return f"/files/{file.id}"
    except Unavailable as no:
        if no.code == "file.analysing":
            return f"/files/{file.id}"
        raise
    return f"/quotes/{quote.id}"


def _usual(file: File) -> Making:
    return submit.usual_process(file.analysis) if file.analysis else Process()


async def file_page(request: web.Request) -> web.StreamResponse:
    """A file with its choices; where the default cannot be made, the reason stands where the price would."""
    lab, who = lab_of(request), me(request)
    file = await report.file_of(lab, who, id_in(request))
    if file.analysis is None:
        refused = submit.refused(file) if file.refusals else None
        return page(request, "file.html", file=file, refusal=problem(request, refused) if refused else None)
    if (
        "HX-Request" in request.headers
    ):  # the part that waited for the analysis: all of the page is another now
        return web.Response(headers={"HX-Redirect": request.path})
    reason: EtabliError | None = None
    if file.owner_id == who.id:
        try:
            return see(f"/quotes/{(await _quote(lab, who, file.id, _usual(file), 1)).id}")
        except Rejected as no:
            reason = no
    # Not an error of this page: it is the place where one chooses otherwise.
    return await _choices(request, file, None, _usual(file), 1, reason, status=200)


async def make_quote(request: web.Request) -> web.StreamResponse:
    """Price a file as the form says. What cannot be priced leaves the former quote standing, with reasons."""
    lab, who, form = lab_of(request), me(request), await form_of(request)
    file_id = as_id(form.get("file_id", ""))
    try:
        process: Making = cuts.process(form) if cuts.is_cut(form) else _process(form)
        quantity = int(form.get("quantity") or 1)
    except ValueError as no:
        raise Rejected("This choice is not possible.", code="quote.form") from no
    try:
        quote = await _quote(lab, who, file_id, process, quantity)
    except Rejected as no:
        file = await report.file_of(lab, who, file_id)
        former = await report.quote_of(lab, who, as_id(form["quote_id"])) if form.get("quote_id") else None
        return await _choices(request, file, former, process, quantity, no)
    return see(f"/quotes/{quote.id}")


def _process(form: Mapping[str, str]) -> Process:
    """Raises ValueError for what no form of ours offers; what is missing is the lab's default."""
    usual = Process()

    def number(name: str) -> int:
        return int(form.get(name) or getattr(usual, name))

    return Process(
        material=Material(form.get("material", usual.material.value)),
        quality=Quality(form.get("quality", usual.quality.value)),
        infill_percent=number("infill_percent"),
        supports=form.get("supports") == "yes",
        perimeters=number("perimeters"),
        brim_mm=number("brim_mm"),
        scale_percent=number("scale_percent"),
        turn=Turn(form.get("turn", usual.turn.value)),
        colour=Colour(form["colour"]) if form.get("colour") else None,
    )


async def _quote(lab: Lab, who: Member, file_id: UUID, process: Making, quantity: int) -> Quote:
    return await submit.quote(
        lab, who, file_id=file_id, process=process, quantity=quantity, machine_class=None
    )


async def quote_page(request: web.Request) -> web.StreamResponse:
    return await _quote_page(request, id_in(request))


async def _quote_page(
    request: web.Request, quote_id: UUID, refusal: EtabliError | None = None
) -> web.StreamResponse:
    lab, who = lab_of(request), me(request)
    quote = await report.quote_of(lab, who, quote_id)
    file = await report.file_of(lab, who, quote.file_id)
    return await _choices(request, file, quote, quote.process, quote.quantity, refusal)


async def _choices(
    request: web.Request,
    file: File,
    quote: Quote | None,
    process: Making,
    quantity: int,
    refusal: EtabliError | None,
    *,
    status: int | None = None,
) -> web.StreamResponse:
    """A price beside the choices that made it, or those just made that cannot be priced."""
    lab, who = lab_of(request), me(request)
    told = problem(request, refusal) if refusal else None
    values: dict[str, Any] = {
        "quote": quote,
        "file": file,
        "account": await report.account(lab, who),
        "process": process,
        "quantity": quantity,
        "quantity_max": lab.limits.quantity_max,
        "problem": told,
    }
    template = "quote.html"
    if isinstance(process, CutProcess) and file.analysis is not None:
        template = "cut.html"
        values |= await cuts.values(lab, who, file.analysis, quote, process)
    elif isinstance(process, Process):
        values["size_mm"] = placed(file.analysis.size_mm, process) if file.analysis else None
        values["colours"] = await _colours(lab, process)
    return page(request, template, status=status or (told.status if told else 200), **values)


async def _colours(lab: Lab, process: Process) -> list[Colour]:
    """Those on offer: what is loaded of the chosen material, and what is chosen already."""
    loaded = (await report.colours_loaded(lab)).get(process.material, ())
    return [one for one in Colour if one in loaded or one is process.colour]


async def advice(request: web.Request) -> web.StreamResponse:
    """A part of the page, fetched after the price: what may go wrong, and how the part would better lie."""
    lab, who = lab_of(request), me(request)
    quote = await report.quote_of(lab, who, id_in(request))
    try:
        found = await advise.advice(lab, who, quote.id)
    except (Rejected, Unavailable):
        found = None  # the price stands without it
    return page(request, "_advice.html", quote=quote, advice=found)


async def accept(request: web.Request) -> web.StreamResponse:
    quote_id = id_in(request)
    try:
        job, _created = await submit.accept(lab_of(request), me(request), quote_id)
    except (Rejected, Unavailable) as no:
        return await _quote_page(request, quote_id, no)
    return see(f"/jobs/{job.id}")
