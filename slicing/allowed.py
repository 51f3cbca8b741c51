"""Whether a machine may run a sliced file: every command known, every place on its bed, every temperature one it bears.

The commands are a table; what is not in it is refused, unless the profile's own G-code (start, end, layers) says that
word too. A few are refused whoever says them: they write the machine's memory, its card or its firmware, or move its
zero so that no check of places means anything. Knows nothing of jobs; comments are left out, as machines do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import hypot, inf
from types import MappingProxyType
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from slicing.gcodetext import Ints, NotGcode, Piece, key_of, parameters, pieces
from slicing.moves import COORDINATE_MAX, Limits, Reader
from slicing.violations import Violation

VIOLATIONS_MAX = 20
NOZZLE_C_MAX = 300.0
BED_C_MAX = 120.0
CHAMBER_C_MAX = 70.0
PUSH_MM_MAX = 100.0
"""Filament in one move, with relative E; the profile's own purge may be longer."""
FEED_MARGIN = 1.25
FEED_MM_S_MAX = 1000.0
"""Whatever the profile says: some give their machines ten metres a second."""
OUTSIDE_MM_MAX = 50.0
"""How far from the bed the profile's own start and end code may send the head: purge lines, wiping pads, parking."""
ROUNDING_MM = 0.01
_SEEN_MAX = 80

# --- The table ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Span:
    """The numbers a parameter may have, and the rule that another breaks."""

    least: float
    most: float
    rule: str = "command.number"


@dataclass(frozen=True, kw_only=True)
class Command:
    """What may follow a command: numbers by letter, letters that may stand alone, or any text."""

    numbers: Mapping[str, Span] = field(default_factory=dict)
    flags: str = ""
    text: bool = False


_NOZZLE = Span(least=0, most=NOZZLE_C_MAX, rule="heat.nozzle")
_BED = Span(least=0, most=BED_C_MAX, rule="heat.bed")
_CHAMBER = Span(least=0, most=CHAMBER_C_MAX, rule="heat.chamber")
_ANY = Span(least=-COORDINATE_MAX, most=COORDINATE_MAX)
_PERCENT = Span(least=0, most=100)
_INDEX = Span(least=0, most=15)
_MINUTES = Span(least=0, most=100_000)
_ACCELERATION = Span(least=0, most=50_000)


def _each(letters: str, span: Span) -> dict[str, Span]:
    return dict.fromkeys(letters, span)


