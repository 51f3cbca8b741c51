"""3MF as streaming XML: only the mesh is kept, every expansion is counted before it happens.

Reads units, objects, components (also in other parts, `p:path`), build items and transforms. Settings,
scripts, thumbnails and G-code in the archive are never opened. Refuses DOCTYPE, zip bombs, cycles and
instance bombs.
"""

from __future__ import annotations

import posixpath
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO
from xml.parsers import expat

import numpy as np
from numpy.typing import NDArray

from slicing.faults import refused
from slicing.limits import (
    ARCHIVE_BYTES_MAX,
    ARCHIVE_MEMBERS_MAX,
    ARCHIVE_RATIO_MAX,
    COMPONENT_DEPTH_MAX,
    INSTANCES_MAX,
    TRIANGLES_MAX,
    XML_DEPTH_MAX,
    XML_ELEMENTS_MAX,
)
from slicing.stl import checked

F64 = NDArray[np.float64]

MM_PER_UNIT = {
    "micron": 0.001,
    "millimeter": 1.0,
    "centimeter": 10.0,
    "inch": 25.4,
    "foot": 304.8,
    "meter": 1000.0,
}
_RATIO_FREE_BYTES = 1024 * 1024  # tiny members compress extremely well and cost nothing
_CHUNK = 64 * 1024
_SETTINGS_SUFFIXES = (".config", ".gcode", ".ini")
_IDENTITY: F64 = np.vstack([np.eye(3), np.zeros(3)])


@dataclass(frozen=True, kw_only=True)
class Model:
    """Triangles (m, 3, 3) in mm of everything the build lists, and what was left out."""

    triangles: F64
    settings_dropped: bool
    others_ignored: int


Key = tuple[str, str]  # (part, object id)


@dataclass(kw_only=True)
class _Object:
    vertices: list[float] = field(default_factory=list)
    triangles: list[int] = field(default_factory=list)
    components: list[tuple[Key, F64]] = field(default_factory=list)
    printable: bool = True


@dataclass(kw_only=True)
class _Part:
    """What one .model file says."""

    unit_mm: float = 1.0
    objects: dict[Key, _Object] = field(default_factory=dict)
    build: list[tuple[Key, F64]] = field(default_factory=list)


def read(file: BinaryIO) -> Model:
    """Read a 3MF. Raises FileRefused: `archive.*`, `mesh.cycle`, `mesh.index`, `mesh.empty`,
    `mesh.not_finite` …
    """
    try:
        with zipfile.ZipFile(file) as archive:
            return _read(archive)
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        UnicodeDecodeError,
        OSError,
    ) as error:
        raise refused("archive.unreadable", why=_short(error)) from error
    except RuntimeError as error:  # zipfile's word for "this member is encrypted"
        raise refused("archive.unreadable", why=_short(error)) from error


def _short(error: Exception) -> str:
    return str(error)[:120].replace("\n", " ") or type(error).__name__


def _read(archive: zipfile.ZipFile) -> Model:
    names = _checked_directory(archive)
    budget = _Budget()
    root = _root_part(archive, names, budget)
    objects, main = _all_parts(archive, names, root, budget)
    pieces = [piece for key, at in main.build for piece in _instances(objects, key, at, budget, ())]
    others = sum(not o.triangles and not o.components for o in objects.values())
    if not pieces:
        raise refused("mesh.empty")
    return Model(
        triangles=checked(np.concatenate(pieces)),
        settings_dropped=any(name.lower().endswith(_SETTINGS_SUFFIXES) for name in names),
        others_ignored=others,
    )


def _checked_directory(archive: zipfile.ZipFile) -> set[str]:
    """The central directory first: counts, sizes and ratio, before a byte is inflated."""
    infos = archive.infolist()
    if len(infos) > ARCHIVE_MEMBERS_MAX:
        raise refused("archive.members", members=len(infos), limit=ARCHIVE_MEMBERS_MAX)
    unpacked, packed = sum(i.file_size for i in infos), sum(i.compress_size for i in infos)
    if unpacked > _RATIO_FREE_BYTES and unpacked > ARCHIVE_RATIO_MAX * max(packed, 1):
        raise refused("archive.ratio", packed=packed, unpacked=unpacked, limit=ARCHIVE_RATIO_MAX)
    if unpacked > ARCHIVE_BYTES_MAX:
        raise refused("archive.size", unpacked=unpacked, limit=ARCHIVE_BYTES_MAX)
    names = {info.filename for info in infos}
    if len(names) != len(infos):
        raise refused("archive.lies", why="two entries have one name")
    for info in infos:
        _check_member(info)
    _check_overlap(infos)
    return names


