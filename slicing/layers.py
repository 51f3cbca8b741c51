"""One layer of a sliced file as a picture: what the head draws, seen from above, as SVG.

A layer is read alone: the slicer says the place anew with the first travel after each `;LAYER_CHANGE`. Nothing of the
file's text enters the picture, only our own elements and numbers. Knows nothing of pages.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from slicing.gcodetext import NotGcode
from slicing.moves import FEATURES, Limits, Moves, Reader
from slicing.results import Overview, Rectangle

Ints = NDArray[np.int64]

SVG_BYTES_MAX = 1_500_000
LAYER_BYTES_MAX = 64 * 1024 * 1024
LINE_MM = 0.42
MARGIN_MM = 4.0
DETAIL_MM = 0.01
"""What a drawn line may stray from the real one, at each of a few passes; doubled until the picture is small enough."""
_BACK_BYTES = 64 * 1024
_BACK_BYTES_MAX = 4 * 1024 * 1024
_COARSEST_MM = 1.0
_PASSES = 4
_PER_MM = 100
"""The picture's unit is 0.01 mm: every coordinate is an integer."""

TRAVEL = len(FEATURES)
_COLOURS: Mapping[str, str] = MappingProxyType(
    {
        "support": "#7aa874",
        "support-interface": "#4d8a5b",
        "skirt-brim": "#3a9c93",
        "wipe-tower": "#9aa35a",
        "custom": "#8a929c",
        "other": "#8a929c",
        "internal-infill": "#c0665a",
        "solid-infill": "#8f6fc0",
        "top-solid-infill": "#bd5f9d",
        "ironing": "#d48fb6",
        "bridge-infill": "#4b8fd6",
        "gap-fill": "#a59f94",
        "perimeter": "#d9a62e",
        "overhang-perimeter": "#3f6fd1",
        "external-perimeter": "#dd7a2a",
    }
)
"""Each feature's colour, readable on light and on dark, in the order of drawing: the outer wall comes last."""
_STYLE = (
    f"path{{fill:none;stroke-width:{round(LINE_MM * _PER_MM)};stroke-linecap:round;stroke-linejoin:round}}"
    + "".join(f".{name}{{stroke:{colour}}}" for name, colour in _COLOURS.items())
    + ".travel{stroke:#5b93d3;stroke-width:1;stroke-opacity:.7;vector-effect:non-scaling-stroke}"
    + ".bed{fill:none;stroke:#8a929c;stroke-width:30;stroke-opacity:.5}"
)


def layer_svg(
    file: BinaryIO, first_byte: int, end_byte: int, bed_mm: Rectangle, view_mm: Rectangle | None = None
) -> str:
    """The layer between two bytes, such as one `first_byte` and the next; at most SVG_BYTES_MAX bytes.

    Shows `view_mm`, or else what the layer draws and a margin, or of an empty layer the bed. E is relative, as our
    slicer writes it. Raises NotGcode, OSError.
    """
    lines = _lines(_moves(file, first_byte, end_byte))
    view = view_mm or _around(lines) or bed_mm
    head, foot = _frame(view, bed_mm), "</svg>\n"
    paths = _fitting(lines, SVG_BYTES_MAX - len(head) - len(foot))
    return head + paths + foot


def _moves(file: BinaryIO, first_byte: int, end_byte: int) -> Moves | None:
    """The layer's moves, without those before its place is known; None where there are none."""
    if end_byte - first_byte > LAYER_BYTES_MAX:
        raise NotGcode(f"a layer of more than {LAYER_BYTES_MAX} bytes")
    file.seek(first_byte)
    lines = file.read(max(0, end_byte - first_byte))
    alone = io.BytesIO(b"G90\nM83\n" + _type_before(file, first_byte) + lines)
    batches = [batch.moves for batch in Reader(Limits()).read(alone)]
    if not batches:
        return None
    moves = batches[0]
    if len(batches) > 1:
        moves = Moves(**{name: np.concatenate([getattr(b, name) for b in batches]) for name in vars(moves)})
    flat = moves[(moves.dx != 0) | (moves.dy != 0)]
    known = np.flatnonzero(np.logical_or.accumulate(flat.dx != 0) & np.logical_or.accumulate(flat.dy != 0))
    return flat[known[1:]] if len(known) > 1 else None


