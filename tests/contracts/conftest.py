"""The stores that one contract suite runs against: in memory, SQLite in a file, PostgreSQL.

`store` is open and empty; `url` and `open_store` are for tests about several processes, which a database in memory
cannot have.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from orchestrator.clock import SystemClock
from orchestrator.store.schema import migrate
from orchestrator.store.sql import SqlStore

OpenStore = Callable[[], Awaitable[SqlStore]]
POSTGRES = pytest.param("postgresql", marks=pytest.mark.peers)


def _address(kind: str, request: pytest.FixtureRequest, directory: Path) -> str:
    if kind == "memory":
        return "sqlite://"
    if kind == "sqlite":
        return f"sqlite:///{directory / 'etabli.db'}"
    address: str = request.getfixturevalue("postgres_url")
    return address


@pytest_asyncio.fixture(params=["memory", "sqlite", POSTGRES])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SqlStore]:
    """An open store with nothing in it."""
    address = _address(request.param, request, tmp_path)
    if request.param != "memory":
        await migrate(address)
    opened = await SqlStore.open(address, SystemClock())
    yield opened
    await opened.close()


@pytest_asyncio.fixture(params=["sqlite", POSTGRES])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database with the newest schema."""
    address = _address(request.param, request, tmp_path)
    await migrate(address)
    return address


@pytest_asyncio.fixture
async def open_store(url: str) -> AsyncIterator[OpenStore]:
    """Opens the same database again and again, each time as another process would."""
    opened: list[SqlStore] = []

    async def another() -> SqlStore:
        opened.append(await SqlStore.open(url, SystemClock()))
        return opened[-1]

    yield another
    for one in opened:
        await one.close()
