"""Booking systems by the API: all faults at once, tried, polled, forgotten; and a token never comes out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from orchestrator.domain.member import Role
from tests.builders import NOON
from tests.rigs.fake_fabman import FakeFabman
from tests.rigs.fake_fabmanager import FakeFabManager, hours
from tests.web.api.server import Desk, Program


@pytest_asyncio.fixture
async def fabmanager() -> AsyncIterator[FakeFabManager]:
    async with FakeFabManager().serving() as fake:
        yield fake


@pytest_asyncio.fixture
async def fabman() -> AsyncIterator[FakeFabman]:
    async with FakeFabman().serving() as fake:
        yield fake


@pytest_asyncio.fixture
async def manager(desk: Desk) -> Program:
    await desk.machine("Ada")
    return await desk.program(Role.MANAGER)


def draft(fake: FakeFabManager | FakeFabman, **other: Any) -> dict[str, Any]:
    kind, path = ("fabman", "/api/v1") if isinstance(fake, FakeFabman) else ("fabmanager", "")
    values = {"kind": kind, "system": "fab", "url": fake.base + path, "site": "lab", "secret": fake.token}
    return values | other


async def test_a_system_is_tried_connected_polled_and_forgotten(
    desk: Desk, manager: Program, fabmanager: FakeFabManager
) -> None:
    machine = fabmanager.has_machine("Prusa")
    fabmanager.books(fabmanager.has_user("c@example.org"), machine, *hours(NOON, 2, 3))
    wish = draft(fabmanager, machines={str(machine): "Ada"})

    tried = await manager.post("/sources/test", wish)
    assert (tried.json["code"], tried.json["windows"]) == ("ok", 1)
    assert tried.json["names"] == {str(machine): "Prusa"}
    assert (await manager.get("/sources")).json["items"] == []

    made = await manager.post("/sources", wish)
    assert made.status == 201, made.raw
    polled = await manager.post(f"/sources/{made.json['id']}/poll")
    assert polled.json["found"] == {"code": "ok", "held": 1, "changed": 1, "conflicts": 0, "skipped": 0}

    gone = await manager.ask("DELETE", f"/api/v1/sources/{made.json['id']}")
    assert gone.status == 204
    until = NOON + timedelta(days=1)
    assert await desk.store.read(lambda unit: unit.reservations(NOON, until)) == []


async def test_a_token_goes_in_and_never_comes_out(
    desk: Desk, manager: Program, fabmanager: FakeFabManager
) -> None:
    wish = draft(fabmanager, secret="s3cret-t0ken")
    made = await manager.post("/sources", wish)
    for seen in (made, await manager.get("/sources"), await manager.get(f"/sources/{made.json['id']}")):
        assert b"s3cret-t0ken" not in seen.raw
    assert made.json["has_secret"] is True
    kept = await manager.ask("PUT", f"/api/v1/sources/{made.json['id']}", json=wish | {"secret": None})
    assert kept.json["has_secret"] is True


async def test_a_token_does_not_follow_to_another_address(
    manager: Program, fabmanager: FakeFabManager
) -> None:
    made = await manager.post("/sources", draft(fabmanager))
    change = draft(fabmanager, url="https://elsewhere.example", secret=None)
    seen = await manager.ask("PUT", f"/api/v1/sources/{made.json['id']}", json=change)
    assert seen.is_problem(422, "fields")
    assert seen.rules == ["source.secret_again"]


async def test_all_faults_are_told_at_once(manager: Program) -> None:
    wish = {
        "kind": "fabmanager",
        "system": "Big Name",
        "url": "ftp://x",
        "site": "lab",
        "machines": {"1": "Nobody", "training:3": "Ada", "a b": "Ada"},
        "charges": True,
    }
    seen = await manager.post("/sources", wish)
    assert seen.is_problem(422, "fields")
    assert seen.rules == [
        "source.name",
        "source.url",
        "source.secret",
        "source.charges",
        "source.machine",
        "source.machine",
        "source.machine_key",
    ]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://",
        "https://user:pw@x",
        "http://x:0",
        "http://x y",
        "javascript:1",
        "http://[::1",
        "x" * 2001,
    ],
)
async def test_what_is_no_address_is_refused(manager: Program, url: str) -> None:
    wish = {"kind": "ical", "system": "cal", "url": url, "site": "lab", "machines": {"*": "Ada"}}
    assert (await manager.post("/sources", wish)).status == 422


async def test_two_sources_do_not_share_a_name(manager: Program, fabmanager: FakeFabManager) -> None:
    assert (await manager.post("/sources", draft(fabmanager))).status == 201
    assert (await manager.post("/sources", draft(fabmanager))).is_problem(409, "source.taken")


async def test_only_the_manager_may(desk: Desk, manager: Program, fabmanager: FakeFabManager) -> None:
    made = await manager.post("/sources", draft(fabmanager))
    for role in (Role.MEMBER, Role.TECH, Role.BOOKING):
        other = await desk.program(role)
        assert (await other.get("/sources")).is_problem(403)
        assert (await other.post(f"/sources/{made.json['id']}/poll")).is_problem(403)


async def test_a_poll_that_fails_says_why_and_is_no_error_of_ours(
    manager: Program, fabmanager: FakeFabManager
) -> None:
    made = await manager.post("/sources", draft(fabmanager, secret="wrong"))
    polled = await manager.post(f"/sources/{made.json['id']}/poll")
    assert (polled.status, polled.json["found"]["code"], polled.json["failures"]) == (200, "source.token", 1)


async def test_a_notice_comes_in_by_its_address_only_and_not_without_end(
    desk: Desk, manager: Program, fabman: FakeFabman
) -> None:
    made = await manager.post("/sources", draft(fabman))
    address = made.json["notify_url"].partition("/api/v1")[2]
    body = {"id": 1, "type": "booking_created", "details": {}}
    assert (await desk.nobody.post(address, body)).json == {"heard": True}
    path, _, secret = address.partition("?secret=")
    by_header = await desk.nobody.post(path, body, headers={"X-Etabli-Secret": secret})
    assert by_header.json == {"heard": True}
    for wrong in (path, f"{path}?secret=no", f"{path}?secret="):
        assert (await desk.nobody.post(wrong, body)).is_problem(404)
    statuses = [(await desk.nobody.post(address, body)).status for _ in range(60)]
    assert statuses[-1] == 429
