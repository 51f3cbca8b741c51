"""How a part is scaled and which face lies on the bed: a member's two choices, applied to triangles. Pure numpy.

Only whole percents and quarter turns: what cannot be named in a form cannot be asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slicing.raster import F64

TURNS = {
    "as_drawn": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "x90": ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
    "x180": ((1, 0, 0), (0, -1, 0), (0, 0, -1)),
    "x270": ((1, 0, 0), (0, 0, 1), (0, -1, 0)),
    "y90": ((0, 0, 1), (0, 1, 0), (-1, 0, 0)),
    "y270": ((0, 0, -1), (0, 1, 0), (1, 0, 0)),
}
"""Rotation matrices (rows act on x, y, z): about x or y by so many degrees, seen from the axis' tip."""


@dataclass(frozen=True, kw_only=True)
class Placement:
    scale_percent: int = 100
    turn: str = "as_drawn"

    def of(self, triangles: F64) -> F64:
        """The triangles (m, 3, 3) as they will lie on the bed; the same array where nothing changes."""
        if self == AS_DRAWN:
            return triangles
        import numpy as np  # the process that only names a placement needs no arrays

        turned: F64 = triangles @ (
            np.array(TURNS[self.turn], dtype=np.float64).T * (self.scale_percent / 100)
        )
        return turned


AS_DRAWN = Placement()
