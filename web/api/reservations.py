"""Reservations by the name another system gave them: made, moved, cancelled, listed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode
from uuid import UUID

from pydantic import Field

from orchestrator.domain.errors import Rejected
from orchestrator.domain.member import Permission
from orchestrator.domain.reservation import Purpose, Reservation
from orchestrator.flow import booking
from orchestrator.ports import Unit
from web.api.moments import moment
from web.api.outside import (
    SYSTEM,
    ByOutsideName,
    Given_instant,
    InstantText,
    OutsideName,
    ShownName,
    as_seen,
    instants,
    names,
    ours,
    state_of,
    written,
)
from web.api.paging import cursor_of, text_of
from web.keys import SETTINGS
from web.security import member_of
from web.typed import Answer, Call, Given, Lenient, Route, Shown

WINDOW = timedelta(days=14)
WINDOW_MAX = timedelta(days=92)


class ReservationBody(Given):
    machine_id: UUID | None = Field(default=None, strict=False)
    machine_class: str | None = Field(default=None, max_length=64)
    """Where no machine is named: a booking gets the first of the class that is free then; anything else takes all."""
    site: str | None = Field(default=None, pattern=SYSTEM)
    """Where neither is named: the whole site."""
    purpose: Purpose = Field(default=Purpose.BOOKING, strict=False)
    starts_at: Given_instant
    """RFC 3339 with an offset, or `{local, zone, fold}`."""
    ends_at: Given_instant
    member: OutsideName | None = None
    organisation: OutsideName | None = None
    note: str = Field(default="", max_length=500)
    despite_runs: bool = False
    """Record it although a job on the machine may not be done by then: the job is never stopped."""


class ShownReservation(Shown):
    id: UUID
    system: str
    external_id: str
    site: str
    machine_id: UUID | None
    """None: all of the class, or of the site."""
    machine_class: str | None
    purpose: str
    starts_at: str
    ends_at: str
    member: list[ShownName]
    """How booking systems name whose it is."""
    organisation: list[ShownName]
    state: str
    """`booked`, `released` (nobody came) or `cancelled`."""
    used_at: str | None
    note: str
    version: int


class ReservationList(Shown):
    items: list[ShownReservation]
    next: str | None


class ReservationsQuery(Lenient):
    from_: InstantText | None = Field(default=None, alias="from")
    to: InstantText | None = None
    """At most 92 days after `from`; left out: 14."""
    machine: UUID | None = None
    system: str | None = Field(default=None, pattern=SYSTEM)
    cursor: str | None = Field(default=None, max_length=200)
    limit: int = Field(default=100, ge=1, le=booking.PAGE_MAX)


async def put(call: Call, params: ByOutsideName, body: ReservationBody) -> Answer[ShownReservation]:
    starts_at, ends_at = instants(starts_at=body.starts_at, ends_at=body.ends_at)
    member_id, organisation_id = await call.lab.store.read(lambda unit: _whose(unit, body))
    wanted = booking.Wanted(
        starts_at=starts_at,
        ends_at=ends_at,
        purpose=body.purpose,
        machine_id=body.machine_id,
        machine_class=body.machine_class,
        site=body.site,
        member_id=member_id,
        organisation_id=organisation_id,
        note=body.note,
    )
    made, new = await booking.book(
        call.lab,
        member_of(call.request),
        params.system,
        params.external_id,
        wanted,
        despite_runs=body.despite_runs,
        seen=as_seen(call),
    )
    return Answer(body=await _shown(call, made), status=201 if new else 200, etag=state_of(made))


async def _whose(unit: Unit, body: ReservationBody) -> tuple[UUID | None, UUID | None]:
    return await ours(unit, "member", body.member), await ours(unit, "organisation", body.organisation)


async def get(call: Call, params: ByOutsideName) -> Answer[ShownReservation]:
    found = await booking.find(call.lab, member_of(call.request), params.system, params.external_id)
    return Answer(body=await _shown(call, found), etag=state_of(found))


async def delete(call: Call, params: ByOutsideName) -> None:
    await booking.cancel(
        call.lab, member_of(call.request), params.system, params.external_id, seen=as_seen(call)
    )


async def reservations(call: Call, query: ReservationsQuery) -> Answer[ReservationList]:
    """Those that hold and touch the window, the earliest first."""
    start, end = window_of(call, query.from_, query.to)
    after = cursor_of(query.cursor)

    async def work(unit: Unit) -> Sequence[Reservation]:
        machine = await unit.machine(query.machine) if query.machine else None
        found = await unit.reservations(start, end, system=query.system)
        return [
            one
            for one in found
            if (machine is None or one.covers(machine)) and (after is None or (one.starts_at, one.id) > after)
        ]

    rows = sorted(await call.lab.store.read(work), key=lambda one: (one.starts_at, one.id))
    page, more = rows[: query.limit], len(rows) > query.limit
    further = text_of((page[-1].starts_at, page[-1].id)) if more else None
    asked = query.model_dump(mode="json", by_alias=True, exclude_none=True)
    asked |= {"from": moment(start), "to": moment(end), "cursor": further}
    headers = {}
    if further:
        base = call.request.app[SETTINGS].base_url
        headers["Link"] = f'<{base}/api/v1/reservations?{urlencode(asked)}>; rel="next"'
    items = [await _shown(call, one) for one in page]
    return Answer(body=ReservationList(items=items, next=further), headers=headers)


def window_of(call: Call, start: str | None, end: str | None) -> tuple[datetime, datetime]:
    """Raises Rejected for one that ends before it starts, is too long, or lies at the end of time."""
    begins = written("from", start) or call.lab.clock.now()
    ends = written("to", end) or begins + min(WINDOW, datetime.max.replace(tzinfo=UTC) - begins)
    if not timedelta() < ends - begins <= WINDOW_MAX:
        fault = booking.window_fault(ends, WINDOW_MAX.days)
        raise Rejected("This is no window.", code="fields", faults=(fault,))
    return begins, ends


async def _shown(call: Call, value: Reservation) -> ShownReservation:
    async def work(unit: Unit) -> tuple[Sequence[tuple[str, str]], Sequence[tuple[str, str]]]:
        return (
            await unit.externals("member", value.member_id) if value.member_id else (),
            await unit.externals("organisation", value.organisation_id) if value.organisation_id else (),
        )

    member, organisation = await call.lab.store.read(work)
    return ShownReservation(
        id=value.id,
        system=value.system,
        external_id=value.external_id,
        site=value.site,
        machine_id=value.machine_id,
        machine_class=value.machine_class,
        purpose=value.purpose.value,
        starts_at=moment(value.starts_at),
        ends_at=moment(value.ends_at),
        member=names(member),
        organisation=names(organisation),
        state=value.state.value,
        used_at=moment(value.used_at) if value.used_at else None,
        note=value.note,
        version=value.version,
    )


PATH = "/api/v1/reservations/{system}/{external_id}"
ROUTES: tuple[Route, ...] = (
    Route(
        method="PUT",
        path=PATH,
        handler=put,
        permission=Permission.BOOK,
        summary="Make a reservation, or let it be so; 409 where another, or a running job, holds the place",
        status=201,
        also=200,
        etag=True,
    ),
    Route(
        method="GET",
        path=PATH,
        handler=get,
        permission=Permission.BOOK,
        summary="A reservation",
        etag=True,
    ),
    Route(
        method="DELETE",
        path=PATH,
        handler=delete,
        permission=Permission.BOOK,
        summary="Cancel a reservation: the window is everybody's again",
        status=204,
        etag=True,
    ),
    Route(
        method="GET",
        path="/api/v1/reservations",
        handler=reservations,
        permission=Permission.BOOK,
        summary="Reservations that hold, the earliest first",
    ),
)
