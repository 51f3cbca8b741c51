"""From the event log to somebody else's server: messages made once, sent at least once, in order per job.

Making them is one transaction: the events past a webhook's cursor, a delivery for each that is published, the cursor.
Sending is durable work, one work at a time for a webhook (its lane), so that a receiver that hangs delays nobody but
itself. The delivery's row is the truth; the work only says when.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from orchestrator.domain.errors import Conflict, Rejected, Unavailable
from orchestrator.domain.event import SYSTEM, Event, Json
from orchestrator.domain.machine import Machine
from orchestrator.domain.member import PERMISSIONS, Member, Permission
from orchestrator.domain.webhook import (
    GIVEN_UP_AFTER,
    Delivery,
    Tried,
    Webhook,
    after_try,
    answered,
    body_of,
    data_of,
    message_id,
    signed,
    types_of,
)
from orchestrator.flow.lab import Lab, Workbench
from orchestrator.ports import Step, Unit, WorkKind

log = logging.getLogger(__name__)

DELIVER = "deliver"
EVENTS_AT_ONCE = 200
LOOK_SECONDS = 1.0  # so often it is asked what has fallen due, while something is pending
IDLE_SECONDS = 30.0
PACE_SECONDS = 0.2  # what happens at once is dealt with at once
PURGE_SECONDS = 6 * 3600
KEPT_FOR = timedelta(days=30)
ANSWER_BYTES = 64 << 10
ANSWER_SECONDS = 10.0
DRAIN_SECONDS = 20.0  # how long one work goes on with what is due behind its own message
SEES_ALL = frozenset({Permission.ALL_JOBS, Permission.FEEDS})


# --- making ---------------------------------------------------------------------------------------------------------


async def fan_out(lab: Workbench, webhook_id: UUID) -> int:
    """Make the messages of the next events; returns how far the cursor moved. Doing it twice is doing it once."""

    async def work(unit: Unit) -> int:
        webhook = await unit.webhook(webhook_id)
        if webhook is None or not webhook.active:
            return 0
        owner, now = await unit.member(webhook.owner_id), lab.clock.now()
        if owner is None or not owner.current(now):
            await switch_off(unit, webhook, "owner", now)
            return 0
        head = await unit.head()
        events = await unit.events(webhook.cursor, limit=EVENTS_AT_ONCE, member_id=_sees(owner))
        to = events[-1].seq if len(events) == EVENTS_AT_ONCE else max(head, webhook.cursor)
        if to == webhook.cursor:
            return 0
        known = _Known(unit)
        made = [
            one for event in events if event.seq <= to for one in await _messages(known, webhook, event, now)
        ]
        return to - webhook.cursor if await unit.fan_out(webhook, to, made) else 0

    return await lab.store.write(work)


def _sees(owner: Member) -> UUID | None:
    """Whose events a webhook of this member is told; None: everybody's."""
    return None if PERMISSIONS[owner.role] & SEES_ALL else owner.id


