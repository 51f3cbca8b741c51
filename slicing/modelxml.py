"""The XML inside a 3MF, streamed and counted: what one .model part says, with nothing multiplied out.

Expat judges the document; long rows of plain `<vertex/>` and `<triangle/>` are cut out of its way and read as
columns of numbers. Refuses DOCTYPE, foreign encodings, and whatever is deeper, longer or more than allowed.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol
from xml.parsers import expat

import numpy as np
from numpy.typing import NDArray

from slicing.faults import FileRefused, refused
from slicing.limits import (
    ARCHIVE_BYTES_MAX,
    INSTANCES_MAX,
    OBJECTS_MAX,
    TRIANGLES_MAX,
    XML_DEPTH_MAX,
    XML_ELEMENTS_MAX,
    XML_TAG_BYTES_MAX,
)
from slicing.plainxml import Row, plain, row
from slicing.textnum import NotANumber, all_floats, all_integers, floats, integers

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Attributes = dict[str, str]
Key = tuple[str, str]  # (part, object id)

MM_PER_UNIT = {
    "micron": 0.001,
    "millimeter": 1.0,
    "centimeter": 10.0,
    "inch": 25.4,
    "foot": 304.8,
    "meter": 1000.0,
}
# Expat knows these by itself; the standard asks for UTF-8 or UTF-16.
_ENCODINGS = (None, "utf-8", "utf-16", "us-ascii", "iso-8859-1")
_ONE_BYTE_ENCODINGS = (None, "utf-8", "us-ascii", "iso-8859-1")


def unreadable(why: str) -> FileRefused:
    """The refusal of a 3MF whose content is not what the format says."""
    return refused("mesh.unreadable", kind="3MF", why=why)


@dataclass(kw_only=True)
class Budget:
    """What all parts together may still use: counted while reading, because directories lie."""

    bytes: int = ARCHIVE_BYTES_MAX
    elements: int = XML_ELEMENTS_MAX
    objects: int = OBJECTS_MAX
    instances: int = INSTANCES_MAX
    triangles: int = TRIANGLES_MAX

    def take_bytes(self, count: int) -> None:
        self.bytes -= count
        if self.bytes < 0:
            raise refused("archive.size", unpacked=ARCHIVE_BYTES_MAX - self.bytes, limit=ARCHIVE_BYTES_MAX)

    def take_elements(self, count: int = 1) -> None:
        self.elements -= count
        if self.elements < 0:
            raise refused("mesh.too_complex", limit=XML_ELEMENTS_MAX, what="XML elements")

    def take_object(self) -> None:
        """An object, a component or a build item: each is kept until the end."""
        self.objects -= 1
        if self.objects < 0:
            raise refused("mesh.too_complex", limit=OBJECTS_MAX, what="3MF objects")

    def take_instance(self) -> None:
        self.instances -= 1
        if self.instances < 0:
            raise refused("mesh.too_complex", limit=INSTANCES_MAX, what="instances")

    def take_triangles(self, count: int) -> None:
        self.triangles -= count
        if self.triangles < 0:
            raise refused("mesh.too_complex", limit=TRIANGLES_MAX, what="triangles")


class _Handler(Protocol):
    def start(self, tag: str, attributes: Attributes) -> None: ...

    def end(self) -> None: ...


class Document:
    """Expat behind our limits, fed piece by piece. Raises FileRefused for anything it does not accept."""

    def __init__(self, budget: Budget, handler: _Handler) -> None:
        self._budget, self._handler = budget, handler
        self._depth = self._fed = 0
        self._simple = True
        self._parser = expat.ParserCreate(namespace_separator="|")
        self._parser.XmlDeclHandler = self._declared
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.StartCdataSectionHandler = self._not_simple

    def feed(self, data: bytes | memoryview, *, last: bool = False) -> None:
        if self._fed == 0 and bytes(data[:2]) in (b"\xfe\xff", b"\xff\xfe"):
            self._not_simple()
        self._fed += len(data)
        try:
            self._parser.Parse(data, last)
        except expat.ExpatError as error:
            raise unreadable(str(error)[:120]) from error
        # An unfinished tag or comment is read again from its start with every piece: long ones get dear.
        if self._fed - self._parser.CurrentByteIndex > XML_TAG_BYTES_MAX:
            raise unreadable(f"an XML tag is over {XML_TAG_BYTES_MAX} bytes")

    @property
    def between_tags(self) -> bool:
        """Whether all that was fed is understood, so that a tag may begin here, and one byte is one letter."""
        return self._simple and self._parser.CurrentByteIndex == self._fed

    def _start(self, tag: str, attributes: Attributes) -> None:
        self._depth += 1
        if self._depth > XML_DEPTH_MAX:
            raise unreadable(f"XML deeper than {XML_DEPTH_MAX} levels")
        self._budget.take_elements()
        self._handler.start(tag, attributes)

    def _end(self, tag: str) -> None:
        self._depth -= 1
        self._handler.end()

    def _declared(self, version: str, encoding: str | None, standalone: int) -> None:
        encoding = encoding.lower() if encoding else None
        if encoding not in _ENCODINGS:
            raise unreadable("its text encoding is not UTF-8 or UTF-16")
        self._simple = self._simple and encoding in _ONE_BYTE_ENCODINGS

    def _doctype(self, *_: object) -> None:
        raise refused("archive.doctype")

    def _not_simple(self) -> None:
        self._simple = False


class Column:
    """Numbers that arrive as strings or as arrays; kept as eight bytes each."""

    def __init__(self, code: str, read: Callable[[list[str]], F64 | I64]) -> None:
        self._numbers: array[float] = array(code)
        self._words: list[str] = []
        self._read = read

    def __bool__(self) -> bool:
        return bool(self._numbers or self._words)

    def take_words(self, words: Iterable[str]) -> None:
        self._words += words
        if len(self._words) > 50_000:
            self._flush()

    def take(self, numbers: F64 | I64) -> None:
        self._flush()
        self._numbers.frombytes(np.ascontiguousarray(numbers).view(np.uint8).data)

    def _flush(self) -> None:
        if self._words:
            words, self._words = self._words, []
            self.take(self._read(words))

    def rows(self) -> NDArray[Any]:
        """All of them as (n, 3), without a copy. Raises NotANumber."""
        self._flush()
        return np.frombuffer(self._numbers, dtype=self._numbers.typecode).reshape(-1, 3)


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A component or a build item: which object, and where in the words of the file (None: as it is)."""

    key: Key
    transform: str | None


