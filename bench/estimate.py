"""The instant estimate judged by the installed PrusaSlicer, model by model: errors, honesty of p90, and speed.

One run reads and estimates (timed, one core, in this process), then slices the same triangles with the same keys. What
cannot be read or sliced is named, not dropped in silence.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median, quantiles

from bench.table import Row
from slicing import bundles, mesh
from slicing import stl as stl_file
from slicing.bundles import Preset
from slicing.estimate import estimate_print
from slicing.faults import FileRefused
from slicing.profile import PrintProfile
from slicing.recipe import Recipe, recipe
from slicing.results import PrintEstimate

ROOT = Path(__file__).parents[1]
MODELS = ROOT.parent / "shared" / "corpus" / "stl"
SUFFIXES = (".stl", ".3mf", ".obj")
SHORT_SECONDS = 400
SLICE_SECONDS_MAX = 300
MANY_TRIANGLES = 50_000
REPEATS = 3
TAIL_BYTES = 256 * 1024
_TIME = re.compile(r"; estimated printing time \(normal mode\) = (.+)")
_FILAMENT = re.compile(r"; filament used \[mm\] = ([\d.]+)")
_SPAN = re.compile(r"(\d+)([dhms])")
_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One model under one profile: the estimate, its price in ms, and the slicer's own figures."""

    model: str
    profile: str
    triangles: int
    read_ms: float
    features_ms: float
    seconds: int
    seconds_p90: int
    milligrams: int
    milligrams_p90: int
    confidence: str
    true_seconds: float
    true_milligrams: float
    slice_wall_ms: float
    slice_cpu_ms: float

    @property
    def time_error(self) -> float:
        return self.seconds / self.true_seconds - 1

    @property
    def material_error(self) -> float:
        return self.milligrams / self.true_milligrams - 1


@dataclass(frozen=True, kw_only=True)
class Left:
    """A model that was left out under a profile, and why."""

    model: str
    profile: str
    why: str


def profiles() -> dict[str, Mapping[str, str]]:
    """The reference's three machines from the vendor bundles, and the lab's own."""
    mk3s = Preset(
        vendor="PrusaResearch",
        printer="Original Prusa i3 MK3S & MK3S+",
        print="0.20mm QUALITY @MK3",
        filament="Generic PLA",
    )
    ender3 = Preset(
        vendor="Creality",
        printer="Creality Ender-3 (0.4 mm nozzle)",
        print="0.20 mm NORMAL (0.4 mm nozzle) @CREALITY",
        filament="Generic PLA @CREALITY",
    )
    voron = Preset(
        vendor="Voron",
        printer="Voron_v2_300_afterburner 0.4 nozzle",
        print="0.2mm 0.4nozzle V2",
        filament="Basic PLA @VORON",
    )
    supported = {"support_material": "1", "fill_density": "20%", "perimeters": "3"}
    return {
        "mk3s": bundles.flatten(mk3s),
        "ender3": {**bundles.flatten(ender3), **supported},
        "voron": bundles.flatten(voron),
        "lab-mk3s": PrintProfile.resolve("mk3s").keys,
        "lab-ender3": PrintProfile.resolve("ender3", supports=True).keys,
    }


