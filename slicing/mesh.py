"""Read a member's mesh and say what it is. Runs only inside a limited child process.

Owns: choosing the reader by content, and MeshAnalysis. Knows nothing of profiles, time or grams.
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicing import raster, sniff, stl, threemf
from slicing.faults import refused
from slicing.limits import FILE_BYTES_MAX, PART_MM_MAX
from slicing.messages import warning
from slicing.placement import AS_DRAWN, Placement
from slicing.results import MeshAnalysis, MeshWarning
from slicing.runs import joined

F64 = NDArray[np.float64]

DRAWN = frozenset({"svg", "dxf"})
TINY_MM = 2.0
HOLES_MAX = 20
INCH_MM, METRE_MM = 25.4, 1000.0
FLAT_MM = 1e-3
WELD_MM = 1e-5
NO_AREA = 1e-12  # of the square of the largest side: below it, only rounding is left
BODIES_TRIANGLES_MAX = 500_000
SOUP_OPEN_SHARE = 0.5  # open edges per triangle side: beyond it no slicer finds a body


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A mesh ready to measure: triangles (m, 3, 3) in mm, wound outwards as a whole."""

    analysis: MeshAnalysis
    triangles: F64


def load(fd: int, filename: str, placement: Placement = AS_DRAWN) -> Loaded:
    """Read the file behind a descriptor, as it will lie on the bed. Raises FileRefused; `filename` is a hint,
    never opened.
    """
    size = os.fstat(fd).st_size
    if size == 0:
        raise refused("file.empty")
    if size > FILE_BYTES_MAX:
        raise refused("file.too_large", bytes=size, limit=FILE_BYTES_MAX)
    kind = sniff.kind_of(os.pread(fd, sniff.HEAD_BYTES, 0), size, filename)
    if kind in DRAWN:
        raise refused("file.type_mismatch", found=kind.upper())
    triangles, notes = _read(kind, fd, size)
    return analyse(placement.of(triangles), kind.split("-")[0], size, notes)


def _read(kind: str, fd: int, size: int) -> tuple[F64, list[MeshWarning]]:
    if kind == "3mf":
        with open(fd, "rb", closefd=False) as file:
            file.seek(0)
            model = threemf.read(file)
        notes = [warning("mesh.settings_dropped", "note")] if model.settings_dropped else []
        if model.others_ignored:
            notes.append(warning("mesh.other_parts_ignored", "note", count=model.others_ignored))
        if model.not_printable:
            notes.append(warning("mesh.not_printable", "note", count=model.not_printable))
        return model.triangles, notes
    with open(fd, "rb", closefd=False) as file:
        file.seek(0)
        data = file.read(size)  # not mapped: a file cut short under a mapping kills its reader
    if kind == "stl-binary":
        return stl.read_binary(data), []
    if kind == "stl-ascii":
        return stl.read_ascii(data), []
    from slicing import obj

    return obj.read(data), []


