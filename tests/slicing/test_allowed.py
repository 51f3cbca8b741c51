"""Which G-code a machine may run: all that the slicer writes under our profiles, and nothing that breaks a rule."""

from __future__ import annotations

import io
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from slicing.allowed import COMMANDS, REFUSED, VIOLATIONS_MAX, check, envelope
from slicing.bundles import INSTALLED, Preset, flatten
from slicing.profile import FORCED, QUALITIES, PrintProfile
from slicing.vector.words_beam import RULES as BEAM_RULES
from slicing.violations import RULES, Violation
from tests.slicing.shapes import a_box, an_analyser, binary_stl, moved, written
from tests.slicing.slicers import real_slicer

MK3S = PrintProfile.resolve("mk3s").keys
ENDER3 = PrintProfile.resolve("ender3").keys
VENDORS = (
    Preset(
        vendor="PrusaResearch",
        printer="Original Prusa i3 MK3S & MK3S+",
        print="0.20mm QUALITY @MK3",
        filament="Generic PLA",
    ),
    Preset(
        vendor="Creality",
        printer="Creality Ender-3 (0.4 mm nozzle)",
        print="0.20 mm NORMAL (0.4 mm nozzle) @CREALITY",
        filament="Generic PLA @CREALITY",
    ),
    Preset(
        vendor="Voron",
        printer="Voron_v2_300_afterburner 0.4 nozzle",
        print="0.2mm 0.4nozzle V2",
        filament="Basic PLA @VORON",
    ),
)
GOOD = """; made by hand
M201 X1000 Y1000 Z200 E5000 ; limits
M104 S215
M140 S60
G28
G90
M83
G1 Z0.2 F720
;LAYER_CHANGE
G1 X10 Y10 F10800
G1 E.8 F2100
M204 S800
G1 X20.125 Y10 E.4
G1 X20.125 Y-0 E.4

M107
M84 X Y E
"""


def found(text: str | bytes, keys: Mapping[str, str] = MK3S) -> tuple[Violation, ...]:
    return check(io.BytesIO(text.encode() if isinstance(text, str) else text), keys)


def rules(text: str | bytes, keys: Mapping[str, str] = MK3S) -> list[tuple[int, str]]:
    return [(violation.line, violation.rule) for violation in found(text, keys)]


