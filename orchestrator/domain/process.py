"""How a thing is to be made: the member's choices, each from a closed set, none of them able to name a file
or a command."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Quality(StrEnum):
    DRAFT = "draft"
    NORMAL = "normal"
    FINE = "fine"


class Material(StrEnum):
    PLA = "pla"
    PETG = "petg"


@dataclass(frozen=True, kw_only=True)
class Process:
    """An empty process means the lab's default, which is this."""

    material: Material = Material.PLA
    quality: Quality = Quality.NORMAL
    infill_percent: int = 15
    supports: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.infill_percent <= 100:
            raise ValueError("infill is a percentage from 0 to 100")
