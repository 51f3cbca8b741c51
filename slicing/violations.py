"""What a sliced file may not hold, as plain values: the rules with their words, and one broken rule.

Made by `slicing.allowed` in a child; read by everybody else, who need no arrays for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Self

from slicing.vector.words_beam import RULES as BEAM_RULES

RULES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        **BEAM_RULES,
        "command.unknown": (
            "a command this machine's profile does not use",
            "une commande étrangère au profil",
        ),
        "command.refused": ("a command no print may contain", "une commande interdite dans une impression"),
        "command.words": ("a parameter this command does not take", "un paramètre étranger à cette commande"),
        "command.number": ("a number out of reason", "une valeur aberrante"),
        "command.layout": (
            "a line machines may read otherwise",
            "une ligne que la machine peut lire autrement",
        ),
        "move.bed": ("a place outside the bed", "un point hors du plateau"),
        "move.height": ("a height the machine does not have", "une hauteur hors de la machine"),
        "move.feedrate": ("faster than the machine goes", "plus vite que la machine ne peut"),
        "move.push": ("too much filament at once", "trop de filament d'un coup"),
        "heat.nozzle": ("a nozzle too hot", "une buse trop chaude"),
        "heat.bed": ("a bed too hot", "un plateau trop chaud"),
        "heat.chamber": ("a chamber too hot", "une enceinte trop chaude"),
    }
)
"""Every rule, and what breaking it means, in English and in French."""


@dataclass(frozen=True, kw_only=True)
class Violation:
    """One line that the machine must not run: its number (from 1), its command, a key of RULES, the offending words."""

    line: int
    command: str
    rule: str
    seen: str

    def to_json(self) -> dict[str, Any]:
        return {"line": self.line, "command": self.command, "rule": self.rule, "seen": self.seen}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        return cls(**raw)
