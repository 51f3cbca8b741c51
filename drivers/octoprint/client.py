"""The one place where this driver touches the wire: every answer is bounded in bytes and in seconds.

No redirects (a key must not wander), no proxy from the environment, no cookies (the key in the header does
without, and they would call for CSRF tokens), nothing is sent twice.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, BinaryIO

import aiohttp
from yarl import URL

from drivers.octoprint import wire
from orchestrator.domain.errors import MachineAuthFailed, MachineUnreachable, Misconfigured
from orchestrator.domain.event import Json

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 10.0
CLOSE_SECONDS = 1.0
ANSWER_BYTES_MAX = 4 << 20
UPLOAD_BYTES_PER_SECOND = 25_000
"""The slowest wireless link worth waiting for; sets an upload's deadline."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    url: URL
    api_key: str
    answer_seconds: float = ANSWER_SECONDS

    @staticmethod
    def of(connection: Mapping[str, Json]) -> Settings:
        """Raises Misconfigured naming the key that is wrong."""
        unknown = sorted(set(connection) - set(Settings.__dataclass_fields__))
        if unknown:
            raise Misconfigured(f"“{unknown[0]}” is no setting of an OctoPrint.", code="driver.setting")
        key, seconds = connection.get("api_key"), connection.get("answer_seconds", ANSWER_SECONDS)
        if not isinstance(key, str) or not key.isascii() or not key.isprintable() or not key:
            raise _wrong("api_key", "the API key of an OctoPrint user")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= 120:
            raise _wrong("answer_seconds", "a number of seconds, 120 at most")
        return Settings(url=_url(connection.get("url")), api_key=key, answer_seconds=float(seconds))


def _url(value: Json) -> URL:
    wrong = _wrong("url", "the address of an OctoPrint, such as http://printer-3.lan")
    try:
        url = URL(value if isinstance(value, str) else "")
    except ValueError as error:
        raise wrong from error
    if url.scheme not in {"http", "https"} or not url.host or url.query_string or url.user:
        raise wrong
    return url


def _wrong(key: str, wanted: str) -> Misconfigured:
    return Misconfigured(f"The machine's setting “{key}” must be {wanted}.", code="driver.setting")


@dataclass(frozen=True, kw_only=True)
class Answer:
    status: int
    body: bytes
    date: datetime | None  # by OctoPrint's clock, in whole seconds

    @property
    def json(self) -> Any:
        return wire.parse(self.body)

    @property
    def words(self) -> str:
        return wire.words_of(self.body)


class OctoPrintClient:
    """A session with one OctoPrint. Raises MachineUnreachable, and MachineAuthFailed for a refused key."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._headers = {"X-Api-Key": settings.api_key}
        self._session = self._new_session(force_close=False)

    def _new_session(self, *, force_close: bool) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit_per_host=4, force_close=force_close),
            headers=self._headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=self._settings.answer_seconds, sock_connect=CONNECT_SECONDS),
            trust_env=False,
        )

    async def close(self) -> None:
        await self._session.close()

    async def get(self, path: str) -> Answer:
        return await self._call("GET", path)

    async def post(self, path: str, body: Mapping[str, object]) -> Answer:
        return await self._call("POST", path, json=dict(body))

    async def delete(self, path: str) -> Answer:
        return await self._call("DELETE", path)

    async def post_once(self, path: str, body: Mapping[str, object]) -> Answer:
        """Over a connection of its own, so that a stale one is never the reason for a doubt.

        aiohttp's errors pass: only the caller can judge what they leave open.
        """
        async with (
            self._new_session(force_close=True) as session,
            session.post(self._at(path), json=dict(body), allow_redirects=False) as response,
        ):
            return await _answer(response)

    async def upload(self, path: Path, size_bytes: int, name: str, userdata: str) -> Answer:
        """`POST /api/files/local`, multipart; never with `select` or `print`."""
        file = await asyncio.to_thread(path.open, "rb")
        try:
            seconds = self._settings.answer_seconds + size_bytes / UPLOAD_BYTES_PER_SECOND
            timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_SECONDS)
            return await self._call(
                "POST", "/api/files/local", data=_form(file, name, userdata), timeout=timeout
            )
        finally:
            file.close()

    async def socket(self) -> aiohttp.ClientWebSocketResponse:
        """The push socket, not logged in yet."""
        try:
            return await self._session.ws_connect(
                self._at("/sockjs/websocket"),
                max_msg_size=ANSWER_BYTES_MAX,
                timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_SECONDS),
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise MachineUnreachable(f"OctoPrint's push socket does not open: {_say(error)}") from error

    async def login(self) -> tuple[str, str]:
        """User name and session for the push socket."""
        return wire.login((await self.post("/api/login", {"passive": True})).json)

    async def _call(self, method: str, path: str, **options: Any) -> Answer:
        try:
            async with self._session.request(
                method, self._at(path), allow_redirects=False, **options
            ) as response:
                answer = await _answer(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise MachineUnreachable(f"OctoPrint does not answer: {_say(error)}") from error
        return _checked(answer)

    def _at(self, path: str) -> URL:
        return self._settings.url.joinpath(path.lstrip("/"))


def _form(file: BinaryIO, name: str, userdata: str) -> aiohttp.FormData:
    form = aiohttp.FormData()
    form.add_field("userdata", userdata)
    form.add_field("file", file, filename=name, content_type="application/octet-stream")
    return form


async def _answer(response: aiohttp.ClientResponse) -> Answer:
    body = b""
    while len(body) <= ANSWER_BYTES_MAX:
        piece = await response.content.read(1 << 16)
        if not piece:
            break
        body += piece
    else:
        response.close()
        raise MachineUnreachable("OctoPrint's answer is larger than any answer should be.")
    date = None
    with suppress(ValueError, TypeError):
        date = parsedate_to_datetime(response.headers.get("Date", ""))
    return Answer(status=response.status, body=body, date=date if date and date.tzinfo else None)


def _checked(answer: Answer) -> Answer:
    """What every call may meet; the other statuses are the caller's to read."""
    if answer.status in {401, 403}:
        raise MachineAuthFailed(f"OctoPrint refuses our key: {answer.words or answer.status}")
    if 300 <= answer.status < 400:
        raise Misconfigured("OctoPrint sends us elsewhere; set `url` to that address.", code="driver.setting")
    if answer.status >= 500:
        raise MachineUnreachable(f"OctoPrint answered with {answer.status}. {answer.words}".strip())
    return answer


def _say(error: BaseException) -> str:
    return str(error)[:200] or type(error).__name__


def fingerprint(path: Path) -> tuple[int, str]:
    """Size in bytes and SHA-1, by which OctoPrint itself tells files apart."""
    with path.open("rb") as file:
        return path.stat().st_size, hashlib.file_digest(file, "sha1").hexdigest()
