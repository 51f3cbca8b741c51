"""Through the tree of an SVG, as a renderer goes: what is drawn, where, in which paint. Geometry is only gathered here;
it becomes lines in `svg`. Owns `use`, `symbol`, `switch`, nested viewports, layers, and what is noticed on the way.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Final, NamedTuple

from slicing.faults import refused
from slicing.vector import svgpaint, svgpicture, svgshapes, svgunits
from slicing.vector.design import Picture
from slicing.vector.pathdata import Outlines
from slicing.vector.svgcss import Sheet
from slicing.vector.svgflat import Matrix
from slicing.vector.svglimits import (
    COORDINATE_MM_MAX,
    DEPTH_MAX,
    ELEMENTS_MAX,
    POINTS_MAX,
    TEXT_CHARS_MAX,
    TEXTS_MAX,
)
from slicing.vector.svgstyle import Cascade, Own, Style
from slicing.vector.svgunits import Box, times
from slicing.vector.svgxml import INKSCAPE, SODIPODI, SVG, XLINK, Document, Element

_URL: Final = re.compile(r"""\s*url\(\s*(?:["']\s*)?#([^"'\s)]*)["'\s]*\)""")
_FEATURE: Final = re.compile(r"http://www\.w3\.org/TR/SVG11/feature#|org\.w3c\.(?:dom\.)?svg")
_SINGULAR: Final = 1e-18
_SHARES: Final = {"left": "0%", "top": "0%", "center": "50%", "right": "100%", "bottom": "100%"}
_SHAPES: Final = ("path", "rect", "circle", "ellipse", "line", "polyline", "polygon")
_DRAWN: Final = frozenset((*_SHAPES, "text", "image", "use", "flowRoot", "foreignObject"))


class Clip(NamedTuple):
    """A `clipPath` or a viewport's box, in the coordinates of `matrix`; neither: something we cannot read."""

    matrix: Matrix
    element: Element | None = None
    box: Box | None = None


class Scope(NamedTuple):
    """What an element finds around it. `matrix` leads to the page's mm, `viewport` is what 100 % is."""

    matrix: Matrix
    style: Style
    viewport: tuple[float, float]
    layer: str = ""
    clips: tuple[Clip, ...] = ()
    flags: tuple[str, ...] = ()
    chain: tuple[Element, ...] = ()  # what is being drawn through `use`
    depth: int = 0


class Mark(NamedTuple):
    """One painted element. `flags` are codes of warnings that concern it; without paint it is only told of."""

    span: tuple[int, int]
    matrix: Matrix
    stroke: str
    fill: str
    width_mm: float
    even_odd: bool
    layer: str
    clips: tuple[Clip, ...] = ()
    flags: tuple[str, ...] = ()
    from_text: bool = False


class Writing(NamedTuple):
    """A `text` element, whose outlines are still to be had."""

    element: Element
    scope: Scope
    flags: tuple[str, ...] = ()


class Placed(NamedTuple):
    picture: Picture
    clips: tuple[Clip, ...]
    flags: tuple[str, ...]


class Walk:
    """One drawing being read. Raises FileRefused for what is beyond the limits."""

    def __init__(self, document: Document, dpi: float) -> None:
        self.dpi = dpi
        self.bare = document.bare
        self.outlines = Outlines()
        self.items: list[Mark | Writing] = []
        self.pictures: list[Placed] = []
        self.seen: Counter[str] = Counter()  # code -> how often, of what has no place on the page
        self.names: dict[str, list[str]] = {}
        self.ids: dict[str, Element] = {}
        sheet = Sheet(imports=document.outside_sheet)
        for element in document.root.iter():
            if (own := element.get("id")) is not None:
                self.ids.setdefault(own, element)
            if self.name(element) == "style" and element.get("type", "text/css").strip() in ("", "text/css"):
                sheet.add("".join(element.itertext()))
        if sheet.imports:
            self.seen["svg.external"] += 1
        self.cascade = Cascade(sheet, dpi)
        self.root_style = Style()
        self.root_viewport = (0.0, 0.0)  # set by who knows the page
        self._elements = self._points = self._writings = self._letters = 0
        self._pixels = 0
        self._spans: dict[Element, tuple[int, int]] = {}

    # --- reading attributes ---------------------------------------------------------------------------

    def name(self, element: Element) -> str:
        """The local name in SVG's namespace; empty for anything else."""
        tag = element.tag
        if not isinstance(tag, str):
            return ""
        if tag.startswith(SVG):
            return tag[len(SVG) :]
        return tag if self.bare and "{" not in tag else ""

    def length(self, text: str | None, default: float, whole: float, font: float) -> float:
        if text is None:
            return default
        found = svgunits.parsed(text)
        if found is None:
            self.seen["svg.damaged"] += text.strip() != "auto"
            return default
        return svgunits.user_units(*found, dpi=self.dpi, whole=whole, font=font)

    def measure(self, element: Element, name: str, scope: Scope, default: float = 0.0) -> float:
        """A length attribute of a shape; shares are of the viewport's width, height or diagonal."""
        text = element.get(name)
        if text is None:
            return default
        across, down = scope.viewport
        if name in svgshapes.ACROSS:
            whole = across
        elif name in svgshapes.DOWN:
            whole = down
        else:
            whole = svgunits.diagonal(across, down)
        return self.length(text, default, whole, scope.style.font_px)

    def link(self, element: Element) -> str:
        return (element.get("href") or element.get(XLINK + "href") or "").strip()

    def referred(self, value: str) -> Element | None:
        """The element of a `url(#…)`."""
        found = _URL.match(value)
        return self.ids.get(found.group(1)) if found else None

    def spend(self, points: int) -> None:
        self._points += points
        if self._points > POINTS_MAX:
            raise refused("svg.points", limit=POINTS_MAX)

    def spend_pixels(self, pixels: int) -> int:
        """All pixels so far, with these."""
        self._pixels += pixels
        return self._pixels

    # --- walking --------------------------------------------------------------------------------------

    def children(self, element: Element, scope: Scope) -> None:
        deeper = scope._replace(depth=scope.depth + 1)
        for child in element:
            self.visit(child, deeper)

    def visit(self, element: Element, scope: Scope) -> None:
        name = self.name(element)
        if name not in _HANDLERS:
            self.seen["svg.script"] += name == "script"
            return
        self._count(1, scope.depth)
        if not _wanted(element):
            return
        inner = self.entered(element, name, scope)
        if inner is not None:
            _HANDLERS[name](self, element, inner)

    def _count(self, elements: int, depth: int) -> None:
        self._elements += elements
        if self._elements > ELEMENTS_MAX:
            raise refused("svg.elements", limit=ELEMENTS_MAX)
        if depth > DEPTH_MAX:
            raise refused("svg.depth", limit=DEPTH_MAX)

    def entered(self, element: Element, name: str, scope: Scope) -> Scope | None:
        """What is around the content of this element; None where it is not shown."""
        style, own = self.cascade.of(element, name, scope.style)
        layer = _layer(element, name) or scope.layer
        if not own.shown or own.faded:
            self._hide(element, name, scope, layer)
            return None
        matrix = scope.matrix
        written = own.transform or element.get("transform", "")
        if written:
            step = svgunits.transform(written, self.dpi)
            if step is None:
                self.seen["svg.damaged"] += 1
            else:
                matrix = times(matrix, self._around(step, own, scope))
                if abs(step[0] * step[3] - step[1] * step[2]) < _SINGULAR:
                    self._hide(element, name, scope, layer)  # flattened to a line, and so not drawn
                    return None
        inner = scope._replace(matrix=matrix, style=style, layer=layer)
        if own.clip or own.mask or own.filter:
            inner = self._covered(inner, own)
        return inner

    def _around(self, step: Matrix, own: Own, scope: Scope) -> Matrix:
        words = [_SHARES.get(word, word) for word in own.origin.split()[:2]]
        if not words:
            return step
        x, y = (
            self.length(word, 0.0, whole, scope.style.font_px)
            for word, whole in zip([*words, "50%"][:2], scope.viewport, strict=True)
        )
        return times(times((1, 0, 0, 1, x, y), step), (1, 0, 0, 1, -x, -y))

    def _covered(self, scope: Scope, own: Own) -> Scope:
        clips, flags = scope.clips, scope.flags
        if own.clip:
            target = self.referred(own.clip)
            if target is not None and self.name(target) == "clipPath":
                clips = (*clips, Clip(scope.matrix, target))
            elif not own.clip.startswith("url("):
                clips = (*clips, Clip(scope.matrix))
        if own.mask and self.referred(own.mask) is not None:
            flags = (*flags, "svg.mask")
        if own.filter and self.referred(own.filter) is not None:
            flags = (*flags, "svg.filter")
        return scope._replace(clips=clips, flags=flags)

    def _hide(self, element: Element, name: str, scope: Scope, layer: str) -> None:
        hidden = 1
        if name not in _DRAWN:
            hidden = sum(self.name(inner) in _DRAWN for inner in element.iter())
        self._count(hidden, scope.depth)
        self.seen["svg.hidden"] += hidden
        if hidden and layer != scope.layer:
            self.names.setdefault("svg.hidden", []).append(layer)

    # --- containers -----------------------------------------------------------------------------------

    def group(self, element: Element, scope: Scope) -> None:
        if element.get(SODIPODI + "insensitive") == "true" and len(element):
            self.seen["svg.locked"] += 1
            self.names.setdefault("svg.locked", []).append(scope.layer or element.get("id", ""))
        self.children(element, scope)

    def switch(self, element: Element, scope: Scope) -> None:
        """The first child that fits, and no other."""
        for child in element:
            if self.name(child) in _CHOSEN and _wanted(child):
                if self.name(child) == "foreignObject":
                    continue
                self.visit(child, scope._replace(depth=scope.depth + 1))
                return

    def use(self, element: Element, scope: Scope) -> None:
        link = self.link(element)
        if link and not link.startswith("#"):
            self.seen["svg.external"] += 1
            return
        target = self.ids.get(link[1:])
        if target is None:
            self.seen["svg.missing"] += 1
            return
        around = tuple(element.iterancestors())
        if target in scope.chain or target is element or target in around:
            self.seen["svg.recursive"] += 1
            return
        x, y = self.measure(element, "x", scope), self.measure(element, "y", scope)
        inner = scope._replace(
            matrix=times(scope.matrix, (1, 0, 0, 1, x, y)),
            chain=(*scope.chain, *around, target),  # what holds the `use` is being drawn, too
            depth=scope.depth + 1,
        )
        name = self.name(target)
        if name not in ("symbol", "svg"):
            self.visit(target, inner)
            return
        self._count(1, inner.depth)
        entered = self.entered(target, name, inner)
        if entered is not None:
            of = element if name == "symbol" else target
            size = [self.measure(of, side, scope, -1.0) for side in ("width", "height")]
            size = [
                self.measure(element, side, scope, was)
                for side, was in zip(("width", "height"), size, strict=True)
            ]
            self.viewport(target, entered, size[0], size[1])

    def nested(self, element: Element, scope: Scope) -> None:
        """An `svg` inside another."""
        x, y = self.measure(element, "x", scope), self.measure(element, "y", scope)
        moved = scope._replace(matrix=times(scope.matrix, (1, 0, 0, 1, x, y)))
        width, height = (self.measure(element, side, scope, -1.0) for side in ("width", "height"))
        self.viewport(element, moved, width, height)

    def viewport(self, element: Element, scope: Scope, width: float, height: float) -> None:
        """The content of an `svg` or `symbol` in a viewport of this size; a negative one is not said, and 100 %."""
        width = scope.viewport[0] if width < 0 else width
        height = scope.viewport[1] if height < 0 else height
        if width == 0 or height == 0:
            return
        _, own = self.cascade.of(element, self.name(element), scope.style)
        clips = scope.clips
        if own.overflow not in ("visible", "auto"):
            clips = (*clips, Clip(scope.matrix, box=(0, 0, width, height)))
        inside = element.get("viewBox")
        box, matrix = svgunits.view_box(inside), scope.matrix
        if inside is not None and box is None:
            self.seen["svg.damaged"] += 1
        if box is not None:
            matrix = times(
                matrix, svgunits.fitted(box, element.get("preserveAspectRatio", ""), width, height)
            )
            width, height = box[2], box[3]
        self.children(element, scope._replace(matrix=matrix, viewport=(width, height), clips=clips))

    # --- what is drawn --------------------------------------------------------------------------------

    def shape(self, element: Element, scope: Scope) -> None:
        style = scope.style
        if not style.visible:
            self.seen["svg.hidden"] += 1
            return
        name = self.name(element)
        stroke, fill, flags = svgpaint.of(self, style, name)
        if not stroke and not fill and not flags:
            self.seen["svg.unpainted"] += 1
            return
        before = len(self.outlines)
        span = self._spans.get(element)
        if span is None:
            clean = svgshapes.add(self, element, name, scope)
            self.seen["svg.damaged"] += not clean
            span = (before, len(self.outlines))
            if name in svgshapes.FIXED:
                self._spans[element] = span
        self.spend(span[1] - span[0])
        if span[1] == span[0]:
            return
        width = self.stroke_px(style, scope) * svgunits.growth(scope.matrix)
        self.items.append(
            Mark(
                span,
                scope.matrix,
                stroke,
                fill,
                min(width, COORDINATE_MM_MAX) if stroke else 0.0,
                style.even_odd,
                scope.layer,
                scope.clips,
                scope.flags + flags,
            )
        )

    def stroke_px(self, style: Style, scope: Scope) -> float:
        across, down = scope.viewport
        return self.length(style.width, 1.0, svgunits.diagonal(across, down), style.font_px)

    def text(self, element: Element, scope: Scope) -> None:
        if not scope.style.visible:
            self.seen["svg.hidden"] += 1
            return
        letters = sum(len(piece.strip()) for piece in element.itertext())
        if not letters:
            return
        self._writings += 1
        self._letters += letters
        if self._writings > TEXTS_MAX or self._letters > TEXT_CHARS_MAX:
            raise refused("svg.text", limit=TEXT_CHARS_MAX)
        self.items.append(Writing(element, scope, scope.flags))

    def image(self, element: Element, scope: Scope) -> None:
        if not scope.style.visible:
            self.seen["svg.hidden"] += 1
            return
        placed = svgpicture.of(self, element, scope)
        if placed is not None:
            self.pictures.append(Placed(placed, scope.clips, (*scope.flags, "svg.picture")))

    def flowed(self, element: Element, scope: Scope) -> None:
        self.seen["svg.flowed_text"] += any(piece.strip() for piece in element.itertext())

    def foreign(self, element: Element, scope: Scope) -> None:
        self.seen["svg.foreign"] += 1


def _layer(element: Element, name: str) -> str:
    """Inkscape's label of a layer; the `id` where an older Illustrator marks one."""
    if name != "g":
        return ""
    if element.get(INKSCAPE + "groupmode") == "layer":
        return (element.get(INKSCAPE + "label") or element.get("id") or "")[:80]
    return ""


def _wanted(element: Element) -> bool:
    """The conditions of `switch`, which hold outside of it as well. We speak English, and know no extension."""
    if element.get("requiredExtensions") is not None:
        return False
    features = element.get("requiredFeatures")
    if features is not None and not (features and all(map(_FEATURE.match, features.split()))):
        return False
    languages = element.get("systemLanguage")
    if languages is None:
        return True
    return any(word.strip().split("-")[0].lower() == "en" for word in languages.split(","))


_HANDLERS: Final[dict[str, Callable[[Walk, Element, Scope], None]]] = {
    "g": Walk.group,
    "a": Walk.group,
    "svg": Walk.nested,
    "switch": Walk.switch,
    "use": Walk.use,
    "text": Walk.text,
    "image": Walk.image,
    "flowRoot": Walk.flowed,
    "foreignObject": Walk.foreign,
    **dict.fromkeys(_SHAPES, Walk.shape),
}
_CHOSEN: Final = frozenset((*_HANDLERS, "symbol", "defs"))  # by a switch, even if nothing comes of it
