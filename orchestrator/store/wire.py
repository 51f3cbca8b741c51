"""The SQLite connections: a statement and its rows in one hop to aiosqlite's thread, not four; in memory, in none.

A database in memory never waits for a disk, so it answers on the loop's own thread at once; that also makes a seeded
test repeat itself exactly.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Protocol, Self

import aiosqlite
from sqlalchemy import Connection, Dialect, Engine, Executable
from sqlalchemy.engine import CursorResult

Rows = list[Any]


class Connected(Protocol):
    """What a unit of work asks of a connection; SQLAlchemy's AsyncConnection is one."""

    @property
    def dialect(self) -> Dialect: ...

    def begin(self) -> Awaitable[object]: ...

    def execute(self, statement: Executable, parameters: Any = None, /) -> Awaitable[CursorResult[Any]]: ...

    def commit(self) -> Awaitable[None]: ...

    def rollback(self) -> Awaitable[None]: ...

    def invalidate(self) -> Awaitable[None]: ...


class _Runs(Protocol):
    """A connection that can run a function where its sqlite3 connection may be used."""

    @property
    def raw(self) -> sqlite3.Connection: ...

    async def run(self, work: Callable[[], Any]) -> Any: ...


class OneHopCursor:
    """Implements what SQLAlchemy's asyncio adapter asks of a cursor; all rows are fetched with the statement."""

    def __init__(self, connection: _Runs) -> None:
        self._connection = connection
        self._rows: Rows = []
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid = 0
        self.arraysize = 1

    async def __aenter__(self) -> Self:
        return self

    async def execute(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        await self._connection.run(partial(self._execute, sql, parameters))

    async def executemany(self, sql: str, parameters: Sequence[Sequence[Any]]) -> None:
        await self._connection.run(partial(self._execute_many, sql, parameters))

    async def fetchall(self) -> Rows:
        rows, self._rows = self._rows, []
        return rows

    async def close(self) -> None:
        self._rows = []

    def _execute(self, sql: str, parameters: Sequence[Any]) -> None:
        cursor = self._connection.raw.execute(sql, parameters)
        self.description = cursor.description
        self._rows = cursor.fetchall() if cursor.description else []
        self.rowcount, self.lastrowid = cursor.rowcount, cursor.lastrowid or 0
        cursor.close()

    def _execute_many(self, sql: str, parameters: Sequence[Sequence[Any]]) -> None:
        cursor = self._connection.raw.executemany(sql, parameters)
        self.description, self.rowcount = None, cursor.rowcount
        cursor.close()


class ThreadConnection(aiosqlite.Connection):
    """aiosqlite's connection, with cursors that need one hop."""

    @property
    def raw(self) -> sqlite3.Connection:
        return self._conn

    async def run(self, work: Callable[[], Any]) -> Any:
        return await self._execute(work)  # type: ignore[no-untyped-call]

    def cursor(self) -> OneHopCursor:  # type: ignore[override]  # the adapter wants a cursor to enter, and has one
        return OneHopCursor(self)


def thread_connection(database: str, **options: Any) -> Awaitable[Any]:
    """A SQLAlchemy `async_creator_fn` for a file; `options` are sqlite3.connect's."""
    connection = ThreadConnection(partial(sqlite3.connect, database, **options), iter_chunk_size=64)
    connection._thread.daemon = True  # a hung disk must not keep the process alive
    return connection


class InlineConnection:
    """A database in memory: SQLAlchemy's own synchronous connection behind the face of `Connected`."""

    def __init__(self, engine: Engine) -> None:
        self.raw = engine.connect()
        self.dialect = engine.dialect

    async def begin(self) -> None:
        self.raw.begin()

    async def execute(self, statement: Executable, parameters: Any = None) -> CursorResult[Any]:
        return self.raw.execute(statement, parameters)

    async def commit(self) -> None:
        self.raw.commit()

    async def rollback(self) -> None:
        self.raw.rollback()

    async def invalidate(self) -> None:
        """There is no other to replace it with."""

    def query_only(self, on: bool) -> None:
        """Said past SQLAlchemy, which would begin a transaction for it."""
        driver = self.raw.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        driver.execute(f"PRAGMA query_only={on:d}")

    def close(self) -> None:
        self.raw.close()


class InlineEngine:
    """One connection for all, so one unit at a time; a reader's unit finds it refusing writes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection = InlineConnection(engine)
        self._free = asyncio.Lock()

    def run(self, work: Callable[[Connection], None]) -> None:
        """Do and commit `work` with the synchronous connection."""
        work(self._connection.raw)
        self._connection.raw.commit()

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[InlineConnection]:
        async with self._free:
            yield self._connection

    @asynccontextmanager
    async def connect_to_read(self) -> AsyncIterator[InlineConnection]:
        async with self._free:
            self._connection.query_only(True)
            try:
                yield self._connection
            finally:
                self._connection.query_only(False)

    def dispose(self) -> None:
        self._connection.close()
        self._engine.dispose()
