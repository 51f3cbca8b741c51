"""All supervisors of one site, and the dispatcher that feeds them. Exactly one fleet is active per site."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from orchestrator.domain.errors import Misconfigured, Unavailable
from orchestrator.domain.event import Event, Json
from orchestrator.domain.machine import Link, Machine
from orchestrator.flow.booking import release_missed
from orchestrator.flow.dispatch import dispatch, wakes
from orchestrator.flow.lab import Lab
from orchestrator.flow.moves import change_machine
from orchestrator.flow.notice import notice
from orchestrator.flow.sight import Sight
from orchestrator.flow.supervise import Nudge, Supervisor
from orchestrator.ports import Accident, Control, Driver, Unit

log = logging.getLogger(__name__)

DriverFactory = Callable[[Machine, Mapping[str, Json]], Driver]

NUDGES: Mapping[str, Nudge] = {
    "run.claimed": Nudge(),
    "run.released": Nudge(),
    "run.decided": Nudge(),
    "run.cancel_requested": Nudge(),
    "run.pause_requested": Nudge(control=Control.PAUSE),
    "run.resume_requested": Nudge(control=Control.RESUME),
}
"""Events that a machine's supervisor must look at."""
DATABASE_REST_SECONDS = 1.0
CLOCK_SECONDS = 10.0
"""How exactly the beginning of a window is met."""


class Fleet:
    """The machines of a site. `run()` never returns; cancelling it leaves every print running."""

    def __init__(self, lab: Lab, drivers: DriverFactory, accident: Accident) -> None:
        self._lab = replace(lab, sight=Sight())  # its own: nobody else looks while it decides
        self._drivers = drivers
        self._accident = accident
        self._supervisors: dict[UUID, Supervisor] = {}
        self._wake = asyncio.Event()
        self._look_again_at: datetime | None = None
        self._turn = 0

    async def run(self) -> None:
        """Take this site's turn (which ends anybody else's), then supervise and dispatch."""
        self._turn = await self._lab.store.write(lambda unit: unit.take_fleet_turn(self._lab.site))
        seen = await self._lab.store.read(lambda unit: unit.head())
        async with asyncio.TaskGroup() as group:
            await self._add_machines(group)
            group.create_task(self._dispatch())
            group.create_task(self._watch_the_clock())
            await self._follow(group, seen)

    async def _add_machines(self, group: asyncio.TaskGroup) -> None:
        for machine in await self._lab.store.read(lambda unit: unit.machines(self._lab.site)):
            if machine.id not in self._supervisors:
                await self._add(group, machine)

    async def _add(self, group: asyncio.TaskGroup, machine: Machine) -> None:
        try:
            connection = await self._lab.store.read(lambda unit: unit.connection(machine.id))
            driver = self._drivers(machine, connection)
        except Misconfigured as wrong:
            await self._say_misconfigured(machine, wrong)
            return
        supervisor = Supervisor(self._lab, machine.id, driver, turn=self._turn, accident=self._accident)
        self._supervisors[machine.id] = supervisor
        group.create_task(supervisor.run(), name=f"supervisor {machine.name}")

    async def _say_misconfigured(self, machine: Machine, wrong: Misconfigured) -> None:
        log.error("machine %s: %s", machine.name, wrong)

        async def work(unit: Unit) -> None:
            now = await unit.machine(machine.id)
            if now is not None:
                changes = {"link": Link.REJECTED, "note": wrong.detail}
                at = self._lab.clock.now()
                await change_machine(
                    unit, now, topic="machine.state_changed", actor="system", at=at, **changes
                )

        await self._lab.store.write(work)

    async def _follow(self, group: asyncio.TaskGroup, seen: int) -> None:
        """Read the event log as it grows; nudge whom it concerns."""
        while True:
            try:
                events = await self._news(seen)
                if any(event.topic == "machine.added" for event in events):
                    await self._add_machines(group)
            except Unavailable as down:
                log.warning("the fleet waits for the database: %s", down)
                await self._lab.clock.sleep(DATABASE_REST_SECONDS)
                continue
            for event in events:
                seen = event.seq
                self._pass_on(event)

    async def _news(self, seen: int) -> Sequence[Event]:
        await self._lab.store.feed.wait(seen)
        return await self._lab.store.read(lambda unit: unit.events(seen))

    def _pass_on(self, event: Event) -> None:
        nudge = NUDGES.get(event.topic)
        if nudge is not None and event.machine_id in self._supervisors:
            self._supervisors[event.machine_id].nudge(nudge)
        if wakes(event.topic):
            self._wake.set()

    async def _dispatch(self) -> None:
        while True:
            self._wake.clear()
            try:
                done = await dispatch(self._lab)
                await release_missed(self._lab)  # its event is the next reason to dispatch
                self._look_again_at = done.look_again_at
                await notice(self._lab)
            except Unavailable as down:
                log.warning("the dispatcher waits for the database: %s", down)
                await self._lab.clock.sleep(DATABASE_REST_SECONDS)
                continue
            await self._wake.wait()

    async def _watch_the_clock(self) -> None:
        """Wake the dispatcher when a window or the lab's hours begin or end: no event tells it."""
        while True:
            await self._lab.clock.sleep(CLOCK_SECONDS)
            if self._look_again_at is not None and self._lab.clock.now() >= self._look_again_at:
                self._look_again_at = None
                self._wake.set()
