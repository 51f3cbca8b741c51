"""Webhooks as their owners keep them: make, change, test, replay, give a new secret. The secret is shown when it
is made and never again."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar
from uuid import UUID, uuid4

from orchestrator.domain.errors import Conflict, Fault, NotFound, Rejected, Unavailable
from orchestrator.domain.event import Event
from orchestrator.domain.member import PERMISSIONS, Member, Permission
from orchestrator.domain.webhook import (
    OLD_SECRET_FOR,
    SECRET_BYTES,
    TEST_TYPE,
    WEBHOOKS_MAX,
    Delivery,
    DeliveryState,
    Webhook,
    body_of,
    is_topic,
    replayed,
    secret_of,
)
from orchestrator.flow.lab import Lab
from orchestrator.flow.moves import actor_of
from orchestrator.ports import Unit

HINT_CHARACTERS = 4
DEAD_AT_ONCE = 1000

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Made:
    """A webhook with the secret that is shown this once."""

    webhook: Webhook
    secret: str


async def listing(lab: Lab, who: Member) -> Sequence[Webhook]:
    """One's own; an administrator sees everybody's."""
    owner_id = None if _sees_all(who) else who.id
    return await lab.store.read(lambda unit: unit.webhooks(owner_id))


async def one(lab: Lab, who: Member, webhook_id: UUID) -> Webhook:
    """Raises NotFound for another's as for none."""
    return await lab.store.read(lambda unit: _own(unit, who, webhook_id))


async def make(lab: Lab, who: Member, url: str, topics: Sequence[str]) -> Made:
    """It is told what happens from now on."""
    await _check(lab, url, topics)
    secret = secret_of(secrets.token_bytes(SECRET_BYTES))
    sealed, now = lab.seal.seal(secret), lab.clock.now()

    async def work(unit: Unit) -> Webhook:
        if len(await unit.webhooks(who.id)) >= WEBHOOKS_MAX:
            raise Conflict(
                f"There may be {WEBHOOKS_MAX} webhooks; delete one first.", code="webhook.too_many"
            )
        webhook = Webhook(
            id=uuid4(),
            owner_id=who.id,
            url=url,
            topics=_plain(topics),
            secret=sealed,
            hint=secret.rstrip("=")[-HINT_CHARACTERS:],
            created_at=now,
            cursor=await unit.head(),
        )
        await unit.add_webhook(webhook, _event(lab, "webhook.made", who, webhook))
        return webhook

    return Made(webhook=await lab.store.write(work), secret=secret)


async def change(
    lab: Lab, who: Member, webhook_id: UUID, *, url: str, topics: Sequence[str], active: bool
) -> Webhook:
    """Switched on again it goes on where it was: what happened meanwhile is told then."""
    await one(lab, who, webhook_id)
    await _check(lab, url, topics)

    async def work(unit: Unit, webhook: Webhook) -> Webhook:
        after = replace(
            webhook,
            url=url,
            topics=_plain(topics),
            active=active,
            failing_since=None if active and not webhook.active else webhook.failing_since,
            note="" if active else webhook.note,
        )
        return await unit.change_webhook(webhook, after, _event(lab, "webhook.changed", who, webhook))

    return await _with(lab, who, webhook_id, work)


async def switch(lab: Lab, who: Member, webhook_id: UUID, on: bool) -> Webhook:
    webhook = await one(lab, who, webhook_id)
    return await change(lab, who, webhook_id, url=webhook.url, topics=webhook.topics, active=on)


async def drop(lab: Lab, who: Member, webhook_id: UUID) -> None:
    """With all that was not yet sent."""

    async def work(unit: Unit, webhook: Webhook) -> None:
        await unit.drop_webhook(webhook.id, _event(lab, "webhook.deleted", who, webhook))

    await _with(lab, who, webhook_id, work)


async def rotate(lab: Lab, who: Member, webhook_id: UUID) -> Made:
    """A new secret; the one before signs too for a day, so that a receiver can change over in peace."""
    secret = secret_of(secrets.token_bytes(SECRET_BYTES))
    sealed = lab.seal.seal(secret)

    async def work(unit: Unit, webhook: Webhook) -> Webhook:
        after = replace(
            webhook,
            secret=sealed,
            hint=secret.rstrip("=")[-HINT_CHARACTERS:],
            old_secret=webhook.secret,
            old_until=lab.clock.now() + OLD_SECRET_FOR,
        )
        return await unit.change_webhook(webhook, after, _event(lab, "webhook.rotated", who, webhook))

    return Made(webhook=await _with(lab, who, webhook_id, work), secret=secret)


async def test(lab: Lab, who: Member, webhook_id: UUID) -> Delivery:
    """A message that says nothing, sent like all others, whatever the webhook asked for."""

    async def work(unit: Unit, webhook: Webhook) -> Delivery:
        if not webhook.active:
            raise Conflict("The webhook is switched off; switch it on first.", code="webhook.off")
        now = lab.clock.now()
        delivery = Delivery(
            id=f"msg_{webhook.id.hex}_test_{uuid4().hex}",
            webhook_id=webhook.id,
            seq=await unit.head(),
            topic=TEST_TYPE,
            body=body_of(TEST_TYPE, now, {"webhook_id": str(webhook.id)}),
            created_at=now,
            due_at=now,
        )
        await unit.add_delivery(delivery)
        await unit.emit(_event(lab, "webhook.tested", who, webhook))  # wakes who sends
        return delivery

    return await _with(lab, who, webhook_id, work)


