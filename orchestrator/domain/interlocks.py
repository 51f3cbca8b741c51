"""The last question before a start is sent, asked again inside the transaction that commits to it.

Independent of the scheduler: whatever chose this machine, nothing starts past these. It is not a safety
system; firmware, interlock switches and people are.
"""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.domain.machine import Bed, Kind, Link, Machine
from orchestrator.domain.matching import Refusal, Until
from orchestrator.domain.run import Run, RunState

Interlock = Callable[[Machine, Run], Refusal | None]


def _bed(machine: Machine, _run: Run) -> Refusal | None:
    if machine.bed is Bed.CLEAR:
        return None
    return Refusal(
        rule="bed", reason="The bed is not confirmed clear.", until=Until.PERSON, seen=machine.bed.value
    )


def _person(machine: Machine, _run: Run) -> Refusal | None:
    """A laser, and any attended machine, is started by a person at it; there is no presence to check yet,
    so: never."""
    if machine.kind is Kind.PRINTER and not machine.abilities.attended:
        return None
    return Refusal(rule="attended", reason="Only a person at the machine starts it.", until=Until.PERSON)


def _state(_machine: Machine, run: Run) -> Refusal | None:
    if run.state is RunState.STAGED:
        return None
    return Refusal(rule="state", reason="The run is not staged.", until=Until.NEVER, seen=run.state.value)


def _machine(machine: Machine, run: Run) -> Refusal | None:
    if run.machine_id == machine.id:
        return None
    return Refusal(rule="identity", reason="The run belongs to another machine.", until=Until.NEVER)


def _kept(machine: Machine, _run: Run) -> Refusal | None:
    if not machine.maintenance and not machine.held:
        return None
    return Refusal(
        rule="held", reason="A person holds the machine back.", until=Until.PERSON, seen=machine.held
    )


def _link(machine: Machine, _run: Run) -> Refusal | None:
    if machine.link is Link.ONLINE:
        return None
    return Refusal(
        rule="link", reason="The machine is not online.", until=Until.MACHINE, seen=machine.link.value
    )


INTERLOCKS: tuple[Interlock, ...] = (_machine, _state, _bed, _person, _kept, _link)


def check(machine: Machine, run: Run, hold_stands: bool) -> tuple[Refusal, ...]:
    """Every interlock that forbids this start; an empty tuple means it may be sent, once."""
    noes = tuple(no for interlock in INTERLOCKS if (no := interlock(machine, run)) is not None)
    return noes if hold_stands else (*noes, _NO_HOLD)


_NO_HOLD = Refusal(rule="hold", reason="The job's maximum price is not set aside.", until=Until.PERSON)
