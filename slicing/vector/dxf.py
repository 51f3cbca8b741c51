"""Reads a DXF into a Design: blocks opened, colours and layers resolved, y turned downwards, everything bounded.

ezdxf parses; what it yields is measured and flattened by `dxfshapes`. What cannot be cut is named in a warning, never
cut silently wrong. Knows nothing of operations or machines.
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from io import BytesIO, StringIO
from types import MappingProxyType
from typing import Any

import numpy as np

from slicing.faults import refused
from slicing.messages import warning
from slicing.results import MeshWarning
from slicing.vector import dxfshapes
from slicing.vector.design import FLATTEN_MM, Design, FloatArray, Line, Shape
from slicing.vector.quietdxf import ezdxf

Drawing = ezdxf.document.Drawing
DXFError = ezdxf.lldxf.const.DXFError

BYTES_MAX = 20_000_000
ENTITIES_MAX = 100_000
SEGMENTS_MAX = 2_000_000
NESTING_MAX = 16
COORDINATE_MM_MAX = 10_000.0
NAMES_MAX = 5
"""Of layers and kinds in a warning."""

UNITS_MM: Mapping[int, tuple[str, float]] = MappingProxyType(
    {
        1: ("inch", 25.4),
        2: ("foot", 304.8),
        4: ("mm", 1.0),
        5: ("cm", 10.0),
        6: ("m", 1000.0),
        8: ("microinch", 25.4e-6),
        9: ("mil", 0.0254),
        10: ("yard", 914.4),
        13: ("micron", 0.001),
        14: ("dm", 100.0),
    }
)
"""$INSUNITS. Miles and parsecs are left out: such a drawing says nothing that we could believe."""
UNITS = dict(UNITS_MM.values())

_BINARY = b"AutoCAD Binary DXF\r\n\x1a\x00"
_DWG = re.compile(rb"AC10\d\d|MC0\.0|AC1\.\d|AC2\.\d")
_BEGINS = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:999[ \t]*\r?\n[^\n]*\n\s*){0,50}0[ \t]*\r?\n[ \t]*SECTION", re.IGNORECASE
)
_COMMENT = re.compile(rb"(?:\xef\xbb\xbf)?\s*999[ \t]*\r?\n([^\r\n]{0,60})")
_TAIL_BYTES = 4096

_TEXT = frozenset({"TEXT", "MTEXT", "ATTRIB", "ATTDEF", "RTEXT", "ARCALIGNEDTEXT"})
_DIMENSION = frozenset(
    {"DIMENSION", "ARC_DIMENSION", "LARGE_RADIAL_DIMENSION", "LEADER", "MULTILEADER", "MLEADER"}
)
_IMAGE = frozenset(
    {"IMAGE", "WIPEOUT", "OLE2FRAME", "OLEFRAME", "PDFUNDERLAY", "DWFUNDERLAY", "DGNUNDERLAY", "UNDERLAY"}
)
_SOLID = frozenset(
    {"3DSOLID", "3DFACE", "MESH", "BODY", "REGION", "SURFACE", "EXTRUDEDSURFACE", "LOFTEDSURFACE"}
    | {"REVOLVEDSURFACE", "SWEPTSURFACE", "PLANESURFACE", "NURBSURFACE", "POLYMESH", "POLYFACE"}
)

_UNREADABLE = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    RuntimeError,  # RecursionError is one
    StopIteration,
    EOFError,
    struct.error,
)
"""What ezdxf raises on damage beside its own DXFError: it trusts the tags' types."""


def read(data: bytes, *, unit: str = "") -> Design:
    """The drawing in `data`, text or binary DXF. `unit` (`mm`, `inch`, … of UNITS_MM) is the person's choice and stands
    above what the file says. Raises FileRefused (`dxf.*`, `file.empty`), KeyError for a `unit` that is none."""
    _check_bytes(data)
    drawing, repaired = _parse(data)
    name, scale_mm, known = _unit(data, drawing, unit)
    walk = _Walk(drawing, scale_mm)
    walk.all_of(_space(drawing), _Frame(matrix=np.eye(4)))
    shapes, size = _on_page(walk.shapes)
    if not shapes:
        raise refused("dxf.nothing")
    warnings = [warning("dxf.repaired", "warning")] if repaired else []
    if not known:
        warnings.append(_unit_question(size))
    comment = _COMMENT.match(data)
    return Design(
        kind="dxf",
        size_mm=size,
        shapes=shapes,
        warnings=(*warnings, *walk.warnings()),
        unit=name,
        source=comment[1].decode("ascii", "ignore").strip().lower() if comment else "",
    )


