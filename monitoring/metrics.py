"""Figures for Prometheus, read from the store when they are asked for; labels only from closed sets.
Billing never reads them."""

from __future__ import annotations

from collections import Counter as Tally

from prometheus_client import CollectorRegistry, Gauge, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder

from orchestrator.domain.job import ENDED, JobState
from orchestrator.domain.machine import Bed, Machine
from orchestrator.domain.run import Run, RunState
from orchestrator.ports import Store, Unit

JOBS_COUNTED_MAX = 10_000


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
