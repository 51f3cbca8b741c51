"""What we tell people about how their drawing would be cut: code -> sentence, remedy; rows of `slicing.messages`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from slicing.words import Words

REFUSALS: Mapping[str, Words] = MappingProxyType({})

WARNINGS: Mapping[str, Words] = MappingProxyType({})