# --- bytes ----------------------------------------------------------------------------------------


def _check_bytes(data: bytes) -> None:
    if len(data) > BYTES_MAX:
        raise refused("dxf.too_large", bytes=len(data), limit=BYTES_MAX)
    if not data.strip():
        raise refused("file.empty")
    if data.startswith(_BINARY):
        if b"EOF" not in data[-_TAIL_BYTES:]:
            raise refused("dxf.truncated")
        return
    if _DWG.match(data):
        raise refused("dxf.dwg")
    if not _BEGINS.match(data):
        raise refused("dxf.not_dxf")
    if not re.search(rb"\n[ \t]*0[ \t]*\r?\n[ \t]*EOF\s*$", data[-_TAIL_BYTES:]):
        raise refused("dxf.truncated")


def _parse(data: bytes) -> tuple[Drawing, bool]:
    """The drawing, and whether it had to be repaired."""
    try:
        if data.startswith(_BINARY):
            return Drawing.load(ezdxf.lldxf.tagger.binary_tags_loader(data)), False
        return Drawing.read(StringIO(_text(data), newline=None)), False
    except (DXFError, *_UNREADABLE) as error:
        if data.startswith(_BINARY):
            raise refused("dxf.damaged") from error
    try:
        return ezdxf.recover.read(BytesIO(data))[0], True
    except (DXFError, *_UNREADABLE) as error:
        raise refused("dxf.damaged") from error


def _text(data: bytes) -> str:
    """Only layers' names depend on the encoding: what cannot be decoded must not stop the drawing."""
    body = data.removeprefix(b"\xef\xbb\xbf")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return body.decode("cp1252", "replace")


def _space(drawing: Drawing) -> Iterable[Any]:
    try:
        return drawing.modelspace()
    except (DXFError, *_UNREADABLE) as error:
        raise refused("dxf.damaged") from error


def _unit(data: bytes, drawing: Drawing, chosen: str) -> tuple[str, float, bool]:
    """Its name, how many mm it has, and whether anybody said so. ezdxf makes up a unit where the file has none."""
    if chosen:
        return chosen, UNITS[chosen], True
    said = drawing.header.get("$INSUNITS", 0) if b"$INSUNITS" in data else 0
    name, scale_mm = UNITS_MM.get(said if isinstance(said, int) else 0, ("", 0.0))
    return (name, scale_mm, True) if name else ("mm", 1.0, False)


# --- the walk ---------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Frame:
    """Where we are: inside which blocks, placed how, and what a block's contents inherit from its insert."""

    matrix: FloatArray  # 4 x 4, for row vectors
    layer: str = "0"
    colour: str = "#000000"
    blocks: tuple[str, ...] = ()


