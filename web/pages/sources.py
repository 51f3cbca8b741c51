"""Booking systems, for the manager: what each told last, and why not; add, try, ask now, switch off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web

from orchestrator.domain.errors import Conflict, EtabliError, NotFound, Rejected
from orchestrator.domain.source import Found, Source, SourceKind
from orchestrator.flow import connect
from orchestrator.flow.connect import Draft, Tried
from orchestrator.flow.lab import Lab
from web.api.sources import shown
from web.pages.face import form_of, id_in, lab_of, me, page, problem, see
from web.pages.i18n import N_
from web.pages.labels import Label, Tone

KINDS: Mapping[SourceKind, str] = {
    SourceKind.ICAL: N_("Calendar (iCal)"),
    SourceKind.FABMANAGER: "fab-manager",
    SourceKind.FABMAN: "Fabman",
}
TROUBLE: Mapping[str, str] = {
    "ical.too_large": N_("The calendar is larger than 2 MiB."),
    "ical.too_many": N_("The calendar has more than 1000 occurrences in the next 92 days."),
    "ical.too_costly": N_("The calendar takes too long to read."),
    "ical.slow": N_("The calendar takes too long to read."),
    "ical.not_a_calendar": N_("There is no calendar at that address."),
    "ical.cut_off": N_("The calendar ends before its end."),
    "ical.broken": N_("The calendar cannot be read."),
    "source.token": N_("It refuses our token."),
    "source.address": N_("There is nothing at that address."),
    "source.busy": N_("It asks for patience."),
    "source.fails": N_("It has trouble of its own."),
    "source.slow": N_("It takes too long to answer."),
    "source.refused": N_("It does not take our question."),
    "source.conflict": N_("Somebody changed it over there at the same moment."),
    "source.too_large": N_("Its answer is too large."),
    "source.json": N_("Its answer is not what was documented."),
    "source.form": N_("Its answer is not what was documented."),
    "source.endless": N_("Its list has no end."),
    "source.elsewhere": N_("Its list goes on at another address, where our token does not go."),
    "source.internal": N_("Something went wrong on our side; it is noted."),
    "outbound.address": N_("That address may not be reached from here."),
    "outbound.unreachable": N_("Nobody answers at that address."),
    "outbound.slow": N_("It takes too long to answer."),
}


@dataclass(frozen=True, kw_only=True)
class Card:
    source: Source
    state: Label
    found: Found | None
    notify_url: str | None
    mapping: str  # as the form takes it


@dataclass(frozen=True, kw_only=True)
class Form:
    """What stands in the form for a new one."""

    kind: str = SourceKind.ICAL.value
    system: str = ""
    url: str = ""
    machines: str = ""
    minutes: str = "5"
    charges: bool = False


async def listing(request: web.Request) -> web.StreamResponse:
    return await _listing(request)


async def add(request: web.Request) -> web.StreamResponse:
    """Both buttons of the form: try it, or add it."""
    lab, who, form = lab_of(request), me(request), await form_of(request)
    given = Form(
        kind=form.get("kind", ""),
        system=form.get("system", "").strip(),
        url=form.get("url", "").strip(),
        machines=form.get("machines", ""),
        minutes=form.get("minutes", ""),
        charges=form.get("charges") == "yes",
    )
    try:
        draft = _draft(lab.site, given, form.get("secret", ""))
        if form.get("act") == "test":
            return await _listing(request, form=given, tried=await connect.attempt(lab, who, draft))
        await connect.add(lab, who, draft)
    except (Rejected, Conflict) as no:
        return await _listing(request, form=given, refusal=no)
    return see("/sources")


async def change(request: web.Request) -> web.StreamResponse:
    """The form of one that is there; an empty token leaves the one it has."""
    lab, who, source_id, form = lab_of(request), me(request), id_in(request), await form_of(request)
    before = await connect.show(lab, who, source_id)
    given = Form(
        kind=before.kind.value,
        system=before.system,
        url=form.get("url", "").strip(),
        machines=form.get("machines", ""),
        minutes=form.get("minutes", ""),
        charges=form.get("charges") == "yes",
    )
    try:
        await connect.change(lab, who, source_id, _draft(before.site, given, form.get("secret", ""), before))
    except (Rejected, Conflict) as no:
        return await _listing(request, refusal=no)
    return see("/sources")


async def action(request: web.Request) -> web.StreamResponse:
    lab, who, source_id = lab_of(request), me(request), id_in(request)
    match request.match_info["action"]:
        case "poll":
            await connect.poll_now(lab, who, source_id)
        case "on" | "off" as to:
            await connect.switch(lab, who, source_id, to == "on")
        case "remove":
            await connect.remove(lab, who, source_id)
        case _:
            raise NotFound("There is no such action.")
    return see("/sources")


async def _listing(
    request: web.Request,
    *,
    form: Form | None = None,
    tried: Tried | None = None,
    refusal: EtabliError | None = None,
) -> web.StreamResponse:
    lab = lab_of(request)
    told = problem(request, refusal) if refusal else None
    return page(
        request,
        "sources.html",
        status=told.status if told else 200,
        cards=[_card(lab, one) for one in await connect.listing(lab, me(request))],
        kinds=KINDS,
        trouble=TROUBLE,
        form=form or Form(),
        editing=form is not None,
        tried=tried,
        problem=told,
    )


def _card(lab: Lab, one: Source) -> Card:
    found = Found.of(one.note)
    return Card(
        source=one,
        state=state_of(one, found),
        found=found,
        notify_url=shown(lab, one).notify_url,
        mapping=mapping_text(one.machines),
    )


def state_of(one: Source, found: Found | None) -> Label:
    if not one.active:
        return Label(text=N_("Switched off"))
    if found is None:
        return Label(text=N_("Not asked yet"), tone=Tone.WORK)
    if one.failures:
        return Label(text=N_("Does not answer as it should"), tone=Tone.BAD)
    if found.conflicts or found.skipped:
        return Label(text=N_("Connected, with something to look at"), tone=Tone.YOU)
    return Label(text=N_("Connected"), tone=Tone.GOOD)


def mapping_text(machines: Mapping[str, str]) -> str:
    return "\n".join(f"{theirs} = {ours}" for theirs, ours in machines.items())


def mapping_of(text: str) -> dict[str, str]:
    """`theirs = ours`, one a line. Raises Rejected for a line that is none."""
    found: dict[str, str] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        theirs, sign, ours = line.partition("=")
        if not sign:
            raise Rejected("One machine a line: 12 = Prusa", code="source.lines")
        found[theirs.strip()] = ours.strip()
    return found


def _draft(site: str, form: Form, secret: str, before: Source | None = None) -> Draft:
    try:
        kind, seconds = SourceKind(form.kind), round(float(form.minutes.replace(",", ".")) * 60)
    except (ValueError, OverflowError) as no:
        raise Rejected("This choice is not possible.", code="source.choice") from no
    return Draft(
        kind=kind,
        system=form.system,
        url=form.url,
        site=site,
        machines=mapping_of(form.machines),
        secret=secret or None,
        interval_seconds=seconds,
        active=before.active if before else True,
        charges=form.charges,
    )
