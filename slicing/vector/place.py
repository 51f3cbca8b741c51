"""Where a drawing lies on the bed: from the page (y down) to the machine (y up), scaled, turned, copied in rows.

Raises what keeps it from lying there. Knows boxes and points; what they are part of is not its business.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, floor, radians, sin

import numpy as np

from slicing.faults import refused
from slicing.vector.design import FloatArray, Picture
from slicing.vector.machines import CutMachine

MARGIN_MM = 5.0
GAP_MM = 3.0
_ROUNDING_MM = 1e-6

Box = tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True)
class Frame:
    """Page to machine: machine = matrix · page + offset. Turns are counter-clockwise, as seen on the bed."""

    matrix: FloatArray  # (2, 2)
    offset: FloatArray  # (2,)

    @classmethod
    def of(cls, scale_percent: int, rotation_degrees: int) -> Frame:
        turn, scale = radians(rotation_degrees), scale_percent / 100
        c, s = round(cos(turn)), round(sin(turn))
        flipped = np.array([[c, -s], [s, c]], dtype=np.float64) @ np.array([[1.0, 0.0], [0.0, -1.0]])
        return cls(matrix=flipped * scale, offset=np.zeros(2))

    def to_machine(self, points: FloatArray) -> FloatArray:
        found: FloatArray = points @ self.matrix.T + self.offset
        return found

    def to_page(self, points: FloatArray) -> FloatArray:
        found: FloatArray = (points - self.offset) @ np.linalg.inv(self.matrix).T
        return found

    def picture(self, picture: Picture) -> Picture:
        """The same picture with its pixels led to the machine's coordinates."""
        a, b, c, d, e, f = picture.to_page
        whole = self.matrix @ np.array([[a, c], [b, d]])
        x, y = self.to_machine(np.array([e, f]))
        matrix = (*whole.T.ravel().tolist(), float(x), float(y))
        return Picture(grey=picture.grey, to_page=matrix, layer=picture.layer)


def picture_corners(picture: Picture) -> FloatArray:
    a, b, c, d, e, f = picture.to_page
    rows, columns = picture.grey.shape
    corners = np.array([(0, 0), (columns, 0), (columns, rows), (0, rows)], dtype=np.float64)
    found: FloatArray = corners @ np.array([[a, b], [c, d]]) + np.array([e, f])
    return found


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """What of the bed may be used, from its origin: the bed, or the sheet that lies on it."""

    width_mm: float
    height_mm: float

    @classmethod
    def of(cls, machine: CutMachine, sheet_mm: tuple[float, float] | None) -> Sheet:
        width, height = sheet_mm or machine.bed_mm
        return cls(width_mm=min(width, machine.bed_mm[0]), height_mm=min(height, machine.bed_mm[1]))


def places(
    size_mm: tuple[float, float],
    sheet: Sheet,
    quantity: int,
    corner_mm: tuple[float | None, float | None],
    scale_percent: int,
) -> list[tuple[float, float]]:
    """Where the lower left corner of each copy lies. Raises FileRefused `laser.too_large`, `laser.misplaced` or
    `laser.too_many`.
    """
    width, height = size_mm
    check_size(width, height, sheet, scale_percent)
    x, y = (
        _corner(given, size, room)
        for given, size, room in zip(corner_mm, size_mm, (sheet.width_mm, sheet.height_mm), strict=True)
    )
    if x + width > sheet.width_mm + _ROUNDING_MM or y + height > sheet.height_mm + _ROUNDING_MM:
        raise refused(
            "laser.misplaced",
            x=_mm(x + width),
            y=_mm(y + height),
            bed_x=_mm(sheet.width_mm),
            bed_y=_mm(sheet.height_mm),
            most_x=_mm(max(0.0, sheet.width_mm - width)),
            most_y=_mm(max(0.0, sheet.height_mm - height)),
        )
    columns, rows = _fitting(x, width, sheet.width_mm), _fitting(y, height, sheet.height_mm)
    if quantity > columns * rows:
        raise refused("laser.too_many", quantity=quantity, capacity=columns * rows)
    return [
        (x + (n % columns) * (width + GAP_MM), y + (n // columns) * (height + GAP_MM))
        for n in range(quantity)
    ]


def _corner(given: float | None, size: float, room: float) -> float:
    """Where nobody says, the margin, or less where that alone would not leave room."""
    return min(MARGIN_MM, max(0.0, (room - size) / 2)) if given is None else given


def _fitting(low: float, size: float, room: float) -> int:
    return max(1, floor((room - low + GAP_MM + _ROUNDING_MM) / (size + GAP_MM)))


def check_size(
    width: float, height: float, sheet: Sheet, scale_percent: int, *, of_kerf_mm: float = 0.0
) -> None:
    """Raises FileRefused `laser.too_large`, or `laser.too_large.turn` where a quarter turn would do.

    What of the size is kerf does not scale with the rest.
    """
    if width <= sheet.width_mm + _ROUNDING_MM and height <= sheet.height_mm + _ROUNDING_MM:
        return
    turned = height <= sheet.width_mm + _ROUNDING_MM and width <= sheet.height_mm + _ROUNDING_MM
    rooms, sizes = (sheet.width_mm, sheet.height_mm), (width, height)
    scale = min(
        (room - of_kerf_mm) / max(size - of_kerf_mm, 1e-9) for room, size in zip(rooms, sizes, strict=True)
    )
    raise refused(
        "laser.too_large.turn" if turned else "laser.too_large",
        x=_mm(width),
        y=_mm(height),
        bed_x=_mm(sheet.width_mm),
        bed_y=_mm(sheet.height_mm),
        fits_percent=max(0, floor(scale * scale_percent)),
    )


def _mm(value: float) -> str:
    return f"{value:.1f}"
