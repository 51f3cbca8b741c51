"""Webhooks and their deliveries. The event log is the outbox: a webhook's cursor moves in the transaction that makes
the deliveries, so none is lost and none is made twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from sqlalchemy import and_, bindparam, delete, exists, func, or_, select, update

from orchestrator.domain.event import Event
from orchestrator.domain.webhook import Delivery, DeliveryState, Webhook
from orchestrator.store import booking_tables
from orchestrator.store.codec import Shape
from orchestrator.store.unit import UnitBase, columns_of, inserting

_WEBHOOK, _DELIVERY = Shape(Webhook), Shape(Delivery)

_w = booking_tables.webhook.c
_webhooks = select(*columns_of(booking_tables.webhook, _WEBHOOK.names)).order_by(_w.created_at, _w.id)
_WEBHOOKS_OF = _webhooks.where(_w.owner_id == bindparam("owner"))
_WEBHOOK_BY_ID = _webhooks.where(_w.id == bindparam("of"))
_DROP = delete(booking_tables.webhook).where(_w.id == bindparam("of"))
_MOVE = (
    update(booking_tables.webhook)
    .where(_w.id == bindparam("of"), _w.cursor == bindparam("seen"))
    .values(cursor=bindparam("head"))
)
_FAILING = update(booking_tables.webhook).where(_w.id == bindparam("of"))

_d = booking_tables.delivery.c
_deliveries = select(*columns_of(booking_tables.delivery, _DELIVERY.names))
_DELIVERY_BY_ID = _deliveries.where(_d.id == bindparam("of"))
_earlier = booking_tables.delivery.alias("earlier")
_BEHIND_ANOTHER = exists().where(
    _earlier.c.webhook_id == _d.webhook_id,
    _earlier.c.job_id == _d.job_id,
    _earlier.c.state == DeliveryState.PENDING.value,
    or_(_earlier.c.seq < _d.seq, and_(_earlier.c.seq == _d.seq, _earlier.c.id < _d.id)),
)
_DUE = (
    _deliveries.where(
        _d.webhook_id == bindparam("of"),
        _d.state == DeliveryState.PENDING.value,
        _d.due_at <= bindparam("now"),
        ~_BEHIND_ANOTHER,
    )
    .order_by(_d.seq, _d.id)
    .limit(1)
)
_PENDING = select(func.count()).where(
    _d.webhook_id == bindparam("of"), _d.state == DeliveryState.PENDING.value
)
_SETTLE = update(booking_tables.delivery).where(
    _d.id == bindparam("of"), _d.tries == bindparam("tried"), _d.state == bindparam("was")
)
_DROP_OF = delete(booking_tables.delivery).where(_d.webhook_id == bindparam("of"))
_DROP_ENDED = delete(booking_tables.delivery).where(_d.ended_at < bindparam("before"))


class Webhooks(UnitBase):
    """The part of `orchestrator.ports.Unit` about webhooks."""

    async def webhooks(self, owner_id: UUID | None = None) -> Sequence[Webhook]:
        """The oldest first; everybody's without an owner."""
        rows = await (self._all(_webhooks) if owner_id is None else self._all(_WEBHOOKS_OF, owner=owner_id))
        return [_WEBHOOK.value(row) for row in rows]

    async def webhook(self, webhook_id: UUID) -> Webhook | None:
        row = await self._first(_WEBHOOK_BY_ID, of=webhook_id)
        return None if row is None else _WEBHOOK.value(row)

    async def add_webhook(self, webhook: Webhook, event: Event) -> None:
        await self._insert(booking_tables.webhook, _WEBHOOK.row(webhook))
        self._log(event)

    async def change_webhook(self, before: Webhook, after: Webhook, event: Event) -> Webhook:
        changes = _WEBHOOK.changed(before, after)
        await self._change(booking_tables.webhook, before.id, before.version, changes)
        self._log(event)
        return replace(after, version=before.version + 1)

    async def drop_webhook(self, webhook_id: UUID, event: Event) -> bool:
        """With all its deliveries. False where it is not there."""
        await self._write(_DROP_OF, {"of": webhook_id})
        if (await self._write(_DROP, {"of": webhook_id})).rowcount == 0:
            return False
        self._log(event)
        return True

    async def fan_out(self, webhook: Webhook, to: int, deliveries: Sequence[Delivery]) -> bool:
        """Move its cursor to `to` and keep what was made of the events up to there. False, and nothing is kept, where
        somebody else has moved it."""
        moved = await self._write(_MOVE, {"of": webhook.id, "seen": webhook.cursor, "head": to})
        if moved.rowcount == 0:
            return False
        if deliveries:
            await self._write(
                inserting(booking_tables.delivery), [_DELIVERY.row(delivery) for delivery in deliveries]
            )
        return True

    async def failing(self, webhook_id: UUID, since: datetime | None) -> None:
        """Since when nothing has reached it; None: something has."""
        await self._write(_FAILING, {"of": webhook_id, "failing_since": since})

    async def add_delivery(self, delivery: Delivery) -> None:
        await self._insert(booking_tables.delivery, _DELIVERY.row(delivery))

    async def delivery(self, delivery_id: str) -> Delivery | None:
        row = await self._first(_DELIVERY_BY_ID, of=delivery_id)
        return None if row is None else _DELIVERY.value(row)

    async def deliveries(
        self,
        webhook_id: UUID,
        *,
        state: DeliveryState | None = None,
        before: tuple[int, str] | None = None,
        limit: int = 50,
    ) -> Sequence[Delivery]:
        """The newest first."""
        statement = _deliveries.where(_d.webhook_id == webhook_id).order_by(_d.seq.desc(), _d.id.desc())
        if state is not None:
            statement = statement.where(_d.state == state.value)
        if before is not None:
            seq, delivery_id = before
            statement = statement.where(or_(_d.seq < seq, and_(_d.seq == seq, _d.id < delivery_id)))
        return [_DELIVERY.value(row) for row in await self._all(statement.limit(limit))]

    async def due_delivery(self, webhook_id: UUID, now: datetime) -> Delivery | None:
        """The first that may be sent now: due, and no earlier one of its job is pending."""
        row = await self._first(_DUE, of=webhook_id, now=now)
        return None if row is None else _DELIVERY.value(row)

    async def settle_delivery(self, before: Delivery, after: Delivery) -> bool:
        """False where it is no longer as it was read: another try was faster."""
        guard = {"of": before.id, "tried": before.tries, "was": before.state.value}
        changes = {"tries": after.tries} | _DELIVERY.changed(before, after)  # at least one column
        return (await self._write(_SETTLE, {**guard, **changes})).rowcount == 1

    async def pending_deliveries(self, webhook_id: UUID) -> int:
        return await self._number(_PENDING, of=webhook_id)

    async def drop_deliveries(self, ended_before: datetime) -> int:
        return (await self._write(_DROP_ENDED, {"before": ended_before})).rowcount
