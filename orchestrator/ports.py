"""All that the heart asks of the world, in our words. Adapters import this; it imports only the domain.

Every method that waits may raise `Unavailable` (time mends it); what else it raises is said where it does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import ClassVar, Protocol, TypeVar
from uuid import UUID

from orchestrator.domain.advice import Advice
from orchestrator.domain.answer import Claim, Remembered
from orchestrator.domain.calendar import SiteCalendar
from orchestrator.domain.calibration import Calibration, Sample
from orchestrator.domain.errors import Fault
from orchestrator.domain.event import Event, Json
from orchestrator.domain.file import Analysis, File
from orchestrator.domain.job import Artifact, Job, JobState
from orchestrator.domain.ledger import Balance, Entry
from orchestrator.domain.machine import Activity, Machine
from orchestrator.domain.member import ApiToken, Entitlement, Member, Organisation, Session
from orchestrator.domain.presence import Kiosk, Override, Presence, Reading
from orchestrator.domain.process import CutProcess, Making, Process, Turn
from orchestrator.domain.quote import Estimate, Quote
from orchestrator.domain.reservation import Reservation
from orchestrator.domain.run import Cause, Run
from orchestrator.domain.sheet import SheetMaterial
from orchestrator.domain.tariff import Bill, Tariff
from orchestrator.domain.usage import Usage

T = TypeVar("T")


class Clock(Protocol):
    """Time is an argument: `now` for dates (aware UTC), `monotonic` for spans (seconds), `sleep` to wait."""

    def now(self) -> datetime: ...

    def monotonic(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...


# --- the store ----------------------------------------------------------------------------------


class Unit(Protocol):
    """One transaction. Nothing in it waits for a network or a file.

    `change_*` are compare-and-set on the version they were read with: they raise `Conflict` where somebody
    was faster. Every change carries the event row that is written with it.
    """

    # people
    async def member(self, member_id: UUID) -> Member | None: ...
    async def member_by_email(self, email: str) -> Member | None: ...
    async def members(self) -> Sequence[Member]: ...
    async def add_member(self, member: Member) -> None: ...
    async def change_member(self, before: Member, after: Member) -> Member: ...
    async def entitlements(self, member_id: UUID | None = None) -> Sequence[Entitlement]: ...
    async def put_entitlement(self, entitlement: Entitlement) -> None: ...
    async def drop_entitlement(self, member_id: UUID, machine_class: str) -> bool: ...
    async def organisation(self, organisation_id: UUID) -> Organisation | None: ...
    async def organisations(self) -> Sequence[Organisation]: ...
    async def put_organisation(self, organisation: Organisation) -> None: ...
    async def external(self, kind: str, system: str, external_id: str) -> UUID | None: ...
    async def externals(self, kind: str, ours: UUID) -> Sequence[tuple[str, str]]: ...
    async def put_external(self, kind: str, system: str, external_id: str, ours: UUID) -> None: ...
    async def drop_external(self, kind: str, system: str, external_id: str) -> bool: ...
    async def session(self, id_sha256: str) -> Session | None: ...
    async def put_session(self, session: Session) -> None: ...
    async def drop_session(self, id_sha256: str) -> None: ...
    async def api_token(self, token_id: str) -> ApiToken | None: ...
    async def add_api_token(self, token: ApiToken) -> None: ...
    async def api_tokens(self, member_id: UUID | None = None) -> Sequence[ApiToken]: ...
    async def revoke_api_token(self, token_id: str, at: datetime) -> bool: ...
    async def api_token_used(self, token_id: str, at: datetime) -> None: ...
    async def count_attempt(self, key: str, at: datetime, window_seconds: int) -> int: ...

    # files
    async def add_file(self, file: File) -> None: ...
    async def file(self, file_id: UUID) -> File | None: ...
    async def files(self, owner_id: UUID, *, limit: int = 50) -> Sequence[File]: ...
    async def set_analysis(
        self, file_id: UUID, analysis: Analysis | None, refusals: tuple[Fault, ...]
    ) -> bool: ...
    async def files_to_analyse(self) -> Sequence[UUID]: ...
    async def known_hashes(self) -> frozenset[str]: ...

    # quotes and tariffs
    async def add_quote(self, quote: Quote) -> None: ...
    async def quote(self, quote_id: UUID) -> Quote | None: ...
    async def tariff(self, version: int) -> Tariff | None: ...
    async def current_tariff(self) -> Tariff | None: ...
    async def publish_tariff(self, tariff: Tariff, at: datetime) -> None: ...

    # jobs
    async def add_job(self, job: Job, event: Event) -> None: ...
    async def job(self, job_id: UUID) -> Job | None: ...
    async def job_of_quote(self, quote_id: UUID) -> Job | None: ...
    async def jobs(
        self,
        *,
        member_id: UUID | None = None,
        states: Iterable[JobState] | None = None,
        before: tuple[datetime, UUID] | None = None,
        limit: int = 50,
    ) -> Sequence[Job]: ...
    async def queue(self) -> Sequence[Job]: ...
    async def change_job(self, before: Job, after: Job, event: Event) -> Job: ...

    # runs
    async def add_run(self, run: Run, event: Event) -> None: ...
    async def run(self, run_id: UUID) -> Run | None: ...
    async def runs_of(self, job_id: UUID) -> Sequence[Run]: ...
    async def active_runs(self) -> Sequence[Run]: ...
    async def active_run_at(self, machine_id: UUID) -> Run | None: ...
    async def change_run(self, before: Run, after: Run, event: Event) -> Run: ...
    async def note_progress(
        self, run_id: UUID, progress_permille: int, position_bytes: int | None
    ) -> None: ...
    async def add_usage(self, run: Run, usage: Usage, event: Event) -> None: ...

    # machines
    async def machines(self, site: str | None = None) -> Sequence[Machine]: ...
    async def machine(self, machine_id: UUID) -> Machine | None: ...
    async def put_machine(self, machine: Machine, connection: Mapping[str, Json], event: Event) -> None: ...
    async def connection(self, machine_id: UUID) -> Mapping[str, Json]: ...
    async def change_machine(self, before: Machine, after: Machine, event: Event) -> Machine: ...

    # people at machines
    async def add_kiosk(self, kiosk: Kiosk, event: Event) -> None: ...
    async def kiosk(self, kiosk_id: UUID) -> Kiosk | None: ...
    async def kiosks(self, machine_id: UUID | None = None) -> Sequence[Kiosk]: ...
    async def revoke_kiosk(self, kiosk_id: UUID, at: datetime, event: Event) -> bool: ...
    async def kiosk_told(self, kiosk_id: UUID, at_ms: int) -> bool: ...
    async def add_presence(self, presence: Presence, event: Event) -> None: ...
    async def presence_for(self, run_id: UUID) -> Presence | None: ...
    async def use_presence(self, presence_id: UUID, at: datetime) -> bool: ...
    async def beat(self, presence_id: UUID, at: datetime) -> bool: ...
    async def put_reading(self, reading: Reading) -> None: ...
    async def readings(self, machine_id: UUID) -> Sequence[Reading]: ...
    async def add_override(self, override: Override, event: Event) -> None: ...
    async def confirm_override(
        self, override_id: UUID, member_id: UUID, at: datetime, event: Event
    ) -> bool: ...
    async def overrides(self, machine_id: UUID, since: datetime) -> Sequence[Override]: ...

    # reservations, hours, and what is asked in vain
    async def reservation(self, system: str, external_id: str) -> Reservation | None: ...
    async def reservation_by_id(self, reservation_id: UUID) -> Reservation | None: ...
    async def reservations(
        self, start: datetime, end: datetime, *, system: str | None = None, all_states: bool = False
    ) -> Sequence[Reservation]: ...
    async def add_reservation(self, reservation: Reservation, event: Event) -> None: ...
    async def change_reservation(
        self, before: Reservation, after: Reservation, event: Event
    ) -> Reservation: ...
    async def calendar(self, site: str) -> SiteCalendar | None: ...
    async def put_calendar(self, calendar: SiteCalendar, event: Event) -> None: ...
    async def count_refusal(
        self, day: str, subject: UUID, rule: str, machine_class: str, public: str
    ) -> None: ...
    async def demand(self, first_day: str, last_day: str) -> Sequence[Demand]: ...

    # the queue, looked at
    async def queued(self) -> Sequence[tuple[UUID, int]]: ...
    async def jobs_of(self, job_ids: Iterable[UUID]) -> Sequence[Job]: ...
    async def spent_since(self, since: datetime) -> Sequence[Spent]: ...
    async def foretell(self, foretold: Foretold) -> None: ...
    async def foretold(self, *, limit: int = 200) -> Sequence[Foretold]: ...
    async def clearings(self, *, limit: int = 1000) -> Sequence[tuple[datetime, datetime]]: ...
    async def people_of(
        self, member_ids: Iterable[UUID]
    ) -> Sequence[tuple[Member, tuple[Entitlement, ...]]]: ...

    # money
    async def post(self, entry: Entry, at: datetime, event: Event) -> bool: ...
    async def balance(self, account_id: UUID) -> Balance: ...
    async def held_for(self, quote_id: UUID) -> int: ...
    async def add_bill(self, job_id: UUID, bill: Bill) -> None: ...
    async def bill(self, job_id: UUID) -> Bill | None: ...
    async def usage_records(self, after: int, limit: int) -> Sequence[tuple[int, Run, Job]]: ...
    async def charges(self, after: int, limit: int) -> Sequence[Charge]: ...

    # what finished runs teach; without machine: all machines of the profile together
    async def add_sample(self, sample: Sample) -> None: ...
    async def samples(self, profile: str, machine_id: UUID | None, *, limit: int) -> Sequence[Sample]: ...
    async def samples_counted(self) -> Sequence[tuple[UUID, str, int]]: ...
    async def calibration(self, profile: str, machine_id: UUID | None) -> Calibration | None: ...
    async def calibrations(self) -> Sequence[Calibration]: ...
    async def adopt(self, calibration: Calibration, event: Event) -> None: ...

    # the log, keys, the fleet's turn
    async def emit(self, event: Event) -> None: ...
    async def events(
        self,
        after: int,
        *,
        limit: int = 200,
        member_id: UUID | None = None,
        job_id: UUID | None = None,
        run_id: UUID | None = None,
    ) -> Sequence[Event]: ...
    async def head(self) -> int: ...
    async def claim(self, claim: Claim) -> Remembered | None: ...
    async def begin(self, claim: Claim) -> None: ...
    async def remember(self, claim: Claim, answer: Remembered) -> None: ...
    async def free(self, claim: Claim) -> None: ...
    async def forget(self, before: datetime) -> int: ...
    async def take_fleet_turn(self, site: str) -> int: ...
    async def fleet_turn(self, site: str) -> int: ...


@dataclass(frozen=True, kw_only=True)
class Spent:
    """Machine seconds of a member on one day (UTC), as fair share counts them."""

    member_id: UUID
    day: date
    seconds: int


@dataclass(frozen=True, kw_only=True)
class Demand:
    """How often a rule refused, that day; each job or asking member once."""

    day: str
    rule: str
    machine_class: str
    public: str
    refused: int


@dataclass(frozen=True, kw_only=True)
class Foretold:
    """The forecast a job was given when it was first queued; and what happened, as far as it has."""

    job_id: UUID
    at: datetime
    start_p50: datetime
    start_p90: datetime
    end_p50: datetime
    end_p90: datetime
    started_at: datetime | None = None  # of its first run
    ended_at: datetime | None = None  # of the run that finished


@dataclass(frozen=True, kw_only=True)
class Charge:
    """What one job was charged, as the journal numbers it: `seq` ascends and never changes."""

    seq: int
    job: Job
    bill: Bill
    at: datetime


class Feed(Protocol):
    """Wakes whoever reads the event log. It carries no events: readers ask the log for what is past their
    place."""

    async def wait(self, after: int) -> int:
        """Return the log's head as soon as it is past `after` (at once where it already is)."""


