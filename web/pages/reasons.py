"""Why not: what refusals, interlocks, faults and problems are called, in English for translation; and until when.

A rule without words of ours speaks its own English; an instant is told as the reader's site counts time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime

from orchestrator.domain.machine import Machine
from orchestrator.domain.matching import Refusal, Until
from web.errors import Problem, ShownFault
from web.pages.formats import Formats
from web.pages.i18n import N_
from web.pages.labels import COLOURS, Gettext, Label, Tone

REFUSALS: Mapping[str, str] = {
    "class": N_("The job asks for another kind of machine: %(needed)s."),
    "profile": N_("The job was prepared for another model: %(needed)s."),
    "size": N_("The part is too large: it measures %(needed)s, this machine holds %(seen)s."),
    "no_training": N_("There is no training on record for this kind of machine: %(needed)s."),
    "attended": N_("It is only ever started by a person who stands at it."),
    "material": N_("The job needs %(needed)s; loaded: %(seen)s."),
    "colour": N_("The job asks for another colour: %(needed)s; loaded: %(seen)s."),
    "nozzle": N_("The job was sliced for a nozzle of %(needed)s; mounted: %(seen)s."),
    "material_unavailable": N_("The job needs %(needed)s of filament; left on the spool: %(seen)s."),
    "member_inactive": N_("The membership is not active, or has ended."),
    "training_expired": N_("The training for this kind of machine (%(needed)s) ended on %(seen)s."),
    "supervised": N_("Used under supervision (%(needed)s): somebody of the staff must agree to the job."),
    "outside_calendar": N_("The lab is closed, or would close before it is done."),
    "holiday": N_("The lab is closed today."),
    "booked_by_other": N_(
        "Held for somebody else, from %(seen)s to %(needed)s: it would not be done before."
    ),
    "maintenance_planned": N_(
        "Maintenance is planned, from %(seen)s to %(needed)s: it would not be done before."
    ),
    "closed": N_("Closed from %(seen)s to %(needed)s: it would not be done before."),
    "maintenance": N_("It is in maintenance."),
    "held": N_("It is held back by the lab: %(seen)s"),
    "link": N_("It cannot be reached: %(seen)s."),
    "busy": N_("It is working on another job."),
    "foreign": N_("It is printing something that was started at the machine."),
    "activity": N_("The machine says: %(seen)s."),
    "bed": N_("The bed is not confirmed clear: somebody must take the last part out."),
}
"""Why a machine does not take a job, by the rule's code."""

INTERLOCKS: Mapping[str, str] = {
    "identity": N_("The job was sent to another machine."),
    "state": N_("The job is not waiting for a release any more."),
    "bed": N_("The bed is not confirmed clear: take the last part out, then say so."),
    "attended": N_("Nobody has said how a person starts this machine: ask the staff."),
    "presence": N_("Only a person who stands at the machine starts it, and confirms all points."),
    "release_person": N_("Only whose job it is, or the staff, releases it."),
    "no_training": N_("You have no training on record for this kind of machine: %(needed)s."),
    "condition": N_("Not as it must be, or not known: %(needed)s."),
    "held": N_("The machine is held back by the lab: %(seen)s"),
    "link": N_("The machine cannot be reached: %(seen)s."),
    "hold": N_("The maximum price of this job is not set aside any more: ask at the desk."),
    "database": N_("Établi cannot say whether somebody is there."),
}
"""Why a machine that only a person starts does not start, or holds: by the interlock's code, at the machine."""
HOLDS: Mapping[str, str] = {"presence": N_("The person at the machine was not heard of any more.")}
"""What reads otherwise once it runs."""

UNTIL: Mapping[Until, Label] = {
    Until.NEVER: Label(text=N_("never here"), tone=Tone.BAD),
    Until.PERSON: Label(text=N_("waits for a person"), tone=Tone.YOU),
    Until.MACHINE: Label(text=N_("waits for the machine"), tone=Tone.CALM),
    Until.TIME: Label(text=N_("waits for its time"), tone=Tone.CALM),
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
    "vinyl": N_("vinyl cutters"),
    "lid": N_("the lid"),
    "extractor": N_("the extractor"),
    "air": N_("the air"),
    "water": N_("the cooling water"),
    "door": N_("the door"),
}
"""Machine words that appear inside a refusal; others (sizes, names) are shown as they are."""

REMEDIES: Mapping[str, str] = {
    "file.unreadable": N_("Simplify the model, or export it again as binary STL."),
    "quote.material": N_("Choose another material."),
    "quote.machine_class": N_("Choose another kind of machine."),
    "quote.process": N_("Go back to the file and ask for its price again."),
    "override.reason": N_("Write down why: the second person has to know."),
    "override.condition": N_("Choose a sensor of this machine."),
    "quote.quantity": N_("Choose a quantity within the limit."),
    "instant.form": N_("Choose a day and a time."),
    "calendar.order": N_("Hours past midnight are two openings."),
    "calendar.zone": N_("Write a name such as Europe/Paris."),
    "deadline.past": N_("Choose an instant that is still to come."),
    "deadline.notice": N_("Give more notice, or ask the staff."),
    "too_large": N_("Simplify the model or split it into several files."),
}
"""What to do about a fault that brings no remedy in both languages."""

