"""People at machines: the devices that stand there, the releases given on them, sensors, and who did without one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, or_, select, update

from orchestrator.domain.event import Event
from orchestrator.domain.presence import Kiosk, Override, Presence, Reading
from orchestrator.store import tables
from orchestrator.store.codec import Shape
from orchestrator.store.unit import UnitBase, columns_of

_KIOSK, _PRESENCE, _READING, _OVERRIDE = Shape(Kiosk), Shape(Presence), Shape(Reading), Shape(Override)

_k = tables.kiosk.c
_kiosks = select(*columns_of(tables.kiosk, _KIOSK.names)).order_by(_k.enrolled_at, _k.id)
_KIOSK_BY_ID = _kiosks.where(_k.id == bindparam("id"))
_KIOSKS_AT = _kiosks.where(_k.machine_id == bindparam("machine_id"))
_REVOKE = update(tables.kiosk).where(_k.id == bindparam("old_id"), _k.revoked_at.is_(None))
_TOLD = update(tables.kiosk).where(
    _k.id == bindparam("old_id"), _k.revoked_at.is_(None), _k.told_at_ms < bindparam("later_ms")
)

_p = tables.presence.c
_LAST_PRESENCE = (
    select(*columns_of(tables.presence, _PRESENCE.names))
    .where(_p.run_id == bindparam("run_id"))
    .order_by(_p.issued_at.desc(), _p.id)
    .limit(1)
)
_USE = update(tables.presence).where(_p.id == bindparam("old_id"), _p.used_at.is_(None))
_BEAT = update(tables.presence).where(
    _p.id == bindparam("old_id"),
    or_(_p.heartbeat_at.is_(None), _p.heartbeat_at < bindparam("later")),
)

_READINGS = select(*columns_of(tables.reading, _READING.names)).where(
    tables.reading.c.machine_id == bindparam("machine_id")
)

_o = tables.override.c
_OVERRIDES = (
    select(*columns_of(tables.override, _OVERRIDE.names))
    .where(_o.machine_id == bindparam("machine_id"), _o.asked_at >= bindparam("since"))
    .order_by(_o.asked_at, _o.id)
)
_CONFIRM = update(tables.override).where(
    _o.id == bindparam("old_id"), _o.confirmed_by.is_(None), _o.asked_by != bindparam("second")
)


class Presences(UnitBase):
    """The part of `orchestrator.ports.Unit` about people at machines."""

    async def add_kiosk(self, kiosk: Kiosk, event: Event) -> None:
        await self._insert(tables.kiosk, _KIOSK.row(kiosk))
        self._log(event)

    async def kiosk(self, kiosk_id: UUID) -> Kiosk | None:
        row = await self._first(_KIOSK_BY_ID, id=kiosk_id)
        return None if row is None else _KIOSK.value(row)

    async def kiosks(self, machine_id: UUID | None = None) -> Sequence[Kiosk]:
        """Of a machine, or all; also those that were revoked. Oldest first."""
        rows = await (
            self._all(_kiosks) if machine_id is None else self._all(_KIOSKS_AT, machine_id=machine_id)
        )
        return [_KIOSK.value(row) for row in rows]

    async def revoke_kiosk(self, kiosk_id: UUID, at: datetime, event: Event) -> bool:
        """False where there is none, or it was revoked before."""
        done = (await self._write(_REVOKE, {"old_id": kiosk_id, "revoked_at": at})).rowcount == 1
        if done:
            self._log(event)
        return done

    async def kiosk_told(self, kiosk_id: UUID, at_ms: int) -> bool:
        """Note the time that a device has signed. False where it has signed that or a later one before: a replay."""
        return (
            await self._write(_TOLD, {"old_id": kiosk_id, "later_ms": at_ms, "told_at_ms": at_ms})
        ).rowcount == 1

    async def add_presence(self, presence: Presence, event: Event) -> None:
        await self._insert(tables.presence, _PRESENCE.row(presence))
        self._log(event)

    async def presence_for(self, run_id: UUID) -> Presence | None:
        """The latest."""
        row = await self._first(_LAST_PRESENCE, run_id=run_id)
        return None if row is None else _PRESENCE.value(row)

    async def use_presence(self, presence_id: UUID, at: datetime) -> bool:
        """Once; False the second time."""
        return (await self._write(_USE, {"old_id": presence_id, "used_at": at})).rowcount == 1

    async def beat(self, presence_id: UUID, at: datetime) -> bool:
        """The person is still there. False where there is no such presence, or it was heard later already."""
        return (
            await self._write(_BEAT, {"old_id": presence_id, "later": at, "heartbeat_at": at})
        ).rowcount == 1

    async def put_reading(self, reading: Reading) -> None:
        """One per machine, name and source; the latest holds."""
        await self._put(tables.reading, _READING.row(reading))

    async def readings(self, machine_id: UUID) -> Sequence[Reading]:
        return [_READING.value(row) for row in await self._all(_READINGS, machine_id=machine_id)]

    async def add_override(self, override: Override, event: Event) -> None:
        await self._insert(tables.override, _OVERRIDE.row(override))
        self._log(event)

    async def confirm_override(self, override_id: UUID, member_id: UUID, at: datetime, event: Event) -> bool:
        """False where it is confirmed already, or by the one who asked."""
        values = {"old_id": override_id, "second": member_id, "confirmed_by": member_id, "confirmed_at": at}
        done = (await self._write(_CONFIRM, values)).rowcount == 1
        if done:
            self._log(event)
        return done

    async def overrides(self, machine_id: UUID, since: datetime) -> Sequence[Override]:
        """Those asked for since then, oldest first, confirmed or not."""
        return [_OVERRIDE.value(r) for r in await self._all(_OVERRIDES, machine_id=machine_id, since=since)]
