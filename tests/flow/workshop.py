"""A workshop for tests of the flow: answers at once, with figures that follow from the file's name.

`part-600s-5000mg.stl` takes 600 s and 5 000 mg by estimate; `…-sliced900s` takes 900 s once sliced; a name
with `unprintable` is refused, with `noslicer` the slicer is missing, with `hangs` it has something to say of it,
with `nopicture` no picture can be drawn. It stands for the shape, never for a
machine.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from orchestrator.domain.advice import Advice, TurnAdvice
from orchestrator.domain.errors import Fault, Rejected, Unavailable
from orchestrator.domain.file import Analysis, FileKind, Severity, Warning
from orchestrator.domain.job import Artifact
from orchestrator.domain.process import Process, Turn
from orchestrator.domain.quote import Estimate, EstimateSource, Spread
from orchestrator.ports import Sliced, SliceProgress

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
        return Analysis(
            kind=FileKind.STL,
            triangles=12,
            size_mm=(mm, mm, mm),
            volume_mm3=mm**3,
            area_mm2=6 * mm**2,
            watertight=True,
        )

    async def estimate(
        self, path: Path, name: str, profile: str, process: Process, quantity: int
    ) -> Estimate:
        seconds = _figure(name, r"(\d+)s-", 600) * quantity
        milligrams = _figure(name, r"(\d+)mg", 5_000) * quantity
        return Estimate(
            source=EstimateSource.MESH,
            print_seconds=Spread(p50=seconds, p90=seconds * 12 // 10),
            filament_milligrams=Spread(p50=milligrams, p90=milligrams * 11 // 10),
        )

    async def advise(self, path: Path, name: str, profile: str, process: Process) -> Advice:
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
        process: Process,
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
        out.write_bytes(content)
        return Sliced(path=out, artifact=artifact(content, profile, process, seconds, milligrams))


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
