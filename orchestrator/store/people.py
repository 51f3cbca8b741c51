"""Members, what they may use, their sessions and tokens, and how often somebody tried to sign in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import bindparam, delete, func, or_, select, update

from orchestrator.domain.errors import Conflict
from orchestrator.domain.member import ApiToken, Entitlement, Member, Organisation, Session
from orchestrator.store import tables
from orchestrator.store.codec import Shape
from orchestrator.store.unit import UnitBase, columns_of

MEMBER, _SESSION, _TOKEN, ENTITLEMENT = Shape(Member), Shape(Session), Shape(ApiToken), Shape(Entitlement)
_ORGANISATION = Shape(Organisation)
_members = select(*columns_of(tables.member, MEMBER.names))
_MEMBER_BY_ID = _members.where(tables.member.c.id == bindparam("id"))
_MEMBER_BY_EMAIL = _members.where(tables.member.c.email == bindparam("email"))
_MEMBERS = _members.order_by(tables.member.c.name, tables.member.c.id)
_ALL_ENTITLEMENTS = select(*columns_of(tables.entitlement, ENTITLEMENT.names)).order_by(
    tables.entitlement.c.member_id, tables.entitlement.c.machine_class
)
_ENTITLEMENTS = _ALL_ENTITLEMENTS.where(tables.entitlement.c.member_id == bindparam("member_id"))
MEMBERS_OF = _members.where(tables.member.c.id.in_(bindparam("ids", expanding=True)))
ENTITLEMENTS_OF = _ALL_ENTITLEMENTS.where(
    tables.entitlement.c.member_id.in_(bindparam("ids", expanding=True))
)
_DROP_ENTITLEMENT = delete(tables.entitlement).where(
    tables.entitlement.c.member_id == bindparam("of"),
    tables.entitlement.c.machine_class == bindparam("class"),
)
_organisations = select(*columns_of(tables.organisation, _ORGANISATION.names)).order_by(
    tables.organisation.c.name, tables.organisation.c.id
)
_ORGANISATION_BY_ID = _organisations.where(tables.organisation.c.id == bindparam("id"))
_x = tables.external.c
_NAMED = (_x.kind == bindparam("of"), _x.system == bindparam("in"), _x.external_id == bindparam("named"))
_EXTERNAL = select(_x.ours).where(*_NAMED)
_EXTERNALS = (
    select(_x.system, _x.external_id)
    .where(_x.kind == bindparam("of"), _x.ours == bindparam("ours_is"))
    .order_by(_x.system, _x.external_id)
)
_DROP_EXTERNAL = delete(tables.external).where(*_NAMED)
_tokens = select(*columns_of(tables.api_token, _TOKEN.names)).order_by(
    tables.api_token.c.created_at.desc(), tables.api_token.c.id
)
_TOKENS_OF = _tokens.where(tables.api_token.c.member_id == bindparam("member_id"))
_REVOKE_TOKEN = update(tables.api_token).where(
    tables.api_token.c.id == bindparam("old_id"), tables.api_token.c.revoked_at.is_(None)
)
_TOKEN_USED = update(tables.api_token).where(tables.api_token.c.id == bindparam("old_id"))
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
        return None if row is None else MEMBER.value(row)

    async def member_by_email(self, email: str) -> Member | None:
        """`email` casefolded and NFKC, as it is stored."""
        row = await self._first(_MEMBER_BY_EMAIL, email=email)
        return None if row is None else MEMBER.value(row)

    async def members(self) -> Sequence[Member]:
        """All of them, by name."""
        return [MEMBER.value(row) for row in await self._all(_MEMBERS)]

    async def add_member(self, member: Member) -> None:
        """Raises Conflict where the id or the address is taken."""
        await self._insert(tables.member, MEMBER.row(member))

    async def change_member(self, before: Member, after: Member) -> Member:
        """The member as it now is. Raises Conflict where it is no longer `before`, or the address is taken."""
        changes = MEMBER.changed(before, after)
        await self._change(tables.member, before.id, before.version, changes)
        return replace(after, version=before.version + 1)

    async def entitlements(self, member_id: UUID | None = None) -> Sequence[Entitlement]:
        """A member's or everybody's, also those that have run out: the asker knows what time it is."""
        rows = await (
            self._all(_ALL_ENTITLEMENTS)
            if member_id is None
            else self._all(_ENTITLEMENTS, member_id=member_id)
        )
        return [ENTITLEMENT.value(row) for row in rows]

    async def drop_entitlement(self, member_id: UUID, machine_class: str) -> bool:
        """False where there is none."""
        result = await self._write(_DROP_ENTITLEMENT, {"of": member_id, "class": machine_class})
        return result.rowcount == 1

    async def organisation(self, organisation_id: UUID) -> Organisation | None:
        row = await self._first(_ORGANISATION_BY_ID, id=organisation_id)
        return None if row is None else _ORGANISATION.value(row)

    async def organisations(self) -> Sequence[Organisation]:
        """All of them, by name."""
        return [_ORGANISATION.value(row) for row in await self._all(_organisations)]

    async def put_organisation(self, organisation: Organisation) -> None:
        """A new one, or what is known of one now. Raises Conflict where a later version does not follow it."""
        if organisation.version > 1:
            await self._take_turn()
            _follow(await self.organisation(organisation.id), organisation)
        await self._put(tables.organisation, _ORGANISATION.row(organisation))

    async def external(self, kind: str, system: str, external_id: str) -> UUID | None:
        """Our id of what a system calls so; `kind` is `member` or `organisation`."""
        row = await self._first(_EXTERNAL, **{"of": kind, "in": system, "named": external_id})
        return None if row is None else row[0]

    async def externals(self, kind: str, ours: UUID) -> Sequence[tuple[str, str]]:
        """(system, external id) of everybody who names it."""
        rows = await self._all(_EXTERNALS, of=kind, ours_is=ours)
        return [(row.system, row.external_id) for row in rows]

    async def put_external(self, kind: str, system: str, external_id: str, ours: UUID) -> None:
        """Raises Conflict where that system has given the name to another."""
        row = {"kind": kind, "system": system, "external_id": external_id, "ours": ours}
        await self._insert(tables.external, row)

    async def drop_external(self, kind: str, system: str, external_id: str) -> bool:
        """False where there is none."""
        result = await self._write(_DROP_EXTERNAL, {"of": kind, "in": system, "named": external_id})
        return result.rowcount == 1

    async def put_entitlement(self, entitlement: Entitlement) -> None:
        """One per member and machine class; the latest holds. Raises Conflict as `put_organisation`."""
        if entitlement.version > 1:
            await self._take_turn()
            held = {one.machine_class: one for one in await self.entitlements(entitlement.member_id)}
            _follow(held.get(entitlement.machine_class), entitlement)
        await self._put(tables.entitlement, ENTITLEMENT.row(entitlement))

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

    async def api_tokens(self, member_id: UUID | None = None) -> Sequence[ApiToken]:
        """A member's or everybody's, newest first, also those that are revoked."""
        rows = await (self._all(_tokens) if member_id is None else self._all(_TOKENS_OF, member_id=member_id))
        return [_TOKEN.value(row) for row in rows]

    async def revoke_api_token(self, token_id: str, at: datetime) -> bool:
        """False where there is none, or it was revoked before."""
        return (await self._write(_REVOKE_TOKEN, {"old_id": token_id, "revoked_at": at})).rowcount == 1

    async def api_token_used(self, token_id: str, at: datetime) -> None:
        await self._write(_TOKEN_USED, {"old_id": token_id, "used_at": at})

    async def count_attempt(self, key: str, at: datetime, window_seconds: int) -> int:
        """Record an attempt and return how many there were in the window that ends now, this one included.

        Attempts older than their window, and any older than a day, are forgotten on the way.
        """
        since = at - timedelta(seconds=window_seconds)
        long_ago = at - max(LONGEST_WINDOW, timedelta(seconds=window_seconds))
        await self._write(_FORGET_ATTEMPTS, {"of": key, "since": since, "long_ago": long_ago})
        await self._insert(tables.attempt, {"key": key, "at": at})
        return await self._number(_COUNT_ATTEMPTS, of=key, since=since)


def _follow(present: Organisation | Entitlement | None, later: Organisation | Entitlement) -> None:
    """Raises Conflict where somebody was faster. Whoever asks has the turn, so nobody comes between."""
    if present is None or present.version != later.version - 1:
        raise Conflict("This has changed in the meantime.", code="changed")
