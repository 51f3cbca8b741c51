"""Profiles: what a member may choose, what nobody may, and machines imported from the vendors' bundles."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from orchestrator.main import main
from slicing.bundles import INSTALLED, BundleError, presets
from slicing.imports import Wanted, import_machine, listed
from slicing.plate import parts_area
from slicing.profile import FORCED, OVERRIDES, Choice, OverrideRefused, PrintProfile, Shelf, UnknownProfile
from slicing.prusaslicer import NAMES, PrusaSlicer
from slicing.sandbox import Sandbox
from tests.slicing.shapes import a_box, an_analyser, binary_stl, written

HOSTILE = """
[printer:*common*]
printer_technology = FFF
bed_shape = 0x0,200x0,200x200,0x200
max_print_height = 180
nozzle_diameter = 0.4
start_gcode = G28 ; for [printer_model]
print_host = 192.0.2.1
printhost_apikey = secret
host_type = octoprint
serial_port = /dev/ttyUSB0

[printer:Evil One]
inherits = *common*
printer_model = EVIL
default_print_profile = Plain
default_filament_profile = Grey PLA
post_process = /bin/steal

[printer:Round One]
inherits = *common*
bed_shape = 100x0,70.7x70.7,0x100,-70.7x70.7,-100x0,-70.7x-70.7,0x-100,70.7x-70.7

[printer:Two Heads]
inherits = *common*
nozzle_diameter = 0.4,0.4

[printer:Resin]
inherits = *common*
printer_technology = SLA

[print:Plain]
layer_height = 0.25
first_layer_height = 120%
top_solid_layers = 3
perimeters = 4
perimeter_speed = 33
post_process = /bin/steal
output_filename_format = /etc/passwd
gcode_substitutions = G28;G29

[print:Coarse]
inherits = Plain
layer_height = 0.28
perimeter_speed = 55

[print:Loop]
inherits = Loop

