"""What the templates are given, whole, each part replaceable; and every page with something on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

from orchestrator.domain.advice import Advice, TurnAdvice
from orchestrator.domain.calibration import Calibration, Sample
from orchestrator.domain.errors import Fault, InsufficientBalance, Rejected, Unavailable
from orchestrator.domain.event import SYSTEM, Event
from orchestrator.domain.file import Severity, Warning
from orchestrator.domain.forecast import Forecast, Instants
from orchestrator.domain.job import JobState
from orchestrator.domain.ledger import Balance
from orchestrator.domain.machine import Bed
from orchestrator.domain.matching import Refusal, Until
from orchestrator.domain.member import Member, Role
from orchestrator.domain.order import Score, Term
from orchestrator.domain.policy import Policy
from orchestrator.domain.process import Colour, Process, Turn
from orchestrator.domain.quote import EstimateSource
from orchestrator.domain.run import RunState
from orchestrator.domain.tariff import settle, tariff_a
from orchestrator.domain.units import Money
from orchestrator.domain.usage import Source, Usage
from orchestrator.flow.learn import EstimateView
from orchestrator.flow.views import AccountView, Explanation, JobPage, JobView, MachineView, QueueView
from tests.builders import NOON, a_file, a_job, a_machine, a_member, a_quote, a_run, an_analysis
from web.errors import problem_of
from web.pages import board, estimates
from web.pages.jobs import Asked, Steering
from web.pages.labels import trouble
from web.pages.render import Reader
from web.pages.story import Buttons

NOW = NOON + timedelta(hours=1)
EVIL = "<script>alert(1)</script>.stl"
NO_BUTTONS = Buttons(cancel=False, pause=False, resume=False, retry=False, settle=False)
ALL_BUTTONS = Buttons(cancel=True, pause=True, resume=True, retry=True, settle=True)
USED = Usage(
    machine_seconds=3500,
    filament_milligrams=19_000,
    seconds_source=Source.MACHINE,
    filament_source=Source.MACHINE,
)


def a_reader(me: Member | None = None, **other: Any) -> Reader:
    values: dict[str, Any] = {"me": me or a_member(), "locale": "en", "now": NOW, "path": "/jobs"}
    return Reader(**(values | other))


def a_job_view(**other: Any) -> JobView:
    """A queued job of Camille's; `state=` is short for another job."""
    member = other.pop("member", None) or a_member()
    job = other.pop("job", None) or a_job(state=other.pop("state", JobState.QUEUED), member_id=member.id)
    values: dict[str, Any] = {
        "job": job,
        "quote": a_quote(id=job.quote_id),
        "file": a_file(id=job.file_id),
        "member": member,
        "runs": (),
        "machines": {},
        "place": None,
        "forecast": None,
        "bill": None,
    }
    return JobView(**(values | other))


def a_machine_view(**other: Any) -> MachineView:
    values: dict[str, Any] = {"run": None, "job": None, "file_name": "", "refusals": ()}
    machine = other.pop("machine", None) or a_machine(bed=Bed.CLEAR)
    return MachineView(machine=machine, **(values | other))


def an_event(topic: str, *, seconds: int = 0, **data: Any) -> Event:
    return Event(topic=topic, at=NOON + timedelta(seconds=seconds), actor=SYSTEM, data=data)


def a_forecast() -> Forecast:
    hour = timedelta(hours=1)
    return Forecast(start=Instants(p50=NOW, p90=NOW + hour), end=Instants(p50=NOW + hour, p90=NOW + 3 * hour))


def a_score() -> Score:
    """Half a day of waiting, of somebody who used their part."""
    values = (("age", 0.5, 1000), ("priority", 1 / 3, 2000), ("share", 0.5, 3000), ("deadline", 0.0, 1000))
    terms = tuple(Term(name=name, value=value, points=value * weight) for name, value, weight in values)
    return Score(points=sum(term.points for term in terms), terms=terms)


def a_queue(*waiting: Explanation) -> QueueView:
    return QueueView(waiting=waiting, more=len(waiting), policy=Policy())


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """One page to render: its template, what it is given, and who looks."""

    template: str
    values: Mapping[str, Any]
    role: Role | None = Role.MEMBER  # None: nobody is signed in


def account_view(member: Member) -> AccountView:
    return AccountView(member=member, balance=Balance(posted=Money(20_000), held=Money(1201)))


def refused(locale: str) -> Any:
    fault = Fault(rule="mesh.truncated", seen=EVIL, texts={"en": f"{EVIL} is cut", "fr": f"{EVIL} est coupé"})
    return problem_of(Rejected("refused", code=fault.rule, faults=(fault,)), locale)


