"""Fabman by its API v1: bookings, members and trainings in, charges and breakdowns out, notices as hints.

Its notices carry no signature, so nothing in one is believed: it only makes the next poll fall due at once. Its charges
have no key of their own: our reference stands at the end of the description, and whoever may have told a charge before
looks for it there first. Changes of a resource carry its `lockVersion`.

`Source.machines`: `245` its resource 245, `training:1985` the machine class that its course 1985 allows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

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

PER_PAGE = 200
BEGUN_SINCE = timedelta(days=2)
PEOPLE_SECONDS = 3600
CANCELLED = frozenset({"cancelled", "canceled", "rejected", "declined"})
WORTH_A_LOOK = ("booking_", "member_", "memberTraining_", "resource_")
ADDRESS = "https://fabman.io/api/v1"


class Fabman:
    """`orchestrator.ports.BookingSystem`, all of it."""

    def __init__(self, outbound: Outbound, seal: Seal, clock: Clock) -> None:
        self._outbound = outbound
        self._seal = seal
        self._clock = clock

    def _asked(self, source: Source) -> Asked:
        headers = {"Authorization": f"Bearer {token(self._seal, source)}"}
        return Asked(self._outbound, self._clock, source.url or ADDRESS, headers)

    async def pull(self, source: Source, now: datetime, zone: str) -> Pulled:
        asked = self._asked(source)
        reservations, members, skipped = await self._bookings(asked, source, now, zone)
        trained = None
        last = source.polled_at
        if last is None or int(last.timestamp()) // PEOPLE_SECONDS != int(now.timestamp()) // PEOPLE_SECONDS:
            everybody, trained = await self._members(asked, source, zone)
            members |= everybody
        down, names = await self._resources(asked)
        return Pulled(
            since=now - BEGUN_SINCE,
            reservations=tuple(reservations),
            members=tuple(members.values()),
            entitlements=trained,
            down=down,
            names=names,
            skipped=skipped,
        )

    async def _bookings(
        self, asked: Asked, source: Source, now: datetime, zone: str
    ) -> tuple[list[ForeignReservation], dict[str, ForeignMember], int]:
        local = ZoneInfo(zone)
        query = [
            ("fromDateTime", (now - BEGUN_SINCE).astimezone(local).strftime("%Y-%m-%dT%H:%M")),
            ("untilDateTime", (now + HORIZON).astimezone(local).strftime("%Y-%m-%dT%H:%M")),
            ("embed", "member"),
            ("limit", str(PER_PAGE)),
        ]
        found: dict[str, ForeignReservation] = {}
        members: dict[str, ForeignMember] = {}
        skipped = 0
        async for page in asked.pages("bookings", query):
            for row in rows(page):
                ours = source.machines.get(text(row, "resource"))
                if ours is None:
                    continue
                window = _window(row, ours, zone)
                if window is None:
                    skipped += 1
                    continue
                found[window.external_id] = window
                if member := _member(part(part(row, "_embedded"), "member")):
                    members[member.external_id] = member
        return list(found.values()), members, skipped

    async def _members(
        self, asked: Asked, source: Source, zone: str
    ) -> tuple[dict[str, ForeignMember], tuple[ForeignEntitlement, ...]]:
        members: dict[str, ForeignMember] = {}
        trained: list[ForeignEntitlement] = []
        async for page in asked.pages("members", [("embed", "trainings"), ("limit", str(PER_PAGE))]):
            for row in rows(page):
                if member := _member(row):
                    members[member.external_id] = member
                    trained += _trained(member.external_id, row, source, zone)
        return members, tuple(trained)

    async def _resources(self, asked: Asked) -> tuple[Mapping[str, bool], Mapping[str, str]]:
        down: dict[str, bool] = {}
        names: dict[str, str] = {}
        async for page in asked.pages("resources", [("limit", str(PER_PAGE))]):
            down |= {text(row, "id"): text(row, "state") == "locked" for row in rows(page)}
            names |= {text(row, "id"): text(row, "name") for row in rows(page)}
        return down, names

    async def tell_machine(self, source: Source, machine: str, down: bool) -> None:
        """Locks the resource, or unlocks it."""
        if not machine.isdecimal():
            raise Rejected("That is no resource of Fabman’s.", code="source.machine")
        asked = self._asked(source)
        row = await asked.get(f"resources/{machine}")
        state = "locked" if down else "active"
        if isinstance(row, dict) and text(row, "state") != state:
            change = {"state": state, "lockVersion": row.get("lockVersion")}
            await asked.send("PUT", asked.url(f"resources/{machine}"), change)

    async def tell_charge(self, source: Source, charge: Charge, member: str, *, perhaps_told: bool) -> None:
        asked = self._asked(source)
        reference = reference_of(charge)
        if perhaps_told and await self._told(asked, member, reference, charge):
            return
        value = {
            "member": int(member) if member.isdecimal() else member,
            "dateTime": charge.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "description": f"Établi {reference}",
            "price": charge.bill.captured.cents / 100,  # written as it reads: 12.01
        }
        await asked.send("POST", asked.url("charges"), value)

    async def _told(self, asked: Asked, member: str, reference: str, charge: Charge) -> bool:
        async for page in asked.pages("charges", [("member", member), ("limit", str(PER_PAGE))]):
            if any(reference in text(row, "description").split() for row in rows(page)):
                return True
        return False

    async def heed(self, source: Source, body: bytes, headers: Mapping[str, str]) -> bool:
        try:
            event = json.loads(body)
        except (ValueError, RecursionError):
            return False
        kind = event.get("type") if isinstance(event, dict) else None
        return isinstance(kind, str) and kind.startswith(WORTH_A_LOOK)


def reference_of(charge: Charge) -> str:
    """Ours for ever: the journal never changes, and job ids are nobody else's."""
    return f"[{charge.job.id}/{charge.seq}]"


