"""Which G-code a laser may run: ours, and nothing that fires, moves or sets what it should not, however it is spelt."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slicing.vector import grbl
from slicing.vector.lasercheck import LINE_MAX, REFUSED, VIOLATIONS_MAX, check
from slicing.vector.words_beam import RULES as OWN_RULES
from slicing.violations import RULES
from tests.slicing.vector.cutting import CO2, a_cut, a_scan, a_toolpath, an_engraving, settings, square

HEADER = "G21 G90 G94 G54\nM4 S0\n"
GOOD = HEADER + "M8\nG0 X10 Y10\nG1 X20 S500 F1200\nG1 Y20\nG1 X10 S0\nG0 X0 Y0\nM5\nM9\nG0 X0 Y0\nM2\n"
END = "M5\nM2\n"


def rules(text: str | bytes) -> list[str]:
    file = text if isinstance(text, bytes) else text.encode("latin-1")
    return [violation.rule for violation in check(file, CO2)]


def test_a_good_file_has_no_violation() -> None:
    assert rules(GOOD) == []


def test_what_we_write_passes() -> None:
    toolpath = a_toolpath(
        an_engraving(a_scan(30.1, (20, 50, 0.5), (50, 70, 1.0))),
        a_cut(square(10, 10, 30, gaps=((5.0, 7.0),)), settings=settings(air=True, passes=2)),
    )

    assert check(grbl.write(toolpath, CO2), CO2) == ()
    assert check(io.BytesIO(grbl.write(toolpath, CO2)), CO2) == ()


@pytest.mark.parametrize(
    "spelling",
    [
        GOOD.lower(),
        GOOD.replace(" ", ""),
        GOOD.replace(" ", "\t"),
        GOOD.replace("G0 ", "G00 ").replace("G1 ", "g01.0 ").replace("M5", "M05"),
        GOOD.replace("\n", " ; a word\n"),
        GOOD.replace("G1 ", "(cut here) G1 "),
        GOOD.replace("\n", "\r\n"),
        "".join(f"N{n} {line}\n" for n, line in enumerate(GOOD.splitlines())),
        "\n; only words\n\n" + GOOD,
        GOOD.replace("X20", "X+20.000"),
    ],
)
def test_other_spellings_of_the_same_pass(spelling: str) -> None:
    assert rules(spelling) == []


CONSTANT = "beam.constant"
CONTROL = "machine.control"
HOSTILE = [
    # The beam that stays on at a standstill.
    ("M3", CONSTANT),
    ("M3 S1000", CONSTANT),
    ("m3s1000", CONSTANT),
    ("M03", CONSTANT),
    ("M003 S1", CONSTANT),
    ("M3.0", CONSTANT),
    ("M+3", CONSTANT),
    ("M 3", CONSTANT),
    ("M\t3", CONSTANT),
    ("N10 M3", CONSTANT),
    ("N10M3*33", CONSTANT),
    ("(x) M3", CONSTANT),
    ("M(x)3", CONSTANT),
    ("G1 X20 M3 S9 F100", CONSTANT),
    ("/M3", CONTROL),
    # Comments whose end controllers do not agree on.
    ("(;) M3 S1000", "command.layout"),
    ("(a (b) c) M3", "command.layout"),
    ("(open M3", "command.layout"),
    (") M3", "command.layout"),
    # Bytes that act wherever they stand.
    ("; hello!", CONTROL),
    ("(what?) G1 X20 F100", CONTROL),
    ("; ~", CONTROL),
    ("\x18", CONTROL),
    ("; \x85", CONTROL),
    ("; d\xe9coupe", CONTROL),
    ("G1 X20\rM3 S1000", CONTROL),
    ("G0\x00 X1", CONTROL),
    # Orders to the controller.
    ("$32=0", CONTROL),
    ("$H", CONTROL),
    (" $X", CONTROL),
    ("$SD/Run=x.nc", CONTROL),
    ("[ESP444]RESTART", CONTROL),
    ("%", CONTROL),
    ("#5=3", CONTROL),
    # What moves the zero, the units, or along curves that nobody checked.
    ("G20", "command.refused"),
    ("G91", "command.refused"),
    ("G92 X0", "command.refused"),
    ("G10 L2 P1 X5", "command.refused"),
    ("G53 G0 X5", "command.refused"),
    ("G55", "command.refused"),
    ("G28", "command.refused"),
    ("g028.1", "command.refused"),
    ("G2 X20 Y20 I5 F100", "command.refused"),
    ("G03 X20 Y20 R5", "command.refused"),
    ("G4 P10", "command.refused"),
    ("M0", "command.refused"),
    ("M30", "command.refused"),
    ("M7", "command.refused"),
    ("G38.2 X20 F100", "command.unknown"),
    ("G17", "command.unknown"),
    ("M106", "command.unknown"),
    ("G1.5 X3", "command.unknown"),
    # Words that do not belong.
    ("G1 X20 Z-5 F100", "command.words"),
    ("G1 X20 X30 F100", "command.words"),
    ("T1", "command.words"),
    ("G1 X20 E5 F100", "command.words"),
    ("G1 X20 N5", "command.words"),
    ("G0 G1 X20 F100", "command.layout"),
    ("M4 M5", "command.layout"),
    ("G1 X1e2 F100", "command.words"),
    ("G1 X0x10 F100", "command.words"),
    ("G1 X F100", "command.layout"),
    ("hello", "command.layout"),
    ("G1 X20 *71", "command.layout"),
    ("G1 X--5 F100", "command.layout"),
    ("G1 X" + "0" * 70 + "5 S9 F100", "command.layout"),
    ("G1 X" + "0" * 99 + "5 F100", "command.layout"),
    # Places, speeds, powers.
    ("G0 X600.1", "move.bed"),
    ("G0 X-0.1", "move.bed"),
    ("G0 Y400.5", "move.bed"),
    ("G1 X20 F40000", "move.feedrate"),
    ("G1 X20 F0", "move.feedrate"),
    ("G1 X20 F-5", "move.feedrate"),
    ("G1 X20 S1001 F100", "beam.power"),
    ("G1 X20 S-1 F100", "beam.power"),
    ("G1 X20 S500", "beam.unset"),
    # Power without a way to burn.
    ("S500", "beam.standing"),
    ("M4 S500", "beam.standing"),
    ("G1 S500 F100", "beam.standing"),
    ("G1 X5 Y5 S500 F100", "beam.standing"),
    ("G0 X20 S500", "beam.travel"),
    ("G1 X20 S500 F100\nG0 X30", "beam.travel"),
    ("M5\nG1 X20 S500 F100\nM4", "beam.standing"),
    ("M2", "beam.end"),
]


@pytest.mark.parametrize(("line", "rule"), HOSTILE)
def test_what_a_laser_must_not_run_is_refused(line: str, rule: str) -> None:
    file = HEADER + "G0 X5 Y5\n" + line + "\n" + END

    assert rules(file)[:1] == [rule]


@pytest.mark.parametrize(
    ("file", "rule"),
    [
        ("", "beam.end"),
        (HEADER, "beam.end"),
        (GOOD.replace("M2\n", ""), "beam.end"),
        (GOOD.replace("M5\n", ""), "beam.end"),
        (GOOD + "G0 X5\n", "beam.end"),
        (GOOD.replace("G21 ", ""), "beam.unset"),
        (GOOD.replace("G90 ", ""), "beam.unset"),
        (GOOD.replace("G54", ""), "beam.unset"),
        ("G0 X5\n" + GOOD, "beam.unset"),
        (HEADER + "X5\n" + END, "beam.unset"),
        (GOOD.replace("G1 X20", "G1 X20 " + "(" + "x" * 90 + ")"), "command.layout"),
    ],
)
def test_a_file_that_is_not_whole_is_refused(file: str, rule: str) -> None:
    assert rules(file)[0] == rule


def test_a_line_longer_than_the_controller_holds_is_refused() -> None:
    padded = (
        "G1 X20."
        + "0" * 9
        + " Y20."
        + "0" * 9
        + " S500."
        + "0" * 9
        + " F0000100."
        + "0" * 9
        + " M8 M4 G90 G21 G94"
    )

    assert len(padded.replace(" ", "")) > LINE_MAX
    assert rules(HEADER + "G0 X5 Y5\n" + padded + "\n" + END) == ["command.layout"]


def test_a_violation_says_its_line_its_command_and_what_was_seen() -> None:
    found = check((HEADER + "m03 s1000\n" + END).encode(), CO2)

    assert [(v.line, v.command, v.rule, v.seen) for v in found] == [(3, "M3", CONSTANT, "m03 s1000")]


def test_the_list_of_violations_has_an_end() -> None:
    assert len(check(b"M3\n" * 1000, CO2)) == VIOLATIONS_MAX


def test_every_rule_has_words_in_both_languages() -> None:
    used = {rule for _, rule in HOSTILE} | set(REFUSED.values()) | {"beam.end", "beam.unset"}
    known = {**RULES, **OWN_RULES}

    assert used <= known.keys()
    assert set(OWN_RULES) <= used
    assert all(english and french for english, french in known.values())


@given(st.text(alphabet="GMSXYFN0123456789.+-() ;/$=\t\r*%mgx", max_size=40))
def test_no_line_brings_the_check_down_or_hides_an_m3(line: str) -> None:
    file = (HEADER + "G0 X5 Y5\n" + line + "\n" + END).encode()

    found = check(file, CO2)

    assert found or "M3" not in _as_grbl_reads(line)


def _as_grbl_reads(line: str) -> str:
    """GRBL's own way with a line, byte by byte: comments and blanks go, letters become capitals."""
    kept, comment = "", ""
    for sign in line:
        if comment:
            if sign == ")" and comment == "(":
                comment = ""
        elif sign in "(;":
            comment = sign
        elif sign > " " and sign != "/":
            kept += sign.upper()
    return kept.replace("M03", "M3").replace("M003", "M3")
