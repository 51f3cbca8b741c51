"""The instant estimate judged by PrusaSlicer, model by model: its errors, the honesty of its p90, and its speed.

In one run: read and estimate (timed, on one core, in this process), then slice the same triangles with the same keys.
What cannot be read or sliced, or is too short to judge, is named.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from bench import errors, judge
from bench.errors import PLAIN, SUPPORTED, Goal, Judged
from bench.judge import NotSliced, Sliced, Truth
from bench.table import Row
from slicing import bundles, mesh, stl
from slicing.bundles import Preset
from slicing.estimate import estimate_print
from slicing.faults import FileRefused
from slicing.profile import PrintProfile
from slicing.results import PrintEstimate
from slicing.stl import F64

ROOT = Path(__file__).parents[1]
MODELS = ROOT.parent / "shared" / "corpus" / "stl"
EACH = ROOT / "var" / "bench" / "estimate-models.json"
ENDINGS = (".stl", ".3mf", ".obj")
REPEATS = 3
LARGE = 50_000
"""Triangles from which a price per 100 000 means something: below it, what a layer costs is most of it."""
SUBDIVIDED = (80_000, 125_000)
ROUGHEST = 1000
"""A model of fewer triangles is not subdivided: a box stays a box, however many triangles it has."""

_MK3S = Preset(
    vendor="PrusaResearch",
    printer="Original Prusa i3 MK3S & MK3S+",
    print="0.20mm QUALITY @MK3",
    filament="Generic PLA",
)
_ENDER3 = Preset(
    vendor="Creality",
    printer="Creality Ender-3 (0.4 mm nozzle)",
    print="0.20 mm NORMAL (0.4 mm nozzle) @CREALITY",
    filament="Generic PLA @CREALITY",
)
_VORON = Preset(
    vendor="Voron",
    printer="Voron_v2_300_afterburner 0.4 nozzle",
    print="0.2mm 0.4nozzle V2",
    filament="Basic PLA @VORON",
)
_SUPPORTED = {"support_material": "1", "fill_density": "20%", "perimeters": "3"}
_COARSE = {"layer_height": "0.3", "fill_density": "40%", "fill_pattern": "cubic", "perimeters": "4"}

_VENDORS: Mapping[str, tuple[Preset, Mapping[str, str]]] = {
    "mk3s": (_MK3S, {}),
    "ender3": (_ENDER3, _SUPPORTED),
    "voron": (_VORON, {}),
    "d": (_MK3S, _COARSE),
}

PROFILES = (*_VENDORS, "lab-mk3s", "lab-mini", "lab-ender3")
"""Three machines of vendor bundles, named as the columns of a reference are; `d` is the MK3S with thick layers and
much infill; `lab-` are the profiles that ship."""
GOALS: Mapping[str, Goal] = {"ender3": SUPPORTED, "lab-ender3": SUPPORTED}


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Milliseconds of the best repetition: reading, then estimating; and both in CPU time."""

    read_ms: float
    features_ms: float
    cpu_ms: float

    @property
    def wall_ms(self) -> float:
        return self.read_ms + self.features_ms


@dataclass(frozen=True, kw_only=True)
class Case:
    """One model under one profile."""

    model: str
    profile: str
    triangles: int
    estimate: PrintEstimate
    cost: Cost
    sliced: Sliced | None = None
    reference: Truth | None = None

    @property
    def judged(self) -> Truth | None:
        return self.sliced.truth if self.sliced else None


@dataclass(frozen=True, kw_only=True)
class Left:
    """A model that was left out under a profile, and why."""

    model: str
    profile: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Options:
    models: Path
    reference: Path | None
    slice: bool
    profiles: tuple[str, ...]


def options(arguments: Sequence[str]) -> Options:
    """Relative paths are as seen from the checkout. Exits with a sentence on what cannot be."""
    parser = argparse.ArgumentParser(prog="etabli bench estimate", description=__doc__)
    parser.add_argument("--models", type=Path, default=MODELS, help="folder of .stl, .3mf and .obj")
    parser.add_argument("--reference", type=Path, help="TSV: file, mk3s_s, mk3s_g, ender3_s, ...")
    parser.add_argument("--no-slice", action="store_true", help="judge by the reference alone")
    parser.add_argument("--profiles", default=",".join(PROFILES), help="some of %(default)s")
    given = parser.parse_args(list(arguments))
    names = tuple(given.profiles.split(","))
    beside = given.models / "reference.tsv"
    reference = given.reference or (beside if beside.is_file() else None)
    if unknown := sorted(set(names) - set(PROFILES)):
        parser.error(f"no profile {', '.join(unknown)}")
    if not given.models.is_dir():
        parser.error(f"no folder {given.models}: name one with --models")
    if given.reference and not given.reference.is_file():
        parser.error(f"no file {given.reference}")
    if given.no_slice and reference is None:
        parser.error("--no-slice needs --reference TSV")
    if not given.no_slice and judge.program() is None:
        parser.error("prusa-slicer is not installed; --no-slice --reference TSV does without")
    return Options(models=given.models, reference=reference, slice=not given.no_slice, profiles=names)


