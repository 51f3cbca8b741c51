"""What finished runs teach: one sample a run, and the calibrations that were adopted. Both only grow."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import bindparam, func, select

from orchestrator.domain.calibration import Calibration, Sample
from orchestrator.domain.event import Event
from orchestrator.store import tables
from orchestrator.store.codec import Shape
from orchestrator.store.unit import UnitBase, columns_of

_SAMPLE, _CALIBRATION = Shape(Sample), Shape(Calibration)

_s = tables.estimate_sample.c
_OF_PROFILE = (
    select(*columns_of(tables.estimate_sample, _SAMPLE.names))
    .where(_s.profile == bindparam("profile"))
    .order_by(_s.at.desc(), _s.run_id)
    .limit(bindparam("count"))
)
_OF_MACHINE = _OF_PROFILE.where(_s.machine_id == bindparam("machine_id"))
_COUNTED = (
    select(_s.machine_id, _s.profile, func.count().label("runs"))
    .group_by(_s.machine_id, _s.profile)
    .order_by(_s.profile, _s.machine_id)
)

_c = tables.calibration.c
_calibrations = select(*columns_of(tables.calibration, _CALIBRATION.names))
_LAST = _calibrations.where(_c.profile == bindparam("profile")).order_by(_c.version.desc()).limit(1)
_LAST_OF_MACHINE = _LAST.where(_c.machine_id == bindparam("machine_id"))
_LAST_OF_ALL = _LAST.where(_c.machine_id.is_(None))
_PRESENT = _calibrations.where(
    _c.id.in_(select(func.max(_c.id)).group_by(_c.machine_id, _c.profile))
).order_by(_c.profile, _c.id)
_LAST_ID = select(func.max(_c.id))


class Learned(UnitBase):
    """The part of `orchestrator.ports.Unit` about predictions and what came of them.

    Where a machine is asked for, None means all machines of the profile together.
    """

    async def add_sample(self, sample: Sample) -> None:
        """Once a run; raises Conflict the second time."""
        await self._insert(tables.estimate_sample, _SAMPLE.row(sample))

    async def samples(self, profile: str, machine_id: UUID | None, *, limit: int) -> Sequence[Sample]:
        """Newest first."""
        rows = await (
            self._all(_OF_PROFILE, profile=profile, count=limit)
            if machine_id is None
            else self._all(_OF_MACHINE, profile=profile, machine_id=machine_id, count=limit)
        )
        return [_SAMPLE.value(row) for row in rows]

    async def samples_counted(self) -> Sequence[tuple[UUID, str, int]]:
        """How many there are of each machine and profile."""
        return [(row.machine_id, row.profile, row.runs) for row in await self._all(_COUNTED)]

    async def calibration(self, profile: str, machine_id: UUID | None) -> Calibration | None:
        """The version that holds; None where none was ever adopted."""
        row = await (
            self._first(_LAST_OF_ALL, profile=profile)
            if machine_id is None
            else self._first(_LAST_OF_MACHINE, profile=profile, machine_id=machine_id)
        )
        return None if row is None else _CALIBRATION.value(row)

    async def calibrations(self) -> Sequence[Calibration]:
        """Every one that holds."""
        return [_CALIBRATION.value(row) for row in await self._all(_PRESENT)]

    async def adopt(self, calibration: Calibration, event: Event) -> None:
        """Raises Conflict where this version exists already."""
        self._must_write()
        await self._take_turn()
        number = await self._number(_LAST_ID) + 1
        await self._insert(tables.calibration, {"id": number} | _CALIBRATION.row(calibration))
        self._log(event)
