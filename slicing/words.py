"""How one code is said: the shape of every row of the message tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Words:
    """One code in two languages: what is wrong, and what to do about it (empty when nothing can be done).

    A sentence that counts has another for when `count` is one; empty: it never is, or reads well with it.
    """

    en: str
    fr: str
    en_one: str = ""
    fr_one: str = ""
    remedy_en: str = ""
    remedy_fr: str = ""

    def in_english(self, params: Mapping[str, Any]) -> str:
        return (self.en_one if self.en_one and params.get("count") == 1 else self.en).format(**params)

    def in_french(self, params: Mapping[str, Any]) -> str:
        return (self.fr_one if self.fr_one and params.get("count") == 1 else self.fr).format(**params)
