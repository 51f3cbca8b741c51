"""The slicers we can call, by the name the settings use."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from slicing.analyser import Analyser
from slicing.cache import SliceCache
from slicing.limits import SLICE, Limits
from slicing.prusaslicer import PrusaSlicer
from slicing.sandbox import Sandbox
from slicing.slicer import Slicer


class Maker(Protocol):
    """`path` is the program, or None to look for one; without a cache every order is sliced."""

    def __call__(
        self,
        sandbox: Sandbox,
        analyser: Analyser,
        *,
        path: Path | None = None,
        limits: Limits = SLICE,
        cache: SliceCache | None = None,
    ) -> Slicer: ...


DEFAULT = "prusaslicer"
SLICERS: Mapping[str, Maker] = MappingProxyType({DEFAULT: PrusaSlicer})
