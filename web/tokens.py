"""Making and revoking a program's key from a browser: who is signed in says their password again.

A token never makes tokens: what a program could be talked into ends with its own key.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

from aiohttp import web

from orchestrator.domain.errors import Forbidden
from orchestrator.domain.member import ApiToken, Member, Permission
from orchestrator.flow import tokens
from web import identity
from web.keys import DOORMAN, LAB
from web.security import current, peer_of


def signed_in(request: web.Request) -> Member:
    """Who is signed in by a session. Raises Forbidden (`token.session`) for a program."""
    caller = current(request)
    if caller is None or not caller.by_cookie:
        raise Forbidden("A token makes no tokens: sign in.", code="token.session")
    return caller.member


async def say_again(request: web.Request, password: str) -> Member:
    """Who is signed in, proven by their password. Raises as `Doorman.known` does."""
    who = signed_in(request)
    await request.app[DOORMAN].known(who.email, password, peer_of(request))
    return who


async def make(
    request: web.Request,
    *,
    password: str,
    name: str,
    scopes: Iterable[Permission],
    days: int | None,
    member_id: UUID | None,
) -> tuple[ApiToken, str]:
    """What is kept, and the text that is shown once."""
    lab, who = request.app[LAB], await say_again(request, password)
    owner = await tokens.owner_of(lab, who, member_id)
    valid = timedelta(days=days) if days else None
    token, text = identity.make_token(owner, name.strip(), scopes, lab.clock.now(), valid=valid)
    await tokens.add(lab, who, token)
    return token, text


async def revoke(request: web.Request, *, password: str, token_id: str) -> None:
    who = await say_again(request, password)
    await tokens.revoke(request.app[LAB], who, token_id)