def profile(name: str) -> PrintProfile:
    """One of PROFILES with all its keys. Raises BundleError where PrusaSlicer's bundles are not installed."""
    if name.startswith("lab-"):
        machine = name.removeprefix("lab-")
        return PrintProfile.resolve(machine, supports=machine == "ender3")
    preset, instead = _VENDORS[name]
    return PrintProfile(machine=name, keys={**bundles.flatten(preset), **instead})


async def run(arguments: Sequence[str] = ()) -> list[Row]:
    """All rows; what a table cannot hold is printed before it, and every model's figures are written to EACH."""
    asked = options(arguments)
    models = sorted(path for path in asked.models.iterdir() if path.suffix.lower() in ENDINGS)
    truths = judge.reference(asked.reference.read_text("utf-8")) if asked.reference else {}
    profiles = {name: profile(name) for name in asked.profiles}
    cases, left = _estimated(models, profiles, truths)
    if asked.slice:
        cases = _sliced(cases, asked.models, profiles, left)
    _progress("")
    rows = [row for name in profiles for row in _rows_of(name, [c for c in cases if c.profile == name], left)]
    rows += _speed(cases) + _large(models, profiles[asked.profiles[0]].keys)
    print("\n".join(_left_out(left)))
    _write(cases, left)
    return rows


# --- measuring -------------------------------------------------------------------------------------------------------


def _estimated(
    models: Sequence[Path],
    profiles: Mapping[str, PrintProfile],
    truths: Mapping[tuple[str, str], Truth],
) -> tuple[list[Case], list[Left]]:
    """Every model under every profile, before anything is sliced: a fault of ours shows within the first minute."""
    cases: list[Case] = []
    left: list[Left] = []
    for name, told in profiles.items():
        for path in models:
            _progress(f"estimating, {name}: {path.name}")
            try:
                loaded, estimate, cost = measured(path, told.keys)
            except FileRefused as no:
                left.append(Left(model=path.name, profile=name, why=f"refused by us, {no.code}"))
                continue
            cases.append(
                Case(
                    model=path.name,
                    profile=name,
                    triangles=len(loaded.triangles),
                    estimate=estimate,
                    cost=cost,
                    reference=truths.get((path.name, name)),
                )
            )
    return cases, left


def measured(path: Path, keys: Mapping[str, str]) -> tuple[mesh.Loaded, PrintEstimate, Cost]:
    """The best of REPEATS after one that warms up, as an analyser's child would do it. Raises FileRefused."""
    with _one_core():
        loaded, estimate, _ = _once(path, keys)
        cost = min((_once(path, keys)[2] for _ in range(REPEATS)), key=lambda cost: cost.wall_ms)
    return loaded, estimate, cost


def _once(path: Path, keys: Mapping[str, str]) -> tuple[mesh.Loaded, PrintEstimate, Cost]:
    with path.open("rb") as file:
        used, began = time.process_time(), time.perf_counter()
        loaded = mesh.load(file.fileno(), path.name)
        read = time.perf_counter()
        estimate = estimate_print(loaded.triangles, keys)
        ended, used_up = time.perf_counter(), time.process_time()
    cost = Cost(
        read_ms=(read - began) * 1e3,
        features_ms=(ended - read) * 1e3,
        cpu_ms=(used_up - used) * 1e3,
    )
    return loaded, estimate, cost


@contextmanager
def _one_core() -> Iterator[None]:
    """Nothing that numpy calls may use a second one."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def _sliced(
    cases: Sequence[Case], models: Path, profiles: Mapping[str, PrintProfile], left: list[Left]
) -> list[Case]:
    """The cases with the judge's figures, one slice at a time, on all cores; what it refuses is added to `left`."""
    judged: list[Case] = []
    for number, case in enumerate(cases, start=1):
        _progress(f"slicing {number} of {len(cases)}, {case.profile}: {case.model}")
        with (models / case.model).open("rb") as file:
            triangles = mesh.load(file.fileno(), case.model).triangles
        try:
            judged.append(replace(case, sliced=judge.sliced(triangles, profiles[case.profile])))
        except NotSliced as no:
            left.append(Left(model=case.model, profile=case.profile, why=f"not sliced, {no}"))
            judged.append(case)
    return judged


def _progress(words: str) -> None:
    print(f"\r{words:<100.100}\r", end="", file=sys.stderr, flush=True)


def subdivided(triangles: F64, times: int) -> F64:
    """The same surface with each triangle (m, 3, 3) cut into four, `times` times over. Neighbours get the very same
    middle of their edge, so that what was closed stays so.
    """
    for _ in range(times):
        a, b, c = triangles[:, 0], triangles[:, 1], triangles[:, 2]
        ab, bc, ca = (a + b) / 2, (b + c) / 2, (c + a) / 2
        corners = ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))
        triangles = np.concatenate([np.stack(three, axis=1) for three in corners])
    return triangles


# --- reporting -------------------------------------------------------------------------------------------------------


