"""All that the heart asks of the world, in our words. Adapters import this; it imports only the domain.

Every method that waits may raise `Unavailable` (time mends it); what else it raises is said where it does.
"""

from __future__ import annotations

from orchestrator.ports.clock import Clock
from orchestrator.ports.driver import (
    Accepted,
    Accident,
    Control,
    Driver,
    Ended,
    Located,
    MachineInfo,
    Observation,
    Outcome,
    Refused,
    Staged,
    StartAnswer,
    Ticket,
    Unknown,
    Where,
)
from orchestrator.ports.outside import Answer, BookingSystem, Outbound, Seal
from orchestrator.ports.store import (
    Charge,
    Demand,
    Feed,
    Files,
    Foretold,
    Spent,
    Store,
    Stored,
    Unit,
)
from orchestrator.ports.work import DurableWork, Step, WorkHealth, WorkKind, WorkProgress, WorkStatus
from orchestrator.ports.workshop import CutPlan, Sliced, SliceProgress, Workshop

__all__ = [
    "Accepted",
    "Accident",
    "Answer",
    "BookingSystem",
    "Charge",
    "Clock",
    "Control",
    "CutPlan",
    "Demand",
    "Driver",
    "DurableWork",
    "Ended",
    "Feed",
    "Files",
    "Foretold",
    "Located",
    "MachineInfo",
    "Observation",
    "Outbound",
    "Outcome",
    "Refused",
    "Seal",
    "SliceProgress",
    "Sliced",
    "Spent",
    "Staged",
    "StartAnswer",
    "Step",
    "Store",
    "Stored",
    "Ticket",
    "Unit",
    "Unknown",
    "Where",
    "WorkHealth",
    "WorkKind",
    "WorkProgress",
    "WorkStatus",
    "Workshop",
]
