"""OBJ through trimesh, behind checks of our own: face size, counts and line length, and never a material
file.

trimesh is imported only here and only in the child that needs it: it is slow to import and big.
"""

from __future__ import annotations

import io
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicing.faults import refused
from slicing.limits import ASCII_LINE_BYTES_MAX, OBJ_FACE_CORNERS_MAX, TRIANGLES_MAX
from slicing.stl import checked

_GEOMETRY = (b"v ", b"v\t", b"f ", b"f\t")


def read(data: bytes) -> NDArray[np.float64]:
    """Triangles (m, 3, 3). Raises FileRefused `mesh.empty`, `mesh.index`, `mesh.too_complex`,
    `mesh.unreadable`.
    """
    plain = _only_geometry(data.replace(b"\\\n", b" ").replace(b"\\\r\n", b" "))
    import trimesh

    try:
        loaded: Any = trimesh.load_mesh(
            io.BytesIO(plain), file_type="obj", process=False, maintain_order=True
        )
        vertices, faces = (
            np.asarray(loaded.vertices, dtype=np.float64),
            np.asarray(loaded.faces, dtype=np.int64),
        )
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise refused("mesh.unreadable", kind="OBJ", why=str(error)[:100].replace("\n", " ")) from error
    if not len(faces):
        raise refused("mesh.empty")
    return checked(vertices[faces])


def _only_geometry(data: bytes) -> bytes:
    """Keep `v x y z` and `f` lines reduced to corner numbers; check them before a library sees them."""
    kept: list[bytes] = []
    vertices = triangles = 0
    for line in data.splitlines():
        if len(line) > ASCII_LINE_BYTES_MAX:
            raise refused("mesh.unreadable", kind="OBJ", why=f"a line is over {ASCII_LINE_BYTES_MAX} bytes")
        line = line.strip()
        if not line.startswith(_GEOMETRY):
            continue
        words = line.split()
        if words[0] == b"v":
            vertices += 1
            kept.append(_vertex(words))
        else:
            triangles += max(0, len(words) - 3)
            kept.append(_face(words, vertices, triangles))
        if triangles > TRIANGLES_MAX or vertices > 3 * TRIANGLES_MAX:
            raise refused("mesh.too_complex", limit=TRIANGLES_MAX, what="triangles")
    if not triangles:
        raise refused("mesh.empty")
    return b"\n".join(kept)


def _vertex(words: list[bytes]) -> bytes:
    try:
        return (
            b"v " + b" ".join(repr(float(word)).encode() for word in words[1:4])
            if len(words) >= 4
            else _short()
        )
    except ValueError as error:
        raise refused("mesh.unreadable", kind="OBJ", why="a corner is not a number") from error


def _short() -> bytes:
    raise refused("mesh.unreadable", kind="OBJ", why="a corner has fewer than 3 numbers")


def _face(words: list[bytes], vertices: int, triangle: int) -> bytes:
    if not 4 <= len(words) <= OBJ_FACE_CORNERS_MAX + 1:
        raise refused("mesh.unreadable", kind="OBJ", why=f"a face has {len(words) - 1} corners")
    corners: list[int] = []
    for word in words[1:]:
        try:
            index = int(word.split(b"/", 1)[0])
        except ValueError as error:
            raise refused("mesh.unreadable", kind="OBJ", why="a face corner is not a number") from error
        at = index if index > 0 else vertices + 1 + index
        if not 1 <= at <= vertices:
            raise refused("mesh.index", triangle=triangle, index=index, count=vertices)
        corners.append(at)
    # A fan of triangles: trimesh drops polygons of more than four corners without a word.
    fans = (f"f {corners[0]} {b} {c}" for b, c in pairwise(corners[1:]))
    return "\n".join(fans).encode()
