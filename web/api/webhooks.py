"""Webhooks: an owner's addresses that are told what happens, and what became of each message."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import Field

from orchestrator.domain.errors import Fault, Rejected
from orchestrator.domain.member import Permission
from orchestrator.domain.webhook import Delivery, DeliveryState, Webhook
from orchestrator.flow import subscribe
from web.api.files import ById
from web.api.moments import moment
from web.security import member_of
from web.typed import Call, Given, Lenient, Route, Shown

V1 = "/api/v1"
PAGE = 50

Topic = Annotated[str, Field(max_length=64)]
Topics = Annotated[list[Topic], Field(max_length=50)]


class WebhookBody(Given):
    url: str = Field(min_length=1, max_length=2000)
    """Where messages are sent: https://, or http:// within networks that the operator allows."""
    topics: Topics = Field(default_factory=list)
    """Published types, as `job.finished`, or families, as `job.*`; empty: all."""


class WebhookChange(WebhookBody):
    active: bool = True
    """Switched on again, it is first told what happened meanwhile."""


class DeliveryQuery(Lenient):
    state: DeliveryState | None = None
    cursor: str | None = Field(default=None, max_length=200)
    limit: int = Field(default=PAGE, ge=1, le=200)


class DeliveryParams(ById):
    delivery_id: str = Field(max_length=80)


class ShownWebhook(Shown):
    id: UUID
    owner_id: UUID
    url: str
    topics: list[str]
    active: bool
    secret_hint: str
    """The last four signs of the secret."""
    old_secret_until: str | None
    """Until then the secret before signs too."""
    failing_since: str | None
    note: str
    """Why it is off where nobody switched it off: `gone`, `failing`, `owner`."""
    created_at: str


class ShownMade(ShownWebhook):
    secret: str
    """Shown this once: keep it."""


class WebhookList(Shown):
    items: list[ShownWebhook]
    next: str | None


class ShownDelivery(Shown):
    id: str
    """The `webhook-id` of the message, the same in every try."""
    type: str
    seq: int
    job_id: UUID | None
    state: DeliveryState
    tries: int
    status: int | None
    """Of the last answer; null: there was none."""
    words: str
    """Why the last try failed."""
    due_at: str
    created_at: str
    ended_at: str | None
    body: str


class DeliveryList(Shown):
    items: list[ShownDelivery]
    next: str | None


class ShownReplay(Shown):
    replayed: int


def _shown(value: Webhook) -> ShownWebhook:
    return ShownWebhook(
        id=value.id,
        owner_id=value.owner_id,
        url=value.url,
        topics=list(value.topics),
        active=value.active,
        secret_hint=value.hint,
        old_secret_until=moment(value.old_until) if value.old_until else None,
        failing_since=moment(value.failing_since) if value.failing_since else None,
        note=value.note,
        created_at=moment(value.created_at),
    )


def _made(value: subscribe.Made) -> ShownMade:
    return ShownMade(**_shown(value.webhook).model_dump(), secret=value.secret)


def _delivery(value: Delivery) -> ShownDelivery:
    return ShownDelivery(
        id=value.id,
        type=value.topic,
        seq=value.seq,
        job_id=value.job_id,
        state=value.state,
        tries=value.tries,
        status=value.status,
        words=value.words,
        due_at=moment(value.due_at),
        created_at=moment(value.created_at),
        ended_at=moment(value.ended_at) if value.ended_at else None,
        body=value.body,
    )


async def listing(call: Call) -> WebhookList:
    found = await subscribe.listing(call.lab, member_of(call.request))
    return WebhookList(items=[_shown(one) for one in found], next=None)


async def make(call: Call, body: WebhookBody) -> ShownMade:
    return _made(await subscribe.make(call.lab, member_of(call.request), body.url, body.topics))


async def one(call: Call, params: ById) -> ShownWebhook:
    return _shown(await subscribe.one(call.lab, member_of(call.request), params.id))


async def change(call: Call, params: ById, body: WebhookChange) -> ShownWebhook:
    who = member_of(call.request)
    return _shown(
        await subscribe.change(call.lab, who, params.id, url=body.url, topics=body.topics, active=body.active)
    )


async def drop(call: Call, params: ById) -> None:
    await subscribe.drop(call.lab, member_of(call.request), params.id)


async def rotate(call: Call, params: ById) -> ShownMade:
    return _made(await subscribe.rotate(call.lab, member_of(call.request), params.id))


async def test(call: Call, params: ById) -> ShownDelivery:
    return _delivery(await subscribe.test(call.lab, member_of(call.request), params.id))


async def deliveries(call: Call, params: ById, query: DeliveryQuery) -> DeliveryList:
    found = await subscribe.deliveries(
        call.lab,
        member_of(call.request),
        params.id,
        state=query.state,
        before=_place(query.cursor),
        limit=query.limit,
    )
    more = len(found) == query.limit
    return DeliveryList(
        items=[_delivery(one) for one in found], next=f"{found[-1].seq}.{found[-1].id}" if more else None
    )


def _place(cursor: str | None) -> tuple[int, str] | None:
    if cursor is None:
        return None
    seq, _, delivery_id = cursor.partition(".")
    if not (seq.isascii() and seq.isdigit() and len(seq) <= 18 and delivery_id.isprintable()):
        remedy = "Use the cursor of the last answer."
        fault = Fault(rule="cursor", where="cursor", seen=cursor[:80], remedy=remedy)
        raise Rejected("The cursor is none of ours.", code="fields", faults=(fault,))
    return int(seq), delivery_id


async def replay(call: Call, params: DeliveryParams) -> ShownDelivery:
    who = member_of(call.request)
    return _delivery(await subscribe.replay(call.lab, who, params.id, params.delivery_id))


async def replay_dead(call: Call, params: ById) -> ShownReplay:
    return ShownReplay(replayed=await subscribe.replay_dead(call.lab, member_of(call.request), params.id))


def _row(
    method: str, path: str, handler: object, summary: str, status: int = 200, *, secret: bool = False
) -> Route:
    return Route(
        method=method,
        path=f"{V1}/webhooks{path}",
        handler=handler,  # type: ignore[arg-type]  # its annotations are read at start-up
        permission=Permission.HOOKS,
        summary=summary,
        status=status,
        secret=secret,
    )


ROUTES: tuple[Route, ...] = (
    _row("GET", "", listing, "My webhooks; everybody's for an administrator"),
    _row(
        "POST",
        "",
        make,
        "Tell an address what happens from now on; the secret is shown this once",
        201,
        secret=True,
    ),
    _row("GET", "/{id}", one, "A webhook"),
    _row("PUT", "/{id}", change, "Change a webhook, switch it off or on"),
    _row("DELETE", "/{id}", drop, "Delete a webhook, with what was not yet sent", 204),
    _row("POST", "/{id}/rotate", rotate, "A new secret; the one before signs too for 24 hours", secret=True),
    _row("POST", "/{id}/test", test, "Send a `webhook.test` message"),
    _row("GET", "/{id}/deliveries", deliveries, "Its messages, the newest first"),
    _row("POST", "/{id}/deliveries/{delivery_id}/replay", replay, "Send the same message again"),
    _row("POST", "/{id}/replay-dead", replay_dead, "Send again all that was given up"),
)
