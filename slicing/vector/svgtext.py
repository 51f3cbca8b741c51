"""Letters to outlines: all texts of a drawing in one small SVG of their own, their looks written out, through usvg.

The font is ours and seldom the drawing's: that is told. What cannot be outlined is told as well, and not cut.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lxml import etree  # type: ignore[import-untyped]

from slicing.vector import svgpaint, svgunits, svgusvg
from slicing.vector.svgflat import Matrix
from slicing.vector.svgnotes import Found
from slicing.vector.svgstyle import Own, Style
from slicing.vector.svgunits import IDENTITY, times
from slicing.vector.svgwalk import Mark, Scope, Walk, Writing
from slicing.vector.svgxml import SVG, Element

_DEPTH_MAX = 20
_COORDINATES = ("x", "y", "dx", "dy")
_KEPT = (*_COORDINATES, "rotate", "textLength", "lengthAdjust", "startOffset", "method", "spacing")
_SPACE = "{http://www.w3.org/XML/1998/namespace}space"
_NO_GLYPH = "No fonts with a"


def outlines(walk: Walk, writings: Sequence[Writing], found: Found) -> Iterator[list[Mark]]:
    """The marks of each text, in order; empty for one that cannot be had."""
    asked = [_Copy(walk).of(writing, number) for number, writing in enumerate(writings)]
    if not any(copy is not None for copy in asked):
        return
    if not svgusvg.has_fonts():
        walk.seen["svg.text_lost"] += sum(copy is not None for copy in asked)
        return
    root = etree.Element(SVG + "svg", nsmap={None: SVG[1:-1]}, width="1000", height="1000")
    root.extend(copy for copy in asked if copy is not None)
    try:
        plain, said = svgusvg.normalised(etree.tostring(root))
        groups = {group.get("id"): group for group in _parsed(plain).iter(SVG + "g") if group.get("id")}
    except (svgusvg.OutlinesUnavailable, etree.XMLSyntaxError):
        walk.seen["svg.text_lost"] += sum(copy is not None for copy in asked)
        return
    if _NO_GLYPH in said:
        walk.seen["svg.letters_lost"] += said.count(_NO_GLYPH)
    for number, (writing, copy) in enumerate(zip(writings, asked, strict=True)):
        group = groups.get(f"t{number}")
        marks = [] if group is None else list(_marks(walk, group, writing, IDENTITY))
        marks[:1] = [mark._replace(flags=(*mark.flags, "svg.text")) for mark in marks[:1]]  # told once
        walk.seen["svg.text_lost"] += copy is not None and not marks
        yield marks


def _parsed(plain: bytes) -> Element:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True)
    return etree.fromstring(plain, parser)


def _marks(walk: Walk, group: Element, writing: Writing, matrix: Matrix) -> Iterator[Mark]:
    """Paths of usvg's, which wrote every one of these values itself."""
    for child in group:
        inner = times(matrix, svgunits.transform(child.get("transform", ""), walk.dpi) or IDENTITY)
        if child.tag == SVG + "g":
            yield from _marks(walk, child, writing, inner)
        elif child.tag == SVG + "path" and child.get("visibility") != "hidden":
            before = len(walk.outlines)
            walk.outlines.path(child.get("d", ""))
            walk.spend(len(walk.outlines) - before)
            stroke, fill = (_plain(child.get(kind, "none")) for kind in ("stroke", "fill"))
            scope = writing.scope
            to_page = times(scope.matrix, inner)
            width = float(child.get("stroke-width", "1")) * svgunits.growth(to_page) if stroke else 0.0
            if len(walk.outlines) > before and (stroke or fill):
                yield Mark(
                    (before, len(walk.outlines)),
                    to_page,
                    stroke,
                    fill,
                    width,
                    child.get("fill-rule") == "evenodd",
                    scope.layer,
                    scope.clips,
                    writing.flags,
                    from_text=True,
                )


