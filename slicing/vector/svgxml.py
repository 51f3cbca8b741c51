"""The bytes of an SVG to its tree, with nothing fetched and nothing expanded. Knows XML, and of SVG only the root.

The parser never sees a document type: it is taken off here. Of its entities only plain strings (Illustrator's
namespaces and styles) are put in place; one that holds markup, another entity or an address is refused, used or not.
"""

from __future__ import annotations

import codecs
import re
import zlib
from dataclasses import dataclass
from html import escape
from typing import Any, TypeAlias

from lxml import etree  # type: ignore[import-untyped]

from slicing.faults import FileRefused, refused
from slicing.vector.svglimits import BYTES_MAX, DEPTH_MAX, ENTITIES_MAX, ENTITY_CHARS_MAX, RATIO_MAX, TAGS_MAX

SVG = "{http://www.w3.org/2000/svg}"
XLINK = "{http://www.w3.org/1999/xlink}"
INKSCAPE = "{http://www.inkscape.org/namespaces/inkscape}"
SODIPODI = "{http://sodipodi.sourceforge.net/DTD/sodipodi-0.dtd}"

Element: TypeAlias = Any  # lxml is untyped: an etree._Element

_DECLARED = re.compile(rb"""\s*<\?xml\s[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
_ENTITY = re.compile(r"""<!ENTITY\s+([A-Za-z_][\w.-]*)\s+("[^"]*"|'[^']*')\s*>""")
_OTHER = re.compile(
    r"<!--.*?-->|<\?.*?\?>|<!(?:ELEMENT|ATTLIST|NOTATION)\b(?:[^<>\"']|\"[^\"]*\"|'[^']*')*>", re.DOTALL
)
_HEAD = re.compile(r"""<!DOCTYPE\s+([^\s\[>]+)((?:[^\[>"']|"[^"]*"|'[^']*')*)""", re.IGNORECASE)
_SHEET = re.compile(r"""<\?xml-stylesheet\b[^?]*href\s*=\s*["'](?!#)""")
_HEAD_CHARS = 4000
_ROOT = re.compile(r"<([A-Za-z_][\w.:-]*)")


@dataclass(frozen=True, kw_only=True)
class Document:
    root: Element
    head: str  # how it begins: comments say which program wrote it
    outside_sheet: bool  # it names a stylesheet that we do not fetch

    @property
    def bare(self) -> bool:
        """Without SVG's namespace: written by hand, and meant."""
        return bool(self.root.tag == "svg")


