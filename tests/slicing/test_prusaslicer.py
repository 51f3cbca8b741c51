"""Slicing for real, with the system's slicer; and what happens when it is missing, crashes, hangs or lies."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from slicing import gcode
from slicing.faults import FileRefused, SlicerUnavailable
from slicing.limits import SLICE, Limits, slice_limits
from slicing.plate import capacity, check_fit
from slicing.profile import PrintProfile, available
from slicing.prusaslicer import NAMES, PrusaSlicer
from slicing.report import GcodeReport, NotOurGcode
from slicing.sandbox import Sandbox
from slicing.slicer import SliceResult
from tests.slicing.shapes import (
    Mesh,
    a_3mf,
    a_ball,
    a_box,
    an_analyser,
    binary_stl,
    corpus,
    moved,
    one_object,
    written,
)
from tests.slicing.slicers import WRITES, a_fake, real_slicer
from tests.slicing.test_cage import begun, gone

MK3S = PrintProfile.resolve("mk3s")
MILLIGRAMS_PER_MM = MK3S.filament_mm2 * MK3S.filament_density


def needs_slicer() -> None:
    real_slicer()


@asynccontextmanager
async def a_slicer(path: Path | None = None, limits: Limits = SLICE) -> AsyncIterator[PrusaSlicer]:
    async with an_analyser() as analyser:
        yield PrusaSlicer(Sandbox(), analyser, path=path, limits=limits)


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


def a_disc(across: float) -> Mesh:
    """A prism on 48 corners, one layer high."""
    turn = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    rim = across / 2 * np.stack([np.cos(turn), np.sin(turn)], -1)
    beside = np.roll(rim, -1, 0)

    def flat(z: float, a: Mesh, b: Mesh) -> Mesh:
        corners = [np.zeros_like(a), a, b]
        return np.stack([np.concatenate([c, np.full((len(c), 1), z)], 1) for c in corners], 1)

    low, high = flat(0, beside, rim), flat(0.2, rim, beside)
    walls = [
        np.stack([low[:, 2], low[:, 1], high[:, 1]], 1),
        np.stack([low[:, 1], high[:, 2], high[:, 1]], 1),
    ]
    return np.concatenate([low, high, *walls])


@pytest.mark.parametrize(
    ("shape", "most"),
    [
        (a_box(60, 60, 0.2), 9),
        (a_box(30, 20, 0.2), 48),
        (a_box(160, 26, 0.2), 7),  # turned: as drawn only 6
        (a_box(25, 130, 0.2), 8),
        (a_box(120, 95, 0.2), 2),
        (a_box(76, 95, 0.2), 6),
        (a_disc(50), 12),
    ],
)
async def test_as_many_copies_fit_as_we_say_and_all_of_them_lie_on_the_bed(
    tmp_path: Path, shape: Mesh, most: int
) -> None:
    # given a profile with nothing inside, so that only outlines are drawn
    needs_slicer()
    profile = PrintProfile.resolve("mk3s", infill_percent=0)
    model = written(tmp_path, binary_stl(shape), "tile.stl")
    size = (float(np.ptp(shape[..., 0])), float(np.ptp(shape[..., 1])), 0.2)
    async with a_slicer() as slicer:
        one = await slicer.slice(model, profile, 1, tmp_path / "one")
        full = await slicer.slice(model, profile, most, tmp_path / "full")
        try:
            await slicer.slice(model, profile, most + 1, tmp_path / "over")
            over = None
        except FileRefused as no:
            over = (no.code, no.params)

    lines = full.gcode_path.read_text()
    drawn = [(float(x), float(y)) for x, y in re.findall(r"^G1 X(\S+) Y(\S+) E", lines, re.MULTILINE)]
    assert capacity(size, profile) == most
    assert len(set(re.findall(r"^; printing object .* copy \d+", lines, re.MULTILINE))) == most
    skirt_mg = 0.15 * full.report.milligrams  # one skirt around all of them instead of one each
    assert full.report.milligrams == pytest.approx(most * one.report.milligrams, abs=most * 300 + skirt_mg)
    assert over in (None, ("plate.full", {"quantity": most + 1, "capacity": most}))
    assert (over is None) <= (len(shape) > 12), "for boxes the number is exact; discs may pack closer"
    assert 0 <= min(x for x, _ in drawn) <= max(x for x, _ in drawn) <= 250
    assert 0 <= min(y for _, y in drawn) <= max(y for _, y in drawn) <= 210


async def test_brims_of_full_plates_lie_on_the_bed_too(tmp_path: Path) -> None:
    needs_slicer()
    profile = PrintProfile.resolve("mk3s", overrides={"brim_width": 10})
    most = capacity((30, 30, 0.2), profile)
    model = written(tmp_path, binary_stl(a_box(30, 30, 0.2)), "tile.stl")
    async with a_slicer() as slicer:
        result = await slicer.slice(model, profile, most, tmp_path / "out")

    moves = re.findall(r"^G1 X(\S+) Y(\S+) E", result.gcode_path.read_text(), re.MULTILINE)
    xs, ys = [float(x) for x, _ in moves], [float(y) for _, y in moves]
    assert most == 16
    assert 0 <= min(xs) <= max(xs) <= 250
    assert 0 <= min(ys) <= max(ys) <= 210


async def test_a_slicer_that_lays_fewer_copies_than_asked_is_not_believed(tmp_path: Path) -> None:
    model = written(tmp_path, binary_stl(a_box()), "box.stl")
    async with a_slicer(a_fake(tmp_path, WRITES)) as slicer:
        assert (await slicer.slice(model, MK3S, 1, tmp_path / "one")).quantity == 1
        with pytest.raises(SlicerUnavailable, match="laid 1 copies instead of 2"):
            await slicer.slice(model, MK3S, 2, tmp_path / "two")


async def test_an_upgrade_of_the_slicer_is_noticed(tmp_path: Path) -> None:
    path = a_fake(tmp_path, WRITES)
    async with a_slicer(path) as slicer:
        before = await slicer.version()
        path.write_text(path.read_text().replace("9.9.9", "10.0.0"))
        after = await slicer.version()

    assert (before, after) == ("PrusaSlicer-9.9.9+test", "PrusaSlicer-10.0.0+test")


async def test_progress_comes_while_it_slices_and_never_goes_back(tmp_path: Path) -> None:
    needs_slicer()
    told: list[tuple[int, str, bool]] = []

    async def progress(permille: int, words: str) -> None:
        told.append((permille, words, (tmp_path / "out" / "work" / "out" / "out.gcode").exists()))

    model = written(tmp_path, binary_stl(a_ball(120, 40)), "ball.stl")
    async with a_slicer() as slicer:
        await slicer.slice(model, MK3S, 1, tmp_path / "out", progress=progress)

    steps = [permille for permille, _, _ in told]
    assert steps == sorted(set(steps))
    assert steps[0] <= 100
    assert steps[-1] == 900
    assert len(steps) >= 4
    assert told[0][1] == "Processing triangulated mesh"
    assert told[-1][1] == "Exporting G-code to out.gcode"
    assert not any(finished for _, _, finished in told), "told at the end only"


async def test_what_the_listener_raises_ends_the_slice_and_the_slicer(tmp_path: Path) -> None:
    async def progress(permille: int, words: str) -> None:
        raise KeyError(words)

    model = written(tmp_path, binary_stl(a_box()), "box.stl")
    script = "echo '10 => Processing triangulated mesh'; sleep 4713.5"
    async with a_slicer(a_fake(tmp_path, script)) as slicer:
        with pytest.raises(KeyError, match="Processing"):
            await slicer.slice(model, MK3S, 1, tmp_path / "out", progress=progress)

    assert await gone("4713.5")
    assert list((tmp_path / "out").iterdir()) == []


def test_small_parts_get_small_limits_and_no_part_more_than_the_most() -> None:
    small, big = slice_limits(12, 100, 1), slice_limits(2_000_000, 2000, 10)

    assert (small.cpu_seconds, small.wall_seconds) == (20, 55)
    assert small.address_space_bytes < SLICE.address_space_bytes
    assert small.file_bytes < SLICE.file_bytes
    assert big == SLICE
    assert slice_limits(26_000, 224, 1).cpu_seconds >= 3 * 20, "gears that took 20 s"


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
    async with an_analyser() as analyser:
        fake = a_fake(tmp_path, f"touch {ran}; {WRITES}")
        slicer = PrusaSlicer(Sandbox(backend="rlimits"), analyser, path=fake)
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
    assert report.curve.millimetres == (0.0, 10.0, 10.0, 10.0, 15.0, 15.0)  # drawn back and paid back between
    middle = SMALL.index("G1 X5")
    assert report.curve.millimetres_at(0) == 0
    assert 0 < report.curve.millimetres_at(middle) < 10
    assert report.curve.milligrams_at(len(SMALL) + 99) == 45
    assert GcodeReport.from_json(report.to_json()) == report


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
    with pytest.raises(NotOurGcode):
        gcode.read(io.BytesIO(text.encode()), 1.0)
