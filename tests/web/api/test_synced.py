"""Members, organisations and trainings, as booking systems tell of them; what they must not tell, and what is kept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from orchestrator.domain.member import Role
from tests.web.api.bookingworld import SYSTEM, World, a_world, named

SIREN = "732829320"  # passes its checksum
CAMILLE: dict[str, Any] = {"email": "camille@example.org", "name": "Camille"}


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with a_world(tmp_path) as made:
        yield made


async def test_telling_the_same_twice_writes_nothing(world: World) -> None:
    first, again = await world.tell("1", **CAMILLE), await world.tell("1", **CAMILLE)

    assert (first.status, again.status) == (201, 200)
    assert first.json == again.json
    assert await world.topics("member.") == ["member.synced"]


async def test_an_address_is_a_secret_that_a_system_may_keep(world: World) -> None:
    told = [await world.tell(name) for name in ("a1", "A1")]

    assert [t.status for t in told] == [201, 201], "names that differ in case alone are two"
    assert [t.json["email"] for t in told] == ["", ""]


async def test_a_member_who_has_an_account_and_no_system_yet_is_recognised(world: World) -> None:
    member = await world.desk.person(email="sam@example.org")

    told = await world.tell("7", email="SAM@example.org ")

    assert (told.status, told.json["id"]) == (200, str(member.id))


async def test_nobody_takes_over_whom_another_name_means(world: World) -> None:
    await world.tell("1", **CAMILLE)

    for path in (f"/members/{SYSTEM}/2", "/members/other/1"):
        refused = await world.put(path, CAMILLE)
        assert refused.is_problem(409, "member.email")
        assert refused.json["faults"][0]["remedy"]
    assert (await world.booking.get("/members/other/1")).status == 404


@pytest.mark.parametrize("role", [Role.TECH, Role.MANAGER, Role.BOOKING])
async def test_staff_is_changed_by_no_booking_system(world: World, role: Role) -> None:
    staff = await world.desk.person(role=role, email="alex@example.org")
    await world.desk.store.write(lambda unit: unit.put_external("member", SYSTEM, "staff", staff.id))

    assert (await world.tell("9", email="alex@example.org")).is_problem(409, "member.staff")
    assert (await world.tell("staff", active=False)).is_problem(409, "member.staff")
    assert (await world.delete(f"/members/{SYSTEM}/staff")).is_problem(409, "member.staff")
    training = await world.put(f"/entitlements/{SYSTEM}/staff/laser", {})
    assert training.is_problem(409, "member.staff")
    assert await world.desk.store.read(lambda unit: unit.member(staff.id)) == staff


@pytest.mark.parametrize(
    "extra",
    [
        {"role": "manager"},
        {"balance": 100},
        {"state": "active"},
        {"account_id": "0" * 32},
        {"password": "x"},
        {"version": 9},
        {"id": "1"},
    ],
)
async def test_what_is_not_theirs_to_say_is_an_unknown_field(world: World, extra: dict[str, Any]) -> None:
    refused = await world.tell("1", **CAMILLE, **extra)

    assert refused.is_problem(422)
    assert refused.rules == ["field.unknown"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"email": "no address"},
        {"email": "a@b\u0007c.org"},
        {"email": "x@none.invalid"},
        {"public": "queen"},
        {"active": "yes"},
        {"active_until": "2027-01-01T00:00:00"},
        {"active_until": {"local": "2026-03-29T02:30", "zone": "Europe/Paris"}},
        {"locale": "de"},
        {"organisation": {"system": SYSTEM}},
        {"name": "x" * 201},
    ],
)
async def test_a_member_who_cannot_be_is_refused(world: World, wrong: dict[str, Any]) -> None:
    assert (await world.tell("1", **wrong)).is_problem(422)


async def test_erasing_takes_who_they_were_and_keeps_what_they_owe(world: World) -> None:
    member = await world.desk.person(email="camille@example.org", name="Camille")
    await world.tell("1", **CAMILLE)
    await world.book("r", member=named("1"), note="for Camille")

    assert (await world.delete(f"/members/{SYSTEM}/1")).status == 204

    store = world.desk.store
    gone = await store.read(lambda unit: unit.member(member.id))
    assert gone is not None
    assert "camille" not in f"{gone.email} {gone.name}".casefold()
    assert (gone.active, gone.password_hash) == (False, "")
    assert await store.read(lambda unit: unit.entitlements(member.id)) == []
    balance = await store.read(lambda unit: unit.balance(member.account_id))
    assert balance.posted.cents == 100_000
    window = (await world.booking.get(f"/reservations/{SYSTEM}/r")).json
    assert (window["state"], window["note"], window["member"]) == ("cancelled", "", [])
    assert (await world.booking.get(f"/members/{SYSTEM}/1")).status == 404
    assert await store.verify() == ()


@pytest.mark.parametrize(
    "siren", ["732829321", "73282932", "7328293200", "73282932x", "٧٣٢٨٢٩٣٢٠", "000000001"]
)
async def test_a_siren_has_its_checksum(world: World, siren: str) -> None:
    path = f"/organisations/{SYSTEM}/acme"

    assert (await world.put(path, {"name": "Acme", "siren": siren})).rules == ["organisation.siren"]
    assert (await world.put(path, {"name": "Acme", "siren": f" {SIREN[:3]} {SIREN[3:]}"})).status == 201


async def test_a_training_wakes_the_queue_and_is_taken_back(world: World) -> None:
    await world.tell("1")
    path = f"/entitlements/{SYSTEM}/1/laser"
    body = {"until": "2027-01-01T00:00:00+01:00", "level": "supervised", "training": "laser-1"}

    made, again = await world.put(path, body), await world.put(path, body)

    assert (made.status, again.status) == (201, 200)
    assert made.json["until"] == "2026-12-31T23:00:00.000Z"
    assert (await world.delete(path)).status == 204
    assert (await world.booking.get(path)).status == 404
    assert await world.topics("entitlement.") == ["entitlement.changed", "entitlement.dropped"]