def opened(data: bytes) -> Document:
    """Raises FileRefused (`file.empty`, `svg.*`)."""
    if not data:
        raise refused("file.empty")
    text = _text(_unpacked(data))
    if text.count("<") > TAGS_MAX:
        raise refused("svg.elements", limit=TAGS_MAX // 2)
    head, body = _prolog(text)
    root = _parsed(body)
    name = etree.QName(root)
    if name.localname != "svg" or name.namespace not in (SVG[1:-1], None):
        raise refused("svg.not_svg", found=f"<{name.localname[:40]}>")
    return Document(root=root, head=head + body[:_HEAD_CHARS], outside_sheet=bool(_SHEET.search(head)))


def _unpacked(data: bytes) -> bytes:
    if len(data) > BYTES_MAX:
        raise refused("svg.bytes", bytes=len(data), limit=BYTES_MAX)
    if not data.startswith(b"\x1f\x8b"):
        return data
    most = min(BYTES_MAX, max(len(data) * RATIO_MAX, 100_000))
    unpacking = zlib.decompressobj(31)
    try:
        unpacked = unpacking.decompress(data, most + 1)
        if len(unpacked) > most:
            raise refused("svg.unpacked", packed=len(data), limit=most)
        if not unpacking.eof:
            raise refused("svg.broken", line=0, why="the compressed file is cut short")
    except zlib.error as error:
        raise refused("svg.broken", line=0, why="the compressed file is damaged") from error
    return unpacked


def _text(data: bytes) -> str:
    for mark, name in (
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ):
        if data.startswith(mark):
            return data[len(mark) :].decode(name, "replace")
    if data.startswith(b"<\x00"):
        return data.decode("utf-16-le", "replace")
    if data.startswith(b"\x00<"):
        return data.decode("utf-16-be", "replace")
    found = _DECLARED.match(data[:300])
    name = found.group(1).decode() if found else "utf-8"
    try:
        known = codecs.lookup(name)
        text, _ = known.decode(data, "replace")
    except (LookupError, ValueError, TypeError, AssertionError) as error:
        raise refused("svg.encoding", encoding=name[:40]) from error
    if not isinstance(text, str):  # a codec of another kind: base64, zip
        raise refused("svg.encoding", encoding=name[:40])
    return text


def _prolog(text: str) -> tuple[str, str]:
    """What stands before the root, and the root; entities of the document type, if plain, are put in place."""
    at, entities = 0, dict[str, str]()
    while True:
        while at < len(text) and text[at] in " \t\r\n\ufeff":
            at += 1
        if text.startswith("<?", at):
            end = text.find("?>", at)
            after = end + 2
        elif text.startswith("<!--", at):
            end = text.find("-->", at + 4)
            after = end + 3
        elif text[at : at + 9].upper() == "<!DOCTYPE":
            end = after = _document_type(text, at, entities)
        else:
            break
        if end < 0:
            raise _no_svg(text)
        at = after
    if not _ROOT.match(text, at):
        raise _no_svg(text)
    body = text[at:]
    return text[:at], _put_in_place(body, entities) if entities else body


def _no_svg(text: str) -> FileRefused:
    start = text[:200].strip()
    shown = "".join(sign for sign in start if sign.isprintable())[:20]
    return refused("svg.not_svg", found=f"“{shown}”" if shown else "nothing readable")


def _document_type(text: str, at: int, entities: dict[str, str]) -> int:
    """Fills `entities`; returns where the declaration ends."""
    head = _HEAD.match(text, at)
    if head is None:
        raise _no_svg(text)
    if head.group(1).lower() == "html":
        raise refused("svg.not_svg", found="<html>")
    at = head.end()
    if text.startswith("[", at):
        at += 1
        while True:
            while at < len(text) and text[at] in " \t\r\n":
                at += 1
            if text.startswith("]", at):
                at += 1
                break
            if found := _ENTITY.match(text, at):
                _take(entities, found.group(1), found.group(2)[1:-1])
            else:
                found = _OTHER.match(text, at)
            if found is None:  # an address, a parameter entity, or nothing that we know
                raise refused("svg.entity", entity=text[at : at + 40].split("\n")[0])
            at = found.end()
    end = text.find(">", at)
    return end + 1 if end >= 0 else -1


def _take(entities: dict[str, str], name: str, value: str) -> None:
    if len(entities) >= ENTITIES_MAX or len(value) > ENTITY_CHARS_MAX or any(sign in value for sign in "&<%"):
        raise refused("svg.entity", entity=name[:40])
    entities.setdefault(name, escape(value))


def _put_in_place(body: str, entities: dict[str, str]) -> str:
    used = re.compile("&(" + "|".join(map(re.escape, entities)) + ");")
    grows = sum(len(entities[found.group(1)]) for found in used.finditer(body))
    if len(body) + grows > BYTES_MAX:
        raise refused("svg.bytes", bytes=len(body) + grows, limit=BYTES_MAX)
    return used.sub(lambda found: entities[found.group(1)], body)


def _parsed(body: str) -> Element:
    parser = etree.XMLParser(
        resolve_entities=False,
        load_dtd=False,
        dtd_validation=False,
        no_network=True,
        huge_tree=True,  # for path data of more than 10 MB: our own limits stand before it
        remove_comments=True,
        remove_pis=True,
        encoding="utf-8",
    )
    try:
        return etree.fromstring(body.encode("utf-8", "replace"), parser)
    except etree.XMLSyntaxError as error:
        why = str(error.msg).replace("\n", " ")[:120]
        if "depth" in why:
            raise refused("svg.depth", limit=DEPTH_MAX) from error
        raise refused("svg.broken", line=error.lineno or 0, why=why) from error
