"""STL, binary and ASCII, strictly: the size rule decides, nothing is dropped in silence.

Triangles come out as float64 of shape (m, 3, 3) in the file's own unit. The writer makes the only STL a
slicer of ours ever sees.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from slicing.faults import FileRefused, refused
from slicing.limits import ASCII_LINE_BYTES_MAX, COORDINATE_MM_MAX, TRIANGLES_MAX
from slicing.textnum import NotANumber, Text, floats, separate

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Triangles = F64

_RECORD = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
# A corner with its numbers, the end of a facet, or a line whose rest is a name and may hold any word.
_LINES = re.compile(
    rb"^[ \t]*(?:vertex[ \t]+(\S+)[ \t]+(\S+)[ \t]+(\S+)[ \t]*$|endfacet\b|((?:end)?solid\b.*$))",
    re.IGNORECASE | re.MULTILINE,
)
_ENDS = re.compile(rb"^[ \t]*(endfacet|endsolid)\b", re.IGNORECASE | re.MULTILINE)
_FACET = (
    *(b"facet", b"normal", b"", b"", b"", b"outer", b"loop"),
    *(b"vertex", b"", b"", b"") * 3,
    *(b"endloop", b"endfacet"),
)  # the words of a facet; an empty one may be anything
_PIECE_BYTES = 512 * 1024
_TAIL_BYTES = 2 * ASCII_LINE_BYTES_MAX


def read_binary(data: bytes | memoryview) -> Triangles:
    """Binary STL. Raises FileRefused: truncated, empty, too complex, not finite."""
    size = len(data)
    if size < 84:
        raise _truncated(0, size)
    announced = int.from_bytes(data[80:84], "little")
    if not 0 <= size - (84 + 50 * announced) <= 2:
        raise _truncated(announced, size)
    if announced == 0:
        raise refused("mesh.empty")
    if announced > TRIANGLES_MAX:
        raise refused("mesh.too_complex", limit=TRIANGLES_MAX, what="triangles")
    corners = np.frombuffer(data, dtype=_RECORD, count=announced, offset=84)["corners"]
    return checked(corners.astype(np.float64))


def _truncated(announced: int, size: int) -> FileRefused:
    present = max(0, (size - 84) // 50)
    return refused(
        "mesh.truncated",
        seen=f"{announced} triangles announced, {present} present",
        announced=announced,
        expected_bytes=84 + 50 * announced,
        actual_bytes=size,
        present=present,
    )


def read_ascii(data: bytes) -> Triangles:
    """ASCII STL, any line ends. All `solid`s of a file are one model. Lines have a cap, every loop must have
    3 corners, and the file must reach its `endsolid`. Raises FileRefused `mesh.*`.
    """
    data = with_plain_lines(data, "ASCII STL")
    pieces: list[Triangles] = []
    count, open_corners = 0, b""
    for piece in _pieces(data):
        corners = None if open_corners else _plain_facets(piece)
        if corners is None:
            corners, open_corners = _any_facets(piece, open_corners)
        pieces.append(corners)
        count += len(corners)
        if count > 3 * TRIANGLES_MAX:
            raise refused("mesh.too_complex", limit=TRIANGLES_MAX, what="triangles")
    if not count:
        raise refused("mesh.empty")
    if open_corners or not _is_ended(data):
        raise _unreadable("it ends in the middle")
    return checked(np.concatenate(pieces).reshape(-1, 3, 3))


def _unreadable(why: str) -> FileRefused:
    return refused("mesh.unreadable", kind="ASCII STL", why=why)


def with_plain_lines(data: bytes, kind: str) -> bytes:
    """The same with every line end a newline. Raises FileRefused `mesh.unreadable` if a line is over the
    cap.
    """
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    start = 0
    while len(data) - start > ASCII_LINE_BYTES_MAX:
        # Any newline inside the window proves all lines before it short: this skips ahead, and stays linear.
        start = data.rfind(b"\n", start, start + ASCII_LINE_BYTES_MAX + 1) + 1
        if start == 0:
            raise refused("mesh.unreadable", kind=kind, why=f"a line is over {ASCII_LINE_BYTES_MAX} bytes")
    return data


def _pieces(data: bytes) -> Iterator[bytes]:
    """The file in pieces that a processor's cache holds, cut behind a facet or at least behind a line."""
    at = data.find(b"\n") + 1  # the name of the first solid may say anything
    while at < len(data):
        end = _after(data.find(b"endfacet", at + _PIECE_BYTES, at + 2 * _PIECE_BYTES), b"endfacet")
        end = end or _after(data.find(b"\n", at + _PIECE_BYTES), b"\n")
        end = end or _after(data.rfind(b"endfacet", at), b"endfacet") or len(data)
        yield data[at:end]
        at = end


