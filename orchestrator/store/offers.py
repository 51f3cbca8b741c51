"""Files, tariffs and quotes: what a job is made from. A quote and a tariff never change; a file is analysed once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, select, union, update

from orchestrator.domain.errors import Fault
from orchestrator.domain.file import Analysis, File
from orchestrator.domain.quote import Quote
from orchestrator.domain.tariff import Tariff
from orchestrator.domain.units import Money
from orchestrator.store import tables
from orchestrator.store.codec import Shape, from_json, to_json
from orchestrator.store.unit import UnitBase, columns_of

_FILE, _QUOTE = Shape(File), Shape(Quote, apart=("total", "hold"))
_file = tables.file.c
_files = select(*columns_of(tables.file, _FILE.names))
_NOT_ANALYSED = _file.analysis.is_(None) & _file.refusals.is_(None)
_FILE_BY_ID = _files.where(_file.id == bindparam("id"))
_FILES_OF = (
    _files.where(_file.owner_id == bindparam("owner_id"))
    .order_by(_file.created_at.desc(), _file.id.desc())
    .limit(bindparam("count"))
)
_SET_ANALYSIS = update(tables.file).where(_file.id == bindparam("old_id"), _NOT_ANALYSED)
_TO_ANALYSE = select(_file.id).where(_NOT_ANALYSED).order_by(_file.created_at)
_KNOWN = union(
    select(_file.sha256),
    select(tables.job.c.artifact_sha256).where(tables.job.c.artifact_sha256.is_not(None)),
)
_quote = tables.quote.c
_QUOTE_BY_ID = select(
    *columns_of(tables.quote, _QUOTE.names), _quote.total_cents, _quote.hold_cents, _quote.currency
).where(_quote.id == bindparam("id"))
_TARIFF = select(tables.tariff.c.rules).where(tables.tariff.c.version == bindparam("version"))
_CURRENT_TARIFF = select(tables.tariff.c.rules).order_by(tables.tariff.c.version.desc()).limit(1)
_read_tariff = from_json(Tariff)


class Offers(UnitBase):
    """The part of `orchestrator.ports.Unit` about files, tariffs and quotes."""

    async def add_file(self, file: File) -> None:
        await self._insert(tables.file, _file_row(file))

    async def file(self, file_id: UUID) -> File | None:
        row = await self._first(_FILE_BY_ID, id=file_id)
        return None if row is None else _a_file(row)

    async def files(self, owner_id: UUID, *, limit: int = 50) -> Sequence[File]:
        """The owner's, newest first."""
        return [_a_file(row) for row in await self._all(_FILES_OF, owner_id=owner_id, count=limit)]

    async def set_analysis(
        self, file_id: UUID, analysis: Analysis | None, refusals: tuple[Fault, ...]
    ) -> bool:
        """Record how the analysis ended, once; False where it was recorded before (or there is no such file)."""
        if (analysis is None) == (not refusals):
            raise ValueError("an analysed file has either an analysis or refusals")
        values = {"old_id": file_id, "analysis": _maybe(analysis), "refusals": to_json(refusals) or None}
        return (await self._write(_SET_ANALYSIS, values)).rowcount == 1

    async def files_to_analyse(self) -> Sequence[UUID]:
        """Oldest first."""
        return [row[0] for row in await self._all(_TO_ANALYSE)]

    async def known_hashes(self) -> frozenset[str]:
        """Every stored file that some row names: uploads, and the prepared files of jobs."""
        return frozenset(row[0] for row in await self._all(_KNOWN))

    async def add_quote(self, quote: Quote) -> None:
        money = {
            "total_cents": quote.total.cents,
            "hold_cents": quote.hold.cents,
            "currency": quote.total.currency,
        }
        await self._insert(tables.quote, _QUOTE.row(quote) | money)

    async def quote(self, quote_id: UUID) -> Quote | None:
        row = await self._first(_QUOTE_BY_ID, id=quote_id)
        if row is None:
            return None
        total, hold = Money(row.total_cents, row.currency), Money(row.hold_cents, row.currency)
        return _QUOTE.value(row, total=total, hold=hold)

    async def tariff(self, version: int) -> Tariff | None:
        row = await self._first(_TARIFF, version=version)
        return None if row is None else _a_tariff(row)

    async def current_tariff(self) -> Tariff | None:
        """The one published last, which has the highest version."""
        row = await self._first(_CURRENT_TARIFF)
        return None if row is None else _a_tariff(row)

    async def publish_tariff(self, tariff: Tariff, at: datetime) -> None:
        """Raises Conflict where this version is published already: a tariff never changes."""
        row = {"version": tariff.version, "rules": to_json(tariff), "published_at": at}
        await self._insert(tables.tariff, row)


def _file_row(file: File) -> dict[str, Any]:
    return _FILE.row(file) | {"refusals": to_json(file.refusals) or None}


def _a_file(row: Row[Any]) -> File:
    """No refusals are NULL in the table, so that "not analysed" can be asked."""
    values = [
        () if cell is None and name == "refusals" else cell
        for name, cell in zip(_FILE.names, row, strict=True)
    ]
    return _FILE.value(values)


def _maybe(value: object) -> object:
    return None if value is None else to_json(value)


def _a_tariff(row: Row[Any]) -> Tariff:
    tariff: Tariff = _read_tariff(row[0])
    return tariff
