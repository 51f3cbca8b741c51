"""Drive one machine: connect, observe, reconcile, carry out. One Supervisor, one task; it is the only one
that commands.

The machine is the truth of metal: belief is compared with observation at start-up, on every reconnect and
on every reading. What leaves for the machine was committed first, is sent once, and a doubtful answer is
`unclear`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential,
    wait_random_exponential,
)

from orchestrator.domain.errors import (
    Conflict,
    EtabliError,
    MachineAuthFailed,
    MachineUnreachable,
    NeedsPerson,
    Rejected,
)
from orchestrator.domain.event import SYSTEM, Event
from orchestrator.domain.interlocks import check
from orchestrator.domain.job import Job
from orchestrator.domain.machine import WORKING, Activity, Bed, Link
from orchestrator.domain.matching import Refusal
from orchestrator.domain.run import BEFORE_START, MAYBE_ON_METAL, Cause, Run, RunEvent, RunState
from orchestrator.flow.bill import hold_stands
from orchestrator.flow.finish import end_run
from orchestrator.flow.lab import Lab
from orchestrator.flow.moves import change_machine, move_run, set_bed
from orchestrator.flow.tasks import pass_on_cancellation
from orchestrator.ports import (
    Accident,
    Control,
    Driver,
    Ended,
    Observation,
    Outcome,
    Refused,
    Unit,
    Unknown,
    Where,
)

log = logging.getLogger(__name__)

RECONNECT_SECONDS_MAX = 2.5
"""A machine that comes back is shown within 3 s, however long it was away."""
REST_SECONDS = 1.0
"""Between losing a link and the next try, so that a machine that accepts and drops us costs nothing."""
MISSED_END_SECONDS = 5.0
"""An idle machine may still owe us the word on how its print ended (OctoPrint tells a failure last)."""
PROGRESS_SECONDS = 1.0
PROGRESS_PERMILLE = 10
"""Progress is telemetry: written at most once a second, and only when it has moved by so much."""
STARTABLE = frozenset({Activity.IDLE, Activity.DONE})
OVER = frozenset({Activity.IDLE, Activity.DONE, Activity.FAULT})


@dataclass(frozen=True, kw_only=True)
class Nudge:
    """Look again: something about this machine's run changed in the database."""

    control: Control | None = None  # a person asks for this, now; late it is dropped


@dataclass(frozen=True)
class _Question:
    """The silence that began at some moment has lasted until this deadline."""

    deadline: float


class NotOurTurn(NeedsPerson):
    """Another fleet process has taken over this site; this one must not command anything any more."""

    code = "fleet.not_our_turn"


