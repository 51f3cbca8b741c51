"""The event log, the answers remembered under idempotency keys, and whose turn a site's fleet is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import and_, bindparam, delete, func, or_, select, update

from orchestrator.domain.event import Event
from orchestrator.ports import Remembered
from orchestrator.store import tables
from orchestrator.store.codec import Shape
from orchestrator.store.unit import UnitBase, columns_of

REMEMBERED_FOR = timedelta(hours=72)

_EVENT = Shape(Event)
_e = tables.event.c
_HEAD = select(func.max(_e.seq))
_OF_A_MACHINE_ALONE = and_(
    _e.member_id.is_(None), _e.machine_id.is_not(None), _e.job_id.is_(None), _e.run_id.is_(None)
)
_REMEMBERED = Shape(Remembered)
_i = tables.idempotency.c
_BY_KEY = select(*columns_of(tables.idempotency, _REMEMBERED.names)).where(
    _i.principal == bindparam("principal"), _i.operation == bindparam("operation"), _i.key == bindparam("of")
)
_FORGET = delete(tables.idempotency).where(_i.at < bindparam("before"))
_f = tables.fleet.c
_TURN = select(_f.turn).where(_f.site == bindparam("of"))
_NEXT_TURN = update(tables.fleet).where(_f.site == bindparam("of")).values(turn=_f.turn + 1)


class Log(UnitBase):
    """The part of `orchestrator.ports.Unit` that no other part claims."""

    async def emit(self, event: Event) -> None:
        """An event of its own, that goes with no change."""
        self._log(event)

    async def events(
        self,
        after: int,
        *,
        limit: int = 200,
        member_id: UUID | None = None,
        job_id: UUID | None = None,
        run_id: UUID | None = None,
    ) -> Sequence[Event]:
        """Events past `after`, ascending. With a member: theirs, and those of machines that belong to no member.

        What is about a job, a run or money but names no member is for the staff alone.
        """
        await self._flush_if_any()
        statement = (
            select(*columns_of(tables.event, _EVENT.names))
            .where(_e.seq > after)
            .order_by(_e.seq)
            .limit(limit)
        )
        if member_id is not None:
            statement = statement.where(or_(_e.member_id == member_id, _OF_A_MACHINE_ALONE))
        if job_id is not None:
            statement = statement.where(_e.job_id == job_id)
        if run_id is not None:
            statement = statement.where(_e.run_id == run_id)
        return [_EVENT.value(row) for row in await self._all(statement)]

    async def head(self) -> int:
        """The number of the last event; 0 before the first."""
        await self._flush_if_any()
        return await self._number(_HEAD)

    async def remembered(self, principal: str, operation: str, key: str) -> Remembered | None:
        row = await self._first(_BY_KEY, principal=principal, operation=operation, of=key)
        return None if row is None else _REMEMBERED.value(row)

    async def remember(
        self, principal: str, operation: str, key: str, answer: Remembered, at: datetime
    ) -> None:
        """Kept for 72 hours. Raises Conflict where another request with this key was faster."""
        await self._write(_FORGET, {"before": at - REMEMBERED_FOR})
        row = {"principal": principal, "operation": operation, "key": key, "at": at}
        await self._insert(tables.idempotency, row | _REMEMBERED.row(answer))

    async def take_fleet_turn(self, site: str) -> int:
        """Begin a new turn and return its number; whoever holds an older one may not write any more."""
        if (await self._write(_NEXT_TURN, {"of": site})).rowcount == 0:
            await self._insert(tables.fleet, {"site": site, "turn": 1})
        return await self.fleet_turn(site)

    async def fleet_turn(self, site: str) -> int:
        """The present turn; 0 before the first."""
        return await self._number(_TURN, of=site)

    async def _flush_if_any(self) -> None:
        if self._pending:
            await self.flush()
