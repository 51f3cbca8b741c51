"""Our own count of a run's printing seconds, for machines that keep none; never across a gap."""

from __future__ import annotations

from uuid import UUID


class StopWatch:
    def __init__(self) -> None:
        self._run_id: UUID | None = None
        self._total = 0.0
        self._since: float | None = None

    def follow(self, run_id: UUID) -> None:
        if run_id != self._run_id:
            self._run_id, self._total, self._since = run_id, 0.0, None

    def see(self, now: float, *, printing: bool) -> None:
        if self._since is not None:
            self._total += now - self._since
        self._since = now if printing else None

    def stop(self) -> None:
        self._since = None

    def seconds(self, run_id: UUID) -> int | None:
        return round(self._total) if run_id == self._run_id and self._total else None
