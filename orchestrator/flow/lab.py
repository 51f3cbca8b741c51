"""The parts every step of the flow works with, handed over as one value; built in `orchestrator.main`,
nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from orchestrator.domain.matching import Moment
from orchestrator.domain.policy import Policy
from orchestrator.domain.presence import PRESENCE_SECONDS_MAX
from orchestrator.domain.source import SourceKind
from orchestrator.flow.closed import NoOutbound, NoSeal
from orchestrator.flow.sight import Sight
from orchestrator.ports import BookingSystem, Clock, DurableWork, Files, Outbound, Seal, Store, Workshop


@dataclass(frozen=True, kw_only=True)
class Limits:
    upload_bytes: int = 1 << 30
    analysis_wait_seconds: float = 20.0  # how long an upload's answer waits for its analysis
    quote_valid_days: int = 30
    run_attempts: int = 3  # runs lost to the house's faults before a person must decide
    stage_attempts: int = 3
    start_attempts: int = 3  # documented refusals of a start before the run fails
    quantity_max: int = 100
    release_seconds: float = 30 * 60  # how long a staged run keeps its machine for the person who releases it
    press_seconds: float = (
        PRESENCE_SECONDS_MAX  # how long a person may take from release to the machine's start
    )


@dataclass(frozen=True, kw_only=True)
class Workbench:
    """What durable work itself needs; it cannot start more durable work."""

    site: str
    store: Store
    files: Files
    workshop: Workshop
    clock: Clock
    limits: Limits = field(default_factory=Limits)
    default_profile: str = "mk3s"  # what a quote is computed for while the lab has no machine
    address: str = ""  # where people reach the pages; printed on tickets
    policy: Policy = field(default_factory=Policy)
    time_zone: str = "Europe/Paris"  # of a site that has no calendar yet
    outbound: Outbound = field(default_factory=NoOutbound)
    seal: Seal = field(default_factory=NoSeal)
    systems: Mapping[SourceKind, BookingSystem] = field(default_factory=dict)
    sight: Sight = field(default_factory=Sight, compare=False, repr=False)

    @property
    def moment(self) -> Moment:
        """Now, by this lab's policy."""
        return Moment(now=self.clock.now(), policy=self.policy)


@dataclass(frozen=True, kw_only=True)
class Lab(Workbench):
    work: DurableWork

    @classmethod
    def on(cls, bench: Workbench, work: DurableWork) -> Lab:
        """The bench with durable work that was built on it."""
        return cls(**{f.name: getattr(bench, f.name) for f in fields(bench)}, work=work)
