"""The way out and the seal for tests: plain HTTP to loopback, and secrets that say that they are sealed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import aiohttp

from orchestrator.domain.errors import Misconfigured, Unavailable
from orchestrator.ports import Answer


@dataclass
class PlainOutbound:
    """`orchestrator.ports.Outbound` without its guards; remembers what was asked."""

    asked: list[tuple[str, str]] = field(default_factory=list)

    async def check(self, url: str) -> None:
        """All is well."""

    async def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        *,
        limit_bytes: int = 64 << 10,
        timeout_seconds: float = 10.0,
    ) -> Answer:
        self.asked.append((method, url))
        try:
            async with (
                asyncio.timeout(timeout_seconds),
                aiohttp.ClientSession() as http,
                http.request(
                    method, url, headers=headers, data=body or None, allow_redirects=False
                ) as answer,
            ):
                content = b""
                async for chunk in answer.content.iter_chunked(65536):
                    content += chunk
                    if len(content) > limit_bytes:
                        break
                return Answer(
                    status=answer.status,
                    headers={name.lower(): value for name, value in answer.headers.items()},
                    body=content[:limit_bytes],
                    cut=len(content) > limit_bytes,
                )
        except (aiohttp.ClientError, TimeoutError) as gone:
            raise Unavailable("Nobody answers.", code="outbound.unreachable") from gone


class PlainSeal:
    """`orchestrator.ports.Seal` that hides nothing, and opens only what it sealed."""

    def seal(self, text: str) -> str:
        return f"sealed:{text}"

    def unseal(self, sealed: str) -> str:
        if not sealed.startswith("sealed:"):
            raise Misconfigured("This was not sealed here.")
        return sealed.removeprefix("sealed:")