class Supervisor:
    """One machine. `run()` never returns; cancelling it stops nothing on the machine."""

    def __init__(self, lab: Lab, machine_id: UUID, driver: Driver, *, turn: int, accident: Accident) -> None:
        self._lab = lab
        self._machine_id = machine_id
        self._driver = driver
        self._turn = turn
        self._accident = accident
        self._inbox: asyncio.Queue[Observation | Nudge | _Question] = asyncio.Queue(maxsize=64)
        self._group: asyncio.TaskGroup | None = None  # of the present connection
        self._run: Run | None = None  # the active run as last read or written; the database has the truth
        self._told: tuple[Link, Activity, str] | None = None  # what the machine's row says
        self._deadline: float | None = None  # monotonic: when silence about our run becomes a question
        self._foreign_name: str | None = None  # a print by hand that the bed's state already tells of
        self._progress_due = 0.0
        self._watch = _StopWatch()

    def nudge(self, nudge: Nudge) -> None:
        """Never waits. Where the inbox is full the nudge is dropped: the start asks the database itself, and
        so does every reconnect."""
        with suppress(asyncio.QueueFull):
            self._inbox.put_nowait(nudge)

    # --- the link --------------------------------------------------------------------------------

    async def run(self) -> None:
        while True:
            try:
                await self._connect()
                await self._attend()
            except NotOurTurn:
                raise
            except EtabliError as lost:
                await self._lost(lost)
            except Exception:  # one sick machine must not stop the others
                log.exception("supervisor of %s failed; reconnecting", self._machine_id)
                await self._lost(MachineUnreachable("An error of ours; see the log."))
            finally:
                with suppress(EtabliError):
                    await self._driver.close()
            await self._lab.clock.sleep(REST_SECONDS)

    async def _connect(self) -> None:
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(EtabliError),
            wait=wait_random_exponential(multiplier=0.5, max=RECONNECT_SECONDS_MAX),
            sleep=self._lab.clock.sleep,
        ):
            with attempt:
                try:
                    await self._driver.connect()
                except EtabliError as lost:
                    await self._lost(lost)
                    raise

    async def _lost(self, why: EtabliError) -> None:
        """Say that the link is down. A print on the machine goes on; only a run that never reached it is
        given back."""
        link = Link.AUTH_FAILED if isinstance(why, MachineAuthFailed) else Link.OFFLINE
        if self._told == (link, Activity.UNKNOWN, why.detail):
            return
        self._watch.stop()
        if not isinstance(why, MachineUnreachable | MachineAuthFailed):
            log.warning("machine %s: %s", self._machine_id, why)
        try:
            run = await self._read_run()
            if run is not None and run.state in BEFORE_START:
                await self._give_back(run, f"The machine was lost before the start: {why.detail}")
            await self._tell(link, Activity.UNKNOWN, why.detail)
        except EtabliError as worse:
            # The database is away, or a person was faster: it is said again at the next try.
            log.warning("machine %s: %s", self._machine_id, worse)

    async def _attend(self) -> None:
        while not self._inbox.empty():
            self._inbox.get_nowait()
        try:
            async with asyncio.TaskGroup() as group:
                self._group, self._deadline = group, None
                group.create_task(self._listen())
                await self._serve()
        except ExceptionGroup as several:
            pass_on_cancellation()
            raise several.exceptions[0] from several
        finally:
            self._group = None

    async def _listen(self) -> None:
        async for observation in self._driver.observations():
            await self._inbox.put(observation)
        raise MachineUnreachable("The machine said nothing more.")

    async def _serve(self) -> None:
        self._told = None
        await self._saw(await self._driver.observe())
        await self._reconcile()
        while True:
            message = await self._inbox.get()
            try:
                await self._handle(message)
            except Conflict as faster:
                log.info("machine %s: %s", self._machine_id, faster)
                await self._read_run()

    async def _handle(self, message: Observation | Nudge | _Question) -> None:
        if isinstance(message, Observation):
            await self._saw(message)
        elif isinstance(message, Nudge):
            await self._look(message.control)
        elif message.deadline == self._deadline:
            await self._question()

    def _ask_in(self, seconds: float) -> None:
        """Ask the machine what became of our run if it stays silent about it for so long."""
        if self._group is not None:
            self._deadline = self._lab.clock.monotonic() + seconds
            self._group.create_task(self._ring(self._deadline, seconds))

    async def _ring(self, deadline: float, seconds: float) -> None:
        await self._lab.clock.sleep(seconds)
        await self._inbox.put(_Question(deadline))

    # --- what the database says ------------------------------------------------------------------

    async def _read_run(self) -> Run | None:
        self._run = await self._lab.store.read(lambda unit: unit.active_run_at(self._machine_id))
        return self._run

    async def _reconcile(self) -> None:
        """After a (re)connect: what became of the run we believe in?"""
        run = await self._read_run()
        if run is not None and run.state in MAYBE_ON_METAL:
            await self._locate(run)
        await self._look(None)

    async def _look(self, control: Control | None) -> None:
        before = self._run
        run = await self._read_run()
        if before is not None and (run is None or run.id != before.id):
            await self._clean_up(before)
        if run is None:
            return
        if run.state in BEFORE_START:
            await self._advance(run)
            return
        job = await self._job(run)
        if job.cancel_requested:
            control = Control.CANCEL
        if control is not None:
            await self._control(run, control)

    async def _job(self, run: Run) -> Job:
        job = await self._lab.store.read(lambda unit: unit.job(run.job_id))
        if job is None:
            raise Conflict("The run's job is gone.")
        return job

    async def _control(self, run: Run, control: Control) -> None:
        """Done when an observation says so. A machine that works on something else is not touched."""
        try:
            await self._driver.control(run.remote_name, control)
        except Rejected as no:
            log.warning("machine %s refuses %s: %s", self._machine_id, control.value, no)

    async def _clean_up(self, run: Run) -> None:
        """Remove an ended run's file, so that nobody can start it again by mistake. Best effort."""
        with suppress(Rejected, NeedsPerson):
            await self._driver.revoke(run.remote_name)

    # --- the start protocol (promises reference, M3) ---------------------------------------------

    async def _advance(self, run: Run) -> None:
        if (await self._job(run)).cancel_requested:
            await self._end(run, Ended(remote_name=run.remote_name, outcome=Outcome.CANCELLED))
            return
        if run.state is RunState.CLAIMED:
            self._accident("claimed")
            run = await self._move(run, RunEvent.STAGE)
        if run.state is RunState.STAGING:
            self._accident("staging")
            staged = await self._stage(run)
            if staged is None:
                return
            run = staged
        if run.state is RunState.STAGED:
            self._accident("staged")
            await self._start(run)

    async def _stage(self, run: Run) -> Run | None:
        job = await self._job(run)
        if job.artifact is None:
            await self._give_back(run, "The job has no prepared file.")
            return None
        path = self._lab.files.path(job.artifact.sha256)
        try:
            async for attempt in AsyncRetrying(
                retry=retry_if_exception_type(MachineUnreachable),
                stop=stop_after_attempt(self._lab.limits.stage_attempts),
                wait=wait_exponential(multiplier=1, max=10),
                sleep=self._lab.clock.sleep,
                reraise=True,
            ):
                with attempt:
                    await self._driver.stage(path, run.remote_name)
        except Rejected as no:
            await self._give_back(run, f"The machine refuses the file: {no.detail}")
            return None
        return await self._move(run, RunEvent.STAGED)

    async def _start(self, run: Run) -> None:
        seen = await self._driver.observe()
        await self._note(seen)
        if seen.activity not in STARTABLE:
            await self._give_back(
                run, f"Just before the start the machine was {seen.activity.value}. {seen.message}"
            )
            return
        sent, refusals = await self._commit_start(run)
        if sent is None:
            await self._give_back(run, " ".join(no.reason for no in refusals))
            return
        self._run = sent
        self._accident("start_sent")
        answer = await self._driver.start(sent.remote_name)
        self._accident("start_answered")
        self._ask_in(self._driver.confirm_seconds)
        if isinstance(answer, Refused):
            await self._start_refused(sent, answer)
        elif isinstance(answer, Unknown):
            await self._doubt(sent, f"The start was not answered clearly: {answer.words}")

    async def _commit_start(self, run: Run) -> tuple[Run | None, Sequence[Refusal]]:
        """The one transaction that lets a start leave: interlocks asked once more, the bed used up, the
        intent written."""

        async def work(unit: Unit) -> tuple[Run | None, Sequence[Refusal]]:
            if await unit.fleet_turn(self._lab.site) != self._turn:
                raise NotOurTurn
            machine, job = await unit.machine(self._machine_id), await unit.job(run.job_id)
            if machine is None or job is None or job.cancel_requested:
                return None, ()
            refusals = check(machine, run, await hold_stands(unit, job))
            if refusals:
                return None, refusals
            at = self._lab.clock.now()
            await set_bed(unit, machine, Bed.OCCUPIED, actor=SYSTEM, at=at, reason="start_sent")
            tries = run.start_tries + 1
            sent = await move_run(
                unit,
                run,
                RunEvent.SEND_START,
                member_id=job.member_id,
                actor=SYSTEM,
                at=at,
                start_sent_at=at,
                start_tries=tries,
            )
            return sent, ()

        return await self._lab.store.write(work)

    async def _start_refused(self, run: Run, answer: Refused) -> None:
        """Nothing has begun: the bed is what it was. After a few refusals the run is given back."""

        async def work(unit: Unit) -> Run:
            job, machine = await unit.job(run.job_id), await unit.machine(self._machine_id)
            if job is None or machine is None:
                raise Conflict("The run's job or machine is gone.")
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
                note=answer.words[:500],
            )

        self._deadline = None
        self._run = staged = await self._lab.store.write(work)
        if staged.start_tries >= self._lab.limits.start_attempts:
            await self._give_back(staged, f"The machine refuses to start: {answer.words}")
            return
        await self._lab.clock.sleep(REST_SECONDS)
        await self._advance(staged)

    async def _give_back(self, run: Run, why: str) -> None:
        """End a run that never reached the metal; its job goes back to the head of the queue."""
        words = why.strip() or "given back"
        ended = Ended(remote_name=run.remote_name, outcome=Outcome.FAILED, cause=Cause.SOFTWARE, words=words)
        await self._end(run, ended, clean_up=False)

    # --- what the machine says -------------------------------------------------------------------

    async def _saw(self, seen: Observation) -> None:
        await self._note(seen)
        run = self._run
        if run is None or run.state not in MAYBE_ON_METAL:
            return
        ours = seen.remote_name == run.remote_name
        if seen.ended is not None and seen.ended.remote_name == run.remote_name:
            await self._end(run, seen.ended)
        elif ours and seen.activity in WORKING:
            await self._working(run, seen)
        elif run.state in _SEEN and (seen.activity in OVER or not ours) and self._deadline is None:
            self._ask_in(MISSED_END_SECONDS)

    async def _working(self, run: Run, seen: Observation) -> None:
        self._deadline = None
        now = self._lab.clock.monotonic()
        self._watch.see(now, printing=seen.activity is Activity.PRINTING)
        target = RunState.PAUSED if seen.activity is Activity.PAUSED else RunState.RUNNING
        if run.state is not target and (seen.activity in _SETTLED or run.state in _UNSEEN):
            event = RunEvent.SEEN_PAUSED if target is RunState.PAUSED else RunEvent.SEEN_RUNNING
            started_at = run.started_at or self._lab.clock.now()
            await self._move(run, event, started_at=started_at)
            self._accident(target.value)
        await self._progress(seen, now)

    async def _progress(self, seen: Observation, now: float) -> None:
        run = self._run
        if run is None or now < self._progress_due:
            return
        self._progress_due = now + PROGRESS_SECONDS
        permille = min(1000, max(run.progress_permille, round((seen.progress or 0.0) * 1000)))
        position = max(run.position_bytes or 0, seen.position_bytes or 0) or None
        if permille - run.progress_permille >= PROGRESS_PERMILLE:
            await self._lab.store.write(lambda unit: unit.note_progress(run.id, permille, position))
            self._run = replace(run, progress_permille=permille, position_bytes=position)

    async def _question(self) -> None:
        """Silence about our run has lasted too long: ask the machine what it can prove."""
        self._deadline = None
        run = await self._read_run()
        if run is not None and run.state in MAYBE_ON_METAL:
            await self._locate(run)

    async def _locate(self, run: Run) -> None:
        located = await self._driver.locate(run.remote_name, run.start_sent_at or run.claimed_at)
        if located.where is Where.RUNNING and located.observation is not None:
            await self._working(run, located.observation)
        elif located.where is Where.ENDED and located.ended is not None:
            await self._end(run, located.ended)
        elif located.where is Where.NEVER_STARTED:
            words = located.words or "The machine proves that it never started."
            ended = Ended(
                remote_name=run.remote_name, outcome=Outcome.FAILED, cause=Cause.NEVER_STARTED, words=words
            )
            await self._end(run, ended)
        elif run.state is not RunState.UNCLEAR:
            await self._doubt(run, located.words or "The machine cannot say what became of the print.")

    async def _doubt(self, run: Run, why: str) -> None:
        self._watch.stop()
        await self._move(run, RunEvent.DOUBT, note=why[:500])
        await self._needs_person("run_unclear", why)
        self._accident("unclear")

    async def _end(self, run: Run, ended: Ended, *, clean_up: bool = True) -> None:
        self._accident("ending")
        seconds = self._watch.seconds(run.id)
        with suppress(Conflict):  # a person, or an earlier word of the machine, has ended it already
            await self._lab.store.write(
                lambda unit: end_run(self._lab, unit, run, ended, observed_seconds=seconds)
            )
        self._accident("ended")
        self._run, self._deadline = None, None
        if clean_up:
            await self._clean_up(run)

    # --- writing it down -------------------------------------------------------------------------

    async def _move(self, run: Run, event: RunEvent, **changes: Any) -> Run:
        async def work(unit: Unit) -> Run:
            job = await unit.job(run.job_id)
            if job is None:
                raise Conflict("The run's job is gone.")
            return await move_run(
                unit, run, event, member_id=job.member_id, actor=SYSTEM, at=self._lab.clock.now(), **changes
            )

        self._run = moved = await self._lab.store.write(work)
        self._watch.follow(moved.id)
        return moved

    async def _note(self, seen: Observation) -> None:
        await self._tell(Link.ONLINE, seen.activity, seen.message)
        ours = self._run is not None and seen.remote_name == self._run.remote_name
        if seen.activity in WORKING and not ours:
            await self._foreign(seen.remote_name)
        elif seen.activity not in WORKING:
            self._foreign_name = None

    async def _tell(self, link: Link, activity: Activity, words: str) -> None:
        """Write what the machine says of itself, when it says something new."""
        told = (link, activity, words)
        if told == self._told:
            return
        at = self._lab.clock.now()

        async def work(unit: Unit) -> None:
            machine = await unit.machine(self._machine_id)
            if machine is None or (machine.link, machine.activity, machine.note) == told:
                return
            changes = {"link": link, "activity": activity, "note": words, "seen_at": at}
            await change_machine(unit, machine, topic="machine.state_changed", actor=SYSTEM, at=at, **changes)

        await self._lab.store.write(work)
        self._told = told
        if activity in {Activity.ATTENTION, Activity.FAULT}:
            await self._needs_person(activity.value, words)

    async def _foreign(self, name: str | None) -> None:
        """Somebody started a print by hand: whatever the bed was, it is not clear."""
        if self._foreign_name == (name or ""):
            return

        async def work(unit: Unit) -> None:
            machine = await unit.machine(self._machine_id)
            if machine is not None and machine.bed is not Bed.OCCUPIED:
                await set_bed(
                    unit,
                    machine,
                    Bed.OCCUPIED,
                    actor=SYSTEM,
                    at=self._lab.clock.now(),
                    reason="foreign_print",
                )

        await self._lab.store.write(work)
        self._foreign_name = name or ""

    async def _needs_person(self, reason: str, words: str) -> None:
        event = Event(
            topic="machine.needs_person",
            at=self._lab.clock.now(),
            actor=SYSTEM,
            data={"reason": reason, "words": words[:500]},
            machine_id=self._machine_id,
        )
        await self._lab.store.write(lambda unit: unit.emit(event))


_SETTLED = frozenset({Activity.PRINTING, Activity.PAUSED, Activity.FINISHING, Activity.PREPARING})
_SEEN = frozenset({RunState.RUNNING, RunState.PAUSED})
_UNSEEN = frozenset({RunState.START_SENT, RunState.UNCLEAR})


class _StopWatch:
    """Our own count of printing seconds, for machines that keep none; never across a gap."""

    def __init__(self) -> None:
        self._run_id: UUID | None = None
        self._total = 0.0
        self._since: float | None = None

    def follow(self, run_id: UUID) -> None:
        if run_id != self._run_id:
            self._run_id, self._total, self._since = run_id, 0.0, None

    def see(self, now: float, *, printing: bool) -> None:
        if self._since is not None:
            self._total += now - self._since
        self._since = now if printing else None

    def stop(self) -> None:
        self._since = None

    def seconds(self, run_id: UUID) -> int | None:
        return round(self._total) if run_id == self._run_id and self._total else None
