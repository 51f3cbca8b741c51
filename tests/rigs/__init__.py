"""One rig a driver: a fake machine that speaks the true wire. `RIGS` has a row for each row of `DRIVERS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from tests.rigs.folder import folder
from tests.rigs.grbl import on_fake_grbl
from tests.rigs.octoprint import on_fake
from tests.rigs.rig import Rig
from tests.rigs.ruida import ruida_on_fake
from tests.rigs.simulated import simulated

RIGS: Mapping[str, Callable[[Path], AbstractAsyncContextManager[Rig]]] = {
    "folder": folder,
    "grbl": on_fake_grbl,
    "octoprint": on_fake,
    "ruida": ruida_on_fake,
    "simulated": simulated,
}
