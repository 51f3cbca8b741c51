"""The rig of the Grbl driver: a fake controller behind a line that can fail, and files that it can cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from drivers.grbl.driver import GrblDriver
from orchestrator.clock import SystemClock
from orchestrator.domain.presence import Presence
from orchestrator.ports import Clock, Driver, StartAnswer
from tests.rigs.fake_grbl import FakeGrbl, fake_grbl
from tests.rigs.proxy import Mood, Proxy, proxied
from tests.rigs.rig import Ways, a_presence
from tests.services import wait_until

T = TypeVar("T")
FAST = 20.0


def a_cut(lines: int = 20) -> str:
    """Strokes of a second each at the machine's own speed, then the beam is off."""
    strokes = [f"G1 X{10 + 10 * (line % 2)} Y{line % 300} S500 F600" for line in range(lines)]
    return "\n".join(
        ["; a cut", "G21", "G90 G94 G54", "M4 S0", "G0 X10 Y0", *strokes, "M5", "G0 X0 Y0", "M2", ""]
    )


class NamedDriver(GrblDriver):
    """Grbl knows no file names: the rig notes under which name the driver was told to start."""

    def __init__(self, address: str, clock: Clock, starts: Callable[[str], None]) -> None:
        super().__init__({"address": address, "answer_seconds": 0.8, "door": True}, clock)
        self._starts = starts

    async def start(self, remote_name: str, presence: Presence | None = None) -> StartAnswer:
        self._starts(remote_name)
        return await super().start(remote_name, presence)


class GrblRig:
    ways: ClassVar[Ways] = Ways(streamed=True)

    def __init__(self, directory: Path, proxy: Proxy, fake: FakeGrbl) -> None:
        self.clock = SystemClock()
        self.proxy = proxy
        self.fake = fake
        self._directory = directory
        self._begun: list[str] = []
        self._asked = ""

    def presence(self, file: Path) -> Presence | None:
        return a_presence(file, self.clock)

    async def is_started_at_the_panel(self, remote_name: str) -> None:
        raise NotImplementedError("this machine is fed")

    def driver(self) -> Driver:
        return NamedDriver(self.proxy.url.replace("http:", "tcp:"), self.clock, self._starts)

    def _starts(self, name: str) -> None:
        self._look()
        self._asked = name

    def _look(self) -> None:
        """Every program that began since the last look is the one that was asked for last."""
        self._begun += [self._asked] * (self.fake.programs - len(self._begun))

    def driver_with_wrong_key(self) -> Driver | None:
        return None

    def file(self, lines: int = 20) -> Path:
        path = self._directory / f"{lines}.gcode"
        path.write_text(a_cut(lines))
        return path

    @property
    def begun(self) -> tuple[str, ...]:
        self._look()
        return tuple(self._begun)

    async def meanwhile(self, call: Coroutine[Any, Any, T]) -> T:
        return await call

    async def prints_on(self) -> None:
        before = len(self.fake.lines)
        await self._at_speed(lambda: len(self.fake.lines) > before + 40)

    async def finishes(self) -> None:
        await self._at_speed(lambda: self.fake.idle)
        reports = self.fake.reports
        await self._comes(lambda: self.fake.reports > reports + 2)
        await asyncio.sleep(0.05)

    async def _at_speed(self, wanted: Callable[[], bool]) -> None:
        self.fake.speed = FAST
        await self._comes(wanted)
        self.fake.speed = 1.0

    async def _comes(self, wanted: Callable[[], bool]) -> None:
        async def come() -> bool:
            return wanted()

        await wait_until(come, deadline_seconds=10)

    async def jams(self) -> None:
        self.fake.hit_a_limit()

    async def is_cancelled_by_hand(self) -> None:
        self.fake.press_reset()

    async def was_started_by_hand(self) -> str | None:
        self.fake.start_by_hand()
        return None

    async def goes_silent(self) -> None:
        self.proxy.mood = Mood.SWALLOWS_ALL

    async def is_cut_off(self) -> None:
        await self.proxy.cut()

    async def comes_back(self) -> None:
        await self.proxy.cut()
        self.proxy.mood = Mood.PASSES
        await self.proxy.listen()

    async def answers_500(self) -> None:
        self.proxy.mood = Mood.ANSWERS_500

    async def loses_the_answer(self) -> None:
        self.proxy.mood = Mood.SWALLOWS_ANSWERS

    async def forgets(self) -> None:
        self.fake.lose_power()


@asynccontextmanager
async def on_fake_grbl(directory: Path) -> AsyncIterator[GrblRig]:
    async with fake_grbl() as fake, proxied(f"tcp://127.0.0.1:{fake.port}") as proxy:
        yield GrblRig(directory, proxy, fake)
