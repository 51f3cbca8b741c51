"""PrusaSlicer as a process: found, probed, fed with an STL and a profile of ours, its output checked.

Refuses to know what a member uploaded: the mesh was read and rewritten before. File names on its command
line are fixed. Its words reach people unchanged, as part of a refusal or of SlicerUnavailable.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from slicing.analyser import Analyser
from slicing.cache import SliceCache
from slicing.faults import FileRefused, SlicerUnavailable, refused
from slicing.limits import SLICE, Limits, slice_limits
from slicing.placement import AS_DRAWN, Placement
from slicing.plate import capacity, check_fit, parts_area
from slicing.profile import PrintProfile
from slicing.report import GcodeReport, NotOurGcode
from slicing.results import MeshAnalysis
from slicing.sandbox import Heard, Outcome, Sandbox
from slicing.slicer import Progress, SliceResult
from slicing.violations import RULES

NAMES = ("prusa-slicer", "PrusaSlicer", "superslicer")
MODEL, PROFILE, GCODE = "m.stl", "p.ini", "out.gcode"
_KEY_FORMAT = 2
"""Raised when what we make of the same inputs changes, so that older kept slices are not found any more."""
_PROBE = Limits(address_space_bytes=SLICE.address_space_bytes, cpu_seconds=20, wall_seconds=30.0)
_VERSION = re.compile(r"^((?:Prusa|Super)Slicer-\S+)", re.MULTILINE)
_LOG_LINE = re.compile(r"^\[\d{4}-.*?\]\s+\[0x.*?\]\s+\[\w+\]\s+", re.MULTILINE)
_STEP = re.compile(r"(\d{1,2}) => (.{1,200})")
_COPY = re.compile(rb"^; printing object .* copy (\d+)\s*$", re.MULTILINE)
_NOTHING = ("No layers were detected", "print is empty", "no object is fully inside")
_FULL = ("could not fit on the bed",)
_DISK = ("No space left on device", "Is the disk full")


@dataclass(frozen=True, kw_only=True)
class _Order:
    """One slice, once its geometry is known and found to fit."""

    analysis: MeshAnalysis
    profile: PrintProfile
    quantity: int
    turned: bool
    limits: Limits

    def key(self, geometry_sha256: str, slicer: str) -> str:
        """What a kept slice is found by: all that the G-code follows from."""
        parts = [_KEY_FORMAT, geometry_sha256, self.profile.digest, slicer, self.quantity, self.turned]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


_Program = tuple[Path, int, int]


def _program(path: Path) -> _Program:
    """What tells this program from the one that an upgrade puts in its place."""
    found = path.resolve()
    about = found.stat()
    return found, about.st_mtime_ns, about.st_size


class PrusaSlicer:
    """Implements `slicing.slicer.Slicer`. `path` from the settings wins over the search path; `limits` are the most
    that a slice may use, smaller parts get less; with a `cache` the same order is sliced once.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        analyser: Analyser,
        *,
        path: Path | None = None,
        limits: Limits = SLICE,
        cache: SliceCache | None = None,
    ) -> None:
        self._sandbox = sandbox
        self._analyser = analyser
        self._path = path
        self._limits = limits
        self._cache = cache
        self._known: tuple[_Program, str] | None = None

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
        """Its own name and version, probed once for as long as the program stays the same. Raises SlicerUnavailable."""
        program = _program(self.find())
        if self._known is not None and self._known[0] == program:
            return self._known[1]
        outcome = await self._run(["--help"], {}, None, _PROBE)
        match = _VERSION.search(_LOG_LINE.sub("", outcome.output))
        if match is None:
            raise SlicerUnavailable("the slicer does not say its version", _words(outcome))
        self._known = (program, match[1])
        return match[1]

    async def slice(
        self,
        model_path: Path,
        profile: PrintProfile,
        quantity: int,
        out_dir: Path,
        filename: str = "",
        placement: Placement = AS_DRAWN,
        progress: Progress | None = None,
    ) -> SliceResult:
        """As the port says; leaves `out.gcode` in `out_dir`.

        Raises FileRefused (the part or the number does not fit, nothing to print, too complex) and
        SlicerUnavailable. Cancelling kills the slicer and leaves no G-code behind.
        """
        slicer = await self.version()
        work, target = _prepared(out_dir), out_dir / GCODE
        try:
            name = filename or model_path.name
            analysis = await self._analyser.to_stl(model_path, name, work / MODEL, placement)
            order = _order(analysis, profile, quantity, self._limits)
            key = order.key(await asyncio.to_thread(_sha256, work / MODEL), slicer)
            async with self._alone(key):
                report = await self._remembered(key, work / "kept", target)
                remembered = report is not None
                if report is None:
                    report = await self._made(work, order, target, progress)
                    await self._keep(key, target, report)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        return SliceResult(
            gcode_path=target,
            report=report,
            analysis=analysis,
            quantity=quantity,
            slicer=slicer,
            remembered=remembered,
        )

    # --- what was sliced before --------------------------------------------------------------------

    def _alone(self, key: str) -> AbstractAsyncContextManager[None]:
        return nullcontext() if self._cache is None else self._cache.alone(key)

    async def _remembered(self, key: str, copy: Path, target: Path) -> GcodeReport | None:
        """The report of a kept slice whose file is now `target`."""
        about = None if self._cache is None else await self._cache.take(key, copy)
        if self._cache is None or about is None:
            return None
        try:
            report = GcodeReport.from_json(about["report"])
        except (KeyError, TypeError):  # written by an Établi that reported less
            await self._cache.forget(key)
            return None
        _move(copy, target)
        return report

    async def _keep(self, key: str, target: Path, report: GcodeReport) -> None:
        if self._cache is not None:
            await self._cache.put(key, target, {"report": report.to_json()})

    # --- slicing -----------------------------------------------------------------------------------

    async def _made(self, work: Path, order: _Order, target: Path, progress: Progress | None) -> GcodeReport:
        bed = parts_area(order.profile)
        (work / PROFILE).write_text(order.profile.to_ini(bed_shape=bed), encoding="utf-8")
        produced = await self._export(work, order, progress)
        report = await self._read(produced, order)
        _move(produced, target)
        return report

    async def _export(self, work: Path, order: _Order, progress: Progress | None) -> Path:
        produced = work / "out"
        inputs = {"/in/" + PROFILE: work / PROFILE, "/in/" + MODEL: work / MODEL}
        arguments = ["--load", "/in/" + PROFILE, "--export-gcode", "-o", "/out/" + GCODE]
        if order.turned:
            arguments += ["--rotate", "90"]
        if order.quantity > 1:
            arguments += ["--duplicate", str(order.quantity)]
        heard = None if progress is None else _Steps(progress).heard
        outcome = await self._run([*arguments, "/in/" + MODEL], inputs, produced, order.limits, heard)
        if outcome.timed_out or outcome.returncode != 0:
            raise _fault(outcome, order)
        return produced / GCODE

    async def _read(self, produced: Path, order: _Order) -> GcodeReport:
        """Check what the slicer left, as if a stranger had: present, whole, every copy there, with its figures, and
        nothing in it that the machine may not run.
        """
        if not _plain_file(produced):
            raise SlicerUnavailable("the slicer reported success but left no file")
        profile = order.profile
        try:
            report = await self._analyser.read_gcode(
                produced, profile.filament_mm2 * profile.filament_density, order.limits
            )
        except NotOurGcode as error:
            raise SlicerUnavailable("the slicer's output is not whole", str(error)) from error
        laid = await asyncio.to_thread(_copies, produced, order.quantity)
        if laid != order.quantity:
            raise SlicerUnavailable(f"the slicer laid {laid} copies instead of {order.quantity}")
        if found := await self._analyser.check_gcode(produced, profile, order.limits):
            # The profile's own start or end code, or a slicer that does what nobody asked for: the lab's to mend.
            words = "; ".join(
                f"line {no.line}: {no.command}, {RULES[no.rule][0]} ({no.seen})" for no in found
            )
            raise SlicerUnavailable("the sliced file holds what this machine may not run", words[:400])
        return report

    async def _run(
        self,
        arguments: list[str],
        inputs: Mapping[str, Path],
        out_dir: Path | None,
        limits: Limits,
        heard: Heard | None = None,
    ) -> Outcome:
        program = self.find().resolve()
        visible = () if str(program).startswith("/usr/") else (program,)
        # Into a pipe it would keep its progress to itself until the end.
        by_line = [stdbuf, "-oL"] if (stdbuf := shutil.which("stdbuf")) else []
        outcome = await self._sandbox.run(
            [*by_line, str(program), *arguments],
            limits=limits,
            inputs=inputs,
            out_dir=out_dir,
            visible=visible,
            heard=heard,
        )
        if outcome.returncode in (126, 127):
            raise SlicerUnavailable("the slicer cannot be started", _words(outcome))
        return outcome