def job_values(state: JobState, **other: Any) -> dict[str, Any]:
    view = a_job_view(state=state, file=a_file(name=EVIL), **other)
    return {
        "view": view,
        "events": [],
        "slicing": None,
        "explanation": None,
        "where": None,
        "policy": None,
        "steering": None,
        "deadline": None,
        "can": NO_BUTTONS,
        "waits": None,
        "judging": None,
        "sheet": "",
        "problem": None,
    }


def _jobs_page(locale: str) -> Sheet:
    views = tuple(a_job_view(state=state, file=a_file(name=EVIL)) for state in JobState)
    files = [a_file(name=EVIL), a_file(analysis=None)]
    values = {
        "page": JobPage(items=views, next=None),
        "here": "/jobs",
        "older": "/jobs?before=x",
        "files": files,
        "account": account_view(a_member()),
        "refusal": refused(locale),
    }
    return Sheet(template="jobs.html", values=values)


def _warnings() -> tuple[Warning, ...]:
    both = {"en": EVIL, "fr": EVIL}
    inches = Warning(
        rule="mesh.units?", severity=Severity.QUESTION, texts=both, params={"scale_percent": 2540}
    )
    return (Warning(rule="mesh.tiny", severity=Severity.WARNING, texts=both, remedies=both), inches)


def _unpriced_page(locale: str) -> Sheet:
    """A part that cannot be made as it was drawn: its choices, and the reason where the price would be."""
    sheet = _quote_page(locale)
    values = {**sheet.values, "quote": None, "process": Process(), "problem": refused(locale)}
    return Sheet(template="quote.html", values=values)


def advice_part() -> dict[str, object]:
    """What is fetched into the quote's page when the price stands there."""
    both = {"en": EVIL, "fr": EVIL}
    turn = TurnAdvice(
        turn=Turn.Y90,
        supports=True,
        seconds_now=9,
        seconds_then=5,
        milligrams_now=9,
        milligrams_then=5,
        texts=both,
    )
    return {"quote": a_quote(), "advice": Advice(warnings=_warnings(), turn=turn)}


def _quote_page(locale: str) -> Sheet:
    file, quote = a_file(name=EVIL, analysis=an_analysis(warnings=_warnings())), a_quote()
    values = {
        "quote": quote,
        "file": file,
        "account": account_view(a_member()),
        "process": Process(supports=True),
        "size_mm": (20.0, 20.0, 20.0),
        "quantity": 3,
        "quantity_max": 100,
        "colours": list(Colour),
        "problem": problem_of(InsufficientBalance(), locale),
    }
    return Sheet(template="quote.html", values=values)


def _queued_page(locale: str) -> Sheet:
    view = a_job_view(file=a_file(name=EVIL), place=2, forecast=a_forecast())
    refusal = Refusal(rule="held", reason="", until=Until.PERSON, seen=EVIL)
    never = Refusal(rule="class", reason="", until=Until.NEVER, needed=EVIL)
    says = ((a_machine(name=EVIL), (refusal,)), (a_machine(), ()), (a_machine(name=EVIL), (never,)))
    explanation = Explanation(job=view, machines=says, score=a_score())
    given = job_values(JobState.QUEUED) | {"view": view, "explanation": explanation, "can": ALL_BUTTONS}
    wrong = problem_of(Rejected("no", code="deadline.notice"), locale)
    return Sheet(
        template="job.html",
        values=given
        | {
            "where": a_machine(name=EVIL),
            "policy": Policy(),
            "steering": Steering(prioritise=True, agree=True, notice_hours=24),
            "deadline": Asked(given=EVIL, problem=wrong),
        },
    )


def _active_page(_locale: str) -> Sheet:
    machine = a_machine(name=EVIL)
    run = a_run(machine_id=machine.id, state=RunState.RUNNING, progress_permille=430)
    given = job_values(JobState.ACTIVE, runs=(run,), machines={machine.id: machine})
    events = [replace(an_event("run.running"), machine_id=machine.id)]
    return Sheet(template="job.html", values=given | {"events": events, "can": ALL_BUTTONS})


def _done_page(_locale: str) -> Sheet:
    return Sheet(
        template="job.html",
        values=job_values(JobState.DONE, bill=settle(USED, tariff_a(), Money(5000), None)),
    )


def _risen_page(locale: str) -> Sheet:
    events = [an_event("job.quoted", event="above_hold", promised_cents=1201, now_cents=1588)]
    told = problem_of(Unavailable(), locale)
    return Sheet(
        template="job.html", values=job_values(JobState.QUOTED) | {"events": events, "problem": told}
    )


def _attention_page(_locale: str) -> Sheet:
    job = a_job(state=JobState.ATTENTION, reason=EVIL)
    given = job_values(JobState.ATTENTION) | {"view": a_job_view(job=job), "can": ALL_BUTTONS}
    return Sheet(template="job.html", values=given, role=Role.TECH)


