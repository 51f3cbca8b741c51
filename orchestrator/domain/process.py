"""How a thing is to be made: the member's choices, each from a closed set or range, none of them able to name a
file or a command. A Process prints a model, a CutProcess cuts a drawing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from orchestrator.domain.errors import Fault

SizeMm = tuple[float, float, float]


class Quality(StrEnum):
    DRAFT = "draft"
    NORMAL = "normal"
    FINE = "fine"


class Material(StrEnum):
    PLA = "pla"
    PETG = "petg"


class Colour(StrEnum):
    """Of a filament, as the spool's label says."""

    BLACK = "black"
    WHITE = "white"
    GREY = "grey"
    SILVER = "silver"
    RED = "red"
    ORANGE = "orange"
    YELLOW = "yellow"
    GREEN = "green"
    BLUE = "blue"
    PURPLE = "purple"
    PINK = "pink"
    BROWN = "brown"
    NATURAL = "natural"
    TRANSPARENT = "transparent"


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
    colour: Colour | None = None  # None: whatever is loaded

    def __post_init__(self) -> None:
        if wrong := out_of_range({name: getattr(self, name) for name in RANGES}):
            raise ValueError(f"{wrong[0].where} cannot be {wrong[0].seen}. {wrong[0].remedy}")


class CutKind(StrEnum):
    """What becomes of the lines of one colour."""

    CUT = "cut"
    SCORE = "score"
    ENGRAVE = "engrave"
    IGNORE = "ignore"


VINYL = "vinyl-sticker"
"""The sheet that a vinyl cutter takes; all others are a laser's."""
CUT_RANGES: Mapping[str, tuple[int, int]] = MappingProxyType(
    {"tabs": (0, 20), "scale_percent": (1, 10_000), "rotation_degrees": (0, 270)}
)
BED_MM_MAX = 10_000


@dataclass(frozen=True, kw_only=True)
class CutProcess:
    """How a drawing is to be cut. What is not chosen follows the lab's rules for colours and layers."""

    material: str = "birch-ply-3"  # name of a material preset
    operations: tuple[tuple[str, CutKind], ...] = ()  # by group key; the others by rule
    remove_duplicates: bool = True  # a line drawn twice is cut once
    kerf: bool = True  # parts come out as large as they are drawn
    tabs: int = 0  # that keep each part in its sheet
    scale_percent: int = 100
    rotation_degrees: int = 0  # 0, 90, 180 or 270
    x_mm: float | None = None  # where the work's lower left corner lies on the bed; None: Établi chooses
    y_mm: float | None = None
    sheet_mm: tuple[int, int] | None = None  # None: as large as the bed
    own_sheet: bool = False  # the member brings it: not billed
    unit: str = ""  # how the drawing's numbers are to be read, where it does not say; empty: as it says

    def __post_init__(self) -> None:
        if wrong := cut_faults(vars(self)):
            raise ValueError(f"{wrong[0].where} cannot be {wrong[0].seen}. {wrong[0].remedy}")


Making = Process | CutProcess


def cut_faults(chosen: Mapping[str, Any]) -> tuple[Fault, ...]:
    """One fault for each choice, by its name, that no cut can have."""
    faults = list(_outside(chosen, CUT_RANGES))
    turned = chosen["rotation_degrees"]
    if turned % 90 and "process.rotation_degrees" not in {fault.where for fault in faults}:
        faults.append(_fault("rotation_degrees", turned, "0, 90, 180 or 270."))
    width, depth = chosen["sheet_mm"] or (None, None)
    lengths = {
        "x_mm": chosen["x_mm"],
        "y_mm": chosen["y_mm"],
        "sheet_mm.width": width,
        "sheet_mm.depth": depth,
    }
    for name, mm in lengths.items():
        if mm is not None and not 0 <= mm <= BED_MM_MAX:
            faults.append(_fault(name, mm, f"From 0 to {BED_MM_MAX} mm."))
    return tuple(faults)


def _fault(name: str, seen: float, remedy: str) -> Fault:
    return Fault(rule="field.range", where=f"process.{name}", seen=str(seen), remedy=remedy)


def out_of_range(numbers: Mapping[str, int]) -> tuple[Fault, ...]:
    """One fault for each number that a process cannot have."""
    return _outside(numbers, RANGES)


def _outside(numbers: Mapping[str, int], ranges: Mapping[str, tuple[int, int]]) -> tuple[Fault, ...]:
    return tuple(
        _fault(name, numbers[name], f"A whole number from {least} to {most}.")
        for name, (least, most) in ranges.items()
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
