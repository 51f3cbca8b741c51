"""A job whose slicer is missing, crashes, hangs or starves: it says so and waits, or fails, and quotes go on.

The true flow on SQLite, the true workshop, real processes.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from orchestrator.domain.event import Event
from orchestrator.domain.job import Job, JobState
from orchestrator.domain.member import Member
from orchestrator.domain.process import Process
from orchestrator.domain.quote import Quote
from orchestrator.flow import act, report
from orchestrator.flow.prepare import SLICING, slicing
from orchestrator.flow.submit import accept, quote, upload
from slicing.limits import MIB, SLICE, Limits
from slicing.workshop import SandboxedWorkshop
from tests.flow.home import Home, a_home
from tests.slicing.shapes import a_box, binary_stl
from tests.slicing.slicers import WRITES, a_fake, real_slicer
from tests.slicing.test_cage import begun, gone

QUICK = dataclasses.replace(SLICE, wall_seconds=1.0)


@asynccontextmanager
async def a_lab(tmp_path: Path, slicer: Path, limits: Limits = SLICE) -> AsyncIterator[tuple[Home, Member]]:
    """A lab with a printer and a member with money, whose slicer is this program."""
    workshop = SandboxedWorkshop(str(slicer), data=tmp_path / "data", limits=limits)
    files = tmp_path / "files"
    files.mkdir()
    try:
        async with a_home(files, workshop=workshop) as home:
            await home.machine("Ada")
            yield home, await home.member(cents=5_000)
    finally:
        await workshop.close()


async def priced(home: Home, member: Member, mm: float = 20) -> Quote:
    """Uploaded and quoted by the true analyser."""

    async def content() -> AsyncIterator[bytes]:
        yield binary_stl(a_box(mm, mm, 5))

    file = await upload(home.lab, member, "box.stl", content())
    return await quote(home.lab, member, file_id=file.id, process=Process(), quantity=1, machine_class=None)


async def a_job(home: Home, member: Member) -> Job:
    """Accepted, and prepared as far as it goes."""
    job, _created = await accept(home.lab, member, (await priced(home, member)).id)
    return await home.now(job)


async def events(home: Home, job: Job) -> list[Event]:
    return list(await home.store.read(lambda unit: unit.events(0, job_id=job.id)))


def scratch(tmp_path: Path) -> list[Path]:
    """Directories left among the files."""
    return [path for path in (tmp_path / "files").iterdir() if path.is_dir()]


async def test_without_a_slicer_the_job_waits_with_the_reason_and_goes_on_once_it_is_back(
    tmp_path: Path,
) -> None:
    async with a_lab(tmp_path, tmp_path / "fake-slicer") as (home, member):
        # given no slicer: the price is given all the same, and the job says what is missing
        job = await a_job(home, member)
        held = (await report.account(home.lab, member)).balance.held
        assert job.state is JobState.ATTENTION
        assert "the slicer set in the configuration is not there" in job.reason
        assert held.cents > 0
        assert (await priced(home, member, 30)).total.cents > 0
        # when it is back and a technician tries again
        a_fake(tmp_path, WRITES)
        await act.retry(home.lab, home.tech, job.id)
        # then the job is queued under the same hold
        again = await home.now(job)
        assert (again.state, again.reason) == (JobState.QUEUED, "")
        assert again.artifact is not None
        assert (await report.account(home.lab, member)).balance.held == held
        assert scratch(tmp_path) == []
        assert not await home.store.verify()


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo 'terminate called' >&2; kill -ABRT $$", "terminate called"),
        ("kill -SEGV $$", "crashed"),
        ("sleep NAP", "stopped after 1 s"),
        ("kill -9 $$", "was killed"),
        ('echo "G28" > "$5"', "not whole"),
        ('ln -s /etc/passwd "$5"', "left no file"),
        ("echo x | tee /dev/full; exit 1", "the disk is full"),
    ],
)
async def test_a_slicer_that_fails_by_itself_makes_the_job_wait_and_a_retry_goes_on(
    tmp_path: Path, script: str, words: str
) -> None:
    nap = f"4731.{os.getpid()}"  # another worker may run this very test
    async with a_lab(tmp_path, a_fake(tmp_path, script.replace("NAP", nap)), QUICK) as (home, member):
        job = await a_job(home, member)
        assert job.state is JobState.ATTENTION
        assert words in job.reason
        assert scratch(tmp_path) == []
        assert await gone(nap)

        a_fake(tmp_path, WRITES)
        await act.retry(home.lab, home.tech, job.id)
        assert (await home.now(job)).state is JobState.QUEUED
        assert not await home.store.verify()


async def test_a_real_slicer_that_starves_makes_the_job_wait(tmp_path: Path) -> None:
    starving = dataclasses.replace(SLICE, address_space_bytes=200 * MIB)
    async with a_lab(tmp_path, real_slicer(), starving) as (home, member):
        job = await a_job(home, member)

    assert job.state is JobState.ATTENTION
    assert "slicer" in job.reason
    assert scratch(tmp_path) == []


async def test_a_part_that_goes_over_its_limit_is_rejected_and_its_hold_is_free_again(tmp_path: Path) -> None:
    small = dataclasses.replace(SLICE, file_bytes=20_000)
    async with a_lab(tmp_path, real_slicer(), small) as (home, member):
        job = await a_job(home, member)
        balance = (await report.account(home.lab, member)).balance

    assert job.state is JobState.REJECTED
    assert "20000 bytes" in job.reason
    assert (balance.posted.cents, balance.held.cents) == (5_000, 0)
    assert scratch(tmp_path) == []


async def test_a_real_slice_tells_its_progress_in_the_log_and_the_second_order_is_remembered(
    tmp_path: Path,
) -> None:
    async with a_lab(tmp_path, real_slicer()) as (home, member):
        first, second = await a_job(home, member), await a_job(home, member)
        told = [event for event in await events(home, first) if event.topic == SLICING]
        told_again = [event for event in await events(home, second) if event.topic == SLICING]
        before_queued = (await events(home, first))[:-1]

    assert first.state is second.state is JobState.QUEUED
    assert first.artifact == second.artifact
    permilles = [event.data["permille"] for event in told]
    assert permilles == [100, 700, 900]
    assert all(event.member_id == member.id for event in told)
    assert told_again == []
    now = slicing(before_queued)
    assert now is not None
    assert (now.permille, now.words) == (900, "Exporting G-code to out.gcode")
    assert slicing([]) is None


async def test_while_a_slicer_hangs_others_get_their_price_and_a_cancelled_job_stops_it(
    tmp_path: Path,
) -> None:
    # given a slicer that hangs after it told its first step, until a file appears
    script = (
        "echo '10 => Processing triangulated mesh'\n"
        'while [ ! -e /out/go ] && [ ! -e "$(dirname "$5")/go" ]; do sleep 0.05; done\n'
        "echo '70 => Infilling layers'\nsleep 4732.5\n"
    )
    async with a_lab(tmp_path, a_fake(tmp_path, script)) as (home, member):
        wish = await priced(home, member)
        accepting = asyncio.get_running_loop().create_task(accept(home.lab, member, wish.id))
        await begun(f"{tmp_path}/fake-slicer\0--load")
        # when others ask for prices meanwhile
        totals = [(await priced(home, member, 25 + i)).total.cents for i in range(3)]
        (job,) = await home.store.read(lambda unit: unit.jobs(states={JobState.PREPARING}))
        # and the member cancels, and the slicer goes on to its next step
        await act.cancel(home.lab, member, job.id)
        (out,) = (tmp_path / "files").glob("*/work/out")
        (out / "go").touch()
        await accepting
        balance = (await report.account(home.lab, member)).balance
        cancelled = await home.now(job)

    # then prices were given, the slicer is gone, and nothing is held
    assert totals == sorted(totals)
    assert totals[0] > 0
    assert cancelled.state is JobState.CANCELLED
    assert balance.held.cents == 0
    assert await gone(f"{tmp_path}/fake-slicer")
    assert await gone("4732.5")
    assert scratch(tmp_path) == []
