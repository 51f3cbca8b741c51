"""A device at a machine, as a test holds one: it signs every call with its own key. And a laser that waits for it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from orchestrator.domain.event import SYSTEM, Event
from orchestrator.domain.machine import Abilities, Activity, Kind, Machine
from orchestrator.domain.member import Entitlement, Member, Role
from orchestrator.domain.presence import CHECKLIST, Reading, ReleasePolicy
from orchestrator.domain.run import Run, RunEvent
from orchestrator.flow.dispatch import dispatch
from orchestrator.flow.moves import move_run
from orchestrator.ports import Unit
from tests.web.api.server import PASSWORD, V1, Desk, Program, Seen

CONDITIONS = ("lid", "extractor")


def public_text(key: ec.EllipticCurvePrivateKey) -> str:
    """As a device sends it when it is enrolled."""
    raw = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(raw).decode()


@dataclass(kw_only=True)
class Device:
    """Speaks for one machine. `skew_ms` is how far its clock is ahead of the lab's."""

    desk: Desk
    machine_id: UUID
    id: UUID | str = ""
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    skew_ms: int = 0
    _told_ms: int = 0

    def headers(self, method: str, path: str, body: bytes = b"") -> dict[str, str]:
        """The proof for this call, made now."""
        now_ms = int(self.desk.clock.now().timestamp() * 1000) + self.skew_ms
        self._told_ms = max(now_ms, self._told_ms + 1)
        return self.signed(method, path, str(self._told_ms), body)

    def signed(self, method: str, path: str, time_ms: str, body: bytes) -> dict[str, str]:
        words = "\n".join((method, path, time_ms, hashlib.sha256(body).hexdigest())).encode()
        r, s = decode_dss_signature(self.key.sign(words, ec.ECDSA(SHA256())))
        signature = base64.b64encode(r.to_bytes(32) + s.to_bytes(32)).decode()
        return {"Etabli-Kiosk": str(self.id), "Etabli-Time": time_ms, "Etabli-Signature": signature}

    def path(self, name: str) -> str:
        return f"{V1}/machines/{self.machine_id}/{name}"

    async def get(self, name: str = "kiosk") -> Seen:
        path = self.path(name)
        return await self.desk.nobody.ask("GET", path, headers=self.headers("GET", path))

    async def post(self, name: str, body: object = None, headers: Mapping[str, str] | None = None) -> Seen:
        """Signed, unless the headers are given."""
        path, raw = self.path(name), json.dumps(body).encode() if body is not None else b""
        proof = self.headers("POST", path, raw) if headers is None else headers
        return await self.send(path, raw, proof)

    async def send(self, path: str, raw: bytes, headers: Mapping[str, str]) -> Seen:
        typed = {"Content-Type": "application/json"} | dict(headers)
        return await self.desk.nobody.ask("POST", path, data=raw, headers=typed)


@dataclass(kw_only=True)
class AtLaser:
    """A laser, its device, a trained member and the run of theirs that waits there to be released."""

    desk: Desk
    laser: Machine
    device: Device
    member: Member
    mine: Program
    tech: Program
    job_id: str
    run: Run

    def body(self, **other: Any) -> dict[str, Any]:
        values = {
            "run_id": str(self.run.id),
            "email": self.member.email,
            "password": PASSWORD,
            "checklist": list(CHECKLIST),
        }
        return values | other

    async def release(self, **other: Any) -> Seen:
        return await self.device.post("release", self.body(**other))

    async def events(self, topic: str) -> list[Event]:
        every = await self.desk.store.read(lambda unit: unit.events(0, limit=1000))
        return [event for event in every if event.topic == topic]

    async def now(self) -> Run:
        run = await self.desk.store.read(lambda unit: unit.run(self.run.id))
        assert run is not None
        return run

    async def released(self) -> bool:
        return await self.desk.store.read(lambda unit: unit.presence_for(self.run.id)) is not None

    async def move(self, *events: RunEvent) -> Run:
        """As the supervisor would, after it has seen that at the machine."""
        run = await self.now()
        for event in events:
            run = await self.desk.store.write(lambda unit: _moved(unit, run, event, self.member))  # noqa: B023
        return run

    async def readings(self, *bad: str) -> None:
        """The controller has just told them."""
        await good_readings(self.desk, self.laser, bad)


async def _moved(unit: Unit, run: Run, event: RunEvent, member: Member) -> Run:
    return await move_run(unit, run, event, member_id=member.id, actor=SYSTEM, at=run.claimed_at)


async def a_laser(desk: Desk, name: str = "Foucault", **other: Any) -> Machine:
    abilities = Abilities(
        size_mm=(600, 400, 0),
        profile="co2-6040-grbl",
        materials=(),
        attended=True,
        release=other.pop("policy", ReleasePolicy.KIOSK_START),
        conditions=CONDITIONS,
    )
    values = {
        "kind": Kind.LASER,
        "machine_class": "laser",
        "material": None,
        "activity": Activity.IDLE,
        "abilities": abilities,
    }
    return await desk.machine(name, **(values | other))


async def train(desk: Desk, member: Member, machine_class: str = "laser") -> None:
    entitlement = Entitlement(member_id=member.id, machine_class=machine_class)
    await desk.store.write(lambda unit: unit.put_entitlement(entitlement))


async def good_readings(desk: Desk, machine: Machine, bad: tuple[str, ...] = ()) -> None:
    async def work(unit: Unit) -> None:
        for name in CONDITIONS:
            good, at = name not in bad, desk.clock.now()
            reading = Reading(machine_id=machine.id, name=name, good=good, at=at, source="controller")
            await unit.put_reading(reading)

    await desk.store.write(work)


async def enrolled(desk: Desk, machine: Machine, tech: Program, **other: Any) -> Device:
    """A new device at the machine, let in by the technician."""
    device = Device(desk=desk, machine_id=machine.id, **other)
    wish = {"machine_id": str(machine.id), "name": "tablet", "public_key": public_text(device.key)}
    made = await tech.post("/kiosks", wish)
    assert made.status == 201, made.raw
    device.id = made.json["id"]
    return device


async def at_laser(desk: Desk, policy: ReleasePolicy = ReleasePolicy.KIOSK_START) -> AtLaser:
    """A drawing was uploaded, quoted and accepted by the API; its run is staged."""
    laser = await a_laser(desk, policy=policy)
    tech = await desk.program(Role.TECH)
    member = await desk.person()
    await train(desk, member)
    mine = await desk.program_of(member)
    job_id = (await mine.job("box-600s-.svg"))["id"]
    assert (await dispatch(desk.lab)).claimed == 1
    run = (await desk.store.read(lambda unit: unit.runs_of(UUID(job_id))))[-1]
    await good_readings(desk, laser)
    there = AtLaser(
        desk=desk,
        laser=laser,
        device=await enrolled(desk, laser, tech),
        member=member,
        mine=mine,
        tech=tech,
        job_id=job_id,
        run=run,
    )
    there.run = await there.move(RunEvent.STAGE, RunEvent.STAGED)
    return there
