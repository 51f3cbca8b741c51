"""Show 4 of estimation: how many runs it takes until quotes are right again for a machine 8 % slower than its slicer
says that heats for five minutes. Predictions are our mesh estimates of real models, the slicer's figures PrusaSlicer's
own; the machine alone is simulated."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.slow_machine import Model, trial
from bench.table import Row
from slicing import bundles, estimate, mesh

MODELS = Path(__file__).parents[2] / "shared" / "corpus" / "stl"
MK3S = bundles.Preset(
    vendor="PrusaResearch",
    print="0.20mm QUALITY @MK3",
    filament="Generic PLA",
    printer="Original Prusa i3 MK3S & MK3S+",
)
IN_INCHES = (
    "tm_featuretype.stl"  # nothing says so in the file: read in mm it is another part than the one sliced
)
DRAWS = 300


def real_models(folder: Path = MODELS) -> list[Model]:
    """The corpus' models that could be sliced, estimated now with the slicer's very profile."""
    keys = bundles.flatten(MK3S)
    lines = (folder / "reference.tsv").read_text("utf-8").splitlines()
    rows = csv.DictReader((line for line in lines if not line.startswith("#")), delimiter="\t")
    return [
        Model(mesh=_estimated(folder / row["file"], keys), sliced=int(row["mk3s_s"]))
        for row in rows
        if row["mk3s_s"] and row["file"] != IN_INCHES
    ]


def _estimated(path: Path, keys: Mapping[str, str]) -> int:
    fd = os.open(path, os.O_RDONLY)
    try:
        return estimate.estimate_print(mesh.load(fd, path.name).triangles, keys).seconds_p50
    finally:
        os.close(fd)


async def run() -> list[Row]:
    models, after = real_models(), (3, 5, 10, 20)
    trials = [trial(models, seed, after=after) for seed in range(DRAWS)]

    def row(what: str, values: Sequence[float], asked: str = "") -> Row:
        return Row(what=what, unit="%", values=tuple(100 * value for value in values), asked=asked)

    return [
        row("quotes' time error before any run", [t.before for t in trials]),
        row("its floor: a machine as the slicer says", [t.floor for t in trials]),
        *(row(f"error after {n} runs", [t.after[n] for t in trials]) for n in after),
        *(row(f"above the floor after {n} runs", [t.gap(n) for t in trials]) for n in (3, 5)),
        row("above the floor after 10 runs", [t.gap(10) for t in trials], "<= 1 point"),
        row("draws within 1 point after 10 runs", [_share([t.gap(10) <= 0.01 for t in trials])]),
        row("draws within 1 point after 20 runs", [_share([t.gap(20) <= 0.01 for t in trials])]),
    ]


def _share(met: Sequence[bool]) -> float:
    return sum(met) / len(met)
