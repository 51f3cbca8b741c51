"""G-code read into arrays of moves: where each goes, what it pushes, how fast it may, what it draws.

Owns the words of G-code that move a machine or change how it moves; knows nothing of time, profiles or pages. What it
cannot follow is NotGcode.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from slicing.gcodetext import (
    LENGTHS,
    STRICT,
    Floats,
    Ints,
    NotGcode,
    Piece,
    Words,
    key_of,
    parameters,
    pieces,
)
from slicing.limits import LAYERS_MAX

SPLITS_MAX = 50_000
"""Changes of mode, homings, waits in one file; each costs up to 0.2 ms with its planning. The slicer's files have
twenty."""
COORDINATE_MAX = 1e6
FEED_DEFAULT = 25.0
"""mm/s until the first F, as Marlin has it."""

FEATURES = (
    "other",
    "external_perimeter",
    "perimeter",
    "overhang_perimeter",
    "internal_infill",
    "solid_infill",
    "top_solid_infill",
    "ironing",
    "bridge_infill",
    "gap_fill",
    "skirt_brim",
    "support",
    "support_interface",
    "wipe_tower",
    "custom",
)
"""What an extruding move draws; `Moves.feature` holds the place in this list."""
_TYPES: Mapping[bytes, int] = MappingProxyType(
    {
        name: FEATURES.index(feature)
        for name, feature in (
            (b"External perimeter", "external_perimeter"),
            (b"Perimeter", "perimeter"),
            (b"Overhang perimeter", "overhang_perimeter"),
            (b"Internal infill", "internal_infill"),
            (b"Solid infill", "solid_infill"),
            (b"Top solid infill", "top_solid_infill"),
            (b"Ironing", "ironing"),
            (b"Bridge infill", "bridge_infill"),
            (b"Gap fill", "gap_fill"),
            (b"Skirt/Brim", "skirt_brim"),
            (b"Skirt", "skirt_brim"),
            (b"Support material", "support"),
            (b"Support material interface", "support_interface"),
            (b"Wipe tower", "wipe_tower"),
            (b"Custom", "custom"),
        )
    }
)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the machine allows itself, in mm and seconds; axes in the order X, Y, Z, E. An acceleration of 0 is no cap.

    `flow` is M221 as a share: it scales what the E axis does, not where the head goes.
    """

    speed: tuple[float, float, float, float] = (500.0, 500.0, 12.0, 120.0)
    acceleration: tuple[float, float, float, float] = (9000.0, 9000.0, 500.0, 10000.0)
    jerk: tuple[float, float, float, float] = (10.0, 10.0, 0.4, 2.5)
    extruding: float = 1500.0
    retracting: float = 1500.0
    travelling: float = 1250.0
    extruding_rate_min: float = 0.0
    travel_rate_min: float = 0.0
    flow: float = 1.0

    @classmethod
    def of(cls, keys: Mapping[str, str]) -> Self:
        """From a profile's keys or a file's own configuration; of a list the first, which is the normal mode.

        A key that is missing or unreadable keeps PrusaSlicer's default.
        """
        default = cls()

        def axes(name: str, otherwise: tuple[float, ...]) -> tuple[float, float, float, float]:
            x, y, z, e = (
                _first(keys, f"{name}_{axis}", value) for axis, value in zip("xyze", otherwise, strict=True)
            )
            return x, y, z, e

        extruding = _first(keys, "machine_max_acceleration_extruding", default.extruding)
        travelling = _first(keys, "machine_max_acceleration_travel", default.travelling)
        if keys.get("gcode_flavor", "marlin") == "marlin":
            travelling = extruding  # the old Marlin knows one acceleration for both
        return cls(
            speed=axes("machine_max_feedrate", default.speed),
            acceleration=axes("machine_max_acceleration", default.acceleration),
            jerk=axes("machine_max_jerk", default.jerk),
            extruding=extruding,
            retracting=_first(keys, "machine_max_acceleration_retracting", default.retracting),
            travelling=travelling,
            extruding_rate_min=_first(keys, "machine_min_extruding_rate", 0.0),
            travel_rate_min=_first(keys, "machine_min_travel_rate", 0.0),
        )


