"""A webhook's life before a real receiver: made, told, failing, replayed, given up; time in the test's hand."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from aiohttp import web

from orchestrator.domain.errors import Conflict, Misconfigured, NotFound, Rejected
from orchestrator.domain.event import Event
from orchestrator.domain.member import Member, Role
from orchestrator.domain.webhook import WEBHOOKS_MAX, Delivery, DeliveryState, Webhook
from orchestrator.flow import subscribe
from orchestrator.flow.lab import Lab, Workbench
from orchestrator.flow.webhooks import deliver_work, turn
from orchestrator.outbound import LOOPBACK, OutboundHttp
from orchestrator.ports import Unit
from orchestrator.sealed import KEY_BYTES, AesSeal
from orchestrator.store.sql import SqlStore
from orchestrator.work.inline import InlineWork
from tests.builders import a_member, an_event
from tests.fakes.clock import FakeClock
from tests.fakes.files import PlainFiles
from tests.flow.workshop import NamedWorkshop
from tests.rigs.receiver import Answers, Receiver, a_receiver, is_signed


@dataclass(frozen=True, kw_only=True)
class Post:
    """A lab, its manager, and what happens in it."""

    lab: Lab
    clock: FakeClock
    who: Member

    async def webhook(self, receiver: Receiver, *topics: str) -> subscribe.Made:
        return await subscribe.make(self.lab, self.who, receiver.url, topics)

    async def happens(self, *topics: str, job_id: UUID | None = None) -> None:
        async def work(unit: Unit) -> None:
            for topic in topics:
                await unit.emit(Event(topic=topic, at=self.clock.now(), actor="system", job_id=job_id))

        await self.lab.store.write(work)

    async def passes(self, **span: float) -> None:
        """Time, and what falls due at its end."""
        await self.clock.advance(timedelta(**span).total_seconds())
        await self.settle()

    async def settle(self) -> None:
        """Until nothing more is due now."""
        for _ in range(5):
            await turn(self.lab)

    async def sent(self, made: subscribe.Made) -> list[Delivery]:
        return list(reversed(await subscribe.deliveries(self.lab, self.who, made.webhook.id, limit=200)))

    async def now(self, made: subscribe.Made) -> Webhook:
        return await subscribe.one(self.lab, self.who, made.webhook.id)


@asynccontextmanager
async def a_post(tmp_path: Path, *, allowed: bool = True) -> AsyncIterator[Post]:
    clock = FakeClock()
    store = await SqlStore.open("sqlite+aiosqlite:///:memory:", clock)
    outbound = OutboundHttp(LOOPBACK if allowed else ())
    bench = Workbench(
        site="lab",
        store=store,
        files=PlainFiles(tmp_path),
        workshop=NamedWorkshop(),
        clock=clock,
        outbound=outbound,
        seal=AesSeal(b"k" * KEY_BYTES),
    )
    who = a_member(role=Role.MANAGER)
    await store.write(lambda unit: unit.add_member(who))
    try:
        yield Post(lab=Lab.on(bench, InlineWork((deliver_work(bench),))), clock=clock, who=who)
    finally:
        await outbound.close()
        await store.close()


def always(status: int, **headers: str) -> Answers:
    async def answer(number: int) -> web.StreamResponse:
        return web.Response(status=status, headers={k.replace("_", "-"): v for k, v in headers.items()})

    return answer


async def test_what_happens_arrives_once_signed_in_order(tmp_path: Path) -> None:
    async with a_post(tmp_path) as post, a_receiver() as receiver:
        made = await post.webhook(receiver)
        job = uuid4()
        await post.happens("job.quoted", "job.preparing", "job.queued", "job.finished", job_id=job)
        await post.settle()

    assert [json.loads(one.body)["type"] for one in receiver.got] == [
        "job.quoted",
        "job.queued",
        "job.finished",
    ]
    assert all(json.loads(one.body)["data"]["job_id"] == str(job) for one in receiver.got)
    assert all(is_signed(made.secret, o.id, o.timestamp, o.signature, o.body) for o in receiver.got)
    assert len({one.id for one in receiver.got}) == 3
    assert not is_signed(
        made.secret, receiver.got[0].id, "1", receiver.got[0].signature, receiver.got[0].body
    )


async def test_only_what_was_asked_for_is_told(tmp_path: Path) -> None:
    async with a_post(tmp_path) as post, a_receiver() as receiver:
        await post.webhook(receiver, "hold.*", "job.finished")
        await post.happens("job.queued", "hold.placed", "hold.captured", "job.finished")
        await post.settle()

    told = [json.loads(one.body)["type"] for one in receiver.got]
    assert told == ["hold.placed", "hold.captured", "job.finished"]


async def test_a_receiver_that_fails_at_random_gets_everything_in_order_per_job_with_the_same_bytes(
    tmp_path: Path,
) -> None:
    dice = random.Random(7)

    async def answer(number: int) -> web.StreamResponse:
        return web.Response(status=dice.choice((200, 200, 204, 500, 503, 302, 404)))

    jobs = [uuid4() for _ in range(6)]
    async with a_post(tmp_path) as post, a_receiver(answer) as receiver:
        made = await post.webhook(receiver)
        for topic in ("job.quoted", "job.queued", "job.attention", "job.finished"):
            for job in jobs:
                await post.happens(topic, job_id=job)
        for _ in range(60):
            await post.passes(hours=2)
        states = {one.state for one in await post.sent(made)}

    assert states == {DeliveryState.DELIVERED}
    assert len(receiver.accepted) == 24
    assert len({(one.id, one.body) for one in receiver.got}) == 24
    for job in jobs:
        told = [json.loads(o.body) for o in receiver.accepted]
        assert [one["type"] for one in told if one["data"]["job_id"] == str(job)] == [
            "job.quoted",
            "job.queued",
            "job.attention",
            "job.finished",
        ]


async def test_a_receiver_that_was_down_for_an_hour_misses_nothing(tmp_path: Path) -> None:
    async with a_post(tmp_path) as post:
        async with a_receiver() as first:
            made = await post.webhook(first)
        for topic in ("job.quoted", "job.queued", "job.finished"):
            await post.happens(topic, job_id=UUID(int=1))
        for _ in range(12):
            await post.passes(minutes=5)
        failing = await post.now(made)
        async with a_receiver(port=first.port) as again:
            await post.passes(hours=2)
            healed = await post.now(made)

    assert failing.failing_since is not None
    assert [json.loads(one.body)["type"] for one in again.got] == ["job.quoted", "job.queued", "job.finished"]
    assert healed.failing_since is None


async def test_a_redirect_is_not_followed_and_is_no_delivery(tmp_path: Path) -> None:
    async with a_post(tmp_path) as post, a_receiver(always(307, Location="/elsewhere")) as receiver:
        made = await post.webhook(receiver)
        await post.happens("job.queued")
        await post.settle()
        (delivery,) = await post.sent(made)

    assert set(receiver.paths) == {"/hook"}
    assert (delivery.state, delivery.status) == (DeliveryState.PENDING, 307)


async def test_an_answer_without_end_is_cut_and_counts_by_its_status(tmp_path: Path) -> None:
    async def answer(number: int) -> web.StreamResponse:
        return web.Response(body=b"x" * (10 << 20))

    async with a_post(tmp_path) as post, a_receiver(answer) as receiver:
        made = await post.webhook(receiver)
        await post.happens("job.queued")
        await post.settle()
        (delivery,) = await post.sent(made)

    assert delivery.state is DeliveryState.DELIVERED


async def test_a_receiver_that_asks_for_time_is_left_alone_for_so_long(tmp_path: Path) -> None:
    async with a_post(tmp_path) as post, a_receiver(always(503, Retry_After="3600")) as receiver:
        await post.webhook(receiver)
        await post.happens("job.queued")
        await post.settle()
        await post.passes(minutes=59)
        before = len(receiver.got)
        await post.passes(minutes=2)

    assert (before, len(receiver.got)) == (1, 2)


async def test_a_receiver_that_says_gone_is_switched_off(tmp_path: Path) -> None:
    async with a_post(tmp_path) as post, a_receiver(always(410)) as receiver:
        made = await post.webhook(receiver)
        await post.happens("job.queued", "job.finished")
        await post.settle()
        await post.passes(days=1)
        webhook = await post.now(made)

    assert len(receiver.got) == 1
    assert (webhook.active, webhook.note) == (False, "gone")


async def test_after_five_days_of_nothing_but_failures_it_is_switched_off_and_can_be_switched_on_again(
    tmp_path: Path,
) -> None:
    status = [500]

    async def answer(number: int) -> web.StreamResponse:
        return web.Response(status=status[0])

    async with a_post(tmp_path) as post, a_receiver(answer) as receiver:
        made = await post.webhook(receiver)
        for _ in range(6):
            await post.happens("job.queued")
            for _ in range(24):
                await post.passes(hours=1)
        off = await post.now(made)
        topics = [e.topic for e in await post.lab.store.read(lambda unit: unit.events(0))]
        await post.happens("job.finished")
        await post.passes(days=1)
        before = len(receiver.got)

        status[0] = 200
        await subscribe.switch(post.lab, post.who, made.webhook.id, True)
        await post.passes(days=2)
        left = [one for one in await post.sent(made) if one.state is DeliveryState.PENDING]
        on = await post.now(made)

    assert (off.active, off.note) == (False, "failing")
    assert topics.count("webhook.disabled") == 1
    assert len(receiver.got) > before
    assert json.loads(receiver.accepted[-1].body)["type"] in {"job.finished", "webhook.disabled"}
    assert left == []
    assert (on.active, on.note, on.failing_since) == (True, "", None)


async def test_what_was_given_up_is_replayed_with_the_same_id_and_bytes(tmp_path: Path) -> None:
    status = [500]

    async def answer(number: int) -> web.StreamResponse:
        return web.Response(status=status[0])

    async with a_post(tmp_path) as post, a_receiver(answer) as receiver:
        made = await post.webhook(receiver)
        await post.happens("job.queued")
        for _ in range(80):
            await post.passes(hours=1)
        (dead,) = await post.sent(made)
        status[0] = 200
        count = await subscribe.replay_dead(post.lab, post.who, made.webhook.id)
        await post.settle()
        (alive,) = await post.sent(made)
        await subscribe.replay(post.lab, post.who, made.webhook.id, alive.id)
        await post.settle()

    assert (dead.state, dead.tries) == (DeliveryState.DEAD, 11)
    assert (count, alive.state) == (1, DeliveryState.DELIVERED)
    assert [one.status for one in receiver.got] == [500] * 11 + [200, 200]
    assert len({(one.id, one.body) for one in receiver.got}) == 1


async def test_a_pending_message_that_is_replayed_is_sent_at_once_however_often_it_was_asked(
    tmp_path: Path,
) -> None:
    async with a_post(tmp_path) as post, a_receiver(always(500)) as receiver:
        made = await post.webhook(receiver)
        await post.happens("job.queued")
        await post.settle()
        (pending,) = await post.sent(made)
        for _ in range(3):
            await subscribe.replay(post.lab, post.who, made.webhook.id, pending.id)
        await post.settle()

    assert len(receiver.got) == 2


async def test_a_new_secret_signs_at_once_and_the_old_one_for_a_day_more(tmp_path: Path) -> None:
    async with a_post(tmp_path) as post, a_receiver() as receiver:
        made = await post.webhook(receiver)
        new = await subscribe.rotate(post.lab, post.who, made.webhook.id)
        await post.happens("job.queued")
        await post.settle()
        await post.clock.advance(timedelta(hours=25).total_seconds())
        await post.happens("job.finished")
        await post.settle()

    def known(secret: str) -> list[bool]:
        return [is_signed(secret, o.id, o.timestamp, o.signature, o.body) for o in receiver.got]

    assert known(new.secret) == [True, True]
    assert known(made.secret) == [True, False]
    assert made.secret not in made.webhook.secret
    assert new.webhook.hint == new.secret.rstrip("=")[-4:]


async def test_a_test_message_comes_whatever_was_asked_for_and_not_to_one_that_is_off(tmp_path: Path) -> None:
    async with a_post(tmp_path) as post, a_receiver() as receiver:
        made = await post.webhook(receiver, "job.finished")
        await subscribe.test(post.lab, post.who, made.webhook.id)
        await post.settle()
        await subscribe.switch(post.lab, post.who, made.webhook.id, False)
        with pytest.raises(Conflict):
            await subscribe.test(post.lab, post.who, made.webhook.id)

    assert [json.loads(one.body)["type"] for one in receiver.got] == ["webhook.test"]


async def test_switched_off_and_on_again_while_a_message_was_due_it_is_sent(tmp_path: Path) -> None:
    async with a_post(tmp_path) as post, a_receiver(always(500)) as receiver:
        made = await post.webhook(receiver)
        await post.happens("job.queued")
        await post.settle()
        for on in (False, True, False, True):
            await subscribe.switch(post.lab, post.who, made.webhook.id, on)
            await post.passes(minutes=1)
        before = len(receiver.got)
        receiver.answers = always(200)
        await post.passes(hours=1)

    assert before >= 2
    assert len(receiver.accepted) == 1


async def test_an_address_that_has_come_to_lead_inward_is_never_called(tmp_path: Path) -> None:
    async with a_post(tmp_path) as post, a_receiver() as receiver:
        made = await post.webhook(receiver)
        async with a_post(tmp_path, allowed=False) as strict:
            closed = replace(post.lab, outbound=strict.lab.outbound)
            lab = replace(closed, work=InlineWork((deliver_work(closed),)))
            await post.happens("job.queued")
            await turn(lab)
        (delivery,) = await post.sent(made)

    assert receiver.got == []
    assert (delivery.tries, delivery.status, delivery.state) == (1, None, DeliveryState.PENDING)
    assert "loopback" in delivery.words


async def test_without_the_key_nothing_is_sent_unsigned_and_it_is_tried_later(tmp_path: Path) -> None:
    async with a_post(tmp_path) as post, a_receiver() as receiver:
        made = await post.webhook(receiver)
        other = replace(post.lab, seal=AesSeal(b"x" * KEY_BYTES))
        await post.happens("job.queued")
        await turn(replace(other, work=InlineWork((deliver_work(other),))))
        (delivery,) = await post.sent(made)
        await post.passes(minutes=1)

    assert (delivery.tries, delivery.status) == (1, None)
    assert "sealed" in delivery.words
    assert len(receiver.got) == 1
    with pytest.raises(Misconfigured):
        other.seal.unseal(made.webhook.secret)


async def test_an_address_that_cannot_be_called_is_refused_with_what_was_seen(tmp_path: Path) -> None:
    async with a_post(tmp_path, allowed=False) as post:
        with pytest.raises(Rejected) as refused:
            await subscribe.make(post.lab, post.who, "http://10.0.0.7/x", ["job.finished", "job.nonsense"])

        assert refused.value.code == "webhook.address"
        assert [fault.rule for fault in refused.value.faults] == ["webhook.topics", "webhook.address"]
        assert refused.value.faults[1].seen == "10.0.0.7: private"


async def test_there_are_so_many_webhooks_of_one_owner_and_no_more(tmp_path: Path) -> None:
    async with a_post(tmp_path) as post, a_receiver() as receiver:
        for _ in range(WEBHOOKS_MAX):
            await post.webhook(receiver)
        with pytest.raises(Conflict) as refused:
            await post.webhook(receiver)

    assert refused.value.code == "webhook.too_many"


async def test_anothers_webhook_is_none(tmp_path: Path) -> None:
    async with a_post(tmp_path) as post, a_receiver() as receiver:
        made = await post.webhook(receiver)
        system = a_member(role=Role.BOOKING)
        await post.lab.store.write(lambda unit: unit.add_member(system))

        assert await subscribe.listing(post.lab, system) == []
        for attempt in (
            subscribe.one,
            subscribe.drop,
            subscribe.rotate,
            subscribe.test,
            subscribe.replay_dead,
        ):
            with pytest.raises(NotFound):
                await attempt(post.lab, system, made.webhook.id)


async def test_a_deleted_webhook_is_told_nothing_more(tmp_path: Path) -> None:
    async with a_post(tmp_path) as post, a_receiver() as receiver:
        made = await post.webhook(receiver)
        await post.happens("job.queued")
        await subscribe.drop(post.lab, post.who, made.webhook.id)
        await post.settle()

        assert receiver.got == []
        assert await subscribe.listing(post.lab, post.who) == []


async def test_a_message_says_what_the_event_said(tmp_path: Path) -> None:
    async with a_post(tmp_path) as post, a_receiver() as receiver:
        await post.webhook(receiver, "charge.created")
        member = a_member()

        async def work(unit: Unit) -> None:
            await unit.add_member(member)
            await unit.put_external("member", "fabmanager", "42", member.id)
            await unit.emit(an_event("hold.captured", member_id=member.id, data={"amount_cents": 1201}))

        await post.lab.store.write(work)
        await post.settle()

    (got,) = receiver.got
    said = json.loads(got.body)
    assert said["type"] == "charge.created"
    assert said["timestamp"] == "2026-03-02T12:00:00Z"
    assert said["data"]["amount"] == {"amount": 1201, "currency": "EUR"}
    assert said["data"]["member_external_ids"] == [{"system": "fabmanager", "id": "42"}]
