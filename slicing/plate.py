"""What fits on a bed: whether the part must be turned, how many copies lie side by side, what area the slicer may use.

Parts keep clear of the edge by what skirt and brim need. Copies lie in a grid of bounding boxes: for boxes that is to
the piece what the slicer's own arrangement finds (tested), for rounder outlines it may find room for a few more.
"""

from __future__ import annotations

from math import floor

from slicing.faults import refused
from slicing.limits import LAYERS_MAX
from slicing.profile import PrintProfile

Size = tuple[float, float, float]
_ROUNDING_MM = 1e-6


def check_fit(size_mm: Size, profile: PrintProfile, quantity: int = 1) -> bool:
    """Whether the parts must be turned by 90 degrees to lie on the bed. Raises FileRefused
    `plate.too_large`/`plate.full`.

    Checked before slicing because the slicer aborts on a part larger than its bed.
    """
    if quantity < 1:
        raise ValueError("a quantity is at least 1")
    x, y, z = size_mm
    bed_x, bed_y, bed_z = _usable(profile)
    straight, turned = _grid(x, y, profile), _grid(y, x, profile)
    if z > bed_z or not (straight or turned):
        names = dict(
            zip(("x", "y", "z", "bed_x", "bed_y", "bed_z"), (x, y, z, bed_x, bed_y, bed_z), strict=True)
        )
        raise refused("plate.too_large", **{name: f"{value:.1f}" for name, value in names.items()})
    if z / float(profile.keys["layer_height"]) > LAYERS_MAX:
        raise refused("mesh.too_complex", limit=LAYERS_MAX, what="layers")
    most = max(straight, turned)
    if quantity > 1 and quantity > 2 * most + 1:
        # Far beyond what could fit: say so at once instead of letting the slicer try for minutes.
        raise refused("plate.full", quantity=quantity, capacity=most)
    return straight < min(quantity, most)


def capacity(size_mm: Size, profile: PrintProfile) -> int:
    """How many copies a plain grid holds on the bed; 0 where the part itself does not fit."""
    return max(_grid(size_mm[0], size_mm[1], profile), _grid(size_mm[1], size_mm[0], profile))


def parts_area(profile: PrintProfile) -> str:
    """The slicer's `bed_shape` with the edge left out: its arrangement knows nothing of skirt and brim, and lays
    copies up to the very border of the bed it is told.
    """
    low_x, low_y, width, depth = profile.rectangle_mm
    edge = profile.edge_mm
    xs, ys = (low_x + edge, low_x + width - edge), (low_y + edge, low_y + depth - edge)
    corners = ((xs[0], ys[0]), (xs[1], ys[0]), (xs[1], ys[1]), (xs[0], ys[1]))
    return ",".join(f"{x:g}x{y:g}" for x, y in corners)


def _grid(x: float, y: float, profile: PrintProfile) -> int:
    """Columns times rows of boxes of x by y mm."""
    gap = float(profile.keys.get("duplicate_distance", "6"))
    bed_x, bed_y, _ = _usable(profile)
    room = _ROUNDING_MM + gap
    return max(0, floor((bed_x + room) / (x + gap))) * max(0, floor((bed_y + room) / (y + gap)))


def _usable(profile: PrintProfile) -> Size:
    _, _, width, depth = profile.rectangle_mm
    return width - 2 * profile.edge_mm, depth - 2 * profile.edge_mm, profile.bed_mm[2]
