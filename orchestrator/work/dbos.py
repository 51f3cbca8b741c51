"""Durable work on DBOS: an SQLite file beside the lab's own, or the same PostgreSQL. The only file that
imports dbos.

Owns: which work is pending, which of its steps are done, and who does it. Refuses to know what a work means:
it holds progress, never business truth, and never starts a machine.

How it goes. A process that executes starts a work at once when it has a free slot and nobody waits; otherwise
the work is queued, and whichever process serves the queue takes it at its next poll. Each step is a
checkpoint. A process shows that it lives by a lock that the system frees at its death; every two seconds the
others look whose lock is free and give that process's work back to the queues. A work that has so lost its
process more than three times is taken to be what kills them, and ends as failed."""

from __future__ import annotations

import asyncio
import logging
import re
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from dbos import (
    DBOS,
    ClientScheduleInput,
    DBOSClient,
    DBOSConfig,
    DBOSPortableJSONSerializer,
    EnqueueOptions,
    SetWorkflowID,
    WorkflowStatus,
)
from dbos import error as engine_error
from dbos._serialization import DefaultSerializer
from sqlalchemy.exc import SQLAlchemyError

from orchestrator.domain.errors import Conflict, Misconfigured, NotFound, Rejected, Unavailable
from orchestrator.domain.event import Json
from orchestrator.ports import Clock, Step, WorkHealth, WorkKind, WorkProgress, WorkStatus
from orchestrator.work import stages
from orchestrator.work.locks import FileLock, PostgresLock, ProcessLock
from orchestrator.work.queues import IN_LANES, POLL_FACTOR, QUEUES, default_slots
from orchestrator.work.quiet import quieten

log = logging.getLogger(__name__)

# Fixed for ever: changing one of these strands what is pending.
APPLICATION = "etabli"
APPLICATION_VERSION = "1"
SCHEDULED = "etabli.scheduled"
BURIED = "etabli.buried"

RESCUES_MAX = 3
LIVENESS_SECONDS = 2
KEEP_DAYS = 30
PURGE_SECONDS = 24 * 3600
PURGE_BATCH = 500
COUNTED_MAX = 1000
START_SECONDS = 10  # how long a predecessor or a rescuer may still hold our slot's lock
ANSWER_SECONDS = 10

PENDING = "PENDING"  # in DBOS's words: taken by an executor
WAITING = ("ENQUEUED", "DELAYED")
ENDED = ("SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")
STATUS = {
    "ENQUEUED": WorkStatus.PENDING,
    "DELAYED": WorkStatus.PENDING,
    PENDING: WorkStatus.RUNNING,
    "SUCCESS": WorkStatus.SUCCEEDED,
    "ERROR": WorkStatus.FAILED,
    "CANCELLED": WorkStatus.CANCELLED,
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED": WorkStatus.FAILED,
}


