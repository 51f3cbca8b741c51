"""Areas and pictures as engraving lines: which stretch of which line burns, and how much.

Lines lie on one grid for all the work, (k + 1/2) x interval above the bed's edge, so that neighbouring areas meet
without a double line; they ascend, and blank ones are left out. In which direction each is driven is not decided here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from slicing.faults import refused
from slicing.vector.design import FloatArray, Picture
from slicing.vector.toolpath import Scan, Settings

CROSSINGS_MAX = 10_000_000
"""Of outlines with lines: 400 MB while they are sorted."""
PIXELS_MAX = 50_000_000
SPANS_MAX = 1_500_000
"""Pieces to burn; a file of some 30 MB."""
LEVELS = 16
"""Shades of grey told apart: more make longer files, and no wood shows them."""
SPAN_MM_MIN = 0.01

Ints = NDArray[np.int64]


def fill_scans(rings: Sequence[FloatArray], even_odd: bool, settings: Settings) -> tuple[Scan, ...]:
    """The inside of polygons, in machine mm. Rings are closed without repeating their first point; which of them are
    holes the fill rule says. Raises FileRefused for more lines than anybody can wait for.
    """
    interval = settings.interval_mm
    if interval <= 0:
        raise refused("laser.setting", setting="interval_mm", value=interval, key="engrave")
    rings = [ring for ring in rings if len(ring) > 2]
    if not rings:
        return ()
    begin = np.concatenate(rings)
    end = np.concatenate([np.roll(ring, -1, axis=0) for ring in rings])
    line, x, turn = _crossings(begin, end, interval)
    order = np.lexsort((x, line))
    line, x, turn = line[order], x[order], turn[order]
    # Every line leaves what it enters, so that one running sum serves them all.
    wound = np.arange(1, len(x) + 1) % 2 if even_odd else np.cumsum(turn)
    before = np.concatenate(([0], wound[:-1]))
    enters, leaves = (before == 0) & (wound != 0), (before != 0) & (wound == 0)
    spans = np.stack((x[enters], x[leaves], np.ones(np.count_nonzero(enters))), axis=1)
    return _scans(line[enters], spans, interval)


def _crossings(begin: FloatArray, end: FloatArray, interval: float) -> tuple[Ints, FloatArray, Ints]:
    """Where edges cross lines: the line's number, x, and +1 upward, -1 downward. An edge has its lower end, not its
    upper one, so that a corner on a line counts once.
    """
    turn = np.sign(end[:, 1] - begin[:, 1]).astype(np.int64)
    low, high = np.where(turn[:, None] > 0, begin, end), np.where(turn[:, None] > 0, end, begin)
    first = np.ceil(low[:, 1] / interval - 0.5).astype(np.int64)
    count = np.ceil(high[:, 1] / interval - 0.5).astype(np.int64) - first
    total = int(count.sum())
    if total > CROSSINGS_MAX:
        raise _too_fine(interval, total, CROSSINGS_MAX)
    edge = np.repeat(np.arange(len(count)), count)
    line = np.arange(total) - np.repeat(np.cumsum(count) - count, count) + first[edge]
    rise = (high[:, 1] - low[:, 1])[edge]
    share = ((line + 0.5) * interval - low[edge, 1]) / rise
    x = low[edge, 0] + share * (high[edge, 0] - low[edge, 0])
    return line, x, turn[edge]


def _scans(line: Ints, spans: FloatArray, interval: float) -> tuple[Scan, ...]:
    """Spans by line, in order; those that touch are one, and specks are none."""
    if not len(line):
        return ()
    touches = (
        (np.diff(line) == 0) & (spans[1:, 0] - spans[:-1, 1] < SPAN_MM_MIN) & (np.diff(spans[:, 2]) == 0)
    )
    heads = np.flatnonzero(np.concatenate(([True], ~touches)))
    tails = np.concatenate((heads[1:] - 1, [len(line) - 1]))
    spans = np.stack((spans[heads, 0], spans[tails, 1], spans[heads, 2]), axis=1)
    line = line[heads]
    wide = spans[:, 1] - spans[:, 0] >= SPAN_MM_MIN
    line, spans = line[wide], spans[wide]
    if len(line) > SPANS_MAX:
        raise _too_fine(interval, len(line), SPANS_MAX)
    if not len(line):
        return ()
    numbers, first = np.unique(line, return_index=True)
    return tuple(
        Scan(y=round((number + 0.5) * interval, 6), spans=part)
        for number, part in zip(numbers.tolist(), np.split(spans, first[1:]), strict=True)
    )


def _too_fine(interval: float, count: int, limit: int) -> Exception:
    return refused("laser.too_fine", interval_mm=interval, count=count, limit=limit)


# --- Pictures ----------------------------------------------------------------------------------------------------


def picture_scans(picture: Picture, settings: Settings, *, dither: bool = False) -> tuple[Scan, ...]:
    """A picture whose `to_page` leads to machine mm; white burns nothing, black at full power.

    Grey is power, in LEVELS steps; or, dithered, dots of full power as large as the lines are apart. Raises
    FileRefused for more dots than can be made.
    """
    interval = settings.interval_mm
    if interval <= 0:
        raise refused("laser.setting", setting="interval_mm", value=interval, key="picture")
    grid = _resampled(picture, interval)
    if grid is None:
        return ()
    grey, column, row = grid
    if dither:
        grey = np.asarray(Image.fromarray(grey).convert("1"), dtype=np.uint8) * 255
    level = np.rint((255 - grey.astype(np.float32)) * ((LEVELS - 1) / 255)).astype(np.int64)
    # A white column behind each row keeps one row's last piece apart from the next one's first.
    flat = np.pad(level, ((0, 0), (0, 1))).ravel()
    edges = np.flatnonzero(np.diff(flat, prepend=0, append=0))
    begins = edges[flat[edges] > 0] if len(edges) else edges
    if len(begins) > SPANS_MAX:
        raise _too_fine(interval, len(begins), SPANS_MAX)
    ends = edges[np.searchsorted(edges, begins, side="right")]
    width = level.shape[1] + 1
    line, low = np.divmod(begins, width)
    spans = np.stack(
        ((low + column) * interval, (ends - line * width + column) * interval, flat[begins] / (LEVELS - 1)),
        axis=1,
    )
    return _scans(line + row, spans, interval)


def _resampled(picture: Picture, interval: float) -> tuple[NDArray[np.uint8], int, int] | None:
    """On the grid of lines, upwards: the dots, and the number of the first column and row. None: nothing is there.

    Shrunk by averaging first, so that thin strokes of a large picture grow pale instead of vanishing.
    """
    a, b, c, d, e, f = picture.to_page
    rows, columns = picture.grey.shape
    if not rows or not columns or abs(a * d - b * c) < 1e-12:
        return None
    shrink_x = max(1, int(interval / max(np.hypot(a, b), 1e-9)))
    shrink_y = max(1, int(interval / max(np.hypot(c, d), 1e-9)))
    image = Image.fromarray(picture.grey)
    if shrink_x > 1 or shrink_y > 1:
        image = image.reduce((min(shrink_x, columns), min(shrink_y, rows)))
    corners = np.array([(0, 0), (columns, 0), (0, rows), (columns, rows)]) @ np.array([(a, b), (c, d)]) + (
        e,
        f,
    )
    first = np.floor(corners.min(axis=0) / interval).astype(int)
    width, height = (np.ceil(corners.max(axis=0) / interval - 1e-9).astype(int) - first).tolist()
    if width * height > PIXELS_MAX:
        raise _too_fine(interval, width * height, PIXELS_MAX)
    if width < 1 or height < 1:
        return None
    # From dots of the grid back to the (shrunk) picture.
    scale = np.diag((image.width / columns, image.height / rows, 1.0))
    forward = np.array([(a, c, e), (b, d, f), (0, 0, 1)])
    dots = np.array([(interval, 0, first[0] * interval), (0, interval, first[1] * interval), (0, 0, 1)])
    back = scale @ np.linalg.inv(forward) @ dots
    grid = image.transform(
        (width, height),
        Image.Transform.AFFINE,
        tuple(back[:2].ravel().tolist()),
        resample=Image.Resampling.BILINEAR,
        fillcolor=255,
    )
    return np.asarray(grid, dtype=np.uint8), int(first[0]), int(first[1])
