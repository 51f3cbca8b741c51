"""Keys for programs: whose one may see, make and revoke, and how many there may be. A secret never comes here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from orchestrator.domain.errors import Conflict, Fault, NotFound, Rejected
from orchestrator.domain.event import Event
from orchestrator.domain.member import PERMISSIONS, ApiToken, Member, Permission, Role
from orchestrator.flow.act import may
from orchestrator.flow.lab import Lab
from orchestrator.flow.moves import actor_of
from orchestrator.ports import Unit

LIVE_MAX = 50
NAME_CHARACTERS_MAX = 80


def is_live(token: ApiToken, now: datetime) -> bool:
    return token.revoked_at is None and (token.expires_at is None or token.expires_at > now)


async def owners(lab: Lab, who: Member) -> list[Member]:
    """For whom one may make keys: oneself, and for a manager the booking systems, which cannot sign in."""
    return await lab.store.read(lambda unit: _owners(unit, who))


async def _owners(unit: Unit, who: Member) -> list[Member]:
    if not may(who, Permission.ADMIN):
        return [who]
    systems = [one for one in await unit.members() if one.role is Role.BOOKING and one.active]
    return [who, *sorted(systems, key=lambda one: one.name)]


async def tokens(lab: Lab, who: Member) -> list[tuple[Member, Sequence[ApiToken]]]:
    """Those that are not revoked, newest first, by whose they are."""

    async def work(unit: Unit) -> list[tuple[Member, Sequence[ApiToken]]]:
        found: list[tuple[Member, Sequence[ApiToken]]] = []
        for owner in await _owners(unit, who):
            theirs = await unit.api_tokens(owner.id)
            found.append((owner, [one for one in theirs if one.revoked_at is None]))
        return found

    return await lab.store.read(work)


async def owner_of(lab: Lab, who: Member, member_id: UUID | None) -> Member:
    """Raises NotFound for somebody whose keys are not one's to make."""
    for owner in await owners(lab, who):
        if owner.id == (member_id or who.id):
            return owner
    raise NotFound("There is no such member.")


async def add(lab: Lab, who: Member, token: ApiToken) -> None:
    """Raises Rejected with every fault, Conflict (`token.limit`), NotFound for another's."""
    owner = await owner_of(lab, who, token.member_id)
    faults = _faults(token, owner, lab.clock.now())
    if faults:
        raise Rejected("This token cannot be made.", code="fields", faults=faults)

    async def work(unit: Unit) -> None:
        now = lab.clock.now()
        live = [one for one in await unit.api_tokens(owner.id) if is_live(one, now)]
        if len(live) >= LIVE_MAX:
            raise Conflict(f"There are {LIVE_MAX} live tokens already.", code="token.limit")
        await unit.add_api_token(token)
        await unit.emit(_event(lab, "token.added", who, token))

    await lab.store.write(work)


def _faults(token: ApiToken, owner: Member, now: datetime) -> tuple[Fault, ...]:
    faults: list[Fault] = []
    if not 1 <= len(token.name.strip()) <= NAME_CHARACTERS_MAX or not token.name.isprintable():
        faults.append(Fault(rule="token.name", where="name", seen=token.name[:40]))
    beyond = sorted(scope.value for scope in token.scopes - PERMISSIONS[owner.role])
    if beyond or not token.scopes:
        faults.append(Fault(rule="token.scopes", where="scopes", seen=", ".join(beyond)))
    if token.expires_at is not None and token.expires_at <= now:
        faults.append(Fault(rule="token.expires", where="expires", seen=token.expires_at.isoformat()))
    return tuple(faults)


async def revoke(lab: Lab, who: Member, token_id: str) -> None:
    """At once and for good. Raises NotFound for another's, or none."""

    async def work(unit: Unit) -> None:
        token = await unit.api_token(token_id)
        if token is None or token.member_id not in {one.id for one in await _owners(unit, who)}:
            raise NotFound("There is no such token.")
        if await unit.revoke_api_token(token.id, lab.clock.now()):
            await unit.emit(_event(lab, "token.revoked", who, token))

    await lab.store.write(work)


def _event(lab: Lab, topic: str, who: Member, token: ApiToken) -> Event:
    return Event(
        topic=topic,
        at=lab.clock.now(),
        actor=actor_of(who),
        data={"token": token.id, "name": token.name},
        member_id=token.member_id,
    )
