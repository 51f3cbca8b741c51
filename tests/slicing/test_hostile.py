"""Ninety files that attack, through the real cage: each answered in words, none of it paid by the service; and
good files spoilt at random, for the three readers.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from slicing import mesh, obj, stl, threemf
from slicing.analyser import Analyser
from slicing.faults import FileRefused
from slicing.limits import SLICE, TRIANGLES_MAX, XML_ELEMENTS_MAX
from slicing.modelxml import Budget, PartReader
from slicing.prusaslicer import NAMES, PrusaSlicer
from slicing.sandbox import Sandbox
from slicing.textnum import NotANumber, all_floats, all_integers
from tests.slicing import hostile
from tests.slicing.shapes import (
    Mesh,
    a_3mf,
    a_ball,
    a_box,
    an_analyser,
    ascii_stl,
    binary_stl,
    mesh_xml,
    model_xml,
    one_object,
    written,
)
from tests.slicing.shapes import obj as an_obj
from tests.slicing.test_prusaslicer import MK3S, needs_slicer

GROWTH_MIB_MAX = 64
SECONDS_MAX = 10.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All hostile files, written by another process: making them must not count as growth of this one."""
    where = tmp_path_factory.mktemp("hostile")
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-m", "tests.slicing.hostile", str(where)], check=True, cwd=root)
    return where


def memory_mib(line: str) -> float:
    (found,) = [x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(line)]
    return int(found.split()[1]) / 1024


def forget_the_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def test_the_measure_of_growth_sees_growth() -> None:
    forget_the_peak()
    before = memory_mib("VmRSS")
    held = b"x" * (40 * 1024 * 1024)
    size = len(held)
    del held

    assert size // 2**20 - 2 <= memory_mib("VmHWM") - before <= size // 2**20 + 20


async def answer(analyser: Analyser, path: Path) -> str | int:
    """How many triangles it has, or the code it is refused with, in words for both readers."""
    try:
        return (await analyser.study(path, path.name, MK3S)).analysis.triangles
    except FileRefused as fault:
        words = {fault.message_en, fault.message_fr, fault.remedy, fault.remedy_fr, ""}
        return fault.code if len(words) == 5 else f"{fault.code} without words"


async def test_every_hostile_file_is_answered_and_the_service_does_not_grow(
    folder: Path, tmp_path: Path
) -> None:
    good = written(tmp_path, binary_stl(hostile.BOX), "good.stl")
    answers: dict[str, str | int] = {}
    seconds: dict[str, float] = {}
    async with an_analyser() as analyser:
        # given a service that has warmed up
        for name in (good, folder / "garbage.stl"):
            await answer(analyser, name)
        forget_the_peak()
        before = memory_mib("VmRSS")
        # when all of it is dropped, one after the other
        for file in hostile.ALL:
            began = time.monotonic()
            answers[file.name] = await answer(analyser, folder / file.name)
            seconds[file.name] = time.monotonic() - began
        grown = memory_mib("VmHWM") - before
        last = await answer(analyser, good)

    # then each has its answer in time, and the next honest file is served as ever
    assert answers == {file.name: file.answer for file in hostile.ALL}
    assert len(answers) == len(hostile.ALL) >= 40
    assert {name: took for name, took in seconds.items() if took > SECONDS_MAX} == {}
    assert grown <= GROWTH_MIB_MAX
    assert last == 12


async def test_the_scripts_in_all_dresses_never_run_when_the_file_is_sliced(tmp_path: Path) -> None:
    # given files of PrusaSlicer's own kinds whose settings name a script
    needs_slicer()
    ran, script = tmp_path / "ran", tmp_path / "script.sh"
    script.write_text(f"#!/bin/sh\ntouch {ran}\n")
    script.chmod(0o755)
    dresses: dict[str, bytes] = {
        "a.3mf": hostile.armed(str(script)),
        "model.3mf": hostile.armed(str(script), "Metadata/Slic3r_PE_model.config"),
        "bambu.3mf": hostile.armed(str(script), "Metadata/project_settings.config"),
        "b.amf": hostile.amf(str(script)),
        "c.zip.amf": hostile.zipped_amf(str(script)),
        "c.3mf": hostile.zipped_amf(str(script)),
    }
    # when each goes the way that a member's file goes, caged and not
    sliced: dict[str, int | str] = {}
    async with an_analyser() as analyser:
        for sandbox in (Sandbox(), Sandbox(backend="rlimits")):
            slicer = PrusaSlicer(sandbox, analyser)
            for name, data in dresses.items():
                model = written(tmp_path, data, name)
                try:
                    out = tmp_path / f"out-{sandbox.backend}-{name}"
                    sliced[name] = (await slicer.slice(model, MK3S, 1, out, name)).report.layers
                except FileRefused as fault:
                    sliced[name] = fault.code
    # then meshes were sliced by our settings, the rest refused, and nothing of it ran
    assert sliced == {
        "a.3mf": 10,
        "model.3mf": 10,
        "bambu.3mf": 10,
        "b.amf": "file.type_mismatch",
        "c.zip.amf": "archive.lies",
        "c.3mf": "archive.lies",
    }
    assert not ran.exists()


