"""A server that webhooks are sent to: it keeps all that comes, checks each signature by itself, and answers as told."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass(frozen=True, kw_only=True)
class Got:
    id: str
    timestamp: str
    signature: str
    body: bytes
    status: int  # what was answered


def is_signed(secret: str, id_: str, timestamp: str, signature: str, body: bytes) -> bool:
    """As the specification says it, independent of our own code."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    mark = base64.b64encode(hmac.digest(key, f"{id_}.{timestamp}.".encode() + body, hashlib.sha256)).decode()
    return any(hmac.compare_digest(f"v1,{mark}", one) for one in signature.split(" "))


Answers = Callable[[int], Awaitable[web.StreamResponse]]
"""Given how many came before."""


async def good(number: int) -> web.StreamResponse:
    return web.Response(status=200)


@dataclass
class Receiver:
    port: int
    answers: Answers = good
    got: list[Got] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def accepted(self) -> list[Got]:
        return [one for one in self.got if 200 <= one.status < 300]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.paths.append(request.path)
        answer = await self.answers(len(self.got))
        header = request.headers
        self.got.append(
            Got(
                id=header["webhook-id"],
                timestamp=header["webhook-timestamp"],
                signature=header["webhook-signature"],
                body=body,
                status=answer.status,
            )
        )
        return answer


@asynccontextmanager
async def a_receiver(answers: Answers = good, port: int = 0) -> AsyncIterator[Receiver]:
    receiver = Receiver(port=port, answers=answers)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site: Any = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    receiver.port = runner.addresses[0][1]
    try:
        yield receiver
    finally:
        await runner.cleanup()
