"""What finished runs teach about estimates: a machine's own pace, minutes of heating and flow. Pure.

For each machine and profile `seconds x scale + fixed seconds` and `milligrams x scale` are fitted to pairs of what the
slicer said and what the machine counted. Priors are strong, and nothing is adopted unless runs that were left out of
the fit come out better for it (slicing reference, 4.3). A quote does not know yet which machine will run it: for it
the machines of a profile are put together. Money never reads any of this but through a quote.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from math import ceil, exp, hypot, log, sqrt
from statistics import fmean, median
from uuid import UUID

from orchestrator.domain.job import Artifact, Job
from orchestrator.domain.quote import Cutting, Estimate, EstimateSource, Quote, Spread
from orchestrator.domain.run import Run, RunState
from orchestrator.domain.usage import Quality, Source, Usage

PPM = 1_000_000
BP = 10_000

SAMPLES_MAX = 200
"""Older runs than these are forgotten: a machine is mended, a nozzle wears."""
SAMPLES_MIN = 3
SCALE_RIDGE = 0.05
OFFSET_RIDGE = 0.015
OFFSET_UNIT_SECONDS = 600.0
SOFT_RESIDUAL = 0.08
"""The relative residual beyond which a run begins to count for less."""
SCALE_LIMITS = (0.5, 2.0)
MATERIAL_SHRINK = 2
GAIN_BP = 20
"""An improvement smaller than 0.2 points is noise, and not worth a version."""
ERROR_MAX = 0.5
"""A single run counts at most this much in a mean error."""
FOLDS_MAX = 20
"""Up to so many runs each is left out by itself; of more, a twentieth at a time."""
SPREAD_PRIOR = 0.10
"""What machines differ from their slicer by, nine times in ten, before anything is known (slicing reference, 5.2)."""
SPREAD_SHRINK = 5
ROUNDS_MAX = 50


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What was said of one finished run, and what came of it. The first copy of this truth is never changed."""

    run_id: UUID
    machine_id: UUID
    profile: str
    at: datetime
    predicted_seconds: int  # the slicer's
    predicted_milligrams: int
    actual_seconds: int  # the machine's own count
    actual_milligrams: int | None  # None: the machine does not measure it
    quoted_seconds: int  # the p50 that the member was told
    quoted_milligrams: int
    source: EstimateSource  # what the quote was made from
    calibration: str  # the one that the quote was made with; empty: none


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """One adopted version for a machine under a profile, or (without machine) for the profile as a whole.

    Errors are means of |predicted / actual - 1| in basis points: `before` of the version before on the same runs,
    `after` of each run predicted without it (of a machine). A spread is what nine in ten runs stay under, above the
    prediction.
    """

    machine_id: UUID | None  # None: all machines of the profile together
    profile: str
    version: int
    at: datetime
    samples: int = 0  # that time was learned from
    time_scale_ppm: int = PPM
    offset_seconds: int = 0
    time_spread_bp: int = round(SPREAD_PRIOR * BP)
    time_error_before_bp: int = 0
    time_error_after_bp: int = 0
    material_samples: int = 0
    material_scale_ppm: int = PPM
    material_spread_bp: int = 0
    material_error_before_bp: int = 0
    material_error_after_bp: int = 0

    @property
    def name(self) -> str:
        """`mk3s:7`, as a quote keeps it."""
        return f"{self.profile}:{self.version}"

    def seconds(self, predicted: int) -> int:
        return round(predicted * self.time_scale_ppm / PPM) + self.offset_seconds

    def milligrams(self, predicted: int) -> int:
        return round(predicted * self.material_scale_ppm / PPM)


def sample_of(run: Run, job: Job, quote: Quote, usage: Usage, at: datetime) -> Sample | None:
    """What an ended run teaches; None where it teaches nothing: not finished, or not counted by the machine itself."""
    artifact = job.artifact
    counted = usage.quality is Quality.MEASURED and usage.seconds_source is Source.MACHINE
    if run.state is not RunState.FINISHED or artifact is None or not counted:
        return None
    return Sample(
        run_id=run.id,
        machine_id=run.machine_id,
        profile=artifact.profile,
        at=at,
        predicted_seconds=artifact.print_seconds,
        predicted_milligrams=artifact.filament_milligrams,
        actual_seconds=usage.machine_seconds,
        actual_milligrams=usage.filament_milligrams if usage.filament_source is Source.MACHINE else None,
        quoted_seconds=quote.estimate.print_seconds.p50,
        quoted_milligrams=quote.estimate.filament_milligrams.p50,
        source=quote.estimate.source,
        calibration=quote.estimate.calibration,
    )


