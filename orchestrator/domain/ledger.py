"""Double entry, append-only. An Entry is a cause with postings that sum to zero; nothing is edited, a
correction is one more entry.

A member's money stands in two accounts: what is free (`wallet`) and what is held for accepted jobs
(`held`). A hold moves from the first to the second; a capture moves from the second to the lab's revenue; a
release moves back. The entry's key (source, source_id, kind) is its cause, so that doing it twice is doing
it once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from orchestrator.domain.units import Money


class EntryKind(StrEnum):
    TOP_UP = "top_up"
    HOLD = "hold"
    CAPTURE = "capture"
    RELEASE = "release"
    REVERSAL = "reversal"


class Book(StrEnum):
    """Which side of an account a posting stands on."""

    WALLET = "wallet"
    HELD = "held"
    REVENUE = "revenue"
    BANK = "bank"


@dataclass(frozen=True, kw_only=True)
class Posting:
    account_id: UUID
    book: Book
    amount: Money


@dataclass(frozen=True, kw_only=True)
class Entry:
    kind: EntryKind
    source: str  # what kind of thing caused it: "quote" for hold, capture and release, "top_up"
    source_id: str
    postings: tuple[Posting, ...]

    def __post_init__(self) -> None:
        sums: dict[str, int] = {}
        for posting in self.postings:
            sums[posting.amount.currency] = sums.get(posting.amount.currency, 0) + posting.amount.cents
        if any(sums.values()):
            raise ValueError(f"postings do not sum to zero: {sums}")


HOUSE_ACCOUNT = UUID(int=0)
"""The lab's own account: revenue and bank."""


def top_up(account_id: UUID, amount: Money, source_id: str) -> Entry:
    return _move(
        EntryKind.TOP_UP, "top_up", source_id, amount, (HOUSE_ACCOUNT, Book.BANK), (account_id, Book.WALLET)
    )


def hold(account_id: UUID, amount: Money, quote_id: UUID) -> Entry:
    """The maximum price of a quote, set aside."""
    return _move(
        EntryKind.HOLD, "quote", str(quote_id), amount, (account_id, Book.WALLET), (account_id, Book.HELD)
    )


def capture(account_id: UUID, amount: Money, quote_id: UUID) -> Entry:
    """What was really used, at most the hold, becomes the lab's."""
    to = (HOUSE_ACCOUNT, Book.REVENUE)
    return _move(EntryKind.CAPTURE, "quote", str(quote_id), amount, (account_id, Book.HELD), to)


def release(account_id: UUID, amount: Money, quote_id: UUID) -> Entry:
    """The rest of the hold is free again."""
    return _move(
        EntryKind.RELEASE, "quote", str(quote_id), amount, (account_id, Book.HELD), (account_id, Book.WALLET)
    )


def _move(
    kind: EntryKind, source: str, source_id: str, amount: Money, out: tuple[UUID, Book], to: tuple[UUID, Book]
) -> Entry:
    return Entry(
        kind=kind,
        source=source,
        source_id=source_id,
        postings=(
            Posting(account_id=out[0], book=out[1], amount=-amount),
            Posting(account_id=to[0], book=to[1], amount=amount),
        ),
    )


@dataclass(frozen=True, kw_only=True)
class Balance:
    """What an account has: `posted` is all of it, `held` the part set aside, `available` what a new hold
    may take."""

    posted: Money
    held: Money

    @property
    def available(self) -> Money:
        return self.posted - self.held


def chained(previous: str, entry: Entry, at: datetime) -> str:
    """The entry's hash, over the one before it and all this one says: a flipped byte breaks the chain."""
    body: Mapping[str, object] = {
        "previous": previous,
        "kind": entry.kind.value,
        "source": entry.source,
        "source_id": entry.source_id,
        "at_microseconds": round(at.timestamp() * 1_000_000),
        "postings": [
            [str(p.account_id), p.book.value, p.amount.cents, p.amount.currency] for p in entry.postings
        ],
    }
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