async def deliveries(
    lab: Lab,
    who: Member,
    webhook_id: UUID,
    *,
    state: DeliveryState | None = None,
    before: tuple[int, str] | None = None,
    limit: int = 50,
) -> Sequence[Delivery]:
    """The newest first."""

    async def work(unit: Unit) -> Sequence[Delivery]:
        await _own(unit, who, webhook_id)
        return await unit.deliveries(webhook_id, state=state, before=before, limit=limit)

    return await lab.store.read(work)


async def replay(lab: Lab, who: Member, webhook_id: UUID, delivery_id: str) -> Delivery:
    """The same message again, at once: the same id, the same bytes."""

    async def work(unit: Unit, webhook: Webhook) -> Delivery:
        delivery = await unit.delivery(delivery_id)
        if delivery is None or delivery.webhook_id != webhook.id:
            raise NotFound("There is no such delivery.")
        again = replayed(delivery, lab.clock.now())
        if not await unit.settle_delivery(delivery, again):
            raise Conflict("It is being sent right now.", code="changed")
        await unit.emit(_event(lab, "webhook.replayed", who, webhook))
        return again

    return await _with(lab, who, webhook_id, work)


async def replay_dead(lab: Lab, who: Member, webhook_id: UUID) -> int:
    """All that was given up, the oldest first, up to a thousand at a time; returns how many."""

    async def work(unit: Unit, webhook: Webhook) -> int:
        dead = await unit.deliveries(webhook.id, state=DeliveryState.DEAD, limit=DEAD_AT_ONCE)
        at = lab.clock.now()
        count = sum([await unit.settle_delivery(delivery, replayed(delivery, at)) for delivery in dead])
        if count:
            await unit.emit(_event(lab, "webhook.replayed", who, webhook))
        return count

    return await _with(lab, who, webhook_id, work)


# --- what they share ------------------------------------------------------------------------------------------------


def _sees_all(who: Member) -> bool:
    return Permission.ADMIN in PERMISSIONS[who.role]


async def _own(unit: Unit, who: Member, webhook_id: UUID) -> Webhook:
    webhook = await unit.webhook(webhook_id)
    if webhook is None or (webhook.owner_id != who.id and not _sees_all(who)):
        raise NotFound("There is no such webhook.")
    return webhook


async def _with(lab: Lab, who: Member, webhook_id: UUID, work: Callable[[Unit, Webhook], Awaitable[T]]) -> T:
    async def own(unit: Unit) -> T:
        return await work(unit, await _own(unit, who, webhook_id))

    return await lab.store.write(own)


def _plain(topics: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(set(topics)))


async def _check(lab: Lab, url: str, topics: Sequence[str]) -> None:
    """All that is wrong at once. Raises Rejected: `webhook.address`, or `webhook.topics`."""
    faults = [_topic_fault(topic) for topic in topics if not is_topic(topic)]
    code = "webhook.topics"
    try:
        await lab.outbound.check(url)
    except Unavailable as unknown:
        faults.append(_address_fault(url, unknown.detail))
        code = "webhook.address"
    except Rejected as no:
        faults += [_address_fault(fault.seen, fault.remedy) for fault in no.faults]
        code = "webhook.address"
    if faults:
        raise Rejected("This webhook cannot be kept as it is.", code=code, faults=tuple(faults))


def _topic_fault(topic: str) -> Fault:
    return Fault(
        rule="webhook.topics",
        where="topics",
        seen=topic,
        remedy="Ask for published types, as job.finished, or a family of them, as job.*; none means all.",
        texts={
            "en": "No event of this name is published.",
            "fr": "Aucun évènement de ce nom n’est publié.",
            "remedy_fr": "Choisissez parmi les types publiés, p. ex. job.finished, ou une famille, p. ex. job.* ; "
            "aucun veut dire tous.",
        },
    )


def _address_fault(seen: str, remedy: str) -> Fault:
    return Fault(
        rule="webhook.address",
        where="url",
        seen=seen,
        remedy=remedy,
        texts={
            "en": "Messages cannot be sent to this address.",
            "fr": "Aucun message ne peut être envoyé à cette adresse.",
            "remedy_fr": "Donnez une adresse https:// publique, sans identifiants ; pour un réseau privé, "
            "l’exploitant doit l’autoriser (outbound_networks).",
        },
    )


def _event(lab: Lab, topic: str, who: Member, webhook: Webhook) -> Event:
    return Event(
        topic=topic,
        at=lab.clock.now(),
        actor=actor_of(who),
        data={"webhook_id": str(webhook.id)},
        member_id=webhook.owner_id,
    )
