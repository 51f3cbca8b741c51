"""How a machine looks on the board: one headline, its tone, and what it asks for.

Presentation only: what may really be done, the flow decides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from orchestrator.domain.machine import WORKING, Activity, Bed, Kind, Link, Machine, needs_release
from orchestrator.domain.run import RunState
from orchestrator.flow.beside import Beside
from orchestrator.flow.views import MachineView
from web.pages.i18n import N_
from web.pages.labels import RELEASES, RUN_STATES, Label, Tone, run_label


@dataclass(frozen=True, kw_only=True)
class Card:
    view: MachineView
    headline: Label
    asks: str  # the one thing a person should do here: "decide", "clear", "load", or "" for none
    beside: Beside | None = None  # None: a machine that starts by itself

    @property
    def machine(self) -> Machine:
        return self.view.machine

    @property
    def needs_person(self) -> bool:
        return self.headline.tone is Tone.YOU


TROUBLES: Mapping[str, Label] = {
    "not_withdrawn": Label(
        text=N_("Not released in time"),
        tone=Tone.YOU,
        hint=N_("Its file could not be taken back: delete it at the machine’s own panel."),
    ),
    "run_without_presence": Label(
        text=N_("Started without a release"),
        tone=Tone.YOU,
        hint=N_("Somebody pressed its start and nobody said that they stay. Go there now."),
    ),
}
"""What is wrong with how a machine is attended, by the reason."""

Found = tuple[Label, str]
Rule = Callable[[MachineView], Found | None]

_LINKS: Mapping[Link, Label] = {
    Link.OFFLINE: Label(
        text=N_("Not connected"), tone=Tone.BAD, hint=N_("It is switched off, or not on the network.")
    ),
    Link.CONNECTING: Label(text=N_("Connecting"), hint=N_("The first answer is still to come.")),
    Link.AUTH_FAILED: Label(
        text=N_("Refuses our key"), tone=Tone.YOU, hint=N_("Somebody must renew the machine’s access key.")
    ),
    Link.REJECTED: Label(
        text=N_("Refuses commands"),
        tone=Tone.YOU,
        hint=N_("Allow remote control at the machine’s own panel."),
    ),
}
_UNWELL: Mapping[Activity, Label] = {
    Activity.ATTENTION: Label(
        text=N_("Asks for somebody"), tone=Tone.YOU, hint=N_("Its own display says what it waits for.")
    ),
    Activity.FAULT: Label(
        text=N_("Has a fault"),
        tone=Tone.YOU,
        hint=N_("Look at its display, then mend it or put it in maintenance."),
    ),
}
_BEDS: Mapping[Bed, Label] = {
    Bed.OCCUPIED: Label(
        text=N_("Take the part out"), tone=Tone.YOU, hint=N_("Nothing starts here until the bed is clear.")
    ),
    Bed.UNKNOWN: Label(
        text=N_("Look at the bed"), tone=Tone.YOU, hint=N_("Nobody knows yet whether it is clear.")
    ),
}


def _unclear(view: MachineView) -> Found | None:
    if view.run is None or view.run.state is not RunState.UNCLEAR:
        return None
    return RUN_STATES[RunState.UNCLEAR], "decide"


def _kept(view: MachineView) -> Found | None:
    if view.machine.maintenance:
        return Label(text=N_("In maintenance"), hint=N_("It takes no job until maintenance ends.")), ""
    if view.machine.held:
        return Label(text=N_("Held back"), hint=N_("It takes no job until it is resumed.")), ""
    return None


def _link(view: MachineView) -> Found | None:
    label = _LINKS.get(view.machine.link)
    return (label, "") if label else None


def _unwell(view: MachineView) -> Found | None:
    label = _UNWELL.get(view.machine.activity)
    return (label, "") if label else None


def _run(view: MachineView) -> Found | None:
    return (run_label(view.run, view.machine, mine=False), "") if view.run else None


def _foreign(view: MachineView) -> Found | None:
    if view.machine.activity not in WORKING:
        return None
    hint = N_("It was started at the machine. Établi leaves it alone.")
    prints = view.machine.kind is Kind.PRINTER
    text = N_("Printing something of its own") if prints else N_("Working on something of its own")
    return Label(text=text, tone=Tone.WORK, hint=hint), ""


def _bed(view: MachineView) -> Found | None:
    label = _BEDS.get(view.machine.bed)
    return (label, "clear") if label else None


def _empty(view: MachineView) -> Found | None:
    if view.machine.material is not None or not view.machine.abilities.materials:
        return None
    hint = N_("Load some, then say which, so that jobs can come.")
    return Label(text=N_("No material loaded"), tone=Tone.YOU, hint=hint), "load"


def _attended(view: MachineView) -> Found | None:
    if not needs_release(view.machine):
        return None
    hint = RELEASES[view.machine.abilities.release]
    return Label(text=N_("Free, started by hand"), tone=Tone.GOOD, hint=hint), ""


RULES: tuple[Rule, ...] = (_unclear, _kept, _link, _unwell, _run, _foreign, _bed, _empty, _attended)
"""The first that has something to say is the headline."""

_READY = Label(text=N_("Ready"), tone=Tone.GOOD, hint=N_("The next job that suits starts by itself."))
_ORDER = (Tone.YOU, Tone.WORK, Tone.GOOD, Tone.BAD, Tone.CALM)


def card(view: MachineView, beside: Beside | None = None) -> Card:
    trouble = TROUBLES.get(beside.trouble) if beside else None
    for rule in RULES:
        found = rule(view)
        if found is not None:
            headline = trouble if trouble and rule is _run else found[0]
            return Card(view=view, headline=headline, asks=found[1], beside=beside)
    return Card(view=view, headline=_READY, asks="", beside=beside)


def cards(views: Sequence[MachineView], besides: Mapping[UUID, Beside] | None = None) -> list[Card]:
    """Those that need a person first, then those at work, then by name."""
    known = besides or {}
    made = [card(view, known.get(view.machine.id)) for view in views]
    return sorted(made, key=lambda c: (_ORDER.index(c.headline.tone), c.machine.name))
