"""Manners of the API, whatever is asked: states named by ETag, keys that make a request happen once, a pace."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
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
from web.once import once
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


def test_every_post_takes_a_key_but_what_devices_say_files_and_signing_in() -> None:
    without = {row.path.removeprefix(V1) for row in API if row.method == "POST" and not row.takes_key}

    at_machines = {
        f"/machines/{{id}}/{name}"
        for name in ("release", "heartbeat", "readings", "clear-here", "close", "judge")
    }
    assert without == {"/sessions", "/files"} | at_machines
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
