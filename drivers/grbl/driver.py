"""The Driver port on a Grbl controller: who may start, what is fed, and what holds it when nobody is there.

`controller.py` speaks and listens, `cut.py` knows how far the file is; here is what follows from what is heard.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from drivers.grbl import program, wire
from drivers.grbl.controller import Asked, Controller
from drivers.grbl.cut import PLANNER_BLOCKS, Cut, Ending, Phase
from drivers.grbl.link import Opens, open_link
from drivers.grbl.program import Bounds, Program
from drivers.grbl.reading import reading, words_of
from drivers.grbl.settings import Settings, wrong
from orchestrator.domain.errors import Conflict, MachineUnreachable, Misconfigured, Rejected
from orchestrator.domain.event import Json
from orchestrator.domain.machine import WORKING
from orchestrator.domain.presence import Presence
from orchestrator.domain.run import Cause
from orchestrator.ports import (
    Accepted,
    Clock,
    Control,
    Ended,
    Located,
    MachineInfo,
    Observation,
    Outcome,
    Refused,
    Staged,
    StartAnswer,
    Ticket,
    Unknown,
    Where,
)

HOLD_AGAIN_SECONDS = 0.1
"""While nobody is there and the machine has not been seen to hold, it is told again this often."""
HOLD_SECONDS = 3.0
"""How long a machine may take to slow down before it is reset all the same."""
FRESH_SECONDS = 1.0
"""A report no older than this tells whether the machine is idle; else it is asked again before a start."""
MISCOUNT_BYTES = 8
"""So much more in its buffer than it has left unanswered: it answers more often than it is asked."""
INTRODUCTIONS_MAX = 3
"""A board that boots when its port is opened may do so while it is being asked."""
STAGED_MAX = 8
NAMES_MAX = 500
ENDS_MAX = 50
LASER_MODE, POWER_MAX, HOMING, INCHES, WIDTH, DEPTH = 32, 30, 22, 13, 130, 131


@dataclass
class _Watcher:
    bell: asyncio.Event = field(default_factory=asyncio.Event)
    ends: deque[Observation] = field(default_factory=lambda: deque(maxlen=ENDS_MAX))


class GrblDriver:
    """One laser cutter. What it has sent outlives the connection: after a lost link nothing is sent twice."""

    kind: ClassVar[str] = "grbl"
    confirm_seconds: ClassVar[int] = 20

    def __init__(self, connection: Mapping[str, Json], clock: Clock, *, opens: Opens = open_link) -> None:
        self._settings = Settings.of(connection)
        self._clock = clock
        self._opens = opens
        self._controller: Controller | None = None
        self._cut: Cut | None = None
        self._staged: OrderedDict[str, Program] = OrderedDict()
        self._sent: OrderedDict[str, None] = OrderedDict()  # names of which at least one byte has left
        self._offered: OrderedDict[str, None] = (
            OrderedDict()
        )  # names staged here: what we never sent never began
        self._ends: OrderedDict[str, tuple[datetime, Ended]] = OrderedDict()
        self._watchers: list[_Watcher] = []

    # --- the link ---------------------------------------------------------------------------------

    async def connect(self) -> MachineInfo:
        """Never resets: asks first. A machine that still works off our buffer is left to it, and watched over."""
        await self.close()
        link = await self._opens(self._settings.address)
        self._controller = controller = Controller(
            link, self._clock, self._settings.answer_seconds, hears=self._hear, loses=self._lose
        )
        try:
            await controller.open()
            await controller.until(lambda: controller.status is not None, self._settings.answer_seconds)
            if controller.status is not None and controller.status.state in {"Idle", "Alarm"}:
                await self._introduce(controller)
        except BaseException:
            await self.close()
            raise
        if self._cut is not None:
            controller.spawn(self._guard(controller, self._cut))
        about = controller.about
        return MachineInfo(
            identity=self._settings.address.identity, firmware=f"{about.firmware} {about.name}".strip()
        )

    async def _introduce(self, controller: Controller) -> None:
        await controller.report()  # what is still answered from an earlier connection comes before it
        for _ in range(INTRODUCTIONS_MAX):
            banners = controller.banners
            about = await controller.introduce(self._settings.rx_bytes)
            if controller.banners == banners:
                break
        else:
            raise MachineUnreachable("The controller restarts again and again.")
        told, bed = about.settings, self._settings.bed_mm
        if told.get(LASER_MODE) != 1:
            raise Misconfigured("The controller's laser mode is off; set $32=1.", code="driver.laser_mode")
        if told.get(INCHES, 0) != 0:
            raise Misconfigured("The controller reports in inches; set $13=0.", code="driver.setting")
        if self._settings.power_max is not None and told.get(POWER_MAX) != self._settings.power_max:
            raise wrong("power_max", f"what the controller calls full power, $30={told.get(POWER_MAX, 0):g}")
        if bed is not None and (bed[0] > told.get(WIDTH, bed[0]) or bed[1] > told.get(DEPTH, bed[1])):
            travel = f"{told.get(WIDTH, 0):g} x {told.get(DEPTH, 0):g} mm ($130, $131)"
            raise wrong("bed_mm", f"no larger than the controller's travel, {travel}")

    async def close(self) -> None:
        """A machine that we feed stands still without us: it is told to hold, rather than to run dry."""
        controller, self._controller = self._controller, None
        if controller is None:
            return
        self._lose(controller)
        controller.lose(MachineUnreachable("Not connected."))
        await controller.close()

    def _open(self) -> Controller:
        if self._controller is None:
            raise MachineUnreachable("Not connected.")
        if self._controller.lost is not None:
            raise MachineUnreachable(self._controller.lost.detail)
        return self._controller

    def _lose(self, controller: Controller) -> None:
        """The link is about to be given up. If but one direction of it is dead, the hold still arrives."""
        if self._cut is not None and self._cut.live:
            controller.send(wire.HOLD)
            self._cut.drift()
        self._ring()

    # --- what is heard ----------------------------------------------------------------------------

    def _hear(self, said: wire.Said, purpose: object) -> None:
        """All that follows from a line the controller has said. Never waits."""
        controller, cut = self._controller, self._cut
        if controller is None:
            return
        if cut is not None and cut.live:
            if isinstance(said, wire.Status):
                self._saw(controller, cut, said)
            elif isinstance(said, wire.Ok | wire.Error):
                self._answered(controller, cut, said, purpose)
            elif isinstance(said, wire.Alarm):
                self._alarmed(cut, said)
            elif isinstance(said, wire.Banner):
                self._restarted(cut)
            controller.send(cut.feed(controller.window))
        controller.working = self._cut is not None
        self._ring()

    def _saw(self, controller: Controller, cut: Cut, status: wire.Status) -> None:
        cut.saw(status, controller.place_mm, controller.status_at)
        if cut.done:
            self._end(cut, Ending(outcome=Outcome.FINISHED))
        elif cut.phase is Phase.ADRIFT:
            if status.state not in {"Run", "Hold", "Door"}:
                cut.phase, self._cut = Phase.OVER, None  # and what has become of it, nobody knows
        elif cut.phase is Phase.FED:
            self._watch_over(controller, cut, status)
        elif cut.phase is Phase.ENDING and status.state == "Run":
            controller.send(wire.HOLD)

    def _watch_over(self, controller: Controller, cut: Cut, status: wire.Status) -> None:
        """Signs that something else than we is at work."""
        if controller.in_buffer_bytes > controller.window.used_bytes + MISCOUNT_BYTES:
            self._abort(controller, cut, _MISCOUNTED)
        elif cut.stalled(controller.status_at):
            self._abort(controller, cut, _STALLED)
        elif status.state == "Alarm":
            self._end(cut, _failed("The controller is locked by an alarm."))
        elif status.state == "Hold":
            cut.hold_seen = True
        elif status.state == "Run" and cut.held and not cut.hold_seen:
            controller.send(wire.HOLD)  # some pass over a hold that comes between two moves
        elif status.state == "Run" and cut.hold_seen and cut.alone_in(self._clock.monotonic()) > 0:
            cut.go_on()  # somebody has pressed the machine's own button; were nobody there, `_guard` would hold it

    def _answered(
        self, controller: Controller, cut: Cut, said: wire.Ok | wire.Error, purpose: object
    ) -> None:
        if isinstance(purpose, Asked) or cut.phase in {Phase.ENDING, Phase.ADRIFT}:
            return
        if not isinstance(purpose, int):
            self._abort(controller, cut, _MISCOUNTED)
            return
        cut.stream.answered += 1
        if isinstance(said, wire.Error):
            ending = _failed(f"{said.words}, in line {purpose + 1}: {cut.text(purpose)}")
            if cut.phase is Phase.STARTING:
                self._turned_down(cut, ending)
            else:
                self._abort(controller, cut, ending)

    def _turned_down(self, cut: Cut, ending: Ending) -> None:
        """The first line, which does nothing, was refused, and it is all that has left: the file may be tried again."""
        cut.phase, cut.ending, cut.turned_down, self._cut = Phase.OVER, ending, True, None
        self._sent.pop(cut.name, None)
        self._staged[cut.name] = cut.program

    def _alarmed(self, cut: Cut, alarm: wire.Alarm) -> None:
        if cut.phase in {Phase.ENDING, Phase.ADRIFT}:
            return
        if alarm.number == _RESET_WHILE_MOVING:
            words = f"Somebody has reset the machine in mid-cut. {alarm.words}"
            self._end(cut, Ending(outcome=Outcome.CANCELLED, words=words))
        else:
            self._end(cut, _failed(alarm.words))

    def _restarted(self, cut: Cut) -> None:
        """A banner that we did not ask for: its buffers are empty, the rest will never be cut.

        Only a new connection may bring one without a reset, and then the cut is adrift.
        """
        if cut.phase in {Phase.ENDING, Phase.ADRIFT}:
            return
        words = "The controller was restarted in mid-cut: its position is lost, and the rest was not cut."
        self._end(cut, Ending(outcome=Outcome.FAILED, cause=Cause.POWER, words=words))

    # --- holding and ending -----------------------------------------------------------------------

    async def _guard(self, controller: Controller, cut: Cut) -> None:
        """The dead man's switch: without a sign of the person the machine holds, whatever else goes on here."""
        while cut.live and controller.lost is None:
            alone_in = cut.alone_in(self._clock.monotonic())
            if alone_in > 0:
                await self._clock.sleep(alone_in)
                continue
            cut.hold()
            if cut.phase is not Phase.ENDING and not cut.at_its_end and not _held(controller.status):
                controller.send(wire.HOLD)
            await self._clock.sleep(HOLD_AGAIN_SECONDS)

    def _abort(self, controller: Controller, cut: Cut, ending: Ending) -> None:
        """Held at once; then reset, which is the only way to throw away what is in its buffers."""
        if cut.phase is Phase.ENDING:
            return
        controller.send(wire.HOLD)
        cut.phase, cut.ending = Phase.ENDING, ending
        controller.spawn(self._reset(controller, cut, ending))

    async def _reset(self, controller: Controller, cut: Cut, ending: Ending) -> None:
        reports = controller.reports

        def resting() -> bool:
            status = controller.status
            return status is not None and controller.reports > reports + 1 and wire.at_rest(status)

        kept = True  # the position: only a reset in motion loses it
        try:
            await controller.until(resting, HOLD_SECONDS)
        except MachineUnreachable:
            kept = False
        banners = controller.banners
        controller.send(wire.RESET)
        await controller.until(lambda: controller.banners > banners, self._settings.answer_seconds)
        status = await controller.report()
        homing = bool(controller.about.settings.get(HOMING, 0))
        words = ending.words
        if status.state == "Alarm" and (kept or not homing):
            await controller.ask(wire.UNLOCK)
            await controller.ask(wire.BEAM_OFF)
        elif status.state != "Alarm":
            await controller.ask(wire.BEAM_OFF)
        if not kept:
            words = f"{words} It was reset while moving: home the machine, its position is lost.".strip()
        self._end(cut, replace(ending, words=words))

    def _end(self, cut: Cut, ending: Ending) -> None:
        ended = cut.ended(ending)
        cut.phase, cut.ending, self._cut = Phase.OVER, ending, None
        self._ends[cut.name] = self._clock.now(), ended
        _bound(self._ends, ENDS_MAX)
        told = replace(self._reading(), ended=ended)
        for watcher in self._watchers:
            watcher.ends.append(told)
        self._ring()

    # --- watching ---------------------------------------------------------------------------------

    def _ring(self) -> None:
        if self._controller is not None:
            self._controller.stir()
        for watcher in self._watchers:
            watcher.bell.set()

    async def observations(self) -> AsyncIterator[Observation]:
        controller, watcher = self._open(), _Watcher()
        last: Observation | None = None
        self._watchers.append(watcher)
        try:
            while True:
                while watcher.ends:
                    yield watcher.ends.popleft()
                if controller.lost is not None:
                    raise MachineUnreachable(controller.lost.detail)
                seen = self._reading()
                if seen != last:
                    last = seen
                    yield seen
                    continue
                watcher.bell.clear()
                await watcher.bell.wait()
        finally:
            self._watchers.remove(watcher)

    async def observe(self) -> Observation:
        await self._open().report()
        return self._reading()

    def _reading(self) -> Observation:
        status = self._controller.status if self._controller is not None else None
        return reading(status, self._cut, door=self._settings.door)

    # --- the file ---------------------------------------------------------------------------------

    async def stage(self, path: Path, remote_name: str, ticket: Ticket | None = None) -> Staged:
        """Kept here, checked line by line: a Grbl stores no file. Raises Rejected naming the line."""
        await self._open().report()
        if self._cut is not None and self._cut.name == remote_name:
            raise Conflict("The machine is at work on that very file.")
        read = await asyncio.to_thread(program.read, path, self._bounds())
        if ticket is not None and ticket.artifact_sha256 and ticket.artifact_sha256 != read.sha256:
            raise Rejected("The file is not the one that was prepared.", code="laser.other_file")
        self._staged[remote_name] = read
        self._staged.move_to_end(remote_name)
        _bound(self._staged, STAGED_MAX)
        self._offered[remote_name] = None
        _bound(self._offered, NAMES_MAX)
        return Staged(remote_name=remote_name, size_bytes=read.size_bytes)

    def _bounds(self) -> Bounds:
        told = self._open().about.settings.get(POWER_MAX)
        return Bounds(bed_mm=self._settings.bed_mm, power_max=told or self._settings.power_max)

    async def revoke(self, remote_name: str) -> bool:
        await self._open().report()
        self._staged.pop(remote_name, None)
        return self._cut is None or self._cut.name != remote_name

    # --- the start --------------------------------------------------------------------------------

    async def start(self, remote_name: str, presence: Presence | None = None) -> StartAnswer:
        """The first line goes alone: it moves nothing. Once it is answered, the rest is fed."""
        no = self._refusal(remote_name, presence)
        if no:
            return Refused(words=no)
        try:
            controller = self._open()
            if self._clock.monotonic() - controller.status_at > FRESH_SECONDS:
                await controller.report()
            if not controller.about.settings:
                await self._introduce(controller)
            if len(controller.window):
                await self._settled(controller)
        except MachineUnreachable as lost:
            return Unknown(words=lost.detail)
        except Misconfigured as wrong_setting:
            return Refused(words=wrong_setting.detail)
        # Nothing is awaited from here to the first byte: what is asked now holds when it leaves.
        no = self._refusal(remote_name, presence) or self._not_ready(controller)
        if no:
            return Refused(words=no)
        cut = Cut(
            name=remote_name,
            program=self._staged.pop(remote_name),
            planner_blocks=controller.about.planner_blocks or PLANNER_BLOCKS,
            last_sign=self._clock.monotonic(),
        )
        self._cut = cut
        self._sent[remote_name] = None
        _bound(self._sent, NAMES_MAX)
        controller.working = True
        controller.spawn(self._guard(controller, cut))
        controller.send(cut.feed(controller.window) + wire.ASK)
        return await self._begun(controller, cut)

    async def _settled(self, controller: Controller) -> None:
        """After an alarm some lines are never answered: a machine that stands idle twice has nothing left to answer."""
        for _ in range(2):
            if (await controller.report()).state != "Idle":
                return
        controller.window.clear()

    async def _begun(self, controller: Controller, cut: Cut) -> StartAnswer:
        reports = controller.reports

        def answered() -> bool:
            told = cut.stream.answered and controller.reports > reports
            return bool(told) or cut.phase is not Phase.STARTING

        try:
            await controller.until(answered, self._settings.answer_seconds)
        except MachineUnreachable as lost:
            controller.lose(lost)  # an answer that comes late would be taken for another's
            return Unknown(words=lost.detail)
        if cut.ending is not None:
            words = cut.ending.words
            return Refused(words=words) if cut.turned_down else Unknown(words=words)
        status = controller.status
        if cut.phase is not Phase.STARTING or status is None or status.state != "Idle":
            cut.drift()
            return Unknown(words="The machine was not idle any more when the first line had reached it.")
        cut.phase = Phase.FED
        controller.send(cut.feed(controller.window))
        return Accepted()

    def _refusal(self, name: str, presence: Presence | None) -> str:
        """Why it must not start, as far as we know by ourselves; empty when it may."""
        if self._cut is not None and self._cut.live:
            return f"The machine is at work on {self._cut.name}."
        file = self._staged.get(name)
        if name in self._sent:
            return "This start was sent once already."
        if file is None:
            return "The file is not staged (any more)."
        if presence is None:
            return "Nobody has released this run at the machine."
        if not presence.issued_at <= self._clock.now() < presence.expires_at:
            return "The release at the machine has run out."
        if presence.artifact_sha256 != file.sha256:
            return "The release was given for another file."
        return ""

    def _not_ready(self, controller: Controller) -> str:
        status = controller.status
        if status is None or status.state != "Idle":
            words = "The machine is not idle."
            return f"{words} {words_of(status, self._cut)}".strip() if status is not None else words
        if len(controller.window):
            return "The machine has not answered an earlier command yet."
        if self._settings.door and wire.door_is_open(status):
            return "The door is open."
        return ""

    def attend(self) -> None:
        if self._cut is not None:
            self._cut.last_sign = self._clock.monotonic()

    # --- control ----------------------------------------------------------------------------------

    async def control(self, remote_name: str, action: Control) -> None:
        """Fenced by our own memory, not by a question first: a hold must not wait for an answer."""
        controller, cut = self._open(), self._cut
        if cut is None or cut.name != remote_name or not cut.live:
            raise Conflict("The machine does not work on that file.")
        if action is Control.CANCEL:
            await self._cancel(controller, cut)
        elif action is Control.PAUSE:
            await self._pause(controller, cut)
        else:
            await self._resume(controller, cut)

    async def _pause(self, controller: Controller, cut: Cut) -> None:
        cut.hold()
        controller.send(wire.HOLD)
        await self._shown(controller, cut, {"Hold", "Door"}, "pause")

    async def _resume(self, controller: Controller, cut: Cut) -> None:
        if cut.phase is not Phase.FED:
            raise Conflict("The link was lost in between: this cut cannot go on, only be cancelled.")
        if wire.door_is_open(await controller.report()):
            raise Conflict("The door is open.")
        if cut.alone_in(self._clock.monotonic()) <= 0:
            raise Conflict("Nobody is at the machine.")
        cut.go_on()
        controller.send(wire.GO_ON)
        controller.send(cut.feed(controller.window))
        await self._shown(controller, cut, {"Run", "Idle"}, "resume")

    async def _cancel(self, controller: Controller, cut: Cut) -> None:
        self._abort(controller, cut, Ending(outcome=Outcome.CANCELLED))
        seconds = HOLD_SECONDS + 3 * self._settings.answer_seconds
        await controller.until(lambda: not cut.live, seconds)

    async def _shown(self, controller: Controller, cut: Cut, states: set[str], what: str) -> None:
        """Done when a report says so, or the cut is over."""

        def shown() -> bool:
            status = controller.status
            if not cut.live or status is None:
                return not cut.live
            # A hold that comes while it waits for the next line is passed over, and yet nothing moves: all is answered.
            rests = cut.held and status.state == "Idle" and not len(controller.window)
            return rests or status.state in states

        reports = controller.reports
        try:
            await controller.until(
                lambda: controller.reports > reports + 1 and shown(), self._settings.answer_seconds
            )
        except MachineUnreachable:
            self._open()
            raise Conflict(f"The machine took the {what}, but its state does not show it.") from None

    # --- after a gap ------------------------------------------------------------------------------

    async def locate(self, remote_name: str, since: datetime) -> Located:
        """RUNNING and ENDED from our own memory of this process; after a restart of ours all is UNSURE."""
        seen = await self.observe()
        if seen.remote_name == remote_name and seen.activity in WORKING:
            return Located(where=Where.RUNNING, observation=seen)
        at, ended = self._ends.get(remote_name, (None, None))
        if at is not None and at >= since:
            return Located(where=Where.ENDED, ended=ended)
        if remote_name in self._offered and remote_name not in self._sent:
            return Located(
                where=Where.NEVER_STARTED, words="No line of the file has been taken by the machine."
            )
        words = "The machine keeps no record of what it cut, and the file was not fed to its end from here."
        return Located(where=Where.UNSURE, words=words)


_RESET_WHILE_MOVING = 3
_MISCOUNTED = Ending(
    outcome=Outcome.FAILED,
    cause=Cause.MACHINE_FAULT,
    words="The controller answers more often than it is asked: what it has received is not certain any more.",
)


_STALLED = Ending(
    outcome=Outcome.FAILED,
    cause=Cause.MACHINE_FAULT,
    words="The controller stands idle and does not answer the lines that it was sent: some were lost on the way.",
)


def _held(status: wire.Status | None) -> bool:
    return status is not None and status.state in {"Hold", "Door", "Alarm", "Sleep"}


def _failed(words: str) -> Ending:
    return Ending(outcome=Outcome.FAILED, cause=Cause.MACHINE_FAULT, words=words)


def _bound(kept: OrderedDict[str, Any], most: int) -> None:
    while len(kept) > most:
        kept.popitem(last=False)
