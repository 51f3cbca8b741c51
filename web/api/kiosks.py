"""Devices at machines, and what people do on them: see, release, stay, clear, judge. And an override by two people."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import Field

from orchestrator.domain.presence import HEARTBEAT_SECONDS, Kiosk, Override, Reading
from orchestrator.flow import release
from orchestrator.flow.release import AtMachine, Closing, Judgement
from web.api import shapes
from web.api.files import ById
from web.api.moments import moment
from web.api.shapes import ShownMachineRow, ShownRefusal, ShownRun
from web.keys import DOORMAN, KIOSK
from web.kiosk import read_public_key
from web.security import member_of, peer_of
from web.typed import Call, Given, Shown

Email = Annotated[str, Field(max_length=320)]
Password = Annotated[str, Field(max_length=1024)]


class KioskBody(Given):
    machine_id: UUID = Field(strict=False)
    name: str = Field(min_length=1, max_length=80)
    public_key: str = Field(max_length=400)
    """ECDSA P-256, SubjectPublicKeyInfo, base64."""


class ShownKiosk(Shown):
    id: UUID
    machine_id: UUID
    name: str
    enrolled_at: str
    revoked_at: str | None


class KioskList(Shown):
    items: list[ShownKiosk]
    next: str | None


class ReleaseBody(Given):
    run_id: UUID = Field(strict=False)
    email: Email
    password: Password
    checklist: list[str] = Field(default_factory=list, max_length=20)
    """What the person has confirmed: `material_in`, `extractor_on`, `staying`; all of them are needed."""


class ShownPresence(Shown):
    id: UUID
    run_id: UUID
    issued_at: str
    expires_at: str
    heartbeat_seconds: float
    """How often the device has to say that the person is still there."""


class HeartbeatBody(Given):
    presence_id: UUID = Field(strict=False)
    run_id: UUID = Field(strict=False)


class ReadingsBody(Given):
    conditions: dict[Annotated[str, Field(max_length=64)], bool] = Field(max_length=20)
    """What the sensors at the device say: true is good."""


class PersonBody(Given):
    email: Email
    password: Password


class OverrideBody(Given):
    condition: str = Field(max_length=64)
    reason: str = Field(default="", max_length=200)


class ShownOverride(Shown):
    id: UUID
    machine_id: UUID
    condition: str
    reason: str
    asked_by: UUID
    asked_at: str
    confirmed_by: UUID | None
    confirmed_at: str | None
    stands: bool


class JudgeBody(Given):
    verdict: Judgement = Field(strict=False)


class JudgeHereBody(Given):
    run_id: UUID = Field(strict=False)
    verdict: Judgement = Field(strict=False)


class CloseBody(Given):
    run_id: UUID = Field(strict=False)
    closing: Closing = Field(strict=False)
    minutes: int | None = Field(default=None, ge=0, le=24 * 60)
    """How long it took, by your clock."""


class ShownReading(Shown):
    name: str
    good: bool
    at: str


class ShownAtMachine(Shown):
    machine: ShownMachineRow
    conditions: list[str]
    """What must be good: names of readings."""
    readings: list[ShownReading]
    run: ShownRun | None
    job_id: UUID | None
    file_name: str
    material: str
    print_seconds: int | None
    member_name: str
    """Whose run it is; empty without one."""
    presence_id: UUID | None
    """Of the latest release of this run on this device."""
    presence_used: bool
    refusals: list[ShownRefusal]
    """What would forbid a release now, whoever gives it."""


async def enrol(call: Call, body: KioskBody) -> ShownKiosk:
    key = read_public_key(body.public_key)
    made = await release.enrol(call.lab, member_of(call.request), body.machine_id, body.name.strip(), key)
    return _kiosk(made)


async def kiosks(call: Call) -> KioskList:
    found = await release.kiosks(call.lab, member_of(call.request))
    return KioskList(items=[_kiosk(one) for one in found], next=None)


async def revoke(call: Call, params: ById) -> None:
    await release.revoke(call.lab, member_of(call.request), params.id)


def _kiosk(value: Kiosk) -> ShownKiosk:
    return ShownKiosk(
        id=value.id,
        machine_id=value.machine_id,
        name=value.name,
        enrolled_at=moment(value.enrolled_at),
        revoked_at=moment(value.revoked_at) if value.revoked_at else None,
    )


async def at_machine(call: Call, params: ById) -> ShownAtMachine:
    kiosk = call.request[KIOSK]
    return _at_machine(await release.at_machine(call.lab, kiosk), kiosk)


def _at_machine(seen: AtMachine, kiosk: Kiosk) -> ShownAtMachine:
    artifact = seen.job.artifact if seen.job else None
    mine = seen.presence if seen.presence and seen.presence.kiosk_id == kiosk.id else None
    return ShownAtMachine(
        machine=shapes.machine_row(seen.machine),
        conditions=list(seen.machine.abilities.conditions),
        readings=[_reading(one) for one in seen.readings],
        run=shapes.run(seen.run) if seen.run else None,
        job_id=seen.job.id if seen.job else None,
        file_name=seen.file_name,
        material=artifact.material if artifact else "",
        print_seconds=artifact.print_seconds if artifact else None,
        member_name=seen.member.name if seen.member else "",
        presence_id=mine.id if mine else None,
        presence_used=mine is not None and mine.used_at is not None,
        refusals=[shapes.refusal(no) for no in seen.refusals],
    )


def _reading(value: Reading) -> ShownReading:
    return ShownReading(name=value.name, good=value.good, at=moment(value.at))


async def release_run(call: Call, params: ById, body: ReleaseBody) -> ShownPresence:
    person = await call.request.app[DOORMAN].known(body.email, body.password, peer_of(call.request))
    made = await release.release(call.lab, call.request[KIOSK], person, body.run_id, body.checklist)
    return ShownPresence(
        id=made.id,
        run_id=made.run_id,
        issued_at=moment(made.issued_at),
        expires_at=moment(made.expires_at),
        heartbeat_seconds=HEARTBEAT_SECONDS,
    )


async def heartbeat(call: Call, params: ById, body: HeartbeatBody) -> ShownRun:
    run = await release.heartbeat(call.lab, call.request[KIOSK], body.presence_id, body.run_id)
    return shapes.run(run)


async def readings(call: Call, params: ById, body: ReadingsBody) -> None:
    await release.tell_readings(call.lab, call.request[KIOSK], body.conditions)


async def clear_here(call: Call, params: ById, body: PersonBody) -> ShownMachineRow:
    person = await call.request.app[DOORMAN].known(body.email, body.password, peer_of(call.request))
    return shapes.machine_row(await release.clear_at_machine(call.lab, call.request[KIOSK], person))


async def judge_here(call: Call, params: ById, body: JudgeHereBody) -> ShownRun:
    """By the person who released the run on this device."""
    return shapes.run(await release.judge_here(call.lab, call.request[KIOSK], body.run_id, body.verdict))


async def close_here(call: Call, params: ById, body: CloseBody) -> ShownRun:
    """By the person who released the run here, at a machine that tells no end itself."""
    kiosk = call.request[KIOSK]
    return shapes.run(await release.close_here(call.lab, kiosk, body.run_id, body.closing, body.minutes))


async def judge(call: Call, params: ById, body: JudgeBody) -> ShownRun:
    return shapes.run(await release.judge(call.lab, member_of(call.request), params.id, body.verdict))


async def override(call: Call, params: ById, body: OverrideBody) -> ShownOverride:
    made = await release.override(call.lab, member_of(call.request), params.id, body.condition, body.reason)
    return _override(call, made)


def _override(call: Call, value: Override) -> ShownOverride:
    return ShownOverride(
        id=value.id,
        machine_id=value.machine_id,
        condition=value.condition,
        reason=value.reason,
        asked_by=value.asked_by,
        asked_at=moment(value.asked_at),
        confirmed_by=value.confirmed_by,
        confirmed_at=moment(value.confirmed_at) if value.confirmed_at else None,
        stands=value.stands(call.lab.clock.now()),
    )