def _board_page(_locale: str) -> Sheet:
    unclear = a_machine_view(
        machine=a_machine(name="Hypatie", note=EVIL), run=a_run(state=RunState.UNCLEAR), file_name=EVIL
    )
    held = a_machine_view(machine=a_machine(name=EVIL, held=EVIL))
    occupied = a_machine_view(machine=a_machine(bed=Bed.OCCUPIED, material=None))
    cards = board.cards([held, occupied, unclear, a_machine_view()])
    values = {
        "cards": cards,
        "here": "/machines",
        "cleared": a_machine_view(machine=a_machine(name=EVIL)),
        "operates": True,
        "problem": None,
    }
    return Sheet(template="machines.html", values=values, role=Role.TECH)


def _queue_page(_locale: str) -> Sheet:
    deciding, queued, active = (a_job_view(file=a_file(name=EVIL), place=place) for place in (None, 1, None))
    refusal = Refusal(rule="bed", reason="", until=Until.PERSON)
    machines = ((a_machine(name=EVIL), (refusal, refusal, refusal)),)
    waiting = Explanation(job=queued, machines=machines, score=a_score())
    return Sheet(
        template="queue.html",
        values={"deciding": [deciding], "queue": a_queue(waiting), "others": [active]},
        role=Role.TECH,
    )


def _estimates_page(_locale: str) -> Sheet:
    held = Calibration(
        machine_id=None,
        profile="mk3s",
        version=2,
        at=NOON,
        samples=3,
        time_scale_ppm=1_080_000,
        offset_seconds=300,
        material_samples=3,
        material_scale_ppm=960_000,
    )
    sample = Sample(
        run_id=uuid4(),
        machine_id=uuid4(),
        profile="mk3s",
        at=NOON,
        predicted_seconds=3600,
        predicted_milligrams=20_000,
        actual_seconds=4188,
        actual_milligrams=19_200,
        quoted_seconds=4100,
        quoted_milligrams=19_500,
        source=EstimateSource.MESH,
        calibration="mk3s:1",
    )
    together = EstimateView(
        profile="mk3s",
        machine=None,
        runs=3,
        calibration=held,
        samples=(sample, sample),
        slicer_error=0.14,
        quoted_time_error=0.021,
        quoted_material_error=0.016,
    )
    new = replace(
        together, machine=a_machine(name=EVIL), runs=1, calibration=None, quoted_material_error=None
    )
    return Sheet(template="estimates.html", values=estimates.values([together, new]), role=Role.TECH)


def _account_page(_locale: str) -> Sheet:
    views = tuple(a_job_view(state=state, file=a_file(name=EVIL)) for state in JobState)
    values = {"account": account_view(a_member(name=EVIL)), "page": JobPage(items=views, next=None)}
    return Sheet(template="account.html", values=values)


def _file_page(locale: str) -> Sheet:
    return Sheet(template="file.html", values={"file": a_file(name=EVIL), "refusal": refused(locale)})


def _sign_in_page(locale: str) -> Sheet:
    told = problem_of(Rejected("no", code="credentials"), locale)
    return Sheet(template="signin.html", values={"problem": told, "email": EVIL, "next": "/"}, role=None)


def _error_page(locale: str) -> Sheet:
    return Sheet(template="error.html", values={"trouble": trouble(422), "problem": refused(locale)})


SHEETS: Mapping[str, Callable[[str], Sheet]] = {
    "jobs": _jobs_page,
    "quote": _quote_page,
    "unpriced": _unpriced_page,
    "queued": _queued_page,
    "active": _active_page,
    "done": _done_page,
    "risen": _risen_page,
    "attention": _attention_page,
    "board": _board_page,
    "queue": _queue_page,
    "estimates": _estimates_page,
    "account": _account_page,
    "file": _file_page,
    "sign-in": _sign_in_page,
    "error": _error_page,
}


def empty_sheets() -> list[Sheet]:
    """The pages that say what to do when there is nothing yet."""
    nothing = JobPage(items=(), next=None)
    account = account_view(a_member())
    return [
        Sheet(
            template="jobs.html",
            values={
                "page": nothing,
                "here": "/jobs",
                "older": "",
                "files": [],
                "account": account,
                "refusal": None,
            },
        ),
        Sheet(
            template="machines.html",
            values={"cards": [], "here": "/machines", "cleared": None, "operates": True, "problem": None},
            role=Role.TECH,
        ),
        Sheet(
            template="queue.html", values={"deciding": [], "queue": a_queue(), "others": []}, role=Role.TECH
        ),
        Sheet(template="estimates.html", values=estimates.values([]), role=Role.TECH),
        Sheet(template="account.html", values={"account": account, "page": nothing}),
    ]
