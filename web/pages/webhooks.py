"""Webhooks for those who connect other programs: make one, see what became of each message, send it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiohttp import web

from orchestrator.domain.errors import NotFound, Rejected
from orchestrator.domain.webhook import FAMILIES, Delivery, DeliveryState, Webhook
from orchestrator.flow import subscribe
from web.pages.face import form_of, id_in, lab_of, me, page, problem, see
from web.pages.i18n import N_
from web.pages.labels import Label, Tone

SHOWN = 8
FAMILY_WORDS: Mapping[str, str] = {
    "job.*": N_("Jobs"),
    "run.*": N_("Unclear runs"),
    "usage.*": N_("Usage"),
    "charge.*": N_("Charges"),
    "hold.*": N_("Amounts set aside"),
    "machine.*": N_("Machines"),
    "material.*": N_("Materials"),
    "reservation.*": N_("Reservations"),
    "booking.*": N_("Reservations that cross jobs"),
    "entitlement.*": N_("Trainings"),
    "invoice.*": N_("Invoices"),
    "credit_note.*": N_("Credit notes"),
    "report.*": N_("Reports"),
    "webhook.*": N_("Webhooks"),
}
NOTES: Mapping[str, str] = {
    "gone": N_("The receiver said that it is gone for good (410)."),
    "failing": N_("Nothing has reached it for five days."),
    "owner": N_("Whoever made it is no longer here."),
}
STATES: Mapping[DeliveryState, Label] = {
    DeliveryState.PENDING: Label(text=N_("Waiting"), tone=Tone.WORK),
    DeliveryState.DELIVERED: Label(text=N_("Delivered"), tone=Tone.GOOD),
    DeliveryState.DEAD: Label(text=N_("Given up"), tone=Tone.BAD),
}


@dataclass(frozen=True, kw_only=True)
class Card:
    webhook: Webhook
    deliveries: Sequence[Delivery]

    @property
    def label(self) -> Label:
        if not self.webhook.active:
            return Label(text=N_("Off"), tone=Tone.CALM)
        if self.webhook.failing_since is not None:
            return Label(text=N_("Does not get through"), tone=Tone.BAD)
        return Label(text=N_("On"), tone=Tone.GOOD)

    @property
    def has_dead(self) -> bool:
        return any(one.state is DeliveryState.DEAD for one in self.deliveries)


async def listing(request: web.Request) -> web.StreamResponse:
    return await _listing(request)


async def _listing(
    request: web.Request,
    *,
    made: subscribe.Made | None = None,
    refusal: Rejected | None = None,
    url: str = "",
) -> web.StreamResponse:
    lab, who = lab_of(request), me(request)
    told = problem(request, refusal) if refusal else None
    found = await subscribe.listing(lab, who)
    return page(
        request,
        "webhooks.html",
        status=told.status if told else 200,
        cards=[
            Card(webhook=one, deliveries=await subscribe.deliveries(lab, who, one.id, limit=SHOWN))
            for one in found
        ],
        made=made,
        problem=told,
        url=url,
        families={name: words for name, words in FAMILY_WORDS.items() if name in FAMILIES},
        notes=NOTES,
        states=STATES,
    )


async def make(request: web.Request) -> web.StreamResponse:
    """The page with the secret: it is not shown again."""
    form = await request.post()
    url = str(form.get("url", "")).strip()
    topics = [str(topic) for topic in form.getall("topics", [])]
    try:
        made = await subscribe.make(lab_of(request), me(request), url, topics)
    except Rejected as no:
        return await _listing(request, refusal=no, url=url)
    return await _listing(request, made=made)


async def action(request: web.Request) -> web.StreamResponse:
    """What a button of a webhook's card asks for."""
    lab, who, webhook_id, form = lab_of(request), me(request), id_in(request), await form_of(request)
    try:
        match request.match_info["action"]:
            case "on" | "off" as way:
                await subscribe.switch(lab, who, webhook_id, way == "on")
            case "test":
                await subscribe.test(lab, who, webhook_id)
            case "replay":
                await subscribe.replay(lab, who, webhook_id, form.get("delivery_id", ""))
            case "replay-dead":
                await subscribe.replay_dead(lab, who, webhook_id)
            case "delete":
                await subscribe.drop(lab, who, webhook_id)
            case "rotate":
                return await _listing(request, made=await subscribe.rotate(lab, who, webhook_id))
            case _:
                raise NotFound("There is no such action.")
    except NotFound:
        raise
    except Rejected as no:
        return await _listing(request, refusal=no)
    return see("/webhooks")