# --- using it ------------------------------------------------------------------------------------


def calibrated(estimate: Estimate, known: Calibration | None) -> Estimate:
    """The estimate as the lab's machines will keep it; what it was before stays in it. Nothing known: unchanged."""
    if known is None:
        return estimate
    sliced = estimate.source is EstimateSource.SLICED
    return replace(
        estimate,
        print_seconds=_spread(estimate.print_seconds, known.seconds, known.time_spread_bp, sliced=sliced),
        filament_milligrams=_spread(
            estimate.filament_milligrams, known.milligrams, known.material_spread_bp, sliced=sliced
        ),
        calibration=known.name,
        raw_print_seconds=estimate.print_seconds,
        raw_filament_milligrams=estimate.filament_milligrams,
        cutting=_paced(estimate.cutting, known, sliced=sliced) if estimate.cutting else None,
    )


def _paced(cutting: Cutting, known: Calibration, *, sliced: bool) -> Cutting:
    """A machine that moves slower keeps its beam on for longer; what it loses before each run costs no beam."""
    if cutting.beam_seconds is None:
        return cutting

    def beam(seconds: int) -> int:
        return round(seconds * known.time_scale_ppm / PPM)

    return replace(
        cutting, beam_seconds=_spread(cutting.beam_seconds, beam, known.time_spread_bp, sliced=sliced)
    )


def _spread(raw: Spread, apply: Callable[[int], int], spread_bp: int, *, sliced: bool) -> Spread:
    """The estimator's own doubt and the machine's, which know nothing of one another. Once sliced, only the
    machine's is left."""
    p50 = apply(raw.p50)
    own = 0.0 if sliced or raw.p50 == 0 else raw.p90 / raw.p50 - 1
    return Spread(p50=p50, p90=ceil(p50 * (1 + hypot(own, spread_bp / BP)) - 1e-9))


def run_spread(artifact: Artifact, known: Calibration | None) -> Spread:
    """Seconds that a sliced file takes on a machine of which so much is known."""
    if known is None:
        seconds = artifact.print_seconds
        return Spread(p50=seconds, p90=ceil(seconds * (1 + SPREAD_PRIOR) - 1e-9))
    raw = Spread(p50=artifact.print_seconds, p90=artifact.print_seconds)
    return _spread(raw, known.seconds, known.time_spread_bp, sliced=True)


def permille_left(artifact: Artifact, run: Run) -> int:
    """Share of a run's time that is still to come: by where in the file the machine is, else by its own progress."""
    done = artifact.permille_at(run.position_bytes) if run.position_bytes is not None else None
    return 1000 - (run.progress_permille if done is None else done)


def seconds_left(artifact: Artifact | None, run: Run, known: Calibration | None) -> int | None:
    """Machine seconds that a run in progress still needs; None when it is not printing."""
    if artifact is None or run.state not in {RunState.RUNNING, RunState.PAUSED}:
        return None
    return run_spread(artifact, known).p50 * permille_left(artifact, run) // 1000


# --- learning it ---------------------------------------------------------------------------------

