"""One rig a driver: a fake machine that speaks the true wire. `RIGS` has a row for each row of `DRIVERS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from tests.rigs.octoprint import on_fake
from tests.rigs.rig import Rig
from tests.rigs.simulated import simulated

RIGS: Mapping[str, Callable[[Path], AbstractAsyncContextManager[Rig]]] = {
    "octoprint": on_fake,
    "simulated": simulated,
}
