"""What we tell people about a drawing as it was read (SVG, DXF): code -> sentence, remedy; rows of `messages`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from slicing.words import Words

REFUSALS: Mapping[str, Words] = MappingProxyType({})

WARNINGS: Mapping[str, Words] = MappingProxyType({})