class Store(Protocol):
    """The database. A unit of work is a function, so that it can run again when the database asks for it."""

    async def write(self, work: Callable[[Unit], Awaitable[T]]) -> T:
        """Run and commit `work`; the commit is on disk before this returns. Retried whole, at most 5 times,
        on busy or serialisation failure. Raises Unavailable when the database cannot be reached."""

    async def read(self, work: Callable[[Unit], Awaitable[T]]) -> T:
        """Run `work` on a consistent snapshot that refuses writes."""

    @property
    def feed(self) -> Feed: ...


@dataclass(frozen=True, kw_only=True)
class Stored:
    sha256: str
    size_bytes: int


class Files(Protocol):
    """Content-addressed files. What `receive` returned is on disk, byte for byte, whatever happens next."""

    async def receive(self, chunks: AsyncIterator[bytes], *, limit_bytes: int) -> Stored:
        """Raises TooLarge past the limit, Unavailable when the disk is nearly full; an aborted one leaves
        nothing."""

    async def adopt(self, path: Path) -> Stored:
        """Take over a finished file of ours (a slicer's output); the original is gone afterwards."""

    def path(self, sha256: str) -> Path: ...

    def scratch(self) -> AbstractAsyncContextManager[Path]:
        """A directory for the time of a task."""

    async def sweep(self, known: frozenset[str], older_than_seconds: int) -> int:
        """Delete half files and files that no row names; returns how many went."""


