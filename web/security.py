"""The edge of the web: who may call which row, whether a page of ours asked, what every answer says to the
browser.

Default deny: what is not in the table of rows is refused, a row says who may call it, and no row means a
start-up error. Forgery is met three times: the cookie is SameSite=Lax; `Sec-Fetch-Site` (else `Origin`)
must name this site where a browser sends it; a form of a page carries a token that is bound to the session.
A program's token is never sent unasked, so none of it applies there.
"""

from __future__ import annotations

import hmac
import logging
import secrets
from ipaddress import ip_address, ip_network
from urllib.parse import quote, urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

from orchestrator.domain.errors import EtabliError, Forbidden, NotFound, TooLarge
from orchestrator.domain.member import Member, Permission
from web import identity
from web.errors import (
    LANGUAGES,
    BadRequest,
    MethodNotAllowed,
    Problem,
    TooSlow,
    Unauthenticated,
    UnsupportedMedia,
    problem_of,
    retry_after_seconds,
)
from web.identity import Caller, SignedIn
from web.keys import CALLER, DOORMAN, ERROR_PAGE, INCIDENT, NONCE, PACE, READING_PACE, ROWS, SETTINGS
from web.typed import AT_MACHINE, PUBLIC, SIGNED_IN, PageRoute, Route

