"""A Presence: a person at an attended machine has released one Run there, for at most a minute. And who may say so.

It is bound to the run, to the very toolpath that is staged, to the machine and to the device that stands beside it.
It starts nothing by itself: `interlocks.check` asks for it, once more, in the transaction that commits to a start.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

PRESENCE_SECONDS_MAX = 60
"""How long a release may wait for its start (promises reference, P10)."""
HEARTBEAT_SECONDS = 0.5
"""How often the device at the machine says that the person is still there."""
HEARTBEAT_LOST_SECONDS = 1.5
"""After so long without one the machine is told to hold; it then does within 2 s of the last sign (P10)."""


class ReleasePolicy(StrEnum):
    NONE = "none"  # 3D printers only: nobody need be there
    PHYSICAL_START = "physical_start"  # Établi stages; the person presses the machine's own start
    KIOSK_START = "kiosk_start"  # Établi streams while a device at the machine says that the person is there


@dataclass(frozen=True, kw_only=True)
class Kiosk:
    """A device that stands at one machine and holds a private key that cannot leave it; we keep the public one."""

    id: UUID
    machine_id: UUID
    name: str
    public_key: str  # ECDSA P-256, SubjectPublicKeyInfo, base64
    enrolled_by: UUID
    enrolled_at: datetime
    revoked_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Presence:
    """A release. `used_at` is set by the start (or the going on) that it was given for: it serves once."""

    id: UUID
    run_id: UUID
    machine_id: UUID
    member_id: UUID  # who stands there
    kiosk_id: UUID
    artifact_sha256: str  # of the staged file
    checklist: tuple[str, ...]  # what the person has confirmed: `material_in`, `extractor_on`, …
    issued_at: datetime
    expires_at: datetime
    used_at: datetime | None = None
    heartbeat_at: datetime | None = None

    def __post_init__(self) -> None:
        if self.expires_at - self.issued_at > timedelta(seconds=PRESENCE_SECONDS_MAX):
            raise ValueError(f"a presence lasts at most {PRESENCE_SECONDS_MAX} s")
