"""The SQLite connections that SQLAlchemy drives: a statement and its rows in one hop, not four.

A file's connection works in aiosqlite's thread. A database in memory never waits for a disk, so it answers on the
loop's own thread at once; that also makes a seeded test repeat itself exactly.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Protocol, Self

import aiosqlite

Rows = list[Any]


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


class InlineConnection:
    """A database in memory, on the loop's own thread; the face of aiosqlite's connection, as far as it is used."""

    def __init__(self, database: str) -> None:
        self._connection: sqlite3.Connection | None = sqlite3.connect(
            database, isolation_level=None, check_same_thread=False
        )

    @property
    def raw(self) -> sqlite3.Connection:
        if self._connection is None:
            raise ValueError("no active connection")
        return self._connection

    async def run(self, work: Callable[[], Any]) -> Any:
        return work()

    def cursor(self) -> OneHopCursor:
        return OneHopCursor(self)

    async def commit(self) -> None:
        self.raw.commit()

    async def rollback(self) -> None:
        self.raw.rollback()

    async def create_function(
        self, name: str, count: int, function: Callable[..., Any], **options: Any
    ) -> None:
        self.raw.create_function(name, count, function, **options)

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def stop(self) -> None:
        """The adapter's last resort: close without waiting."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def thread_connection(database: str, **options: Any) -> Awaitable[Any]:
    """A SQLAlchemy `async_creator_fn` for a file; `options` are sqlite3.connect's."""
    connection = ThreadConnection(partial(sqlite3.connect, database, **options), iter_chunk_size=64)
    connection._thread.daemon = True  # a hung disk must not keep the process alive
    return connection


async def inline_connection(database: str, **_options: Any) -> InlineConnection:
    """A SQLAlchemy `async_creator_fn` for `:memory:`."""
    return InlineConnection(database)
