"""The lab, on each database where it matters; and the booking systems beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from orchestrator.store.schema import migrate
from tests.bookings.lab import BookedLab, a_booked_lab
from tests.rigs.fake_fabman import FakeFabman
from tests.rigs.fake_fabmanager import FakeFabManager

POSTGRES = pytest.param("postgresql", marks=pytest.mark.peers)


@pytest_asyncio.fixture
async def booked(tmp_path: Path) -> AsyncIterator[BookedLab]:
    async with a_booked_lab(tmp_path) as lab:
        yield lab


@pytest_asyncio.fixture(params=["sqlite", POSTGRES])
async def stored(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[BookedLab]:
    """The same lab on a database of the kinds that labs have."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'etabli.db'}"
    else:
        url = request.getfixturevalue("postgres_url")
    await migrate(url)
    async with a_booked_lab(tmp_path, url) as lab:
        yield lab


@pytest_asyncio.fixture
async def fabmanager() -> AsyncIterator[FakeFabManager]:
    async with FakeFabManager().serving() as fake:
        yield fake


@pytest_asyncio.fixture
async def fabman() -> AsyncIterator[FakeFabman]:
    async with FakeFabman().serving() as fake:
        yield fake
