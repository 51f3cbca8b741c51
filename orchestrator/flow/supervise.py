"""Drive one machine: connect, observe, reconcile, carry out. One Supervisor, one task; it is the only one
that commands.

The machine is the truth of metal: belief is compared with observation at start-up, on every reconnect and
on every reading. What leaves for the machine was committed first, is sent once, and a doubtful answer is
`unclear`.
"""

from __future__ import annotations

import asyncio
import logging
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
from orchestrator.domain.event import SYSTEM
from orchestrator.domain.job import Job
from orchestrator.domain.machine import WORKING, Activity, Link, Machine, needs_release
from orchestrator.domain.run import BEFORE_START, MAYBE_ON_METAL, Cause, Run, RunEvent, RunState
from orchestrator.flow.attend import Attendance, ticket
from orchestrator.flow.finish import end_run
from orchestrator.flow.lab import Lab
from orchestrator.flow.moves import move_run
from orchestrator.flow.notebook import Notebook
from orchestrator.flow.patience import is_pressed, is_released, seconds_to_press, seconds_to_release
from orchestrator.flow.starting import NotOurTurn, StartDesk
from orchestrator.flow.stopwatch import StopWatch
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
WITHDRAW_AGAIN_SECONDS = 300.0
"""How soon a file that could not be taken back from the machine is tried again."""
CONDITIONS_SECONDS = 3.0
"""How often the inputs of a machine that must have them good are asked for; see CONDITION_SECONDS_MAX."""
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


@dataclass(frozen=True)
class _Waited:
    """Nobody has released this staged run in the time that it may keep its machine."""

    run_id: UUID


