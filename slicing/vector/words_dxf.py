"""What we tell people about a DXF as it was read, and about a vinyl cutter's limits: code -> sentence, remedy."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from slicing.words import Words

_SAVE_EN = "Save the drawing again as DXF (version R2010 does well), or export it as SVG."
_SAVE_FR = "Enregistrez de nouveau le dessin en DXF (la version R2010 convient), ou exportez-le en SVG."
_SIMPLER_EN = "Delete what is not to be cut, or split the drawing into several files."
_SIMPLER_FR = "Supprimez ce qui n'est pas à découper, ou répartissez le dessin en plusieurs fichiers."

REFUSALS: Mapping[str, Words] = MappingProxyType(
    {
        "dxf.not_dxf": Words(
            en="This is no DXF drawing: it does not begin as one.",
            fr="Ce n'est pas un dessin DXF : il ne commence pas comme tel.",
            remedy_en=_SAVE_EN,
            remedy_fr=_SAVE_FR,
        ),
        "dxf.dwg": Words(
            en="This is a DWG drawing, a format that only its maker's programs read.",
            fr="C'est un dessin DWG, un format que seuls les logiciels de son éditeur lisent.",
            remedy_en=_SAVE_EN,
            remedy_fr=_SAVE_FR,
        ),
        "dxf.truncated": Words(
            en="The drawing breaks off before its end (it has no EOF).",
            fr="Le dessin s'interrompt avant sa fin (il n'a pas d'EOF).",
            remedy_en="The upload or the export was cut short. " + _SAVE_EN,
            remedy_fr="L'envoi ou l'export a été interrompu. " + _SAVE_FR,
        ),
        "dxf.damaged": Words(
            en="The drawing is damaged: it cannot be read even with repairs.",
            fr="Le dessin est abîmé : il ne peut pas être lu, même en le réparant.",
            remedy_en=_SAVE_EN,
            remedy_fr=_SAVE_FR,
        ),
        "dxf.too_large": Words(
            en="The drawing has {bytes} bytes; at most {limit} can be read.",
            fr="Le dessin fait {bytes} octets ; nous pouvons en lire {limit} au plus.",
            remedy_en=_SIMPLER_EN,
            remedy_fr=_SIMPLER_FR,
        ),
        "dxf.too_many": Words(
            en="The drawing has more than {limit} elements once its blocks are opened.",
            fr="Le dessin compte plus de {limit} éléments une fois ses blocs ouverts.",
            remedy_en=_SIMPLER_EN,
            remedy_fr=_SIMPLER_FR,
        ),
        "dxf.too_long": Words(
            en="The drawing's curves make more than {limit} short lines.",
            fr="Les courbes du dessin font plus de {limit} petits traits.",
            remedy_en=_SIMPLER_EN,
            remedy_fr=_SIMPLER_FR,
        ),
        "dxf.blocks_too_deep": Words(
            en="The block “{block}” holds itself, or blocks stand in one another more than {limit} deep.",
            fr="Le bloc « {block} » se contient lui-même, ou des blocs s'imbriquent sur plus de {limit} niveaux.",
            remedy_en="Explode the blocks in your design program and save the drawing again.",
            remedy_fr="Décomposez les blocs dans votre logiciel de dessin et enregistrez de nouveau.",
        ),
        "dxf.not_finite": Words(
            en="A coordinate is no number, or lies more than {limit_m} m away.",
            fr="Une coordonnée n'est pas un nombre, ou se trouve à plus de {limit_m} m.",
            remedy_en="Check the drawing's unit, and move it near the origin.",
            remedy_fr="Vérifiez l'unité du dessin, et rapprochez-le de l'origine.",
        ),
        "dxf.nothing": Words(
            en="The drawing has no line that can be cut.",
            fr="Le dessin ne contient aucun trait à découper.",
            remedy_en="Turn text into outlines, open blocks, and make sure that the layers are on.",
            remedy_fr="Vectorisez les textes, ouvrez les blocs, et vérifiez que les calques sont visibles.",
        ),
        "hpgl.engraving": Words(
            en="A vinyl cutter has a knife: it cannot engrave areas.",
            fr="Une découpeuse vinyle a une lame : elle ne peut pas graver de surfaces.",
            remedy_en="Choose “cut” or “ignore” for filled areas and pictures.",
            remedy_fr="Choisissez « découper » ou « ignorer » pour les surfaces pleines et les images.",
        ),
        "hpgl.too_far": Words(
            en="The drawing goes beyond the cutter's bed of {width_mm} × {height_mm} mm.",
            fr="Le dessin dépasse la zone de la découpeuse, {width_mm} × {height_mm} mm.",
            remedy_en="Make it smaller, turn it, or split it.",
            remedy_fr="Réduisez-le, tournez-le ou partagez-le.",
        ),
    }
)

WARNINGS: Mapping[str, Words] = MappingProxyType(
    {
        "dxf.unit_unknown": Words(
            en="The drawing does not say its unit. In millimetres it is {width_mm} × {height_mm} mm, in inches "
            "{width_inch_mm} × {height_inch_mm} mm; we took millimetres.",
            fr="Le dessin n'indique pas son unité. En millimètres il fait {width_mm} × {height_mm} mm, en pouces "
            "{width_inch_mm} × {height_inch_mm} mm ; nous avons pris les millimètres.",
            remedy_en="Choose the size that is right.",
            remedy_fr="Choisissez la bonne taille.",
        ),
        "dxf.text": Words(
            en="{count} texts are not cut: a DXF holds letters, not their outlines.",
            fr="{count} textes ne sont pas découpés : un DXF contient des lettres, pas leurs contours.",
            en_one="One text is not cut: a DXF holds letters, not their outlines.",
            fr_one="Un texte n'est pas découpé : un DXF contient des lettres, pas leurs contours.",
            remedy_en="Turn text into outlines (explode it) before you save.",
            remedy_fr="Vectorisez les textes (décomposez-les) avant d'enregistrer.",
        ),
        "dxf.dimensions": Words(
            en="{count} dimensions are not cut.",
            fr="{count} cotes ne sont pas découpées.",
            en_one="One dimension is not cut.",
            fr_one="Une cote n'est pas découpée.",
        ),
        "dxf.images": Words(
            en="{count} pictures are left out: a DXF only names a picture's file.",
            fr="{count} images sont laissées de côté : un DXF ne fait que nommer le fichier d'une image.",
            en_one="One picture is left out: a DXF only names a picture's file.",
            fr_one="Une image est laissée de côté : un DXF ne fait que nommer le fichier d'une image.",
            remedy_en="Use an SVG with the picture inside if it is to be engraved.",
            remedy_fr="Utilisez un SVG qui contient l'image si elle doit être gravée.",
        ),
        "dxf.solids": Words(
            en="{count} three-dimensional elements are left out ({kinds}).",
            fr="{count} éléments en trois dimensions sont laissés de côté ({kinds}).",
            en_one="One three-dimensional element is left out ({kinds}).",
            fr_one="Un élément en trois dimensions est laissé de côté ({kinds}).",
            remedy_en="Draw the flat outline in your design program and save that.",
            remedy_fr="Dessinez le contour à plat dans votre logiciel et enregistrez-le.",
        ),
        "dxf.heights": Words(
            en="{count} elements do not lie flat; they are cut as seen from above.",
            fr="{count} éléments ne sont pas à plat ; ils sont découpés tels que vus de dessus.",
            en_one="One element does not lie flat; it is cut as seen from above.",
            fr_one="Un élément n'est pas à plat ; il est découpé tel que vu de dessus.",
        ),
        "dxf.unsupported": Words(
            en="{count} elements of a kind that we do not read are left out ({kinds}).",
            fr="{count} éléments d'un type que nous ne lisons pas sont laissés de côté ({kinds}).",
            en_one="One element of a kind that we do not read is left out ({kinds}).",
            fr_one="Un élément d'un type que nous ne lisons pas est laissé de côté ({kinds}).",
            remedy_en="Explode them into lines in your design program if they are to be cut.",
            remedy_fr="Décomposez-les en traits dans votre logiciel de dessin s'ils doivent être découpés.",
        ),
        "dxf.hidden": Words(
            en="{count} elements that are hidden or on layers off or frozen are left out ({layers}).",
            fr="{count} éléments masqués ou sur des calques éteints ou gelés sont laissés de côté ({layers}).",
            en_one="One element that is hidden or on a layer off or frozen is left out ({layers}).",
            fr_one="Un élément masqué ou sur un calque éteint ou gelé est laissé de côté ({layers}).",
            remedy_en="Turn the layers on if they are to be cut.",
            remedy_fr="Rendez les calques visibles s'ils doivent être découpés.",
        ),
        "dxf.entity_damaged": Words(
            en="{count} elements are damaged and left out ({kinds}).",
            fr="{count} éléments sont abîmés et laissés de côté ({kinds}).",
            en_one="One element is damaged and left out ({kinds}).",
            fr_one="Un élément est abîmé et laissé de côté ({kinds}).",
            remedy_en="Look at the picture: is something missing? " + _SAVE_EN,
            remedy_fr="Regardez l'image : manque-t-il quelque chose ? " + _SAVE_FR,
        ),
        "dxf.repaired": Words(
            en="The file breaks the rules of DXF; it was repaired as far as possible.",
            fr="Le fichier ne respecte pas les règles du DXF ; il a été réparé autant que possible.",
            remedy_en="Compare the picture with your drawing.",
            remedy_fr="Comparez l'image avec votre dessin.",
        ),
    }
)
