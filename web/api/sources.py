"""Booking systems: connected, tried, polled and switched off by the manager; and the door by which they send notices.

A token goes in and never comes out. A notice needs the secret of its source, in the address or in a header, because
Fabman can put it nowhere else; nothing in it is believed.
"""

from __future__ import annotations

from urllib.parse import urlencode
from uuid import UUID

from pydantic import Field

from orchestrator.domain.errors import Rejected
from orchestrator.domain.member import Permission
from orchestrator.domain.source import Found, Source, SourceKind
from orchestrator.flow import connect
from orchestrator.flow.connect import Draft
from orchestrator.flow.lab import Lab
from web.api.moments import moment
from web.bodies import read_raw
from web.errors import TooMany
from web.security import member_of, peer_of
from web.typed import PUBLIC, Answer, Call, Given, Lenient, Route, Shown

V1 = "/api/v1"
NOTICES_PER_MINUTE = 60
MINUTE_SECONDS = 60
SECRET_HEADER = "X-Etabli-Secret"


class SourceParams(Lenient):
    id: UUID


class NoticeQuery(Lenient):
    secret: str = Field(default="", max_length=200)


class SourceBody(Given):
    kind: SourceKind = Field(strict=False)
    system: str = Field(max_length=64)
    """The name its reservations and members go by."""
    url: str = Field(max_length=2000)
    site: str = Field(max_length=64)
    machines: dict[str, str] = Field(default_factory=dict, max_length=500)
    """Its id of a machine -> ours: an id, a name, a class, or `*` for the whole site; see the guide."""
    secret: str | None = Field(default=None, max_length=1000)
    """Its API token. Left out: as it was. Never shown again."""
    interval_seconds: int = Field(default=300, ge=60, le=86400)
    active: bool = True
    charges: bool = False
    """Tell it what jobs cost: it invoices, not we."""

    @property
    def draft(self) -> Draft:
        return Draft(**{name: getattr(self, name) for name in type(self).model_fields})


class ShownFound(Shown):
    code: str
    """`ok`, or why it could not be asked."""
    held: int
    changed: int
    conflicts: int
    skipped: int


class ShownSource(Shown):
    id: UUID
    kind: str
    system: str
    url: str
    site: str
    machines: dict[str, str]
    has_secret: bool
    interval_seconds: int
    active: bool
    charges: bool
    polled_at: str | None
    due_at: str | None
    failures: int
    """In a row; its last windows are kept meanwhile."""
    found: ShownFound | None
    """What the last poll came to."""
    notify_url: str | None
    """Where it may send notices; whoever knows it may only make us look."""


class SourceList(Shown):
    items: list[ShownSource]
    next: str | None


class ShownTried(Shown):
    code: str
    words: str
    windows: int
    skipped: int
    members: int
    names: dict[str, str]
    """Its machines: id -> name, to be mapped."""


class Heard(Shown):
    heard: bool
    """Whether it made us look."""


async def sources(call: Call) -> SourceList:
    found = await connect.listing(call.lab, member_of(call.request))
    return SourceList(items=[shown(call.lab, one) for one in found], next=None)


async def source(call: Call, params: SourceParams) -> ShownSource:
    return shown(call.lab, await connect.show(call.lab, member_of(call.request), params.id))


async def add(call: Call, body: SourceBody) -> Answer[ShownSource]:
    made = await connect.add(call.lab, member_of(call.request), body.draft)
    return Answer(body=shown(call.lab, made), headers={"Location": f"{V1}/sources/{made.id}"})


async def change(call: Call, params: SourceParams, body: SourceBody) -> ShownSource:
    return shown(call.lab, await connect.change(call.lab, member_of(call.request), params.id, body.draft))


async def remove(call: Call, params: SourceParams) -> None:
    await connect.remove(call.lab, member_of(call.request), params.id)