COMMANDS: Mapping[str, Command] = MappingProxyType(
    {
        "G4": Command(numbers={"P": Span(least=0, most=600_000), "S": Span(least=0, most=600)}),
        "G10": Command(numbers={"S": _NOZZLE, "R": _NOZZLE, "P": _INDEX}),  # retracts, or heats a RepRap
        "G11": Command(),
        "G21": Command(),
        "G28": Command(numbers=_each("XYZ", Span(least=0, most=0)), flags="XYZW"),
        "G29": Command(),
        "G80": Command(),
        "G90": Command(),
        "G92": Command(numbers={"E": Span(least=-PUSH_MM_MAX, most=PUSH_MM_MAX)}),
        "M17": Command(flags="XYZE"),
        "M18": Command(flags="XYZE"),
        "M73": Command(numbers=_each("PQ", _PERCENT) | _each("RSCD", _MINUTES)),
        "M74": Command(numbers={"W": Span(least=0, most=100_000)}),
        "M83": Command(),
        "M84": Command(numbers={"S": Span(least=0, most=3600)}, flags="XYZE"),
        "M104": Command(numbers={"S": _NOZZLE, "R": _NOZZLE, "T": _INDEX}),
        "M105": Command(),
        "M106": Command(numbers={"S": Span(least=0, most=255), "P": _INDEX}),
        "M107": Command(numbers={"P": _INDEX}),
        "M109": Command(numbers={"S": _NOZZLE, "R": _NOZZLE, "T": _INDEX}),
        "M115": Command(text=True),  # U3.11.0: the firmware the profile was written for
        "M117": Command(text=True),
        "M140": Command(numbers={"S": _BED, "R": _BED}),
        "M141": Command(numbers={"S": _CHAMBER, "R": _CHAMBER}),
        "M190": Command(numbers={"S": _BED, "R": _BED}),
        "M191": Command(numbers={"S": _CHAMBER, "R": _CHAMBER}),
        "M201": Command(numbers=_each("XYZE", _ACCELERATION)),
        "M203": Command(numbers=_each("XYZE", Span(least=0, most=1000))),
        "M204": Command(numbers=_each("PRTS", _ACCELERATION)),
        "M205": Command(numbers=_each("XYZEST", Span(least=0, most=100)) | {"J": Span(least=0, most=1)}),
        "M220": Command(numbers={"S": Span(least=10, most=150)}),
        "M221": Command(numbers={"S": Span(least=50, most=150)}),
        "M400": Command(),
        "M486": Command(text=True),
        "M555": Command(numbers=_each("XYWH", Span(least=-100, most=2000))),
        "M572": Command(numbers={"D": _INDEX, "S": Span(least=0, most=2)}),
        "M862.1": Command(text=True),  # checks of nozzle and model: the machine stops where they do not fit
        "M862.2": Command(text=True),
        "M862.3": Command(text=True),
        "M862.4": Command(text=True),
        "M862.5": Command(text=True),
        "M862.6": Command(text=True),
        "M900": Command(numbers={"K": Span(least=0, most=2000)}),
        "T0": Command(),
        "SET_GCODE_OFFSET": Command(numbers=_each("XYZ", Span(least=0, most=0))),
        "EXCLUDE_OBJECT_DEFINE": Command(text=True),
        "EXCLUDE_OBJECT_START": Command(text=True),
        "EXCLUDE_OBJECT_END": Command(text=True),
    }
)
"""What PrusaSlicer writes of itself, and what start and end code is usually made of; G0 and G1 are the machine's."""

_REFUSED_NUMBERS = (
    *range(20, 25),  # the card: list, open, choose, print
    *range(26, 36),  # the card: write, delete, print again
    *(42, 226),  # any pin
    *(81, 112, 999),  # power off, stop, restart
    118,  # speaks to the computer behind the machine, which may obey
    *(206, 211, 218, 428, 851),  # move the zero, let the head leave its bounds
    *(301, 302, 303, 304),  # tune the heaters, push cold filament
    *range(500, 505),  # memory
    *(510, 511, 512),  # locks
    *(540, 550, 551, 552, 553, 554, 586, 587, 588, 589),  # network
    *(890, 916, 928, 997),  # run what is on the card, update the firmware
)
REFUSED = frozenset(
    {f"M{number}" for number in _REFUSED_NUMBERS}
    | {"G2", "G3", "G5", "G20", "G53", "G54", "G55", "G56", "G57", "G58", "G59"}
    | {"RUN_SHELL_COMMAND", "SAVE_CONFIG", "FIRMWARE_RESTART", "RESTART", "SET_PIN"}
    | {"SDCARD_PRINT_FILE", "SDCARD_RESET_FILE", "FORCE_MOVE", "SET_KINEMATIC_POSITION", "CALL_REMOTE_METHOD"}
)
"""Refused even where the profile says them; in small letters too."""

_OWN_CODE = (
    "start_gcode",
    "end_gcode",
    "before_layer_gcode",
    "layer_gcode",
    "between_objects_gcode",
    "toolchange_gcode",
    "start_filament_gcode",
    "end_filament_gcode",
)
"""Not those for colour changes and pauses: an STL asks for none, and such a file would wait for a person."""
_FIXED = frozenset({"G0", "G1", "G92", "SET_GCODE_OFFSET"})
"""Commands to whose letters the profile's own code adds nothing."""
_HEATS = (("CHAMBER", _CHAMBER), ("BED", _BED), ("EXTRUDER", _NOZZLE), ("HOTEND", _NOZZLE), ("TEMP", _NOZZLE))
"""What a macro's parameter heats, by a part of its name."""


