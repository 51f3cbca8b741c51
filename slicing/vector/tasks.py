"""What a fork of the child that reads drawings can be asked, by name; as `slicing.tasks`, which tells of the rest."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from types import MappingProxyType
from typing import Any

from slicing import sniff
from slicing.faults import refused
from slicing.vector import build, dxf, grbl, lasercheck, ruida, simulate, svg
from slicing.vector import groups as grouping
from slicing.vector.design import Design, Group
from slicing.vector.machines import CutMachine
from slicing.vector.materials import Materials, materials
from slicing.vector.results import CutResult, DrawingAnalysis
from slicing.vector.toolpath import Toolpath
from slicing.vector.vectorestimate import estimate

Request = Mapping[str, Any]
Task = Callable[[Request, list[int]], dict[str, Any]]
READERS: Mapping[str, Callable[..., Design]] = MappingProxyType({"svg": svg.read, "dxf": dxf.read})


def _hpgl(toolpath: Toolpath, machine: CutMachine) -> bytes:
    from slicing.vector import hpgl

    return hpgl.write(toolpath, machine)


def _handoff(toolpath: Toolpath, machine: CutMachine) -> bytes:
    from slicing.vector import handoff

    return handoff.write_svg(toolpath, machine)


WRITERS: Mapping[str, Callable[[Toolpath, CutMachine], bytes]] = MappingProxyType(
    {"grbl": grbl.write, "ruida": ruida.write, "hpgl": _hpgl, "handoff": _handoff}
)
DRAWING_BYTES_MAX = 20 * 1024 * 1024


class _Another(Exception):
    """It is no drawing: `kind` says what it is."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


def _read(request: Request, files: list[int], unit: str = "") -> tuple[Design, int]:
    """Raises FileRefused, _Another."""
    size = os.fstat(files[0]).st_size
    kind = sniff.kind_of(os.pread(files[0], sniff.HEAD_BYTES, 0), size, str(request["filename"]))
    if kind not in READERS:
        raise _Another(kind)
    if size > DRAWING_BYTES_MAX:
        raise refused("file.too_large", bytes=size, limit=DRAWING_BYTES_MAX)
    if kind == "dxf" and unit and unit not in dxf.UNITS:
        raise refused("svg.unit", unit=unit[:20], units=", ".join(dxf.UNITS))
    with open(files[0], "rb", closefd=False) as file:
        file.seek(0)
        return READERS[kind](file.read(size), unit=unit), size


def study(request: Request, files: list[int]) -> dict[str, Any]:
    """What the drawing is; `another` where the file is none."""
    try:
        design, size = _read(request, files)
    except _Another as other:
        return {"another": other.kind}
    found = grouping.groups(design)
    analysis = DrawingAnalysis(
        kind=design.kind,
        bytes=size,
        size_mm=_extent(found, design),
        unit=design.unit,
        source=design.source,
        groups=found,
        warnings=design.warnings,
    )
    return {"analysis": analysis.to_json()}


def _extent(found: tuple[Group, ...], design: Design) -> tuple[float, float]:
    if not found:
        return design.size_mm
    boxes = [group.box_mm for group in found]
    low_x, low_y = min(box[0] for box in boxes), min(box[1] for box in boxes)
    high_x, high_y = max(box[2] for box in boxes), max(box[3] for box in boxes)
    return round(high_x - low_x, 4), round(high_y - low_y, 4)


def draw(request: Request, files: list[int]) -> dict[str, Any]:
    """Write a square PNG of the drawing."""
    from slicing.vector import picture

    try:
        design, _size = _read(request, files)
    except _Another as other:
        return {"another": other.kind}
    _write(files, picture.png(design, int(request["size_px"])))
    return {}


@dataclass(frozen=True, kw_only=True)
class _Cut:
    design: Design
    made: build.Built
    machine: CutMachine


def _cut(request: Request, files: list[int]) -> _Cut:
    machine = _machine(request)
    try:
        design, _size = _read(request, files, str(request["unit"]))
    except _Another as other:
        raise refused("file.type_mismatch", found=other.kind) from None
    made = build.built(design, request["plan"], machine, _materials(request))
    return _Cut(design=design, made=made, machine=machine)


def _machine(request: Request) -> CutMachine:
    pairs: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in request["machine"].items()}
    return CutMachine(**pairs)


def _materials(request: Request) -> Materials:
    """Ours and the lab's own, whose file is not seen in here: its text came with the request."""
    if not request.get("materials"):
        return materials()
    with NamedTemporaryFile("w", suffix=".toml") as own:
        own.write(str(request["materials"]))
        own.flush()
        return materials(Path(own.name))


def plan(request: Request, files: list[int]) -> dict[str, Any]:
    """What cutting it takes, and what may go wrong."""
    return {"cut": _result(_cut(request, files)).to_json()}


def _result(cut: _Cut) -> CutResult:
    toolpath = cut.made.toolpath
    return CutResult(
        estimate=estimate(toolpath, cut.machine),
        kinds=dict(cut.made.kinds),
        sheet_mm2=cut.made.use.sheet_mm2,
        place_mm=_place(cut.made),
        toolpath_sha256=toolpath.sha256,
        warnings=toolpath.warnings,
    )


def _place(made: build.Built) -> tuple[float, float, float, float]:
    """Of all copies on the bed, without the margin that is billed."""
    xs, ys = zip(*made.places_mm, strict=True)
    width, depth = made.size_mm
    return min(xs), min(ys), max(xs) + width, max(ys) + depth


def write(request: Request, files: list[int]) -> dict[str, Any]:
    """Write the machine's file, and check what was written as if a stranger had."""
    cut = _cut(request, files)
    body = WRITERS[cut.machine.language](cut.made.toolpath, cut.machine)
    _write(files, body)
    wrong = lasercheck.check(body, cut.machine) if cut.machine.language == "grbl" else ()
    return {"cut": _result(cut).to_json(), "violations": [found.to_json() for found in wrong]}


def show(request: Request, files: list[int]) -> dict[str, Any]:
    """Write what a page shows, one behind the other: the simulated cut as JSON, and a clean SVG."""
    from slicing.vector import picture

    cut = _cut(request, files)
    simulation = json.dumps(simulate.simulation(cut.made.toolpath, cut.machine)).encode()
    _write(files, simulation + picture.svg(cut.design, cut.made.kinds))
    return {"simulation_bytes": len(simulation)}


def _write(files: list[int], body: bytes) -> None:
    with open(files[1], "wb", closefd=False) as out:
        out.write(body)


TASKS: Mapping[str, Task] = MappingProxyType(
    {
        "drawing.study": study,
        "drawing.draw": draw,
        "drawing.plan": plan,
        "drawing.write": write,
        "drawing.show": show,
    }
)
