"""A worker process for the tests, to be killed: `worker.py WHERE EXECUTOR EFFECTS`.

Each step writes its begin and its end, with its process, to the append-only effects file. A work called
`killer` kills its process in its only step. `failed` writes too."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.domain.event import Json
from orchestrator.ports import Step, WorkKind
from orchestrator.work.dbos import DbosWork
from tests.work.builders import RealClock

STEP_SECONDS = 0.15
STEPS = ("analyse", "slice", "preview")


@dataclass(frozen=True)
class Effect:
    work: str
    step: str
    what: str  # begin | end | failed
    executor: str


def effects(path: Path) -> list[Effect]:
    lines = path.read_text().splitlines() if path.exists() else []
    return [Effect(*line.split(" ", 3)) for line in lines]


def kinds(executor: str, path: Path) -> list[WorkKind]:
    def write(work: object, step: str, what: str) -> None:
        line = f"{work} {step} {what} {executor}\n".encode()
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(descriptor, line)
        os.close(descriptor)

    def step(name: str) -> Step:
        async def run(args: Mapping[str, Json]) -> Json:
            write(args["id"], name, "begin")
            await asyncio.sleep(STEP_SECONDS)
            write(args["id"], name, "end")
            return name

        return Step(name=name, run=run)

    async def kill(args: Mapping[str, Json]) -> Json:
        write(args["id"], "kill", "begin")
        os.kill(os.getpid(), signal.SIGKILL)
        return None

    async def failed(args: Mapping[str, Json], reason: str) -> None:
        write(args["id"], "failed", "failed")

    return [
        WorkKind(name="prepare-file", steps=tuple(step(name) for name in STEPS), failed=failed),
        WorkKind(name="killer", steps=(Step(name="kill", run=kill),), failed=failed),
    ]


async def main(where: str, executor: str, path: str) -> None:
    work = DbosWork(
        where if "://" in where else Path(where),
        executor_id=executor,
        kinds=kinds(executor, Path(path)),
        clock=RealClock(),
        poll_seconds=0.05,
        slots={"prepare": 2},
    )
    await work.launch()
    try:
        await work.watch()
    finally:
        await work.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
