"""Whether a laser may run a file: an allow-list for G-code, read as GRBL reads it and judged before it is staged.

What is not on the list is refused, above all M3 (a beam that stays on when the head stops), whatever the spelling:
case, blanks, leading zeros, line numbers and comments are taken away first. Bytes that a controller obeys wherever
they stand, in comments too, are refused before anything else is read. Our own files pass; nothing here trusts that
they are ours.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import BinaryIO

from slicing.vector.machines import CutMachine
from slicing.violations import Violation

VIOLATIONS_MAX = 20
LINE_MAX = 70
"""Characters GRBL can hold of a line, comments left out; some builds hold no more."""
RAW_LINE_MAX = 100
"""Bytes of a line on the wire: one that does not fit the receive buffer could never be sent."""
ROUNDING_MM = 0.0005
_FEED_ROUNDING = 0.1
_SEEN_MAX = 60

MODES = frozenset({"G21", "G90", "G94", "G54"})
"""Units, zero and speed: to be said before the first move, for the controller remembers the last file's."""
ALLOWED = MODES | {"G0", "G1", "M2", "M4", "M5", "M8", "M9"}
REFUSED: Mapping[str, str] = MappingProxyType(
    {
        "M3": "beam.constant",
        **dict.fromkeys(("G2", "G3", "G4", "G10", "G20", "G28", "G28.1", "G30", "G30.1"), "command.refused"),
        **dict.fromkeys(
            ("G53", "G55", "G56", "G57", "G58", "G59", "G91", "G92", "G92.1", "G93"), "command.refused"
        ),
        **dict.fromkeys(
            ("M0", "M1", "M6", "M7", "M30", "M56", "M62", "M63", "M67", "M98"), "command.refused"
        ),
    }
)
"""Known, and dangerous or of no use in a cut: named apart from what nobody knows."""
_OBEYED = re.compile(rb"[!?~\x00-\x08\x0b-\x1f\x7f-\xff]")
"""Bytes that act at once on some controller: hold, status, resume, reset, overrides; and all that is no text."""
_OURS = re.compile(r"(G[01]) ?(?:X(\d+(?:\.\d+)?))? ?(?:Y(\d+(?:\.\d+)?))?(?: S(\d+))?(?: F(\d+(?:\.\d+)?))?")
"""How we spell moves: read at once, as nearly all lines are such."""
_WORD = re.compile(r"([A-Z])([+-]?(?:\d{1,9}\.?\d{0,9}|\.\d{1,9}))")
_MOTION = frozenset({"G0", "G1"})
_BEAM = frozenset({"M3", "M4", "M5"})


def check(file: BinaryIO | bytes, machine: CutMachine) -> tuple[Violation, ...]:
    """What the machine must not run of it, in order, at most VIOLATIONS_MAX; () for a good file. Raises OSError."""
    stream = io.BytesIO(file) if isinstance(file, bytes) else file
    reader = _Reader(machine)
    found: list[Violation] = []
    number = 0
    for number, raw in enumerate(_lines(stream), start=1):
        fault = reader.line(raw)
        if fault is not None:
            rule, seen = fault
            found.append(Violation(line=number, command=_command(seen), rule=rule, seen=_shown(seen)))
            if len(found) >= VIOLATIONS_MAX:
                return tuple(found)
    if unfinished := reader.end():
        found.append(Violation(line=number, command="", rule=unfinished, seen="end of file"))
    return tuple(found)


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    """Without their ends; a line too long is cut, and refused for its length."""
    while raw := stream.readline(RAW_LINE_MAX + 3):
        yield raw.removesuffix(b"\n").removesuffix(b"\r")


class _Fault(Exception):
    """A rule that is broken, and the words that do."""

    def __init__(self, rule: str, seen: str) -> None:
        super().__init__(rule)
        self.rule, self.seen = rule, seen


