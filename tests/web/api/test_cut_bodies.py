"""What a caller may say of how a drawing is to be cut, and at which field a fault is said."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.web.api.device import (
    AtLaser,
    at_laser,
)
from tests.web.api.server import Desk, Program, Seen


@pytest_asyncio.fixture
async def here(desk: Desk) -> AsyncIterator[AtLaser]:
    yield await at_laser(desk)


async def _quoted(asker: Program, name: str, process: object) -> Seen:
    file = await asker.upload(name.encode(), name)
    assert file.status == 201, file.raw
    return await asker.post("/quotes", {"file_id": file.json["id"], "process": process})


async def test_an_empty_process_is_the_labs_default_for_what_the_file_is(here: AtLaser) -> None:
    drawing = await _quoted(here.mine, "box-600s-.svg", {})
    await here.desk.machine()
    model = await _quoted(here.mine, "part-600s-5000mg.stl", {})

    assert drawing.json["process"]["material"] == "birch-ply-3"
    assert drawing.json["process"]["kerf"] is True
    assert model.json["process"]["material"] == "pla"


async def test_what_was_chosen_for_a_cut_comes_back(here: AtLaser) -> None:
    chosen = {
        "material": "mdf-3",
        "operations": {"stroke:#ff0000": "cut", "stroke:#0000ff": "ignore"},
        "kerf": False,
        "tabs": 3,
        "scale_percent": 50,
        "rotation_degrees": 270,
        "x_mm": 10.5,
        "y_mm": 0.0,
        "sheet_mm": [300, 200],
        "own_sheet": True,
    }

    seen = await _quoted(here.mine, "box-600s-.svg", chosen)

    assert seen.status == 201, seen.raw
    assert {name: seen.json["process"][name] for name in chosen} == chosen


@pytest.mark.parametrize(
    ("process", "faults"),
    [
        ({"operations": {"stroke:#ff0000": "burn"}}, [("process.operations.stroke:#ff0000", "field.type")]),
        ({"operations": {"stroke:#ff0000": None}}, [("process.operations.stroke:#ff0000", "field.type")]),
        ({"operations": ["cut"]}, [("process.operations", "field.type")]),
        ({"operations": {str(n): "cut" for n in range(65)}}, [("process.operations", "field.value")]),
        ({"tabs": 21}, [("process.tabs", "field.range")]),
        ({"tabs": -1}, [("process.tabs", "field.range")]),
        ({"tabs": 1.5}, [("process.tabs", "field.type")]),
        ({"scale_percent": 0, "kerf": True}, [("process.scale_percent", "field.range")]),
        ({"rotation_degrees": 45}, [("process.rotation_degrees", "field.range")]),
        ({"rotation_degrees": 360}, [("process.rotation_degrees", "field.range")]),
        (
            {"tabs": 21, "rotation_degrees": 45},
            [("process.tabs", "field.range"), ("process.rotation_degrees", "field.range")],
        ),
        ({"x_mm": -1, "y_mm": 10_001}, [("process.x_mm", "field.range"), ("process.y_mm", "field.range")]),
        ({"sheet_mm": [10_001, 200]}, [("process.sheet_mm.width", "field.range")]),
        ({"sheet_mm": [300]}, [("process.sheet_mm.1", "field.missing")]),
        ({"kerf": "yes"}, [("process.kerf", "field.type")]),
        ({"material": "", "kerf": True}, [("process.material", "field.length")]),
        ({"power": 100}, [("process.power", "field.unknown")]),
        ({"kerf": True, "power": 100}, [("process.power", "field.unknown")]),
        ({"infill_percent": 20}, [("process.infill_percent", "field.unknown")]),
        ({"material": "pla", "supports": True}, [("process.supports", "field.unknown")]),
    ],
)
async def test_each_choice_that_no_cut_can_have_is_a_fault_at_its_field(
    here: AtLaser, process: dict[str, Any], faults: list[tuple[str, str]]
) -> None:
    seen = await _quoted(here.mine, "box-600s-.svg", process)

    assert seen.is_problem(422, "fields")
    assert [(fault["where"], fault["rule"]) for fault in seen.json["faults"]] == faults


@pytest.mark.parametrize(
    ("process", "where"),
    [
        ({"operations": {}}, "process.operations"),
        ({"kerf": True}, "process.kerf"),
        ({"own_sheet": False, "material": "pla"}, "process.own_sheet"),
    ],
)
async def test_a_cut_of_a_model_is_a_fault_at_what_only_a_cut_has(
    here: AtLaser, process: dict[str, Any], where: str
) -> None:
    await here.desk.machine()

    seen = await _quoted(here.mine, "part-600s-5000mg.stl", process)

    assert seen.is_problem(422, "fields")
    assert [(fault["where"], fault["rule"]) for fault in seen.json["faults"]] == [(where, "field.unknown")]


async def test_numbers_that_are_none_are_refused_before_they_are_looked_at(here: AtLaser) -> None:
    file = (await here.mine.upload(b"box-600s-.svg", "box-600s-.svg")).json
    for number in (b"NaN", b"Infinity", b"1e999", b"1" * 30):
        raw = b'{"file_id": "%s", "process": {"x_mm": %s}}' % (file["id"].encode(), number)
        seen = await here.mine.post("/quotes", data=raw, headers={"Content-Type": "application/json"})
        assert seen.status in {400, 422}, number
