"""Keys for programs by API: made by people with their password, never by a program; shown once; gone when revoked."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from orchestrator.domain.member import Permission, Role
from tests.web.api.server import PASSWORD, V1, Desk, Program

WISH: dict[str, Any] = {"name": "till", "scopes": ["jobs:read"], "password": PASSWORD}


async def somebody(desk: Desk, role: Role = Role.MEMBER) -> Program:
    return await desk.browser_of(await desk.person(role=role))


async def test_a_key_is_said_once_works_and_is_revoked(desk: Desk) -> None:
    browser = await somebody(desk)

    made = await browser.post("/tokens", WISH | {"expires_in_days": 30})

    assert made.status == 201
    program = Program(
        http=desk.http, base=desk.base, headers={"Authorization": f"Bearer {made.json['token']}"}
    )
    assert (await program.get("/jobs")).status == 200
    assert (await program.post("/quotes", {})).is_problem(403, "forbidden")
    (listed,) = (await browser.get("/tokens")).json["items"]
    assert "token" not in listed
    assert (listed["id"], listed["scopes"], listed["used_at"]) == (made.json["id"], ["jobs:read"], None)
    address = f"{V1}/tokens/{listed['id']}"
    assert (await browser.ask("DELETE", address, json={"password": "no"})).is_problem(401, "credentials")
    assert (await browser.ask("DELETE", address, json={"password": PASSWORD})).status == 204
    assert (await program.get("/jobs")).is_problem(401)
    assert (await browser.get("/tokens")).json["items"] == []


async def test_a_key_ends_when_it_was_said_to(desk: Desk) -> None:
    made = await (await somebody(desk)).post("/tokens", WISH | {"expires_in_days": 1})
    program = Program(
        http=desk.http, base=desk.base, headers={"Authorization": f"Bearer {made.json['token']}"}
    )
    await desk.clock.advance(timedelta(days=1).total_seconds())

    assert (await program.get("/me")).is_problem(401)


async def test_a_key_makes_lists_and_revokes_no_keys_whatever_it_may_do(desk: Desk) -> None:
    manager = await desk.program(Role.MANAGER, list(Permission))

    assert (await manager.post("/tokens", WISH)).is_problem(403, "token.session")
    assert (await manager.get("/tokens")).is_problem(403, "token.session")
    revoked = await manager.ask("DELETE", f"{V1}/tokens/ab12", json={"password": PASSWORD})
    assert revoked.is_problem(403, "token.session")
    assert len(await desk.store.read(lambda unit: unit.api_tokens())) == 1


@pytest.mark.parametrize(
    ("wrong", "status", "code"),
    [
        ({"password": "no"}, 401, "credentials"),
        ({"name": ""}, 422, "fields"),
        ({"name": "x\ny"}, 422, "fields"),
        ({"scopes": []}, 422, "fields"),
        ({"scopes": ["admin"]}, 422, "fields"),
        ({"scopes": ["root"]}, 422, "fields"),
        ({"expires_in_days": 0}, 422, "fields"),
        ({"expires_in_days": 100_000}, 422, "fields"),
        ({"more": 1}, 422, "fields"),
    ],
)
async def test_a_key_that_cannot_be_is_not_made(
    desk: Desk, wrong: dict[str, Any], status: int, code: str
) -> None:
    browser = await somebody(desk)

    assert (await browser.post("/tokens", WISH | wrong)).is_problem(status, code)
    assert await desk.store.read(lambda unit: unit.api_tokens()) == []


async def test_a_password_is_not_guessed_through_this_door(desk: Desk) -> None:
    browser = await somebody(desk)
    for _ in range(8):
        await browser.post("/tokens", WISH | {"password": "not this one"})

    assert (await browser.post("/tokens", WISH)).is_problem(429, "sign_in.throttled")


async def test_another_members_key_looks_like_none(desk: Desk) -> None:
    made = (await (await somebody(desk)).post("/tokens", WISH)).json
    other = await somebody(desk)

    assert (await other.get("/tokens")).json["items"] == []
    gone = await other.ask("DELETE", f"{V1}/tokens/{made['id']}", json={"password": PASSWORD})
    assert gone.is_problem(404)
    assert (await other.post("/tokens", WISH | {"member_id": made["member_id"]})).is_problem(404)


async def test_a_colour_is_asked_for_and_said_back(desk: Desk) -> None:
    program = await desk.program()

    plain = await program.quote(process={})
    red = await program.quote(process={"colour": "red"})

    assert (plain["process"]["colour"], red["process"]["colour"]) == (None, "red")
    assert plain["total"] == red["total"]
    file_id = red["file_id"]
    wrong = await program.post("/quotes", {"file_id": file_id, "process": {"colour": "mauve"}})
    assert wrong.is_problem(422, "fields")
