"""Which files may be fed to a laser, and which line is named when not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.grbl.program import FILE_BYTES_MAX, Bounds, check
from drivers.grbl.words import REFUSALS
from orchestrator.domain.errors import Rejected
from slicing.vector import grbl
from tests.rigs.grbl import a_cut
from tests.slicing.vector import cutting

HEAD = "G21\nG90\nM4 S0\n"
TAIL = "M5\nM2\n"


def test_a_file_is_sent_without_its_comments_and_blanks_and_nothing_else_is_changed() -> None:
    text = "; made by hand\nG21 (mm)\n\ng90\r\nM4 S0\nG1 X1.5 Y-0.25 S500 F600 ; cut\nM5\nM2"

    program = check(text.encode(), Bounds())

    assert program.lines == [b"G21\n", b"G90\n", b"M4S0\n", b"G1X1.5Y-0.25S500F600\n", b"M5\n", b"M2\n"]
    assert program.size_bytes == program.ends[-1] == len(text)
    assert list(program.burns) == [0, 0, 0, 1, 0, 0]
    assert (program.xs[3], program.ys[3]) == (1.5, -0.25)


def test_only_cutting_moves_with_power_burn() -> None:
    text = HEAD + "G0 X1 S500\nG1 X2 F100\nX3\nS0\nX4\nG0 X5 S9\nG1 X6\nM5\nX7\n" + "M2\n"

    burns = check(text.encode(), Bounds()).burns

    #              G21 G90 M4 G0 G1 X3 S0 X4 G0 X6 M5 X7 M2
    assert list(burns) == [0, 0, 0, 0, 1, 1, 0, 0, 0, 1, 0, 0, 0]


@pytest.mark.parametrize(
    ("text", "rule", "line"),
    [
        (HEAD + "M3 S500\n" + TAIL, "laser.m3", 4),
        (HEAD + "m03\n" + TAIL, "laser.m3", 4),
        (HEAD + "M3.0\n" + TAIL, "laser.word", 4),
        (HEAD + "M0\n" + TAIL, "laser.word", 4),
        (HEAD + "M7\n" + TAIL, "laser.word", 4),
        ("G20\nG90\nG1 X1 F9\n" + TAIL, "laser.word", 1),
        ("G21\nG91\n", "laser.word", 2),
        (HEAD + "G2 X1 Y1 I1 F9\n" + TAIL, "laser.word", 4),
        (HEAD + "G1 Z5 F9\n" + TAIL, "laser.word", 4),
        (HEAD + "G10 L2 P1 X5\n" + TAIL, "laser.word", 4),
        (HEAD + "G1 X1 F0\n" + TAIL, "laser.word", 4),
        (HEAD + "G1 X1 F-5\n" + TAIL, "laser.word", 4),
        (HEAD + "G1 X1e5 F5\n" + TAIL, "laser.word", 4),
        (HEAD + "S-1\n" + TAIL, "laser.word", 4),
        (HEAD + "%\n" + TAIL, "laser.word", 4),
        (HEAD + "/G1 X1\n" + TAIL, "laser.word", 4),
        (HEAD + "[ESP220]/x\n" + TAIL, "laser.word", 4),
        (HEAD + "(a comment that does not end\n" + TAIL, "laser.word", 4),
        (HEAD + "$32=0\n" + TAIL, "laser.byte", 4),
        (HEAD + "$J=G91X10F100\n" + TAIL, "laser.byte", 4),
        (HEAD + "G1 X1 F5 ; wait?\n" + TAIL, "laser.byte", 4),
        (HEAD + "(~)\n" + TAIL, "laser.byte", 4),
        (HEAD + "!\n" + TAIL, "laser.byte", 4),
        (HEAD + "\x18\n" + TAIL, "laser.byte", 4),
        (HEAD + "\x9e\n" + TAIL, "laser.byte", 4),
        (HEAD + "\0\n" + TAIL, "laser.byte", 4),
        (HEAD + "G1X" + "1" * 80 + "\n" + TAIL, "laser.line_too_long", 4),
        ("G1 X1 F5\n" + TAIL, "laser.preamble", 1),
        ("G21G90G0X1\n", "laser.preamble", 1),
        ("G21\nM4S1\nG1 X1 F5\n" + TAIL, "laser.preamble", 3),
        ("G90\nM4S1\nG1 X1 F5\n" + TAIL, "laser.preamble", 3),
        (HEAD + "G1 X1 S5\n" + TAIL, "laser.preamble", 4),
        (HEAD + "X1\n" + TAIL, "laser.preamble", 4),
        (HEAD + "G1X1S5F5\nM2\nG0X0\n", "laser.preamble", 6),
        (HEAD + "G1X1S5F5\nM2\nM4\n", "laser.word", 6),
        (HEAD + "G1 X601 S1 F5\n" + TAIL, "laser.outside", 4),
        (HEAD + "G1 X1 Y-1 S1 F5\n" + TAIL, "laser.outside", 4),
        (HEAD + "G1 X1 S1001 F5\n" + TAIL, "laser.power", 4),
        (HEAD + "G1 X1 S1 F5\n", "laser.beam_stays_on", 0),
        (HEAD + "G0 X1\n" + TAIL, "laser.empty", 0),
        (HEAD + TAIL, "laser.empty", 0),
        ("", "laser.empty", 0),
    ],
)
def test_what_is_not_on_the_short_list_is_refused_by_line(text: str, rule: str, line: int) -> None:
    with pytest.raises(Rejected) as no:
        check(text.encode("latin-1"), Bounds(bed_mm=(600.0, 400.0), power_max=1000.0))

    (fault,) = no.value.faults
    assert (no.value.code, fault.rule) == (rule, rule)
    assert fault.where == (f"line {line}" if line else "")
    assert str(line or "") in no.value.detail
    assert fault.remedy
    assert fault.texts["fr"] != fault.texts["en"] == no.value.detail
    assert fault.texts["remedy_fr"]


def test_a_file_that_is_too_large_is_not_even_read(tmp_path: object) -> None:
    assert FILE_BYTES_MAX == 64 << 20
    assert "laser.too_large" in REFUSALS


def test_what_our_own_post_processor_writes_is_let_through() -> None:
    ring = cutting.a_cut(cutting.square(10, 10, 50), cutting.square(20, 20, 5))
    area = cutting.an_engraving(*(cutting.a_scan(100 + y / 5, (10.0, 90.0, 0.5)) for y in range(20)))

    file = grbl.write(cutting.a_toolpath(area, ring), cutting.CO2)
    program = check(file, Bounds(bed_mm=cutting.CO2.bed_mm, power_max=cutting.CO2.power_max))

    assert sum(program.burns) >= 8 + 20
    assert program.lines[-1] == b"M2\n"


@given(st.integers(1, 200))
def test_every_line_that_is_let_through_is_short_plain_and_harmless(lines: int) -> None:
    program = check(a_cut(lines).encode(), Bounds())

    assert all(len(line) <= 71 and line.endswith(b"\n") and line.isascii() for line in program.lines)
    assert b"M3" not in b"".join(program.lines)
    assert len(program.lines) == len(program.ends) == len(program.xs) == len(program.burns)
    assert list(program.ends) == sorted(program.ends)


@given(st.text(alphabet="GMXYFS0123459.-+ ;()$!?~\n\r", max_size=120))
def test_whatever_the_file_only_listed_words_get_through(text: str) -> None:
    try:
        program = check((HEAD + text + "\nG1X1S5F5\n" + TAIL).encode(), Bounds())
    except Rejected:
        return

    allowed = {"G0", "G1", "G21", "G90", "G94", "G54", "M2", "M4", "M5", "M8", "M9"}
    for line in program.lines:
        for word in _words(line.decode().strip()):
            assert word[0] in "XYFS" or word[0] + word[1:].lstrip("0").rjust(1, "0") in allowed


def _words(line: str) -> list[str]:
    starts = [place for place, sign in enumerate(line) if sign.isalpha()]
    return [line[a:b] for a, b in zip(starts, [*starts[1:], len(line)], strict=True)]