def sliced(folder: Path, ini: str) -> bytes:
    """A table with a roof that hangs over, by the system's slicer."""
    legs = [moved(a_box(8, 8, 3), x, 0, 0) for x in (0, 30)]
    table = np.concatenate([*legs, moved(a_box(38, 8, 1), 0, 0, 3)])
    (folder / "part.stl").write_bytes(binary_stl(table))
    (folder / "profile.ini").write_text(ini)
    command = [str(real_slicer()), "--load", "profile.ini", "--export-gcode", "-o", "out.gcode", "part.stl"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return (folder / "out.gcode").read_bytes()


# --- What passes -------------------------------------------------------------------------------------------------


def test_a_plain_file_passes_and_so_does_an_empty_one() -> None:
    assert found(GOOD) == ()
    assert found("") == ()
    assert found(GOOD.replace("\n", "\r\n")) == ()
    assert found(GOOD.rstrip()) == ()  # no line end at the end


@pytest.mark.parametrize("quality", QUALITIES)
@pytest.mark.parametrize("material", ["pla", "petg"])
@pytest.mark.parametrize("machine", ["mk3s", "mini", "ender3"])
def test_all_that_the_slicer_writes_under_our_profiles_passes(
    tmp_path: Path, machine: str, material: str, quality: str
) -> None:
    profile = PrintProfile.resolve(machine, material, quality, supports=True)
    assert found(sliced(tmp_path, profile.to_ini()), profile.keys) == ()


@pytest.mark.parametrize("preset", VENDORS, ids=lambda preset: preset.vendor)
def test_all_that_the_slicer_writes_under_vendors_presets_passes(tmp_path: Path, preset: Preset) -> None:
    real_slicer()
    if not INSTALLED.is_dir():
        pytest.skip("SKIPPED ALOUD: no vendor bundles on this machine")
    keys = {**flatten(preset), **FORCED, "first_layer_height": "0.2"}
    text = sliced(tmp_path, "".join(f"{key} = {value}\n" for key, value in keys.items()))
    assert found(text, keys) == ()


def test_a_macro_passes_only_where_the_profile_says_it_and_with_its_parameters() -> None:
    voron = {**MK3S, "start_gcode": "; heat\\nprint_start EXTRUDER=[first_layer_temperature[0]] BED={bed}"}
    assert found("print_start EXTRUDER=215 BED=60", voron) == ()
    assert rules("print_start EXTRUDER=215 BED=60") == [(1, "command.unknown")]
    assert rules("print_start CHAMBER=60", voron) == [(1, "command.words")]
    assert rules("print_start EXTRUDER=350 BED=60", voron) == [(1, "heat.nozzle")]
    assert rules("print_start EXTRUDER=215 BED=160", voron) == [(1, "heat.bed")]
    assert rules("; print_start\nheat", voron) == [
        (2, "command.unknown")
    ]  # a word of a comment is no command


def test_branches_of_a_template_are_all_the_profiles_own() -> None:
    keys = {
        **MK3S,
        "start_filament_gcode": '"M907 E{if a==1}430{else}538{endif} ; amps\\n{if b}G81{else}G82{endif}"',
    }
    assert found("M907 E430\nG81\nG82", keys) == ()
    assert rules("M907 X430", keys) == [(1, "command.words")]
    assert rules("M907 E430\nG83") == [(1, "command.unknown"), (2, "command.unknown")]


def test_the_profiles_purge_line_may_leave_the_bed_and_no_other() -> None:
    keys = {**MK3S, "start_gcode": "G1 Y-3 F1000\\nG1 X100 E12"}
    assert found("G1 Y-3 F1000", keys) == ()
    assert rules("G1 Y-3.5 F1000", keys) == [(1, "move.bed")]
    assert rules("G1 Y-3 F1000") == [(1, "move.bed")]
    far = {**MK3S, "start_gcode": "G1 X900"}
    assert rules("G1 X900", far) == [(1, "move.bed")]


def test_steps_are_followed_to_where_they_lead() -> None:
    keys = {**MK3S, "end_gcode": "G91\\nG1 Z5\\nG90"}
    assert found("G28\nG90\nG1 X100 Y100 Z200\nG91\nG1 Z5\nG1 X-20\nG90", keys) == ()
    seen = found("G28\nG90\nG1 X100 Y100 Z200\nG91\nG1 Z15\nG1 X-120\nG90", keys)
    assert [(one.line, one.rule) for one in seen] == [(5, "move.height"), (6, "move.height")]
    seen = found("G28\nG1 X100 Y100 Z20\nG91\nG1 X-60\nG1 X-60\n", keys)
    assert [(one.line, one.rule) for one in seen] == [(5, "move.bed")]
    assert rules("G91") == [(1, "command.unknown")]  # the profile has no use for it


def test_axes_to_home_may_stand_apart_or_together() -> None:
    assert found("G28 X Y\nG28 XY\nG28 X0 Y0\nG28 W") == ()
    assert rules("G28 Xfive\nG28 X5") == [(1, "command.number"), (2, "command.number")]


def test_a_macro_that_moves_the_zero_may_only_take_it_back() -> None:
    keys = {**MK3S, "start_gcode": "SET_GCODE_OFFSET Z=0\nSET_GCODE_OFFSET Z_ADJUST=0.1"}
    assert found("SET_GCODE_OFFSET Z=0", keys) == ()
    assert rules("SET_GCODE_OFFSET Z=-2", keys) == [(1, "command.number")]
    assert rules("SET_GCODE_OFFSET Z_ADJUST=-2", keys) == [(1, "command.words")]


def test_no_profile_makes_a_machine_faster_than_any_is() -> None:
    keys = {**MK3S, "machine_max_feedrate_x": "13000", "travel_speed": "5000"}
    assert found("G1 X5 F60000", keys) == ()
    assert rules("G1 X5 F70000", keys) == [(1, "move.feedrate")]


def test_a_round_bed_has_no_corners() -> None:
    round_bed = {**MK3S, "bed_shape": "100x0,71x71,0x100,-71x71,-100x0,-71x-71,0x-100,71x-71"}
    assert envelope(round_bed).radius == pytest.approx(100.4, abs=0.1)
    assert found("G28\nG1 X70 Y70 Z1", round_bed) == ()
    assert rules("G28\nG1 X90 Y90 Z1", round_bed) == [(2, "move.bed")]
    assert rules("G28\nG1 X90\nG1 Y90", round_bed) == [(3, "move.bed")]


# --- What is refused ---------------------------------------------------------------------------------------------

BAD: Mapping[str, tuple[str, str]] = {
    "writes the machine's memory": ("M500", "command.refused"),
    "erases the machine's memory": ("M502", "command.refused"),
    "writes the card": ("M28 x.g", "command.refused"),
    "deletes from the card": ("M30 x.g", "command.refused"),
    "prints from the card": ("M32 x.g", "command.refused"),
    "updates the firmware": ("M997", "command.refused"),
    "speaks to the host": ("M118 //action:poweroff", "command.refused"),
    "sets the network": ("M587 S1", "command.refused"),
    "switches off": ("M81", "command.refused"),
    "stops everything": ("M112", "command.refused"),
    "moves the zero": ("M206 X50", "command.refused"),
    "lets the head leave its bounds": ("M211 S0", "command.refused"),
    "speaks in inches": ("G20", "command.refused"),
    "draws an arc": ("G2 X10 Y10 I5 J5", "command.refused"),
    "runs a program of the host": ("run_shell_command CMD=x", "command.refused"),
    "hides in small letters": ("m500", "command.refused"),
    "is unknown": ("M4242", "command.unknown"),
    "is a macro of nobody": ("LOAD_FILAMENT", "command.unknown"),
    "has no space": ("G1X900", "command.unknown"),
    "has a line number": ("N10 G1 X10", "command.unknown"),
    "is no G-code": ("%PDF-1.4", "command.unknown"),
    "waits for a person": ("M600", "command.unknown"),
    "leaves the bed on the left": ("G1 X-5 F1000", "move.bed"),
    "leaves the bed at the back": ("G0 Y215", "move.bed"),
    "goes through the bed": ("G1 Z-0.5", "move.height"),
    "goes through the roof": ("G1 Z215", "move.height"),
    "goes too fast": ("G1 X5 F60000", "move.feedrate"),
    "does not go": ("G1 X5 F0", "move.feedrate"),
    "pushes a spool": ("G1 E5000", "move.push"),
    "swallows a spool": ("G1 E-5000", "move.push"),
    "melts the nozzle": ("M104 S350", "heat.nozzle"),
    "melts the nozzle and waits": ("M109 R301", "heat.nozzle"),
    "melts the bed": ("M140 S150", "heat.bed"),
    "melts the bed and waits": ("M190 R121", "heat.bed"),
    "melts the chamber": ("M141 S90", "heat.chamber"),
    "freezes": ("M104 S-20", "heat.nozzle"),
    "is of no world": ("M204 S99999999", "command.number"),
    "waits for days": ("G4 S86400", "command.number"),
    "trebles the flow": ("M221 S300", "command.number"),
    "moves the origin": ("G92 X50", "command.words"),
    "sets the extruder's place": ("G92 E500", "command.number"),
    "says an axis twice": ("G1 X5 X900", "command.words"),
    "says an axis twice, the good one last": ("G1 X900 X5", "move.bed"),
    "has an axis of its own": ("G1 X5 U5", "command.words"),
    "has an axis without a number": ("G1 X", "command.words"),
    "has a word for a number": ("G1 Xfive", "move.bed"),
    "has an endless number": ("G1 X" + "9" * 100, "move.bed"),
    "has no number at all": ("M104 Snan", "heat.nozzle"),
    "has an exponent": ("G1 X1e9", "move.bed"),
    "has a checksum": ("G1 X5*71", "move.bed"),
    "has a command within": ("G1 X5 M500", "command.words"),
    "is indented": ("  G1 X900", "command.layout"),
    "is indented by a tab": ("\tG1 X9", "command.layout"),
    "hides behind a carriage return": ("; comment\rM500", "command.layout"),
    "hides behind a form feed": ("; comment\fM500", "command.layout"),
    "hides behind a null": ("G1 X5\0X900", "command.layout"),
}


@pytest.mark.parametrize("why", BAD)
def test_a_line_is_refused_that(why: str) -> None:
    line, rule = BAD[why]
    place = len(GOOD.splitlines()) + 1
    assert rules(GOOD + line + "\n" + GOOD) == [(place, rule)]


def test_every_rule_has_a_line_that_breaks_it() -> None:
    assert {rule for _, rule in BAD.values()} == set(RULES) - set(BEAM_RULES)


def test_what_is_refused_stays_so_where_the_profile_says_it() -> None:
    assert not REFUSED & set(COMMANDS)
    keys = {**MK3S, "start_gcode": "M500\\nG92 X5\\nsave_config\\nM104 S900"}
    assert rules("M500\nG92 X5\nsave_config\nM104 S900", keys) == [
        (1, "command.refused"),
        (2, "command.words"),
        (3, "command.refused"),
        (4, "heat.nozzle"),
    ]


def test_places_are_those_of_this_machine() -> None:
    assert found("G1 X240 F9000\nG1 Z205", MK3S) == ()
    assert rules("G1 X240 F9000\nG1 Z205", ENDER3) == [(1, "move.bed")]
    assert found("G1 Z245", ENDER3) == ()


def test_a_violation_says_where_what_and_why_and_shows_nothing_but_text() -> None:
    (one,) = found(b"G28\nM104 S3\x80\xe950\n")
    assert one == Violation(line=2, command="M104", rule="heat.nozzle", seen="S3??50")
    assert Violation.from_json(one.to_json()) == one
    assert len(found("X" * 5000)[0].seen) <= 80


def test_no_more_than_twenty_are_told() -> None:
    assert len(found("M500\n" * 5000)) == VIOLATIONS_MAX
    assert len(found("G1 X900\n" * 200_000)) == VIOLATIONS_MAX


def test_a_line_without_end_is_told_and_not_kept() -> None:
    assert rules(GOOD.encode() + b"G1 X5 " * 1_000_000) == [(len(GOOD.splitlines()) + 1, "command.layout")]


def test_bad_lines_are_found_wherever_pieces_are_cut() -> None:
    many = GOOD * 6000  # 2 MB: several pieces
    lines = many.count("\n")
    assert rules(many + "M500\n" + many) == [(lines + 1, "command.refused")]


def test_a_million_lines_take_a_second_at_most() -> None:
    lines = 500_000
    text = "".join(f"G1 X{i % 200}.125 Y{i % 190}.5 E.0{i % 9}\n" for i in range(lines)).encode()
    file = io.BytesIO(text)

    def took() -> float:
        begun = time.process_time()
        assert check(file, MK3S) == ()
        return time.process_time() - begun

    assert lines / min(took() for _ in range(3)) > 1e6


async def test_the_analyser_checks_in_a_child(tmp_path: Path) -> None:
    good, bad = written(tmp_path, GOOD.encode(), "good.gcode"), written(tmp_path, b"M500\n", "bad.gcode")
    async with an_analyser() as analyser:
        assert await analyser.check_gcode(good, PrintProfile.resolve("mk3s")) == ()
        (one,) = await analyser.check_gcode(bad, PrintProfile.resolve("mk3s"))
    assert (one.line, one.command, one.rule) == (1, "M500", "command.refused")
