"""The rig of a folder: a directory, and what a person and a machine's own program do to it, by plain files.

`begun` is what the person began at the machine: nothing that our driver writes can add to it. A share whose server is
gone blocks whoever opens a file on it, as a pipe does that nobody writes to.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from drivers.folder.client import MARK
from drivers.folder.driver import FolderDriver
from orchestrator.clock import SystemClock
from orchestrator.domain.event import Json
from orchestrator.domain.presence import Presence
from orchestrator.ports import Driver
from tests.rigs.rig import Ways, a_presence

T = TypeVar("T")


class FolderRig:
    ways: ClassVar[Ways] = Ways(obeys_starts=False, tells_position=False, controls=frozenset())

    def __init__(self, directory: Path) -> None:
        self.clock = SystemClock()
        self.folder = directory / "share"
        self.folder.mkdir()
        self._directory = directory
        self._begun: list[str] = []
        self._base = ""  # of what is at work

    def driver(self) -> Driver:
        connection: dict[str, Json] = {"path": str(self.folder), "poll_seconds": 0.02, "answer_seconds": 0.5}
        return FolderDriver(connection, self.clock)

    def driver_with_wrong_key(self) -> Driver | None:
        return None

    def file(self, lines: int = 20) -> Path:
        path = self._directory / f"{lines}.gcode"
        path.write_text("G1 X1 Y1\n" * lines)
        return path

    def presence(self, file: Path) -> Presence | None:
        return a_presence(file, self.clock)

    @property
    def begun(self) -> tuple[str, ...]:
        return tuple(self._begun)

    async def meanwhile(self, call: Coroutine[Any, Any, T]) -> T:
        return await call

    # --- at the machine ---------------------------------------------------------------------------

    async def is_started_at_the_panel(self, remote_name: str) -> None:
        """The person opens the file in the machine's program, which finds it by what its name begins with."""
        token, _, extension = remote_name.rpartition(".")
        (path,) = (path for path in self.folder.glob(f"{token}*.{extension}"))
        self._begun.append(remote_name)
        self._base = path.name.removesuffix(f".{extension}")
        self._say(state="running")

    def _say(self, **said: object) -> None:
        draft = self._directory / "state.draft"
        draft.write_text(json.dumps(said))
        draft.replace(self.folder / f"{self._base}.state.json")

    async def prints_on(self) -> None:
        self._say(state="running", progress=0.4, machine_seconds=60)

    async def finishes(self) -> None:
        self._say(state="finished", machine_seconds=150, beam_seconds=101.5)

    async def jams(self) -> None:
        self._say(state="failed", machine_seconds=60, words="The material caught fire; it is out.")

    async def is_cancelled_by_hand(self) -> None:
        self._say(state="cancelled", machine_seconds=60)

    async def was_started_by_hand(self) -> str | None:
        self._base = "by-hand"
        self._begun.append("by-hand")
        self._say(state="running")
        return "by-hand"

    async def forgets(self) -> None:
        (self.folder / f"{self._base}.state.json").unlink()

    # --- the share --------------------------------------------------------------------------------

    @property
    def _mark(self) -> Path:
        return self.folder / MARK

    async def goes_silent(self) -> None:
        self._mark.rename(self._directory / "mark")
        os.mkfifo(self._mark)

    async def is_cut_off(self) -> None:
        self.folder.rename(self._directory / "unmounted")

    async def comes_back(self) -> None:
        if (self._directory / "unmounted").exists():
            (self._directory / "unmounted").rename(self.folder)
        if self._mark.is_fifo():
            pipe = self._mark.rename(self._directory / "pipe")
            (self._directory / "mark").rename(self._mark)
            await self._release(pipe)
            pipe.unlink()

    async def _release(self, pipe: Path) -> None:
        """Lets go whoever hangs on the pipe; nobody does where opening it for writing is refused."""
        for _ in range(10):
            try:
                os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
            except OSError:
                break
            await asyncio.sleep(0.01)

    async def answers_500(self) -> None:
        raise NotImplementedError("a folder answers no start")

    async def loses_the_answer(self) -> None:
        raise NotImplementedError("a folder answers no start")


@asynccontextmanager
async def folder(directory: Path) -> AsyncIterator[FolderRig]:
    rig = FolderRig(directory)
    try:
        yield rig
    finally:
        await rig.comes_back()
