"""Long rows of one plain XML element, such as `<vertex x="1" y="2" z="3"/>`, read without an XML parser.

Knows only bytes. The caller must know from a real parser that the row stands where such elements belong; what
is not exactly like the first element of the row is left to that parser.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slicing.textnum import Text, same_bytes

I64 = NDArray[np.int64]

GAP_BYTES_MAX = 56  # between two values, with line end and indentation
_END = re.compile(rb'"\s*/>')


@dataclass(frozen=True, kw_only=True)
class Plain:
    """How an element of three attributes looks: the whole of it, and from its last value to the next one."""

    whole: re.Pattern[bytes]
    between: re.Pattern[bytes]


def plain(name: str, attributes: tuple[str, str, str]) -> Plain:
    """The form `<name a="…" b="…" c="…"/>`, with any white space where XML allows it."""
    values = r"\s+".join(rf'{attribute}="[^"<&]*"' for attribute in attributes)
    return Plain(
        whole=re.compile(rf"\s*<{name}\s+{values}\s*/>".encode()),
        between=re.compile(rf'"\s*/>\s*<{name}\s+{attributes[0]}="'.encode()),
    )


@dataclass(frozen=True, kw_only=True)
class Row:
    """Where the values of a row lie in `text`, three to an element, and how many bytes the row takes."""

    text: Text
    begin: I64
    end: I64
    size: int

    def __len__(self) -> int:
        return len(self.begin) // 3


def row(data: memoryview, form: Plain) -> Row | None:
    """The elements `data` opens with that are all written alike; None when not even one is there."""
    if not form.whole.match(data):
        return None
    text = Text(data)
    quotes: I64 = np.flatnonzero(text.bytes == ord('"'))
    count = len(quotes) // 6
    opened = quotes[: 6 * count : 2].reshape(-1, 3)
    closed = quotes[1 : 6 * count : 2].reshape(-1, 3)
    alike = _alike(text, closed[:, 0], opened[:, 1]) & _alike(text, closed[:, 1], opened[:, 2])
    if count > 1:
        follows = form.between.fullmatch(text.raw, closed[0, 2], opened[1, 0] + 1)
        alike[1:] &= _alike(text, closed[:-1, 2], opened[1:, 0]) & bool(follows)
    count = count if alike.all() else int(alike.argmin())
    if count and not (end := _END.match(text.raw, closed[count - 1, 2])):
        count -= 1  # cut short, or closed in some other way: the ones before it were followed by another
        end = _END.match(text.raw, closed[count - 1, 2]) if count else None
    if not count or end is None:
        return None
    return Row(
        text=text,
        begin=opened[:count].reshape(-1) + 1,
        end=closed[:count].reshape(-1),
        size=end.end() - Text.LEAD,
    )


def _alike(text: Text, begin: I64, end: I64) -> NDArray[np.bool_]:
    """Which of these stretches, ends included, hold the same bytes as the first."""
    gap = end - begin
    if gap[0] >= GAP_BYTES_MAX:
        return np.zeros(len(gap), dtype=np.bool_)
    same: NDArray[np.bool_] = (gap == gap[0]) & same_bytes(text, begin, int(gap[0]) + 1)
    return same