class _Walk:
    """One pass over all entities. Collects shapes in mm, y still up, and counts what is left out."""

    def __init__(self, drawing: Drawing, scale_mm: float) -> None:
        self.shapes: list[Shape] = []
        self._drawing = drawing
        self._scale_mm = scale_mm
        self._entities = 0
        self._segments = 0
        self._left_out: dict[str, Counter[str]] = {}

    def all_of(self, entities: Iterable[Any], frame: _Frame) -> None:
        for entity in entities:
            self._count_one()
            try:
                self._one(entity, frame)
            except dxfshapes.Overlong:
                raise refused("dxf.too_long", limit=SEGMENTS_MAX) from None
            except dxfshapes.Overlarge:
                raise refused("dxf.not_finite", limit_m=COORDINATE_MM_MAX / 1000) from None
            except (DXFError, *_UNREADABLE):
                self._leave_out("dxf.entity_damaged", entity.dxftype())

    def _one(self, entity: Any, frame: _Frame) -> None:
        kind, layer = entity.dxftype(), self._layer(entity, frame)
        if entity.dxf.get("invisible", 0) or self._is_hidden(layer, entity):
            self._leave_out("dxf.hidden", layer)
        elif kind == "INSERT":
            self._insert(entity, layer, frame)
        elif kind == "POLYLINE" and not (entity.is_2d_polyline or entity.is_3d_polyline):
            self._leave_out("dxf.solids", "POLYMESH")
        elif dxfshapes.is_read(kind):
            self._draw(entity, kind, layer, frame)
        else:
            self._leave_out(_why_not(kind), kind)

    def _count_one(self) -> None:
        self._entities += 1
        if self._entities > ENTITIES_MAX:
            raise refused("dxf.too_many", limit=ENTITIES_MAX)

    def _leave_out(self, code: str, what: str) -> None:
        self._left_out.setdefault(code, Counter())[what] += 1

    def _layer(self, entity: Any, frame: _Frame) -> str:
        """What stands on layer 0 of a block goes with the insert."""
        own = str(entity.dxf.get("layer", "0"))
        return frame.layer if own == "0" and frame.blocks else own

    def _is_hidden(self, layer: str, entity: Any) -> bool:
        """An insert on a layer that is merely off still shows what it holds on other layers."""
        if layer.lower() == "defpoints":
            return True
        if not self._drawing.layers.has_entry(layer):
            return False
        row = self._drawing.layers.get(layer)
        return bool(row.is_frozen() or (row.is_off() and entity.dxftype() != "INSERT"))

    def _insert(self, insert: Any, layer: str, frame: _Frame) -> None:
        name = str(insert.dxf.get("name", ""))
        if name in frame.blocks or len(frame.blocks) >= NESTING_MAX:
            raise refused("dxf.blocks_too_deep", block=name[:60], limit=NESTING_MAX)
        for _ in insert.attribs:
            self._leave_out("dxf.text", "ATTRIB")
        if name not in self._drawing.blocks:
            self._leave_out("dxf.entity_damaged", "INSERT")
            return
        block, colour = self._drawing.blocks.get(name), self._colour(insert, layer, frame)
        if not 0 < insert.mcount <= ENTITIES_MAX:
            raise refused("dxf.too_many", limit=ENTITIES_MAX)
        for single in insert.multi_insert() if insert.mcount > 1 else (insert,):
            self._count_one()
            placed = np.array(list(single.matrix44()), dtype=np.float64).reshape(4, 4)
            inner = _Frame(
                matrix=placed @ frame.matrix, layer=layer, colour=colour, blocks=(*frame.blocks, name)
            )
            self.all_of(block, inner)

    def _draw(self, entity: Any, kind: str, layer: str, frame: _Frame) -> None:
        grown = float(np.linalg.norm(frame.matrix[:3, :3], ord=2)) * self._scale_mm
        if not np.isfinite(grown):
            raise refused("dxf.not_finite", limit_m=COORDINATE_MM_MAX / 1000)
        tolerance = FLATTEN_MM / max(grown, 1e-9)
        drawn = dxfshapes.lines_of(entity, tolerance, SEGMENTS_MAX - self._segments)
        lines = tuple(
            line for line in (self._placed(each, frame.matrix) for each in drawn) if line is not None
        )
        if not lines:
            return
        colour, filled = self._colour(entity, layer, frame), kind in dxfshapes.FILLED
        self.shapes.append(
            Shape(
                lines=lines,
                stroke="" if filled else colour,
                fill=colour if filled else "",
                layer="" if layer == "0" else _printable(layer),
                stroke_width_mm=max(0, int(entity.dxf.get("lineweight", 0))) / 100,
                even_odd=filled,
            )
        )

    def _placed(self, drawn: dxfshapes.Drawn, matrix: FloatArray) -> Line | None:
        """In mm, seen from above; None for a point."""
        points, closed = drawn
        self._segments += len(points)
        if self._segments > SEGMENTS_MAX:
            raise refused("dxf.too_long", limit=SEGMENTS_MAX)
        with np.errstate(all="ignore"):
            moved = (points @ matrix[:3, :3] + matrix[3, :3]) * self._scale_mm
        if not dxfshapes.size_of(moved) < COORDINATE_MM_MAX:
            raise refused("dxf.not_finite", limit_m=COORDINATE_MM_MAX / 1000)
        if np.ptp(moved[:, 2]) > 10 * FLATTEN_MM:
            self._leave_out("dxf.heights", "")
        flat = moved[:, :2]
        keep = np.append(True, np.any(flat[1:] != flat[:-1], axis=1))
        flat = flat[keep]
        return Line(points=flat, closed=closed and len(flat) > 2) if len(flat) > 1 else None

    def _colour(self, entity: Any, layer: str, frame: _Frame) -> str:
        if entity.dxf.hasattr("true_color"):
            return _hex(ezdxf.colors.int2rgb(entity.dxf.true_color & 0xFFFFFF))
        index = int(entity.dxf.get("color", ezdxf.const.BYLAYER))
        if index == ezdxf.const.BYBLOCK:
            return frame.colour
        if not 0 < index < 256:
            return self._layer_colour(layer)
        return _aci(index)

    def _layer_colour(self, layer: str) -> str:
        if not self._drawing.layers.has_entry(layer):
            return "#000000"
        row = self._drawing.layers.get(layer)
        if row.dxf.hasattr("true_color"):
            return _hex(ezdxf.colors.int2rgb(row.dxf.true_color & 0xFFFFFF))
        return _aci(abs(int(row.dxf.get("color", 7))))

    def warnings(self) -> Iterator[MeshWarning]:
        named = {"dxf.hidden": "layers", "dxf.solids": "kinds", "dxf.unsupported": "kinds"}
        named["dxf.entity_damaged"] = "kinds"
        for code, what in sorted(self._left_out.items()):
            names = ", ".join(_printable(name) for name, _ in what.most_common(NAMES_MAX))
            shown: dict[str, Any] = {named[code]: names} if code in named else {}
            severity = "note" if code in {"dxf.dimensions", "dxf.heights"} else "warning"
            yield warning(code, severity, count=what.total(), **shown)


