"""OBJ: corners and faces, nothing else. Polygons are cut into fans; no material file is ever looked for.

Triangles come out as float64 of shape (m, 3, 3) in the file's own unit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from slicing.faults import FileRefused, refused
from slicing.limits import OBJ_FACE_CORNERS_MAX, TRIANGLES_MAX
from slicing.stl import checked, with_plain_lines
from slicing.textnum import NotANumber, Text, floats, integers

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

_PIECE_BYTES = 512 * 1024
_INDENTED = re.compile(rb"\n[ \t\v\f]+")
_REMARK = re.compile(rb"[ \t]#[^\n]*")


def read(data: bytes) -> F64:
    """Triangles (m, 3, 3). Raises FileRefused `mesh.empty`, `mesh.index`, `mesh.too_complex`,
    `mesh.unreadable`, `mesh.not_finite`.
    """
    if b"\\" in data:  # a line goes on in the next one
        data = data.replace(b"\\\r\n", b" ").replace(b"\\\n", b" ")
    data = with_plain_lines(data, "OBJ")
    model = _Model()
    for piece in _pieces(data):
        try:
            model.take(piece)
        except NotANumber as error:
            raise _unreadable(f"not a number: {error}") from error
    return model.triangles()


def _unreadable(why: str) -> FileRefused:
    return refused("mesh.unreadable", kind="OBJ", why=why)


def _pieces(data: bytes) -> Iterator[bytes]:
    """Whole lines, as many as a processor's cache holds, without indentation or remarks behind a line."""
    at = 0
    while at < len(data):
        end = data.find(b"\n", at + _PIECE_BYTES) + 1 or len(data)
        piece = data[at:end].lstrip(b" \t\v\f")
        if any(mark in piece for mark in (b"\n ", b"\n\t", b"\n\v", b"\n\f")):
            piece = _INDENTED.sub(b"\n", piece)
        if b" #" in piece or b"\t#" in piece:
            piece = _REMARK.sub(b"", piece)
        yield piece
        at = end


@dataclass(kw_only=True)
class _Model:
    """What was read so far. `faces` holds (n, 3) corner numbers from 0, as yet unchecked upwards."""

    vertices: list[F64] = field(default_factory=list)
    faces: list[I64] = field(default_factory=list)
    vertex_count: int = 0
    face_count: int = 0

    def take(self, piece: bytes) -> None:
        """Read one piece of whole, plain lines. Raises NotANumber and FileRefused."""
        text = Text(piece)
        begin, end = text.words()
        first = np.flatnonzero(text.bytes[begin - 1] == ord("\n"))  # of each line that holds anything
        count = np.diff(first, append=len(begin))
        letter = np.where(end[first] - begin[first] == 1, text.bytes[begin[first]], 0)
        is_vertex, is_face = letter == ord("v"), letter == ord("f")
        self._take_faces(text, begin, end, first[is_face], count[is_face], np.cumsum(is_vertex)[is_face])
        self._take_vertices(text, begin, end, first[is_vertex], count[is_vertex])
        if self.face_count > TRIANGLES_MAX or self.vertex_count > 3 * TRIANGLES_MAX:
            raise refused("mesh.too_complex", limit=TRIANGLES_MAX, what="triangles")

    def _take_vertices(self, text: Text, begin: I64, end: I64, first: I64, count: I64) -> None:
        if count.min(initial=4) < 4:
            raise _unreadable("a corner has fewer than 3 numbers")
        words = (first[:, None] + np.arange(1, 4)).reshape(-1)
        self.vertices.append(floats(text, begin[words], end[words]).reshape(-1, 3))
        self.vertex_count += len(first)

    def _take_faces(self, text: Text, begin: I64, end: I64, first: I64, count: I64, before: I64) -> None:
        """`before` counts the corners of this piece that stand above each face."""
        corners = count - 1
        wrong = (corners < 3) | (corners > OBJ_FACE_CORNERS_MAX)
        if wrong.any():
            raise _unreadable(f"a face has {corners[wrong][0]} corners")
        words = np.repeat(first + 1, corners) + _ramp(corners)
        index = integers(text, begin[words], end[words], until_slash=True)
        known = self.vertex_count + np.repeat(before, corners)
        at = np.where(index > 0, index - 1, np.where(index < 0, known + index, -1))
        fans = corners - 2
        root = np.repeat(np.cumsum(corners) - corners, fans)
        last = root + 2 + _ramp(fans)
        if at.min(initial=0) < 0:
            place = int(np.flatnonzero(at < 0)[0])
            triangle = self.face_count + int(np.searchsorted(last, place)) + 1
            raise refused("mesh.index", triangle=triangle, index=int(index[place]), count=int(known[place]))
        self.faces.append(at[np.stack((root, last - 1, last), axis=1)])
        self.face_count += len(root)

    def triangles(self) -> F64:
        if not self.face_count:
            raise refused("mesh.empty")
        faces = np.concatenate(self.faces)
        if faces.max() >= self.vertex_count:
            row = int(np.flatnonzero((faces >= self.vertex_count).any(axis=1))[0])
            index = int(faces[row].max()) + 1
            raise refused("mesh.index", triangle=row + 1, index=index, count=self.vertex_count)
        return checked(np.concatenate(self.vertices)[faces])


def _ramp(lengths: I64) -> I64:
    """0, 1 … length - 1 for each of them, one behind the other."""
    ends = np.cumsum(lengths)
    ramp: I64 = np.arange(int(lengths.sum())) - np.repeat(ends - lengths, lengths)
    return ramp
