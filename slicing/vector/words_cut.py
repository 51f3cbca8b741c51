"""What we tell people about how their drawing would be cut: code -> sentence, remedy; rows of `slicing.messages`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from slicing.words import Words

_LIST_EN = "Choose a material from the list for this machine; ask the staff if yours is not on it."
_LIST_FR = (
    "Choisissez un matériau de la liste de cette machine ; demandez au personnel si le vôtre n'y est pas."
)
_AGAIN_EN = "Reload the page and choose again; if it happens again, tell the staff."
_AGAIN_FR = "Rechargez la page et choisissez à nouveau ; si cela se répète, prévenez le personnel."

REFUSALS: Mapping[str, Words] = MappingProxyType(
    {
        "laser.material_forbidden": Words(
            en="{material}: this never goes under a laser here, because {why}.",
            fr="{material} : cela ne passe jamais au laser ici, car {why}.",
            remedy_en="Take another material. If you do not know what yours is, ask the staff before cutting it.",
            remedy_fr="Prenez un autre matériau. Si vous ignorez ce que c'est, demandez au personnel avant de couper.",
        ),
        "laser.material_unknown": Words(
            en="The material “{material}” is not known here. Known are: {known}.",
            fr="Le matériau « {material} » n'est pas connu ici. Sont connus : {known}.",
            remedy_en=_LIST_EN,
            remedy_fr=_LIST_FR,
        ),
        "laser.material_unfit": Words(
            en="{material} cannot be cut on {machine}: {why}.",
            fr="{material} ne peut pas être coupé sur {machine} : {why}.",
            remedy_en="Choose another machine or another material.",
            remedy_fr="Choisissez une autre machine ou un autre matériau.",
        ),
        "laser.no_settings": Words(
            en="For {material} on {machine} nobody has settings for “{kind}”; there are settings for: {known}.",
            fr="Pour {material} sur {machine}, personne n'a de réglages pour « {kind} » ; il y en a pour : {known}.",
            remedy_en="Choose another operation for that colour, or ask the staff for a test.",
            remedy_fr="Choisissez une autre opération pour cette couleur, ou demandez un essai au personnel.",
        ),
        "laser.plan_unknown": Words(
            en="The choice “{field}” is not known; known are: {known}.",
            fr="Le choix « {field} » n'est pas connu ; sont connus : {known}.",
            remedy_en=_AGAIN_EN,
            remedy_fr=_AGAIN_FR,
        ),
        "laser.plan_missing": Words(
            en="Nothing was chosen for “{field}”.",
            fr="Rien n'a été choisi pour « {field} ».",
            remedy_en="Choose it, then send again.",
            remedy_fr="Faites ce choix, puis envoyez à nouveau.",
        ),
        "laser.plan_value": Words(
            en="“{field}” is {value}; it must be: {rule}.",
            fr="« {field} » vaut {value} ; il faut : {rule}.",
            remedy_en="Correct the value, then send again.",
            remedy_fr="Corrigez la valeur, puis envoyez à nouveau.",
        ),
        "laser.group_unknown": Words(
            en="An operation was chosen for “{key}”, which this drawing does not have. It has: {known}.",
            fr="Une opération a été choisie pour « {key} », que ce dessin n'a pas. Il a : {known}.",
            remedy_en="Choose operations again: the drawing may have been replaced since.",
            remedy_fr="Choisissez à nouveau les opérations : le dessin a peut-être été remplacé depuis.",
        ),
        "laser.operation_unfit": Words(
            en="“{key}” cannot be done as “{kind}” on this machine; possible are: {allowed}.",
            fr="« {key} » ne peut pas être fait en « {kind} » sur cette machine ; sont possibles : {allowed}.",
            remedy_en="Choose one of these for it. A picture can be engraved, never cut; a knife only cuts.",
            remedy_fr="Choisissez-en une. Une image se grave, elle ne se coupe pas ; une lame ne fait que couper.",
        ),
        "laser.nothing": Words(
            en="Nothing is left to do: nothing of this drawing is cut, scored or engraved.",
            fr="Il ne reste rien à faire : rien de ce dessin n'est coupé, marqué ni gravé.",
            remedy_en="Choose “cut”, “score” or “engrave” for one colour at least.",
            remedy_fr="Choisissez « couper », « marquer » ou « graver » pour une couleur au moins.",
        ),
        "laser.too_large": Words(
            en="The work measures {x} x {y} mm; there is room for {bed_x} x {bed_y} mm. At {fits_percent} % it fits.",
            fr="Le travail mesure {x} x {y} mm ; il y a place pour {bed_x} x {bed_y} mm. À {fits_percent} % il tient.",
            remedy_en="Scale it, split it into several drawings, or take a larger sheet or machine.",
            remedy_fr="Changez l'échelle, séparez-le en plusieurs dessins, ou prenez une plaque plus grande.",
        ),
        "laser.too_large.turn": Words(
            en="As it lies, the work ({x} x {y} mm) does not fit on {bed_x} x {bed_y} mm; turned by 90 degrees it "
            "does, or at {fits_percent} %.",
            fr="Ainsi posé, le travail ({x} x {y} mm) ne tient pas sur {bed_x} x {bed_y} mm ; tourné de 90 degrés il "
            "tient, ou à {fits_percent} %.",
            remedy_en="Turn it by 90 degrees.",
            remedy_fr="Tournez-le de 90 degrés.",
        ),
        "laser.misplaced": Words(
            en="Placed so, the work reaches {x}, {y} mm; the room ends at {bed_x}, {bed_y} mm. Its lower left corner "
            "may lie at {most_x}, {most_y} mm at most.",
            fr="Ainsi placé, le travail va jusqu'à {x}, {y} mm ; la place s'arrête à {bed_x}, {bed_y} mm. Son coin "
            "inférieur gauche peut être à {most_x}, {most_y} mm au plus.",
            remedy_en="Move it towards the front left corner.",
            remedy_fr="Rapprochez-le du coin avant gauche.",
        ),
        "laser.too_many": Words(
            en="{quantity} copies do not fit on the sheet; {capacity} do.",
            fr="{quantity} exemplaires ne tiennent pas sur la plaque ; {capacity} tiennent.",
            remedy_en="Order fewer copies in one job, or take a larger sheet.",
            remedy_fr="Demandez moins d'exemplaires par travail, ou prenez une plaque plus grande.",
        ),
        "laser.too_complex": Words(
            en="All copies together have {points} points; at most {limit} can be planned.",
            fr="Tous les exemplaires ensemble ont {points} points ; {limit} au plus peuvent être planifiés.",
            remedy_en="Order fewer copies in one job, or simplify the drawing's curves.",
            remedy_fr="Demandez moins d'exemplaires par travail, ou simplifiez les courbes du dessin.",
        ),
    }
)

WARNINGS: Mapping[str, Words] = MappingProxyType(
    {
        "laser.double_cut": Words(
            en="{count} lines lie on another line: {length_mm} mm would be cut twice, which burns the edge.",
            fr="{count} traits sont posés sur un autre : {length_mm} mm seraient coupés deux fois, et brûlés.",
            en_one="One line lies on another line: {length_mm} mm would be cut twice, which burns the edge.",
            fr_one="Un trait est posé sur un autre : {length_mm} mm seraient coupés deux fois, et brûlés.",
            remedy_en="Let us remove the double lines, or delete them in your drawing program.",
            remedy_fr="Laissez-nous retirer les traits doubles, ou supprimez-les dans votre logiciel de dessin.",
        ),
        "laser.double_cut_removed": Words(
            en="{count} lines lay on another line; {length_mm} mm were left out, so that nothing is cut twice.",
            fr="{count} traits étaient posés sur un autre ; {length_mm} mm retirés : rien n'est coupé deux fois.",
            en_one="One line lay on another line; {length_mm} mm were left out, so that nothing is cut twice.",
            fr_one="Un trait était posé sur un autre ; {length_mm} mm retirés : rien n'est coupé deux fois.",
        ),
        "laser.double_cut_unchecked": Words(
            en="So many lines crowd together that not all could be checked for double cuts.",
            fr="Tant de traits se serrent que tous n'ont pas pu être vérifiés contre les coupes doubles.",
            remedy_en="Look for copies lying on each other in your drawing program.",
            remedy_fr="Cherchez des copies superposées dans votre logiciel de dessin.",
        ),
        "laser.open": Words(
            en="{count} lines to be cut do not close: what they outline will not come out of the sheet.",
            fr="{count} traits à couper ne se ferment pas : ce qu'ils dessinent ne sortira pas de la plaque.",
            en_one="One line to be cut does not close: what it outlines will not come out of the sheet.",
            fr_one="Un trait à couper ne se ferme pas : ce qu'il dessine ne sortira pas de la plaque.",
            remedy_en="Close them in your drawing program, unless you want a slit.",
            remedy_fr="Fermez-les dans votre logiciel de dessin, sauf si vous voulez une fente.",
        ),
        "laser.open_gap": Words(
            en="{count} outlines miss their own beginning by up to {gap_mm} mm: the part will hang on there.",
            fr="{count} contours manquent leur début de {gap_mm} mm au plus : la pièce y restera accrochée.",
            en_one="One outline misses its own beginning by {gap_mm} mm: the part will hang on there.",
            fr_one="Un contour manque son début de {gap_mm} mm : la pièce y restera accrochée.",
            remedy_en="Close the path in your drawing program (join the end nodes).",
            remedy_fr="Fermez le chemin dans votre logiciel de dessin (joignez les nœuds d'extrémité).",
        ),
        "laser.small_parts": Words(
            en="{count} parts are smaller than {limit_mm} mm (the smallest {size_mm} mm): they fall through the table.",
            fr="{count} pièces font moins de {limit_mm} mm (la plus petite {size_mm}) : elles tombent sous la table.",
            en_one="One part is smaller than {limit_mm} mm ({size_mm} mm): it falls through the table.",
            fr_one="Une pièce fait moins de {limit_mm} mm ({size_mm}) : elle tombe sous la table.",
            remedy_en="Use tabs to hold them, or make them larger.",
            remedy_fr="Retenez-les par des attaches, ou agrandissez-les.",
        ),
        "laser.thin": Words(
            en="{count} places are thinner than {width_mm} mm: the cut burns them away or they break.",
            fr="{count} endroits font moins de {width_mm} mm : la coupe les brûle ou ils cassent.",
            en_one="One place is thinner than {width_mm} mm: the cut burns it away or it breaks.",
            fr_one="Un endroit fait moins de {width_mm} mm : la coupe le brûle ou il casse.",
            remedy_en="Make them wider, or scale the drawing up.",
            remedy_fr="Élargissez-les, ou agrandissez le dessin.",
        ),
        "laser.many": Words(
            en="The drawing has {count} lines to cut: the way between them takes long.",
            fr="Le dessin compte {count} traits à couper : le chemin entre eux prend du temps.",
            remedy_en="Join lines that touch in your drawing program, or cut less of it.",
            remedy_fr="Joignez les traits qui se touchent dans votre logiciel, ou coupez-en moins.",
        ),
        "laser.kerf_vanished": Words(
            en="{count} holes are narrower than the cut itself ({kerf_mm} mm): they are left out.",
            fr="{count} trous sont plus étroits que la coupe elle-même ({kerf_mm} mm) : ils sont laissés de côté.",
            en_one="One hole is narrower than the cut itself ({kerf_mm} mm): it is left out.",
            fr_one="Un trou est plus étroit que la coupe elle-même ({kerf_mm} mm) : il est laissé de côté.",
            remedy_en="Make them larger, or score them, or switch the compensation of the cut off.",
            remedy_fr="Agrandissez-les, ou marquez-les, ou désactivez la compensation de la coupe.",
        ),
        "laser.kerf_crossing": Words(
            en="{count} outlines cross themselves: the width of the cut ({kerf_mm} mm) is not made good there.",
            fr="{count} contours se croisent eux-mêmes : la largeur de coupe ({kerf_mm} mm) n'y est pas compensée.",
            en_one="One outline crosses itself: the width of the cut ({kerf_mm} mm) is not made good there.",
            fr_one="Un contour se croise lui-même : la largeur de coupe ({kerf_mm} mm) n'y est pas compensée.",
            remedy_en="Unite the shape in your drawing program (union) if its size must be exact.",
            remedy_fr="Unissez la forme dans votre logiciel de dessin (union) si sa taille doit être exacte.",
        ),
        "laser.kerf_already": Words(
            en="This drawing already makes good the width of the cut; none is added.",
            fr="Ce dessin compense déjà la largeur de coupe ; rien n'est ajouté.",
        ),
        "laser.flare": Words(
            en="{material} easily catches fire: keep the air assist on and never look away while it is cut.",
            fr="{material} s'enflamme facilement : gardez l'air assisté et ne quittez pas la coupe des yeux.",
            remedy_en="Know where the extinguisher is. If a flame stays, press stop and keep the lid shut.",
            remedy_fr="Sachez où est l'extincteur. Si une flamme persiste, arrêtez et laissez le capot fermé.",
        ),
        "laser.untested": Words(
            en="The settings for {material} were never tried in this lab (from: {source}).",
            fr="Les réglages pour {material} n'ont jamais été essayés dans ce lab (origine : {source}).",
            remedy_en="Cut a small square at the edge of your sheet first.",
            remedy_fr="Coupez d'abord un petit carré au bord de votre plaque.",
        ),
        "laser.left_out": Words(
            en="{count} colours or layers are left out, neither cut nor scored nor engraved: {groups}.",
            fr="{count} couleurs ou calques sont laissés de côté, ni coupés, ni marqués, ni gravés : {groups}.",
            en_one="One colour or layer is left out, neither cut nor scored nor engraved: {groups}.",
            fr_one="Une couleur ou un calque est laissé de côté, ni coupé, ni marqué, ni gravé : {groups}.",
            remedy_en="Choose an operation for what belongs to the work.",
            remedy_fr="Choisissez une opération pour ce qui fait partie du travail.",
        ),
        "laser.no_settings_for": Words(
            en="{count} colours or layers are left out, because nobody has settings for that: {groups}.",
            fr="{count} couleurs ou calques sont laissés de côté, car personne n'a de réglages pour cela : {groups}.",
            en_one="One colour or layer is left out, because nobody has settings for that: {groups}.",
            fr_one="Une couleur ou un calque est laissé de côté, car personne n'a de réglages pour cela : {groups}.",
            remedy_en="Choose another operation or material.",
            remedy_fr="Choisissez une autre opération ou un autre matériau.",
        ),
        "laser.letters_not_cut": Words(
            en="{count} letters have the colour of cuts; they are only marked, or their insides would fall out.",
            fr="{count} lettres ont la couleur des coupes ; elles sont marquées, sinon leur centre tomberait.",
            en_one="One letter has the colour of cuts; it is only marked, or its inside would fall out.",
            fr_one="Une lettre a la couleur des coupes ; elle est marquée, sinon son centre tomberait.",
            remedy_en="Choose “cut” for that colour if you want them cut out.",
            remedy_fr="Choisissez « couper » pour cette couleur si vous les voulez découpées.",
        ),
        "laser.open_areas": Words(
            en="{count} lines to be engraved do not close: they enclose no area and are left out.",
            fr="{count} traits à graver ne se ferment pas : ils n'entourent aucune surface et sont laissés de côté.",
            en_one="One line to be engraved does not close: it encloses no area and is left out.",
            fr_one="Un trait à graver ne se ferme pas : il n'entoure aucune surface et est laissé de côté.",
            remedy_en="Close them, or score them instead.",
            remedy_fr="Fermez-les, ou marquez-les plutôt.",
        ),
    }
)
