"""The shapes of the outside contract, and how our values become them. Quantities end in their unit; times
are RFC 3339."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from orchestrator.domain import tariff
from orchestrator.domain.advice import Advice, TurnAdvice
from orchestrator.domain.event import Event
from orchestrator.domain.forecast import Forecast, Instants
from orchestrator.domain.ledger import Balance
from orchestrator.domain.machine import Abilities, Machine
from orchestrator.domain.matching import Refusal
from orchestrator.domain.order import Score
from orchestrator.domain.quote import Estimate, Quote, Spread
from orchestrator.domain.run import Run
from orchestrator.domain.units import Money
from orchestrator.domain.usage import Usage
from orchestrator.flow.views import Explanation, JobView, MachineView
from web.api.fileshapes import ShownWarning, warning
from web.api.makings import ShownCutProcess, ShownProcess, process
from web.api.moments import moment
from web.typed import Shown


def _at(at: datetime | None) -> str | None:
    return moment(at) if at else None


class ShownMoney(Shown):
    amount: int
    """Cents."""
    currency: str


def money(value: Money) -> ShownMoney:
    return ShownMoney(amount=value.cents, currency=value.currency)


# --- files and quotes --------------------------------------------------------------------------------


class ShownSpread(Shown):
    p50: int
    p90: int


class ShownOperation(Shown):
    key: str
    kind: str
    """`cut`, `score`, `engrave` or `ignore`."""
    seconds: int
    length_mm: float


class ShownEstimate(Shown):
    source: str
    print_seconds: ShownSpread
    """Of the machine, whatever it makes."""
    filament_milligrams: ShownSpread | None
    """None: a cut."""
    beam_seconds: ShownSpread | None
    """Laser on; None: no laser."""
    cut_millimetres: int | None
    sheet_mm2: int | None
    """What is billed of the sheet: the work's own box, with a margin."""
    operations: list[ShownOperation]
    """What becomes of each colour of a drawing."""
    confidence: str
    confidence_reason: str
    calibration: str
    """What finished runs had taught when it was made, e.g. `mk3s:7`; empty: nothing."""
    raw_print_seconds: ShownSpread | None
    """Before that; None: the same."""
    raw_filament_milligrams: ShownSpread | None


class ShownQuantity(Shown):
    value: int
    unit: str


class ShownLine(Shown):
    kind: str
    text: str
    quantity: ShownQuantity
    amount: ShownMoney
    explain: str


class ShownQuote(Shown):
    id: UUID
    file_id: UUID
    process: ShownProcess | ShownCutProcess
    quantity: int
    machine_class: str | None
    tariff_version: int
    created_at: str
    valid_until: str
    estimate: ShownEstimate
    lines: list[ShownLine]
    total: ShownMoney
    hold: ShownMoney


def _spread(value: Spread) -> ShownSpread:
    return ShownSpread(p50=value.p50, p90=value.p90)


def estimate(value: Estimate) -> ShownEstimate:
    cut = value.cutting
    return ShownEstimate(
        source=value.source.value,
        print_seconds=_spread(value.print_seconds),
        filament_milligrams=None if cut else _spread(value.filament_milligrams),
        beam_seconds=_spread(cut.beam_seconds) if cut and cut.beam_seconds else None,
        cut_millimetres=cut.cut_millimetres if cut else None,
        sheet_mm2=cut.sheet_mm2 if cut else None,
        operations=[
            ShownOperation(
                key=row.key, kind=row.kind.value, seconds=row.seconds, length_mm=round(row.length_mm, 1)
            )
            for row in (cut.rows if cut else ())
        ],
        confidence=value.confidence.value,
        confidence_reason=value.confidence_reason,
        calibration=value.calibration,
        raw_print_seconds=_spread(value.raw_print_seconds) if value.raw_print_seconds else None,
        raw_filament_milligrams=(
            _spread(value.raw_filament_milligrams) if value.raw_filament_milligrams else None
        ),
    )


def line(value: tariff.Line) -> ShownLine:
    return ShownLine(
        kind=value.kind.value,
        text=value.text,
        quantity=ShownQuantity(value=value.quantity.value, unit=value.quantity.unit.value),
        amount=money(value.amount),
        explain=value.explain,
    )


def quote(value: Quote) -> ShownQuote:
    return ShownQuote(
        id=value.id,
        file_id=value.file_id,
        process=process(value.process),
        quantity=value.quantity,
        machine_class=value.machine_class,
        tariff_version=value.tariff_version,
        created_at=moment(value.created_at),
        valid_until=moment(value.valid_until),
        estimate=estimate(value.estimate),
        lines=[line(one) for one in value.lines],
        total=money(value.total),
        hold=money(value.hold),
    )


class ShownTurn(Shown):
    turn: str
    supports: bool
    """Whether it needs supports that way."""
    text: str
    seconds_now: int
    seconds_then: int
    milligrams_now: int
    milligrams_then: int


