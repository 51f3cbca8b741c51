"""What the calls of booking systems share: names in their words, instants with an offset or on a wall."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from orchestrator.domain.errors import Fault, NotFound, Rejected
from orchestrator.domain.member import Entitlement, Member, Organisation
from orchestrator.domain.reservation import Reservation
from orchestrator.domain.wall import shown, told
from orchestrator.ports import Unit
from web.errors import Precondition
from web.typed import Call, Given, Lenient, Shown

Synced = Reservation | Member | Organisation | Entitlement

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

    local: str = Field(max_length=40, examples=["2026-03-02T14:00"])
    zone: str = Field(max_length=64, examples=["Europe/Paris"])
    fold: int | None = Field(default=None, ge=0, le=1)
    """Which of two, in the night in which an hour comes twice."""


InstantText = Annotated[str, Field(max_length=60, json_schema_extra={"format": "date-time"})]
"""RFC 3339, with an offset."""
Given_instant = InstantText | WallTime
_BLANK = re.compile("(?<=[0-9]) (?=[0-9]{2}:[0-9]{2}$)")


def instants(**given: str | WallTime) -> list[datetime]:
    """In UTC, in the order given. Raises Rejected with each that names none, or two."""
    read = [_instant(where, value) for where, value in given.items()]
    faults = tuple(one for one in read if isinstance(one, Fault))
    if faults:
        raise Rejected("Some fields are not as they must be.", code="fields", faults=faults)
    return [one for one in read if isinstance(one, datetime)]


def maybe(where: str, given: str | WallTime | None) -> datetime | None:
    """Raises as `instants`."""
    return None if given is None else instants(**{where: given})[0]


def written(where: str, given: str | None) -> datetime | None:
    """As it stands in an address, in which a + that was not escaped is a blank. Raises as `instants`."""
    return None if given is None else maybe(where, _BLANK.sub("+", given))


def _instant(where: str, value: str | WallTime) -> datetime | Fault:
    if isinstance(value, str):
        return told(value, where)
    return shown(value.local, value.zone, value.fold, where)


# --- states that a caller has seen --------------------------------------------------------------------


def state_of(value: Synced) -> str:
    """Its ETag. The version alone would do, were nothing ever made anew under an old name."""
    which = str(getattr(value, "id", "")) or repr(value)
    return f"{value.version}-{hashlib.sha256(which.encode()).hexdigest()[:12]}"


def as_seen(call: Call) -> Callable[[Synced | None], None]:
    """To be asked in the transaction that changes it. Raises Precondition where the caller saw another state."""

    def check(present: Synced | None) -> None:
        if present is not None:
            call.must_match(state_of(present))
        elif call.if_match is not None:
            raise Precondition

    return check