class DbosWork:
    """The port `DurableWork`. `where` is a PostgreSQL URL, or the data directory for an `engine.db`.

    `executor_id` is `<host>-<slot>`, the same after each restart and no other process's at the same time. A
    process that executes must know every kind whose queue it serves. One that does not execute only submits:
    it has no threads and polls nothing. One executing instance a process, for DBOS is one a process."""

    _launched: ClassVar[bool] = False

    def __init__(
        self,
        where: str | Path,
        *,
        executor_id: str,
        kinds: Iterable[WorkKind],
        clock: Clock,
        executes: bool = True,
        poll_seconds: float = 0.5,
        serves: Collection[str] = QUEUES,
        slots: Mapping[str, int] | None = None,
    ) -> None:
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,100}", executor_id):
            raise Misconfigured(
                f"“{executor_id}” is no name for a worker: letters, digits, dot, dash, underscore."
            )
        self.executor_id = executor_id
        self._where = where
        self._kinds = {kind.name: kind for kind in kinds}
        if strange := {kind.queue for kind in self._kinds.values()} - set(QUEUES):
            raise Misconfigured(f"There is no queue {', '.join(sorted(strange))}.")
        self._clock = clock
        self._executes = executes
        self._poll_seconds = poll_seconds
        self._serves = frozenset(serves)
        self._slots = {**default_slots(), **(slots or {})}
        self._turns = {queue: asyncio.Semaphore(count) for queue, count in self._slots.items()}
        self._doing: dict[str, tuple[str, asyncio.Task[Any]]] = {}
        self._starting: Counter[str] = Counter()
        self._lock = self._lock_of(executor_id)
        self._client: DBOSClient | None = None
        self._running = False
        self._purge_due = 0.0

    # --- life ------------------------------------------------------------------------------------

    async def launch(self) -> None:
        """Raises Misconfigured where another process has our slot, Unavailable where the database does not
        answer."""
        quieten()
        _refuse_pickles()
        try:
            async with _border():
                await asyncio.to_thread(self._prepare_database)
                self._client = self._new_client()
                if self._executes:
                    await self._launch_executor()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Stop what runs here and give it back to the queues, so that another process can go on with it at
        once."""
        if self._running:
            self._running = False
            await self._stop_doing()
            # DBOS made its own thread pool the loop's default; it dies with DBOS, the loop lives on.
            asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(thread_name_prefix="loop"))
            await asyncio.to_thread(DBOS.destroy, destroy_registry=True)
            DbosWork._launched = False
            try:
                await self._hand_back(self.executor_id, counts=False)
            except Unavailable as error:
                log.warning("what ran here is left for its next rescuer: %s", error)
        await self._lock.release()
        if self._client is not None:
            await asyncio.to_thread(self._client.destroy)
            self._client = None

    async def watch(self) -> None:
        """Rescue the work of the dead, keep our own lock, delete what is long done. Runs until cancelled."""
        reachable = True
        while True:
            await self._clock.sleep(LIVENESS_SECONDS)
            try:
                await self.resume_dead()
                await self._purge_daily()
                reachable = True
            except Unavailable as error:
                if reachable:
                    log.warning("durable work waits for its database: %s", error)
                reachable = False

    # --- the port --------------------------------------------------------------------------------

    async def start(
        self,
        kind: str,
        id: str,
        args: Mapping[str, Json],
        *,
        lane: str | None = None,
        priority: int = 0,
        delay_seconds: int = 0,
    ) -> None:
        """Idempotent by id. Lower priorities go first. Raises Conflict if the id is another kind's,
        Misconfigured for an unknown kind or for a lane on a queue that has none, Unavailable."""
        queue = self._kind(kind).queue
        if lane is not None and queue not in IN_LANES:
            raise Misconfigured(f"The queue {queue} has no lanes.")
        async with _border():
            if not delay_seconds and self._may_begin(queue) and not await self._anybody_waits(queue):
                await self._begin(kind, queue, id, args)
            else:
                await self._enqueue(kind, queue, id, args, lane or id, priority, delay_seconds)

    async def signal(self, id: str, topic: str, body: Json) -> None:
        """Raises NotFound if there is no such work."""
        async with _border():
            await self._engine.send_async(id, body, topic)

    async def wait_signal(self, topic: str, timeout_seconds: int) -> Json:
        """Only in a step, which is left here and runs again from its beginning with the signal at hand; None
        when it did not come in time. While it waits the work keeps its place among those its process may
        take."""
        return stages.received(topic, timeout_seconds)

    async def progress(self, id: str) -> WorkProgress | None:
        async with _border():
            found = await self._list(workflow_ids=[id])
            if not found:
                return None
            kept = await self._engine.list_workflow_steps_async(id)
        status = WorkStatus.FAILED if _note(found[0], "buried") else STATUS[found[0].status]
        done = [step["function_name"] for step in kept if _is_done(step["output"])]
        return WorkProgress(status=status, steps_done=tuple(n for n in done if n != stages.FAILED_STEP))

    async def cancel(self, id: str) -> None:
        """What runs here stops now, what runs elsewhere within about a second. What has ended stays as it
        is."""
        async with _border():
            await self._engine.cancel_workflow_async(id)
        if id in self._doing:
            self._doing[id][1].cancel()

    async def resume_dead(self) -> int:
        """Give back the work of each executor whose lock is free; returns how many works."""
        if self._executes and not await self._still_ours():
            return 0  # what cost us our lock (a restarted database) cost the living theirs too: next time
        async with _border():
            taken = {work.executor_id for work in await self._list(status=PENDING, limit=COUNTED_MAX)}
        return sum([await self._rescue(other) for other in sorted(filter(None, taken - {self.executor_id}))])

    async def schedule(self, name: str, cron: str, kind: str) -> None:
        """Starts work of that kind at each time of the cron line (UTC, five fields, or six with seconds
        first), with arguments `{"schedule": name, "at": instant}`. Again with the same name replaces. Raises
        Rejected."""
        self._kind(kind)
        async with _border():
            try:
                context = {"kind": kind, "schedule": name}
                entry = ClientScheduleInput(
                    schedule_name=name, workflow_name=SCHEDULED, schedule=cron, context=context
                )
                await self._engine.apply_schedules_async([entry])
            except engine_error.DBOSException as error:
                raise Rejected(f"“{cron}” is no schedule.", code="schedule.cron") from error

    async def health(self) -> WorkHealth:
        """Never raises. Counts up to 1000."""
        backend = "sqlite" if isinstance(self._where, Path) else "postgresql"
        try:
            async with asyncio.timeout(ANSWER_SECONDS), _border():
                waiting = await self._list(status=[*WAITING, PENDING], limit=COUNTED_MAX)
        except (Unavailable, TimeoutError) as error:
            return WorkHealth(ok=False, backend=backend, words=str(error) or "The database does not answer.")
        begun_ms = min(
            (w.created_at for w in waiting if w.created_at and w.status != "DELAYED"), default=None
        )
        age = 0 if begun_ms is None else self._clock.now().timestamp() - begun_ms / 1000
        return WorkHealth(ok=True, backend=backend, pending=len(waiting), oldest_seconds=max(0, round(age)))

    # --- starting --------------------------------------------------------------------------------

    def _may_begin(self, queue: str) -> bool:
        """Here and now? Not in lanes, which are in order; not from inside a work, whose child it would
        become."""
        if not self._running or DBOS.workflow_id is not None:
            return False
        if queue in IN_LANES or queue not in self._serves:
            return False
        busy = sum(1 for doing, _ in self._doing.values() if doing == queue)
        return busy + self._starting[queue] < self._slots[queue]

    async def _anybody_waits(self, queue: str) -> bool:
        return bool(await self._list(status="ENQUEUED", queue_name=queue, limit=1))

    async def _begin(self, kind: str, queue: str, id: str, args: Mapping[str, Json]) -> None:
        self._starting[queue] += 1
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                with SetWorkflowID(id):
                    await DBOS.start_workflow_async(self._workflows[kind], dict(args))
        finally:
            self._starting[queue] -= 1

    async def _enqueue(
        self,
        kind: str,
        queue: str,
        id: str,
        args: Mapping[str, Json],
        lane: str,
        priority: int,
        delay_seconds: int,
    ) -> None:
        options: EnqueueOptions = {
            "workflow_name": kind,
            "queue_name": queue,
            "workflow_id": id,
            "app_version": APPLICATION_VERSION,
        }
        if priority > 0:
            options["priority"] = priority
        if delay_seconds > 0:
            options["delay_seconds"] = delay_seconds
        if queue in IN_LANES:
            options["queue_partition_key"] = lane
        await self._engine.enqueue_async(options, dict(args))

    # --- doing -----------------------------------------------------------------------------------

    async def _perform(self, kind: WorkKind, args: Mapping[str, Json]) -> None:
        """The workflow: each step to its end, in order; at the first that fails, say so and stop."""
        if not self._running:
            raise asyncio.CancelledError  # taken from the queue while we were closing: it goes back
        id, task = DBOS.workflow_id, asyncio.current_task()
        assert id is not None
        assert task is not None
        self._doing[id] = (kind.queue, task)
        try:
            results: dict[str, Json] = {}
            for step in kind.steps:
                end = await self._finish(kind, step, {**args, "results": dict(results)})
                if isinstance(end, stages.Failed):
                    await self._finish(kind, stages.failing(kind, end.reason), args)
                    raise stages.WorkFailed(end.reason)
                results[step.name] = end.result
        finally:
            del self._doing[id]

    async def _finish(
        self, kind: WorkKind, step: Step, args: Mapping[str, Json]
    ) -> stages.Done | stages.Failed:
        """Try until it is done or has failed for good. Every try, pause and signal is kept: a crash forgets
        none."""
        signals: dict[str, Json] = {}
        tries = 0
        while True:
            end = await self._try(kind, step, args, dict(signals))
            match end:
                case stages.Done() | stages.Failed():
                    return end
                case stages.Waits(topic, timeout_seconds):
                    signals[topic] = await DBOS.recv_async(topic, timeout_seconds)
                case stages.Again(reason):
                    tries += 1
                    if tries >= step.attempts:
                        return stages.Failed(reason)
                    await DBOS.sleep_async(stages.pause_seconds(tries))

    async def _try(
        self, kind: WorkKind, step: Step, args: Mapping[str, Json], signals: Mapping[str, Json]
    ) -> stages.End:
        async def run() -> Json:
            async with self._turns[kind.queue]:
                return stages.to_json(await stages.attempt(step, args, signals))

        # Preemptible: cancelling the work, from whatever process, cancels the coroutine that its step awaits.
        return stages.from_json(await DBOS.run_step_async({"name": step.name, "preemptible": True}, run))

    async def _perform_scheduled(self, at: Any, context: dict[str, str]) -> None:
        instant = at if isinstance(at, str) else at.isoformat()
        await self._perform(self._kind(context["kind"]), {"schedule": context["schedule"], "at": instant})

    async def _perform_burial(self, kind: str, args: dict[str, Json], reason: str) -> None:
        end = await self._finish(self._kind(kind), stages.failing(self._kind(kind), reason), args)
        if isinstance(end, stages.Failed):
            raise stages.WorkFailed(end.reason)

    # --- the dead --------------------------------------------------------------------------------

    async def _still_ours(self) -> bool:
        """False if our lock had to be taken again, or could not be."""
        if await self._lock.held():
            return True
        if not await self._lock.take():
            log.warning("the lock of worker %s is held by another process", self.executor_id)
        return False

    async def _rescue(self, executor_id: str) -> int:
        """Under the dead one's own lock: it cannot come back meanwhile, nor can another rescuer do the
        same."""
        lock = self._lock_of(executor_id)
        if not await lock.take():
            return 0
        try:
            count = await self._hand_back(executor_id, counts=True)
        finally:
            await lock.release()
        if count:
            log.warning("worker %s is gone: %d of its works go back to the queues", executor_id, count)
        return count

    async def _hand_back(self, executor_id: str, *, counts: bool) -> int:
        """Return an executor's work to the queues; where `counts`, each loss is counted against the work."""
        async with _border():
            left = await self._list(status=PENDING, executor_id=executor_id)
            for work in left:
                rescues = int(_note(work, "rescues") or 0) + counts
                if rescues > RESCUES_MAX:
                    await self._bury(work)
                    continue
                if counts:
                    await self._engine.update_workflow_attributes_async(
                        work.workflow_id, {"rescues": rescues}, merge=True
                    )
                kind = self._kinds.get(work.name)
                await self._engine.resume_workflow_async(
                    work.workflow_id, queue_name=kind.queue if kind else None
                )
        return len(left)

    async def _bury(self, work: WorkflowStatus) -> None:
        """End a work that has lost its process too often. What tells of it goes first: a crash between
        repeats it."""
        reason = f"The work was interrupted {RESCUES_MAX + 1} times by the end of its process."
        log.error("work %s (%s) is given up: %s", work.workflow_id, work.name, reason)
        kind, args = self._meaning(work)
        if kind is not None:
            options: EnqueueOptions = {
                "workflow_name": BURIED,
                "queue_name": kind.queue,
                "workflow_id": f"{work.workflow_id}.buried",
                "app_version": APPLICATION_VERSION,
            }
            if kind.queue in IN_LANES:
                options["queue_partition_key"] = work.workflow_id
            await self._engine.enqueue_async(options, kind.name, args, reason)
        await self._engine.update_workflow_attributes_async(work.workflow_id, {"buried": reason}, merge=True)
        await self._engine.cancel_workflow_async(work.workflow_id)

    def _meaning(self, work: WorkflowStatus) -> tuple[WorkKind | None, dict[str, Json]]:
        """The kind and the arguments of a work; a burial has no kind, and is not buried again."""
        given: tuple[Any, ...] = tuple(work.input["args"]) if work.input else ()
        if work.name == SCHEDULED and len(given) == 2:
            return self._kinds.get(given[1]["kind"]), {"schedule": given[1]["schedule"], "at": str(given[0])}
        return self._kinds.get(work.name), dict(given[0]) if work.name in self._kinds and given else {}

    async def _purge_daily(self) -> None:
        """Delete what ended more than 30 days ago, a batch at a time."""
        if not self._executes or self._clock.monotonic() < self._purge_due:
            return
        before = (self._clock.now() - timedelta(days=KEEP_DAYS)).isoformat()
        async with _border():
            while old := await self._list(status=list(ENDED), completed_before=before, limit=PURGE_BATCH):
                await self._engine.delete_workflows_async([work.workflow_id for work in old])
        self._purge_due = self._clock.monotonic() + PURGE_SECONDS

    # --- the engine ------------------------------------------------------------------------------

    @property
    def _engine(self) -> DBOSClient:
        if self._client is None:
            raise Unavailable("Durable work is not launched.", code="work.closed")
        return self._client

    @property
    def _url(self) -> str:
        return f"sqlite:///{self._where / 'engine.db'}" if isinstance(self._where, Path) else self._where

    def _kind(self, name: str) -> WorkKind:
        if name not in self._kinds:
            raise Misconfigured(f"There is no kind of work “{name}”.")
        return self._kinds[name]

    def _lock_of(self, executor_id: str) -> ProcessLock:
        if isinstance(self._where, Path):
            return FileLock(self._where / f"engine.{executor_id}.lock")
        return PostgresLock(self._where, f"etabli worker {executor_id}")

    async def _list(self, **which: Any) -> list[WorkflowStatus]:
        with_input = which.get("executor_id") is not None  # only a rescuer reads arguments
        return await self._engine.list_workflows_async(load_input=with_input, load_output=False, **which)

    def _prepare_database(self) -> None:
        """In a thread. The journal mode stays with the file; DBOS would leave it at a quarter of the
        speed."""
        if isinstance(self._where, Path):
            with closing(sqlite3.connect(self._where / "engine.db", timeout=30)) as connection:
                connection.execute("PRAGMA journal_mode=WAL")
        DBOS.migrate(self._url)

    def _new_client(self) -> DBOSClient:
        return DBOSClient(
            system_database_url=self._url,
            serializer=DBOSPortableJSONSerializer(),
            application_name=APPLICATION,
            retry_connection_errors=False,  # who asks hears Unavailable, instead of waiting without end
            lazy=True,
        )

    def _config(self) -> DBOSConfig:
        return {
            "name": APPLICATION,
            "system_database_url": self._url,
            "executor_id": self.executor_id,
            "application_version": APPLICATION_VERSION,
            "serializer": DBOSPortableJSONSerializer(),
            "notification_listener_polling_interval_sec": min(self._poll_seconds, 0.25),
            "notification_coalesce_sec": 0.25,
            "run_migrations": False,
            "max_executor_threads": 32,
            "log_level": "WARNING",
            "enable_otlp": False,
        }

    async def _launch_executor(self) -> None:
        await self._take_slot()
        await self._hand_back(self.executor_id, counts=True)
        if DbosWork._launched:
            raise Misconfigured("Durable work is already launched in this process.")
        DbosWork._launched = True
        DBOS(config=self._config())
        self._workflows = {
            name: _workflow(name, partial(self._perform, kind)) for name, kind in self._kinds.items()
        }
        _workflow(SCHEDULED, self._perform_scheduled)
        _workflow(BURIED, self._perform_burial)
        used = [queue for queue in QUEUES if any(kind.queue == queue for kind in self._kinds.values())]
        for queue in used:  # before the launch, which looks for new queues only once a second
            await self._engine.register_queue_async(
                queue,
                worker_concurrency=self._slots[queue],
                partition_concurrency=1 if queue in IN_LANES else None,
                polling_interval_sec=self._poll_seconds * POLL_FACTOR[queue],
            )
        DBOS.listen_queues([queue for queue in used if queue in self._serves])
        self._running = True
        DBOS.launch()  # in the loop's own thread, so that workflows run on this loop

    async def _take_slot(self) -> None:
        """A rescuer may have our lock for a moment, and a predecessor may still be closing."""
        until = self._clock.monotonic() + START_SECONDS
        while not await self._lock.take():
            if self._clock.monotonic() >= until:
                raise Misconfigured(
                    f"A worker named {self.executor_id} is already running.", code="worker.twice"
                )
            await self._clock.sleep(0.2)

    async def _stop_doing(self) -> None:
        tasks = [task for _, task in self._doing.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=ANSWER_SECONDS)


