"""The Driver port on a Ruida controller. `client.py` touches the wire, `watch.py` concludes; here is the order.

It stores and observes. It never starts: there is no way in this folder to say so.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import ClassVar

from drivers.ruida import wire
from drivers.ruida.client import RuidaClient, Settings
from drivers.ruida.watch import Reading, Record, Watch, from_json, to_json
from drivers.ruida.wire import Register
from orchestrator.domain.errors import Conflict, MachineUnreachable, Misconfigured, Rejected
from orchestrator.domain.event import Json
from orchestrator.domain.machine import WORKING, Activity
from orchestrator.domain.presence import Presence
from orchestrator.ports import (
    Clock,
    Control,
    Ended,
    Located,
    MachineInfo,
    Observation,
    Refused,
    Staged,
    StartAnswer,
    Ticket,
)

log = logging.getLogger(__name__)

SETTLE_SECONDS = 5.0
"""How long a request may take until the controller's status shows it."""
SETTLE_STEP_SECONDS = 0.1
_REQUESTS = {Control.PAUSE: wire.PAUSE, Control.CANCEL: wire.STOP}


class RuidaDriver:
    """One laser cutter behind one controller."""

    kind: ClassVar[str] = "ruida"
    confirm_seconds: ClassVar[int] = 60

    def __init__(self, connection: Mapping[str, Json], clock: Clock) -> None:
        self._settings = Settings.of(connection)
        self._clock = clock
        self._client: RuidaClient | None = None
        self._watch: Watch | None = None
        self._ends: list[Ended] = []
        self._turn = asyncio.Lock()

    # --- the link ---------------------------------------------------------------------------------

    async def connect(self) -> MachineInfo:
        await self.close()
        if self._watch is None:
            self._watch = await asyncio.to_thread(_remembered, self._settings.state_path)
        self._client = client = RuidaClient(self._settings, self._clock)
        try:
            await client.open()
            card, board = await client.number(Register.CARD), wire.text(await client.read(Register.BOARD))
            wide, deep = [await client.number(side) / 1000 for side in (Register.BED_X, Register.BED_Y)]
        except BaseException:
            await self.close()
            raise
        return MachineInfo(
            identity=f"{self._settings.host}:{self._settings.port}",
            firmware=f"{board} (card {card:08X}), {wide:g} × {deep:g} mm".strip(),
        )

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _open(self) -> tuple[RuidaClient, Watch]:
        if self._client is None or self._watch is None:
            raise MachineUnreachable("Not connected.")
        return self._client, self._watch

    # --- watching ---------------------------------------------------------------------------------

    async def observations(self) -> AsyncIterator[Observation]:
        """Asks again and again: this controller never speaks first."""
        self._ends.clear()
        last: Observation | None = None
        while True:
            seen = await self.observe()
            for ended in self._told():
                yield replace(seen, ended=ended)
                last = seen
            if seen != last:
                last = seen
                yield seen
            await self._clock.sleep(self._settings.poll_seconds)

    def _told(self) -> list[Ended]:
        ends, self._ends = self._ends, []
        return ends

    async def observe(self) -> Observation:
        async with self._turn:
            return (await self._look())[0]

    async def _look(self) -> tuple[Observation, Reading]:
        client, _ = self._open()
        reading = await self._read(client)
        if reading.word & wire.RUNNING and self._open()[1].job is None:
            await self._begins(client, reading)
        watch, seen = self._open()[1].sees(reading)
        ended = seen.ended
        self._watch = watch
        if ended is not None:
            self._ends.append(ended)
            await self._remember()
        return replace(seen, ended=None), reading

    async def _read(self, client: RuidaClient) -> Reading:
        """The status last: whatever it says then, the counters are not of later."""
        counters = await client.counters()
        return Reading(at=self._clock.now(), word=await client.number(Register.STATUS), counters=counters)

    async def _begins(self, client: RuidaClient, reading: Reading) -> None:
        """Somebody has pressed start. Ours is taken for the one that runs only if its place in the list is still its
        own."""
        watch = self._open()[1]
        ours = watch.candidate(reading.counters)
        if ours is not None and ours.place is not None and await client.name_at(ours.place) != ours.document:
            ours = None
        self._watch = watch.begins(reading, ours)

    # --- the file ---------------------------------------------------------------------------------

    async def stage(self, path: Path, remote_name: str, ticket: Ticket | None = None) -> Staged:
        document, sha256 = await asyncio.to_thread(_checked, path)
        name = wire.document_name(remote_name)
        async with self._turn:
            seen, _ = await self._look()
            client, watch = self._open()
            listed, record = await client.documents(), watch.record(remote_name)
            there = listed is not None and name in listed
            if not (there and record is not None and record.ended is None and record.sha256 == sha256):
                await self._make_way(client, remote_name, seen)
                await client.store(document, name)
                await self._note(client, name, remote_name, len(document), sha256)
        return Staged(remote_name=remote_name, size_bytes=len(document))

    async def _make_way(self, client: RuidaClient, remote_name: str, seen: Observation) -> None:
        """An older document of this name goes, and so does what we have staged before and nobody has started: only
        while one waits can it be told which one runs."""
        for record in self._open()[1].waiting:
            if record.remote_name != remote_name and seen.activity not in WORKING:
                await self._take_away(client, record.remote_name)
        name = wire.document_name(remote_name)
        if name in (await client.documents() or ()) and not await self._take_away(client, remote_name):
            raise Rejected(f"The controller keeps an older document {name}; delete it at the panel.")

    async def _note(
        self, client: RuidaClient, name: str, remote_name: str, size_bytes: int, sha256: str
    ) -> None:
        """It has arrived: remember what the counters say at this moment."""
        listed = await client.documents()
        if listed is not None and name not in listed:
            raise MachineUnreachable(
                "The controller acknowledged the document but does not list it. Is its memory full?"
            )
        record = Record(
            remote_name=remote_name,
            document=name,
            place=None if listed is None else wire.place_of(name, listed),
            sha256=sha256,
            size_bytes=size_bytes,
            staged_at=self._clock.now(),
            base=await client.counters(),
        )
        self._watch = self._open()[1].staged(record)
        await self._remember()

    async def revoke(self, remote_name: str) -> bool:
        """True once the controller no longer lists it and is seen at rest: nobody can start what is not there."""
        async with self._turn:
            seen, _ = await self._look()
            if seen.activity in WORKING or not await self._take_away(self._open()[0], remote_name):
                return False
            seen, _ = await self._look()
            return seen.activity not in WORKING

    async def _take_away(self, client: RuidaClient, remote_name: str) -> bool:
        """Delete it once, and read back: a second time would delete whatever has moved up into its place. False where
        it may still be there."""
        name = wire.document_name(remote_name)
        listed = await client.documents()
        if listed is None:
            return False
        place = wire.place_of(name, listed)
        if place is not None:
            await client.say(wire.delete(place))
            left = await client.documents()
            if left is None or name in left:
                return False
            if len(left) < len(listed) - 1:
                log.error("deleting %s, the controller has deleted more: %s are left", name, ", ".join(left))
        self._watch = self._open()[1].taken_away(remote_name, place)
        await self._remember()
        return True

    # --- commands ---------------------------------------------------------------------------------

    async def start(self, remote_name: str, presence: Presence | None = None) -> StartAnswer:
        """Refused, always, whoever asks: nothing in this folder could send it."""
        name = wire.document_name(remote_name)
        return Refused(words=f"This laser is started at its own panel, by who stands there: document {name}.")

    def attend(self) -> None:
        """It works by itself; who stands there has its own buttons."""

    async def control(self, remote_name: str, action: Control) -> None:
        """A request: the controller's commands name no document, so look first, and believe only its status."""
        async with self._turn:
            seen, _ = await self._look()
            if not _works_on(seen, remote_name):
                raise Conflict("The laser does not work on that document.")
            if action is Control.RESUME:
                raise Conflict("A laser goes on at its own panel only.")
            if action is Control.PAUSE and seen.activity is Activity.PAUSED:
                return
            await self._request(remote_name, action)

    async def _request(self, remote_name: str, action: Control) -> None:
        client, watch = self._open()
        await client.say(_REQUESTS[action])
        if action is Control.CANCEL:
            self._watch = watch.stop_asked()
        ends = self._clock.monotonic() + SETTLE_SECONDS
        while self._clock.monotonic() < ends:
            seen, _ = await self._look()
            if not _works_on(seen, remote_name) or (
                action is Control.PAUSE and seen.activity is Activity.PAUSED
            ):
                return
            await self._clock.sleep(SETTLE_STEP_SECONDS)
        raise Conflict(f"The controller took the {action.value}, but its status does not show it.")

    async def locate(self, remote_name: str, since: datetime) -> Located:
        async with self._turn:
            seen, reading = await self._look()
            return self._open()[1].locate(remote_name, since, seen, reading)

    # --- what outlives us -------------------------------------------------------------------------

    async def _remember(self) -> None:
        path, watch = self._settings.state_path, self._watch
        if path is not None and watch is not None:
            await asyncio.to_thread(_write, path, json.dumps(to_json(watch)))


def _works_on(seen: Observation, name: str) -> bool:
    return seen.activity in WORKING and seen.remote_name == name


def _checked(path: Path) -> tuple[bytes, str]:
    """The document and its fingerprint. Raises Rejected unless it is one of ours."""
    with path.open("rb") as file:
        document = file.read(wire.DOCUMENT_BYTES_MAX + 1)
    wire.storable(document)
    return document, hashlib.sha256(document).hexdigest()


def _remembered(path: Path | None) -> Watch:
    if path is None or not path.exists():
        return Watch()
    try:
        return from_json(json.loads(path.read_text()))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Misconfigured(
            f"The setting “state_path” names a file that is not ours: {error}", code="driver.setting"
        ) from error


def _write(path: Path, text: str) -> None:
    draft = path.with_name(path.name + ".new")
    try:
        draft.write_text(text)
        draft.replace(path)
    except OSError as error:
        raise Misconfigured(
            f"The setting “state_path” names a file that cannot be written: {error}", code="driver.setting"
        ) from error
