"""What is to be done with a drawing, as lines and areas: each shape by what was chosen for its colour and layer.

Owns which settings each kind of work gets and what is left out, with the warnings that say so. Order and place on the
bed come later; coordinates here are those of one copy at its size, y up, its origin anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from slicing.faults import FileRefused, refused
from slicing.messages import warning
from slicing.results import MeshWarning
from slicing.vector import materials, operations
from slicing.vector.design import Design, FloatArray, Group, Picture, Shape, group_key
from slicing.vector.groups import keys
from slicing.vector.machines import CutMachine
from slicing.vector.materials import Choice, Material, Materials
from slicing.vector.pieces import Piece, cleaned
from slicing.vector.place import Frame
from slicing.vector.plan import Plan
from slicing.vector.toolpath import CUT, ENGRAVE, IGNORE, SCORE

NAMES_MAX = 8


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """Kind of work by Group key, with the settings of every kind that is used."""

    kinds: Mapping[str, str]
    choices: Mapping[str, Choice]
    material: Material
    left_out: tuple[str, ...]  # keys that nobody decided to leave out
    without_settings: tuple[str, ...]  # keys whose kind nobody has figures for


@dataclass(frozen=True, kw_only=True)
class Area:
    """One shape to be filled."""

    rings: tuple[FloatArray, ...]
    even_odd: bool


@dataclass(kw_only=True)
class Work:
    """Filled while the drawing is gone through, by key where the order of keys matters."""

    cut: list[Piece] = field(default_factory=list)
    score: list[Piece] = field(default_factory=list)
    areas: dict[str, list[Area]] = field(default_factory=dict)
    pictures: dict[str, list[Picture]] = field(default_factory=dict)
    letters: int = 0  # shapes that would have been cut, were they no letters
    open_areas: int = 0  # lines that were to be engraved and enclose nothing


def chosen(
    design: Design, groups: Sequence[Group], plan: Plan, machine: CutMachine, found: Materials
) -> Chosen:
    """Raises FileRefused of the material, of the operations, or `laser.no_settings` for a kind that was asked for."""
    material = materials.usable(found, plan.material, machine)
    kinds = operations.assign(design, groups, plan.operations, machine)
    left_out = tuple(
        g.key
        for g in groups
        if kinds[g.key] == IGNORE and g.key not in plan.operations and g.colour != "#ffffff"
    )
    choices: dict[str, Choice] = {}
    missing: list[str] = []
    for key, kind in kinds.items():
        if kind == IGNORE or kind in choices:
            continue
        try:
            choices[kind] = materials.preset(found, plan.material, machine, kind)
        except FileRefused as fault:
            if fault.code != "laser.no_settings" or key in plan.operations:
                raise
            missing.append(key)
    kinds = {key: IGNORE if kind not in choices else kind for key, kind in kinds.items()}
    if not choices:
        raise refused("laser.nothing", groups=len(groups))
    if CUT in choices and SCORE not in choices and SCORE in material.sources[machine.source].presets:
        choices[SCORE] = materials.preset(found, plan.material, machine, SCORE)  # for letters
    return Chosen(
        kinds=kinds,
        choices=choices,
        material=material,
        left_out=left_out,
        without_settings=tuple(missing),
    )


def collected(design: Design, choice: Chosen, plan: Plan, machine: CutMachine, frame: Frame) -> Work:
    work = Work()
    for shape, found in zip(design.shapes, keys(design), strict=True):
        lines = [(frame.to_machine(line.points), line.closed) for line in shape.lines]
        for key in found:
            kind, closes = choice.kinds[key], key.startswith("fill")
            if kind == CUT and _spared(shape, key, plan, machine):
                work.letters += 1
                kind = SCORE if SCORE in choice.choices else IGNORE
            if kind == ENGRAVE:
                _fill(work, key, shape, lines, closes=closes)
            elif kind in (CUT, SCORE):
                _follow(work.cut if kind == CUT else work.score, key, lines, closes=closes)
    for picture in design.pictures:
        key = group_key("picture", "", picture.layer)
        key = key if key in choice.kinds else group_key("picture", "", "")
        if choice.kinds[key] == ENGRAVE:
            work.pictures.setdefault(key, []).append(frame.picture(picture))
    return work


def told(choice: Chosen, work: Work) -> list[MeshWarning]:
    """What was left out or done otherwise than the colour says."""
    warnings = []
    for code, some in (
        ("laser.left_out", choice.left_out),
        ("laser.no_settings_for", choice.without_settings),
    ):
        if some:
            names = ", ".join(some[:NAMES_MAX]) + (", …" if len(some) > NAMES_MAX else "")
            warnings.append(warning(code, "note", count=len(some), groups=names))
    if work.letters:
        warnings.append(warning("laser.letters_not_cut", "note", count=work.letters))
    if work.open_areas:
        warnings.append(warning("laser.open_areas", "warning", count=work.open_areas))
    return warnings


def _spared(shape: Shape, key: str, plan: Plan, machine: CutMachine) -> bool:
    """Letters among other lines of their colour are not cut unasked."""
    return shape.from_text and key not in plan.operations and machine.source != "knife"


def _follow(into: list[Piece], key: str, lines: Sequence[tuple[FloatArray, bool]], closes: bool) -> None:
    for points, closed in lines:
        piece = cleaned(Piece(key=key, points=points, closed=closed or (closes and len(points) > 2)))
        if piece is not None:
            into.append(piece)


def _fill(work: Work, key: str, shape: Shape, lines: Sequence[tuple[FloatArray, bool]], closes: bool) -> None:
    rings = tuple(points for points, closed in lines if (closed or closes) and len(points) > 2)
    work.open_areas += len(lines) - len(rings) if not closes else 0
    if rings:
        work.areas.setdefault(key, []).append(Area(rings=rings, even_odd=shape.even_odd))
