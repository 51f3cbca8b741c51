"""A Source: a booking system that Établi asks, or that tells it, about reservations: iCal, fab-manager, Fabman."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class SourceKind(StrEnum):
    ICAL = "ical"
    FABMANAGER = "fabmanager"
    FABMAN = "fabman"


@dataclass(frozen=True, kw_only=True)
class Source:
    id: UUID
    kind: SourceKind
    system: str  # the name its objects go by: `PUT /reservations/{system}/…`
    url: str
    secret: str  # its API token, sealed; empty: none
    site: str
    machines: Mapping[str, str] = field(
        default_factory=dict
    )  # its id of a machine -> ours; iCal: `*` -> ours
    interval_seconds: int = 300
    active: bool = True
    polled_at: datetime | None = None
    due_at: datetime | None = None
    etag: str = ""  # of the last answer, so that an unchanged feed costs nothing
    cursor: int = 0  # the last charge it was told
    failures: int = 0  # in a row
    note: str = ""  # what the last poll found, or why it failed
    version: int = 1