def _first(keys: Mapping[str, str], name: str, otherwise: float) -> float:
    text = keys.get(name, "").split(",")[0].strip().encode()
    return float(text) if STRICT.fullmatch(text) else otherwise


@dataclass(frozen=True, kw_only=True)
class Moves:
    """G0 and G1 that go somewhere or push filament, in order; every field an array of one length.

    x, y, z: where the move ends, mm; dx, dy, dz, de: from its start, mm (de of filament); feedrate: asked for, mm/s;
    acceleration, travel_acceleration, retract_acceleration: last asked for by M204, mm/s2, NaN before the first;
    feature: place in FEATURES; layer: from 0, -1 before the first; end_byte: where its line ends in the file; line: its
    number, from 1.
    """

    x: Floats
    y: Floats
    z: Floats
    dx: Floats
    dy: Floats
    dz: Floats
    de: Floats
    feedrate: Floats
    acceleration: Floats
    travel_acceleration: Floats
    retract_acceleration: Floats
    feature: NDArray[np.uint8]
    layer: NDArray[np.int32]
    end_byte: Ints
    line: Ints

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, which: slice | NDArray[Any]) -> Moves:
        return Moves(**{name: getattr(self, name)[which] for name in _COLUMNS})

    def then(self, other: Moves) -> Moves:
        """These, and after them the others."""
        return Moves(**{n: np.concatenate([getattr(self, n), getattr(other, n)]) for n in _COLUMNS})


