"""The pages of the plan, the hours and the keys, each with something on it that somebody typed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from uuid import uuid4

from orchestrator.domain.calendar import Opening, SiteCalendar
from orchestrator.domain.errors import Fault, Rejected
from orchestrator.domain.forecast import Instants
from orchestrator.domain.member import ApiToken, Permission, Public, Role
from orchestrator.domain.reservation import Purpose, Reservation
from orchestrator.flow.availability import Stretch
from orchestrator.flow.planned import OWN_SYSTEM, Expected, Lane, Plan, Work
from tests.builders import NOON, a_machine, a_member
from tests.web.pages.views import EVIL, NOW, Sheet, a_forecast
from web.errors import problem_of
from web.pages.hours import Draft, Row
from web.pages.reservations import PURPOSES
from web.pages.tokens import DAYS, SCOPES, Owner, Wanted
from web.pages.week import week

DAY = timedelta(days=1)


def a_calendar() -> SiteCalendar:
    alone = Opening(
        weekday=5, from_minute=600, to_minute=1440, publics=frozenset({Public.STUDENT}), staffed=False
    )
    return SiteCalendar(
        site=EVIL,
        openings=(Opening(weekday=0, from_minute=540, to_minute=720), alone),
        holidays=(date(2026, 12, 25),),
    )


def a_window(**other: object) -> Reservation:
    values: dict[str, object] = {
        "id": uuid4(),
        "system": EVIL,
        "external_id": "r1",
        "site": EVIL,
        "machine_id": None,
        "machine_class": None,
        "purpose": Purpose.CLOSURE,
        "starts_at": NOON,
        "ends_at": NOON + DAY / 8,
        "created_at": NOON,
        "changed_at": NOON,
        "note": EVIL,
    }
    return Reservation(**(values | other))  # type: ignore[arg-type]


def a_plan() -> Plan:
    machine, owner = a_machine(name=EVIL), uuid4()
    foreign = a_window(purpose=Purpose.BOOKING, member_id=owner, machine_id=machine.id)
    own = a_window(system=OWN_SYSTEM)
    work = Work(job_id=uuid4(), file_name=EVIL, member_name=EVIL)
    late = Instants(p50=NOW, p90=NOW + DAY / 24)
    stretches = (
        Stretch(kind="running", starts_at=NOON, ends_at=late, key="a", changed_at=NOON),
        Stretch(
            kind="closure",
            starts_at=NOON,
            ends_at=late,
            key="b",
            changed_at=NOON,
            reservation=own,
        ),
        Stretch(kind="held", starts_at=NOON, ends_at=None, key="c", changed_at=NOON),
    )
    lane = Lane(
        machine=machine,
        taken=stretches,
        running=work,
        expected=(Expected(work=work, forecast=a_forecast()),),
    )
    return Plan(start=NOON, end=NOON + DAY, lanes=(lane,), windows=(foreign, own), names={owner: EVIL})


def plan_values(plan: Plan) -> dict[str, object]:
    return {
        "plan": plan,
        "zone": "Europe/Paris",
        "week_shown": False,
        "rolling": False,
        "day": NOON.date(),
        "before": NOON.date() - DAY,
        "after": NOON.date() + DAY,
        "machines": [lane.machine for lane in plan.lanes],
        "given": {},
        "key": "k",
        "purposes": PURPOSES,
        "own_system": OWN_SYSTEM,
        "problem": None,
        "here": "/reservations",
    }


def _reservations_page(locale: str) -> Sheet:
    fault = Fault(rule="booked_by_other", where="starts_at", texts={"en": EVIL, "fr": EVIL}, remedy=EVIL)
    told = problem_of(Rejected("no", code="fields", faults=(fault,)), locale)
    values = plan_values(a_plan()) | {"given": {"note": EVIL, "of": EVIL}, "problem": told}
    return Sheet(template="reservations.html", values=values, role=Role.TECH)


def _hours_page(_locale: str) -> Sheet:
    calendar, none = a_calendar(), SiteCalendar(site=EVIL)
    values = {"sites": [(calendar, week(calendar)), (none, week(none))], "edits": True, "saved": EVIL}
    return Sheet(template="hours.html", values=values, role=Role.MANAGER)


def _hours_form_page(locale: str) -> Sheet:
    fault = Fault(rule="calendar.time", where="openings.0", seen=EVIL)
    told = problem_of(Rejected("no", code="fields", faults=(fault,)), locale)
    draft = Draft(
        zone=EVIL,
        rows=(Row(begins=EVIL, publics=frozenset({"student"})), Row()),
        holidays=(EVIL,),
        unattended=False,
        version="1",
    )
    wrong = {place: list(told.faults) for place in ("openings.0", "holidays.0", "zone")}
    values = {"site": EVIL, "draft": draft, "problem": told, "wrong": wrong}
    return Sheet(template="hours_form.html", values=values, role=Role.MANAGER)


def _tokens_page(locale: str) -> Sheet:
    me, system = a_member(name=EVIL), a_member(name=EVIL, role=Role.BOOKING)
    token = ApiToken(
        id="ab12",
        secret_sha256="",
        member_id=me.id,
        name=EVIL,
        scopes=frozenset({Permission.READ}),
        created_at=NOON,
        expires_at=NOON,
    )
    fault = Fault(rule="token.name", where="name", seen=EVIL)
    told = problem_of(Rejected("no", code="fields", faults=(fault,)), locale)
    scopes = tuple(SCOPES)
    values = {
        "owners": [
            Owner(member=me, tokens=(token,), scopes=scopes),
            Owner(member=system, tokens=(), scopes=scopes),
        ],
        "wanted": Wanted(member_id=str(me.id), name=EVIL),
        "made": (token, "etb_ab12_secret"),
        "problem": told,
        "wrong": {"name": list(told.faults)},
        "scopes": SCOPES,
        "expiries": DAYS,
        "live_max": 50,
    }
    return Sheet(template="tokens.html", values=values, role=Role.MANAGER)


PLAN_SHEETS: Mapping[str, Callable[[str], Sheet]] = {
    "reservations": _reservations_page,
    "hours": _hours_page,
    "hours-form": _hours_form_page,
    "tokens": _tokens_page,
}


def empty_plan_sheets() -> list[Sheet]:
    none = SiteCalendar(site="main")
    plan = Plan(start=NOON, end=NOON + DAY, lanes=(), windows=(), names={})
    return [
        Sheet(template="reservations.html", values=plan_values(plan), role=Role.TECH),
        Sheet(
            template="hours.html",
            values={"sites": [(none, week(none))], "edits": True, "saved": ""},
            role=Role.MANAGER,
        ),
    ]
