"""What travels with the application and with a request: each under one typed key, looked up nowhere by a
string."""

from __future__ import annotations

from asyncio import Event as Signal
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from uuid import UUID

from aiohttp import web

from orchestrator.domain.presence import Kiosk
from orchestrator.flow.lab import Lab
from web.errors import Problem
from web.identity import Caller, Doorman
from web.pace import Pace
from web.settings import WebSettings
from web.typed import PageRoute, Route

Exposition = Callable[[str], Awaitable[tuple[bytes, str]]]
"""The metrics, for an Accept header: the text and its content type."""
ErrorPage = Callable[[web.Request, Problem], Awaitable[web.Response]]
"""A problem as a page, for somebody who asked for one."""
Rows = Mapping[Any, Route | PageRoute]
"""Mounted handler -> its row; what is not in it is refused."""

LAB = web.AppKey("lab", Lab)
SETTINGS = web.AppKey("settings", WebSettings)
DOORMAN = web.AppKey("doorman", Doorman)
PACE = web.AppKey("pace", Pace)
READING_PACE = web.AppKey("reading pace", Pace)
ROWS: web.AppKey[Rows] = web.AppKey("rows")
OPENAPI = web.AppKey("openapi", bytes)
EXPOSITION: web.AppKey[Exposition] = web.AppKey("exposition")
ERROR_PAGE: web.AppKey[ErrorPage] = web.AppKey("error_page")
CLOSING = web.AppKey("closing", Signal)  # set when the application shuts down: streams end
STREAMS: web.AppKey[Counter[UUID]] = web.AppKey("streams")  # open event streams per member
UPLOADS: web.AppKey[Counter[UUID]] = web.AppKey("uploads")  # uploads in progress per member

CALLER = web.RequestKey("caller", Caller)  # absent: nobody we know
NONCE = web.RequestKey("nonce", str)  # of this answer's Content-Security-Policy, for <script nonce=…>
INCIDENT = web.RequestKey("incident", str)  # names this request in the log
RAW = web.RequestKey("raw", bytes)  # the body of a call, once it has been read
KIOSK = web.RequestKey("kiosk", Kiosk)  # the device at a machine that has proven itself
