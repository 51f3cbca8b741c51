"""What a Grbl controller says and is told: lines <-> our values. Pure: no link, no clock, no file.

Facts: gnea/grbl `doc/markdown/interface.md` and `laser_mode.md`, grblHAL and FluidNC where they differ.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from orchestrator.domain.machine import Activity

ASK, HOLD, GO_ON, RESET = b"?", b"!", b"~", b"\x18"
"""Real-time bytes: obeyed at once, past every buffer, and answered by no `ok`."""

UNLOCK, BEAM_OFF, BUILD, SETTINGS = b"$X\n", b"M5 S0\n", b"$I\n", b"$$\n"

LINE_BYTES_MAX = 1024
"""No controller says anything longer; what is, is noise."""
NUMBER_MAX = 1e9


@dataclass(frozen=True, kw_only=True)
class Ok:
    """One line of ours has been read and planned."""


@dataclass(frozen=True, kw_only=True)
class Error:
    """One line of ours has been read and refused."""

    number: int

    @property
    def words(self) -> str:
        return f"error:{self.number}, {_ERRORS.get(self.number, 'the line was refused')}"


@dataclass(frozen=True, kw_only=True)
class Alarm:
    number: int

    @property
    def words(self) -> str:
        return f"ALARM:{self.number}, {_ALARMS.get(self.number, 'the controller stopped by itself')}"


@dataclass(frozen=True, kw_only=True)
class Banner:
    """The controller has just begun to live, or been reset: its buffers are empty."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Build:
    """A line of `$I`; each tells a part."""

    version: str = ""
    name: str = ""  # what the owner has called it, by `$I=`
    planner_blocks: int | None = None
    rx_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class Setting:
    number: int
    value: float


@dataclass(frozen=True, kw_only=True)
class Message:
    """Words for people; nothing follows from them."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Status:
    """A report. Fields that come only now and then are None when they did not."""

    state: str  # `Idle`, `Run`, `Hold`, …
    substate: int | None = None
    machine_mm: tuple[float, float] | None = None
    work_mm: tuple[float, float] | None = None
    offset_mm: tuple[float, float] | None = None  # work = machine - offset
    feed: float | None = None
    power: float | None = None  # S; some firmwares keep telling it in a rapid move
    rx_free_bytes: int | None = None
    pins: str = ""
    file: str | None = None  # from the controller's own card
    file_share: float | None = None

    @property
    def words(self) -> str:
        return self.state if self.substate is None else f"{self.state}:{self.substate}"


Said = Ok | Error | Alarm | Banner | Build | Setting | Message | Status

MOVING = frozenset({"Run", "Jog", "Home"})
STANDING = frozenset({"Idle", "Hold", "Door", "Alarm", "Sleep", "Check"})
"""No axis moves under power of the stream; `Hold:1` and `Door:2` are still coming to rest."""


def at_rest(status: Status) -> bool:
    return status.state in STANDING and status.words not in {"Hold:1", "Door:2", "Door:3"}


# --- reading ----------------------------------------------------------------------------------------


class Lines:
    """Bytes to lines, however they are cut up. A line that never ends is thrown away, and counted."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._skipping = False
        self.noise = 0

    def feed(self, data: bytes) -> Iterator[str]:
        for piece in data.replace(b"\r", b"\n").splitlines(keepends=True):
            self._rest += piece
            if piece.endswith(b"\n"):
                line, skip = bytes(self._rest).strip(), self._skipping
                if len(line) > LINE_BYTES_MAX:
                    self.noise, skip = self.noise + 1, True
                self._rest.clear()
                self._skipping = False
                if line and not skip:
                    yield line.decode("ascii", "replace")
            elif len(self._rest) > LINE_BYTES_MAX:
                self.noise += not self._skipping
                self._skipping = True
                self._rest.clear()


_STATUS = re.compile(r"<([A-Za-z]+)(?::(\d+))?((?:\|[^<>]*)?)>")
_BANNER = re.compile(r"grbl(?:hal)? \d", re.IGNORECASE)
_CODED = re.compile(r"(error|alarm):\s*(\d{1,4})", re.IGNORECASE)
_SETTING = re.compile(r"\$(\d{1,4})=([-+]?[0-9.]{1,20})")
_INFO = re.compile(r"\[(VER|OPT|MSG):(.*)\]?")


def parse(line: str) -> Said | None:
    """What a line says; None for an echo, for noise, and for what we have no use for."""
    if line == "ok":
        return Ok()
    if line.startswith("<"):
        return _status(line)
    if coded := _CODED.fullmatch(line):
        number = int(coded[2])
        return Error(number=number) if coded[1].lower() == "error" else Alarm(number=number)
    if line.lower().startswith(
        ("error:", "alarm:")
    ):  # in words: `$10`-less old firmware, or noise on the line
        return Error(number=0) if line[0] in "eE" else Alarm(number=0)
    if setting := _SETTING.match(line):
        value = _number(setting[2])
        return None if value is None else Setting(number=int(setting[1]), value=value)
    if _BANNER.match(line):
        return Banner(text=line[:80])
    if info := _INFO.match(line):
        return _info(info[1], info[2].removesuffix("]"))
    return None


