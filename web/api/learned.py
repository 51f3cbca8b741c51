"""What finished runs taught, and how well estimates keep since."""

from __future__ import annotations

from uuid import UUID

from orchestrator.domain.calibration import BP, PPM, Calibration
from orchestrator.flow.learn import EstimateView, estimates
from web.api.moments import moment
from web.typed import Call, Shown


class ShownCalibration(Shown):
    """Real time = slicer's time x `time_scale` + `offset_seconds`; real material = slicer's x `material_scale`."""

    version: int
    adopted_at: str
    samples: int
    time_scale: float
    offset_seconds: int
    time_spread: float
    """Nine runs in ten take at most this share more than predicted."""
    time_error_before: float
    """Mean error of the version before, as a share, on the runs learned from."""
    time_error_after: float
    material_samples: int
    material_scale: float
    material_spread: float
    material_error_before: float
    material_error_after: float


class ShownEstimates(Shown):
    profile: str
    machine_id: UUID | None
    """None: all machines of the profile together, as quotes use them."""
    machine: str | None
    runs: int
    slicer_error: float | None
    """Mean error of the slicer's own time, as a share, over the newest 200 runs; None: no such run."""
    quoted_time_error: float | None
    """Median error of the newest 20 quotes, as a share."""
    quoted_material_error: float | None
    calibration: ShownCalibration | None
    """None: the slicer's figures hold as they are."""


class EstimatesList(Shown):
    items: list[ShownEstimates]
    next: str | None


async def calibrations(call: Call) -> EstimatesList:
    return EstimatesList(items=[_shown(view) for view in await estimates(call.lab)], next=None)


def _shown(view: EstimateView) -> ShownEstimates:
    return ShownEstimates(
        profile=view.profile,
        machine_id=view.machine.id if view.machine else None,
        machine=view.machine.name if view.machine else None,
        runs=view.runs,
        slicer_error=view.slicer_error,
        quoted_time_error=view.quoted_time_error,
        quoted_material_error=view.quoted_material_error,
        calibration=_calibration(view.calibration) if view.calibration else None,
    )


def _calibration(value: Calibration) -> ShownCalibration:
    return ShownCalibration(
        version=value.version,
        adopted_at=moment(value.at),
        samples=value.samples,
        time_scale=value.time_scale_ppm / PPM,
        offset_seconds=value.offset_seconds,
        time_spread=value.time_spread_bp / BP,
        time_error_before=value.time_error_before_bp / BP,
        time_error_after=value.time_error_after_bp / BP,
        material_samples=value.material_samples,
        material_scale=value.material_scale_ppm / PPM,
        material_spread=value.material_spread_bp / BP,
        material_error_before=value.material_error_before_bp / BP,
        material_error_after=value.material_error_after_bp / BP,
    )
