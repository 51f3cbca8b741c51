"""Pictures of a drawing: a PNG for lists, and a clean SVG for the page, rebuilt from our own lines.

Nothing of a member's file gets into them but coordinates and colours. The size of both is bounded, whatever was drawn.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import quoteattr

import numpy as np
import shapely  # type: ignore[import-untyped]
from PIL import Image, ImageDraw

from slicing.vector.design import Design, FloatArray, Line, Picture, Shape, group_key
from slicing.vector.groups import line_lengths
from slicing.vector.plane import signed_area

FINER = 3
"""The PNG is drawn so many times larger and made smaller, which smooths its edges."""
MARGIN = 0.05
FAINT = 0.25  # how much of its own colour a filled area shows
POINTS_MAX = 60_000
"""Of the SVG: some 1 MB."""
TOLERANCES_MM = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3.0)


def png(design: Design, size_px: int) -> bytes:
    """A square picture on white, each line in its own colour."""
    low, high = _extent(design)
    side = size_px * FINER
    scale = (1 - 2 * MARGIN) * side / max(float((high - low).max()), 1e-6)
    shift = np.array([side, side]) / 2 - (low + high) / 2 * scale
    image = Image.new("RGB", (side, side), "white")
    for picture in design.pictures:
        _paste(image, picture, scale, shift)
    pen = ImageDraw.Draw(image)
    for shape in design.shapes:
        if shape.fill:
            _fill(image, shape, scale, shift)
    width = max(1, round(side / 300))
    for shape in design.shapes:
        for line in shape.lines:
            _draw(pen, line, shape.stroke or _faint(shape.fill), width, scale, shift)
    out = io.BytesIO()
    image.resize((size_px, size_px), Image.Resampling.BOX).save(out, "PNG", optimize=True)
    return out.getvalue()


def _extent(design: Design) -> tuple[FloatArray, FloatArray]:
    points = [line.points for shape in design.shapes for line in shape.lines]
    points += [_corners(picture) for picture in design.pictures]
    if not points:
        return np.zeros(2), np.array(design.size_mm)
    every = np.vstack(points)
    return every.min(axis=0), every.max(axis=0)


def _corners(picture: Picture) -> FloatArray:
    rows, columns = picture.grey.shape
    a, b, c, d, e, f = picture.to_page
    pixels = np.array([[0, 0], [columns, 0], [columns, rows], [0, rows]], dtype=np.float64)
    corners: FloatArray = pixels @ np.array([[a, b], [c, d]]) + np.array([e, f])
    return corners


def _paste(image: Image.Image, picture: Picture, scale: float, shift: FloatArray) -> None:
    """The raster image as it lies, by the inverse of its matrix: from our pixels to its own."""
    a, b, c, d, e, f = picture.to_page
    forward = np.array(
        [[a * scale, c * scale, e * scale + shift[0]], [b * scale, d * scale, f * scale + shift[1]]]
    )
    square = np.vstack([forward, [0, 0, 1]])
    if abs(np.linalg.det(square)) < 1e-12:
        return
    inverse = np.linalg.inv(square)[:2].ravel().tolist()
    grey = Image.fromarray(picture.grey)
    turned = grey.transform(image.size, Image.Transform.AFFINE, inverse, fillcolor=255)
    image.paste(turned.convert("RGB"), mask=turned.point(lambda value: 255 - value))


def _faint(colour: str) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    mixed = (round(255 - (255 - part) * FAINT) for part in (red, green, blue))
    return "#" + "".join(f"{part:02x}" for part in mixed)


def _fill(image: Image.Image, shape: Shape, scale: float, shift: FloatArray) -> None:
    """How often each pixel is wound around is counted ring by ring, each in its own small square."""
    rings = [np.array(_pixels(line.points, scale, shift)) for line in shape.lines if len(line.points) >= 3]
    if not rings:
        return
    every = np.vstack(rings)
    corner = np.floor(every.min(axis=0)).astype(int)
    size = np.ceil(every.max(axis=0)).astype(int) - corner + 1
    wound = np.zeros((size[1], size[0]), dtype=np.int16)
    for ring in rings:
        low = np.floor(ring.min(axis=0)).astype(int)
        columns, rows = np.ceil(ring.max(axis=0)).astype(int) - low + 1
        mask = Image.new("1", (int(columns), int(rows)))
        ImageDraw.Draw(mask).polygon([(float(x), float(y)) for x, y in ring - low], fill=1)
        left, top = low - corner
        around = 1 if shape.even_odd or signed_area(ring) > 0 else -1
        wound[top : top + rows, left : left + columns] += around * np.asarray(mask, dtype=np.int16)
    inside = wound % 2 == 1 if shape.even_odd else wound != 0
    image.paste(_faint(shape.fill), (int(corner[0]), int(corner[1])), Image.fromarray(inside))


def _draw(
    pen: ImageDraw.ImageDraw, line: Line, colour: str, width: int, scale: float, shift: FloatArray
) -> None:
    points = np.vstack([line.points, line.points[:1]]) if line.closed else line.points
    pen.line(_pixels(points, scale, shift), fill=colour, width=width, joint="curve")


def _pixels(points: FloatArray, scale: float, shift: FloatArray) -> list[tuple[float, float]]:
    """Finer than half a pixel nobody sees: of points in the same half only the first is kept."""
    placed = points * scale + shift
    halves = np.floor(placed * 2)
    kept = placed[np.concatenate([[True], np.any(halves[1:] != halves[:-1], axis=1)])]
    if len(kept) < 2:
        kept = placed[[0, -1]]
    return [(float(x), float(y)) for x, y in kept]


# --- the page's ------------------------------------------------------------------------------------------


def svg(design: Design, kinds: Mapping[str, str]) -> bytes:
    """One group a row of the page's table, in mm; `data-kind` says what becomes of it."""
    low, high = _extent(design)
    width, depth = np.maximum(high - low, 0.1)
    head = f'viewBox="{low[0]:.2f} {low[1]:.2f} {width:.2f} {depth:.2f}" width="{width:.2f}mm" height="{depth:.2f}mm"'
    lines = _lines_of(design)
    paths = iter(_paths([line for some in lines.values() for line, _area in some]))
    body = "".join(
        _group(key, kinds.get(key, "ignore"), some[0][1], "".join(next(paths) for _ in some))
        for key, some in lines.items()
    )
    return f'<svg xmlns="http://www.w3.org/2000/svg" {head}>{body}{_frames(design)}</svg>\n'.encode()


