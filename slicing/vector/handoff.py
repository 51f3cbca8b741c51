"""A Toolpath for people who cut with the maker's own software: an SVG and a PDF, true to scale, rebuilt from our lines.

Each operation has a colour of its own out of LightBurn's palette, by which LightBurn and others sort layers; its group
says the kind of work, speed, power and passes. Power and speed are then the software's business. Engraved areas are
closed filled shapes, put together again from their scan lines; shaded or very rich ones are a grey picture.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import shapely  # type: ignore[import-untyped]
from fpdf import FPDF
from fpdf.drawing_primitives import DeviceRGB
from PIL import Image

from slicing.vector import strokes
from slicing.vector.design import FloatArray
from slicing.vector.machines import CutMachine
from slicing.vector.toolpath import CUT, ENGRAVE, IGNORE, SCORE, Operation, Scan, Settings, Toolpath

FIRST_COLOUR = {ENGRAVE: "#000000", SCORE: "#0000ff", CUT: "#ff0000"}
"""LightBurn's C00, C01 and C02: what most labs' files mean by black, blue and red."""
MORE_COLOURS = (
    "#00e000",
    "#d0d000",
    "#ff8000",
    "#00e0e0",
    "#ff00ff",
    "#b4b4b4",
    "#0000a0",
    "#a00000",
    "#00a000",
    "#a0a000",
    "#c08000",
    "#00a0ff",
    "#a000a0",
    "#808080",
    "#7d87b9",
    "#bb7784",
    "#4a6fe3",
    "#d33f6a",
    "#8cd78c",
    "#f0b98d",
    "#f6c4e1",
    "#fa9ed4",
    "#500a78",
    "#b45a00",
    "#004754",
    "#86fa88",
    "#ffdb66",
)
"""C03 to C29, for further settings of the same kind of work; after the last one they begin again."""
HAIRLINE_MM = 0.02
"""What drivers of engravers take for a line to cut, and not for one to engrave."""
AREA_SPANS_MAX = 50_000
PICTURE_PIXELS_MAX = 25_000_000
_INKSCAPE = "http://www.inkscape.org/namespaces/inkscape"

Rings = list[FloatArray]


@dataclass(frozen=True, kw_only=True)
class _Shading:
    """A grey picture of scan lines: black where they burn with all power."""

    image: Image.Image
    box_mm: tuple[float, float, float, float]  # low x, low y, width, height; y up


@dataclass(frozen=True, kw_only=True)
class _Layer:
    """One operation as it is written. Coordinates still the machine's, y up."""

    label: str
    colour: str
    lines: Sequence[tuple[FloatArray, bool]]
    areas: Sequence[Rings]  # of each area the outline and its holes
    shading: _Shading | None


def write_svg(toolpath: Toolpath, machine: CutMachine) -> bytes:
    """The page is the machine's bed, in millimetres, so that everything lies where it was placed."""
    width, height = machine.bed_mm
    body = "".join(
        f'<g id="operation-{number}" inkscape:groupmode="layer" inkscape:label={quoteattr(layer.label)}>'
        f"<title>{escape(layer.label)}</title>{''.join(_svg_parts(layer, height))}</g>\n"
        for number, layer in enumerate(_layers(toolpath), start=1)
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:inkscape="{_INKSCAPE}" version="1.1" '
        f'width="{_mm(width)}mm" height="{_mm(height)}mm" viewBox="0 0 {_mm(width)} {_mm(height)}">\n'
        f"<title>{escape(_title(toolpath, machine))}</title>\n{body}</svg>\n"
    ).encode("utf-8", "replace")


def write_pdf(toolpath: Toolpath, machine: CutMachine) -> bytes:
    """One page of the size of the machine's bed, 1:1; the same toolpath always gives the same bytes."""
    width, height = machine.bed_mm
    page = FPDF(unit="mm", format=(width, height))
    page.set_creation_date(datetime(2000, 1, 1, tzinfo=UTC))
    page.set_title(_title(toolpath, machine))
    page.set_auto_page_break(False)
    page.add_page()
    page.set_line_width(HAIRLINE_MM)
    layers = list(_layers(toolpath))
    page.set_subject(" | ".join(layer.label for layer in layers))
    for layer in layers:
        _pdf_layer(page, layer, height)
    return bytes(page.output())


# --- what is to be written --------------------------------------------------------------------------


def _title(toolpath: Toolpath, machine: CutMachine) -> str:
    return f"{machine.name}, {toolpath.material}, {toolpath.sha256[:12]}"


def _layers(toolpath: Toolpath) -> Iterator[_Layer]:
    """One for each operation, in their order; the same work with the same settings has the same colour."""
    colours: dict[tuple[str, Settings], str] = {}
    more = 0
    for number, operation in enumerate(toolpath.operations, start=1):
        if operation.kind == IGNORE:
            continue
        work = (operation.kind, operation.settings)
        if work not in colours:
            first = FIRST_COLOUR[operation.kind]
            if first in colours.values():
                first, more = MORE_COLOURS[more % len(MORE_COLOURS)], more + 1
            colours[work] = first
        yield _layer(number, operation, colours[work])


def _layer(number: int, operation: Operation, colour: str) -> _Layer:
    lines = [
        (line[:-1], True) if contour.closed and not contour.gaps else (line, False)
        for contour in operation.contours
        for line in strokes.between_tabs(contour)
    ]
    scans = [scan for scan in operation.scans if len(scan.spans)]
    spans = sum(len(scan.spans) for scan in scans)
    solid = all(bool((scan.spans[:, 2] > 0.999).all()) for scan in scans)
    as_areas = solid and spans <= AREA_SPANS_MAX
    interval_mm = operation.settings.interval_mm
    return _Layer(
        label=_label(number, operation),
        colour=colour,
        lines=lines,
        areas=_areas(scans, interval_mm) if scans and as_areas else (),
        shading=_shading(scans, interval_mm) if scans and not as_areas else None,
    )


