"""An upload: the field `file` of a multipart/form-data body, handed on as it comes and never held in memory.

The library's own reader knows no total and waits for ever, so this one is ours. Other fields are skipped, so that none
of them can pose as a file of the server. A body that is cut or malformed raises before the iterator ends, so that what
was received so far is thrown away. The name is for display only and is cleaned here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import unquote

from aiohttp import web

from orchestrator.domain.errors import Fault, Rejected, TooLarge
from web.bodies import Paced
from web.errors import BadRequest, UnsupportedMedia
from web.keys import LAB

FIELD = "file"
PARTS_MAX = 20
PART_HEADER_BYTES_MAX = 8 * 1024
OTHER_FIELDS_BYTES_MAX = 256 * 1024  # all that is not the file, in one body
NAME_CHARACTERS_MAX = 120
NAMELESS = "file"

_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{1,70}")  # RFC 2046
_PARAMETER = re.compile(r""";[ \t]*([A-Za-z0-9*_-]+)=("(?:[^"\\]|\\.)*"|[^;\s"]*)""")


@dataclass(frozen=True, kw_only=True)
class Upload:
    name: str  # for display, cleaned
    chunks: AsyncIterator[bytes]


async def upload_of(request: web.Request) -> Upload:
    """The file of a request. Raises UnsupportedMedia, BadRequest, TooLarge, and Rejected where there is no such field;
    the iterator raises the same, and TooSlow."""
    limit_bytes = request.app[LAB].limits.upload_bytes + OTHER_FIELDS_BYTES_MAX
    body = _Body(Paced(request, limit_bytes=limit_bytes), _boundary(request))
    await body.skip()  # whatever stands before the first part
    while await body.another():
        name, file_name = _disposition(await body.headers())
        if name == FIELD:
            return Upload(name=clean_name(file_name), chunks=_only(body))
        await body.skip()
    fault = Fault(
        rule="field.missing",
        where=FIELD,
        remedy="Send the file in the field “file”.",
        texts={"remedy_fr": "Envoyez le fichier dans le champ « file »."},
    )
    raise Rejected("There is no file in this request.", code="upload.no_file", faults=(fault,))


async def _only(body: _Body) -> AsyncIterator[bytes]:
    """The file's bytes; it ends only when the whole body was there and held no second one."""
    async for chunk in body.part():
        yield chunk
    while await body.another():
        name, _ = _disposition(await body.headers())
        if name == FIELD:
            raise BadRequest("Send one file at a time.", code="upload.two_files")
        await body.skip()


def clean_name(name: str) -> str:
    """What a person may read: the last part of a path, without control or direction characters, not too long."""
    composed = unicodedata.normalize("NFC", name.replace("\\", "/").rsplit("/", 1)[-1])
    visible = "".join(c if not unicodedata.category(c).startswith(("C", "Z")) else " " for c in composed)
    words = " ".join(visible.split()).strip(". ")
    if len(words) > NAME_CHARACTERS_MAX:
        suffix = PurePosixPath(words).suffix[:10]
        words = words[: NAME_CHARACTERS_MAX - len(suffix)].rstrip() + suffix
    return words or NAMELESS


def _boundary(request: web.Request) -> bytes:
    if request.content_type != "multipart/form-data":
        raise UnsupportedMedia("Send multipart/form-data with the field “file”.")
    found = request._content_dict or {}
    boundary = found.get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        raise BadRequest("The multipart boundary is missing or malformed.", code="multipart")
    return boundary.encode()


def _disposition(headers: bytes) -> tuple[str, str]:
    """Field name and file name of a part."""
    for line in headers.decode("utf-8", errors="replace").split("\r\n"):
        title, _, value = line.partition(":")
        if title.strip().lower() == "content-disposition":
            found = {k.lower(): _unquoted(v) for k, v in _PARAMETER.findall(value)}
            extended = found.get("filename*", "")
            encoded = unquote(extended.split("'", 2)[2], errors="replace") if extended.count("'") >= 2 else ""
            return found.get("name", ""), encoded or found.get("filename", "")
    raise BadRequest("A part does not say which field it is.", code="multipart")


def _unquoted(value: str) -> str:
    if not value.startswith('"'):
        return value
    return value[1:-1].replace('\\"', '"').replace("\\\\", "\\").replace("%22", '"')


class _Body:
    """Walks through the parts: `another`, then `headers`, then `part` or `skip`, and again."""

    def __init__(self, paced: Paced, boundary: bytes) -> None:
        self._paced = paced
        self._mark = b"\r\n--" + boundary
        self._buffer = b"\r\n"  # so that the first mark looks like all others
        self._parts = 0
        self._skipped_bytes = 0

    async def part(self) -> AsyncIterator[bytes]:
        """The bytes up to the next mark, which is then consumed. Never an empty chunk."""
        while (at := self._buffer.find(self._mark)) < 0:
            sure = len(self._buffer) - len(self._mark) + 1  # the rest may be the beginning of a mark
            if sure > 0:
                chunk, self._buffer = self._buffer[:sure], self._buffer[sure:]
                yield chunk
            await self._more()
        chunk, self._buffer = self._buffer[:at], self._buffer[at + len(self._mark) :]
        if chunk:
            yield chunk

    async def skip(self) -> None:
        async for chunk in self.part():
            self._skipped_bytes += len(chunk)
            if self._skipped_bytes > OTHER_FIELDS_BYTES_MAX:
                raise TooLarge("The fields beside the file are too large.")

    async def another(self) -> bool:
        """After a mark: does a part follow, or was it the last?"""
        while len(self._buffer) < 2:
            await self._more()
        if self._buffer.startswith(b"--"):
            return False
        self._parts += 1
        if self._parts > PARTS_MAX:
            raise TooLarge(f"At most {PARTS_MAX} fields are taken.")
        return True

    async def headers(self) -> bytes:
        while (at := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > PART_HEADER_BYTES_MAX:
                break
            await self._more()
        if not 0 <= at <= PART_HEADER_BYTES_MAX or not self._buffer.startswith(b"\r\n"):
            raise BadRequest("A part’s headers are malformed or too long.", code="multipart")
        headers, self._buffer = self._buffer[:at], self._buffer[at + 4 :]
        return headers

    async def _more(self) -> None:
        chunk = await self._paced.read()
        if not chunk:
            raise BadRequest("The multipart body ends before its end.", code="upload.cut")
        self._buffer += chunk