class ShownAdvice(Shown):
    warnings: list[ShownWarning]
    turn: ShownTurn | None
    """Another way to lay the part that saves time or material; None: it lies well."""


def advice(value: Advice, language: str) -> ShownAdvice:
    return ShownAdvice(
        warnings=[warning(w, language) for w in value.warnings],
        turn=_turn(value.turn, language) if value.turn else None,
    )


def _turn(value: TurnAdvice, language: str) -> ShownTurn:
    return ShownTurn(
        turn=value.turn.value,
        supports=value.supports,
        text=value.texts.get(language, value.texts.get("en", "")),
        seconds_now=value.seconds_now,
        seconds_then=value.seconds_then,
        milligrams_now=value.milligrams_now,
        milligrams_then=value.milligrams_then,
    )


# --- jobs and runs -----------------------------------------------------------------------------------


class ShownUsage(Shown):
    machine_seconds: int
    filament_milligrams: int
    beam_seconds: int | None
    """Laser on; None: no laser."""
    beam_source: str
    cut_millimetres: int
    sheet_mm2: int
    seconds_source: str
    filament_source: str
    quality: str


class ShownRun(Shown):
    id: UUID
    machine_id: UUID
    state: str
    outcome: str | None
    """None until it has ended."""
    cause: str | None
    progress: float
    """0 to 1."""
    started_at: str | None
    ended_at: str | None
    note: str
    """The machine's own words."""
    usage: ShownUsage | None


class ShownInstants(Shown):
    p50: str
    p90: str


class ShownForecast(Shown):
    start: ShownInstants
    end: ShownInstants
    machine_id: UUID | None
    """Where it would be."""
    after: int
    """Jobs before it there, the one on the machine included."""


class ShownTerm(Shown):
    name: str
    """`age`, `priority`, `share`, `short`, `turn`, `deadline`, `material`."""
    value: float
    """Days for the age; 0 to 1 for the others."""
    points: float


class ShownScore(Shown):
    points: float
    terms: list[ShownTerm]


def score(value: Score) -> ShownScore:
    terms = [ShownTerm(name=t.name, value=round(t.value, 4), points=round(t.points, 1)) for t in value.terms]
    return ShownScore(points=round(value.points, 1), terms=terms)


class ShownReceipt(Shown):
    lines: list[ShownLine]
    total: ShownMoney
    held: ShownMoney
    released: ShownMoney


class ShownJob(Shown):
    id: UUID
    state: str
    quote_id: UUID
    file_id: UUID
    member_id: UUID
    quantity: int
    created_at: str
    reason: str
    place: int | None
    """1 is next; None: it does not wait for a machine."""
    forecast: ShownForecast | None
    priority: str
    deadline: str | None
    approved: bool
    """Somebody of the staff agreed to it; asked for where a member works under supervision."""
    runs: list[ShownRun]
    receipt: ShownReceipt | None


def usage(value: Usage) -> ShownUsage:
    return ShownUsage(
        machine_seconds=value.machine_seconds,
        filament_milligrams=value.filament_milligrams,
        beam_seconds=value.beam_seconds,
        beam_source=value.beam_source.value,
        cut_millimetres=value.cut_millimetres,
        sheet_mm2=value.sheet_mm2,
        seconds_source=value.seconds_source.value,
        filament_source=value.filament_source.value,
        quality=value.quality.value,
    )


def run(value: Run) -> ShownRun:
    return ShownRun(
        id=value.id,
        machine_id=value.machine_id,
        state=value.state.value,
        outcome=value.state.value if value.ended_at else None,
        cause=value.cause.value if value.cause else None,
        progress=value.progress_permille / 1000,
        started_at=_at(value.started_at),
        ended_at=_at(value.ended_at),
        note=value.note,
        usage=usage(value.usage) if value.usage else None,
    )


def _instants(value: Instants) -> ShownInstants:
    return ShownInstants(p50=moment(value.p50), p90=moment(value.p90))


def _forecast(value: Forecast) -> ShownForecast:
    return ShownForecast(
        start=_instants(value.start),
        end=_instants(value.end),
        machine_id=value.machine_id,
        after=value.after,
    )


def receipt(value: tariff.Bill) -> ShownReceipt:
    return ShownReceipt(
        lines=[line(one) for one in value.lines],
        total=money(value.captured),
        held=money(value.held),
        released=money(value.released),
    )


def job(view: JobView) -> ShownJob:
    return ShownJob(
        id=view.job.id,
        state=view.job.state.value,
        quote_id=view.job.quote_id,
        file_id=view.job.file_id,
        member_id=view.job.member_id,
        quantity=view.job.quantity,
        created_at=moment(view.job.created_at),
        reason=view.job.reason,
        place=view.place,
        forecast=_forecast(view.forecast) if view.forecast else None,
        priority=view.job.priority.value,
        deadline=_at(view.job.deadline),
        approved=view.job.approved_by is not None,
        runs=[run(one) for one in view.runs],
        receipt=receipt(view.bill) if view.bill else None,
    )


# --- machines ----------------------------------------------------------------------------------------


