"""Writes a Toolpath as the document that a Ruida controller keeps in its memory: its commands, not yet swizzled.

The document has no name and no start in it: the driver puts “store under this name” in front when it stages it, and
D8 00, which other programs write into the header and which starts a document that is not being stored, is left out.
A person starts it at the panel. Coordinates count from the origin that the person has set there.

Engraved areas use the controller's own raster mode: it takes the run-up beyond the ends of each line itself, at the
acceleration that its maker has set, so there are no run-ups of ours.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from slicing.vector.design import FloatArray
from slicing.vector.machines import CutMachine
from slicing.vector.toolpath import CUT, ENGRAVE, SCORE, Contour, Operation, Scan, Toolpath, counted_from

LAYERS_MAX = 128
"""A layer's number is one byte of seven bits."""
POWER_FULL = 16383
POWER_LEAST = 16
"""The least that LightBurn writes (0.1 %). A plain zero does not mean off: it has been seen to fire."""
RELATIVE_UM = range(-8192, 8192)
"""What fits into a relative coordinate of fourteen bits."""
RASTER_PIECE_UM = 4000
"""Longer lines in raster mode are written in pieces; a long one has been seen to move without firing."""

_COLOURS = {CUT: 0x0000FF, SCORE: 0xFF0000, ENGRAVE: 0x000000}  # as the panel shows them: blue, green, red
_MOVE, _LINE = (0x88, 0x89, 0x8A, 0x8B), (0xA8, 0xA9, 0xAA, 0xAB)  # absolute, relative, along x, along y
_VECTOR, _RASTER = (0, 0), (2, 1)  # `CA 41`, `CA 01`: plain lines; lines along x, to and fro

Point = tuple[int, int]
"""x and y in micrometres."""
Box = tuple[int, int, int, int]


@dataclass(frozen=True, kw_only=True)
class _Stroke:
    """Beam off to the first point, on along the others; `share` of the layer's power."""

    points: tuple[Point, ...]
    share: float = 1.0


