"""G-code read into moves and added up: small files by hand, generated ones against a plain reading, real ones against
the slicer's own figures, strange ones refused.
"""

from __future__ import annotations

import io
import json
import random
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from slicing import gcode, gcodetext
from slicing.gcodetext import NotGcode
from slicing.limits import LAYERS_MAX, RESULT_BYTES_MAX
from slicing.moves import FEATURES, Limits, Moves, Reader
from slicing.profile import PrintProfile
from slicing.prusaslicer import PrusaSlicer
from slicing.report import GcodeReport, NotOurGcode
from slicing.sandbox import Sandbox
from slicing.tally import thinned
from tests.slicing.shapes import an_analyser, corpus
from tests.slicing.slicers import real_slicer

TAIL = """; filament used [mm] = 15.00
; estimated printing time (normal mode) = 1m 40s
; prusaslicer_config = begin
; machine_max_feedrate_x = 100,200
; machine_max_feedrate_y = 100
; machine_max_jerk_x = 10
; prusaslicer_config = end
"""


def all_moves(text: str | bytes, reader: Reader | None = None) -> Moves:
    data = text if isinstance(text, bytes) else text.encode()
    batches = list((reader or Reader()).read(io.BytesIO(data)))
    whole = batches[0].moves
    for batch in batches[1:]:
        whole = whole.then(batch.moves)
    return whole


def report_of(body: str) -> GcodeReport:
    return gcode.read(io.BytesIO((body + TAIL).encode()), 3.0)


# --- Reading moves -------------------------------------------------------------------------------------------------


def test_an_axis_that_is_not_named_stays_where_it_is() -> None:
    got = all_moves("G1 X1 Y2 F600\nG1 Z.5\nG1 E1\nG1 X-3.25 E1.5 ; there\nG1 F1200\nG0 Y0\n")

    assert got.x.tolist() == [1, 1, 1, -3.25, -3.25]
    assert got.y.tolist() == [2, 2, 2, 2, 0]
    assert got.z.tolist() == [0, 0.5, 0.5, 0.5, 0.5]
    assert got.dx.tolist() == [1, 0, 0, -4.25, 0]
    assert got.de.tolist() == [0, 0, 1, 0.5, 0]
    assert got.feedrate.tolist() == [10, 10, 10, 10, 20]
    assert got.line.tolist() == [1, 2, 3, 4, 6]


def test_modes_decide_what_a_number_means() -> None:
    got = all_moves(
        "G1 X5 E2\nM83\nG1 X6 E2\nG92 E0 X0\nM82\nG1 X1 E1\nG91\nG1 X1 E1\nG90\nG1 X1 Y1\nG28 X\nG1 X3\n"
    )

    assert got.de.tolist() == [2, 2, 1, 1, 0, 0]
    assert got.dx.tolist() == [5, 1, 1, 1, -1, 3]


def test_what_is_drawn_and_in_which_layer_comes_from_the_comments() -> None:
    reader = Reader()
    got = all_moves(
        "G1 X1\n;LAYER_CHANGE\n;Z:0.2\n;TYPE:External perimeter\nG1 X2 E1\n"
        ";LAYER_CHANGE\n;Z:0.4\nG1 X3 E1\n;TYPE:Something new\nG1 X4 E2\n",
        reader,
    )

    assert [FEATURES[i] for i in got.feature] == [
        "custom",
        "external_perimeter",
        "external_perimeter",
        "other",
    ]
    assert got.layer.tolist() == [-1, 0, 1, 1]
    assert [(layer.first_byte, layer.z_mm) for layer in reader.layers] == [(6, 0.2), (61, 0.4)]


def test_what_the_file_allows_itself_holds_from_there_on() -> None:
    batches = list(
        Reader(Limits(speed=(100, 100, 10, 10))).read(
            io.BytesIO(
                b"G1 X1\nM204 P500 T700\nG1 X2\nM203 X50\nM205 X7 Y8\nM221 S95\nG1 X3\nG4 S2\nG4 P500\nG1 X4\n"
            )
        )
    )

    assert [batch.limits.speed[0] for batch in batches] == [100, 50, 50]
    assert (batches[1].limits.jerk[:2], batches[1].limits.flow) == ((7, 8), 0.95)
    assert batches[0].moves.acceleration.tolist()[1:] == [500]
    assert batches[0].moves.travel_acceleration.tolist()[1:] == [700]
    assert [(batch.halted, batch.dwell_seconds) for batch in batches] == [(True, 0), (False, 0), (True, 2.5)]