def _why_not(kind: str) -> str:
    for code, kinds in (
        ("dxf.text", _TEXT),
        ("dxf.dimensions", _DIMENSION),
        ("dxf.images", _IMAGE),
        ("dxf.solids", _SOLID),
    ):
        if kind in kinds:
            return code
    return "dxf.unsupported"


def _aci(index: int) -> str:
    """AutoCAD's colour index; 7 is black on white paper, white on a dark screen."""
    if index == 7 or not 0 < index < 256:
        return "#000000"
    return _hex(ezdxf.colors.aci2rgb(index))


def _hex(rgb: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*rgb)


def _printable(name: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in name)[:80]


# --- the page -----------------------------------------------------------------------------------


def _on_page(shapes: list[Shape]) -> tuple[tuple[Shape, ...], tuple[float, float]]:
    """The drawing's own box is its page: y turned down, the top left corner at the origin."""
    if not shapes:
        return (), (0.0, 0.0)
    points = np.vstack([line.points for shape in shapes for line in shape.lines])
    low, high = points.min(axis=0), points.max(axis=0)
    corner, turn = np.array([low[0], high[1]]), np.array([1.0, -1.0])
    on_page = tuple(
        replace(
            shape,
            lines=tuple(replace(line, points=(line.points - corner) * turn + 0.0) for line in shape.lines),
        )
        for shape in shapes
    )
    return on_page, (float(high[0] - low[0]), float(high[1] - low[1]))


def _unit_question(size_mm: tuple[float, float]) -> MeshWarning:
    width, height = (round(side, 1) for side in size_mm)
    return warning(
        "dxf.unit_unknown",
        "question",
        width_mm=width,
        height_mm=height,
        width_inch_mm=round(size_mm[0] * 25.4, 1),
        height_inch_mm=round(size_mm[1] * 25.4, 1),
    )
