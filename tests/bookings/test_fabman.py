"""Fabman beside a lab: bookings and trainings in, charges out exactly once, breakdowns shown, notices as hints."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest

from orchestrator.domain import ledger
from orchestrator.domain.errors import NotFound, Unavailable
from orchestrator.domain.member import Member
from orchestrator.domain.reservation import Purpose
from orchestrator.domain.source import Source, SourceKind
from orchestrator.domain.tariff import Bill
from orchestrator.domain.units import Money
from orchestrator.flow import connect
from orchestrator.flow.sources import one, poll
from orchestrator.ports import Feed, Store, Unit
from tests.bookings.lab import BookedLab
from tests.builders import NOON, a_file, a_job, a_member, a_quote, an_event
from tests.rigs.fake_fabman import FakeFabman

T = TypeVar("T")


async def connected(booked: BookedLab, fake: FakeFabman, **other: Any) -> tuple[Source, int]:
    resource = fake.has_resource("Prusa")
    machines = {str(resource): "Ada", "training:1985": "fdm"}
    url = f"{fake.base}/api/v1"
    return await booked.source(SourceKind.FABMAN, url, machines=machines, **other), resource


def at(hour: float) -> datetime:
    return NOON + timedelta(hours=hour)


async def test_a_booking_is_held_moved_cancelled_and_deleted_as_over_there(
    stored: BookedLab, fabman: FakeFabman
) -> None:
    source, resource = await connected(stored, fabman)
    member = fabman.has_member("camille@example.org")
    first = fabman.books(member, resource, at(2), at(4))
    second = fabman.books(None, resource, at(5), at(6))
    await stored.poll(source)
    assert await stored.hours() == [(f"{first}", 2, 4), (f"{second}", 5, 6)]
    held = await stored.windows()
    assert [w.purpose for w in held] == [Purpose.BOOKING, Purpose.MAINTENANCE]
    assert held[0].member_id is not None

    fabman.moves(first, at(20), at(22))
    fabman.deletes(second)
    await stored.poll(source)
    assert await stored.hours() == [(f"{first}", 20, 22)]

    fabman.cancels(first)
    await stored.poll(source)
    assert await stored.hours() == []


async def test_a_training_allows_its_class_until_the_end_of_its_last_day(
    booked: BookedLab, fabman: FakeFabman
) -> None:
    source, _ = await connected(booked, fabman)
    member = fabman.has_member("camille@example.org")
    fabman.trains(member, 1985, "2026-06-30")
    fabman.trains(member, 7)
    await booked.poll(source)
    (held,) = await booked.store.read(lambda unit: unit.entitlements())
    assert (held.machine_class, held.until) == ("fdm", datetime(2026, 6, 30, 22, 0, tzinfo=UTC))


async def test_who_is_locked_there_is_locked_here(booked: BookedLab, fabman: FakeFabman) -> None:
    source, _ = await connected(booked, fabman)
    member = fabman.has_member("camille@example.org")
    await booked.poll(source)
    fabman.members[member]["state"] = "locked"
    await booked.clock.advance(3600)
    await booked.poll(source)
    known = await booked.store.read(lambda unit: unit.member_by_email("camille@example.org"))
    assert known is not None
    assert not known.active


async def test_a_breakdown_locks_the_resource_and_its_end_unlocks_it(
    booked: BookedLab, fabman: FakeFabman
) -> None:
    source, resource = await connected(booked, fabman)
    states = []
    for on in (True, False):
        before = await booked.store.read(lambda unit: unit.machine(booked.machine.id))
        assert before is not None
        after = replace(before, maintenance=on)
        await booked.store.write(
            lambda unit, b=before, a=after: unit.change_machine(b, a, an_event("machine.maintenance"))  # type: ignore[misc]
        )
        await booked.poll(source)
        states.append(fabman.resources[resource]["state"])
    assert states == ["locked", "active"]


# --- charges ------------------------------------------------------------------------------------


async def charged(booked: BookedLab, fabman: FakeFabman, cents: int = 1201) -> int:
    """A job of a member whom Fabman knows, done and paid; the member's number over there."""
    member = a_member()
    number = fabman.has_member(member.email)
    await booked.store.write(lambda unit: unit.add_member(member))
    await booked.store.write(lambda unit: unit.put_external("member", "fabman", str(number), member.id))
    await pays(booked, member, cents)
    return number


async def pays(booked: BookedLab, member: Member, cents: int) -> None:
    quote = a_quote(member_id=member.id)
    file = a_file(id=quote.file_id, owner_id=member.id)
    job = a_job(member_id=member.id, account_id=member.account_id, quote_id=quote.id, file_id=file.id)
    held = Money(cents + 100)
    bill = Bill(lines=(), held=held, captured=Money(cents))

    async def work(unit: Unit) -> None:
        await unit.add_file(file)
        await unit.add_quote(quote)
        await unit.add_job(job, an_event("job.queued", job_id=job.id))
        top_up = ledger.top_up(member.account_id, Money(100_000), str(job.id))
        await unit.post(top_up, NOON, an_event())
        await unit.post(ledger.hold(member.account_id, held, quote.id), NOON, an_event())
        await unit.add_bill(job.id, bill)
        await unit.post(ledger.capture(member.account_id, Money(cents), quote.id), NOON, an_event())

    await booked.store.write(work)


