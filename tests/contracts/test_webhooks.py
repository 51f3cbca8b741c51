"""Webhooks and their deliveries, as every store keeps them: made once, in order per job."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from orchestrator.domain.errors import Conflict
from orchestrator.domain.event import Event
from orchestrator.domain.member import Role
from orchestrator.domain.webhook import Delivery, DeliveryState, Tried, Webhook, after_try
from orchestrator.flow.lab import Workbench
from orchestrator.flow.webhooks import fan_out
from orchestrator.ports import Store, Unit
from tests.builders import NOON, a_machine, a_member, an_event
from tests.contracts.conftest import OpenStore
from tests.fakes.clock import FakeClock
from tests.fakes.files import PlainFiles
from tests.flow.workshop import NamedWorkshop


def a_webhook(owner_id: UUID, **other: Any) -> Webhook:
    values: dict[str, Any] = {
        "id": uuid4(),
        "owner_id": owner_id,
        "url": "https://example.org/hook",
        "topics": (),
        "secret": "sealed",
        "created_at": NOON,
    }
    return Webhook(**(values | other))


async def kept(store: Store, role: Role = Role.MANAGER, **other: Any) -> Webhook:
    """A stored webhook with its owner."""
    owner = a_member(role=role)
    webhook = a_webhook(owner.id, **other)

    async def work(unit: Unit) -> None:
        await unit.add_member(owner)
        await unit.add_webhook(webhook, an_event("webhook.made"))

    await store.write(work)
    return webhook


def bench_on(store: Store, directory: Path) -> Workbench:
    return Workbench(
        site="lab", store=store, files=PlainFiles(directory), workshop=NamedWorkshop(), clock=FakeClock()
    )


async def emit(store: Store, *events: Event) -> None:
    async def work(unit: Unit) -> None:
        for event in events:
            await unit.emit(event)

    await store.write(work)


async def made_of(store: Store, webhook: Webhook) -> list[Delivery]:
    return list(reversed(await store.read(lambda unit: unit.deliveries(webhook.id, limit=10_000))))


def a_delivery(webhook: Webhook, seq: int, job_id: UUID | None = None, **other: Any) -> Delivery:
    values: dict[str, Any] = {
        "id": f"msg_{webhook.id.hex}_{seq}",
        "webhook_id": webhook.id,
        "seq": seq,
        "topic": "job.queued",
        "body": "{}",
        "created_at": NOON,
        "due_at": NOON,
        "job_id": job_id,
    }
    return Delivery(**(values | other))


async def add(store: Store, *deliveries: Delivery) -> None:
    async def work(unit: Unit) -> None:
        for delivery in deliveries:
            await unit.add_delivery(delivery)

    await store.write(work)


async def settled(store: Store, before: Delivery, after: Delivery) -> bool:
    return await store.write(lambda unit: unit.settle_delivery(before, after))


async def test_a_webhook_comes_back_as_it_was_kept_and_is_changed_by_one_at_a_time(store: Store) -> None:
    webhook = await kept(store, topics=("job.*",), failing_since=NOON, old_until=NOON)

    async def change(unit: Unit) -> Webhook:
        return await unit.change_webhook(webhook, replace(webhook, active=False), an_event())

    changed = await store.write(change)

    assert changed == replace(webhook, active=False, version=2)
    assert await store.read(lambda unit: unit.webhook(webhook.id)) == changed
    assert await store.read(lambda unit: unit.webhooks(webhook.owner_id)) == [changed]
    assert await store.read(lambda unit: unit.webhooks(uuid4())) == []
    with pytest.raises(Conflict):
        await store.write(change)


async def test_fanning_out_twice_makes_nothing_twice(store: Store, tmp_path: Path) -> None:
    webhook, bench = await kept(store), bench_on(store, tmp_path)
    job = uuid4()
    await emit(
        store, *(an_event(topic, job_id=job) for topic in ("job.quoted", "job.preparing", "job.queued"))
    )

    moved = [await fan_out(bench, webhook.id) for _ in range(3)]

    assert moved[0] > 0
    assert moved[1:] == [0, 0]
    assert [delivery.topic for delivery in await made_of(store, webhook)] == ["job.quoted", "job.queued"]


async def test_of_several_that_fan_out_at_once_each_message_is_made_once(
    open_store: OpenStore, tmp_path: Path
) -> None:
    benches = [bench_on(await open_store(), tmp_path / str(number)) for number in range(3)]
    store = benches[0].store
    webhook = await kept(store)

    async def events() -> None:
        for _ in range(30):
            await emit(store, an_event("job.queued", job_id=uuid4()), an_event("job.claimed"))

    async def fans(bench: Workbench) -> None:
        for _ in range(30):
            await fan_out(bench, webhook.id)

    await asyncio.gather(events(), *map(fans, benches))
    while await fan_out(benches[0], webhook.id):
        pass

    made = await made_of(store, webhook)
    seqs = [delivery.seq for delivery in made]
    assert len(seqs) == 30
    assert seqs == sorted(set(seqs))


async def test_more_events_than_are_read_at_once_lose_none(store: Store, tmp_path: Path) -> None:
    webhook, bench = await kept(store), bench_on(store, tmp_path)
    await emit(store, *(an_event("job.queued", job_id=uuid4()) for _ in range(450)))

    while await fan_out(bench, webhook.id):
        pass

    assert len(await made_of(store, webhook)) == 450
    found = await store.read(lambda unit: unit.webhook(webhook.id))
    assert found is not None
    assert found.cursor == await store.read(lambda unit: unit.head())


async def test_a_member_is_told_of_their_own_jobs_and_of_machines_and_nothing_else(
    store: Store, tmp_path: Path
) -> None:
    hooks = {role: await kept(store, role) for role in (Role.MEMBER, Role.BOOKING)}
    machine, owner = a_machine(), hooks[Role.MEMBER].owner_id
    await store.write(lambda unit: unit.put_machine(machine, {}, an_event("machine.added")))
    await emit(
        store,
        an_event("job.queued", job_id=uuid4(), member_id=owner),
        an_event("job.failed", job_id=uuid4(), member_id=hooks[Role.BOOKING].owner_id),
        an_event("hold.placed"),
        an_event("machine.needs_person", machine_id=machine.id),
    )
    for hook in hooks.values():
        await fan_out(bench_on(store, tmp_path), hook.id)

    told = {role: [one.topic for one in await made_of(store, hook)] for role, hook in hooks.items()}

    assert told[Role.MEMBER] == ["job.queued", "machine.needs_person"]
    assert told[Role.BOOKING] == ["job.queued", "job.failed", "hold.placed", "machine.needs_person"]


async def test_a_webhook_whose_owner_has_left_is_switched_off(store: Store, tmp_path: Path) -> None:
    webhook = await kept(store)

    async def leave(unit: Unit) -> None:
        owner = await unit.member(webhook.owner_id)
        assert owner is not None
        await unit.change_member(owner, replace(owner, active=False))
        await unit.emit(an_event("job.queued"))

    await store.write(leave)
    assert await fan_out(bench_on(store, tmp_path), webhook.id) == 0

    found = await store.read(lambda unit: unit.webhook(webhook.id))
    assert found is not None
    assert (found.active, found.note) == (False, "owner")
    assert await made_of(store, webhook) == []


async def test_a_message_waits_for_the_earlier_ones_of_its_job_and_for_no_other(store: Store) -> None:
    webhook, other = await kept(store), await kept(store)
    a, b = uuid4(), uuid4()
    later = NOON + timedelta(hours=1)
    first = a_delivery(webhook, 1, a, due_at=later)
    await add(
        store,
        first,
        a_delivery(webhook, 2, a),
        a_delivery(webhook, 3, b),
        a_delivery(webhook, 4, None, due_at=later),
        a_delivery(webhook, 5, None),
        a_delivery(other, 2, a),
    )

    async def sent(hook: Webhook) -> list[int]:
        """What can be sent at noon, one after the other."""
        seqs = []
        while due := await store.read(lambda unit: unit.due_delivery(hook.id, NOON)):
            seqs.append(due.seq)
            assert await settled(store, due, after_try(due, Tried(status=200), NOON, 0))
        return seqs

    assert await sent(webhook) == [3, 5]
    assert await sent(other) == [2]
    await store.write(lambda unit: unit.settle_delivery(first, replace(first, state=DeliveryState.DEAD)))
    assert await sent(webhook) == [2]


async def test_a_try_is_written_down_once(store: Store) -> None:
    webhook = await kept(store)
    delivery = a_delivery(webhook, 1)
    await add(store, delivery)
    after = after_try(delivery, Tried(status=500, words="HTTP 500"), NOON, 0)

    assert await store.write(lambda unit: unit.settle_delivery(delivery, after))
    assert not await store.write(lambda unit: unit.settle_delivery(delivery, after))
    assert await store.read(lambda unit: unit.delivery(delivery.id)) == after
    assert await store.read(lambda unit: unit.pending_deliveries(webhook.id)) == 1


async def test_the_newest_come_first_by_state_and_by_page(store: Store) -> None:
    webhook = await kept(store)
    await add(
        store,
        *(
            a_delivery(webhook, n, state=DeliveryState.DEAD if n % 2 else DeliveryState.PENDING)
            for n in range(1, 8)
        ),
    )

    async def page(**which: Any) -> list[int]:
        found = await store.read(lambda unit: unit.deliveries(webhook.id, **which))
        return [one.seq for one in found]

    assert await page(limit=3) == [7, 6, 5]
    assert await page(limit=3, before=(5, a_delivery(webhook, 5).id)) == [4, 3, 2]
    assert await page(state=DeliveryState.DEAD) == [7, 5, 3, 1]


async def test_a_webhook_goes_with_its_messages_and_old_ones_go_by_themselves(store: Store) -> None:
    webhook, other = await kept(store), await kept(store)
    old, new = (
        a_delivery(other, n, state=DeliveryState.DELIVERED, ended_at=NOON + timedelta(days=n)) for n in (1, 2)
    )
    await add(store, a_delivery(webhook, 1), old, new, a_delivery(other, 3))

    assert await store.write(lambda unit: unit.drop_webhook(webhook.id, an_event("webhook.deleted")))
    assert not await store.write(lambda unit: unit.drop_webhook(webhook.id, an_event("webhook.deleted")))
    assert await store.write(lambda unit: unit.drop_deliveries(NOON + timedelta(days=2))) == 1

    assert await store.read(lambda unit: unit.webhooks()) == [other]
    assert [one.seq for one in await made_of(store, other)] == [2, 3]