def _after(place: int, word: bytes) -> int:
    return place + len(word) if place >= 0 else 0


def _plain_facets(piece: bytes) -> F64 | None:
    """Corners (n, 3) of a piece that holds whole facets and nothing else; None if it holds anything else."""
    text = Text(piece)
    if not text.only_printable():
        return None
    begin, end = text.words()
    if not len(begin) or len(begin) % len(_FACET):
        return None
    begin, end = begin.reshape(-1, len(_FACET)), end.reshape(-1, len(_FACET))
    for column, word in enumerate(_FACET):
        if word and not text.reads(begin[:, column], end[:, column], word):
            return None
    corners = _number_columns()
    return _floats(text, begin[:, corners].reshape(-1), end[:, corners].reshape(-1)).reshape(-1, 3)


def _number_columns() -> list[int]:
    return [at + i for at, word in enumerate(_FACET) if word == b"vertex" for i in (1, 2, 3)]


def _floats(text: Text, begin: I64, end: I64) -> F64:
    try:
        return floats(text, begin, end)
    except NotANumber as error:
        raise _unreadable(f"a corner is not a number: {error}") from error


def _any_facets(piece: bytes, open_corners: bytes) -> tuple[F64, bytes]:
    """Corners (n, 3) of a piece with anything in it, line by line, and the corners of a loop still open, as
    one letter each.
    """
    found = _LINES.findall(piece)
    if piece.lower().count(b"vertex") != sum(bool(x) for x, *_ in found) + sum(
        name.lower().count(b"vertex") for *_, name in found
    ):
        raise _unreadable("a corner does not have 3 numbers")
    shape = open_corners + b"".join(b"v" if x else b"" if name else b"E" for x, _, _, name in found)
    closed = shape.rfind(b"E") + 1
    if shape[:closed] != b"vvvE" * (closed // 4) or len(shape) - closed > 3:
        raise _unreadable("a facet does not have 3 corners")
    words = [word.decode("ascii", "replace") for x, y, z, _ in found if x for word in (x, y, z)]
    return _floats(*separate(words)).reshape(-1, 3), shape[closed:]


def _is_ended(data: bytes) -> bool:
    ends = _ENDS.findall(data[-_TAIL_BYTES:])
    return bool(ends) and ends[-1].lower() == b"endsolid"


def checked(triangles: Triangles) -> Triangles:
    """The same triangles if every coordinate is finite and within bounds; else `mesh.not_finite` with the
    first bad one.
    """
    if not -COORDINATE_MM_MAX <= triangles.min() <= triangles.max() <= COORDINATE_MM_MAX:  # NaN fails it too
        bad = ~(np.abs(triangles) <= COORDINATE_MM_MAX)
        first = int(np.flatnonzero(bad.reshape(len(triangles), -1).any(axis=1))[0])
        value = triangles[first][bad[first]].flat[0]
        raise refused("mesh.not_finite", triangle=first + 1, value=f"{value:g}")
    return triangles


def write_binary(triangles: Triangles, out: BinaryIO) -> None:
    """Write triangles (m, 3, 3) in mm as binary STL with zero normals: every slicer computes its own."""
    records = np.zeros(len(triangles), dtype=_RECORD)
    records["corners"] = triangles
    # Minus zero: readers descended from admesh take a file for ASCII unless a byte above 127 comes early, and
    # the corners of a plain box need not hold one. As a number it still says "compute the normal yourself".
    records["normal"] = -0.0
    out.write(b"etabli".ljust(80, b" "))
    out.write(len(triangles).to_bytes(4, "little"))
    out.write(records.tobytes())
