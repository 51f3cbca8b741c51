"""Fixtures that start real programs; all else that a test needs it builds itself.

`postgres_url` is a fresh database, `octoprint` a server shared by the tests of one process, `octoprints`
makes servers that a test may kill, `browser` and `page` are a real Chromium. A test that uses one is marked
for it, so that `-m "not peers and not browser"` runs without any of them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright

from tests.services import CHROMIUM_ARGUMENTS, OctoPrintServer, PostgresCluster, chromium_path, in_ci

OctoPrints = Callable[..., Awaitable[OctoPrintServer]]

# A loaded machine is no reason to fail; in CI the same examples every time, at the desk new ones.
hypothesis.settings.register_profile("etabli", deadline=None, derandomize=in_ci())
hypothesis.settings.load_profile("etabli")

_MARK_OF_FIXTURE = {
    "postgres": pytest.mark.peers,
    "octoprint": pytest.mark.peers,
    "octoprints": pytest.mark.peers,
    "browser": pytest.mark.browser,
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks tests by the programs they use, and keeps those of the shared OctoPrint in one process."""
    for item in items:
        names = getattr(item, "fixturenames", ())
        for name, mark in _MARK_OF_FIXTURE.items():
            if name in names:
                item.add_marker(mark)
        if "octoprint" in names:
            item.add_marker(pytest.mark.xdist_group("octoprint"))


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresCluster]:
    """One throw-away cluster a test process."""
    cluster = PostgresCluster()
    cluster.start()
    yield cluster
    cluster.stop()


@pytest.fixture
def postgres_url(postgres: PostgresCluster) -> str:
    """A fresh, empty database: `postgresql+psycopg://…`."""
    return postgres.create_database()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def octoprint(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[OctoPrintServer]:
    """One OctoPrint for all tests that leave it as they found it: operational and alive."""
    server = OctoPrintServer(basedir=tmp_path_factory.mktemp("octoprint") / "base")
    await server.start()
    yield server
    await server.stop()


@pytest_asyncio.fixture
async def octoprints(tmp_path: Path) -> AsyncIterator[OctoPrints]:
    """Makes started servers that one test may kill: `await octoprints(throttle=0.05)`."""
    servers: list[OctoPrintServer] = []

    async def start(*, throttle: float = 0.001, analysis: str = "idle") -> OctoPrintServer:
        basedir = tmp_path / f"octoprint-{len(servers) + 1}"
        server = OctoPrintServer(basedir=basedir, throttle=throttle, analysis=analysis)
        servers.append(server)
        await server.start()
        return server

    yield start
    for server in servers:
        await server.stop()


@pytest_asyncio.fixture
async def browser() -> AsyncIterator[Browser]:
    """Debian's Chromium, headless."""
    path = chromium_path()
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=path, args=list(CHROMIUM_ARGUMENTS))
        yield started
        await started.close()


@pytest_asyncio.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    """An empty tab of a visitor who was never here: desk-sized, English."""
    context = await browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-GB")
    yield await context.new_page()
    await context.close()
