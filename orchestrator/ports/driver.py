"""Machines: what a driver observes, and how it obeys."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import ClassVar, Protocol
from uuid import UUID

from orchestrator.domain.machine import Activity
from orchestrator.domain.presence import Presence
from orchestrator.domain.run import Cause


@dataclass(frozen=True, kw_only=True)
class Ended:
    """An end as the machine tells it. Seconds exclude pauses where the machine counts so."""

    remote_name: str
    outcome: Outcome
    cause: Cause | None = None  # None for a finished one
    position_bytes: int | None = None
    machine_seconds: int | None = None
    filament_millimetres: float | None = None  # measured by the machine
    beam_seconds: float | None = None  # laser on, as the machine counts or its reports add up
    words: str = ""  # the machine's own


class Outcome(StrEnum):
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What a machine says of itself at one moment. `remote_name` is the file it works on or has selected."""

    activity: Activity
    remote_name: str | None = None
    progress: float | None = None  # 0..1
    position_bytes: int | None = None
    machine_seconds: int | None = None
    filament_millimetres: float | None = None
    message: str = ""
    beam_seconds: float | None = None
    conditions: Mapping[str, bool] = field(
        default_factory=dict
    )  # inputs the controller reads: `lid`, `extractor`
    temperatures: Mapping[str, float] = field(default_factory=dict)
    ended: Ended | None = None  # an end that this observation reports, once


@dataclass(frozen=True, kw_only=True)
class MachineInfo:
    identity: str  # what tells this machine from another: serial, or host name
    firmware: str = ""


@dataclass(frozen=True, kw_only=True)
class Staged:
    remote_name: str  # as the machine names it
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class Ticket:
    """Whose work it is, in words: for drivers that hand it over to people rather than to a controller."""

    job_id: UUID
    member_name: str
    file_name: str
    machine_name: str
    material: str
    seconds: int
    artifact_sha256: str
    extension: str  # of the prepared file: `.gcode`, `.svg`, `.plt`, `.rd`
    link: str = ""  # the job's page; empty: the lab has no address of its own


class Accepted:
    """The machine took the start; whether it runs, its state will say."""


@dataclass(frozen=True, kw_only=True)
class Refused:
    """A documented refusal before any effect: nothing has started."""

    words: str


@dataclass(frozen=True, kw_only=True)
class Unknown:
    """No answer, or one that proves nothing. Never raised, never retried."""

    words: str


StartAnswer = Accepted | Refused | Unknown


class Where(StrEnum):
    """What a machine can prove about a run that we lost sight of."""

    RUNNING = "running"
    ENDED = "ended"
    NEVER_STARTED = "never_started"  # proven, not merely absent
    UNSURE = "unsure"


@dataclass(frozen=True, kw_only=True)
class Located:
    where: Where
    observation: Observation | None = None  # with RUNNING
    ended: Ended | None = None  # with ENDED
    words: str = ""


class Control(StrEnum):
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"


class Driver(Protocol):
    """Speaks one machine's protocol. It observes and obeys; it knows no job, writes no state, and never
    retries a start.

    Raises MachineUnreachable (time mends it) or MachineAuthFailed (an operator does); every call has an end.
    The supervisor reconnects; a driver does not.
    """

    kind: ClassVar[str]
    confirm_seconds: ClassVar[int]  # how long after a start this model may take to be seen active

    async def connect(self) -> MachineInfo: ...

    async def close(self) -> None: ...

    def observations(self) -> AsyncIterator[Observation]:
        """A full observation first, then one for each change; raises MachineUnreachable when the link is
        lost."""

    async def observe(self) -> Observation:
        """An authoritative full reading, now."""

    async def stage(self, path: Path, remote_name: str, ticket: Ticket | None = None) -> Staged:
        """Put the file on the machine under this name and verify it. Doing it twice is doing it once.
        Never starts anything. Raises Rejected if the machine refuses the file."""

    async def start(self, remote_name: str, presence: Presence | None = None) -> StartAnswer:
        """Send the start exactly once. Never raises on a time-out: that is Unknown. A laser's driver refuses without
        a presence that has not expired, and one whose machine is started at its own panel always refuses."""

    def attend(self) -> None:
        """The person who released the run is still there. Where the driver streams the file, it holds the machine by
        itself once this has not been called for HEARTBEAT_LOST_SECONDS. Never waits; printers need not listen."""

    async def revoke(self, remote_name: str) -> bool:
        """Make a late start impossible (delete the file). True only where that is proven."""

    async def control(self, remote_name: str, action: Control) -> None:
        """Only if the machine works on that file; done when the state says so. Raises Conflict otherwise."""

    async def locate(self, remote_name: str, since: datetime) -> Located:
        """What the machine can prove about a file whose start was sent at `since`."""


class Accident(Protocol):
    """Named points at which a test may kill the process. Does nothing in a real one."""

    def __call__(self, point: str, /) -> None: ...
