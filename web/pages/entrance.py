"""Coming in and going out: the start page, signing in and out, the language."""

from __future__ import annotations

from aiohttp import web

from orchestrator.domain.errors import EtabliError
from orchestrator.domain.member import Permission
from web import security
from web.keys import SETTINGS
from web.pages.face import form_of, local_path, page, problem, reader_of, see
from web.pages.i18n import LOCALES
from web.security import LANGUAGE_COOKIE

_YEAR_SECONDS = 365 * 86400


async def start(request: web.Request) -> web.StreamResponse:
    """To the page one's role lives on."""
    reader = reader_of(request)
    if reader.me is None:
        return see(security.SIGN_IN_PATH)
    return see("/machines" if reader.may(Permission.OPERATE) else "/jobs")


async def sign_in_form(request: web.Request) -> web.StreamResponse:
    return page(
        request, "signin.html", problem=None, email="", next=local_path(request.query.get("next", "/"))
    )


async def sign_in(request: web.Request) -> web.StreamResponse:
    form = await form_of(request)
    following = local_path(form.get("next", "/"))
    email = form.get("email", "")
    try:
        signed = await security.sign_in(request, email, form.get("password", ""))
    except EtabliError as no:
        told = problem(request, no)
        return page(request, "signin.html", status=told.status, problem=told, email=email, next=following)
    response = see(following)
    security.let_in(request, response, signed)
    return response


async def sign_out(request: web.Request) -> web.StreamResponse:
    response = see(security.SIGN_IN_PATH)
    await security.sign_out(request, response)
    return response


async def language(request: web.Request) -> web.StreamResponse:
    """Remember the language in this browser. An unknown one changes nothing."""
    form = await form_of(request)
    response = see(local_path(form.get("next", "/")))
    if form.get("locale") in LOCALES:
        secure = request.app[SETTINGS].secure_cookies
        response.set_cookie(
            LANGUAGE_COOKIE,
            form["locale"],
            max_age=_YEAR_SECONDS,
            secure=secure,
            httponly=True,
            samesite="Lax",
        )
    return response
