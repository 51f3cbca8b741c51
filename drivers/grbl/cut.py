"""One file on its way through the machine: what was sent, how far the head is, whether somebody is there. Pure.

Times are the clock's monotonic seconds, given by the caller. It sends nothing itself; `driver.py` acts on it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum

from drivers.grbl import wire
from drivers.grbl.head import Head
from drivers.grbl.program import Program
from drivers.grbl.stream import Stream, Window
from orchestrator.domain.presence import HEARTBEAT_LOST_SECONDS
from orchestrator.domain.run import Cause
from orchestrator.ports import Ended, Outcome

GAP_SECONDS = 1.0
"""Between two reports further apart than this nobody knows what the machine did; it is not counted."""
STALL_SECONDS = 3.0
PLANNER_BLOCKS = 400
"""Where a controller does not tell: none plans further ahead."""
IDLE_REPORTS = 2
"""A first `Idle` may be from before the motion began: reports are 30-50 ms behind."""


class Phase(StrEnum):
    STARTING = "starting"  # the first line has left, alone, and is not answered yet
    FED = "fed"
    ENDING = "ending"  # being held and reset, by us
    ADRIFT = "adrift"  # the link was lost: it works off its buffer, and is never fed again
    OVER = "over"


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How it is to be told once the machine has let go."""

    outcome: Outcome
    cause: Cause | None = None
    words: str = ""


@dataclass(kw_only=True)
class Meter:
    """Seconds of moving and of beam, summed over reports; half of each interval goes to the report at either end."""

    run_seconds: float = 0.0
    beam_seconds: float = 0.0
    _at: float | None = None
    _running: bool = False
    _burning: bool = False

    def report(self, at: float, *, running: bool, burning: bool) -> None:
        if self._at is not None and 0 <= at - self._at <= GAP_SECONDS:
            half = (at - self._at) / 2
            self.run_seconds += half * (self._running + running)
            self.beam_seconds += half * (self._burning + burning)
        self._at, self._running, self._burning = at, running, burning

    def stop(self) -> None:
        """Nothing is known until the next report."""
        self._at = None


@dataclass(kw_only=True)
class Cut:
    name: str
    program: Program
    planner_blocks: int = PLANNER_BLOCKS
    last_sign: float  # monotonic: when somebody was last known to be there
    phase: Phase = Phase.STARTING
    held: bool = False  # by us: nothing more is fed until somebody lets it go on
    hold_seen: bool = False  # since then
    turned_down: bool = False
    ending: Ending | None = None
    meter: Meter = field(default_factory=Meter)
    stream: Stream = field(init=False)
    head: Head = field(init=False)
    _idle_reports: int = 0
    _waits_since: float | None = None
    _waits_at: int = 0

    def __post_init__(self) -> None:
        self.stream = Stream(self.program.lines)
        self.head = Head(program=self.program)

    # --- feeding ----------------------------------------------------------------------------------

    def feed(self, window: Window) -> bytes:
        """What may leave now. While it starts that is the first line alone, which moves nothing and burns nothing."""
        if self.phase is Phase.STARTING:
            return self.stream.next(window, at_most=1 - self.stream.sent)
        if self.phase is not Phase.FED or self.held:
            return b""
        return self.stream.next(window)

    def text(self, number: int) -> str:
        return self.program.lines[number].decode("ascii").strip()

    def hold(self) -> None:
        if not self.held:
            self.held, self.hold_seen = True, False

    def go_on(self) -> None:
        self.held = self.hold_seen = False

    def drift(self) -> None:
        """The link is gone: what has left may be executed, and nothing more will leave."""
        if self.live:
            self.phase = Phase.ADRIFT
            self.hold()
            self.meter.stop()

    # --- the person -------------------------------------------------------------------------------

    @property
    def live(self) -> bool:
        """The machine may move by what we have sent."""
        return self.phase is not Phase.OVER

    def alone_in(self, now: float) -> float:
        """Seconds until the last sign of the person is too old; not more than 0 when it is."""
        return self.last_sign + HEARTBEAT_LOST_SECONDS - now

    # --- what the machine reports -----------------------------------------------------------------

    def saw(self, status: wire.Status, place_mm: tuple[float, float] | None, at: float) -> None:
        running = status.state == "Run"
        if place_mm is not None and (running or status.state in {"Hold", "Door"}):
            self.head.seen(place_mm, status.feed, at, low=self._behind, high=self.stream.answered)
        self.meter.report(at, running=running, burning=running and self._burns(status, place_mm))
        idle, answered = status.state == "Idle", self.stream.answered
        self._idle_reports = self._idle_reports + 1 if idle and self.stream.all_answered else 0
        if not idle or self.held or answered != self._waits_at:
            self._waits_at, self._waits_since = answered, None
        elif self._waits_since is None:
            self._waits_since = at

    def stalled(self, now: float) -> bool:
        """It has nothing to do, and yet has not answered what it was sent: a line or an answer was lost."""
        waits = self._waits_since
        return not self.stream.all_answered and waits is not None and now - waits >= STALL_SECONDS

    @property
    def at_its_end(self) -> bool:
        return self._idle_reports > 0

    @property
    def done(self) -> bool:
        return self.phase is Phase.FED and self._idle_reports >= IDLE_REPORTS

    @property
    def _behind(self) -> int:
        """So many lines are done for sure: what is answered is planned, and so much can wait in the plan."""
        return max(min(self.head.line, self.stream.answered), self.stream.answered - self.planner_blocks - 1)

    def _burns(self, status: wire.Status, place_mm: tuple[float, float] | None) -> bool:
        """S is modal and some firmwares tell it in rapid moves too: so look at the line that the head is on."""
        if status.power is not None and status.power <= 0:
            return False
        if status.feed is not None and status.feed <= 0:
            return False
        if place_mm is not None and self.head.line < len(self.program):
            return bool(self.program.burns[self.head.line])
        return bool(status.power)

    # --- what it has come to ----------------------------------------------------------------------

    @property
    def position_bytes(self) -> int:
        """Where in the file the head is: the end of the last line that is surely behind it."""
        if self.done:
            return self.program.size_bytes
        behind = self._behind
        return self.program.ends[behind - 1] if behind > 0 else 0

    @property
    def progress(self) -> float:
        return min(1.0, self.position_bytes / max(1, self.program.size_bytes))

    @property
    def seconds(self) -> int:
        return math.ceil(self.meter.run_seconds)

    def ended(self, ending: Ending) -> Ended:
        finished = ending.outcome is Outcome.FINISHED
        return Ended(
            remote_name=self.name,
            outcome=ending.outcome,
            cause=ending.cause,
            position_bytes=self.program.size_bytes if finished else self.position_bytes,
            machine_seconds=self.seconds,
            beam_seconds=round(self.meter.beam_seconds, 2),
            words=ending.words[:300],
        )
