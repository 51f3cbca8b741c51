"""Who asks, their account, and the feeds for those who keep books elsewhere."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from aiohttp import web
from pydantic import Field

from orchestrator.domain.errors import NotFound
from orchestrator.domain.member import Member
from orchestrator.flow import report
from web import security
from web.api import shapes
from web.api.shapes import ShownAccount, ShownMe
from web.security import member_of
from web.typed import Call, Given, Lenient


class SessionBody(Given):
    email: str = Field(max_length=320)
    password: str = Field(max_length=1024)


class AccountParams(Lenient):
    id: UUID | Literal["me"]


def _shown(member: Member) -> ShownMe:
    return ShownMe(
        id=member.id,
        email=member.email,
        name=member.name,
        role=member.role.value,
        locale=member.locale,
        account_id=member.account_id,
    )


async def sign_in(call: Call, body: SessionBody) -> web.Response:
    """Opens a session; the cookie is its only key."""
    signed = await security.sign_in(call.request, body.email, body.password)
    shown = _shown(signed.member).model_dump_json()
    response = web.Response(status=201, text=shown, content_type="application/json")
    security.let_in(call.request, response, signed)
    return response


async def sign_out(call: Call) -> web.Response:
    response = web.Response(status=204)
    await security.sign_out(call.request, response)
    return response


async def me(call: Call) -> ShownMe:
    return _shown(call.who.member)


async def account(call: Call, params: AccountParams) -> ShownAccount:
    """One's own; another's looks like a missing one."""
    who = member_of(call.request)
    if params.id not in ("me", who.account_id):
        raise NotFound("There is no such account.")
    view = await report.account(call.lab, who)
    return shapes.account(who.account_id, view.balance)