def _rows_of(name: str, cases: Sequence[Case], left: list[Left]) -> list[Row]:
    """One profile's errors against each truth there is; its worst models go to the terminal."""
    known = [(case, case.reference) for case in cases]
    if any(truth for _, truth in known):
        why = "no figure in the table"
        left += [Left(model=case.model, profile=name, why=why) for case, truth in known if truth is None]
    rows: list[Row] = []
    for title, truths in ((name, [(case, case.judged) for case in cases]), (f"{name} (table)", known)):
        every = [Judged(model=c.model, estimate=c.estimate, truth=truth) for c, truth in truths if truth]
        counted, short = errors.counted(every)
        why = f"shorter than {errors.SHORT_SECONDS} s"
        left += [Left(model=model, profile=title, why=why) for model in short]
        if counted:
            print("\n".join(errors.told(title, counted)))
        rows += errors.rows(title, counted, GOALS.get(name, PLAIN))
    return rows


def _speed(cases: Sequence[Case]) -> list[Row]:
    rows = _row("reading", "ms", [case.cost.read_ms for case in cases])
    features = [case.cost.features_ms for case in cases]
    both = [case.cost.wall_ms for case in cases]
    rows += _row("features", "ms", features, "median <= 60 ms")
    rows += _row("features, p90", "ms", [errors.p90(features)] if features else [])
    rows += _row("reading + features", "ms", both)
    rows += _row("reading + features, p90", "ms", [errors.p90(both)] if both else [])
    rows += _row("reading + features, CPU", "ms", [case.cost.cpu_ms for case in cases])
    large = [case for case in cases if case.triangles >= LARGE]
    rows += _per_100k(f"from {LARGE // 1000}k", [(case.cost, case.triangles) for case in large])
    for name in dict.fromkeys(case.profile for case in cases):
        mine = [(case.cost, case.sliced) for case in cases if case.profile == name and case.sliced]
        wall = [sliced.wall_ms / cost.wall_ms for cost, sliced in mine]
        cpu = [sliced.cpu_ms / cost.cpu_ms for cost, sliced in mine]
        rows += _row(f"{name}: slicing / estimate, wall", "x", wall, "median >= 100 x")
        rows += _row(f"{name}: slicing / estimate, CPU", "x", cpu)
    return rows


def _large(models: Sequence[Path], keys: Mapping[str, str]) -> list[Row]:
    """Real models cut into about 100 000 triangles and written as STL: the price of size alone."""
    costs: list[tuple[Cost, int]] = []
    with tempfile.TemporaryDirectory() as folder:
        for path in models:
            try:
                with path.open("rb") as file:
                    triangles = mesh.load(file.fileno(), path.name).triangles
            except FileRefused:
                continue  # named among those left out
            times = next((n for n in range(1, 5) if len(triangles) * 4**n >= SUBDIVIDED[0]), 0)
            if len(triangles) < ROUGHEST or not times or len(triangles) * 4**times > SUBDIVIDED[1]:
                continue
            _progress(f"cut into 100 000 triangles: {path.name}")
            fine = Path(folder) / f"{path.stem}.stl"
            with fine.open("wb") as file:
                stl.write_binary(subdivided(triangles, times), file)
            loaded, _, cost = measured(fine, keys)
            costs.append((cost, len(loaded.triangles)))
            fine.unlink()
    _progress("")
    return _per_100k("subdivided", costs)


def _per_100k(what: str, costs: Sequence[tuple[Cost, int]]) -> list[Row]:
    features = [cost.features_ms * 1e5 / triangles for cost, triangles in costs]
    both = [cost.wall_ms * 1e5 / triangles for cost, triangles in costs]
    cpu = [cost.cpu_ms * 1e5 / triangles for cost, triangles in costs]
    return [
        *_row(f"per 100k, {what}: features", "ms", features, "<= 120 ms"),
        *_row(f"per 100k, {what}: with reading", "ms", both, "<= 150 ms"),
        *_row(f"per 100k, {what}: with reading, CPU", "ms", cpu),
    ]


def _row(what: str, unit: str, values: Sequence[float], asked: str = "") -> list[Row]:
    """No row where nothing was measured."""
    return [Row(what=what, unit=unit, values=tuple(values), asked=asked)] if values else []


def _left_out(left: Sequence[Left]) -> list[str]:
    """One line a reason and set of profiles: `left out, WHY (mk3s, voron): MODEL, ...`."""
    profiles: dict[tuple[str, str], list[str]] = {}
    for one in left:
        profiles.setdefault((one.why, one.model), []).append(one.profile)
    models: dict[tuple[str, str], list[str]] = {}
    for (why, model), names in profiles.items():
        models.setdefault((why, ", ".join(names)), []).append(model)
    return [f"left out, {why} ({names}): {', '.join(named)}" for (why, names), named in models.items()]


def _write(cases: Sequence[Case], left: Sequence[Left]) -> None:
    EACH.parent.mkdir(parents=True, exist_ok=True)
    every = {"cases": [asdict(case) for case in cases], "left_out": [asdict(one) for one in left]}
    EACH.write_text(json.dumps(every, indent=1) + "\n", "utf-8")
