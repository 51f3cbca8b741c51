"""What others keep books of: usage and charges, append-only and numbered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode
from uuid import UUID

from pydantic import Field

from orchestrator.domain.job import Job
from orchestrator.domain.member import Permission
from orchestrator.domain.reservation import Reservation
from orchestrator.domain.run import Run
from orchestrator.ports import Charge, Unit
from web.api import shapes
from web.api.moments import moment
from web.api.outside import ShownName, names
from web.api.paging import number_of
from web.api.shapes import ShownLine, ShownMoney, ShownUsage
from web.keys import SETTINGS
from web.typed import Answer, Call, Lenient, Route, Shown

LIMIT_MAX = 1000


class FeedQuery(Lenient):
    after: str = Field(default="0", max_length=100, json_schema_extra={"pattern": "^[0-9]{1,18}$"})
    """The `seq` of the last one you have."""
    limit: int = Field(default=200, ge=1, le=LIMIT_MAX)


class ShownUsageRecord(Shown):
    seq: int
    run_id: UUID
    job_id: UUID
    member_id: UUID
    member: list[ShownName]
    """How booking systems name whose job it was."""
    machine_id: UUID
    outcome: str
    cause: str | None
    ended_at: str | None
    reservation: ShownName | None
    """The window it was made in."""
    usage: ShownUsage


class UsageList(Shown):
    items: list[ShownUsageRecord]
    next: str | None


class ShownCharge(Shown):
    seq: int
    """Ascends, and never changes: ask for what comes after the last you have."""
    id: str
    job_id: UUID
    member_id: UUID
    member: list[ShownName]
    """How booking systems name whose job it was."""
    organisation: list[ShownName]
    amount: ShownMoney
    held: ShownMoney
    lines: list[ShownLine]
    at: str
    reservation: ShownName | None
    """The window it was made in: usage replaces what the booking itself would cost."""
    corrects: int | None
    """The `seq` of the charge that this one corrects."""


class ChargeList(Shown):
    items: list[ShownCharge]
    next: str | None


@dataclass(frozen=True, kw_only=True)
class _Whose:
    member: Sequence[tuple[str, str]]
    organisation: Sequence[tuple[str, str]]


async def _whose(unit: Unit, job: Job) -> _Whose:
    member = await unit.member(job.member_id)
    organisation = member.organisation_id if member else None
    return _Whose(
        member=await unit.externals("member", job.member_id),
        organisation=await unit.externals("organisation", organisation) if organisation else (),
    )


async def _window(unit: Unit, job: Job, run: Run | None) -> Reservation | None:
    """The member's own window that the run was in."""
    if run is None or run.ended_at is None:
        return None
    member, machine = await unit.member(job.member_id), await unit.machine(run.machine_id)
    if member is None or machine is None:
        return None
    for one in await unit.reservations(run.claimed_at, run.ended_at):
        if one.covers(machine) and one.is_for(member):
            return one
    return None


async def usage_records(call: Call, query: FeedQuery) -> Answer[UsageList]:
    async def work(unit: Unit) -> tuple[list[ShownUsageRecord], int]:
        rows = await unit.usage_records(number_of(query.after), query.limit)
        return [await _usage(unit, *row) for row in rows if row[1].usage is not None], len(rows)

    items, read = await call.lab.store.read(work)
    further = str(items[-1].seq) if items and read == query.limit else None
    headers = _link(call, "usage-records", query, further)
    return Answer(body=UsageList(items=items, next=further), headers=headers)


async def _usage(unit: Unit, seq: int, run: Run, job: Job) -> ShownUsageRecord:
    assert run.usage is not None
    whose, window = await _whose(unit, job), await _window(unit, job, run)
    return ShownUsageRecord(
        seq=seq,
        run_id=run.id,
        job_id=job.id,
        member_id=job.member_id,
        member=names(whose.member),
        machine_id=run.machine_id,
        outcome=run.state.value,
        cause=run.cause.value if run.cause else None,
        ended_at=moment(run.ended_at) if run.ended_at else None,
        reservation=_named(window),
        usage=shapes.usage(run.usage),
    )


async def charges(call: Call, query: FeedQuery) -> Answer[ChargeList]:
    async def work(unit: Unit) -> list[ShownCharge]:
        return [await _charge(unit, one) for one in await unit.charges(number_of(query.after), query.limit)]

    items = await call.lab.store.read(work)
    further = str(items[-1].seq) if len(items) == query.limit else None
    headers = _link(call, "charges", query, further)
    return Answer(body=ChargeList(items=items, next=further), headers=headers)


async def _charge(unit: Unit, value: Charge) -> ShownCharge:
    job, whose = value.job, await _whose(unit, value.job)
    runs = [run for run in await unit.runs_of(job.id) if run.ended_at is not None]
    window = await _window(unit, job, runs[-1] if runs else None)
    return ShownCharge(
        seq=value.seq,
        id=f"charge-{value.seq}",
        job_id=job.id,
        member_id=job.member_id,
        member=names(whose.member),
        organisation=names(whose.organisation),
        amount=shapes.money(value.bill.captured),
        held=shapes.money(value.bill.held),
        lines=[shapes.line(line) for line in value.bill.lines],
        at=moment(value.at),
        reservation=_named(window),
        corrects=None,
    )


def _named(window: Reservation | None) -> ShownName | None:
    return ShownName(system=window.system, external_id=window.external_id) if window else None


def _link(call: Call, name: str, query: FeedQuery, further: str | None) -> dict[str, str]:
    if further is None:
        return {}
    base = call.request.app[SETTINGS].base_url
    asked = urlencode({"after": further, "limit": query.limit})
    return {"Link": f'<{base}/api/v1/{name}?{asked}>; rel="next"'}


V1 = "/api/v1"
ROUTES: tuple[Route, ...] = (
    Route(
        method="GET",
        path=f"{V1}/usage-records",
        handler=usage_records,
        permission=Permission.FEEDS,
        summary="What runs used, append-only, by number",
    ),
    Route(
        method="GET",
        path=f"{V1}/charges",
        handler=charges,
        permission=Permission.FEEDS,
        summary="What jobs were charged, append-only, by number",
    ),
)
