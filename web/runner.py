"""Runs the application on sockets, with the limits that only a connection knows: half-sent headers, too many at once.

What is no HTTP at all never reaches the application; it is answered here, without a word about who we are.
"""

from __future__ import annotations

from asyncio import Transport
from collections import Counter
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from orchestrator.domain.errors import EtabliError
from web.errors import BadRequest, problem_of
from web.keys import SETTINGS
from web.security import API_CSP, HEADERS, is_in, problem_response
from web.settings import WebSettings

LINGERING_SECONDS = (
    2.0  # how long the rest of a refused request is still read, so that its sender sees the answer
)


class Runner(web.AppRunner):
    """Hand it to a `web.TCPSite`. `shutdown_seconds` is what open requests get to end by themselves."""

    __slots__ = ("_settings",)

    def __init__(self, app: web.Application, *, shutdown_seconds: float = 5.0) -> None:
        settings = app[SETTINGS]
        super().__init__(
            app,
            access_log=None,
            auto_decompress=False,  # a compressed body is refused, not unpacked
            keepalive_timeout=settings.header_seconds,  # also what a half-sent header may take
            lingering_time=LINGERING_SECONDS,
            shutdown_timeout=shutdown_seconds,
        )
        self._settings = settings

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Listener(
            self._settings,
            made.request_handler,
            request_factory=made.request_factory,
            handler_cancellation=made.handler_cancellation,
            loop=made._loop,
            **made._kwargs,
        )


class _Listener(web.Server):
    """Counts connections per peer and closes those beyond the limit; trusted proxies speak for many."""

    def __init__(self, settings: WebSettings, handler: Any, **options: Any) -> None:
        super().__init__(handler, **options)
        self._settings = settings
        self._open: Counter[str] = Counter()
        self._peers: dict[RequestHandler, str] = {}

    def __call__(self) -> RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)

    def connection_made(self, handler: RequestHandler, transport: Transport) -> None:
        super().connection_made(handler, transport)
        peer = str((transport.get_extra_info("peername") or ("",))[0])
        if is_in(peer, self._settings.trusted_proxies):
            return
        self._peers[handler] = peer
        self._open[peer] += 1
        if self._open[peer] > self._settings.connections_per_peer_max:
            transport.abort()

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        peer = self._peers.pop(handler, None)
        if peer is None:
            return
        self._open[peer] -= 1
        if not self._open[peer]:
            del self._open[peer]


class _Connection(RequestHandler):
    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        super().handle_error(request, status, exc, None)  # logs, and refuses where an answer has begun
        error = BadRequest() if status < 500 else EtabliError(code="internal")
        response = problem_response(problem_of(error, "en"))
        response.headers.update(HEADERS | {"Server": "etabli", "Content-Security-Policy": API_CSP})
        response.force_close()
        return response
