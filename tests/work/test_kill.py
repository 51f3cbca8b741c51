"""Durable means: kill -9 of a worker in the midst loses nothing and repeats nothing that was finished."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from orchestrator.ports import WorkStatus
from orchestrator.work.dbos import RESCUES_MAX, DbosWork
from tests.services import ROOT
from tests.work.builders import RealClock, until
from tests.work.worker import STEPS, effects, kinds

Where = str | Path
Worker = subprocess.Popen[bytes]
WORKS = [f"job-{number:02}" for number in range(12)]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.peers)])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Where:
    if request.param == "sqlite":
        return tmp_path
    url: str = request.getfixturevalue("postgres_url")
    return url


@contextmanager
def a_worker(where: Where, executor: str, log: Path) -> Iterator[Worker]:
    """A process that executes; killed at the end if it still lives."""
    program = [sys.executable, "-m", "tests.work.worker", str(where), executor, str(log)]
    process = subprocess.Popen(program, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


@asynccontextmanager
async def a_submitter(where: Where, log: Path) -> AsyncIterator[DbosWork]:
    """A process that only starts works, such as a web server with its workers elsewhere."""
    work = DbosWork(where, executor_id="web", kinds=kinds("web", log), clock=RealClock(), executes=False)
    await work.launch()
    try:
        yield work
    finally:
        await work.close()


async def finished_steps(work: DbosWork) -> set[tuple[str, str]]:
    found = {id: await work.progress(id) for id in WORKS}
    return {(id, step) for id, progress in found.items() if progress for step in progress.steps_done}


async def all_done(work: DbosWork) -> bool:
    found = [await work.progress(id) for id in WORKS]
    return all(progress is not None and progress.status is WorkStatus.SUCCEEDED for progress in found)


@pytest.mark.slow
async def test_a_killed_workers_work_is_taken_over_and_no_finished_step_is_repeated(
    where: Where, tmp_path: Path
) -> None:
    log = tmp_path / "effects"

    async def a_is_slicing() -> bool:
        mine = [effect for effect in effects(log) if effect.executor == "host-a"]
        return sum(effect.step == "slice" and effect.what == "begin" for effect in mine) >= 3

    async with a_submitter(where, log) as work:
        with a_worker(where, "host-a", log) as a, a_worker(where, "host-b", log) as b:
            for id in WORKS:
                await work.start("prepare-file", id, {"id": id})
            await until(a_is_slicing)
            a.send_signal(signal.SIGKILL)
            await asyncio.to_thread(a.wait, 10)
            finished = await finished_steps(work)
            await until(lambda: all_done(work), seconds=20)
            assert b.poll() is None

    seen = effects(log)
    begun = Counter((effect.work, effect.step) for effect in seen if effect.what == "begin")
    ended = Counter((effect.work, effect.step) for effect in seen if effect.what == "end")
    everything = {(id, step) for id in WORKS for step in STEPS}
    assert set(ended) == everything
    assert {step: begun[step] for step in finished} == dict.fromkeys(finished, 1)
    # What A was in the midst of is begun again, and nothing else is.
    assert 1 <= sum(begun.values()) - len(everything) <= 2
    assert {effect.what for effect in seen} == {"begin", "end"}


@pytest.mark.slow
async def test_a_work_that_kills_its_process_is_given_up_visibly(tmp_path: Path) -> None:
    log = tmp_path / "effects"

    async with a_submitter(tmp_path, log) as work:
        await work.start("killer", "job-1", {"id": "job-1"})
        for _ in range(RESCUES_MAX + 1):
            with a_worker(tmp_path, "host-a", log) as worker:
                await asyncio.to_thread(worker.wait, 20)
        with a_worker(tmp_path, "host-a", log) as worker:

            async def told() -> bool:
                return effects(log)[-1].what == "failed"

            await until(told)
            progress = await work.progress("job-1")
            assert worker.poll() is None

    assert progress is not None
    assert progress.status is WorkStatus.FAILED
    assert Counter(effect.what for effect in effects(log)) == {"begin": RESCUES_MAX + 1, "failed": 1}
