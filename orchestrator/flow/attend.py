"""Machines that only a person starts: the facts a start is judged by, and the watch over a run that is on the metal.

The watch is fail closed: silence of the person's device, of a sensor or of the database makes the machine hold. A
driver that streams has a dead man's switch of its own beside it (`Driver.attend`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from orchestrator.domain.errors import Conflict, Unavailable
from orchestrator.domain.event import SYSTEM, Json
from orchestrator.domain.interlocks import Facts, folded, must_hold
from orchestrator.domain.job import Job
from orchestrator.domain.machine import Machine
from orchestrator.domain.matching import Refusal, Until
from orchestrator.domain.member import PERMISSIONS, Member, Permission
from orchestrator.domain.presence import (
    CONFIRM_MINUTES_MAX,
    HEARTBEAT_LOST_SECONDS,
    HEARTBEAT_SECONDS,
    OVERRIDE_MINUTES_MAX,
    Override,
    Presence,
)
from orchestrator.domain.run import ENDED, Run, RunState
from orchestrator.flow.bill import hold_stands
from orchestrator.flow.dispatch import entitled_classes
from orchestrator.flow.lab import Lab
from orchestrator.flow.moves import run_event
from orchestrator.ports import Control, Driver, Ticket, Unit

WATCH_SECONDS = HEARTBEAT_SECONDS / 2
ASK_AGAIN_SECONDS = 1.0
SILENT_SECONDS = 1.0
"""How long the database may take to say that all is well; then it is not."""
OLD_SECONDS = 2.0 - HEARTBEAT_LOST_SECONDS
"""A heartbeat that may be older than this when it is read is no sign of life: with it the machine could go on for
longer than 2 s after the last one."""


async def facts(
    unit: Unit, lab: Lab, machine: Machine, run: Run, job: Job, presence: Presence | None
) -> Facts:
    """Read in the transaction that commits to the start, or that asks whether it would."""
    now = lab.clock.now()
    person = await unit.member(presence.member_id) if presence else None
    return Facts(
        machine=machine,
        run=run,
        now=now,
        hold_stands=await hold_stands(unit, job),
        artifact_sha256=job.artifact.sha256 if job.artifact else "",
        presence=presence,
        kiosk=await unit.kiosk(presence.kiosk_id) if presence else None,
        may_release=person is not None and may_release(person, job),
        trained=person is not None and machine.machine_class in await entitled_classes(unit, person.id, now),
        readings=folded(await unit.readings(machine.id), now),
        overrides=await standing(unit, lab, machine.id),
    )


async def ticket(unit: Unit, lab: Lab, job: Job, machine_id: UUID) -> Ticket | None:
    """What a driver that hands the file over to people writes beside it."""
    member, file = await unit.member(job.member_id), await unit.file(job.file_id)
    machine, artifact = await unit.machine(machine_id), job.artifact
    if member is None or file is None or machine is None or artifact is None:
        return None
    return Ticket(
        job_id=job.id,
        member_name=member.name,
        file_name=file.name,
        machine_name=machine.name,
        material=artifact.material,
        seconds=artifact.print_seconds,
        artifact_sha256=artifact.sha256,
        extension=artifact.cut.extension if artifact.cut else ".gcode",
        link=f"{lab.address}/jobs/{job.id}" if lab.address else "",
    )


def may_release(person: Member, job: Job) -> bool:
    """The job's own member, or staff; whether they are trained is asked of both."""
    staff = Permission.OPERATE in PERMISSIONS[person.role]
    return person.active and (person.id == job.member_id or staff)


async def standing(unit: Unit, lab: Lab, machine_id: UUID) -> Sequence[Override]:
    """The overrides that may still stand; `Override.stands` says whether one does."""
    oldest = timedelta(minutes=OVERRIDE_MINUTES_MAX + CONFIRM_MINUTES_MAX)
    return await unit.overrides(machine_id, lab.clock.now() - oldest)