@dataclass
class _Reader:
    """What the controller would remember between lines."""

    machine: CutMachine
    said: set[str] = field(default_factory=set)
    motion: str = ""
    beam: bool = False
    power: float = 0.0
    feed: float = 0.0
    x: float = 0.0
    y: float = 0.0
    over: bool = False

    def line(self, raw: bytes) -> tuple[str, str] | None:
        """The rule that this line breaks, and its words."""
        text = raw.decode("latin-1")
        try:
            if len(raw) > RAW_LINE_MAX or _OBEYED.search(raw):
                raise _Fault("command.layout" if len(raw) > RAW_LINE_MAX else "machine.control", text)
            if len(raw) <= LINE_MAX and (ours := _OURS.fullmatch(text)):
                numbers = {
                    name: float(said) for name, said in zip("XYSF", ours.groups()[1:], strict=True) if said
                }
                self._obey([ours[1]], numbers, text)
            else:
                self._words(text)
        except _Fault as fault:
            return fault.rule, fault.seen
        return None

    def end(self) -> str:
        return "" if self.over and not self.beam else "beam.end"

    def _words(self, text: str) -> None:
        bare = re.sub(r"\s", "", _uncommented(text)).upper()
        if not bare:
            return
        if bare[0] in "$[%/" or "=" in bare:
            raise _Fault("machine.control", text)
        words = [(match[1], match[2]) for match in _WORD.finditer(bare)]
        dangers = [REFUSED[name] for letter, said in words if (name := _name(letter, said)) in REFUSED]
        if dangers:
            raise _Fault(dangers[0], text)
        if "".join(letter + said for letter, said in words) != bare or len(bare) > LINE_MAX:
            raise _Fault("command.layout", text)
        if words[0][0] == "N":
            words = words[1:]
        commands = [_name(letter, said) for letter, said in words if letter in "GM"]
        if any(command not in ALLOWED for command in commands):
            raise _Fault("command.unknown", text)
        numbers = {letter: float(said) for letter, said in words if letter not in "GM"}
        if not numbers.keys() <= set("XYSF") or len(numbers) + len(commands) != len(words):
            raise _Fault("command.words", text)
        for group in (_MOTION, _BEAM, {"M8", "M9"}):
            if sum(command in group for command in commands) > 1:
                raise _Fault("command.layout", text)
        self._obey(commands, numbers, text)

    def _obey(self, commands: list[str], numbers: Mapping[str, float], text: str) -> None:
        """One line, in the order in which a controller takes it: speed, power, beam, then the move."""
        if self.over:
            raise _Fault("beam.end", text)
        if "F" in numbers:
            self.feed = self._within(
                "F",
                numbers["F"],
                60 * max(self.machine.speed_max_mm_s) + _FEED_ROUNDING,
                "move.feedrate",
                text,
            )
        if "S" in numbers:
            self.power = self._within("S", numbers["S"], self.machine.power_max, "beam.power", text)
        for command in commands:
            self.motion = command if command in _MOTION else self.motion
            self.beam = command == "M4" or (self.beam and command != "M5")
            self.over |= command == "M2"
        self.said |= MODES.intersection(commands)
        moves = "X" in numbers or "Y" in numbers
        if moves:
            self._move(numbers, text)
        elif self.beam and self.power > 0 and ("S" in numbers or "M4" in commands):
            raise _Fault("beam.standing", text)

    def _move(self, numbers: Mapping[str, float], text: str) -> None:
        if self.said != MODES or not self.motion or (self.motion == "G1" and self.feed <= 0):
            raise _Fault("beam.unset", text)
        to_x, to_y = numbers.get("X", self.x), numbers.get("Y", self.y)
        for to, most in zip((to_x, to_y), self.machine.bed_mm, strict=True):
            if not -ROUNDING_MM <= to <= most + ROUNDING_MM:
                raise _Fault("move.bed", text)
        if self.beam and self.power > 0:
            if self.motion == "G0":
                raise _Fault("beam.travel", text)
            if (to_x, to_y) == (self.x, self.y):
                raise _Fault("beam.standing", text)
        self.x, self.y = to_x, to_y

    @staticmethod
    def _within(letter: str, value: float, most: float, rule: str, text: str) -> float:
        least = 0.0 if letter == "S" else 1.0
        if not least <= value <= most:
            raise _Fault(rule, text)
        return value


def _uncommented(text: str) -> str:
    """Comments of both kinds left out. Where controllers would disagree about their ends, the line is refused."""
    code = text.split(";", 1)[0]
    bare = re.sub(r"\([^();]*\)", "", code)
    if "(" in bare or ")" in bare:
        raise _Fault("command.layout", text)
    return bare


def _name(letter: str, said: str) -> str:
    """`G01`, `G1.0` and `G+1` are G1."""
    return f"{letter}{float(said):g}"


def _command(seen: str) -> str:
    word = _WORD.search(re.sub(r"\s", "", seen).upper())
    return _name(word[1], word[2])[:20] if word else ""


def _shown(text: str) -> str:
    return "".join(sign if sign.isascii() and sign.isprintable() else "?" for sign in text.strip())[
        :_SEEN_MAX
    ]
