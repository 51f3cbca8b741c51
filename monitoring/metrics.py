"""Figures for Prometheus, read from the store when they are asked for; labels only from closed sets.
Billing never reads them."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Mapping, Sequence

from prometheus_client import CollectorRegistry, Gauge, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder

from orchestrator.domain.calibration import PPM, Calibration
from orchestrator.domain.job import ENDED, JobState
from orchestrator.domain.machine import Bed, Machine
from orchestrator.domain.run import Run, RunState
from orchestrator.flow.learn import QUOTES_JUDGED, EstimateView, estimate_views
from orchestrator.ports import Store, Unit

JOBS_COUNTED_MAX = 10_000
LEARNED: Mapping[str, tuple[str, Callable[[Calibration], float]]] = {
    "version": ("Adopted calibrations so far", lambda c: c.version),
    "time_scale": ("Real time by the slicer's, without the offset", lambda c: c.time_scale_ppm / PPM),
    "offset_seconds": ("Fixed seconds beyond the slicer's", lambda c: c.offset_seconds),
    "material_scale": ("Real material by the slicer's", lambda c: c.material_scale_ppm / PPM),
}
"""What finished runs taught, as gauges `etabli_calibration_…`; absent where nothing was adopted."""


class Metrics:
    """`exposition` reads the store, sets the gauges and writes them in the form that is accepted."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self._jobs = self._gauge("etabli_jobs", "Jobs that have not ended, by state", "state")
        self._machines = self._gauge("etabli_machines", "Machines by link and bed", "site", "link", "bed")
        self._unclear = self._gauge("etabli_runs_unclear", "Runs that only a person can resolve")
        self._active = self._gauge("etabli_runs_active", "Runs under way, by state", "state")
        self._head = self._gauge("etabli_event_seq", "Number of the last event in the log")
        whose = ("machine", "profile")  # an empty machine: all of the profile together
        self._time_error = self._gauge(
            "etabli_estimate_time_error_ratio", "Median |quoted / real - 1| of the last 20 runs' time", *whose
        )
        self._material_error = self._gauge(
            "etabli_estimate_material_error_ratio",
            "Median |quoted / real - 1| of the last 20 runs' material, where the machine measures it",
            *whose,
        )
        self._learned = {
            name: self._gauge(f"etabli_calibration_{name}", says, *whose)
            for name, (says, _of) in LEARNED.items()
        }

    def _gauge(self, name: str, says: str, *labels: str) -> Gauge:
        return Gauge(name, says, labels, registry=self._registry)

    async def exposition(self, accept: str) -> tuple[bytes, str]:
        """The text and its content type. Raises Unavailable while the database is away."""
        await self._store.read(self._read)
        encoder, content_type = choose_encoder(accept)
        return encoder(self._registry), content_type

    async def _read(self, unit: Unit) -> None:
        going_on = frozenset(JobState) - ENDED
        jobs = await unit.jobs(states=going_on, limit=JOBS_COUNTED_MAX)
        states = Tally(job.state for job in jobs)
        for state in going_on:
            self._jobs.labels(state.value).set(states[state])
        self._set_runs(list(await unit.active_runs()))
        self._set_machines(list(await unit.machines()))
        self._head.set(await unit.head())
        self._set_learned(await estimate_views(unit, limit=QUOTES_JUDGED))

    def _set_runs(self, runs: list[Run]) -> None:
        states = Tally(run.state for run in runs)
        self._unclear.set(states[RunState.UNCLEAR])
        for state in RunState:
            self._active.labels(state.value).set(states[state])

    def _set_machines(self, machines: list[Machine]) -> None:
        self._machines.clear()
        seen = Tally((m.site, m.link.value, m.bed.value) for m in machines)
        for site in {m.site for m in machines}:
            for bed in Bed:
                seen.setdefault((site, "online", bed.value), 0)
        for labels, count in seen.items():
            self._machines.labels(*labels).set(count)

    def _set_learned(self, views: Sequence[EstimateView]) -> None:
        for gauge in (self._time_error, self._material_error, *self._learned.values()):
            gauge.clear()
        for view in views:
            whose = (view.machine.name if view.machine else "", view.profile)
            for gauge, error in (
                (self._time_error, view.quoted_time_error),
                (self._material_error, view.quoted_material_error),
            ):
                if error is not None:
                    gauge.labels(*whose).set(error)
            if view.calibration is not None:
                for name, (_says, of) in LEARNED.items():
                    self._learned[name].labels(*whose).set(of(view.calibration))