def plain_reading(text: str) -> list[tuple[float, ...]]:
    """Ends of moves and filament pushed, one line after another."""
    at, out = {"X": 0.0, "Y": 0.0, "Z": 0.0}, []
    for line in text.splitlines():
        words = line.split(";")[0].split()
        if words and words[0] == "G1":
            named = {word[0]: float(word[1:]) for word in words[1:]}
            before = dict(at)
            at.update({axis: value for axis, value in named.items() if axis in at})
            if at != before or named.get("E"):
                out.append((*at.values(), named.get("E", 0.0)))
    return out


def a_number(rng: random.Random) -> str:
    digits = rng.choice([0, 1, 2, 3, 5, 9])
    text = f"{rng.choice([-1, 1]) * rng.random() * 10 ** rng.randint(-4, 3):.{digits}f}"
    return text.replace("0.", ".", 1) if rng.random() < 0.5 and "0." in text[:3] else text


@pytest.mark.parametrize("seed", range(3))
def test_numbers_and_lines_of_any_form_are_read_as_python_reads_them(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng, lines = random.Random(seed), ["M83"]
    for _ in range(4000):
        words = [f"{axis}{a_number(rng)}" for axis in "XYZEF" if rng.random() < 0.6]
        lines.append(
            rng.choice(["G1 ", "G1  "]) + " ".join(words) + rng.choice(["", " ", " ; X9", ";Y9", "\r"])
        )
        if rng.random() < 0.2:
            lines.append(rng.choice(["", ";G1 X1", "M106 S20", "M73 P1 R1", "M204 P800"]))
    text = "\n".join(lines)
    monkeypatch.setattr(gcodetext, "PIECE_BYTES", 1000 + seed)  # so that lines cross from piece to piece

    got = all_moves(text)

    assert np.stack([got.x, got.y, got.z, got.de], axis=1) == pytest.approx(
        np.array(plain_reading(text)), rel=1e-12, abs=1e-12
    )


@pytest.mark.parametrize(
    "text",
    [
        "G1 Xabc\n",
        "G1 X1.2.3\n",
        "G1 X--1\n",
        "G1 Xnan\n",
        "G1 Xinf\n",
        "G1 X1e9\n",
        "G1 X12345678901\n",
        "G1 X" + "9" * 5000 + "\n",
        "G1 X0x10\n",
        "G1 X1_0\n",
        "G2 X1 Y1 I1\n",
        "G5 X1\n",
        "N1 G28*18\n",
        "x" * 300_000,
        ";LAYER_CHANGE\n" * (LAYERS_MAX + 1),
        "G91\nG90\n" * 30_000,
    ],
    ids=lambda text: text[:14].strip(),
)
def test_what_our_slicer_never_writes_is_refused(text: str) -> None:
    with pytest.raises(NotGcode):
        all_moves("G1 X1\n" + text)
    with pytest.raises(NotOurGcode):
        report_of(text + "\n")


@pytest.mark.parametrize("seed", range(20))
def test_a_damaged_file_is_read_or_refused_but_never_worse(seed: int) -> None:
    rng = random.Random(seed)
    body = bytearray(
        b"M83\n;LAYER_CHANGE\n;Z:0.2\n;TYPE:Perimeter\n" + b"G1 X10.125 Y-3.5 E.0123 F1800\nG1 X1 Y2\n" * 50
    )
    for _ in range(rng.choice([1, 5, 50])):
        body[rng.randrange(len(body))] = rng.randrange(256)

    try:
        report = gcode.read(io.BytesIO(bytes(body) + b"\n" + TAIL.encode()), 3.0)
    except NotOurGcode:
        return
    assert report.planner_seconds >= 0
    json.dumps(report.to_json(), allow_nan=False)


# --- The report ----------------------------------------------------------------------------------------------------

TWO_LAYERS = (
    "M83\nG1 X50 F3000\nG1 X0 E5\nG4 S3\n"
    ";LAYER_CHANGE\n;Z:0.2\n;TYPE:Perimeter\nG1 X100 E10\nG1 E-2\nG1 E2\n"
    ";LAYER_CHANGE\n;Z:0.4\n;TYPE:Internal infill\nG1 X0 E5\n"
)


def test_every_second_and_millimetre_is_somewhere() -> None:
    report = report_of(TWO_LAYERS)

    assert {kind: use.millimetres for kind, use in report.uses.items() if use.millimetres} == {
        "custom": 5,
        "perimeter": 10,
        "internal_infill": 5,
    }
    assert report.uses["waiting"].seconds == 3
    assert sum(use.seconds for use in report.uses.values()) == pytest.approx(report.planner_seconds, abs=0.05)
    table = report.layer_table
    assert table.before_seconds + sum(table.seconds) == pytest.approx(report.planner_seconds, abs=0.05)
    assert table.before_seconds == pytest.approx(1.0 + 1.0, abs=0.2)  # 50 mm and back at 50 mm/s
    assert table.seconds[0] == pytest.approx(3 + 2.0, abs=0.5)  # the wait, and 100 mm
    assert (table.z_mm, table.each) == ((0.2, 0.4), 1)
    assert report.seconds == 100  # the slicer's own


def test_time_left_and_layer_are_known_at_every_byte() -> None:
    report = report_of(TWO_LAYERS)
    first, second = TWO_LAYERS.index(";LAYER"), TWO_LAYERS.rindex(";LAYER")

    places = (0, first - 1, first, second - 1, second, report.bytes)
    assert [report.layer_table.layer_at(at) for at in places] == [-1, -1, 0, 0, 1, 1]
    assert report.curve.seconds_left_at(0) == report.planner_seconds
    assert report.curve.seconds_left_at(second) == pytest.approx(report.layer_table.seconds[1], abs=0.8)
    assert report.curve.seconds_left_at(report.bytes) == 0
    assert (report.curve.fraction_at(0), report.curve.fraction_at(report.bytes)) == (0, 1)
    assert GcodeReport.from_json(json.loads(json.dumps(report.to_json()))) == report


def test_the_files_own_limits_count_unless_a_profile_is_given() -> None:
    fast = "M83\nG1 X1000 E1 F30000\n" + TAIL

    own = gcode.read(io.BytesIO(fast.encode()), 3.0)
    given = gcode.read(io.BytesIO(fast.encode()), 3.0, {"machine_max_feedrate_x": "50"})

    assert own.planner_seconds == pytest.approx(10, rel=0.05)
    assert given.planner_seconds == pytest.approx(20, rel=0.05)


def test_a_file_without_moves_has_a_curve_too() -> None:
    report = report_of("M104 S0\n")

    assert report.planner_seconds == 0
    assert not report.uses
    assert report.curve.millimetres_at(report.bytes) == 0
    assert report.curve.fraction_at(5) == 1
    assert report.layer_table.layer_at(5) == -1


def test_the_thinned_curve_is_right_to_two_thousandths() -> None:
    rng = np.random.default_rng(5)
    size = np.where(rng.random(300_000) < 0.001, 300, 1)  # now and then a wait, a long line
    steps = np.stack([rng.integers(8, 40, 300_000), rng.exponential(size), rng.exponential(size[::-1])])
    points = np.concatenate([np.zeros((3, 1)), np.cumsum(steps, axis=1)], axis=1)

    kept = thinned(points, gcode.CURVE_POINTS_MAX)

    assert kept.shape[1] <= gcode.CURVE_POINTS_MAX
    assert kept[:, 0].tolist() == [0, 0, 0]
    assert kept[:, -1].tolist() == points[:, -1].tolist()
    for row in (1, 2):
        between = np.interp(points[0], kept[0], kept[row])
        assert np.abs(between - points[row]).max() < 0.002 * points[row, -1]


def test_the_tallest_file_fits_an_answer_and_little_memory() -> None:
    moving = "G1 X100.123 Y5 E1.234567\nG1 X1.5 Y50 E.5\nG1 E-.8\nG1 X1.25 F9000\nG1 E.8\n"
    body = "M83\n" + "".join(f";LAYER_CHANGE\n;Z:{n / 20:.2f}\n" + moving * 4 for n in range(10_000))
    file = io.BytesIO((body + TAIL).encode())
    tracemalloc.start()

    report = gcode.read(file, 3.0)

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (report.layers, report.layer_table.each) == (10_000, 3)
    assert report.layer_table.layer_at(body.index(";Z:300.05")) == 6000  # the first of its three
    assert len(json.dumps(report.to_json())) < RESULT_BYTES_MAX - 20_000
    assert peak < 64 * 2**20


# --- Real files ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("machine", ["mk3s", "ender3", "mini"])
async def test_our_time_is_the_slicers_own(tmp_path: Path, machine: str) -> None:
    real_slicer()
    profile = PrintProfile.resolve(machine)
    async with an_analyser() as analyser:
        slicer = PrusaSlicer(Sandbox(), analyser)
        result = await slicer.slice(corpus() / "mk3_y-belt-idler.stl", profile, 1, tmp_path / "out")

    report = result.report
    waiting = report.uses["waiting"].seconds if "waiting" in report.uses else 0.0
    assert report.planner_seconds - waiting == pytest.approx(report.seconds, rel=0.005)
    # What is drawn back at the end is used, but not paid back.
    assert sum(use.millimetres for use in report.uses.values()) == pytest.approx(
        report.curve.millimetres[-1], abs=10
    )
    assert len(report.layer_table.seconds) == report.layers
    assert min(report.layer_table.seconds) > 0
    lines = result.gcode_path.read_bytes()
    assert all(lines[at:].startswith(b";LAYER_CHANGE") for at in report.layer_table.first_bytes)