FAULTS: Mapping[str, str] = {
    "quote.material": N_("No machine that is large enough takes this material: %(seen)s."),
    "quote.machine_class": N_("The lab has no such machine: %(seen)s."),
    "quote.quantity": N_("This quantity is not possible: %(seen)s."),
    "quote.process": N_("A file of this kind is not made that way: %(seen)s."),
    "override.reason": N_("Nothing is said about why the sensor is done without."),
    "override.condition": N_("The machine has no such sensor: %(seen)s."),
    "calendar.order": N_("The end must come after the beginning, on the same day."),
    "instant.form": N_("This is no date with a time: %(seen)s."),
    "reservation.of": N_("Choose what is to be kept free."),
    "token.name": N_("Say what it is for, in a few words."),
    "token.scopes": N_("Choose what it may do."),
    "calendar.time": N_("This is no time of a day: %(seen)s."),
    "calendar.day": N_("This is no day: %(seen)s."),
    "calendar.zone": N_("There is no such time zone: %(seen)s."),
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
    "laser.remote_start": N_("It goes on only by a release at the machine, on the tablet that stands there."),
    "override.two_people": N_("A second person must confirm it: one is not two."),
    "override.reason": N_("Say why the sensor is done without."),
    "kiosk.too_many": N_("This machine has tablets enough; revoke one first."),
    "changed": N_("It has changed meanwhile. This is its present state."),
    "precondition": N_("It has changed meanwhile. This is its present state."),
    "booked_by_other": N_("Somebody else holds this time already. Choose another."),
    "reservation.foreign": N_("The booking system made it: cancel it there, or it comes back."),
    "token.limit": N_("There are keys enough already; revoke one first."),
    "token.session": N_("Sign in: a key makes no keys."),
    "too_many_requests": N_("Too many requests. Wait a minute, then try again."),
    "credentials": N_("This address and this password do not go together."),
    "sign_in.throttled": N_("Too many attempts. Wait a quarter of an hour, or ask the lab."),
    "sign_in.busy": N_("Many people are signing in at this moment. Try again in a few seconds."),
}
"""Errors told in a banner of the page they concern, by code; others speak for themselves."""


def refusal_text(refusal: Refusal, translate: Gettext, fmt: Formats, now: datetime) -> str:
    """A refusal as a sentence in the reader's language; a rule we have no words for speaks English."""
    known = REFUSALS.get(refusal.rule)
    if known is None:
        return refusal.reason
    say = _SAYERS.get(refusal.rule, _said)
    return translate(known) % {
        "seen": say(refusal.seen, translate, fmt, now),
        "needed": say(refusal.needed, translate, fmt, now),
    }


def until_text(refusal: Refusal, translate: Gettext, fmt: Formats, now: datetime) -> str:
    """What it waits for: the earliest end, where that is known."""
    if refusal.at is not None:
        return translate(N_("until about %(time)s")) % {"time": fmt.moment(refusal.at, now)}
    return translate(UNTIL[refusal.until].text)


def _said(value: str, translate: Gettext, _fmt: Formats, _now: datetime) -> str:
    return _seen(value, translate)


def _instant(value: str, translate: Gettext, fmt: Formats, now: datetime) -> str:
    """As the site counts time; what is no instant is a word."""
    try:
        if "T" in value:
            return fmt.moment(datetime.fromisoformat(value), now)
        return fmt.calendar_day(date.fromisoformat(value))
    except ValueError:
        return _seen(value, translate)


def _colour(value: str, translate: Gettext, _fmt: Formats, _now: datetime) -> str:
    known = COLOURS.get(value)
    return translate(known) if known else translate(N_("a colour nobody has said"))


Says = tuple[Machine, tuple[Refusal, ...]]


def sorted_out(machines: Iterable[Says]) -> tuple[list[Says], list[Says]]:
    """Those that may take it one day, the fewest reasons first; and those that never could."""
    possible: list[Says] = []
    never: list[Says] = []
    for machine, refusals in machines:
        barred = any(no.until is Until.NEVER for no in refusals)
        (never if barred else possible).append((machine, refusals))
    return sorted(possible, key=lambda one: len(one[1])), never


_SAYERS: Mapping[str, Callable[[str, Gettext, Formats, datetime], str]] = {
    "training_expired": _instant,
    "booked_by_other": _instant,
    "maintenance_planned": _instant,
    "closed": _instant,
    "colour": _colour,
}
"""Rules whose values are not plain words."""


def _seen(value: str, translate: Gettext) -> str:
    known = SEEN.get(value)
    return translate(known) if known else value


def interlock_text(refusal: Refusal, translate: Gettext, *, held: bool = False) -> str:
    """As `refusal_text`, of what forbids a start, or (`held`) made a running machine hold."""
    known = (HOLDS if held else {}).get(refusal.rule) or INTERLOCKS.get(refusal.rule)
    if known is None:
        return refusal.reason
    return translate(known) % {
        "seen": _seen(refusal.seen, translate),
        "needed": _seen(refusal.needed, translate),
    }


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
