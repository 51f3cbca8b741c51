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
HEARD_SECONDS_MAX = 2.0
"""How long ago the device was last heard, at most, when we ourselves start the machine or let it go on."""


class ReleasePolicy(StrEnum):
    NONE = "none"  # 3D printers only: nobody need be there
    PHYSICAL_START = "physical_start"  # Établi stages; the person presses the machine's own start
    KIOSK_START = "kiosk_start"  # Établi streams while a device at the machine says that the person is there


CONDITION_SECONDS_MAX = 10
"""How old a reading of a sensor may be; an older one counts as bad."""
OVERRIDE_MINUTES_MAX = 60
"""How long two people may do without a sensor."""
CONFIRM_MINUTES_MAX = 10
"""How long the first of the two waits for the second."""
CHECKLIST = ("material_in", "extractor_on", "staying")
"""What the person confirms, each time: the sheet lies in, the extractor runs, I stay until it ends."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a sensor or a controller's input last said: `lid`, `extractor`, …"""

    machine_id: UUID
    name: str
    good: bool
    at: datetime
    source: str  # `controller`, or the kiosk's id: one cannot speak in another's place


@dataclass(frozen=True, kw_only=True)
class Override:
    """Two different people do without one sensor for a while. It never stands for a presence."""

    id: UUID
    machine_id: UUID
    condition: str
    reason: str
    asked_by: UUID
    asked_at: datetime
    confirmed_by: UUID | None = None
    confirmed_at: datetime | None = None

    def waits(self, now: datetime) -> bool:
        """A second person may still confirm it."""
        return self.confirmed_by is None and now < self.asked_at + timedelta(minutes=CONFIRM_MINUTES_MAX)

    def stands(self, now: datetime) -> bool:
        """Confirmed by somebody else than who asked, and not run out."""
        if self.confirmed_by is None or self.confirmed_at is None or self.confirmed_by == self.asked_by:
            return False
        return self.confirmed_at <= now < self.confirmed_at + timedelta(minutes=OVERRIDE_MINUTES_MAX)


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
