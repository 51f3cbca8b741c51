"""What every rig can do: a machine to point a driver at, and what a test may make happen to it, in words.

A rig speaks the machine's true wire on loopback and refuses what the machine refuses. `begun` is the physical
truth: every print that really started, in order, whoever started it.
"""

from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Protocol, TypeVar

from orchestrator.ports import Clock, Driver

T = TypeVar("T")


class Rig(Protocol):
    @property
    def clock(self) -> Clock: ...

    def driver(self) -> Driver:
        """A new driver with the right settings, not connected: what we have after a restart of ours."""

    def driver_with_wrong_key(self) -> Driver | None:
        """None where the machine has no keys."""

    def file(self, lines: int = 20) -> Path:
        """A file that it can print; more lines make a longer and different one."""

    @property
    def begun(self) -> tuple[str, ...]: ...

    async def meanwhile(self, call: Coroutine[Any, Any, T]) -> T:
        """The outcome of a call that takes its time: on a fake clock, time passes meanwhile."""

    async def prints_on(self) -> None:
        """The print gets further, and is not at its end."""

    async def finishes(self) -> None: ...

    async def jams(self) -> None: ...

    async def is_cancelled_by_hand(self) -> None: ...

    async def was_started_by_hand(self) -> str:
        """Somebody starts a file of their own at the machine; returns its name."""

    async def goes_silent(self) -> None:
        """It neither sends nor answers any more, and no connection breaks. A print goes on."""

    async def is_cut_off(self) -> None:
        """Nobody listens any more: connections are refused. A print goes on."""

    async def comes_back(self) -> None: ...

    async def answers_500(self) -> None: ...

    async def loses_the_answer(self) -> None:
        """Commands arrive and are obeyed; their answers do not come back."""

    async def forgets(self) -> None:
        """The host loses power and is back: the print is dead, nothing in its memory tells of it."""
