"""Telling booking systems what they are to know: machines out of order, and what jobs cost.

A breakdown is first written down here, then told, and only what we told is taken back: whoever disabled a machine over
there keeps it disabled. A charge is told before its number is noted; after a crash between the two, and only then, the
system is first asked whether it has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from uuid import UUID

from orchestrator.domain.machine import Machine
from orchestrator.domain.source import Source
from orchestrator.flow.lab import Workbench
from orchestrator.ports import Charge, Unit

DOWN = "down"  # the kind under which we note whom we told that a machine is out of order
CHARGES_AT_ONCE = 50


async def tell(lab: Workbench, source: Source, down: Mapping[str, bool]) -> None:
    """What has changed here since the last time. `down`: how its machines are over there. Raises what the system
    does."""
    await _breakdowns(lab, source, down)
    if source.charges:
        await _charges(lab, source)


def is_down(machine: Machine) -> bool:
    """Out of order, as people who book are to see it; held for a moment or offline is not."""
    return machine.maintenance


async def _breakdowns(lab: Workbench, source: Source, down: Mapping[str, bool]) -> None:
    machines, noted = await lab.store.read(lambda unit: _known(unit, source))
    for theirs, over_there in down.items():
        machine = _ours(source, theirs, machines)
        if machine is None:
            continue
        system = lab.systems[source.kind]
        if is_down(machine) and not over_there:
            if theirs not in noted:
                await lab.store.write(partial(_note, source=source, theirs=theirs, machine_id=machine.id))
            await system.tell_machine(source, theirs, True)
        elif not is_down(machine) and theirs in noted:
            if over_there:
                await system.tell_machine(source, theirs, False)
            await lab.store.write(partial(_forget, source=source, theirs=theirs))


async def _known(unit: Unit, source: Source) -> tuple[Mapping[str, Machine], Mapping[str, UUID]]:
    machines = await unit.machines(source.site)
    by_word = {str(machine.id): machine for machine in machines} | {m.name: m for m in machines}
    return by_word, await unit.named(DOWN, source.system)


def _ours(source: Source, theirs: str, machines: Mapping[str, Machine]) -> Machine | None:
    return machines.get(source.machines.get(theirs, ""))


async def _note(unit: Unit, *, source: Source, theirs: str, machine_id: UUID) -> None:
    await unit.put_external(DOWN, source.system, theirs, machine_id)


async def _forget(unit: Unit, *, source: Source, theirs: str) -> None:
    await unit.drop_external(DOWN, source.system, theirs)


# --- charges ------------------------------------------------------------------------------------


async def _charges(lab: Workbench, source: Source) -> None:
    """In order; the first that fails stops the rest until the next poll."""
    perhaps_told = True  # only the first can have been told by somebody who then died
    while listed := await lab.store.read(partial(_next, source=source)):
        for charge, member in listed:
            if member is not None and charge.bill.captured.cents:
                await lab.systems[source.kind].tell_charge(source, charge, member, perhaps_told=perhaps_told)
                perhaps_told = False
            source = await _told(lab, source, charge.seq)


async def _next(unit: Unit, *, source: Source) -> list[tuple[Charge, str | None]]:
    """The charges to come, each with how that system names the member; None for whom it does not know."""
    found: list[tuple[Charge, str | None]] = []
    for charge in await unit.charges(source.cursor, CHARGES_AT_ONCE):
        names = dict(await unit.externals("member", charge.job.member_id))
        found.append((charge, names.get(source.system)))
    return found


async def _told(lab: Workbench, source: Source, seq: int) -> Source:
    async def work(unit: Unit) -> Source:
        now = await unit.source(source.id)
        if now is None or now.cursor >= seq:
            return replace(now or source, cursor=seq)
        return await unit.change_source(now, replace(now, cursor=seq))

    return await lab.store.write(work)