def _info(kind: str, body: str) -> Said | None:
    if kind == "MSG":
        return Message(text=body[:200])
    if kind == "VER":
        version, _, name = body.partition(":")
        return Build(version=version[:60], name=name.strip(": ")[:60])
    told = [int(part) if part.isdecimal() and len(part) < 7 else None for part in body.split(",")[1:3]]
    blocks, rx_bytes = (*told, None, None)[:2]
    return Build(planner_blocks=blocks, rx_bytes=rx_bytes)


def _status(line: str) -> Status | None:
    match = _STATUS.fullmatch(line)
    if match is None:
        return None
    told: dict[str, str] = {}
    for part in match[3].split("|"):
        key, _, value = part.partition(":")
        told.setdefault(key, value)
    feed, power = _pair(told.get("FS")) or (_number(told.get("F")), None)
    free = _pair(told.get("Bf"))
    share, _, file = told.get("SD", "").partition(",")
    percent = _number(share)
    return Status(
        state=match[1].capitalize(),
        substate=int(match[2]) if match[2] else None,
        machine_mm=_pair(told.get("MPos")),
        work_mm=_pair(told.get("WPos")),
        offset_mm=_pair(told.get("WCO")),
        feed=feed,
        power=power,
        rx_free_bytes=None if free is None else int(free[1]),
        pins=told.get("Pn", "")[:20],
        file=file[:200] or None,
        file_share=None if percent is None else min(1.0, max(0.0, percent / 100)),
    )


def _pair(text: str | None) -> tuple[float, float] | None:
    parts = (text or "").split(",")
    if len(parts) < 2:
        return None
    first, second = _number(parts[0]), _number(parts[1])
    return None if first is None or second is None else (first, second)


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if -NUMBER_MAX < value < NUMBER_MAX else None


# --- what it means ----------------------------------------------------------------------------------

_ACTIVITY: Mapping[str, Activity] = {
    "Idle": Activity.IDLE,
    "Run": Activity.PRINTING,
    "Hold": Activity.PAUSED,
    "Hold:1": Activity.PAUSING,
    "Door": Activity.PAUSED,
    "Door:2": Activity.PAUSING,
    "Door:3": Activity.RESUMING,
    "Jog": Activity.BUSY,
    "Home": Activity.BUSY,
    "Check": Activity.BUSY,
    "Tool": Activity.ATTENTION,
    "Alarm": Activity.FAULT,
    "Sleep": Activity.ATTENTION,
}


def activity(status: Status) -> Activity:
    return _ACTIVITY.get(status.words, _ACTIVITY.get(status.state, Activity.UNKNOWN))


def door_is_open(status: Status) -> bool:
    """`Door:0` is closed again and waits; a `D` among the pins is a door that stands open now."""
    return "D" in status.pins or (status.state == "Door" and status.substate in {None, 1, 2})


@dataclass(frozen=True, kw_only=True)
class About:
    """What a controller has told of itself."""

    version: str = ""
    name: str = ""
    banner: str = ""
    planner_blocks: int | None = None
    rx_bytes: int | None = None
    settings: Mapping[int, float] = field(default_factory=dict)

    @property
    def firmware(self) -> str:
        return self.version or self.banner


_ERRORS: Mapping[int, str] = {
    0: "the line was refused",
    1: "a word without its letter",
    2: "a number that cannot be read",
    3: "an unknown $ command",
    5: "homing is switched off",
    7: "the stored settings cannot be read",
    8: "only possible while idle",
    9: "locked by an alarm or by jogging",
    11: "the line is too long",
    15: "a jog beyond the travel",
    20: "a G-code that this firmware does not know",
    21: "two G-codes of one group in a line",
    22: "no feed rate has been set",
    23: "a whole number was expected",
    24: "two commands for the same axes",
    25: "a word that comes twice",
    31: "a move without a place to go",
    33: "a place that cannot be gone to",
    36: "words that nothing uses",
}
_ALARMS: Mapping[int, str] = {
    1: "a limit switch was hit: the position is lost",
    2: "a move beyond the travel was asked for",
    3: "it was reset while moving: the position is lost",
    4: "probe failed",
    5: "probe failed",
    6: "homing failed: it was reset",
    7: "homing failed: the door was opened",
    8: "homing failed: the switch did not let go",
    9: "homing failed: no switch was found",
    10: "the emergency stop is pressed",
    11: "it must be homed first",
}
