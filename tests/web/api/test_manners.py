"""Manners of the API, whatever is asked: states named by ETag, keys that make a request happen once, a pace."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.domain.member import Role
from tests.web.api.server import V1, Desk
from web.typed import tags_of

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
