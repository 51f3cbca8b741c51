"""A figure, its spread over the repetitions, and what was asked of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median, quantiles
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Row:
    what: str
    unit: str
    values: tuple[float, ...]
    asked: str = ""  # the figure of product.md section 6, where there is one

    @property
    def median(self) -> float:
        return median(self.values)

    @property
    def p99(self) -> float:
        return (
            quantiles(self.values, n=100, method="inclusive")[98] if len(self.values) > 1 else self.values[0]
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"median": self.median, "p99": self.p99}


def table(name: str, rows: Sequence[Row]) -> str:
    head = f"{name:<46} {'n':>4} {'min':>9} {'median':>9} {'p99':>9} {'max':>9}  unit     asked"
    return "\n".join([head, "-" * len(head), *map(_line, rows)])


def _line(row: Row) -> str:
    figures = (min(row.values), row.median, row.p99, max(row.values))
    spread = " ".join(f"{figure:>9.2f}" for figure in figures)
    return f"{row.what:<46} {len(row.values):>4} {spread}  {row.unit:<8} {row.asked}"
