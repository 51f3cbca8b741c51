"""What a tool goes along without being lifted: a contour, taken apart at its tabs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from slicing.vector.design import FloatArray
from slicing.vector.toolpath import Contour

_NOTHING_MM = 1e-9


def line_of(contour: Contour) -> FloatArray:
    """Its points, the first one once more at the end of a closed one."""
    return np.vstack([contour.points, contour.points[:1]]) if contour.closed else contour.points


def length_mm(line: FloatArray) -> float:
    return float(np.hypot(*np.diff(line, axis=0).T).sum())


def between_tabs(contour: Contour) -> Iterator[FloatArray]:
    """The whole line where it has no tabs, else the pieces between them; two points at least. A piece does not go on
    over a closed line's first point."""
    line = line_of(contour)
    if not contour.gaps:
        yield line
        return
    whole, begin = length_mm(line), 0.0
    for gap_begin, gap_end in (*sorted(contour.gaps), (whole, whole)):
        if min(gap_begin, whole) - begin > _NOTHING_MM:
            yield stretch(line, begin, min(gap_begin, whole))
        begin = max(begin, gap_end)


def stretch(line: FloatArray, begin_mm: float, end_mm: float) -> FloatArray:
    """The part of a polyline from one distance along it to another, which must lie further on."""
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    ends = np.array([[np.interp(at, along, line[:, axis]) for axis in (0, 1)] for at in (begin_mm, end_mm)])
    inner = line[(along > begin_mm + _NOTHING_MM) & (along < end_mm - _NOTHING_MM)]
    return np.vstack([ends[:1], inner, ends[1:]])