# --- What the machine's profile adds -----------------------------------------------------------------------------

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)")
_BRANCH = re.compile(r"\{\s*(?:if|elsif|else|endif)\b[^}]*\}|\\n|\n|;;")
_VALUE = re.compile(r"\{[^}]*\}|\[[^\]]*\]")
_PARAMETER = re.compile(r"([A-Za-z_]\w*?)=|([A-Za-z])")


@dataclass(frozen=True, kw_only=True)
class _Own:
    """The profile's own G-code: the parameters each of its commands has there, and the numbers its moves name."""

    words: Mapping[str, frozenset[str]]
    places: Mapping[str, tuple[float, ...]]


def _own(keys: Mapping[str, str]) -> _Own:
    words: dict[str, set[str]] = {}
    places: dict[str, list[float]] = {letter: [] for letter in "XYZEF"}
    for line in (line for key in _OWN_CODE for line in _lines(keys.get(key, ""))):
        name, *rest = line.split()
        words.setdefault(name, set()).update(_parameter(word) for word in rest)
        for word in rest if name in ("G0", "G1") else ():
            if word[0] in places and _NUMBER.fullmatch(word[1:]):
                places[word[0]].append(float(word[1:]))
    return _Own(
        words={name: frozenset(letters) for name, letters in words.items()},
        places={letter: tuple(numbers) for letter, numbers in places.items()},
    )


def _lines(code: str) -> Iterator[str]:
    """The commands of a template, each branch a line, comments left out, what it computes as a question mark."""
    for line in _BRANCH.split(code.replace('\\"', "'").replace('"', "\n")):
        said = _VALUE.sub("?", line).split(";")[0].strip()
        if said and said[0] not in "?'":
            yield said


def _parameter(word: str) -> str:
    match = _PARAMETER.match(word)
    return (match[1] or match[2]) if match else word[:1]


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """Where the head may be sent, mm: the box of bed and height, stretched to the places the profile's own code names;
    of a bed that is no rectangle also `radius` about `centre` (infinite for one that is).
    """

    low: tuple[float, float, float]
    high: tuple[float, float, float]
    centre: tuple[float, float]
    radius: float
    feed_mm_s: float
    push_mm: float


def envelope(keys: Mapping[str, str]) -> Envelope:
    """Of a flat profile; a key that is missing has PrusaSlicer's default. Raises ValueError for a broken bed_shape."""
    return _envelope(keys, _own(keys))


def _envelope(keys: Mapping[str, str], own: _Own) -> Envelope:
    corners = [
        tuple(map(float, word.split("x")))
        for word in keys.get("bed_shape", "0x0,200x0,200x200,0x200").split(",")
    ]
    xs, ys = [x for x, _ in corners], [y for _, y in corners]
    box = {"X": (min(xs), max(xs)), "Y": (min(ys), max(ys))}
    offset, lift = _largest(keys, "z_offset"), _largest(keys, "retract_lift")
    box["Z"] = (min(0.0, offset), _largest(keys, "max_print_height", 200.0) + lift)
    centre = (sum(box["X"]) / 2, sum(box["Y"]) / 2)
    rectangle = all(x in box["X"] and y in box["Y"] for x, y in corners)
    stretched = [_stretched(box[axis], own.places[axis]) for axis in "XYZ"]
    return Envelope(
        low=_triple(low for low, _ in stretched),
        high=_triple(high for _, high in stretched),
        centre=centre,
        radius=inf
        if rectangle
        else max(hypot(x - centre[0], y - centre[1]) for x, y in corners) + ROUNDING_MM,
        feed_mm_s=_fastest(keys, own),
        push_mm=max(PUSH_MM_MAX, *map(abs, own.places["E"]), 0.0),
    )


