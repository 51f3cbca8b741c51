"""Durable work: what survives a crash."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from orchestrator.domain.event import Json


@dataclass(frozen=True, kw_only=True)
class Step:
    """One checkpointed stage: a finished step is never repeated, one that a crash interrupted runs again,
    so it must be idempotent. `run` gets the arguments, with the results of earlier steps under "results"."""

    name: str
    run: Callable[[Mapping[str, Json]], Awaitable[Json]]
    attempts: int = 3  # tries on Unavailable before the work fails


@dataclass(frozen=True, kw_only=True)
class WorkKind:
    name: str  # never renamed while work of it is pending
    steps: tuple[Step, ...]
    failed: Callable[
        [Mapping[str, Json], str], Awaitable[None]
    ]  # when a step failed for good: arguments and reason
    queue: str = "prepare"


class WorkStatus(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, kw_only=True)
class WorkProgress:
    status: WorkStatus
    steps_done: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class WorkHealth:
    ok: bool
    backend: str
    pending: int = 0
    oldest_seconds: int = 0
    words: str = ""


class DurableWork(Protocol):
    """Work that survives a crash. It holds progress, never business truth, and never starts a machine."""

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
        """Idempotent by id."""

    async def signal(self, id: str, topic: str, body: Json) -> None: ...

    async def wait_signal(self, topic: str, timeout_seconds: int) -> Json: ...

    async def progress(self, id: str) -> WorkProgress | None: ...

    async def cancel(self, id: str) -> None: ...

    async def resume_dead(self) -> int: ...

    async def schedule(self, name: str, cron: str, kind: str) -> None: ...

    async def health(self) -> WorkHealth: ...