@dataclass(kw_only=True)
class Object:
    """One object: corners in the part's unit and triangles of corner numbers, or other objects."""

    unit_mm: float
    printable: bool
    vertices: Column = field(default_factory=lambda: Column("d", all_floats))
    triangles: Column = field(default_factory=lambda: Column("q", all_integers))
    components: list[Placed] = field(default_factory=list)


@dataclass(kw_only=True)
class Part:
    """What one .model file says. `beams` counts lattices, which no slicer of ours prints; `off` the build
    items that are marked as not to be printed.
    """

    unit_mm: float = 1.0
    objects: dict[Key, Object] = field(default_factory=dict)
    build: list[Placed] = field(default_factory=list)
    beams: int = 0
    off: int = 0


# Which element is listened to inside which; all others, with all they hold, are passed over.
_INSIDE: dict[str, frozenset[str]] = {
    "": frozenset({"model"}),
    "model": frozenset({"resources", "build"}),
    "resources": frozenset({"object"}),
    "object": frozenset({"mesh", "components"}),
    "mesh": frozenset({"vertices", "triangles"}),
    "vertices": frozenset({"vertex"}),
    "triangles": frozenset({"triangle"}),
    "components": frozenset({"component"}),
    "build": frozenset({"item"}),
}
_IGNORED = "?"
_VERTEX, _TRIANGLE = plain("vertex", ("x", "y", "z")), plain("triangle", ("v1", "v2", "v3"))
_ROW_BYTES_MIN = 2048  # shorter rows are no burden to expat
_ROW_LONG = 3000
_SLOW_BYTES_MIN, _SLOW_BYTES_MAX = 4096, 1024 * 1024