async def test_the_older_format_does_run_its_script_when_a_careless_caller_hands_it_over(
    tmp_path: Path,
) -> None:
    # why AMF is refused by its first bytes; should this ever fail, the slicer has become safer
    needs_slicer()
    ran, script = tmp_path / "ran", tmp_path / "script.sh"
    script.write_text(f"#!/bin/sh\ntouch {ran}\n")
    script.chmod(0o755)
    careless = "".join(f"{k} = {v}\n" for k, v in MK3S.keys.items() if k != "post_process")
    ini, model = (
        written(tmp_path, careless.encode(), "p.ini"),
        written(tmp_path, hostile.amf(str(script)), "a.amf"),
    )
    program = next(found for name in NAMES if (found := shutil.which(name)))
    arguments = ["--load", str(ini), "--export-gcode", "-o", str(tmp_path / "a.gcode"), str(model)]

    outcome = await Sandbox(backend="rlimits").run([program, *arguments], limits=SLICE)

    assert ran.exists(), outcome.output


# Good files spoilt at random. The readers are pure functions: they may say no, and nothing else.

BALL = a_ball(12)
READERS: dict[str, tuple[Callable[[bytes], Mesh], bytes]] = {
    "binary STL": (stl.read_binary, binary_stl(hostile.BOX)),
    "ASCII STL": (stl.read_ascii, ascii_stl(hostile.BOX)),
    "two solids": (stl.read_ascii, ascii_stl(hostile.BOX, "\r\n") * 2),
    "OBJ": (obj.read, an_obj(hostile.BOX)),
    "3MF": (
        lambda data: threemf.read(io.BytesIO(data)).triangles,
        a_3mf(one_object(hostile.BOX), {"a.config": b"x"}),
    ),
    "3MF inside": (
        lambda data: threemf.read(io.BytesIO(a_3mf(data.decode("latin-1")))).triangles,
        one_object(BALL, prolog="").encode(),
    ),
}
WORDS = (
    b"nan",
    b"1e999",
    b"-1",
    b"/",
    b"vertex",
    b"endfacet",
    b"<",
    b'"/>',
    b"&#49;",
    b"]]>",
    b"\0",
    b"_",
    b"\\\n",
    b"f ",
)
CHANGE = st.one_of(
    st.tuples(st.just("flip"), st.floats(0, 1), st.integers(0, 7)),
    st.tuples(st.just("cut"), st.floats(0, 1), st.floats(0, 1)),
    st.tuples(st.just("copy"), st.floats(0, 1), st.floats(0, 1)),
    st.tuples(st.just("word"), st.floats(0, 1), st.sampled_from(WORDS)),
)


def spoilt(data: bytes, changes: list[tuple[str, float, float | bytes]]) -> bytes:
    """Bits flipped, stretches lost or repeated, words put in."""
    for what, where, how in changes:
        at = int(where * len(data))
        if isinstance(how, bytes):
            data = data[:at] + how + data[at:]
        elif what == "flip" and at < len(data):
            data = data[:at] + bytes((data[at] ^ 1 << int(how),)) + data[at + 1 :]
        else:
            to = min(int(how * len(data)), at + 500) if how > where else at + 60
            data = data[:at] + (data[at:to] * 2 if what == "copy" else b"") + data[to:]
    return data


@pytest.mark.parametrize("kind", READERS)
@hypothesis.settings(max_examples=250, deadline=None)
@hypothesis.given(changes=st.lists(CHANGE, min_size=1, max_size=4))
def test_a_spoilt_file_is_finite_triangles_or_a_refusal(
    kind: str, changes: list[tuple[str, float, float | bytes]]
) -> None:
    read, good = READERS[kind]
    try:
        triangles = read(spoilt(good, changes))
    except FileRefused:
        return
    assert triangles.ndim == 3
    assert triangles.shape[1:] == (3, 3)
    assert np.isfinite(triangles).all()


@hypothesis.settings(deadline=None)
@hypothesis.given(
    st.lists(st.one_of(st.floats(allow_nan=False), st.floats(-1e5, 1e5)), max_size=20),
    st.sampled_from(["r", "e", ".3f", ".9g", "g"]),
)
def test_numbers_are_read_as_python_reads_them(numbers: list[float], form: str) -> None:
    words = [repr(x) if form == "r" else format(x, form) for x in numbers]
    assert all_floats(words) == pytest.approx([float(word) for word in words], rel=1e-15, abs=1e-290)


