"""`Store` on SQLAlchemy: how a unit of work begins, is tried again, and is committed. What it may do is in
its parts."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Self, TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from orchestrator.domain.errors import Unavailable
from orchestrator.ports import Clock
from orchestrator.ports import Unit as UnitPort
from orchestrator.store.booking import Bookings
from orchestrator.store.charges import Charges
from orchestrator.store.engines import Engines, open_engines
from orchestrator.store.failures import Failure, kind_of, translated
from orchestrator.store.feed import Feed, listen
from orchestrator.store.learned import Learned
from orchestrator.store.log import Log
from orchestrator.store.offers import Offers
from orchestrator.store.people import People
from orchestrator.store.presence import Presences
from orchestrator.store.schema import create_all
from orchestrator.store.sources import Sources
from orchestrator.store.webhooks import Webhooks
from orchestrator.store.wire import Connected

T = TypeVar("T")

TRIES = 5
BACKOFF_SECONDS = 0.02  # doubled with each try, and jittered
DISCONNECTS = 1  # how often a broken connection is replaced before we say so

_inside: ContextVar[bool] = ContextVar("inside a unit of work", default=False)


class SqlUnit(People, Offers, Bookings, Sources, Presences, Learned, Charges, Webhooks, Log):
    """Implements `orchestrator.ports.Unit`."""


class CommitUnknown(Unavailable):
    """The connection broke during the commit: it may or may not have happened, so it is not tried again."""

    code = "database.commit_unknown"


class SqlStore:
    """Implements `orchestrator.ports.Store`, on SQLite or PostgreSQL."""

    def __init__(self, engines: Engines, clock: Clock) -> None:
        self._engines = engines
        self._clock = clock
        self._feed = Feed()

    @classmethod
    async def open(cls, url: str, clock: Clock, *, busy_timeout_ms: int = 5000) -> Self:
        """Open a database whose schema is up to date (`migrate` sees to that); a database in memory gets its tables
        here. Raises Unavailable where it cannot be reached, Misconfigured where the address is none."""
        store = cls(open_engines(url, busy_timeout_ms=busy_timeout_ms), clock)
        try:
            if store._engines.memory is not None:
                store._engines.memory.run(create_all)
            store._feed.publish(await store.read(lambda unit: unit.head()))
        except BaseException:
            await store.close()
            raise
        return store

    @property
    def feed(self) -> Feed:
        return self._feed

    async def write(self, work: Callable[[UnitPort], Awaitable[T]]) -> T:
        """Run and commit `work`; the commit is on disk before this returns.

        `work` may run up to five times, each time in a new transaction: it does nothing but use its unit. Raises what
        `work` raises, with nothing written, and Unavailable when the database cannot be reached.
        """
        return await self._tried(lambda: self._write_once(work))

    async def read(self, work: Callable[[UnitPort], Awaitable[T]]) -> T:
        """Run `work` on a consistent snapshot that refuses writes. Raises as `write`."""
        return await self._tried(lambda: self._read_once(work))

    async def verify(self) -> tuple[str, ...]:
        """What is wrong with the books, in words; nothing if they are right."""

        async def work(unit: UnitPort) -> tuple[str, ...]:
            assert isinstance(unit, SqlUnit)
            return await unit.verify()

        return await self.read(work)

    async def watch(self) -> None:
        """Follow the commits of other processes, for ever. Returns at once on SQLite, which has one process."""
        if self._engines.is_postgres:
            await listen(
                self._engines.url, self._feed, lambda: self.read(lambda unit: unit.head()), self._clock
            )

    async def close(self) -> None:
        """Close every connection. Nothing may be running."""
        await self._engines.dispose()

    async def _tried(self, once: Callable[[], Awaitable[T]]) -> T:
        if _inside.get():
            raise RuntimeError("a unit of work inside another would wait for itself")
        disconnects = 0
        for turn in range(TRIES):
            try:
                return await once()
            except (DBAPIError, PoolTimeout) as error:
                failure = kind_of(error)
                disconnects += failure is Failure.LOST
                again = failure is Failure.BUSY or (failure is Failure.LOST and disconnects <= DISCONNECTS)
                if not again or turn == TRIES - 1:
                    raise translated(error) or error from error
            await self._clock.sleep(BACKOFF_SECONDS * 2**turn * random.uniform(0.5, 1.5))
        raise AssertionError("the last try has returned or raised")

    async def _write_once(self, work: Callable[[UnitPort], Awaitable[T]]) -> T:
        async with self._engines.writer() as connection:
            unit = SqlUnit(connection, writes=True)
            async with _rolled_back_on_error(connection):
                await connection.begin()  # SQLite's write lock first: `work` does not run in vain
                result = await _within(work, unit)
                head = await unit.flush()
                await _to_its_end(self._commit(connection, head))
            return result

    async def _commit(self, connection: Connected, head: int) -> None:
        try:
            await connection.commit()
        except DBAPIError as error:
            if kind_of(error) is Failure.LOST:
                raise CommitUnknown from error
            raise
        self._feed.publish(head)

    async def _read_once(self, work: Callable[[UnitPort], Awaitable[T]]) -> T:
        async with self._engines.reader() as connection, _rolled_back_on_error(connection):
            result = await _within(work, SqlUnit(connection, writes=False))
            await connection.rollback()
            return result


async def _within(work: Callable[[UnitPort], Awaitable[T]], unit: SqlUnit) -> T:
    token = _inside.set(True)
    try:
        return await work(unit)
    finally:
        _inside.reset(token)


@asynccontextmanager
async def _rolled_back_on_error(connection: Connected) -> AsyncIterator[None]:
    try:
        yield
    except BaseException:
        try:
            await connection.rollback()
        except DBAPIError:
            await connection.invalidate()  # it is broken; what it had begun is gone with it
        raise


async def _to_its_end(work: Awaitable[None]) -> None:
    """Await `work` to its end even if we are cancelled meanwhile; the cancellation is passed on afterwards.

    For the commit alone: a connection must not be used while one runs on it, nor given back.
    """
    task = asyncio.ensure_future(work)  # noqa: TID251 - its parent waits for it here, whatever happens
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    task.result()
    if cancelled is not None:
        raise cancelled
