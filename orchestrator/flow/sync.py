"""Members, organisations and entitlements as booking systems tell them: idempotent, by the names those systems use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID, uuid4

from orchestrator.domain.errors import Conflict, Fault, Forbidden, NotFound, Rejected
from orchestrator.domain.event import Event, Json
from orchestrator.domain.member import Entitlement, Level, Member, Organisation, Permission, Public, Role
from orchestrator.flow.act import may
from orchestrator.flow.booking import forget
from orchestrator.flow.lab import Lab
from orchestrator.flow.moves import RACES, actor_of, anything, settled
from orchestrator.ports import Unit

NO_ADDRESS = "@none.invalid"
"""Ends the address of a member who has none: accounts are told apart by theirs."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a system says of a member."""

    email: str = ""  # normal form; empty: it keeps it to itself
    name: str = ""
    public: Public = Public.INDIVIDUAL
    organisation_id: UUID | None = None
    active: bool = True
    active_until: datetime | None = None
    locale: str = "fr"


def has_email(member: Member) -> bool:
    return not member.email.endswith(NO_ADDRESS)


def _need_sync(who: Member) -> None:
    if not may(who, Permission.SYNC):
        raise Forbidden("Only booking systems and the lab's manager tell of members.")


# --- members ----------------------------------------------------------------------------------------


async def put_member(
    lab: Lab,
    who: Member,
    system: str,
    external_id: str,
    told: Told,
    *,
    seen: Callable[[Member | None], None] = anything,
) -> tuple[Member, bool]:
    """The member of that name, as told; the same twice is once. True: they are new here.

    Somebody whose address is known here and whom no system names yet becomes that member; it then has to be a plain
    member. Raises Conflict (`member.staff`, `member.email`): a booking system never changes the staff, nor takes over
    whom another name means, its own or another system's.
    """
    _need_sync(who)

    async def work(unit: Unit) -> tuple[Member, bool]:
        named = await unit.external("member", system, external_id)
        present = await _present(unit, system, external_id, told.email)
        seen(present if named else None)
        if present is None:
            made = _new_member(told)
            await unit.add_member(made)
            await unit.put_external("member", system, external_id, made.id)
            await unit.emit(_of_member(lab, "member.synced", who, made, system, external_id))
            return made, True
        _refuse_staff(present)
        after = _as_told(present, told)
        changed = after != present
        if changed:
            after = await unit.change_member(present, after)
            await unit.emit(_of_member(lab, "member.synced", who, after, system, external_id))
        return after, False

    return await settled(
        lab, work, over=RACES | {"member.email"}
    )  # it may be this very member, told of twice at once


async def _present(unit: Unit, system: str, external_id: str, email: str) -> Member | None:
    """Whom the name means; or whose the address is, who then gets the name."""
    known = await unit.external("member", system, external_id)
    same_address = await unit.member_by_email(email) if email else None
    if known is not None:
        if same_address is not None and same_address.id != known:
            raise _address_taken(email)
        return await unit.member(known)
    if same_address is None:
        return None
    _refuse_staff(same_address)
    if await unit.externals("member", same_address.id):
        raise _address_taken(email)
    await unit.put_external("member", system, external_id, same_address.id)
    return same_address


def _address_taken(email: str) -> Conflict:
    fault = Fault(
        rule="member.email",
        where="email",
        seen=email,
        remedy="Send the address of this member, or none.",
        texts={"en": "Another member has this address.", "fr": "Un autre membre a cette adresse."},
    )
    return Conflict("Another member has this address.", code="member.email", faults=(fault,))


def _refuse_staff(member: Member) -> None:
    if member.role is not Role.MEMBER:
        raise Conflict(
            "Staff is not changed by a booking system: ask the lab's manager.", code="member.staff"
        )


def _new_member(told: Told) -> Member:
    member_id = uuid4()
    blank = Member(
        id=member_id,
        email=f"{member_id.hex}{NO_ADDRESS}",
        name="",
        role=Role.MEMBER,
        account_id=uuid4(),
        password_hash="",
    )
    return _as_told(blank, told)


def _as_told(member: Member, told: Told) -> Member:
    """Whom nothing was said about stays as they are in that."""
    return replace(
        member,
        email=told.email or member.email,
        name=told.name or member.name,
        public=told.public,
        organisation_id=told.organisation_id,
        active=told.active,
        active_until=told.active_until,
        locale=told.locale,
    )


async def find_member(lab: Lab, who: Member, system: str, external_id: str) -> Member:
    _need_sync(who)
    return await lab.store.read(lambda unit: named_member(unit, system, external_id))


async def named_member(unit: Unit, system: str, external_id: str) -> Member:
    """Raises NotFound."""
    known = await unit.external("member", system, external_id)
    member = await unit.member(known) if known else None
    if member is None:
        raise NotFound("There is no such member.")
    return member


async def erase_member(
    lab: Lab,
    who: Member,
    system: str,
    external_id: str,
    *,
    seen: Callable[[Member | None], None] = anything,
) -> None:
    """Name and address go, and nobody can sign in as them; what was charged stays, under a pseudonym."""
    _need_sync(who)

    async def work(unit: Unit) -> None:
        member = await named_member(unit, system, external_id)
        seen(member)
        _refuse_staff(member)
        gone = replace(
            member,
            email=f"{member.id.hex}{NO_ADDRESS}",
            name="",
            password_hash="",
            active=False,
            organisation_id=None,
            active_until=None,
        )
        await unit.change_member(member, gone)
        for of_system, name in await unit.externals("member", member.id):
            await unit.drop_external("member", of_system, name)
        for held in await unit.entitlements(member.id):
            await unit.drop_entitlement(member.id, held.machine_class)
        await forget(lab, unit, who, member)
        await unit.emit(_of_member(lab, "member.erased", who, gone, system, ""))

    await settled(lab, work)


