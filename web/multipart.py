"""Uploads, read with an end in every direction: bytes, seconds, parts, names.

aiohttp's multipart reader finds the parts; it knows no total and waits for ever, so every read here has a
limit and an end. The bytes of the field `file` are handed on as they come; nothing is kept in memory but
one chunk. A body that is cut or malformed raises before its last byte is handed on, so that what was
received is thrown away.
"""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from aiohttp import BodyPartReader, MultipartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from orchestrator.domain.errors import Fault, Rejected, TooLarge
from web.errors import BadRequest, TooMany, TooSlow, UnsupportedMedia
from web.keys import LAB, SETTINGS, UPLOADS
from web.security import member_of
from web.settings import WebSettings

READ_BYTES = 256 * 1024
PARTS_MAX = 20
OTHER_FIELDS_BYTES_MAX = 256 * 1024
ENVELOPE_BYTES = 64 * 1024  # boundaries, part headers and small fields beside the file
NAME_CHARACTERS_MAX = 120
FIELD = "file"
NAMELESS = "model"
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Upload:
    name: str  # for display only
    chunks: AsyncIterator[bytes]


@asynccontextmanager
async def upload_of(request: web.Request) -> AsyncIterator[Upload]:
    """The file of a multipart/form-data request, while it is read.

    Raises UnsupportedMedia for another content type, BadRequest for a broken body or one without the field,
    TooLarge, TooSlow, and TooMany when this member sends too many at once.
    """
    if request.content_type != "multipart/form-data":
        raise UnsupportedMedia("Send the file as multipart/form-data, in the field “file”.")
    _refuse_declared(request)
    member_id, sending = member_of(request).id, request.app[UPLOADS]
    if sending[member_id] >= request.app[SETTINGS].uploads_per_member_max:
        raise TooMany(
            "Wait until one of your uploads is done.", code="upload.too_many", retry_after_seconds=5
        )
    sending[member_id] += 1
    try:
        pace = _Pace(request.app[SETTINGS])
        with _Border():
            reader = await request.multipart()
            part = await _file_part(reader, pace)
        yield Upload(name=display_name(part.filename or ""), chunks=_chunks(reader, part, pace))
    finally:
        sending[member_id] -= 1
        if not sending[member_id]:
            del sending[member_id]


def _refuse_declared(request: web.Request) -> None:
    """What says itself that it is too large is not read at all."""
    limit = request.app[LAB].limits.upload_bytes
    if request.content_length is not None and request.content_length > limit + ENVELOPE_BYTES:
        raise TooLarge(
            f"The upload says it has {request.content_length} bytes; {limit} are allowed.",
            faults=(Fault(rule="file.too_large", where=FIELD, seen=str(request.content_length)),),
        )


class _Border:
    """The library's errors become ours; a connection that is cut stays what it is."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ValueError | AssertionError | HttpProcessingError | EOFError):
            raise BadRequest("The body is no whole multipart/form-data.") from error


class _Pace:
    """Every read has an end, and a body must come at a least rate, averaged over a window."""

    def __init__(self, settings: WebSettings) -> None:
        self._stall_seconds = settings.body_stall_seconds
        self._window_seconds = settings.body_rate_window_seconds
        self._least = settings.body_bytes_per_second_min * settings.body_rate_window_seconds
        self._bytes = 0
        self._since = asyncio.get_running_loop().time()

    async def read(self, part: BodyPartReader) -> bytes:
        chunk = await self._in_time(part.read_chunk(READ_BYTES))
        self._count(len(chunk))
        return chunk

    async def next(self, reader: MultipartReader) -> BodyPartReader | None:
        """The next part; None after the last."""
        part = await self._in_time(reader.next())
        if part is not None and not isinstance(part, BodyPartReader):
            raise BadRequest("Parts within parts are not taken.")
        return part

    async def _in_time(self, reading: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._stall_seconds):
                return await reading
        except TimeoutError as error:
            raise TooSlow("The upload stopped.") from error
        except (OSError, web.RequestPayloadError) as gone:
            raise Rejected("The upload ended before its end.", code="upload.cut") from gone

    def _count(self, size: int) -> None:
        now = asyncio.get_running_loop().time()
        self._bytes += size
        if now - self._since >= self._window_seconds:
            if self._bytes < self._least:
                raise TooSlow("The upload is too slow.")
            self._bytes, self._since = 0, now


async def _file_part(reader: MultipartReader, pace: _Pace) -> BodyPartReader:
    """The part named `file`; the fields before it are read over and ignored."""
    skipped = 0
    for _ in range(PARTS_MAX):
        part = await pace.next(reader)
        if part is None:
            break
        if part.name == FIELD:
            return part
        while chunk := await pace.read(part):
            skipped += len(chunk)
            if skipped > OTHER_FIELDS_BYTES_MAX:
                raise TooLarge("The fields beside the file are too large.")
    raise Rejected(
        "There is no field “file” in the upload.",
        code="fields",
        faults=(Fault(rule="field.missing", where=FIELD, remedy="Send the file in the field “file”."),),
    )


async def _chunks(reader: MultipartReader, part: BodyPartReader, pace: _Pace) -> AsyncIterator[bytes]:
    """The file's bytes; it ends only when the whole body was there, to its closing boundary."""
    with _Border():
        while chunk := await pace.read(part):
            yield chunk
        for _ in range(PARTS_MAX):
            further = await pace.next(reader)
            if further is None:
                return
            while await pace.read(further):
                pass
        raise BadRequest("There are too many parts.")


def display_name(sent: str) -> str:
    """A name fit to be shown: its last component, without control, direction or unassigned characters;
    never a path."""
    last = sent.replace("\\", "/").rpartition("/")[2]
    kept = "".join(c for c in unicodedata.normalize("NFC", last) if unicodedata.category(c)[0] != "C")
    kept = " ".join(kept.split()).strip(". ")
    if len(kept) > NAME_CHARACTERS_MAX:
        stem, dot, ending = kept.rpartition(".")
        keep_ending = dot + ending if stem and len(ending) <= 5 else ""
        kept = kept[: NAME_CHARACTERS_MAX - len(keep_ending)] + keep_ending
    return kept or NAMELESS
