"""Materials: what is known of each, what a lab may change, and what never comes under a beam."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from slicing.faults import FileRefused
from slicing.vector.materials import CONFIDENCES, Materials, listing, materials, preset
from slicing.vector.toolpath import CUT, ENGRAVE, SCORE
from tests.slicing.vector.drawn import CO2, DIODE, KNIFE

OURS = materials()


def own(folder: Path, text: str) -> Materials:
    file = folder / "materials.toml"
    file.write_text(text, "utf-8")
    return materials(file)


def test_every_figure_says_where_it_is_from_and_how_far_to_trust_it() -> None:
    rows = [
        row
        for material in OURS.known.values()
        for usage in material.sources.values()
        for row in usage.presets.values()
    ]

    assert len(rows) > 50
    assert all(row.provenance and row.confidence in CONFIDENCES for row in rows)
    assert all(row.tested_on == "" for row in rows)  # nobody here has tried any yet


def test_all_materials_have_both_names_and_a_cut_for_some_source() -> None:
    for material in OURS.known.values():
        assert material.en
        assert material.fr
        assert any(CUT in usage.presets for usage in material.sources.values()), material.name


def test_the_eight_materials_and_cotton_can_be_cut_with_co2() -> None:
    rows = [row for row in listing(OURS, "co2") if row["allowed"]]

    assert {row["name"].split("-")[0] for row in rows} == {
        "birch", "poplar", "mdf", "acrylic", "card", "greyboard", "paper", "leather", "cotton",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("material", "machine", "kind", "expected"),
    [
        ("pvc", CO2, CUT, "laser.material_forbidden"),
        ("vinyl-sticker", CO2, CUT, "laser.material_forbidden"),
        ("vinyl-sticker", DIODE, CUT, "laser.material_forbidden"),
        ("polycarbonate", DIODE, ENGRAVE, "laser.material_forbidden"),
        ("mirror-face-up", CO2, ENGRAVE, "laser.material_forbidden"),
        ("kryptonite", CO2, CUT, "laser.material_unknown"),
        ("forbidden", CO2, CUT, "laser.material_unknown"),
        ("acrylic-clear-3", DIODE, CUT, "laser.material_unfit"),
        ("birch-ply-3", KNIFE, CUT, "laser.material_unfit"),
        ("card-3", CO2, ENGRAVE, "laser.no_settings"),
        ("vinyl-sticker", KNIFE, ENGRAVE, "laser.no_settings"),
    ],
)
def test_what_must_not_or_cannot_be_done_is_refused(
    material: str, machine: object, kind: str, expected: str
) -> None:
    assert isinstance(machine, type(CO2))
    with pytest.raises(FileRefused) as refusal:
        preset(OURS, material, machine, kind)

    assert refusal.value.code == expected


def test_a_forbidden_material_is_refused_with_its_reason_in_both_languages() -> None:
    with pytest.raises(FileRefused) as refusal:
        preset(OURS, "pvc", CO2, CUT)

    assert "hydrogen chloride" in refusal.value.message_en
    assert "chlorure d'hydrogène" in refusal.value.message_fr


def test_an_unknown_material_is_answered_with_those_that_this_machine_can_do() -> None:
    with pytest.raises(FileRefused) as refusal:
        preset(OURS, "kryptonite", DIODE, CUT)

    assert "birch-ply-3" in refusal.value.message_en
    assert "acrylic-clear-3" not in refusal.value.message_en


def test_clear_acrylic_says_why_a_diode_cannot() -> None:
    with pytest.raises(FileRefused) as refusal:
        preset(OURS, "acrylic-clear-3", DIODE, CUT)

    assert "blue light" in refusal.value.message_en
    assert "lumière bleue" in refusal.value.message_fr


def test_a_preset_is_used_as_it_was_found_whatever_the_tube() -> None:
    weak, strong = (preset(OURS, "birch-ply-3", replace(CO2, power_watts=w), CUT) for w in (60, 100))

    assert weak.settings == strong.settings
    assert (weak.settings.speed_mm_s, weak.settings.power_permille) == (15.0, 750)
    assert weak.settings.kerf_mm == 0.3


@pytest.mark.parametrize(("watts", "suggested"), [(60, None), (64, None), (100, 25.0), (40, 10.0)])
def test_another_tube_gets_a_suggestion_of_the_same_energy_per_mm(
    watts: float, suggested: float | None
) -> None:
    found = preset(OURS, "birch-ply-3", replace(CO2, power_watts=watts), CUT).suggestion

    assert (found and found.speed_mm_s) == suggested


def test_an_axis_that_is_too_slow_takes_less_power() -> None:
    slow = replace(CO2, speed_max_mm_s=(150.0, 300.0))

    settings = preset(OURS, "birch-ply-3", slow, ENGRAVE).settings

    assert (settings.speed_mm_s, settings.power_permille) == (150.0, 125)


def test_the_listing_is_plain_and_shows_what_is_forbidden_to_a_laser() -> None:
    rows = listing(OURS, "diode")

    assert json.loads(json.dumps(rows)) == rows
    refused = {row["name"]: row for row in rows if not row["allowed"]}
    assert {"pvc", "abs", "ptfe", "cca-wood", "vinyl-sticker", "acrylic-clear-6"} <= set(refused)
    assert all(row["why_en"] and row["why_fr"] for row in refused.values())


def test_a_knife_is_offered_vinyl() -> None:
    assert [row["name"] for row in listing(OURS, "knife") if row["allowed"]] == ["vinyl-sticker"]


def test_a_lab_changes_one_figure_and_keeps_the_rest(tmp_path: Path) -> None:
    found = own(
        tmp_path,
        '[birch-ply-3.co2.cut]\nspeed_mm_s = 22.5\nconfidence = "lab_tested"\ntested_on = "2026-11-20"\n',
    )

    chosen = preset(found, "birch-ply-3", CO2, CUT)

    assert (chosen.settings.speed_mm_s, chosen.settings.power_permille) == (22.5, 750)
    assert chosen.preset.tested_on == "2026-11-20"
    assert preset(found, "birch-ply-3", CO2, SCORE).preset == preset(OURS, "birch-ply-3", CO2, SCORE).preset


def test_a_lab_adds_a_material_and_forbids_another(tmp_path: Path) -> None:
    found = own(
        tmp_path,
        """
        [cork-4]
        en = "Cork, 4 mm"
        fr = "Liège, 4 mm"
        thickness_mm = 4
        [cork-4.co2.cut]
        speed_mm_s = 30
        power_percent = 60
        provenance = "our own test"
        confidence = "lab_tested"
        [forbidden.brass]
        en = "Brass"
        fr = "Laiton"
        why_en = "it throws the beam back"
        why_fr = "il renvoie le faisceau"
        """,
    )

    assert preset(found, "cork-4", CO2, CUT).settings.speed_mm_s == 30
    with pytest.raises(FileRefused, match="throws the beam back"):
        preset(found, "brass", CO2, CUT)


def test_without_a_file_of_its_own_a_lab_has_ours(tmp_path: Path) -> None:
    assert materials(tmp_path / "materials.toml") == OURS


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[pvc]\nen = 'PVC'", "pvc: is forbidden"),
        ("birch = 3", "birch: not a table"),
        ("[birch-ply-3", "materials.toml: "),
        ("[birch-ply-3]\ncolour = 'red'", "birch-ply-3: colour"),
        ("[birch-ply-3.co2.cut]\nspeed_mm_s = 'fast'", "birch-ply-3.co2.cut: speed_mm_s: 'fast'"),
        ("[birch-ply-3.co2.cut]\npower_percent = 101", "power_percent: 101"),
        ("[birch-ply-3.co2.cut]\nspeed_mm_s = nan", "speed_mm_s: nan"),
        ("[birch-ply-3.co2.cut]\npasses = true", "passes: True"),
        ("[birch-ply-3.co2.cut]\nconfidence = 'sure'", "confidence: 'sure'"),
        ("[birch-ply-3.co2]\nkerf_mm = -1", "birch-ply-3.co2: kerf_mm: -1"),
        ("[birch-ply-3.co2]\nforbidden = 'x'", "birch-ply-3.co2: forbidden: x"),
        ("[birch-ply-3]\nco2 = 3", "birch-ply-3.co2: not a table"),
        ("[cork]\nen = 'Cork'", "cork: fr: missing"),
        ("[cotton.co2.engrave]\nspeed_mm_s = 3", "cotton.co2.engrave: power_percent: missing"),
        ("[forbidden.brass]\nen = 'Brass'", "forbidden.brass: fr: missing"),
    ],
)
def test_a_wrong_key_or_value_of_the_labs_file_is_named(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(ValueError, match="materials") as wrong:
        own(tmp_path, text)

    assert named in str(wrong.value)
