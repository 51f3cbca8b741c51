"""Who may call what. The walk goes over the table of routes itself: a new row is tested at once."""

from __future__ import annotations

import re
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from orchestrator.domain.member import PERMISSIONS, Permission, Role
from tests.web.api.server import PASSWORD, Desk, Seen
from web.identity import FAILURES_MAX, make_token
from web.routes import API, STREAMS
from web.typed import AT_MACHINE, PUBLIC, PageRoute, Route

ROWS: tuple[Route | PageRoute, ...] = (*API, *STREAMS)
CLOSED = [row for row in ROWS if row.permission is not PUBLIC]
GUARDED = [row for row in CLOSED if isinstance(row.permission, Permission)]
OPEN_ADDRESSES = {
    "POST /api/v1/sessions",
    "POST /api/v1/sources/{id}/notify",
    "GET /api/v1/openapi.json",
    "GET /healthz",
    "GET /readyz",
    "GET /metrics",
}


def name_of(row: Route | PageRoute) -> str:
    return f"{row.method} {row.path}"


def address(row: Route | PageRoute, id: UUID | str = "") -> str:
    """With something in each place of it."""
    path = row.path.replace("{id}", str(id or uuid4())).replace("{number}", "1")
    return re.sub(r"\{\w+\}", "any", path)


def test_nothing_is_open_but_what_is_listed_here() -> None:
    assert {name_of(row) for row in ROWS if row.permission is PUBLIC} == OPEN_ADDRESSES


@pytest.mark.parametrize("row", CLOSED, ids=name_of)
async def test_without_credentials_every_closed_route_says_401(desk: Desk, row: Route) -> None:
    if row.permission is AT_MACHINE:  # no credentials of a person help there, only a device's own proof
        machine = await desk.machine()
        seen = await desk.nobody.ask(row.method, address(row, machine.id))
        assert seen.is_problem(403)
        return
    seen = await desk.nobody.ask(row.method, address(row))
    assert seen.is_problem(401, "unauthenticated")
    assert seen.headers["WWW-Authenticate"].startswith("Bearer")


async def test_a_wrong_token_is_as_good_as_none(desk: Desk) -> None:
    member = await desk.person()
    now = desk.clock.now()
    token, text = make_token(member, "short", PERMISSIONS[Role.MEMBER], now, valid=timedelta(hours=1))
    await desk.store.write(lambda unit: unit.add_api_token(token))
    asker = await desk.program_of(member)
    for sent in (text + "x", text[:-1], "etb__", "etb_1_2", "", "x" * 5000, "etb_" + text):
        asker.headers["Authorization"] = f"Bearer {sent}"
        assert (await asker.get("/me")).is_problem(401)
    asker.headers["Authorization"] = f"Basic {text}"
    assert (await asker.get("/me")).is_problem(401)
    asker.headers["Authorization"] = f"Bearer {text}"
    assert (await asker.get("/me")).status == 200
    await desk.clock.advance(3600)
    assert (await asker.get("/me")).is_problem(401)


@pytest.mark.parametrize("row", GUARDED, ids=name_of)
async def test_every_guarded_route_says_403_to_a_token_without_its_scope(desk: Desk, row: Route) -> None:
    scopes = [scope for scope in Permission if scope is not row.permission]
    manager = await desk.program(Role.MANAGER, scopes)
    assert (await manager.ask(row.method, address(row))).is_problem(403, "forbidden")


@pytest.mark.parametrize("role", list(Role))
async def test_every_route_that_a_role_lacks_says_403_to_it(desk: Desk, role: Role) -> None:
    """The token names every scope there is: it cannot give more than its member has."""
    somebody = await desk.program(role, list(Permission))
    lacking = [row for row in GUARDED if row.permission not in PERMISSIONS[role]]
    assert lacking or role is Role.MANAGER
    for row in lacking:
        assert (await somebody.ask(row.method, address(row))).is_problem(403, "forbidden"), name_of(row)


async def test_what_is_anothers_looks_in_every_byte_like_what_is_not_there(desk: Desk) -> None:
    owner, other = await desk.program(), await desk.program()
    job = await owner.job()
    ids = {"files": job["file_id"], "quotes": job["quote_id"], "jobs": job["id"]}
    assert owner.member is not None
    ids["accounts"] = str(owner.member.account_id)

    def alike(a: Seen, b: Seen) -> bool:
        assert a.is_problem(404, "not_found")
        return (a.raw, a.headers["Content-Type"]) == (b.raw, b.headers["Content-Type"])

    for row in API:
        kind = row.path.split("/")[3] if row.path.count("/") > 3 else ""
        mine = row.permission in PERMISSIONS[Role.MEMBER] and "{id}" in row.path
        if mine and kind in ids:
            foreign = await other.ask(row.method, address(row, ids[kind]))
            assert alike(foreign, await other.ask(row.method, address(row))), name_of(row)
    for path, name, kind in (("/quotes", "file_id", "files"), ("/jobs", "quote_id", "quotes")):
        foreign = await other.post(path, {name: ids[kind]})
        assert alike(foreign, await other.post(path, {name: str(uuid4())}))
    assert (await owner.get(f"/jobs/{job['id']}")).json["state"] == job["state"]


async def test_an_address_that_is_no_id_is_not_there(desk: Desk) -> None:
    asker = await desk.program()
    for odd in ("1", "me", "%00", "..%2f", "0" * 5000):
        assert (await asker.get(f"/jobs/{odd}")).is_problem(404), odd


