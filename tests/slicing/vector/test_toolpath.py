"""A toolpath: what names it, and how it looks from another corner of the bed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from slicing.vector.machines import ORIGINS
from slicing.vector.toolpath import Contour, Operation, Scan, Settings, Toolpath, counted_from

BED = (600.0, 400.0)
SETTINGS = Settings(speed_mm_s=10.0, power_permille=500)


def a_toolpath() -> Toolpath:
    line = Contour(points=np.array([[10.0, 20.0], [110.0, 20.0], [110.0, 70.0]]), closed=False)
    scan = Scan(y=30.0, spans=np.array([[20.0, 40.0, 1.0], [50.0, 55.0, 0.25]]))
    cut = Operation(kind="cut", key="stroke:#ff0000", settings=SETTINGS, contours=(line,))
    engraved = Operation(kind="engrave", key="fill:#000000", settings=SETTINGS, scans=(scan,))
    return Toolpath(machine="m", material="mdf-3", operations=(engraved, cut))


@pytest.mark.parametrize(
    ("origin", "bounds"),
    [
        ("front-left", (10.0, 20.0, 110.0, 70.0)),
        ("front-right", (490.0, 20.0, 590.0, 70.0)),
        ("rear-left", (10.0, 330.0, 110.0, 380.0)),
        ("rear-right", (490.0, 330.0, 590.0, 380.0)),
    ],
)
def test_a_machine_that_counts_from_another_corner_gets_the_same_place(
    origin: str, bounds: tuple[float, float, float, float]
) -> None:
    there = counted_from(a_toolpath(), origin, BED)

    assert there.bounds_mm == pytest.approx(bounds)
    for scan in there.operations[0].scans:
        assert (np.diff(scan.spans[:, :2].ravel()) > 0).all()
        assert scan.spans[:, 2].sum() == pytest.approx(1.25)


@pytest.mark.parametrize("origin", ORIGINS)
def test_counted_twice_from_a_corner_it_is_as_it_was(origin: str) -> None:
    back = counted_from(counted_from(a_toolpath(), origin, BED), origin, BED)

    assert back.sha256 == a_toolpath().sha256


def test_the_same_toolpath_has_the_same_name_and_any_change_another() -> None:
    path = a_toolpath()
    stronger = replace(path.operations[1], settings=replace(SETTINGS, power_permille=501))

    assert a_toolpath().sha256 == path.sha256
    assert replace(path, operations=(path.operations[0], stronger)).sha256 != path.sha256
    assert replace(path, material="pvc").sha256 != path.sha256
