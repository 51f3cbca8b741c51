"""The workshop on drawings, in the real cage: what it says of them, what a cut takes, the file for the machine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from orchestrator import samples
from orchestrator.domain.errors import Rejected
from orchestrator.domain.file import FileKind
from orchestrator.domain.process import CutKind, CutProcess, Turn
from slicing.workshop import SandboxedWorkshop
from tests.services import corpus_dir

MACHINE = "co2-6040-grbl"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def workshop() -> AsyncIterator[SandboxedWorkshop]:
    made = SandboxedWorkshop()
    yield made
    await made.close()


pytestmark = pytest.mark.asyncio(loop_scope="module")


def stored(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "0123abcd"
    path.write_bytes(content)
    return path


async def test_a_drawing_is_known_by_its_groups(workshop: SandboxedWorkshop, tmp_path: Path) -> None:
    found = await workshop.analyse(stored(tmp_path, samples.coaster()), "coaster.svg")

    assert found.kind is FileKind.SVG
    assert found.size_mm == pytest.approx((88, 88, 0), abs=0.1)
    assert found.drawing is not None
    assert {group.key: group.count for group in found.drawing.groups} == {
        "stroke:#ff0000": 2,
        "stroke:#0000ff": 12,
        "fill:#000000": 12,
    }


@pytest.mark.parametrize("name", ["coaster.stl", "coaster", "coaster.dxf"])
async def test_what_a_file_is_its_content_says_not_its_name(
    workshop: SandboxedWorkshop, tmp_path: Path, name: str
) -> None:
    assert (await workshop.analyse(stored(tmp_path, samples.coaster()), name)).kind is FileKind.SVG


async def test_a_model_under_a_drawings_name_is_a_model(workshop: SandboxedWorkshop, tmp_path: Path) -> None:
    assert (await workshop.analyse(stored(tmp_path, samples.gear()), "gear.svg")).kind is FileKind.STL


async def test_a_cut_is_estimated_by_what_becomes_of_each_colour(
    workshop: SandboxedWorkshop, tmp_path: Path
) -> None:
    path = stored(tmp_path, samples.coaster())

    usual = await workshop.estimate(path, "coaster.svg", MACHINE, CutProcess(), 1)
    only = CutProcess(operations=(("stroke:#0000ff", CutKind.IGNORE), ("fill:#000000", CutKind.IGNORE)))
    less = await workshop.estimate(path, "coaster.svg", MACHINE, only, 1)

    assert usual.cutting is not None
    assert less.cutting is not None
    assert {row.key: row.kind for row in usual.cutting.rows} == {
        "stroke:#ff0000": CutKind.CUT,
        "stroke:#0000ff": CutKind.SCORE,
        "fill:#000000": CutKind.ENGRAVE,
    }
    assert usual.cutting.cut_millimetres == pytest.approx(314, abs=2)
    assert less.print_seconds.p50 < usual.print_seconds.p50
    assert less.cutting.toolpath_sha256 != usual.cutting.toolpath_sha256


async def test_what_a_laser_must_never_be_given_is_refused_with_the_reason(
    workshop: SandboxedWorkshop, tmp_path: Path
) -> None:
    path = stored(tmp_path, samples.coaster())

    with pytest.raises(Rejected) as refused:
        await workshop.estimate(path, "coaster.svg", MACHINE, CutProcess(material="pvc"), 1)

    assert refused.value.code == "laser.material_forbidden"
    assert "chlor" in refused.value.faults[0].texts["en"].lower()
    assert refused.value.faults[0].texts["fr"]
    never = {sheet.name for sheet in workshop.materials(MACHINE) if sheet.refusals}
    assert {"pvc", "polycarbonate", "abs", "vinyl-sticker"} <= never


@pytest.mark.parametrize(
    ("profile", "material", "extension", "begins"),
    [
        (MACHINE, "birch-ply-3", ".gcode", b"; etabli toolpath "),
        ("co2-9060-ruida", "birch-ply-3", ".rd", b""),
        ("co2-6040-handoff", "birch-ply-3", ".svg", b"<"),
        ("vinyl-600-hpgl", "vinyl-sticker", ".plt", b"IN;"),
    ],
)
async def test_each_machine_gets_its_own_file(
    workshop: SandboxedWorkshop, tmp_path: Path, profile: str, material: str, extension: str, begins: bytes
) -> None:
    path = stored(tmp_path, samples.open_box())

    made = await workshop.slice(path, "box.svg", profile, CutProcess(material=material), 1, tmp_path)

    assert made.path.read_bytes().startswith(begins)
    assert made.artifact.cut is not None
    assert made.artifact.cut.extension == extension
    assert made.artifact.profile == profile
    assert made.artifact.size_bytes == made.path.stat().st_size
    assert (made.artifact.cut.beam_seconds is None) == (material == "vinyl-sticker")


async def test_what_was_quoted_is_what_is_prepared(workshop: SandboxedWorkshop, tmp_path: Path) -> None:
    path, process = stored(tmp_path, samples.coaster()), CutProcess(rotation_degrees=90, scale_percent=150)

    quoted = await workshop.estimate(path, "coaster.svg", MACHINE, process, 2)
    made = await workshop.slice(path, "coaster.svg", MACHINE, process, 2, tmp_path)

    assert quoted.cutting is not None
    assert made.artifact.cut is not None
    assert made.artifact.cut.toolpath_sha256 == quoted.cutting.toolpath_sha256
    assert made.artifact.print_seconds == quoted.print_seconds.p50
    assert b"M3" not in made.path.read_bytes()


async def test_a_cut_is_placed_where_it_was_dragged(workshop: SandboxedWorkshop, tmp_path: Path) -> None:
    path = stored(tmp_path, samples.coaster())
    here = CutProcess(x_mm=100.0, y_mm=200.0)

    cutting = (await workshop.estimate(path, "coaster.svg", MACHINE, here, 1)).cutting

    assert cutting is not None
    assert cutting.place_mm[:2] == pytest.approx((100, 200), abs=6)
    with pytest.raises(Rejected, match=r".*") as outside:
        await workshop.estimate(path, "coaster.svg", MACHINE, replace(here, x_mm=590.0), 1)
    assert outside.value.code.startswith("laser.")


async def test_the_page_gets_a_clean_drawing_and_the_cut_move_by_move(
    workshop: SandboxedWorkshop, tmp_path: Path
) -> None:
    drawn = b'<svg xmlns="http://www.w3.org/2000/svg" width="50mm" height="50mm" viewBox="0 0 50 50">'
    drawn += b'<script>alert(1)</script><rect width="40" height="40" fill="none" stroke="red"/></svg>'
    path = stored(tmp_path, drawn)

    shown = await workshop.plan(path, "a.svg", MACHINE, CutProcess(), 1)

    assert b"alert" not in shown.svg
    assert shown.svg.startswith(b"<")
    assert isinstance(shown.simulation, dict)
    assert shown.simulation["bed_mm"] == [600, 400]
    assert isinstance(shown.simulation["moves"], list)


async def test_a_drawing_has_a_picture(workshop: SandboxedWorkshop, tmp_path: Path) -> None:
    path = stored(tmp_path, samples.coaster())

    assert (await workshop.preview(path, "coaster.svg", Turn.AS_DRAWN)).read_bytes().startswith(b"\x89PNG")


async def test_real_drawings_of_the_corpus_go_all_the_way(
    workshop: SandboxedWorkshop, tmp_path: Path
) -> None:
    for name in ("boxes_RegularBox", "boxes_PirateChest", "visicut_inkscape_0.92"):
        path = stored(tmp_path, (corpus_dir() / "svg" / f"{name}.svg").read_bytes())

        made = await workshop.slice(path, f"{name}.svg", MACHINE, CutProcess(), 1, tmp_path)

        assert made.artifact.print_seconds > 10, name
