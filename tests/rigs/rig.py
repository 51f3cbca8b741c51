"""What every rig can do: a machine to point a driver at, and what a test may make happen to it, in words.

A rig speaks the machine's true wire on loopback and refuses what the machine refuses. `begun` is the physical
truth: every print that really started, in order, whoever started it.

A machine that is told to start and then works by itself inherits `OnCommand`; the others say their `ways`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar
from uuid import UUID

from orchestrator.domain.presence import PRESENCE_SECONDS_MAX, Presence
from orchestrator.ports import Clock, Control, Driver

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Ways:
    """How a machine differs from a printer: what the contract may then not ask of its driver, or asks instead."""

    obeys_starts: bool = (
        True  # False: begun only at its own panel or software; the driver refuses every start
    )
    streamed: bool = (
        False  # fed line by line by the driver: without us it stands still, and no file has a name
    )
    tells_position: bool = True  # how far in the file it is
    controls: frozenset[Control] = frozenset(Control)  # what we may tell it to do; all else is a Conflict


class Rig(Protocol):
    @property
    def ways(self) -> Ways: ...

    @property
    def clock(self) -> Clock: ...

    def presence(self, file: Path) -> Presence | None:
        """A release of that file, just given by somebody who stands there; None where nobody need be there."""

    async def is_started_at_the_panel(self, remote_name: str) -> None:
        """Somebody starts our staged file there. Only where the machine does not obey starts."""

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

    async def was_started_by_hand(self) -> str | None:
        """Somebody starts a file of their own at the machine; returns its name, None where the machine tells none."""

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


class OnCommand:
    """The part of a Rig that is the same for all machines which start when they are told to."""

    ways: ClassVar[Ways] = Ways()

    def presence(self, file: Path) -> Presence | None:
        return None

    async def is_started_at_the_panel(self, remote_name: str) -> None:
        raise NotImplementedError("this machine starts when it is told to")


def a_presence(file: Path, clock: Clock) -> Presence:
    """A release of `file`, given now, for as long as one may be."""
    now = clock.now()
    return Presence(
        id=UUID(int=1),
        run_id=UUID(int=2),
        machine_id=UUID(int=3),
        member_id=UUID(int=4),
        kiosk_id=UUID(int=5),
        artifact_sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        checklist=("material_in", "extractor_on"),
        issued_at=now,
        expires_at=now + timedelta(seconds=PRESENCE_SECONDS_MAX),
    )
