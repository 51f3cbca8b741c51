"""A calendar at an address, on loopback: what any system that writes iCal serves, and what only pretends to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web

from tests.rigs.fake_server import FakeServer

CRLF = "\r\n"


def event(uid: str, *lines: str) -> str:
    return CRLF.join(["BEGIN:VEVENT", f"UID:{uid}", "DTSTAMP:20260101T000000Z", *lines, "END:VEVENT"])


def calendar(*parts: str) -> str:
    return CRLF.join(["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//lab//EN", *parts, "END:VCALENDAR", ""])


@dataclass
class FakeFeed(FakeServer):
    text: str | bytes = calendar()
    etag: str = ""
    endless: bool = False  # 50 MB and no end in sight

    @property
    def url(self) -> str:
        return f"{self.base}/lab.ics"

    def lets_in(self, request: web.Request) -> bool:
        return True

    def routes(self) -> Sequence[web.RouteDef]:
        return [web.get("/lab.ics", self._get)]

    async def _get(self, request: web.Request) -> web.StreamResponse:
        if self.endless:
            response = web.StreamResponse(headers={"Content-Type": "text/calendar"})
            await response.prepare(request)
            for _ in range(50):
                try:
                    await response.write(b"X-NOISE:" + b"x" * (1 << 20))
                except ConnectionError:
                    break
            return response
        headers = {"ETag": self.etag} if self.etag else {}
        if self.etag and request.headers.get("If-None-Match") == self.etag:
            return web.Response(status=304, headers=headers)
        body = self.text if isinstance(self.text, bytes) else self.text.encode()
        return web.Response(body=body, content_type="text/calendar", headers=headers)
