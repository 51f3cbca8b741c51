"""One connection to one controller: asks `?` all the time, sorts what comes back, and notices when nothing does.

It knows lines and answers, no file and no person: those are the driver's, who is told everything by `hears`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from drivers.grbl import wire
from drivers.grbl.link import Link
from drivers.grbl.stream import Window
from orchestrator.domain.errors import MachineUnreachable
from orchestrator.ports import Clock

log = logging.getLogger(__name__)

POLL_SECONDS = 0.2
"""Five reports a second: Grbl's own advice, and ten are its limit."""
POLL_IDLE_EVERY = 3
"""Where nothing is being cut, every third time will do."""
RX_BYTES = 128
"""A Grbl that does not tell its buffer has at least this (FluidNC queues 256 for each channel)."""
NOISE_MAX = 8
"""Endless lines after which what answers there is no controller."""
ANSWER_LINES_MAX = 400
"""Lines of one answer; `$$` has some 40, and 150 on grblHAL."""

Answer = wire.Ok | wire.Error
Hears = Callable[[wire.Said, object], None]
"""Told all that is said; with an answer comes what the answered line was for, None where nothing had been asked."""


class Asked:
    """A command of ours and what was said until its answer."""

    def __init__(self) -> None:
        self.lines: list[wire.Said] = []
        self.answer: Answer | None = None