class PartReader:
    """Fed with the bytes of one .model part, in order; `finish` gives the part. Raises FileRefused."""

    def __init__(self, name: str, budget: Budget, part_name: Callable[[str], str]) -> None:
        self._name, self._budget, self._part_name = name, budget, part_name
        self._part, self._object = Part(), Object(unit_mm=1.0, printable=False)
        self._space: str | None = None  # the name space of the root: 3MF's own, in whatever version
        self._where = [""]
        self._document = Document(budget, self)
        self._rest, self._slow_bytes = b"", _SLOW_BYTES_MIN

    def feed(self, data: bytes) -> None:
        with _in_words():
            self._feed(self._rest + data)

    def finish(self) -> Part:
        rest, self._rest = self._rest, b""
        with _in_words():
            self._document.feed(rest, last=True)
        return self._part

    def _feed(self, data: bytes) -> None:
        """Rows to us, the rest to expat; an element cut in two at the end waits for the next bytes."""
        view, at, self._rest = memoryview(data), 0, b""
        while at < len(data):
            if self._in_row:
                taken = self._take_row(view[at : _found(data, b"</", at)])
                at += taken
                if len(data) - at < _ROW_BYTES_MIN:
                    self._rest = data[at:]
                    return
            cut = self._cut(data, at)
            self._document.feed(view[at:cut])
            at = cut

    @property
    def _in_row(self) -> bool:
        return self._where[-1] in ("vertices", "triangles") and self._document.between_tags

    def _take_row(self, data: memoryview) -> int:
        """Read the plain elements `data` opens with; how many bytes they take."""
        if len(data) < _ROW_BYTES_MIN:
            return 0
        corners = self._where[-1] == "vertices"
        found = row(data, _VERTEX if corners else _TRIANGLE)
        if found is None or not self._took(found, corners):
            self._slow_bytes = min(2 * self._slow_bytes, _SLOW_BYTES_MAX)
            return 0
        # Short rows between other things cost more than they save: let expat go further each time.
        longer = min(2 * self._slow_bytes, _SLOW_BYTES_MAX)
        self._slow_bytes = _SLOW_BYTES_MIN if len(found) > _ROW_LONG else longer
        return found.size

    def _took(self, found: Row, corners: bool) -> bool:
        self._budget.take_elements(len(found))
        try:
            if corners:
                self._object.vertices.take(floats(found.text, found.begin, found.end))
            else:
                self._object.triangles.take(integers(found.text, found.begin, found.end))
        except NotANumber:  # an escaped letter perhaps: expat sees it as it is meant
            return False
        return True

    def _cut(self, data: bytes, at: int) -> int:
        """How far expat goes: behind the next tag that opens a row, or in a row behind some tag further on."""
        cut = len(data)
        for opening in (b"<vertices", b"<triangles"):
            place = data.find(opening, at, cut)
            if place >= 0:
                cut = min(cut, _found(data, b">", place) + 1)
        if self._where[-1] in ("vertices", "triangles"):
            cut = min(cut, _found(data, b"/>", at + self._slow_bytes) + 2)
        return min(cut, len(data))

    def start(self, tag: str, attributes: Attributes) -> None:
        space, _, name = tag.rpartition("|")
        if self._space is None:
            self._space = space
        if space != self._space or name not in _INSIDE.get(self._where[-1], ()):
            self._part.beams += name == "beamlattice"
            name = _IGNORED
        self._where.append(name)
        if name == "vertex":
            self._object.vertices.take_words((attributes["x"], attributes["y"], attributes["z"]))
        elif name == "triangle":
            self._object.triangles.take_words((attributes["v1"], attributes["v2"], attributes["v3"]))
        elif name in ("object", "component", "item"):
            self._budget.take_object()
            self._start_thing(name, attributes)
        elif name == "model":
            self._part.unit_mm = MM_PER_UNIT[attributes.get("unit", "millimeter")]

    def end(self) -> None:
        self._where.pop()

    def _start_thing(self, name: str, attributes: Attributes) -> None:
        if name == "object":
            key = (self._name, attributes["id"])
            if key in self._part.objects:
                raise refused("archive.lies", why="two objects have one number")
            printable = attributes.get("type", "model") in ("model", "solidsupport")
            self._object = Object(unit_mm=self._part.unit_mm, printable=printable)
            self._part.objects[key] = self._object
        elif name == "component":
            self._object.components.append(self._placed(attributes))
        elif attributes.get("printable", "1") in ("0", "false"):
            self._part.off += 1
        else:
            self._part.build.append(self._placed(attributes))

    def _placed(self, attributes: Attributes) -> Placed:
        path = next((value for name, value in attributes.items() if name.endswith("|path")), None)
        part = self._part_name(path) if path else self._name
        return Placed(key=(part, attributes["objectid"]), transform=attributes.get("transform"))


@contextmanager
def _in_words() -> Iterator[None]:
    """What is missing or no number in the document becomes a refusal."""
    try:
        yield
    except KeyError as error:
        raise unreadable(f"an attribute or unit is wrong: {str(error)[:60]}") from error
    except NotANumber as error:
        raise unreadable(f"not a number: {error}") from error


def _found(data: bytes, what: bytes, at: int) -> int:
    place = data.find(what, at)
    return place if place >= 0 else len(data)
