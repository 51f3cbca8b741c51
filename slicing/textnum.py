"""Decimal numbers in text, a hundred thousand at a time: eight characters fit a 64-bit word.

Knows bytes and where words begin and end in them; nothing of files. Strict: what XML Schema and C call a
decimal number, in ASCII, and nothing that Python alone accepts (underscores, digits of other scripts).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint8]
U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

_PAD = b"\n" * 64  # words are read whole: there must be something before the first and after the last
_GAP = "\x01"  # no attribute of an XML document can hold it, not even escaped

_FLOAT = re.compile(rb"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,9})?")
_INTEGER = re.compile(rb"[+-]?\d{1,18}")
_NO_NUMBER = re.compile(rb"(?i)[+-]?(?:nan(?:\([\w]*\))?|inf(?:inity)?|1\.#(?:qnan|snan|ind|inf)\d*)")
_WORDS_MAX = 3  # mantissas of up to 24 characters are read here, longer ones one by one


def _bytes8(byte: int) -> np.uint64:
    return np.uint64(byte * 0x0101010101010101)


_ONES, _HIGHS, _ALL = _bytes8(0x01), _bytes8(0x80), np.uint64(2**64 - 1)
_ZEROS, _LOWER, _SLASHES = _bytes8(ord("0")), _bytes8(0x20), _bytes8(ord("/"))
_DOTS = _bytes8(ord(".") ^ ord("0"))  # what a point looks like once '0' is taken off
_OVER_NINE = _bytes8(0x76)  # added to a byte, it sets the top bit from ten on
_FIRST: U64 = np.array([2 ** (8 * n) - 1 for n in range(9)], dtype=np.uint64)
_EXPONENT_MAX = 999
_POWER_ZERO = _EXPONENT_MAX + 24  # where 10^0 stands in the table
_POWERS: F64 = np.array([float(f"1e{n}") for n in range(-_POWER_ZERO, _EXPONENT_MAX + 49)], dtype=np.float64)


class NotANumber(ValueError):
    """The word that should have been a number, shortened."""


class Text:
    """Bytes that words can be read from at any place. Positions are those in `bytes`: `LEAD` more than in the
    original.
    """

    LEAD = 8

    def __init__(self, data: bytes | memoryview) -> None:
        self.raw = b"".join((_PAD[: self.LEAD], data, _PAD))
        self.bytes: U8 = np.frombuffer(self.raw, dtype=np.uint8)
        self._words: U64 = np.ndarray((len(self.raw) - 7,), dtype="<u8", buffer=self.raw, strides=(1,))

    def only_printable(self) -> bool:
        """Whether there is no control character but white space, so that `words` are what they seem."""
        odd = (self.bytes < 32) & ((self.bytes < 9) | (self.bytes > 13))
        return not odd.any()

    def words(self) -> tuple[I64, I64]:
        """Begin and end of everything between white space and control characters."""
        space = self.bytes <= 32
        edges: I64 = np.flatnonzero(space[1:] != space[:-1]) + 1
        return edges[0::2], edges[1::2]

    def at(self, places: I64) -> U64:
        """The eight bytes from each place on, the first one lowest."""
        found: U64 = self._words[places]
        return found

    def reads(self, begin: I64, end: I64, word: bytes) -> bool:
        """Whether all these words are `word`, of at most eight letters, in whatever case."""
        size = len(word)
        same = (self.at(begin) | _LOWER) & _FIRST[size] == int.from_bytes(word, "little")
        return bool(same.all() and (end - begin == size).all())


def same_bytes(text: Text, begin: I64, size: int) -> NDArray[np.bool_]:
    """At which places the next `size` bytes, at most 64, are those at the first place."""
    same = np.ones(len(begin), dtype=np.bool_)
    for offset in range(0, size, 8):
        words = text.at(begin + offset) & _FIRST[min(8, size - offset)]
        same &= words == words[0]
    return same


def floats(text: Text, begin: I64, end: I64) -> F64:
    """The numbers at these places. Raises NotANumber. Right to the last bit up to 15 digits between 1e-7 and
    1e16, else within 3 units of it (0 below 1e-290); `nan` and `inf` are read as such.
    """
    sign = text.bytes[begin]
    negative = sign == ord("-")
    start = begin + (negative | (sign == ord("+")))
    length = end - start
    exponent = _take_exponents(text, end, length)
    size = min(max(-(-int(length.max(initial=0)) // 8), 1), _WORDS_MAX)
    digits, whole, good = _digits(text, start, length, size)
    power = _POWER_ZERO - whole if exponent is None else _POWER_ZERO - whole - exponent
    number = _scaled(digits[:2], power)
    if size > 2:  # apart, so that a short number is the same whatever stands beside it
        number += _scaled(digits[2:], power + 16)
    np.negative(number, out=number, where=negative)
    for place in np.flatnonzero(~good):
        number[place] = _one_float(text.raw[begin[place] : end[place]])
    return number


def _scaled(digits: list[U64], power: I64) -> F64:
    """The number made of one or two words of eight digits, divided by ten to what `power` points to."""
    number = _eight(digits[0]).astype(np.float64)
    if len(digits) == 2:
        number *= 1e8
        number += _eight(digits[1])
    with np.errstate(all="ignore"):
        number /= _POWERS[power + 8 * len(digits)]
    return number


def _take_exponents(text: Text, end: I64, length: I64) -> I64 | None:
    """Exponents as C (e+01), old Windows (e+001) and JavaScript (e-7) write them; `length` loses their
    characters. None when there is none.
    """
    tail, found = text.at(end - 8), None
    for figures in (2, 3, 1):
        e = (tail >> np.uint64(8 * (6 - figures))) & np.uint64(0xFF)
        seen = (e | np.uint64(0x20)) == ord("e")
        if not seen.any():
            continue
        which = np.flatnonzero(seen & (length > figures + 2))
        last = tail[which] >> np.uint64(8 * (7 - figures))
        value, good = np.zeros(len(which), dtype=np.int64), np.ones(len(which), dtype=np.bool_)
        for figure in range(1, figures + 1):
            one = ((last >> np.uint64(8 * figure)) & np.uint64(0xFF)).astype(np.int64) - ord("0")
            good &= (one >= 0) & (one <= 9)
            value = 10 * value + one
        sign = last & np.uint64(0xFF)
        good &= (sign == ord("+")) | (sign == ord("-"))
        which, value = which[good], np.where(sign == ord("-"), -value, value)[good]
        if found is None:
            found = np.zeros(len(length), dtype=np.int64)
        found[which] = value
        length[which] -= figures + 2
    return found


def _digits(text: Text, start: I64, length: I64, size: int) -> tuple[list[U64], I64, NDArray[np.bool_]]:
    """`size` words of eight digits, left aligned; how many stand before the point; whether that is all."""
    raw = [(text.at(start + 8 * k) ^ _ZEROS) & _FIRST[np.clip(length - 8 * k, 0, 8)] for k in range(size)]
    good = (length > 0) & (length <= 8 * size)
    whole, point = np.zeros(len(start), dtype=np.int64), np.zeros(len(start), dtype=np.uint64)
    digits = []
    for k, word in enumerate(raw):
        before = _before(word ^ _DOTS) & ~point  # nothing is before a point that is already behind us
        following = raw[k + 1] << np.uint64(56) if k + 1 < size else np.uint64(0)
        closed = (word & before) | (((word >> np.uint64(8)) | following) & ~before)
        good &= ((closed + _OVER_NINE) | closed) & _HIGHS == 0
        whole += np.bitwise_count(before) >> 3
        point = np.where(before == _ALL, np.uint64(0), _ALL)
        digits.append(closed)
    good &= length > (point != 0)  # a point alone is no number
    return digits, np.minimum(whole, length), good


def _before(word: U64) -> U64:
    """All bits below the lowest byte that is zero; all bits when none is."""
    zero = (word - _ONES) & ~word & _HIGHS
    below: U64 = ((zero & (~zero + np.uint64(1))) >> np.uint64(7)) - np.uint64(1)
    return below


def _eight(digits: U64) -> U64:
    """The number that eight digits make, the first in the lowest byte: pairs, fours, eight."""
    pairs = digits * np.uint64(10) + (digits >> np.uint64(8))
    mask = np.uint64(0x000000FF000000FF)
    high = (pairs & mask) * np.uint64(0x000F424000000064)
    low = ((pairs >> np.uint64(16)) & mask) * np.uint64(0x0000271000000001)
    return (high + low) >> np.uint64(32)


def _one_float(word: bytes) -> float:
    word = word.strip()
    if _FLOAT.fullmatch(word):
        return float(word)
    if _NO_NUMBER.fullmatch(word):
        sign = "-" if word.startswith(b"-") else ""
        return float(sign + ("inf" if b"inf" in word.lower() else "nan"))
    raise NotANumber(_shown(word))


def integers(text: Text, begin: I64, end: I64, *, until_slash: bool = False) -> I64:
    """The whole numbers at these places, each up to its first slash if so wanted. Raises NotANumber."""
    sign = text.bytes[begin]
    negative = sign == ord("-")
    start = begin + (negative | (sign == ord("+")))
    word = text.at(start)
    length = end - start
    if until_slash:
        before = _before(word ^ _SLASHES)
        length = np.where(before == _ALL, length, np.minimum(length, np.bitwise_count(before) >> 3))
    shown = np.clip(length, 0, 8)
    digits = (word ^ _ZEROS) & _FIRST[shown]
    good = (((digits + _OVER_NINE) | digits) & _HIGHS == 0) & (length > 0) & (length <= 8)
    # Shifted up, the digits end in the last byte and noughts come first; one by one where that fails.
    number = _eight(digits << (np.uint64(8) * np.where(good, 8 - shown, 0).astype(np.uint64))).astype(
        np.int64
    )
    np.negative(number, out=number, where=negative)
    for place in np.flatnonzero(~good):
        number[place] = _one_integer(text.raw[begin[place] : end[place]], until_slash)
    return number


def _one_integer(word: bytes, until_slash: bool) -> int:
    word = (word.split(b"/", 1)[0] if until_slash else word).strip()
    if not _INTEGER.fullmatch(word):
        raise NotANumber(_shown(word))
    return int(word)


def _shown(word: bytes) -> str:
    return repr(word[:40].decode("utf-8", "replace"))


def separate(words: Sequence[str]) -> tuple[Text, I64, I64]:
    """A text of words that come one by one, and where they lie in it: whatever is inside stays inside."""
    text = Text((_GAP + _GAP.join(words) + _GAP * bool(words)).encode("utf-8", "surrogatepass"))
    gaps: I64 = np.flatnonzero(text.bytes == ord(_GAP))
    return text, gaps[:-1] + 1, gaps[1:]


def all_floats(words: Sequence[str]) -> F64:
    """Numbers that come as strings; no whole column of them, but the same rules. Raises NotANumber."""
    return floats(*separate(words))


def all_integers(words: Sequence[str]) -> I64:
    """Whole numbers that come as strings. Raises NotANumber."""
    return integers(*separate(words))
