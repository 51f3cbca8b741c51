"""Any calendar that others can read as iCal (RFC 5545): the floor that every booking system reaches.

Reads at most 2 MiB, and reads them in a process of its own (`calendar_child`): the text may be anybody's. A time
without zone is the site's, a whole day the local one. What the calendar says of people is only whom it names: the one
attendee, else the organiser, by address.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from orchestrator.bookings.wire import checked, token
from orchestrator.domain.errors import Rejected, Unavailable
from orchestrator.domain.reservation import Purpose
from orchestrator.domain.source import HORIZON, ForeignReservation, Found, Pulled, Source
from orchestrator.ports import Charge, Clock, Outbound, Seal

FEED_BYTES_MAX = 2 << 20
TIMEOUT_SECONDS = 20.0
CHILD_SECONDS = 30.0
CHILDREN_MAX = 2
UID_CHARACTERS_MAX = 120
ROOT = Path(__file__).parents[2]
WORDS = {
    "ical.too_large": "The calendar is larger than 2 MiB.",
    "ical.too_many": "The calendar has more than 1000 occurrences in the next 92 days.",
    "ical.too_costly": "The calendar takes too long to read.",
    "ical.not_a_calendar": "There is no calendar at that address.",
    "ical.cut_off": "The calendar ends before its end.",
    "ical.broken": "The calendar cannot be read.",
}
PURPOSES: Mapping[str, Purpose] = {
    "maintenance": Purpose.MAINTENANCE,
    "closure": Purpose.CLOSURE,
    "closed": Purpose.CLOSURE,
    "fermeture": Purpose.CLOSURE,
    "event": Purpose.EVENT,
    "événement": Purpose.EVENT,
}
"""By category of the event."""


def refused(code: str) -> Rejected:
    return Rejected(WORDS.get(code, WORDS["ical.broken"]), code=code if code in WORDS else "ical.broken")


class IcalFeed:
    """`orchestrator.ports.BookingSystem`, reading only."""

    def __init__(self, outbound: Outbound, seal: Seal, clock: Clock) -> None:
        self._outbound = outbound
        self._seal = seal
        self._children = asyncio.Semaphore(CHILDREN_MAX)

    async def pull(self, source: Source, now: datetime, zone: str) -> Pulled:
        day = (
            now.date().isoformat()
        )  # the horizon moves, so a calendar that does not change is read once a day
        last = source.etag.removeprefix(f"{day} ") if _settled(source) and source.etag.startswith(day) else ""
        answer = await self._fetch(source, last)
        if answer is None:
            return Pulled(since=now, etag=source.etag, unchanged=True)
        raw, tag = answer
        if last and tag == last:
            return Pulled(since=now, etag=source.etag, unchanged=True)
        async with self._children:
            told = await read(raw, now, now + HORIZON, zone)
        windows = tuple(_reservation(source, window) for window in told["windows"])
        return Pulled(
            since=datetime.min.replace(tzinfo=now.tzinfo),
            reservations=_named_apart(windows),
            etag=f"{day} {tag}",
            skipped=int(told.get("skipped", 0)),
        )

    async def tell_machine(self, source: Source, machine: str, down: bool) -> None:
        """A calendar listens to nobody."""

    async def tell_charge(self, source: Source, charge: Charge, member: str, *, perhaps_told: bool) -> None:
        """A calendar listens to nobody."""

    async def heed(self, source: Source, body: bytes, headers: Mapping[str, str]) -> bool:
        return False

    async def _fetch(self, source: Source, last: str) -> tuple[bytes, str] | None:
        """The text and what tells it from others; None where it is as the last time."""
        headers = {"Accept": "text/calendar, */*;q=0.1"} | _login(token(self._seal, source))
        if last.startswith(('"', 'W/"')):
            headers["If-None-Match"] = last
        answer = await self._outbound.send(
            "GET", source.url, headers, limit_bytes=FEED_BYTES_MAX, timeout_seconds=TIMEOUT_SECONDS
        )
        if answer.cut:
            raise refused("ical.too_large")
        if answer.status == 304 and last:
            return None
        tag = checked(answer).headers.get("etag", "")[:200] or hashlib.sha256(answer.body).hexdigest()
        return answer.body, tag


def _settled(source: Source) -> bool:
    """Did the last poll take all that the calendar said?"""
    found = Found.of(source.note)
    return found is not None and found.code == "ok" and not found.conflicts and not found.skipped


def _login(secret: str) -> dict[str, str]:
    """`name:password`, or a bearer token."""
    if not secret:
        return {}
    if ":" in secret:
        return {"Authorization": f"Basic {base64.b64encode(secret.encode()).decode()}"}
    return {"Authorization": f"Bearer {secret}"}


async def read(raw: bytes, since: datetime, until: datetime, zone: str) -> dict[str, Any]:
    """`windows` and `skipped`, by a process of its own. Raises Rejected where the text is no good calendar."""
    asked = {"since": since.isoformat(), "until": until.isoformat(), "zone": zone}
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "orchestrator.bookings.calendar_child",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"},
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(CHILD_SECONDS):
            out, _ = await child.communicate(json.dumps(asked).encode() + b"\n" + raw)
    except TimeoutError as slow:
        raise Unavailable("The calendar could not be read in time.", code="ical.slow") from slow
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    return _answer(out)


def _answer(out: bytes) -> dict[str, Any]:
    try:
        told = json.loads(out)
    except ValueError as dead:  # its limits ended it
        raise refused("ical.too_costly") from dead
    if "refused" in told:
        raise refused(str(told["refused"]))
    return dict(told)


def _reservation(source: Source, window: Mapping[str, Any]) -> ForeignReservation:
    purpose = next((PURPOSES[word] for word in window["categories"] if word in PURPOSES), None)
    return ForeignReservation(
        external_id=_external_id(window["uid"], window["occurrence"]),
        machine=source.machines.get("*", ""),
        starts_at=datetime.fromisoformat(window["starts_at"]),
        ends_at=datetime.fromisoformat(window["ends_at"]),
        purpose=purpose or (Purpose.BOOKING if window["member"] else Purpose.EVENT),
        member=window["member"] or None,
        note=window["summary"],
    )


def _external_id(uid: str, occurrence: str) -> str:
    """The UID, and of a series the occurrence's original start. A long or odd UID is told by its hash."""
    plain = uid and len(uid) <= UID_CHARACTERS_MAX and uid.isprintable()
    name = uid if plain else f"sha256:{hashlib.sha256(uid.encode()).hexdigest()}"
    return f"{name}/{occurrence}" if occurrence else name


def _named_apart(windows: tuple[ForeignReservation, ...]) -> tuple[ForeignReservation, ...]:
    """The first of each id: a calendar that gives two events one UID has broken its own rule."""
    return tuple({window.external_id: window for window in reversed(windows)}.values())[::-1]
