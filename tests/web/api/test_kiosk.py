"""A laser over HTTP: it is released on the device that stands at it, by a person known there, and nowhere else."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from orchestrator.domain.member import Role
from orchestrator.domain.presence import CHECKLIST, PRESENCE_SECONDS_MAX
from orchestrator.domain.run import RunEvent, RunState
from orchestrator.flow.act import REFUSED_A_MINUTE
from tests.builders import a_member
from tests.web.api.device import (
    AtLaser,
    Device,
    a_laser,
    at_laser,
    enrolled,
    train,
)
from tests.web.api.server import HASH, PASSWORD, V1, Desk, Program, Seen
from web.identity import FAILURES_MAX
from web.kiosk import SKEW_SECONDS_MAX

NOBODYS = "6b1f0f36-0000-4000-8000-000000000000"
"""An id that nothing has; the same in every worker that collects these tests."""


@pytest_asyncio.fixture
async def here(desk: Desk) -> AsyncIterator[AtLaser]:
    yield await at_laser(desk)


async def _nothing_was_released(here: AtLaser) -> bool:
    return not await here.released() and not await here.events("run.released")


# --- the way it should go -------------------------------------------------------------------------


async def test_a_run_is_seen_released_and_held_by_heartbeats_on_its_device(here: AtLaser) -> None:
    shown = (await here.device.get()).json
    assert (shown["run"]["id"], shown["file_name"]) == (str(here.run.id), "box-600s-.svg")
    assert (shown["presence_id"], shown["presence_used"], shown["refusals"]) == (None, False, [])
    assert shown["conditions"] == ["lid", "extractor"]

    made = await here.release()

    assert made.status == 200, made.raw
    told = made.json
    assert told["run_id"] == str(here.run.id)
    assert told["heartbeat_seconds"] == 0.5
    presence = await here.desk.store.read(lambda unit: unit.presence_for(here.run.id))
    assert presence is not None
    assert (str(presence.id), presence.member_id) == (told["id"], here.member.id)
    assert (presence.expires_at - presence.issued_at).total_seconds() == PRESENCE_SECONDS_MAX
    assert presence.checklist == CHECKLIST
    (event,) = await here.events("run.released")
    assert (event.run_id, event.actor) == (here.run.id, f"member:{here.member.id}")

    await here.desk.clock.advance(1)
    beat = await here.device.post("heartbeat", {"presence_id": told["id"], "run_id": str(here.run.id)})
    assert beat.status == 200, beat.raw
    after = await here.desk.store.read(lambda unit: unit.presence_for(here.run.id))
    assert after is not None
    assert after.heartbeat_at == here.desk.clock.now()
    assert (await here.device.get()).json["presence_id"] == told["id"]


async def test_a_held_run_is_released_again_on_its_device(here: AtLaser) -> None:
    await here.move(RunEvent.SEND_START, RunEvent.SEEN_RUNNING)
    assert (await here.release()).is_problem(409, "release.refused")

    await here.move(RunEvent.SEEN_PAUSED)

    assert (await here.release()).status == 200


async def test_a_trained_person_clears_the_bed_on_the_device_and_nobody_else(here: AtLaser) -> None:
    person = {"email": here.member.email, "password": PASSWORD}
    untrained = await here.desk.person(role=Role.TECH)
    assert (await here.device.post("clear-here", person)).is_problem(409, "bed.in_use")
    await here.move(RunEvent.SEND_START, RunEvent.SEEN_RUNNING, RunEvent.FINISHED)
    await here.tech.post(f"/machines/{here.laser.id}/occupy")

    no = await here.device.post("clear-here", {"email": untrained.email, "password": PASSWORD})
    yes = await here.device.post("clear-here", person)

    assert no.is_problem(403, "no_training")
    assert yes.status == 200, yes.raw
    assert yes.json["bed"] == "clear"


# --- from elsewhere -------------------------------------------------------------------------------

BODIES: dict[str, bytes] = {
    "a whole one": b"",
    "empty": b"",
    "no JSON": b"{",
    "an unknown field": b'{"force": true}',
    "a wrong type": b'{"run_id": 7}',
    "a list": b"[]",
    "not text": b"\xff\xfe",
}


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("who", ["nobody", "the member", "a technician", "a manager"])
async def test_a_start_from_elsewhere_is_forbidden_and_kept_whatever_is_sent(
    desk: Desk, who: str, body: str
) -> None:
    here = await at_laser(desk)
    callers = {"nobody": desk.nobody, "the member": here.mine, "a technician": here.tech}
    asker = callers.get(who) or await desk.program(Role.MANAGER)
    raw = json.dumps(here.body()).encode() if body == "a whole one" else BODIES[body]

    seen = await _plain(asker, here, raw)

    assert seen.is_problem(403, "laser.remote_start")
    (kept,) = await here.events("release.refused")
    assert kept.machine_id == here.laser.id
    assert kept.data["why"] == "kiosk.none"
    expected = "anonymous" if asker.member is None else f"member:{asker.member.id}"
    assert kept.actor == expected
    assert await _nothing_was_released(here)


async def _plain(asker: Program, here: AtLaser, raw: bytes, **headers: str) -> Seen:
    path = f"{V1}/machines/{here.laser.id}/release"
    return await asker.ask("POST", path, data=raw, headers={"Content-Type": "application/json"} | headers)


async def test_a_signed_in_browser_is_elsewhere_too(here: AtLaser) -> None:
    browser = await here.desk.browser_of(here.member)

    seen = await _plain(browser, here, json.dumps(here.body()).encode())

    assert seen.is_problem(403, "laser.remote_start")
    assert len(await here.events("release.refused")) == 1


async def test_nothing_at_a_machine_can_be_said_without_its_device(here: AtLaser) -> None:
    for name in ("heartbeat", "readings", "clear-here", "judge"):
        for asker in (here.desk.nobody, here.mine, here.tech):
            seen = await asker.post(f"/machines/{here.laser.id}/{name}", {})
            assert seen.is_problem(403, "kiosk.none"), name
    assert (await here.tech.get(f"/machines/{here.laser.id}/kiosk")).is_problem(403, "kiosk.none")


@pytest.mark.parametrize("machine", [NOBODYS, "foucault", "0"])
async def test_a_machine_that_is_not_there_is_released_by_nobody(here: AtLaser, machine: str) -> None:
    assert (await here.mine.post(f"/machines/{machine}/release", here.body())).is_problem(404)


@pytest.mark.parametrize("who", ["the member", "a technician", "a manager"])
async def test_a_held_laser_goes_on_for_nobody_who_is_elsewhere(desk: Desk, who: str) -> None:
    here = await at_laser(desk)
    await here.move(RunEvent.SEND_START, RunEvent.SEEN_RUNNING, RunEvent.SEEN_PAUSED)
    askers = {"the member": here.mine, "a technician": here.tech}
    asker = askers.get(who) or await desk.program(Role.MANAGER)

    seen = await asker.post(f"/jobs/{here.job_id}/resume")

    assert seen.is_problem(403, "laser.remote_start")
    (kept,) = await here.events("release.refused")
    assert asker.member is not None
    assert (kept.actor, kept.run_id) == (f"member:{asker.member.id}", here.run.id)
    assert not await here.events("run.resume_requested")


async def test_a_flood_of_starts_from_elsewhere_is_refused_and_only_some_of_it_kept(here: AtLaser) -> None:
    for _ in range(4):
        for _ in range(20):
            seen = await _plain(here.desk.nobody, here, b"{}")
            assert seen.is_problem(403, "laser.remote_start")
        await here.desk.clock.advance(20)

    await here.desk.clock.advance(40)
    assert (await _plain(here.mine, here, b"{}")).is_problem(403, "laser.remote_start")

    kept = await here.events("release.refused")
    assert [event.actor for event in kept] == ["anonymous"] * 10 + [f"member:{here.member.id}"]
    since = [(event.at - kept[0].at).total_seconds() for event in kept]
    assert since == [0.0] * 5 + [60.0] * 5 + [120.0]


async def test_many_at_once_from_elsewhere_are_kept_no_more_often(here: AtLaser) -> None:
    every = await asyncio.gather(*(_plain(here.mine, here, b"{}") for _ in range(12)))

    assert all(seen.is_problem(403, "laser.remote_start") for seen in every)
    assert len(await here.events("release.refused")) == REFUSED_A_MINUTE


async def test_who_asks_a_held_laser_to_go_on_again_and_again_is_kept_some_times(here: AtLaser) -> None:
    await here.move(RunEvent.SEND_START, RunEvent.SEEN_RUNNING, RunEvent.SEEN_PAUSED)

    for _ in range(12):
        seen = await here.mine.post(f"/jobs/{here.job_id}/resume")
        assert seen.is_problem(403, "laser.remote_start")
    assert (await _plain(here.mine, here, b"{}")).is_problem(403, "laser.remote_start")

    kept = await here.events("release.refused")
    assert [event.run_id for event in kept] == [here.run.id] * REFUSED_A_MINUTE


# --- proofs that are none -------------------------------------------------------------------------


async def _refused(here: AtLaser, seen: Seen, why: str) -> None:
    assert seen.is_problem(403, "laser.remote_start")
    assert [event.data["why"] for event in await here.events("release.refused")][-1:] == [why]
    assert await _nothing_was_released(here)


async def test_another_key_is_not_the_devices(here: AtLaser) -> None:
    thief = Device(desk=here.desk, machine_id=here.laser.id, id=here.device.id)

    await _refused(here, await thief.post("release", here.body()), "kiosk.signature")


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "AAAA",
        "no base64!",
        base64.b64encode(bytes(64)).decode(),
        base64.b64encode(b"\xff" * 64).decode(),
        base64.b64encode(bytes(63)).decode(),
        base64.b64encode(bytes(65)).decode(),
        "=" * 88,
        "é" * 88,
        "A" * 7000,
    ],
)
async def test_what_is_no_signature_is_refused_as_one(here: AtLaser, signature: str) -> None:
    path, raw = here.device.path("release"), json.dumps(here.body()).encode()
    proof = here.device.headers("POST", path, raw) | {"Etabli-Signature": signature}

    await _refused(here, await here.device.send(path, raw, proof), "kiosk.signature")


@pytest.mark.parametrize("name", ["", "tablet", "é", "0", "None", NOBODYS, f"{{{NOBODYS}}}"])
async def test_a_device_that_nobody_enrolled_says_nothing(here: AtLaser, name: str) -> None:
    stranger = Device(desk=here.desk, machine_id=here.laser.id, id=name, key=here.device.key)

    seen = await stranger.post("release", here.body())

    known = name.strip("{}").count("-") == 4
    await _refused(here, seen, "kiosk.unknown" if known else "kiosk.none")


async def test_the_device_of_another_machine_does_not_speak_for_this_one(here: AtLaser) -> None:
    other = await a_laser(here.desk, "Volta")
    there = await enrolled(here.desk, other, here.tech)
    there.machine_id = here.laser.id

    await _refused(here, await there.post("release", here.body()), "kiosk.elsewhere")


async def test_a_device_at_another_machine_does_not_release_a_run_of_this_one(here: AtLaser) -> None:
    other = await a_laser(here.desk, "Volta")
    there = await enrolled(here.desk, other, here.tech)

    assert (await there.post("release", here.body())).is_problem(404)
    assert await _nothing_was_released(here)


async def test_a_revoked_device_says_nothing_more(here: AtLaser) -> None:
    assert (await here.tech.post(f"/kiosks/{here.device.id}/revoke")).status == 204

    await _refused(here, await here.release(), "kiosk.unknown")
    assert (await here.device.get()).is_problem(403, "kiosk.unknown")


async def test_what_was_said_cannot_be_said_again(here: AtLaser) -> None:
    path, raw = here.device.path("readings"), b'{"conditions": {"lid": false}}'
    proof = here.device.headers("POST", path, raw)
    assert (await here.device.send(path, raw, proof)).status == 204

    assert (await here.device.send(path, raw, proof)).is_problem(403, "kiosk.replay")
    early = here.device.signed("POST", path, str(int(proof["Etabli-Time"]) - 1), raw)
    assert (await here.device.send(path, raw, early)).is_problem(403, "kiosk.replay")


async def test_a_release_that_was_heard_cannot_be_said_again(here: AtLaser) -> None:
    path, raw = here.device.path("release"), json.dumps(here.body(password="wrong " + PASSWORD)).encode()
    proof = here.device.headers("POST", path, raw)
    assert (await here.device.send(path, raw, proof)).is_problem(401, "credentials")

    await _refused(here, await here.device.send(path, raw, proof), "kiosk.replay")


@pytest.mark.parametrize("skew_ms", [-1, 1])
async def test_a_device_whose_clock_is_wrong_is_not_believed(here: AtLaser, skew_ms: int) -> None:
    here.device.skew_ms = skew_ms * (SKEW_SECONDS_MAX * 1000 + 1)

    await _refused(here, await here.release(), "kiosk.clock")


@pytest.mark.parametrize("skew_ms", [-SKEW_SECONDS_MAX * 1000, SKEW_SECONDS_MAX * 1000])
async def test_a_device_whose_clock_is_nearly_right_is(here: AtLaser, skew_ms: int) -> None:
    here.device.skew_ms = skew_ms

    assert (await here.release()).status == 200


@pytest.mark.parametrize(
    "time", ["", "now", "-1", "1e3", "٣", "²", "9" * 15, "9" * 16, "9" * 6000, "0x10", " "]
)
async def test_a_time_that_is_none_is_refused(here: AtLaser, time: str) -> None:
    path, raw = here.device.path("release"), json.dumps(here.body()).encode()
    seen = await here.device.send(path, raw, here.device.signed("POST", path, time, raw))

    assert seen.status in {400, 403}, seen.raw
    assert await _nothing_was_released(here)


async def test_a_body_that_was_changed_after_signing_is_refused(here: AtLaser) -> None:
    path = here.device.path("release")
    signed, sent = (json.dumps(here.body(checklist=points)).encode() for points in ([], list(CHECKLIST)))

    seen = await here.device.send(path, sent, here.device.headers("POST", path, signed))

    await _refused(here, seen, "kiosk.signature")


@pytest.mark.parametrize("other", ["heartbeat", "readings"])
async def test_a_proof_for_one_address_is_none_for_another(here: AtLaser, other: str) -> None:
    raw = json.dumps(here.body()).encode()
    proof = here.device.headers("POST", here.device.path(other), raw)
    await _refused(here, await here.device.send(here.device.path("release"), raw, proof), "kiosk.signature")


async def test_a_proof_for_looking_is_none_for_releasing(here: AtLaser) -> None:
    path = here.device.path("release")
    proof = here.device.headers("GET", path)

    await _refused(here, await here.device.send(path, b"", proof), "kiosk.signature")


# --- the person -----------------------------------------------------------------------------------


async def test_a_wrong_password_is_a_401_that_is_counted_as_at_the_door(here: AtLaser) -> None:
    for _ in range(FAILURES_MAX["here"]):
        assert (await here.release(password="wrong " + PASSWORD)).is_problem(401, "credentials")

    assert (await here.release()).is_problem(429, "sign_in.throttled")
    door = {"email": here.member.email, "password": PASSWORD}
    assert (await here.desk.nobody.post("/sessions", door)).is_problem(429, "sign_in.throttled")
    assert await _nothing_was_released(here)


@pytest.mark.parametrize("who", ["unknown", "inactive", "without a password"])
async def test_somebody_who_cannot_sign_in_cannot_release(here: AtLaser, who: str) -> None:
    email = "nobody@example.org"
    if who != "unknown":
        other = {"active": False} if who == "inactive" else {"password_hash": ""}
        person = await here.desk.person(**({"role": Role.TECH} | other))
        await train(here.desk, person)
        email = person.email

    assert (await here.release(email=email)).is_problem(401, "credentials")


@pytest.mark.parametrize("role", [Role.MEMBER, Role.TECH, Role.MANAGER])
async def test_no_role_skips_the_training(here: AtLaser, role: Role) -> None:
    person = await here.desk.person(role=role)

    seen = await here.release(email=person.email)

    assert seen.is_problem(409, "release.refused")
    assert seen.rules == (["release_person"] if role is Role.MEMBER else ["no_training"])
    assert await _nothing_was_released(here)


async def test_trained_staff_may_release_for_a_member_and_a_trained_member_may_not(here: AtLaser) -> None:
    other, staff = await here.desk.person(), await here.desk.person(role=Role.TECH)
    for person in (other, staff):
        await train(here.desk, person)

    no, yes = await here.release(email=other.email), await here.release(email=staff.email)

    assert (no.status, no.rules) == (409, ["release_person"])
    assert yes.status == 200


@pytest.mark.parametrize(
    ("other", "status", "code"),
    [
        ({"run_id": NOBODYS}, 404, "not_found"),
        ({"run_id": "7"}, 422, "fields"),
        ({"run_id": None}, 422, "fields"),
        ({"checklist": []}, 409, "release.refused"),
        ({"checklist": ["material_in", "staying"]}, 409, "release.refused"),
        ({"checklist": ["MATERIAL_IN", "EXTRACTOR_ON", "STAYING"]}, 409, "release.refused"),
        ({"checklist": "all"}, 422, "fields"),
        ({"checklist": ["staying"] * 21}, 422, "fields"),
        ({"role": "manager"}, 422, "fields"),
        ({"presence_id": NOBODYS}, 422, "fields"),
        ({"password": 12}, 422, "fields"),
        ({"email": "x" * 321}, 422, "fields"),
    ],
)
async def test_a_release_that_is_wrong_is_said_so(
    here: AtLaser, other: dict[str, Any], status: int, code: str
) -> None:
    assert (await here.release(**other)).is_problem(status, code)
    assert await _nothing_was_released(here)


async def test_bad_or_old_inputs_forbid_the_release_and_are_shown(here: AtLaser) -> None:
    await here.readings("extractor")
    assert (await here.device.get()).json["refusals"][0]["needed"] == "extractor"
    assert (await here.release()).rules == ["condition"]

    await here.readings()
    await here.desk.clock.advance(11)
    assert (await here.release()).rules == ["condition"]

    await here.readings()
    assert (await here.release()).status == 200


# --- what the device says -------------------------------------------------------------------------


async def test_a_heartbeat_is_only_for_a_release_that_this_device_gave(here: AtLaser) -> None:
    other = await a_laser(here.desk, "Volta")
    beside, there = [await enrolled(here.desk, machine, here.tech) for machine in (here.laser, other)]
    made = (await here.release()).json
    body = {"presence_id": made["id"], "run_id": made["run_id"]}

    for device, said in (
        (beside, body),
        (there, body),
        (here.device, body | {"presence_id": str(uuid4())}),
        (here.device, body | {"run_id": str(uuid4())}),
    ):
        assert (await device.post("heartbeat", said)).is_problem(404)
    kept = await here.desk.store.read(lambda unit: unit.presence_for(here.run.id))
    assert kept is not None
    assert kept.heartbeat_at is None
    assert (await here.device.post("heartbeat", body)).status == 200


async def test_another_device_is_not_shown_whose_release_it_was(here: AtLaser) -> None:
    beside = await enrolled(here.desk, here.laser, here.tech)
    await here.release()

    assert (await beside.get()).json["presence_id"] is None


async def test_a_release_that_was_followed_by_another_has_no_heart_any_more(here: AtLaser) -> None:
    first = (await here.release()).json
    await here.desk.clock.advance(1)
    second = (await here.release()).json

    beats = [
        (await here.device.post("heartbeat", {"presence_id": one["id"], "run_id": one["run_id"]})).status
        for one in (first, second)
    ]

    assert beats == [404, 200]


async def test_readings_of_names_that_the_machine_does_not_ask_for_are_not_kept(here: AtLaser) -> None:
    said = {"conditions": {"lid": False, "presence": True, "": True, "chiller": True}}

    assert (await here.device.post("readings", said)).status == 204

    kept = await here.desk.store.read(lambda unit: unit.readings(here.laser.id))
    assert {(reading.name, reading.source): reading.good for reading in kept} == {
        ("lid", str(here.device.id)): False,
        ("lid", "controller"): True,
        ("extractor", "controller"): True,
    }
    shown = {reading["name"]: reading["good"] for reading in (await here.device.get()).json["readings"]}
    assert shown == {"lid": False, "extractor": True}


@pytest.mark.parametrize(
    "conditions",
    [{"lid": 1}, {"lid": "true"}, {"lid": None}, {"x" * 65: True}, {str(n): True for n in range(21)}, []],
)
async def test_readings_that_are_none_are_refused(here: AtLaser, conditions: object) -> None:
    assert (await here.device.post("readings", {"conditions": conditions})).is_problem(422, "fields")


async def test_only_the_device_of_the_release_judges_its_result(here: AtLaser) -> None:
    beside = await enrolled(here.desk, here.laser, here.tech)
    verdict = {"run_id": str(here.run.id), "verdict": "burnt"}
    assert (await here.device.post("judge", verdict)).is_problem(404)
    await here.release()
    assert (await here.device.post("judge", verdict)).is_problem(409, "state")
    await here.move(RunEvent.SEND_START, RunEvent.SEEN_RUNNING)
    run = await here.move(RunEvent.FINISHED)
    await _end(here, run.id)

    assert (await beside.post("judge", verdict)).is_problem(404)
    assert (await here.device.post("judge", verdict | {"verdict": "splendid"})).is_problem(422)
    assert (await here.device.post("judge", verdict)).status == 200
    (event,) = await here.events("run.judged")
    assert event.data == {"verdict": "burnt"}


async def _end(here: AtLaser, run_id: UUID) -> None:
    from dataclasses import replace

    from tests.builders import an_event

    run = await here.now()
    ended = replace(run, ended_at=here.desk.clock.now())
    await here.desk.store.write(
        lambda unit: unit.change_run(run, ended, an_event("run.ended", run_id=run_id))
    )


async def test_a_person_with_a_token_for_members_alone_is_not_staff_at_the_device(here: AtLaser) -> None:
    """Who releases is who gives address and password there, whatever token comes along."""
    member = a_member(password_hash=HASH)
    await here.desk.store.write(lambda unit: unit.add_member(member))
    path = here.device.path("release")
    raw = json.dumps(here.body(email=member.email)).encode()
    proof = here.device.headers("POST", path, raw) | here.tech.headers

    assert (await here.device.send(path, raw, proof)).rules == ["release_person"]
    assert (await here.now()).state is RunState.STAGED
