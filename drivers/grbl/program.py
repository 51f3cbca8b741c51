"""A file that is safe to feed: every line is read and checked before the first may leave. Knows no controller.

A second check, independent of the post-processor that wrote the file: what is not on the short list of words below
is refused, so that neither M3 nor a setting, a jog or a real-time byte can reach the machine through a file.
"""

from __future__ import annotations

import hashlib
import math
import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from drivers.grbl.words import refused

LINE_CHARS_MAX = 70
FILE_BYTES_MAX = 64 << 20
PLACE_MM_MAX = 10_000.0

_WORDS = re.compile(r"(?:[A-Z][-+]?(?:\d+\.?\d*|\.\d+))+")
_WORD = re.compile(r"([A-Z])([-+]?(?:\d+\.?\d*|\.\d+))")
_COMMENT = re.compile(r"\([^()]*\)|;.*")
_G = {"0": 0, "00": 0, "1": 1, "01": 1, "21": 21, "90": 90, "94": 94, "54": 54}
_M = {"2": 2, "02": 2, "4": 4, "04": 4, "5": 5, "05": 5, "8": 8, "08": 8, "9": 9, "09": 9}
_OBEYED_AT_ONCE = re.compile(r"[?!~$\x00-\x08\x0b-\x1f\x7f-\uffff]")


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What a machine allows; None: not told."""

    bed_mm: tuple[float, float] | None = None
    power_max: float | None = None


@dataclass(frozen=True, kw_only=True)
class Program:
    """The lines as they are sent, and for each where it ends in the file, where it goes, and whether it burns."""

    sha256: str
    size_bytes: int
    lines: list[bytes]  # with their newline; nothing that moves or burns among the first
    ends: array[int]  # the line ends at this byte of the file
    xs: array[float]  # millimetres, of the work area
    ys: array[float]
    burns: bytearray  # 1: a cutting move with power

    def __len__(self) -> int:
        return len(self.lines)


def read(path: Path, bounds: Bounds) -> Program:
    """Raises Rejected naming the first line that is not safe to send."""
    if path.stat().st_size > FILE_BYTES_MAX:
        raise refused("laser.too_large")
    return check(path.read_bytes(), bounds)


def check(data: bytes, bounds: Bounds) -> Program:
    """Raises Rejected naming the first line that is not safe to send."""
    reader = _Reader(bounds=bounds)
    end = 0
    for number, raw in enumerate(data.split(b"\n"), start=1):
        end = min(len(data), end + len(raw) + 1)
        text = _bare(raw, number)
        if text:
            reader.take(text, number, end)
    reader.finish()
    return Program(
        sha256=hashlib.sha256(data).hexdigest(),
        size_bytes=len(data),
        lines=reader.lines,
        ends=reader.ends,
        xs=reader.xs,
        ys=reader.ys,
        burns=reader.burns,
    )


def _bare(raw: bytes, number: int) -> str:
    """Without comments and blanks. A byte that Grbl obeys at once is refused even in a comment: Grbl takes it there."""
    text = raw.rstrip(b"\r").decode("latin-1")
    if bad := _OBEYED_AT_ONCE.search(text):
        raise refused("laser.byte", line=number, seen=repr(bad.group()))
    bare = _COMMENT.sub("", text).replace(" ", "").replace("\t", "").upper()
    if len(bare) > LINE_CHARS_MAX:
        raise refused("laser.line_too_long", line=number, seen=bare)
    return bare


@dataclass(kw_only=True)
class _Reader:
    """What the lines so far have set."""

    bounds: Bounds
    lines: list[bytes] = field(default_factory=list)
    ends: array[int] = field(default_factory=lambda: array("Q"))
    xs: array[float] = field(default_factory=lambda: array("d"))
    ys: array[float] = field(default_factory=lambda: array("d"))
    burns: bytearray = field(default_factory=bytearray)
    _codes: set[int] = field(default_factory=set)  # G-codes ever seen
    _motion: int | None = None
    _armed: bool = False  # M4
    _power: float = 0.0
    _feed: float = 0.0
    _x: float = 0.0
    _y: float = 0.0
    _over: bool = False  # M2

    def take(self, text: str, number: int, end: int) -> None:
        if not _WORDS.fullmatch(text):
            raise refused("laser.word", line=number, seen=text)
        moves = False
        for letter, value in _words(text):
            if letter == "G":
                self._g(value, number, text)
            elif letter == "M":
                self._m(value, number, text)
            else:
                moves = self._value(letter, float(value), number, text) or moves
        if moves:
            self._may_move(number, text)
        burning = moves and self._motion == 1 and self._armed and self._power > 0
        self._append(text, end, burning)

    def _append(self, text: str, end: int, burning: bool) -> None:
        self.lines.append(text.encode("ascii") + b"\n")
        self.ends.append(end)
        self.xs.append(self._x)
        self.ys.append(self._y)
        self.burns.append(burning)

    def _g(self, value: str, number: int, text: str) -> None:
        code = _G.get(value)
        if code is None:
            raise refused("laser.word", line=number, seen=text)
        self._codes.add(code)
        if code in {0, 1}:
            self._motion = code

    def _m(self, value: str, number: int, text: str) -> None:
        code = _M.get(value)
        if code is None:
            rule = "laser.m3" if value.lstrip("0") == "3" else "laser.word"
            raise refused(rule, line=number, seen=text)
        if self._over:
            raise refused("laser.word", line=number, seen=text)
        if code in {2, 4, 5}:
            self._armed = code == 4
        self._over = code == 2

    def _value(self, letter: str, value: float, number: int, text: str) -> bool:
        """Sets it; true for a place to go to."""
        if letter in "XY":
            self._place(letter, value, number, text)
            return True
        if letter == "F" and 0 < value < 1e6:
            self._feed = value
        elif letter == "S" and value >= 0:
            if self.bounds.power_max is not None and value > self.bounds.power_max:
                raise refused("laser.power", line=number, seen=text)
            self._power = value
        else:
            raise refused("laser.word", line=number, seen=text)
        return False

    def _place(self, letter: str, value: float, number: int, text: str) -> None:
        axis = "XY".index(letter)
        low, high = -PLACE_MM_MAX, PLACE_MM_MAX
        if self.bounds.bed_mm is not None:
            low, high = -0.001, self.bounds.bed_mm[axis] + 0.001
        if not math.isfinite(value) or not low <= value <= high:
            raise refused("laser.outside", line=number, seen=text)
        if axis == 0:
            self._x = value
        else:
            self._y = value

    def _may_move(self, number: int, text: str) -> None:
        """Never before the units are known; and the first line sent is to have no effect (see `start`)."""
        needs_feed = self._motion == 1 and self._feed <= 0
        if self._over or self._motion is None or needs_feed or not {21, 90} <= self._codes or not self.lines:
            raise refused("laser.preamble", line=number, seen=text)

    def finish(self) -> None:
        if not any(self.burns):
            raise refused("laser.empty")
        if self._armed:
            raise refused("laser.beam_stays_on")


def _words(text: str) -> Iterator[tuple[str, str]]:
    for match in _WORD.finditer(text):
        yield match[1], match[2]