def _check_member(info: zipfile.ZipInfo) -> None:
    parts = info.filename.replace("\\", "/").split("/")
    if info.filename.startswith("/") or ".." in parts or "\0" in info.filename:
        raise refused("archive.lies", why="an entry's name leads out of the archive")
    if (info.external_attr >> 16) & 0o170000 == 0o120000:
        raise refused("archive.lies", why="an entry is a symbolic link")
    if info.file_size > _RATIO_FREE_BYTES and info.file_size > ARCHIVE_RATIO_MAX * max(info.compress_size, 1):
        raise refused(
            "archive.ratio", packed=info.compress_size, unpacked=info.file_size, limit=ARCHIVE_RATIO_MAX
        )


def _check_overlap(infos: list[zipfile.ZipInfo]) -> None:
    end = 0
    for info in sorted(infos, key=lambda i: i.header_offset):
        if info.header_offset < end:
            raise refused("archive.lies", why="entries overlap")
        end = (
            info.header_offset
            + 30
            + len(info.filename.encode("utf-8", "surrogateescape"))
            + info.compress_size
        )


@dataclass(kw_only=True)
class _Budget:
    """What all parts together may still use: counted while reading, because directories lie."""

    bytes: int = ARCHIVE_BYTES_MAX
    elements: int = XML_ELEMENTS_MAX
    instances: int = INSTANCES_MAX
    triangles: int = TRIANGLES_MAX

    def take_bytes(self, count: int) -> None:
        self.bytes -= count
        if self.bytes < 0:
            raise refused("archive.size", unpacked=ARCHIVE_BYTES_MAX - self.bytes, limit=ARCHIVE_BYTES_MAX)

    def take_element(self) -> None:
        self.elements -= 1
        if self.elements < 0:
            raise refused("mesh.too_complex", limit=XML_ELEMENTS_MAX, what="XML elements")

    def take_instance(self) -> None:
        self.instances -= 1
        if self.instances < 0:
            raise refused("mesh.too_complex", limit=INSTANCES_MAX, what="instances")

    def take_triangles(self, count: int) -> None:
        self.triangles -= count
        if self.triangles < 0:
            raise refused("mesh.too_complex", limit=TRIANGLES_MAX, what="triangles")


def _root_part(archive: zipfile.ZipFile, names: set[str], budget: _Budget) -> str:
    """The start part named by the package's relationships; most writers use 3D/3dmodel.model."""
    found: list[str] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        if name.rpartition("|")[2] == "Relationship" and attributes.get("Type", "").endswith("/3dmodel"):
            found.append(_part_name(attributes.get("Target", "")))

    if "_rels/.rels" in names:
        _stream(archive, "_rels/.rels", budget, start, lambda name: None)
    for name in [*found, "3D/3dmodel.model"]:
        if name in names:
            return name
    raise refused("archive.lies", why="it holds no 3D model part")


def _part_name(target: str, base: str = "") -> str:
    return posixpath.normpath(posixpath.join("/" + base, target)).lstrip("/")


def _all_parts(
    archive: zipfile.ZipFile, names: set[str], root: str, budget: _Budget
) -> tuple[dict[Key, _Object], _Part]:
    main = _parse(archive, root, budget)
    objects, read_parts = dict(main.objects), {root}
    waiting = _outside(main, read_parts)
    while waiting:
        name = waiting.pop()
        if name in read_parts:
            continue
        if name not in names:
            raise refused("archive.lies", why="a part it refers to is missing")
        read_parts.add(name)
        part = _parse(archive, name, budget)
        # Another part may speak another unit; lengths are brought to mm part by part.
        objects |= part.objects
        waiting |= _outside(part, read_parts)
    return objects, main


def _outside(part: _Part, known: set[str]) -> set[str]:
    keys = [key for key, _ in part.build]
    keys += [key for o in part.objects.values() for key, _ in o.components]
    return {key[0] for key in keys} - known


