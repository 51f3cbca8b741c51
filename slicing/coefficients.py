"""The estimate's coefficients: factors on physical terms, fitted against PrusaSlicer 2.5.0 over families of models.

1 where physics fixes the term. One set serves every profile; what differs between profiles is in the recipe.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class PaceFactors:
    """Factors on seconds, and numbers of travels."""

    external: float = 1.0
    inner: float = 1.2
    solid: float = 0.98
    top: float = 1.113
    bridge: float = 1.0
    sparse: float = 1.064
    sparse_wavy: float = 0.889
    wavy: float = 0.53
    anchors: float = 0.43
    first: float = 0.963
    support: float = 1.241
    travels_per_contour: float = 1.05
    travels_per_solid_edge: float = 3.058
    travels_per_sparse_edge: float = 0.883
    travel_mm: float = 3.0
    travel_span: float = 0.03
    retracted: float = 0.727
    retracted_sparingly: float = 0.2
    support_travels: float = 2.879
    support_travels_per_edge: float = 1.034
    per_layer: float = 0.048
    fixed_seconds: float = 3.0


@dataclass(frozen=True, kw_only=True)
class Coefficients:
    """Factors on volumes, and the pace's own."""

    external: float = 1.02
    inner: float = 1.0
    solid: float = 1.0
    top: float = 1.0
    bridge: float = 1.05
    sparse: float = 1.0
    anchors: float = 0.45
    skirt: float = 1.0
    support_column: float = 0.83
    support_edge: float = 0.47
    support_base: float = 0.9
    support_interface: float = 0.72
    pace: PaceFactors = field(default_factory=PaceFactors)


DEFAULT = Coefficients()
