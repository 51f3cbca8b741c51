"""The demo lab: members, a tariff, simulated machines on an accelerated clock, sample files. Seeded once,
found again.

Logins are made at the first start and kept in `demo.json` beside the data, readable by its owner only.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

from orchestrator import samples
from orchestrator.domain import ledger
from orchestrator.domain.event import SYSTEM, Event, Json
from orchestrator.domain.machine import Abilities, Bed, Kind, Machine
from orchestrator.domain.member import PERMISSIONS, ApiToken, Entitlement, Member, Role
from orchestrator.domain.presence import ReleasePolicy
from orchestrator.domain.process import Colour, Material
from orchestrator.domain.tariff import tariff_a
from orchestrator.domain.units import Money
from orchestrator.flow.lab import Lab
from orchestrator.flow.submit import upload
from orchestrator.ports import Unit
from web.identity import hash_password, make_token

LASER_SPEED = 20
"""Slow enough to see the beam at work, and to stay beside it."""
SPEED = 600
"""Seconds of a simulated machine in one of ours: the longest model of a day prints in about a minute."""
START_BALANCE_CENTS = 20_000
_SPACE = UUID("6f1f3a6e-5d2b-4b7e-9a0e-000000000000")

PEOPLE = {
    "member": ("camille@demo.etabli.example", "Camille Martin", Role.MEMBER, "fr"),
    "member2": ("sam@demo.etabli.example", "Sam Keller", Role.MEMBER, "en"),
    "tech": ("alex@demo.etabli.example", "Alex Bernard", Role.TECH, "fr"),
    "manager": ("dominique@demo.etabli.example", "Dominique Petit", Role.MANAGER, "fr"),
}
BOOKING = ("booking@demo.etabli.example", "Booking system")


@dataclass(frozen=True, kw_only=True)
class Demo:
    logins: dict[str, Any]

    def greeting(self) -> str:
        """What the terminal shows."""
        users = self.logins["users"]
        rows = [f"  {who:<8} {user['email']:<32} {user['password']}" for who, user in users.items()]
        return "\n".join(["", f"Établi demo lab: {self.logins['base_url']}", "", "Sign in as", *rows, ""])


async def seed(lab: Lab, data: Path, base_url: str) -> Demo:
    """Make what is missing and write `demo.json`. Doing it twice is doing it once."""
    path = data / "demo.json"
    if path.is_file():
        logins = json.loads(path.read_text())
    else:
        logins = await _populate(lab, data)
    logins["base_url"] = base_url
    _write_private(path, logins)
    return Demo(logins=logins)


async def _populate(lab: Lab, data: Path) -> dict[str, Any]:
    now = lab.clock.now()
    users: dict[str, Any] = {}
    members: dict[str, Member] = {}
    tokens: list[ApiToken] = []
    for who, (email, name, role, locale) in PEOPLE.items():
        password = secrets.token_urlsafe(12)
        members[who] = await _member(email, name, role, locale, password)
        row, key = make_token(members[who], f"demo {who}", PERMISSIONS[role], now)
        users[who] = {"email": email, "password": password, "token": key}
        tokens.append(row)
    booking = await _member(*BOOKING, Role.BOOKING, "en", "")
    booking_row, booking_key = make_token(booking, "demo booking", PERMISSIONS[Role.BOOKING], now)

    async def work(unit: Unit) -> None:
        if await unit.current_tariff() is None:
            await unit.publish_tariff(tariff_a(), now)
        for member in [*members.values(), booking]:
            if await unit.member(member.id) is None:
                await unit.add_member(member)
        for token in [*tokens, booking_row]:
            await unit.add_api_token(token)
        for who in ("member", "member2"):
            await _welcome(unit, members[who], now)
        for machine, connection in machines(lab.site, data):
            if await unit.machine(machine.id) is None:
                added = Event(topic="machine.added", at=now, actor=SYSTEM, machine_id=machine.id)
                await unit.put_machine(machine, connection, added)

    await lab.store.write(work)
    await upload(lab, members["member"], "star-tag.stl", _once(samples.star()))
    await upload(lab, members["member"], "gear.stl", _once(samples.gear()))
    await upload(lab, members["member"], "coaster.svg", _once(samples.coaster()))
    await upload(lab, members["member"], "open-box.svg", _once(samples.open_box()))
    return {"users": users, "booking": {"token": booking_key}}


async def _member(email: str, name: str, role: Role, locale: str, password: str) -> Member:
    return Member(
        id=uuid5(_SPACE, email),
        email=email,
        name=name,
        role=role,
        account_id=uuid5(_SPACE, f"account {email}"),
        password_hash=await asyncio.to_thread(hash_password, password) if password else "",
        locale=locale,
    )


async def _welcome(unit: Unit, member: Member, now: datetime) -> None:
    """Training for the printers, for some the laser too, and some money."""
    for machine_class in ("fdm", "laser") if member.email == PEOPLE["member"][0] else ("fdm",):
        await unit.put_entitlement(Entitlement(member_id=member.id, machine_class=machine_class))
    entry = ledger.top_up(member.account_id, Money(START_BALANCE_CENTS), f"demo {member.id}")
    event = Event(
        topic="account.topped_up",
        at=now,
        actor=SYSTEM,
        data={"amount_cents": START_BALANCE_CENTS},
        member_id=member.id,
    )
    await unit.post(entry, now, event)


def machines(site: str, data: Path) -> list[tuple[Machine, dict[str, Json]]]:
    """Five printers of two makes and a laser, all simulated. The laser starts only for somebody who stands at it."""
    mk3s = Abilities(size_mm=(250, 210, 210), materials=(Material.PLA, Material.PETG), profile="mk3s")
    mini = Abilities(size_mm=(180, 180, 180), materials=(Material.PLA, Material.PETG), profile="mini")
    laser = Abilities(
        size_mm=(600, 400, 0),
        materials=(),
        profile="co2-6040-grbl",
        attended=True,
        release=ReleasePolicy.KIOSK_START,
        conditions=("lid", "extractor"),
    )
    rows = [
        ("Ada", Kind.PRINTER, "fdm", mk3s, Material.PLA, Colour.BLACK),
        ("Blaise", Kind.PRINTER, "fdm", mk3s, Material.PLA, Colour.WHITE),
        ("Célestine", Kind.PRINTER, "fdm", mk3s, Material.PLA, Colour.RED),
        ("Denis", Kind.PRINTER, "fdm", mk3s, Material.PETG, Colour.TRANSPARENT),
        ("Émilie", Kind.PRINTER, "fdm", mini, Material.PLA, Colour.BLACK),
        ("Foucault", Kind.LASER, "laser", laser, None, None),
    ]
    return [_machine(site, data, *row) for row in rows]


def _machine(
    site: str,
    data: Path,
    name: str,
    kind: Kind,
    machine_class: str,
    abilities: Abilities,
    material: Material | None,
    colour: Colour | None,
) -> tuple[Machine, dict[str, Json]]:
    machine = Machine(
        id=uuid5(_SPACE, f"machine {name}"),
        site=site,
        name=name,
        kind=kind,
        machine_class=machine_class,
        driver="simulated",
        abilities=abilities,
        material=material,
        colour=colour,
        version=1,
        bed=Bed.CLEAR,
    )
    connection: dict[str, Json] = {
        "identity": name,
        "kind": kind.value,
        "speed": LASER_SPEED if kind is Kind.LASER else SPEED,
        "state_path": str((data / "machines" / f"{machine.id}.json").absolute()),
    }
    return machine, connection


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


def _write_private(path: Path, content: object) -> None:
    partial = path.with_suffix(".part")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        json.dump(content, out, indent=2, ensure_ascii=False)
    partial.replace(path)
