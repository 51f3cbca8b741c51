"""What we tell people about a drawing as it was read (SVG, DXF): code -> sentence, remedy; rows of `messages`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from slicing.words import Words

_EXPORT_EN = "Save the drawing again from your drawing program and drop the new file."
_EXPORT_FR = "Enregistrez à nouveau le dessin depuis votre logiciel et déposez le nouveau fichier."
_SIMPLER_EN = "Simplify the drawing (in Inkscape: Path > Simplify) or split it into several files."
_SIMPLER_FR = (
    "Simplifiez le dessin (dans Inkscape : Chemin > Simplifier) ou séparez-le en plusieurs fichiers."
)
_PATHS_EN = "Turn text into outlines before saving (in Inkscape: Path > Object to Path)."
_PATHS_FR = (
    "Convertissez les textes en contours avant d'enregistrer (dans Inkscape : Chemin > Objet en chemin)."
)
_CLIP_EN = "Cut the lines at the clip yourself (in Inkscape: Path > Intersection) and remove the clip."
_CLIP_FR = "Coupez vous-même les lignes à la découpe (dans Inkscape : Chemin > Intersection) et retirez-la."
_EMBED_EN = "Embed the image in the drawing (in Inkscape: Extensions > Images > Embed Images)."
_EMBED_FR = "Incorporez l'image dans le dessin (dans Inkscape : Extensions > Images > Incorporer les images)."
_SIZE_EN = "Choose the reading that gives the size you drew."
_SIZE_FR = "Choisissez la lecture qui donne la taille que vous avez dessinée."

REFUSALS: Mapping[str, Words] = MappingProxyType(
    {
        "svg.bytes": Words(
            en="The drawing has {bytes} bytes; at most {limit} are read.",
            fr="Le dessin fait {bytes} octets ; nous en lisons {limit} au plus.",
            remedy_en=_SIMPLER_EN,
            remedy_fr=_SIMPLER_FR,
        ),
        "svg.unpacked": Words(
            en="The compressed drawing would unpack from {packed} to more than {limit} bytes.",
            fr="Le dessin compressé passerait de {packed} à plus de {limit} octets une fois ouvert.",
            remedy_en="Save it as a plain SVG and drop that.",
            remedy_fr="Enregistrez-le en SVG simple et déposez celui-ci.",
        ),
        "svg.encoding": Words(
            en="The drawing says that it is written in “{encoding}”, which we cannot read.",
            fr="Le dessin se dit écrit en « {encoding} », que nous ne savons pas lire.",
            remedy_en=_EXPORT_EN,
            remedy_fr=_EXPORT_FR,
        ),
        "svg.not_svg": Words(
            en="This is not an SVG drawing: it begins with {found}.",
            fr="Ce n'est pas un dessin SVG : il commence par {found}.",
            remedy_en=_EXPORT_EN,
            remedy_fr=_EXPORT_FR,
        ),
        "svg.broken": Words(
            en="The drawing is damaged at line {line}: {why}.",
            fr="Le dessin est endommagé à la ligne {line} : {why}.",
            remedy_en=_EXPORT_EN,
            remedy_fr=_EXPORT_FR,
        ),
        "svg.entity": Words(
            en="The drawing defines “{entity}”, which could load or repeat things; we do not follow that.",
            fr="Le dessin définit « {entity} », qui pourrait charger ou répéter des choses ; nous ne le suivons pas.",
            remedy_en="Save it as a plain SVG and drop that.",
            remedy_fr="Enregistrez-le en SVG simple et déposez celui-ci.",
        ),
        "svg.depth": Words(
            en="The drawing is nested more than {limit} levels deep.",
            fr="Le dessin est imbriqué sur plus de {limit} niveaux.",
            remedy_en="Ungroup it (in Inkscape: select all, then Object > Ungroup, a few times).",
            remedy_fr="Dégroupez-le (dans Inkscape : tout sélectionner, puis Objet > Dégrouper, quelques fois).",
        ),
        "svg.elements": Words(
            en="The drawing has more than {limit} elements.",
            fr="Le dessin a plus de {limit} éléments.",
            remedy_en=_SIMPLER_EN,
            remedy_fr=_SIMPLER_FR,
        ),
        "svg.attributes": Words(
            en="An element of the drawing has more than {limit} attributes.",
            fr="Un élément du dessin a plus de {limit} attributs.",
            remedy_en=_EXPORT_EN,
            remedy_fr=_EXPORT_FR,
        ),
        "svg.points": Words(
            en="The drawing has more than {limit} points.",
            fr="Le dessin a plus de {limit} points.",
            remedy_en=_SIMPLER_EN,
            remedy_fr=_SIMPLER_FR,
        ),
        "svg.style": Words(
            en="The drawing's style sheet is too large or too tangled: at most {limit} rules are tried.",
            fr="La feuille de style du dessin est trop grande ou trop complexe : {limit} règles au plus sont essayées.",
            remedy_en="Save it with presentation attributes instead of style sheets.",
            remedy_fr="Enregistrez-le avec des attributs de présentation plutôt qu'une feuille de style.",
        ),
        "svg.text": Words(
            en="The drawing has too much text: at most {limit} letters are turned into outlines.",
            fr="Le dessin a trop de texte : {limit} lettres au plus sont converties en contours.",
            remedy_en=_PATHS_EN,
            remedy_fr=_PATHS_FR,
        ),
        "svg.coordinate": Words(
            en="The drawing has a point that lies nowhere on a page ({value} mm); {limit} m are the most.",
            fr="Le dessin a un point qui n'est sur aucune page ({value} mm) ; {limit} m sont le maximum.",
            remedy_en="Look for stray objects far from the drawing, or a wrong scale. " + _EXPORT_EN,
            remedy_fr="Cherchez des objets perdus loin du dessin, ou une échelle fausse. " + _EXPORT_FR,
        ),
        "svg.view_box": Words(
            en="The drawing's viewBox “{value}” is not an area, so its size cannot be known.",
            fr="La viewBox « {value} » du dessin n'est pas une surface : sa taille est inconnue.",
            remedy_en="Set the page size in your drawing program, then save again.",
            remedy_fr="Réglez la taille de la page dans votre logiciel, puis enregistrez à nouveau.",
        ),
        "svg.size": Words(
            en="The drawing's page has no size that can be: {width} x {height} pixels.",
            fr="La page du dessin n'a pas de taille possible : {width} x {height} pixels.",
            remedy_en="Set the page size in your drawing program, then save again.",
            remedy_fr="Réglez la taille de la page dans votre logiciel, puis enregistrez à nouveau.",
        ),
        "svg.unit": Words(
            en="“{unit}” is no unit a drawing can be read in; these are: {units}.",
            fr="« {unit} » n'est pas une unité de lecture d'un dessin ; voici lesquelles : {units}.",
            remedy_en=_SIZE_EN,
            remedy_fr=_SIZE_FR,
        ),
        "svg.pixels": Words(
            en="An image in the drawing has {width} x {height} pixels; all images together may have {limit} million.",
            fr="Une image du dessin fait {width} x {height} pixels ; toutes les images ensemble peuvent en avoir "
            "{limit} millions.",
            remedy_en="Make the image smaller: 10 pixels per millimetre are enough to engrave.",
            remedy_fr="Réduisez l'image : 10 pixels par millimètre suffisent pour graver.",
        ),
        "svg.nothing": Words(
            en="The drawing holds nothing that can be cut or engraved.",
            fr="Le dessin ne contient rien à découper ni à graver.",
            remedy_en="Check that the right page or layer was saved. " + _EXPORT_EN,
            remedy_fr="Vérifiez que la bonne page ou le bon calque a été enregistré. " + _EXPORT_FR,
        ),
        "svg.nothing_clipped": Words(
            en="Everything in the drawing is cut off by a clip or covered by a mask, so there is nothing to cut.",
            fr="Tout le dessin est hors d'une découpe ou sous un masque : il n'y a rien à couper.",
            remedy_en=_CLIP_EN,
            remedy_fr=_CLIP_FR,
        ),
        "svg.nothing_text": Words(
            en="The drawing holds only text, and its letters could not be turned into outlines here.",
            fr="Le dessin ne contient que du texte, et ses lettres n'ont pas pu être converties en contours ici.",
            remedy_en=_PATHS_EN,
            remedy_fr=_PATHS_FR,
        ),
        "svg.nothing_hidden": Words(
            en="Everything in the drawing is hidden.",
            fr="Tout le dessin est masqué.",
            remedy_en="Show the layers that are to be cut, then save again.",
            remedy_fr="Affichez les calques à découper, puis enregistrez à nouveau.",
        ),
        "svg.nothing_external": Words(
            en="The drawing itself is empty: what it shows lies in other files, which we do not fetch.",
            fr="Le dessin lui-même est vide : ce qu'il montre est dans d'autres fichiers, que nous ne chargeons pas.",
            remedy_en=_EMBED_EN,
            remedy_fr=_EMBED_FR,
        ),
        "svg.nothing_painted": Words(
            en="Nothing in the drawing has a line or fill colour, so there is nothing to cut.",
            fr="Rien dans le dessin n'a de couleur de contour ou de fond : il n'y a rien à couper.",
            remedy_en="Give the lines that are to be cut a stroke colour, then save again.",
            remedy_fr="Donnez une couleur de contour aux lignes à découper, puis enregistrez à nouveau.",
        ),
    }
)

_READINGS_EN = (
    "{x96} x {y96} mm at 96 units to the inch, {x90} x {y90} mm at 90, {x72} x {y72} mm at 72, or {xmm} x {ymm} mm if "
    "a unit is a millimetre"
)
_READINGS_FR = (
    "{x96} x {y96} mm à 96 unités par pouce, {x90} x {y90} mm à 90, {x72} x {y72} mm à 72, ou {xmm} x {ymm} mm si une "
    "unité est un millimètre"
)

WARNINGS: Mapping[str, Words] = MappingProxyType(
    {
        "svg.unit?": Words(
            en="The file does not say how large it is in millimetres. The drawing measures "
            + _READINGS_EN
            + ".",
            fr="Le fichier ne dit pas sa taille en millimètres. Le dessin mesure " + _READINGS_FR + ".",
            remedy_en=_SIZE_EN,
            remedy_fr=_SIZE_FR,
        ),
        "svg.unit_inkscape?": Words(
            en="An old Inkscape (before 0.92) wrote this file, which drew with 90 units to the inch. The drawing "
            "measures " + _READINGS_EN + ".",
            fr="Un ancien Inkscape (avant 0.92) a écrit ce fichier, avec 90 unités par pouce. Le dessin mesure "
            + _READINGS_FR
            + ".",
            remedy_en=_SIZE_EN,
            remedy_fr=_SIZE_FR,
        ),
        "svg.unit_illustrator?": Words(
            en="Illustrator wrote this file, which draws with 72 units to the inch and does not say so. The drawing "
            "measures " + _READINGS_EN + ".",
            fr="Illustrator a écrit ce fichier, avec 72 unités par pouce sans le dire. Le dessin mesure "
            + _READINGS_FR
            + ".",
            remedy_en=_SIZE_EN,
            remedy_fr=_SIZE_FR,
        ),
        "svg.view_box_stretched": Words(
            en="The page and the drawing on it differ in shape by {percent} %: the drawing may be distorted or placed "
            "with margins.",
            fr="La page et le dessin diffèrent de proportions de {percent} % : le dessin peut être déformé ou avoir "
            "des marges.",
            remedy_en="Check the size; make width, height and viewBox of the file agree.",
            remedy_fr="Vérifiez la taille ; accordez width, height et viewBox du fichier.",
        ),
        "svg.text": Words(
            en="{count} texts were turned into outlines with our font (DejaVu): the letters may look different from "
            "yours.",
            fr="{count} textes ont été convertis en contours avec notre police (DejaVu) : les lettres peuvent "
            "différer des vôtres.",
            en_one="One text was turned into outlines with our font (DejaVu): the letters may look different from "
            "yours.",
            fr_one="Un texte a été converti en contours avec notre police (DejaVu) : les lettres peuvent différer "
            "des vôtres.",
            remedy_en=_PATHS_EN,
            remedy_fr=_PATHS_FR,
        ),
        "svg.text_lost": Words(
            en="{count} texts are left out: their letters could not be turned into outlines here.",
            fr="{count} textes sont laissés de côté : leurs lettres n'ont pas pu être converties en contours ici.",
            en_one="One text is left out: its letters could not be turned into outlines here.",
            fr_one="Un texte est laissé de côté : ses lettres n'ont pas pu être converties en contours ici.",
            remedy_en=_PATHS_EN,
            remedy_fr=_PATHS_FR,
        ),
        "svg.letters_lost": Words(
            en="Our font lacks {count} of the signs in the texts; they are left out.",
            fr="Notre police n'a pas {count} des signes des textes ; ils sont laissés de côté.",
            en_one="Our font lacks one of the signs in the texts; it is left out.",
            fr_one="Notre police n'a pas l'un des signes des textes ; il est laissé de côté.",
            remedy_en=_PATHS_EN,
            remedy_fr=_PATHS_FR,
        ),
        "svg.flowed_text": Words(
            en="{count} flowed texts of Inkscape are left out: only Inkscape can lay them out.",
            fr="{count} textes encadrés d'Inkscape sont laissés de côté : seul Inkscape sait les composer.",
            en_one="One flowed text of Inkscape is left out: only Inkscape can lay it out.",
            fr_one="Un texte encadré d'Inkscape est laissé de côté : seul Inkscape sait le composer.",
            remedy_en=_PATHS_EN,
            remedy_fr=_PATHS_FR,
        ),
        "svg.clip": Words(
            en="{count} elements are partly hidden by a clip and are left out.",
            fr="{count} éléments sont en partie cachés par une découpe et sont laissés de côté.",
            en_one="One element is partly hidden by a clip and is left out.",
            fr_one="Un élément est en partie caché par une découpe et est laissé de côté.",
            remedy_en=_CLIP_EN,
            remedy_fr=_CLIP_FR,
        ),
        "svg.clipped_away": Words(
            en="{count} elements lie wholly outside their clip, cannot be seen, and are left out.",
            fr="{count} éléments sont entièrement hors de leur découpe, invisibles, et sont laissés de côté.",
            en_one="One element lies wholly outside its clip, cannot be seen, and is left out.",
            fr_one="Un élément est entièrement hors de sa découpe, invisible, et est laissé de côté.",
        ),
        "svg.mask": Words(
            en="{count} elements lie under a mask and are left out: what of them is visible, a cutter cannot know.",
            fr="{count} éléments sont sous un masque et sont laissés de côté : on ignore ce qui en est visible.",
            en_one="One element lies under a mask and is left out: what of it is visible, a cutter cannot know.",
            fr_one="Un élément est sous un masque et est laissé de côté : on ignore ce qui en est visible.",
            remedy_en="Remove the mask and draw only what is to be cut.",
            remedy_fr="Retirez le masque et ne dessinez que ce qui doit être découpé.",
        ),
        "svg.filter": Words(
            en="{count} elements have a filter (blur, shadow, …), which is ignored: their plain lines are used.",
            fr="{count} éléments ont un filtre (flou, ombre, …), qui est ignoré : leurs lignes simples servent.",
            en_one="One element has a filter (blur, shadow, …), which is ignored: its plain lines are used.",
            fr_one="Un élément a un filtre (flou, ombre, …), qui est ignoré : ses lignes simples servent.",
        ),
        "svg.dashes": Words(
            en="{count} dashed lines are treated as solid lines.",
            fr="{count} lignes en tirets sont traitées comme des lignes pleines.",
            en_one="One dashed line is treated as a solid line.",
            fr_one="Une ligne en tirets est traitée comme une ligne pleine.",
            remedy_en="To perforate, draw the single dashes as lines of their own.",
            remedy_fr="Pour perforer, dessinez chaque tiret comme une ligne.",
        ),
        "svg.markers": Words(
            en="{count} lines have markers (arrowheads, dots), which are left out.",
            fr="{count} lignes ont des marqueurs (flèches, points), qui sont laissés de côté.",
            en_one="One line has markers (arrowheads, dots), which are left out.",
            fr_one="Une ligne a des marqueurs (flèches, points), qui sont laissés de côté.",
            remedy_en="Turn them into paths (in Inkscape: Path > Stroke to Path) if they are to be cut.",
            remedy_fr="Convertissez-les (dans Inkscape : Chemin > Contour en chemin) s'il faut les découper.",
        ),
        "svg.gradient": Words(
            en="{count} elements are painted with a gradient; its first colour is taken for all of it.",
            fr="{count} éléments sont peints d'un dégradé ; sa première couleur vaut pour le tout.",
            en_one="One element is painted with a gradient; its first colour is taken for all of it.",
            fr_one="Un élément est peint d'un dégradé ; sa première couleur vaut pour le tout.",
            remedy_en="To engrave shades, turn the element into an image.",
            remedy_fr="Pour graver des nuances, convertissez l'élément en image.",
        ),
        "svg.pattern": Words(
            en="{count} elements are painted with a pattern, which is left out.",
            fr="{count} éléments sont peints d'un motif, qui est laissé de côté.",
            en_one="One element is painted with a pattern, which is left out.",
            fr_one="Un élément est peint d'un motif, qui est laissé de côté.",
            remedy_en="Turn it into objects (in Inkscape: Object > Pattern > Pattern to Objects).",
            remedy_fr="Convertissez-le en objets (dans Inkscape : Objet > Motif > Motif en objets).",
        ),
        "svg.no_width": Words(
            en="{count} lines have a width of 0: they cannot be seen and are left out.",
            fr="{count} lignes ont une épaisseur de 0 : elles sont invisibles et laissées de côté.",
            en_one="One line has a width of 0: it cannot be seen and is left out.",
            fr_one="Une ligne a une épaisseur de 0 : elle est invisible et laissée de côté.",
            remedy_en="Give lines that are to be cut a width, 0.1 mm for instance.",
            remedy_fr="Donnez une épaisseur aux lignes à découper, par exemple 0,1 mm.",
        ),
        "svg.unpainted": Words(
            en="{count} elements have neither a line nor a fill colour and are left out.",
            fr="{count} éléments n'ont ni couleur de contour ni de fond et sont laissés de côté.",
            en_one="One element has neither a line nor a fill colour and is left out.",
            fr_one="Un élément n'a ni couleur de contour ni de fond et est laissé de côté.",
        ),
        "svg.hidden": Words(
            en="{count} hidden elements are left out{names}.",
            fr="{count} éléments masqués sont laissés de côté{names}.",
            en_one="One hidden element is left out{names}.",
            fr_one="Un élément masqué est laissé de côté{names}.",
            remedy_en="Show them in your drawing program if they are to be cut.",
            remedy_fr="Affichez-les dans votre logiciel s'il faut les découper.",
        ),
        "svg.locked": Words(
            en="{count} locked layers or groups are visible, and used like all others{names}.",
            fr="{count} calques ou groupes verrouillés sont visibles et utilisés comme les autres{names}.",
            en_one="One locked layer or group is visible, and used like all others{names}.",
            fr_one="Un calque ou groupe verrouillé est visible et utilisé comme les autres{names}.",
        ),
        "svg.off_page": Words(
            en="{count} elements lie beyond the edge of the page; they are used all the same.",
            fr="{count} éléments dépassent du bord de la page ; ils sont utilisés quand même.",
            en_one="One element lies beyond the edge of the page; it is used all the same.",
            fr_one="Un élément dépasse du bord de la page ; il est utilisé quand même.",
            remedy_en="Check that nothing was left lying beside the page.",
            remedy_fr="Vérifiez que rien n'a été oublié à côté de la page.",
        ),
        "svg.picture": Words(
            en="{count} images can only be engraved, in shades of grey.",
            fr="{count} images ne peuvent être que gravées, en niveaux de gris.",
            en_one="One image can only be engraved, in shades of grey.",
            fr_one="Une image ne peut être que gravée, en niveaux de gris.",
        ),
        "svg.picture_unread": Words(
            en="{count} images in the drawing cannot be read and are left out (PNG, JPEG, GIF, BMP and WebP can).",
            fr="{count} images du dessin ne peuvent être lues et sont laissées de côté (PNG, JPEG, GIF, BMP et WebP "
            "le peuvent).",
            en_one="One image in the drawing cannot be read and is left out (PNG, JPEG, GIF, BMP and WebP can).",
            fr_one="Une image du dessin ne peut être lue et est laissée de côté (PNG, JPEG, GIF, BMP et WebP "
            "le peuvent).",
            remedy_en=_EMBED_EN,
            remedy_fr=_EMBED_FR,
        ),
        "svg.picture_cropped": Words(
            en="{count} images are larger than their frame and are shown whole.",
            fr="{count} images sont plus grandes que leur cadre et sont montrées entières.",
            en_one="One image is larger than its frame and is shown whole.",
            fr_one="Une image est plus grande que son cadre et est montrée entière.",
            remedy_en="Crop the image before placing it.",
            remedy_fr="Recadrez l'image avant de la placer.",
        ),
        "svg.external": Words(
            en="{count} parts of the drawing lie in other files or on the web; they are not fetched and left out.",
            fr="{count} parties du dessin sont dans d'autres fichiers ou sur le web ; elles ne sont pas chargées et "
            "sont laissées de côté.",
            en_one="One part of the drawing lies in another file or on the web; it is not fetched and left out.",
            fr_one="Une partie du dessin est dans un autre fichier ou sur le web ; elle n'est pas chargée et "
            "est laissée de côté.",
            remedy_en=_EMBED_EN,
            remedy_fr=_EMBED_FR,
        ),
        "svg.missing": Words(
            en="{count} elements refer to something that is not in the file.",
            fr="{count} éléments renvoient à quelque chose qui n'est pas dans le fichier.",
            en_one="One element refers to something that is not in the file.",
            fr_one="Un élément renvoie à quelque chose qui n'est pas dans le fichier.",
            remedy_en=_EXPORT_EN,
            remedy_fr=_EXPORT_FR,
        ),
        "svg.recursive": Words(
            en="{count} elements contain themselves; the repetition is left out.",
            fr="{count} éléments se contiennent eux-mêmes ; la répétition est laissée de côté.",
            en_one="One element contains itself; the repetition is left out.",
            fr_one="Un élément se contient lui-même ; la répétition est laissée de côté.",
        ),
        "svg.foreign": Words(
            en="{count} pieces of foreign content (web pages, formulas) are left out.",
            fr="{count} contenus étrangers (pages web, formules) sont laissés de côté.",
            en_one="One piece of foreign content (web page, formula) is left out.",
            fr_one="Un contenu étranger (page web, formule) est laissé de côté.",
        ),
        "svg.script": Words(
            en="The file contains {count} scripts, which are ignored.",
            fr="Le fichier contient {count} scripts, qui sont ignorés.",
            en_one="The file contains a script, which is ignored.",
            fr_one="Le fichier contient un script, qui est ignoré.",
        ),
        "svg.damaged": Words(
            en="{count} elements have a value that cannot be read; they are used as far as they can be.",
            fr="{count} éléments ont une valeur illisible ; ils sont utilisés autant que possible.",
            en_one="One element has a value that cannot be read; it is used as far as it can be.",
            fr_one="Un élément a une valeur illisible ; il est utilisé autant que possible.",
            remedy_en="Look at the preview. " + _EXPORT_EN,
            remedy_fr="Regardez l'aperçu. " + _EXPORT_FR,
        ),
        "svg.coarse": Words(
            en="The drawing has so many curves that they are followed only to {tolerance} mm.",
            fr="Le dessin a tant de courbes qu'elles ne sont suivies qu'à {tolerance} mm près.",
            remedy_en=_SIMPLER_EN,
            remedy_fr=_SIMPLER_FR,
        ),
    }
)