class _Steps:
    """Its lines `70 => Infilling layers` as progress. Layers are worked on side by side: a step that comes late is
    left out, so that what people see never goes back.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._permille = -1

    async def heard(self, line: str) -> None:
        step = _STEP.fullmatch(line)
        if step is not None and int(step[1]) * 10 > self._permille:
            self._permille = int(step[1]) * 10
            await self._progress(self._permille, _without_paths(step[2]))


def _order(analysis: MeshAnalysis, profile: PrintProfile, quantity: int, most: Limits) -> _Order:
    """Raises FileRefused where it cannot lie on the bed."""
    turned = check_fit(analysis.size_mm, profile, quantity)
    layers = ceil(analysis.size_mm[2] / float(profile.keys["layer_height"]))
    return _Order(
        analysis=analysis,
        profile=profile,
        quantity=quantity,
        turned=turned,
        limits=slice_limits(analysis.triangles, layers, quantity, most),
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _copies(path: Path, wanted: int) -> int:
    """How many copies the file labels. Each begins on the first layers, so the end of the file is rarely needed."""
    seen: set[bytes] = set()
    with path.open("rb") as file:
        while lines := file.readlines(1 << 20):
            seen.update(_COPY.findall(b"".join(lines)))
            if len(seen) > wanted:
                break
    return len(seen)


def _prepared(out_dir: Path) -> Path:
    work = out_dir / "work"
    (work / "out").mkdir(parents=True, exist_ok=True)
    return work


def _move(path: Path, target: Path) -> None:
    """By one rename, so that a slice which is cancelled leaves no half file."""
    path.replace(target)


def _plain_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _words(outcome: Outcome) -> str:
    """What it said, without its trace prefix and without our paths: the last lines say why."""
    text = _without_paths(_LOG_LINE.sub("", outcome.output))
    lines = [
        line.strip() for line in text.splitlines() if line.strip() and "Initializing StaticPrint" not in line
    ]
    telling = [line for line in lines if not _STEP.fullmatch(line)]
    return " ".join(telling[-4:])[-400:]


def _without_paths(words: str) -> str:
    return words.replace("/out/", "").replace("/in/", "")


def _fault(outcome: Outcome, order: _Order) -> FileRefused | SlicerUnavailable:
    """Exit codes of 2.5.0: 1 speaks, 134 is an exception, 152 the CPU limit, 153 the file size limit; 137 is what
    somebody else kills with, such as the system when memory runs out.
    """
    words, code, limits = _words(outcome), outcome.returncode, order.limits
    if outcome.timed_out:
        return SlicerUnavailable(f"the slicer was stopped after {limits.wall_seconds:g} s", words)
    if any(mark in outcome.output for mark in _FULL):
        fits = capacity(order.analysis.size_mm, order.profile)
        return refused("plate.full", seen=words, quantity=order.quantity, capacity=fits)
    if any(mark in outcome.output for mark in _NOTHING):
        return refused("slice.nothing", seen=words, words=words)
    if "bad_alloc" in outcome.output:
        return SlicerUnavailable("the slicer ran out of memory", words)
    if any(mark in outcome.output for mark in _DISK):
        return SlicerUnavailable("the disk is full", words)
    if code in (137, -9):
        return SlicerUnavailable("the slicer was killed", words)
    if code in (152, -24):
        return refused("slice.too_complex", seen=words, limit=f"{limits.cpu_seconds} s")
    if code in (153, -25):
        return refused("slice.too_complex", seen=words, limit=f"{limits.file_bytes} bytes")
    if code == 1 and words:
        return refused("slice.refused", seen=words, words=words)
    return SlicerUnavailable(f"the slicer crashed (exit {code})", words)
