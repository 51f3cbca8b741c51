"""What states, causes, rules and lines are called, in English for translation. One table each.

A tone is how much a thing concerns whoever reads it: `you` asks them to act, and is the only loud one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from orchestrator.domain.file import Severity, Warning
from orchestrator.domain.job import Job, JobState, Priority
from orchestrator.domain.machine import Machine, needs_release
from orchestrator.domain.member import Level, Member, Public
from orchestrator.domain.presence import (
    CONFIRM_MINUTES_MAX,
    OVERRIDE_MINUTES_MAX,
    Override,
    ReleasePolicy,
)
from orchestrator.domain.process import Colour, CutKind, CutProcess, Making, Material, Quality, Turn
from orchestrator.domain.quote import Confidence
from orchestrator.domain.run import Cause, Run, RunState
from orchestrator.domain.tariff import Line, LineKind
from orchestrator.domain.units import Unit
from orchestrator.domain.usage import Source
from orchestrator.flow.release import Closing, Judgement
from orchestrator.flow.views import JobView
from web.pages.i18n import N_

Gettext = Callable[[str], str]


class Tone(StrEnum):
    YOU = "you"
    WORK = "work"
    GOOD = "good"
    CALM = "calm"
    BAD = "bad"


@dataclass(frozen=True, kw_only=True)
class Label:
    text: str
    tone: Tone = Tone.CALM
    hint: str = ""  # a sentence on what it means or what comes next


JOB_STATES: Mapping[JobState, Label] = {
    JobState.QUOTED: Label(
        text=N_("New price to accept"),
        tone=Tone.YOU,
        hint=N_("Nothing is made and nothing is charged until you accept it."),
    ),
    JobState.PREPARING: Label(
        text=N_("Being prepared"),
        tone=Tone.WORK,
        hint=N_("The slicer turns your shape into movements of the machine."),
    ),
    JobState.QUEUED: Label(
        text=N_("In the queue"), hint=N_("It starts as soon as a machine that suits is free.")
    ),
    JobState.ACTIVE: Label(text=N_("On a machine"), tone=Tone.WORK),
    JobState.DONE: Label(
        text=N_("Done"), tone=Tone.GOOD, hint=N_("Your part is at the machine or on its shelf.")
    ),
    JobState.REJECTED: Label(
        text=N_("Cannot be made"),
        tone=Tone.BAD,
        hint=N_("Nothing was charged: the whole hold is free again."),
    ),
    JobState.ATTENTION: Label(
        text=N_("A technician must decide"),
        tone=Tone.YOU,
        hint=N_("Nothing is lost. Your money stays set aside until somebody at the lab has looked."),
    ),
    JobState.CANCELLED: Label(text=N_("Cancelled")),
    JobState.FAILED: Label(
        text=N_("Given up"), tone=Tone.BAD, hint=N_("The lab could not make it. Nothing was charged.")
    ),
}

RUN_STATES: Mapping[RunState, Label] = {
    RunState.CLAIMED: Label(text=N_("A machine is chosen"), tone=Tone.WORK),
    RunState.STAGING: Label(text=N_("The file is being sent to the machine"), tone=Tone.WORK),
    RunState.STAGED: Label(text=N_("The machine has the file"), tone=Tone.WORK),
    RunState.START_SENT: Label(text=N_("Starting"), tone=Tone.WORK),
    RunState.RUNNING: Label(text=N_("Printing"), tone=Tone.WORK),
    RunState.PAUSED: Label(text=N_("Paused"), tone=Tone.CALM),
    RunState.FINISHED: Label(text=N_("Finished"), tone=Tone.GOOD),
    RunState.FAILED: Label(text=N_("Did not finish"), tone=Tone.BAD),
    RunState.CANCELLED: Label(text=N_("Stopped"), tone=Tone.CALM),
    RunState.UNCLEAR: Label(
        text=N_("Unclear: somebody must look"),
        tone=Tone.YOU,
        hint=N_("The contact was lost around the start, so nobody here knows whether it prints."),
    ),
}

CUT_JOB_STATES: Mapping[JobState, Label] = {
    JobState.PREPARING: Label(
        text=N_("Being prepared"),
        tone=Tone.WORK,
        hint=N_("Your drawing becomes the way of the beam, line by line."),
    ),
    JobState.QUEUED: Label(
        text=N_("In the queue"),
        hint=N_("When it is your turn the machine gets the file, and you start it there yourself."),
    ),
    JobState.DONE: Label(
        text=N_("Done"), tone=Tone.GOOD, hint=N_("Take your part and what is left of the sheet.")
    ),
}
"""What reads otherwise for a drawing; all else as in JOB_STATES."""

CUT_RUN_STATES: Mapping[RunState, Label] = {
    RunState.STAGED: Label(
        text=N_("Waiting for you at the machine"),
        tone=Tone.YOU,
        hint=N_("It is your turn. Nothing starts by itself: go there, lay your sheet in and release it."),
    ),
    RunState.RUNNING: Label(text=N_("Cutting"), tone=Tone.WORK),
    RunState.PAUSED: Label(
        text=N_("Held"), tone=Tone.YOU, hint=N_("It goes on only by a new release at the machine.")
    ),
    RunState.UNCLEAR: Label(
        text=N_("Unclear: somebody must look"),
        tone=Tone.YOU,
        hint=N_("The contact was lost around the start, so nobody here knows whether it cuts."),
    ),
}
"""What reads otherwise at a machine that only a person starts; all else as in RUN_STATES."""

WATCHED_RUN_STATES: Mapping[RunState, Label] = {
    RunState.STAGED: Label(
        text=N_("Waits for its release"), tone=Tone.YOU, hint=N_("A person at it starts it.")
    ),
}
"""The same for those who look after the machines: it is not their turn."""

RELEASES: Mapping[ReleasePolicy, str] = {
    ReleasePolicy.NONE: N_("Nobody has said how a person starts it: it gets no job."),
    ReleasePolicy.PHYSICAL_START: N_("Released on its tablet, then started at its own panel."),
    ReleasePolicy.KIOSK_START: N_("Released on its tablet; it runs while the person stays."),
}
"""How a person starts a machine that only a person starts."""

CUT_KINDS: Mapping[CutKind, str] = {
    CutKind.CUT: N_("Cut"),
    CutKind.SCORE: N_("Score"),
    CutKind.ENGRAVE: N_("Engrave"),
    CutKind.IGNORE: N_("Leave out"),
}
SOURCES: Mapping[Source, str] = {
    Source.MACHINE: N_("counted by the machine"),
    Source.CURVE: N_("read off the file, as far as it came"),
    Source.ARTIFACT: N_("as planned"),
    Source.CLOCK: N_("by our own clock"),
    Source.NONE: N_("not measured"),
}
"""Where a measured figure comes from."""
PAINTS: Mapping[str, str] = {"stroke": N_("Lines"), "fill": N_("Areas"), "picture": N_("Picture")}
UNITS: Mapping[str, str] = {
    "96dpi": N_("96 to the inch (today’s SVG)"),
    "90dpi": N_("90 to the inch (old Inkscape)"),
    "72dpi": N_("72 to the inch (Illustrator)"),
    "mm": N_("millimetres"),
}
"""How the numbers of a drawing may be read that does not say."""
UNIT_PARAMS: Mapping[str, tuple[str, str]] = {
    "96dpi": ("x96", "y96"),
    "90dpi": ("x90", "y90"),
    "72dpi": ("x72", "y72"),
    "mm": ("xmm", "ymm"),
}
"""Where a question says how large the drawing would then be."""
SHEET_CONFIDENCES: Mapping[str, str] = {
    "vendor": N_("the maker’s figures"),
    "lab_tested": N_("tested by a lab, on its own machine"),
    "scaled": N_("reckoned from another machine’s"),
    "community": N_("from other people’s experience"),
}
CONDITIONS: Mapping[str, str] = {
    "lid": N_("The lid is closed"),
    "extractor": N_("The extractor runs"),
    "air": N_("The air blows"),
    "water": N_("The cooling water flows"),
    "door": N_("The door is closed"),
}
"""Sensors of a machine, as what they must say; one that is not here is shown by its name."""
CHECKS: Mapping[str, str] = {
    "material_in": N_("My sheet lies in the machine, flat and in focus."),
    "extractor_on": N_("The extractor is on."),
    "staying": N_("I stay beside it until it ends."),
}
JUDGEMENTS: Mapping[Judgement, str] = {
    Judgement.GOOD: N_("It is good"),
    Judgement.NOT_THROUGH: N_("Not cut through"),
    Judgement.BURNT: N_("Burnt"),
    Judgement.MOVED: N_("The sheet moved"),
    Judgement.WRONG_SIZE: N_("Wrong size"),
    Judgement.DRAWING: N_("The drawing was wrong"),
    Judgement.OTHER: N_("Something else"),
}
CLOSINGS: Mapping[Closing, str] = {
    Closing.FINISHED: N_("It finished"),
    Closing.FAILED: N_("It failed"),
    Closing.NEVER_STARTED: N_("It never started"),
}
"""How a run ended at a machine that does not tell."""

CAUSES: Mapping[Cause, str] = {
    Cause.MACHINE_FAULT: N_("a fault of the machine"),
    Cause.HOUSE_MATERIAL: N_("the lab’s material"),
    Cause.POWER: N_("a power cut"),
    Cause.SOFTWARE: N_("a software fault"),
    Cause.STAFF_ERROR: N_("a mistake of the lab"),
    Cause.MEMBER_CANCEL: N_("cancelled by the member"),
    Cause.STAFF_CANCEL: N_("stopped by the lab"),
    Cause.FILE_FAULT: N_("a fault of the file"),
    Cause.NEVER_STARTED: N_("it never started"),
    Cause.UNKNOWN: N_("an unknown cause"),
}

MATERIALS: Mapping[Material, str] = {Material.PLA: N_("PLA"), Material.PETG: N_("PETG")}
MATERIAL_HINTS: Mapping[Material, str] = {
    Material.PLA: N_("stiff, easy, for indoors"),
    Material.PETG: N_("tougher, stands 70 °C"),
}
COLOURS: Mapping[str, str] = {
    Colour.BLACK: N_("black"),
    Colour.WHITE: N_("white"),
    Colour.GREY: N_("grey"),
    Colour.SILVER: N_("silver"),
    Colour.RED: N_("red"),
    Colour.ORANGE: N_("orange"),
    Colour.YELLOW: N_("yellow"),
    Colour.GREEN: N_("green"),
    Colour.BLUE: N_("blue"),
    Colour.PURPLE: N_("purple"),
    Colour.PINK: N_("pink"),
    Colour.BROWN: N_("brown"),
    Colour.NATURAL: N_("natural"),
    Colour.TRANSPARENT: N_("transparent"),
}
"""Of filament."""
QUALITIES: Mapping[Quality, str] = {
    Quality.DRAFT: N_("Draft, quick"),
    Quality.NORMAL: N_("Normal"),
    Quality.FINE: N_("Fine, slow"),
}

TURNS: Mapping[Turn, str] = {
    Turn.AS_DRAWN: N_("as drawn"),
    Turn.X90: N_("on its front"),
    Turn.X270: N_("on its back"),
    Turn.X180: N_("upside down"),
    Turn.Y90: N_("on its right side"),
    Turn.Y270: N_("on its left side"),
}
"""How the part lies on the bed, seen from where it was drawn: x to the right, y away."""

PRIORITIES: Mapping[Priority, Label] = {
    Priority.LOW: Label(text=N_("No hurry"), hint=N_("fills the holes")),
    Priority.STANDARD: Label(text=N_("Usual"), hint=N_("as everybody’s")),
    Priority.TEACHING: Label(text=N_("Teaching"), tone=Tone.WORK, hint=N_("a class or a workshop")),
    Priority.URGENT: Label(text=N_("Urgent"), tone=Tone.YOU, hint=N_("the lab’s own repairs")),
}
PUBLICS: Mapping[Public, str] = {
    Public.INDIVIDUAL: N_("Individuals"),
    Public.YOUTH: N_("Young people"),
    Public.STUDENT: N_("Students"),
    Public.UNEMPLOYED: N_("Job seekers"),
    Public.PROFESSIONAL: N_("Professionals"),
    Public.INSTITUTIONAL: N_("Institutions"),
}
"""To whom a member belongs, in the eyes of prices and opening hours."""
LEVELS: Mapping[Level, str] = {
    Level.AUTONOMOUS: N_("works alone"),
    Level.SUPERVISED: N_("works under supervision"),
}
"""How far a training goes."""

CONFIDENCES: Mapping[Confidence, Label] = {
    Confidence.HIGH: Label(text=N_("A sure estimate"), tone=Tone.GOOD),
    Confidence.MEDIUM: Label(text=N_("A fair estimate"), tone=Tone.CALM),
    Confidence.LOW: Label(text=N_("A rough estimate"), tone=Tone.YOU),
}
REASONS: Mapping[str, str] = {
    "estimate.open_mesh": N_("the surface has holes"),
    "estimate.supports": N_("much of it is supports"),
    "estimate.coarse_raster": N_("it is very large"),
    "estimate.tiny_part": N_("it is very small"),
    "estimate.thin_walls": N_("its walls are very thin"),
    "estimate.inner_faces": N_("its surfaces cross one another"),
    "sliced": N_("from the slicer’s own figures"),
}
"""Why an estimate is less sure than usual, by code; what has no words here is left out."""

LINE_KINDS: Mapping[LineKind, str] = {
    LineKind.SETUP: N_("Set-up"),
    LineKind.TIME: N_("Machine time"),
    LineKind.BEAM: N_("Laser on"),
    LineKind.MATERIAL: N_("Material"),
    LineKind.MINIMUM_TOPUP: N_("Up to the minimum price"),
    LineKind.CAP_DISCOUNT: N_("Above the quoted maximum: not charged"),
}

BEDS: Mapping[str, str] = {
    "clear": N_("Bed clear"),
    "occupied": N_("Bed occupied"),
    "unknown": N_("Bed not known"),
}


def is_cut(process: Making) -> bool:
    return isinstance(process, CutProcess)


def job_label(job: Job) -> Label:
    return (CUT_JOB_STATES if is_cut(job.process) else {}).get(job.state) or JOB_STATES[job.state]


def run_label(run: Run, machine: Machine | None, *, mine: bool = True) -> Label:
    """How a run reads to whoever it belongs to, or (`mine` False) to those who look after the machine."""
    table: Mapping[RunState, Label] = {}
    if machine is not None and needs_release(machine):
        table = CUT_RUN_STATES if mine else {**CUT_RUN_STATES, **WATCHED_RUN_STATES}
    return table.get(run.state) or RUN_STATES[run.state]


def waits_for_person(run: Run, machine: Machine | None) -> bool:
    """Does it go on only when somebody releases it at the machine?"""
    return machine is not None and needs_release(machine) and run.state in {RunState.STAGED, RunState.PAUSED}


def shown_label(view: JobView, reader: Member | None) -> Label:
    """What a job is called in a list and on its page: where its run waits for a person, that is what matters."""
    run = view.runs[-1] if view.runs else None
    machine = view.machines.get(run.machine_id) if run else None
    if run is None or view.job.state is not JobState.ACTIVE or not waits_for_person(run, machine):
        return job_label(view.job)
    return run_label(run, machine, mine=reader is not None and reader.id == view.job.member_id)


def line_text(line: Line) -> str:
    """What a price line is for; a material that is paid by its area is a sheet."""
    if line.kind is LineKind.MATERIAL and line.quantity.unit is Unit.SQUARE_MILLIMETRES:
        return N_("Sheet")
    return LINE_KINDS[line.kind]


def condition_text(name: str, translate: Gettext) -> str:
    known = CONDITIONS.get(name)
    return translate(known) if known else name


def override_ends(one: Override) -> datetime:
    return (one.confirmed_at or one.asked_at) + timedelta(minutes=OVERRIDE_MINUTES_MAX)


def override_asks_until(one: Override) -> datetime:
    return one.asked_at + timedelta(minutes=CONFIRM_MINUTES_MAX)


def warning_text(warning: Warning, locale: str) -> str:
    return warning.texts.get(locale) or warning.texts.get("en", "") or warning.rule


def warning_remedy(warning: Warning, locale: str) -> str:
    """What to do about it; empty where nothing need be done."""
    return warning.remedies.get(locale) or warning.remedies.get("en", "")


def ringed(warnings: Sequence[Warning]) -> bool:
    """Is there a place worth a ring on the picture?"""
    return any(warning.places and warning.severity is not Severity.INFO for warning in warnings)


def reasons(codes: str, translate: Gettext) -> list[str]:
    """The words of an estimate's reasons, which stand in one string, divided by commas."""
    return [translate(REASONS[code]) for code in codes.split(", ") if code in REASONS]


