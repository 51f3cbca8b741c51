"""How well estimates keep, for those who look after machines: in words, and one small drawing each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from orchestrator.domain.calibration import BP, PPM, Calibration, Sample, time_pairs
from orchestrator.flow.learn import EstimateView, estimates
from web.pages.face import lab_of, page
from web.pages.i18n import N_

WIDTH, HEIGHT, EDGE = 320, 200, 24
AS_THE_SLICER = 0.005
"""A difference below half a percent is none to a reader."""
PACE = {
    -1: N_("%(percent)s faster than the slicer thinks"),
    0: N_("As fast as the slicer thinks"),
    1: N_("%(percent)s slower than the slicer thinks"),
}
FLOW = {
    -1: N_("%(percent)s less material than the slicer thinks"),
    0: N_("As much material as the slicer thinks"),
    1: N_("%(percent)s more material than the slicer thinks"),
}


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Real time over the slicer's, both from 0 to `seconds_max`, as SVG coordinates."""

    dots: tuple[tuple[float, float], ...]
    slicer: str  # the path on which every dot would lie if the slicer were right
    learned: str  # that of the calibration; empty: none
    seconds_max: int


@dataclass(frozen=True, kw_only=True)
class Card:
    view: EstimateView
    chart: Chart | None

    @property
    def pace(self) -> float:
        """Relative: 0.08 is 8 % slower than the slicer thinks."""
        held = self.view.calibration
        return held.time_scale_ppm / PPM - 1 if held else 0.0

    @property
    def flow(self) -> float | None:
        """As `pace`, of material; None where nothing is known of it."""
        held = self.view.calibration
        return held.material_scale_ppm / PPM - 1 if held and held.material_samples else None

    @property
    def error_after(self) -> float | None:
        """Mean error with what was learned; None where nothing was."""
        held = self.view.calibration
        return held.time_error_after_bp / BP if held and held.samples else None


def sign(difference: float) -> int:
    return 0 if abs(difference) < AS_THE_SLICER else 1 if difference > 0 else -1


async def listing(request: web.Request) -> web.StreamResponse:
    return page(request, "estimates.html", **values(await estimates(lab_of(request))))


def values(views: Sequence[EstimateView]) -> dict[str, Any]:
    """What the template is given."""
    cards = [Card(view=view, chart=chart(view.samples, view.calibration)) for view in views]
    return {
        "cards": cards,
        "pace_words": PACE,
        "flow_words": FLOW,
        "sign": sign,
        "width": WIDTH,
        "height": HEIGHT,
        "edge": EDGE,
    }


def chart(samples: Sequence[Sample], held: Calibration | None) -> Chart | None:
    """None where there is nothing to draw."""
    pairs = time_pairs(samples)
    if not pairs:
        return None
    most = max(max(pair) for pair in pairs)

    def at(predicted: float, real: float) -> tuple[float, float]:
        across, up = (WIDTH - 2 * EDGE) / most, (HEIGHT - 2 * EDGE) / most
        return round(EDGE + across * predicted, 1), round(HEIGHT - EDGE - up * real, 1)

    def path(*points: tuple[float, float]) -> str:
        return "M" + "L".join(f"{x:g} {y:g}" for x, y in points)

    learned = ""
    if held is not None:
        scale, offset = held.time_scale_ppm / PPM, held.offset_seconds
        end = min(most, (most - offset) / scale)  # where it leaves the drawing
        learned = path(at(0, offset), at(end, offset + scale * end)) if end > 0 else ""
    return Chart(
        dots=tuple(at(predicted, real) for predicted, real in pairs),
        slicer=path(at(0, 0), at(most, most)),
        learned=learned,
        seconds_max=most,
    )
