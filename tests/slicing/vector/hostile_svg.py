"""Drawings that were made to break a reader, by name: the bytes, and the codes that may be the answer.

Made when asked for, not when this is imported. `OK` stands for a drawing that is read, whatever is told of it.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from base64 import b64encode
from collections.abc import Callable, Mapping
from itertools import pairwise

from tests.slicing.vector.drawings import SQUARE, drawing, picture

OK = "read"
RED = 'fill="none" stroke="red"'
SHEET_CHARS = 900_000


def use_bomb(*, painted: bool = True) -> bytes:
    """Some 1 kB that draws ten million squares (or groups with nothing in them)."""
    levels = "".join(f'<g id="a{n + 1}">' + f'<use xlink:href="#a{n}"/>' * 10 + "</g>" for n in range(7))
    return drawing(f'<defs><g id="a0">{SQUARE if painted else ""}</g>{levels}</defs><use xlink:href="#a7"/>')


def billion_laughs() -> bytes:
    letters = "abcdefghij"
    entities = '<!ENTITY a "lol">' + "".join(
        f'<!ENTITY {name} "{f"&{before};" * 10}">' for before, name in pairwise(letters)
    )
    return f"<!DOCTYPE svg [{entities}]>".encode() + drawing("<text>&j;</text>")


def photo(width: int, height: int) -> bytes:
    """A PNG that says it has so many pixels, and holds nearly nothing."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    address = f"data:image/png;base64,{b64encode(png).decode()}"
    return drawing(f'<image width="50" height="50" xlink:href="{address}"/>')


def nested(depth: int) -> bytes:
    return drawing("<g>" * depth + SQUARE + "</g>" * depth)


def path(data: str) -> bytes:
    return drawing(f'{SQUARE}<path {RED} d="{data}"/>')


def styled(sheet: str, content: str = SQUARE) -> bytes:
    return drawing(f"<style>{sheet}</style>{content}")


def doctype(inside: str, content: str = SQUARE) -> bytes:
    return f"<!DOCTYPE svg [{inside}]>".encode() + drawing(content)


def _without_doctype_end() -> bytes:
    return b"<!DOCTYPE svg [" + b"<!-- x -->" * 300_000


Case = tuple[Callable[[], bytes], frozenset[str]]


def _answers(*codes: str) -> frozenset[str]:
    return frozenset(codes)


