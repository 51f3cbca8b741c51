"""The port `Workshop` on this package: translates our results and refusals into the heart's words, and
nothing else."""

from __future__ import annotations

import hashlib
from pathlib import Path

from orchestrator.domain.errors import Fault, Misconfigured, Rejected, Unavailable
from orchestrator.domain.file import Analysis, FileKind, Severity, Warning
from orchestrator.domain.job import Artifact
from orchestrator.domain.process import Process
from orchestrator.domain.quote import Confidence, Estimate, EstimateSource, Spread
from orchestrator.ports import Sliced
from slicing.analyser import Analyser
from slicing.faults import FileRefused, SlicerUnavailable
from slicing.gcode import Curve
from slicing.profile import PrintProfile, UnknownProfile
from slicing.prusaslicer import PrusaSlicer, SliceResult, check_fit
from slicing.results import MeshAnalysis, MeshWarning, PrintEstimate
from slicing.sandbox import Sandbox

CURVE_POINTS_MAX = 256
"""A job's row carries its curve; between so many points, straight lines bill to well under a gram."""


class SandboxedWorkshop:
    """Implements `orchestrator.ports.Workshop`. `slicer` is a path, or None to look for one."""

    def __init__(self, slicer: str | None = None) -> None:
        self._sandbox = Sandbox(concurrency=2)
        self._analyser = Analyser(self._sandbox)
        # Slicing has a place of its own, so that two long slices never keep a member waiting for a price.
        path = Path(slicer) if slicer else None
        self._slicer = PrusaSlicer(Sandbox(concurrency=1), self._analyser, path=path)

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

    async def slicer_version(self) -> str:
        """Name and version, or nothing where there is none."""
        try:
            return await self._slicer.version()
        except SlicerUnavailable:
            return ""

    async def analyse(self, path: Path, name: str) -> Analysis:
        try:
            return _analysis(await self._analyser.analyse(path, name))
        except FileRefused as no:
            raise _rejected(no) from no
        except SlicerUnavailable as gone:
            raise _unavailable(gone) from gone

    async def estimate(
        self, path: Path, name: str, profile: str, process: Process, quantity: int
    ) -> Estimate:
        try:
            keys = _profile(profile, process)
            study = await self._analyser.study(path, name, keys, quantity)
            check_fit(study.analysis.size_mm, keys, quantity)
            return _estimate(study.estimate)
        except FileRefused as no:
            raise _rejected(no) from no
        except SlicerUnavailable as gone:
            raise _unavailable(gone) from gone

    async def slice(
        self, path: Path, name: str, profile: str, process: Process, quantity: int, into: Path
    ) -> Sliced:
        try:
            result = await self._slicer.slice(path, _profile(profile, process), quantity, into, name)
        except FileRefused as no:
            raise _rejected(no) from no
        except SlicerUnavailable as gone:
            raise _unavailable(gone) from gone
        return Sliced(path=result.gcode_path, artifact=_artifact(result, profile, process))


def _profile(profile: str, process: Process) -> PrintProfile:
    try:
        return PrintProfile.resolve(
            profile, process.material.value, process.quality.value, process.infill_percent, process.supports
        )
    except UnknownProfile as unknown:
        raise Misconfigured(f"There is no such profile: {unknown}", code="slicer.profile") from unknown


def _analysis(mesh: MeshAnalysis) -> Analysis:
    return Analysis(
        kind=FileKind(mesh.kind),
        triangles=mesh.triangles,
        size_mm=mesh.size_mm,
        volume_mm3=mesh.volume_mm3,
        area_mm2=mesh.area_mm2,
        watertight=mesh.watertight,
        bodies=mesh.bodies,
        warnings=tuple(_warning(w) for w in mesh.warnings),
    )


def _warning(w: MeshWarning) -> Warning:
    severity = Severity.INFO if w.severity == "note" else Severity.WARNING
    return Warning(rule=w.code, severity=severity, texts={"en": w.text_en, "fr": w.text_fr})


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
    )


def _thinned(curve: Curve) -> tuple[tuple[int, int], ...]:
    """Every n-th point and the last; (byte, cumulative micrometres)."""
    points = [(at, round(mm * 1000)) for at, mm in zip(curve.bytes, curve.millimetres, strict=True)]
    stride = -(-len(points) // CURVE_POINTS_MAX) or 1
    kept = points[::stride]
    if points and kept[-1] != points[-1]:
        kept.append(points[-1])
    return tuple(kept)


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
