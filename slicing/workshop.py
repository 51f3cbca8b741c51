"""The port `Workshop` on this package: translates our results and refusals into the heart's words, and
nothing else."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from uuid import uuid4

from orchestrator.domain.advice import Advice, TurnAdvice
from orchestrator.domain.errors import Fault, Misconfigured, NotFound, Rejected, Unavailable
from orchestrator.domain.file import Analysis, FileKind
from orchestrator.domain.job import Artifact
from orchestrator.domain.process import CutProcess, Making, Process, Turn
from orchestrator.domain.quote import Confidence, Estimate, EstimateSource, Spread
from orchestrator.domain.sheet import SheetMaterial
from orchestrator.ports import CutPlan, Sliced, SliceProgress
from slicing.analyser import PREVIEW_PX, Analyser
from slicing.cache import SliceCache
from slicing.cutting import Another, CuttingRoom
from slicing.faults import FileRefused, SlicerUnavailable
from slicing.limits import SLICE, Limits
from slicing.placement import Placement
from slicing.plate import check_fit
from slicing.profile import Choice, OverrideRefused, PrintProfile, Shelf, UnknownProfile
from slicing.report import Curve, NotOurGcode
from slicing.results import MeshAnalysis, Overview, PrintEstimate
from slicing.sandbox import Sandbox
from slicing.slicer import SliceResult
from slicing.slicers import DEFAULT, SLICERS
from slicing.wording import warning

CURVE_POINTS_MAX = 256
"""A job's row carries its curve; between so many points, straight lines bill to well under a gram."""
DRAWN = frozenset({"SVG", "DXF"})
"""What the reader of models calls a file that the other one reads."""
OVERVIEWS_MAX = 32
"""Sliced files whose layers are remembered, because somebody is leafing through them."""


