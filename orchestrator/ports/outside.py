"""What leaves the lab, and what is kept from those who read a backup."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from orchestrator.domain.source import Pulled, Source
from orchestrator.ports.store import Charge


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a server outside said. A redirect is an answer like any other: it is never followed."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    cut: bool = False  # there was more than was asked for


class Outbound(Protocol):
    """HTTP to an address that a person typed: a webhook, a calendar, a booking system. It never reaches inward."""

    async def check(self, url: str) -> None:
        """Raises Rejected (code `outbound.address`, its fault names what was seen) for an address that may not be
        reached or that is none; Unavailable where its name cannot be looked up now."""

    async def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        *,
        limit_bytes: int = 64 << 10,
        timeout_seconds: float = 10.0,
    ) -> Answer:
        """Once. The name is looked up again and checked again, and the address so checked is the one connected to.
        Raises Rejected like `check`, Unavailable (`outbound.unreachable`, `outbound.slow`) where no answer came."""


class Seal(Protocol):
    """Secrets that we must be able to read again, closed for whoever reads the database or a backup of it."""

    def seal(self, plain: str) -> str: ...

    def unseal(self, sealed: str) -> str:
        """Raises Misconfigured where it cannot be opened: another key, or altered."""


class BookingSystem(Protocol):
    """Speaks one kind of booking system. It reads and tells; it keeps nothing and writes no state of ours.

    Raises Unavailable (time mends it), Misconfigured (the operator: a wrong address or token), Rejected (what it
    answers cannot be used); each call has an end.
    """

    async def pull(self, source: Source, now: datetime, zone: str) -> Pulled:
        """All windows of the horizon. `zone` is the site's, for times that say none."""

    async def tell_machine(self, source: Source, machine: str, down: bool) -> None:
        """Mirror a breakdown, or its end; `machine` as the system names it. Twice is once."""

    async def tell_charge(self, source: Source, charge: Charge, member: str, *, perhaps_told: bool) -> None:
        """Charge that member (as the system names them) there. Where it may have been told before, the system is
        asked first, so that twice is once."""

    async def heed(self, source: Source, body: bytes, headers: Mapping[str, str]) -> bool:
        """A notice came in: is it worth a look? It is never believed."""
