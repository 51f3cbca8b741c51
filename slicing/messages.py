"""What we tell people about their file: one table, code -> sentence and remedy, in English and in French.

Codes are stable: programs read them. Sentences are for somebody who never heard of triangles.
Placeholders are filled from the parameters that travel with the code; a test fills every row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from slicing.results import MeshWarning
from slicing.vector import words_beam, words_cut, words_drawing, words_dxf
from slicing.words import Words

_EXPORT_EN = "Export the model again from your design program and drop the new file."
_EXPORT_FR = "Exportez à nouveau le modèle depuis votre logiciel de dessin et déposez le nouveau fichier."
_KINDS_EN = "Drop an STL, 3MF or OBJ file."
_KINDS_FR = "Déposez un fichier STL, 3MF ou OBJ."
_SIMPLER_EN = "Simplify the model (fewer triangles) or split it into several files."
_SIMPLER_FR = "Simplifiez le modèle (moins de triangles) ou séparez-le en plusieurs fichiers."

REFUSALS: Mapping[str, Words] = MappingProxyType(
    {
        **words_drawing.REFUSALS,
        **words_cut.REFUSALS,
        **words_beam.REFUSALS,
        **words_dxf.REFUSALS,
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
        "mesh.no_surface": Words(
            en="All {triangles} triangles are collapsed to lines or points: there is no surface to print.",
            fr="Les {triangles} triangles sont tous réduits à des lignes ou à des points : il n'y a aucune "
            "surface à imprimer.",
            remedy_en="The model is damaged. " + _EXPORT_EN,
            remedy_fr="Le modèle est endommagé. " + _EXPORT_FR,
        ),
    }
)

WARNINGS: Mapping[str, Words] = MappingProxyType(
    {
        **words_drawing.WARNINGS,
        **words_cut.WARNINGS,
        **words_beam.WARNINGS,
        **words_dxf.WARNINGS,
        "mesh.units?": Words(
            en="The part measures only {x} x {y} x {z} mm. Was it drawn in {unit_name}? It would then measure "
            "{bx} x {by} x {bz} mm.",
            fr="La pièce ne mesure que {x} x {y} x {z} mm. A-t-elle été dessinée en {unit_name} ? Elle "
            "mesurerait alors "
            "{bx} x {by} x {bz} mm.",
            remedy_en="If so, scale it to {scale_percent} %.",
            remedy_fr="Si oui, agrandissez-la à {scale_percent} %.",
        ),
        "mesh.not_closed": Words(
            en="The surface has holes ({open_edges} open edges). The slicer will close them as well as "
            "it can; "
            "the estimate is less certain.",
            fr="La surface a des trous ({open_edges} arêtes ouvertes). Le trancheur les fermera au mieux ; "
            "l'estimation est moins sûre.",
            remedy_en="Look at the marked places in your design program if the print must be exact.",
            remedy_fr="Vérifiez les endroits indiqués dans votre logiciel si la pièce doit être exacte.",
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
        "mesh.not_printable": Words(
            en="{count} parts of the file are marked as not to be printed and were left out.",
            fr="{count} pièces du fichier sont marquées comme à ne pas imprimer et ont été laissées de côté.",
        ),
        "print.too_big": Words(
            en="The part measures {x} x {y} x {z} mm and the machine holds {bed_x} x {bed_y} x {bed_z} mm.",
            fr="La pièce mesure {x} x {y} x {z} mm et la machine accepte {bed_x} x {bed_y} x {bed_z} mm.",
            remedy_en="Scale it to {scale_percent} %, or cut it into parts.",
            remedy_fr="Réduisez-la à {scale_percent} %, ou coupez-la en morceaux.",
        ),
        "print.too_big.turn": Words(
            en="As it lies, the part ({x} x {y} x {z} mm) does not fit the machine ({bed_x} x {bed_y} x "
            "{bed_z} mm).",
            fr="Ainsi posée, la pièce ({x} x {y} x {z} mm) ne tient pas dans la machine ({bed_x} x {bed_y} x "
            "{bed_z} mm).",
            remedy_en="Lay it another way ({turn_name}), or scale it to {scale_percent} %.",
            remedy_fr="Couchez-la autrement ({turn_name}), ou réduisez-la à {scale_percent} %.",
        ),
        "print.too_big.rotate": Words(
            en="The part ({x} x {y} x {z} mm) fits the machine ({bed_x} x {bed_y} x {bed_z} mm) only at an angle.",
            fr="La pièce ({x} x {y} x {z} mm) ne tient dans la machine ({bed_x} x {bed_y} x {bed_z} mm) "
            "qu'en biais.",
            remedy_en="Turn it by {degrees} degrees on the bed in your design program, or scale it to "
            "{scale_percent} %.",
            remedy_fr="Tournez-la de {degrees} degrés à plat dans votre logiciel, ou réduisez-la à "
            "{scale_percent} %.",
        ),
        "print.overhang": Words(
            en="Some of it hangs in the air: about {area_mm2} mm2 have nothing below. It will droop or fail.",
            fr="Une partie pend dans le vide : environ {area_mm2} mm2 n'ont rien en dessous. Cela "
            "s'affaissera ou ratera.",
            remedy_en="Ask for supports (about {grams} g more), or lay it another way.",
            remedy_fr="Demandez des supports (environ {grams} g de plus), ou couchez-la autrement.",
        ),
        "print.bridge": Words(
            en="It spans {span_mm} mm through the air between two walls: the underside may sag a little.",
            fr="Elle franchit {span_mm} mm dans le vide entre deux parois : le dessous peut s'affaisser un peu.",
            remedy_en="If the underside matters, ask for supports.",
            remedy_fr="Si le dessous compte, demandez des supports.",
        ),
        "print.floating": Words(
            en="{count} pieces touch neither the bed nor the rest of the part; the lowest begins {above_mm} mm up.",
            fr="{count} morceaux ne touchent ni le plateau ni le reste de la pièce ; le plus bas commence à "
            "{above_mm} mm.",
            remedy_en="Join them to the part in your design program, lay the part on the bed, or ask for supports.",
            remedy_fr="Reliez-les à la pièce dans votre logiciel, posez la pièce sur le plateau, ou demandez "
            "des supports.",
        ),
        "print.in_air": Words(
            en="{count} places begin in mid-air, the lowest {above_mm} mm up, and only join the part further up.",
            fr="{count} endroits commencent dans le vide, le plus bas à {above_mm} mm, et ne rejoignent la pièce "
            "que plus haut.",
            remedy_en="Ask for supports, or lay it another way.",
            remedy_fr="Demandez des supports, ou couchez-la autrement.",
        ),
        "print.tips_over": Words(
            en="As it lies, its weight is {beyond_mm} mm beyond its foot: it will tip over.",
            fr="Ainsi posée, son poids dépasse son pied de {beyond_mm} mm : elle basculera.",
            remedy_en="Lay it another way, or ask for supports.",
            remedy_fr="Couchez-la autrement, ou demandez des supports.",
        ),
        "print.slender": Words(
            en="It is {height_mm} mm tall on a narrow foot of {foot_mm2} mm2: the nozzle may knock it over.",
            fr="Elle fait {height_mm} mm de haut sur un pied étroit de {foot_mm2} mm2 : la buse peut la renverser.",
            remedy_en="Ask for a brim of 5 mm, or lay it down.",
            remedy_fr="Demandez une bordure de 5 mm, ou couchez-la.",
        ),
        "print.small_foot": Words(
            en="Only {foot_mm2} mm2 touch the bed, for {height_mm} mm of height: it may come loose.",
            fr="Seuls {foot_mm2} mm2 touchent le plateau, pour {height_mm} mm de haut : elle peut se décoller.",
            remedy_en="Ask for a brim of 5 mm, or lay it on a larger face.",
            remedy_fr="Demandez une bordure de 5 mm, ou posez-la sur une face plus grande.",
        ),
        "print.thin_walls": Words(
            en="Some walls are {thickness_mm} mm thick, thinner than one line of the nozzle ({line_mm} mm): they "
            "will be missing.",
            fr="Des parois font {thickness_mm} mm, moins qu'un trait de la buse ({line_mm} mm) : elles manqueront.",
            remedy_en="Make them at least {line_mm} mm thick, or scale the part up.",
            remedy_fr="Donnez-leur au moins {line_mm} mm, ou agrandissez la pièce.",
        ),
        "print.many_layers": Words(
            en="It has {layers} layers of {layer_mm} mm: it takes long, and one fault on the way loses all of it.",
            fr="Elle compte {layers} couches de {layer_mm} mm : c'est long, et un seul défaut en chemin perd tout.",
            remedy_en="A draft quality has thicker layers; or lay it down.",
            remedy_fr="La qualité brouillon a des couches plus épaisses ; ou couchez-la.",
        ),
    }
)


TURN_NAMES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "as_drawn": ("as drawn", "comme dessinée"),
        "x90": ("on its front", "sur l'avant"),
        "x180": ("upside down", "à l'envers"),
        "x270": ("on its back", "sur le dos"),
        "y90": ("on its right side", "sur le côté droit"),
        "y270": ("on its left side", "sur le côté gauche"),
    }
)
"""How people say a turn of `slicing.placement`, in English and French."""


def warning(
    code: str, severity: str, *, place: Sequence[tuple[float, ...]] = (), **params: Any
) -> MeshWarning:
    """The warning `code` with its sentences filled in, in both languages; a figure may have a French form of its own,
    given as a pair (English, French).
    """
    words = WARNINGS[code]
    english, french = (
        {name: value[side] if isinstance(value, tuple) else value for name, value in params.items()}
        for side in (0, 1)
    )
    return MeshWarning(
        code=code,
        severity=severity,
        text_en=words.in_english(english),
        text_fr=words.in_french(french),
        params=english,
        remedy_en=words.remedy_en.format(**english),
        remedy_fr=words.remedy_fr.format(**french),
        place=tuple(place),
    )