[filament:Grey PLA]
filament_type = PLA
filament_diameter = 2.85
filament_density = 1.3
temperature = 199
first_layer_temperature = 201
bed_temperature = 50
start_filament_gcode = "M900 K0.05"
"""


def a_bundle(folder: Path) -> Path:
    folder.mkdir()
    (folder / "Acme.ini").write_text(HOSTILE)
    return folder


def an_import(tmp_path: Path, printer: str = "Evil One", **wanted: object) -> Shelf:
    into = tmp_path / "profiles"
    names = {"print": "Plain", "filaments": ("Grey PLA",), **wanted}
    order = Wanted(vendor="Acme", printer=printer, name="acme", **names)  # type: ignore[arg-type]
    import_machine(order, into, a_bundle(tmp_path / "bundles"))
    return Shelf.of(into)


# --- a member's choices ----------------------------------------------------------------------------


def test_the_choices_that_are_allowed_reach_the_slicer_in_its_own_spelling() -> None:
    chosen: dict[str, Choice] = {
        "perimeters": 4,
        "brim_width": 5,
        "fill_pattern": "grid",
        "support_material_buildplate_only": True,
    }
    keys = PrintProfile.resolve("mk3s", "pla", "fine", 40, True, overrides=chosen).keys

    expected = {
        "perimeters": "4",
        "brim_width": "5",
        "fill_pattern": "grid",
        "fill_density": "40%",
        "support_material": "1",
        "support_material_buildplate_only": "1",
    }
    assert {key: keys[key] for key in expected} == expected
    assert set(expected) == set(OVERRIDES)
    assert float(keys["duplicate_distance"]) == 11, "the brims of two copies must not touch"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("perimeters", 0),
        ("perimeters", 7),
        ("perimeters", True),
        ("perimeters", "2; post_process = /bin/steal"),
        ("brim_width", 11),
        ("brim_width", -1),
        ("fill_density", 101),
        ("fill_density", "15%"),
        ("fill_pattern", "lightning"),
        ("fill_pattern", "grid\npost_process = /bin/steal"),
        ("support_material", "1"),
        ("support_material_buildplate_only", 1),
        ("post_process", "/bin/steal"),
        ("start_gcode", "M104 S400"),
        ("temperature", 400),
        ("output_filename_format", "x"),
        ("printhost_apikey", "x"),
    ],
)
def test_every_other_choice_is_refused_and_says_what_is_allowed(key: str, value: Choice) -> None:
    with pytest.raises(OverrideRefused) as caught:
        PrintProfile.resolve("mk3s", overrides={key: value})

    assert caught.value.key == key
    assert caught.value.allowed_en
    assert caught.value.allowed_fr


def full_pattern_or_refused_key(overrides: dict[str, Choice]) -> str:
    try:
        return PrintProfile.resolve("mk3s", infill_percent=100, overrides=overrides).keys["fill_pattern"]
    except OverrideRefused as no:
        return f"refused: {no.key}"


@pytest.mark.parametrize(
    ("pattern", "answer"),
    [
        (None, "rectilinear"),
        ("rectilinear", "rectilinear"),
        ("concentric", "concentric"),
        ("gyroid", "refused: fill_pattern"),
    ],
)
def test_a_full_part_needs_a_pattern_that_can_be_full(pattern: str | None, answer: str) -> None:
    overrides: dict[str, Choice] = {} if pattern is None else {"fill_pattern": pattern}
    assert full_pattern_or_refused_key(overrides) == answer


@pytest.mark.parametrize("pattern", OVERRIDES["fill_pattern"].words)
async def test_the_slicer_takes_every_pattern_that_is_offered(tmp_path: Path, pattern: str) -> None:
    needs_slicer()
    profile = PrintProfile.resolve("mk3s", infill_percent=25, overrides={"fill_pattern": pattern})
    assert (await sliced(tmp_path, profile)) == 3


# --- imported machines -----------------------------------------------------------------------------


def test_nothing_harmful_of_a_bundle_survives_an_import(tmp_path: Path) -> None:
    shelf = an_import(tmp_path)
    on_disk = "".join(path.read_text() for path in (tmp_path / "profiles").iterdir())
    keys = PrintProfile.resolve("acme", shelf=shelf).keys

    for word in ("steal", "secret", "192.0.2.1", "octoprint", "ttyUSB0", "/etc/passwd", "G29"):
        assert word not in on_disk
    assert {key: keys[key] for key in FORCED} == dict(FORCED)
    assert keys["start_gcode"] == "G28 ; for [printer_model]"
    assert keys["printer_model"] == "EVIL", "start G-code asks for it"


def test_a_file_edited_by_hand_cannot_bring_a_script_back(tmp_path: Path) -> None:
    shelf = an_import(tmp_path)
    with (tmp_path / "profiles" / "machine-acme.ini").open("a") as file:
        file.write("post_process = /bin/steal\nprinthost_apikey = secret\nuse_relative_e_distances = 0\n")

    ini = PrintProfile.resolve("acme", shelf=shelf).to_ini()

    assert "steal" not in ini
    assert "secret" not in ini
    assert "\nuse_relative_e_distances = 1\n" in ini


def test_the_default_process_is_the_vendors_own_and_the_rest_is_the_labs_on_the_vendors_machine(
    tmp_path: Path,
) -> None:
    shelf = an_import(tmp_path)

    own = PrintProfile.resolve("acme", "pla", "normal", shelf=shelf).keys
    other = PrintProfile.resolve("acme", "petg", "draft", shelf=shelf).keys

    wanted = ("layer_height", "first_layer_height", "perimeters", "perimeter_speed", "temperature")
    assert [own[key] for key in wanted] == ["0.25", "0.3", "4", "33", "199"]
    assert [other[key] for key in wanted] == ["0.3", "0.3", "4", "33", "240"]
    assert own["start_filament_gcode"] == '"M900 K0.05"'
    assert other["start_filament_gcode"] == '""', "the vendor's PLA says nothing about our PETG"
    assert own["filament_diameter"] == other["filament_diameter"] == "2.85"


def test_a_further_print_preset_serves_a_further_quality(tmp_path: Path) -> None:
    shelf = an_import(tmp_path, other_prints={"draft": "Coarse"})

    draft = PrintProfile.resolve("acme", "pla", "draft", shelf=shelf).keys

    assert (draft["layer_height"], draft["perimeter_speed"], draft["perimeters"]) == ("0.28", "55", "4")


def test_a_layer_is_never_higher_than_the_nozzle_of_the_machine_can_lay(tmp_path: Path) -> None:
    folder = tmp_path / "profiles"
    folder.mkdir()
    ours = Path(__file__).parents[2] / "slicing" / "profiles" / "machine-mini.ini"
    fine_nozzle = ours.read_text().replace("max_layer_height = 0.32", "max_layer_height = 0")
    (folder / "machine-tiny.ini").write_text(fine_nozzle + "\nnozzle_diameter = 0.25\n")

    keys = PrintProfile.resolve("tiny", quality="draft", shelf=Shelf.of(folder)).keys

    assert float(keys["layer_height"]) == float(keys["first_layer_height"]) == pytest.approx(0.1875)


def test_an_import_again_replaces_all_of_the_first(tmp_path: Path) -> None:
    shelf = an_import(tmp_path, other_prints={"draft": "Coarse"})
    order = Wanted(vendor="Acme", printer="Evil One", name="acme")
    import_machine(order, tmp_path / "profiles", tmp_path / "bundles")

    assert shelf.of_machine("quality", "acme") == ("normal",)
    assert shelf.available("machine") == ("acme", "ender3", "mini", "mk3s")
    assert shelf.available("quality") == ("draft", "fine", "normal")
    assert list((tmp_path / "profiles").glob("*.part")) == []


@pytest.mark.parametrize(
    ("printer", "wanted", "words"),
    [
        ("Two Heads", {}, "several extruders"),
        ("Resin", {}, "no printer of filament"),
        ("Nobody", {}, "no printer preset 'Nobody'"),
        ("Evil One", {"print": "Nothing"}, "no print preset 'Nothing'"),
        ("Evil One", {"print": "Loop"}, "inherits from itself"),
        ("Evil One", {"filaments": ("Gold",)}, "no filament preset 'Gold'"),
        ("Evil One", {"other_prints": {"best": "Plain"}}, "no quality preset 'best'"),
        ("Round One", {"print": "", "filaments": ()}, "names no defaults"),
    ],
)
def test_what_cannot_be_imported_is_refused_in_words_and_leaves_nothing(
    tmp_path: Path, printer: str, wanted: dict[str, object], words: str
) -> None:
    with pytest.raises(BundleError, match=words):
        an_import(tmp_path, printer, **wanted)

    assert not (tmp_path / "profiles").exists()


@pytest.mark.parametrize("name", ["../acme", "Acme", "a@b", "", "a b", "x" * 41])
def test_a_machine_is_named_so_that_it_is_never_a_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(BundleError):
        import_machine(Wanted(vendor="Acme", printer="Evil One", name=name), tmp_path / "profiles")
    with pytest.raises(UnknownProfile):
        PrintProfile.resolve(name)


def test_of_a_round_bed_only_the_square_within_is_used(tmp_path: Path) -> None:
    profile = PrintProfile.resolve("acme", shelf=an_import(tmp_path, "Round One"))

    low_x, low_y, width, depth = profile.rectangle_mm
    assert (low_x, low_y, width, depth) == pytest.approx((-70.7, -70.7, 141.4, 141.4), abs=0.1)
    corners = [tuple(float(v) for v in word.split("x")) for word in parts_area(profile).split(",")]
    assert max(abs(v) for corner in corners for v in corner) < 70.7 - profile.edge_mm + 0.1


# --- the bundles that PrusaSlicer brings -----------------------------------------------------------


def needs_slicer() -> None:
    if not INSTALLED.is_dir() or not any(shutil.which(name) for name in NAMES):
        pytest.skip("SKIPPED ALOUD: no PrusaSlicer on this machine")


async def sliced(tmp_path: Path, profile: PrintProfile, copies: int = 3) -> int:
    """Number of copies that came out of slicing a small box."""
    model = written(tmp_path, binary_stl(a_box(20, 20, 3)), "box.stl")
    async with an_analyser() as analyser:
        result = await PrusaSlicer(Sandbox(), analyser).slice(model, profile, copies, tmp_path / "out")
    return result.quantity


def test_the_installed_presets_are_listed() -> None:
    needs_slicer()

    assert any(line.startswith("PrusaResearch") for line in listed())
    assert any("Original Prusa i3 MK3S & MK3S+" in line for line in listed("PrusaResearch"))
    with pytest.raises(BundleError):
        listed("Nobody")


@pytest.mark.parametrize(
    ("vendor", "printer"),
    [
        ("PrusaResearch", "Original Prusa i3 MK3S & MK3S+"),
        ("PrusaResearch", "Original Prusa MINI & MINI+"),
        ("Creality", "Creality Ender-3 (0.4 mm nozzle)"),
        ("Anycubic", "Anycubic Kossel Linear Plus"),
        ("Artillery", "Artillery Sidewinder X1"),
        ("RatRig", "RatRig V-Core-3-300"),
        ("LulzBot", "Mini Aero 0.5mm"),
        ("Ultimaker", "Ultimaker 2"),
    ],
)
@pytest.mark.parametrize(("material", "quality", "infill"), [("pla", "normal", 15), ("petg", "draft", 30)])
async def test_imported_machines_slice_and_their_estimate_agrees(
    tmp_path: Path, vendor: str, printer: str, material: str, quality: str, infill: int
) -> None:
    needs_slicer()
    shelf = Shelf.of(tmp_path / "profiles")
    import_machine(Wanted(vendor=vendor, printer=printer, name="it"), tmp_path / "profiles")
    profile = PrintProfile.resolve("it", material, quality, infill, shelf=shelf)
    model = written(tmp_path, binary_stl(a_box(40, 30, 20)), "box.stl")

    async with an_analyser() as analyser:
        result = await PrusaSlicer(Sandbox(), analyser).slice(model, profile, 2, tmp_path / "out")
        estimate = await analyser.estimate(model, profile, 2)

    text = result.gcode_path.read_text()
    height = re.search(r"^; layer_height = (.+)$", text, re.MULTILINE)
    assert height is not None
    assert float(height[1]) == float(profile.keys["layer_height"])
    assert "\n; post_process = \n" in text
    thins_out = profile.keys["fill_pattern"] == "adaptivecubic"  # less inside than its percentage says
    assert estimate.milligrams_p50 == pytest.approx(result.report.milligrams, rel=0.2 if thins_out else 0.1)
    jumpy = profile.keys["machine_max_jerk_x"].startswith(
        "20"
    )  # the estimator takes such a machine for slower
    assert estimate.seconds_p50 == pytest.approx(result.report.seconds, rel=0.5 if jumpy else 0.25)


def test_each_printer_that_its_vendor_names_defaults_for_imports_or_says_why_not(tmp_path: Path) -> None:
    needs_slicer()
    good, noes = 0, []
    for vendor, kind, name in presets():
        if kind != "printer" or vendor not in (
            "PrusaResearch",
            "Anycubic",
            "Elegoo",
            "FLSun",
            "RatRig",
            "Zonestar",
        ):
            continue
        try:
            import_machine(Wanted(vendor=vendor, printer=name, name="it"), tmp_path)
            good += 1
        except BundleError as no:
            noes.append(str(no))

    assert good >= 50
    reasons = (
        "several extruders",
        "no printer of filament",
        "names no usable type",
        "has no print preset",
        "does not say its density",
    )
    assert [no for no in noes if not any(reason in no for reason in reasons)] == []


def test_the_launchers_command_makes_a_printer_of_a_bundle_the_labs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_slicer()
    monkeypatch.delenv("ETABLI_CORPUS_STL", raising=False)  # the test rig's, and no setting
    data = ["--data", str(tmp_path)]
    wanted = [
        "--vendor",
        "PrusaResearch",
        "--printer",
        "Original Prusa i3 MK3S & MK3S+",
        "--name",
        "mk3s-left",
    ]
    presets_of_both = [
        "--filament",
        "Generic PLA",
        "--filament",
        "Generic PETG",
        "--draft",
        "0.30mm DRAFT @MK3",
    ]

    assert main(["profiles", "import", *wanted, *presets_of_both, *data]) == 0
    assert main(["profiles", *data]) == 0
    assert main(["profiles", "import", "--vendor", "Nobody", "--printer", "x", "--name", "x", *data]) == 1

    shelf, said = Shelf.of(tmp_path / "profiles"), capsys.readouterr()
    assert "The lab has: ender3, mini, mk3s, mk3s-left" in said.out
    assert "The bundle Nobody is not installed" in said.err
    assert shelf.of_machine("material", "mk3s-left") == ("petg", "pla")
    assert shelf.of_machine("quality", "mk3s-left") == ("draft", "normal")
    keys = PrintProfile.resolve("mk3s-left", shelf=shelf).keys
    assert "MK3S" in keys["printer_model"], "the start G-code of a MK3S checks whom it is for"
    assert "PRINTER_MODEL_MK3" in keys["printer_notes"]
