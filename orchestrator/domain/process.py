"""How a thing is to be made: the member's choices, each from a closed set, none of them able to name a file
or a command."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from orchestrator.domain.errors import Fault

SizeMm = tuple[float, float, float]


class Quality(StrEnum):
    DRAFT = "draft"
    NORMAL = "normal"
    FINE = "fine"


class Material(StrEnum):
    PLA = "pla"
    PETG = "petg"


class Turn(StrEnum):
    """Which way the part lies: turned from how it was drawn, about x or y, by so many degrees."""

    AS_DRAWN = "as_drawn"
    X90 = "x90"
    X180 = "x180"
    X270 = "x270"
    Y90 = "y90"
    Y270 = "y270"


RANGES: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        "infill_percent": (0, 100),
        "perimeters": (1, 6),
        "brim_mm": (0, 10),
        "scale_percent": (1, 100_000),  # a part drawn in metres is read a thousand times too small
    }
)
"""The least and the most of each number a member may choose."""


@dataclass(frozen=True, kw_only=True)
class Process:
    """An empty process means the lab's default, which is this."""

    material: Material = Material.PLA
    quality: Quality = Quality.NORMAL
    infill_percent: int = 15
    supports: bool = False
    perimeters: int = 2
    brim_mm: int = 0
    scale_percent: int = 100
    turn: Turn = Turn.AS_DRAWN

    def __post_init__(self) -> None:
        if wrong := out_of_range({name: getattr(self, name) for name in RANGES}):
            raise ValueError(f"{wrong[0].where} cannot be {wrong[0].seen}. {wrong[0].remedy}")


def out_of_range(numbers: Mapping[str, int]) -> tuple[Fault, ...]:
    """One fault for each number that a process cannot have."""
    return tuple(
        Fault(
            rule="field.range",
            where=f"process.{name}",
            seen=str(numbers[name]),
            remedy=f"A whole number from {least} to {most}.",
        )
        for name, (least, most) in RANGES.items()
        if not least <= numbers[name] <= most
    )


def placed(size_mm: SizeMm, process: Process) -> SizeMm:
    """What the part measures on the bed, scaled and turned as the process says."""
    x, y, z = (mm * process.scale_percent / 100 for mm in size_mm)
    if process.turn in {Turn.X90, Turn.X270}:
        return x, z, y
    if process.turn in {Turn.Y90, Turn.Y270}:
        return z, y, x
    return x, y, z
