"""What every store promises about money: the books balance after every step, and nobody can rewrite them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID, uuid4

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import create_engine, text
from sqlalchemy.exc import IntegrityError

from orchestrator.clock import SystemClock
from orchestrator.domain import ledger
from orchestrator.domain.errors import Conflict, InsufficientBalance
from orchestrator.domain.ledger import HOUSE_ACCOUNT, Entry
from orchestrator.domain.run import RunState
from orchestrator.domain.tariff import settle
from orchestrator.domain.units import Money
from orchestrator.ports import Store
from orchestrator.store.schema import migrate
from orchestrator.store.sql import SqlStore
from tests.builders import NOON, a_usage, an_event, at_home
from tests.contracts.conftest import OpenStore

APPEND_ONLY = {
    "journal": "hash",
    "posting": "amount_cents",
    "event": "topic",
    "usage": "machine_seconds",
    "tariff": "version",
    "bill": "captured_cents",
}
"""Each with a column that somebody might want to be otherwise."""


async def post(store: Store, entry: Entry) -> bool:
    return await store.write(lambda unit: unit.post(entry, NOON, an_event(f"money.{entry.kind.value}")))


async def available(store: Store, account: UUID) -> int:
    return (await store.read(lambda unit: unit.balance(account))).available.cents


# --- holds ----------------------------------------------------------------------------------------------------------


async def test_t12_hold_capture_release_and_a_replay_adds_nothing(store: SqlStore) -> None:
    account, quote = uuid4(), uuid4()
    await post(store, ledger.top_up(account, Money(2000), "t12"))

    assert await post(store, ledger.hold(account, Money(1283), quote)) is True
    assert await available(store, account) == 717
    assert await store.read(lambda unit: unit.held_for(quote)) == 1283

    assert await post(store, ledger.capture(account, Money(1201), quote)) is True
    assert await post(store, ledger.release(account, Money(82), quote)) is True
    assert await available(store, account) == 799
    assert await store.read(lambda unit: unit.held_for(quote)) == 0

    head = store.feed.head
    for again in (
        ledger.hold(account, Money(1283), quote),
        ledger.capture(account, Money(1201), quote),
        ledger.release(account, Money(82), quote),
        ledger.top_up(account, Money(2000), "t12"),
    ):
        assert await post(store, again) is False
    assert await available(store, account) == 799
    assert await store.read(lambda unit: unit.head()) == head, "a replay writes no event"
    assert await store.verify() == ()


async def test_t13_of_two_holds_that_the_wallet_covers_once_one_is_refused(open_store: OpenStore) -> None:
    here, there = await open_store(), await open_store()
    account = uuid4()
    await post(here, ledger.top_up(account, Money(2000), "t13"))

    answers = await asyncio.gather(
        post(here, ledger.hold(account, Money(1283), uuid4())),
        post(there, ledger.hold(account, Money(1283), uuid4())),
        return_exceptions=True,
    )

    assert sorted(type(answer).__name__ for answer in answers) == ["InsufficientBalance", "bool"]
    assert await available(here, account) == 717
    assert await here.verify() == ()


async def test_fifty_holds_of_1_on_a_balance_of_10_are_accepted_ten_times(open_store: OpenStore) -> None:
    stores = [await open_store(), await open_store()]
    account = uuid4()
    await post(stores[0], ledger.top_up(account, Money(10), "race"))

    answers = await asyncio.gather(
        *(post(stores[n % 2], ledger.hold(account, Money(1), uuid4())) for n in range(50)),
        return_exceptions=True,
    )

    assert answers.count(True) == 10
    assert sum(isinstance(answer, InsufficientBalance) for answer in answers) == 40
    assert await available(stores[0], account) == 0
    assert await stores[0].verify() == ()


async def test_the_same_cause_posted_twice_at_once_is_posted_once(open_store: OpenStore) -> None:
    stores = [await open_store(), await open_store()]
    account = uuid4()
    entry = ledger.top_up(account, Money(100), "the same")

    answers = await asyncio.gather(*(post(stores[n % 2], entry) for n in range(10)))

    assert answers.count(True) == 1
    assert await available(stores[0], account) == 100


async def test_a_capture_takes_from_its_own_hold_never_from_another(store: SqlStore) -> None:
    account, mine, other = uuid4(), uuid4(), uuid4()
    await post(store, ledger.top_up(account, Money(1000), "x"))
    await post(store, ledger.hold(account, Money(300), mine))
    await post(store, ledger.hold(account, Money(500), other))

    with pytest.raises(Conflict):
        await post(store, ledger.capture(account, Money(301), mine))
    with pytest.raises(Conflict):
        await post(store, ledger.release(account, Money(1), uuid4()))

    assert await store.read(lambda unit: unit.held_for(other)) == 500
    assert await store.verify() == ()


async def test_nobody_holds_what_they_do_not_have(store: SqlStore) -> None:
    account = uuid4()
    with pytest.raises(InsufficientBalance):
        await post(store, ledger.hold(account, Money(1), uuid4()))
    await post(store, ledger.top_up(account, Money(10), "x"))
    with pytest.raises(InsufficientBalance):
        await post(store, ledger.hold(account, Money(11), uuid4()))

    assert (await store.read(lambda unit: unit.balance(account))).posted == Money(10)
    assert await store.read(lambda unit: unit.balance(HOUSE_ACCOUNT)) == ledger.Balance(
        posted=Money(0), held=Money(0)
    ), "the lab's own books are no wallet"


# --- whatever happens -----------------------------------------------------------------------------------------------


@dataclass
class Model:
    """What the books should say, kept as plainly as can be."""

    posted: dict[UUID, int] = field(default_factory=dict)
    holds: dict[UUID, tuple[UUID, int]] = field(default_factory=dict)  # quote -> account, cents left

    def held(self, account: UUID) -> int:
        return sum(left for of, left in self.holds.values() if of == account)


class Books(RuleBasedStateMachine):
    """Top-ups, holds, captures and releases in any order and amount, and replays of each."""

    url: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._store = self._runner.run(SqlStore.open(self.url, SystemClock()))
        # One database serves all examples: what came before is not this one's business, so the accounts are new.
        self.accounts = tuple(uuid4() for _ in range(3))
        self._model = Model(posted=dict.fromkeys(self.accounts, 0))
        self._done: list[Entry] = []

    def teardown(self) -> None:
        self._runner.run(self._store.close())
        self._runner.close()

    def _post(self, entry: Entry) -> bool:
        done = self._runner.run(post(self._store, entry))
        self._done.append(entry)
        return done

    @rule(who=st.integers(0, 2), cents=st.integers(1, 500))
    def top_up(self, who: int, cents: int) -> None:
        assert self._post(ledger.top_up(self.accounts[who], Money(cents), str(uuid4())))
        self._model.posted[self.accounts[who]] += cents

    @rule(who=st.integers(0, 2), cents=st.integers(1, 500))
    def hold(self, who: int, cents: int) -> None:
        account, quote = self.accounts[who], uuid4()
        covered = self._model.posted[account] - self._model.held(account) >= cents
        try:
            self._post(ledger.hold(account, Money(cents), quote))
        except InsufficientBalance:
            assert not covered
        else:
            assert covered
            self._model.holds[quote] = (account, cents)

    @precondition(lambda self: self._model.holds)
    @rule(which=st.integers(0, 1000), share=st.integers(0, 150))
    def settle(self, which: int, share: int) -> None:
        """Capture a share (in per cent; above 100 is too much), release the rest."""
        quote = list(self._model.holds)[
            which % len(self._model.holds)
        ]  # in the order they came: ids are random
        account, held = self._model.holds[quote]
        captured = held * share // 100
        if captured > held:
            with pytest.raises(Conflict):
                self._post(ledger.capture(account, Money(captured), quote))
            return
        if captured:
            assert self._post(ledger.capture(account, Money(captured), quote))
        if held > captured:
            assert self._post(ledger.release(account, Money(held - captured), quote))
        self._model.posted[account] -= captured
        del self._model.holds[quote]

    @precondition(lambda self: self._done)
    @rule(which=st.integers(0, 1000))
    def replay(self, which: int) -> None:
        entry = self._done[which % len(self._done)]
        assert self._runner.run(post(self._store, entry)) is False

    @invariant()
    def books_are_right(self) -> None:
        assert self._runner.run(self._store.verify()) == ()
        for account in self.accounts:
            balance = self._runner.run(self._store.read(lambda unit: unit.balance(account)))  # noqa: B023 - runs here
            assert balance.posted.cents == self._model.posted[account]
            assert balance.held.cents == self._model.held(account)
            assert balance.available.cents >= 0


@pytest.mark.parametrize(("kind", "examples", "steps"), [("memory", 40, 50), ("sqlite", 4, 25)])
def test_books_balance_after_every_step(kind: str, examples: int, steps: int, tmp_path: Path) -> None:
    url = "sqlite://" if kind == "memory" else f"sqlite:///{tmp_path / 'books.db'}"
    if kind != "memory":
        asyncio.run(migrate(url))
    _any_steps(url, examples, steps)


def test_books_balance_after_every_step_on_postgresql(postgres_url: str) -> None:
    asyncio.run(migrate(postgres_url))
    _any_steps(postgres_url, examples=4, steps=25)


def _any_steps(url: str, examples: int, steps: int) -> None:
    class Here(Books):
        pass

    Here.url = url
    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


# --- history --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def by_hand(url: str, *, triggers: bool = True) -> Iterator[Any]:
    """A plain connection, as someone with the password has it; without triggers, someone who means harm."""
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            if not triggers and engine.dialect.name == "sqlite":
                names = connection.execute(
                    text("SELECT name FROM sqlite_master WHERE type = 'trigger'")
                ).scalars()
                for name in list(names):
                    connection.execute(text(f"DROP TRIGGER {name}"))
            elif not triggers:
                connection.execute(text("SET session_replication_role = replica"))
            yield connection
    finally:
        engine.dispose()


async def a_little_history(store: SqlStore) -> None:
    """At least one row in each table that only grows, several entries in the journal."""
    home = await at_home(store, credit_cents=5000)
    job = await home.job()
    run = await home.run(job, state=RunState.FINISHED)
    usage, quote = a_usage(), home.quote(id=job.quote_id)
    bill = settle(usage, home.tariff, quote.hold, None)
    await post(store, ledger.hold(job.account_id, bill.held, job.quote_id))
    await post(store, ledger.capture(job.account_id, bill.captured, job.quote_id))
    await post(store, ledger.release(job.account_id, bill.released, job.quote_id))
    await store.write(lambda unit: unit.add_usage(run, usage, an_event()))
    await store.write(lambda unit: unit.add_bill(job.id, bill))


@pytest.mark.parametrize("table", APPEND_ONLY)
async def test_the_database_refuses_to_change_or_delete_history(
    url: str, open_store: OpenStore, table: str
) -> None:
    store = await open_store()
    await a_little_history(store)
    column = APPEND_ONLY[table]
    statements = [f"DELETE FROM {table}", f"UPDATE {table} SET {column} = {column}"]
    if not url.startswith("sqlite"):
        statements.append(f"TRUNCATE {table} CASCADE")

    for statement in statements:
        with pytest.raises(IntegrityError, match="only grows"), by_hand(url) as connection:
            connection.execute(text(statement))
    assert await store.verify() == ()


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE journal SET hash = 'g' || substr(hash, 2) WHERE id = 2",
        "UPDATE journal SET prev_hash = '1' || substr(prev_hash, 2) WHERE id = 1",
        "UPDATE journal SET source_id = source_id || 'x' WHERE id = 2",
        "UPDATE journal SET kind = 'reversal' WHERE id = 3",
        "UPDATE posting SET amount_cents = amount_cents + 1 WHERE journal_id = 2 AND place = 0",
        "UPDATE posting SET amount_cents = amount_cents * 2 WHERE journal_id = 3",
        "UPDATE posting SET book = 'bank' WHERE journal_id = 4 AND place = 1",
        "DELETE FROM posting WHERE journal_id = 4",
        "UPDATE wallet SET posted = posted + 1",
        "UPDATE wallet SET held = held + 1",
        "DELETE FROM wallet",
    ],
)
async def test_verify_finds_what_was_changed_behind_its_back(
    url: str, open_store: OpenStore, harm: str
) -> None:
    store = await open_store()
    await a_little_history(store)
    assert await store.verify() == ()

    with by_hand(url, triggers=False) as connection:
        assert connection.execute(text(harm)).rowcount > 0

    assert await store.verify() != ()


async def test_verify_finds_an_entry_that_moved_in_time_and_one_that_is_gone(
    url: str, open_store: OpenStore
) -> None:
    store = await open_store()
    await a_little_history(store)

    with by_hand(url, triggers=False) as connection:
        later = {"at": (NOON + timedelta(microseconds=1)).replace(tzinfo=None).isoformat(sep=" ")}
        assert connection.execute(text("UPDATE journal SET at = :at WHERE id = 2"), later).rowcount == 1
    (fault,) = await store.verify()
    assert "entry 2" in fault

    with by_hand(url, triggers=False) as connection:
        connection.execute(text("DELETE FROM posting WHERE journal_id = 3"))
        connection.execute(text("DELETE FROM journal WHERE id = 3"))
    assert "entry 3 is missing" in await store.verify()
