"""Price rules: Usage in, lines out. A Tariff is an immutable published version; a rule is a function in
RULES.

Every line explains itself, and lines always add up to the total. Rounding happens once per line, in
`Rate.amount`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from orchestrator.domain.run import MEMBER_PAYS, Cause
from orchestrator.domain.units import Money, Quantity, Rate, Unit
from orchestrator.domain.usage import Usage


class LineKind(StrEnum):
    SETUP = "setup"
    TIME = "time"
    BEAM = "beam"
    MATERIAL = "material"
    MINIMUM_TOPUP = "minimum_topup"
    CAP_DISCOUNT = "cap_discount"


@dataclass(frozen=True, kw_only=True)
class Line:
    kind: LineKind
    text: str
    quantity: Quantity
    amount: Money
    explain: str


@dataclass(frozen=True, kw_only=True)
class Tariff:
    """One published version. `overrun_bp`: how far, in 1/10 000, a hold exceeds its quote.

    A laser is paid by `beam` instead of `time` where there is such a rate, and its sheets by `sheets`, each per
    square metre by the name of the material; what has no row there costs nothing.
    """

    version: int
    name: str
    setup_cents: int
    time: Rate
    material: Rate
    minimum_cents: int
    currency: str = "EUR"
    overrun_bp: int = 1000
    beam: Rate | None = None
    sheets: tuple[tuple[str, Rate], ...] = ()

    def sheet(self, material: str) -> Rate | None:
        return dict(self.sheets).get(material)


def tariff_a(version: int = 1) -> Tariff:
    """Tariff A of the billing reference: the lab's first grid, and the demo's."""
    return Tariff(
        version=version,
        name="Tarif A",
        setup_cents=100,
        time=Rate(cents=200, per=3600, unit=Unit.SECONDS, increment=60),
        material=Rate(cents=5, per=1000, unit=Unit.MILLIGRAMS),
        minimum_cents=200,
        beam=Rate(cents=30, per=60, unit=Unit.SECONDS),
        sheets=tuple((name, per_square_metre(cents)) for name, cents in SHEET_CENTS.items()),
    )


SHEET_CENTS: Mapping[str, int] = MappingProxyType(
    {
        "birch-ply-3": 1600,
        "poplar-ply-4": 1300,
        "mdf-3": 1458,
        "acrylic-clear-3": 3800,
        "acrylic-dark-3": 3800,
        "acrylic-clear-6": 7200,
        "acrylic-dark-6": 7200,
        "card-3": 500,
        "greyboard": 400,
        "paper": 200,
        "leather-2": 6000,
        "cotton": 1500,
        "vinyl-sticker": 900,
    }
)
"""What a square metre costs in tariff A, in cents."""


def per_square_metre(cents: int) -> Rate:
    return Rate(cents=cents, per=1_000_000, unit=Unit.SQUARE_MILLIMETRES)


Rule = Callable[[Usage, Tariff, tuple[Line, ...]], Line | None]


def _setup(_usage: Usage, tariff: Tariff, _lines: tuple[Line, ...]) -> Line | None:
    if not tariff.setup_cents:
        return None
    amount = Money(tariff.setup_cents, tariff.currency)
    return Line(
        kind=LineKind.SETUP,
        text="Set-up",
        quantity=Quantity(value=1, unit=Unit.JOBS),
        amount=amount,
        explain=f"{tariff.setup_cents} c a job",
    )


def _time(usage: Usage, tariff: Tariff, _lines: tuple[Line, ...]) -> Line | None:
    if usage.beam_seconds is not None and tariff.beam is not None:
        return None
    return _rated(LineKind.TIME, "Machine time", Quantity.seconds(usage.machine_seconds), tariff.time, tariff)


def _material(usage: Usage, tariff: Tariff, _lines: tuple[Line, ...]) -> Line | None:
    quantity = Quantity.milligrams(usage.filament_milligrams)
    return _rated(LineKind.MATERIAL, "Material", quantity, tariff.material, tariff)


def _beam(usage: Usage, tariff: Tariff, _lines: tuple[Line, ...]) -> Line | None:
    if usage.beam_seconds is None or tariff.beam is None:
        return None
    return _rated(LineKind.BEAM, "Laser on", Quantity.seconds(usage.beam_seconds), tariff.beam, tariff)


def _sheet(usage: Usage, tariff: Tariff, _lines: tuple[Line, ...]) -> Line | None:
    rate = tariff.sheet(usage.sheet_material)
    if rate is None:
        return None
    quantity = Quantity(value=usage.sheet_mm2, unit=Unit.SQUARE_MILLIMETRES)
    return _rated(LineKind.MATERIAL, "Sheet", quantity, rate, tariff)


def _minimum(_usage: Usage, tariff: Tariff, lines: tuple[Line, ...]) -> Line | None:
    missing = tariff.minimum_cents - total(lines, tariff.currency).cents
    if missing <= 0:
        return None
    return Line(
        kind=LineKind.MINIMUM_TOPUP,
        text="Up to the minimum",
        quantity=Quantity(value=1, unit=Unit.JOBS),
        amount=Money(missing, tariff.currency),
        explain=f"a job costs at least {tariff.minimum_cents} c",
    )


RULES: tuple[Rule, ...] = (_setup, _time, _beam, _material, _sheet, _minimum)
"""Applied in this order; a rule sees the lines before it."""


def price(usage: Usage, tariff: Tariff) -> tuple[Line, ...]:
    """The lines of a usage under a tariff."""
    lines: tuple[Line, ...] = ()
    for rule in RULES:
        line = rule(usage, tariff, lines)
        if line is not None:
            lines += (line,)
    return lines


def total(lines: tuple[Line, ...], currency: str = "EUR") -> Money:
    return sum((line.amount for line in lines), Money(0, currency))


@dataclass(frozen=True, kw_only=True)
class Bill:
    """What a settled job costs: lines that add up to `captured`; the rest of the hold is released."""

    lines: tuple[Line, ...]
    held: Money
    captured: Money

    @property
    def released(self) -> Money:
        return self.held - self.captured


def settle(usage: Usage, tariff: Tariff, held: Money, cause: Cause | None) -> Bill:
    """Price real usage, never above the hold; the excess is a visible discount line.

    `cause` is None for a run that finished. A cause that is not the member's is charged nothing at all.
    """
    if cause is not None and cause not in MEMBER_PAYS:
        return Bill(lines=(), held=held, captured=Money(0, held.currency))
    lines = price(usage, tariff)
    excess = total(lines, held.currency) - held
    if excess.cents > 0:
        lines += (_cap_discount(excess, held),)
    return Bill(lines=lines, held=held, captured=total(lines, held.currency))


def _cap_discount(excess: Money, held: Money) -> Line:
    return Line(
        kind=LineKind.CAP_DISCOUNT,
        text="Above the quoted maximum, not charged",
        quantity=Quantity(value=1, unit=Unit.JOBS),
        amount=-excess,
        explain=f"the quote promised at most {held.cents} c",
    )


def _rated(kind: LineKind, text: str, quantity: Quantity, rate: Rate, tariff: Tariff) -> Line | None:
    if not quantity.value:
        return None
    billable = rate.billable(quantity)
    return Line(
        kind=kind,
        text=text,
        quantity=billable,
        amount=rate.amount(billable, tariff.currency),
        explain=f"{quantity.value} {rate.unit.value} used, {billable.value} {rate.unit.value} billed at "
        f"{rate.cents} c for {rate.per} {rate.unit.value}",
    )
