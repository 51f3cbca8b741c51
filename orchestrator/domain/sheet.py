"""A sheet that a laser or a vinyl cutter can be given, as the page offers it: one preset, or a reason why never."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class SheetSetting:
    """How one kind of work is done in it, where that is from, and how sure it is."""

    kind: str  # `cut`, `score` or `engrave`
    speed_mm_s: float
    power_percent: float
    passes: int
    source: str
    confidence: str  # `vendor`, `lab_tested`, `scaled` or `community`
    tested_on: str  # in this lab, ISO date; empty: never


@dataclass(frozen=True, kw_only=True)
class SheetMaterial:
    name: str
    texts: Mapping[str, str]  # "en" / "fr" -> what people call it
    thickness_mm: float
    settings: tuple[SheetSetting, ...] = ()
    refusals: Mapping[str, str] = field(default_factory=dict)  # why never, per language; empty: it may be cut