class Attendance:
    """Watches one run on one machine: passes the person's heartbeats on, and makes it hold when something is lost."""

    def __init__(self, lab: Lab, machine_id: UUID, driver: Driver) -> None:
        self._lab = lab
        self._machine_id = machine_id
        self._driver = driver
        self._heard: datetime | None = None  # the heartbeat as it last stood in the database
        self._looked_at: float | None = None  # monotonic: when the last look that succeeded began
        self._heard_at: float | None = None  # monotonic, ours: no other process's clock is believed
        self._asked_at: float | None = None  # when the machine was last told to hold

    async def watch(self, run: Run) -> None:
        """Returns when the run has ended. Raises what the driver raises when it is asked to hold."""
        while True:
            now_running, reasons = await self._look(run)
            if now_running is None:
                return
            if not reasons:
                self._asked_at = None
            elif now_running.state in _MOVING and self._due():
                await self._hold(now_running, reasons)
            await self._lab.clock.sleep(WATCH_SECONDS)

    def _due(self) -> bool:
        """A hold that did not help is asked for again."""
        return self._asked_at is None or self._lab.clock.monotonic() - self._asked_at >= ASK_AGAIN_SECONDS

    def released(self) -> None:
        """A fresh release counts as a sign of life."""
        self._heard_at = self._lab.clock.monotonic()
        self._driver.attend()

    async def _look(self, run: Run) -> tuple[Run | None, Sequence[Refusal]]:
        began = self._lab.clock.monotonic()
        try:
            async with asyncio.timeout(SILENT_SECONDS):
                seen = await self._lab.store.read(lambda unit: self._judged(unit, run.id))
        except (Unavailable, TimeoutError):
            return run, (_SILENT,)
        self._looked_at = began
        return seen

    async def _judged(self, unit: Unit, run_id: UUID) -> tuple[Run | None, Sequence[Refusal]]:
        run, machine = await unit.run(run_id), await unit.machine(self._machine_id)
        if run is None or machine is None or run.state in ENDED:
            return None, ()
        self._hear(await unit.presence_for(run_id))
        now, heard_at = self._lab.clock.monotonic(), self._heard_at
        said = await unit.readings(machine.id)
        at = self._lab.clock.now()  # after the look: what is written meanwhile is not of the future
        readings = folded(said, at)
        overrides = await standing(unit, self._lab, machine.id)
        age = None if heard_at is None else now - heard_at
        return run, must_hold(machine, readings, overrides, at, age)

    def _hear(self, presence: Presence | None) -> None:
        """What stood there before we looked is no sign of life, and what we may have read too late is none either."""
        heard, before = presence.heartbeat_at if presence else None, self._looked_at
        new = before is not None and heard is not None and heard != self._heard
        self._heard = heard
        if new and before is not None and self._lab.clock.monotonic() - before <= OLD_SECONDS:
            self.released()

    async def _hold(self, run: Run, reasons: Sequence[Refusal]) -> None:
        """The machine first, the log second. A machine that cannot hold any more is no error."""
        first = self._asked_at is None
        self._asked_at = self._lab.clock.monotonic()
        try:
            await self._driver.control(run.remote_name, Control.PAUSE)
        except Conflict:
            return
        if first:
            await self._tell(run, reasons)

    async def _tell(self, run: Run, reasons: Sequence[Refusal]) -> None:
        data: dict[str, Json] = {
            "rules": [no.rule for no in reasons],
            "needed": [no.needed or no.seen for no in reasons],
            "words": " ".join(no.reason for no in reasons),
        }

        async def work(unit: Unit) -> None:
            job = await unit.job(run.job_id)
            if job is not None:
                await unit.emit(run_event(self._lab, "run.held_back", SYSTEM, job, run, data))

        try:
            await self._lab.store.write(work)
        except Unavailable:
            return


_MOVING = frozenset({RunState.START_SENT, RunState.RUNNING, RunState.UNCLEAR})
_SILENT = Refusal(rule="database", reason="Nobody can say whether somebody is there.", until=Until.MACHINE)
