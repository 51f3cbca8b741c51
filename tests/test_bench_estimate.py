"""What `./etabli bench estimate` reckons with: the slicer's figures, the statistics of errors, the rows."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from bench import errors, estimate, judge
from bench.errors import PLAIN, Judged
from bench.judge import NotSliced, Truth
from bench.table import Row, table
from slicing import mesh, stl
from slicing.results import PrintEstimate
from slicing.stl import F64

TABLE = (
    "# what the columns mean\n"
    "file\ttriangles\tmk3s_s\tmk3s_g\tvoron_s\tvoron_g\tnote\n"
    "cube.stl\t12\t1877\t3.94\t2120\t4.47\t\n"
    "arm.stl\t30\t900\t2.5\t\t\tnot run\n"
    "half.stl\t30\t900\t\t800\t2.1\n"
)
TAIL = (
    "; filament used [mm] = 1000.00\n; filament used [g] = 2.98\n"
    "; estimated printing time (normal mode) = 1d 2h 3m 4s\n; estimated printing time (silent mode) = 9d\n"
)


def judged(seconds: float, grams: float = 1.0, confidence: str = "high", model: str = "a.stl") -> Judged:
    """1000 s (at most 1100) and 1 g (at most 1.1) were promised; this came true."""
    promised = PrintEstimate(
        seconds_p50=1000,
        seconds_p90=1100,
        milligrams_p50=1000,
        milligrams_p90=1100,
        quantity=1,
        confidence=confidence,
        reasons=(),
        features={},
    )
    return Judged(model=model, estimate=promised, truth=Truth(seconds=seconds, grams=grams))


def values(rows: list[Row], what: str) -> tuple[float, ...]:
    return next(row.values for row in rows if row.what == what)


def tetrahedron() -> F64:
    corner = np.array([[0, 0, 0], [9, 0, 0], [0, 9, 0], [0, 0, 9]], dtype=np.float64)
    return corner[[[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]]


def test_a_reference_holds_the_pairs_that_are_filled_in() -> None:
    assert judge.reference(TABLE) == {
        ("cube.stl", "mk3s"): Truth(seconds=1877, grams=3.94),
        ("cube.stl", "voron"): Truth(seconds=2120, grams=4.47),
        ("arm.stl", "mk3s"): Truth(seconds=900, grams=2.5),
        ("half.stl", "voron"): Truth(seconds=800, grams=2.1),
    }


@pytest.mark.parametrize("text", ["", "name\tmk3s_s\nx\t1\n", TABLE.replace("1877", "half an hour")])
def test_what_is_no_reference_is_said_to_be_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"no column `file`|could not convert"):
        judge.reference(text)


def test_the_slicers_figures_are_read_from_the_end_of_its_file() -> None:
    truth = judge.told(TAIL, 2.9825)
    assert (truth.seconds, truth.grams) == pytest.approx((86400 + 7200 + 184, 2.9825))


@pytest.mark.parametrize("tail", ["G1 X1", TAIL.replace("1000.00", "0.00"), TAIL.replace("normal", "other")])
def test_a_file_without_figures_was_not_sliced(tail: str) -> None:
    with pytest.raises(NotSliced):
        judge.told(tail, 2.98)


def test_why_it_was_not_sliced_is_the_slicers_last_word_without_our_paths() -> None:
    said = "[2026-11-24 15:43:30.1] [0x0] [trace]   Initializing\nNo layers in /any/where/m.stl.\n10 => Slicing\n"
    assert judge.words(said) == "No layers in m.stl."
    assert judge.words("[2026-11-24 15:43:30.1] [0x0] [trace]   Initializing\n") == "nothing said"


def test_errors_are_relative_to_the_truth_and_above_nought_where_too_much_was_said() -> None:
    one = judged(800, 1.25)
    assert (one.time_error, one.material_error) == pytest.approx((0.25, -0.2))
    assert one.worse == pytest.approx(0.25)
    assert (one.time_held, one.material_held) == (True, False)


def test_p90_is_the_value_that_nine_in_ten_stay_under() -> None:
    assert errors.p90(range(11)) == 9
    assert errors.p90([7.0]) == 7


def test_parts_that_print_in_no_time_are_named_and_not_counted() -> None:
    counted, short = errors.counted([judged(399, model="tiny.stl"), judged(400)])
    assert ([one.model for one in counted], short) == (["a.stl"], ["tiny.stl"])


def test_rows_hold_errors_bias_and_coverage_and_what_was_asked() -> None:
    rows = errors.rows(
        "mk3s", [judged(1000), judged(1250), judged(1100), judged(500, confidence="low")], PLAIN
    )
    assert values(rows, "mk3s: time error") == pytest.approx((0, 20, 100 / 11, 100))
    assert values(rows, "mk3s: time bias") == pytest.approx((-100 / 22,))
    assert values(rows, "mk3s: time within its p90") == (75,)
    assert values(rows, "mk3s: material error, p90") == (0,)
    assert values(rows, "mk3s: > 25 % off, not `low`") == (0,)
    assert [row.asked for row in rows if row.what == "mk3s: time error, p90"] == ["<= 10 %"]


def test_a_sure_estimate_that_is_far_off_is_counted() -> None:
    assert values(errors.rows("x", [judged(500), judged(1000)]), "x: > 25 % off, not `low`") == (1,)


def test_no_model_no_row() -> None:
    assert errors.rows("mk3s", []) == []


def test_the_worst_are_named_in_order_with_their_sign() -> None:
    said = errors.told("mk3s", [judged(1000 + 10 * n, model=f"{n}.stl") for n in range(7)])
    named = [line.split()[3] for line in said if line.lstrip().startswith("time")]
    assert named == ["6.stl", "5.stl", "4.stl", "3.stl", "2.stl"]
    assert "  time        -5.7 %  6.stl (high)" in said
    assert "  confidence high: 7 models, within p90 100 % of material, 100 % of time" in said


def test_the_rows_make_a_table() -> None:
    lines = table("estimate", errors.rows("mk3s", [judged(1250)])).splitlines()
    assert any("mk3s: time error, p90" in line and "20.00" in line and "<= 10 %" in line for line in lines)


def test_left_out_models_stand_together_by_reason_and_profiles() -> None:
    left = [
        estimate.Left(model=model, profile=name, why="refused by us, mesh.soup")
        for name in ("mk3s", "voron")
        for model in ("a.stl", "b.stl")
    ]
    left.append(estimate.Left(model="c.stl", profile="voron", why="not sliced, exit 1"))
    assert estimate._left_out(left) == [
        "left out, refused by us, mesh.soup (mk3s, voron): a.stl, b.stl",
        "left out, not sliced, exit 1 (voron): c.stl",
    ]


def test_a_subdivided_mesh_is_the_same_closed_body() -> None:
    before = mesh.analyse(tetrahedron(), "stl", 0).analysis
    after = mesh.analyse(estimate.subdivided(tetrahedron(), 3), "stl", 0).analysis
    assert after.triangles == 4 * 4**3
    assert (after.size_mm, after.open_edges) == (before.size_mm, 0)
    assert (after.volume_mm3, after.area_mm2) == pytest.approx((before.volume_mm3, before.area_mm2))


@pytest.mark.parametrize(
    "arguments",
    [["--models", "nowhere"], ["--profiles", "mk3s,unheard"], ["--reference", "nowhere.tsv"]],
)
def test_what_cannot_be_asked_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        estimate.options(arguments)
    assert "no " in capsys.readouterr().err


def test_a_folder_is_judged_by_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(estimate, "EACH", tmp_path / "var" / "each.json")
    with (tmp_path / "corner.stl").open("wb") as file:
        stl.write_binary(3 * tetrahedron(), file)
    (tmp_path / "broken.stl").write_bytes(b"solid nothing\n")
    table_file = tmp_path / "reference.tsv"
    table_file.write_text("file\tlab-mk3s_s\tlab-mk3s_g\ncorner.stl\t1000000\t2000\n")
    arguments = ["--models", str(tmp_path), "--no-slice", "--profiles", "lab-mk3s"]
    rows = asyncio.run(estimate.run([*arguments, "--reference", str(table_file)]))
    assert values(rows, "lab-mk3s (table): time error")[0] > 99
    assert values(rows, "lab-mk3s (table): material within its p90") == (0,)
    assert values(rows, "reading + features")[0] > 0
    assert "left out, refused by us, mesh.empty (lab-mk3s): broken.stl" in capsys.readouterr().out
    assert "corner.stl" in (tmp_path / "var" / "each.json").read_text()
