"""The booking systems that there are: to add one is a module beside these, a row here and a rig in tests/rigs/."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.bookings.fabman import Fabman
from orchestrator.bookings.fabmanager import FabManager
from orchestrator.bookings.ical import IcalFeed
from orchestrator.domain.source import SourceKind
from orchestrator.ports import BookingSystem, Clock, Outbound, Seal


def systems(outbound: Outbound, seal: Seal, clock: Clock) -> Mapping[SourceKind, BookingSystem]:
    """One of each kind; they keep nothing."""
    return {
        SourceKind.ICAL: IcalFeed(outbound, seal, clock),
        SourceKind.FABMANAGER: FabManager(outbound, seal, clock),
        SourceKind.FABMAN: Fabman(outbound, seal, clock),
    }
