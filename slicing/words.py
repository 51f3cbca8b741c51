"""How one code is said: the shape of every row of the message tables."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Words:
    """One code in two languages: what is wrong, and what to do about it (empty when nothing can be done)."""

    en: str
    fr: str
    remedy_en: str = ""
    remedy_fr: str = ""