@hypothesis.given(st.text(alphabet="0123456789+-.eE_ /x١\n", max_size=12))
def test_a_word_is_a_number_only_where_the_standard_says_so(word: str) -> None:
    plain = word.strip(" \n")
    decimal = re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", plain)
    try:
        read = all_floats([word])[0]
    except NotANumber:
        assert decimal is None
    else:
        assert decimal
        assert read == pytest.approx(float(plain), rel=1e-15, abs=1e-290)
    try:
        whole = all_integers([word])[0]
    except NotANumber:
        assert re.fullmatch(r"[+-]?[0-9]+", plain) is None
    else:
        assert whole == int(plain)


def read_part(data: bytes, sizes: list[int]) -> Mesh | str:
    """One .model part, fed in pieces of these sizes, over and over."""
    reader, at, turn = PartReader("a", Budget(), lambda name: name), 0, 0
    try:
        while at < len(data):
            size = sizes[turn % len(sizes)]
            reader.feed(data[at : at + size])
            at, turn = at + size, turn + 1
        (thing,) = reader.finish().objects.values()
        corners: Mesh = thing.vertices.rows()[thing.triangles.rows()]
    except FileRefused as fault:
        return fault.code
    return corners


INDENTED = one_object(BALL).replace("<vertex", "\n  <vertex").replace("<triangle ", "\r\n\t<triangle ")
PAINTED = one_object(BALL).replace('v1="300"', 'paint="4" v1="300"').replace('v1="909"', "v1='909'")


@pytest.mark.parametrize(
    "xml", [one_object(BALL), INDENTED, PAINTED, one_object(BALL).replace(' x="20"', ' x="&#50;0"')]
)
@hypothesis.settings(max_examples=40, deadline=None)
@hypothesis.given(sizes=st.lists(st.integers(1500, 9000), min_size=1, max_size=5))
def test_rows_are_read_alike_in_whatever_pieces_they_come(xml: str, sizes: list[int]) -> None:
    # given the same document in a form that only expat reads
    by_expat = read_part(
        xml.replace("<", "<m:")
        .replace("<m:/", "</m:")
        .replace("<m:?", "<?")
        .replace("xmlns=", "xmlns:m=")
        .encode(),
        [10**9],
    )
    # then both ways give the same numbers
    assert isinstance(by_expat, np.ndarray)
    assert np.array_equal(read_part(xml.encode(), sizes), by_expat)
    assert np.allclose(by_expat, BALL, atol=1e-4)


@pytest.mark.parametrize(
    "text",
    [
        ascii_stl(BALL),
        ascii_stl(BALL).replace(b"  ", b" "),
        ascii_stl(BALL).replace(b"vertex", b"\t   vertex  "),
        ascii_stl(BALL).replace(b"endfacet\n", b"endfacet\n\n"),
        ascii_stl(BALL).upper().replace(b"E-", b"e-"),
        ascii_stl(BALL, "\r\n"),
        ascii_stl(BALL[:300]) + ascii_stl(BALL[300:]),
        ascii_stl(BALL).replace(b"solid thing", b"solid vertex of endfacet"),
        ascii_stl(BALL).replace(b"facet normal 0 0 0", b"facet"),
    ],
)  # fmt: skip
def test_an_ascii_stl_is_the_same_ball_however_it_is_written(text: bytes) -> None:
    assert np.allclose(stl.read_ascii(text), BALL, atol=1e-4)


def test_more_than_we_read_is_said_before_it_is_kept() -> None:
    budget = Budget()
    budget.take_elements(XML_ELEMENTS_MAX)

    with pytest.raises(FileRefused, match=r"mesh\.too_complex"):
        budget.take_elements()
    with pytest.raises(FileRefused, match=r"mesh\.too_complex"):
        budget.take_triangles(TRIANGLES_MAX + 1)


def test_what_is_marked_as_not_to_be_printed_is_left_out_and_said(tmp_path: Path) -> None:
    objects = "".join(
        f'<object id="{n}" type="{kind}">{mesh_xml(a_box(n, n, n))}</object>'
        for n, kind in ((20, "model"), (30, "support"), (40, "model"))
    )
    build = '<item objectid="20"/><item objectid="30"/><item objectid="40" printable="0"/>'
    with written(tmp_path, a_3mf(model_xml(objects, build))).open("rb") as file:
        analysis = mesh.load(file.fileno(), "part.3mf").analysis

    assert analysis.size_mm == (20.0, 20.0, 20.0)
    assert [(w.code, w.params["count"]) for w in analysis.warnings] == [
        ("mesh.other_parts_ignored", 1),
        ("mesh.not_printable", 1),
    ]
