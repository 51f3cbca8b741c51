"""How sure an estimate is: doubts, a word for them, and the p90 that nine in ten truths stay under."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from slicing.results import PrintEstimate

MATERIAL_OVER, TIME_OVER = 0.03, 0.066
"""p90 over p50, less one, where nothing is doubtful; quantiles over the training families, as are the doubts' own."""


@dataclass(frozen=True, kw_only=True)
class Doubt:
    """What makes an estimate less certain: how far p90 must reach for it, and whether it may be far off."""

    code: str
    material_over: float
    time_over: float
    grave: bool = False


def doubts(grams: float, features: Mapping[str, float]) -> list[Doubt]:
    """What makes the estimate of one copy doubtful. `grams` is of one copy."""
    found: list[Doubt] = []
    if features["leak_rows"]:
        grave = features["leak_share"] > 0.001
        found.append(Doubt(code="estimate.open_mesh", material_over=0.06, time_over=0.08, grave=grave))
    if features["support_share"] > 0.3:
        found.append(Doubt(code="estimate.supports", material_over=0.11, time_over=0.20, grave=True))
    elif features["support_share"] > 0.03:
        found.append(Doubt(code="estimate.supports", material_over=0.075, time_over=0.11))
    if features["px_mm"] > 0.3 or features["stride"] > 1:
        found.append(Doubt(code="estimate.coarse_raster", material_over=0.07, time_over=0.115))
    if grams < 1:
        grave = grams < 0.3 or features["wall_share"] > 0.8
        found.append(Doubt(code="estimate.tiny_part", material_over=0.10, time_over=0.17, grave=grave))
    if features["wall_share"] > 0.8:
        grave = features["wall_share"] > 0.88
        found.append(Doubt(code="estimate.thin_walls", material_over=0.10, time_over=0.22, grave=grave))
    if features["hidden_share"] > 0.1 or features["overlap_share"] > 0.01:
        found.append(Doubt(code="estimate.inner_faces", material_over=0.05, time_over=0.15, grave=True))
    return found


def judged(milligrams: float, seconds: float, quantity: int, features: Mapping[str, float]) -> PrintEstimate:
    """p50 is the figure; p90 reaches as far as the gravest of its doubts asks."""
    found = doubts(milligrams / quantity / 1000, features)
    material = max([MATERIAL_OVER, *(doubt.material_over for doubt in found)])
    time = max([TIME_OVER, *(doubt.time_over for doubt in found)])
    low = any(doubt.grave for doubt in found) or len(found) > 2
    return PrintEstimate(
        seconds_p50=max(1, round(seconds)),
        seconds_p90=max(1, ceil(seconds * (1 + time))),
        milligrams_p50=max(1, round(milligrams)),
        milligrams_p90=max(1, ceil(milligrams * (1 + material))),
        quantity=quantity,
        confidence="low" if low else "medium" if found else "high",
        reasons=tuple(doubt.code for doubt in found),
        features=features,
    )
