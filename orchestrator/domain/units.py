"""Quantities and their few lawful products.

Money is integer cents, time integer seconds, material integer milligrams. The only place that rounds is
`Rate.amount`: quantity first, then half-up, once per line (billing reference, 2.3).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Self


@dataclass(frozen=True, order=True)
class Money:
    """An amount in minor units (cents). It adds and compares; it has no multiplication."""

    cents: int
    currency: str = "EUR"

    def __post_init__(self) -> None:
        if type(self.cents) is not int:
            raise TypeError(f"money is integer cents, not {self.cents!r}")

    def __add__(self, other: Money) -> Money:
        return Money(self.cents + self._same(other).cents, self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.cents - self._same(other).cents, self.currency)

    def __neg__(self) -> Money:
        return Money(-self.cents, self.currency)

    def _same(self, other: Money) -> Money:
        if other.currency != self.currency:
            raise ValueError(f"{self.currency} and {other.currency} do not add up")
        return other

    def to_json(self) -> dict[str, int | str]:
        return {"amount": self.cents, "currency": self.currency}


class Unit(Enum):
    """What a quantity counts; the value is the word used in JSON."""

    SECONDS = "s"
    MILLIGRAMS = "mg"
    SQUARE_MILLIMETRES = "mm2"
    JOBS = "job"


@dataclass(frozen=True, kw_only=True)
class Quantity:
    value: int
    unit: Unit

    @classmethod
    def seconds(cls, value: int) -> Self:
        return cls(value=value, unit=Unit.SECONDS)

    @classmethod
    def milligrams(cls, value: int) -> Self:
        return cls(value=value, unit=Unit.MILLIGRAMS)


@dataclass(frozen=True, kw_only=True)
class Rate:
    """`cents` for each `per` units, billed in whole steps of `increment`, at least `minimum` units."""

    cents: int
    per: int
    unit: Unit
    increment: int = 1
    minimum: int = 0

    def billable(self, quantity: Quantity) -> Quantity:
        """The quantity that is billed: rounded up to the step, never below the minimum."""
        self._same_unit(quantity)
        steps = -(-quantity.value // self.increment)
        return Quantity(value=max(self.minimum, steps * self.increment), unit=self.unit)

    def amount(self, billable: Quantity, currency: str) -> Money:
        """Price of a billable quantity, rounded half-up once."""
        self._same_unit(billable)
        return Money(half_up(billable.value * self.cents, self.per), currency)

    def _same_unit(self, quantity: Quantity) -> None:
        if quantity.unit is not self.unit:
            raise ValueError(f"a rate per {self.unit.value} cannot price {quantity.unit.value}")


def half_up(numerator: int, denominator: int) -> int:
    """Integer division rounded half away from zero; half-even would break the price table (T2, T5, T9)."""
    sign = -1 if (numerator < 0) != (denominator < 0) else 1
    n, d = abs(numerator), abs(denominator)
    return sign * ((2 * n + d) // (2 * d))


def ceil_div(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)