HOSTILE: Mapping[str, Case] = {
    "use bomb": (use_bomb, _answers("svg.elements")),
    "use bomb of nothing": (lambda: use_bomb(painted=False), _answers("svg.elements")),
    "hidden use bomb": (
        lambda: drawing(f'<g id="h" display="none">{SQUARE * 2000}</g>' + '<use href="#h"/>' * 2000 + SQUARE),
        _answers("svg.elements"),
    ),
    "recursive use": (
        lambda: drawing(
            f'{SQUARE}<g id="a"><use href="#b"/></g><g id="b"><use href="#a"/></g><use id="c" href="#c"/>'
        ),
        _answers(OK),
    ),
    "use of a big path": (
        lambda: drawing(f'<path id="p" {RED} d="M0 0{"l1 1-1-1" * 50_000}"/>' + '<use href="#p"/>' * 100),
        _answers("svg.points"),
    ),
    "120 000 curves": (lambda: path("M0 0" + "c1 2 3 4 5 6c-1-2-3-4-5-6" * 60_000), _answers(OK)),
    "5 MB on one line": (lambda: path("M0 0" + "l1 1-1-1" * 620_000), _answers(OK)),
    "curves over the whole page": (
        lambda: path("M0 0" + "C999 999-999-999 5 6C-999-999 999 999 9 9" * 100_000),
        _answers("svg.points"),
    ),
    "external": (
        lambda: (
            b'<?xml-stylesheet href="http://192.0.2.1/a.css"?>'
            + drawing(
                '<style>@import url(http://192.0.2.1/b.css);</style><image width="3" height="4" '
                'href="http://192.0.2.1/c.png"/><image width="3" height="4" href="file:///etc/passwd"/>'
                f'<use href="http://192.0.2.1/d.svg#a"/><script href="http://192.0.2.1/e.js"/>{SQUARE}'
            )
        ),
        _answers(OK),
    ),
    "only external": (
        lambda: drawing('<image width="3" height="4" href="http://192.0.2.1/c.png"/>'),
        _answers("svg.nothing_external"),
    ),
    "NaN": (lambda: path("M NaN 3 L 3 4 M 1 1 L nan 9"), _answers(OK)),
    "1e308": (lambda: path("M1e308 3L3 4c1e308 1e308 1e308 1e308 1e308 1e308"), _answers("svg.coordinate")),
    "1e999": (lambda: path("M0 0L1e999 0"), _answers("svg.coordinate")),
    "arcs of 1e308": (
        lambda: path("M0 0A1e300 1e-300 0 0 1 3 4A1e308 1e308 1e308 0 1 5 6"),
        _answers(OK, "svg.coordinate"),
    ),
    "scaled by 1e400": (
        lambda: drawing(f'<g transform="scale(1e200)"><g transform="scale(1e200)">{SQUARE}</g></g>'),
        _answers("svg.coordinate"),
    ),
    "viewBox of zero": (
        lambda: drawing(SQUARE, 'width="9mm" height="9mm" viewBox="0 0 0 0"'),
        _answers("svg.view_box"),
    ),
    "viewBox of NaN": (
        lambda: drawing(SQUARE, 'width="9mm" height="9mm" viewBox="0 0 NaN 9"'),
        _answers("svg.view_box"),
    ),
    "viewBox of nearly zero": (
        lambda: drawing(SQUARE, 'width="9mm" height="9mm" viewBox="0 0 1e-300 1e-300"'),
        _answers("svg.view_box"),
    ),
    "endless page": (
        lambda: drawing(SQUARE, 'width="1e300" height="1e-300" viewBox="0 0 9 9"'),
        _answers("svg.size"),
    ),
    "endless viewport": (
        lambda: drawing(
            f'<svg width="1e308" height="1e308" viewBox="0 0 9 9">{SQUARE}<circle r="50%"/></svg>'
        ),
        _answers("svg.coordinate"),
    ),
    "endless angle": (lambda: drawing(f'<g transform="rotate(1e999)">{SQUARE}</g>'), _answers(OK)),
    "endless picture": (
        lambda: drawing(f'{SQUARE}<image width="1e308" height="1e308" href="{picture(2, 2)}"/>'),
        _answers("svg.coordinate"),
    ),
    "endless colours": (
        lambda: drawing(f'<g fill="hsl(1e999,1%,1%)" stroke="rgb(1e999,0,0)">{SQUARE}</g>'),
        _answers(OK),
    ),
    "page of zero": (lambda: drawing(SQUARE, 'width="0" height="9mm"'), _answers("svg.size")),
    "photo of 200 megapixels": (lambda: photo(20_000, 10_000), _answers("svg.pixels")),
    "photo of 60 megapixels": (lambda: photo(10_000, 6_000), _answers("svg.pixels")),
    "photo of 4 gigapixels": (lambda: photo(65_000, 65_000), _answers("svg.pixels")),
    "photo cut short": (lambda: photo(5_000, 5_000), _answers("svg.nothing")),
    "only text nobody can write": (
        lambda: drawing("<flowRoot><flowPara>hello</flowPara></flowRoot>"),
        _answers("svg.nothing_text"),
    ),
    "too much text": (lambda: drawing("<text>" + "abc " * 100_000 + "</text>"), _answers("svg.text")),
    "text of giants": (lambda: drawing('<text font-size="1e30">abc</text>'), _answers("svg.coordinate")),
    "deep text": (
        lambda: drawing(SQUARE + "<text>" + "<tspan>" * 190 + "x" + "</tspan>" * 190 + "</text>"),
        _answers(OK),
    ),
    "everything clipped away": (
        lambda: drawing(
            '<clipPath id="c"><rect x="50" y="50" width="3" height="3"/></clipPath>'
            f'<g clip-path="url(#c)">{SQUARE}</g>'
        ),
        _answers("svg.nothing_clipped"),
    ),
    "everything hidden": (lambda: drawing(f'<g display="none">{SQUARE}</g>'), _answers("svg.nothing_hidden")),
    "clip of itself": (
        lambda: drawing(
            '<clipPath id="c" clip-path="url(#c)"><rect width="50" height="50"/></clipPath>'
            f'<g clip-path="url(#c)">{SQUARE}</g>'
        ),
        _answers("svg.nothing_clipped"),
    ),
    "clips that cross themselves": (
        lambda: drawing(
            f'<clipPath id="c"><path d="M0 0{"l90 90-90-30l0-60" * 3000}"/></clipPath>'
            + "".join(f'<g transform="translate({n})" clip-path="url(#c)">{SQUARE}</g>' for n in range(200))
        ),
        _answers("svg.nothing_clipped"),
    ),
    "many clips": (
        lambda: drawing(
            '<clipPath id="c"><circle r="30"/></clipPath>'
            + "".join(
                f'<g transform="translate({n / 100})" clip-path="url(#c)">{SQUARE}</g>' for n in range(5000)
            )
        ),
        _answers(OK, "svg.nothing_clipped"),
    ),
    "billion laughs": (billion_laughs, _answers("svg.entity")),
    "XXE": (
        lambda: doctype('<!ENTITY x SYSTEM "file:///etc/passwd">', f"{SQUARE}<text>&x;</text>"),
        _answers("svg.entity"),
    ),
    "parameter entity": (lambda: doctype('<!ENTITY % x "a">%x;'), _answers("svg.entity")),
    "entity of markup": (lambda: doctype('<!ENTITY x "<g/>">', f"&x;{SQUARE}"), _answers("svg.entity")),
    "entity that swells": (
        lambda: doctype(f'<!ENTITY x "{"x" * 900}">', f"<title>{'&x;' * 100_000}</title>{SQUARE}"),
        _answers("svg.bytes"),
    ),
    "unknown entity": (lambda: drawing(f"<title>&nbsp;</title>{SQUARE}"), _answers("svg.broken")),
    "document type without end": (_without_doctype_end, _answers("svg.entity", "svg.not_svg")),
    "200 nested groups": (lambda: nested(198), _answers(OK)),
    "1000 nested groups": (lambda: nested(1000), _answers("svg.depth")),
    "20 000 nested groups": (lambda: nested(20_000), _answers("svg.depth")),
    "broken XML": (lambda: drawing(f"<g>{SQUARE}"), _answers("svg.broken")),
    "control characters": (lambda: drawing(f"<title>\x01</title>{SQUARE}"), _answers("svg.broken")),
    "HTML": (lambda: b"<!DOCTYPE html><html><svg/></html>", _answers("svg.not_svg")),
    "HTML without a type": (lambda: b"<html><svg/></html>", _answers("svg.not_svg")),
    "empty": (lambda: b"", _answers("file.empty")),
    "blank": (lambda: b"  \n ", _answers("svg.not_svg")),
    "STL": (lambda: b"solid x\nfacet normal 0 0 1", _answers("svg.not_svg")),
    "PNG": (lambda: b"\x89PNG\r\n\x1a\n" + bytes(range(256)), _answers("svg.not_svg")),
    "UTF-16": (lambda: ("\ufeff" + drawing(SQUARE).decode()).encode("utf-16-le"), _answers(OK)),
    "UTF-16 BE": (lambda: ("\ufeff" + drawing(SQUARE).decode()).encode("utf-16-be"), _answers(OK)),
    "Latin 1": (
        lambda: '<?xml version="1.0" encoding="ISO-8859-1"?><!-- é -->'.encode("latin-1") + drawing(SQUARE),
        _answers(OK),
    ),
    "unknown encoding": (
        lambda: b'<?xml version="1.0" encoding="EBCDIC-XX"?>' + drawing(SQUARE),
        _answers("svg.encoding"),
    ),
    "encoding that is none": (
        lambda: b'<?xml version="1.0" encoding="zip"?>' + drawing(SQUARE),
        _answers("svg.encoding"),
    ),
    "compressed": (lambda: gzip.compress(drawing(SQUARE)), _answers(OK)),
    "gzip bomb": (lambda: gzip.compress(b" " * 30_000_000), _answers("svg.unpacked")),
    "gzip cut short": (lambda: gzip.compress(drawing(SQUARE))[:-20], _answers("svg.broken")),
    "gzip of nonsense": (lambda: b"\x1f\x8bnonsense", _answers("svg.broken")),
    "too many bytes": (lambda: b"<svg>" + b" " * (20 << 20), _answers("svg.bytes")),
    "too many tags": (lambda: b"<svg>" + b"<a/>" * 700_000, _answers("svg.elements")),
    "too many attributes": (
        lambda: drawing("<g " + " ".join(f'a{n}=""' for n in range(400_000)) + f"/>{SQUARE}"),
        _answers("svg.attributes"),
    ),
    "too many rules": (lambda: styled("a{fill:red}" * 6000), _answers("svg.style")),
    "tangled selectors": (
        lambda: styled(
            "".join(f"{'g ' * 9}.c{n} *{{fill:red}}" for n in range(4900)),
            "<g>" * 150 + SQUARE * 2000 + "</g>" * 150,
        ),
        _answers("svg.style"),
    ),
    "rules of stars": (lambda: styled("*{fill:red}" * 4990, SQUARE * 20_000), _answers("svg.style")),
    "half a style sheet": (lambda: styled("{" * SHEET_CHARS), _answers(OK)),
    "at-rules": (lambda: styled("@a;" * (SHEET_CHARS // 6) + "@a{}" * (SHEET_CHARS // 8)), _answers(OK)),
    "half a style": (
        lambda: drawing(f'<rect width="3" height="3" style="{"fill:((((" * 300_000}"/>{SQUARE}'),
        _answers(OK),
    ),
    "a long transform": (
        lambda: drawing(f'<g transform="{"rotate(3)" * 200_000}">{SQUARE}</g>'),
        _answers(OK),
    ),
    "a transform of blanks": (
        lambda: drawing(f'<g transform="rotate({" " * 3_000_000}x">{SQUARE}</g>'),
        _answers(OK),
    ),
    "a number of 3 MB": (lambda: path("M0 0L" + "1" * 3_000_000), _answers(OK)),
    "a path of commas": (lambda: path("M0 0L" + "," * 3_000_000), _answers(OK)),
    "a path of blanks": (lambda: path("M0 0A" + " " * 3_000_000), _answers(OK)),
    "a length of 3 MB": (
        lambda: drawing(f'<rect width="{"1" * 3_000_000}x" height="3"/>{SQUARE}'),
        _answers(OK),
    ),
    "a colour of 3 MB": (lambda: drawing(f'<rect fill="rgb({"1 " * 1_500_000})"/>{SQUARE}'), _answers(OK)),
    "an address of blanks": (lambda: drawing(f'<rect fill="url(#{" " * 3_000_000}"/>{SQUARE}'), _answers(OK)),
}