def _stream(archive: zipfile.ZipFile, name: str, budget: _Budget, start: Any, end: Any) -> None:
    """Feed one member to expat in chunks; no DTD, bounded bytes, elements and depth."""
    parser = expat.ParserCreate(namespace_separator="|")
    parser.buffer_text = False
    depth = 0

    def doctype(*_: object) -> None:
        raise refused("archive.doctype")

    def opened(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > XML_DEPTH_MAX:
            raise refused("mesh.unreadable", kind="3MF", why=f"XML deeper than {XML_DEPTH_MAX} levels")
        budget.take_element()
        start(tag, attributes)

    def closed(tag: str) -> None:
        nonlocal depth
        depth -= 1
        end(tag)

    parser.StartDoctypeDeclHandler = doctype
    parser.StartElementHandler = opened
    parser.EndElementHandler = closed
    try:
        with archive.open(name) as member:
            while chunk := member.read(_CHUNK):
                budget.take_bytes(len(chunk))
                parser.Parse(chunk, False)
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise refused("mesh.unreadable", kind="3MF", why=_short(error)) from error


def _parse(archive: zipfile.ZipFile, name: str, budget: _Budget) -> _Part:
    """One .model part. The hot path, a vertex or a triangle, is first in the dispatch."""
    part = _Part()
    current = _Object()

    def start(tag: str, a: dict[str, str]) -> None:
        nonlocal current
        local = tag.rpartition("|")[2]
        if local == "vertex":
            current.vertices += (float(a["x"]), float(a["y"]), float(a["z"]))
        elif local == "triangle":
            current.triangles += (int(a["v1"]), int(a["v2"]), int(a["v3"]))
        elif local == "object":
            current = _Object(printable=a.get("type", "model") in ("model", "solidsupport"))
            part.objects[name, a["id"]] = current
        elif local == "component":
            current.components.append((_target(a, name), _transform(a.get("transform"))))
        elif local == "item" and a.get("printable", "1") != "0":
            part.build.append((_target(a, name), _transform(a.get("transform"))))
        elif local == "model":
            part.unit_mm = MM_PER_UNIT[a.get("unit", "millimeter")]

    try:
        _stream(archive, name, budget, start, lambda tag: None)
    except KeyError as error:
        raise refused(
            "mesh.unreadable", kind="3MF", why=f"an attribute or unit is wrong: {_short(error)}"
        ) from error
    except ValueError as error:
        raise refused("mesh.unreadable", kind="3MF", why=f"not a number: {_short(error)}") from error
    _to_millimetres(part)
    return part


def _to_millimetres(part: _Part) -> None:
    if part.unit_mm == 1.0:
        return
    for placed in (part.build, *(o.components for o in part.objects.values())):
        for _, transform in placed:
            transform[3] *= part.unit_mm
    for thing in part.objects.values():
        thing.vertices = [v * part.unit_mm for v in thing.vertices]


def _target(attributes: dict[str, str], here: str) -> Key:
    path = next((v for k, v in attributes.items() if k.endswith("|path")), None)
    return (_part_name(path) if path else here), attributes["objectid"]


def _transform(text: str | None) -> F64:
    if text is None:
        return _IDENTITY.copy()
    numbers = [float(word) for word in text.split()]
    if len(numbers) != 12:
        raise refused("mesh.unreadable", kind="3MF", why="a transform does not have 12 numbers")
    return np.array(numbers).reshape(4, 3)


def _instances(
    objects: dict[Key, _Object], key: Key, at: F64, budget: _Budget, path: tuple[Key, ...]
) -> Iterator[F64]:
    """Triangles of an object and of all it is made of, placed. Instances are counted before they are made."""
    if key in path or len(path) >= COMPONENT_DEPTH_MAX:
        raise refused("mesh.cycle", object=key[1][:40], limit=COMPONENT_DEPTH_MAX)
    budget.take_instance()
    thing = objects.get(key)
    if thing is None:
        raise refused("archive.lies", why="it builds an object that is not there")
    if thing.triangles and thing.printable:
        budget.take_triangles(len(thing.triangles) // 3)
        yield _placed(thing, at)
    for inner, transform in thing.components:
        yield from _instances(objects, inner, _after(transform, at), budget, (*path, key))


def _after(inner: F64, outer: F64) -> F64:
    """Row vectors: first `inner`, then `outer`."""
    with np.errstate(all="ignore"):
        return np.vstack([inner[:3] @ outer[:3], inner[3] @ outer[:3] + outer[3]])


def _placed(thing: _Object, at: F64) -> F64:
    vertices = np.array(thing.vertices, dtype=np.float64).reshape(-1, 3)
    try:
        faces = np.array(thing.triangles, dtype=np.int64).reshape(-1, 3)
    except OverflowError as error:
        raise refused("mesh.unreadable", kind="3MF", why="a corner number is absurd") from error
    outside = (faces < 0) | (faces >= len(vertices))
    if outside.any():
        row = int(np.flatnonzero(outside.any(axis=1))[0])
        wrong = int(faces[row][outside[row]][0])
        raise refused("mesh.index", triangle=row + 1, index=wrong, count=len(vertices))
    with np.errstate(all="ignore"):
        corners: F64 = (vertices @ at[:3] + at[3])[faces]
        if np.linalg.det(at[:3]) < 0:  # a mirror turns the surface inside out
            corners = corners[:, ::-1]
    return corners