_COLUMNS = tuple(field.name for field in fields(Moves))


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Moves under one set of limits. `halted`: the machine stands still before the first of them (it homed, heated or
    waited); `dwell_seconds` it was told to wait there.
    """

    moves: Moves
    limits: Limits
    halted: bool
    dwell_seconds: float


@dataclass(frozen=True, kw_only=True)
class Layer:
    """Where a layer begins in the file, and its height as the slicer says it (NaN where it does not)."""

    first_byte: int
    z_mm: float


# --- Moves -------------------------------------------------------------------------------------------------------

_IDLE, _MOVE, _ACCELERATION, _COMMENT, _ORDER = range(5)
_G0, _G1, _M204 = (np.uint64(key_of(word)) for word in ("G0", "G1", "M204"))
_IDLE_KEYS: Words = np.array(
    [0, *(key_of(f"M{n}") for n in (17, 73, 84, 104, 105, 106, 107, 115, 117, 140, 900, 907))],
    dtype=np.uint64,
)
"""Empty lines, and frequent commands that move nothing and change no move."""


def _kinds(key: Words) -> NDArray[np.uint8]:
    """Of each line, by its first word."""
    kinds = np.full(len(key), _ORDER, dtype=np.uint8)
    kinds[(key == _G1) | (key == _G0)] = _MOVE
    rest = np.flatnonzero(kinds == _ORDER)
    word = key[rest]
    kinds[rest[(word & np.uint64(0xFF)) == ord(";")]] = _COMMENT
    kinds[rest[word == _M204]] = _ACCELERATION
    kinds[rest[np.isin(word, _IDLE_KEYS)]] = _IDLE
    return kinds


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """What each G0, G1 and M204 line sets, NaN where it sets nothing; one row a line."""

    x: Floats
    y: Floats
    z: Floats
    e: Floats
    feedrate: Floats
    acceleration: Floats
    travel_acceleration: Floats
    retract_acceleration: Floats
    feature: NDArray[np.uint8]
    layer: NDArray[np.int32]
    end_byte: Ints
    line: Ints

    def __getitem__(self, which: slice) -> _Rows:
        return _Rows(**{field.name: getattr(self, field.name)[which] for field in fields(self)})


@dataclass(frozen=True, kw_only=True)
class _Order:
    """A command that changes the state between moves, with its words: letter -> number, None where it has none."""

    name: str
    words: Mapping[str, float | None]


_HALTS = frozenset(
    (
        "G4",
        "G12",
        "G26",
        "G27",
        "G28",
        "G29",
        "G30",
        "G32",
        "G34",
        "G80",
        "M0",
        "M1",
        "M25",
        "M109",
        "M190",
        "M226",
        "M400",
        "M600",
        "M601",
    )
)
"""Homing, levelling, heating, waiting: the machine stands still before the next move."""
_FOLLOWED = frozenset(("G90", "G91", "G92", "M82", "M83", "M201", "M203", "M205", "M221")) | _HALTS
_HARMLESS = frozenset(("G10", "G11", "G17", "G21", "G40", "G49", "G54", "G80", "G94"))
_AXES = "XYZE"
Changes = tuple[Ints, list[int]]
"""Lines of a piece after which something holds, and what."""


class Reader:
    """One reading of a file: iterate over its batches; afterwards `layers` and `lines` are known.

    `limits` are those of the machine's profile; what the file itself says (M201, M203, M205, M221) wins from there on.
    `relative_e`: how E counts until the file says M82 or M83.
    """

    def __init__(self, limits: Limits | None = None, *, relative_e: bool = False) -> None:
        self.limits = limits or Limits()
        self.layers: list[Layer] = []
        self.lines = 0
        self._relative, self._relative_e = False, relative_e
        self._feature = FEATURES.index("custom")
        self._position = [0.0, 0.0, 0.0, 0.0]
        self._feedrate = FEED_DEFAULT
        self._accelerations = [np.nan, np.nan, np.nan]
        self._halted, self._dwell_seconds = True, 0.0
        self._splits = 0

    def read(self, file: BinaryIO, start: int = 0, stop: int | None = None) -> Iterator[Batch]:
        """The moves of a file (or of the whole lines between two bytes), in order. Raises NotGcode, OSError."""
        for piece in pieces(file, start, stop):
            self.lines += len(piece.key)
            yield from self._batches(piece)

    def _batches(self, piece: Piece) -> Iterator[Batch]:
        kinds = _kinds(piece.key)
        rows = self._rows(piece, kinds)
        begin = 0
        for line in np.flatnonzero(kinds == _ORDER).tolist():
            order = self._order(piece.text(line), piece.line + line)
            if order is None:
                continue
            cut = int(np.searchsorted(rows.line, piece.line + line))
            if cut > begin:
                yield from self._batch(rows[begin:cut])
                begin = cut
            self._obey(order, piece.line + line)
        if len(rows.line) > begin:
            yield from self._batch(rows[begin:])

    # -- what the lines say

    def _rows(self, piece: Piece, kinds: NDArray[np.uint8]) -> _Rows:
        lines: Ints = np.flatnonzero((kinds == _MOVE) | (kinds == _ACCELERATION))
        features, layers = self._comments(piece, np.flatnonzero(kinds == _COMMENT))
        words = parameters(piece, lines)
        # The letters of M204 are told from those of a move by their top bit.
        mark = np.where(kinds[lines] == _ACCELERATION, np.uint8(128), np.uint8(0))
        letter = words.letter | mark[words.row]

        def column(name: str, top: int = 0) -> Floats:
            mine = np.flatnonzero(letter == ord(name) | top)
            values: Floats = np.full(len(lines), np.nan)
            values[words.row[mine]] = words.value[mine]
            return values

        s, p, r, t = (column(name, 128) for name in "SPRT")
        old = s == s  # the old form: S for all moves, and T for retracting
        return _Rows(
            x=column("X"),
            y=column("Y"),
            z=column("Z"),
            e=column("E"),
            feedrate=column("F"),
            acceleration=np.where(old, s, p),
            travel_acceleration=np.where(old, s, t),
            retract_acceleration=np.where(old, t, r),
            feature=_since(lines, features, self._feature_before(features)).astype(np.uint8),
            layer=_since(lines, layers, len(self.layers) - 1 - len(layers[1])).astype(np.int32),
            end_byte=piece.ends(lines),
            line=lines + piece.line,
        )

    def _feature_before(self, features: Changes) -> int:
        before = self._feature
        self._feature = features[1][-1] if features[1] else before
        return before

    def _comments(self, piece: Piece, comments: Ints) -> tuple[Changes, Changes]:
        """Where the feature changes and where a layer begins; a layer's height comes in the line after it."""
        start = piece.breaks[piece.first[comments]] + 1
        word = piece.windows[start]
        typed = np.flatnonzero((word & LENGTHS[6]) == key_of(";TYPE:"))
        features = [
            _TYPES.get(piece.raw[at + 6 : at + 40].split(b"\n")[0].strip(), 0) for at in start[typed].tolist()
        ]
        begun: list[int] = []
        for i in np.flatnonzero(
            (word == key_of(";LAYER_CHANGE")) | ((word & LENGTHS[3]) == key_of(";Z:"))
        ).tolist():
            line = int(comments[i])
            if word[i] == key_of(";LAYER_CHANGE"):
                begun.append(line)
                first_byte = int(start[i]) - 1 + piece.offset
                self.layers.append(Layer(first_byte=first_byte, z_mm=np.nan))
            elif self.layers and self.layers[-1].z_mm != self.layers[-1].z_mm:
                self.layers[-1] = replace(self.layers[-1], z_mm=_height(piece.text(line)[3:]))
            if len(self.layers) > LAYERS_MAX:
                raise NotGcode(f"line {piece.line + line}: more than {LAYERS_MAX} layers")
        return (comments[typed], features), (
            np.array(begun, dtype=np.int64),
            list(_count(len(self.layers), begun)),
        )

    # -- what becomes of the machine

    def _batch(self, rows: _Rows) -> Iterator[Batch]:
        start = self._position
        ends = [
            _going(column, start[axis], self._relative)
            for axis, column in enumerate((rows.x, rows.y, rows.z))
        ]
        deltas = [_steps(end, start[axis]) for axis, end in enumerate(ends)]
        if self._relative or self._relative_e:
            pushed = np.where(rows.e == rows.e, rows.e, 0.0)
            e = start[3] + float(pushed.sum())
        else:
            filled = _going(rows.e, start[3], False)
            pushed, e = _steps(filled, start[3]), float(filled[-1])
        feedrate = _going(np.where(rows.feedrate > 0, rows.feedrate / 60, np.nan), self._feedrate, False)
        columns = (rows.acceleration, rows.travel_acceleration, rows.retract_acceleration)
        asked = [_going(c, before, False) for c, before in zip(columns, self._accelerations, strict=True)]
        self._position = [float(end[-1]) for end in ends] + [e]
        self._feedrate = float(feedrate[-1])
        self._accelerations = [float(column[-1]) for column in asked]
        some = np.flatnonzero((deltas[0] != 0) | (deltas[1] != 0) | (deltas[2] != 0) | (pushed != 0))
        if len(some) == 0:
            return
        _check((*ends, pushed, feedrate), rows.line)
        every: tuple[NDArray[Any], ...] = (*ends, *deltas, pushed, feedrate, *asked)
        every += (rows.feature, rows.layer, rows.end_byte, rows.line)
        moves = Moves(**{name: column[some] for name, column in zip(_COLUMNS, every, strict=True)})
        yield Batch(moves=moves, limits=self.limits, halted=self._halted, dwell_seconds=self._dwell_seconds)
        self._halted, self._dwell_seconds = False, 0.0

    def _order(self, text: bytes, line: int) -> _Order | None:
        """The line's command if it changes what moves do. Raises NotGcode for a movement we do not follow."""
        name, *words = text.split(b";")[0].decode("latin-1").split()
        if name in _FOLLOWED and not self._holds(name):
            return _Order(name=name, words={word[0]: _number(word[1:], line) for word in words})
        if name not in _FOLLOWED and name not in _HARMLESS and name[0] in "GgNn" and name[1:2].isdigit():
            raise NotGcode(f"line {line}: {name[:20]!r} is not a movement our slicer writes")
        return None

    def _holds(self, name: str) -> bool:
        """Whether this mode is the present one."""
        return (name, True) in (
            ("G90", not self._relative),
            ("G91", self._relative),
            ("M82", not self._relative_e),
            ("M83", self._relative_e),
        )

    def _obey(self, order: _Order, line: int) -> None:
        self._splits += 1
        if self._splits > SPLITS_MAX:
            raise NotGcode(f"line {line}: more than {SPLITS_MAX} changes of mode, homings and waits")
        match order.name:
            case "G90" | "G91":
                self._relative = order.name == "G91"
            case "M82" | "M83":
                self._relative_e = order.name == "M83"
            case "G92" | "G28":
                self._jump(order)
            case "M201" | "M203" | "M205" | "M221":
                self.limits = _limited(self.limits, order)
        if order.name in _HALTS:
            self._halted = True
        if order.name == "G4":
            self._dwell_seconds += (order.words.get("S") or 0.0) + (order.words.get("P") or 0.0) / 1000

    def _jump(self, order: _Order) -> None:
        """Homed axes are at 0, and none named means all three; G92 says where an axis is without moving it."""
        named = {axis: order.words[axis] or 0.0 for axis in _AXES if axis in order.words}
        if order.name == "G28":
            named = dict.fromkeys([axis for axis in "XYZ" if axis in named] or "XYZ", 0.0)
        for axis, value in named.items():
            self._position[_AXES.index(axis)] = value