def _of_member(
    lab: Lab, topic: str, who: Member, member: Member, system: str, external_id: str, **more: Json
) -> Event:
    data: dict[str, Json] = {"system": system, "external_id": external_id, **more}
    return Event(topic=topic, at=lab.clock.now(), actor=actor_of(who), data=data, member_id=member.id)


# --- organisations ------------------------------------------------------------------------------------


async def put_organisation(
    lab: Lab,
    who: Member,
    system: str,
    external_id: str,
    *,
    name: str,
    siren: str,
    shares: int,
    seen: Callable[[Organisation | None], None] = anything,
) -> tuple[Organisation, bool]:
    """As `put_member`. Raises Rejected for a SIREN that is none."""
    _need_sync(who)
    if siren and not is_siren(siren):
        raise _no_siren(siren)

    async def work(unit: Unit) -> tuple[Organisation, bool]:
        known = await unit.external("organisation", system, external_id)
        present = await unit.organisation(known) if known else None
        seen(present)
        if present is None:
            made = Organisation(id=uuid4(), name=name, siren=siren, shares=shares)
            await unit.put_organisation(made)
            await unit.put_external("organisation", system, external_id, made.id)
            await unit.emit(_of_organisation(lab, who, made, system, external_id))
            return made, True
        after = replace(present, name=name, siren=siren, shares=shares)
        if after == present:
            return present, False
        after = replace(after, version=present.version + 1)
        await unit.put_organisation(after)
        await unit.emit(_of_organisation(lab, who, after, system, external_id))
        return after, False

    return await settled(lab, work)


def _of_organisation(lab: Lab, who: Member, value: Organisation, system: str, external_id: str) -> Event:
    data: dict[str, Json] = {
        "organisation_id": str(value.id),
        "system": system,
        "external_id": external_id,
        "shares": value.shares,
    }
    return Event(topic="organisation.synced", at=lab.clock.now(), actor=actor_of(who), data=data)


async def find_organisation(lab: Lab, who: Member, system: str, external_id: str) -> Organisation:
    _need_sync(who)

    async def work(unit: Unit) -> Organisation:
        known = await unit.external("organisation", system, external_id)
        found = await unit.organisation(known) if known else None
        if found is None:
            raise NotFound("There is no such organisation.")
        return found

    return await lab.store.read(work)


def is_siren(text: str) -> bool:
    """Nine digits whose Luhn sum is a multiple of ten, as INSEE numbers companies."""
    if len(text) != 9 or not text.isascii() or not text.isdigit():
        return False
    doubled = (int(digit) * (1 + place % 2) for place, digit in enumerate(text))
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


def _no_siren(seen: str) -> Rejected:
    fault = Fault(
        rule="organisation.siren",
        where="siren",
        seen=seen,
        remedy="Nine digits as INSEE gave them; the last is a check digit.",
        texts={"en": "This is no SIREN.", "fr": "Ce n’est pas un numéro SIREN."},
    )
    return Rejected("Some fields are not as they must be.", code="fields", faults=(fault,))


# --- entitlements -------------------------------------------------------------------------------------


async def put_entitlement(
    lab: Lab,
    who: Member,
    system: str,
    external_id: str,
    machine_class: str,
    *,
    until: datetime | None,
    level: Level,
    training: str,
    seen: Callable[[Entitlement | None], None] = anything,
) -> tuple[Entitlement, bool]:
    """That member may use that class of machines, until then. The same twice is once."""
    _need_sync(who)

    async def work(unit: Unit) -> tuple[Entitlement, bool]:
        member = await named_member(unit, system, external_id)
        _refuse_staff(member)
        held = {one.machine_class: one for one in await unit.entitlements(member.id)}
        present = held.get(machine_class)
        seen(present)
        after = Entitlement(
            member_id=member.id,
            machine_class=machine_class,
            until=until,
            level=level,
            training=training,
            version=present.version if present else 1,
        )
        if after == present:
            return after, False
        if present is not None:
            after = replace(after, version=present.version + 1)
        await unit.put_entitlement(after)
        event = _of_member(
            lab, "entitlement.changed", who, member, system, external_id, machine_class=machine_class
        )
        await unit.emit(event)
        return after, present is None

    return await settled(lab, work)


async def find_entitlement(
    lab: Lab, who: Member, system: str, external_id: str, machine_class: str
) -> Entitlement:
    _need_sync(who)

    async def work(unit: Unit) -> Entitlement:
        member = await named_member(unit, system, external_id)
        for held in await unit.entitlements(member.id):
            if held.machine_class == machine_class:
                return held
        raise NotFound("There is no such entitlement.")

    return await lab.store.read(work)


async def drop_entitlement(
    lab: Lab,
    who: Member,
    system: str,
    external_id: str,
    machine_class: str,
    *,
    seen: Callable[[Entitlement | None], None] = anything,
) -> None:
    """Raises NotFound where there is none."""
    _need_sync(who)

    async def work(unit: Unit) -> None:
        member = await named_member(unit, system, external_id)
        _refuse_staff(member)
        held = {one.machine_class: one for one in await unit.entitlements(member.id)}
        if machine_class in held:
            seen(held[machine_class])
        if not await unit.drop_entitlement(member.id, machine_class):
            raise NotFound("There is no such entitlement.")
        event = _of_member(
            lab, "entitlement.dropped", who, member, system, external_id, machine_class=machine_class
        )
        await unit.emit(event)

    await settled(lab, work)
