"""The port `Workshop` for drawings: the cage that reads and plans them, in the heart's words."""

from __future__ import annotations

import asyncio
import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from orchestrator.domain.advice import Advice
from orchestrator.domain.errors import Misconfigured, Unavailable
from orchestrator.domain.event import Json
from orchestrator.domain.file import Analysis, Drawing, DrawnGroup, FileKind
from orchestrator.domain.job import Artifact, CutArtifact
from orchestrator.domain.process import CutKind, CutProcess
from orchestrator.domain.quote import Confidence, CutRow, Cutting, Estimate, EstimateSource, Spread
from orchestrator.domain.sheet import SheetMaterial, SheetSetting
from orchestrator.ports import CutPlan, Sliced
from slicing.analyser import Analyser
from slicing.limits import DRAWING
from slicing.sandbox import Sandbox
from slicing.vector.machines import CutMachine, cutters
from slicing.vector.materials import listing, materials
from slicing.vector.results import CutResult, DrawingAnalysis
from slicing.wording import warning

EXTENSIONS: Mapping[str, str] = {"grbl": ".gcode", "ruida": ".rd", "hpgl": ".plt", "handoff": ".svg"}
PLANS_MAX = 8
"""Cuts that are remembered, because somebody looks at them."""
PLANNER = "etabli"


class Another(Exception):
    """The file is no drawing."""


class CuttingRoom:
    """Reads and plans drawings in forks of a warm, caged process of its own, started at the first drawing.

    Methods raise FileRefused and SlicerUnavailable, as the analyser does.
    """

    def __init__(self, sandbox: Sandbox, profiles: Path | None) -> None:
        self._crew = Analyser(sandbox, limits=DRAWING, crew="drawings")
        self._own_machines = profiles / "cutters.toml" if profiles else None
        self._own_materials = profiles / "materials.toml" if profiles else None
        self._plans: dict[str, CutPlan] = {}

    async def close(self) -> None:
        await self._crew.close()

    def machine(self, profile: str) -> CutMachine:
        """Raises Misconfigured for a profile that nobody has written, or one that is wrong."""
        try:
            return cutters(self._own_machines)[profile]
        except KeyError:
            raise Misconfigured(f"There is no such cutter: {profile}", code="cutter.profile") from None
        except (ValueError, tomllib.TOMLDecodeError) as wrong:
            raise Misconfigured(f"cutters.toml: {wrong}", code="cutter.profile") from wrong

    def sheets(self, profile: str) -> Sequence[SheetMaterial]:
        try:
            found = materials(self._own_materials)
        except (ValueError, tomllib.TOMLDecodeError) as wrong:
            raise Misconfigured(f"materials.toml: {wrong}", code="cutter.materials") from wrong
        return tuple(_sheet(row) for row in listing(found, self.machine(profile).source))

    async def analyse(self, path: Path, name: str) -> Analysis:
        """Raises Another."""
        raw = await self._crew.ask("drawing.study", path, filename=name)
        if "another" in raw:
            raise Another
        return _analysis(DrawingAnalysis.from_json(raw["analysis"]))

    async def draw(self, path: Path, name: str, out: Path, size_px: int) -> None:
        """Raises Another."""
        if "another" in await self._crew.ask("drawing.draw", path, filename=name, size_px=size_px, out=out):
            raise Another

    async def estimate(
        self, path: Path, name: str, profile: str, process: CutProcess, quantity: int
    ) -> Estimate:
        raw = await self._ask("drawing.plan", path, name, profile, process, quantity)
        return _estimate(CutResult.from_json(raw["cut"]), self.machine(profile), process)

    async def advise(self, path: Path, name: str, profile: str, process: CutProcess) -> Advice:
        raw = await self._ask("drawing.plan", path, name, profile, process, 1)
        return Advice(warnings=tuple(warning(w) for w in CutResult.from_json(raw["cut"]).warnings), turn=None)

    async def plan(self, path: Path, name: str, profile: str, process: CutProcess, quantity: int) -> CutPlan:
        """`path` names the file by its content, so what is known of it stays true."""
        asked = f"{path.name} {profile} {process} {quantity}"
        key = hashlib.sha256(asked.encode()).hexdigest()
        if key not in self._plans:
            made = await self._show(path, name, profile, process, quantity)
            while len(self._plans) >= PLANS_MAX:
                self._plans.pop(next(iter(self._plans)))
            self._plans[key] = made
        return self._plans[key]

    async def _show(self, path: Path, name: str, profile: str, process: CutProcess, quantity: int) -> CutPlan:
        with NamedTemporaryFile() as out:
            raw = await self._ask("drawing.show", path, name, profile, process, quantity, out=Path(out.name))
            body = await asyncio.to_thread(Path(out.name).read_bytes)
        end = int(raw["simulation_bytes"])
        simulation: Json = json.loads(body[:end])
        return CutPlan(svg=body[end:], simulation=simulation)

    async def prepare(
        self, path: Path, name: str, profile: str, process: CutProcess, quantity: int, into: Path
    ) -> Sliced:
        """The machine's own file. What our check does not let pass is a fault of ours, and never leaves."""
        machine = self.machine(profile)
        out = into / f"cut{EXTENSIONS[machine.language]}"
        raw = await self._ask("drawing.write", path, name, profile, process, quantity, out=out)
        if raw["violations"]:
            first = raw["violations"][0]
            raise Unavailable(f"The prepared cut did not pass its own check: {first}", code="laser.check")
        cut = CutResult.from_json(raw["cut"])
        artifact = await asyncio.to_thread(_artifact, out, cut, machine, process)
        return Sliced(path=out, artifact=artifact)

    async def _ask(
        self,
        task: str,
        path: Path,
        name: str,
        profile: str,
        process: CutProcess,
        quantity: int,
        out: Path | None = None,
    ) -> dict[str, Any]:
        own = self._own_materials
        text = await asyncio.to_thread(own.read_text) if own is not None and own.is_file() else ""
        return await self._crew.ask(
            task,
            path,
            filename=name,
            machine=asdict(self.machine(profile)),
            materials=text,
            unit=process.unit,
            plan=_plan(process, quantity),
            out=out,
        )


