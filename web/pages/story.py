"""The story of a job: its events as sentences, oldest first.

A topic without a sentence is left out, not guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from orchestrator.domain.event import SYSTEM, Event, Json
from orchestrator.domain.job import TRANSITIONS, JobEvent, JobState, Priority
from orchestrator.domain.machine import needs_release
from orchestrator.domain.matching import Refusal, Until
from orchestrator.domain.run import Cause, Run, RunState
from orchestrator.domain.units import Money
from orchestrator.flow.release import Judgement
from orchestrator.flow.views import JobView
from web.pages.formats import Formats
from web.pages.i18n import N_
from web.pages.labels import CAUSES, JUDGEMENTS, PRIORITIES, Gettext, Tone, is_cut
from web.pages.reasons import interlock_text


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
    "run.released": (N_("Released at %(machine)s by a person who stands there"), Tone.WORK),
    "run.held_back": (N_("%(machine)s was told to hold. %(why)s"), Tone.YOU),
    "run.start_refused": (N_("Released, but %(machine)s was not started. %(why)s"), Tone.BAD),
    "run.judged": (N_("How it came out: %(verdict)s"), Tone.CALM),
    "release.refused": (N_("A start from elsewhere was refused: it is released at the machine"), Tone.BAD),
    "job.approved": (N_("The lab has agreed to it"), Tone.GOOD),
    "job.reprioritised": (N_("Asked for otherwise: %(priority)s, %(deadline)s"), Tone.CALM),
    "hold.captured": (N_("%(amount)s charged"), Tone.CALM),
    "hold.released": (N_("%(amount)s of the amount set aside is free again"), Tone.CALM),
    "job.finished": (N_("Done"), Tone.GOOD),
    "job.rejected": (N_("It cannot be made as it is"), Tone.BAD),
    "job.attention": (N_("A technician must decide"), Tone.YOU),
    "job.cancelled": (N_("Cancelled"), Tone.CALM),
    "job.failed": (N_("Given up by the lab"), Tone.BAD),
}
_CUT_SENTENCES: Mapping[str, tuple[str, Tone]] = {
    "job.above_hold": (
        N_("Planned: it costs %(now)s, more than the %(promised)s promised. Your answer is awaited."),
        Tone.YOU,
    ),
    "job.queued": (N_("Planned line by line and in the queue"), Tone.CALM),
    "run.staged": (N_("%(machine)s has the file and waits for you to release it there"), Tone.YOU),
    "run.start_sent": (N_("Released: %(machine)s may start"), Tone.WORK),
    "run.running": (N_("Cutting on %(machine)s"), Tone.WORK),
    "run.paused": (N_("Held on %(machine)s: it goes on by a new release there"), Tone.YOU),
    "usage.recorded": (
        N_("Measured: laser on for %(beam)s, %(time)s of machine time, %(sheet)s of sheet"),
        Tone.CALM,
    ),
    "usage.knife": (N_("Measured: %(time)s of machine time, %(sheet)s of sheet"), Tone.CALM),
}
"""What a drawing's story says otherwise."""
_BY_CAUSE = {"above_hold": "job.above_hold", "run_lost": "job.run_lost", "retried": "job.retried"}
"""Moves whose cause makes another sentence than the state they lead to."""


def chapters(events: Iterable[Event], view: JobView, formats: Formats, translate: Gettext) -> list[Chapter]:
    told = []
    sentences = {**_SENTENCES, **_CUT_SENTENCES} if is_cut(view.job.process) else _SENTENCES
    for event in events:
        topic = _BY_CAUSE.get(str(event.data.get("event")), event.topic)
        if topic == "usage.recorded" and is_cut(view.job.process) and event.data.get("beam_seconds") is None:
            topic = "usage.knife"
        sentence = sentences.get(topic)
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


def may_judge(events: Iterable[Event], view: JobView) -> Run | None:
    """The ended run of a drawing of which nobody has said yet how it came out; None: nothing to ask."""
    run = view.runs[-1] if view.runs else None
    if run is None or run.started_at is None or run.ended_at is None or not is_cut(view.job.process):
        return None
    judged = {event.run_id for event in events if event.topic == "run.judged"}
    return None if run.id in judged else run


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
    at_machine = machine is not None and needs_release(machine)  # it goes on only by a release there
    decides = operates and state is JobState.ATTENTION
    return Buttons(
        cancel=JobEvent.CANCELLED in TRANSITIONS[state] and not view.job.cancel_requested,
        pause=pauses and run is not None and run.state is RunState.RUNNING,
        resume=pauses and not at_machine and run is not None and run.state is RunState.PAUSED,
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
            case "beam":
                return self._formats.exact_span(_count(self._event.data.get("beam_seconds")))
            case "sheet":
                return self._formats.square_centimetres(_count(self._event.data.get("sheet_mm2")))
            case "verdict":
                return self._verdict()
            case "why":
                return self._why()
            case "priority":
                return self._priority()
            case "deadline":
                return self._deadline()
            case "amount" | "now" | "promised":
                cents = _count(self._event.data.get(f"{name}_cents"))
                return self._formats.money(Money(cents, self._view.quote.total.currency))
        raise KeyError(name)

    def _machine(self) -> str:
        machine = self._view.machines.get(self._event.machine_id) if self._event.machine_id else None
        return machine.name if machine else self._translate(N_("a machine"))

    def _verdict(self) -> str:
        said = str(self._event.data.get("verdict"))
        known = Judgement(said) if said in set(Judgement) else Judgement.OTHER
        return self._translate(JUDGEMENTS[known])

    def _priority(self) -> str:
        said = str(self._event.data.get("priority"))
        known = Priority(said) if said in set(Priority) else Priority.STANDARD
        return self._translate(N_("urgency “%(name)s”")) % {"name": self._translate(PRIORITIES[known].text)}

    def _deadline(self) -> str:
        said = self._event.data.get("deadline")
        if not isinstance(said, str):
            return self._translate(N_("no deadline"))
        return self._translate(N_("needed by %(time)s")) % {
            "time": self._formats.full(datetime.fromisoformat(said))
        }

    def _why(self) -> str:
        """The interlocks that said no, in the reader's language; where one needs a name that the event does not give,
        in the event's own words."""
        data, words = self._event.data, str(self._event.data.get("words") or "")
        rules, needed = data.get("rules"), data.get("needed")
        names = [str(name) for name in needed] if isinstance(needed, list) else []
        plain = [str(rule) for rule in rules] if isinstance(rules, list) else []
        if not plain or (_NAMED.intersection(plain) and len(names) != len(plain)):
            return words
        held = self._event.topic == "run.held_back"
        told = []
        for place, rule in enumerate(plain):
            name = names[place] if place < len(names) else ""
            refusal = Refusal(rule=rule, reason=words, until=Until.PERSON, seen=name, needed=name)
            told.append(interlock_text(refusal, self._translate, held=held))
        return " ".join(told)

    def _cause(self) -> str:
        cause = self._event.data.get("cause")
        known = CAUSES.get(Cause(str(cause))) if cause in set(Cause) else None
        return self._translate(known or CAUSES[Cause.UNKNOWN])


_NAMED = frozenset({"condition", "no_training", "held", "link"})
"""Interlocks whose words name a thing that the event tells only in its sentence."""


def _count(value: Json) -> int:
    return value if isinstance(value, int) else 0
