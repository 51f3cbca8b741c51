"""What all parts of a unit of work share: running statements, taking the turn, and the events written at its end.

Events are kept until the unit ends and written last, under one lock on PostgreSQL: so `seq` ascends in the order of
the commits, and a reader that has seen `seq` n will never find a smaller one later.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Executable, Row, Table, bindparam, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import CursorResult
from sqlalchemy.exc import IntegrityError

from orchestrator.domain.errors import Conflict, EtabliError
from orchestrator.domain.event import Event
from orchestrator.store.codec import to_json
from orchestrator.store.failures import refused
from orchestrator.store.feed import CHANNEL
from orchestrator.store.tables import event as event_table
from orchestrator.store.wire import Connected

T = TypeVar("T")

TURN = 0x657462  # the advisory lock of whoever appends to the log, the journal or the usage feed
_TAKE_TURN = select(func.pg_advisory_xact_lock(TURN))
_NOTIFY = select(func.pg_notify(CHANNEL, bindparam("head")))
_HEAD = select(func.max(event_table.c.seq))


class UnitBase:
    """One transaction on one connection."""

    def __init__(self, connection: Connected, *, writes: bool) -> None:
        self._connection = connection
        self._writes = writes
        self._dialect = connection.dialect.name
        self._has_turn = self._dialect != "postgresql"  # SQLite's writer is alone from its BEGIN IMMEDIATE
        self._pending: list[Event] = []
        self._failed: EtabliError | None = None
        self._head = 0

    # statements

    async def _all(self, statement: Executable, **parameters: object) -> Sequence[Row[Any]]:
        return (await self._connection.execute(statement, parameters)).all()

    async def _first(self, statement: Executable, **parameters: object) -> Row[Any] | None:
        return (await self._connection.execute(statement, parameters)).first()

    async def _number(self, statement: Executable, **parameters: object) -> int:
        """The only cell of the answer; nothing counts as 0."""
        return int((await self._connection.execute(statement, parameters)).scalar() or 0)

    async def _write(
        self, statement: Executable, parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]]
    ) -> CursorResult[Any]:
        """Run a statement that changes rows. Raises Conflict where a unique or foreign key refuses it; the unit
        cannot be committed after that, whoever catches it."""
        self._must_write()
        try:
            return await self._connection.execute(statement, parameters)
        except IntegrityError as error:
            conflict = refused(error)
            if conflict is None:
                raise
            self._failed = conflict
            raise conflict from error

    async def _insert(self, table: Table, row: Mapping[str, Any]) -> None:
        await self._write(inserting(table), row)

    async def _put(self, table: Table, row: Mapping[str, Any]) -> None:
        """Insert the row, or give the one with its primary key these values."""
        await self._write(putting(table, self._dialect, tuple(row)), row)

    async def _change(
        self, table: Table, row_id: UUID, version: int, changes: Mapping[str, Any], state: str | None = None
    ) -> None:
        """Compare-and-set. Raises Conflict where the row is no longer as it was read."""
        guard = {"old_id": row_id, "old_version": version} | ({} if state is None else {"old_state": state})
        statement = changing(table, state is not None)
        result = await self._write(statement, {**guard, **changes, "version": version + 1})
        if result.rowcount != 1:
            raise Conflict(f"This {table.name} has changed in the meantime.", code="changed")

    def _must_write(self) -> None:
        if not self._writes:
            raise RuntimeError("a unit that reads writes nothing")

    # the log

    async def _take_turn(self) -> None:
        """From here to the end of the unit nobody else appends."""
        if not self._has_turn:
            await self._connection.execute(_TAKE_TURN)
            self._has_turn = True

    def _log(self, event: Event) -> None:
        self._must_write()
        self._pending.append(event)

    async def flush(self) -> int:
        """Write the events kept so far; the last number given in this unit, 0 if there is none."""
        if self._failed is not None:
            raise self._failed
        if self._pending:
            await self._take_turn()
            head = await self._number(_HEAD)
            rows = [_event_row(event, seq) for seq, event in enumerate(self._pending, start=head + 1)]
            self._head = head + len(rows)
            self._pending = []
            await self._write(inserting(event_table), rows[0] if len(rows) == 1 else rows)
            if self._dialect == "postgresql":
                await self._connection.execute(_NOTIFY, {"head": str(self._head)})
        return self._head


def _event_row(event: Event, seq: int) -> dict[str, Any]:
    return {
        "seq": seq,
        "topic": event.topic,
        "at": event.at,
        "actor": event.actor,
        "data": to_json(event.data),
        "member_id": event.member_id,
        "job_id": event.job_id,
        "run_id": event.run_id,
        "machine_id": event.machine_id,
    }


# Statements are built once: SQLAlchemy then finds their compiled form without looking at them again.


@cache
def inserting(table: Table) -> Executable:
    """INSERT of one row or many."""
    return insert(table).inline()


@cache
def putting(table: Table, dialect: str, names: tuple[str, ...]) -> Executable:
    """INSERT … ON CONFLICT (primary key) DO UPDATE; both databases spell it alike."""
    keys = [column.name for column in table.primary_key]
    others = [name for name in names if name not in keys]
    if dialect == "postgresql":
        on_postgres = postgresql.insert(table)
        return on_postgres.on_conflict_do_update(
            index_elements=keys, set_={name: on_postgres.excluded[name] for name in others}
        )
    on_sqlite = sqlite.insert(table)
    return on_sqlite.on_conflict_do_update(
        index_elements=keys, set_={name: on_sqlite.excluded[name] for name in others}
    )


@cache
def changing(table: Table, guards_state: bool) -> Executable:
    """UPDATE of the columns that come as parameters, for the row that is still as it was read."""
    statement = update(table).where(
        table.c.id == bindparam("old_id"), table.c.version == bindparam("old_version")
    )
    return statement.where(table.c.state == bindparam("old_state")) if guards_state else statement


def columns_of(table: Table, names: Iterable[str]) -> list[Any]:
    """The columns in the order of `names`, as a Shape reads them."""
    return [table.c[name] for name in names]
