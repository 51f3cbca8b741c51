"""Money, spans, weights, lengths and instants as people of one language at one site read them.

All through Babel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Literal

from babel import Locale
from babel.dates import format_date, format_skeleton, format_time
from babel.numbers import format_currency, format_decimal, format_percent
from babel.units import format_unit

from orchestrator.domain.units import Money, Quantity, Unit

_MINUTE, _HOUR = 60, 3600
_REGIONS = {"fr": "fr_FR", "en": "en_GB"}
"""How a language writes its numbers and dates here, in Europe."""


def formats_of(locale: str, zone: tzinfo) -> Formats:
    return Formats(locale=Locale.parse(_REGIONS[locale]), zone=zone)


@dataclass(frozen=True, kw_only=True)
class Formats:
    locale: Locale
    zone: tzinfo

    def money(self, amount: Money) -> str:
        return format_currency(Decimal(amount.cents).scaleb(-2), amount.currency, locale=self.locale)

    def span(self, seconds: int) -> str:
        """A duration, rounded up to the minute from a minute on: nobody plans in seconds."""
        if seconds < _MINUTE:
            return self._unit(seconds, "duration-second")
        minutes = -(-seconds // _MINUTE)
        hours, rest = divmod(minutes, 60)
        parts = [self._unit(hours, "duration-hour")] if hours else []
        if rest:
            parts.append(self._unit(rest, "duration-minute"))
        return " ".join(parts)

    def exact_span(self, seconds: int) -> str:
        """A duration to the second, for receipts."""
        parts = [
            self._unit(count, unit)
            for count, unit in (
                (seconds // _HOUR, "duration-hour"),
                (seconds % _HOUR // _MINUTE, "duration-minute"),
                (seconds % _MINUTE, "duration-second"),
            )
            if count
        ]
        return " ".join(parts) or self._unit(0, "duration-second")

    def grams(self, milligrams: int) -> str:
        return self._unit(round(Decimal(milligrams) / 1000, 1), "mass-gram")

    def quantity(self, quantity: Quantity) -> str:
        if quantity.unit is Unit.SECONDS:
            return self.exact_span(quantity.value)
        if quantity.unit is Unit.MILLIGRAMS:
            return self.grams(quantity.value)
        if quantity.unit is Unit.SQUARE_MILLIMETRES:
            return self.square_centimetres(quantity.value)
        return self.number(quantity.value)

    def number(self, count: int) -> str:
        return format_decimal(count, locale=self.locale)

    def size(self, size_mm: Sequence[float]) -> str:
        sides = (format_decimal(round(mm, 1), format="#,##0.#", locale=self.locale) for mm in size_mm)
        return " × ".join(sides) + "\u00a0mm"

    def length(self, millimetres: float) -> str:
        """Of a cut: metres from a metre on, else millimetres."""
        if millimetres < 1000:
            return self._unit(round(Decimal(millimetres)), "length-millimeter")
        return self._unit(round(Decimal(millimetres) / 1000, 2), "length-meter")

    def square_centimetres(self, square_millimetres: int) -> str:
        return self._unit(round(Decimal(square_millimetres) / 100), "area-square-centimeter")

    def millimetres(self, mm: float) -> str:
        return self._unit(round(Decimal(mm), 1), "length-millimeter")

    def percent(self, permille: int) -> str:
        return format_percent(permille // 10 / 100, locale=self.locale)

    def share(self, ratio: float) -> str:
        """A ratio as percent, to a tenth: errors are small."""
        return format_percent(round(ratio, 3), locale=self.locale, decimal_quantization=False)

    def bytes(self, count: int) -> str:
        for limit, size, unit in ((10**3, 1, "byte"), (10**6, 10**3, "kilobyte"), (10**9, 10**6, "megabyte")):
            if count < limit:
                return self._unit(round(Decimal(count) / size, 1), f"digital-{unit}")
        return self._unit(round(Decimal(count) / 10**9, 1), "digital-gigabyte")

    def time(self, at: datetime) -> str:
        """To the second: the story of a job has several events a minute."""
        return str(format_time(at, "medium", tzinfo=self.zone, locale=self.locale))

    def day(self, at: datetime) -> str:
        return str(format_date(at.astimezone(self.zone).date(), "long", locale=self.locale))

    def calendar_day(self, day: date) -> str:
        return str(format_date(day, "long", locale=self.locale))

    def moment(self, at: datetime, now: datetime) -> str:
        """An instant near `now`: the hour alone on the same day, with the day's name within a week, else with
        its date."""
        there = at.astimezone(self.zone)
        days = abs(_days(now.astimezone(self.zone).date(), there.date()))
        if days == 0:
            return self._as("Hm", there)
        return f"{self._as('E' if days < 6 else 'MMMd', there)}, {self._as('Hm', there)}"

    def clock(self, at: datetime) -> str:
        return self._as("Hm", at.astimezone(self.zone))

    def days_ahead(self, at: datetime, now: datetime) -> int:
        """0 today, 1 tomorrow, as the site counts days."""
        return _days(now.astimezone(self.zone).date(), at.astimezone(self.zone).date())

    def near_day(self, at: datetime, now: datetime) -> str:
        """The day's name within a week, else its date."""
        there = at.astimezone(self.zone)
        if 0 <= self.days_ahead(at, now) < 7:
            return str(format_date(there.date(), "EEEE", locale=self.locale))
        return self._as("MMMMd", there)

    def short_day(self, at: datetime) -> str:
        return self._as("MEd", at.astimezone(self.zone))

    def weekday(self, number: int) -> str:
        """0 is Monday."""
        return str(self.locale.days["stand-alone"]["wide"][number])

    def input_moment(self, at: datetime) -> str:
        """As a field for a date with time holds it, in the site's time."""
        return at.astimezone(self.zone).strftime("%Y-%m-%dT%H:%M")

    def decimal(self, value: float, digits: int = 1) -> str:
        return format_decimal(round(value, digits), locale=self.locale)

    def full(self, at: datetime) -> str:
        return f"{self._as('yMMMd', at)}, {self._as('Hm', at)}"

    def _as(self, skeleton: str, at: datetime) -> str:
        return str(format_skeleton(skeleton, at, tzinfo=self.zone, locale=self.locale))

    def _unit(self, value: Decimal | int, unit: str) -> str:
        length: Literal["short", "narrow"] = "narrow" if unit.startswith("duration") else "short"
        return format_unit(value, unit, length, locale=self.locale)


def _days(one: date, other: date) -> int:
    return (other - one) // timedelta(days=1)