class SandboxedWorkshop:
    """Implements `orchestrator.ports.Workshop`. `slicer` is a path, or None to look for one; in `data` the lab's own
    profiles are found, and pictures and sliced files are kept for the next time (None: not beyond this workshop).
    """

    def __init__(
        self, slicer: str | None = None, *, data: Path | None = None, limits: Limits = SLICE
    ) -> None:
        self._sandbox = Sandbox(concurrency=2)
        self._analyser = Analyser(self._sandbox)
        self._shelf = Shelf.of(data / "profiles" if data else None)
        self._cutting = CuttingRoom(self._sandbox, data / "profiles" if data else None)
        self._own = TemporaryDirectory(prefix="etabli-")
        self._overviews: dict[str, Overview] = {}
        self._pictures = (data or Path(self._own.name)) / "pictures"
        # Slicing has a place of its own, so that two long slices never keep a member waiting for a price.
        self._slicer = SLICERS[DEFAULT](
            Sandbox(concurrency=1),
            self._analyser,
            path=Path(slicer) if slicer else None,
            limits=limits,
            cache=SliceCache(data / "slices") if data else None,
        )

    @property
    def backend(self) -> str:
        """`bubblewrap` or `rlimits`."""
        return self._sandbox.backend

    async def warm(self) -> None:
        """Start the analyser now rather than at the first file. Raises Unavailable where it cannot be."""
        try:
            await self._analyser.start()
        except SlicerUnavailable as gone:
            raise _unavailable(gone) from gone

    async def close(self) -> None:
        await self._analyser.close()
        await self._cutting.close()
        self._own.cleanup()

    async def slicer_version(self) -> str:
        """Name and version, or nothing where there is none."""
        try:
            return await self._slicer.version()
        except SlicerUnavailable:
            return ""

    async def analyse(self, path: Path, name: str) -> Analysis:
        """Whoever reads files like its name looks first; what it is, its content says."""
        try:
            if _is_drawing(name):
                with suppress(Another):
                    return await self._cutting.analyse(path, name)
                return _analysis(await self._analyser.analyse(path, name))
            try:
                return _analysis(await self._analyser.analyse(path, name))
            except FileRefused as no:
                if no.code != "file.type_mismatch" or no.params.get("found") not in DRAWN:
                    raise
                return await self._cutting.analyse(path, name)
        except FileRefused as no:
            raise _rejected(no) from no
        except SlicerUnavailable as gone:
            raise _unavailable(gone) from gone

    async def estimate(self, path: Path, name: str, profile: str, process: Making, quantity: int) -> Estimate:
        try:
            if isinstance(process, CutProcess):
                return await self._cutting.estimate(path, name, profile, process, quantity)
            keys = _profile(profile, process, self._shelf)
            study = await self._analyser.study(path, name, keys, quantity, _placement(process))
            check_fit(study.analysis.size_mm, keys, quantity)
            return _estimate(study.estimate)
        except FileRefused as no:
            raise _rejected(no) from no
        except SlicerUnavailable as gone:
            raise _unavailable(gone) from gone

    async def advise(self, path: Path, name: str, profile: str, process: Making) -> Advice:
        try:
            if isinstance(process, CutProcess):
                return await self._cutting.advise(path, name, profile, process)
            keys = _profile(profile, process, self._shelf)
            warnings, turn = await self._analyser.printability(path, name, keys, _placement(process))
        except FileRefused as no:
            raise _rejected(no) from no
        except SlicerUnavailable as gone:
            raise _unavailable(gone) from gone
        better = TurnAdvice(**{**turn, "turn": Turn(turn["turn"])}) if turn else None
        return Advice(warnings=tuple(warning(w) for w in warnings), turn=better)

    async def preview(self, path: Path, name: str, turn: Turn) -> Path:
        """`path` names the file by its content (Files.path), so its picture can be kept under the same name."""
        return await self._drawn(path, name, Placement(turn=turn.value), None, turn.value)

    async def ringed(self, path: Path, name: str, profile: str, process: Process) -> Path:
        keys, placement = _profile(profile, process, self._shelf), _placement(process)
        mark = hashlib.sha256(f"{keys.digest} {placement}".encode()).hexdigest()[:16]
        return await self._drawn(path, name, placement, keys, mark)

    def materials(self, profile: str) -> Sequence[SheetMaterial]:
        return self._cutting.sheets(profile)

    async def plan(self, path: Path, name: str, profile: str, process: CutProcess, quantity: int) -> CutPlan:
        try:
            return await self._cutting.plan(path, name, profile, process, quantity)
        except FileRefused as no:
            raise _rejected(no) from no
        except SlicerUnavailable as gone:
            raise _unavailable(gone) from gone

    def forget_pictures(self, known: frozenset[str]) -> None:
        """Remove the pictures of files that nobody names any more."""
        for picture in self._pictures.glob("*.png"):
            if picture.name.partition("-")[0] not in known:
                picture.unlink(missing_ok=True)

    async def _drawn(
        self, path: Path, name: str, placement: Placement, profile: PrintProfile | None, mark: str
    ) -> Path:
        kept = self._pictures / f"{path.name}-{mark}.png"
        if await asyncio.to_thread(kept.is_file):
            return kept
        self._pictures.mkdir(parents=True, exist_ok=True)
        part = kept.with_name(f"{uuid4().hex}.part")
        try:
            await self._draw(path, name, part, placement, profile)
            part.replace(kept)
            return kept
        except FileRefused as no:
            raise _rejected(no) from no
        except SlicerUnavailable as gone:
            raise _unavailable(gone) from gone
        finally:
            part.unlink(missing_ok=True)

    async def _draw(
        self, path: Path, name: str, out: Path, placement: Placement, profile: PrintProfile | None
    ) -> None:
        if _is_drawing(name):
            with suppress(Another):
                await self._cutting.draw(path, name, out, PREVIEW_PX)
                return
        try:
            await self._analyser.draw(path, name, out, placement, profile)
        except FileRefused as no:
            if no.code != "file.type_mismatch" or no.params.get("found") not in DRAWN:
                raise
            await self._cutting.draw(path, name, out, PREVIEW_PX)

    async def layer(self, path: Path, profile: str, number: int) -> bytes:
        """`path` names the file by its content, so what is known of it stays true."""
        try:
            known = self._overviews.get(path.name) or await self._overview(path)
            first, end = known.span(number)
            with NamedTemporaryFile(dir=self._own.name) as out:
                await self._analyser.layer(
                    path, first, end, _profile(profile, Process(), self._shelf), Path(out.name), known.view_mm
                )
                return await asyncio.to_thread(Path(out.name).read_bytes)
        except (IndexError, NotOurGcode) as no:
            raise NotFound("There is no such layer.") from no
        except FileRefused as no:
            raise _rejected(no) from no
        except SlicerUnavailable as gone:
            raise _unavailable(gone) from gone

    async def _overview(self, path: Path) -> Overview:
        made = await self._analyser.overview(path)
        while len(self._overviews) >= OVERVIEWS_MAX:
            self._overviews.pop(next(iter(self._overviews)))
        self._overviews[path.name] = made
        return made

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
        try:
            if isinstance(process, CutProcess):
                return await self._cutting.prepare(path, name, profile, process, quantity, into)
            keys = _profile(profile, process, self._shelf)
            result = await self._slicer.slice(path, keys, quantity, into, name, _placement(process), progress)
        except FileRefused as no:
            raise _rejected(no) from no
        except SlicerUnavailable as gone:
            raise _unavailable(gone) from gone
        return Sliced(path=result.gcode_path, artifact=_artifact(result, profile, process))


