"""What becomes of each colour and layer: cut, scored, engraved or left alone, by rules that a member may overrule.

A rule is a function that answers with a kind or passes; the first answer counts. Knows groups of a drawing, not lines.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from slicing.faults import refused
from slicing.vector.design import Design, Group
from slicing.vector.machines import CutMachine
from slicing.vector.toolpath import CUT, ENGRAVE, IGNORE, SCORE

ALIKE = 48
"""Of 255: programs that draw for print make a slightly different red of #ff0000."""

PALETTE: Mapping[str, str] = {
    "#ff0000": CUT,
    "#00ff00": CUT,
    "#0000ff": SCORE,
}
INNER_FIRST = ("#00ff00",)
"""Cut before the others of its depth."""

BOXES: Mapping[str, str] = {
    "#000000": CUT,
    "#0000ff": CUT,
    "#ff0000": IGNORE,  # labels, for people
    "#00ff00": SCORE,
    "#009900": SCORE,  # what older versions etch in
    "#00ffff": ENGRAVE,
}
BOXES_INNER_FIRST = ("#0000ff",)

LAYERS: Mapping[str, str] = {
    **dict.fromkeys(("cut", "cuts", "cutting", "découpe", "decoupe", "coupe", "couper"), CUT),
    **dict.fromkeys(
        ("score", "scoring", "fold", "folds", "mark", "marquage", "rainage", "pli", "plis"), SCORE
    ),
    **dict.fromkeys(("engrave", "engraving", "raster", "gravure", "graver"), ENGRAVE),
    **dict.fromkeys(
        ("ignore", "guide", "guides", "notes", "dimension", "dimensions", "cotes", "cotation", "defpoints"),
        IGNORE,
    ),
}


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """What the rules may look at beside the group itself."""

    source: str
    colours: Collection[str]  # of all strokes that are no letters
    cuts: bool  # the palette finds something to cut among them
    knife: bool

    @classmethod
    def of(cls, design: Design, groups: Sequence[Group], machine: CutMachine) -> Drawing:
        lines = [g for g in groups if g.paint == "stroke" and not g.from_text]
        return cls(
            source=design.source,
            colours={g.colour for g in lines},
            cuts=any(_of_palette(PALETTE, g.colour) == CUT for g in lines),
            knife=machine.source == "knife",
        )


def assign(
    design: Design, groups: Sequence[Group], overrides: Mapping[str, str], machine: CutMachine
) -> dict[str, str]:
    """Group key → kind, for every group, in their order.

    Raises FileRefused `laser.group_unknown` for an override of what the drawing does not have, `laser.operation_unfit`
    for a kind that this paint or machine cannot do, and `laser.nothing` where nothing is left to do.
    """
    known = {group.key: group for group in groups}
    for key, kind in overrides.items():
        if key not in known:
            raise refused("laser.group_unknown", key=key[:80], known=", ".join(sorted(known))[:400])
        allowed = kinds_for(known[key], machine)
        if kind not in allowed:
            raise refused("laser.operation_unfit", key=key[:80], kind=kind, allowed=", ".join(allowed))
    drawing = Drawing.of(design, groups, machine)
    assigned = {g.key: overrides.get(g.key) or _by_rule(g, drawing) for g in groups}
    if set(assigned.values()) <= {IGNORE}:
        raise refused("laser.nothing", groups=len(groups))
    return assigned


def kinds_for(group: Group, machine: CutMachine) -> tuple[str, ...]:
    """What may be chosen: a picture has no lines to follow, and a knife does not engrave."""
    if machine.source == "knife":
        return (IGNORE,) if group.paint == "picture" else (CUT, IGNORE)
    return (ENGRAVE, IGNORE) if group.paint == "picture" else (CUT, SCORE, ENGRAVE, IGNORE)


def inner_first(design: Design) -> tuple[str, ...]:
    """Stroke colours that are cut before others that lie as deep."""
    return BOXES_INNER_FIRST if design.source == "boxes.py" else INNER_FIRST


def _by_rule(group: Group, drawing: Drawing) -> str:
    return next((kind for rule in RULES if (kind := rule(group, drawing))), IGNORE)


def _knife(group: Group, drawing: Drawing) -> str | None:
    """A knife follows lines; of a drawing without any, the outlines of its areas. Letters are what vinyl is for."""
    if not drawing.knife:
        return None
    if _layer_kind(group.layer) == IGNORE:
        return IGNORE
    return CUT if group.paint == "stroke" or (group.paint == "fill" and not drawing.colours) else IGNORE


def _layer(group: Group, drawing: Drawing) -> str | None:
    kind = _layer_kind(group.layer)
    if kind in (None, IGNORE):
        return kind
    if group.paint == "stroke":
        return kind
    # Areas on a layer for cutting are what its lines enclose, coloured in; without lines their outlines are meant.
    if group.paint == "fill" and kind != ENGRAVE:
        return IGNORE if drawing.colours else kind
    return ENGRAVE


def _letters(group: Group, drawing: Drawing) -> str | None:
    """Letters are never cut unasked: what is inside of an O would fall out."""
    if not (group.from_text and group.paint == "stroke"):
        return None
    return IGNORE if drawing.source == "boxes.py" and _is(group.colour, "#ff0000") else SCORE


def _boxes(group: Group, drawing: Drawing) -> str | None:
    if drawing.source != "boxes.py":
        return None
    kind = _of_palette(BOXES, group.colour)
    if group.paint == "fill":
        return IGNORE if kind == IGNORE else None
    return SCORE if kind == ENGRAVE and not group.closed else kind


def _areas(group: Group, drawing: Drawing) -> str | None:
    """White is how people draw nothing."""
    if group.paint == "stroke":
        return None
    return IGNORE if group.colour == "#ffffff" else ENGRAVE


def _only_colour(group: Group, drawing: Drawing) -> str | None:
    """One colour for everything, or black where nothing else is to be cut: a beginner means "cut this"."""
    if len(drawing.colours) == 1 or (not drawing.cuts and _is(group.colour, "#000000")):
        return CUT
    return None


def _palette(group: Group, drawing: Drawing) -> str | None:
    return _of_palette(PALETTE, group.colour)


RULES: tuple[Callable[[Group, Drawing], str | None], ...] = (
    _knife,
    _letters,
    _layer,
    _boxes,
    _areas,
    _only_colour,
    _palette,
)


def _layer_kind(layer: str) -> str | None:
    words = re.findall(r"[^\W\d_]+", layer.lower())
    return next((LAYERS[word] for word in words if word in LAYERS), None)


def _of_palette(palette: Mapping[str, str], colour: str) -> str | None:
    return next((kind for known, kind in palette.items() if _is(colour, known)), None)


def _is(colour: str, known: str) -> bool:
    """Whether both look the same to who chose them."""
    if len(colour) != 7:
        return False
    sides = (bytes.fromhex(c[1:]) for c in (colour, known))
    return all(abs(a - b) <= ALIKE for a, b in zip(*sides, strict=True))
