"""A workshop for tests of the flow: answers at once, with figures that follow from the file's name.

`part-600s-5000mg.stl` takes 600 s and 5 000 mg by estimate; `…-sliced900s` takes 900 s once sliced; a name
with `unprintable` is refused, with `noslicer` the slicer is missing, with `hangs` it has something to say of it,
with `nopicture` no picture can be drawn. `….svg` is a drawing: it is cut, with the beam on for half of its seconds.
It stands for the shape, never for a machine.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from orchestrator.domain.advice import Advice, TurnAdvice
from orchestrator.domain.errors import Fault, Rejected, Unavailable
from orchestrator.domain.event import Json
from orchestrator.domain.file import Analysis, Drawing, DrawnGroup, FileKind, Severity, Warning
from orchestrator.domain.job import Artifact, CutArtifact
from orchestrator.domain.process import CutKind, CutProcess, Making, Process, Turn
from orchestrator.domain.quote import CutRow, Cutting, Estimate, EstimateSource, Spread
from orchestrator.domain.sheet import SheetMaterial
from orchestrator.ports import CutPlan, Sliced, SliceProgress

BYTES_PER_SECOND = 1
LAYERS = 3
PICTURE = b"a picture"


def _figure(name: str, pattern: str, default: int) -> int:
    found = re.search(pattern, name)
    return int(found[1]) if found else default


class NamedWorkshop:
    async def analyse(self, path: Path, name: str) -> Analysis:
        if "unprintable" in name:
            raise Rejected("No.", code="mesh.empty", faults=(Fault(rule="mesh.empty", texts={"en": "No."}),))
        mm = float(_figure(name, r"(\d+)mm", 20))
        if name.endswith(".svg"):
            return a_drawing(mm)
        return Analysis(
            kind=FileKind.STL,
            triangles=12,
            size_mm=(mm, mm, mm),
            volume_mm3=mm**3,
            area_mm2=6 * mm**2,
            watertight=True,
        )

    async def estimate(self, path: Path, name: str, profile: str, process: Making, quantity: int) -> Estimate:
        seconds = _figure(name, r"(\d+)s-", 600) * quantity
        if isinstance(process, CutProcess):
            return a_cut(process, seconds)
        milligrams = _figure(name, r"(\d+)mg", 5_000) * quantity
        return Estimate(
            source=EstimateSource.MESH,
            print_seconds=Spread(p50=seconds, p90=seconds * 12 // 10),
            filament_milligrams=Spread(p50=milligrams, p90=milligrams * 11 // 10),
        )

    async def advise(self, path: Path, name: str, profile: str, process: Making) -> Advice:
        if "hangs" not in name:
            return Advice()
        overhang = Warning(
            rule="print.overhang",
            severity=Severity.WARNING,
            texts={"en": "It hangs in the air.", "fr": "Elle pend dans le vide."},
            remedies={"en": "Ask for supports.", "fr": "Demandez des supports."},
        )
        turn = TurnAdvice(
            turn=Turn.X90,
            supports=False,
            seconds_now=900,
            seconds_then=600,
            milligrams_now=7_000,
            milligrams_then=5_000,
            texts={"en": "It saves 5 minutes.", "fr": "Cela gagne 5 minutes."},
        )
        return Advice(warnings=(overhang,), turn=turn)

    async def preview(self, path: Path, name: str, turn: Turn) -> Path:
        if "nopicture" in name:
            raise Unavailable("The renderer is not there.", code="slicer.unavailable")
        picture = path.with_name(f"{path.name}-{turn.value}.png")
        picture.write_bytes(PICTURE)
        return picture

    async def ringed(self, path: Path, name: str, profile: str, process: Process) -> Path:
        return await self.preview(path, name, process.turn)

    async def layer(self, path: Path, profile: str, number: int) -> bytes:
        return f"<svg xmlns='http://www.w3.org/2000/svg'><title>{number}</title></svg>".encode()

    async def slice(
        self,
        path: Path,
        name: str,
        profile: str,
        process: Making,
        quantity: int,
        into: Path,
        progress: SliceProgress | None = None,
    ) -> Sliced:
        if "noslicer" in name:
            raise Unavailable("No slicer is installed.", code="slicer.missing")
        if "toocomplex" in name:
            raise Rejected("The slicer says: too complex.", code="slicer.refused")
        seconds = _figure(name, r"sliced(\d+)s", _figure(name, r"(\d+)s-", 600) * quantity)
        milligrams = _figure(name, r"(\d+)mg", 5_000) * quantity
        content = f"; {name}\n; estimated printing time (normal mode) = {seconds}s\n".encode().ljust(
            1000, b";"
        )
        out = into / "out.gcode"
        if isinstance(process, CutProcess):
            content = content.replace(b";", f"; beam seconds = {seconds // 2}\n;".encode(), 1)
            out.write_bytes(content)
            return Sliced(path=out, artifact=cut_artifact(content, profile, process, seconds))
        out.write_bytes(content)
        return Sliced(path=out, artifact=artifact(content, profile, process, seconds, milligrams))

    def materials(self, profile: str) -> Sequence[SheetMaterial]:
        pvc = SheetMaterial(
            name="pvc", texts={"en": "PVC"}, thickness_mm=0, refusals={"en": "Chlorine.", "fr": "Du chlore."}
        )
        return (SheetMaterial(name="mdf-3", texts={"en": "MDF", "fr": "MDF"}, thickness_mm=3), pvc)

    async def plan(self, path: Path, name: str, profile: str, process: CutProcess, quantity: int) -> CutPlan:
        simulation: Json = {
            "bed_mm": [600, 400],
            "seconds": 600,
            "operations": [{"kind": "cut", "key": "stroke:#ff0000", "seconds": 600, "length_mm": 80}],
            "moves": [[0, 0, 0, -1], [20, 0, 600, 0]],
        }
        return CutPlan(svg=b"<svg xmlns='http://www.w3.org/2000/svg'/>", simulation=simulation)


def a_drawing(mm: float) -> Analysis:
    """A red square of that side."""
    group = DrawnGroup(
        key="stroke:#ff0000",
        paint="stroke",
        colour="#ff0000",
        layer="",
        count=1,
        length_mm=4 * mm,
        closed=True,
        from_text=False,
    )
    return Analysis(
        kind=FileKind.SVG,
        triangles=0,
        size_mm=(mm, mm, 0.0),
        volume_mm3=0.0,
        area_mm2=0.0,
        watertight=False,
        drawing=Drawing(groups=(group,), unit="physical", source=""),
    )


def a_cut(process: CutProcess, seconds: int) -> Estimate:
    cutting = Cutting(
        beam_seconds=Spread(p50=seconds // 2, p90=seconds * 6 // 10),
        cut_millimetres=80,
        sheet_mm2=400,
        sheet_material="" if process.own_sheet else process.material,
        rows=(CutRow(key="stroke:#ff0000", kind=CutKind.CUT, seconds=seconds, length_mm=80.0),),
        place_mm=(5.0, 5.0, 25.0, 25.0),
        toolpath_sha256="0" * 64,
    )
    return Estimate(
        source=EstimateSource.VECTOR,
        print_seconds=Spread(p50=seconds, p90=seconds * 12 // 10),
        filament_milligrams=Spread(p50=0, p90=0),
        cutting=cutting,
    )


def cut_artifact(content: bytes, profile: str, process: CutProcess, seconds: int) -> Artifact:
    return Artifact(
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
        profile=profile,
        material=process.material,
        size_mm=(20, 20, 0),
        print_seconds=seconds,
        filament_milligrams=0,
        filament_micrometres=0,
        curve=(),
        slicer="none",
        cut=CutArtifact(
            extension=".gcode",
            beam_seconds=seconds // 2,
            cut_millimetres=80,
            sheet_mm2=400,
            sheet_material="" if process.own_sheet else process.material,
            toolpath_sha256="0" * 64,
        ),
    )


def artifact(content: bytes, profile: str, process: Process, seconds: int, milligrams: int) -> Artifact:
    return Artifact(
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
        profile=profile,
        material=process.material.value,
        size_mm=(20, 20, 20),
        print_seconds=seconds,
        filament_milligrams=milligrams,
        filament_micrometres=milligrams * 335,
        curve=((0, 0), (len(content), milligrams * 335)),
        slicer="none",
        layers=LAYERS,
    )
