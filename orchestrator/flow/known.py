"""What finished runs have taught so far, for quotes, forecasts and whoever looks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from orchestrator.domain.calibration import Calibration
from orchestrator.ports import Unit


@dataclass(frozen=True, kw_only=True)
class Known:
    """The calibrations that hold, by profile and machine (None: all machines of the profile together)."""

    by: Mapping[tuple[str, UUID | None], Calibration]

    def of(self, profile: str, machine_id: UUID | None = None) -> Calibration | None:
        """The machine's own, else that of its profile; None where nothing was ever adopted."""
        return self.by.get((profile, machine_id)) or self.by.get((profile, None))


async def known(unit: Unit) -> Known:
    return Known(by={(c.profile, c.machine_id): c for c in await unit.calibrations()})
