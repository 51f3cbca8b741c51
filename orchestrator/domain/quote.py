"""An Estimate, and the Quote that prices it: immutable, under one tariff version, with a maximum price (the
hold)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from orchestrator.domain.process import CutKind, Making
from orchestrator.domain.tariff import Line, Tariff, price, total
from orchestrator.domain.units import Money, ceil_div
from orchestrator.domain.usage import Source, Usage


class EstimateSource(StrEnum):
    MESH = "mesh"
    VECTOR = "vector"
    SLICED = "sliced"


class Confidence(StrEnum):
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


@dataclass(frozen=True, kw_only=True)
class Spread:
    """What is as likely above as below (p50), and what nine in ten stay under (p90)."""

    p50: int
    p90: int

    def __post_init__(self) -> None:
        if not 0 <= self.p50 <= self.p90:
            raise ValueError(f"p50 {self.p50} and p90 {self.p90} are no spread")


@dataclass(frozen=True, kw_only=True)
class CutRow:
    """What becomes of one group of a drawing, by choice or by rule."""

    key: str
    kind: CutKind
    seconds: int
    length_mm: float


@dataclass(frozen=True, kw_only=True)
class Cutting:
    """What an estimate says of a cut only. `sheet_mm2` is what is billed: the work's own box, with a margin."""

    beam_seconds: Spread | None  # None: a knife
    cut_millimetres: int
    sheet_mm2: int
    sheet_material: str  # empty: the member's own
    rows: tuple[CutRow, ...]
    place_mm: tuple[float, float, float, float]  # of the work on the bed: low x, low y, high x, high y
    toolpath_sha256: str


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """For the whole quantity, not for one copy."""

    source: EstimateSource
    print_seconds: Spread
    filament_milligrams: Spread
    confidence: Confidence = Confidence.MEDIUM
    confidence_reason: str = ""
    calibration: str = ""  # what finished runs had taught when this was said, e.g. `mk3s:7`; empty: nothing
    raw_print_seconds: Spread | None = None  # before that; None: the same
    raw_filament_milligrams: Spread | None = None
    cutting: Cutting | None = None  # None: a print

    def expected(self) -> Usage:
        """The usage that the price is computed from: the p50 of all."""
        cut = self.cutting
        return Usage(
            machine_seconds=self.print_seconds.p50,
            filament_milligrams=self.filament_milligrams.p50,
            seconds_source=Source.ARTIFACT,
            filament_source=Source.ARTIFACT,
            beam_seconds=cut.beam_seconds.p50 if cut and cut.beam_seconds else None,
            beam_source=Source.ARTIFACT if cut and cut.beam_seconds else Source.NONE,
            cut_millimetres=cut.cut_millimetres if cut else 0,
            sheet_mm2=cut.sheet_mm2 if cut else 0,
            sheet_material=cut.sheet_material if cut else "",
        )


@dataclass(frozen=True, kw_only=True)
class Quote:
    id: UUID
    member_id: UUID
    file_id: UUID
    process: Making
    quantity: int
    machine_class: str | None
    profile: str
    tariff_version: int
    estimate: Estimate
    lines: tuple[Line, ...]
    total: Money
    hold: Money
    created_at: datetime
    valid_until: datetime


def hold_for(total: Money, tariff: Tariff) -> Money:
    """The most the member can be charged: the quote plus the tariff's overrun, rounded up to the cent."""
    return Money(ceil_div(total.cents * (10_000 + tariff.overrun_bp), 10_000), total.currency)


def priced(estimate: Estimate, tariff: Tariff) -> tuple[tuple[Line, ...], Money, Money]:
    """Lines, total and hold of an estimate under a tariff."""
    lines = price(estimate.expected(), tariff)
    amount = total(lines, tariff.currency)
    return lines, amount, hold_for(amount, tariff)
