"""The instant estimate against geometry reckoned by hand, and against a real slicer's own figures."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from slicing import bitraster, contours, estimate, mesh, raster, zones
from slicing.profile import PrintProfile, UnknownProfile, available
from slicing.recipe import recipe
from slicing.results import PrintEstimate
from tests.slicing.shapes import Mesh, a_ball, a_box, corpus, moved

NORMAL = PrintProfile.resolve("mk3s")

# What reference.tsv was sliced with on the MK3S, where it differs from our own profile.
REFERENCE = {
    **NORMAL.keys,
    "top_solid_layers": "6",
    "skirt_height": "3",
    "skirt_distance": "2",
    "filament_max_volumetric_speed": "15",
}


def estimated(triangles: Mesh, quantity: int = 1, **choices: Any) -> PrintEstimate:
    profile = PrintProfile.resolve("mk3s", **choices)
    return estimate.estimate_print(triangles, profile.keys, quantity)


def test_a_full_box_weighs_its_volume_times_its_density() -> None:
    solid = estimated(a_box(), infill_percent=100)

    assert solid.milligrams_p50 == pytest.approx(8000 * 1.24, rel=0.05)


def test_p90_is_never_below_p50_and_all_of_it_survives_json() -> None:
    result = estimated(a_box())

    assert result.seconds_p90 > result.seconds_p50 > 0
    assert result.milligrams_p90 > result.milligrams_p50 > 0
    assert (result.confidence, result.reasons) == ("high", ())
    assert PrintEstimate.from_json(result.to_json()) == result


@pytest.mark.parametrize(
    ("less", "more"),
    [
        ({"infill_percent": 10}, {"infill_percent": 40}),
        ({"quality": "draft"}, {"quality": "normal"}),
        ({"quality": "normal"}, {"quality": "fine"}),
    ],
)
def test_more_work_takes_longer(less: dict[str, Any], more: dict[str, Any]) -> None:
    ball = a_ball(40)

    assert estimated(ball, **less).seconds_p50 < estimated(ball, **more).seconds_p50


def test_supports_cost_material_and_certainty_only_where_something_overhangs() -> None:
    table = np.concatenate([a_box(5, 5, 20), moved(a_box(40, 40, 3), 0, 0, 20)])

    plain, supported = estimated(table), estimated(table, supports=True)
    box = estimated(a_box(), supports=True)

    assert supported.milligrams_p50 > 1.1 * plain.milligrams_p50
    assert "estimate.supports" in supported.reasons
    assert box.features["mm3_support"] == 0


def test_a_bridge_held_at_both_ends_needs_no_support() -> None:
    posts = [a_box(5, 20, 10), moved(a_box(5, 20, 10), 25, 0, 0)]
    bridge = np.concatenate([*posts, moved(a_box(30, 20, 3), 0, 0, 10)])

    assert estimated(bridge, supports=True).features["mm3_support"] == 0


def test_copies_share_the_fixed_costs_and_nothing_else() -> None:
    one, ten = estimated(a_box()), estimated(a_box(), quantity=10)

    assert 9.8 * one.milligrams_p50 < ten.milligrams_p50 <= 10 * one.milligrams_p50
    assert ten.seconds_p50 < 10 * one.seconds_p50


def test_a_body_inside_another_is_not_counted_twice() -> None:
    within = np.concatenate([a_box(), moved(a_box(10, 10, 10), 5, 5, 5)])

    assert estimated(within).milligrams_p50 == pytest.approx(estimated(a_box()).milligrams_p50, rel=0.06)


def test_an_open_mesh_is_still_estimated_with_less_confidence() -> None:
    result = estimated(a_box()[:-1])

    assert "estimate.open_mesh" in result.reasons
    assert result.confidence != "high"


def test_where_the_part_stands_does_not_matter() -> None:
    assert estimated(moved(a_box(), 1000, -500, 33)) == estimated(a_box())


def a_grid_of(x: float, y: float, z: float) -> bitraster.Grid:
    return zones.plan(np.zeros(3), np.array([x, y, z]), recipe(NORMAL.keys))


def test_a_cut_is_exact_and_half_open() -> None:
    grid = a_grid_of(20, 30, 10)

    around = bitraster.outline(bitraster.cut(a_box(20, 30, 10), grid), grid)

    assert grid.nz == 50
    assert around.length == pytest.approx(np.full(50, 100.0))
    assert around.area == pytest.approx(np.full(50, 600.0), rel=1e-5)


def test_contours_find_their_corners() -> None:
    cuts = bitraster.cut(a_box(20, 30, 10), a_grid_of(20, 30, 10))

    chains = contours.chain(cuts, np.flatnonzero((cuts.layer == 0) | (cuts.layer == 25)))

    assert chains.length == pytest.approx([100.0, 100.0])
    assert np.count_nonzero(chains.turn > 0.5) == 8


def test_the_bits_fill_what_the_bytes_fill() -> None:
    body = np.concatenate([a_ball(24), moved(a_box(9, 30, 6), 3, -2, 4)])
    low, high = raster.bounds(body)
    bits = zones.plan(low, high, recipe(NORMAL.keys))
    bytes_ = raster.Grid(
        **{name: getattr(bits, name) for name in ("x0", "y0", "z0", "dz", "px", "nx", "ny", "nz")},
        stride=1,
        layers=bits.nz,
    )

    filled = bitraster.fill(bitraster.cut(body, bits), bits)
    reference = raster.fill(raster.cut(body, bytes_), bytes_)

    apart = np.abs(bitraster.per_layer(filled.solid) - raster.count_per_layer(reference.solid))
    assert apart.max() <= 4  # crossings in float32 may fall on the other side of a pixel's middle
    assert filled.overlap_share == pytest.approx(reference.overlap_share, abs=0.002)
    assert filled.leak_rows == reference.leak_rows == 0


def test_an_inside_out_body_is_as_solid_and_says_so() -> None:
    body = a_box(20, 30, 10)
    grid = a_grid_of(20, 30, 10)

    outward = bitraster.fill(bitraster.cut(body, grid), grid)
    inward = bitraster.fill(bitraster.cut(body[:, ::-1], grid), grid)

    assert (outward.solid == inward.solid).all()
    assert (outward.negative, inward.negative) == (False, True)


def test_bits_move_across_words_and_fall_off_the_ends() -> None:
    volume = np.zeros((1, 2, 3), dtype=np.uint64)
    volume[0, 0, 1] = np.uint64(1) << np.uint64(63)

    right = bitraster.moved(volume, 1, 1)

    assert right[0, 1, 2] == 1
    assert bitraster.per_layer(right)[0] == 1
    assert bitraster.per_layer(bitraster.moved(right, 0, 1))[0] == 0
    assert (bitraster.moved(right, -1, -1) == volume).all()


def test_a_window_joins_the_layers_within_reach_only() -> None:
    layers = np.array([1, 1, 0, 1, 1, 1, 1], dtype=np.uint64).reshape(7, 1, 1)

    together = bitraster.window(layers, 1, 2, np.bitwise_and)

    assert together.ravel().tolist() == [0, 0, 0, 0, 1, 1, 1]


def test_a_straight_move_takes_the_time_of_its_trapezoid() -> None:
    # 100 mm at 50 mm/s with 1000 mm/s2 from rest: 2 s cruising and 0.05 s lost to ramps
    assert float(contours.trapezoid_seconds(100.0, 1.0, 50.0, 1000.0, 0.0)) == pytest.approx(2.05)
    # too short to reach its speed: a triangle
    assert float(contours.trapezoid_seconds(0.1, 1.0, 50.0, 1000.0, 0.0)) == pytest.approx(0.02)


def corpus_rows() -> Iterator[tuple[str, float, float]]:
    lines = (corpus() / "reference.tsv").read_text("utf-8").splitlines()
    for row in csv.DictReader((line for line in lines if not line.startswith("#")), delimiter="\t"):
        if row["mk3s_s"] and row["file"] not in ("tm_featuretype.stl", "tm_soup.stl"):
            yield row["file"], float(row["mk3s_g"]), float(row["mk3s_s"])


def test_real_models_come_out_close_to_the_slicers_own_figures() -> None:
    grams_off, seconds_off = [], []
    for name, grams, seconds in corpus_rows():
        with (corpus() / name).open("rb") as file:
            triangles = mesh.load(file.fileno(), name).triangles
        result = estimate.estimate_print(triangles, REFERENCE)
        grams_off.append(abs(result.milligrams_p50 / 1000 / grams - 1))
        seconds_off.append(abs(result.seconds_p50 / seconds - 1))

    assert len(grams_off) == 16
    assert np.median(grams_off) < 0.025
    assert np.max(grams_off) < 0.08
    assert np.median(seconds_off) < 0.05
    assert np.max(seconds_off) < 0.16


@pytest.mark.parametrize("machine", available("machine"))
@pytest.mark.parametrize("material", available("material"))
def test_every_profile_resolves_to_one_flat_map_without_commands(machine: str, material: str) -> None:
    profile = PrintProfile.resolve(machine, material, "fine", 20, True)

    assert profile.keys["post_process"] == ""
    assert profile.keys["use_relative_e_distances"] == "1"
    assert min(profile.bed_mm) >= 180
    assert recipe(profile.keys).h == 0.15
    assert "M104 S0" in profile.keys["end_gcode"]
    assert "M140 S0" in profile.keys["end_gcode"]


def test_the_machines_and_presets_of_the_lab_are_there() -> None:
    assert {"mk3s", "mini", "ender3"} <= set(available("machine"))
    assert available("material") == ("petg", "pla")
    assert PrintProfile.resolve("mk3s").bed_mm == (250, 210, 210)
    assert PrintProfile.resolve("mini").bed_mm == (180, 180, 180)
    assert PrintProfile.resolve("ender3").bed_mm == (220, 220, 250)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("../../secret", "pla", "normal", 15), UnknownProfile),
        (("mk3s", "../x", "normal", 15), UnknownProfile),
        (("mk3s", "pla", "superb", 15), UnknownProfile),
        (("mk3s", "pla", "normal", 101), ValueError),
        (("mk3s", "pla", "normal", -1), ValueError),
    ],
)
def test_no_choice_can_name_anything_but_a_profile_of_ours(
    arguments: tuple[str, str, str, int], error: type[Exception]
) -> None:
    with pytest.raises(error):
        PrintProfile.resolve(*arguments)
