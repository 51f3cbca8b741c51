"""The booking systems that Établi asks, and when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, delete, select

from orchestrator.domain.event import Event
from orchestrator.domain.source import Source
from orchestrator.store import booking_tables, tables
from orchestrator.store.codec import Shape
from orchestrator.store.unit import UnitBase, columns_of

_SOURCE = Shape(Source)
_s = booking_tables.source.c
_sources = select(*columns_of(booking_tables.source, _SOURCE.names)).order_by(_s.system)
_SOURCE_BY_ID = _sources.where(_s.id == bindparam("id"))
_DUE = _sources.where(_s.active.is_(True), _s.due_at <= bindparam("now"))
_DROP = delete(booking_tables.source).where(_s.id == bindparam("old_id"))
_x = tables.external.c
_NAMED = select(_x.external_id, _x.ours).where(_x.kind == bindparam("of"), _x.system == bindparam("in"))


class Sources(UnitBase):
    """The sources of `orchestrator.ports.Unit`."""

    async def sources(self, *, due: datetime | None = None) -> Sequence[Source]:
        """All of them by name, or the active ones whose time has come at `due`."""
        rows = await (self._all(_sources) if due is None else self._all(_DUE, now=due))
        return [_SOURCE.value(row) for row in rows]

    async def source(self, source_id: UUID) -> Source | None:
        row = await self._first(_SOURCE_BY_ID, id=source_id)
        return None if row is None else _SOURCE.value(row)

    async def add_source(self, source: Source, event: Event) -> None:
        """Raises Conflict where the name of the system is taken."""
        await self._insert(booking_tables.source, _SOURCE.row(source))
        self._log(event)

    async def change_source(self, before: Source, after: Source, event: Event | None = None) -> Source:
        """The source as it now is. Raises Conflict where it is no longer `before`, or its name is taken."""
        changes = _SOURCE.changed(before, after)
        await self._change(booking_tables.source, before.id, before.version, changes)
        if event is not None:
            self._log(event)
        return replace(after, version=before.version + 1)

    async def drop_source(self, source_id: UUID, event: Event) -> bool:
        """False where there is none."""
        gone = (await self._write(_DROP, {"old_id": source_id})).rowcount == 1
        if gone:
            self._log(event)
        return gone

    async def named(self, kind: str, system: str) -> Mapping[str, UUID]:
        """All that a system names of that kind: its id -> ours."""
        rows = await self._all(_NAMED, **{"of": kind, "in": system})
        return {row.external_id: row.ours for row in rows}