class Supervisor:
    """One machine. `run()` never returns; cancelling it stops nothing on the machine."""

    def __init__(self, lab: Lab, machine_id: UUID, driver: Driver, *, turn: int, accident: Accident) -> None:
        self._lab = lab
        self._machine_id = machine_id
        self._driver = driver
        self._accident = accident
        self._inbox: asyncio.Queue[Observation | Nudge | _Question | _Waited] = asyncio.Queue(maxsize=64)
        self._group: asyncio.TaskGroup | None = None  # of the present connection
        self._run: Run | None = None  # the active run as last read or written; the database has the truth
        self._desk = StartDesk(lab, machine_id, turn)
        self._notes = Notebook(lab, machine_id)
        self._attendance = Attendance(lab, machine_id, driver)
        self._watched: UUID | None = None  # the run whose person is being watched over
        self._awaited: UUID | None = None  # the staged run whose time to be released is running
        self._left: Run | None = None  # given back, and its file may still lie on the machine
        self._deadline: float | None = None  # monotonic: when silence about our run becomes a question
        self._progress_due = 0.0
        self._watch = StopWatch()

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
        if self._notes.told == (link, Activity.UNKNOWN, why.detail):
            return
        self._watch.stop()
        if not isinstance(why, MachineUnreachable | MachineAuthFailed):
            log.warning("machine %s: %s", self._machine_id, why)
        try:
            run = await self._read_run()
            if run is not None and run.state in BEFORE_START:
                await self._give_back(run, f"The machine was lost before the start: {why.detail}")
            await self._notes.tell(link, Activity.UNKNOWN, why.detail)
        except EtabliError as worse:
            # The database is away, or a person was faster: it is said again at the next try.
            log.warning("machine %s: %s", self._machine_id, worse)

    async def _attend(self) -> None:
        while not self._inbox.empty():
            self._inbox.get_nowait()
        try:
            async with asyncio.TaskGroup() as group:
                self._group, self._deadline = group, None
                self._attendance = Attendance(self._lab, self._machine_id, self._driver)
                self._watched = self._awaited = None
                group.create_task(self._listen())
                if (await self._machine()).abilities.conditions:
                    group.create_task(self._look_at_conditions())
                await self._serve()
        except ExceptionGroup as several:
            pass_on_cancellation()
            raise several.exceptions[0] from several
        finally:
            self._group = None

    async def _listen(self) -> None:
        async for observation in self._driver.observations():
            await self._notes.readings(observation.conditions)  # at once, whatever is being waited for
            await self._inbox.put(observation)
        raise MachineUnreachable("The machine said nothing more.")

    async def _look_at_conditions(self) -> None:
        """A controller that is idle tells nothing new; a reading of its inputs must be fresh all the same."""
        while True:
            await self._lab.clock.sleep(CONDITIONS_SECONDS)
            await self._inbox.put(await self._driver.observe())

    async def _serve(self) -> None:
        self._notes.told = None
        await self._saw(await self._driver.observe())
        await self._reconcile()
        while True:
            message = await self._inbox.get()
            try:
                await self._handle(message)
            except Conflict as faster:
                log.info("machine %s: %s", self._machine_id, faster)
                await self._read_run()

    async def _handle(self, message: Observation | Nudge | _Question | _Waited) -> None:
        if isinstance(message, Observation):
            await self._saw(message)
        elif isinstance(message, Nudge):
            await self._look(message.control)
        elif isinstance(message, _Waited):
            await self._waited(message.run_id)
        elif message.deadline == self._deadline:
            await self._question()

    def _ask_in(self, seconds: float) -> None:
        """Ask the machine what became of our run if it stays silent about it for so long."""
        if self._group is not None:
            self._deadline = self._lab.clock.monotonic() + seconds
            self._group.create_task(self._ring(self._deadline, seconds))

    async def _ring(self, deadline: float, seconds: float) -> None:
        await self._later(seconds, _Question(deadline))

    async def _later(self, seconds: float, message: _Question | _Waited) -> None:
        await self._lab.clock.sleep(seconds)
        await self._inbox.put(message)

    # --- what the database says ------------------------------------------------------------------

    async def _read_run(self) -> Run | None:
        self._run = await self._lab.store.read(lambda unit: unit.active_run_at(self._machine_id))
        return self._run

    async def _reconcile(self) -> None:
        """After a (re)connect: what became of the run we believe in?"""
        await self._take_back()
        run = await self._read_run()
        if run is not None and run.state in MAYBE_ON_METAL:
            machine = await self._machine()
            if needs_release(machine):
                self._watch_over(run)
            pressed = run.state is RunState.START_SENT and is_pressed(machine)
            await self._locate(run, await seconds_to_press(self._lab, run, machine) if pressed else None)
        elif run is not None and run.state is RunState.STAGED:
            await self._put(run)  # a driver that streams keeps its files no longer than itself
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
        elif control is Control.RESUME or (control is None and run.state is RunState.PAUSED):
            control = await self._going_on(run, job, control)
        if control is not None:
            await self._control(run, control)

    async def _machine(self) -> Machine:
        machine = await self._lab.store.read(lambda unit: unit.machine(self._machine_id))
        if machine is None:
            raise Conflict("The machine is gone.")
        return machine

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
            await self._start_or_wait(run)

    async def _stage(self, run: Run) -> Run | None:
        return await self._move(run, RunEvent.STAGED) if await self._put(run) else None

    async def _put(self, run: Run) -> bool:
        """The prepared file onto the machine; False where the run was given back instead."""
        job = await self._job(run)
        if job.artifact is None:
            await self._give_back(run, "The job has no prepared file.")
            return False
        path = self._lab.files.path(job.artifact.sha256)
        said = await self._lab.store.read(lambda unit: ticket(unit, self._lab, job, self._machine_id))
        try:
            async for attempt in AsyncRetrying(
                retry=retry_if_exception_type(MachineUnreachable),
                stop=stop_after_attempt(self._lab.limits.stage_attempts),
                wait=wait_exponential(multiplier=1, max=10),
                sleep=self._lab.clock.sleep,
                reraise=True,
            ):
                with attempt:
                    await self._driver.stage(path, run.remote_name, said)
        except Rejected as no:
            await self._give_back(run, f"The machine refuses the file: {no.detail}")
            return False
        return True

    async def _start_or_wait(self, run: Run) -> None:
        """A machine that only a person starts waits for one to release the run there, for so long and no longer."""
        if not needs_release(await self._machine()):
            await self._start(run)
            return
        if self._awaited != run.id:
            self._awaited = run.id
            self._wait_for(run, await seconds_to_release(self._lab, run))
        if await is_released(self._lab, run):
            await self._start(run)

    def _wait_for(self, run: Run, seconds: float) -> None:
        if self._group is not None:
            self._group.create_task(self._later(seconds, _Waited(run.id)))

    async def _waited(self, run_id: UUID) -> None:
        run = await self._read_run()
        if run is not None and run.id == run_id and run.state is RunState.STAGED:
            await self._withdraw(run, "Nobody released it at the machine in time.")
            self._wait_for(run, WITHDRAW_AGAIN_SECONDS)  # where that did not succeed

    async def _withdraw(self, run: Run, why: str) -> None:
        """Nothing has begun, and nothing can begin any more: the file goes, the job waits for another turn."""
        if not await self._driver.revoke(run.remote_name):
            if run.state in MAYBE_ON_METAL:
                await self._locate(run)
            else:
                await self._notes.needs_person("not_withdrawn", f"{why} Its file could not be taken back.")
            return
        ended = Ended(
            remote_name=run.remote_name,
            outcome=Outcome.CANCELLED,
            cause=Cause.NEVER_STARTED,
            words=why,
        )
        await self._end(run, ended, clean_up=False)

    async def _start(self, run: Run) -> None:
        seen = await self._driver.observe()
        await self._notes.note(seen, self._run)
        if seen.activity not in STARTABLE:
            await self._give_back(
                run, f"Just before the start the machine was {seen.activity.value}. {seen.message}"
            )
            return
        verdict = await self._lab.store.write(lambda unit: self._desk.commit_start(unit, run))
        sent, machine = verdict.sent, verdict.machine
        if sent is None or machine is None:
            if machine is None or not needs_release(machine):
                await self._give_back(run, " ".join(no.reason for no in verdict.refusals))
            return
        self._run = sent
        self._accident("start_sent")
        if needs_release(machine):
            self._watch_over(sent)
            self._attendance.released()
        if is_pressed(machine):
            self._ask_in(
                await seconds_to_press(self._lab, sent, machine)
            )  # the person who released it presses the start
            return
        answer = await self._driver.start(sent.remote_name, verdict.presence)
        self._accident("start_answered")
        self._ask_in(self._driver.confirm_seconds)
        if isinstance(answer, Refused):
            await self._start_refused(sent, answer)
        elif isinstance(answer, Unknown):
            await self._doubt(sent, f"The start was not answered clearly: {answer.words}")

    def _watch_over(self, run: Run) -> None:
        if self._group is not None and self._watched != run.id:
            self._watched = run.id
            self._group.create_task(self._attendance.watch(run))

    async def _going_on(self, run: Run, job: Job, asked: Control | None) -> Control | None:
        """After a hold, a machine that needs a person goes on only by a new release there, whoever asks."""
        if not needs_release(await self._machine()):
            return asked

        if not await self._lab.store.write(lambda unit: self._desk.may_go_on(unit, run, job)):
            return None
        self._watch_over(run)
        self._attendance.released()
        return Control.RESUME

    async def _start_refused(self, run: Run, answer: Refused) -> None:
        """Nothing has begun: the bed is what it was. After a few refusals the run is given back."""

        self._deadline = None
        self._run = staged = await self._lab.store.write(
            lambda unit: self._desk.start_refused(unit, run, answer.words)
        )
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
        self._left = run
        if self._group is not None:
            await self._take_back()

    async def _take_back(self) -> None:
        """Also after the link was lost: what was given back must not be started at the machine."""
        if self._left is not None:
            await self._clean_up(self._left)
            self._left = None

    # --- what the machine says -------------------------------------------------------------------

    async def _saw(self, seen: Observation) -> None:
        await self._notes.note(seen, self._run)
        run = self._run
        if run is None:
            return
        ours = seen.remote_name == run.remote_name
        if run.state is RunState.STAGED and ours and seen.activity in WORKING:
            run = await self._began_unreleased(run)
        if run.state not in MAYBE_ON_METAL:
            return
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

    async def _began_unreleased(self, run: Run) -> Run:
        """The machine works on a file that nobody released: somebody pressed its start. An incident, and a run."""
        words = "It was started at the machine without a release."

        self._run = sent = await self._lab.store.write(
            lambda unit: self._desk.began_unreleased(unit, run, words)
        )
        await self._notes.needs_person("run_without_presence", words)
        if needs_release(await self._machine()):
            self._watch_over(sent)
            await self._control(sent, Control.PAUSE)
        return sent

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
        if run is None or run.state not in MAYBE_ON_METAL:
            return
        machine = await self._machine()
        pressed = run.state is RunState.START_SENT and is_pressed(machine)
        await self._locate(run, 0.0 if pressed and machine.abilities.tells_end else None)

    async def _locate(self, run: Run, patience: float | None = None) -> None:
        """`patience`: how long it may still take until the released run is pressed; None: it is no such run."""
        located = await self._driver.locate(run.remote_name, run.start_sent_at or run.claimed_at)
        if located.where is Where.RUNNING and located.observation is not None:
            await self._working(run, located.observation)
        elif located.where is Where.ENDED and located.ended is not None:
            await self._end(run, located.ended)
        elif patience:
            self._ask_in(patience)
        elif patience is not None and (await self._machine()).abilities.tells_end:
            await self._withdraw(run, "It was released, and nobody pressed start at the machine in time.")
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
        await self._notes.needs_person("run_unclear", why)
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


_SETTLED = frozenset({Activity.PRINTING, Activity.PAUSED, Activity.FINISHING, Activity.PREPARING})
_SEEN = frozenset({RunState.RUNNING, RunState.PAUSED})
_UNSEEN = frozenset({RunState.START_SENT, RunState.UNCLEAR})