Perform = Callable[..., Coroutine[Any, Any, None]]


def _workflow(name: str, perform: Perform) -> Perform:
    """Register under a fixed name. DBOS writes on the function it is given, which a bound method does not
    allow."""

    async def workflow(*given: Any) -> None:
        await perform(*given)

    return DBOS.workflow(name=name, max_recovery_attempts=RESCUES_MAX)(workflow)


def _is_done(kept: Any) -> bool:
    return isinstance(kept, dict) and "done" in kept


def _note(work: WorkflowStatus, name: str) -> Any:
    return (work.attributes or {}).get(name)


@asynccontextmanager
async def _border() -> AsyncIterator[None]:
    """The engine's errors in our words."""
    try:
        yield
    except engine_error.DBOSNonExistentWorkflowError as error:
        raise NotFound("There is no such work.") from error
    except engine_error.DBOSConflictingWorkflowError as error:
        raise Conflict("This id belongs to work of another kind.") from error
    except (SQLAlchemyError, TimeoutError) as error:
        raise Unavailable(
            "The database of the durable work does not answer.", code="work.database"
        ) from error


def _refuse_pickles() -> None:
    """A row may name the pickle format and DBOS would load it, whatever serializer we chose: then whoever can
    write the database runs code here. We write none, so we read none."""

    def refuse(serializer: DefaultSerializer, text: str) -> Any:
        raise Misconfigured("The database of the durable work holds a pickle, which is never loaded.")

    DefaultSerializer.deserialize = refuse  # type: ignore[assignment,method-assign]
