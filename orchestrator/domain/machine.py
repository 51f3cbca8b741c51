"""A Machine: what it is, what it can, what was last seen of it, and whether its bed is free.

`link` and `activity` are observations of the machine. `bed`, `held` and `maintenance` are ours: a machine
forgets them at power-off, we do not.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from orchestrator.domain.presence import ReleasePolicy
from orchestrator.domain.process import Colour, Material


class Kind(StrEnum):
    PRINTER = "printer"  # 3D printer
    LASER = "laser"  # laser cutter
    VINYL = "vinyl"  # vinyl cutter


class Link(StrEnum):
    OFFLINE = "offline"
    CONNECTING = "connecting"
    ONLINE = "online"
    AUTH_FAILED = "auth_failed"
    REJECTED = "rejected"  # it answers but refuses to be commanded


class Activity(StrEnum):
    """What the machine says it does (printer-protocols reference, 2.0)."""

    UNKNOWN = "unknown"
    IDLE = "idle"
    BUSY = "busy"  # no job of its own, but not free: homing, heating, a macro
    PREPARING = "preparing"
    PRINTING = "printing"
    PAUSING = "pausing"
    PAUSED = "paused"
    RESUMING = "resuming"
    CANCELLING = "cancelling"
    FINISHING = "finishing"
    DONE = "done"
    ATTENTION = "attention"
    FAULT = "fault"


WORKING = frozenset(
    {
        Activity.PREPARING,
        Activity.PRINTING,
        Activity.PAUSING,
        Activity.PAUSED,
        Activity.RESUMING,
        Activity.CANCELLING,
        Activity.FINISHING,
    }
)
"""A file is being worked on."""


class Bed(StrEnum):
    CLEAR = "clear"
    OCCUPIED = "occupied"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Abilities:
    """What a machine can, known before anyone asks it to."""

    size_mm: tuple[int, int, int]  # x, y, z of the work area
    materials: tuple[Material, ...] = (Material.PLA,)
    profile: str = ""  # our slicer profile for this model; an artifact made for another never fits
    can_pause: bool = True
    attended: bool = False  # only ever started by a person there
    release: ReleasePolicy = ReleasePolicy.NONE  # how that person starts it
    tells_end: bool = (
        True  # False: only a person knows when it is done, as with a folder that another program reads
    )
    conditions: tuple[str, ...] = ()  # inputs that must be good all the while: `lid`, `extractor`


@dataclass(frozen=True, kw_only=True)
class Machine:
    id: UUID
    site: str
    name: str
    kind: Kind
    machine_class: str  # what entitlements and tariffs name, e.g. "fdm"
    driver: str
    abilities: Abilities
    material: Material | None  # loaded; None: empty or not known
    version: int
    link: Link = Link.OFFLINE
    activity: Activity = Activity.UNKNOWN
    bed: Bed = Bed.UNKNOWN
    held: str = ""  # why a person keeps it from taking work; empty: not held
    maintenance: bool = False
    note: str = ""  # the machine's own last words worth showing
    seen_at: datetime | None = None
    colour: Colour | None = None  # of what is loaded; None: not known
    nozzle_micrometres: int = 400  # that is mounted
    stock_milligrams: int | None = None  # left on the spool; None: nobody has said


def needs_release(machine: Machine) -> bool:
    """Is it a machine that only a person at it may start? A laser or a knife always is, whatever its row says."""
    return (
        machine.kind is not Kind.PRINTER
        or machine.abilities.attended
        or machine.abilities.release is not ReleasePolicy.NONE
    )


def holds(room_mm: tuple[int, int, int], part_mm: tuple[float, float, float]) -> bool:
    """Does a part of this size lie in the work area, as it is or turned by a quarter on the bed?"""
    x, y, z = part_mm
    width, depth, height = room_mm
    return z <= height and ((x <= width and y <= depth) or (y <= width and x <= depth))
