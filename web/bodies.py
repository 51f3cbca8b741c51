"""Request bodies, read with an end in every direction: bytes, seconds, and the rules of JSON.

What cannot be read is a BadRequest, never our mistake: the standard parser takes NaN, repeated names,
numbers of five thousand digits and ten thousand brackets, and here none of them passes.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Sequence
from typing import Any, NoReturn

from aiohttp import web

from orchestrator.domain.errors import Rejected, TooLarge
from web.errors import BadRequest, TooSlow, UnsupportedMedia
from web.keys import RAW, SETTINGS

READ_BYTES = 256 * 1024
JSON_BYTES_MAX = 64 * 1024
JSON_DEPTH_MAX = 32
JSON_DIGITS_MAX = 18


class Paced:
    """A body that comes in time. The seconds are the wire's own (the loop's clock), whatever time it is at
    the lab."""

    def __init__(self, request: web.Request, *, limit_bytes: int) -> None:
        self._content = request.content
        self._settings = request.app[SETTINGS]
        self._limit_bytes = limit_bytes
        self._total_bytes = 0
        self._waited_seconds = 0.0
        self._window_bytes = 0
        if request.content_length is not None and request.content_length > limit_bytes:
            raise TooLarge(f"At most {limit_bytes} bytes are taken here.")

    async def read(self) -> bytes:
        """What has come; empty at the end. Raises TooSlow, TooLarge, Rejected (`upload.cut`) when the
        sender is gone."""
        loop = asyncio.get_running_loop()
        asked = loop.time()
        try:
            async with asyncio.timeout(self._settings.body_stall_seconds):
                chunk = await self._content.read(READ_BYTES)
        except TimeoutError:
            raise TooSlow from None
        except (OSError, web.RequestPayloadError) as gone:
            raise Rejected("The request ended before its end.", code="upload.cut") from gone
        self._count(len(chunk), loop.time() - asked)
        return chunk

    def _count(self, size_bytes: int, waited_seconds: float) -> None:
        """Only the sender's time counts, not what we do with the bytes between two reads."""
        self._total_bytes += size_bytes
        if self._total_bytes > self._limit_bytes:
            raise TooLarge(f"At most {self._limit_bytes} bytes are taken here.")
        self._window_bytes += size_bytes
        self._waited_seconds += waited_seconds
        if self._waited_seconds < self._settings.body_rate_window_seconds:
            return
        if self._window_bytes < self._waited_seconds * self._settings.body_bytes_per_second_min:
            raise TooSlow
        self._window_bytes, self._waited_seconds = 0, 0.0


async def read_raw(request: web.Request) -> bytes:
    """The body of a call, whole; read once and kept with the request. Raises TooLarge, TooSlow, Rejected."""
    if RAW not in request:
        paced = Paced(request, limit_bytes=JSON_BYTES_MAX)
        parts: list[bytes] = []
        while chunk := await paced.read():
            parts.append(chunk)
        request[RAW] = b"".join(parts)
    return request[RAW]


async def read_json(request: web.Request) -> tuple[bytes, Any]:
    """The body as it came and as it reads; `(b"", None)` for an empty one.

    Raises UnsupportedMedia, TooLarge, TooSlow, BadRequest.
    """
    raw = await read_raw(request)
    if not raw:
        return raw, None
    if request.content_type != "application/json" or (request.charset or "utf-8").lower() != "utf-8":
        raise UnsupportedMedia("Send application/json in UTF-8.")
    return raw, parse_json(raw)


def parse_json(raw: bytes) -> Any:
    """JSON by its rules and within our limits. Raises BadRequest."""
    try:
        text = raw.decode("utf-8")
        value = json.loads(
            text,
            parse_constant=_refuse_constant,
            parse_int=_parse_int,
            parse_float=_parse_float,
            object_pairs_hook=_unique,
        )
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise BadRequest("This is not JSON.", code="json") from error
    _refuse_odd(value, JSON_DEPTH_MAX)
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise BadRequest(f"{name} is no number in JSON.", code="json")


def _parse_int(text: str) -> int:
    if len(text) > JSON_DIGITS_MAX + 1:
        raise BadRequest("This number is too long.", code="json")
    return int(text)


def _parse_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise BadRequest("This number is too large.", code="json")
    return value


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadRequest("A name stands twice in one object.", code="json")
    return found


def _refuse_odd(value: Any, depth_left: int) -> None:
    """Neither too deep, nor with characters that no database and no page can carry."""
    if depth_left == 0:
        raise BadRequest("This is nested too deeply.", code="json")
    if isinstance(value, dict):
        for name, inner in value.items():
            _refuse_characters(name)
            _refuse_odd(inner, depth_left - 1)
    elif isinstance(value, list):
        for inner in value:
            _refuse_odd(inner, depth_left - 1)
    elif isinstance(value, str):
        _refuse_characters(value)


def _refuse_characters(text: str) -> None:
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise BadRequest("This text holds characters that cannot be stored.", code="json")
