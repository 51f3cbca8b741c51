"""Durable work for tests: the same port and the same rules, in memory, at once, in order, without a clock.

`start` does the work before it returns, except what is delayed or waits: `advance` lets the delays pass,
`signal` brings what is waited for (or nothing, at `time_out`). Nothing survives it: what a crash does is
tested on DBOS."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from orchestrator.domain.errors import Conflict, Misconfigured, NotFound, Rejected
from orchestrator.domain.event import Json
from orchestrator.ports import Step, WorkHealth, WorkKind, WorkProgress, WorkStatus
from orchestrator.work import stages
from orchestrator.work.queues import IN_LANES

OPEN = frozenset({WorkStatus.PENDING, WorkStatus.RUNNING})
TRIES_MAX = 1000  # a step that asks for ever new signals would otherwise never end


@dataclass
class _Work:
    kind: WorkKind
    args: Mapping[str, Json]
    status: WorkStatus = WorkStatus.PENDING
    delay_seconds: int = 0
    results: dict[str, Json] = field(default_factory=dict)
    signals: dict[str, list[Json]] = field(default_factory=dict)
    heard: dict[str, Json] = field(default_factory=dict)  # by the step that is being done
    waits_for: str | None = None


class InlineWork:
    """The port `DurableWork`, with `advance`, `time_out` and `fire` for what a test makes happen."""

    def __init__(self, kinds: Iterable[WorkKind]) -> None:
        self._kinds = {kind.name: kind for kind in kinds}
        self._works: dict[str, _Work] = {}
        self._schedules: dict[str, str] = {}
        self._fired = 0

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
        known = self._kind(kind)
        if lane is not None and known.queue not in IN_LANES:
            raise Misconfigured(f"The queue {known.queue} has no lanes.")
        if id in self._works:
            if self._works[id].kind.name != kind:
                raise Conflict("This id belongs to work of another kind.")
            return
        self._works[id] = _Work(known, dict(args), delay_seconds=delay_seconds)
        if not delay_seconds:
            await self._perform(self._works[id])

    async def signal(self, id: str, topic: str, body: Json) -> None:
        if id not in self._works:
            raise NotFound("There is no such work.")
        work = self._works[id]
        work.signals.setdefault(topic, []).append(body)
        if work.waits_for == topic and work.status in OPEN:
            await self._perform(work)

    async def wait_signal(self, topic: str, timeout_seconds: int) -> Json:
        return stages.received(topic, timeout_seconds)

    async def progress(self, id: str) -> WorkProgress | None:
        work = self._works.get(id)
        return None if work is None else WorkProgress(status=work.status, steps_done=tuple(work.results))

    async def cancel(self, id: str) -> None:
        work = self._works.get(id)
        if work is not None and work.status in OPEN:
            work.status = WorkStatus.CANCELLED

    async def resume_dead(self) -> int:
        return 0

    async def schedule(self, name: str, cron: str, kind: str) -> None:
        if len(cron.split()) not in (5, 6):
            raise Rejected(f"“{cron}” is no schedule.", code="schedule.cron")
        self._schedules[name] = self._kind(kind).name

    async def health(self) -> WorkHealth:
        return WorkHealth(
            ok=True, backend="inline", pending=sum(w.status in OPEN for w in self._works.values())
        )

    # --- what a test makes happen ----------------------------------------------------------------

    async def advance(self, seconds: int) -> None:
        """Let the delays pass, and do what is due, in the order in which it was started."""
        for work in list(self._works.values()):
            if work.delay_seconds and work.status is WorkStatus.PENDING:
                work.delay_seconds = max(0, work.delay_seconds - seconds)
                if not work.delay_seconds:
                    await self._perform(work)

    async def time_out(self, id: str) -> None:
        """What the work waits for does not come."""
        work = self._works[id]
        if work.waits_for is not None:
            await self.signal(id, work.waits_for, None)

    async def fire(self, name: str, at: str) -> None:
        """The time of a schedule has come."""
        self._fired += 1
        await self.start(self._schedules[name], f"sched-{name}-{self._fired}", {"schedule": name, "at": at})

    # --- doing -----------------------------------------------------------------------------------

    def _kind(self, name: str) -> WorkKind:
        if name not in self._kinds:
            raise Misconfigured(f"There is no kind of work “{name}”.")
        return self._kinds[name]

    async def _perform(self, work: _Work) -> None:
        """Go on from the first step that is not done."""
        work.status = WorkStatus.RUNNING
        for step in work.kind.steps[len(work.results) :]:
            end = await self._finish(work, step)
            if work.status is WorkStatus.CANCELLED or end is None:
                return
            if isinstance(end, stages.Failed):
                work.status = WorkStatus.FAILED
                await self._finish(work, stages.failing(work.kind, end.reason))
                return
            work.results[step.name], work.heard = end.result, {}
        work.status = WorkStatus.SUCCEEDED

    async def _finish(self, work: _Work, step: Step) -> stages.Done | stages.Failed | None:
        """None where it has to wait for a signal."""
        args = {**work.args, "results": dict(work.results)}
        tries = 0
        for _ in range(TRIES_MAX):
            if work.waits_for is not None:
                if not work.signals.get(work.waits_for):
                    return None
                work.heard[work.waits_for], work.waits_for = work.signals[work.waits_for].pop(0), None
            match await stages.attempt(step, args, dict(work.heard)):
                case stages.Waits(topic):
                    work.waits_for = topic
                case stages.Again(reason):
                    tries += 1
                    if tries >= step.attempts:
                        return stages.Failed(reason)
                case end:
                    return end
        return stages.Failed("internal error: the step does not end")
