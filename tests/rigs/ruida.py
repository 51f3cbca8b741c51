"""The rig of the Ruida driver: the fake controller on loopback, and a clock that can skip what a job takes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from drivers.ruida.driver import RuidaDriver
from drivers.ruida.wire import document_name
from orchestrator.clock import SystemClock
from orchestrator.domain.event import Json
from orchestrator.domain.presence import Presence
from orchestrator.ports import Control, Driver
from slicing.vector import ruida
from slicing.vector.machines import CUTTERS
from slicing.vector.toolpath import CUT, Contour, Operation, Settings, Toolpath
from tests.rigs.fake_ruida import FakeRuida, Mood, fake_ruida
from tests.rigs.rig import Ways, a_presence

T = TypeVar("T")

JOB_SECONDS = 95
BY_HAND = "RING_7"


class SkippingClock(SystemClock):
    """Real time, of which a test may skip some."""

    def __init__(self) -> None:
        self._skipped = 0.0

    def skip(self, seconds: float) -> None:
        self._skipped += seconds

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self._skipped)

    def monotonic(self) -> float:
        return super().monotonic() + self._skipped


class RuidaRig:
    def __init__(self, directory: Path, clock: SkippingClock, fake: FakeRuida) -> None:
        self.ways = Ways(
            obeys_starts=False, tells_position=False, controls=frozenset({Control.PAUSE, Control.CANCEL})
        )
        self.clock = clock
        self.fake = fake
        self._directory = directory

    def connection(self, **others: Json) -> dict[str, Json]:
        return {
            "host": "127.0.0.1",
            "port": self.fake.port,
            "local_port": 0,
            "answer_seconds": 0.5,
            "poll_seconds": 0.05,
            "state_path": str(self._directory / "ruida.json"),
            **others,
        }

    def driver(self) -> Driver:
        return RuidaDriver(self.connection(), self.clock)

    def driver_with_wrong_key(self) -> Driver | None:
        return None

    def presence(self, file: Path) -> Presence | None:
        return a_presence(file, self.clock)

    def file(self, lines: int = 20) -> Path:
        path = self._directory / f"{lines}.rd"
        path.write_bytes(ruida.write(squares(lines), CUTTERS["co2-9060-ruida"]))
        return path

    @property
    def begun(self) -> tuple[str, ...]:
        """By the runs' names, where they are those of the contract's two."""
        known = {document_name(name): name for name in _RUNS}
        return tuple(known.get(name, name) for name in self.fake.memory.begun)

    async def meanwhile(self, call: Coroutine[Any, Any, T]) -> T:
        return await call

    async def is_started_at_the_panel(self, remote_name: str) -> None:
        self.fake.is_started(document_name(remote_name))

    async def prints_on(self) -> None:
        self._works(JOB_SECONDS // 4)

    def _works(self, seconds: int) -> None:
        self.clock.skip(seconds)
        self.fake.works(seconds)

    async def finishes(self) -> None:
        self.clock.skip(JOB_SECONDS)
        self.fake.finishes(JOB_SECONDS)

    async def jams(self) -> None:
        self.fake.is_protected()

    async def is_cancelled_by_hand(self) -> None:
        self.fake.is_stopped()

    async def was_started_by_hand(self) -> str | None:
        self.fake.stores_by_hand(BY_HAND)
        self.fake.is_started(BY_HAND)
        return None

    async def goes_silent(self) -> None:
        self.fake.mood = Mood.SILENT

    async def is_cut_off(self) -> None:
        await self.fake.vanish()

    async def comes_back(self) -> None:
        await self.fake.vanish()
        self.fake.mood = Mood.ANSWERS
        await self.fake.listen()

    async def answers_500(self) -> None:
        self.fake.mood = Mood.REFUSES

    async def loses_the_answer(self) -> None:
        self.fake.mood = Mood.LOSES_ANSWERS

    async def forgets(self) -> None:
        self.clock.skip(30)
        self.fake.loses_power(30)


_RUNS = tuple(f"fl-{token}.gcode" for token in ("0123456789ab-cdef01", "ba9876543210-10fedc"))


def squares(count: int) -> Toolpath:
    """So many squares of a centimetre in rows, cut out."""
    corners = np.array([[0.0, 0.0], [10.0, 0.0], [10.0, 10.0], [0.0, 10.0]])
    contours = tuple(
        Contour(points=corners + np.array([at % 40, at // 40]) * 12.0, closed=True) for at in range(count)
    )
    settings = Settings(speed_mm_s=20.0, power_permille=650)
    cut = Operation(kind=CUT, key="#ff0000", settings=settings, contours=contours)
    return Toolpath(machine="co2-9060-ruida", material="birch-ply-3", operations=(cut,))


@asynccontextmanager
async def ruida_on_fake(directory: Path) -> AsyncIterator[RuidaRig]:
    clock = SkippingClock()
    async with fake_ruida(clock) as fake:
        yield RuidaRig(directory, clock, fake)
