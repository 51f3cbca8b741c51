"""fab-manager by its OpenAPI v1: it answers, and tells nothing by itself; all of the horizon is read each time.

What its filters mean shapes this: `after` and `before` of reservations are the dates of their *making*, so a slot that
moved or was cancelled is only seen by reading everything again. Slots have no name of their own: those of one
reservation that touch are one window, and the windows are numbered. `machines` is the one thing that can be written,
and mirrors breakdowns.

`Source.machines`: `12` its machine 12, `space:3` reservations of its space 3, `event:7` and `session:4` when its event
7 and the sessions of its training 4 take place, `training:4` the machine class that its training 4 allows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from orchestrator.bookings.wire import Asked, instant, part, rows, text, token
from orchestrator.domain.errors import Rejected
from orchestrator.domain.reservation import Purpose
from orchestrator.domain.source import (
    HORIZON,
    ForeignEntitlement,
    ForeignMember,
    ForeignReservation,
    Pulled,
    Source,
)
from orchestrator.ports import Charge, Clock, Outbound, Seal

PER_PAGE = 100
MADE_SINCE = timedelta(days=400)
"""Nobody books further ahead than that; reservations made earlier are not read."""
BEGUN_SINCE = timedelta(days=1)
PEOPLE_SECONDS = 3600
RESERVABLE = {"Machine": "", "Space": "space:"}
AVAILABLE = {"Event": "event:", "Training": "session:"}


class FabManager:
    """`orchestrator.ports.BookingSystem`; charges are not taken by its API."""

    def __init__(self, outbound: Outbound, seal: Seal, clock: Clock) -> None:
        self._outbound = outbound
        self._seal = seal
        self._clock = clock

    def _asked(self, source: Source) -> Asked:
        base = source.url.rstrip("/")
        base = base if base.endswith("/open_api/v1") else f"{base}/open_api/v1"
        headers = {"Authorization": f"Token token={token(self._seal, source)}"}
        return Asked(self._outbound, self._clock, base, headers)

    async def pull(self, source: Source, now: datetime, zone: str) -> Pulled:
        asked = self._asked(source)
        found = _Windows(source=source, now=now, zone=zone)
        for kind, prefix in RESERVABLE.items():
            if any(_is_of(name, prefix) for name in source.machines):
                await self._reservations(asked, kind, found)
        for kind, prefix in AVAILABLE.items():
            if any(name.startswith(prefix) for name in source.machines):
                await self._availabilities(asked, kind, found)
        trained = None
        if people_due(source, now):
            await self._members(asked, found)
            trained = await self._trained(asked, source)
        down, names = await self._machines(asked)
        return Pulled(
            since=now - BEGUN_SINCE,
            reservations=tuple(found.windows),
            members=tuple(found.members.values()),
            entitlements=trained,
            down=down,
            names=names,
            skipped=found.skipped,
        )

    async def _reservations(self, asked: Asked, kind: str, found: _Windows) -> None:
        made = (found.now - MADE_SINCE).isoformat()
        query = [("reservable_type", kind), ("after", made), ("page", "1"), ("per_page", str(PER_PAGE))]
        async for page in asked.pages("reservations", query):
            for row in rows(page, "reservations"):
                found.reservation(row)

    async def _availabilities(self, asked: Asked, kind: str, found: _Windows) -> None:
        query = [
            ("available_type", kind),
            ("after", (found.now - BEGUN_SINCE).isoformat()),
            ("before", (found.now + HORIZON).isoformat()),
            ("page", "1"),
            ("per_page", str(PER_PAGE)),
        ]
        async for page in asked.pages("availabilities", query):
            for row in rows(page, "availabilities"):
                found.availability(row, AVAILABLE[kind])

    async def _members(self, asked: Asked, found: _Windows) -> None:
        async for page in asked.pages("users", [("page", "1"), ("per_page", str(PER_PAGE))]):
            for row in rows(page, "users"):
                found.member(row)

    async def _trained(self, asked: Asked, source: Source) -> tuple[ForeignEntitlement, ...]:
        """Its API tells no end of a training: what is no longer listed has ended."""
        classes = {
            name.removeprefix("training:"): ours
            for name, ours in source.machines.items()
            if name.startswith("training:")
        }
        if not classes:
            return ()
        query = [("training_id[]", name) for name in classes] + [("page", "1"), ("per_page", str(PER_PAGE))]
        found = []
        async for page in asked.pages("user_trainings", query):
            for row in rows(page, "user_trainings"):
                training, member = text(row, "training_id"), text(row, "user_id")
                if member and training in classes:
                    found.append(
                        ForeignEntitlement(member=member, machine_class=classes[training], training=training)
                    )
        return tuple(found)

    async def _machines(self, asked: Asked) -> tuple[Mapping[str, bool], Mapping[str, str]]:
        listed = rows(await asked.get("machines"), "machines")
        down = {text(row, "id"): row.get("disabled") is True for row in listed}
        return down, {text(row, "id"): text(row, "name") for row in listed}

    async def tell_machine(self, source: Source, machine: str, down: bool) -> None:
        if not machine.isdecimal():
            raise Rejected("That is no machine of fab-manager’s.", code="source.machine")
        asked = self._asked(source)
        await asked.send("PATCH", asked.url(f"machines/{machine}"), {"machine": {"disabled": down}})

    async def tell_charge(self, source: Source, charge: Charge, member: str, *, perhaps_told: bool) -> None:
        raise Rejected("fab-manager’s API takes no charges.", code="source.no_charges")

    async def heed(self, source: Source, body: bytes, headers: Mapping[str, str]) -> bool:
        return False


def people_due(source: Source, now: datetime) -> bool:
    """Members and trainings are read once an hour, by the clock."""
    last = source.polled_at
    return last is None or int(last.timestamp()) // PEOPLE_SECONDS != int(now.timestamp()) // PEOPLE_SECONDS


def _is_of(name: str, prefix: str) -> bool:
    return name.startswith(prefix) if prefix else ":" not in name


class _Windows:
    """What the pages tell, gathered."""

    def __init__(self, *, source: Source, now: datetime, zone: str) -> None:
        self.source = source
        self.now = now
        self.zone = zone
        self.windows: list[ForeignReservation] = []
        self.members: dict[str, ForeignMember] = {}
        self.skipped = 0
        self._seen: set[str] = set()  # a list that grows while it is read shows a row twice

    def reservation(self, row: Mapping[str, Any]) -> None:
        name, kind = text(row, "id"), text(row, "reservable_type")
        ours = self.source.machines.get(RESERVABLE.get(kind, "?") + text(row, "reservable_id"))
        if not name or ours is None or name in self._seen:
            return
        self._seen.add(name)
        self.member(part(row, "user"))
        for number, (start, end) in enumerate(self._slots(row), start=1):
            self._window(
                name if number == 1 else f"{name}.{number}",
                ours,
                start,
                end,
                purpose=Purpose.BOOKING,
                member=text(row, "user_id") or None,
            )

    def availability(self, row: Mapping[str, Any], prefix: str) -> None:
        start, end = instant(row.get("start_at"), self.zone), instant(row.get("end_at"), self.zone)
        ids = row.get("available_ids")
        held = {self.source.machines.get(f"{prefix}{i}") for i in ids} if isinstance(ids, list) else set()
        if start is None or end is None or end <= start:
            self.skipped += 1
            return
        for number, ours in enumerate(sorted(filter(None, held)), start=1):
            name = f"availability:{text(row, 'id')}"
            self._window(
                name if number == 1 else f"{name}.{number}",
                ours,
                start,
                end,
                purpose=Purpose.EVENT,
                member=None,
            )

    def member(self, row: Mapping[str, Any]) -> None:
        name = text(row, "id")
        if name and name not in self.members:
            self.members[name] = ForeignMember(
                external_id=name, email=text(row, "email"), name=text(row, "full_name")
            )

    def _window(
        self, name: str, ours: str, start: datetime, end: datetime, *, purpose: Purpose, member: str | None
    ) -> None:
        if end > self.now - BEGUN_SINCE and start < self.now + HORIZON:
            self.windows.append(
                ForeignReservation(
                    external_id=name,
                    machine=ours,
                    starts_at=start,
                    ends_at=end,
                    purpose=purpose,
                    member=member,
                )
            )

    def _slots(self, row: Mapping[str, Any]) -> Sequence[tuple[datetime, datetime]]:
        """The slots that were not cancelled, those that touch as one."""
        slots = []
        for slot in row.get("reserved_slots") or ():
            if not isinstance(slot, dict) or slot.get("canceled_at") is not None:
                continue
            start, end = instant(slot.get("start_at"), self.zone), instant(slot.get("end_at"), self.zone)
            if start is None or end is None or end <= start:
                self.skipped += 1
            else:
                slots.append((start, end))
        joined: list[tuple[datetime, datetime]] = []
        for start, end in sorted(slots):
            if joined and start <= joined[-1][1]:
                joined[-1] = joined[-1][0], max(end, joined[-1][1])
            else:
                joined.append((start, end))
        return joined
