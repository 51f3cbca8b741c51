"""Who lets a device stand for a machine, with which key; and who may do without a sensor: two people."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from orchestrator.domain.machine import Machine
from orchestrator.domain.member import Role
from orchestrator.flow.release import KIOSKS_MAX
from tests.web.api.device import (
    AtLaser,
    a_laser,
    at_laser,
    enrolled,
    public_text,
)
from tests.web.api.server import Desk


@pytest_asyncio.fixture
async def here(desk: Desk) -> AsyncIterator[AtLaser]:
    yield await at_laser(desk)


def _wish(machine: Machine, key: str, **other: Any) -> dict[str, Any]:
    return {"machine_id": str(machine.id), "name": "tablet", "public_key": key} | other


async def test_only_staff_lets_a_device_in_sees_them_and_revokes_them(here: AtLaser) -> None:
    key = public_text(ec.generate_private_key(ec.SECP256R1()))
    booking = await here.desk.program(Role.BOOKING)

    for asker in (here.mine, booking):
        assert (await asker.post("/kiosks", _wish(here.laser, key))).is_problem(403)
        assert (await asker.get("/kiosks")).is_problem(403)
        assert (await asker.post(f"/kiosks/{here.device.id}/revoke")).is_problem(403)
    assert (await here.desk.nobody.post("/kiosks", _wish(here.laser, key))).is_problem(401)

    made = await here.tech.post("/kiosks", _wish(here.laser, key))
    listed = (await here.tech.get("/kiosks")).json["items"]

    assert made.status == 201
    assert {one["id"] for one in listed} == {here.device.id, made.json["id"]}
    assert "public_key" not in made.json
    assert len(await here.events("kiosk.enrolled")) == 2


async def test_a_machine_has_devices_enough_until_one_is_revoked(here: AtLaser) -> None:
    for _ in range(KIOSKS_MAX - 1):
        await enrolled(here.desk, here.laser, here.tech)
    key = public_text(ec.generate_private_key(ec.SECP256R1()))

    assert (await here.tech.post("/kiosks", _wish(here.laser, key))).is_problem(409, "kiosk.too_many")
    await here.tech.post(f"/kiosks/{here.device.id}/revoke")
    assert (await here.tech.post("/kiosks", _wish(here.laser, key))).status == 201


async def test_a_device_is_revoked_once_and_one_that_is_not_there_never(here: AtLaser) -> None:
    for _ in range(2):
        assert (await here.tech.post(f"/kiosks/{here.device.id}/revoke")).status == 204
    assert (await here.tech.post(f"/kiosks/{uuid4()}/revoke")).is_problem(404)
    assert len(await here.events("kiosk.revoked")) == 1


def _spki(key: Any) -> str:
    raw = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(raw).decode()


def _with_oid(text: str, old: str, new: str) -> str:
    """The key as it would be if it said another curve or kind."""
    return base64.b64encode(base64.b64decode(text).replace(bytes.fromhex(old), bytes.fromhex(new))).decode()


P256 = public_text(ec.generate_private_key(ec.SECP256R1()))
POINT = base64.b64decode(P256)[-65:]
NO_KEYS: dict[str, str] = {
    "empty": "",
    "no base64": "a key",
    "not ASCII": "é" * 40,
    "blanks in it": P256[:40] + " " + P256[40:],
    "cut": P256[:-8],
    "more behind it": base64.b64encode(base64.b64decode(P256) + b"\0").decode(),
    "P-384": _spki(ec.generate_private_key(ec.SECP384R1())),
    "secp256k1": _spki(ec.generate_private_key(ec.SECP256K1())),
    "Ed25519": _spki(ed25519.Ed25519PrivateKey.generate()),
    "RSA": _spki(rsa.generate_private_key(public_exponent=65537, key_size=1024)),
    "the bare point": base64.b64encode(POINT).decode(),
    "a point off the curve": base64.b64encode(
        base64.b64decode(P256)[:-65] + b"\x04" + bytes(31) + b"\x01" + bytes(31) + b"\x01"
    ).decode(),
    "the point at infinity": base64.b64encode(base64.b64decode(P256)[:-65] + bytes(65)).decode(),
    "an unknown curve": _with_oid(P256, "2a8648ce3d030107", "2a8648ce3d030109"),
    "an unknown kind": _with_oid(P256, "2a8648ce3d0201", "2a8648ce3d0209"),
    "text in PEM": "-----BEGIN PUBLIC KEY-----",
    "no DER": base64.b64encode(b"\x30\x80" + bytes(50)).decode(),
}


@pytest.mark.parametrize("key", NO_KEYS)
async def test_what_is_no_key_of_such_a_device_is_not_let_in(desk: Desk, key: str) -> None:
    machine, tech = await a_laser(desk), await desk.program(Role.TECH)

    seen = await tech.post("/kiosks", _wish(machine, NO_KEYS[key]))

    assert seen.is_problem(422, "kiosk.key")
    assert [(fault["where"], fault["rule"]) for fault in seen.json["faults"]] == [("public_key", "kiosk.key")]


@pytest.mark.parametrize(
    ("other", "status"),
    [
        ({"machine_id": "6b1f0f36-0000-4000-8000-000000000000"}, 404),
        ({"machine_id": "Foucault"}, 422),
        ({"name": ""}, 422),
        ({"name": "x" * 81}, 422),
        ({"public_key": "A" * 401}, 422),
        ({"role": "manager"}, 422),
    ],
)
async def test_an_enrolment_that_is_wrong_is_said_so(desk: Desk, other: dict[str, Any], status: int) -> None:
    machine, tech = await a_laser(desk), await desk.program(Role.TECH)

    assert (await tech.post("/kiosks", _wish(machine, P256, **other))).is_problem(status)


# --- two people -----------------------------------------------------------------------------------


async def test_a_sensor_is_done_without_by_two_people_of_the_staff(here: AtLaser) -> None:
    path, wish = (
        f"/machines/{here.laser.id}/override",
        {"condition": "extractor", "reason": "the relay is dead"},
    )
    second = await here.desk.program(Role.MANAGER)
    await here.readings("extractor")

    assert (await here.mine.post(path, wish)).is_problem(403)
    asked = await here.tech.post(path, wish)
    assert (asked.status, asked.json["stands"]) == (200, False)
    assert (await here.tech.post(path, wish)).is_problem(409, "override.two_people")
    assert (await here.release()).rules == ["condition"]
    confirmed = await second.post(path, {"condition": "extractor"})

    assert (confirmed.status, confirmed.json["stands"]) == (200, True)
    assert confirmed.json["asked_by"] != confirmed.json["confirmed_by"]
    assert (await here.release()).status == 200


async def test_two_tokens_of_one_person_are_one_person(here: AtLaser) -> None:
    path, wish = f"/machines/{here.laser.id}/override", {"condition": "lid", "reason": "why not"}
    assert here.tech.member is not None
    again = await here.desk.program_of(here.tech.member)
    await here.tech.post(path, wish)

    assert (await again.post(path, wish)).is_problem(409, "override.two_people")


@pytest.mark.parametrize(
    ("wish", "status", "rule"),
    [
        ({"condition": "lid", "reason": ""}, 422, "override.reason"),
        ({"condition": "lid", "reason": "   "}, 422, "override.reason"),
        ({"condition": "lid"}, 422, "override.reason"),
        ({"condition": "presence", "reason": "please"}, 422, "override.condition"),
        ({"condition": "", "reason": "please"}, 422, "override.condition"),
        ({"condition": "lid", "reason": "x" * 201}, 422, "field.length"),
    ],
)
async def test_an_override_that_is_wrong_is_said_so(
    here: AtLaser, wish: dict[str, str], status: int, rule: str
) -> None:
    seen = await here.tech.post(f"/machines/{here.laser.id}/override", wish)

    assert seen.is_problem(status)
    assert seen.rules == [rule]


async def test_a_first_who_has_waited_too_long_must_ask_again(here: AtLaser) -> None:
    path, wish = f"/machines/{here.laser.id}/override", {"condition": "lid", "reason": "the switch"}
    second = await here.desk.program(Role.TECH)
    await here.tech.post(path, wish)
    await here.desk.clock.advance(10 * 60 + 1)

    late = await second.post(path, {"condition": "lid", "reason": "the switch"})

    assert (late.status, late.json["stands"], late.json["confirmed_by"]) == (200, False, None)
