"""What we tell people about their file: one table, code -> sentence and remedy, in English and in French.

Codes are stable: programs read them. Sentences are for somebody who never heard of triangles.
Placeholders are filled from the parameters that travel with the code; a test fills every row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, kw_only=True)
class Words:
    """One code in two languages: what is wrong, and what to do about it (empty when nothing can be done)."""

    en: str
    fr: str
    remedy_en: str = ""
    remedy_fr: str = ""


_EXPORT_EN = "Export the model again from your design program and drop the new file."
_EXPORT_FR = "Exportez à nouveau le modèle depuis votre logiciel de dessin et déposez le nouveau fichier."
_KINDS_EN = "Drop an STL, 3MF or OBJ file."
_KINDS_FR = "Déposez un fichier STL, 3MF ou OBJ."
_SIMPLER_EN = "Simplify the model (fewer triangles) or split it into several files."
_SIMPLER_FR = "Simplifiez le modèle (moins de triangles) ou séparez-le en plusieurs fichiers."

REFUSALS: Mapping[str, Words] = MappingProxyType(
    {
        "file.empty": Words(
            en="The file is empty: it holds 0 bytes.",
            fr="Le fichier est vide : il contient 0 octet.",
            remedy_en=_EXPORT_EN,
            remedy_fr=_EXPORT_FR,
        ),
        "file.too_large": Words(
            en="The file has {bytes} bytes; at most {limit} can be analysed.",
            fr="Le fichier fait {bytes} octets ; nous pouvons en analyser {limit} au plus.",
            remedy_en=_SIMPLER_EN,
            remedy_fr=_SIMPLER_FR,
        ),
        "file.type_mismatch": Words(
            en="This is not a 3D model: the content looks like {found}.",
            fr="Ce n'est pas un modèle 3D : le contenu ressemble à {found}.",
            remedy_en=_KINDS_EN,
            remedy_fr=_KINDS_FR,
        ),
        "gcode.upload_refused": Words(
            en="This is G-code, made for one particular machine; we only take the model itself.",
            fr="C'est du G-code, préparé pour une machine précise ; nous n'acceptons que le modèle lui-même.",
            remedy_en="Drop the STL, 3MF or OBJ it was made from: we slice it for the right machine.",
            remedy_fr="Déposez le STL, 3MF ou OBJ d'origine : nous le tranchons pour la bonne machine.",
        ),
        "mesh.truncated": Words(
            en="The file announces {announced} triangles ({expected_bytes} bytes) but holds "
            "{actual_bytes} bytes, "
            "room for {present} triangles.",
            fr="Le fichier annonce {announced} triangles ({expected_bytes} octets) mais contient "
            "{actual_bytes} "
            "octets, soit la place de {present} triangles.",
            remedy_en="The upload or the export was cut short. " + _EXPORT_EN,
            remedy_fr="L'envoi ou l'export a été interrompu. " + _EXPORT_FR,
        ),
        "mesh.not_finite": Words(
            en="Triangle {triangle} has a corner that is not a usable number ({value}).",
            fr="Le triangle {triangle} a un sommet qui n'est pas un nombre utilisable ({value}).",
            remedy_en="The model is damaged. " + _EXPORT_EN,
            remedy_fr="Le modèle est endommagé. " + _EXPORT_FR,
        ),
        "mesh.empty": Words(
            en="The file holds no triangle, so there is nothing to print.",
            fr="Le fichier ne contient aucun triangle : il n'y a rien à imprimer.",
            remedy_en=_EXPORT_EN,
            remedy_fr=_EXPORT_FR,
        ),
        "mesh.flat": Words(
            en="The model is flat: it measures {x} x {y} x {z} mm, so nothing can be printed.",
            fr="Le modèle est plat : il mesure {x} x {y} x {z} mm, il n'y a rien à imprimer.",
            remedy_en="Give it a thickness of at least one layer (0.2 mm).",
            remedy_fr="Donnez-lui au moins l'épaisseur d'une couche (0,2 mm).",
        ),
        "mesh.too_large": Words(
            en="The model measures {size} mm; the largest size we read is {limit} mm.",
            fr="Le modèle mesure {size} mm ; la plus grande taille que nous lisons est {limit} mm.",
            remedy_en="Check the unit it was exported in: models are read in millimetres.",
            remedy_fr="Vérifiez l'unité d'export : les modèles sont lus en millimètres.",
        ),
        "mesh.too_complex": Words(
            en="The model has more than {limit} {what}.",
            fr="Le modèle a plus de {limit} {what}.",
            remedy_en=_SIMPLER_EN,
            remedy_fr=_SIMPLER_FR,
        ),
        "mesh.unreadable": Words(
            en="The file cannot be read as {kind}: {why}.",
            fr="Le fichier ne peut pas être lu comme {kind} : {why}.",
            remedy_en=_EXPORT_EN,
            remedy_fr=_EXPORT_FR,
        ),
        "mesh.index": Words(
            en="Triangle {triangle} points to corner {index}, but there are only {count}.",
            fr="Le triangle {triangle} désigne le sommet {index}, mais il n'y en a que {count}.",
            remedy_en="The model is damaged. " + _EXPORT_EN,
            remedy_fr="Le modèle est endommagé. " + _EXPORT_FR,
        ),
        "mesh.cycle": Words(
            en="Part {object} of the 3MF contains itself, or is nested deeper than {limit} levels.",
            fr="La pièce {object} du 3MF se contient elle-même, ou est imbriquée sur plus de {limit} "
            "niveaux.",
            remedy_en=_EXPORT_EN,
            remedy_fr=_EXPORT_FR,
        ),
        "mesh.soup": Words(
            en="The {triangles} triangles do not form a body: {open_edges} edges are open.",
            fr="Les {triangles} triangles ne forment pas un volume : {open_edges} arêtes sont ouvertes.",
            remedy_en="Close or repair the model in your design program, then export it again.",
            remedy_fr="Fermez ou réparez le modèle dans votre logiciel, puis exportez-le à nouveau.",
        ),
        "mesh.timeout": Words(
            en="Reading this file took longer than {limit} s and was stopped.",
            fr="La lecture de ce fichier a dépassé {limit} s et a été arrêtée.",
            remedy_en=_SIMPLER_EN,
            remedy_fr=_SIMPLER_FR,
        ),
        "mesh.memory": Words(
            en="Reading this file needed more memory than one file may use, and was stopped.",
            fr="La lecture de ce fichier demandait plus de mémoire que permis et a été arrêtée.",
            remedy_en=_SIMPLER_EN,
            remedy_fr=_SIMPLER_FR,
        ),
        "mesh.crashed": Words(
            en="Reading this file failed in a way we did not foresee; only this file is concerned.",
            fr="La lecture de ce fichier a échoué de façon imprévue ; seul ce fichier est concerné.",
            remedy_en=_EXPORT_EN,
            remedy_fr=_EXPORT_FR,
        ),
        "archive.unreadable": Words(
            en="The 3MF is a damaged archive: {why}.",
            fr="Le 3MF est une archive endommagée : {why}.",
            remedy_en=_EXPORT_EN,
            remedy_fr=_EXPORT_FR,
        ),
        "archive.ratio": Words(
            en="The 3MF would unpack from {packed} to {unpacked} bytes, more than {limit} times its size.",
            fr="Le 3MF passerait de {packed} à {unpacked} octets une fois ouvert, plus de {limit} fois "
            "sa taille.",
            remedy_en=_EXPORT_EN,
            remedy_fr=_EXPORT_FR,
        ),
        "archive.size": Words(
            en="The 3MF unpacks to {unpacked} bytes; at most {limit} are read.",
            fr="Le 3MF occupe {unpacked} octets une fois ouvert ; nous en lisons {limit} au plus.",
            remedy_en=_SIMPLER_EN,
            remedy_fr=_SIMPLER_FR,
        ),
        "archive.members": Words(
            en="The 3MF holds {members} files; at most {limit} are read.",
            fr="Le 3MF contient {members} fichiers ; nous en lisons {limit} au plus.",
            remedy_en=_EXPORT_EN,
            remedy_fr=_EXPORT_FR,
        ),
        "archive.lies": Words(
            en="The 3MF is not consistent: {why}.",
            fr="Le 3MF n'est pas cohérent : {why}.",
            remedy_en=_EXPORT_EN,
            remedy_fr=_EXPORT_FR,
        ),
        "archive.doctype": Words(
            en="The 3MF contains a document type declaration, which no 3MF needs and which can be used "
            "to attack.",
            fr="Le 3MF contient une déclaration de type de document, inutile dans un 3MF et qui peut "
            "servir à attaquer.",
            remedy_en=_EXPORT_EN,
            remedy_fr=_EXPORT_FR,
        ),
        "plate.too_large": Words(
            en="The part measures {x} x {y} x {z} mm; the machine prints at most {bed_x} x {bed_y} x "
            "{bed_z} mm.",
            fr="La pièce mesure {x} x {y} x {z} mm ; la machine imprime au plus {bed_x} x {bed_y} x "
            "{bed_z} mm.",
            remedy_en="Make it smaller, cut it into parts, or choose a larger machine.",
            remedy_fr="Réduisez-la, coupez-la en morceaux ou choisissez une machine plus grande.",
        ),
        "plate.full": Words(
            en="{quantity} copies do not fit on one plate; about {capacity} do.",
            fr="{quantity} exemplaires ne tiennent pas sur un plateau ; environ {capacity} tiennent.",
            remedy_en="Order fewer copies in one job.",
            remedy_fr="Demandez moins d'exemplaires par travail.",
        ),
        "slice.nothing": Words(
            en="The slicer found nothing to print in this model: {words}",
            fr="Le trancheur n'a rien trouvé à imprimer dans ce modèle : {words}",
            remedy_en="Check its size and that its walls are thicker than 0.4 mm.",
            remedy_fr="Vérifiez sa taille et que ses parois font plus de 0,4 mm.",
        ),
        "slice.refused": Words(
            en="The slicer refused this model: {words}",
            fr="Le trancheur a refusé ce modèle : {words}",
            remedy_en=_EXPORT_EN,
            remedy_fr=_EXPORT_FR,
        ),
        "slice.too_complex": Words(
            en="Slicing this model went over its limit ({limit}) and was stopped.",
            fr="Le tranchage de ce modèle a dépassé sa limite ({limit}) et a été arrêté.",
            remedy_en=_SIMPLER_EN,
            remedy_fr=_SIMPLER_FR,
        ),
    }
)

WARNINGS: Mapping[str, Words] = MappingProxyType(
    {
        "mesh.units?": Words(
            en="The part measures only {x} x {y} x {z} mm. Was it drawn in {unit}? It would then measure "
            "{bx} x {by} x {bz} mm.",
            fr="La pièce ne mesure que {x} x {y} x {z} mm. A-t-elle été dessinée en {unit} ? Elle "
            "mesurerait alors "
            "{bx} x {by} x {bz} mm.",
        ),
        "mesh.not_closed": Words(
            en="The surface has holes ({open_edges} open edges). The slicer will close them as well as "
            "it can; "
            "the estimate is less certain.",
            fr="La surface a des trous ({open_edges} arêtes ouvertes). Le trancheur les fermera au mieux ; "
            "l'estimation est moins sûre.",
        ),
        "mesh.tiny": Words(
            en="The part is very small ({x} x {y} x {z} mm): details may be lost.",
            fr="La pièce est très petite ({x} x {y} x {z} mm) : des détails peuvent disparaître.",
        ),
        "mesh.inverted": Words(
            en="The surface was inside out; we turned it round.",
            fr="La surface était retournée ; nous l'avons remise à l'endroit.",
        ),
        "mesh.settings_dropped": Words(
            en="The file brings slicer settings of its own. Only the shape is used: we apply the lab's "
            "settings.",
            fr="Le fichier apporte ses propres réglages de tranchage. Seule la forme sert : nous "
            "appliquons les "
            "réglages du lab.",
        ),
        "mesh.other_parts_ignored": Words(
            en="{count} entries of the file are not meshes and were left out.",
            fr="{count} éléments du fichier ne sont pas des maillages et ont été laissés de côté.",
        ),
    }
)
