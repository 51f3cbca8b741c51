"""What was charged, as others read it: one row for each capture of the journal, by its number there."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import bindparam, func, select

from orchestrator.domain.ledger import EntryKind
from orchestrator.ports import Charge
from orchestrator.store import tables
from orchestrator.store.money import Purse
from orchestrator.store.work import Work

_jo = tables.journal.c
_CAPTURES = (
    select(_jo.id, _jo.source_id, _jo.at)
    .where(_jo.source == "quote", _jo.kind == EntryKind.CAPTURE.value, _jo.id > bindparam("after"))
    .order_by(_jo.id)
    .limit(bindparam("count"))
)
_LAST_CAPTURE = select(func.coalesce(func.max(_jo.id), 0)).where(
    _jo.source == "quote", _jo.kind == EntryKind.CAPTURE.value
)


class Charges(Purse, Work):
    """The charges of `orchestrator.ports.Unit`."""

    async def charges(self, after: int, limit: int) -> Sequence[Charge]:
        """Those past `after`, in the order of the commits."""
        found: list[Charge] = []
        for row in await self._all(_CAPTURES, after=after, count=limit):
            job = await self.job_of_quote(UUID(row.source_id))
            bill = await self.bill(job.id) if job else None
            if job is not None and bill is not None:
                found.append(Charge(seq=row.id, job=job, bill=bill, at=row.at))
        return found

    async def last_charge(self) -> int:
        """The number of the newest; 0 where nothing was ever charged."""
        return await self._number(_LAST_CAPTURE)
