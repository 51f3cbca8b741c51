"""How far estimates are from the truth: the statistics and the words, without a file or a clock."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median, quantiles

from bench.judge import Truth
from bench.table import Row
from slicing.results import PrintEstimate

SHORT_SECONDS = 400
"""A part that prints in less is a few lines and a skirt: its errors are rounding, in percent of next to nothing."""
FAR = 0.25
WORST = 5
COVERED = "88 to 94 %"


@dataclass(frozen=True, kw_only=True)
class Goal:
    """Most percent that the median and the p90 of the errors may be, of material and of time."""

    material: tuple[int, int] = (2, 5)
    time: tuple[int, int] = (4, 10)


PLAIN, SUPPORTED = Goal(), Goal(material=(5, 14), time=(7, 20))


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One model's estimate and what came true."""

    model: str
    estimate: PrintEstimate
    truth: Truth

    @property
    def time_error(self) -> float:
        """Relative; above 0 the estimate says too much."""
        return self.estimate.seconds_p50 / self.truth.seconds - 1

    @property
    def material_error(self) -> float:
        return self.estimate.milligrams_p50 / (1000 * self.truth.grams) - 1

    @property
    def worse(self) -> float:
        return max(abs(self.time_error), abs(self.material_error))

    @property
    def time_held(self) -> bool:
        return self.truth.seconds <= self.estimate.seconds_p90

    @property
    def material_held(self) -> bool:
        return 1000 * self.truth.grams <= self.estimate.milligrams_p90


def counted(judged: Iterable[Judged]) -> tuple[list[Judged], list[str]]:
    """Those that the statistics are of, and the names of those too short for them."""
    every = list(judged)
    long_enough = [one for one in every if one.truth.seconds >= SHORT_SECONDS]
    return long_enough, [one.model for one in every if one.truth.seconds < SHORT_SECONDS]


def p90(values: Sequence[float]) -> float:
    """Nine in ten are at most this; one value is its own. Raises StatisticsError on none."""
    return quantiles(values, n=10, method="inclusive")[-1] if len(values) > 1 else median(values)


def rows(title: str, judged: Sequence[Judged], goal: Goal = PLAIN) -> list[Row]:
    """Errors, bias and coverage against one truth; no row where there is no model."""
    if not judged:
        return []
    made = _rows_of(
        f"{title}: material",
        [one.material_error for one in judged],
        [one.material_held for one in judged],
        goal.material,
    )
    made += _rows_of(
        f"{title}: time", [one.time_error for one in judged], [one.time_held for one in judged], goal.time
    )
    sure_and_far = [one for one in judged if one.worse > FAR and one.estimate.confidence != "low"]
    far = Row(what=f"{title}: > 25 % off, not `low`", unit="models", values=(len(sure_and_far),), asked="0")
    return [*made, far]


def _rows_of(title: str, errors: Sequence[float], held: Sequence[bool], goal: tuple[int, int]) -> list[Row]:
    sizes = tuple(100 * abs(error) for error in errors)

    def row(what: str, values: tuple[float, ...], asked: str = "") -> Row:
        return Row(what=f"{title} {what}", unit="%", values=values, asked=asked)

    return [
        row("error", sizes, f"median <= {goal[0]} %"),
        row("error, p90", (p90(sizes),), f"<= {goal[1]} %"),
        row("bias", (100 * median(errors),)),
        row("within its p90", (100 * sum(held) / len(held),), COVERED),
    ]


def told(title: str, judged: Sequence[Judged]) -> list[str]:
    """What the rows do not say: the worst by name, and how p90 holds in each class of confidence."""
    lines = [f"{title}: the worst of {len(judged)} models by material, by time"]
    lines += _worst("material", [(one.material_error, one) for one in judged])
    lines += _worst("time", [(one.time_error, one) for one in judged])
    for confidence in ("high", "medium", "low"):
        of_it = [one for one in judged if one.estimate.confidence == confidence]
        if of_it:
            material, in_time = (
                100 * sum(held) / len(of_it)
                for held in ([one.material_held for one in of_it], [one.time_held for one in of_it])
            )
            lines.append(
                f"  confidence {confidence}: {len(of_it)} models, "
                f"within p90 {material:.0f} % of material, {in_time:.0f} % of time"
            )
    return lines


def _worst(what: str, errors: Sequence[tuple[float, Judged]]) -> list[str]:
    worst = sorted(errors, key=lambda pair: -abs(pair[0]))[:WORST]
    return [
        f"  {what:<9} {100 * error:+6.1f} %  {one.model} ({one.estimate.confidence})" for error, one in worst
    ]
