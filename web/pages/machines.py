"""The machine board: members look, technicians act. Every button is one function of the flow."""

from __future__ import annotations

from aiohttp import web

from orchestrator.domain.errors import Conflict, EtabliError, NotFound, Rejected
from orchestrator.domain.member import Permission
from orchestrator.domain.process import Colour, Material
from orchestrator.flow import act, release, report
from orchestrator.flow.act import Verdict
from orchestrator.flow.beside import beside
from web.pages import board
from web.pages.face import as_id, form_of, id_in, lab_of, me, page, problem, reader_of, see

GRAMS_MAX = 100_000


async def listing(request: web.Request) -> web.StreamResponse:
    return await _listing(request)


async def _listing(request: web.Request, *, refusal: EtabliError | None = None) -> web.StreamResponse:
    lab, who = lab_of(request), me(request)
    told = problem(request, refusal) if refusal else None
    cleared = request.query.get("cleared")
    views = await report.fleet(lab, who)
    besides = await beside(lab, who, [view.machine for view in views])
    return page(
        request,
        "machines.html",
        status=told.status if told else 200,
        cards=board.cards(views, besides),
        cleared=await report.machine_view(lab, who, as_id(cleared)) if cleared else None,
        here=request.path_qs if request.method == "GET" else "/machines",
        operates=reader_of(request).may(Permission.OPERATE),
        problem=told,
    )


async def action(request: web.Request) -> web.StreamResponse:
    """What a button of a machine's card asks for; what cannot be done is told on the board."""
    lab, who, machine_id, form = lab_of(request), me(request), id_in(request), await form_of(request)
    following = "/machines"
    try:
        match request.match_info["action"]:
            case "clear":
                await act.clear_bed(lab, who, machine_id)
                following = f"/machines?cleared={machine_id}"
            case "occupied":
                await act.occupy_bed(lab, who, machine_id)
            case "hold":
                await act.hold(lab, who, machine_id, form.get("reason", ""))
            case "resume":
                await act.unhold(lab, who, machine_id)
            case "maintenance":
                await act.maintenance(lab, who, machine_id, form.get("on") == "yes")
            case "material":
                await act.load_material(lab, who, machine_id, _material(form), **_mounted(form))
            case "override":
                await release.override(
                    lab, who, machine_id, form.get("condition", ""), form.get("reason", "")
                )
            case _:
                raise NotFound("There is no such action.")
    except Conflict as no:
        return await _listing(request, refusal=no)
    except Rejected as no:
        if no.code != "override.reason":
            raise
        return await _listing(request, refusal=no)
    return see(following)


async def revoke(request: web.Request) -> web.StreamResponse:
    """A tablet speaks for its machine no more."""
    await release.revoke(lab_of(request), me(request), id_in(request))
    return see("/machines")


def _material(form: dict[str, str]) -> Material | None:
    """Raises Rejected for a material that nobody knows; an empty one means that nothing is loaded."""
    text = form.get("material", "")
    try:
        return Material(text) if text else None
    except ValueError:
        raise Rejected("There is no such material.", code="material") from None


def _mounted(form: dict[str, str]) -> dict[str, object]:
    """What is said beside the material. Raises Rejected for what no spool or nozzle is."""
    try:
        mounted: dict[str, object] = {"colour": Colour(form["colour"]) if form.get("colour") else None}
        if form.get("grams"):
            mounted["stock_milligrams"] = _between(0, round(float(form["grams"]) * 1000), GRAMS_MAX * 1000)
        if form.get("nozzle"):
            mounted["nozzle_micrometres"] = _between(50, round(float(form["nozzle"]) * 1000), 5000)
    except (ValueError, OverflowError):
        raise Rejected("There is no such spool or nozzle.", code="material") from None
    return mounted


def _between(least: int, value: int, most: int) -> int:
    if not least <= value <= most:
        raise ValueError(value)
    return value


async def decide(request: web.Request) -> web.StreamResponse:
    """What a technician saw of an unclear run."""
    form = await form_of(request)
    try:
        verdict = Verdict(form.get("verdict", ""))
    except ValueError:
        raise Rejected("There is no such verdict.", code="verdict") from None
    try:
        await act.decide_run(lab_of(request), me(request), id_in(request), verdict)
    except Conflict as no:
        return await _listing(request, refusal=no)
    return see("/machines")
