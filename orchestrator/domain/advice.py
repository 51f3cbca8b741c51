"""What is worth telling a member before they pay: what may go wrong as chosen, and how the part would better lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.domain.file import Warning
from orchestrator.domain.process import Turn


@dataclass(frozen=True, kw_only=True)
class TurnAdvice:
    """Another way to lay the part, and what it saves; seconds and milligrams of one copy, support included."""

    turn: Turn
    supports: bool  # whether it needs supports that way
    seconds_now: int
    seconds_then: int
    milligrams_now: int
    milligrams_then: int
    texts: Mapping[str, str] = field(default_factory=dict)  # "en" / "fr" -> sentence


@dataclass(frozen=True, kw_only=True)
class Advice:
    warnings: tuple[Warning, ...] = ()
    turn: TurnAdvice | None = None  # None: it lies well, or no other way saves enough to be worth a word