async def test_a_charge_is_told_once_in_the_members_name(stored: BookedLab, fabman: FakeFabman) -> None:
    source, _ = await connected(stored, fabman, charges=True)
    number = await charged(stored, fabman)
    await stored.poll(source)
    await stored.poll(source)
    (told,) = fabman.charges
    assert (told["member"], told["price"], told["dateTime"]) == (number, 12.01, "2026-03-02T12:00:00Z")


async def test_whoever_dies_between_a_charge_and_its_note_does_not_charge_twice(
    stored: BookedLab, fabman: FakeFabman
) -> None:
    """The answer of the first is lost with the process; the second is told by the next one."""
    source, _ = await connected(stored, fabman, charges=True)
    await charged(stored, fabman, 100)
    await charged(stored, fabman, 200)
    fabman.drops_answer_of_charge = True
    after = await stored.poll(source)
    assert after.failures == 1
    assert [row["price"] for row in fabman.charges] == [1.0]

    after = await stored.poll(source)
    assert after.failures == 0
    assert [row["price"] for row in fabman.charges] == [1.0, 2.0]


@dataclass
class DyingStore:
    """Writes no more once Fabman has a charge: the process is gone between the answer and the note."""

    store: Store
    fabman: FakeFabman

    async def write(self, work: Callable[[Unit], Awaitable[T]]) -> T:
        if self.fabman.charges:
            raise Unavailable("The process is gone.")
        return await self.store.write(work)

    async def read(self, work: Callable[[Unit], Awaitable[T]]) -> T:
        return await self.store.read(work)

    @property
    def feed(self) -> Feed:
        return self.store.feed


async def test_a_process_that_dies_after_the_answer_does_not_charge_twice(
    stored: BookedLab, fabman: FakeFabman
) -> None:
    source, _ = await connected(stored, fabman, charges=True)
    await charged(stored, fabman)
    dying = replace(stored.lab, store=DyingStore(stored.store, fabman))
    with pytest.raises(Unavailable):
        await poll(dying, source.id, now_or_never=True)
    assert len(fabman.charges) == 1
    assert (await one(stored.lab, source.id)).cursor == 0

    await stored.poll(source)
    assert len(fabman.charges) == 1
    assert (await one(stored.lab, source.id)).cursor > 0


async def test_who_asks_for_no_charges_is_told_none(booked: BookedLab, fabman: FakeFabman) -> None:
    source, _ = await connected(booked, fabman)
    await charged(booked, fabman)
    await booked.poll(source)
    assert fabman.charges == []


# --- notices ------------------------------------------------------------------------------------

NOTICE = b'{"id": 1, "type": "booking_created", "createdAt": "2026-03-02T12:00:00Z", "details": {}}'


async def test_a_notice_makes_the_poll_fall_due_and_is_believed_in_nothing(
    booked: BookedLab, fabman: FakeFabman
) -> None:
    source, _ = await connected(booked, fabman)
    after = await booked.poll(source)
    secret = connect.hint_secret(booked.lab, source)
    await booked.clock.advance(60)
    assert after.due_at is not None
    assert after.due_at > booked.clock.now()
    assert await connect.hint(booked.lab, source.id, secret, NOTICE, {})
    hastened = await one(booked.lab, source.id)
    assert hastened.due_at == booked.clock.now()
    assert await booked.windows() == []


async def test_a_flood_of_notices_asks_no_faster(booked: BookedLab, fabman: FakeFabman) -> None:
    source, _ = await connected(booked, fabman)
    await booked.poll(source)
    secret = connect.hint_secret(booked.lab, source)
    for _ in range(5):
        await connect.hint(booked.lab, source.id, secret, NOTICE, {})
    hastened = await one(booked.lab, source.id)
    assert hastened.due_at == booked.clock.now() + timedelta(seconds=20)


@pytest.mark.parametrize("secret", ["", "wrong", "é", "0" * 40])
async def test_a_notice_without_the_secret_is_nobodys(
    booked: BookedLab, fabman: FakeFabman, secret: str
) -> None:
    source, _ = await connected(booked, fabman)
    with pytest.raises(NotFound):
        await connect.hint(booked.lab, source.id, secret, NOTICE, {})


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"type": 7}', b"[" * 100_000, b'{"type": "invoice_created"}']
)
async def test_a_notice_that_says_nothing_of_use_changes_nothing(
    booked: BookedLab, fabman: FakeFabman, body: bytes
) -> None:
    source, _ = await connected(booked, fabman)
    after = await booked.poll(source)
    secret = connect.hint_secret(booked.lab, source)
    assert not await connect.hint(booked.lab, source.id, secret, body, {})
    assert (await one(booked.lab, source.id)).due_at == after.due_at
