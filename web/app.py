"""The web application, put together: tables of routes, middlewares, what every answer says, metrics."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web

from orchestrator.flow.lab import Lab
from web.adapt import adapted
from web.identity import Doorman
from web.keys import (
    CLOSING,
    DOORMAN,
    ERROR_PAGE,
    EXPOSITION,
    LAB,
    OPENAPI,
    PACE,
    READING_PACE,
    ROWS,
    SETTINGS,
    STREAMS,
    UPLOADS,
    Exposition,
)
from web.openapi import document
from web.pace import Pace
from web.pages.trouble import error_page
from web.routes import API, ROUTES
from web.security import guard, set_headers, translate
from web.settings import WebSettings
from web.typed import PUBLIC, PageHandler, PageRoute, Route, check

STATIC = Path(__file__).parent / "static"


def build(lab: Lab, settings: WebSettings, exposition: Exposition) -> web.Application:
    """The application, ready to run. Raises TypeError where a row of a table says too little."""
    check(ROUTES)
    app = web.Application(middlewares=[translate, guard], client_max_size=256 * 1024)
    app[LAB] = lab
    app[SETTINGS] = settings
    app[DOORMAN] = Doorman(lab.store, lab.clock)
    app[PACE] = Pace(settings.requests_per_minute, lab.clock)
    app[READING_PACE] = Pace(settings.reads_per_minute, lab.clock)
    app[OPENAPI] = document(API, settings.base_url)
    app[EXPOSITION] = exposition
    app[ERROR_PAGE] = error_page
    app[CLOSING] = asyncio.Event()
    app[STREAMS], app[UPLOADS] = Counter(), Counter()
    app[ROWS] = _mount(app)
    app.on_response_prepare.append(set_headers)
    app.on_shutdown.append(_close_streams)
    app.cleanup_ctx.append(_doorman)
    return app


def _mount(app: web.Application) -> dict[object, Route | PageRoute]:
    rows: dict[object, Route | PageRoute] = {}
    for row in ROUTES:
        handler = adapted(row) if isinstance(row, Route) else row.handler
        rows[handler] = row
        app.router.add_route(row.method, row.path, handler)
        if row.method == "GET" and isinstance(row, Route):
            app.router.add_route("HEAD", row.path, handler)
    for file in sorted(STATIC.rglob("*")):
        if file.is_file():
            address = f"/static/{file.relative_to(STATIC).as_posix()}"
            handler = _static(file)
            rows[handler] = PageRoute(
                method="GET", path=address, handler=handler, permission=PUBLIC, identify=False
            )
            app.router.add_get(address, handler)
    return rows


def _static(file: Path) -> PageHandler:
    async def handler(request: web.Request) -> web.StreamResponse:
        kept = "public, max-age=31536000, immutable" if "v" in request.query else "no-cache"
        return web.FileResponse(file, headers={"Cache-Control": kept})

    return handler


async def _close_streams(app: web.Application) -> None:
    app[CLOSING].set()


async def _doorman(app: web.Application) -> AsyncIterator[None]:
    yield
    app[DOORMAN].close()
