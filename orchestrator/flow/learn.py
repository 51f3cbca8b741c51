"""What a finished run teaches, written in the transaction that ends it; and what is known so far, for quotes,
forecasts and whoever looks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from orchestrator.domain.calibration import (
    BP,
    SAMPLES_MAX,
    UNCHANGED,
    Calibration,
    Sample,
    mean_error_bp,
    median_error,
    pooled,
    quoted_material,
    quoted_time,
    sample_of,
    taught,
    time_pairs,
)
from orchestrator.domain.event import SYSTEM, Event, Json
from orchestrator.domain.job import Job
from orchestrator.domain.machine import Machine
from orchestrator.domain.run import Run
from orchestrator.domain.usage import Usage
from orchestrator.flow.known import Known, known
from orchestrator.flow.lab import Lab
from orchestrator.ports import Unit

QUOTES_JUDGED = 20
"""How many of the newest quotes an error that is shown is the median of."""


async def learn(unit: Unit, run: Run, job: Job, usage: Usage, at: datetime) -> None:
    """Keep what was predicted and what came of it, and adopt what that teaches of the machine, and of all machines
    of its profile together."""
    quote = await unit.quote(job.quote_id)
    sample = sample_of(run, job, quote, usage, at) if quote is not None else None
    if sample is None:
        return
    await unit.add_sample(sample)
    await _teach_machine(unit, sample.profile, sample.machine_id, at)
    await _teach_profile(unit, sample.profile, at)


async def _teach_machine(unit: Unit, profile: str, machine_id: UUID, at: datetime) -> None:
    samples = await unit.samples(profile, machine_id, limit=SAMPLES_MAX)
    held = await unit.calibration(profile, machine_id)
    await _adopt(unit, taught(held or _nothing(profile, machine_id, at), samples, at))


async def _teach_profile(unit: Unit, profile: str, at: datetime) -> None:
    samples = await unit.samples(profile, None, limit=SAMPLES_MAX)
    own = {c.machine_id: c for c in await unit.calibrations() if c.profile == profile and c.machine_id}
    held = await unit.calibration(profile, None)
    await _adopt(unit, pooled(held or _nothing(profile, None, at), samples, own, at))


def _nothing(profile: str, machine_id: UUID | None, at: datetime) -> Calibration:
    """What is known before anything is: the slicer's figures as they are."""
    return Calibration(machine_id=machine_id, profile=profile, version=0, at=at)


async def _adopt(unit: Unit, made: Calibration | None) -> None:
    if made is not None:
        await unit.adopt(made, _adopted(made))


def _adopted(made: Calibration) -> Event:
    data: dict[str, Json] = {
        "profile": made.profile,
        "version": made.version,
        "samples": made.samples,
        "time_scale_ppm": made.time_scale_ppm,
        "offset_seconds": made.offset_seconds,
        "material_scale_ppm": made.material_scale_ppm,
        "time_error_before_bp": made.time_error_before_bp,
        "time_error_after_bp": made.time_error_after_bp,
    }
    return Event(topic="calibration.adopted", at=made.at, actor=SYSTEM, data=data, machine_id=made.machine_id)


# --- what is known --------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class EstimateView:
    """What is known of a machine under a profile, or of all its machines together, and how well it does."""

    profile: str
    machine: Machine | None  # None: all machines of the profile together
    runs: int  # kept, of which the newest are learned from
    calibration: Calibration | None  # None: the slicer's figures hold as they are
    samples: tuple[Sample, ...]  # the newest, newest first
    slicer_error: (
        float | None
    )  # mean |predicted / actual - 1| of those, by the slicer's word alone; None: no such run
    quoted_time_error: float | None  # median |quoted / actual - 1| of the newest quotes
    quoted_material_error: float | None  # None: no machine measures it


async def estimates(lab: Lab) -> tuple[EstimateView, ...]:
    """By profile: all machines together first, then each machine that has finished a run, by name."""
    return await lab.store.read(estimate_views)


async def estimate_views(unit: Unit, *, limit: int = SAMPLES_MAX) -> tuple[EstimateView, ...]:
    """As `estimates`, within a unit of work, by the newest `limit` runs of each."""
    counted = await unit.samples_counted()
    machines = {machine.id: machine for machine in await unit.machines()}
    held = await known(unit)
    views: list[EstimateView] = []
    for profile in sorted({profile for _machine, profile, _runs in counted}):
        runs = {machines[machine_id]: runs for machine_id, of, runs in counted if of == profile}
        views.append(await _view(unit, held, profile, None, sum(runs.values()), limit))
        by_name = sorted(runs, key=lambda machine: (machine.name, machine.id))
        views += [await _view(unit, held, profile, m, runs[m], limit) for m in by_name]
    return tuple(views)


async def _view(
    unit: Unit, held: Known, profile: str, machine: Machine | None, runs: int, limit: int
) -> EstimateView:
    machine_id = machine.id if machine else None
    samples = await unit.samples(profile, machine_id, limit=limit)
    pairs, newest = time_pairs(samples), samples[:QUOTES_JUDGED]
    return EstimateView(
        profile=profile,
        machine=machine,
        runs=runs,
        calibration=held.by.get((profile, machine_id)),
        samples=tuple(samples),
        slicer_error=mean_error_bp(pairs, [UNCHANGED] * len(pairs)) / BP if pairs else None,
        quoted_time_error=median_error(newest, quoted_time),
        quoted_material_error=median_error(newest, quoted_material),
    )