def scaled(size_mm: Sequence[float], percent: int) -> tuple[float, ...]:
    return tuple(mm * percent / 100 for mm in size_mm)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One answer to “what happened to this run?”."""

    value: str
    text: str
    hint: str


VERDICTS: tuple[Choice, ...] = (
    Choice(
        value="finished", text=N_("It finished"), hint=N_("The part is there. The job is done and charged.")
    ),
    Choice(
        value="failed",
        text=N_("It failed"),
        hint=N_(
            "It began, but there is no good part. Not charged; the job is queued again or waits for you."
        ),
    ),
    Choice(
        value="never_started",
        text=N_("It never started"),
        hint=N_("Nothing was printed. Not charged; the job goes back to the queue."),
    ),
    Choice(
        value="still_running",
        text=N_("It is printing now"),
        hint=N_("Établi watches it again and will see its end."),
    ),
)


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """An error page: its title and what it means for whoever reads it."""

    title: str
    text: str


TROUBLES: Mapping[int, Trouble] = {
    400: Trouble(
        title=N_("That did not arrive as it should"), text=N_("Go back, look at the form and send it again.")
    ),
    401: Trouble(title=N_("Please sign in"), text=N_("This page is for members of the lab.")),
    403: Trouble(
        title=N_("Not for you"),
        text=N_(
            "Your role does not allow this, or the form was too old. Open the page again, or ask the lab."
        ),
    ),
    404: Trouble(title=N_("Nothing here"), text=N_("There is no such page or thing, or it is not yours.")),
    409: Trouble(
        title=N_("Somebody was faster"),
        text=N_("It has changed meanwhile. Look at its present state, then decide again."),
    ),
    413: Trouble(title=N_("Too large"), text=N_("The lab does not take a file of this size.")),
    422: Trouble(
        title=N_("That is not possible"), text=N_("Nothing was changed. This is what stands in the way:")
    ),
    429: Trouble(title=N_("Too often"), text=N_("Wait a minute, then try again.")),
    500: Trouble(
        title=N_("Something broke on our side"),
        text=N_("It was noted. Nothing that was stored is lost; try again in a moment."),
    ),
    503: Trouble(
        title=N_("The queue pauses"),
        text=N_(
            "A part of Établi does not answer at the moment. Nothing is lost; machines finish what they make."
        ),
    ),
}
"""Error pages by HTTP status; one that is not here reads as 400 or 500."""


def trouble(status: int) -> Trouble:
    return TROUBLES.get(status) or TROUBLES[500 if status >= 500 else 400]