async def run(arguments: Sequence[str] = ()) -> list[Row]:
    """All rows, and the table on the way. Arguments: --models DIR, --reference TSV, --no-slice."""
    options = _options(arguments)
    reference = _reference(options.reference) if options.reference else {}
    cases: list[Case] = []
    left: list[Left] = []
    for name, keys in profiles().items():
        for model in sorted(p for p in options.models.iterdir() if p.suffix.lower() in SUFFIXES):
            result = _case(model, name, keys, reference, slice_it=options.slice)
            if isinstance(result, Case):
                cases.append(result)
            else:
                left.append(result)
            print(f"\r{name} {len(cases)} done, {len(left)} left out", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    _write(cases, left)
    rows: list[Row] = []
    for name in profiles():
        mine = [c for c in cases if c.profile == name]
        if mine:
            print(report(name, mine))
            rows += _rows(name, mine)
    for why in sorted({item.why for item in left}):
        named = sorted({item.model for item in left if item.why == why})
        print(f"left out, {why}: {', '.join(named)}")
    return rows


@dataclass(frozen=True, kw_only=True)
class _Options:
    models: Path
    reference: Path | None
    slice: bool


def _options(arguments: Sequence[str]) -> _Options:
    parser = argparse.ArgumentParser(prog="etabli bench estimate")
    parser.add_argument("--models", type=Path, default=MODELS, help="folder of .stl, .3mf and .obj")
    parser.add_argument("--reference", type=Path, help="figures by column mk3s_s, mk3s_g, ender3_s, ...")
    parser.add_argument("--no-slice", action="store_true", help="judge by the reference alone")
    parsed = parser.parse_args(list(arguments))
    if not parsed.models.is_dir():
        parser.error(f"no folder {parsed.models}")
    if parsed.no_slice and parsed.reference is None:
        parser.error("--no-slice needs --reference")
    if not parsed.no_slice and shutil.which("prusa-slicer") is None:
        parser.error("prusa-slicer is not installed: use --no-slice --reference TSV")
    return _Options(models=parsed.models, reference=parsed.reference, slice=not parsed.no_slice)


def _reference(path: Path) -> dict[str, dict[str, str]]:
    lines = (line for line in path.read_text("utf-8").splitlines() if not line.startswith("#"))
    return {row["file"]: row for row in csv.DictReader(lines, delimiter="\t")}


def _case(
    model: Path,
    name: str,
    keys: Mapping[str, str],
    reference: Mapping[str, Mapping[str, str]],
    *,
    slice_it: bool,
) -> Case | Left:
    def left(why: str) -> Left:
        return Left(model=model.name, profile=name, why=why)

    try:
        loaded, estimate, read_ms, features_ms = _timed(model, keys)
    except FileRefused as refusal:
        return left(f"refused ({refusal.code})")
    known = reference.get(model.name, {})
    truth = (known.get(f"{name}_s", ""), known.get(f"{name}_g", ""))
    wall = cpu = 0.0
    if slice_it:
        sliced = _sliced(loaded, keys)
        if sliced is None:
            return left("not sliceable")
        seconds, milligrams, wall, cpu = sliced
    elif all(truth):
        seconds, milligrams = float(truth[0]), float(truth[1]) * 1000
    else:
        return left("not in the reference")
    if name == "mk3s" and seconds < SHORT_SECONDS:
        return left(f"shorter than {SHORT_SECONDS} s")
    return Case(
        model=model.name,
        profile=name,
        triangles=len(loaded.triangles),
        read_ms=read_ms,
        features_ms=features_ms,
        seconds=estimate.seconds_p50,
        seconds_p90=estimate.seconds_p90,
        milligrams=estimate.milligrams_p50,
        milligrams_p90=estimate.milligrams_p90,
        confidence=estimate.confidence,
        true_seconds=seconds,
        true_milligrams=milligrams,
        slice_wall_ms=wall,
        slice_cpu_ms=cpu,
    )


def _timed(model: Path, keys: Mapping[str, str]) -> tuple[mesh.Loaded, PrintEstimate, float, float]:
    """The mesh, its estimate, and the best ms of reading and of estimating over the repetitions. Raises FileRefused."""
    runs = [_once(model, keys) for _ in range(REPEATS)]
    loaded, estimate, _, _ = runs[-1]
    return loaded, estimate, min(run[2] for run in runs), min(run[3] for run in runs)


def _once(model: Path, keys: Mapping[str, str]) -> tuple[mesh.Loaded, PrintEstimate, float, float]:
    start = time.perf_counter()
    with model.open("rb") as file:
        loaded = mesh.load(file.fileno(), model.name)
    read = time.perf_counter()
    estimate = estimate_print(loaded.triangles, keys)
    return loaded, estimate, (read - start) * 1e3, (time.perf_counter() - read) * 1e3


def _sliced(loaded: mesh.Loaded, keys: Mapping[str, str]) -> tuple[float, float, float, float] | None:
    """Seconds and milligrams as the slicer reports them, and its wall and CPU ms; None where it refuses."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        ini, stl, out = place / "p.ini", place / "m.stl", place / "o.gcode"
        ini.write_text("".join(f"{key} = {value}\n" for key, value in sorted(keys.items())), "utf-8")
        with stl.open("wb") as file:
            stl_file.write_binary(loaded.triangles - loaded.triangles.reshape(-1, 3).min(axis=0), file)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        start = time.perf_counter()
        command = ["prusa-slicer", "--load", str(ini), "--export-gcode", "-o", str(out), str(stl)]
        try:
            done = subprocess.run(command, capture_output=True, timeout=SLICE_SECONDS_MAX, check=False)
        except subprocess.TimeoutExpired:
            return None
        wall = (time.perf_counter() - start) * 1e3
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = (after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime) * 1e3
        if done.returncode or not out.is_file():
            return None
        seconds, milligrams = _figures(out, recipe(keys))
    return (seconds, milligrams, wall, cpu) if seconds and milligrams else None


def _figures(gcode: Path, r: Recipe) -> tuple[float, float]:
    """Seconds and milligrams of the file's end; the length of filament, for its grams are rounded to a hundredth."""
    with gcode.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
        tail = file.read().decode("utf-8", "replace")
    span, length = _TIME.search(tail), _FILAMENT.search(tail)
    seconds = sum(int(n) * _SECONDS[unit] for n, unit in _SPAN.findall(span[1])) if span else 0
    return float(seconds), float(length[1]) * r.filament_mm2 * r.filament_density if length else 0.0


def report(name: str, cases: Sequence[Case]) -> str:
    """One profile's figures as text."""
    lines = [f"\n{name}: {len(cases)} models"]
    for what, errors, covered in (
        (
            "material",
            [c.material_error for c in cases],
            [c.true_milligrams <= c.milligrams_p90 for c in cases],
        ),
        ("time", [c.time_error for c in cases], [c.true_seconds <= c.seconds_p90 for c in cases]),
    ):
        sizes = [abs(e) for e in errors]
        lines.append(
            f"  {what:<9} error median {100 * median(sizes):5.1f} %  p90 {100 * _p90(sizes):5.1f} %  "
            f"bias {100 * median(errors):+5.1f} %  under its p90 {100 * sum(covered) / len(covered):5.1f} %"
        )
    total = [c.read_ms + c.features_ms for c in cases]
    lines.append(f"  read + features {median(total):.1f} ms median, {_p90(total):.1f} ms p90")
    large = [1e5 * (c.read_ms + c.features_ms) / c.triangles for c in cases if c.triangles >= MANY_TRIANGLES]
    if large:
        lines.append(f"  per 100 000 triangles {median(large):.0f} ms median over {len(large)} large meshes")
    ratios = [c.slice_wall_ms / (c.read_ms + c.features_ms) for c in cases if c.slice_wall_ms]
    if ratios:
        lines.append(f"  slicing takes {median(ratios):.0f} x as long (wall, median)")
    silent = [
        c for c in cases if c.confidence != "low" and max(abs(c.time_error), abs(c.material_error)) > 0.25
    ]
    lines.append(f"  over 25 % off without low confidence: {', '.join(c.model for c in silent) or 'none'}")
    worst = sorted(cases, key=lambda c: -max(abs(c.time_error), abs(c.material_error)))[:5]
    lines += [
        f"    {c.model:<44} material {100 * c.material_error:+6.1f} %  "
        f"time {100 * c.time_error:+6.1f} %  {c.confidence}"
        for c in worst
    ]
    return "\n".join(lines)


def _p90(values: Sequence[float]) -> float:
    return quantiles(values, n=10, method="inclusive")[-1] if len(values) > 1 else values[0]


def _rows(name: str, cases: Sequence[Case]) -> list[Row]:
    def row(what: str, unit: str, values: Iterable[float], asked: str = "") -> Row:
        return Row(what=f"{name}: {what}", unit=unit, values=tuple(values), asked=asked)

    rows = [
        row("material error", "%", (100 * abs(c.material_error) for c in cases)),
        row("time error", "%", (100 * abs(c.time_error) for c in cases)),
        row("read and estimated", "ms", (c.read_ms + c.features_ms for c in cases), "<= 60 ms"),
    ]
    sliced = [c for c in cases if c.slice_wall_ms]
    if sliced:
        ratio = (c.slice_wall_ms / (c.read_ms + c.features_ms) for c in sliced)
        rows.append(row("slicing over estimate", "x", ratio, ">= 100 x"))
    return rows


def _write(cases: Sequence[Case], left: Sequence[Left]) -> None:
    out = ROOT / "var" / "bench" / "estimate-models.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    both = {"cases": [asdict(c) for c in cases], "left_out": [asdict(item) for item in left]}
    out.write_text(json.dumps(both, indent=1) + "\n", "utf-8")