def _type_before(file: BinaryIO, first_byte: int) -> bytes:
    """The last `;TYPE:` line before a layer, which may go on drawing the same feature without saying so."""
    end, later = first_byte, b""
    while end > max(0, first_byte - _BACK_BYTES_MAX):
        start = max(0, end - _BACK_BYTES)
        file.seek(start)
        block = file.read(end - start) + later
        at = block.rfind(b"\n;TYPE:")
        if at >= 0:
            return block[at + 1 : at + 60].split(b"\n")[0] + b"\n"
        end, later = start, block[:60]
    return b""


# --- Lines -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Lines:
    """Polylines one after another. x, y: points in units; starts: which point begins each line; kind: of each line, a
    place in FEATURES or TRAVEL.
    """

    x: Ints
    y: Ints
    starts: Ints
    kind: Ints

    def __getitem__(self, which: NDArray[np.bool_]) -> _Lines:
        """Only these lines."""
        lengths = np.diff(self.starts, append=len(self.x))
        points = np.repeat(which, lengths)
        starts = np.cumsum(lengths[which]) - lengths[which]
        return _Lines(x=self.x[points], y=self.y[points], starts=starts, kind=self.kind[which])


def _lines(moves: Moves | None) -> _Lines:
    """Moves of one kind that follow each other make a line."""
    none = np.zeros(0, dtype=np.int64)
    if moves is None:
        return _Lines(x=none, y=none, starts=none, kind=none)
    kind = np.where(moves.de > 0, moves.feature.astype(np.int64), TRAVEL)
    first: Ints = np.flatnonzero(np.diff(kind, prepend=-1))
    # Each line has one point more than moves: where its first move starts.
    x = np.insert(moves.x, first, (moves.x - moves.dx)[first])
    y = np.insert(moves.y, first, (moves.y - moves.dy)[first])
    return _Lines(x=_units(x), y=_units(y), starts=first + np.arange(len(first)), kind=kind[first])


def _units(mm: NDArray[np.float64]) -> Ints:
    return np.rint(mm * _PER_MM).astype(np.int64)


def _simpler(lines: _Lines, mm: float) -> _Lines:
    """Without the points that lie, within `mm`, on the straight way between their neighbours."""
    for _ in range(_PASSES if len(lines.x) else 0):
        ends = np.zeros(len(lines.x), dtype=np.bool_)
        ends[lines.starts] = True
        ends[np.append(lines.starts[1:], len(lines.x)) - 1] = True
        idle = np.zeros(len(lines.x), dtype=np.bool_)
        idle[1:-1] = _stray(lines.x, lines.y) <= mm * _PER_MM
        idle &= ~ends
        # Of neighbours that could both go only every other does: else a slow curve would vanish.
        at = np.flatnonzero(idle)
        run = np.arange(len(at)) - np.maximum.accumulate(
            np.where(np.diff(at, prepend=-2) > 1, np.arange(len(at)), 0)
        )
        gone = at[run % 2 == 0]
        if len(gone) == 0:
            break
        starts = lines.starts - np.searchsorted(gone, lines.starts)
        lines = _Lines(x=np.delete(lines.x, gone), y=np.delete(lines.y, gone), starts=starts, kind=lines.kind)
    return lines


def _stray(x: Ints, y: Ints) -> NDArray[np.float64]:
    """How far each inner point is from the segment between its neighbours, in units."""
    ax, ay = x[1:-1] - x[:-2], y[1:-1] - y[:-2]
    bx, by = x[2:] - x[:-2], y[2:] - y[:-2]
    length = np.maximum(bx * bx + by * by, 1)
    along = np.clip((ax * bx + ay * by) / length, 0, 1)
    stray: NDArray[np.float64] = np.hypot(ax - along * bx, ay - along * by)
    return stray