def _label(number: int, operation: Operation) -> str:
    """`2 cut, 15 mm/s, 70 %, 1 x`: what a person types into the software."""
    settings = operation.settings
    said = [f"{number} {operation.kind}", f"{settings.speed_mm_s:g} mm/s"]
    if settings.power_permille:
        said.append(f"{settings.power_permille / 10:g} %")
    said.append(f"{settings.passes} x")
    if operation.scans:
        said.append(f"interval {settings.interval_mm:g} mm")
    return ", ".join(said)


def _areas(scans: Sequence[Scan], interval_mm: float) -> list[Rings]:
    """The areas whose scan lines these are: each stretch as high as the lines are apart, all of them grown together.
    The steps at slanting edges are evened out, within half an interval and a little."""
    half = interval_mm / 2 * 1.02  # so that neighbours surely touch
    boxes = np.vstack(
        [
            np.column_stack(
                [scan.spans[:, 0], np.full(n, scan.y - half), scan.spans[:, 1], np.full(n, scan.y + half)]
            )
            for scan in scans
            for n in [len(scan.spans)]
        ]
    )
    grown = shapely.union_all(shapely.box(*boxes.T))
    parts = shapely.get_parts(shapely.simplify(grown, interval_mm * 0.6, preserve_topology=True))
    return [
        [shapely.get_coordinates(ring)[:-1] for ring in (part.exterior, *part.interiors)]
        for part in parts
        if part.geom_type == "Polygon" and not part.is_empty
    ]


def _shading(scans: Sequence[Scan], interval_mm: float) -> _Shading:
    low_x = min(float(scan.spans[0, 0]) for scan in scans)
    high_x = max(float(scan.spans[-1, 1]) for scan in scans)
    low_y, high_y = min(scan.y for scan in scans), max(scan.y for scan in scans)
    pitch = interval_mm
    while (high_x - low_x) / pitch * ((high_y - low_y) / pitch + 1) > PICTURE_PIXELS_MAX:
        pitch *= 1.25
    columns = max(1, round((high_x - low_x) / pitch))
    rows = max(1, round((high_y - low_y) / pitch) + 1)
    grey = np.full((rows, columns), 255, dtype=np.uint8)
    for scan in scans:
        row = min(rows - 1, round((high_y - scan.y) / pitch))
        edges = np.round((scan.spans[:, :2] - low_x) / pitch).astype(np.int64)
        shades = np.round(255 * (1 - np.clip(scan.spans[:, 2], 0, 1))).astype(np.uint8)
        for (begin, end), shade in zip(edges.tolist(), shades.tolist(), strict=True):
            grey[row, begin : max(end, begin + 1)] = shade
    box = (low_x, high_y + pitch / 2 - rows * pitch, columns * pitch, rows * pitch)
    return _Shading(image=Image.fromarray(grey), box_mm=box)


# --- SVG --------------------------------------------------------------------------------------------


def _svg_parts(layer: _Layer, height: float) -> Iterator[str]:
    for rings in layer.areas:
        path = "".join(_path(ring, True, height) for ring in rings)
        yield f'<path fill="{layer.colour}" fill-rule="evenodd" stroke="none" d="{path}"/>'
    if layer.shading is not None:
        x, y, width, depth = layer.shading.box_mm
        png = io.BytesIO()
        layer.shading.image.save(png, "PNG")
        yield (
            f'<image x="{_mm(x)}" y="{_mm(height - y - depth)}" width="{_mm(width)}" height="{_mm(depth)}" '
            f'preserveAspectRatio="none" href="data:image/png;base64,{base64.b64encode(png.getvalue()).decode()}"/>'
        )
    for points, closed in layer.lines:
        yield (
            f'<path fill="none" stroke="{layer.colour}" stroke-width="{HAIRLINE_MM}" '
            f'd="{_path(points, closed, height)}"/>'
        )


def _path(points: FloatArray, closed: bool, height: float) -> str:
    words = "L".join(f"{_mm(x)} {_mm(height - y)}" for x, y in points.tolist())
    return f"M{words}{'Z' if closed else ''}"


def _mm(number: float) -> str:
    """To the micrometre, without needless zeros."""
    return f"{round(number, 3) + 0.0:.3f}".rstrip("0").rstrip(".")


# --- PDF --------------------------------------------------------------------------------------------


def _pdf_layer(page: FPDF, layer: _Layer, height: float) -> None:
    red, green, blue = (int(layer.colour[at : at + 2], 16) for at in (1, 3, 5))
    for rings in layer.areas:
        with page.new_path() as path:
            path.style.fill_color = DeviceRGB(red / 255, green / 255, blue / 255)
            path.style.stroke_color = None
            path.style.intersection_rule = "evenodd"
            for ring in rings:
                (x, y), *others = ring.tolist()
                path.move_to(x, height - y)
                for x, y in others:
                    path.line_to(x, height - y)
                path.close()
    if layer.shading is not None:
        x, y, width, depth = layer.shading.box_mm
        page.image(layer.shading.image, x, height - y - depth, width, depth)
    page.set_draw_color(red, green, blue)
    for points, closed in layer.lines:
        page.polyline([(x, height - y) for x, y in points.tolist()], polygon=closed)