def _plan(process: CutProcess, quantity: int) -> dict[str, Any]:
    return {
        "material": process.material,
        "operations": {key: kind.value for key, kind in process.operations},
        "quantity": quantity,
        "remove_duplicates": process.remove_duplicates,
        "kerf": process.kerf,
        "tabs": process.tabs,
        "scale_percent": process.scale_percent,
        "rotation_degrees": process.rotation_degrees,
        "x_mm": process.x_mm,
        "y_mm": process.y_mm,
        "sheet_mm": list(process.sheet_mm) if process.sheet_mm else None,
    }


def _analysis(drawn: DrawingAnalysis) -> Analysis:
    groups = tuple(
        DrawnGroup(
            key=group.key,
            paint=group.paint,
            colour=group.colour,
            layer=group.layer,
            count=group.count,
            length_mm=group.length_mm,
            closed=group.closed,
            from_text=group.from_text,
        )
        for group in drawn.groups
    )
    width, depth = drawn.size_mm
    return Analysis(
        kind=FileKind(drawn.kind),
        triangles=0,
        size_mm=(width, depth, 0.0),
        volume_mm3=0.0,
        area_mm2=0.0,
        watertight=False,
        warnings=tuple(warning(w) for w in drawn.warnings),
        drawing=Drawing(groups=groups, unit=drawn.unit, source=drawn.source),
    )


def _estimate(cut: CutResult, machine: CutMachine, process: CutProcess) -> Estimate:
    e = cut.estimate
    beam = None if machine.source == "knife" else Spread(p50=e.beam_seconds_p50, p90=e.beam_seconds_p90)
    return Estimate(
        source=EstimateSource.VECTOR,
        print_seconds=Spread(p50=e.seconds_p50, p90=e.seconds_p90),
        filament_milligrams=Spread(p50=0, p90=0),
        confidence=Confidence.MEDIUM,
        confidence_reason="planned",
        cutting=Cutting(
            beam_seconds=beam,
            cut_millimetres=round(e.cut_mm),
            sheet_mm2=round(cut.sheet_mm2),
            sheet_material="" if process.own_sheet else process.material,
            rows=_rows(cut),
            place_mm=cut.place_mm,
            toolpath_sha256=cut.toolpath_sha256,
        ),
    )


def _rows(cut: CutResult) -> tuple[CutRow, ...]:
    """One a group; a group may have become several operations (inner and outer cuts), and none where it is ignored."""
    seconds: dict[str, float] = dict.fromkeys(cut.kinds, 0.0)
    length: dict[str, float] = dict.fromkeys(cut.kinds, 0.0)
    for operation in cut.estimate.operations:
        seconds[operation.key] = seconds.get(operation.key, 0.0) + operation.seconds
        length[operation.key] = length.get(operation.key, 0.0) + operation.length_mm
    return tuple(
        CutRow(key=key, kind=CutKind(kind), seconds=round(seconds[key]), length_mm=round(length[key], 1))
        for key, kind in cut.kinds.items()
    )


def _artifact(out: Path, cut: CutResult, machine: CutMachine, process: CutProcess) -> Artifact:
    with out.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    low_x, low_y, high_x, high_y = cut.place_mm
    return Artifact(
        sha256=sha256,
        size_bytes=out.stat().st_size,
        profile=machine.name,
        material=process.material,
        size_mm=(-int(-(high_x - low_x) // 1), -int(-(high_y - low_y) // 1), 0),
        print_seconds=cut.estimate.seconds_p50,
        filament_milligrams=0,
        filament_micrometres=0,
        curve=(),
        slicer=PLANNER,
        cut=CutArtifact(
            extension=EXTENSIONS[machine.language],
            beam_seconds=None if machine.source == "knife" else cut.estimate.beam_seconds_p50,
            cut_millimetres=round(cut.estimate.cut_mm),
            sheet_mm2=round(cut.sheet_mm2),
            sheet_material="" if process.own_sheet else process.material,
            toolpath_sha256=cut.toolpath_sha256,
        ),
    )


def _sheet(row: Mapping[str, Any]) -> SheetMaterial:
    why = {"en": row["why_en"], "fr": row["why_fr"]} if row.get("why_en") else {}
    settings = tuple(
        SheetSetting(
            kind=kind,
            speed_mm_s=preset["speed_mm_s"],
            power_percent=preset["power_percent"],
            passes=preset["passes"],
            source=preset["provenance"],
            confidence=preset["confidence"],
            tested_on=preset["tested_on"],
        )
        for kind, preset in row.get("presets", {}).items()
    )
    return SheetMaterial(
        name=row["name"],
        texts={"en": row["en"], "fr": row["fr"]},
        thickness_mm=row.get("thickness_mm", 0.0),
        settings=settings,
        refusals=why,
    )
