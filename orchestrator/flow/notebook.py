"""What is written of a machine as it says something new: its row, its bed, and that it needs somebody."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from orchestrator.domain.event import SYSTEM, Event
from orchestrator.domain.machine import WORKING, Activity, Bed, Link
from orchestrator.domain.presence import Reading
from orchestrator.domain.run import Run
from orchestrator.flow.lab import Lab
from orchestrator.flow.moves import change_machine, set_bed
from orchestrator.ports import Observation, Unit

CONTROLLER = "controller"
"""Source of a reading that the machine's own controller told."""
READING_SECONDS = 2.0
"""How often a reading that stays the same is written again, so that it does not grow old."""


class Notebook:
    """One machine's. It writes only what differs from what it wrote last."""

    def __init__(self, lab: Lab, machine_id: UUID) -> None:
        self._lab = lab
        self._machine_id = machine_id
        self.told: tuple[Link, Activity, str] | None = None  # what the machine's row says
        self._foreign_name: str | None = None  # a print by hand that the bed's state already tells of
        self._read: tuple[Mapping[str, bool], datetime] | None = None

    async def note(self, seen: Observation, run: Run | None) -> None:
        """Write down what was seen, and a print that nobody of us started."""
        await self.tell(Link.ONLINE, seen.activity, seen.message)
        await self.readings(seen.conditions)
        ours = run is not None and seen.remote_name == run.remote_name
        if seen.activity in WORKING and not ours:
            await self._foreign(seen.remote_name)
        elif seen.activity not in WORKING:
            self._foreign_name = None

    async def tell(self, link: Link, activity: Activity, words: str) -> None:
        told = (link, activity, words)
        if told == self.told:
            return
        at = self._lab.clock.now()

        async def work(unit: Unit) -> None:
            machine = await unit.machine(self._machine_id)
            if machine is None or (machine.link, machine.activity, machine.note) == told:
                return
            changes = {"link": link, "activity": activity, "note": words, "seen_at": at}
            await change_machine(unit, machine, topic="machine.state_changed", actor=SYSTEM, at=at, **changes)

        await self._lab.store.write(work)
        self.told = told
        if activity in {Activity.ATTENTION, Activity.FAULT}:
            await self.needs_person(activity.value, words)

    async def readings(self, conditions: Mapping[str, bool]) -> None:
        """What the controller says of its inputs."""
        at = self._lab.clock.now()
        if not conditions or not self._due(conditions, at):
            return

        async def work(unit: Unit) -> None:
            for name, good in conditions.items():
                await unit.put_reading(
                    Reading(machine_id=self._machine_id, name=name, good=good, at=at, source=CONTROLLER)
                )

        await self._lab.store.write(work)
        self._read = (dict(conditions), at)

    def _due(self, conditions: Mapping[str, bool], at: datetime) -> bool:
        if self._read is None or self._read[0] != conditions:
            return True
        return (at - self._read[1]).total_seconds() >= READING_SECONDS

    async def _foreign(self, name: str | None) -> None:
        """Somebody started a print by hand: whatever the bed was, it is not clear."""
        if self._foreign_name == (name or ""):
            return

        async def work(unit: Unit) -> None:
            machine, at = await unit.machine(self._machine_id), self._lab.clock.now()
            if machine is not None and machine.bed is not Bed.OCCUPIED:
                await set_bed(unit, machine, Bed.OCCUPIED, actor=SYSTEM, at=at, reason="foreign_print")

        await self._lab.store.write(work)
        self._foreign_name = name or ""

    async def needs_person(self, reason: str, words: str) -> None:
        event = Event(
            topic="machine.needs_person",
            at=self._lab.clock.now(),
            actor=SYSTEM,
            data={"reason": reason, "words": words[:500]},
            machine_id=self._machine_id,
        )
        await self._lab.store.write(lambda unit: unit.emit(event))
