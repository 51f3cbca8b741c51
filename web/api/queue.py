"""The queue from the lab's side: its order and why, jobs put first, the site's hours, authorisations, demand."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from pydantic import AwareDatetime, Field

from orchestrator.domain.calendar import Opening, SiteCalendar
from orchestrator.domain.errors import Fault, Rejected
from orchestrator.domain.job import Priority
from orchestrator.domain.member import Permission, Public
from orchestrator.domain.order import Score
from orchestrator.flow import report, steer
from orchestrator.flow.authorize import SECONDS_MAX, Verdict, authorize
from web.api import shapes
from web.api.files import ById
from web.api.outside import SYSTEM, OutsideName
from web.api.shapes import ShownExplanation, ShownJob, ShownMoney, ShownRefusal
from web.security import member_of
from web.typed import Answer, Call, Given, Lenient, Route, Shown

# --- the order ---------------------------------------------------------------------------------------


class ShownQueued(Shown):
    score: shapes.ShownScore
    explanation: ShownExplanation


class ShownWeights(Shown):
    """Points: per day for `age_per_day`, for a factor of 1 for the others."""

    age_per_day: int
    priority: int
    share: int
    deadline: int
    material: int
    short: int
    turn: int


class ShownQueue(Shown):
    items: list[ShownQueued]
    """The next first."""
    more: int
    """That wait behind those."""
    weights: ShownWeights
    forecasts_told: int
    """Of late, whose job has begun."""
    forecasts_kept: int
    """Of those, how many began by the late end (p90) they were told."""
    next: str | None = None


class QueueQuery(Lenient):
    limit: int = Field(default=50, ge=1, le=200)


async def queue(call: Call, query: QueueQuery) -> ShownQueue:
    view = await report.queue(call.lab, member_of(call.request), limit=query.limit)
    policy = view.policy
    return ShownQueue(
        items=[
            ShownQueued(
                score=shapes.score(one.score or Score(points=0, terms=())),
                explanation=shapes.explanation(one),
            )
            for one in view.waiting
        ],
        more=view.more,
        forecasts_told=view.told,
        forecasts_kept=view.kept,
        weights=ShownWeights(
            age_per_day=policy.age_per_day,
            priority=policy.priority,
            share=policy.share,
            deadline=policy.deadline,
            material=policy.material,
            short=policy.short,
            turn=policy.turn,
        ),
    )


class PriorityBody(Given):
    priority: Priority | None = Field(default=None, strict=False)
    """Only the staff gives one; left out: as it is."""
    deadline: AwareDatetime | None = Field(default=None, strict=False)
    """None: none (any more)."""


async def prioritise(call: Call, params: ById, body: PriorityBody) -> ShownJob:
    who = member_of(call.request)
    await steer.prioritise(call.lab, who, params.id, priority=body.priority, deadline=body.deadline)
    return shapes.job(await report.job_view(call.lab, who, params.id))


async def approve(call: Call, params: ById) -> ShownJob:
    who = member_of(call.request)
    await steer.approve(call.lab, who, params.id)
    return shapes.job(await report.job_view(call.lab, who, params.id))


# --- may this member use this machine then? ----------------------------------------------------------


class AuthorizeBody(Given):
    member: OutsideName | None = None
    """As a booking system names them; or `member_id`."""
    member_id: UUID | None = Field(default=None, strict=False)
    machine_id: UUID | None = Field(default=None, strict=False)
    machine_class: str | None = Field(default=None, max_length=64)
    """Where no machine is named: any of the class."""
    at: AwareDatetime | None = Field(default=None, strict=False)
    """None: now."""
    duration_seconds: int = Field(default=3600, ge=60, le=SECONDS_MAX)


class ShownReason(ShownRefusal):
    machine_id: UUID | None


class ShownVerdict(Shown):
    allowed: bool
    machine_id: UUID | None
    """Which of the class it may be."""
    max_seconds: int | None
    """How long at most; None: no end in sight, or not allowed."""
    price: ShownMoney | None
    """Of the machine time asked for; None: no tariff is published."""
    reason: str | None
    """The first refusal's rule; None: allowed."""
    reasons: list[ShownReason]


async def may_use(call: Call, body: AuthorizeBody) -> ShownVerdict:
    if (body.member is None) == (body.member_id is None):
        raise _one_of("member", "Name the member by `member` or by `member_id`, not both.")
    if (body.machine_id is None) == (body.machine_class is None):
        raise _one_of("machine_id", "Name a machine by `machine_id` or a class by `machine_class`, not both.")
    member_id = body.member_id
    if body.member is not None:
        system, name = body.member.system, body.member.external_id
        member_id = await call.lab.store.read(lambda unit: unit.external("member", system, name))
    verdict = await authorize(
        call.lab,
        member_id,
        machine_id=body.machine_id,
        machine_class=body.machine_class,
        at=body.at or call.lab.clock.now(),
        seconds=body.duration_seconds,
    )
    return _shown(verdict)


def _one_of(where: str, remedy: str) -> Rejected:
    fault = Fault(rule="field.one_of", where=where, remedy=remedy)
    return Rejected("Some fields are not as they must be.", code="fields", faults=(fault,))


def _shown(verdict: Verdict) -> ShownVerdict:
    reasons = [
        ShownReason(machine_id=machine.id if machine else None, **shapes.refusal(no).model_dump())
        for machine, no in verdict.refusals
    ]
    return ShownVerdict(
        allowed=verdict.allowed,
        machine_id=verdict.machine.id if verdict.machine else None,
        max_seconds=verdict.max_seconds,
        price=shapes.money(verdict.price) if verdict.price else None,
        reason=None if verdict.allowed else reasons[0].rule,
        reasons=reasons,
    )


