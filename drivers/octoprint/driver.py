"""The Driver port on OctoPrint. `client.py` touches the wire, `wire.py` reads it; here is the order."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import ClassVar

import aiohttp

from drivers.octoprint import wire
from drivers.octoprint.client import Answer, OctoPrintClient, Settings, fingerprint
from orchestrator.domain.errors import (
    Conflict,
    EtabliError,
    MachineUnreachable,
    Misconfigured,
    Rejected,
)
from orchestrator.domain.event import Json
from orchestrator.domain.machine import WORKING, Activity
from orchestrator.domain.presence import Presence
from orchestrator.ports import (
    Accepted,
    Clock,
    Control,
    Located,
    MachineInfo,
    Observation,
    Refused,
    Staged,
    StartAnswer,
    Ticket,
    Unknown,
    Where,
)

SETTLE_SECONDS = 10.0
"""How long a command may take until OctoPrint's state shows it."""
SETTLE_STEP_SECONDS = 0.1
_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
"""Anything else OctoPrint stores under another name than it was sent."""


class OctoPrintDriver:
    """One printer behind one OctoPrint."""

    kind: ClassVar[str] = "octoprint"
    confirm_seconds: ClassVar[int] = 180

    def __init__(self, connection: Mapping[str, Json], clock: Clock) -> None:
        self._settings = Settings.of(connection)
        self._clock = clock
        self._client: OctoPrintClient | None = None

    # --- the link ---------------------------------------------------------------------------------

    async def connect(self) -> MachineInfo:
        await self.close()
        self._client = client = OctoPrintClient(self._settings)
        try:
            answer = await client.get("/api/version")
            server = wire.version(answer.json) if answer.status == 200 else ""
            if not server:
                raise Misconfigured("What answers at `url` is no OctoPrint.", code="driver.setting")
        except BaseException:
            await self.close()
            raise
        url = self._settings.url
        return MachineInfo(identity=f"{url.host}:{url.port}", firmware=server)

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    def _open(self) -> OctoPrintClient:
        if self._client is None:
            raise MachineUnreachable("Not connected.")
        return self._client

    # --- watching ---------------------------------------------------------------------------------

    async def observations(self) -> AsyncIterator[Observation]:
        client = self._open()
        socket = await client.socket()
        try:
            await _introduce(client, socket)
            told = wire.Told()
            while True:
                text = await self._hear(socket)
                if text is None:
                    await self._doubt(told)
                    continue
                message = wire.parse(text)
                if wire.wants_login(message):
                    await _introduce(client, socket)
                told, news = told.hear(message)
                if news is not None:
                    yield news
        finally:
            await socket.close()

    async def _hear(self, socket: aiohttp.ClientWebSocketResponse) -> str | None:
        """The next message, or None after as long a silence as an answer may take."""
        try:
            async with asyncio.timeout(self._settings.answer_seconds):
                message = await socket.receive()
        except TimeoutError:
            return None
        if message.type is not aiohttp.WSMsgType.TEXT:
            raise MachineUnreachable("OctoPrint closed its push socket.")
        return str(message.data)

    async def _doubt(self, told: wire.Told) -> None:
        """The socket is silent: right for an idle machine, a lie when it has moved on."""
        if told.last is None:
            raise MachineUnreachable("OctoPrint's push socket says nothing.")
        seen, last = await self.observe(), told.last
        told_last = (last.activity, last.remote_name, last.position_bytes)
        if (seen.activity, seen.remote_name, seen.position_bytes) != told_last:
            raise MachineUnreachable("OctoPrint's push socket has fallen silent.")

    async def observe(self) -> Observation:
        answer = await self._open().get("/api/job")
        if answer.status != 200:
            raise _strange(answer)
        return wire.reading(answer.json)

    # --- the file ---------------------------------------------------------------------------------

    async def stage(self, path: Path, remote_name: str, ticket: Ticket | None = None) -> Staged:
        client, at = self._open(), _file(remote_name)
        size, sha1 = await asyncio.to_thread(fingerprint, path)
        if not _is(await self._record(at), size, sha1):
            run = remote_name.rpartition(".")[0]
            _stored(await client.upload(path, size, remote_name, json.dumps({"run": run})), remote_name)
            if not _is(await self._record(at), size, sha1):
                raise MachineUnreachable("The file did not arrive as it was sent.")
        return Staged(remote_name=remote_name, size_bytes=size)

    async def _record(self, at: str) -> wire.Record | None:
        return (await self._dated_record(at))[0]

    async def _dated_record(self, at: str) -> tuple[wire.Record | None, float]:
        """What OctoPrint keeps of a file, and how many seconds its clock is ahead of ours."""
        answer = await self._open().get(at)
        ahead = (answer.date - self._clock.now()).total_seconds() if answer.date else 0.0
        if answer.status == 404:
            return None, ahead
        if answer.status != 200:
            raise _strange(answer)
        return wire.record(answer.json), ahead

    def attend(self) -> None:
        """Nobody need be there."""

    async def revoke(self, remote_name: str) -> bool:
        answer = await self._open().delete(_file(remote_name))
        if answer.status == 409:
            return False
        if answer.status not in {204, 404}:
            raise _strange(answer)
        seen = await self.observe()
        return not _works_on(seen, remote_name)

    # --- commands ---------------------------------------------------------------------------------

    async def start(self, remote_name: str, presence: Presence | None = None) -> StartAnswer:
        """`select` with `print`, once. 204 comes after OctoPrint has begun; 404 and 403 before any effect."""
        try:
            answer = await self._open().post_once(_file(remote_name), wire.START)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            return Refused(words="OctoPrint does not answer; the start was not sent.")
        except (aiohttp.ClientError, TimeoutError, OSError, MachineUnreachable) as error:
            return Unknown(words=f"OctoPrint did not answer the start ({type(error).__name__}).")
        if answer.status == 204:
            return Accepted()
        if answer.status == 404:
            return Refused(words="OctoPrint has no such file any more.")
        if answer.status in {401, 403}:
            return Refused(words="OctoPrint does not let our key start prints.")
        if answer.status == 409:
            return await self._conflicting(remote_name)
        return Unknown(words=f"OctoPrint answered the start with {answer.status}. {answer.words}".strip())

    async def _conflicting(self, name: str) -> StartAnswer:
        """409 says “Printer is already printing” whatever the reason: look, it may even be us."""
        try:
            seen, record = await self.observe(), await self._record(_file(name))
        except EtabliError as error:
            return Unknown(words=f"OctoPrint refused the start (409), no telling why: {error.detail}")
        if _works_on(seen, name):
            return Accepted()
        if seen.remote_name == name or (record is not None and record.printed_at is not None):
            return Unknown(words="OctoPrint refused the start (409), yet it has had this very file in hand.")
        if seen.activity in WORKING or seen.activity is Activity.BUSY:
            return Refused(words=f"The printer is at work on {seen.remote_name or 'something else'}.")
        if seen.activity is Activity.IDLE:
            return Refused(words="The printer was not ready at that moment.")
        return Refused(words=seen.message or "OctoPrint has no connection to its printer.")

    async def control(self, remote_name: str, action: Control) -> None:
        """OctoPrint's commands name no file, so look first; what slips into that moment it cannot tell."""
        seen = await self.observe()
        if not _works_on(seen, remote_name):
            raise Conflict("The printer does not work on that file.")
        if seen.activity in wire.SETTLED[action]:
            return
        if action is Control.RESUME and seen.activity is Activity.PAUSING:
            raise Conflict("The printer is still pausing, and OctoPrint would ignore the resume.")
        answer = await self._open().post("/api/job", wire.COMMANDS[action])
        if answer.status == 409:
            raise Conflict(answer.words or "OctoPrint refuses the command.")
        if answer.status != 204:
            raise _strange(answer)
        await self._settled(remote_name, action)

    async def _settled(self, name: str, action: Control) -> None:
        ends = self._clock.monotonic() + SETTLE_SECONDS
        while self._clock.monotonic() < ends:
            seen = await self.observe()
            if seen.activity in wire.SETTLED[action] or not _works_on(seen, name):
                return
            await self._clock.sleep(SETTLE_STEP_SECONDS)
        raise Conflict(f"OctoPrint took the {action.value}, but its state does not show it.")

    async def locate(self, remote_name: str, since: datetime) -> Located:
        seen = await self.observe()
        if _works_on(seen, remote_name):
            return Located(where=Where.RUNNING, observation=seen)
        record, ahead_seconds = await self._dated_record(_file(remote_name))
        ended = wire.ended(remote_name, record, since, ahead_seconds) if record else None
        if ended is not None:
            return Located(where=Where.ENDED, ended=ended)
        words = "OctoPrint has no record of this print. One that was killed in mid-print leaves none."
        return Located(where=Where.UNSURE, words=words)


