"""The picture of a part: right outline, right shading, never a failure, bounded memory."""

from __future__ import annotations

import io
import resource

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from slicing import preview
from tests.slicing.shapes import Mesh, a_ball, a_box, moved

Picture = NDArray[np.uint8]


def drawn(shape: Mesh, size_px: int = 128, **more: object) -> Picture:
    image = Image.open(io.BytesIO(preview.render(shape, size_px, **more)))  # type: ignore[arg-type]
    assert (image.format, image.mode) == ("PNG", "RGBA")
    return np.asarray(image)


def of_the_part(picture: Picture) -> NDArray[np.bool_]:
    """Pixels of the part itself: opaque and warm; the shadow is neither."""
    return (picture[:, :, 3] > 200) & (picture[:, :, 0] > picture[:, :, 2].astype(int) + 20)


def test_the_background_is_transparent_and_the_part_is_not() -> None:
    picture = drawn(a_box())
    assert picture.shape == (128, 128, 4)
    assert picture[0, 0, 3] == 0
    assert picture[64, 64, 3] == 255


def test_a_cube_shows_three_faces_each_of_its_own_light() -> None:
    picture = drawn(a_box(), 256)
    part = picture[of_the_part(picture)]
    tones, counts = np.unique(part[:, 0] // 8, return_counts=True)
    assert len(tones[counts > 0.1 * len(part)]) >= 3


def test_a_ball_is_round_and_lighter_above() -> None:
    picture = drawn(a_ball(40), 256)
    rows, columns = np.nonzero(of_the_part(picture))
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    assert height == pytest.approx(width, rel=0.04)
    upper = picture[rows[rows < rows.min() + height // 4], columns[rows < rows.min() + height // 4], 0].mean()
    lower = picture[rows[rows > rows.max() - height // 4], columns[rows > rows.max() - height // 4], 0].mean()
    assert upper > lower + 20


def test_what_is_in_front_hides_what_is_behind() -> None:
    behind, before = a_box(20, 20, 20), moved(a_box(200, 2, 200), -90, -60, -90)
    alone = of_the_part(drawn(before)).sum()
    both = of_the_part(drawn(np.concatenate([behind, before]))).sum()
    assert both == pytest.approx(alone, rel=0.1)


def test_places_are_ringed_in_red() -> None:
    def red(picture: Picture) -> int:
        r, g, b = (picture[:, :, i].astype(int) for i in range(3))
        return int(((r > 150) & (g < 80) & (b < 80) & (picture[:, :, 3] > 200)).sum())

    plain, ringed = drawn(a_box(), 256), drawn(a_box(), 256, places=[(20.0, 0.0, 20.0)])
    assert red(plain) == 0
    assert red(ringed) > 30


@pytest.mark.parametrize(
    "shape",
    [
        a_box(100, 0.001, 0.001),
        a_box(1e-3, 1e-3, 1e-3),
        moved(a_box(), 9e4, -9e4, 9e4),
        a_box()[:1],
        np.zeros((3, 3, 3)),
        a_box()[:, ::-1],
    ],
    ids=["needle", "dust", "far away", "one triangle", "no area", "inside out"],
)
def test_no_mesh_is_too_odd_to_be_drawn(shape: Mesh) -> None:
    assert drawn(shape).shape == (128, 128, 4)


def test_the_same_mesh_is_the_same_picture() -> None:
    assert preview.render(a_ball(20), 128) == preview.render(a_ball(20), 128)


@pytest.mark.parametrize("size_px", [0, 31, 1025])
def test_a_size_out_of_bounds_is_refused(size_px: int) -> None:
    with pytest.raises(ValueError, match="pixels"):
        preview.render(a_box(), size_px)


def test_a_large_mesh_costs_bounded_memory() -> None:
    large = a_ball(240)  # 230 000 triangles, 16 MB
    preview.render(a_box())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    preview.render(large, 512)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < 250
