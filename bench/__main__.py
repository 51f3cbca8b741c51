"""`./etabli bench [NAME]`: run one benchmark, or all."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import core, estimate, laser, learning, mutation, planner
from bench.schedule import run as schedule
from bench.table import Row, table

BENCHMARKS: Mapping[str, Callable[[], Coroutine[Any, Any, list[Row]]]] = {
    "core": core.run,
    "laser": laser.run,
    "learning": learning.run,
    "mutation": mutation.run,
    "planner": planner.run,
}
WITH_ARGUMENTS: Mapping[str, Callable[[Sequence[str]], Coroutine[Any, Any, list[Row]]]] = {
    "estimate": estimate.run,
    "schedule": schedule.run,
}
ROOT = Path(__file__).parents[1]


def main() -> int:
    names = sorted({*BENCHMARKS, *WITH_ARGUMENTS})
    parser = argparse.ArgumentParser(prog="etabli bench")
    parser.add_argument("name", nargs="?", choices=names, help="all where none is named")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="see `etabli bench estimate --help`")
    given = parser.parse_args()
    if given.arguments and given.name not in WITH_ARGUMENTS:
        parser.error(f"unknown arguments: {' '.join(given.arguments)}")
    for name in [given.name] if given.name else names:
        run = WITH_ARGUMENTS[name](given.arguments) if name in WITH_ARGUMENTS else BENCHMARKS[name]()
        rows = asyncio.run(run)
        print(table(name, rows))
        out = ROOT / "var" / "bench" / f"{name}.json"
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps([row.to_json() for row in rows], indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
