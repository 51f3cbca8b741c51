"""The story of a job: its events as sentences, oldest first.

A topic without a sentence is left out, not guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from orchestrator.domain.event import SYSTEM, Event, Json
from orchestrator.domain.job import TRANSITIONS, JobEvent, JobState
from orchestrator.domain.run import Cause, RunState
from orchestrator.domain.units import Money
from orchestrator.flow.views import JobView
from web.pages.formats import Formats
from web.pages.i18n import N_
from web.pages.labels import CAUSES, Gettext, Tone


@dataclass(frozen=True, kw_only=True)
class Chapter:
    at: datetime
    text: str
    tone: Tone
    by_person: bool


@dataclass(frozen=True, kw_only=True)
class Risen:
    """The price rose above the maximum that was promised."""

    promised: Money
    now: Money


_SENTENCES: Mapping[str, tuple[str, Tone]] = {
    "job.quoted": (N_("Price asked"), Tone.CALM),
    "job.above_hold": (
        N_("Sliced: it costs %(now)s, more than the %(promised)s promised. Your answer is awaited."),
        Tone.YOU,
    ),
    "job.preparing": (N_("Price accepted, preparation begins"), Tone.WORK),
    "job.retried": (N_("Tried again by the lab"), Tone.WORK),
    "hold.placed": (N_("%(amount)s set aside as the maximum price"), Tone.CALM),
    "job.queued": (N_("Sliced and in the queue"), Tone.CALM),
    "job.run_lost": (N_("Back at the head of the queue, at no charge"), Tone.CALM),
    "run.claimed": (N_("Given to %(machine)s"), Tone.WORK),
    "run.staged": (N_("%(machine)s has the file"), Tone.WORK),
    "run.start_sent": (N_("Start sent to %(machine)s"), Tone.WORK),
    "run.running": (N_("Printing on %(machine)s"), Tone.WORK),
    "run.cancel_requested": (N_("Cancelling asked for; %(machine)s is told to stop"), Tone.CALM),
    "run.pause_requested": (N_("Pause asked for"), Tone.CALM),
    "run.resume_requested": (N_("Going on asked for"), Tone.CALM),
    "run.decided": (N_("Somebody looked at %(machine)s and decided"), Tone.CALM),
    "run.paused": (N_("Paused on %(machine)s"), Tone.CALM),
    "run.unclear": (N_("Contact with %(machine)s was lost around the start: somebody must look"), Tone.YOU),
    "run.finished": (N_("%(machine)s has finished"), Tone.GOOD),
    "run.failed": (N_("The attempt on %(machine)s did not finish: %(cause)s"), Tone.BAD),
    "run.cancelled": (N_("Stopped on %(machine)s: %(cause)s"), Tone.CALM),
    "usage.recorded": (N_("Measured: %(time)s of machine time, %(material)s of material"), Tone.CALM),
    "hold.captured": (N_("%(amount)s charged"), Tone.CALM),
    "hold.released": (N_("%(amount)s of the amount set aside is free again"), Tone.CALM),
    "job.finished": (N_("Done"), Tone.GOOD),
    "job.rejected": (N_("It cannot be made as it is"), Tone.BAD),
    "job.attention": (N_("A technician must decide"), Tone.YOU),
    "job.cancelled": (N_("Cancelled"), Tone.CALM),
    "job.failed": (N_("Given up by the lab"), Tone.BAD),
}
_BY_CAUSE = {"above_hold": "job.above_hold", "run_lost": "job.run_lost", "retried": "job.retried"}
"""Moves whose cause makes another sentence than the state they lead to."""


def chapters(events: Iterable[Event], view: JobView, formats: Formats, translate: Gettext) -> list[Chapter]:
    told = []
    for event in events:
        sentence = _SENTENCES.get(_BY_CAUSE.get(str(event.data.get("event")), event.topic))
        if sentence is not None:
            text = translate(sentence[0]) % _Words(event, view, formats, translate)
            told.append(Chapter(at=event.at, text=text, tone=sentence[1], by_person=event.actor != SYSTEM))
    return told


def risen(events: Iterable[Event], view: JobView) -> Risen | None:
    """Both figures of the last time the sliced price went above the hold."""
    for event in reversed(list(events)):
        promised, now = event.data.get("promised_cents"), event.data.get("now_cents")
        if isinstance(promised, int) and isinstance(now, int):
            currency = view.quote.total.currency
            return Risen(promised=Money(promised, currency), now=Money(now, currency))
    return None


@dataclass(frozen=True, kw_only=True)
class Buttons:
    """What the page of a job offers. The flow decides again whether it may be done."""

    cancel: bool
    pause: bool
    resume: bool
    retry: bool
    settle: bool


def buttons(view: JobView, *, operates: bool) -> Buttons:
    state, run = view.job.state, view.runs[-1] if view.runs else None
    machine = view.machines.get(run.machine_id) if run else None
    pauses = state is JobState.ACTIVE and machine is not None and machine.abilities.can_pause
    decides = operates and state is JobState.ATTENTION
    return Buttons(
        cancel=JobEvent.CANCELLED in TRANSITIONS[state] and not view.job.cancel_requested,
        pause=pauses and run is not None and run.state is RunState.RUNNING,
        resume=pauses and run is not None and run.state is RunState.PAUSED,
        retry=decides,
        settle=decides and run is not None and run.state is RunState.FINISHED,
    )


class _Words(dict[str, str]):
    """The words a sentence may name, looked up only when it does."""

    def __init__(self, event: Event, view: JobView, formats: Formats, translate: Gettext) -> None:
        super().__init__()
        self._event, self._view, self._formats, self._translate = event, view, formats, translate

    def __missing__(self, name: str) -> str:
        match name:
            case "machine":
                return self._machine()
            case "cause":
                return self._cause()
            case "time":
                return self._formats.exact_span(_count(self._event.data.get("machine_seconds")))
            case "material":
                return self._formats.grams(_count(self._event.data.get("filament_milligrams")))
            case "amount" | "now" | "promised":
                cents = _count(self._event.data.get(f"{name}_cents"))
                return self._formats.money(Money(cents, self._view.quote.total.currency))
        raise KeyError(name)

    def _machine(self) -> str:
        machine = self._view.machines.get(self._event.machine_id) if self._event.machine_id else None
        return machine.name if machine else self._translate(N_("a machine"))

    def _cause(self) -> str:
        cause = self._event.data.get("cause")
        known = CAUSES.get(Cause(str(cause))) if cause in set(Cause) else None
        return self._translate(known or CAUSES[Cause.UNKNOWN])


def _count(value: Json) -> int:
    return value if isinstance(value, int) else 0
