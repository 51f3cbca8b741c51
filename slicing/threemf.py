"""3MF: the archive is judged before a byte of it is unpacked, only meshes are read, every copy is counted
before it is made.

Units, objects, components (also in other parts, `p:path`), build items and transforms. Settings, scripts,
thumbnails and G-code in the archive are never opened. Refuses zip bombs, cycles and instance bombs.
"""

from __future__ import annotations

import posixpath
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from slicing.faults import refused
from slicing.limits import (
    ARCHIVE_BYTES_MAX,
    ARCHIVE_DIRECTORY_BYTES_MAX,
    ARCHIVE_MEMBERS_MAX,
    ARCHIVE_RATIO_MAX,
    COMPONENT_DEPTH_MAX,
)
from slicing.modelxml import Attributes, Budget, Document, Key, Object, Part, PartReader, Placed, unreadable
from slicing.stl import checked
from slicing.textnum import NotANumber, all_floats

F64 = NDArray[np.float64]

_RATIO_FREE_BYTES = 1024 * 1024  # tiny members compress extremely well and cost nothing
_CHUNK = 512 * 1024
_SETTINGS_SUFFIXES = (".config", ".gcode", ".ini")
_ROOT = "3D/3dmodel.model"
_ROOTS_MAX = 8  # how many start parts a relationship file may name before we stop looking
_IDENTITY: F64 = np.vstack([np.eye(3), np.zeros(3)])


@dataclass(frozen=True, kw_only=True)
class Model:
    """Triangles (m, 3, 3) in mm of everything the build lists, and what was left out: settings, things that
    are no mesh or no body, and build items marked as not to be printed.
    """

    triangles: F64
    settings_dropped: bool
    others_ignored: int
    not_printable: int


def read(file: BinaryIO) -> Model:
    """Read a 3MF. Raises FileRefused: `archive.*`, `mesh.cycle`, `mesh.index`, `mesh.empty`,
    `mesh.not_finite` …
    """
    try:
        _check_directory_size(file)
        with zipfile.ZipFile(file) as archive:
            return _read(archive)
    except (
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
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


def _check_directory_size(file: BinaryIO) -> None:
    """What the archive's last record says of its directory, before a million entries become objects."""
    size = file.seek(0, 2)
    file.seek(max(0, size - 22 - 65_535 - 76))
    tail = file.read()
    file.seek(0)
    at = len(tail) - 22
    if at < 0 or not (tail[at : at + 4] == b"PK\5\6" and tail.endswith(b"\0\0")):
        at = tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) - at < 22:
        raise refused("archive.unreadable", why="its directory is missing")
    members, directory_bytes = struct.unpack_from("<HI", tail, at + 10)
    if at >= 76 and tail[at - 20 : at - 16] == b"PK\6\7":  # the large form, which then counts
        members, directory_bytes = struct.unpack_from("<QQ", tail, at - 76 + 32)
    if members > ARCHIVE_MEMBERS_MAX:
        raise refused("archive.members", members=members, limit=ARCHIVE_MEMBERS_MAX)
    if directory_bytes > ARCHIVE_DIRECTORY_BYTES_MAX:
        raise refused("archive.lies", why="its directory is larger than its entries need")


def _read(archive: zipfile.ZipFile) -> Model:
    names = _checked_directory(archive)
    budget = Budget()
    root = _root_part(archive, names, budget)
    objects, main, beams = _all_parts(archive, names, root, budget)
    build = _Build(objects=objects, budget=budget)
    pieces = [piece for item in main.build for piece in build.pieces(item, main.unit_mm, _IDENTITY, ())]
    if not pieces:
        raise refused("mesh.empty")
    no_mesh = sum(not o.triangles and not o.components for o in objects.values())
    return Model(
        triangles=checked(np.concatenate(pieces) if len(pieces) > 1 else pieces[0]),
        settings_dropped=any(name.lower().endswith(_SETTINGS_SUFFIXES) for name in names.values()),
        others_ignored=no_mesh + len(build.left_out) + beams,
        not_printable=main.off,
    )


def _checked_directory(archive: zipfile.ZipFile) -> dict[str, str]:
    """The central directory first: counts, sizes and ratio, before a byte is inflated. Gives the entries by
    part name, which knows no case.
    """
    infos = archive.infolist()
    if len(infos) > ARCHIVE_MEMBERS_MAX:
        raise refused("archive.members", members=len(infos), limit=ARCHIVE_MEMBERS_MAX)
    unpacked, packed = sum(i.file_size for i in infos), sum(i.compress_size for i in infos)
    if unpacked > _RATIO_FREE_BYTES and unpacked > ARCHIVE_RATIO_MAX * max(packed, 1):
        raise refused("archive.ratio", packed=packed, unpacked=unpacked, limit=ARCHIVE_RATIO_MAX)
    if unpacked > ARCHIVE_BYTES_MAX:
        raise refused("archive.size", unpacked=unpacked, limit=ARCHIVE_BYTES_MAX)
    names = {_folded(info.filename): info.filename for info in infos}
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


class _Relations:
    """Listens to a relationship file: which parts are models to start from."""

    def __init__(self) -> None:
        self.targets: list[str] = []

    def start(self, tag: str, attributes: Attributes) -> None:
        model = tag.rpartition("|")[2] == "Relationship" and attributes.get("Type", "").endswith("/3dmodel")
        if model and len(self.targets) < _ROOTS_MAX:
            self.targets.append(_part_name(attributes.get("Target", "")))

    def end(self) -> None:
        pass