def _triple(values: Iterator[float]) -> tuple[float, float, float]:
    x, y, z = values
    return x, y, z


def _stretched(span: tuple[float, float], places: tuple[float, ...]) -> tuple[float, float]:
    """A span that holds what the profile's own code names, as far as that is near it."""
    low, high = span
    near = [place for place in places if low - OUTSIDE_MM_MAX <= place <= high + OUTSIDE_MM_MAX]
    return min([low, *near]) - ROUNDING_MM, max([high, *near]) + ROUNDING_MM


def _largest(keys: Mapping[str, str], key: str, otherwise: float = 0.0) -> float:
    """Of a list with one value an extruder."""
    numbers = [float(word) for word in keys.get(key, "").split(",") if _NUMBER.fullmatch(word.strip())]
    return max(numbers, default=otherwise)


def _fastest(keys: Mapping[str, str], own: _Own) -> float:
    """mm/s: the machine's fastest axis with a margin, or what the profile itself says for travels and retractions,
    which firmware brings within its bounds.
    """
    own_speeds = [_largest(keys, key) for key in ("travel_speed", "travel_speed_z", "retract_speed")]
    said = max(FEED_MARGIN * max(Limits.of(keys).speed), *own_speeds, *(f / 60 for f in own.places["F"]))
    return min(said, FEED_MM_S_MAX) + 0.1


# --- The check ---------------------------------------------------------------------------------------------------


def check(file: BinaryIO, keys: Mapping[str, str]) -> tuple[Violation, ...]:
    """What in this file the machine of this profile must not run, in order, at most VIOLATIONS_MAX; () for a good file.

    One pass, by pieces; a second one where a number alone is no place: relative coordinates, a bed that is no
    rectangle. Raises OSError.
    """
    checker = _Checker(keys)
    try:
        for piece in pieces(file):
            checker.take(piece)
            if len(checker.found) >= VIOLATIONS_MAX:
                break
        steps_or_round = checker.moved_relatively or checker.envelope.radius < inf
        if steps_or_round and not checker.found:
            checker.found += _places(file, keys, checker.envelope)
    except NotGcode as error:  # a line without end, numbers without end
        checker.found.append(_unreadable(error))
    return tuple(sorted(checker.found, key=lambda violation: violation.line)[:VIOLATIONS_MAX])


@dataclass(frozen=True, kw_only=True)
class _Table:
    """A command for whole arrays: by letter its place among them, least and most; infinite where it has no such."""

    rank: NDArray[np.int64]
    least: NDArray[np.float64]
    most: NDArray[np.float64]


def _table(command: Command) -> _Table:
    rank, least, most = np.zeros(256, dtype=np.int64), np.full(256, inf), np.full(256, -inf)
    for place, (letter, span) in enumerate(command.numbers.items()):
        rank[ord(letter)], least[ord(letter)], most[ord(letter)] = place, span.least, span.most
    return _Table(rank=rank, least=least, most=most)


