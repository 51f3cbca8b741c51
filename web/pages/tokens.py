"""Keys for programs: one's own, and for a manager those of the booking systems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from aiohttp import web

from orchestrator.domain.errors import EtabliError, NotFound
from orchestrator.domain.member import PERMISSIONS, ApiToken, Member, Permission
from orchestrator.flow import tokens as keys
from web import tokens
from web.errors import ShownFault
from web.pages.face import as_id, form_of, lab_of, me, page, problem, see
from web.pages.i18n import N_

SCOPES: Mapping[Permission, str] = {
    Permission.READ: N_("See your files, prices, jobs and account."),
    Permission.SUBMIT: N_("Upload files, ask for prices, order and cancel jobs: it spends your money."),
    Permission.FLEET: N_("See the machines and what they do."),
    Permission.OPERATE: N_("Clear beds, hold machines back, decide about runs and the queue."),
    Permission.ALL_JOBS: N_("See everybody’s jobs."),
    Permission.ADMIN: N_("Change hours, machines, members and prices, and read the reports."),
    Permission.FEEDS: N_("Read what everybody used and was charged."),
    Permission.BOOK: N_("Make and cancel reservations, and ask who may use which machine."),
    Permission.SYNC: N_("Tell members, organisations and trainings of its own system."),
    Permission.HOOKS: N_("Be told of what happens, by webhooks of its own."),
}
"""What each scope allows, in a sentence."""

DAYS: Mapping[str, str] = {
    "30": N_("in a month"),
    "90": N_("in three months"),
    "365": N_("in a year"),
    "": N_("never, until it is revoked"),
}
"""When a key may expire."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A key as the form asks for it."""

    member_id: str = ""
    name: str = ""
    scopes: frozenset[str] = frozenset()
    days: str = "365"


@dataclass(frozen=True, kw_only=True)
class Owner:
    member: Member
    tokens: tuple[ApiToken, ...]
    scopes: tuple[Permission, ...]  # that a key of theirs may have


async def listing(request: web.Request) -> web.StreamResponse:
    return await _listing(request)


async def _listing(
    request: web.Request,
    *,
    wanted: Wanted | None = None,
    made: tuple[ApiToken, str] | None = None,
    refusal: EtabliError | None = None,
    status: int = 200,
) -> web.StreamResponse:
    lab, who = lab_of(request), me(request)
    told = problem(request, refusal) if refusal else None
    wrong: dict[str, list[ShownFault]] = {}
    for fault in told.faults if told else ():
        wrong.setdefault(fault.where, []).append(fault)
    return page(
        request,
        "tokens.html",
        status=told.status if told else status,
        owners=[_owner(member, theirs) for member, theirs in await keys.tokens(lab, who)],
        wanted=wanted or Wanted(member_id=str(who.id)),
        made=made,
        problem=told,
        wrong=wrong,
        scopes=SCOPES,
        expiries=DAYS,
        live_max=keys.LIVE_MAX,
    )


def _owner(member: Member, theirs: Sequence[ApiToken]) -> Owner:
    allowed = tuple(scope for scope in SCOPES if scope in PERMISSIONS[member.role])
    return Owner(member=member, tokens=tuple(theirs), scopes=allowed)


async def make(request: web.Request) -> web.StreamResponse:
    """The answer to the form is the only page that ever shows the key."""
    sent = await form_of(request)
    wanted = Wanted(
        member_id=sent.get("member_id") or str(me(request).id),
        name=sent.get("name", ""),
        scopes=frozenset(scope.value for scope in Permission if sent.get(f"scope-{scope.value}")),
        days=sent.get("days", "365") if sent.get("days", "365") in DAYS else "365",
    )
    try:
        made = await tokens.make(
            request,
            password=sent.get("password", ""),
            name=wanted.name,
            scopes=[Permission(scope) for scope in wanted.scopes],
            days=int(wanted.days) if wanted.days else None,
            member_id=_member(wanted.member_id),
        )
    except NotFound:
        raise
    except EtabliError as no:
        return await _listing(request, wanted=wanted, refusal=no)
    return await _listing(request, made=made, status=201)


def _member(text: str) -> UUID | None:
    return as_id(text) if text else None


async def revoke(request: web.Request) -> web.StreamResponse:
    sent, token_id = await form_of(request), request.match_info["token_id"]
    try:
        await tokens.revoke(request, password=sent.get("password", ""), token_id=token_id)
    except NotFound:
        raise
    except EtabliError as no:
        return await _listing(request, refusal=no)
    return see("/tokens")
