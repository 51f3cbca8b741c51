"""Members, organisations and entitlements, addressed by the names that booking systems use."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from pydantic import Field

from orchestrator.domain.errors import Fault, Rejected
from orchestrator.domain.member import Entitlement, Level, Member, Organisation, Permission, Public
from orchestrator.flow import sync
from orchestrator.ports import Unit
from web.api.moments import moment
from web.api.outside import (
    EXTERNAL_ID,
    SYSTEM,
    ByOutsideName,
    Given_instant,
    OutsideName,
    ShownName,
    as_seen,
    maybe,
    names,
    ours,
    state_of,
)
from web.identity import EMAIL_CHARACTERS_MAX, normal_email
from web.security import member_of
from web.typed import Answer, Call, Given, Lenient, Route, Shown

CLASS = r"^[a-z][a-z0-9_-]{0,63}$"


# --- members ----------------------------------------------------------------------------------------


class MemberBody(Given):
    email: str = Field(default="", max_length=EMAIL_CHARACTERS_MAX)
    """Empty: the booking system keeps it to itself."""
    name: str = Field(default="", max_length=200)
    public: Public = Field(default=Public.INDIVIDUAL, strict=False)
    organisation: OutsideName | None = None
    active: bool = True
    active_until: Given_instant | None = None
    """End of the membership; None: without end."""
    locale: Literal["fr", "en"] = "fr"


class ShownMember(Shown):
    id: UUID
    names: list[ShownName]
    """All names by which booking systems know them."""
    email: str
    """Empty: none known."""
    name: str
    public: str
    organisation: list[ShownName]
    active: bool
    active_until: str | None
    locale: str
    version: int


async def put_member(call: Call, params: ByOutsideName, body: MemberBody) -> Answer[ShownMember]:
    organisation = body.organisation
    organisation_id = await call.lab.store.read(lambda unit: ours(unit, "organisation", organisation))
    told = sync.Told(
        email=_email(body.email),
        name=body.name.strip(),
        public=body.public,
        organisation_id=organisation_id,
        active=body.active,
        active_until=maybe("active_until", body.active_until),
        locale=body.locale,
    )
    who = member_of(call.request)
    member, new = await sync.put_member(
        call.lab, who, params.system, params.external_id, told, seen=as_seen(call)
    )
    return Answer(body=await _member(call, member), status=201 if new else 200, etag=state_of(member))


def _email(text: str) -> str:
    """In normal form. Raises Rejected for what can be no address."""
    address = normal_email(text)
    name, _, host = address.rpartition("@")
    odd = any(c.isspace() or ord(c) < 32 for c in address)
    if address and (odd or not name or "." not in host or host.endswith(".invalid")):
        fault = Fault(
            rule="member.address",
            where="email",
            seen=text,
            remedy="An address such as name@example.org, or none.",
            texts={"en": "This is no e-mail address.", "fr": "Ce n’est pas une adresse électronique."},
        )
        raise Rejected("Some fields are not as they must be.", code="fields", faults=(fault,))
    return address


async def get_member(call: Call, params: ByOutsideName) -> Answer[ShownMember]:
    who = member_of(call.request)
    member = await sync.find_member(call.lab, who, params.system, params.external_id)
    return Answer(body=await _member(call, member), etag=state_of(member))


async def delete_member(call: Call, params: ByOutsideName) -> None:
    await sync.erase_member(
        call.lab, member_of(call.request), params.system, params.external_id, seen=as_seen(call)
    )


async def _member(call: Call, member: Member) -> ShownMember:
    async def work(unit: Unit) -> tuple[list[ShownName], list[ShownName]]:
        own = names(await unit.externals("member", member.id))
        theirs = member.organisation_id
        return own, names(await unit.externals("organisation", theirs)) if theirs else []

    own, organisation = await call.lab.store.read(work)
    return ShownMember(
        id=member.id,
        names=own,
        email=member.email if sync.has_email(member) else "",
        name=member.name,
        public=member.public.value,
        organisation=organisation,
        active=member.active,
        active_until=moment(member.active_until) if member.active_until else None,
        locale=member.locale,
        version=member.version,
    )


# --- organisations ------------------------------------------------------------------------------------


class OrganisationBody(Given):
    name: str = Field(min_length=1, max_length=200)
    siren: str = Field(default="", max_length=20)
    shares: int = Field(default=1, ge=1, le=1000)
    """Its part of the machines beside the others' (fair share)."""


