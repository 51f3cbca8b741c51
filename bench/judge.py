"""What a print truly takes, as PrusaSlicer says: asked now, of the same triangles and keys, or read from a table."""

from __future__ import annotations

import csv
import os
import re
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from slicing import stl
from slicing.profile import PrintProfile

WALL_SECONDS_MAX = 300
TAIL_BYTES = 256 * 1024
_TIME = re.compile(r"^; estimated printing time \(normal mode\) = (.+)$", re.MULTILINE)
_FILAMENT = re.compile(r"^; filament used \[mm\] = ([\d.]+)", re.MULTILINE)
_TRACE = re.compile(r"\[\d{4}-|\d+ => ")
_SPAN = re.compile(r"(\d+)([dhms])")
_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


class NotSliced(Exception):
    """The slicer made nothing of the model; its words say why."""


@dataclass(frozen=True, kw_only=True)
class Truth:
    """The slicer's figures for one copy."""

    seconds: float
    grams: float


@dataclass(frozen=True, kw_only=True)
class Sliced:
    """Its figures, and what they cost: from the start of the process to its end, and on all cores together."""

    truth: Truth
    wall_ms: float
    cpu_ms: float


def program() -> str | None:
    return shutil.which("prusa-slicer")


def sliced(triangles: NDArray[np.float64], profile: PrintProfile) -> Sliced:
    """Slice (m, 3, 3) mm with the installed PrusaSlicer, alone. Raises NotSliced."""
    with tempfile.TemporaryDirectory() as folder:
        ini, model, out = (Path(folder) / name for name in ("p.ini", "m.stl", "out.gcode"))
        ini.write_text(profile.to_ini(), "utf-8")
        with model.open("wb") as file:
            stl.write_binary(triangles, file)
        wall_ms, cpu_ms = _run(
            [program() or "prusa-slicer", "--load", str(ini), "--export-gcode", "-o", str(out), str(model)]
        )
        if not out.is_file():
            raise NotSliced("it left no file")
        return Sliced(truth=_figures(out, profile), wall_ms=wall_ms, cpu_ms=cpu_ms)


def _run(command: list[str]) -> tuple[float, float]:
    """Wall and CPU ms of the process and its children; nothing else of ours may run meanwhile."""
    before, began = _children_seconds(), time.perf_counter()
    try:
        done = subprocess.run(command, capture_output=True, timeout=WALL_SECONDS_MAX, check=False)
    except subprocess.TimeoutExpired as error:
        raise NotSliced(f"stopped after {WALL_SECONDS_MAX} s") from error
    wall, cpu = time.perf_counter() - began, _children_seconds() - before
    if done.returncode:
        raise NotSliced(
            f"exit {done.returncode}: {words((done.stderr + done.stdout).decode('utf-8', 'replace'))}"
        )
    return wall * 1e3, cpu * 1e3


def words(output: str) -> str:
    """The last line that says something, without what it traces and without our paths."""
    lines = [line.strip() for line in output.splitlines() if not _TRACE.match(line) and line.strip()]
    return re.sub(r"/\S*/", "", lines[-1])[:120] if lines else "nothing said"


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _figures(gcode: Path, profile: PrintProfile) -> Truth:
    with gcode.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
        return told(file.read().decode("utf-8", "replace"), profile.filament_mm2 * profile.filament_density)


def told(tail: str, milligrams_per_mm: float) -> Truth:
    """The figures at a file's end; grams from the length, for those it writes are rounded to a hundredth.

    Raises NotSliced where they are missing or nought.
    """
    span, length = _TIME.search(tail), _FILAMENT.search(tail)
    if span is None or length is None:
        raise NotSliced("the file does not end with its figures")
    seconds = sum(int(number) * _SECONDS[unit] for number, unit in _SPAN.findall(span[1]))
    grams = float(length[1]) * milligrams_per_mm / 1000
    if not seconds or not grams:
        raise NotSliced("its figures are nought")
    return Truth(seconds=seconds, grams=grams)


def reference(text: str) -> dict[tuple[str, str], Truth]:
    """A table like the corpus' reference.tsv, by (file, profile): of each pair of columns `NAME_s`, `NAME_g` the rows
    where both are filled in. Lines that begin with # say something to people. Raises ValueError on what is no number.
    """
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    table = csv.DictReader(lines, delimiter="\t")
    columns = set(table.fieldnames or ())
    if "file" not in columns:
        raise ValueError("the reference has no column `file`")
    names = [name.removesuffix("_s") for name in columns if name.endswith("_s")]
    return {
        (row["file"], name): Truth(seconds=float(row[f"{name}_s"]), grams=float(row[f"{name}_g"]))
        for row in table
        for name in names
        if _filled(row, f"{name}_s") and _filled(row, f"{name}_g")
    }


def _filled(row: Mapping[str, str | None], column: str) -> bool:
    return bool((row.get(column) or "").strip())
