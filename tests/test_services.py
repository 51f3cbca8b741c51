"""The real programs answer: if these fail, look at the machine before looking at Établi."""

from __future__ import annotations

import os

import psycopg
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Page
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from tests.conftest import OctoPrints
from tests.services import OctoPrintServer, PostgresCluster, in_ci, missing, wait_until


async def test_postgres_gives_each_test_an_empty_database_of_its_own(postgres_url: str) -> None:
    engine = create_async_engine(postgres_url)
    async with engine.begin() as connection:
        assert (await connection.execute(text("select 1"))).scalar_one() == 1
        tables = await connection.execute(text("select 1 from pg_tables where schemaname = 'public'"))
        assert tables.all() == []
        await connection.execute(text("create table mine (id int)"))
    await engine.dispose()


def test_postgres_databases_are_apart_and_let_their_user_create_more(postgres: PostgresCluster) -> None:
    one, two = postgres.create_database(), postgres.create_database()
    with psycopg.connect(one.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("create table mine (id int)")
        connection.execute("create database beside")
    with psycopg.connect(two.replace("+psycopg", "")) as connection:
        assert connection.execute("select to_regclass('mine')").fetchone() == (None,)


async def test_octoprint_answers_and_its_virtual_printer_is_operational(octoprint: OctoPrintServer) -> None:
    version = await octoprint.get("/api/version")
    connection = await octoprint.get("/api/connection")

    assert version["server"] == "1.11.8"
    assert connection["current"]["state"] == "Operational"


async def test_octoprint_comes_back_after_a_power_cut_at_the_same_place(octoprints: OctoPrints) -> None:
    server = await octoprints()
    url = server.url

    await server.kill()
    assert not server.running
    await server.restart()

    assert server.url == url
    assert (await server.get("/api/connection"))["current"]["state"] == "Operational"


async def test_octoprint_can_be_told_to_lose_its_printer(octoprints: OctoPrints) -> None:
    server = await octoprints()

    await server.debug("action_disconnect")

    async def is_lost() -> bool:
        return bool((await server.get("/api/connection"))["current"]["state"] != "Operational")

    await wait_until(is_lost, deadline_seconds=10)


async def test_chromium_renders_a_page_and_runs_its_script(page: Page) -> None:
    async def greet(request: web.Request) -> web.Response:
        script = "<p id=p>not yet</p><script>p.textContent = 'rendered ' + (20 + 22)</script>"
        return web.Response(text=script, content_type="text/html")

    app = web.Application()
    app.router.add_get("/", greet)
    async with TestServer(app) as server:
        await page.goto(str(server.make_url("/")))
        assert await page.text_content("#p") == "rendered 42"


async def test_waiting_ends_at_its_deadline() -> None:
    async def never() -> bool:
        return False

    with pytest.raises(TimeoutError):
        await wait_until(never, deadline_seconds=0.05)


@pytest.mark.parametrize(
    ("ci", "outcome"),
    [("true", pytest.fail.Exception), ("1", pytest.fail.Exception), ("", pytest.skip.Exception)],
)
def test_what_is_missing_is_skipped_at_the_desk_and_fails_in_ci(
    ci: str, outcome: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "CI", ci)

    assert in_ci() is bool(ci)
    with pytest.raises(outcome, match="no such server"):
        missing("no such server")
