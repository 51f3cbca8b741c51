"""The text of G-code taken apart by whole arrays: lines, their first words, and the numbers after them.

A file is read in pieces, so that its size costs no memory. A number is eight bytes in one integer, read with a few
multiplications; what this cannot read goes through a careful parser, and what that cannot read either is NotGcode.
Knows nothing of what the words mean.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Words = NDArray[np.uint64]

PIECE_BYTES = 768 * 1024
"""Read at a time: the arrays made of it still fit the processor's cache."""
LINE_BYTES_MAX = 256 * 1024
STRICT = re.compile(rb"[+-]?(?:\d+\.?\d*|\.\d+)")


class NotGcode(ValueError):
    """The file holds what our slicer never writes and what no figure can be made of; `str` says where and what."""


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Whole lines of a file, taken apart. `raw` begins with a line end of ours and is padded; `data` are its bytes.

    windows: the eight bytes from each place on, as one integer; breaks: places of all bytes up to the space, which end
    words; first: which break precedes each line (one more at the end); key: each line's first word as an integer, cut
    to eight bytes; offset: of data[1] in the file; line: number of the first line.
    """

    raw: bytes
    data: Bytes
    windows: Words
    breaks: Ints
    first: Ints
    key: Words
    offset: int
    line: int

    def text(self, line: int) -> bytes:
        """One line of the piece, without its end."""
        return self.raw[self.breaks[self.first[line]] + 1 : self.breaks[self.first[line + 1]]]

    def ends(self, lines: Ints) -> Ints:
        """Where these lines end in the file, their line end included."""
        ends: Ints = self.breaks[self.first[lines + 1]] + self.offset
        return ends


def pieces(file: BinaryIO, start: int = 0, stop: int | None = None) -> Iterator[Piece]:
    """The lines of a file from byte to byte, in pieces; a last line without an end counts as one. Raises NotGcode for a
    line longer than LINE_BYTES_MAX.
    """
    file.seek(start)
    offset, line, rest = start, 1, b""
    left = None if stop is None else stop - start
    while chunk := file.read(PIECE_BYTES if left is None else min(PIECE_BYTES, left)):
        left = None if left is None else left - len(chunk)
        cut = chunk.rfind(b"\n") + 1
        if cut == 0:
            rest += chunk
            if len(rest) > LINE_BYTES_MAX:
                raise NotGcode(f"line {line} is longer than {LINE_BYTES_MAX} bytes")
            continue
        piece = _piece(rest + chunk[:cut], offset, line)
        yield piece
        offset += len(rest) + cut
        line += len(piece.key)
        rest = chunk[cut:]
    if rest:
        yield _piece(rest + b"\n", offset, line)


_PAD = b"\0" * 16
LENGTHS: Words = np.array([(1 << 8 * n) - 1 for n in range(9)], dtype=np.uint64)


def _piece(lines: bytes, offset: int, line: int) -> Piece:
    raw = b"\n" + lines + _PAD
    data = np.frombuffer(raw, dtype=np.uint8)
    windows: Words = np.ndarray(len(data) - 7, dtype="<u8", buffer=data, strides=(1,))
    breaks: Ints = np.flatnonzero(data[: len(lines) + 1] <= 32)
    first: Ints = np.flatnonzero(data[breaks] == 10)
    begins, ends = breaks[first[:-1]] + 1, breaks[first[:-1] + 1]
    key = windows[begins] & LENGTHS[np.minimum(ends - begins, 8)]
    sizes = np.diff(breaks[first])
    if sizes.max() > LINE_BYTES_MAX:
        raise NotGcode(f"line {line + int(sizes.argmax())} is longer than {LINE_BYTES_MAX} bytes")
    return Piece(
        raw=raw,
        data=data,
        windows=windows,
        breaks=breaks,
        first=first,
        key=key,
        offset=offset,
        line=line,
    )


def key_of(word: str) -> int:
    """The integer that stands for a word of up to eight letters in `Piece.key`."""
    return int.from_bytes(word.encode()[:8], "little")


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """The words after the first of chosen lines: which line (index into the choice), letter, number."""

    row: Ints
    letter: NDArray[np.uint8]
    value: Floats


def parameters(piece: Piece, lines: Ints) -> Parameters:
    """Parse the words of these lines (ascending), comments left out. Raises NotGcode for a word that is no number."""
    count = piece.first[lines + 1] - piece.first[lines] - 1
    total = int(count.sum())
    row: Ints = np.repeat(np.arange(len(lines)), count)
    at: Ints = np.repeat(piece.first[lines] + 1 - (np.cumsum(count) - count), count) + np.arange(total)
    start, end = piece.breaks[at] + 1, piece.breaks[at + 1]
    letter = piece.data[start]
    keep = _said(start, end, letter, row)
    if keep is not None:
        start, end, letter, row = start[keep], end[keep], letter[keep], row[keep]
    value, good = _numbers(piece.windows[start + 1], end - start - 1)
    comment = np.full(
        len(lines), total
    )  # of each line the word in which a comment begins without a space before it
    for i in np.flatnonzero(~good).tolist():
        if i > comment[row[i]]:
            continue
        begin, finish = int(start[i]), int(end[i])
        value[i] = _carefully(piece, begin, finish, int(lines[row[i]]))
        if b";" in piece.raw[begin:finish]:
            comment[row[i]] = i
    said = np.arange(len(row)) <= comment[row]
    if said.all():
        return Parameters(row=row, letter=letter, value=value)
    return Parameters(row=row[said], letter=letter[said], value=value[said])


def _said(start: Ints, end: Ints, letter: NDArray[np.uint8], row: Ints) -> NDArray[np.bool_] | None:
    """Which words count: none that is empty, none from the line's first semicolon on. None where all do."""
    empty, comment = end == start, letter == ord(";")
    if not (empty.any() or comment.any()):
        return None
    at = np.flatnonzero(comment)[::-1]
    from_here = np.full(int(row[-1]) + 1, len(row))
    from_here[row[at]] = at
    keep: NDArray[np.bool_] = ~empty & (np.arange(len(row)) < from_here[row])
    return keep


