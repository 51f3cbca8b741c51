"""A Grbl 1.1h, on a TCP port or in memory, as far as a driver can tell, and what it saw.

It answers as the firmware's documentation and `tests/drivers/grbl/samples` say. Motion is at constant speed, `speed`
times as fast as real. `rx_overrun`, `violations` and `burned_seconds` are the judge: what really happened.
"""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

BANNER = "Grbl 1.1h ['$' for help]"
TICK_SECONDS = 0.004
RX_BYTES, PLANNER_BLOCKS = 128, 15
RAPID_MM_MIN = 12_000.0
SETTINGS = {
    "10": "1", "13": "0", "20": "0", "21": "0", "22": "0", "30": "1000", "31": "0", "32": "1",
    "110": "12000.000", "111": "12000.000", "120": "500.000", "130": "600.000", "131": "400.000",
}  # fmt: skip
_WORD = re.compile(r"([A-Z])([-+]?[0-9.]+)")


@dataclass
class Block:
    """A move that is planned."""

    start: tuple[float, float]
    target: tuple[float, float]
    mm_min: float
    power: float  # 0 in a rapid move
    told_power: float  # as the reports tell it
    done_mm: float = 0.0

    @property
    def length_mm(self) -> float:
        return math.dist(self.start, self.target)


@dataclass
class Manners:
    """In which ways it misbehaves."""

    answers_twice: bool = False
    swallows_answers: bool = False
    loses_line: int | None = None  # this one is neither obeyed nor answered
    refuses_line: tuple[int, int] | None = None  # the line with this number, with this error
    tells_power_in_rapids: bool = True  # as grblHAL does


