"""What is known under an idempotency key: who claims it, how far the request got, what was answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from orchestrator.domain.event import Json

RUNNING, BEGUN = 0, 1
"""Instead of a status: nothing is done yet; something is, and the answer is not known."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A request that wants to be the one under its idempotency key. `at` also tells two claims of one key apart."""

    principal: str
    operation: str
    key: str
    fingerprint: str  # of what is asked
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Remembered:
    """The answer given under a key, or how far the request got."""

    fingerprint: str
    status: int  # of HTTP, or RUNNING, or BEGUN
    body: Json = None
    headers: Mapping[str, str] | None = None
    at: datetime  # when it was asked
