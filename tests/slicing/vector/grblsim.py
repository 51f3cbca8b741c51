"""The judge of our planner: a small GRBL, executed step by step. It shares no code and no formula of time with it.

Written from GRBL 1.1's documented design (planner.c, stepper.c as its wiki and comments describe them): a ring of 15
blocks that is planned anew whenever a block arrives, and a stepper that cuts the first block into segments of 10 ms, in
each a whole number of steps at a constant rate of timer ticks. The time is the sum of those ticks; the feeder is never
late. Speeds are mm/min, times minutes, as in GRBL.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import ceil, inf, sqrt

TICKS_PER_SECOND = 16_000_000
SEGMENT_MINUTES = 0.01 / 60
BLOCKS = 15


@dataclass(frozen=True, kw_only=True)
class Axes:
    """GRBL's $100-$121 and $11: steps/mm, mm/min, mm/s2, mm."""

    steps: tuple[float, float] = (250.0, 250.0)
    rate: tuple[float, float] = (12000.0, 12000.0)
    acceleration: tuple[float, float] = (3000.0, 3000.0)
    deviation: float = 0.01


@dataclass(frozen=True, kw_only=True)
class Line:
    """One G-code line: where to, mm; feed mm/min, None for G0; `sync`: the machine is made to stand still before it."""

    x: float
    y: float
    feed: float | None = None
    sync: bool = False


@dataclass(kw_only=True)
class Block:
    mm: float
    steps: int
    accel: float  # mm/min2
    nominal: float
    entry_max: float  # squared
    entry: float = 0.0  # squared


@dataclass
class Machine:
    """Runs lines; `seconds` is what the step timer counted."""

    axes: Axes
    ring: deque[Block] = field(default_factory=deque)
    ticks: int = 0
    at: tuple[int, int] = (0, 0)
    unit: tuple[float, float] | None = None
    nominal: float = 0.0

    @property
    def seconds(self) -> float:
        return self.ticks / TICKS_PER_SECOND

    def run(self, lines: Sequence[Line]) -> float:
        stepper = Stepper(self)
        for line in lines:
            if line.sync:
                stepper.until_empty()
            if self.add(line):
                while len(self.ring) >= BLOCKS:
                    stepper.segment()
        stepper.until_empty()
        return self.seconds

    # -- planner

    def add(self, line: Line) -> bool:
        axes = self.axes
        to = (round(line.x * axes.steps[0]), round(line.y * axes.steps[1]))
        steps = (to[0] - self.at[0], to[1] - self.at[1])
        if steps == (0, 0):
            return False
        d = (steps[0] / axes.steps[0], steps[1] / axes.steps[1])
        mm = sqrt(d[0] ** 2 + d[1] ** 2)
        unit = (d[0] / mm, d[1] / mm)
        fastest = self.limit(axes.rate, unit)
        nominal = fastest if line.feed is None else min(line.feed, fastest)
        block = Block(
            mm=mm,
            steps=max(abs(steps[0]), abs(steps[1])),
            accel=self.limit(axes.acceleration, unit) * 3600,
            nominal=nominal,
            entry_max=0.0,
        )
        if self.ring and self.unit is not None:
            block.entry_max = min(self.junction(self.unit, unit), nominal**2, self.nominal**2)
        self.at, self.unit, self.nominal = to, unit, nominal
        self.ring.append(block)
        self.replan()
        return True

    @staticmethod
    def limit(most: tuple[float, float], unit: tuple[float, float]) -> float:
        return min(m / abs(u) if u else inf for m, u in zip(most, unit, strict=True))

    def junction(self, before: tuple[float, float], after: tuple[float, float]) -> float:
        """Squared speed through a corner, (mm/min)2."""
        cos = -(before[0] * after[0] + before[1] * after[1])
        if cos > 0.999999:
            return 0.0
        if cos < -0.999999:
            return inf
        across = (after[0] - before[0], after[1] - before[1])
        size = sqrt(across[0] ** 2 + across[1] ** 2)
        accel = self.limit(self.axes.acceleration, (across[0] / size, across[1] / size)) * 3600
        sine = sqrt(0.5 * (1 - cos))
        return accel * self.axes.deviation * sine / (1 - sine)

    def replan(self) -> None:
        """From a halt after the last block backward, then forward from the first, which is being executed."""
        blocks = list(self.ring)
        leave = 0.0
        for block in reversed(blocks[1:]):
            block.entry = leave = min(block.entry_max, leave + 2 * block.accel * block.mm)
        for block, after in pairwise(blocks):
            after.entry = min(after.entry, block.entry + 2 * block.accel * block.mm)


