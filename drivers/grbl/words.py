"""Why a file is not staged: rule -> sentence and remedy, in English and French. `{line}` is its number in the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from orchestrator.domain.errors import Fault, Rejected


@dataclass(frozen=True, kw_only=True)
class Words:
    en: str
    remedy_en: str
    fr: str
    remedy_fr: str


_MAKE_AGAIN_EN = "Let the file be made again here, from its drawing."
_MAKE_AGAIN_FR = "Faites refaire le fichier ici, à partir du dessin."

REFUSALS: Mapping[str, Words] = MappingProxyType(
    {
        "laser.m3": Words(
            en="Line {line} switches the beam on with M3, which would burn on where the head stands still.",
            remedy_en="Use M4 (dynamic power). " + _MAKE_AGAIN_EN,
            fr="La ligne {line} allume le faisceau avec M3 : il brûlerait encore, tête arrêtée.",
            remedy_fr="Utilisez M4 (puissance dynamique). " + _MAKE_AGAIN_FR,
        ),
        "laser.word": Words(
            en="Line {line} holds a command that a cut does not need and that is not let through.",
            remedy_en=_MAKE_AGAIN_EN,
            fr="La ligne {line} contient une commande inutile à une découpe ; elle n'est pas transmise.",
            remedy_fr=_MAKE_AGAIN_FR,
        ),
        "laser.byte": Words(
            en="Line {line} holds a character that the controller would obey at once, or that is no text.",
            remedy_en=_MAKE_AGAIN_EN,
            fr="Ligne {line} : un caractère qui n'est pas du texte, ou auquel le contrôleur obéirait aussitôt.",
            remedy_fr=_MAKE_AGAIN_FR,
        ),
        "laser.line_too_long": Words(
            en="Line {line} is longer than the 70 characters that a controller takes.",
            remedy_en=_MAKE_AGAIN_EN,
            fr="La ligne {line} dépasse les 70 caractères qu'un contrôleur accepte.",
            remedy_fr=_MAKE_AGAIN_FR,
        ),
        "laser.preamble": Words(
            en="Line {line} moves before millimetres (G21), absolute places (G90) and a speed (F) are set.",
            remedy_en=_MAKE_AGAIN_EN,
            fr="La ligne {line} bouge avant que millimètres (G21), position absolue (G90) et vitesse (F) soient fixés.",
            remedy_fr=_MAKE_AGAIN_FR,
        ),
        "laser.outside": Words(
            en="Line {line} goes outside the machine's work area.",
            remedy_en="Place the drawing inside the work area, or choose a larger machine.",
            fr="La ligne {line} sort de la zone de travail de la machine.",
            remedy_fr="Placez le dessin dans la zone de travail, ou choisissez une machine plus grande.",
        ),
        "laser.power": Words(
            en="Line {line} asks for more power than the machine has.",
            remedy_en="Choose a preset that was made for this machine.",
            fr="La ligne {line} demande plus de puissance que la machine n'en a.",
            remedy_fr="Choisissez un réglage fait pour cette machine.",
        ),
        "laser.beam_stays_on": Words(
            en="The file does not switch the beam off at its end (M5 or M2).",
            remedy_en=_MAKE_AGAIN_EN,
            fr="Le fichier n'éteint pas le faisceau à la fin (M5 ou M2).",
            remedy_fr=_MAKE_AGAIN_FR,
        ),
        "laser.empty": Words(
            en="The file cuts nothing: the beam is never on in it.",
            remedy_en="Choose at least one line of the drawing to be cut, scored or engraved.",
            fr="Le fichier ne découpe rien : le faisceau n'y est jamais allumé.",
            remedy_fr="Choisissez au moins un trait du dessin à découper, marquer ou graver.",
        ),
        "laser.too_large": Words(
            en="The file is larger than what a cutter is fed with here.",
            remedy_en="Engrave with a wider line distance, or cut the work into several jobs.",
            fr="Le fichier est plus grand que ce qui est transmis ici à une découpeuse.",
            remedy_fr="Gravez avec un pas plus large, ou partagez le travail en plusieurs commandes.",
        ),
    }
)


def refused(rule: str, *, line: int = 0, seen: str = "") -> Rejected:
    words = REFUSALS[rule]
    sentence = words.en.format(line=line)
    fault = Fault(
        rule=rule,
        seen=seen[:80],
        remedy=words.remedy_en,
        where=f"line {line}" if line else "",
        texts={"en": sentence, "fr": words.fr.format(line=line), "remedy_fr": words.remedy_fr},
    )
    return Rejected(sentence, code=rule, faults=(fault,))