Pair = tuple[int, int]
"""Predicted and actual, of the same unit, both above 0."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """actual = predicted x scale + offset"""

    scale: float = 1.0
    offset: float = 0.0

    def at(self, predicted: float) -> float:
        return predicted * self.scale + self.offset


UNCHANGED = Line()
Fit = Callable[[Sequence[Pair]], Line]


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """A fit that left-out runs speak for."""

    line: Line
    samples: int
    spread_bp: int
    before_bp: int
    after_bp: int


def _time_line(known: Calibration) -> Line:
    return Line(scale=known.time_scale_ppm / PPM, offset=known.offset_seconds)


def _material_line(known: Calibration) -> Line:
    return Line(scale=known.material_scale_ppm / PPM)


def taught(known: Calibration, samples: Sequence[Sample], at: datetime) -> Calibration | None:
    """The next version for a machine, where these runs make one that is better than the present one; else None.

    `samples` are its own under the profile, newest first.
    """
    newest = samples[:SAMPLES_MAX]
    made = known
    if time := lesson(time_pairs(newest), _time_line(known), fit_time, SPREAD_PRIOR):
        made = replace(
            made,
            samples=time.samples,
            time_scale_ppm=round(time.line.scale * PPM),
            offset_seconds=round(time.line.offset),
            time_spread_bp=time.spread_bp,
            time_error_before_bp=time.before_bp,
            time_error_after_bp=time.after_bp,
        )
    if material := lesson(material_pairs(newest), _material_line(known), fit_material, 0.0):
        made = replace(
            made,
            material_samples=material.samples,
            material_scale_ppm=round(material.line.scale * PPM),
            material_spread_bp=material.spread_bp,
            material_error_before_bp=material.before_bp,
            material_error_after_bp=material.after_bp,
        )
    return None if made is known else replace(made, version=known.version + 1, at=at)


def pooled(
    known: Calibration, samples: Sequence[Sample], own: Mapping[UUID, Calibration], at: datetime
) -> Calibration | None:
    """The next version for a whole profile, where its machines have come to differ from the present one; else None.

    The mean of what is known of each machine (`own`; nothing: the slicer's word), weighed by its share of the newest
    runs: those are the machines that a job is likely to meet. A fit through all runs together would not do: between a
    fast and a slow machine it finds one of the two, and takes the other's runs for lies. The spread tells how much
    they differ; errors are those on the same runs.
    """
    newest = samples[:SAMPLES_MAX]
    timed = Counter(s.machine_id for s in newest if time_pairs([s]))
    weighed = Counter(s.machine_id for s in newest if material_pairs([s]))
    made = replace(
        known,
        samples=timed.total(),
        time_scale_ppm=_mean(timed, own, lambda c: c.time_scale_ppm, PPM),
        offset_seconds=_mean(timed, own, lambda c: c.offset_seconds, 0),
        material_samples=weighed.total(),
        material_scale_ppm=_mean(weighed, own, lambda c: c.material_scale_ppm, PPM),
    )
    time, material = time_pairs(newest), material_pairs(newest)
    made = replace(
        made,
        time_spread_bp=_spread_bp(time, [_time_line(made)] * len(time), SPREAD_PRIOR),
        time_error_before_bp=mean_error_bp(time, [_time_line(known)] * len(time)),
        time_error_after_bp=mean_error_bp(time, [_time_line(made)] * len(time)),
        material_spread_bp=_spread_bp(material, [_material_line(made)] * len(material), 0.0),
        material_error_before_bp=mean_error_bp(material, [_material_line(known)] * len(material)),
        material_error_after_bp=mean_error_bp(material, [_material_line(made)] * len(material)),
    )
    return replace(made, version=known.version + 1, at=at) if own and _differ(known, made) else None


def _mean(
    runs: Mapping[UUID, int],
    own: Mapping[UUID, Calibration],
    figure: Callable[[Calibration], int],
    unknown: int,
) -> int:
    """Of a figure over machines, each weighing its runs."""
    total = sum(figure(own[m]) * n if m in own else unknown * n for m, n in runs.items())
    return round(total / sum(runs.values())) if runs else unknown


def _differ(one: Calibration, other: Calibration) -> bool:
    """By more than is worth a version: 0.2 % of time or material, half a minute, a point of spread."""
    return (
        abs(one.time_scale_ppm - other.time_scale_ppm) >= GAIN_BP * PPM // BP
        or abs(one.offset_seconds - other.offset_seconds) >= 30
        or abs(one.material_scale_ppm - other.material_scale_ppm) >= GAIN_BP * PPM // BP
        or abs(one.time_spread_bp - other.time_spread_bp) >= 100
        or abs(one.material_spread_bp - other.material_spread_bp) >= 100
    )


def time_pairs(samples: Sequence[Sample]) -> list[Pair]:
    """Of the runs that can be believed: within a factor of three, or half an hour more. Beyond that the machine has
    counted something else."""
    pairs = [(s.predicted_seconds, s.actual_seconds) for s in samples]
    return [(p, y) for p, y in pairs if 0 < p <= 3 * y and y <= 3 * p + 1800]


def material_pairs(samples: Sequence[Sample]) -> list[Pair]:
    """Of the runs whose machine measured it, within a factor of three."""
    pairs = [(s.predicted_milligrams, s.actual_milligrams or 0) for s in samples]
    return [(p, y) for p, y in pairs if 0 < p <= 3 * y and y <= 3 * p]


def lesson(pairs: Sequence[Pair], present: Line, fit: Fit, spread_prior: float) -> Lesson | None:
    """What the pairs teach; None unless runs that were left out of the fit are predicted better than by `present`."""
    if len(pairs) < SAMPLES_MIN:
        return None
    left_out = _left_out(pairs, fit)
    before, after = mean_error_bp(pairs, [present] * len(pairs)), mean_error_bp(pairs, left_out)
    if after + GAIN_BP > before:
        return None
    return Lesson(
        line=fit(pairs),
        samples=len(pairs),
        spread_bp=_spread_bp(pairs, left_out, spread_prior),
        before_bp=before,
        after_bp=after,
    )


def _spread_bp(pairs: Sequence[Pair], lines: Sequence[Line], prior: float) -> int:
    """What nine in ten stay under, above the prediction; drawn to the prior as long as there are few."""
    over = sorted(max(0.0, y / line.at(p) - 1) for (p, y), line in zip(pairs, lines, strict=True))
    ninth = min(1.0, over[ceil(0.9 * len(over)) - 1]) if over else prior
    return round(BP * (len(over) * ninth + SPREAD_SHRINK * prior) / (len(over) + SPREAD_SHRINK))


def mean_error_bp(pairs: Sequence[Pair], lines: Sequence[Line]) -> int:
    """Mean of |predicted / actual - 1|, each pair by its own line, in basis points; no pair counts more than half."""
    errors = [min(ERROR_MAX, abs(line.at(p) / y - 1)) for (p, y), line in zip(pairs, lines, strict=True)]
    return round(fmean(errors) * BP) if errors else 0


def _left_out(pairs: Sequence[Pair], fit: Fit) -> list[Line]:
    """For each pair a line fitted without it. Of more than 20 pairs every twentieth is left out together, so that the
    work stays a matter of milliseconds."""
    folds = min(len(pairs), FOLDS_MAX)
    lines = [fit([pair for i, pair in enumerate(pairs) if i % folds != fold]) for fold in range(folds)]
    return [lines[i % folds] for i in range(len(pairs))]


def fit_time(pairs: Sequence[Pair]) -> Line:
    """Scale and fixed seconds: least squares of the relative residuals, with ridges that pull to 1 and 0.

    By reweighting, twice: first so that a run far off pulls with its sign more than with its size (soft L1), which
    finds the line wherever it is; then, from there, so that it hardly counts (Cauchy): a pause counted as work, a
    machine that lies.
    """
    line = UNCHANGED
    for weight in (_soft, _hard):
        for _ in range(ROUNDS_MAX):
            before, line = line, _weighted(pairs, line, weight)
            if abs(line.scale - before.scale) < 1e-6 and abs(line.offset - before.offset) < 1e-2:
                break
    return line


def _soft(residual: float) -> float:
    return 1 / sqrt(1 + residual * residual)


def _hard(residual: float) -> float:
    return 1 / (1 + residual * residual)


def _weighted(pairs: Sequence[Pair], line: Line, weight: Callable[[float], float]) -> Line:
    """One round: the 2 x 2 normal equations in scale and offset / 600 s, weighted by how well `line` does.

    Residuals are relative to what `line` says: relative to the actual, a run told too short would pull the hardest.
    """
    xx, xu, uu, xt, ut = SCALE_RIDGE, 0.0, OFFSET_RIDGE, SCALE_RIDGE, 0.0
    for predicted, actual in pairs:
        said = line.at(predicted)
        x, u, t = predicted / said, OFFSET_UNIT_SECONDS / said, actual / said
        w = weight((1 - t) / SOFT_RESIDUAL)
        xx += w * x * x
        xu += w * x * u
        uu += w * u * u
        xt += w * x * t
        ut += w * u * t
    # no machine ends before it has begun: where the offset would be negative, all that is missing is pace
    offset = max(0.0, (xx * ut - xu * xt) / (xx * uu - xu * xu))
    least, most = SCALE_LIMITS
    return Line(scale=min(most, max(least, (xt - xu * offset) / xx)), offset=offset * OFFSET_UNIT_SECONDS)


def fit_material(pairs: Sequence[Pair]) -> Line:
    """The median factor, drawn to 1 as long as there are few: N / (N + 2) of its logarithm."""
    factor = median(log(actual / predicted) for predicted, actual in pairs)
    return Line(scale=exp(factor * len(pairs) / (len(pairs) + MATERIAL_SHRINK)))


def median_error(samples: Sequence[Sample], of: Callable[[Sample], tuple[int, int | None]]) -> float | None:
    """Median of |said / actual - 1| over the samples that have an actual; None without any."""
    errors = [abs(said / actual - 1) for said, actual in map(of, samples) if actual]
    return median(errors) if errors else None


def quoted_time(sample: Sample) -> tuple[int, int | None]:
    return sample.quoted_seconds, sample.actual_seconds


def quoted_material(sample: Sample) -> tuple[int, int | None]:
    return sample.quoted_milligrams, sample.actual_milligrams