def _around(lines: _Lines) -> Rectangle | None:
    """What is drawn, travels left out, and a margin; None where nothing is."""
    drawn = lines[lines.kind != TRAVEL]
    if len(drawn.x) == 0:
        return None
    low_x, low_y = drawn.x.min() / _PER_MM - MARGIN_MM, drawn.y.min() / _PER_MM - MARGIN_MM
    high_x, high_y = drawn.x.max() / _PER_MM + MARGIN_MM, drawn.y.max() / _PER_MM + MARGIN_MM
    return float(low_x), float(low_y), float(high_x - low_x), float(high_y - low_y)


# --- SVG ---------------------------------------------------------------------------------------------------------


def _frame(view: Rectangle, bed: Rectangle) -> str:
    """All up to the paths. Up is where y grows, so y is turned about."""
    x, y, width, depth = (round(value * _PER_MM) for value in view)
    bed_x, bed_y, bed_width, bed_depth = (round(value * _PER_MM) for value in bed)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{x} {-y - depth} {width} {depth}">\n'
        f"<style>{_STYLE}</style>\n"
        f'<rect class="bed" x="{bed_x}" y="{-bed_y - bed_depth}" width="{bed_width}" height="{bed_depth}"/>\n'
    )


def _fitting(lines: _Lines, most_bytes: int) -> str:
    """The paths, with as much detail as there is room for; then without travels, then with fewer lines."""
    detail = DETAIL_MM
    while _bytes(lines := _simpler(lines, detail)) > most_bytes:
        detail *= 2
        if detail > 4 * DETAIL_MM:
            lines = lines[lines.kind != TRAVEL]
        if detail > _COARSEST_MM:
            lines = lines[np.arange(len(lines.kind)) % 2 == 0]
    return "".join(_paths(lines))


def _bytes(lines: _Lines) -> int:
    """What the paths take, or a little more: a sign or a space before each digit string, two long numbers a line."""
    steps = np.abs(np.concatenate([np.diff(lines.x), np.diff(lines.y)]))
    digits = 1 + sum(int(np.count_nonzero(steps >= 10**power)) for power in range(1, 9)) / max(len(steps), 1)
    return round(len(steps) * (digits + 1)) + 25 * len(lines.kind) + 60 * (TRAVEL + 1)


def _paths(lines: _Lines) -> Iterator[str]:
    """One element a feature, in the order of drawing; travels last, over the rest."""
    for name in (*_COLOURS, "travel"):
        kind = TRAVEL if name == "travel" else FEATURES.index(name.replace("-", "_"))
        mine = lines[lines.kind == kind]
        if len(mine.kind):
            yield f'<path class="{name}" d="{_data(mine)}"/>\n'


def _data(lines: _Lines) -> str:
    """Each line as its first point and then the steps."""
    x, y = lines.x, -lines.y
    starts, ends = lines.starts.tolist(), [*lines.starts[1:].tolist(), len(x)]
    steps = [f"{a} {b}" for a, b in zip(np.diff(x).tolist(), np.diff(y).tolist(), strict=True)]
    whole = [
        f"M{x[start]} {y[start]}l{' '.join(steps[start : end - 1])}"
        for start, end in zip(starts, ends, strict=True)
    ]
    return "".join(whole).replace(" -", "-")


_NOT_THE_PART = tuple(FEATURES.index(name) for name in ("skirt_brim", "custom", "wipe_tower"))


def overview(file: BinaryIO) -> Overview:
    """One pass over a sliced file. Raises NotGcode, OSError."""
    low, high = np.full(2, np.inf), np.full(2, -np.inf)
    reader = Reader(Limits())
    for batch in reader.read(file):
        m = batch.moves
        drawn = np.flatnonzero((m.de > 0) & ((m.dx != 0) | (m.dy != 0)) & ~np.isin(m.feature, _NOT_THE_PART))
        if len(drawn):
            x, y = m.x[drawn], m.y[drawn]
            low, high = np.minimum(low, (x.min(), y.min())), np.maximum(high, (x.max(), y.max()))
    view = None
    if low[0] <= high[0]:
        width, depth = (high - low + 2 * MARGIN_MM).tolist()
        view = (float(low[0]) - MARGIN_MM, float(low[1]) - MARGIN_MM, width, depth)
    first_bytes = tuple(layer.first_byte for layer in reader.layers)
    return Overview(first_bytes=first_bytes, size=file.seek(0, 2), view_mm=view)
