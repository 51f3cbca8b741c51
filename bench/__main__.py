"""`./etabli bench [NAME]`: run one benchmark, or all."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

from bench import core, estimate, learning
from bench.table import Row, table

BENCHMARKS: Mapping[str, Callable[[], Coroutine[Any, Any, list[Row]]]] = {
    "core": core.run,
    "estimate": estimate.run,
    "learning": learning.run,
}
WITH_ARGUMENTS = frozenset({"estimate"})
ROOT = Path(__file__).parents[1]


def main() -> int:
    parser = argparse.ArgumentParser(prog="etabli bench")
    parser.add_argument("name", nargs="?", choices=sorted(BENCHMARKS), help="all where none is named")
    known, rest = parser.parse_known_args()
    wanted = known.name
    if rest and wanted not in WITH_ARGUMENTS:
        parser.error(f"unknown arguments: {' '.join(rest)}")
    for name in [wanted] if wanted else sorted(BENCHMARKS):
        rows = asyncio.run(estimate.run(rest) if name in WITH_ARGUMENTS else BENCHMARKS[name]())
        print(table(name, rows))
        out = ROOT / "var" / "bench" / f"{name}.json"
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps([row.to_json() for row in rows], indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
