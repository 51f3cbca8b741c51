"""What the fakes of booking systems share: a server on loopback, a token, pages with their `Link`, bad days."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from aiohttp import web

T = TypeVar("T", bound="FakeServer")


@dataclass
class FakeServer:
    """`bad` answers are given first, one a request, then the truth again."""

    token: str = "let-me-in"
    base: str = ""
    asked: list[str] = field(default_factory=list)
    bad: list[web.Response | str] = field(default_factory=list)

    def is_busy(self, times: int = 1, retry_after: str = "2") -> None:
        """The next requests come too fast."""
        self.bad += [f"429 {retry_after}"] * times

    def fails(self, times: int = 1) -> None:
        self.bad += ["500"] * times

    def routes(self) -> Sequence[web.RouteDef]:
        raise NotImplementedError

    def lets_in(self, request: web.Request) -> bool:
        raise NotImplementedError

    def refusal(self, status: int, words: str) -> web.Response:
        return web.json_response({"errors": [words]}, status=status)

    @web.middleware
    async def _door(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.asked.append(f"{request.method} {request.path_qs}")
        if not self.lets_in(request):
            return self.refusal(401, "Bad credentials")
        if self.bad:
            bad = str(self.bad.pop(0))
            status, _, wait = bad.partition(" ")
            headers = {"Retry-After": wait} if wait else {}
            return web.json_response({"errors": ["Bad day"]}, status=int(status), headers=headers)
        answer: web.StreamResponse = await handler(request)
        return answer

    def page(
        self, request: web.Request, items: Sequence[Any], *, number: int, size: int, number_name: str
    ) -> tuple[Sequence[Any], dict[str, str]]:
        """The items of a page, and the headers that lead on."""
        first = (number - 1) * size
        headers = {"X-Total-Count": str(len(items))}
        if first + size < len(items):
            following = request.url.update_query({number_name: str(number + 1)})
            headers["Link"] = f'<{following}>; rel="next"'
        return items[first : first + size], headers

    @asynccontextmanager
    async def serving(self: T) -> AsyncIterator[T]:
        app = web.Application(middlewares=[self._door])
        app.add_routes(self.routes())
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.base = site.name.rstrip("/")
        port = runner.addresses[0][1]
        self.base = f"http://127.0.0.1:{port}"
        try:
            yield self
        finally:
            await runner.cleanup()
