"""What the pages of laser work are given: a drawing, its price, a run that waits for its release, board and kiosk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

from orchestrator.domain.errors import InsufficientBalance
from orchestrator.domain.file import Analysis, Drawing, DrawnGroup, FileKind, Severity, Warning
from orchestrator.domain.job import JobState
from orchestrator.domain.machine import Abilities, Bed, Kind, Machine
from orchestrator.domain.matching import Refusal, Until
from orchestrator.domain.member import Role
from orchestrator.domain.presence import PRESENCE_SECONDS_MAX, Kiosk, Override, ReleasePolicy
from orchestrator.domain.process import CutKind, CutProcess
from orchestrator.domain.quote import CutRow, Cutting, Estimate, EstimateSource, Quote, Spread
from orchestrator.domain.run import Run, RunState
from orchestrator.domain.sheet import SheetMaterial, SheetSetting
from orchestrator.domain.tariff import settle, tariff_a
from orchestrator.domain.units import Money
from orchestrator.domain.usage import Source, Usage
from orchestrator.flow.beside import Beside
from tests.builders import NOON, a_file, a_job, a_machine, a_member, a_quote, a_run
from tests.web.pages.views import (
    ALL_BUTTONS,
    EVIL,
    Sheet,
    a_job_view,
    a_machine_view,
    account_view,
    an_event,
    job_values,
    refused,
)
from web.errors import problem_of
from web.pages import board, cuts
from web.pages.jobs import Waits

RED, LETTERS, PHOTO = "stroke:#ff0000", f"stroke:#0000ff@{EVIL}", "picture"
CONDITIONS = ("lid", "extractor")


def a_laser(**other: Any) -> Machine:
    abilities = Abilities(
        size_mm=(600, 400, 0),
        materials=(),
        profile="co2-6040-grbl",
        attended=True,
        release=ReleasePolicy.KIOSK_START,
        conditions=CONDITIONS,
    )
    values: dict[str, Any] = {"name": "Foucault", "kind": Kind.LASER, "machine_class": "laser"}
    return a_machine(**(values | {"abilities": abilities, "material": None} | other))


def a_group(key: str, **other: Any) -> DrawnGroup:
    paint, _, colour = key.partition("@")[0].partition(":")
    values: dict[str, Any] = {"count": 2, "length_mm": 1200.0, "closed": True, "from_text": False}
    layer = key.partition("@")[2]
    return DrawnGroup(key=key, paint=paint, colour=colour, layer=layer, **(values | other))


def a_drawn_analysis(**other: Any) -> Analysis:
    groups = (a_group(RED), a_group(LETTERS, closed=False, from_text=True), a_group(PHOTO, length_mm=0.0))
    values: dict[str, Any] = {
        "kind": FileKind.SVG,
        "triangles": 0,
        "size_mm": (80.0, 60.0, 0.0),
        "volume_mm3": 0.0,
        "area_mm2": 0.0,
        "watertight": False,
        "drawing": Drawing(groups=groups, unit="96dpi", source="inkscape"),
    }
    return Analysis(**(values | other))


def a_cutting(**other: Any) -> Cutting:
    values: dict[str, Any] = {
        "beam_seconds": Spread(p50=88, p90=101),
        "cut_millimetres": 1200,
        "sheet_mm2": 6300,
        "sheet_material": "birch-ply-3",
        "rows": (
            CutRow(key=RED, kind=CutKind.CUT, seconds=80, length_mm=1200.0),
            CutRow(key=LETTERS, kind=CutKind.SCORE, seconds=6, length_mm=1200.0),
            CutRow(key=PHOTO, kind=CutKind.ENGRAVE, seconds=30, length_mm=9000.0),
        ),
        "place_mm": (5.0, 10.0, 85.0, 70.0),
        "toolpath_sha256": "0" * 64,
    }
    return Cutting(**(values | other))


def a_cut_quote(**other: Any) -> Quote:
    estimate = Estimate(
        source=EstimateSource.VECTOR,
        print_seconds=Spread(p50=130, p90=150),
        filament_milligrams=Spread(p50=0, p90=0),
        cutting=other.pop("cutting", None) or a_cutting(),
    )
    values: dict[str, Any] = {"process": CutProcess(), "profile": "co2-6040-grbl", "estimate": estimate}
    return a_quote(**(values | other))


def some_sheets() -> cuts.Sheets:
    setting = SheetSetting(
        kind="cut",
        speed_mm_s=15.0,
        power_percent=75.0,
        passes=2,
        source=EVIL,
        confidence="community",
        tested_on=date(2026, 3, 1).isoformat(),
    )
    birch = SheetMaterial(
        name=CutProcess().material,
        texts={"en": "Birch plywood, 3 mm", "fr": "Contreplaqué, 3 mm"},
        thickness_mm=3,
        settings=(setting, replace(setting, kind="score", tested_on="", passes=1)),
    )
    pvc = SheetMaterial(name="pvc", texts={"en": "PVC"}, thickness_mm=0, refusals={"en": EVIL, "fr": EVIL})
    return cuts.Sheets(allowed=(birch,), never=(pvc,))


def cut_values(
    quote: Quote | None,
    analysis: Analysis | None = None,
    making: CutProcess | None = None,
    problem: Any = None,
) -> dict[str, Any]:
    analysis = analysis or a_drawn_analysis()
    making = making or CutProcess(operations=((LETTERS, CutKind.SCORE),), sheet_mm=(300, 200), x_mm=5.0)
    sheets = some_sheets()
    return {
        "quote": quote,
        "file": a_file(name=EVIL, analysis=analysis),
        "account": account_view(a_member()),
        "process": making,
        "quantity": 3,
        "quantity_max": 100,
        "deadline": "",
        "notice_hours": 24,
        "problem": problem,
        "rows": cuts.rows(analysis, making, quote),
        "sheets": sheets,
        "sheet": sheets.named(making.material),
        "stage": cuts.stage((600.0, 400.0), making, quote),
        "in_words": cuts.in_words,
    }


def _cut_page(locale: str) -> Sheet:
    both = {"en": EVIL, "fr": EVIL}
    params = {
        "x96": "80",
        "y96": "60",
        "x90": "85",
        "y90": "64",
        "x72": "107",
        "y72": "80",
        "xmm": "302",
        "ymm": "227",
    }
    asked = Warning(rule="svg.unit?", severity=Severity.QUESTION, texts=both, params=params)
    warned = Warning(rule="svg.text", severity=Severity.WARNING, texts=both, remedies=both)
    analysis = a_drawn_analysis(warnings=(asked, warned))
    told = problem_of(InsufficientBalance(), locale)
    return Sheet(template="cut.html", values=cut_values(a_cut_quote(), analysis, problem=told))


def _unpriced_cut_page(locale: str) -> Sheet:
    return Sheet(template="cut.html", values=cut_values(None, problem=refused(locale)))


def cut_job_values(state: JobState, run: Run, **other: Any) -> dict[str, Any]:
    machine = a_laser(id=run.machine_id, name=EVIL)
    job = a_job(state=state, process=CutProcess(own_sheet=True, tabs=2, rotation_degrees=90), quantity=2)
    view = a_job_view(
        job=job,
        quote=a_cut_quote(id=job.quote_id),
        file=a_file(name=EVIL, analysis=a_drawn_analysis()),
        runs=(run,),
        machines={machine.id: machine},
        **other,
    )
    return job_values(state) | {"view": view, "sheet": "Birch plywood, 3 mm"}


def _staged_page(_locale: str) -> Sheet:
    run = a_run(state=RunState.STAGED)
    values = cut_job_values(JobState.ACTIVE, run)
    events = [replace(an_event("run.staged"), machine_id=run.machine_id, run_id=run.id)]
    waits = Waits(until=NOON + timedelta(minutes=30))
    return Sheet(template="job.html", values=values | {"events": events, "waits": waits, "can": ALL_BUTTONS})


USED = Usage(
    machine_seconds=131,
    filament_milligrams=0,
    seconds_source=Source.MACHINE,
    filament_source=Source.NONE,
    beam_seconds=91,
    beam_source=Source.MACHINE,
    cut_millimetres=1200,
    sheet_mm2=6300,
    sheet_material="birch_ply_3",
)


def _cut_done_page(_locale: str) -> Sheet:
    ended = NOON + timedelta(minutes=3)
    run = a_run(state=RunState.FINISHED, usage=USED, started_at=NOON, ended_at=ended)
    values = cut_job_values(JobState.DONE, run, bill=settle(USED, tariff_a(), Money(5000), None))
    return Sheet(template="job.html", values=values | {"judging": run})


def a_beside(machine: Machine, **other: Any) -> Beside:
    asked_by, at = uuid4(), NOON + timedelta(minutes=55)
    override = Override(
        id=uuid4(), machine_id=machine.id, condition="lid", reason=EVIL, asked_by=asked_by, asked_at=at
    )
    confirmed = replace(override, condition="extractor", confirmed_by=uuid4(), confirmed_at=at)
    kiosk = Kiosk(
        id=uuid4(), machine_id=machine.id, name=EVIL, public_key="", enrolled_by=asked_by, enrolled_at=NOON
    )
    values: dict[str, Any] = {
        "kiosks": (kiosk,),
        "bad": (Refusal(rule="condition", reason="", until=Until.PERSON, needed="lid"),),
        "overrides": (override, confirmed),
        "names": {asked_by: EVIL},
        "waits_for": EVIL,
        "staged_at": NOON,
    }
    return Beside(**(values | other))


def _laser_board(_locale: str) -> Sheet:
    waiting, wild, free = a_laser(), a_laser(name="Wild"), a_laser(name="Free", bed=Bed.CLEAR)
    views = [
        a_machine_view(machine=waiting, run=a_run(state=RunState.STAGED), file_name=EVIL),
        a_machine_view(machine=wild, run=a_run(state=RunState.RUNNING)),
        a_machine_view(machine=free),
    ]
    besides = {
        waiting.id: a_beside(waiting),
        wild.id: Beside(trouble="run_without_presence"),
        free.id: Beside(),
    }
    values = {
        "cards": board.cards(views, besides),
        "here": "/machines",
        "cleared": None,
        "operates": True,
        "problem": None,
    }
    return Sheet(template="machines.html", values=values, role=Role.TECH)


def kiosk_values(**other: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "operates": False,
        "machines": [],
        "sheets": {"birch-ply-3": EVIL},
        "ask_seconds": 60,
        "grace_seconds": 10,
        "press_seconds": PRESENCE_SECONDS_MAX,
        "beat_ms": 500,
    }
    return values | other


def _kiosk_page(_locale: str) -> Sheet:
    return Sheet(template="kiosk.html", values=kiosk_values(), role=None)


def _kiosk_enrolment(_locale: str) -> Sheet:
    values = kiosk_values(operates=True, machines=[a_laser(name=EVIL)])
    return Sheet(template="kiosk.html", values=values, role=Role.TECH)


CUT_SHEETS: Mapping[str, Callable[[str], Sheet]] = {
    "cut": _cut_page,
    "unpriced cut": _unpriced_cut_page,
    "staged": _staged_page,
    "cut done": _cut_done_page,
    "laser board": _laser_board,
    "kiosk": _kiosk_page,
    "kiosk enrolment": _kiosk_enrolment,
}
