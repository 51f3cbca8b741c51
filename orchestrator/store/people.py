"""Members, what they may use, their sessions and tokens, and how often somebody tried to sign in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import bindparam, delete, func, or_, select

from orchestrator.domain.member import ApiToken, Entitlement, Member, Session
from orchestrator.store import tables
from orchestrator.store.codec import Shape
from orchestrator.store.unit import UnitBase, columns_of

_MEMBER, _SESSION, _TOKEN, _ENTITLEMENT = Shape(Member), Shape(Session), Shape(ApiToken), Shape(Entitlement)
_members = select(*columns_of(tables.member, _MEMBER.names))
_MEMBER_BY_ID = _members.where(tables.member.c.id == bindparam("id"))
_MEMBER_BY_EMAIL = _members.where(tables.member.c.email == bindparam("email"))
_MEMBERS = _members.order_by(tables.member.c.name, tables.member.c.id)
_ENTITLEMENTS = (
    select(*columns_of(tables.entitlement, _ENTITLEMENT.names))
    .where(tables.entitlement.c.member_id == bindparam("member_id"))
    .order_by(tables.entitlement.c.machine_class)
)
_SESSION_BY_ID = select(*columns_of(tables.session, _SESSION.names)).where(
    tables.session.c.id_sha256 == bindparam("id_sha256")
)
_DROP_SESSION = delete(tables.session).where(tables.session.c.id_sha256 == bindparam("id_sha256"))
_TOKEN_BY_ID = select(*columns_of(tables.api_token, _TOKEN.names)).where(
    tables.api_token.c.id == bindparam("id")
)

LONGEST_WINDOW = timedelta(days=1)
_attempt = tables.attempt.c
_FORGET_ATTEMPTS = delete(tables.attempt).where(
    or_(
        (_attempt.key == bindparam("of")) & (_attempt.at <= bindparam("since")),
        _attempt.at <= bindparam("long_ago"),
    )
)
_COUNT_ATTEMPTS = (
    select(func.count())
    .select_from(tables.attempt)
    .where(_attempt.key == bindparam("of"), _attempt.at > bindparam("since"))
)


class People(UnitBase):
    """The people's part of `orchestrator.ports.Unit`."""

    async def member(self, member_id: UUID) -> Member | None:
        row = await self._first(_MEMBER_BY_ID, id=member_id)
        return None if row is None else _MEMBER.value(row)

    async def member_by_email(self, email: str) -> Member | None:
        """`email` casefolded and NFKC, as it is stored."""
        row = await self._first(_MEMBER_BY_EMAIL, email=email)
        return None if row is None else _MEMBER.value(row)

    async def members(self) -> Sequence[Member]:
        """All of them, by name."""
        return [_MEMBER.value(row) for row in await self._all(_MEMBERS)]

    async def add_member(self, member: Member) -> None:
        """Raises Conflict where the id or the address is taken."""
        await self._insert(tables.member, _MEMBER.row(member))

    async def entitlements(self, member_id: UUID) -> Sequence[Entitlement]:
        """All, also those that have run out: the asker knows what time it is."""
        return [_ENTITLEMENT.value(row) for row in await self._all(_ENTITLEMENTS, member_id=member_id)]

    async def put_entitlement(self, entitlement: Entitlement) -> None:
        """One per member and machine class; the latest holds."""
        await self._put(tables.entitlement, _ENTITLEMENT.row(entitlement))

    async def session(self, id_sha256: str) -> Session | None:
        row = await self._first(_SESSION_BY_ID, id_sha256=id_sha256)
        return None if row is None else _SESSION.value(row)

    async def put_session(self, session: Session) -> None:
        """A new one, or one that was seen again."""
        await self._put(tables.session, _SESSION.row(session))

    async def drop_session(self, id_sha256: str) -> None:
        """Does nothing where there is none."""
        await self._write(_DROP_SESSION, {"id_sha256": id_sha256})

    async def api_token(self, token_id: str) -> ApiToken | None:
        row = await self._first(_TOKEN_BY_ID, id=token_id)
        return None if row is None else _TOKEN.value(row)

    async def add_api_token(self, token: ApiToken) -> None:
        """Raises Conflict where the id is taken."""
        await self._insert(tables.api_token, _TOKEN.row(token))

    async def count_attempt(self, key: str, at: datetime, window_seconds: int) -> int:
        """Record an attempt and return how many there were in the window that ends now, this one included.

        Attempts older than their window, and any older than a day, are forgotten on the way.
        """
        since = at - timedelta(seconds=window_seconds)
        long_ago = at - max(LONGEST_WINDOW, timedelta(seconds=window_seconds))
        await self._write(_FORGET_ATTEMPTS, {"of": key, "since": since, "long_ago": long_ago})
        await self._insert(tables.attempt, {"key": key, "at": at})
        return await self._number(_COUNT_ATTEMPTS, of=key, since=since)