async def _introduce(client: OctoPrintClient, socket: aiohttp.ClientWebSocketResponse) -> None:
    name, session = await client.login()
    try:
        for message in wire.hello(name, session):
            await socket.send_str(message)
    except (aiohttp.ClientError, OSError) as error:
        raise MachineUnreachable("OctoPrint closed its push socket.") from error


def _file(name: str) -> str:
    if not _SAFE_NAME.fullmatch(name):
        raise Rejected(f"OctoPrint would not keep the name “{name[:80]}” as it is.")
    return f"/api/files/local/{name}"


def _works_on(seen: Observation, name: str) -> bool:
    return seen.activity in WORKING and seen.remote_name == name


def _is(record: wire.Record | None, size_bytes: int, sha1: str) -> bool:
    return record is not None and (record.size_bytes, record.sha1) == (size_bytes, sha1)


def _stored(answer: Answer, name: str) -> None:
    """Reads the answer to an upload: stored under our name, and nothing else has happened."""
    if answer.status in {400, 409, 413, 415}:
        raise Rejected(f"OctoPrint refuses the file: {answer.words or answer.status}")
    if answer.status != 201:
        raise _strange(answer)
    body = answer.json if isinstance(answer.json, dict) else {}
    if body.get("effectivePrint") or body.get("effectiveSelect"):
        raise Misconfigured("OctoPrint selects or prints what is uploaded to it; a plug-in must do that.")
    kept = wire.stored_path(body)
    if kept != name:
        raise Rejected(f"OctoPrint keeps the file under another name ({kept}).")


def _strange(answer: Answer) -> MachineUnreachable:
    return MachineUnreachable(f"OctoPrint answered with {answer.status}. {answer.words}".strip())