def _root_part(archive: zipfile.ZipFile, names: Mapping[str, str], budget: Budget) -> str:
    """The start part named by the package's relationships; most writers use 3D/3dmodel.model."""
    relations = _Relations()
    if "_rels/.rels" in names:
        document = Document(budget, relations)
        for data in _chunks(archive, names["_rels/.rels"], budget):
            document.feed(data)
        document.feed(b"", last=True)
    for name in [*relations.targets, _folded(_ROOT)]:
        if name in names:
            return name
    raise refused("archive.lies", why="it holds no 3D model part")


def _folded(name: str) -> str:
    """Part names are compared without case, and some writers put backslashes between folders."""
    return name.replace("\\", "/").lower()


def _part_name(target: str) -> str:
    return _folded(posixpath.normpath(posixpath.join("/", target)).lstrip("/"))


def _chunks(archive: zipfile.ZipFile, name: str, budget: Budget) -> Iterator[bytes]:
    if archive.getinfo(name).compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise refused("archive.unreadable", why="an entry is packed in a way that no 3MF is")
    with archive.open(name) as member:
        while data := member.read(_CHUNK):
            budget.take_bytes(len(data))
            yield data


def _all_parts(
    archive: zipfile.ZipFile, names: Mapping[str, str], root: str, budget: Budget
) -> tuple[dict[Key, Object], Part, int]:
    """All objects of the root part and of those it refers to, the root itself, and how many lattices."""
    main = _parse(archive, root, names, budget)
    objects, read_parts, beams = dict(main.objects), {root}, main.beams
    waiting = _outside(main, read_parts)
    while waiting:
        name = waiting.pop()
        if name not in names:
            raise refused("archive.lies", why="a part it refers to is missing")
        read_parts.add(name)
        part = _parse(archive, name, names, budget)
        objects |= part.objects
        beams += part.beams
        waiting = (waiting | _outside(part, read_parts)) - read_parts
    return objects, main, beams


def _parse(archive: zipfile.ZipFile, part: str, names: Mapping[str, str], budget: Budget) -> Part:
    reader = PartReader(part, budget, _part_name)
    for data in _chunks(archive, names[part], budget):
        reader.feed(data)
    return reader.finish()


def _outside(part: Part, known: set[str]) -> set[str]:
    placed = [*part.build, *(c for o in part.objects.values() for c in o.components)]
    return {one.key[0] for one in placed} - known


@dataclass(kw_only=True)
class _Build:
    """Multiplies objects out. Instances and triangles are counted before they are made."""

    objects: Mapping[Key, Object]
    budget: Budget
    left_out: set[Key] = field(default_factory=set)

    def pieces(self, item: Placed, unit_mm: float, outer: F64, path: tuple[Key, ...]) -> Iterator[F64]:
        """Triangles of an object and of all it is made of, placed, in mm. Supports and surfaces and what
        hangs on them are left out.
        """
        key = item.key
        if key in path or len(path) >= COMPONENT_DEPTH_MAX:
            raise refused("mesh.cycle", object=key[1][:40], limit=COMPONENT_DEPTH_MAX)
        self.budget.take_instance()
        thing = self.objects.get(key)
        if thing is None:
            raise refused("archive.lies", why="it builds an object that is not there")
        if not thing.printable:
            self.left_out.add(key)
            return
        at = _after(_transform(item.transform, unit_mm), outer)
        if thing.triangles:
            yield self._placed(thing, at)
        for inner in thing.components:
            yield from self.pieces(inner, thing.unit_mm, at, (*path, key))

    def _placed(self, thing: Object, at: F64) -> F64:
        vertices, faces = _mesh(thing)
        self.budget.take_triangles(len(faces))
        with np.errstate(all="ignore"):
            if len(vertices) < 3 * len(faces):
                corners = _moved(vertices * thing.unit_mm, at)[faces]
            else:
                corners = _moved(vertices[faces] * thing.unit_mm, at)
            if np.linalg.det(at[:3]) < 0:  # a mirror turns the surface inside out
                corners = corners[:, ::-1]
        return corners


def _mesh(thing: Object) -> tuple[F64, NDArray[np.int64]]:
    """Corners (n, 3) in the part's unit and triangles (m, 3). Raises FileRefused `mesh.index` and
    `mesh.unreadable`.
    """
    try:
        vertices, faces = thing.vertices.rows(), thing.triangles.rows()
    except NotANumber as error:
        raise unreadable(f"not a number: {error}") from error
    if faces.min() < 0 or faces.max() >= len(vertices):
        outside = (faces < 0) | (faces >= len(vertices))
        row = int(np.flatnonzero(outside.any(axis=1))[0])
        wrong = int(faces[row][outside[row]][0])
        raise refused("mesh.index", triangle=row + 1, index=wrong, count=len(vertices))
    return vertices, faces


def _moved(points: F64, at: F64) -> F64:
    return points if np.array_equal(at, _IDENTITY) else points @ at[:3] + at[3]


def _after(inner: F64, outer: F64) -> F64:
    """Row vectors: first `inner`, then `outer`."""
    with np.errstate(all="ignore"):
        return np.vstack([inner[:3] @ outer[:3], inner[3] @ outer[:3] + outer[3]])


def _transform(text: str | None, unit_mm: float) -> F64:
    """The 4 x 3 matrix with its shift in mm. Raises FileRefused `mesh.unreadable`."""
    if text is None:
        return _IDENTITY
    try:
        numbers = all_floats(text.split()[:13])
    except NotANumber as error:
        raise unreadable(f"not a number: {error}") from error
    if len(numbers) != 12:
        raise unreadable("a transform does not have 12 numbers")
    matrix = numbers.reshape(4, 3)
    matrix[3] *= unit_mm
    return matrix
