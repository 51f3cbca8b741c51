"""The transactions of the start protocol (promises reference, M3), one function each; nothing here touches a machine.

What leaves for a machine was committed here first: interlocks asked once more, bed and release used up, intent
written, all in one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from orchestrator.domain.errors import Conflict, NeedsPerson
from orchestrator.domain.event import SYSTEM, Json
from orchestrator.domain.interlocks import check, check_going_on
from orchestrator.domain.job import Job
from orchestrator.domain.machine import Bed, Machine, needs_release
from orchestrator.domain.matching import Refusal
from orchestrator.domain.presence import Presence
from orchestrator.domain.run import Run, RunEvent
from orchestrator.flow.attend import facts
from orchestrator.flow.lab import Lab
from orchestrator.flow.moves import move_run, run_event, set_bed
from orchestrator.ports import Unit


class NotOurTurn(NeedsPerson):
    """Another fleet process has taken over this site; this one must not command anything any more."""

    code = "fleet.not_our_turn"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the transaction before a start decided."""

    machine: Machine | None = None
    sent: Run | None = None  # None: it must not start
    presence: Presence | None = None
    refusals: Sequence[Refusal] = ()


class StartDesk:
    """One machine's. Every method runs inside a unit of work that may be tried again."""

    def __init__(self, lab: Lab, machine_id: UUID, turn: int) -> None:
        self._lab = lab
        self._machine_id = machine_id
        self._turn = turn

    async def commit_start(self, unit: Unit, run: Run) -> Verdict:
        """The one transaction that lets a start leave. A release that was refused has served all the same."""
        if await unit.fleet_turn(self._lab.site) != self._turn:
            raise NotOurTurn
        machine, job = await unit.machine(self._machine_id), await unit.job(run.job_id)
        if machine is None or job is None or job.cancel_requested:
            return Verdict()
        presence = await unit.presence_for(run.id) if needs_release(machine) else None
        refusals = check(await facts(unit, self._lab, machine, run, job, presence))
        if presence is not None and not await unit.use_presence(presence.id, self._lab.clock.now()):
            return Verdict(machine=machine)
        if refusals:
            await self._say_refused(unit, run, job, refusals)
            return Verdict(machine=machine, refusals=refusals)
        return Verdict(machine=machine, sent=await self._send(unit, run, job, machine), presence=presence)

    async def start_refused(self, unit: Unit, run: Run, words: str) -> Run:
        """The machine said no before any effect: nothing has begun, and the bed is what it was."""
        machine, job = await self._both(unit, run)
        at = self._lab.clock.now()
        await set_bed(unit, machine, Bed.CLEAR, actor=SYSTEM, at=at, reason="start_refused")
        return await move_run(
            unit,
            run,
            RunEvent.START_REFUSED,
            member_id=job.member_id,
            actor=SYSTEM,
            at=at,
            start_sent_at=None,
            note=words[:500],
        )

    async def may_go_on(self, unit: Unit, run: Run, job: Job) -> bool:
        """After a hold: is there a new release that has not served yet, and nothing that forbids it? It then has."""
        if await unit.fleet_turn(self._lab.site) != self._turn:
            raise NotOurTurn
        machine, presence = await unit.machine(self._machine_id), await unit.presence_for(run.id)
        if machine is None or presence is None or presence.used_at is not None:
            return False
        refusals = check_going_on(await facts(unit, self._lab, machine, run, job, presence))
        used = await unit.use_presence(presence.id, self._lab.clock.now())
        if refusals:
            await self._say_refused(unit, run, job, refusals)
        return used and not refusals

    async def began_unreleased(self, unit: Unit, run: Run, words: str) -> Run:
        """A staged file was seen running: whoever pressed its start, it is on the metal, and the bed is not free."""
        machine, job = await self._both(unit, run)
        return await self._send(unit, run, job, machine, note=words)

    async def _both(self, unit: Unit, run: Run) -> tuple[Machine, Job]:
        machine, job = await unit.machine(self._machine_id), await unit.job(run.job_id)
        if job is None or machine is None:
            raise Conflict("The run's job or machine is gone.")
        return machine, job

    async def _send(self, unit: Unit, run: Run, job: Job, machine: Machine, note: str = "") -> Run:
        at = self._lab.clock.now()
        await set_bed(unit, machine, Bed.OCCUPIED, actor=SYSTEM, at=at, reason="start_sent")
        return await move_run(
            unit,
            run,
            RunEvent.SEND_START,
            member_id=job.member_id,
            actor=SYSTEM,
            at=at,
            start_sent_at=at,
            start_tries=run.start_tries + 1,
            note=note or run.note,
        )

    async def _say_refused(self, unit: Unit, run: Run, job: Job, refusals: Sequence[Refusal]) -> None:
        data: dict[str, Json] = {
            "rules": [no.rule for no in refusals],
            "needed": [no.needed or no.seen for no in refusals],
            "words": " ".join(no.reason for no in refusals)[:500],
        }
        await unit.emit(run_event(self._lab, "run.start_refused", SYSTEM, job, run, data))
