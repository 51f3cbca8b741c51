"""Text becomes outlines in our font, in its place and paint; what cannot be outlined is told, and not cut."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from slicing.faults import FileRefused
from slicing.limits import MESH, MIB
from slicing.vector import svg, svgusvg
from slicing.vector.groups import groups, length_mm, measures
from tests.services import ROOT, corpus_dir, missing
from tests.slicing.vector.drawings import SQUARE, codes, drawing, read
from tests.slicing.vector.svg_judge import judge


@pytest.fixture(autouse=True, scope="module")
def letters() -> None:
    if not svgusvg.has_fonts():
        missing("the DejaVu fonts are not installed (fonts-dejavu-core)")


def test_a_text_becomes_outlines_where_it_stands() -> None:
    design = read(SQUARE + '<text x="30" y="50" font-size="10" fill="red">Hi</text>')

    square, text = design.shapes
    assert (square.from_text, text.from_text) == (False, True)
    assert (text.fill, text.stroke) == ("#ff0000", "")
    low_x, low_y, high_x, high_y = measures([text]).box_mm[0]
    assert 30 < low_x < high_x < 45
    assert 40 < low_y < high_y <= 50.2
    assert len(text.lines) == 3  # H, the dot, and the stem
    assert codes(design) == {"svg.text": 1}


def test_texts_keep_their_place_in_the_order() -> None:
    design = read(f'<text y="20">a</text>{SQUARE}<text y="40">b</text>')

    assert [shape.from_text for shape in design.shapes] == [True, False, True]


@pytest.mark.parametrize(
    ("content", "paints"),
    [
        ('<text y="20">a<tspan fill="red">b</tspan>c</text>', ["fill:#000000", "fill:#ff0000"]),
        ('<text y="20" fill="none" stroke="blue">a</text>', ["stroke:#0000ff"]),
        ('<g fill="lime" font-size="9"><text y="20">a</text></g>', ["fill:#00ff00"]),
        (
            '<style>tspan{fill:red}</style><text y="20">a<tspan>b</tspan></text>',
            ["fill:#000000", "fill:#ff0000"],
        ),
        ('<text y="20" fill="none">a<tspan fill="red">b</tspan></text>', ["fill:#ff0000"]),
        ('<text y="20">a<tspan display="none">b</tspan></text>', ["fill:#000000"]),
    ],
)
def test_letters_have_their_own_paint(content: str, paints: list[str]) -> None:
    assert sorted({group.key for group in groups(read(content))}) == paints
    assert all(group.from_text for group in groups(read(content)))


@pytest.mark.parametrize(
    "content",
    [
        '<text x="50%" y="20" font-size="5">abc</text>',
        '<g transform="rotate(30) scale(2)"><text x="1em" y="2em" font-size="5">abc</text></g>',
        '<text x="10 15 20" y="20" font-size="5" rotate="10">abc</text>',
        '<text x="50" y="20" font-size="5" text-anchor="middle" letter-spacing="2">abc</text>',
        '<text font-size="5" y="20"><tspan x="5" dy="1.2em">one</tspan><tspan x="5" dy="1.2em">two</tspan></text>',
        '<path id="p" d="M10 50C20 10 60 10 70 50" fill="none"/><text font-size="5">'
        '<textPath href="#p" xlink:href="#p">along the line</textPath></text>',
        '<defs><text id="t" font-size="5" y="9">abc</text></defs><use href="#t"/><use href="#t" x="30" y="9"/>',
        '<text y="20" font-size="5" font-family="serif" font-weight="bold" font-style="italic">abc</text>',
        '<text y="20" font-size="5" xml:space="preserve">a   b</text>',
        '<text y="20" style="font:5px monospace" text-decoration="underline">abc</text>'.replace(
            "font:5px monospace", "font-size:5px;font-family:monospace"
        ),
    ],
)
def test_letters_are_those_that_usvg_draws_in_the_whole_drawing(content: str) -> None:
    data = drawing(content)

    assert length_mm(svg.read(data).shapes) == pytest.approx(judge(data, svgusvg.FONTS).painted_mm, rel=1e-3)


@pytest.mark.parametrize(
    "name",
    ["boxes_Clock.svg", "boxes_Kamishibai.svg", "svgpathtools_vectorframes.svg", "liblasercut_Skew.svg"],
)
def test_real_drawings_have_the_letters_that_usvg_draws(name: str) -> None:
    data = (corpus_dir() / "svg" / name).read_bytes()

    assert length_mm(svg.read(data).shapes) == pytest.approx(judge(data, svgusvg.FONTS).painted_mm, rel=1e-3)


def test_a_sign_that_our_font_lacks_is_told() -> None:
    assert "svg.letters_lost" in codes(read('<text y="20" font-size="9">a漢</text>'))


def test_hidden_and_unpainted_texts_are_told_like_shapes() -> None:
    design = read(f'{SQUARE}<text visibility="hidden">a</text><text fill="none">b</text><text> </text>')

    assert codes(design) == {"svg.hidden": 1, "svg.unpainted": 1}


def test_without_letters_a_text_is_left_out_and_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(svgusvg, "FONTS", tmp_path)

    design = read(SQUARE + "<text>a</text><text>b</text>")

    assert len(design.shapes) == 1
    assert codes(design) == {"svg.text_lost": 2}
    with pytest.raises(FileRefused) as refusal:
        read("<text>a</text>")
    assert refusal.value.code == "svg.nothing_text"


IN_A_CAGE = """
import json, os, resource, sys
from slicing.vector import svg
for kind, most in ((resource.RLIMIT_AS, int(sys.argv[1])), (resource.RLIMIT_NPROC, 0), (resource.RLIMIT_CPU, 30)):
    resource.setrlimit(kind, (most, most))
design = svg.read(sys.stdin.buffer.read())
threads = len(os.listdir("/proc/self/task"))  # root may start some whatever the limit: then they are counted
print(json.dumps([len(design.shapes), [warning.code for warning in design.warnings], threads]))
"""


@pytest.mark.parametrize("address_space_bytes", [768 * MIB, MESH.address_space_bytes])
def test_letters_are_had_where_nothing_may_be_started_and_memory_is_bounded(address_space_bytes: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IN_A_CAGE, str(address_space_bytes)],
        input=drawing('<text y="20">abc</text>'),
        capture_output=True,
        cwd=ROOT,
        env={"OPENBLAS_NUM_THREADS": "1"},
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout) == [1, ["svg.text"], 1]


def test_lines_of_letters_are_closed() -> None:
    (text,) = read('<text y="50" font-size="9">o</text>').shapes

    assert all(line.closed for line in text.lines)
    assert np.isfinite(text.lines[0].points).all()