def _is_drawing(name: str) -> bool:
    return name.lower().endswith((".svg", ".svgz", ".dxf"))


def _profile(profile: str, process: Process, shelf: Shelf) -> PrintProfile:
    try:
        return PrintProfile.resolve(
            profile,
            process.material.value,
            process.quality.value,
            process.infill_percent,
            process.supports,
            overrides=_overrides(process),
            shelf=shelf,
        )
    except UnknownProfile as unknown:
        raise Misconfigured(f"There is no such profile: {unknown}", code="slicer.profile") from unknown
    except OverrideRefused as no:
        raise _not_allowed(no) from no


def _overrides(process: Process) -> Mapping[str, Choice]:
    """What the member chose otherwise than by default: the rest is the machine's and the quality's own."""
    default = Process()
    chosen: dict[str, Choice] = {}
    if process.perimeters != default.perimeters:
        chosen["perimeters"] = process.perimeters
    if process.brim_mm != default.brim_mm:
        chosen["brim_width"] = process.brim_mm
    return chosen


def _placement(process: Process) -> Placement:
    return Placement(scale_percent=process.scale_percent, turn=process.turn.value)


def _not_allowed(no: OverrideRefused) -> Rejected:
    fault = Fault(
        rule="process.choice",
        seen=no.seen,
        remedy=f"Choose {no.allowed_en}.",
        where=f"process.{no.key}",
        texts={
            "en": str(no),
            "fr": f"{no.key} : {no.allowed_fr}.",
            "remedy_fr": f"Choisissez : {no.allowed_fr}.",
        },
    )
    return Rejected(str(no), code=fault.rule, faults=(fault,))


def _analysis(mesh: MeshAnalysis) -> Analysis:
    return Analysis(
        kind=FileKind(mesh.kind),
        triangles=mesh.triangles,
        size_mm=mesh.size_mm,
        volume_mm3=mesh.volume_mm3,
        area_mm2=mesh.area_mm2,
        watertight=mesh.watertight,
        bodies=mesh.bodies,
        warnings=tuple(warning(w) for w in mesh.warnings),
    )


def _estimate(e: PrintEstimate) -> Estimate:
    return Estimate(
        source=EstimateSource.MESH,
        print_seconds=Spread(p50=e.seconds_p50, p90=max(e.seconds_p50, e.seconds_p90)),
        filament_milligrams=Spread(p50=e.milligrams_p50, p90=max(e.milligrams_p50, e.milligrams_p90)),
        confidence=Confidence(e.confidence),
        confidence_reason=", ".join(e.reasons),
    )


def _artifact(result: SliceResult, profile: str, process: Process) -> Artifact:
    report = result.report
    with result.gcode_path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    x, y, z = (-int(-mm // 1) for mm in result.analysis.size_mm)
    curve = _thinned(report.curve)
    return Artifact(
        sha256=sha256,
        size_bytes=report.bytes,
        profile=profile,
        material=process.material.value,
        size_mm=(x, y, z),
        print_seconds=report.seconds,
        filament_milligrams=report.milligrams,
        filament_micrometres=curve[-1][1] if curve else 0,
        curve=curve,
        slicer=result.slicer,
        layers=report.layers,
    )


def _thinned(curve: Curve) -> tuple[tuple[int, int, int], ...]:
    """(byte, cumulative micrometres, cumulative seconds), few enough for a row of the database."""
    kept = curve.thinned(CURVE_POINTS_MAX)
    columns = zip(kept.bytes, kept.millimetres, kept.seconds, strict=True)
    return tuple((at, round(1000 * mm), round(seconds)) for at, mm, seconds in columns)


def _rejected(no: FileRefused) -> Rejected:
    fault = Fault(
        rule=no.code,
        seen=no.seen,
        remedy=no.remedy,
        where="file",
        texts={"en": no.message_en, "fr": no.message_fr, "remedy_fr": no.remedy_fr},
    )
    return Rejected(no.message_en, code=no.code, faults=(fault,))


def _unavailable(gone: SlicerUnavailable) -> Unavailable:
    return Unavailable(str(gone), code="slicer.unavailable")
