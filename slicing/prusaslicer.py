"""PrusaSlicer as a process: found, probed, fed with an STL and a profile of ours, its output checked.

Refuses to know what a member uploaded: the mesh was read and rewritten before. File names on its command
line are fixed. Its words reach people unchanged, as part of a refusal or of SlicerUnavailable.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from math import floor
from pathlib import Path
from typing import Any, Self

from slicing import gcode
from slicing.analyser import Analyser
from slicing.faults import FileRefused, SlicerUnavailable, refused
from slicing.limits import LAYERS_MAX, SLICE, Limits
from slicing.profile import PrintProfile
from slicing.results import MeshAnalysis
from slicing.sandbox import Outcome, Sandbox

NAMES = ("prusa-slicer", "PrusaSlicer", "superslicer")
MODEL, PROFILE, GCODE = "m.stl", "p.ini", "out.gcode"
_PROBE = Limits(address_space_bytes=SLICE.address_space_bytes, cpu_seconds=20, wall_seconds=30.0)
_VERSION = re.compile(r"^((?:Prusa|Super)Slicer-\S+)", re.MULTILINE)
_LOG_LINE = re.compile(r"^\[\d{4}-.*?\]\s+\[0x.*?\]\s+\[\w+\]\s+", re.MULTILINE)
_NOTHING = ("No layers were detected", "print is empty", "no object is fully inside")
_FULL = ("could not fit on the bed",)


@dataclass(frozen=True, kw_only=True)
class SliceResult:
    """A checked G-code file and what it says. `digest` names model, profile and slicer: equal digest, equal
    G-code.
    """

    gcode_path: Path
    report: gcode.GcodeReport
    analysis: MeshAnalysis
    quantity: int
    slicer: str

    def to_json(self) -> dict[str, Any]:
        return {
            "gcode_path": str(self.gcode_path),
            "report": self.report.to_json(),
            "analysis": self.analysis.to_json(),
            "quantity": self.quantity,
            "slicer": self.slicer,
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        return cls(
            gcode_path=Path(raw["gcode_path"]),
            report=gcode.GcodeReport.from_json(raw["report"]),
            analysis=MeshAnalysis.from_json(raw["analysis"]),
            quantity=raw["quantity"],
            slicer=raw["slicer"],
        )


class PrusaSlicer:
    """Slices by an external program. `path` from the settings wins over the search path."""

    def __init__(
        self, sandbox: Sandbox, analyser: Analyser, *, path: Path | None = None, limits: Limits = SLICE
    ) -> None:
        self._sandbox = sandbox
        self._analyser = analyser
        self._path = path
        self._limits = limits
        self._version: str | None = None

    def find(self) -> Path:
        """The program. Raises SlicerUnavailable naming where was looked."""
        if self._path is not None:
            if self._path.is_file():
                return self._path
            raise SlicerUnavailable("the slicer set in the configuration is not there", str(self._path))
        for name in NAMES:
            if found := shutil.which(name):
                return Path(found)
        raise SlicerUnavailable("no slicer is installed", f"looked for {', '.join(NAMES)}")

    async def version(self) -> str:
        """Its own name and version, probed once. Raises SlicerUnavailable."""
        if self._version is None:
            outcome = await self._run(["--help"], {}, None, _PROBE)
            match = _VERSION.search(_LOG_LINE.sub("", outcome.output))
            if match is None:
                raise SlicerUnavailable("the slicer does not say its version", _words(outcome))
            self._version = match[1]
        return self._version

    async def slice(
        self, model_path: Path, profile: PrintProfile, quantity: int, out_dir: Path, filename: str = ""
    ) -> SliceResult:
        """Slice `quantity` copies onto one plate; leaves `out.gcode` in `out_dir` (created, ours alone).

        Raises FileRefused (the part or the number does not fit, nothing to print, too complex) and
        SlicerUnavailable. Cancelling kills the slicer and leaves no G-code behind.
        """
        slicer = await self.version()
        work = _prepared(out_dir)
        try:
            analysis = await self._analyser.to_stl(model_path, filename or model_path.name, work / MODEL)
            turned = check_fit(analysis.size_mm, profile, quantity)
            (work / PROFILE).write_text(profile.to_ini(), encoding="utf-8")
            produced = await self._export(work, quantity, turned, analysis, profile)
            report = await self._read(produced, profile)
            target = out_dir / GCODE
            produced.replace(target)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        return SliceResult(
            gcode_path=target, report=report, analysis=analysis, quantity=quantity, slicer=slicer
        )

    async def _export(
        self, work: Path, quantity: int, turned: bool, analysis: MeshAnalysis, profile: PrintProfile
    ) -> Path:
        produced = work / "out"
        inputs = {"/in/" + PROFILE: work / PROFILE, "/in/" + MODEL: work / MODEL}
        arguments = ["--load", "/in/" + PROFILE, "--export-gcode", "-o", "/out/" + GCODE]
        if turned:
            arguments += ["--rotate", "90"]
        if quantity > 1:
            arguments += ["--duplicate", str(quantity)]
        outcome = await self._run([*arguments, "/in/" + MODEL], inputs, produced, self._limits)
        if outcome.timed_out or outcome.returncode != 0:
            raise _fault(outcome, self._limits, quantity, capacity(analysis.size_mm, profile))
        return produced / GCODE

    async def _read(self, produced: Path, profile: PrintProfile) -> gcode.GcodeReport:
        """Check what the slicer left, as if a stranger had: present, whole, with its figures."""
        if not _plain_file(produced):
            raise SlicerUnavailable("the slicer reported success but left no file")
        try:
            return await self._analyser.read_gcode(produced, profile.filament_mm2 * profile.filament_density)
        except gcode.NotOurGcode as error:
            raise SlicerUnavailable("the slicer's output is not whole", str(error)) from error

    async def _run(
        self, arguments: list[str], inputs: Mapping[str, Path], out_dir: Path | None, limits: Limits
    ) -> Outcome:
        program = self.find().resolve()
        visible = () if str(program).startswith("/usr/") else (program,)
        outcome = await self._sandbox.run(
            [str(program), *arguments], limits=limits, inputs=inputs, out_dir=out_dir, visible=visible
        )
        if outcome.returncode in (126, 127):
            raise SlicerUnavailable("the slicer cannot be started", _words(outcome))
        return outcome


def _prepared(out_dir: Path) -> Path:
    work = out_dir / "work"
    (work / "out").mkdir(parents=True, exist_ok=True)
    return work


def _plain_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def check_fit(size_mm: tuple[float, float, float], profile: PrintProfile, quantity: int = 1) -> bool:
    """Whether the part must be turned by 90 degrees to lie on the bed. Raises FileRefused
    `plate.too_large`/`plate.full`.

    Checked before slicing because the slicer aborts on a part larger than its bed.
    """
    if quantity < 1:
        raise ValueError("a quantity is at least 1")
    x, y, z = size_mm
    bed_x, bed_y, bed_z = _usable(profile)
    straight = x <= bed_x and y <= bed_y
    turned = y <= bed_x and x <= bed_y
    if z > bed_z or not (straight or turned):
        names = dict(
            zip(("x", "y", "z", "bed_x", "bed_y", "bed_z"), (x, y, z, bed_x, bed_y, bed_z), strict=True)
        )
        raise refused("plate.too_large", **{name: f"{value:.1f}" for name, value in names.items()})
    if z / float(profile.keys["layer_height"]) > LAYERS_MAX:
        raise refused("mesh.too_complex", limit=LAYERS_MAX, what="layers")
    if quantity > 1 and quantity > 2 * capacity(size_mm, profile) + 1:
        # Far beyond what could fit: say so at once instead of letting the slicer try for minutes.
        raise refused("plate.full", quantity=quantity, capacity=capacity(size_mm, profile))
    return not straight


def capacity(size_mm: tuple[float, float, float], profile: PrintProfile) -> int:
    """How many copies a plain grid holds on the bed; the slicer's own arrangement may find room for a few
    more.
    """
    gap = float(profile.keys.get("duplicate_distance", "6"))
    bed_x, bed_y, _ = _usable(profile)

    def grid(x: float, y: float) -> int:
        return floor((bed_x + gap) / (x + gap)) * floor((bed_y + gap) / (y + gap))

    return max(grid(size_mm[0], size_mm[1]), grid(size_mm[1], size_mm[0]))


def _usable(profile: PrintProfile) -> tuple[float, float, float]:
    bed_x, bed_y, bed_z = profile.bed_mm
    return bed_x - 2 * profile.edge_mm, bed_y - 2 * profile.edge_mm, bed_z


def _words(outcome: Outcome) -> str:
    """What it said, without its trace prefix and without our paths: the last lines say why."""
    text = _LOG_LINE.sub("", outcome.output).replace("/out/", "").replace("/in/", "")
    lines = [
        line.strip() for line in text.splitlines() if line.strip() and "Initializing StaticPrint" not in line
    ]
    telling = [line for line in lines if not line.startswith(("10 =>", "20 =>", "30 =>"))]
    return " ".join(telling[-4:])[-400:]


def _fault(outcome: Outcome, limits: Limits, quantity: int, fits: int) -> FileRefused | SlicerUnavailable:
    """Exit codes of 2.5.0: 1 speaks, 134 is an exception, 137/152 the CPU limit, 153 the file size limit."""
    words, code = _words(outcome), outcome.returncode
    if outcome.timed_out:
        return SlicerUnavailable(f"the slicer was stopped after {limits.wall_seconds:.0f} s", words)
    if any(mark in outcome.output for mark in _FULL):
        return refused("plate.full", seen=words, quantity=quantity, capacity=fits)
    if any(mark in outcome.output for mark in _NOTHING):
        return refused("slice.nothing", seen=words, words=words)
    if "bad_alloc" in outcome.output:
        return SlicerUnavailable("the slicer ran out of memory", words)
    if code in (137, 152, -9, -24):
        return refused("slice.too_complex", seen=words, limit=f"{limits.cpu_seconds} s")
    if code in (153, -25):
        return refused("slice.too_complex", seen=words, limit=f"{limits.file_bytes} bytes")
    if code == 1 and words:
        return refused("slice.refused", seen=words, words=words)
    return SlicerUnavailable(f"the slicer crashed (exit {code})", words)
