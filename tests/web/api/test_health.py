"""Is it alive, can it work, its figures, and what every answer tells a browser."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from orchestrator.domain.errors import Unavailable
from orchestrator.ports import Feed, Unit
from orchestrator.store.sql import SqlStore
from tests.fakes.clock import FakeClock
from tests.web.api.server import MEMORY, Desk, a_desk

T = TypeVar("T")


class Away:
    """A database that is reached, until it is not."""

    def __init__(self, behind: SqlStore) -> None:
        self._behind = behind
        self.gone = False

    @property
    def feed(self) -> Feed:
        return self._behind.feed

    async def write(self, work: Callable[[Unit], Awaitable[T]]) -> T:
        return await self._there().write(work)

    async def read(self, work: Callable[[Unit], Awaitable[T]]) -> T:
        return await self._there().read(work)

    def _there(self) -> SqlStore:
        if self.gone:
            raise Unavailable("postgresql://etabli:secret@db is gone", code="database.down")
        return self._behind


async def test_alive_and_ready_need_no_credentials(desk: Desk) -> None:
    assert (await desk.nobody.ask("GET", "/healthz")).json == {"status": "alive"}
    ready = await desk.nobody.ask("GET", "/readyz")
    assert (ready.status, ready.json["status"], ready.json["database"]) == (200, "ready", "ok")


async def test_without_its_database_it_lives_says_that_it_pauses_and_comes_back(tmp_path: Path) -> None:
    clock = FakeClock()
    behind = await SqlStore.open(MEMORY, clock)
    store = Away(behind)
    try:
        async with a_desk(tmp_path, store=store, clock=clock) as desk:
            member = desk.nobody
            store.gone = True
            assert (await member.ask("GET", "/healthz")).status == 200
            for path in ("/readyz", "/metrics"):
                seen = await member.ask("GET", path)
                assert seen.is_problem(503), path
                assert int(seen.headers["Retry-After"]) > 0
            member.headers["Authorization"] = "Bearer etb_1_2"
            closed = await member.get("/jobs")
            assert closed.is_problem(503)
            assert int(closed.headers["Retry-After"]) > 0
            store.gone = False
            assert (await member.ask("GET", "/readyz")).status == 200
    finally:
        await behind.close()


async def test_the_metrics_are_for_loopback(tmp_path: Path) -> None:
    """Who speaks through a proxy that we trust is who the proxy says."""
    async with a_desk(tmp_path, trusted_proxies=("127.0.0.1",)) as desk:
        near = await desk.nobody.ask("GET", "/metrics")
        assert near.status == 200
        assert b"etabli_jobs{" in near.raw
        far = await desk.nobody.ask("GET", "/metrics", headers={"X-Forwarded-For": "192.0.2.7"})
        assert far.is_problem(403, "metrics")


async def test_what_an_untrusted_peer_says_of_its_address_counts_for_nothing(desk: Desk) -> None:
    seen = await desk.nobody.ask("GET", "/metrics", headers={"X-Forwarded-For": "192.0.2.7"})
    assert seen.status == 200


async def test_where_the_metrics_have_a_token_loopback_needs_it_too(tmp_path: Path) -> None:
    async with a_desk(tmp_path, metrics_token="a-long-token") as desk:
        assert (await desk.nobody.ask("GET", "/metrics")).is_problem(403)
        for sent, status in (("Bearer a-long-toke", 403), ("Bearer é", 403), ("Bearer a-long-token", 200)):
            seen = await desk.nobody.ask("GET", "/metrics", headers={"Authorization": sent})
            assert seen.status == status, sent


@pytest.mark.parametrize("path", ["/api/v1/me", "/healthz", "/nothing", "/sign-in", "/static/etabli.css"])
async def test_every_answer_tells_the_browser_what_it_may_do(desk: Desk, path: str) -> None:
    seen = await desk.nobody.ask("GET", path, headers={"Accept": "text/html"})
    assert seen.headers["X-Content-Type-Options"] == "nosniff"
    assert seen.headers["Referrer-Policy"] == "same-origin"
    assert "frame-ancestors 'none'" in seen.headers["Content-Security-Policy"]
    assert "'unsafe-inline'" not in seen.headers["Content-Security-Policy"]
    assert "'unsafe-eval'" not in seen.headers["Content-Security-Policy"]
    assert "aiohttp" not in seen.headers.get("Server", "").lower()
    assert seen.headers["Cache-Control"]


async def test_answers_of_the_api_are_kept_by_nobody(desk: Desk) -> None:
    asker = await desk.program()
    for path in ("/me", "/jobs", "/nothing"):
        assert (await asker.get(path)).headers["Cache-Control"] == "no-store"


async def test_over_https_the_cookie_and_the_browser_stay_there(tmp_path: Path) -> None:
    async with a_desk(tmp_path, secure_cookies=True) as desk:
        signed = await desk.browser_of(await desk.person())
        assert signed.headers["Cookie"].startswith("__Host-etabli=")
        seen = await signed.get("/me")
        assert seen.status == 200
        assert "max-age" in seen.headers["Strict-Transport-Security"]