# --- the hours ---------------------------------------------------------------------------------------


class GivenOpening(Given):
    weekday: int = Field(ge=0, le=6)
    """0 is Monday."""
    from_minute: int = Field(ge=0, le=1440)
    """Of the local day."""
    to_minute: int = Field(ge=0, le=1440)
    publics: list[Public] = Field(default_factory=list, strict=False, max_length=len(Public))
    """For whom; empty: for everybody."""
    staffed: bool = True


class CalendarBody(Given):
    zone: str = Field(default="Europe/Paris", max_length=64)
    openings: list[GivenOpening] = Field(default_factory=list, max_length=steer.OPENINGS_MAX)
    """Empty: always open."""
    holidays: list[date] = Field(default_factory=list, strict=False, max_length=steer.HOLIDAYS_MAX)
    unattended: bool = True
    """Printers may print while the lab is closed."""


class ShownOpening(Shown):
    weekday: int
    from_minute: int
    to_minute: int
    publics: list[str]
    staffed: bool


class ShownCalendar(Shown):
    site: str
    zone: str
    openings: list[ShownOpening]
    holidays: list[str]
    unattended: bool
    version: int


class BySite(Lenient):
    site: str = Field(pattern=SYSTEM)


async def hours(call: Call, params: BySite) -> Answer[ShownCalendar]:
    return _tagged(await steer.hours(call.lab, params.site))


async def set_hours(call: Call, params: BySite, body: CalendarBody) -> Answer[ShownCalendar]:
    wanted = SiteCalendar(
        site=params.site,
        zone=body.zone,
        openings=tuple(
            Opening(
                weekday=one.weekday,
                from_minute=one.from_minute,
                to_minute=one.to_minute,
                publics=frozenset(one.publics),
                staffed=one.staffed,
            )
            for one in body.openings
        ),
        holidays=tuple(sorted(set(body.holidays))),
        unattended=body.unattended,
    )
    seen = await _seen(call, params.site)
    return _tagged(await steer.set_hours(call.lab, member_of(call.request), wanted, seen))


async def _seen(call: Call, site: str) -> int | None:
    """The version that If-Match names, where it is still the present one; None: the caller does not mind."""
    if call.if_match is None:
        return None
    present = (await steer.hours(call.lab, site)).version
    call.must_match(str(present))
    return present


def _tagged(value: SiteCalendar) -> Answer[ShownCalendar]:
    return Answer(body=_calendar(value), etag=str(value.version))


def _calendar(value: SiteCalendar) -> ShownCalendar:
    return ShownCalendar(
        site=value.site,
        zone=value.zone,
        openings=[
            ShownOpening(
                weekday=one.weekday,
                from_minute=one.from_minute,
                to_minute=one.to_minute,
                publics=sorted(public.value for public in one.publics),
                staffed=one.staffed,
            )
            for one in value.openings
        ],
        holidays=[day.isoformat() for day in value.holidays],
        unattended=value.unattended,
        version=value.version,
    )


# --- what was asked in vain ----------------------------------------------------------------------------


class PeriodQuery(Lenient):
    from_: date = Field(alias="from")
    to: date


class ShownDemand(Shown):
    day: str
    rule: str
    machine_class: str
    public: str
    refused: int
    """Jobs, or members who asked, that day; each once."""


class DemandList(Shown):
    items: list[ShownDemand]
    next: str | None = None


async def demand(call: Call, query: PeriodQuery) -> DemandList:
    rows = await steer.demand(call.lab, member_of(call.request), query.from_, query.to)
    return DemandList(
        items=[
            ShownDemand(
                day=row.day,
                rule=row.rule,
                machine_class=row.machine_class,
                public=row.public,
                refused=row.refused,
            )
            for row in rows
        ]
    )


V1 = "/api/v1"
ROUTES: tuple[Route, ...] = (
    Route(
        method="GET",
        path=f"{V1}/queue",
        handler=queue,
        permission=Permission.OPERATE,
        summary="The queue in its order: each job's score term by term, and what stands in its way",
    ),
    Route(
        method="POST",
        path=f"{V1}/jobs/{{id}}/priority",
        handler=prioritise,
        permission=Permission.SUBMIT,
        summary="Another class (staff) or another deadline (staff; whose job it is, with notice)",
    ),
    Route(
        method="POST",
        path=f"{V1}/jobs/{{id}}/approve",
        handler=approve,
        permission=Permission.OPERATE,
        summary="Agree to the job of a member who works under supervision",
    ),
    Route(
        method="POST",
        path=f"{V1}/authorize",
        handler=may_use,
        permission=Permission.BOOK,
        summary="May this member use this machine then, for how long, at what price; if not, why",
    ),
    Route(
        method="GET",
        path=f"{V1}/sites/{{site}}/calendar",
        handler=hours,
        permission=Permission.FLEET,
        summary="When a site is open, for whom, and with staff or without",
        etag=True,
    ),
    Route(
        method="PUT",
        path=f"{V1}/sites/{{site}}/calendar",
        handler=set_hours,
        permission=Permission.ADMIN,
        summary="Set a site's hours",
        etag=True,
    ),
    Route(
        method="GET",
        path=f"{V1}/reports/demand",
        handler=demand,
        permission=Permission.ADMIN,
        summary="What was refused, by day, rule, machine class and public",
    ),
)
