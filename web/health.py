"""Is it alive, can it work, and its figures for Prometheus."""

from __future__ import annotations

import hmac

from aiohttp import web

from orchestrator.domain.errors import Forbidden, Unavailable
from web.keys import EXPOSITION, SETTINGS
from web.security import LOOPBACK, is_in, peer_of
from web.typed import Call, Shown


class Health(Shown):
    status: str


class Readiness(Shown):
    status: str
    database: str
    work: str


async def alive(call: Call) -> Health:
    return Health(status="alive")


async def ready(call: Call) -> Readiness:
    """Raises Unavailable (503 with Retry-After) while the database or the durable work does not answer."""
    await call.lab.store.read(lambda unit: unit.head())
    health = await call.lab.work.health()
    if not health.ok:
        raise Unavailable(f"The queue pauses: {health.words}", code="not_ready")
    return Readiness(status="ready", database="ok", work=health.backend)


async def metrics(request: web.Request) -> web.StreamResponse:
    """For loopback, or with the token of the settings."""
    token = request.app[SETTINGS].metrics_token
    sent = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
    trusted = (
        hmac.compare_digest(sent.encode(), token.encode()) if token else is_in(peer_of(request), LOOPBACK)
    )
    if not trusted:
        raise Forbidden("The metrics need their token.", code="metrics")
    body, content_type = await request.app[EXPOSITION](request.headers.get("Accept", ""))
    return web.Response(body=body, headers={"Content-Type": content_type})