_Drawn = list[tuple[Line, bool]]


def _lines_of(design: Design) -> dict[str, _Drawn]:
    """Lines by group, and whether they are an area's outline."""
    found: dict[str, _Drawn] = {}
    for shape in design.shapes:
        for paint, colour in (("fill", shape.fill), ("stroke", shape.stroke)):
            if colour and shape.lines:
                some = found.setdefault(group_key(paint, colour, shape.layer), [])
                some += [(line, paint == "fill") for line in shape.lines]
    return found


def _paths(lines: Sequence[Line]) -> list[str]:
    """Each line in the words of a path, as coarse as the picture's size asks; the shortest are left out (empty) where
    even the coarsest would be too large."""
    if not lines:
        return []
    owners = np.repeat(np.arange(len(lines)), [len(line.points) for line in lines])
    whole = shapely.linestrings(np.vstack([line.points for line in lines]), indices=owners)
    simple = whole
    for tolerance in TOLERANCES_MM:
        simple = shapely.simplify(whole, tolerance, preserve_topology=False)
        if shapely.get_num_coordinates(simple).sum() <= POINTS_MAX:
            break
    longest = np.argsort(-line_lengths(lines), kind="stable")
    points = np.cumsum(shapely.get_num_coordinates(simple)[longest])
    kept = np.zeros(len(lines), dtype=bool)
    kept[longest[points <= POINTS_MAX]] = True
    return [
        _path(shapely.get_coordinates(one), line.closed) if keep else ""
        for one, line, keep in zip(simple, lines, kept, strict=True)
    ]


def _group(key: str, kind: str, area: bool, path: str) -> str:
    colour = key.partition(":")[2].partition("@")[0]
    paint = (
        f'fill="{colour}" fill-opacity="0.3" fill-rule="evenodd"'
        if area
        else f'fill="none" stroke="{colour}"'
    )
    ignored = ' opacity="0.25"' if kind == "ignore" else ""
    return (
        f"<g data-key={quoteattr(key)} data-kind={quoteattr(kind)}{ignored}>"
        f'<path {paint} stroke-width="1" vector-effect="non-scaling-stroke" d="{path}"/></g>'
    )


def _path(points: FloatArray, closed: bool) -> str:
    words = "L".join(f"{x:.2f} {y:.2f}" for x, y in points.tolist())
    return f"M{words}{'Z' if closed else ''}"


def _frames(design: Design) -> str:
    """Where raster images lie; their pixels are in the simulated cut."""
    return "".join(_frame(picture) for picture in design.pictures)


def _frame(picture: Picture) -> str:
    points = " ".join(f"{x:.2f},{y:.2f}" for x, y in _corners(picture).tolist())
    return f'<polygon points="{points}" fill="#888" fill-opacity="0.3" stroke="#888"/>'
