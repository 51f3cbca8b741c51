"""Laser and vinyl cutters as planning needs them: the work area, how they move, what they are told.

The lab's own stand in TOML files beside the printers' profiles (`<data>/profiles/cutters.toml`, one table a machine,
the fields of CutMachine); these here are starting points of common sizes.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

ORIGINS = ("front-left", "front-right", "rear-left", "rear-right")


@dataclass(frozen=True, kw_only=True)
class CutMachine:
    name: str
    bed_mm: tuple[float, float]
    language: str  # which post-processor writes its files: `grbl`, `ruida`, `hpgl` or `handoff`
    source: str  # `co2`, `diode` or `knife`
    power_watts: float = 0.0
    speed_max_mm_s: tuple[float, float] = (400.0, 400.0)  # x, y
    acceleration_mm_s2: tuple[float, float] = (3000.0, 3000.0)  # x, y
    junction_deviation_mm: float = 0.01  # GRBL's $11
    travel_mm_s: float = 0.0  # 0: as fast as the axes go
    steps_per_mm: tuple[float, float] = (80.0, 80.0)
    power_max: int = 1000  # what full power is called: GRBL's $30
    overscan: bool = True  # engraving lines are entered at full speed
    burn_seconds_max: float = (
        0.1  # of one GRBL move with the beam on; 0: as long as it is (see `beam._pieces`)
    )
    setup_seconds: float = 10.0  # homing, focus, air on: once a run
    blade_offset_mm: float = 0.25  # of a drag knife
    origin: str = (
        "front-left"  # the corner its own coordinates count from, one of ORIGINS; x and y then go inwards
    )


CUTTERS: Mapping[str, CutMachine] = MappingProxyType(
    {
        machine.name: machine
        for machine in (
            CutMachine(
                name="co2-6040-grbl",
                bed_mm=(600.0, 400.0),
                language="grbl",
                source="co2",
                power_watts=80.0,
                speed_max_mm_s=(500.0, 400.0),
                acceleration_mm_s2=(3000.0, 3000.0),
            ),
            CutMachine(
                name="co2-9060-ruida",
                bed_mm=(900.0, 600.0),
                language="ruida",
                source="co2",
                power_watts=80.0,
                speed_max_mm_s=(600.0, 400.0),
                acceleration_mm_s2=(8000.0, 3000.0),
            ),
            CutMachine(
                name="diode-4040-grbl",
                bed_mm=(400.0, 400.0),
                language="grbl",
                source="diode",
                power_watts=40.0,
                speed_max_mm_s=(300.0, 300.0),
                acceleration_mm_s2=(1000.0, 1000.0),
            ),
            CutMachine(
                name="co2-6040-handoff",
                bed_mm=(600.0, 400.0),
                language="handoff",
                source="co2",
                power_watts=60.0,
            ),
            CutMachine(
                name="vinyl-600-hpgl",
                bed_mm=(600.0, 2000.0),
                language="hpgl",
                source="knife",
                speed_max_mm_s=(400.0, 400.0),
                acceleration_mm_s2=(4000.0, 4000.0),
                overscan=False,
                power_max=0,
            ),
        )
    }
)


def cutters(own: Path | None = None) -> Mapping[str, CutMachine]:
    """Ours and, over them, the lab's own. Raises ValueError naming the key of the file that is wrong."""
    if own is None or not own.is_file():
        return CUTTERS
    known = {field.name for field in fields(CutMachine)}
    machines = dict(CUTTERS)
    for name, table in tomllib.loads(own.read_text()).items():
        if not isinstance(table, dict) or (unknown := sorted(set(table) - known)):
            raise ValueError(f"{own.name}: {name}: {unknown[0] if isinstance(table, dict) else 'no table'}")
        pairs: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in table.items()}
        try:
            machines[name] = CutMachine(**{"name": name, **pairs})
        except TypeError as missing:
            raise ValueError(f"{own.name}: {name}: {missing}") from missing
    return machines
