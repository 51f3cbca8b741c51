"""The motion planner judged by PrusaSlicer: our time for a file against its own, and how fast we read and plan.

Real models are sliced now, under vendors' profiles and those that ship. Waits (G4) are ours alone, the slicer's figure
leaves them out; and it is a whole number of seconds, so that prints of minutes are not judged.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

from bench import judge
from bench.errors import p90
from bench.estimate import MODELS, PROFILES, profile
from bench.table import Row
from slicing import gcode
from slicing.motion import timed
from slicing.moves import Batch, Limits, Reader
from slicing.profile import PrintProfile

T = TypeVar("T")
SHORT_SECONDS = 300
REPEATS = 5


@dataclass(frozen=True, kw_only=True)
class Case:
    """One sliced file: both times, what it holds, and the CPU seconds of the best repetition."""

    model: str
    profile: str
    slicer_seconds: int
    planner_seconds: float
    size_bytes: int
    lines: int
    moves: int
    parse_cpu: float
    plan_cpu: float
    read_cpu: float

    @property
    def error_percent(self) -> float:
        return 100 * (self.planner_seconds / self.slicer_seconds - 1)


async def run() -> list[Row]:
    """All rows. Exits with a sentence where there is no slicer or no corpus."""
    program = judge.program()
    if program is None:
        raise SystemExit("prusa-slicer is not installed")
    if not MODELS.is_dir():
        raise SystemExit(f"no folder {MODELS}")
    profiles = {name: profile(name) for name in PROFILES}
    cases = list(_cases(program, sorted(MODELS.glob("*.stl")), profiles))
    print("\n".join(_worst(cases)))
    return [row for row in _rows(cases) if row.values]


def _cases(program: str, models: Sequence[Path], profiles: Mapping[str, PrintProfile]) -> Iterator[Case]:
    for name, keys in profiles.items():
        for model in models:
            with tempfile.TemporaryDirectory() as folder:
                print(f"\r{name}: {model.name:<80.80}\r", end="", file=sys.stderr, flush=True)
                out = _sliced(program, model, keys, Path(folder))
                if out is not None:
                    yield _case(model.name, name, out)


def _sliced(program: str, model: Path, keys: PrintProfile, folder: Path) -> Path | None:
    """The slicer's file; None, with a word, where it makes none (too large for the bed, mostly)."""
    ini, out = folder / "p.ini", folder / "out.gcode"
    ini.write_text(keys.to_ini(), "utf-8")
    command = [program, "--load", str(ini), "--export-gcode", "-o", str(out), str(model)]
    done = subprocess.run(command, capture_output=True, timeout=judge.WALL_SECONDS_MAX, check=False)
    if done.returncode or not out.is_file():
        print(f"not sliced, {keys.machine}: {model.name}")
        return None
    return out


def _case(model: str, name: str, path: Path) -> Case:
    with path.open("rb") as file:
        report, read_cpu = _best(lambda: gcode.read(file, 1.0))
        (reader, batches), parse_cpu = _best(lambda: _parsed(file))
    _, plan_cpu = _best(lambda: sum(len(done.moves) for done in timed(batches)))
    waiting = report.uses["waiting"].seconds if "waiting" in report.uses else 0.0
    return Case(
        model=model,
        profile=name,
        slicer_seconds=report.seconds,
        planner_seconds=report.planner_seconds - waiting,
        size_bytes=report.bytes,
        lines=reader.lines,
        moves=sum(len(batch.moves) for batch in batches),
        parse_cpu=parse_cpu,
        plan_cpu=plan_cpu,
        read_cpu=read_cpu,
    )


def _parsed(file: BinaryIO) -> tuple[Reader, list[Batch]]:
    reader = Reader(Limits(), relative_e=True)
    return reader, list(reader.read(file))


def _best(work: Callable[[], T]) -> tuple[T, float]:
    """What the work gives, and the CPU seconds of the fastest of REPEATS."""
    result, took = _once(work)
    return result, min([took, *(_once(work)[1] for _ in range(REPEATS - 1))])


def _once(work: Callable[[], T]) -> tuple[T, float]:
    began = time.process_time()
    result = work()
    return result, time.process_time() - began


# --- reporting -------------------------------------------------------------------------------------------------------


def _rows(cases: Sequence[Case]) -> list[Row]:
    judged = [case for case in cases if case.slicer_seconds >= SHORT_SECONDS]
    every = [abs(case.error_percent) for case in judged]
    goal = "median <= 0.5, worst <= 1.5 %"
    rows = [
        _row(f"{name}: |time error|", "%", [abs(c.error_percent) for c in judged if c.profile == name], goal)
        for name in PROFILES
    ]
    return [
        *rows,
        _row("all: |time error|", "%", every, goal),
        _row("all: |time error|, p90", "%", [p90(every)] if every else []),
        _row("all: time error, signed", "%", [case.error_percent for case in judged]),
        _row(
            "planning, all files together (CPU)", "M/s", _rate(cases, "moves", "plan_cpu"), ">= 3 M moves/s"
        ),
        _row(
            "parsing, all files together (CPU)", "M/s", _rate(cases, "lines", "parse_cpu"), ">= 2 M lines/s"
        ),
        _row("planning, file by file (CPU)", "M/s", [c.moves / c.plan_cpu / 1e6 for c in cases]),
        _row("parsing, file by file (CPU)", "M/s", [c.lines / c.parse_cpu / 1e6 for c in cases]),
        _row("whole report (CPU)", "MB/s", [c.size_bytes / c.read_cpu / 1e6 for c in cases]),
        _row("whole report (CPU)", "ms", [1e3 * c.read_cpu for c in cases]),
        _row("a file", "MB", [c.size_bytes / 1e6 for c in cases]),
        _row("a file", "k moves", [c.moves / 1e3 for c in cases]),
    ]


def _rate(cases: Sequence[Case], what: str, cpu: str) -> list[float]:
    """Millions a second over all files: a small file's fixed cost weighs as little as it does in a day's work."""
    return [sum(getattr(c, what) for c in cases) / sum(getattr(c, cpu) for c in cases) / 1e6] if cases else []


def _row(what: str, unit: str, values: Sequence[float], asked: str = "") -> Row:
    return Row(what=what, unit=unit, values=tuple(values), asked=asked)


def _worst(cases: Sequence[Case]) -> list[str]:
    """The three files furthest off, and how many were too short to judge."""
    judged = [case for case in cases if case.slicer_seconds >= SHORT_SECONDS]
    judged.sort(key=lambda case: -abs(case.error_percent))
    return [
        *(
            f"{c.error_percent:+.3f} %  {c.profile}: {c.model}, {c.planner_seconds:.0f} s for {c.slicer_seconds} s"
            for c in judged[:3]
        ),
        f"{len(cases) - len(judged)} of {len(cases)} files are shorter than {SHORT_SECONDS} s and not judged",
    ]
