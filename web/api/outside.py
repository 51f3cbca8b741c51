"""What the calls of booking systems share: names in their words, instants with an offset or on a wall."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from pydantic import AwareDatetime, Field, NaiveDatetime

from orchestrator.domain.errors import Fault, NotFound, Rejected
from orchestrator.domain.wall import instant_of
from orchestrator.ports import Unit
from web.typed import Given, Lenient, Shown

SYSTEM = r"^[A-Za-z0-9][A-Za-z0-9._~-]{0,63}$"
EXTERNAL_ID = r"^[A-Za-z0-9._~:@+-]{1,200}$"


class ByOutsideName(Lenient):
    system: str = Field(pattern=SYSTEM)
    external_id: str = Field(pattern=EXTERNAL_ID)


class OutsideName(Given):
    """Whom a booking system means, in its own words."""

    system: str = Field(pattern=SYSTEM)
    external_id: str = Field(pattern=EXTERNAL_ID)


class ShownName(Shown):
    system: str
    external_id: str


def names(pairs: Sequence[tuple[str, str]]) -> list[ShownName]:
    return [ShownName(system=system, external_id=external_id) for system, external_id in pairs]


async def ours(unit: Unit, kind: str, name: OutsideName | None) -> UUID | None:
    """Our id of `member` or `organisation`; None for none. Raises NotFound for one that nobody has told us of."""
    if name is None:
        return None
    found = await unit.external(kind, name.system, name.external_id)
    if found is None:
        raise NotFound(f"No {kind} is known as {name.system}/{name.external_id}.", code=f"{kind}.unknown")
    return found


class WallTime(Given):
    """What the clock on the wall shows there."""

    local: NaiveDatetime = Field(strict=False)
    zone: str = Field(max_length=64)
    fold: int | None = Field(default=None, ge=0, le=1)
    """Which of two, in the night in which an hour comes twice."""


Given_instant = AwareDatetime | WallTime


def instants(**given: datetime | WallTime) -> list[datetime]:
    """In UTC, in the order given. Raises Rejected with each that names none, or two."""
    found: list[datetime] = []
    faults: list[Fault] = []
    for where, value in given.items():
        if isinstance(value, datetime):
            found.append(value)
            continue
        instant = instant_of(value.local, value.zone, value.fold, where)
        if isinstance(instant, Fault):
            faults.append(instant)
        else:
            found.append(instant)
    if faults:
        raise Rejected("Some fields are not as they must be.", code="fields", faults=tuple(faults))
    return found