class _Known:
    """What messages say beside their event, read once for many of them."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self._machines: dict[UUID, Machine | None] = {}
        self._outside: dict[UUID, Sequence[tuple[str, str]]] = {}

    async def data(self, event: Event) -> dict[str, Json]:
        machine = await self._machine(event.machine_id) if event.machine_id else None
        outside = await self._names(event.member_id) if event.member_id else ()
        return data_of(event, machine_data(machine) if machine else None, outside)

    async def _machine(self, machine_id: UUID) -> Machine | None:
        if machine_id not in self._machines:
            self._machines[machine_id] = await self._unit.machine(machine_id)
        return self._machines[machine_id]

    async def _names(self, member_id: UUID) -> Sequence[tuple[str, str]]:
        if member_id not in self._outside:
            self._outside[member_id] = await self._unit.externals("member", member_id)
        return self._outside[member_id]


async def _messages(known: _Known, webhook: Webhook, event: Event, now: datetime) -> list[Delivery]:
    named = [(place, type_) for place, type_ in enumerate(types_of(event)) if webhook.wants(type_)]
    if not named:
        return []
    data = await known.data(event)
    return [
        Delivery(
            id=message_id(webhook.id, event.seq, place),
            webhook_id=webhook.id,
            seq=event.seq,
            topic=type_,
            body=body_of(type_, event.at, data),
            created_at=now,
            due_at=now,
            job_id=event.job_id,
        )
        for place, type_ in named
    ]


def machine_data(machine: Machine) -> dict[str, Json]:
    return {
        "id": str(machine.id),
        "name": machine.name,
        "site": machine.site,
        "class": machine.machine_class,
    }


async def switch_off(unit: Unit, webhook: Webhook, why: str, at: datetime) -> None:
    """By Établi itself; whoever looks is told why."""
    told = Event(
        topic="webhook.disabled",
        at=at,
        actor=SYSTEM,
        data={"webhook_id": str(webhook.id), "reason": why},
        member_id=webhook.owner_id,
    )
    await unit.change_webhook(webhook, replace(webhook, active=False, note=why), told)


# --- sending --------------------------------------------------------------------------------------------------------


def deliver_work(lab: Workbench) -> WorkKind:
    """The durable work that sends one message, and what is due behind it while its receiver answers."""

    async def send(args: Mapping[str, Json]) -> Json:
        return await _deliver(lab, args)

    async def failed(args: Mapping[str, Json], reason: str) -> None:
        """A fault of ours, or too many killed processes: it counts as a try, or it would never be tried again."""
        delivery = await lab.store.read(lambda unit: unit.delivery(str(args["delivery_id"])))
        if delivery is not None and delivery.tries == args["tries"]:
            await _settle(lab, delivery, Tried(words=reason))

    return WorkKind(name=DELIVER, steps=(Step(name="send", run=send),), failed=failed, queue="notify")


async def _deliver(lab: Workbench, args: Mapping[str, Json]) -> Json:
    """How many messages were sent, delivered or not."""
    webhook_id, until = UUID(str(args["webhook_id"])), lab.clock.monotonic() + DRAIN_SECONDS
    delivery = await lab.store.read(lambda unit: unit.delivery(str(args["delivery_id"])))
    if delivery is None or delivery.tries != args["tries"]:
        return 0  # another work has had it
    sent = 0
    while delivery is not None:
        webhook = await lab.store.read(lambda unit: unit.webhook(webhook_id))
        if webhook is None or not webhook.active:
            break
        tried = await _send(lab, webhook, delivery)
        await _settle(lab, delivery, tried)
        sent += 1
        if tried.status is None or lab.clock.monotonic() >= until:
            break  # it does not answer: the next in its lane may be about something else
        delivery = await lab.store.read(lambda unit: unit.due_delivery(webhook_id, lab.clock.now()))
    return sent


async def _send(lab: Workbench, webhook: Webhook, delivery: Delivery) -> Tried:
    now = lab.clock.now()
    secrets = [lab.seal.unseal(webhook.secret)]
    if webhook.old_until is not None and now < webhook.old_until:
        secrets.append(lab.seal.unseal(webhook.old_secret))
    at = int(now.timestamp())
    headers = {
        "content-type": "application/json",
        "webhook-id": delivery.id,
        "webhook-timestamp": str(at),
        "webhook-signature": signed(secrets, delivery.id, at, delivery.body),
    }
    try:
        answer = await lab.outbound.send(
            "POST",
            webhook.url,
            headers,
            delivery.body.encode(),
            limit_bytes=ANSWER_BYTES,
            timeout_seconds=ANSWER_SECONDS,
        )
    except (Rejected, Unavailable) as no:
        seen = " ".join(fault.seen for fault in no.faults)
        return Tried(words=f"{no.detail} {seen}".strip())
    return answered(answer.status, answer.headers.get("retry-after", ""), now)


async def _settle(lab: Workbench, delivery: Delivery, tried: Tried) -> None:
    """Write down how a try went; a webhook that has been failing for days, or that says it is gone, is switched off."""
    after = after_try(delivery, tried, lab.clock.now(), random.random())

    async def work(unit: Unit) -> None:
        if not await unit.settle_delivery(delivery, after):
            return
        webhook, now = await unit.webhook(delivery.webhook_id), lab.clock.now()
        if webhook is None:
            return
        since = None if tried.good else webhook.failing_since or now
        if since != webhook.failing_since:
            await unit.failing(webhook.id, since)
        if webhook.active and (tried.gone or (since is not None and now - since >= GIVEN_UP_AFTER)):
            await switch_off(unit, webhook, "gone" if tried.gone else "failing", now)

    await lab.store.write(work)


# --- the loop -------------------------------------------------------------------------------------------------------


async def follow(lab: Lab) -> None:
    """Make messages as events come, start their sending as they fall due. Runs until cancelled."""
    reachable, purged = True, -float(PURGE_SECONDS)
    while True:
        seen, waits = 0, LOOK_SECONDS
        try:
            seen = await lab.store.read(lambda unit: unit.head())
            pending = await turn(lab)
            waits = LOOK_SECONDS if pending else IDLE_SECONDS
            if lab.clock.monotonic() - purged >= PURGE_SECONDS:
                await lab.store.write(lambda unit: unit.drop_deliveries(lab.clock.now() - KEPT_FOR))
                purged = lab.clock.monotonic()
            reachable = True
        except (Unavailable, Conflict) as down:
            if reachable:
                log.warning("webhooks wait: %s", down)
            reachable = False
            await lab.clock.sleep(LOOK_SECONDS)
        await _woken(lab, seen, waits)
        await lab.clock.sleep(PACE_SECONDS)


async def turn(lab: Lab) -> int:
    """Once around: make all that can be made, start all that is due. Returns how many messages are pending."""
    webhooks, head = await lab.store.read(_present)
    pending = 0
    for webhook in webhooks:
        if not webhook.active:
            continue
        cursor, moved = webhook.cursor, 1
        while cursor < head and moved:
            moved = await fan_out(lab, webhook.id)
            cursor += moved
        pending += await _start_due(lab, webhook)
    return pending


async def _present(unit: Unit) -> tuple[Sequence[Webhook], int]:
    return await unit.webhooks(), await unit.head()


async def _start_due(lab: Lab, webhook: Webhook) -> int:
    """Start the sending of the first message that is due; its work goes on with the others."""

    async def look(unit: Unit) -> tuple[Delivery | None, int]:
        first = await unit.due_delivery(webhook.id, lab.clock.now())
        return first, await unit.pending_deliveries(webhook.id)

    first, pending = await lab.store.read(look)
    if first is not None:
        await lab.work.start(
            DELIVER,
            f"{first.id}.{first.tries + 1}.{webhook.version}",  # again where it was switched off meanwhile
            {"webhook_id": str(webhook.id), "delivery_id": first.id, "tries": first.tries},
            lane=webhook.id.hex,
        )
    return pending


async def _woken(lab: Lab, seen: int, seconds: float) -> None:
    """Until the log is past `seen`, or for so long."""
    async with asyncio.TaskGroup() as group:
        waits = [group.create_task(lab.store.feed.wait(seen)), group.create_task(_nap(lab, seconds))]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()


async def _nap(lab: Lab, seconds: float) -> None:
    await lab.clock.sleep(seconds)
