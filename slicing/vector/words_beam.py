"""What we tell people when a toolpath cannot become moves of the beam, and the rules of a laser's file.

Code -> sentence, remedy; rows of `slicing.messages`. RULES are rows of `slicing.violations`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from slicing.words import Words

REFUSALS: Mapping[str, Words] = MappingProxyType(
    {
        "laser.outside": Words(
            en="The work reaches from {x0}, {y0} to {x1}, {y1} mm; the bed of {machine} ends at {bed_x}, {bed_y} mm.",
            fr="Le travail va de {x0}, {y0} à {x1}, {y1} mm ; le plateau de {machine} s'arrête à {bed_x}, {bed_y} mm.",
            remedy_en="Move the drawing onto the bed, make it smaller, or choose a larger machine.",
            remedy_fr="Ramenez le dessin sur le plateau, réduisez-le, ou choisissez une machine plus grande.",
        ),
        "laser.setting": Words(
            en="The setting “{setting}” of {key} is {value}: the beam cannot work so.",
            fr="Le réglage « {setting} » de {key} vaut {value} : le faisceau ne peut pas travailler ainsi.",
            remedy_en="Choose a material from the list, or ask the lab's staff to correct its settings.",
            remedy_fr="Choisissez une matière de la liste, ou demandez au personnel du lab de corriger ses réglages.",
        ),
        "laser.too_fine": Words(
            en="Engraving this with lines {interval_mm} mm apart takes {count} pieces; at most {limit} are made.",
            fr="Graver ceci avec des lignes espacées de {interval_mm} mm demande {count} morceaux ; {limit} au plus.",
            remedy_en="Engrave less of it, make it smaller, or choose a coarser line spacing.",
            remedy_fr="Gravez-en moins, réduisez le dessin, ou choisissez des lignes plus espacées.",
        ),
    }
)

WARNINGS: Mapping[str, Words] = MappingProxyType({})

RULES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "beam.constant": (
            "a beam that stays on when the head stops",
            "un faisceau qui reste allumé à l'arrêt",
        ),
        "beam.power": ("more power than the beam has", "plus de puissance que le faisceau n'en a"),
        "beam.standing": ("power where the head does not move", "de la puissance là où la tête ne bouge pas"),
        "beam.travel": ("power on the way to the next line", "de la puissance entre deux lignes"),
        "beam.unset": (
            "a move before units, zero and speed are said",
            "un mouvement avant que les unités, le zéro et la vitesse soient dits",
        ),
        "beam.end": (
            "a file that does not end with the beam off",
            "un fichier qui ne finit pas faisceau éteint",
        ),
        "machine.control": (
            "a setting or an order to the controller itself",
            "un réglage ou un ordre au contrôleur lui-même",
        ),
    }
)
"""Every rule of `slicing.vector.lasercheck` beyond the printers', and what breaking it means, in English and French."""