_ZEROS = np.uint64(0x3030303030303030)
_DOTS = np.uint64(0x1E1E1E1E1E1E1E1E)  # a dot, after _ZEROS was taken off
_ONES = np.uint64(0x0101010101010101)
_TOPS = np.uint64(0x8080808080808080)
_OVER_NINE = np.uint64(0x7676767676767676)
_PAIRS = np.uint64(0x000000FF000000FF)
_HIGH, _LOW = np.uint64(0x000F424000000064), np.uint64(0x0000271000000001)
_ONE, _THREE, _SEVEN, _EIGHT, _TEN, _SIXTEEN, _THIRTYTWO = (np.uint64(n) for n in (1, 3, 7, 8, 10, 16, 32))
_POWERS: Floats = 10.0 ** np.array([7 - bits // 8 for bits in range(64)] + [0])


def _numbers(text: Words, length: Ints) -> tuple[Floats, NDArray[np.bool_]]:
    """Decimal numbers of up to eight signs, eight bytes in one integer, the first sign lowest; and which were ones.

    The digits are moved to the upper end, the dot is squeezed out, then pairs, fours and eights are added up at once.
    """
    negative = (text & np.uint64(0xFF)) == ord("-")
    sign = negative.view(np.uint8)
    digits = length - sign
    good: NDArray[np.bool_] = (digits > 0) & (length <= 8)
    room = ((8 - np.where(good, digits, 1)) * 8).astype(np.uint64)
    d = ((text >> (sign.astype(np.uint64) << _THREE)) ^ _ZEROS) << room
    mark = d ^ _DOTS
    mark = (mark - _ONES) & ~mark & _TOPS
    mark &= ~mark + _ONE  # the top bit of the first dot's byte, or nothing
    whole = mark == 0
    below = (mark >> _SEVEN) - (~whole).view(np.uint8)  # the bytes before the dot
    d = ((d & below) << _EIGHT) | (d & ~(below | ((mark << _ONE) - (mark >> _SEVEN))))
    good &= (((d + _OVER_NINE) | d) & _TOPS) == 0
    d = d * _TEN + (d >> _EIGHT)
    d = ((d & _PAIRS) * _HIGH + ((d >> _SIXTEEN) & _PAIRS) * _LOW) >> _THIRTYTWO
    value = d.astype(np.float64) / _POWERS[np.where(whole, np.uint8(64), np.bitwise_count(below))]
    return np.where(negative, -value, value), good


def _carefully(piece: Piece, start: int, end: int, line: int) -> float:
    word = piece.raw[start:end].split(b";")[0]
    if not STRICT.fullmatch(word[1:], 0, 40):
        raise NotGcode(f"line {piece.line + line}: not a number: {word[:40]!r}")
    return float(word[1:])