def _count(total: int, begun: list[int]) -> range:
    return range(total - len(begun), total)


def _height(text: bytes) -> float:
    text = text.strip()
    return float(text) if STRICT.fullmatch(text, 0, 40) else np.nan


def _number(text: str, line: int) -> float | None:
    if not text:
        return None
    return float(text) if STRICT.fullmatch(text.encode("latin-1"), 0, 40) else np.nan


def _since(lines: Ints, changes: Changes, before: int) -> Ints:
    """For each line what was last set before it."""
    counts = np.diff(np.searchsorted(lines, changes[0]), prepend=0, append=len(lines))
    held: Ints = np.repeat(np.array([before, *changes[1]], dtype=np.int64), counts)
    return held


def _going(column: Floats, start: float, relative: bool) -> Floats:
    """What an axis is at after each row: the last value set; or, relative, the sum of them all."""
    there = column == column
    if relative:
        summed: Floats = start + np.cumsum(np.where(there, column, 0.0))
        return summed
    last = np.maximum.accumulate(np.where(there, np.arange(1, len(column) + 1), 0))
    held: Floats = np.concatenate(([start], column))[last]
    return held


def _steps(ends: Floats, start: float) -> Floats:
    steps = np.empty(len(ends))
    steps[0] = ends[0] - start
    np.subtract(ends[1:], ends[:-1], out=steps[1:])
    return steps


def _check(columns: tuple[Floats, ...], line: Ints) -> None:
    for column in columns:
        if max(-float(column.min()), float(column.max())) > COORDINATE_MAX:
            at = int(np.argmax(np.abs(column)))
            raise NotGcode(f"line {line[at]}: {column[at]:g} is out of this world")


def _limited(limits: Limits, order: _Order) -> Limits:
    """M201, M203, M205 and M221; a value that is missing or below 0 changes nothing."""
    said = {letter: value for letter, value in order.words.items() if value is not None and value >= 0}

    def axes(now: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        x, y, z, e = (said.get(axis, old) for axis, old in zip(_AXES, now, strict=True))
        return x, y, z, e

    match order.name:
        case "M201":
            return replace(limits, acceleration=axes(limits.acceleration))
        case "M203":
            return replace(limits, speed=axes(limits.speed))
        case "M221":
            return replace(limits, flow=said.get("S", 100 * limits.flow) / 100)
        case _:
            return replace(
                limits,
                jerk=axes(limits.jerk),
                extruding_rate_min=said.get("S", limits.extruding_rate_min),
                travel_rate_min=said.get("T", limits.travel_rate_min),
            )