@dataclass
class FakeGrbl:
    speed: float = 1.0
    settings: dict[str, str] = field(default_factory=lambda: dict(SETTINGS))
    manners: Manners = field(default_factory=Manners)
    options: str = f"[OPT:V,{PLANNER_BLOCKS},{RX_BYTES}]"
    door_open: bool = False
    now: Callable[[], float] = time.monotonic
    prompt: bool = False  # it reads a line the moment it has come, not at its next tick

    # what it saw
    heard: bytearray = field(default_factory=bytearray)
    lines: list[str] = field(default_factory=list)  # G-code that it read since it was switched on
    holds: list[float] = field(default_factory=list)  # times of `!`
    resumes: list[float] = field(default_factory=list)
    resets: int = 0
    programs: int = 0  # how many files began
    violations: list[str] = field(default_factory=list)
    rx_overrun: bool = False
    burned_seconds: float = 0.0  # of the machine's own time
    moved_seconds: float = 0.0
    burning_at: float | None = None  # when the beam was last on
    reports: int = 0

    state: str = "Idle"
    place: tuple[float, float] = (0.0, 0.0)
    port: int = 0

    def __post_init__(self) -> None:
        self.sinks: set[Callable[[bytes], object]] = set()
        self._rx = bytearray()
        self._planner: deque[Block] = deque()
        self._held = False
        self._modal_reset()
        self._by_hand = 0.0

    def _modal_reset(self) -> None:
        self._armed = False
        self._power = self._feed = 0.0
        self._motion = 0
        self._end = self.place
        self._in_program = False

    # --- the line -----------------------------------------------------------------------------------

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.sinks.add(writer.write)
        try:
            with suppress(OSError):
                while data := await reader.read(4096):
                    for byte in data:
                        self.take(byte)
        finally:
            self.sinks.discard(writer.write)
            writer.transport.abort()

    def say(self, line: str) -> None:
        for sink in self.sinks:
            sink(line.encode("latin-1") + b"\r\n")

    def take(self, byte: int) -> None:
        """One byte as the interrupt takes it: real-time commands at once, all else into the buffer."""
        now = self.now()
        self.heard.append(byte)
        if byte == 0x18:
            self.resets += 1
            self.reset()
        elif byte == ord("?"):
            self.reports += 1
            self.say(self._report())
        elif byte == ord("!"):
            self.holds.append(now)
            self._hold()
        elif byte == ord("~"):
            self.resumes.append(now)
            self._resume()
        elif byte == 0x84:
            self.open_door()
        elif len(self._rx) >= RX_BYTES:
            self.rx_overrun = True
        else:
            self._rx.append(byte)
            if self.prompt and byte == ord("\n"):
                self._read_lines()

    def _report(self) -> str:
        x, y = self.place
        block = self._planner[0] if self._planner and self.state == "Run" else None
        told = 0.0
        if block is not None:
            told = block.told_power if self.manners.tells_power_in_rapids else block.power
        feed = block.mm_min if block is not None else 0.0
        parts = [self._state_word(), f"MPos:{x:.3f},{y:.3f},0.000"]
        if int(self.settings["10"]) & 2:
            parts.append(f"Bf:{PLANNER_BLOCKS - len(self._planner)},{RX_BYTES - len(self._rx)}")
        parts.append(f"FS:{feed:.0f},{told:.0f}")
        if self.door_open:
            parts.append("Pn:D")
        if self.reports % 10 == 1:
            parts.append("WCO:0.000,0.000,0.000")
        return f"<{'|'.join(parts)}>"

    def _state_word(self) -> str:
        if self.state == "Hold":
            return "Hold:0"
        if self.state == "Door":
            return "Door:1" if self.door_open else "Door:0"
        return self.state

    # --- real time ------------------------------------------------------------------------------------

    def _hold(self) -> None:
        if self.state in {"Run", "Idle"}:
            self.state, self._held = "Hold", True

    def _resume(self) -> None:
        if self.state == "Hold" or (self.state == "Door" and not self.door_open):
            self.state, self._held = ("Run" if self._planner else "Idle"), False

    def open_door(self) -> None:
        self.door_open = True
        if self.state in {"Run", "Hold", "Idle"}:
            self.state, self._held = "Door", True
            self.say("[MSG:Check Door]")

    def close_door(self) -> None:
        self.door_open = False

    def reset(self) -> None:
        moving = self.state == "Run"
        self._drop()
        if moving:
            self.say("ALARM:3")
        self.say("")
        self.say(BANNER)
        if moving or self.state == "Alarm":
            self.state = "Alarm"
            self.say("[MSG:'$H'|'$X' to unlock]")
        else:
            self.state = "Idle"

    def _drop(self) -> None:
        self._rx.clear()
        self._planner.clear()
        self._held = False
        self._by_hand = 0.0
        self._modal_reset()

    def press_reset(self) -> None:
        """The button at the machine."""
        self.reset()

    def press_start(self) -> None:
        """The cycle start button at the machine."""
        self._resume()

    def hit_a_limit(self) -> None:
        self._drop()
        self.state = "Alarm"
        self.say("ALARM:1")
        self.say("[MSG:Reset to continue]")

    def lose_power(self) -> None:
        """And get it back at once: nothing is left of what it did, and it has no limit switches to be homed by."""
        self._drop()
        self.state = "Idle"
        self.say(BANNER)

    def start_by_hand(self) -> None:
        """A job of somebody else's, from the machine's own panel."""
        self._by_hand = 3600.0
        self.state = "Run"

    # --- its main loop --------------------------------------------------------------------------------

    async def run(self) -> None:
        last = self.now()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = self.now()
            self.tick(now - last)
            last = now

    def tick(self, seconds: float) -> None:
        left = seconds * self.speed
        for _ in range(2000):
            self._read_lines()
            left = self._move(left)
            if left <= 0:
                return

    def _read_lines(self) -> None:
        while b"\n" in self._rx and self.state not in {"Hold", "Door"} and not self._by_hand:
            line = bytes(self._rx[: self._rx.index(b"\n")]).decode("latin-1").strip()
            if not self._fits(line):
                return
            del self._rx[: self._rx.index(b"\n") + 1]
            self._answer(line)

    def _fits(self, line: str) -> bool:
        """A move waits for room in the planner; a switch of the beam waits until all is cut."""
        if re.search(r"[XY]", line):
            return len(self._planner) < PLANNER_BLOCKS
        return not (re.search(r"M[02345]", line) and self._planner)

    def _answer(self, line: str) -> None:
        answer = self._system(line) if line.startswith("$") else self._gcode(line)
        if answer is None or self.manners.swallows_answers:
            return
        for _ in range(2 if self.manners.answers_twice else 1):
            self.say(answer)

    def _system(self, line: str) -> str:
        if line == "$X":
            self.state = "Idle" if self.state == "Alarm" else self.state
            self.say("[MSG:Caution: Unlocked]")
        elif line in {"$I", "$$"} and self.state not in {"Idle", "Alarm"}:
            return "error:8"
        elif line == "$I":
            self.say("[VER:1.1h.20190830:]")
            if self.options:
                self.say(self.options)
        elif line == "$$":
            for number, value in self.settings.items():
                self.say(f"${number}={value}")
        elif match := re.fullmatch(r"\$(\d+)=([0-9.]+)", line):
            if match[1] not in self.settings:
                return "error:3"
            self.settings[match[1]] = match[2]
        else:
            return "error:3"
        return "ok"

    def _gcode(self, line: str) -> str | None:
        if self.state == "Alarm":
            return "error:9"
        if not self._in_program and line != "M5S0" and line != "M5 S0":
            self.programs += 1
            self._in_program = True
        number = len(self.lines)
        self.lines.append(line)
        if self.manners.refuses_line is not None and self.manners.refuses_line[0] == number:
            return f"error:{self.manners.refuses_line[1]}"
        if self.manners.loses_line == number:
            return None
        return self._obey(line)

    def _obey(self, line: str) -> str:
        place: dict[str, float] = {}
        for letter, value in _WORD.findall(line):
            number = float(value)
            if letter == "G" and number in {0, 1}:
                self._motion = int(number)
            elif letter == "G" and number not in {21, 90, 94, 54}:
                return "error:20"
            elif letter == "M":
                self._switch(int(number))
            elif letter == "F":
                self._feed = number
            elif letter == "S":
                self._power = number
            elif letter in "XY":
                place[letter] = number
        if not place:
            return "ok"
        if self._motion == 1 and not self._feed:
            return "error:22"
        target = place.get("X", self._end[0]), place.get("Y", self._end[1])
        self._plan(target)
        return "ok"

    def _switch(self, code: int) -> None:
        if code == 3:
            self.violations.append("M3")
        if code in {2, 3, 4, 5}:
            self._armed = code in {3, 4}
        if code == 2:
            self._in_program = False
            self._feed = self._power = 0.0

    def _plan(self, target: tuple[float, float]) -> None:
        cuts = self._motion == 1
        power = self._power if cuts and self._armed else 0.0
        speed = self._feed if cuts else RAPID_MM_MIN
        told = self._power if self._armed else 0.0
        self._planner.append(
            Block(start=self._end, target=target, mm_min=speed, power=power, told_power=told)
        )
        self._end = target

    def _move(self, seconds: float) -> float:
        """Goes on for so long, or to the end of the present move; returns what is left of the time."""
        if self.state in {"Hold", "Door", "Alarm"}:
            return 0.0
        if self._by_hand:
            self._by_hand = max(0.0, self._by_hand - seconds)
            self.state = "Run" if self._by_hand else "Idle"
            return 0.0
        if not self._planner:
            self.state = "Idle"
            return 0.0
        self.state = "Run"
        block = self._planner[0]
        per_second = block.mm_min / 60
        spent = min(seconds, (block.length_mm - block.done_mm) / per_second)
        block.done_mm += spent * per_second
        self.moved_seconds += spent
        if block.power > 0 and spent > 0:
            self.burned_seconds += spent
            self.burning_at = self.now()
        share = block.done_mm / block.length_mm if block.length_mm else 1.0
        self.place = (
            block.start[0] + (block.target[0] - block.start[0]) * share,
            block.start[1] + (block.target[1] - block.start[1]) * share,
        )
        if block.done_mm >= block.length_mm - 1e-9:
            self._planner.popleft()
        return seconds - spent

    @property
    def idle(self) -> bool:
        """It has read the end of the file, and done it."""
        return self.state == "Idle" and not self._rx and not self._planner and not self._in_program


class MemoryLink:
    """A wire without a network, for tests on a fake clock. `dead` swallows what is sent, without a word."""

    def __init__(self, fake: FakeGrbl) -> None:
        self._fake = fake
        self._said: asyncio.Queue[bytes] = asyncio.Queue()
        self.dead = False
        fake.sinks.add(self._said.put_nowait)

    def send(self, data: bytes) -> None:
        for byte in data if not self.dead else b"":
            self._fake.take(byte)

    async def receive(self) -> bytes:
        return await self._said.get()

    async def pump(self) -> None:
        """Nothing waits to be sent."""

    async def close(self) -> None:
        self.hang_up()

    def hang_up(self) -> None:
        self._fake.sinks.discard(self._said.put_nowait)
        self._said.put_nowait(b"")


@asynccontextmanager
async def fake_grbl(fake: FakeGrbl | None = None) -> AsyncIterator[FakeGrbl]:
    fake = fake or FakeGrbl()
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    fake.port = server.sockets[0].getsockname()[1]
    motion = asyncio.create_task(fake.run())
    try:
        yield fake
    finally:
        motion.cancel()
        server.close()
        with suppress(asyncio.CancelledError):
            await motion
