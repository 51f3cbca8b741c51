"""One way into the database: the engines, and what each of their connections is told first (promises M1).

SQLite has one writer, which takes its lock when it begins, and readers that cannot write. PostgreSQL has one pool.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from orchestrator.domain.errors import Misconfigured
from orchestrator.store.wire import Connected, InlineEngine, thread_connection

SQLITE_READERS = 4
POSTGRES_CONNECTIONS = 10
WAIT_FOR_CONNECTION_SECONDS = 30

_SQLITE = ("PRAGMA foreign_keys=ON", "PRAGMA trusted_schema=OFF")
_POSTGRES = {
    "lock_timeout": "5000",
    "idle_in_transaction_session_timeout": "10000",
    "synchronous_commit": "on",
    "timezone": "UTC",
}


Opens = Callable[[], AbstractAsyncContextManager[Connected]]


@dataclass(frozen=True, kw_only=True)
class Engines:
    """`writer` and `reader` open a connection for one unit of work; `memory` is there for a database in memory."""

    url: URL
    writer: Opens
    reader: Opens
    pools: tuple[AsyncEngine, ...] = ()
    memory: InlineEngine | None = None

    @property
    def is_postgres(self) -> bool:
        return self.url.get_backend_name() == "postgresql"

    async def dispose(self) -> None:
        for pool in self.pools:
            await pool.dispose()
        if self.memory is not None:
            self.memory.dispose()


def database_url(address: str) -> URL:
    """`sqlite:///file`, `sqlite:///:memory:` or `postgresql://…`, with our driver. Raises Misconfigured for
    any other."""
    try:
        url = make_url(address)
    except ArgumentError as error:
        raise Misconfigured("The database address cannot be read.", code="database.url") from error
    driver = {
        "sqlite": "sqlite+aiosqlite",
        "postgresql": "postgresql+psycopg",
        "postgres": "postgresql+psycopg",
    }
    name = driver.get(url.get_backend_name())
    if name is None:
        raise Misconfigured("The database is either SQLite or PostgreSQL.", code="database.url")
    return url.set(drivername=name)


def open_engines(address: str, *, busy_timeout_ms: int = 5000) -> Engines:
    """Engines for an address; nothing is connected yet."""
    url = database_url(address)
    if url.get_backend_name() == "postgresql":
        pool = _postgres(url)
        snapshots = pool.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        return Engines(url=url, writer=pool.connect, reader=snapshots.connect, pools=(pool,))
    if url.database in (None, "", ":memory:"):
        memory = _memory()
        return Engines(url=url, writer=memory.connect, reader=memory.connect_to_read, memory=memory)
    Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
    writer = _sqlite_file(url, busy_timeout_ms, writes=True)
    reader = _sqlite_file(url, busy_timeout_ms, writes=False)
    return Engines(url=url, writer=writer.connect, reader=reader.connect, pools=(reader, writer))


def migration_engine(address: str) -> AsyncEngine:
    """An engine that may change the schema. SQLite rebuilds a table by dropping it, so there foreign keys are not
    enforced on the way; who uses this checks them before the commit."""
    url = database_url(address)
    if url.get_backend_name() == "postgresql":
        return _postgres(url)
    Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
    return _sqlite_file(url, 30_000, writes=True, foreign_keys=False)


def _sqlite_file(url: URL, busy_timeout_ms: int, *, writes: bool, foreign_keys: bool = True) -> AsyncEngine:
    engine = create_async_engine(
        url,
        pool_size=1 if writes else SQLITE_READERS,
        max_overflow=0,
        pool_timeout=WAIT_FOR_CONNECTION_SECONDS,
        pool_reset_on_return=None,  # every unit commits or rolls back itself
        connect_args={"isolation_level": None, "async_creator_fn": thread_connection},
    )
    own = (
        ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "PRAGMA wal_autocheckpoint=1000")
        if writes
        else ("PRAGMA wal_autocheckpoint=0", "PRAGMA query_only=ON")  # checkpoints are the writer's alone
    )
    _prepare(
        engine.sync_engine, (f"PRAGMA busy_timeout={busy_timeout_ms:d}", *_SQLITE[not foreign_keys :], *own)
    )
    _begin_with(engine.sync_engine, "BEGIN IMMEDIATE" if writes else "BEGIN")
    return engine


def _memory() -> InlineEngine:
    engine = create_engine(
        "sqlite://",
        pool_reset_on_return=None,
        connect_args={"isolation_level": None, "check_same_thread": False},
    )
    _prepare(engine, (*_SQLITE, "PRAGMA synchronous=OFF"))
    _begin_with(engine, "BEGIN")
    return InlineEngine(engine)


def _postgres(url: URL) -> AsyncEngine:
    options = " ".join(f"-c {name}={value}" for name, value in _POSTGRES.items())
    return create_async_engine(
        url,
        pool_size=POSTGRES_CONNECTIONS,
        max_overflow=0,
        pool_timeout=WAIT_FOR_CONNECTION_SECONDS,
        isolation_level="READ COMMITTED",
        connect_args={
            "options": options,
            "connect_timeout": 5,
            "application_name": "etabli",
            "tcp_user_timeout": 10_000,
            "keepalives_idle": 30,
        },
    )


def _prepare(engine: Engine, statements: Iterable[str]) -> None:
    """Have each new connection run `statements` first."""

    def tell(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        for statement in statements:
            cursor.execute(statement)
        cursor.close()

    event.listen(engine, "connect", tell)


def _begin_with(engine: Engine, statement: str) -> None:
    """SQLite's transactions begin as we say, not as the driver guesses."""
    event.listen(engine, "begin", partial(_begin, statement))


def _begin(statement: str, connection: Connection) -> None:
    connection.exec_driver_sql(statement)