# --- the workshop: what is known of a shape, and how it becomes a machine file ------------------


@dataclass(frozen=True, kw_only=True)
class Sliced:
    path: Path  # in the given directory
    artifact: Artifact  # its sha256 and size are those of `path`


SliceProgress = Callable[[int, str], Awaitable[None]]
"""Told how far slicing is, in thousandths that never fall, and what the slicer says it does. What it raises ends it."""


@dataclass(frozen=True, kw_only=True)
class CutPlan:
    svg: (
        bytes  # rebuilt from our own lines: nothing of the member's file is in it but coordinates and colours
    )
    simulation: Json  # `bed_mm`, `seconds`, `operations`, and `moves` as [x, y, seconds, operation or -1]


class Workshop(Protocol):
    """Everything that opens a member's file; all of it in a sandbox. A file that cannot be made raises
    Rejected."""

    async def analyse(self, path: Path, name: str) -> Analysis: ...

    async def estimate(
        self, path: Path, name: str, profile: str, process: Making, quantity: int
    ) -> Estimate: ...

    async def advise(self, path: Path, name: str, profile: str, process: Making) -> Advice:
        """What may go wrong as chosen, and how the part would better lie; slower than a price, a second or so."""

    async def preview(self, path: Path, name: str, turn: Turn) -> Path:
        """A PNG of the part, kept for the next time; the same file and turn are drawn once."""

    async def ringed(self, path: Path, name: str, profile: str, process: Process) -> Path:
        """The same, with rings around the places that may go wrong as chosen."""

    async def layer(self, path: Path, profile: str, number: int) -> bytes:
        """One layer of a sliced file, from 1, as an SVG picture. Raises NotFound where there is no such layer."""

    async def slice(
        self,
        path: Path,
        name: str,
        profile: str,
        process: Making,
        quantity: int,
        into: Path,
        progress: SliceProgress | None = None,
    ) -> Sliced:
        """Raises Rejected with the slicer's own words, Unavailable when the slicer is missing or died."""

    def materials(self, profile: str) -> Sequence[SheetMaterial]:
        """The sheets that a laser or vinyl cutter knows, those that it must never be given among them."""

    async def plan(self, path: Path, name: str, profile: str, process: CutProcess, quantity: int) -> CutPlan:
        """What the page of a drawing shows: a clean picture of its lines, and the cut as it will go."""


# --- drivers ------------------------------------------------------------------------------------


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


# --- durable work -------------------------------------------------------------------------------


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