class _Checker:
    """The state between pieces. Whole arrays find the lines to doubt; `_line` alone judges."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        own = _own(keys)
        self.envelope = _envelope(keys, own)
        self.found: list[Violation] = []
        self.moved_relatively = False
        self._own = own.words
        self._commands = _commands(own.words)
        self._relative = self._absolute_e = False
        self._set_moves()

    def take(self, piece: Piece) -> None:
        """Check the lines of a piece."""
        self._modes(piece)
        doubted = [self._strange(piece)]
        key = piece.key
        moves = np.flatnonzero((key == key_of("G1")) | (key == key_of("G0")))
        doubted.append(self._doubted(piece, moves, "G1"))
        others = np.flatnonzero((key != key_of("G1")) & (key != key_of("G0")))
        others = others[(key[others] & np.uint64(0xFF)) != ord(";")]
        empty = others[key[others] == 0]
        doubted.append(empty[piece.first[empty + 1] - piece.first[empty] > 1])
        said, inverse = np.unique(key[others], return_inverse=True)
        for i, number in enumerate(said.tolist()):
            if number == 0:
                continue
            name = int(number).to_bytes(8, "little").rstrip(b"\0").decode("latin-1")
            doubted.append(self._doubted(piece, others[inverse == i], name))
        self._judge(piece, np.unique(np.concatenate(doubted)))

    def _judge(self, piece: Piece, lines: Ints) -> None:
        for line in lines.tolist():
            self.found += self._line(piece.text(line), piece.line + line)
            if len(self.found) >= VIOLATIONS_MAX:
                return

    def _modes(self, piece: Piece) -> None:
        """Whether anything in this piece is relative, or E absolute; then its numbers are no places."""
        relative, absolute = (bool((piece.key == key_of(word)).any()) for word in ("G91", "M82"))
        self.moved_relatively |= relative
        before = (self._relative, self._absolute_e)
        self._relative |= relative
        self._absolute_e |= absolute
        if before != (self._relative, self._absolute_e):
            self._set_moves()

    def _set_moves(self) -> None:
        moves = _moves(self.envelope, relative=self._relative, absolute_e=self._absolute_e)
        self._commands |= {"G0": moves, "G1": moves}
        self._tables = {
            name: _table(command)
            for name, command in self._commands.items()
            if not command.text and len(name) < 8
        }

    def _strange(self, piece: Piece) -> Ints:
        """Lines with a control character: some machines end a line at a lone carriage return, comment or not."""
        after = piece.data[piece.breaks]
        strange = np.flatnonzero((after != 32) & (after != 10))
        return np.unique(np.searchsorted(piece.first, strange, side="right") - 1)

    def _doubted(self, piece: Piece, lines: Ints, name: str) -> Ints:
        """Of the lines of one command those that whole arrays cannot pass."""
        table = self._tables.get(name)
        if table is None or len(lines) == 0:
            return lines
        try:
            words = parameters(piece, lines)
        except NotGcode:
            return lines
        good = (words.value >= table.least[words.letter]) & (words.value <= table.most[words.letter])
        rank = table.rank[words.letter]
        good[1:] &= (words.row[1:] != words.row[:-1]) | (rank[1:] > rank[:-1])
        return lines[np.unique(words.row[~good])]

    # -- one line

    def _line(self, text: bytes, line: int) -> list[Violation]:
        """The judgement, of one line: at most one violation."""
        bare = text.removesuffix(b"\r")
        said = bare.split(b";")[0].decode("latin-1")
        name, *words = said.split() or [""]

        def violation(rule: str, seen: str) -> list[Violation]:
            return [Violation(line=line, command=_shown(name)[:20], rule=rule, seen=_shown(seen))]

        if any(byte < 32 and byte != 9 for byte in bare):
            return violation("command.layout", bare.decode("latin-1"))
        if not name:
            return []
        if _refused(name):
            return violation("command.refused", said)
        command = self._commands.get(name)
        if command is None:
            return violation("command.unknown", said)
        if said[0] in " \t" and name[0] in "GM":
            return violation("command.layout", said)  # our own reading of moves would not see it
        if command.text:
            return []
        seen: dict[str, float | None] = {}
        for word in words:
            parameter, value = _parsed(word)
            if parameter in seen:
                return violation("command.words", word)
            seen[parameter] = value
            if rule := _broken(command, name, parameter, word, value):
                return violation(rule, word)
        return []


def _commands(own: Mapping[str, frozenset[str]]) -> dict[str, Command]:
    """The table, with what the profile's own code says besides; a macro's temperatures are known by their names."""
    commands = dict(COMMANDS)
    for name, letters in own.items():
        if name in _FIXED or _refused(name):
            continue
        known = commands.get(name, Command())
        more = {letter: _span_of(letter) for letter in sorted(letters) if letter not in known.numbers}
        flags = known.flags + "".join(letter for letter in sorted(letters) if len(letter) == 1)
        commands[name] = Command(numbers={**known.numbers, **more}, flags=flags, text=known.text)
    return commands


def _refused(name: str) -> bool:
    return name.upper() in REFUSED


def _span_of(parameter: str) -> Span:
    return next((span for part, span in _HEATS if part in parameter.upper()), _ANY)


def _moves(envelope: Envelope, *, relative: bool, absolute_e: bool) -> Command:
    """G0 and G1 in this machine: places bound each number, unless they count from the last place."""
    spans = {
        axis: _ANY
        if relative
        else Span(least=low, most=high, rule="move.height" if axis == "Z" else "move.bed")
        for axis, low, high in zip("XYZ", envelope.low, envelope.high, strict=True)
    }
    most = COORDINATE_MAX if absolute_e else envelope.push_mm
    spans["E"] = Span(least=-most, most=most, rule="move.push")
    spans["F"] = Span(least=1, most=60 * envelope.feed_mm_s, rule="move.feedrate")
    return Command(numbers=spans)


def _parsed(word: str) -> tuple[str, float | None]:
    """`X12.5` or `BED=60` as name and number; None where there is no number, NaN where it is none."""
    parameter = _parameter(word)
    rest = word[len(parameter) :].removeprefix("=")
    if not rest:
        return parameter, None
    return parameter, float(rest) if _NUMBER.fullmatch(rest, 0, 40) else float("nan")


def _broken(command: Command, name: str, parameter: str, word: str, value: float | None) -> str:
    """The rule this parameter breaks, or nothing."""
    span = command.numbers.get(parameter)
    if all(letter in command.flags for letter in word):  # as in `G28 X Y` and `G28 XY`
        return ""
    if value is None:
        return "command.words"
    if span is None:
        return "command.words"
    if value != value and "=" in word and span is _ANY and name[0] not in "GM":
        return ""  # a macro's word, such as MATERIAL=PLA
    return "" if span.least <= value <= span.most else span.rule


def _shown(text: str) -> str:
    """Bounded, and plain: whatever else stood there is a question mark."""
    return "".join(sign if sign.isascii() and sign.isprintable() else "?" for sign in text.strip())[
        :_SEEN_MAX
    ]


# --- Places that no single number says ---------------------------------------------------------------------------


def _places(file: BinaryIO, keys: Mapping[str, str], around: Envelope) -> list[Violation]:
    """Where the head really goes: all axes of a move together. Raises NotGcode."""
    found: list[Violation] = []
    for batch in Reader(Limits.of(keys)).read(file):
        moves = batch.moves
        outside = np.hypot(moves.x - around.centre[0], moves.y - around.centre[1]) > around.radius
        bad = outside & ((moves.dx != 0) | (moves.dy != 0))
        for end, step, low, high in zip(
            (moves.x, moves.y, moves.z), (moves.dx, moves.dy, moves.dz), around.low, around.high, strict=True
        ):
            bad |= (step != 0) & ~((end >= low) & (end <= high))
        for i in np.flatnonzero(bad)[: VIOLATIONS_MAX - len(found)].tolist():
            high_or_low = not around.low[2] <= moves.z[i] <= around.high[2]
            place = f"X{moves.x[i]:.3f} Y{moves.y[i]:.3f} Z{moves.z[i]:.3f}"
            rule = "move.height" if high_or_low else "move.bed"
            found.append(Violation(line=int(moves.line[i]), command="G1", rule=rule, seen=place))
    return found


def _unreadable(error: NotGcode) -> Violation:
    line = re.search(r"line (\d+)", str(error))
    return Violation(
        line=int(line[1]) if line else 0, command="", rule="command.layout", seen=_shown(str(error))
    )