def analyse(triangles: F64, kind: str, size_bytes: int, notes: list[MeshWarning] | None = None) -> Loaded:
    """Measure triangles in mm; turns an inside-out mesh round. Raises FileRefused for what cannot be a
    print.
    """
    if not len(triangles):
        raise refused("mesh.empty")
    low, high = raster.bounds(triangles)
    size = high - low
    if size.max() > PART_MM_MAX:
        raise refused("mesh.too_large", size=_mm(float(size.max())), limit=int(PART_MM_MAX))
    if size.min() < FLAT_MM:
        raise refused("mesh.flat", **_sizes(size))
    warnings = list(notes or [])
    volume, area = _volume_and_area(triangles, low)
    if area <= NO_AREA * float(size.max()) ** 2:
        raise refused("mesh.no_surface", triangles=len(triangles))
    if volume < 0:
        triangles, volume = np.ascontiguousarray(triangles[:, ::-1]), -volume
        warnings.append(warning("mesh.inverted", "note"))
    corners = _corner_keys(triangles)
    open_edges = _open_edges(corners)
    if open_edges > SOUP_OPEN_SHARE * 3 * len(triangles):
        raise refused("mesh.soup", triangles=len(triangles), open_edges=open_edges)
    if open_edges:
        warnings.append(
            warning("mesh.not_closed", "warning", place=holes(triangles, corners), open_edges=open_edges)
        )
    warnings += _size_warnings(size)
    analysis = MeshAnalysis(
        kind=kind,
        bytes=size_bytes,
        triangles=len(triangles),
        size_mm=(round(float(size[0]), 3), round(float(size[1]), 3), round(float(size[2]), 3)),
        volume_mm3=round(volume, 6),
        area_mm2=round(area, 6),
        watertight=open_edges == 0,
        open_edges=open_edges,
        bodies=_bodies(corners) if len(triangles) <= BODIES_TRIANGLES_MAX else None,
        warnings=tuple(warnings),
    )
    return Loaded(analysis=analysis, triangles=triangles)


def _volume_and_area(triangles: F64, low: F64) -> tuple[float, float]:
    """Signed volume (divergence theorem about a corner of the box) and surface area, column by column for
    speed.
    """
    ax, ay, az = (triangles[:, 0, i] - low[i] for i in range(3))
    ux, uy, uz = (triangles[:, 1, i] - triangles[:, 0, i] for i in range(3))
    vx, vy, vz = (triangles[:, 2, i] - triangles[:, 0, i] for i in range(3))
    nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
    volume = float((ax * nx + ay * ny + az * nz).sum()) / 6
    return volume, float(np.sqrt(nx * nx + ny * ny + nz * nz).sum()) / 2


def _corner_keys(triangles: F64) -> NDArray[np.uint64]:
    """A 64-bit hash of each corner's position on a 10 nm grid, shape (m, 3): equal corners, equal keys."""
    bits = np.rint(triangles / WELD_MM).astype(np.int64).view(np.uint64)
    key = bits[:, :, 0] * np.uint64(0x9E3779B97F4A7C15)
    key ^= (bits[:, :, 1] + np.uint64(0x7F4A7C15)) * np.uint64(0xC2B2AE3D27D4EB4F)
    key ^= (bits[:, :, 2] + np.uint64(0x165667B1)) * np.uint64(0x27D4EB2F165667C5)
    key ^= key >> np.uint64(29)
    result: NDArray[np.uint64] = key * np.uint64(0xBF58476D1CE4E5B9)
    return result


def _open_edges(corners: NDArray[np.uint64]) -> int:
    """How many edges have an odd number of triangles; edges of collapsed triangles do not count."""
    a, b = corners.reshape(-1), np.roll(corners, -1, axis=1).reshape(-1)
    real = a != b
    low, high = np.minimum(a, b)[real], np.maximum(a, b)[real]
    edge = np.sort(low * np.uint64(0x9E3779B97F4A7C15) ^ (high >> np.uint64(7)) ^ high)
    if not len(edge):
        return 0
    starts = np.flatnonzero(np.concatenate(([True], edge[1:] != edge[:-1])))
    lengths = np.diff(starts, append=len(edge))
    return int(np.count_nonzero(lengths & 1))