def _window(row: Mapping[str, Any], ours: str, zone: str) -> ForeignReservation | None:
    name = text(row, "id")
    start, end = instant(row.get("fromDateTime"), zone), instant(row.get("untilDateTime"), zone)
    if not name or start is None or end is None or end <= start:
        return None
    member = text(row, "member") or text(part(row, "member"), "id")
    return ForeignReservation(
        external_id=name,
        machine=ours,
        starts_at=start,
        ends_at=end,
        purpose=Purpose.BOOKING if member else Purpose.MAINTENANCE,  # "staff only"
        member=member or None,
        cancelled=text(row, "state") in CANCELLED,
    )


def _member(row: Mapping[str, Any]) -> ForeignMember | None:
    name = text(row, "id")
    if not name:
        return None
    full = f"{text(row, 'firstName')} {text(row, 'lastName')}".strip()
    active = text(row, "state") in {"", "active"}
    return ForeignMember(external_id=name, email=text(row, "emailAddress"), name=full, active=active)


def _trained(member: str, row: Mapping[str, Any], source: Source, zone: str) -> list[ForeignEntitlement]:
    listed = part(row, "_embedded").get("trainings")
    found = []
    for training in listed if isinstance(listed, list) else ():
        course = text(training, "trainingCourse") if isinstance(training, dict) else ""
        ours = source.machines.get(f"training:{course}")
        if ours is not None:
            until = _end_of_day(training.get("untilDate"), zone)
            found.append(ForeignEntitlement(member=member, machine_class=ours, training=course, until=until))
    return found


def _end_of_day(day: object, zone: str) -> datetime | None:
    """The last day counts. None: without end."""
    try:
        following = date.fromisoformat(str(day)) + timedelta(days=1) if day else None
    except (ValueError, OverflowError):
        return None
    return datetime.combine(following, time(), tzinfo=ZoneInfo(zone)).astimezone(UTC) if following else None