class ShownRefusal(Shown):
    rule: str
    reason: str
    until: str
    """`never`, `person`, `machine` or `time`."""
    seen: str
    needed: str
    at: str | None = None
    """The earliest it may end, where that is known."""


class ShownAbilities(Shown):
    size_mm: tuple[int, int, int]
    materials: list[str]
    can_pause: bool
    attended: bool
    release: str
    """How a person starts it: `none` (nobody need be there), `physical_start` or `kiosk_start`."""
    conditions: list[str]


class ShownMachine(Shown):
    id: UUID
    name: str
    kind: str
    machine_class: str
    site: str
    link: str
    activity: str
    bed: str
    run_id: UUID | None
    run_state: str | None
    progress: float | None
    held: str
    maintenance: bool
    note: str
    refusals: list[ShownRefusal]
    """Why it takes nothing at the moment; empty: it is free."""
    abilities: ShownAbilities
    material: str | None
    colour: str | None
    nozzle_micrometres: int
    stock_milligrams: int | None
    """Left on the spool; None: nobody has said."""


class ShownMachineRow(Shown):
    """A machine, without what the queue makes of it."""

    id: UUID
    name: str
    kind: str
    machine_class: str
    link: str
    activity: str
    bed: str
    held: str
    maintenance: bool
    note: str
    release: str
    """`none`, `physical_start` or `kiosk_start`."""
    tells_end: bool
    """False: only a person knows when it is done, and says so on the device."""


def machine_row(m: Machine) -> ShownMachineRow:
    return ShownMachineRow(
        id=m.id,
        name=m.name,
        kind=m.kind.value,
        machine_class=m.machine_class,
        link=m.link.value,
        activity=m.activity.value,
        bed=m.bed.value,
        held=m.held,
        maintenance=m.maintenance,
        note=m.note,
        release=m.abilities.release.value,
        tells_end=m.abilities.tells_end,
    )


def refusal(value: Refusal) -> ShownRefusal:
    return ShownRefusal(
        rule=value.rule,
        reason=value.reason,
        until=value.until.value,
        seen=value.seen,
        needed=value.needed,
        at=_at(value.at),
    )


def _abilities(value: Abilities) -> ShownAbilities:
    return ShownAbilities(
        size_mm=value.size_mm,
        materials=[m.value for m in value.materials],
        can_pause=value.can_pause,
        attended=value.attended,
        release=value.release.value,
        conditions=list(value.conditions),
    )


def machine(view: MachineView) -> ShownMachine:
    m = view.machine
    return ShownMachine(
        id=m.id,
        name=m.name,
        kind=m.kind.value,
        machine_class=m.machine_class,
        site=m.site,
        link=m.link.value,
        activity=m.activity.value,
        bed=m.bed.value,
        run_id=view.run.id if view.run else None,
        run_state=view.run.state.value if view.run else None,
        progress=view.run.progress_permille / 1000 if view.run else None,
        held=m.held,
        maintenance=m.maintenance,
        note=m.note,
        refusals=[refusal(no) for no in view.refusals],
        abilities=_abilities(m.abilities),
        material=m.material.value if m.material else None,
        colour=m.colour.value if m.colour else None,
        nozzle_micrometres=m.nozzle_micrometres,
        stock_milligrams=m.stock_milligrams,
    )


class ShownMachineSays(Shown):
    machine_id: UUID
    name: str
    refusals: list[ShownRefusal]


class ShownExplanation(Shown):
    job: ShownJob
    place: int | None
    forecast: ShownForecast | None
    score: ShownScore | None
    """None: it does not wait."""
    machines: list[ShownMachineSays]


def explanation(value: Explanation) -> ShownExplanation:
    shown = job(value.job)
    return ShownExplanation(
        job=shown,
        place=shown.place,
        forecast=shown.forecast,
        score=score(value.score) if value.score else None,
        machines=[
            ShownMachineSays(machine_id=m.id, name=m.name, refusals=[refusal(no) for no in noes])
            for m, noes in value.machines
        ],
    )


# --- people, money, events ---------------------------------------------------------------------------


class ShownMe(Shown):
    id: UUID
    email: str
    name: str
    role: str
    locale: str
    account_id: UUID


class ShownAccount(Shown):
    id: UUID
    posted: ShownMoney
    held: ShownMoney
    available: ShownMoney


def account(account_id: UUID, balance: Balance) -> ShownAccount:
    return ShownAccount(
        id=account_id,
        posted=money(balance.posted),
        held=money(balance.held),
        available=money(balance.available),
    )


class ShownEvent(Shown):
    seq: int
    topic: str
    at: str
    job_id: UUID | None
    run_id: UUID | None
    machine_id: UUID | None
    data: dict[str, Any]


def event(value: Event) -> ShownEvent:
    return ShownEvent(
        seq=value.seq,
        topic=value.topic,
        at=moment(value.at),
        job_id=value.job_id,
        run_id=value.run_id,
        machine_id=value.machine_id,
        data=dict(value.data),
    )
