"""A database that is busy, gone or full: what is tried again, what is said, and that everything goes on afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.engine import make_url

from orchestrator.clock import SystemClock
from orchestrator.domain.errors import Misconfigured, Unavailable
from orchestrator.ports import Unit
from orchestrator.store.schema import migrate
from orchestrator.store.sql import TRIES, SqlStore
from tests.builders import a_member, an_event, at_home


class CountingClock(SystemClock):
    """Does not wait; `on_sleep` is what happens meanwhile."""

    def __init__(self) -> None:
        self.sleeps: list[float] = []
        self.on_sleep: Callable[[], object] = lambda: None

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.on_sleep()
        await asyncio.sleep(0)  # others run meanwhile, as in any sleep


# --- SQLite ---------------------------------------------------------------------------------------------------------


@dataclass
class Lab:
    """A store on a file, and another process that can take the write lock."""

    store: SqlStore
    clock: CountingClock
    other: sqlite3.Connection
    ran: list[int] = field(default_factory=list)

    async def add_member(self) -> None:
        async def work(unit: Unit) -> None:
            self.ran.append(1)
            await unit.add_member(a_member())

        await self.store.write(work)

    async def members(self) -> int:
        return len(await self.store.read(lambda unit: unit.members()))


@pytest_asyncio.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    path, clock = tmp_path / "etabli.db", CountingClock()
    await migrate(f"sqlite:///{path}")
    store = await SqlStore.open(f"sqlite:///{path}", clock, busy_timeout_ms=1)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        yield Lab(store, clock, other)
    await store.close()


async def test_a_unit_waits_for_the_lock_of_another_process_and_is_tried_again(lab: Lab) -> None:
    lab.other.execute("BEGIN IMMEDIATE")
    lab.clock.on_sleep = lambda: lab.other.rollback() if len(lab.clock.sleeps) == 2 else None

    await lab.add_member()

    assert len(lab.clock.sleeps) == 2
    assert await lab.members() == 1


async def test_a_lock_that_is_never_released_ends_in_unavailable_and_waits_grow(lab: Lab) -> None:
    lab.other.execute("BEGIN IMMEDIATE")

    with pytest.raises(Unavailable) as refusal:
        await lab.add_member()

    assert refusal.value.code == "database.busy"
    assert len(lab.clock.sleeps) == TRIES - 1
    assert min(lab.clock.sleeps[2:]) > max(lab.clock.sleeps[:1])
    assert await lab.members() == 0, "readers do not wait for a writer"
    lab.other.rollback()
    await lab.add_member()
    assert lab.ran == [1]


async def test_readers_see_nothing_of_a_unit_that_is_not_committed(lab: Lab) -> None:
    async def work(unit: Unit) -> None:
        await unit.add_member(a_member())
        await unit.emit(an_event())
        added.set()
        await seen.wait()

    added, seen = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(lab.store.write(work))
        await added.wait()
        before = await lab.members()
        seen.set()
    assert (before, await lab.members()) == (0, 1)


async def test_every_connection_is_told_what_promises_need(lab: Lab) -> None:
    async def pragma(name: str, *, writes: bool) -> object:
        opened = lab.store._engines.writer if writes else lab.store._engines.reader
        async with opened() as connection:
            value = (await connection.execute(text(f"PRAGMA {name}"))).scalar()
            await connection.rollback()
            return value

    expected = {"foreign_keys": 1, "trusted_schema": 0, "journal_mode": "wal"}
    for writes in (True, False):
        for name, value in expected.items():
            assert await pragma(name, writes=writes) == value, (name, writes)
    assert await pragma("synchronous", writes=True) == 2, "FULL"
    assert await pragma("query_only", writes=False) == 1


async def test_a_file_that_is_no_database_is_the_operators_to_mend(tmp_path: Path) -> None:
    path = tmp_path / "etabli.db"
    path.write_bytes(b"this is not a database, whatever its name says" * 100)

    with pytest.raises(Misconfigured):
        await migrate(f"sqlite:///{path}")


async def test_an_address_we_cannot_use_is_the_operators_to_mend() -> None:
    for address in ("mysql://localhost/x", "nonsense"):
        with pytest.raises(Misconfigured):
            await SqlStore.open(address, SystemClock())


# --- PostgreSQL -----------------------------------------------------------------------------------------------------


class Gate:
    """A way to the database that a test can close: TCP on loopback, forwarded byte for byte."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self.port = 0

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Refuse new connections and cut those there are."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._open):
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, there_writer = await asyncio.open_connection("127.0.0.1", self._to)
        self._open |= {writer, there_writer}
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._pump(reader, there_writer))
            tasks.create_task(self._pump(there, writer))
        self._open -= {writer, there_writer}

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()


@pytest_asyncio.fixture
async def gate(postgres_url: str) -> AsyncIterator[Gate]:
    port = make_url(postgres_url).port
    assert port is not None
    way = Gate(port)
    await way.open()
    yield way
    await way.close()