async def test_a_token_of_the_staff_sees_everybodys_jobs_only_where_it_was_given_that(desk: Desk) -> None:
    job = await (await desk.program()).job()
    tech = await desk.person(role=Role.TECH)
    wide = await desk.program_of(tech)
    narrow = await desk.program_of(tech, [Permission.READ])
    assert (await wide.get(f"/jobs/{job['id']}")).status == 200
    assert (await narrow.get(f"/jobs/{job['id']}")).is_problem(404)
    assert (await wide.get("/jobs")).json["items"]
    assert (await narrow.get("/jobs")).json["items"] == []


@pytest.mark.parametrize("field", ["price", "total", "hold", "owner_id", "member_id", "state", "account_id"])
async def test_a_field_that_is_not_ours_is_refused_not_ignored(desk: Desk, field: str) -> None:
    asker = await desk.program()
    quote = await asker.quote()
    for path, body in (("/quotes", {"file_id": quote["file_id"]}), ("/jobs", {"quote_id": quote["id"]})):
        seen = await asker.post(path, body | {field: 1})
        assert seen.is_problem(422, "fields")
        assert [(f["where"], f["rule"]) for f in seen.json["faults"]] == [(field, "field.unknown")]
    assert (await asker.get("/jobs")).json["items"] == []
    nested = await asker.post("/quotes", {"file_id": quote["file_id"], "process": {field: 1}})
    assert [f["where"] for f in nested.json["faults"]] == [f"process.{field}"]


# --- browsers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://lab.example"},
    ],
    ids=str,
)
async def test_another_site_cannot_make_a_browser_ask(desk: Desk, said: dict[str, str]) -> None:
    browser = await desk.browser_of(await desk.person())
    quote = await browser.quote()
    refused = await browser.post("/jobs", {"quote_id": quote["id"]}, headers=said)
    assert refused.is_problem(403, "csrf")
    assert (await browser.get("/jobs")).json["items"] == []
    own = {"Sec-Fetch-Site": "same-origin", "Origin": "http://lab.example"}
    assert (await browser.post("/jobs", {"quote_id": quote["id"]}, headers=own)).status == 201


async def test_another_site_cannot_sign_a_browser_in_or_out(desk: Desk) -> None:
    member = await desk.person()
    browser = await desk.browser_of(member)
    evil = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    body = {"email": member.email, "password": PASSWORD}
    assert (await browser.post("/sessions", body, headers=evil)).is_problem(403, "csrf")
    assert (await browser.ask("DELETE", "/api/v1/sessions/current", headers=evil)).is_problem(403, "csrf")
    assert (await browser.get("/me")).status == 200


async def test_a_session_is_over_when_its_browser_signs_out(desk: Desk) -> None:
    member = await desk.person()
    one, two = await desk.browser_of(member), await desk.browser_of(member)
    gone = await one.ask("DELETE", "/api/v1/sessions/current")
    assert (gone.status, gone.raw) == (204, b"")
    assert 'etabli=""' in gone.headers["Set-Cookie"]
    assert (await one.get("/me")).is_problem(401)
    assert (await two.get("/me")).json["email"] == member.email


async def test_a_session_is_over_when_it_was_idle_for_long(desk: Desk) -> None:
    browser = await desk.browser_of(await desk.person())
    await desk.clock.advance(11 * 3600)
    assert (await browser.get("/me")).status == 200
    await desk.clock.advance(11 * 3600)
    assert (await browser.get("/me")).status == 200
    await desk.clock.advance(12 * 3600 + 1)
    assert (await browser.get("/me")).is_problem(401)


async def test_the_cookie_cannot_be_read_by_scripts_nor_sent_by_other_sites(desk: Desk) -> None:
    member = await desk.person()
    signed = await desk.nobody.post("/sessions", {"email": member.email, "password": PASSWORD})
    said = {part.strip().lower() for part in signed.headers["Set-Cookie"].split(";")[1:]}
    assert {"httponly", "samesite=lax", "path=/"} <= said
    assert "password" not in signed.json


# --- signing in --------------------------------------------------------------------------------------


async def test_an_unknown_address_and_a_wrong_password_get_the_same_answer(desk: Desk) -> None:
    member = await desk.person()
    wrong = await desk.nobody.post("/sessions", {"email": member.email, "password": "not this one here"})
    unknown = await desk.nobody.post("/sessions", {"email": "nobody@example.org", "password": PASSWORD})
    assert wrong.is_problem(401, "credentials")
    assert wrong.raw == unknown.raw


async def test_somebody_disabled_is_nobody_at_once(desk: Desk) -> None:
    away = await desk.person(active=False)
    seen = await desk.nobody.post("/sessions", {"email": away.email, "password": PASSWORD})
    assert seen.is_problem(401, "credentials")
    assert (await (await desk.program_of(away)).get("/me")).is_problem(401)


async def test_who_fails_too_often_waits_and_is_told_how_long(desk: Desk) -> None:
    member = await desk.person()
    for _ in range(FAILURES_MAX["here"]):
        wrong = {"email": member.email, "password": "not this one here"}
        assert (await desk.nobody.post("/sessions", wrong)).is_problem(401)
    right = {"email": member.email, "password": PASSWORD}
    blocked = await desk.nobody.post("/sessions", right)
    assert blocked.is_problem(429, "sign_in.throttled")
    wait = int(blocked.headers["Retry-After"])
    assert 0 < wait <= 15 * 60 + 1
    other = await desk.person()
    assert (await desk.nobody.post("/sessions", {"email": other.email, "password": PASSWORD})).status == 201
    await desk.clock.advance(wait)
    assert (await desk.nobody.post("/sessions", right)).status == 201


async def test_a_password_that_is_wrong_in_form_is_never_shown_again(desk: Desk) -> None:
    seen = await desk.nobody.post("/sessions", {"email": 7, "password": ["hunter2-hunter2"]})
    assert seen.is_problem(422, "fields")
    assert b"hunter2" not in seen.raw
    assert {f["where"] for f in seen.json["faults"]} == {"email", "password"}