class ShownOrganisation(Shown):
    id: UUID
    name: str
    siren: str
    shares: int
    version: int


async def put_organisation(
    call: Call, params: ByOutsideName, body: OrganisationBody
) -> Answer[ShownOrganisation]:
    made, new = await sync.put_organisation(
        call.lab,
        member_of(call.request),
        params.system,
        params.external_id,
        name=body.name.strip(),
        siren=body.siren.replace(" ", ""),
        shares=body.shares,
        seen=as_seen(call),
    )
    return Answer(body=_organisation(made), status=201 if new else 200, etag=state_of(made))


async def get_organisation(call: Call, params: ByOutsideName) -> Answer[ShownOrganisation]:
    who = member_of(call.request)
    found = await sync.find_organisation(call.lab, who, params.system, params.external_id)
    return Answer(body=_organisation(found), etag=state_of(found))


def _organisation(value: Organisation) -> ShownOrganisation:
    return ShownOrganisation(
        id=value.id, name=value.name, siren=value.siren, shares=value.shares, version=value.version
    )


# --- entitlements -------------------------------------------------------------------------------------


class ByEntitlement(Lenient):
    system: str = Field(pattern=SYSTEM)
    external_id: str = Field(pattern=EXTERNAL_ID)
    """The member's."""
    machine_class: str = Field(pattern=CLASS)


class EntitlementBody(Given):
    until: Given_instant | None = None
    """None: without end."""
    level: Level = Field(default=Level.AUTONOMOUS, strict=False)
    training: str = Field(default="", max_length=200)
    """What it rests on."""


class ShownEntitlement(Shown):
    member_id: UUID
    machine_class: str
    until: str | None
    level: str
    training: str
    version: int


async def put_entitlement(
    call: Call, params: ByEntitlement, body: EntitlementBody
) -> Answer[ShownEntitlement]:
    made, new = await sync.put_entitlement(
        call.lab,
        member_of(call.request),
        params.system,
        params.external_id,
        params.machine_class,
        until=maybe("until", body.until),
        level=body.level,
        training=body.training,
        seen=as_seen(call),
    )
    return Answer(body=_entitlement(made), status=201 if new else 200, etag=state_of(made))


async def get_entitlement(call: Call, params: ByEntitlement) -> Answer[ShownEntitlement]:
    who = member_of(call.request)
    found = await sync.find_entitlement(
        call.lab, who, params.system, params.external_id, params.machine_class
    )
    return Answer(body=_entitlement(found), etag=state_of(found))


async def delete_entitlement(call: Call, params: ByEntitlement) -> None:
    who = member_of(call.request)
    await sync.drop_entitlement(
        call.lab, who, params.system, params.external_id, params.machine_class, seen=as_seen(call)
    )


def _entitlement(value: Entitlement) -> ShownEntitlement:
    return ShownEntitlement(
        member_id=value.member_id,
        machine_class=value.machine_class,
        until=moment(value.until) if value.until else None,
        level=value.level.value,
        training=value.training,
        version=value.version,
    )


V1 = "/api/v1"
MEMBER = f"{V1}/members/{{system}}/{{external_id}}"
ORGANISATION = f"{V1}/organisations/{{system}}/{{external_id}}"
ENTITLEMENT = f"{V1}/entitlements/{{system}}/{{external_id}}/{{machine_class}}"


def _row(
    method: str, path: str, handler: object, summary: str, *, status: int = 200, also: int | None = None
) -> Route:
    return Route(
        method=method,
        path=path,
        handler=handler,  # type: ignore[arg-type]
        permission=Permission.SYNC,
        summary=summary,
        status=status,
        also=also,
        etag=True,
    )


ROUTES: tuple[Route, ...] = (
    _row("PUT", MEMBER, put_member, "Tell of a member, as a booking system names them", status=201, also=200),
    _row("GET", MEMBER, get_member, "A member"),
    _row("DELETE", MEMBER, delete_member, "Erase a member's name and address; the books stay", status=204),
    _row("PUT", ORGANISATION, put_organisation, "Tell of an organisation", status=201, also=200),
    _row("GET", ORGANISATION, get_organisation, "An organisation"),
    _row("PUT", ENTITLEMENT, put_entitlement, "This member may use these machines", status=201, also=200),
    _row("GET", ENTITLEMENT, get_entitlement, "What a member may use"),
    _row("DELETE", ENTITLEMENT, delete_entitlement, "They may no more", status=204),
)
