"""Manners of the API, whatever is asked: states named by ETag, keys that make a request happen once, a pace."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from orchestrator.domain.answer import Claim
from orchestrator.domain.errors import Conflict
from orchestrator.domain.member import Permission, Role
from orchestrator.domain.tariff import tariff_a
from orchestrator.flow.lab import Lab
from orchestrator.ports import Feed, Unit
from orchestrator.store.schema import migrate
from orchestrator.store.sql import SqlStore
from tests.builders import an_event
from tests.fakes.clock import FakeClock
from tests.web.api.server import MEMORY, V1, Desk, Program, a_desk
from web.errors import TooMany
from web.once import once
from web.pace import KNOWN_MAX, Pace
from web.routes import API
from web.typed import Route, tags_of

T = TypeVar("T")
HOURS = "/sites/lab/calendar"


# --- the state that somebody saw ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "strong", "weak"),
    [
        ("", (), ()),
        ("*", ("*",), ("*",)),
        ('"1"', ("1",), ("1",)),
        ("1", ("1",), ("1",)),
        ('W/"1"', ("",), ("1",)),
        ('"a" , W/"b"', ("a", ""), ("a", "b")),
        ('"unclosed', ("",), ("",)),
        ('"a"*', ("a",), ("a",)),
        ("é !", ("",), ("",)),
    ],
)
def test_tags_are_read_as_they_are_written(
    header: str, strong: tuple[str, ...], weak: tuple[str, ...]
) -> None:
    assert tags_of(header) == strong
    assert tags_of(header, weak=True) == weak


def test_a_header_of_commas_costs_nothing() -> None:
    assert tags_of(", " * 100_000 + '"1"') == ("",)


async def test_what_has_not_changed_is_not_sent_again(desk: Desk) -> None:
    machine = await desk.machine()
    asker = await desk.program()
    job = await asker.job()
    for path in (f"/jobs/{job['id']}", f"/machines/{machine.id}"):
        first = await asker.get(path)
        assert first.headers["ETag"].startswith('"')
        again = await asker.get(path, headers={"If-None-Match": f'W/"x", {first.headers["ETag"]}'})
        assert (again.status, again.raw) == (304, b"")
        assert again.headers["ETag"] == first.headers["ETag"]


async def test_what_has_changed_is_sent_again_under_another_tag(desk: Desk) -> None:
    machine = await desk.machine()
    staff = await desk.program(Role.TECH)
    path = f"/machines/{machine.id}"
    first = await staff.get(path)
    await staff.post(f"{path}/hold", {"reason": "belt"})

    again = await staff.get(path, headers={"If-None-Match": first.headers["ETag"]})

    assert again.status == 200
    assert again.headers["ETag"] != first.headers["ETag"]


async def test_a_program_may_keep_an_answer_but_a_shared_browser_may_not(desk: Desk) -> None:
    machine = await desk.machine()
    program = await desk.program()
    browser = await desk.browser_of(await desk.person())

    assert (await program.get(f"/machines/{machine.id}")).headers["Cache-Control"] == "private, no-cache"
    assert (await browser.get(f"/machines/{machine.id}")).headers["Cache-Control"] == "no-store"


async def test_hours_are_set_only_on_what_was_seen(desk: Desk) -> None:
    manager = await desk.program(Role.MANAGER)
    seen = await manager.get(HOURS)
    assert seen.headers["ETag"] == '"0"'

    first = await manager.ask("PUT", V1 + HOURS, json={}, headers={"If-Match": seen.headers["ETag"]})
    assert (first.status, first.headers["ETag"]) == (200, '"1"')
    late = await manager.ask("PUT", V1 + HOURS, json={"unattended": False}, headers={"If-Match": '"0"'})

    assert late.is_problem(412, "precondition")
    assert (await manager.get(HOURS)).json["unattended"] is True
    for condition in ({}, {"If-Match": "*"}, {"If-Match": '"x", "2"'}):
        seen = await manager.ask("PUT", V1 + HOURS, json={}, headers=condition)
        assert seen.status == (200 if condition != {"If-Match": '"x", "2"'} else 412)


async def test_of_two_who_saw_the_same_hours_one_sets_them(desk: Desk) -> None:
    manager = await desk.program(Role.MANAGER)

    seen = await asyncio.gather(
        *(manager.ask("PUT", V1 + HOURS, json={}, headers={"If-Match": '"0"'}) for _ in range(4))
    )

    assert sorted(one.status for one in seen) == [200, 412, 412, 412]
    assert all(one.status == 200 or one.is_problem(412, "precondition") for one in seen)


# --- once under one key ---------------------------------------------------------------------------


def under(key: str) -> dict[str, Any]:
    return {"headers": {"Idempotency-Key": key}}


async def plan(desk: Desk, asker: Program) -> dict[str, str]:
    """A wish that can be priced again and again, each time as another quote."""
    return {"file_id": (await asker.upload(b"solid x")).json["id"]}


async def test_what_is_asked_again_under_its_key_is_done_once_and_answered_the_same(desk: Desk) -> None:
    asker = await desk.program()
    wish = await plan(desk, asker)

    first = await asker.post("/quotes", wish, **under("a"))
    again = await asker.post("/quotes", wish, **under("a"))
    other = await asker.post("/quotes", wish, **under("b"))

    assert (first.status, again.status, again.json) == (201, 201, first.json)
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert other.json["id"] != first.json["id"]


async def test_a_key_of_something_else_is_refused(desk: Desk) -> None:
    asker = await desk.program()
    wish = await plan(desk, asker)
    await asker.post("/quotes", wish, **under("a"))

    seen = await asker.post("/quotes", wish | {"quantity": 2}, **under("a"))

    assert seen.is_problem(422, "idempotency.reused")


async def test_of_many_at_once_with_one_key_one_is_done_and_nobody_else_does_it_too(desk: Desk) -> None:
    asker = await desk.program()
    wish = await plan(desk, asker)

    seen = await asyncio.gather(*(asker.post("/quotes", wish, **under("a")) for _ in range(8)))

    good = [one for one in seen if one.status == 201]
    assert sum("Idempotent-Replayed" not in one.headers for one in good) == 1
    assert len({one.json["id"] for one in good}) == 1
    assert all(one.status == 201 or one.is_problem(409, "idempotency.running") for one in seen)


async def test_what_was_refused_frees_its_key(desk: Desk) -> None:
    asker = await desk.program()
    wish = await plan(desk, asker)

    assert (await asker.post("/quotes", {"file_id": str(uuid4())}, **under("a"))).is_problem(404)

    assert (await asker.post("/quotes", wish, **under("a"))).status == 201


async def test_an_answer_without_a_body_is_given_again_too(desk: Desk) -> None:
    staff = await desk.program(Role.TECH)
    machine = await desk.machine()
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    body = {"machine_id": str(machine.id), "name": "x", "public_key": base64.b64encode(spki).decode()}
    device = (await staff.post("/kiosks", body)).json

    seen = [await staff.post(f"/kiosks/{device['id']}/revoke", **under("a")) for _ in range(2)]

    assert [(one.status, one.raw) for one in seen] == [(204, b"")] * 2
    assert [one.headers.get("Idempotent-Replayed") for one in seen] == [None, "true"]


async def fingerprint_of(desk: Desk, asker: Program, wish: dict[str, str]) -> str:
    """As the server makes it, read where it is kept."""
    await asker.post("/quotes", wish, **under("probe"))
    assert asker.member is not None
    probe = Claim(
        principal=str(asker.member.id),
        operation=f"POST {V1}/quotes",
        key="probe",
        fingerprint="",
        at=desk.lab.clock.now(),
    )
    known = await desk.store.write(lambda unit: unit.claim(probe))
    assert known is not None
    return known.fingerprint


@pytest.mark.parametrize(
    ("begun", "seconds", "status", "code"),
    [
        (False, 59, 409, "idempotency.running"),
        (False, 60, 201, ""),  # it died before it did anything
        (True, 59, 409, "idempotency.running"),
        (True, 60, 409, "idempotency.unknown"),  # it died and nobody knows what it did
        (True, 72 * 3600, 201, ""),
    ],
)
async def test_who_asks_again_for_what_a_dead_process_left(
    desk: Desk, begun: bool, seconds: float, status: int, code: str
) -> None:
    asker = await desk.program()
    wish = await plan(desk, asker)
    assert asker.member is not None
    claim = Claim(
        principal=str(asker.member.id),
        operation=f"POST {V1}/quotes",
        key="a",
        fingerprint=await fingerprint_of(desk, asker, wish),
        at=desk.lab.clock.now() - timedelta(seconds=seconds),
    )
    await desk.store.write(lambda unit: unit.claim(claim))
    if begun:
        await desk.store.write(lambda unit: unit.begin(claim))

    seen = await asker.post("/quotes", wish, **under("a"))

    assert seen.status == status
    assert not code or seen.is_problem(409, code)


class Breaking:
    """Breaks in the second unit that is written once it is armed, before its commit or after; else works."""

    def __init__(self, behind: SqlStore) -> None:
        self._behind = behind
        self.armed, self.commits = False, False
        self._units = 0

    @property
    def feed(self) -> Feed:
        return self._behind.feed

    async def write(self, work: Callable[[Unit], Awaitable[T]]) -> T:
        self._units += self.armed
        breaks = self.armed and self._units == 2  # the first claims the key
        if breaks and not self.commits:
            raise ZeroDivisionError
        made = await self._behind.write(work)
        if breaks:
            raise ZeroDivisionError
        return made

    async def read(self, work: Callable[[Unit], Awaitable[T]]) -> T:
        return await self._behind.read(work)


@pytest.mark.parametrize("commits", [False, True])
async def test_our_mistake_is_not_kept_under_its_key(tmp_path: Path, commits: bool) -> None:
    clock = FakeClock()
    behind = await SqlStore.open(MEMORY, clock)
    await behind.write(lambda unit: unit.publish_tariff(tariff_a(), clock.now()))
    store = Breaking(behind)
    try:
        async with a_desk(tmp_path, store=store, clock=clock) as opened:
            asker = await replace(opened, store=behind).program()
            wish = await plan(opened, asker)
            store.armed, store.commits = True, commits

            assert (await asker.post("/quotes", wish, **under("a"))).is_problem(500, "internal")

            assert (await asker.post("/quotes", wish, **under("a"))).status == 201
    finally:
        await behind.close()


async def test_what_was_done_before_our_mistake_is_not_done_again(tmp_path: Path) -> None:
    """A handler of our own, which breaks after its change is committed: there is none among the served ones."""
    async with a_desk(tmp_path) as desk:
        asker = await desk.person()

        async def breaks(lab: Lab) -> web.StreamResponse:
            await lab.store.write(lambda unit: unit.emit(an_event("done.once", member_id=asker.id)))
            raise ZeroDivisionError

        route = Route(method="POST", path="/x", handler=breaks, permission=Permission.SUBMIT, summary="")
        request = make_mocked_request("POST", "/x", app=desk.runner.app)
        with pytest.raises(ZeroDivisionError):
            await once(request, route, "a", {}, breaks)
        with pytest.raises(Conflict):
            await once(request, route, "a", {}, breaks)

        seen = await desk.store.read(lambda unit: unit.events(0))
        assert [event.topic for event in seen].count("done.once") == 1


def test_every_post_takes_a_key_but_what_devices_say_hints_files_and_signing_in() -> None:
    without = {row.path.removeprefix(V1) for row in API if row.method == "POST" and not row.takes_key}

    at_machines = {
        f"/machines/{{id}}/{name}"
        for name in ("release", "heartbeat", "readings", "clear-here", "close", "judge")
    }
    hints = {"/sources/{id}/notify"}  # told twice it is asked for once, and nobody in particular tells it
    assert without == {"/sessions", "/files"} | at_machines | hints
    assert not any(row.takes_key for row in API if row.method != "POST")


@pytest.mark.peers
async def test_two_processes_on_postgresql_do_it_once(tmp_path: Path, postgres_url: str) -> None:
    await migrate(postgres_url)
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(a_desk(tmp_path / "one", url=postgres_url))
        store = await SqlStore.open(postgres_url, one.clock)
        stack.push_async_callback(store.close)
        two = await stack.enter_async_context(a_desk(tmp_path / "two", store=store, clock=one.clock))
        asker = await one.program()
        there = replace(asker, http=two.http, base=two.base)
        wish = await plan(one, asker)
        for key in "abcde":
            seen = await asyncio.gather(
                *((asker, there)[turn % 2].post("/quotes", wish, **under(key)) for turn in range(6))
            )

            good = [each for each in seen if each.status == 201]
            assert sum("Idempotent-Replayed" not in each.headers for each in good) == 1
            assert len({each.json["id"] for each in good}) == 1
            assert all(each.status == 201 or each.is_problem(409, "idempotency.running") for each in seen)


# --- a pace ---------------------------------------------------------------------------------------


def emptied(pace: Pace) -> tuple[int, int]:
    """How many were admitted until one was not, and how long that one is to wait."""
    for count in range(200_000):
        try:
            pace.admit("", "10.0.0.1")
        except TooMany as wait:
            return count, wait.retry_after_seconds
    raise AssertionError("there is no end to it")


async def test_a_bucket_is_full_at_first_and_fills_again_all_the_time() -> None:
    clock = FakeClock()
    pace = Pace(60, clock)

    assert emptied(pace) == (60, 1)
    for seconds, admitted in ((0.5, 0), (0.5, 1), (30, 30), (3600, 60)):  # half a request is none
        await clock.advance(seconds)
        assert emptied(pace) == (admitted, 1)


@pytest.mark.parametrize("per_minute", [1, 7, 60, 1200, 100_000])
async def test_who_waits_as_long_as_was_said_is_admitted(per_minute: int) -> None:
    clock = FakeClock()
    pace = Pace(per_minute, clock)
    for _ in range(3):
        _, seconds = emptied(pace)
        await clock.advance(seconds)
        assert emptied(pace)[0] >= 1


def test_an_invented_token_is_its_senders_address() -> None:
    pace = Pace(5, FakeClock())
    for number in range(5):
        pace.admit(f"Bearer {number}", "10.0.0.1")
    with pytest.raises(TooMany):
        pace.admit("Bearer another", "10.0.0.1")
    pace.met("Bearer proven")
    pace.admit("Bearer proven", "10.0.0.1")
    pace.admit("", "10.0.0.2")


def test_a_whole_network_of_a_customer_is_one_address() -> None:
    pace = Pace(2, FakeClock())
    pace.admit("", "2001:db8::1")
    pace.admit("", "2001:db8::2")
    with pytest.raises(TooMany):
        pace.admit("", "2001:db8::3")
    pace.admit("", "2001:db8:0:1::1")
    pace.admit("", "fe80::1%eth0")


def test_a_hundred_thousand_addresses_take_no_more_room_than_ten_thousand() -> None:
    pace = Pace(5, FakeClock())
    for number in range(100_000):
        pace.admit("", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(pace) == KNOWN_MAX


def test_no_pace_is_kept_where_none_is_set() -> None:
    pace = Pace(0, FakeClock())
    for _ in range(10_000):
        pace.admit("", "10.0.0.1")
    assert len(pace) == 0


async def test_too_fast_is_told_when_to_come_back_and_others_are_not_kept(tmp_path: Path) -> None:
    async with a_desk(tmp_path, reads_per_minute=6) as desk:
        one, other = await desk.program(), await desk.program()
        assert {(await one.get("/me")).status for _ in range(7)} == {200}  # its first was its address's

        late = await one.get("/me")

        assert late.is_problem(429, "too_many_requests")
        assert late.headers["Retry-After"] == "10"
        assert (await other.get("/me")).status == 200
        await desk.clock.advance(10)
        assert (await one.get("/me")).status == 200


async def test_what_changes_something_has_a_slower_pace_than_looking(tmp_path: Path) -> None:
    async with a_desk(tmp_path, requests_per_minute=2, reads_per_minute=100) as desk:
        one = await desk.program()
        assert (await one.get("/me")).status == 200

        seen = [(await one.post("/quotes", {})).status for _ in range(3)]

        assert seen == [422, 422, 429]
        assert (await one.get("/me")).status == 200


async def test_strangers_of_an_address_share_its_bucket_and_do_not_silence_machines_health_or_figures(
    tmp_path: Path,
) -> None:
    async with a_desk(tmp_path, reads_per_minute=3) as desk:
        machine = await desk.machine()
        for path in ("/api/v1/openapi.json", "/nowhere", "/api/v1/me"):
            assert (await desk.nobody.ask("GET", path)).status in {200, 401, 404}
        assert (await desk.nobody.ask("GET", "/nowhere")).is_problem(429, "too_many_requests")

        for path in ("/healthz", "/readyz", "/metrics", "/static/etabli.css"):
            assert (await desk.nobody.ask("GET", path)).status == 200
        assert (await desk.nobody.get(f"/machines/{machine.id}/kiosk")).status != 429


async def test_health_is_counted_for_those_who_are_not_on_this_machine(tmp_path: Path) -> None:
    async with a_desk(tmp_path, reads_per_minute=2, trusted_proxies=("127.0.0.1",)) as desk:
        far = {"X-Forwarded-For": "192.0.2.1"}
        seen = [(await desk.nobody.ask("GET", "/readyz", headers=far)).status for _ in range(3)]
        assert seen == [200, 200, 429]


async def test_a_stream_is_one_request_however_long_it_lasts(tmp_path: Path) -> None:
    async with a_desk(tmp_path, reads_per_minute=3, heartbeat_seconds=0.05) as desk:
        asker = await desk.program()
        url = f"{desk.base}{V1}/events"
        async with desk.http.get(url, headers=asker.headers) as answer:
            assert answer.status == 200
            for _ in range(5):
                await desk.store.write(lambda unit: unit.emit(an_event(member_id=asker.member.id)))  # type: ignore[union-attr]
            async with asyncio.timeout(10):
                for _ in range(5):
                    await answer.content.readuntil(b"\n\r\n")
            assert [(await asker.get("/me")).status for _ in range(4)] == [200, 200, 200, 429]


# --- when a token was last used -------------------------------------------------------------------


async def test_the_use_of_a_token_is_written_down_every_five_minutes_and_not_more_often(
    desk: Desk,
) -> None:
    asker = await desk.program()
    assert asker.member is not None
    member_id = asker.member.id

    async def used_at() -> datetime | None:
        (token,) = await desk.store.read(lambda unit: unit.api_tokens(member_id))
        return token.used_at

    assert await used_at() is None
    first = desk.clock.now()
    for seconds, noted in ((0, 0), (200, 0), (99, 0), (1, 300), (299, 300)):
        await desk.clock.advance(seconds)
        assert {one.status for one in await asyncio.gather(*(asker.get("/me") for _ in range(4)))} == {200}
        assert await used_at() == first + timedelta(seconds=noted)


async def test_a_token_that_is_refused_is_not_noted_as_used(desk: Desk) -> None:
    asker = await desk.program()
    assert asker.member is not None
    member_id = asker.member.id
    wrong = replace(asker, headers={"Authorization": asker.headers["Authorization"] + "x"})
    assert (await wrong.get("/me")).is_problem(401)
    (token,) = await desk.store.read(lambda unit: unit.api_tokens(member_id))
    assert token.used_at is None


# --- what the document says of it -----------------------------------------------------------------


async def test_the_document_tells_of_conditions_keys_and_pace_where_they_apply(desk: Desk) -> None:
    paths = (await desk.nobody.get("/openapi.json")).json["paths"]
    for row in API:
        operation = paths[row.path][row.method.lower()]
        names = {each["name"] for each in operation["parameters"] if each["in"] == "header"}
        answers = operation["responses"]
        assert ("Idempotency-Key" in names) == row.takes_key == ("Idempotent-Replayed" in str(answers))
        assert ("If-Match" in names) == (row.etag and row.method != "GET") == ("412" in answers)
        assert ("If-None-Match" in names) == (row.etag and row.method == "GET") == ("304" in answers)
        assert "Retry-After" in answers["429"]["headers"]