def _plain(paint: str) -> str:
    found = svgunits.colour(paint)
    return found[0] if found else ""


class _Copy:
    """A text with everything that it inherits written on it, and nothing else of the file."""

    def __init__(self, walk: Walk) -> None:
        self._walk = walk
        self._paints = False
        self._paths: list[Element] = []

    def of(self, writing: Writing, number: int) -> Element | None:
        """None for a text that is not painted."""
        scope = writing.scope
        _, own = self._walk.cascade.of(writing.element, "text", scope.style)
        text = self._element(writing.element, "text", scope.style, own, scope, 0)
        if not self._paints:
            self._walk.seen["svg.unpainted"] += 1
            return None
        group = etree.Element(SVG + "g", id=f"t{number}")
        for path in self._paths:
            path.set("id", f"{path.get('id')}-{number}")
        for inner in text.iter(SVG + "textPath"):
            inner.set("href", f"{inner.get('href')}-{number}")
            inner.set("{http://www.w3.org/1999/xlink}href", inner.get("href") or "")
        if self._paths:
            etree.SubElement(group, SVG + "defs").extend(self._paths)
        group.append(text)
        return group

    def _element(
        self, element: Element, name: str, style: Style, own: Own, scope: Scope, depth: int
    ) -> Element:
        copy = etree.Element(SVG + ("tspan" if name == "a" else name))
        for key in _KEPT:
            if (value := element.get(key)) is not None:
                copy.set(key, self._user(key, value, scope, style) if key in _COORDINATES else value)
        if (space := element.get(_SPACE)) is not None:
            copy.set(_SPACE, space)
        for key, value in {**style.text, **own.text}.items():
            copy.set(key, value)
        self._paint(copy, style, scope)
        if name == "textPath":
            self._path(copy, element)
        copy.text = element.text
        for child in element:
            inner = self._child(child, style, scope, depth + 1)
            if inner is not None:
                copy.append(inner)
                inner.tail = child.tail
            elif child.tail:
                _append(copy, child.tail)
        return copy

    def _child(self, child: Element, style: Style, scope: Scope, depth: int) -> Element | None:
        name = self._walk.name(child)
        if name not in ("tspan", "textPath", "a") or depth > _DEPTH_MAX:
            return None
        inner, own = self._walk.cascade.of(child, name, style)
        if not own.shown:
            return None
        return self._element(child, name, inner, own, scope, depth)

    def _paint(self, copy: Element, style: Style, scope: Scope) -> None:
        stroke, fill, _ = svgpaint.of(self._walk, style, "text")
        self._paints |= bool(stroke or fill) and style.visible
        copy.set("fill", fill or "none")
        copy.set("stroke", stroke or "none")
        if stroke:
            copy.set("stroke-width", f"{self._walk.stroke_px(style, scope):.6g}")
        copy.set("visibility", "visible" if style.visible else "hidden")
        copy.set("font-size", f"{style.font_px:.6g}")

    def _user(self, key: str, value: str, scope: Scope, style: Style) -> str:
        """Plain user units: shares and em are of what is around the text here."""
        whole = scope.viewport[0 if key.endswith("x") else 1]
        sizes = [self._walk.length(one, 0.0, whole, style.font_px) for one in value.replace(",", " ").split()]
        return " ".join(f"{size:.9g}" for size in sizes)

    def _path(self, copy: Element, element: Element) -> None:
        link = self._walk.link(element)
        target = self._walk.ids.get(link[1:]) if link.startswith("#") else None
        if target is None or self._walk.name(target) != "path":
            return
        path = etree.Element(SVG + "path", id=f"p{len(self._paths)}", d=target.get("d", ""))
        if transform := target.get("transform"):
            path.set("transform", transform)
        self._paths.append(path)
        copy.set("href", f"#{path.get('id')}")


def _append(copy: Element, tail: str) -> None:
    if len(copy):
        copy[-1].tail = (copy[-1].tail or "") + tail
    else:
        copy.text = (copy.text or "") + tail