log = logging.getLogger("etabli.web")

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
LOOPBACK = ("127.0.0.0/8", "::1")
HEALTH = frozenset({"/healthz", "/readyz"})
SIGN_IN_PATH = "/sign-in"
LANGUAGE_COOKIE = "etabli_language"
FORM_TOKEN_FIELD = "csrf"
FORM_TOKEN_HEADER = "X-CSRF-Token"
API_CSP = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'"
PAGE_CSP = (
    "default-src 'none'; script-src 'self' 'nonce-{nonce}'; style-src 'self'; img-src 'self' blob:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


# --- for pages and handlers -----------------------------------------------------------------------


def current(request: web.Request) -> Caller | None:
    """Who asks; None: nobody we know."""
    return request.get(CALLER)


def member_of(request: web.Request) -> Member:
    """The member that a page's flow call acts as. Raises Unauthenticated."""
    caller = current(request)
    if caller is None:
        raise Unauthenticated
    row = row_of(request)
    return caller.acting(row.permission if row else None)


async def sign_in(request: web.Request, email: str, password: str) -> SignedIn:
    """Open a session, a new one even for somebody signed in; hand it to the browser with `let_in`. Raises
    what `Doorman.sign_in` raises."""
    doorman = request.app[DOORMAN]
    signed = await doorman.sign_in(email, password, peer_of(request))
    if old := _cookie(request):
        await doorman.sign_out(old)
    return signed


def let_in(request: web.Request, response: web.StreamResponse, signed: SignedIn) -> None:
    identity.set_cookie(response, signed.secret, secure=request.app[SETTINGS].secure_cookies)


async def sign_out(request: web.Request, response: web.StreamResponse) -> None:
    """End the session of this browser, here and in the store."""
    if secret := _cookie(request):
        await request.app[DOORMAN].sign_out(secret)
    identity.drop_cookie(response, secure=request.app[SETTINGS].secure_cookies)


def csrf_token(request: web.Request) -> str:
    """For the header X-CSRF-Token; empty for somebody who is not signed in."""
    return identity.csrf_token(current(request))


def csrf_field(request: web.Request) -> str:
    """The hidden input that every form of a signed-in page carries. It holds hexadecimal only, so nothing
    to escape."""
    return f'<input type="hidden" name="{FORM_TOKEN_FIELD}" value="{csrf_token(request)}">'


def language_of(request: web.Request) -> str:
    """The language of a problem: the browser's or program's wish, else the member's own, else the first of
    ours."""
    for part in request.headers.get("Accept-Language", "").split(",")[:10]:
        language = part.split(";")[0].strip().lower()[:2]
        if language in LANGUAGES:
            return language
    caller = current(request)
    return caller.member.locale if caller and caller.member.locale in LANGUAGES else LANGUAGES[0]


def row_of(request: web.Request) -> Route | PageRoute | None:
    return request.app[ROWS].get(request.match_info.handler)


def peer_of(request: web.Request) -> str:
    """The address the request comes from. X-Forwarded-For counts only from a trusted proxy, read from the
    right."""
    trusted = request.app[SETTINGS].trusted_proxies
    peer = request.remote or ""
    for hop in reversed(request.headers.get("X-Forwarded-For", "").split(",")):
        if not is_in(peer, trusted) or not hop.strip():
            break
        peer = hop.strip()
    return peer


def is_in(address: str, networks: tuple[str, ...]) -> bool:
    try:
        return any(ip_address(address) in ip_network(network, strict=False) for network in networks)
    except ValueError:
        return False


# --- the guard ------------------------------------------------------------------------------------


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Nobody passes whom the row does not name."""
    row = row_of(request)
    _keep_pace(request, row)
    if request.match_info.http_exception is not None:
        return await handler(request)
    if row is None:
        raise Forbidden("This address has no row in the table of routes.")
    if "Content-Encoding" in request.headers:
        raise UnsupportedMedia("Send the content as it is, not compressed.")
    if row.identify:
        await _identify(request)
        if isinstance(row, Route) and row.token_in_query and current(request) is None:
            await _identify_by_address(request)
    _need(request, row)
    if request.method not in SAFE_METHODS:
        await _refuse_forged(request, row)
    return await handler(request)


def _keep_pace(request: web.Request, row: Route | PageRoute | None) -> None:
    """Raises TooMany. Who watches over us from this machine is not counted, nor what costs nothing to serve. Devices at
    machines have a bucket beside that of their address: what people do there never silences them."""
    path, peer = request.path, peer_of(request)
    if row is not None and (path.startswith("/static/") or path == "/metrics"):
        return
    if path in HEALTH and is_in(peer, LOOPBACK):
        return
    pace = request.app[READING_PACE if request.method in SAFE_METHODS else PACE]
    if row is not None and row.permission is AT_MACHINE:
        pace.admit("", f"device at {peer}")
        return
    pace.admit(_credential(request), peer)


def _credential(request: web.Request) -> str:
    return request.headers.get("Authorization", "") or _cookie(request)


async def _identify(request: web.Request) -> None:
    """By the token where one is sent, else by the cookie; one that is wrong is as good as none."""
    doorman = request.app[DOORMAN]
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    if scheme:
        caller = await doorman.by_token(text.strip()) if scheme.casefold() == "bearer" else None
    else:
        secret = _cookie(request)
        caller = await doorman.by_session(secret) if secret else None
    if caller is not None:
        request[CALLER] = caller
        for pace in (PACE, READING_PACE):
            request.app[pace].met(_credential(request))


async def _identify_by_address(request: web.Request) -> None:
    """By a token in the address, which ends up in logs and histories: only one that may do nothing but look."""
    text = request.query.get("token", "")
    caller = await request.app[DOORMAN].by_token(text) if text else None
    if caller is not None and caller.permissions == frozenset({Permission.FLEET}):
        request[CALLER] = caller


def _cookie(request: web.Request) -> str:
    value = request.cookies.get(identity.cookie_name(request.app[SETTINGS].secure_cookies), "")
    return value if value.isascii() and len(value) <= 100 else ""


def _need(request: web.Request, row: Route | PageRoute) -> None:
    if row.permission in {PUBLIC, AT_MACHINE}:  # the device's own proof is asked for where the call is read
        return
    caller = current(request)
    if caller is None:
        raise Unauthenticated
    if row.permission is not SIGNED_IN and row.permission not in caller.permissions:
        raise Forbidden


async def _refuse_forged(request: web.Request, row: Route | PageRoute) -> None:
    caller = current(request)
    if caller is not None and not caller.by_cookie:
        return
    _refuse_foreign(request)
    if isinstance(row, PageRoute) and caller is not None:
        sent = request.headers.get(FORM_TOKEN_HEADER) or await _form_token(request, row)
        if not hmac.compare_digest(sent.encode(), csrf_token(request).encode()):
            raise Forbidden("The form's token is missing or of another session.", code="csrf")


async def _form_token(request: web.Request, row: PageRoute) -> str:
    """From the form's field; an upload is not read for it."""
    if row.upload:
        return ""
    value = (await request.post()).get(FORM_TOKEN_FIELD, "")
    return value if isinstance(value, str) else ""


def _refuse_foreign(request: web.Request) -> None:
    """A browser says which site asks; a program that says nothing has no cookie that was not given to it."""
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None:
        own = site in {"same-origin", "none"}
    elif origin is not None:
        base = urlsplit(request.app[SETTINGS].base_url)
        own = origin == f"{base.scheme}://{base.netloc}" or origin == f"{base.scheme}://{request.host}"
    else:
        own = True
    if not own:
        raise Forbidden("Another site asked for this.", code="csrf")


# --- what is said when it goes wrong --------------------------------------------------------------


@web.middleware
async def translate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error becomes a problem, or its page; one of ours that nobody foresaw is logged under an id."""
    request[NONCE] = secrets.token_urlsafe(16)
    request[INCIDENT] = secrets.token_hex(6)
    try:
        return await handler(request)
    except EtabliError as error:
        return await _say(request, error)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return await _say(request, _ours(error))
    except ConnectionError:
        raise
    except Exception:
        log.exception("incident %s: %s %s", request[INCIDENT], request.method, request.path)
        detail = f"Something went wrong on our side; it is noted as {request[INCIDENT]}."
        return await _say(request, EtabliError(detail, code="internal"))


def _ours(error: web.HTTPException) -> EtabliError:
    if isinstance(error, web.HTTPMethodNotAllowed):
        return MethodNotAllowed(sorted(error.allowed_methods))
    kinds: dict[int, type[EtabliError]] = {404: NotFound, 408: TooSlow, 413: TooLarge, 415: UnsupportedMedia}
    return kinds.get(error.status, BadRequest)()


async def _say(request: web.Request, error: EtabliError) -> web.StreamResponse:
    problem = problem_of(error, language_of(request))
    response = await _form_of(request, problem)
    if isinstance(error, MethodNotAllowed):
        response.headers["Allow"] = ", ".join(error.allowed)
    if isinstance(error, Unauthenticated) and response.status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="etabli"'
    if (seconds := retry_after_seconds(error)) is not None:
        response.headers["Retry-After"] = str(seconds)
    if not request.content.is_eof():
        response.force_close()  # what is left of the request is not worth reading
    return response


async def _form_of(request: web.Request, problem: Problem) -> web.Response:
    """A page for who asked for one, else problem+json."""
    page = request.app.get(ERROR_PAGE)
    wants_page = not request.path.startswith("/api/") and "text/html" in request.headers.get("Accept", "")
    if not wants_page or page is None:
        return problem_response(problem)
    if problem.status == 401 and request.method in SAFE_METHODS:
        response = web.Response(
            status=303, headers={"Location": f"{SIGN_IN_PATH}?next={quote(request.path_qs, safe='/')}"}
        )
        response.headers["Cache-Control"] = "no-store"
        return response
    return await page(request, problem)


def problem_response(problem: Problem) -> web.Response:
    return web.Response(
        status=problem.status,
        body=problem.model_dump_json().encode(),
        headers={"Content-Type": "application/problem+json", "Cache-Control": "no-store"},
    )


# --- what every answer says -----------------------------------------------------------------------


async def set_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Runs before any answer leaves, streams included. What a handler has set stays."""
    headers = response.headers
    headers.pop("Server", None)
    for name, value in HEADERS.items():
        headers.setdefault(name, value)
    page = response.content_type == "text/html"
    headers.setdefault(
        "Content-Security-Policy", PAGE_CSP.format(nonce=request.get(NONCE, "")) if page else API_CSP
    )
    headers.setdefault("Cache-Control", "no-store")
    if request.app[SETTINGS].secure_cookies:
        headers.setdefault("Strict-Transport-Security", "max-age=31536000")
