"""The ledger in the database: entries chained by hash, wallets moved by conditional UPDATE only, bills.

A wallet row is a running total of its account's postings; the two never differ, and `verify` proves it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, func, select, update

from orchestrator.domain.errors import Conflict, InsufficientBalance
from orchestrator.domain.event import Event
from orchestrator.domain.ledger import Balance, Book, Entry, EntryKind, Posting, chained
from orchestrator.domain.tariff import Bill
from orchestrator.domain.units import Money
from orchestrator.store import tables
from orchestrator.store.codec import Shape
from orchestrator.store.unit import UnitBase, columns_of

FIRST_HASH = "0" * 64
"""What the first entry is chained to."""
VERIFY_AT_ONCE = 500  # entries read at a time by `verify`

_jo, _po, _wa = tables.journal.c, tables.posting.c, tables.wallet.c
_POSTED_BEFORE = select(_jo.id).where(
    _jo.source == bindparam("source"), _jo.source_id == bindparam("source_id"), _jo.kind == bindparam("kind")
)
_LAST_ENTRY = select(_jo.id, _jo.hash).order_by(_jo.id.desc()).limit(1)
_HELD_FOR = (
    select(func.sum(_po.amount_cents))
    .select_from(tables.posting.join(tables.journal, _po.journal_id == _jo.id))
    .where(_jo.source == "quote", _jo.source_id == bindparam("quote_id"), _po.book == Book.HELD.value)
)
_WALLET = select(_wa.posted, _wa.held, _wa.currency).where(_wa.account_id == bindparam("account_id"))
_MOVE = (
    update(tables.wallet)
    .where(
        _wa.account_id == bindparam("of"),
        _wa.currency == bindparam("in_currency"),
        _wa.held + bindparam("more_held") >= 0,
        _wa.posted - _wa.held + bindparam("more_free") >= 0,
    )
    .values(posted=_wa.posted + bindparam("more_posted"), held=_wa.held + bindparam("more_held"))
)
_BILL = Shape(Bill, apart=("held", "captured"))
_b = tables.bill.c
_BILL_OF = select(*columns_of(tables.bill, _BILL.names), _b.held_cents, _b.captured_cents, _b.currency).where(
    _b.job_id == bindparam("job_id")
)
_ENTRIES = (
    select(_jo.id, _jo.source, _jo.source_id, _jo.kind, _jo.at, _jo.prev_hash, _jo.hash, _po.account_id, _po.book,
           _po.amount_cents, _po.currency)
    .select_from(tables.journal.outerjoin(tables.posting, _po.journal_id == _jo.id))
    .where(_jo.id > bindparam("after"), _jo.id <= bindparam("until"))
    .order_by(_jo.id, _po.place)
)  # fmt: skip
_WALLETS = select(_wa.account_id, _wa.posted, _wa.held)


class Purse(UnitBase):
    """The money part of `orchestrator.ports.Unit`, and the proof that the books are right."""

    async def post(self, entry: Entry, at: datetime, event: Event) -> bool:
        """Write an entry and move the wallets it touches; False, and nothing done, where its cause was posted before.

        Raises InsufficientBalance where less is free than the entry takes, Conflict where it takes more from a hold
        than is left of it.
        """
        self._must_write()
        await self._take_turn()
        key = {"source": entry.source, "source_id": entry.source_id, "kind": entry.kind.value}
        if await self._first(_POSTED_BEFORE, **key) is not None:
            return False
        await self._check_hold(entry)
        for account_id, (posted, held) in sorted(_wallet_moves(entry).items()):
            await self._move(account_id, posted, held, entry.postings[0].amount.currency)
        await self._append(entry, at, key)
        self._log(event)
        return True

    async def balance(self, account_id: UUID) -> Balance:
        """Nothing posted yet is a balance of zero."""
        row = await self._first(_WALLET, account_id=account_id)
        if row is None:
            return Balance(posted=Money(0), held=Money(0))
        return Balance(posted=Money(row.posted, row.currency), held=Money(row.held, row.currency))

    async def held_for(self, quote_id: UUID) -> int:
        """Cents still held for a quote: its hold, less what was captured and released of it."""
        return await self._number(_HELD_FOR, quote_id=str(quote_id))

    async def add_bill(self, job_id: UUID, bill: Bill) -> None:
        """Once a job; raises Conflict the second time."""
        money = {
            "job_id": job_id,
            "held_cents": bill.held.cents,
            "captured_cents": bill.captured.cents,
            "currency": bill.held.currency,
        }
        await self._insert(tables.bill, _BILL.row(bill) | money)

    async def bill(self, job_id: UUID) -> Bill | None:
        row = await self._first(_BILL_OF, job_id=job_id)
        if row is None:
            return None
        held, captured = Money(row.held_cents, row.currency), Money(row.captured_cents, row.currency)
        return _BILL.value(row, held=held, captured=captured)

    async def verify(self) -> tuple[str, ...]:
        """What is wrong with the books, in words; nothing if they are right.

        Recomputes every hash from the first entry on, each entry's sum, and every wallet from its postings.
        """
        faults: list[str] = []
        wallets: defaultdict[UUID, list[int]] = defaultdict(lambda: [0, 0])
        expected_id, previous = 1, FIRST_HASH
        async for rows in self._entries():
            head = rows[0]
            if head.id != expected_id:
                faults.append(f"entry {expected_id} is missing")
            faults += _entry_faults(rows, previous)
            _add_to_wallets(rows, wallets)
            expected_id, previous = head.id + 1, head.hash
        return (*faults, *await self._wallet_faults(wallets))

    async def _check_hold(self, entry: Entry) -> None:
        """A capture or release takes from its own quote's hold, never from a neighbour's."""
        if entry.kind not in (EntryKind.CAPTURE, EntryKind.RELEASE):
            return
        taken = -sum(p.amount.cents for p in entry.postings if p.book is Book.HELD)
        left = await self._number(_HELD_FOR, quote_id=entry.source_id)
        if taken > left:
            raise Conflict(
                f"{taken} c cannot be taken from a hold of which {left} c are left.", code="hold.exceeded"
            )

    async def _move(self, account_id: UUID, posted: int, held: int, currency: str) -> None:
        more = {"more_posted": posted, "more_held": held, "more_free": posted - held}
        moved = await self._write(_MOVE, {"of": account_id, "in_currency": currency} | more)
        if moved.rowcount == 1:
            return
        wallet = await self._first(_WALLET, account_id=account_id)
        if wallet is not None and wallet.currency != currency:
            raise Conflict(f"The account is kept in {wallet.currency}, not in {currency}.", code="currency")
        if wallet is not None or posted < held or held < 0:
            raise InsufficientBalance
        row = {"account_id": account_id, "posted": posted, "held": held, "currency": currency}
        await self._insert(tables.wallet, row)

    async def _append(self, entry: Entry, at: datetime, key: dict[str, str]) -> None:
        last = await self._first(_LAST_ENTRY)
        number, previous = (1, FIRST_HASH) if last is None else (last.id + 1, last.hash)
        row = {"id": number, "at": at, "prev_hash": previous, "hash": chained(previous, entry, at)}
        await self._insert(tables.journal, row | key)
        await self._write_postings(number, entry)

    async def _write_postings(self, number: int, entry: Entry) -> None:
        rows = [
            {
                "journal_id": number,
                "place": place,
                "account_id": posting.account_id,
                "book": posting.book.value,
                "amount_cents": posting.amount.cents,
                "currency": posting.amount.currency,
            }
            for place, posting in enumerate(entry.postings)
        ]
        for row in rows:
            await self._insert(tables.posting, row)

    async def _entries(self) -> AsyncIterator[list[Row[Any]]]:
        """The rows of each entry, in order; one row a posting."""
        last = await self._first(_LAST_ENTRY)
        for after in range(0, 0 if last is None else last.id, VERIFY_AT_ONCE):
            rows = await self._all(_ENTRIES, after=after, until=after + VERIFY_AT_ONCE)
            for _, of_entry in groupby(rows, key=lambda row: row.id):
                yield list(of_entry)

    async def _wallet_faults(self, expected: dict[UUID, list[int]]) -> list[str]:
        stored = {row.account_id: [row.posted, row.held] for row in await self._all(_WALLETS)}
        return [
            f"the wallet of account {account} says {says}, its postings {should_say}"
            for account in sorted(stored.keys() | expected.keys())
            if (says := stored.get(account, [0, 0])) != (should_say := expected.get(account, [0, 0]))
        ]


def _wallet_moves(entry: Entry) -> dict[UUID, tuple[int, int]]:
    """By account: what is added to `posted` (free and held together) and to `held`. The lab's own books
    have no wallet."""
    moves: dict[UUID, tuple[int, int]] = {}
    for posting in entry.postings:
        posted, held = moves.get(posting.account_id, (0, 0))
        if posting.book is Book.WALLET:
            moves[posting.account_id] = (posted + posting.amount.cents, held)
        elif posting.book is Book.HELD:
            moves[posting.account_id] = (posted + posting.amount.cents, held + posting.amount.cents)
    return moves


def _entry_faults(rows: list[Row[Any]], previous: str) -> Iterator[str]:
    head = rows[0]
    try:
        entry = Entry(
            kind=EntryKind(head.kind),
            source=head.source,
            source_id=head.source_id,
            postings=tuple(
                Posting(
                    account_id=row.account_id,
                    book=Book(row.book),
                    amount=Money(row.amount_cents, row.currency),
                )
                for row in rows
                if row.account_id is not None
            ),
        )
    except ValueError as error:
        yield f"entry {head.id}: {error}"
        return
    if head.prev_hash != previous or head.hash != chained(previous, entry, head.at):
        yield f"entry {head.id}: its hash does not follow from what it says and the entry before it"


def _add_to_wallets(rows: list[Row[Any]], wallets: defaultdict[UUID, list[int]]) -> None:
    for row in rows:
        if row.book in (Book.WALLET.value, Book.HELD.value):
            wallets[row.account_id][0] += row.amount_cents
        if row.book == Book.HELD.value:
            wallets[row.account_id][1] += row.amount_cents