async def attempt(call: Call, body: SourceBody) -> ShownTried:
    tried = await connect.attempt(call.lab, member_of(call.request), body.draft)
    return ShownTried(
        code=tried.code,
        words=tried.words,
        windows=tried.windows,
        skipped=tried.skipped,
        members=tried.members,
        names=dict(tried.names),
    )


async def poll(call: Call, params: SourceParams) -> ShownSource:
    return shown(call.lab, await connect.poll_now(call.lab, member_of(call.request), params.id))


async def notice(call: Call, params: SourceParams, query: NoticeQuery) -> Heard:
    """Answers a wrong secret like a source that is not there; counts each peer, so that nobody guesses for long."""
    lab, key = call.lab, f"notice {peer_of(call.request)}"
    now = lab.clock.now()
    count = await lab.store.write(lambda unit: unit.count_attempt(key, now, MINUTE_SECONDS))
    if count > NOTICES_PER_MINUTE:
        raise TooMany("Too many notices.", code="notices.too_many", retry_after_seconds=MINUTE_SECONDS)
    secret = query.secret or call.request.headers.get(SECRET_HEADER, "")
    if not secret.isascii():
        raise Rejected("That is no secret of ours.", code="notices.secret")
    body = await read_raw(call.request)
    heard = await connect.hint(lab, params.id, secret, body, dict(call.request.headers))
    return Heard(heard=heard)


def shown(lab: Lab, one: Source) -> ShownSource:
    found = Found.of(one.note)
    secret = connect.hint_secret(lab, one)
    address = f"{lab.address}{V1}/sources/{one.id}/notify?{urlencode({'secret': secret})}"
    return ShownSource(
        id=one.id,
        kind=one.kind.value,
        system=one.system,
        url=one.url,
        site=one.site,
        machines=dict(one.machines),
        has_secret=bool(one.secret),
        interval_seconds=one.interval_seconds,
        active=one.active,
        charges=one.charges,
        polled_at=moment(one.polled_at) if one.polled_at else None,
        due_at=moment(one.due_at) if one.due_at else None,
        failures=one.failures,
        found=_found(found) if found else None,
        notify_url=address if secret else None,
    )


def _found(found: Found) -> ShownFound:
    return ShownFound(
        code=found.code,
        held=found.held,
        changed=found.changed,
        conflicts=found.conflicts,
        skipped=found.skipped,
    )


ADMIN = Permission.ADMIN
ROUTES: tuple[Route, ...] = (
    Route(method="GET", path=f"{V1}/sources", handler=sources, permission=ADMIN, summary="Booking systems"),
    Route(
        method="POST",
        path=f"{V1}/sources",
        handler=add,
        permission=ADMIN,
        summary="Connect a booking system; it is polled within a minute",
        status=201,
    ),
    Route(
        method="POST",
        path=f"{V1}/sources/test",
        handler=attempt,
        permission=ADMIN,
        summary="Ask a booking system once and keep nothing: what would it tell?",
    ),
    Route(
        method="GET",
        path=f"{V1}/sources/{{id}}",
        handler=source,
        permission=ADMIN,
        summary="A booking system",
    ),
    Route(
        method="PUT",
        path=f"{V1}/sources/{{id}}",
        handler=change,
        permission=ADMIN,
        summary="Change how a booking system is asked",
    ),
    Route(
        method="DELETE",
        path=f"{V1}/sources/{{id}}",
        handler=remove,
        permission=ADMIN,
        summary="Forget a booking system and free its windows to come",
        status=204,
    ),
    Route(
        method="POST",
        path=f"{V1}/sources/{{id}}/poll",
        handler=poll,
        permission=ADMIN,
        summary="Ask it now; answers what was found",
    ),
    Route(
        method="POST",
        path=f"{V1}/sources/{{id}}/notify",
        handler=notice,
        permission=PUBLIC,
        summary="A booking system says that something changed; it is asked, and not believed",
    ),
)