class Controller:
    def __init__(
        self,
        link: Link,
        clock: Clock,
        answer_seconds: float,
        *,
        hears: Hears,
        loses: Callable[[Controller], None],
    ) -> None:
        self._link = link
        self._clock = clock
        self._answer_seconds = answer_seconds
        self._hears = hears
        self._loses = loses  # called once, when the link is given up and can, perhaps, still be sent on
        self._group = asyncio.TaskGroup()
        self._tasks: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()
        self._asked: Asked | None = None
        self._unheard_since: float | None = None  # when the first `?` was sent that is not answered yet
        self._offset_mm: tuple[float, float] | None = None
        self.window = Window(RX_BYTES)
        self.about = wire.About()
        self.status: wire.Status | None = None
        self.status_at = clock.monotonic()
        self.reports = 0
        self.banners = 0
        self.working = False  # the driver's word: ask more often
        self.lost: MachineUnreachable | None = None

    # --- its life ---------------------------------------------------------------------------------

    async def open(self) -> None:
        await self._group.__aenter__()
        self.spawn(self._read())
        self.spawn(self._poll())
        self.spawn(self._link.pump())

    async def close(self) -> None:
        """Ends every task and the link; it may be called by another task than the one that opened it."""
        for task in self._tasks:
            task.cancel()
        try:
            # None of the tasks fails, so all that this does is wait for them.
            await self._group.__aexit__(None, None, None)
        finally:
            await self._link.close()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run beside the rest until it ends or the connection is closed. What fails in it loses the connection."""
        task = self._group.create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except MachineUnreachable as lost:
            self.lose(lost)
        except Exception:  # else the group would cancel whoever opened it: the machine's whole supervisor
            log.exception("the conversation with a controller failed")
            self.lose(MachineUnreachable("An error of ours; see the log."))

    def lose(self, why: MachineUnreachable) -> None:
        if self.lost is None:
            self._loses(self)
            self.lost = why
            self._news.set()

    # --- speaking ---------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        if self.lost is None and data:
            self._link.send(data)

    async def ask(self, command: bytes) -> Asked:
        """One command and its answer, with nothing else under way. Raises MachineUnreachable."""
        asked = Asked()
        self.window.sent(command, asked)
        self._asked = asked
        self.send(command)
        try:
            await self.until(lambda: asked.answer is not None, self._answer_seconds)
        except MachineUnreachable as lost:
            self.lose(lost)  # an answer that comes late would be taken for another's
            raise
        finally:
            self._asked = None
        return asked

    async def until(self, wanted: Callable[[], bool], seconds: float) -> None:
        """Returns when something heard has made it true. Raises MachineUnreachable: lost, or not in time."""
        try:
            async with asyncio.timeout(seconds):
                while not wanted():
                    if self.lost is not None:
                        raise MachineUnreachable(self.lost.detail)
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError as error:
            raise MachineUnreachable("The controller does not answer.") from error

    def stir(self) -> None:
        """Something that is waited for may have become true without anything having been heard."""
        self._news.set()

    async def report(self) -> wire.Status:
        """A report that was asked for now."""
        before = self.reports
        self.send(wire.ASK)
        await self.until(lambda: self.reports > before, self._answer_seconds)
        assert self.status is not None
        return self.status

    @property
    def in_buffer_bytes(self) -> int:
        """What the controller says it has not read yet; 0 where it does not say."""
        free, size = self.status.rx_free_bytes if self.status else None, self.about.rx_bytes
        return 0 if free is None or size is None else size - free

    # --- listening --------------------------------------------------------------------------------

    @property
    def place_mm(self) -> tuple[float, float] | None:
        """Of the head, in the work's own coordinates; None until the offset has been told."""
        status = self.status
        if status is None:
            return None
        if status.work_mm is not None or status.machine_mm is None or self._offset_mm is None:
            return status.work_mm
        return status.machine_mm[0] - self._offset_mm[0], status.machine_mm[1] - self._offset_mm[1]

    async def _read(self) -> None:
        lines = wire.Lines()
        while data := await self._link.receive():
            for line in lines.feed(data):
                said = wire.parse(line)
                if said is not None:
                    self._hear(said)
            if lines.noise > NOISE_MAX:
                raise MachineUnreachable("What answers there does not speak Grbl's language.")
        raise MachineUnreachable("The connection to the controller is broken.")

    async def _poll(self) -> None:
        """Asks for reports; silence for as long as an answer may take is a dead link."""
        turn = 0
        while self.lost is None:
            now, unheard = self._clock.monotonic(), self._unheard_since
            if unheard is not None and now - unheard > self._answer_seconds:
                raise MachineUnreachable("The controller does not answer any more.")
            if self.working or turn % POLL_IDLE_EVERY == 0:
                self._unheard_since = now if unheard is None else unheard
                self.send(wire.ASK)
            turn += 1
            await self._clock.sleep(POLL_SECONDS)

    def _hear(self, said: wire.Said) -> None:
        purpose: object = None
        if isinstance(said, wire.Status):
            self._take_status(said)
        elif isinstance(said, Answer):
            purpose = self.window.answered()
            if isinstance(purpose, Asked):
                purpose.answer = said
        elif isinstance(said, wire.Banner):
            self.banners += 1
            self._forget()
            self.about = replace(self.about, banner=said.text)
        elif self._asked is not None and len(self._asked.lines) < ANSWER_LINES_MAX:
            self._asked.lines.append(said)
        self._hears(said, purpose)
        self._news.set()

    def _take_status(self, status: wire.Status) -> None:
        self._unheard_since, self.status_at = None, self._clock.monotonic()
        self.reports += 1
        self.status = status
        self._offset_mm = status.offset_mm or self._offset_mm

    def _forget(self) -> None:
        """A reset has emptied its buffers: nothing that was sent before will be answered."""
        for purpose in self.window.clear():
            if isinstance(purpose, Asked):
                purpose.answer = wire.Error(number=0)

    # --- who it is --------------------------------------------------------------------------------

    async def introduce(self, rx_bytes: int | None) -> wire.About:
        """Version, buffer size and settings. Only while it stands idle or locked: it refuses in mid-work."""
        about = wire.About(banner=self.about.banner)
        for said in (await self.ask(wire.BUILD)).lines:
            if isinstance(said, wire.Build):
                about = replace(
                    about,
                    version=said.version or about.version,
                    name=said.name or about.name,
                    planner_blocks=said.planner_blocks or about.planner_blocks,
                    rx_bytes=said.rx_bytes or about.rx_bytes,
                )
        told = (await self.ask(wire.SETTINGS)).lines
        settings = {said.number: said.value for said in told if isinstance(said, wire.Setting)}
        self.about = replace(about, settings=settings)
        self.window = Window(rx_bytes or about.rx_bytes or RX_BYTES)
        return self.about
