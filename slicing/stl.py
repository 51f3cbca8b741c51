"""STL, binary and ASCII, strictly: the size rule decides, nothing is dropped in silence.

Triangles come out as float64 of shape (m, 3, 3) in the file's own unit. The writer makes the only STL a
slicer of ours ever sees.
"""

from __future__ import annotations

import re
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from slicing.faults import refused
from slicing.limits import ASCII_LINE_BYTES_MAX, COORDINATE_MM_MAX, TRIANGLES_MAX

Triangles = NDArray[np.float64]

_RECORD = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
_VERTEX = re.compile(rb"^[ \t]*vertex[ \t]+(\S+)[ \t]+(\S+)[ \t]+(\S+)[ \t]*$", re.IGNORECASE | re.MULTILINE)


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


def _truncated(announced: int, size: int) -> Exception:
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
    """ASCII STL, any line ends. All `solid`s of a file are one model. Lines have a cap, loops must have 3
    corners.
    """
    data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    _cap_lines(data)
    found = _VERTEX.findall(data)
    if not found:
        raise refused("mesh.empty")
    if len(found) > 3 * TRIANGLES_MAX:
        raise refused("mesh.too_complex", limit=TRIANGLES_MAX, what="triangles")
    facets = len(re.findall(rb"(?i)\bendfacet\b", data))
    if len(found) != 3 * facets or data.lower().count(b"vertex") != len(found):
        present = len(found) // 3
        raise refused(
            "mesh.unreadable", kind="ASCII STL", why=f"{facets} facets end, {present} have 3 corners"
        )
    try:
        flat = np.array(found, dtype="S32").astype(np.float64)
    except ValueError as error:
        raise refused("mesh.unreadable", kind="ASCII STL", why="a corner is not a number") from error
    return checked(flat.reshape(-1, 3, 3))


def _cap_lines(data: bytes) -> None:
    start = 0
    while start < len(data):
        end = data.find(b"\n", start, start + ASCII_LINE_BYTES_MAX + 1)
        if end < 0:
            if len(data) - start > ASCII_LINE_BYTES_MAX:
                raise refused(
                    "mesh.unreadable", kind="ASCII STL", why=f"a line is over {ASCII_LINE_BYTES_MAX} bytes"
                )
            return
        # Skipping ahead keeps this linear and cheap: any newline inside the window proves all before it
        # short.
        start = data.rfind(b"\n", start, start + ASCII_LINE_BYTES_MAX + 1) + 1


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
