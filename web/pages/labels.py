"""What states, causes, rules and lines are called, in English for translation. One table each.

A tone is how much a thing concerns whoever reads it: `you` asks them to act, and is the only loud one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.domain.file import Severity, Warning
from orchestrator.domain.job import JobState
from orchestrator.domain.matching import Refusal, Until
from orchestrator.domain.process import Material, Quality, Turn
from orchestrator.domain.quote import Confidence
from orchestrator.domain.run import Cause, RunState
from orchestrator.domain.tariff import LineKind
from web.errors import Problem, ShownFault
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
    LineKind.MATERIAL: N_("Material"),
    LineKind.MINIMUM_TOPUP: N_("Up to the minimum price"),
    LineKind.CAP_DISCOUNT: N_("Above the quoted maximum: not charged"),
}

REFUSALS: Mapping[str, str] = {
    "class": N_("The job asks for another kind of machine: %(needed)s."),
    "profile": N_("The job was prepared for another model: %(needed)s."),
    "size": N_("The part is too large: it measures %(needed)s, this machine holds %(seen)s."),
    "no_training": N_("There is no training on record for this kind of machine: %(needed)s."),
    "attended": N_("It is only ever started by a person who stands at it."),
    "material": N_("The job needs %(needed)s; loaded: %(seen)s."),
    "maintenance": N_("It is in maintenance."),
    "held": N_("It is held back by the lab: %(seen)s"),
    "link": N_("It cannot be reached: %(seen)s."),
    "busy": N_("It is working on another job."),
    "foreign": N_("It is printing something that was started at the machine."),
    "activity": N_("The machine says: %(seen)s."),
    "bed": N_("The bed is not confirmed clear: somebody must take the last part out."),
}
"""Why a machine does not take a job, by the rule's code."""

UNTIL: Mapping[Until, Label] = {
    Until.NEVER: Label(text=N_("never here"), tone=Tone.BAD),
    Until.PERSON: Label(text=N_("waits for a person"), tone=Tone.YOU),
    Until.MACHINE: Label(text=N_("waits for the machine"), tone=Tone.CALM),
}

SEEN: Mapping[str, str] = {
    "pla": N_("PLA"),
    "petg": N_("PETG"),
    "nothing": N_("nothing"),
    "offline": N_("switched off or not on the network"),
    "connecting": N_("connecting"),
    "auth_failed": N_("it refuses our key"),
    "rejected": N_("it refuses to be commanded"),
    "unknown": N_("nothing yet"),
    "busy": N_("busy (heating or moving)"),
    "attention": N_("it needs attention"),
    "fault": N_("fault"),
    "fdm": N_("3D printers"),
    "laser": N_("laser cutters"),
}
"""Machine words that appear inside a refusal; others (sizes, names) are shown as they are."""

BEDS: Mapping[str, str] = {
    "clear": N_("Bed clear"),
    "occupied": N_("Bed occupied"),
    "unknown": N_("Bed not known"),
}

REMEDIES: Mapping[str, str] = {
    "file.unreadable": N_("Simplify the model, or export it again as binary STL."),
    "quote.material": N_("Choose another material."),
    "quote.machine_class": N_("Choose another kind of machine."),
    "quote.quantity": N_("Choose a quantity within the limit."),
    "too_large": N_("Simplify the model or split it into several files."),
}
"""What to do about a fault that brings no remedy in both languages."""

FAULTS: Mapping[str, str] = {
    "quote.material": N_("No machine that is large enough takes this material: %(seen)s."),
    "quote.machine_class": N_("The lab has no such machine: %(seen)s."),
    "quote.quantity": N_("This quantity is not possible: %(seen)s."),
}

PROBLEMS: Mapping[str, str] = {
    "insufficient_balance": N_(
        "Your account does not cover the maximum price. Top it up at the lab’s desk, then accept again."
    ),
    "quote.expired": N_("This price is no longer valid. Ask for a new one; it takes a second."),
    "too_large": N_("The file is larger than the lab accepts."),
    "state": N_("It has changed meanwhile. This is its present state."),
    "conflict": N_("It has changed meanwhile. This is its present state."),
    "bed.in_use": N_("A job is on this machine; it must end before the bed can be clear."),
    "credentials": N_("This address and this password do not go together."),
    "sign_in.throttled": N_("Too many attempts. Wait a quarter of an hour, or ask the lab."),
    "sign_in.busy": N_("Many people are signing in at this moment. Try again in a few seconds."),
}
"""Errors told in a banner of the page they concern, by code; others speak for themselves."""


def refusal_text(refusal: Refusal, translate: Gettext) -> str:
    """A refusal as a sentence in the reader's language; a rule we have no words for speaks English."""
    known = REFUSALS.get(refusal.rule)
    if known is None:
        return refusal.reason
    return translate(known) % {
        "seen": _seen(refusal.seen, translate),
        "needed": _seen(refusal.needed, translate),
    }


def _seen(value: str, translate: Gettext) -> str:
    known = SEEN.get(value)
    return translate(known) if known else value


def fault_text(fault: ShownFault, translate: Gettext) -> str:
    """What is wrong: in the fault's own words, else in ours, else its code."""
    known = FAULTS.get(fault.rule)
    ours = translate(known) % {"seen": _seen(fault.seen, translate)} if known else ""
    return fault.text or ours or fault.rule


def fault_remedy(fault: ShownFault, translate: Gettext) -> str:
    """What to do about it; ours goes first, being in the reader's language for sure. Empty: not known."""
    known = REMEDIES.get(fault.rule)
    return translate(known) if known else fault.remedy


def problem_text(problem: Problem, translate: Gettext) -> str:
    """An error in a sentence, for a banner."""
    known = PROBLEMS.get(problem.code)
    return translate(known) if known else problem.detail


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
