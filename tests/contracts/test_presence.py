"""People at machines, as every store keeps them: devices, releases that serve once, sensors, overrides by two."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from orchestrator.domain.errors import Conflict
from orchestrator.domain.event import Event
from orchestrator.domain.member import Member
from orchestrator.domain.presence import CHECKLIST, Kiosk, Override, Presence, Reading
from orchestrator.domain.run import Run
from orchestrator.ports import Store, Unit
from orchestrator.store import tables
from orchestrator.store.sql import SqlUnit
from tests.builders import NOON, Home, a_member, an_event, at_home
from tests.contracts.conftest import OpenStore

SECOND = timedelta(seconds=1)
KEY = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE" + "x" * 87  # any text: the store reads no key


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """A machine with a device, a run on it, and two people."""

    home: Home
    run: Run
    kiosk: Kiosk
    second: Member

    @property
    def store(self) -> Store:
        return self.home.store

    @property
    def machine_id(self) -> UUID:
        return self.home.machine.id

    def presence(self, **other: Any) -> Presence:
        values: dict[str, Any] = {
            "id": uuid4(),
            "run_id": self.run.id,
            "machine_id": self.machine_id,
            "member_id": self.home.member.id,
            "kiosk_id": self.kiosk.id,
            "artifact_sha256": "a" * 64,
            "checklist": CHECKLIST,
            "issued_at": NOON,
            "expires_at": NOON + timedelta(seconds=60),
        }
        return Presence(**(values | other))

    def override(self, **other: Any) -> Override:
        values: dict[str, Any] = {
            "id": uuid4(),
            "machine_id": self.machine_id,
            "condition": "lid",
            "reason": "la porte ferme mal",
            "asked_by": self.home.member.id,
            "asked_at": NOON,
        }
        return Override(**(values | other))

    async def released(self, **other: Any) -> Presence:
        presence = self.presence(**other)
        await self.store.write(lambda unit: unit.add_presence(presence, an_event("run.released")))
        return presence

    async def asked(self, **other: Any) -> Override:
        override = self.override(**other)
        await self.store.write(lambda unit: unit.add_override(override, an_event("override.asked")))
        return override

    async def latest(self) -> Presence | None:
        return await self.store.read(lambda unit: unit.presence_for(self.run.id))

    async def confirm(self, override: Override, by: UUID, at: datetime = NOON) -> bool:
        event = an_event("override.confirmed")
        return await self.store.write(lambda unit: unit.confirm_override(override.id, by, at, event))

    async def overrides(self, since: datetime = NOON) -> list[Override]:
        return list(await self.store.read(lambda unit: unit.overrides(self.machine_id, since)))


def a_kiosk(home: Home, **other: Any) -> Kiosk:
    values: dict[str, Any] = {
        "id": uuid4(),
        "machine_id": home.machine.id,
        "name": "tablette",
        "public_key": KEY,
        "enrolled_by": home.member.id,
        "enrolled_at": NOON,
    }
    return Kiosk(**(values | other))


async def a_workshop(store: Store) -> Workshop:
    home = await at_home(store)
    kiosk, second = a_kiosk(home), a_member()
    run = await home.run(await home.job())

    async def work(unit: Unit) -> None:
        await unit.add_member(second)
        await unit.add_kiosk(kiosk, an_event("kiosk.enrolled"))

    await store.write(work)
    return Workshop(home=home, run=run, kiosk=kiosk, second=second)


async def _topics(store: Store) -> list[str]:
    events: list[Event] = list(await store.read(lambda unit: unit.events(0)))
    return [event.topic for event in events]


# --- devices --------------------------------------------------------------------------------------


async def test_a_device_comes_back_as_it_was_enrolled(store: Store) -> None:
    shop = await a_workshop(store)

    assert await store.read(lambda unit: unit.kiosk(shop.kiosk.id)) == shop.kiosk
    assert await store.read(lambda unit: unit.kiosk(uuid4())) is None
    assert "kiosk.enrolled" in await _topics(store)


async def test_devices_are_told_oldest_first_of_a_machine_or_of_all_also_the_revoked(store: Store) -> None:
    shop = await a_workshop(store)
    other = await shop.home.another_machine()
    before = a_kiosk(shop.home, enrolled_at=NOON - SECOND)
    there = a_kiosk(shop.home, machine_id=other.id, enrolled_at=NOON + SECOND)
    for kiosk in (there, before):
        await store.write(lambda unit: unit.add_kiosk(kiosk, an_event()))  # noqa: B023 - runs here
    await store.write(lambda unit: unit.revoke_kiosk(before.id, NOON, an_event()))

    here = await store.read(lambda unit: unit.kiosks(shop.machine_id))
    every = await store.read(lambda unit: unit.kiosks())

    assert list(here) == [replace(before, revoked_at=NOON), shop.kiosk]
    assert [kiosk.id for kiosk in every] == [before.id, shop.kiosk.id, there.id]


async def test_a_device_is_revoked_once_and_the_first_time_stands(store: Store) -> None:
    shop = await a_workshop(store)

    async def revoke(kiosk_id: UUID, at: datetime) -> bool:
        return await store.write(lambda unit: unit.revoke_kiosk(kiosk_id, at, an_event("kiosk.revoked")))

    assert await revoke(shop.kiosk.id, NOON) is True
    assert await revoke(shop.kiosk.id, NOON + SECOND) is False
    assert await revoke(uuid4(), NOON) is False

    kept = await store.read(lambda unit: unit.kiosk(shop.kiosk.id))
    assert kept is not None
    assert kept.revoked_at == NOON
    assert (await _topics(store)).count("kiosk.revoked") == 1


async def test_a_device_stands_at_a_machine_that_there_is(store: Store) -> None:
    home = await at_home(store)
    nowhere = a_kiosk(home, machine_id=uuid4())

    with pytest.raises(Conflict):
        await store.write(lambda unit: unit.add_kiosk(nowhere, an_event()))


async def _told(store: Store, kiosk_id: UUID, at_ms: int) -> bool:
    return await store.write(lambda unit: unit.kiosk_told(kiosk_id, at_ms))


async def test_a_devices_times_only_ascend(store: Store) -> None:
    shop = await a_workshop(store)
    beyond_32_bits = 1_772_452_800_000

    told = [await _told(store, shop.kiosk.id, beyond_32_bits + ms) for ms in (0, 0, 1, 5, 4, 5, 6)]

    assert told == [True, False, True, True, False, False, True]
    assert await _told(store, uuid4(), beyond_32_bits) is False
    assert await _told(store, shop.kiosk.id, 0) is False


async def test_a_revoked_device_tells_nothing_more(store: Store) -> None:
    shop = await a_workshop(store)
    await store.write(lambda unit: unit.revoke_kiosk(shop.kiosk.id, NOON, an_event()))

    assert await _told(store, shop.kiosk.id, 1) is False


async def test_one_time_is_told_by_one_of_many_at_once(open_store: OpenStore, url: str) -> None:
    here = await open_store()
    there = here if url.startswith("sqlite") else await open_store()  # a database file has one process
    shop = await a_workshop(here)

    told = await asyncio.gather(*(_told((here, there)[n % 2], shop.kiosk.id, 7) for n in range(10)))

    assert sorted(told) == [False] * 9 + [True]


# --- releases -------------------------------------------------------------------------------------


async def test_a_release_comes_back_as_it_was_given(store: Store) -> None:
    shop = await a_workshop(store)
    assert await shop.latest() is None

    full = await shop.released(checklist=("staying",), used_at=NOON + SECOND, heartbeat_at=NOON)

    assert await shop.latest() == full
    assert "run.released" in await _topics(store)
    assert await store.read(lambda unit: unit.presence_for(uuid4())) is None


async def test_the_latest_release_of_a_run_counts_whatever_the_order_of_writing(store: Store) -> None:
    shop = await a_workshop(store)
    late = await shop.released(issued_at=NOON + 5 * SECOND)
    await shop.released()
    elsewhere = await shop.home.run(await shop.home.job(), machine_id=(await shop.home.another_machine()).id)
    await shop.released(run_id=elsewhere.id, issued_at=NOON + 9 * SECOND)

    assert await shop.latest() == late


async def test_of_two_releases_of_one_moment_always_the_same_one_counts(store: Store) -> None:
    shop = await a_workshop(store)
    given = [await shop.released() for _ in range(6)]

    first = await shop.latest()
    assert first in given
    await store.write(lambda unit: unit.use_presence(first.id, NOON))

    again = await shop.latest()
    assert again == replace(first, used_at=NOON)  # and no unused one comes up behind it


async def test_a_release_serves_once(store: Store) -> None:
    shop = await a_workshop(store)
    presence = await shop.released()

    async def use(presence_id: UUID, at: datetime) -> bool:
        return await store.write(lambda unit: unit.use_presence(presence_id, at))

    assert await use(presence.id, NOON + SECOND) is True
    assert await use(presence.id, NOON + 2 * SECOND) is False
    assert await use(uuid4(), NOON) is False
    assert await shop.latest() == replace(presence, used_at=NOON + SECOND)


async def test_a_release_serves_one_of_many_at_once(open_store: OpenStore, url: str) -> None:
    here = await open_store()
    there = here if url.startswith("sqlite") else await open_store()
    shop = await a_workshop(here)
    presence = await shop.released()

    used = await asyncio.gather(
        *(
            (here, there)[number % 2].write(lambda unit: unit.use_presence(presence.id, NOON))
            for number in range(10)
        )
    )

    assert sorted(used) == [False] * 9 + [True]


async def test_a_use_that_is_taken_back_has_not_been_one(store: Store) -> None:
    shop = await a_workshop(store)
    presence = await shop.released()

    async def fails(unit: Unit) -> None:
        assert await unit.use_presence(presence.id, NOON)
        raise Conflict("Somebody was faster.")

    with pytest.raises(Conflict):
        await store.write(fails)

    assert await shop.latest() == presence


async def test_heartbeats_only_ascend(store: Store) -> None:
    shop = await a_workshop(store)
    presence = await shop.released()
    half = timedelta(milliseconds=500)

    async def beat(presence_id: UUID, at: datetime) -> bool:
        return await store.write(lambda unit: unit.beat(presence_id, at))

    beaten = [await beat(presence.id, NOON + n * half) for n in (1, 1, 3, 2, 4)]

    assert beaten == [True, False, True, False, True]
    assert await beat(uuid4(), NOON) is False
    assert await shop.latest() == replace(presence, heartbeat_at=NOON + 4 * half)


@pytest.mark.parametrize("missing", ["run_id", "machine_id", "member_id", "kiosk_id"])
async def test_a_release_is_of_somebody_and_something_that_there_is(store: Store, missing: str) -> None:
    shop = await a_workshop(store)

    with pytest.raises(Conflict):
        await shop.released(**{missing: uuid4()})


# --- sensors --------------------------------------------------------------------------------------


def a_reading(machine_id: UUID, name: str, **other: Any) -> Reading:
    values: dict[str, Any] = {"good": True, "at": NOON, "source": "controller"}
    return Reading(machine_id=machine_id, name=name, **(values | other))


async def test_one_reading_a_machine_name_and_source_the_last_holds(store: Store) -> None:
    shop = await a_workshop(store)
    other = await shop.home.another_machine()
    lid = a_reading(shop.machine_id, "lid")
    bad, tablets = replace(lid, good=False, at=NOON + SECOND), replace(lid, source=str(shop.kiosk.id))
    extractor, there = a_reading(shop.machine_id, "extractor"), a_reading(other.id, "lid")
    for reading in (lid, tablets, extractor, there, bad):
        await store.write(lambda unit: unit.put_reading(reading))  # noqa: B023 - runs here

    here = await store.read(lambda unit: unit.readings(shop.machine_id))

    assert {(reading.name, reading.source): reading for reading in here} == {
        ("lid", "controller"): bad,
        ("lid", str(shop.kiosk.id)): tablets,
        ("extractor", "controller"): extractor,
    }
    assert list(await store.read(lambda unit: unit.readings(other.id))) == [there]
    assert list(await store.read(lambda unit: unit.readings(uuid4()))) == []


# --- two people -----------------------------------------------------------------------------------


async def test_an_override_comes_back_as_it_was_asked_for_and_confirmed(store: Store) -> None:
    shop = await a_workshop(store)
    asked = await shop.asked()
    assert await shop.overrides() == [asked]

    assert await shop.confirm(asked, shop.second.id, NOON + SECOND) is True

    confirmed = replace(asked, confirmed_by=shop.second.id, confirmed_at=NOON + SECOND)
    assert await shop.overrides() == [confirmed]
    assert confirmed.stands(NOON + SECOND)
    assert {"override.asked", "override.confirmed"} <= set(await _topics(store))


async def test_one_person_is_not_two_and_a_third_is_too_late(store: Store) -> None:
    shop = await a_workshop(store)
    asked = await shop.asked()

    assert await shop.confirm(asked, shop.home.member.id) is False
    assert await shop.confirm(shop.override(), shop.second.id) is False
    assert await shop.overrides() == [asked]
    assert await shop.confirm(asked, shop.second.id) is True
    assert await shop.confirm(asked, shop.second.id, NOON + SECOND) is False

    assert [one.confirmed_at for one in await shop.overrides()] == [NOON]
    assert (await _topics(store)).count("override.confirmed") == 1


async def test_the_database_itself_refuses_an_override_by_one(store: Store) -> None:
    shop = await a_workshop(store)
    alone = {
        "id": uuid4(),
        "machine_id": shop.machine_id,
        "condition": "lid",
        "reason": "",
        "asked_by": shop.second.id,
        "asked_at": NOON,
        "confirmed_by": shop.second.id,
        "confirmed_at": NOON,
    }

    async def past_our_own_check(unit: Unit) -> None:
        assert isinstance(unit, SqlUnit)
        await unit._connection.execute(insert(tables.override), alone)

    with pytest.raises((IntegrityError, Conflict)):
        await store.write(past_our_own_check)
    assert await shop.overrides() == []


async def test_overrides_are_told_oldest_first_since_a_time_of_one_machine(store: Store) -> None:
    shop = await a_workshop(store)
    other = await shop.home.another_machine()
    late, old, now = [await shop.asked(asked_at=NOON + n * SECOND) for n in (3, -1, 0)]
    await shop.asked(machine_id=other.id)

    assert await shop.overrides(NOON) == [now, late]
    assert await shop.overrides(NOON - SECOND) == [old, now, late]
    assert await shop.overrides(NOON + 4 * SECOND) == []
