"""Slicing for real, with the system's slicer; and what happens when it is missing, crashes, hangs or lies."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from slicing import gcode
from slicing.faults import FileRefused, SlicerUnavailable
from slicing.limits import SLICE, Limits
from slicing.profile import PrintProfile, available
from slicing.prusaslicer import NAMES, PrusaSlicer, SliceResult, capacity, check_fit
from slicing.sandbox import Sandbox
from tests.slicing.shapes import a_3mf, a_box, an_analyser, binary_stl, corpus, moved, one_object, written
from tests.slicing.test_cage import begun, gone

MK3S = PrintProfile.resolve("mk3s")
MILLIGRAMS_PER_MM = MK3S.filament_mm2 * MK3S.filament_density

HEAD = '#!/bin/sh\nif [ "$1" = --help ]; then echo PrusaSlicer-9.9.9+test based on Slic3r; exit 0; fi\n'


def needs_slicer() -> None:
    if not any(shutil.which(name) for name in NAMES):
        pytest.skip("SKIPPED ALOUD: no PrusaSlicer on this machine")


@asynccontextmanager
async def a_slicer(path: Path | None = None, limits: Limits = SLICE) -> AsyncIterator[PrusaSlicer]:
    async with an_analyser() as analyser:
        yield PrusaSlicer(Sandbox(), analyser, path=path, limits=limits)


def a_fake(folder: Path, script: str) -> Path:
    path = folder / "fake-slicer"
    path.write_text(HEAD + script)
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("name", "size_mm", "low_g", "high_g"),
    [("mk3_y-belt-idler.stl", (23, 34, 25), 8, 11), ("nop_1x1_bin.stl", (41.5, 41.5, 35), 13, 17)],
)
async def test_a_real_model_becomes_gcode_whose_figures_agree_with_the_estimate(
    tmp_path: Path, name: str, size_mm: tuple[float, ...], low_g: float, high_g: float
) -> None:
    needs_slicer()
    model = corpus() / name
    async with an_analyser() as analyser:
        slicer = PrusaSlicer(Sandbox(), analyser)
        result = await slicer.slice(model, MK3S, 1, tmp_path / "out")
        estimate = await analyser.estimate(model, MK3S, 1)

    report = result.report
    assert result.analysis.size_mm == pytest.approx(size_mm, abs=0.1)
    assert result.slicer.startswith("PrusaSlicer-")
    assert low_g * 1000 < report.milligrams < high_g * 1000
    assert estimate.milligrams_p50 == pytest.approx(report.milligrams, rel=0.12)
    assert estimate.seconds_p50 == pytest.approx(report.seconds, rel=0.15)
    assert report.layers == pytest.approx(size_mm[2] / 0.2, abs=1)
    assert SliceResult.from_json(result.to_json()) == result
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["out.gcode"]


async def test_the_curve_holds_every_millimetre_the_file_pushes(tmp_path: Path) -> None:
    needs_slicer()
    model = written(tmp_path, binary_stl(a_box()))
    async with a_slicer() as slicer:
        result = await slicer.slice(model, MK3S, 1, tmp_path / "out", "box.stl")

    curve, report = result.report.curve, result.report
    priming = 21.0  # the line our start G-code draws, which the slicer does not count
    assert curve.bytes[-1] == report.bytes == result.gcode_path.stat().st_size
    assert curve.millimetres_at(report.bytes) == pytest.approx(report.filament_millimetres + priming, abs=1)
    assert curve.milligrams_at(report.bytes) == pytest.approx(report.milligrams, rel=0.03)
    assert curve.fraction_at(report.bytes) == 1
    assert len(curve.bytes) <= gcode.CURVE_POINTS_MAX
    assert np.all(np.diff(curve.bytes) > 0)
    assert np.all(np.diff(curve.millimetres) >= 0)


@pytest.mark.parametrize("machine", available("machine"))
async def test_our_profiles_slice_and_leave_the_machine_safe(tmp_path: Path, machine: str) -> None:
    needs_slicer()
    profile = PrintProfile.resolve(machine, "petg", "draft", 25, supports=True)
    model = written(tmp_path, binary_stl(np.concatenate([a_box(5, 5, 9), moved(a_box(15, 15, 2), 0, 0, 9)])))
    async with a_slicer() as slicer:
        result = await slicer.slice(model, profile, 1, tmp_path / "out", "table.stl")

    lines = [line.split(";")[0].strip() for line in result.gcode_path.read_text("utf-8").splitlines()]
    commands = [line for line in lines if line]
    first_push = next(i for i, c in enumerate(commands) if " E" in c and c.startswith("G1"))
    heated = commands[:first_push]
    assert "M83" in heated
    assert "G28" in heated
    assert any(c.startswith("M190 S85") for c in heated)
    assert any(c.startswith("M109 S235") for c in heated)
    assert {"M104 S0", "M140 S0", "M107", "M84"} <= set(commands[-12:])


async def test_copies_lie_on_one_plate_and_too_many_are_refused(tmp_path: Path) -> None:
    needs_slicer()
    model = written(tmp_path, binary_stl(a_box(60, 60, 1)))
    async with a_slicer() as slicer:
        one = await slicer.slice(model, MK3S, 1, tmp_path / "one", "tile.stl")
        three = await slicer.slice(model, MK3S, 3, tmp_path / "three", "tile.stl")
        with pytest.raises(FileRefused) as caught:
            await slicer.slice(model, MK3S, 20, tmp_path / "many", "tile.stl")

    assert three.report.milligrams == pytest.approx(3 * one.report.milligrams, rel=0.1)
    assert caught.value.code == "plate.full"
    assert caught.value.params == {"quantity": 20, "capacity": 9}


def fit_or_code(size: tuple[float, float, float], quantity: int) -> bool | str:
    try:
        return check_fit(size, MK3S, quantity)
    except FileRefused as fault:
        return fault.code


@pytest.mark.parametrize(
    ("size", "quantity", "answer"),
    [
        ((100, 100, 100), 1, False),
        ((240, 200, 10), 1, False),
        ((200, 240, 10), 1, True),
        ((260, 100, 10), 1, "plate.too_large"),
        ((100, 100, 211), 1, "plate.too_large"),
        ((250, 210, 10), 1, "plate.too_large"),
        ((100, 100, 10), 1000, "plate.full"),
    ],
)
def test_what_fits_on_the_bed(size: tuple[float, float, float], quantity: int, answer: bool | str) -> None:
    assert fit_or_code(size, quantity) == answer


def test_a_plain_grid_gives_the_capacity() -> None:
    assert capacity((60, 60, 1), MK3S) == 9
    assert capacity((240, 100, 1), MK3S) == 1


async def test_a_part_larger_than_the_bed_never_reaches_the_slicer(tmp_path: Path) -> None:
    model = written(tmp_path, binary_stl(a_box(300, 20, 20)))
    ran = tmp_path / "ran"
    async with a_slicer(a_fake(tmp_path, f"touch {ran}")) as slicer:
        with pytest.raises(FileRefused) as caught:
            await slicer.slice(model, MK3S, 1, tmp_path / "out", "beam.stl")

    assert caught.value.code == "plate.too_large"
    assert not ran.exists()
    assert list((tmp_path / "out").iterdir()) == []


async def test_a_part_turned_by_a_quarter_still_slices(tmp_path: Path) -> None:
    needs_slicer()
    async with a_slicer() as slicer:
        model = written(tmp_path, binary_stl(a_box(10, 235, 1)))
        result = await slicer.slice(model, MK3S, 1, tmp_path / "out", "ruler.stl")

    assert result.report.layers == 5


def an_armed_3mf(folder: Path, ran: Path) -> Path:
    """A 3MF whose settings name a script that the slicer runs when it is given the file as it came."""
    script = folder / "script.sh"
    script.write_text(f"#!/bin/sh\ntouch {ran}\n")
    script.chmod(0o755)
    lines = (
        "generated by PrusaSlicer 2.5.0",
        "layer_height = 0.3",
        f"post_process = {script}",
        "fill_angle = 45",
    )
    settings = "".join(f"; {line}\n" for line in lines).encode()
    return written(
        folder, a_3mf(one_object(a_box(10, 10, 2)), {"Metadata/Slic3r_PE.config": settings}), "armed.3mf"
    )


async def test_the_script_in_a_3mf_is_never_run(tmp_path: Path) -> None:
    # given a 3MF whose script does run when a careless caller hands the file over
    needs_slicer()
    ran = tmp_path / "ran"
    model = an_armed_3mf(tmp_path, ran)
    careless = "".join(f"{k} = {v}\n" for k, v in MK3S.keys.items() if k != "post_process")
    ini = written(tmp_path, careless.encode(), "careless.ini")
    program = next(found for name in NAMES if (found := shutil.which(name)))
    out = ["-o", str(tmp_path / "careless.gcode"), str(model)]
    await Sandbox(backend="rlimits").run([program, "--load", str(ini), "--export-gcode", *out], limits=SLICE)
    assert ran.exists(), "this slicer no longer runs scripts: the test below proves nothing any more"
    ran.unlink()
    # when it is sliced our way, caged or not
    async with an_analyser() as analyser:
        caged = await PrusaSlicer(Sandbox(), analyser).slice(model, MK3S, 1, tmp_path / "a", "x.3mf")
        bare = await PrusaSlicer(Sandbox(backend="rlimits"), analyser).slice(
            model, MK3S, 1, tmp_path / "b", "x.3mf"
        )
    # then only the mesh was used, under our settings, and the person is told so
    assert not ran.exists()
    assert caged.report.layers == bare.report.layers == 10
    assert [w.code for w in caged.analysis.warnings] == ["mesh.settings_dropped"]


async def test_a_plain_box_of_round_numbers_is_read_as_the_binary_file_it_is(tmp_path: Path) -> None:
    # given coordinates without one byte above 127, which the slicer's reader would take for text
    needs_slicer()
    model = written(tmp_path, binary_stl(a_box(10, 10, 2)))
    async with a_slicer() as slicer:
        result = await slicer.slice(model, MK3S, 1, tmp_path / "out", "box.stl")

    assert result.report.layers == 10


async def test_a_wall_no_nozzle_can_draw_is_refused_in_the_slicers_words(tmp_path: Path) -> None:
    needs_slicer()
    model = written(tmp_path, binary_stl(a_box(0.05, 20, 5)))
    async with a_slicer() as slicer:
        with pytest.raises(FileRefused) as caught:
            await slicer.slice(model, MK3S, 1, tmp_path / "out", "foil.stl")

    assert caught.value.code == "slice.nothing"
    assert caught.value.seen
    assert "/out" not in caught.value.message_en


async def test_a_missing_slicer_is_unavailable_and_says_where_it_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = written(tmp_path, binary_stl(a_box()))
    monkeypatch.setattr("slicing.prusaslicer.NAMES", ("no-such-slicer",))
    async with a_slicer() as slicer:
        with pytest.raises(SlicerUnavailable, match="no-such-slicer"):
            await slicer.slice(model, MK3S, 1, tmp_path / "out")
    async with a_slicer(tmp_path / "gone") as slicer:
        with pytest.raises(SlicerUnavailable, match="gone"):
            await slicer.version()


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo 'terminate called after throwing' >&2; kill -ABRT $$", "terminate called"),
        ("echo 'std::bad_alloc' >&2; exit 1", "out of memory"),
        ("exit 0", "left no file"),
        ('echo partial > "$5"; exit 0', "not whole"),
        ("exit 3", "exit 3"),
    ],
)
async def test_a_slicer_that_fails_by_itself_is_unavailable_with_its_own_words(
    tmp_path: Path, script: str, words: str
) -> None:
    model = written(tmp_path, binary_stl(a_box()))
    async with a_slicer(a_fake(tmp_path, script)) as slicer:
        with pytest.raises(SlicerUnavailable, match=words):
            await slicer.slice(model, MK3S, 1, tmp_path / "out", "box.stl")

    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("echo 'error: No layers were detected' >&2; exit 1", "slice.nothing"),
        ("echo 'something it dislikes' >&2; exit 1", "slice.refused"),
        ("while :; do :; done", "slice.too_complex"),
        ('head -c 3000000 /dev/zero > "$5"', "slice.too_complex"),
    ],
)
async def test_what_the_file_is_to_blame_for_is_a_refusal(tmp_path: Path, script: str, code: str) -> None:
    model = written(tmp_path, binary_stl(a_box()))
    tight = dataclasses.replace(SLICE, cpu_seconds=1, file_bytes=1_000_000)
    async with a_slicer(a_fake(tmp_path, f"{script}\nexit $?"), tight) as slicer:
        with pytest.raises(FileRefused) as caught:
            await slicer.slice(model, MK3S, 1, tmp_path / "out", "box.stl")

    assert caught.value.code == code


async def test_a_hanging_slicer_is_stopped_and_leaves_nothing(tmp_path: Path) -> None:
    model = written(tmp_path, binary_stl(a_box()))
    limits = dataclasses.replace(SLICE, wall_seconds=0.5)
    async with a_slicer(a_fake(tmp_path, "sleep 4711.5"), limits) as slicer:
        with pytest.raises(SlicerUnavailable, match="stopped after"):
            await slicer.slice(model, MK3S, 1, tmp_path / "out", "box.stl")

    assert await gone("4711.5")
    assert list((tmp_path / "out").iterdir()) == []


async def test_cancelling_a_slice_kills_the_slicer_and_leaves_nothing(tmp_path: Path) -> None:
    model = written(tmp_path, binary_stl(a_box()))
    async with a_slicer(a_fake(tmp_path, "sleep 4712.5")) as slicer:
        task = asyncio.get_running_loop().create_task(
            slicer.slice(model, MK3S, 1, tmp_path / "out", "box.stl")
        )
        await begun("4712.5")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    assert await gone("4712.5")
    assert list((tmp_path / "out").iterdir()) == []


SMALL = """M73 P0 R1
G1 X5 E10 F100
;LAYER_CHANGE
G1 E-2 F100
G1 E2 F100
M73 P50 R1
G1 X9 E5
;LAYER_CHANGE
; filament used [mm] = 15.00
; estimated printing time (normal mode) = 1d 2h 3m 4s
; prusaslicer_config = begin
; prusaslicer_config = end
"""


def test_a_small_file_reads_by_hand() -> None:
    report = gcode.read(io.BytesIO(SMALL.encode()), 3.0)

    assert report.seconds == 93_784
    assert (report.milligrams, report.layers, report.bytes) == (45, 2, len(SMALL))
    assert report.curve.millimetres == (0.0, 10.0, 15.0, 15.0)
    middle = SMALL.index("G1 X5")
    assert report.curve.millimetres_at(0) == 0
    assert 0 < report.curve.millimetres_at(middle) < 10
    assert report.curve.milligrams_at(len(SMALL) + 99) == 45
    assert gcode.GcodeReport.from_json(report.to_json()) == report


def test_thinning_loses_nothing_at_the_ends() -> None:
    body = "G1 X1 E0.5\n" * 50_000
    text = body + SMALL[SMALL.index("; filament") :]

    report = gcode.read(io.BytesIO(text.encode()), 1.0)

    assert len(report.curve.bytes) <= gcode.CURVE_POINTS_MAX
    assert (report.curve.bytes[0], report.curve.bytes[-1]) == (0, len(text))
    assert report.curve.millimetres[-1] == 25_000
    for share in (0.1, 0.33, 0.77):
        assert report.curve.millimetres_at(int(len(body) * share)) == pytest.approx(25_000 * share, rel=0.001)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "G28\n",
        SMALL[:-10],
        SMALL.replace("; estimated", "; guessed"),
        SMALL.replace("1d 2h 3m 4s", "soon"),
    ],
)
def test_a_file_that_is_not_whole_is_not_read(text: str) -> None:
    with pytest.raises(gcode.NotOurGcode):
        gcode.read(io.BytesIO(text.encode()), 1.0)
