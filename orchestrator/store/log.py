"""The event log, the answers remembered under idempotency keys, and whose turn a site's fleet is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import Executable, and_, bindparam, delete, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from orchestrator.domain.answer import BEGUN, RUNNING, Claim, Remembered
from orchestrator.domain.errors import Conflict
from orchestrator.domain.event import Event
from orchestrator.store import tables
from orchestrator.store.codec import Shape
from orchestrator.store.unit import UnitBase, columns_of

REMEMBERED_FOR = timedelta(hours=72)
TAKEN_OVER_AFTER = timedelta(seconds=60)

_EVENT = Shape(Event)
_e = tables.event.c
_HEAD = select(func.max(_e.seq))
_OF_A_MACHINE_ALONE = and_(
    _e.member_id.is_(None), _e.machine_id.is_not(None), _e.job_id.is_(None), _e.run_id.is_(None)
)
_REMEMBERED = Shape(Remembered)
_i = tables.idempotency.c
_THE_KEY = (
    _i.principal == bindparam("by"),
    _i.operation == bindparam("operation_is"),
    _i.key == bindparam("of"),
)
_OWN = (*_THE_KEY, _i.at == bindparam("since"))  # nobody else has taken it over
_BY_KEY = select(*columns_of(tables.idempotency, _REMEMBERED.names)).where(*_THE_KEY)
_ON_KEY = update(tables.idempotency).where(*_OWN)
_TAKE_OVER = update(tables.idempotency).where(*_OWN, _i.status == bindparam("was"))
_FREE = delete(tables.idempotency).where(*_OWN)
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

    async def claim(self, claim: Claim) -> Remembered | None:
        """None: the key is this request's, until it is answered or freed. Else what is known under it.

        One that died without having done anything is taken over after a minute; what is older than 72 hours is
        not known any more.
        """
        mine = Remembered(fingerprint=claim.fingerprint, status=RUNNING, at=claim.at)
        names = {"principal": claim.principal, "operation": claim.operation, "key": claim.key}
        if (await self._write(claiming(self._dialect), names | _REMEMBERED.row(mine))).first() is not None:
            return None
        row = await self._first(_BY_KEY, **_key(claim))
        if row is None:  # freed this very moment
            return mine
        known = _REMEMBERED.value(row)
        died = known.status == RUNNING and claim.at - known.at >= TAKEN_OVER_AFTER
        if claim.at - known.at < REMEMBERED_FOR and not (died and known.fingerprint == claim.fingerprint):
            return known
        seen = _key(claim) | {"since": known.at, "was": known.status}
        taken = await self._write(_TAKE_OVER, seen | _REMEMBERED.row(mine))
        return None if taken.rowcount == 1 else known

    async def begin(self, claim: Claim) -> None:
        """From this unit on something is done under the key, so nobody takes it over. Raises Conflict where
        somebody has."""
        await self._on_key(claim, {"status": BEGUN})

    async def remember(self, claim: Claim, answer: Remembered) -> None:
        """Kept for 72 hours. Raises Conflict where somebody has taken the key over."""
        await self._on_key(claim, _REMEMBERED.row(replace(answer, at=claim.at)))

    async def free(self, claim: Claim) -> None:
        """The key is as if it had not been used."""
        await self._write(_FREE, _key(claim) | {"since": claim.at})

    async def forget(self, before: datetime) -> int:
        """Drop what was asked before then; returns how many went."""
        return (await self._write(_FORGET, {"before": before})).rowcount

    async def _on_key(self, claim: Claim, changes: dict[str, Any]) -> None:
        if (await self._write(_ON_KEY, _key(claim) | {"since": claim.at} | changes)).rowcount != 1:
            raise Conflict("Another request has taken this key over.", code="idempotency.running")

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


def _key(claim: Claim) -> dict[str, Any]:
    return {"by": claim.principal, "operation_is": claim.operation, "of": claim.key}


@cache
def claiming(dialect: str) -> Executable:
    """INSERT … ON CONFLICT DO NOTHING: of two at once one has a row to its name."""
    if dialect == "postgresql":
        return postgresql.insert(tables.idempotency).on_conflict_do_nothing().returning(_i.key)
    return sqlite.insert(tables.idempotency).on_conflict_do_nothing().returning(_i.key)
