"""Between a request and its page: who reads, what their form says, where they go next.

Knows no job and no machine.
"""

from __future__ import annotations

from functools import cache
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from aiohttp import web

from orchestrator.domain.errors import EtabliError, NotFound
from orchestrator.domain.member import Member
from orchestrator.flow.lab import Lab
from web.errors import Problem, problem_of
from web.keys import LAB, SETTINGS
from web.pages.i18n import accepted, supported
from web.pages.render import Reader, Renderer
from web.security import LANGUAGE_COOKIE, SIGN_IN_PATH, csrf_field, current, member_of


@cache
def renderer(zone: str) -> Renderer:
    """The templates, read once a process; they never change while it runs."""
    return Renderer(ZoneInfo(zone))


def lab_of(request: web.Request) -> Lab:
    return request.app[LAB]


def me(request: web.Request) -> Member:
    """The signed-in member of a page that is not public."""
    return member_of(request)


def locale_of(request: web.Request) -> str:
    """What this browser chose, else what the member speaks, else what the browser asks for."""
    caller = current(request)
    return supported(
        [
            request.cookies.get(LANGUAGE_COOKIE),
            caller.member.locale if caller else None,
            *accepted(request.headers.get("Accept-Language", "")),
        ]
    )


def reader_of(request: web.Request) -> Reader:
    caller = current(request)
    return Reader(
        me=caller.member if caller else None,
        locale=locale_of(request),
        now=lab_of(request).clock.now(),
        path=request.path_qs if request.method == "GET" else "/",
        csrf_field=csrf_field(request),
        sign_in_path=SIGN_IN_PATH,
    )


def page(request: web.Request, template: str, *, status: int = 200, **values: Any) -> web.Response:
    html = renderer(request.app[SETTINGS].time_zone).render(template, reader_of(request), **values)
    return web.Response(text=html, content_type="text/html", status=status)


def problem(request: web.Request, error: EtabliError) -> Problem:
    return problem_of(error, locale_of(request))


def see(path: str) -> web.Response:
    """Go and look there: the answer to every form that did something."""
    return web.Response(status=303, headers={"Location": path})


def local_path(wanted: str) -> str:
    """Where a form may send a browser: a page of ours, never another site."""
    ours = wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and wanted.isprintable()
    return wanted if ours else "/"


def id_in(request: web.Request) -> UUID:
    return as_id(request.match_info["id"])


def as_id(text: str) -> UUID:
    """Raises NotFound for what can be nobody's id."""
    try:
        return UUID(text)
    except ValueError:
        raise NotFound("There is no such thing.") from None


async def form_of(request: web.Request) -> dict[str, str]:
    """The text fields of a form, the last of each name."""
    return {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
