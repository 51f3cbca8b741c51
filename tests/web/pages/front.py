"""The real web face before a lab for tests, and a browser that only follows links and sends forms."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from html import unescape
from pathlib import Path

from aiohttp import ClientResponse, FormData
from aiohttp.test_utils import TestClient, TestServer

from monitoring.metrics import Metrics
from orchestrator.domain.member import Member
from tests.builders import a_member
from tests.flow.home import Home, a_home
from web.app import build
from web.identity import hash_password
from web.settings import WebSettings

PASSWORD = "correct horse battery"
HASH = hash_password(PASSWORD)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a browser shows after a request and its redirects."""

    status: int
    path: str
    html: str
    headers: Mapping[str, str]

    @property
    def text(self) -> str:
        """What one reads: without tags, with single spaces."""
        words = unescape(re.sub(r"<[^>]+>", " ", re.sub(r"(?s)<head>.*?</head>", "", self.html)))
        return re.sub(r"\s+", " ", words)

    def link(self, pattern: str) -> str:
        """The first address on the page that looks so."""
        found = re.search(rf'(?:href|action)="({pattern})"', self.html)
        assert found is not None, f"no {pattern} on the page: {self.text}"
        return unescape(found[1])


class Visitor:
    """A browser without scripts: keeps cookies, sends what the page's forms would send."""

    def __init__(self, client: TestClient) -> None:  # type: ignore[type-arg]
        self._client = client
        self._token = ""

    async def get(self, path: str, **headers: str) -> Seen:
        return await self._seen(await self._client.get(path, headers=_browser(headers)))

    async def post(self, path: str, form: Mapping[str, str] | None = None, **headers: str) -> Seen:
        given = {"csrf": self._token} | dict(form or {})
        return await self._seen(await self._client.post(path, data=given, headers=_browser(headers)))

    async def upload(self, name: str, content: bytes) -> Seen:
        body = FormData()
        body.add_field("file", content, filename=name, content_type="model/stl")
        headers = _browser({"X-CSRF-Token": self._token})
        return await self._seen(await self._client.post("/files", data=body, headers=headers))

    async def sign_in(self, member: Member, password: str = PASSWORD, following: str = "/") -> Seen:
        form = {"email": member.email, "password": password, "next": following}
        return await self.post("/sign-in", form)

    async def _seen(self, response: ClientResponse) -> Seen:
        html = await response.text()
        if token := re.search(r'name="csrf" value="([^"]*)"', html):
            self._token = token[1]
        return Seen(
            status=response.status, path=response.url.raw_path_qs, html=html, headers=dict(response.headers)
        )


def _browser(headers: Mapping[str, str]) -> dict[str, str]:
    return {"Accept": "text/html", "Accept-Language": "en", "Sec-Fetch-Site": "same-origin"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }


@dataclass
class Front:
    home: Home
    server: TestServer

    @asynccontextmanager
    async def visitor(self) -> AsyncIterator[Visitor]:
        """Somebody who is not signed in."""
        async with TestClient(self.server) as client:
            yield Visitor(client)

    async def person(self, **who: object) -> Member:
        """Somebody with a password, training and money."""
        like = await self.home.member()
        member = replace(a_member(password_hash=HASH, locale="en", **who), account_id=like.account_id)
        await self.home.store.write(lambda unit: unit.add_member(member))
        return member


@asynccontextmanager
async def a_front(tmp_path: Path) -> AsyncIterator[Front]:
    async with a_home(tmp_path) as home:
        settings = WebSettings(base_url="http://127.0.0.1", secure_cookies=False)
        server = TestServer(build(home.lab, settings, Metrics(home.store).exposition))
        await server.start_server()
        try:
            yield Front(home=home, server=server)
        finally:
            await server.close()