@dataclass(frozen=True, kw_only=True)
class _Layer:
    number: int
    operation: Operation
    strokes: tuple[_Stroke, ...]  # of one pass

    @property
    def engraves(self) -> bool:
        return bool(self.operation.scans)

    @property
    def shaded(self) -> bool:
        return any(_raw(stroke.share) != POWER_FULL for stroke in self.strokes)

    @property
    def power(self) -> tuple[bytes, bytes]:
        """Least and most. The controller goes down to the least in corners; a shade lies between the two."""
        most = _power(self.operation.settings.power_permille / 1000)
        return (_number(POWER_LEAST, 2) if self.shaded else most), most

    @property
    def box(self) -> Box:
        points = np.array([point for stroke in self.strokes for point in stroke.points])
        (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
        return int(x0), int(y0), int(x1), int(y1)


def write(toolpath: Toolpath, machine: CutMachine) -> bytes:
    """The document. Raises ValueError where there is nothing to do, more than `LAYERS_MAX` operations, or a line
    outside the machine's work area: `build` has seen to all three."""
    toolpath = counted_from(toolpath, machine.origin, machine.bed_mm)
    worked = [(operation, _strokes(operation)) for operation in toolpath.operations]
    layers = [
        _Layer(number=number, operation=operation, strokes=strokes)
        for number, (operation, strokes) in enumerate(pair for pair in worked if pair[1])
    ]
    if not layers or len(layers) > LAYERS_MAX:
        raise ValueError(f"{len(layers)} layers; a document has 1 to {LAYERS_MAX}")
    box = _around([layer.box for layer in layers])
    wide, deep = (round(1000 * side) for side in machine.bed_mm)
    if box[0] < 0 or box[1] < 0 or box[2] > wide or box[3] > deep:
        raise ValueError(f"{box} µm is not on the bed of {machine.name}")
    head = _head(layers, box)
    body = b"".join(_body(layer) for layer in layers)
    return _summed(head + body + _tail(layers))


# --- from lines to strokes -------------------------------------------------------------------------


def _strokes(operation: Operation) -> tuple[_Stroke, ...]:
    if operation.settings.power_permille <= 0:
        return ()
    drawn = [*_of_contours(operation.contours), *_of_scans(operation.scans)]
    return tuple(stroke for stroke in drawn if len(stroke.points) > 1)


def _of_contours(contours: Iterable[Contour]) -> Iterator[_Stroke]:
    for contour in contours:
        for piece in _pieces(contour):
            yield _Stroke(points=_micrometres(piece))


def _of_scans(scans: Iterable[Scan]) -> Iterator[_Stroke]:
    """To and fro: every second line backwards, whatever its pieces."""
    for row, scan in enumerate(scans):
        backwards = row % 2 == 1
        for x0, x1, share in scan.spans[::-1] if backwards else scan.spans:
            ends = np.array([[x0, scan.y], [x1, scan.y]])
            if share > 0:
                yield _Stroke(points=_micrometres(ends[::-1] if backwards else ends), share=float(share))


def _pieces(contour: Contour) -> list[FloatArray]:
    """The parts of the line between its tabs."""
    points = np.vstack([contour.points, contour.points[:1]]) if contour.closed else contour.points
    along = np.concatenate([[0.0], np.hypot(*np.diff(points, axis=0).T).cumsum()])
    pieces, begin = [], 0.0
    for start, end in sorted(contour.gaps):
        if start > begin:
            pieces.append(_between(points, along, begin, start))
        begin = max(begin, end)
    if begin < along[-1]:
        pieces.append(_between(points, along, begin, float(along[-1])))
    return pieces


def _between(points: FloatArray, along: FloatArray, start: float, end: float) -> FloatArray:
    inside = points[(along > start) & (along < end)]
    first, last = ([np.interp(at, along, points[:, axis]) for axis in (0, 1)] for at in (start, end))
    return np.vstack([first, inside, last])


def _micrometres(points: FloatArray) -> tuple[Point, ...]:
    """Rounded; points that have become one are one."""
    rounded = [(int(x), int(y)) for x, y in np.rint(points * 1000)]
    return (rounded[0], *(after for before, after in pairwise(rounded) if after != before))


def _around(boxes: list[Box]) -> Box:
    low, high = np.array(boxes).min(axis=0), np.array(boxes).max(axis=0)
    return int(low[0]), int(low[1]), int(high[2]), int(high[3])


# --- the document ----------------------------------------------------------------------------------


def _head(layers: list[_Layer], box: Box) -> bytes:
    low, high = _point(box[0], box[1]), _point(box[2], box[3])
    return b"".join(
        (
            b"\xd8\x12\xf0\xf1\x02\x00",  # from the origin at the panel; no blocks
            b"\xe7\x06" + _point(0, 0),
            *(
                code + low + other + high
                for code, other in ((b"\xe7\x03", b"\xe7\x07"), (b"\xe7\x50", b"\xe7\x51"))
            ),
            b"\xe7\x04\x00\x01\x00\x01" + bytes(10) + b"\xe7\x05\x00",  # once, not in rows and columns
            bytes((0xCA, 0x22, len(layers) - 1)),
            *(_announced(layer) for layer in layers),
        )
    )


def _announced(layer: _Layer) -> bytes:
    """What the panel shows of a layer before it is worked on."""
    number, (least, most), (x0, y0, x1, y1) = bytes((layer.number,)), layer.power, layer.box
    corners = ((0x52, x0, y0), (0x53, x1, y1), (0x61, x0, y0), (0x62, x1, y1))
    powers = ((0x31, least), (0x32, most), (0x41, least), (0x42, most))
    return b"".join(
        (
            *(bytes((0xE7, code)) + number + _point(x, y) for code, x, y in corners),
            b"\xc9\x04" + number + _speed(layer),
            *(bytes((0xC6, code)) + number + power for code, power in powers),
            b"\xca\x06" + number + _number(_COLOURS.get(layer.operation.kind, 0), 5),
            b"\xca\x41" + number + bytes((_mode(layer)[0],)),
        )
    )


def _body(layer: _Layer) -> bytes:
    least, most = layer.power
    settings = b"".join(
        (
            bytes(
                (0xCA, 0x01, _mode(layer)[1], 0xCA, 0x02, layer.number, 0xCA, 0x01, 0x30, 0xCA, 0x01, 0x10)
            ),
            b"\xca\x01" + (b"\x13" if layer.operation.settings.air else b"\x12"),
            b"\xc9\x02" + _speed(layer),
            *(
                bytes((0xC6, code)) + power
                for code, power in ((1, least), (2, most), (0x21, least), (0x22, most))
            ),
            *(bytes((0xC6, code)) + _number(0, 5) for code in (0x12, 0x13)),  # no delays, whatever was before
            b"\xca\x03\x01\xca\x10\x00",  # the first tube
        )
    )
    return settings + _lines(layer) + (b"\xe7\x00" if layer.engraves else b"")


def _mode(layer: _Layer) -> tuple[int, int]:
    return _RASTER if layer.engraves else _VECTOR


def _lines(layer: _Layer) -> bytes:
    written, here, shade = [], None, POWER_FULL
    for stroke in layer.strokes * layer.operation.settings.passes:
        first, *others = stroke.points
        if first != here:
            written.append(_step(_MOVE, here, first))
        if layer.shaded and _raw(stroke.share) != shade:
            shade = _raw(stroke.share)
            written.append(_shade(shade))
        here = first
        for point in _cut_short(first, others) if layer.engraves else others:
            written.append(_step(_LINE, here, point))
            here = point
    if shade != POWER_FULL:  # not to be carried into the next layer
        written.append(_shade(POWER_FULL))
    return b"".join(written)


def _cut_short(here: Point, points: Iterable[Point]) -> Iterator[Point]:
    """The same line along x, in pieces of at most `RASTER_PIECE_UM`."""
    x = here[0]
    for goal, y in points:
        way = 1 if goal > x else -1
        yield from ((at, y) for at in range(x + way * RASTER_PIECE_UM, goal, way * RASTER_PIECE_UM))
        yield goal, y
        x = goal


def _step(codes: tuple[int, int, int, int], here: Point | None, to: Point) -> bytes:
    """The shortest way to say it. From a point that is not known only the absolute one will do."""
    absolute, relative, along_x, along_y = codes
    dx, dy = (to[0] - here[0], to[1] - here[1]) if here is not None else (RELATIVE_UM.stop, 0)
    if dx not in RELATIVE_UM or dy not in RELATIVE_UM:
        return bytes((absolute,)) + _point(*to)
    if dy == 0:
        return bytes((along_x,)) + _number(dx, 2)
    if dx == 0:
        return bytes((along_y,)) + _number(dy, 2)
    return bytes((relative,)) + _number(dx, 2) + _number(dy, 2)


def _tail(layers: list[_Layer]) -> bytes:
    length = _number(math.floor(sum(_length_mm(layer) for layer in layers)), 5)
    return b"\xda\x01\x06\x20" + length + length + b"\xeb\xe7\x00"


def _length_mm(layer: _Layer) -> float:
    """Beam on, all passes."""
    lengths = (math.dist(a, b) for stroke in layer.strokes for a, b in pairwise(stroke.points))
    return sum(lengths) / 1000 * layer.operation.settings.passes


def _summed(document: bytes) -> bytes:
    """With the sum of all other bytes, by which a document that did not arrive whole is known, and the end."""
    return document + b"\xe5\x05" + _number(sum(document) + 0xD7, 5) + b"\xd7"


# --- numbers, seven bits a byte --------------------------------------------------------------------


def _number(value: int, size: int) -> bytes:
    """Most significant first; a negative one as its complement."""
    return bytes((value >> 7 * place) & 0x7F for place in reversed(range(size)))


def _point(x: int, y: int) -> bytes:
    return _number(x, 5) + _number(y, 5)


def _speed(layer: _Layer) -> bytes:
    return _number(max(1, round(1000 * layer.operation.settings.speed_mm_s)), 5)


def _raw(share: float) -> int:
    return min(POWER_FULL, max(POWER_LEAST, round(share * POWER_FULL)))


def _power(share: float) -> bytes:
    return _number(_raw(share), 2)


def _shade(raw: int) -> bytes:
    return b"\xc7" + _number(raw, 2) + b"\xc2" + _number(raw, 2)
