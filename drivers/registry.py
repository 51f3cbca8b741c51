"""Every driver by the name that a machine's row gives it. To add one is to add a folder and a row here.

The type checker proves each class against the port at its row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from drivers.folder.driver import FolderDriver
from drivers.grbl.driver import GrblDriver
from drivers.octoprint.driver import OctoPrintDriver
from drivers.ruida.driver import RuidaDriver
from drivers.simulated.driver import SimulatedDriver
from orchestrator.domain.event import Json
from orchestrator.ports import Clock, Driver

MakeDriver = Callable[[Mapping[str, Json], Clock], Driver]
"""From the machine's settings and the clock. Raises Misconfigured, naming the setting that is wrong."""

DRIVERS: Mapping[str, MakeDriver] = {
    FolderDriver.kind: FolderDriver,
    GrblDriver.kind: GrblDriver,
    OctoPrintDriver.kind: OctoPrintDriver,
    RuidaDriver.kind: RuidaDriver,
    SimulatedDriver.kind: SimulatedDriver,
}