async def _through(gate: Gate, postgres_url: str) -> SqlStore:
    await migrate(postgres_url)
    address = make_url(postgres_url).set(port=gate.port).render_as_string(hide_password=False)
    return await SqlStore.open(address, CountingClock())


@pytest.mark.peers
async def test_when_postgresql_is_gone_it_is_said_and_when_it_is_back_all_goes_on(
    gate: Gate, postgres_url: str
) -> None:
    store = await _through(gate, postgres_url)
    first, second = a_member(), a_member()
    await store.write(lambda unit: unit.add_member(first))

    await gate.close()
    with pytest.raises(Unavailable):
        await store.write(lambda unit: unit.add_member(second))
    with pytest.raises(Unavailable):
        await store.read(lambda unit: unit.members())

    await gate.open()
    await store.write(lambda unit: unit.add_member(second))
    assert len(await store.read(lambda unit: unit.members())) == 2
    await store.close()


@pytest.mark.peers
async def test_a_follower_hears_again_after_the_connection_was_cut(gate: Gate, postgres_url: str) -> None:
    here = await _through(gate, postgres_url)
    there = await SqlStore.open(postgres_url, SystemClock())
    assert isinstance(here._clock, CountingClock)

    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(here.watch())
        await there.write(lambda unit: unit.emit(an_event()))
        assert await here.feed.wait(0) == 1
        await gate.close()
        await there.write(lambda unit: unit.emit(an_event("while nobody listened")))
        await gate.open()
        assert await here.feed.wait(1) == 2
        watching.cancel()
    await here.close()
    await there.close()


@pytest.mark.peers
async def test_a_connection_that_the_server_ended_is_replaced_without_a_word(postgres_url: str) -> None:
    await migrate(postgres_url)
    store = await SqlStore.open(postgres_url, SystemClock())
    await store.write(lambda unit: unit.add_member(a_member()))
    address = make_url(postgres_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(address, autocommit=True) as operator:
        operator.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

    await store.write(lambda unit: unit.add_member(a_member()))

    assert len(await store.read(lambda unit: unit.members())) == 2
    await store.close()


@pytest.mark.peers
async def test_two_units_that_wait_for_each_other_both_come_through(postgres_url: str) -> None:
    await migrate(postgres_url)
    store = await SqlStore.open(postgres_url, SystemClock())
    home = await at_home(store)
    one, two = await home.job(), await home.job()
    met, ran = asyncio.Barrier(2), list[str]()

    async def both(first: object, second: object, name: str) -> None:
        async def work(unit: Unit) -> None:
            ran.append(name)
            await _touch(unit, first)
            if ran.count(name) == 1:
                await met.wait()
            await _touch(unit, second)

        await store.write(work)

    async def _touch(unit: Unit, job_id: object) -> None:
        job = await unit.job(job_id)  # type: ignore[arg-type]
        assert job is not None
        await unit.change_job(job, replace(job, reason=job.reason + "x"), an_event())

    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        tasks.create_task(both(one.id, two.id, "a"))
        tasks.create_task(both(two.id, one.id, "b"))

    assert len(ran) == 3, "one of them was run again, whole"
    stored = [await store.read(lambda unit: unit.job(job.id)) for job in (one, two)]  # noqa: B023 - runs here
    assert [job.reason for job in stored if job] == ["xx", "xx"]
    await store.close()


_SLOW_COMMIT = """
CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END';
CREATE CONSTRAINT TRIGGER dawdle AFTER INSERT ON member
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION dawdle();
"""


@pytest.mark.peers
async def test_a_commit_that_has_begun_is_finished_even_if_its_asker_leaves(postgres_url: str) -> None:
    await migrate(postgres_url)
    store = await SqlStore.open(postgres_url, SystemClock())
    member = a_member()

    async def work(unit: Unit) -> None:
        await unit.add_member(member)
        await unit.emit(an_event())

    address = make_url(postgres_url).set(drivername="postgresql").render_as_string(hide_password=False)
    async with await psycopg.AsyncConnection.connect(address, autocommit=True) as other:
        # given a commit that waits for a lock in our hand
        await other.execute(_SLOW_COMMIT)
        await other.execute("SELECT pg_advisory_lock(1)")
        async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
            task = tasks.create_task(store.write(work))
            asking = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 1 AND NOT granted"
            while await (await other.execute(asking)).fetchone() is None:  # noqa: ASYNC110 - a server cannot set an Event
                await asyncio.sleep(0)
            # when the asker leaves in the middle of it
            task.cancel()
            await asyncio.sleep(0)
            await other.execute("SELECT pg_advisory_unlock(1)")

    # then it happened, was told, and the connection is as good as new
    assert task.cancelled()
    assert store.feed.head == 1
    assert await store.read(lambda unit: unit.member(member.id)) == member
    await store.write(lambda unit: unit.add_member(a_member()))
    await store.close()
