"""Keys for programs, made by people who are signed in and say their password again."""

from __future__ import annotations

from uuid import UUID

from pydantic import Field

from orchestrator.domain.member import ApiToken, Permission
from orchestrator.flow import tokens as keys
from web import tokens
from web.api.moments import moment
from web.typed import SIGNED_IN, Call, Given, Lenient, Route, Shown

V1 = "/api/v1"
PASSWORD_CHARACTERS_MAX = 1024
DAYS_MAX = 3650


class ShownToken(Shown):
    id: str
    name: str
    member_id: UUID
    scopes: list[str]
    created_at: str
    used_at: str | None
    """Within some minutes; None: never."""
    expires_at: str | None
    """None: when it is revoked."""


class NewToken(ShownToken):
    token: str
    """For `Authorization: Bearer`. Said this once."""


class TokenList(Shown):
    items: list[ShownToken]
    next: str | None = None


class TokenBody(Given):
    name: str = Field(min_length=1, max_length=keys.NAME_CHARACTERS_MAX)
    scopes: list[Permission] = Field(min_length=1, max_length=len(Permission), strict=False)
    """No more than the member's role has."""
    expires_in_days: int | None = Field(default=365, ge=1, le=DAYS_MAX)
    """None: until it is revoked."""
    member_id: UUID | None = Field(default=None, strict=False)
    """A booking system's, for a manager; None: one's own."""
    password: str = Field(max_length=PASSWORD_CHARACTERS_MAX)
    """One's own, again."""


class RevokeBody(Given):
    password: str = Field(max_length=PASSWORD_CHARACTERS_MAX)
    """One's own, again."""


class ByToken(Lenient):
    token_id: str = Field(pattern=r"^[0-9a-f]{1,64}$")


async def listing(call: Call) -> TokenList:
    """Those that are not revoked."""
    who = tokens.signed_in(call.request)
    found = await keys.tokens(call.lab, who)
    return TokenList(items=[_shown(one) for _, theirs in found for one in theirs])


async def make(call: Call, body: TokenBody) -> NewToken:
    token, text = await tokens.make(
        call.request,
        password=body.password,
        name=body.name,
        scopes=body.scopes,
        days=body.expires_in_days,
        member_id=body.member_id,
    )
    return NewToken(**_shown(token).model_dump(), token=text)


async def revoke(call: Call, params: ByToken, body: RevokeBody) -> None:
    await tokens.revoke(call.request, password=body.password, token_id=params.token_id)


def _shown(token: ApiToken) -> ShownToken:
    return ShownToken(
        id=token.id,
        name=token.name,
        member_id=token.member_id,
        scopes=sorted(scope.value for scope in token.scopes),
        created_at=moment(token.created_at),
        used_at=moment(token.used_at) if token.used_at else None,
        expires_at=moment(token.expires_at) if token.expires_at else None,
    )


ROUTES: tuple[Route, ...] = (
    Route(
        method="GET",
        path=f"{V1}/tokens",
        handler=listing,
        permission=SIGNED_IN,
        summary="My keys for programs, and for a manager the booking systems’; by session only",
    ),
    Route(
        method="POST",
        path=f"{V1}/tokens",
        handler=make,
        permission=SIGNED_IN,
        summary="Make a key for a program: shown once; by session and password only",
        status=201,
        secret=True,
    ),
    Route(
        method="DELETE",
        path=f"{V1}/tokens/{{token_id}}",
        handler=revoke,
        permission=SIGNED_IN,
        summary="Revoke a key, at once and for good; by session and password only",
        status=204,
    ),
)
