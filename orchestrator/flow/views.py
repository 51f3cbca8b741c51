"""What pages and API show: values put together from the store, read only, already cut to who asks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from orchestrator.domain.file import File
from orchestrator.domain.forecast import Forecast
from orchestrator.domain.job import Job
from orchestrator.domain.ledger import Balance
from orchestrator.domain.machine import Machine
from orchestrator.domain.matching import Refusal
from orchestrator.domain.member import Member
from orchestrator.domain.order import Score
from orchestrator.domain.policy import Policy
from orchestrator.domain.quote import Quote
from orchestrator.domain.run import Run
from orchestrator.domain.tariff import Bill


@dataclass(frozen=True, kw_only=True)
class JobView:
    job: Job
    quote: Quote
    file: File
    member: Member
    runs: tuple[Run, ...]  # oldest first
    machines: dict[UUID, Machine]  # those of the runs
    place: int | None  # 1 = next; None: not in the queue
    forecast: Forecast | None  # None: nothing can be said
    bill: Bill | None  # None: not settled yet
    seconds_left: int | None = None  # of the run in progress; None: it is not printing


@dataclass(frozen=True, kw_only=True)
class JobPage:
    items: tuple[JobView, ...]
    next: tuple[datetime, UUID] | None  # cursor


@dataclass(frozen=True, kw_only=True)
class MachineView:
    machine: Machine
    run: Run | None  # the active one
    job: Job | None  # of that run
    file_name: str  # of that job; empty without one, or where the asker may not know it
    refusals: tuple[Refusal, ...]  # why it takes nothing at the moment


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Why a job waits: per machine, every rule that says no (none: it is next there)."""

    job: JobView
    machines: tuple[tuple[Machine, tuple[Refusal, ...]], ...]
    score: Score | None = None  # None: it does not wait


@dataclass(frozen=True, kw_only=True)
class QueueView:
    """The head of the queue, in its order."""

    waiting: tuple[Explanation, ...]
    more: int  # that wait behind those
    policy: Policy
    told: int = 0  # forecasts of late whose job has begun
    kept: int = 0  # of those, how many began by the late end they were told


@dataclass(frozen=True, kw_only=True)
class AccountView:
    member: Member
    balance: Balance