class Stepper:
    """Cuts the first block of the ring into segments of some 10 ms."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.block: Block | None = None
        self.speed = 0.0  # at the end of the last segment, mm/min
        self.per_mm = 0.0
        self.steps_left = 0.0
        self.owed = 0.0  # minutes that did not make a whole step

    def until_empty(self) -> None:
        while self.machine.ring:
            self.segment()
        self.machine.unit = None
        self.speed = 0.0

    def segment(self) -> None:
        block = self.machine.ring[0]
        if block is not self.block:
            self.block, self.owed = block, 0.0
            self.steps_left, self.per_mm = float(block.steps), block.steps / block.mm
            self.speed = sqrt(block.entry)
        step_mm = 1.25 / self.per_mm
        target = max(block.mm - step_mm, 0.0)
        spent, left, quantum = 0.0, block.mm, SEGMENT_MINUTES
        while left > 0 and (spent < quantum or left > target):
            if spent >= quantum:  # too slow for a step in this time
                quantum += SEGMENT_MINUTES
            took, left = self.advance(block, left, quantum - spent)
            spent += took
        self.emit(block, left, spent)
        block.entry = self.speed**2  # what is left is a block that begins now
        if left <= 0:
            self.machine.ring.popleft()
            self.block = None

    def advance(self, block: Block, left: float, minutes: float) -> tuple[float, float]:
        """Along one ramp of the rest of the block, at most so long: time spent, mm left."""
        ring = self.machine.ring
        leave = ring[1].entry if len(ring) > 1 else 0.0
        now, twice = self.speed**2, 2 * block.accel
        braking = max(now - leave, 0.0) / twice
        if braking >= left * (1 - 1e-9):
            return self.brake(left, minutes, sqrt(max(now - twice * left, leave)))
        top = min(block.nominal, sqrt((twice * left + now + leave) / 2))
        if self.speed < top * (1 - 1e-12):
            whole = (top - self.speed) / block.accel
            took = min(minutes, whole)
            faster = top if took == whole else self.speed + block.accel * took
            left -= took * (self.speed + faster) / 2
            self.speed = faster
            return took, max(left, 0.0)
        cruise = left - (top * top - leave) / twice
        took = min(minutes, max(cruise, 0.0) / top)
        if took < minutes and cruise <= 1e-9:
            return self.brake(left, minutes, sqrt(leave))
        return took, max(left - took * top, 0.0)

    def brake(self, left: float, minutes: float, leave: float) -> tuple[float, float]:
        whole = 2 * left / (self.speed + leave) if self.speed + leave > 0 else 0.0
        if minutes >= whole:
            self.speed = leave
            return whole, 0.0
        slower = self.speed - (self.speed - leave) * minutes / whole
        left -= minutes * (self.speed + slower) / 2
        self.speed = slower
        return minutes, left

    def emit(self, block: Block, left: float, minutes: float) -> None:
        """Whole steps at a whole number of ticks each; the rest of the time goes to the next segment."""
        exact = self.per_mm * left
        after = float(ceil(exact - 1e-6))
        minutes += self.owed
        rate = minutes / max(self.steps_left - exact, 1e-9)
        count = int(ceil(self.steps_left - 1e-6) - after)
        ticks = ceil(rate * 60 * TICKS_PER_SECOND)
        self.machine.ticks += count * ticks
        self.owed = (after - exact) * rate if left > 0 else 0.0
        self.steps_left = after
        block.mm = left
