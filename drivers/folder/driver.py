"""The Driver port on a folder that people, or a machine's own software, take files from. Thin: `client.py` touches
the disk, `wire.py` reads what lies there."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from drivers.folder import ticket as paper
from drivers.folder import wire
from drivers.folder.client import Folder, Lying, Settings
from orchestrator.domain.errors import Conflict, MachineUnreachable
from orchestrator.domain.event import Json
from orchestrator.domain.presence import Presence
from orchestrator.ports import (
    Clock,
    Control,
    Located,
    MachineInfo,
    Observation,
    Refused,
    Staged,
    StartAnswer,
    Ticket,
    Where,
)

T = TypeVar("T")

BYTES_PER_SECOND = 250_000
"""The slowest share or stick worth waiting for; a staged file's deadline follows its size."""


class FolderDriver:
    """One folder, for one machine."""

    kind: ClassVar[str] = "folder"
    confirm_seconds: ClassVar[int] = 60

    def __init__(self, connection: Mapping[str, Json], clock: Clock) -> None:
        self._settings = Settings.of(connection)
        self._clock = clock
        self._folder = Folder(self._settings.path)
        self._open = False
        self._turn = asyncio.Lock()
        self._thread: asyncio.Future[Any] | None = None

    # --- the link ---------------------------------------------------------------------------------

    async def connect(self) -> MachineInfo:
        self._open = False
        identity = await self._there(self._folder.open)
        self._open = True
        return MachineInfo(identity=identity, firmware="folder")

    async def close(self) -> None:
        self._open = False

    async def _there(self, visit: Callable[[], T], more_seconds: float = 0.0) -> T:
        """In a thread, since a share whose server is gone blocks whoever touches it; and one thread at a time, so that
        a dead share holds one of them and not all."""
        try:
            async with asyncio.timeout(self._settings.answer_seconds + more_seconds), self._turn:
                if self._thread is not None:
                    await asyncio.wait({self._thread})
                thread = asyncio.get_running_loop().run_in_executor(None, visit)
                thread.add_done_callback(_forget)
                self._thread = thread
                return await asyncio.shield(thread)
        except TimeoutError as error:
            raise MachineUnreachable("The folder does not answer.") from error

    # --- watching ---------------------------------------------------------------------------------

    async def observations(self) -> AsyncIterator[Observation]:
        known = await self._states()
        last = wire.observation(known.values())
        yield last
        while True:
            await self._clock.sleep(self._settings.poll_seconds)
            states = await self._states()
            seen = wire.observation(states.values())
            for name, state in states.items():
                ended, before = state.ended(), known.get(name)
                if ended is not None and (before is None or before.ended() is None):
                    last = seen
                    yield replace(seen, ended=ended)
            known = states
            if seen != last:
                last = seen
                yield seen

    async def observe(self) -> Observation:
        return wire.observation((await self._states()).values())

    async def _states(self) -> dict[str, wire.State]:
        return await self._visit(self._folder.states)

    async def _visit(self, visit: Callable[[], T], more_seconds: float = 0.0) -> T:
        if not self._open:
            raise MachineUnreachable("Not connected.")
        return await self._there(visit, more_seconds)

    # --- the file ---------------------------------------------------------------------------------

    async def stage(self, path: Path, remote_name: str, ticket: Ticket | None = None) -> Staged:
        # Drawn beforehand: it takes the processor's time, and only the share's is limited.
        printed = await asyncio.to_thread(paper.pdf, ticket) if ticket is not None else None
        now = self._clock.now()
        more_seconds = await asyncio.to_thread(os.path.getsize, path) / BYTES_PER_SECOND
        size = await self._visit(
            lambda: self._folder.stage(path, remote_name, ticket, now, printed), more_seconds
        )
        return Staged(remote_name=remote_name, size_bytes=size)

    async def revoke(self, remote_name: str) -> bool:
        return await self._visit(lambda: self._folder.revoke(remote_name))

    # --- commands ---------------------------------------------------------------------------------

    async def start(self, remote_name: str, presence: Presence | None = None) -> StartAnswer:
        return Refused(words="It is started at the machine's own software, by the person who stands there.")

    def attend(self) -> None:
        """Who stands there has the machine's own panel in hand."""

    async def control(self, remote_name: str, action: Control) -> None:
        raise Conflict("This machine is only commanded at its own software.")

    async def locate(self, remote_name: str, since: datetime) -> Located:
        lying = await self._visit(lambda: self._folder.lying(remote_name))
        states = await self._states()
        state = states.get(remote_name)
        if state is not None and state.works:
            return Located(where=Where.RUNNING, observation=wire.observation([state]))
        ended = state.ended() if state is not None else None
        if state is not None and ended is not None:
            note, note_at = (lying.note, lying.note_at) if lying is not None else (None, None)
            if wire.ours_at(state, note, note_at) + wire.CLOCK_GRAIN >= since:
                return Located(where=Where.ENDED, ended=ended)
        return Located(where=Where.UNSURE, words=_words(lying, state))


def _forget(thread: asyncio.Future[Any]) -> None:
    """Nobody may be waiting any more; what it came to is then of no use, and no reason for a warning."""
    if not thread.cancelled():
        thread.exception()


def _words(lying: Lying | None, state: wire.State | None) -> str:
    if state is not None and state.unclear:
        return "Its state file cannot be read."
    if lying is None:
        return "The folder holds nothing of this file."
    if not lying.there:
        return "The file was taken from the folder; nobody has said that it was started."
    return "The file lies in the folder; nobody has said that it was started."
