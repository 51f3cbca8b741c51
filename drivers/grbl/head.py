"""Which line of the file the head is on, from the places that reports tell. Pure.

Paths cross and run over each other, so that the place alone does not say it: of the lines that pass there, it is the
one that is reached by about the way that the head has gone since the last report.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from drivers.grbl.program import Program

NEAR_MM = 0.1


@dataclass(kw_only=True)
class Head:
    program: Program
    line: int = 0  # never falls
    _gone_mm: float = 0.0  # of that line
    _at: float | None = None
    _feed: float = 0.0

    def seen(
        self, place_mm: tuple[float, float], feed: float | None, at: float, *, low: int, high: int
    ) -> None:
        """It is there, at this feed (mm/min), and on a line from `low` up to `high`."""
        if low > self.line:
            self.line, self._gone_mm = low, 0.0
        expected = self._expected_mm(feed, at)
        self._at, self._feed = at, feed or 0.0
        best, way_off, nearest = None, math.inf, math.inf
        before = -self._gone_mm  # from the last place to the beginning of the line
        for number in range(max(1, self.line), min(high + 1, len(self.program))):
            length, gone, away = self._on(number, place_mm)
            way = before + gone
            off = abs(way - expected)
            before += length
            near, was_near = away < NEAR_MM and way > -NEAR_MM, nearest < NEAR_MM
            if (near and (not was_near or off < way_off)) or (not was_near and away < nearest):
                best, way_off, nearest = (number, gone), off, away
        if best is not None:
            self.line, self._gone_mm = best

    def _expected_mm(self, feed: float | None, at: float) -> float:
        if self._at is None:
            return 0.0
        return max(0.0, at - self._at) * (self._feed + (feed or 0.0)) / 2 / 60

    def _on(self, number: int, place_mm: tuple[float, float]) -> tuple[float, float, float]:
        """Length of the line, how far along it is nearest to the place, and how far that is away from it."""
        program = self.program
        ax, ay = program.xs[number - 1], program.ys[number - 1]
        dx, dy = program.xs[number] - ax, program.ys[number] - ay
        x, y = place_mm[0] - ax, place_mm[1] - ay
        length = math.hypot(dx, dy)
        gone = 0.0 if length == 0 else min(length, max(0.0, (x * dx + y * dy) / length))
        share = gone / length if length else 0.0
        return length, gone, math.hypot(x - share * dx, y - share * dy)