def holes(triangles: F64, corners: NDArray[np.uint64]) -> tuple[tuple[float, ...], ...]:
    """Boxes (low, high) in mm around the open edges that hang together, the largest first; at most HOLES_MAX."""
    a, b = corners, np.roll(corners, -1, axis=1)
    edge = (np.minimum(a, b) * np.uint64(0x9E3779B97F4A7C15) ^ np.maximum(a, b)).reshape(-1)
    _, which, count = np.unique(edge, return_inverse=True, return_counts=True)
    odd = np.flatnonzero((count[which] % 2 == 1) & (a != b).reshape(-1))
    at, side = np.divmod(odd, 3)
    _, ends = np.unique(np.stack((a[at, side], b[at, side])), return_inverse=True)
    one, two = ends.reshape(2, -1)
    group = joined(int(ends.max(initial=-1)) + 1, one, two)[one]
    points = np.stack((triangles[at, side], triangles[at, (side + 1) % 3]))
    names, group = np.unique(group, return_inverse=True)
    low, high = np.full((len(names), 3), np.inf), np.full((len(names), 3), -np.inf)
    np.minimum.at(low, group, points.min(axis=0))
    np.maximum.at(high, group, points.max(axis=0))
    order = np.argsort(-np.linalg.norm(high - low, axis=1))[:HOLES_MAX]
    boxes = np.concatenate((low, high), axis=1)[order]
    return tuple(tuple(round(float(v), 2) for v in box) for box in boxes)


def _bodies(corners: NDArray[np.uint64]) -> int:
    """Connected shells by shared corners: in each round every label but the lowest around it is hung on a
    lower one, until no side of a triangle joins two labels.
    """
    faces = _numbered(corners).reshape(-1, 3)
    label = np.arange(int(faces.max()) + 1, dtype=np.int32)
    a, b = faces[:, :2].reshape(-1), faces[:, 1:].reshape(-1)
    while len(a):
        label[np.maximum(a, b)] = np.minimum(a, b)  # of several, any will do: the others come next round
        while not np.array_equal(up := label[label], label):
            label = up
        a, b = label[a], label[b]
        apart = a != b
        a, b = a[apart], b[apart]
    return int(np.count_nonzero(label == np.arange(len(label))))


def _numbered(corners: NDArray[np.uint64]) -> NDArray[np.int32]:
    """Small numbers for the keys, equal for equal keys: by a table of their first bits, without sorting."""
    keys = corners.reshape(-1)
    bits = max(8, len(keys).bit_length())
    place = (keys >> np.uint64(64 - bits)).astype(np.int64)
    table = np.zeros(1 << bits, dtype=np.uint64)
    table[place] = keys
    lost = np.flatnonzero(table[place] != keys)  # whose place another key holds
    if len(lost):
        place[lost] = len(table) + np.unique(keys[lost], return_inverse=True)[1]
    used = np.zeros(int(place.max()) + 1, dtype=np.bool_)
    used[place] = True
    number: NDArray[np.int32] = (np.cumsum(used, dtype=np.int32) - 1)[place]
    return number


def _size_warnings(size: F64) -> list[MeshWarning]:
    largest = float(size.max())
    if largest < 0.5:
        return [_units(size, "metre")]
    if largest < 10:
        return [_units(size, "inch")]
    return [warning("mesh.tiny", "warning", **_sizes(size))] if largest < TINY_MM else []


_UNITS = {"inch": (INCH_MM, "inches", "pouces"), "metre": (METRE_MM, "metres", "mètres")}


def _units(size: F64, unit: str) -> MeshWarning:
    """A part this small was probably drawn in another unit: only its maker knows."""
    factor, english, french = _UNITS[unit]
    figures = _sizes(size) | {f"b{axis}": value for axis, value in _sizes(size * factor).items()}
    figures |= {"unit": unit, "unit_name": (english, french), "scale_percent": round(100 * factor)}
    return warning("mesh.units?", "question", **figures)


def _sizes(size: F64) -> dict[str, Any]:
    return dict(zip("xyz", (_mm(float(v)) for v in size), strict=True))


def _mm(value: float) -> str:
    return f"{value:.3g}" if value < 1 else f"{value:.1f}"


def as_stl(triangles: F64, *, fd: int) -> None:
    """Write the mesh as binary STL with its corner at the origin, to an open descriptor."""
    out = io.BytesIO()
    stl.write_binary(triangles - raster.bounds(triangles)[0], out)
    with open(fd, "wb", closefd=False) as file:
        file.write(out.getbuffer())
