"""A machine that is slower than its slicer says and takes minutes to heat, and how far off quotes for it are after some
runs. The machine is simulated; learning is the lab's own."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from uuid import uuid4

from orchestrator.domain.calibration import SAMPLES_MAX, Calibration, Sample, taught
from orchestrator.domain.quote import EstimateSource

JUDGED_EACH = 5
BEGAN = datetime(2026, 3, 2, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Model:
    """Seconds of one real part: by the mesh estimate, and by PrusaSlicer."""

    mesh: int
    sliced: int


@dataclass(frozen=True, kw_only=True)
class Pace:
    """A simulated machine: seconds = (slicer x scale + offset) x noise of this relative deviation."""

    scale: float = 1.08
    offset: float = 300.0
    noise: float = 0.02

    def print(self, sliced: int, rng: random.Random) -> int:
        return max(1, round((self.scale * sliced + self.offset) * rng.gauss(1, self.noise)))


PERFECT = Pace(scale=1.0, offset=0.0, noise=0.0)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Median errors over all models, as shares: before any run, after so many, and with a machine that keeps the
    slicer's time exactly."""

    calibration: Calibration
    before: float
    after: Mapping[int, float]  # by the number of runs
    floor: float

    def gap(self, runs: int) -> float:
        return self.after[runs] - self.floor


def trial(models: Sequence[Model], seed: int, *, pace: Pace | None = None, after: Sequence[int]) -> Trial:
    """Run randomly chosen models on the machine, learn as the lab does, and judge the quotes for all models."""
    rng, pace = random.Random(seed), pace or Pace()
    held = Calibration(machine_id=None, profile="mk3s", version=0, at=BEGAN)
    before, errors = _error(models, held, pace, rng), {}
    samples: list[Sample] = []
    for number in range(1, max(after) + 1):
        model = rng.choice(models)
        samples.insert(0, _sample(model, pace.print(model.sliced, rng)))
        held = taught(held, samples[:SAMPLES_MAX], BEGAN) or held
        if number in after:
            errors[number] = _error(models, held, pace, rng)
    untaught = Calibration(machine_id=None, profile="mk3s", version=0, at=BEGAN)
    return Trial(calibration=held, before=before, after=errors, floor=_error(models, untaught, PERFECT, rng))


def _sample(model: Model, actual_seconds: int) -> Sample:
    return Sample(
        run_id=uuid4(),
        machine_id=uuid4(),
        profile="mk3s",
        at=BEGAN,
        predicted_seconds=model.sliced,
        predicted_milligrams=1,
        actual_seconds=actual_seconds,
        actual_milligrams=None,
        quoted_seconds=model.mesh,
        quoted_milligrams=1,
        source=EstimateSource.MESH,
        calibration="",
    )


def _error(models: Sequence[Model], held: Calibration, pace: Pace, rng: random.Random) -> float:
    judged = [model for model in models for _ in range(JUDGED_EACH)]
    return median(abs(held.seconds(m.mesh) / pace.print(m.sliced, rng) - 1) for m in judged)
