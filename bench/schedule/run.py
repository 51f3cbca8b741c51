"""`./etabli bench schedule`: the weeks under every policy, side by side, then what a decision costs."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from statistics import fmean, stdev

from bench.schedule import cost, pictures
from bench.schedule.metrics import Figures, figures
from bench.schedule.policies import POLICIES
from bench.schedule.simulate import simulate
from bench.schedule.weeks import weeks
from bench.table import Row

IMAGES = Path(__file__).parents[2] / "docs" / "images"


@dataclass(frozen=True, kw_only=True)
class Shown:
    what: str
    unit: str
    asked: str = ""  # of ours


SHOWN: Mapping[str, Shown] = {
    "mean_wait_hours": Shown(what="mean wait", unit="h"),
    "p95_wait_hours": Shown(what="p95 wait", unit="h", asked="< fcfs"),
    "longest_wait_hours": Shown(what="longest wait", unit="h"),
    "light_wait_hours": Shown(what="mean wait of who asked once or twice", unit="h"),
    "slowdown": Shown(what="mean bounded slowdown", unit=""),
    "service": Shown(what="fairness: Jain of service / demand", unit="", asked="> fcfs"),
    "fairness": Shown(what="fairness: Jain of bounded slowdown", unit="", asked="> fcfs"),
    "missed": Shown(what="bookings missed", unit="", asked="0"),
    "bookings": Shown(what="bookings whose holder came", unit=""),
    "crossed_maintenance": Shown(what="maintenance kept waiting", unit="", asked="0"),
    "utilisation_percent": Shown(what="machines at work", unit="%"),
    "classes_late_percent": Shown(what="class jobs after their deadline", unit="%"),
    "unstarted": Shown(what="jobs never started", unit="", asked="0"),
    "start_held_percent": Shown(what="started by the p90 foretold", unit="%", asked=">= 85 %"),
    "end_held_percent": Shown(what="done by the p90 foretold", unit="%", asked=">= 85 %"),
    "start_error_hours": Shown(what="start: median error of p50", unit="h"),
    "end_error_hours": Shown(what="end: median error of p50", unit="h"),
}


async def run(arguments: Sequence[str]) -> list[Row]:
    parser = argparse.ArgumentParser(prog="etabli bench schedule")
    parser.add_argument("--seeds", type=int, default=8, help="how many draws of the weeks")
    parser.add_argument("--weeks", type=int, default=1, help="how many weeks each lasts")
    parser.add_argument("--load", type=float, default=1.0, help="how many jobs, beside the usual number")
    parser.add_argument("--no-cost", action="store_true", help="leave out what a decision costs")
    parser.add_argument("--pictures", action="store_true", help="draw those of docs/scheduling.md again")
    given = parser.parse_args(arguments)
    jobs = [
        (name, seed, given.weeks, given.load) for name, seed in product(POLICIES, range(1, given.seeds + 1))
    ]
    with ProcessPoolExecutor() as pool:
        found = list(pool.map(_figures, jobs))
    by_policy: dict[str, list[Figures]] = {name: [] for name in POLICIES}
    for (name, *_), one in zip(jobs, found, strict=True):
        by_policy[name].append(one)
    print(side_by_side(by_policy))
    if given.pictures:
        pictures.draw(IMAGES)
    return [*_rows(by_policy), *([] if given.no_cost else cost.rows())]


def _figures(job: tuple[str, int, int, float]) -> Figures:
    name, seed, count, load = job
    return figures(simulate(weeks(seed, count, load), POLICIES[name], foretell=name == "ours"))


def _values(rows: Sequence[Figures], key: str) -> list[float]:
    return [float(value) for row in rows if (value := asdict(row)[key]) is not None]


def _rows(by_policy: Mapping[str, Sequence[Figures]]) -> list[Row]:
    return [
        Row(
            what=f"{name}: {shown.what}",
            unit=shown.unit,
            values=tuple(values),
            asked=shown.asked if name == "ours" else "",
        )
        for name, rows in by_policy.items()
        for key, shown in SHOWN.items()
        if (values := _values(rows, key))
    ]


def side_by_side(by_policy: Mapping[str, Sequence[Figures]]) -> str:
    """Markdown: the mean of the draws and their standard deviation."""
    head = ["|  |", *(f" {name} |" for name in by_policy)]
    lines = ["".join(head), "|---|" + "---|" * len(by_policy)]
    for key, shown in SHOWN.items():
        unit = f", {shown.unit}" if shown.unit else ""
        cells = [_cell(_values(rows, key)) for rows in by_policy.values()]
        lines.append(f"| {shown.what}{unit} |" + "".join(f" {cell} |" for cell in cells))
    return "\n".join(lines) + "\n"


def _cell(values: Sequence[float]) -> str:
    if not values:
        return ""
    spread = stdev(values) if len(values) > 1 else 0.0
    digits = 2 if fmean(values) < 1 else 1
    return f"{fmean(values):.{digits}f} ± {spread:.{digits}f}"
