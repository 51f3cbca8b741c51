"""A slicer that is missing, crashes, hangs, starves, lies or is killed: what the workshop says, and what it leaves.

Every case goes through `SandboxedWorkshop`, with real processes. `Unavailable` means that the job waits for a person
and may be tried again; `Rejected` that the member's file is to blame. In all of them the slicer's own words are kept,
nothing stays behind, and a price is given meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from orchestrator.domain.errors import EtabliError, Rejected, Unavailable
from orchestrator.domain.process import Process
from orchestrator.ports import Sliced
from slicing.faults import SlicerUnavailable
from slicing.limits import MIB, SLICE, Limits
from slicing.profile import PrintProfile
from slicing.prusaslicer import PrusaSlicer
from slicing.sandbox import Sandbox
from slicing.workshop import SandboxedWorkshop
from tests.slicing.shapes import a_ball, a_box, an_analyser, binary_stl, written
from tests.slicing.slicers import GCODE, WRITES, a_fake, real_slicer
from tests.slicing.test_cage import alive, begun, gone

QUICK = dataclasses.replace(SLICE, wall_seconds=1.0)


@asynccontextmanager
async def a_workshop(slicer: Path, limits: Limits = SLICE) -> AsyncIterator[SandboxedWorkshop]:
    workshop = SandboxedWorkshop(str(slicer), limits=limits)
    try:
        yield workshop
    finally:
        await workshop.close()


def a_model(tmp_path: Path) -> Path:
    return written(tmp_path, binary_stl(a_ball(60, 15)), "ball.stl")


def a_big_model(tmp_path: Path) -> Path:
    """Some seconds of slicing."""
    return written(tmp_path, binary_stl(a_ball(300, 60)), "ball.stl")


async def slice_it(workshop: SandboxedWorkshop, tmp_path: Path) -> Sliced:
    (tmp_path / "scratch").mkdir(exist_ok=True)
    return await workshop.slice(a_model(tmp_path), "ball.stl", "mk3s", Process(), 1, tmp_path / "scratch")


async def fault_of(workshop: SandboxedWorkshop, tmp_path: Path) -> EtabliError:
    """What it raises; at the same time a price must be given, and nothing may be left."""

    async def price() -> int:
        estimate = await workshop.estimate(a_model(tmp_path), "ball.stl", "mk3s", Process(), 1)
        return estimate.print_seconds.p50

    async with asyncio.TaskGroup() as group:
        priced = group.create_task(price())
        with pytest.raises(EtabliError) as caught:
            await slice_it(workshop, tmp_path)
    assert priced.result() > 60
    assert list((tmp_path / "scratch").iterdir()) == []
    return caught.value


CUT = GCODE[:-20].replace("\n", "\\n")

FAULTS = [
    ("abort", "echo 'terminate called after throwing an instance of' >&2; kill -ABRT $$", "terminate called"),
    ("segfault", "echo 'almost there'; kill -SEGV $$", "crashed"),
    ("silent", "exit 1", "crashed (exit 1)"),
    ("memory", "echo 'std::bad_alloc' >&2; exit 1", "out of memory"),
    ("disk full", "echo x | tee /dev/full; exit 1", "disk is full"),
    ("killed", "kill -9 $$", "was killed"),
    ("cut short", f"printf '{CUT}' > \"$5\"", "not whole"),
    ("empty", ': > "$5"', "not whole"),
    ("nothing", "exit 0", "left no file"),
    ("half", ': > "$5.tmp"', "left no file"),
    ("symlink", 'ln -s /etc/passwd "$5"', "left no file"),
    ("link to its own file", f'{WRITES}mv "$5" "$5.x"; ln -s "$5.x" "$5"', "left no file"),
    ("pipe", 'mkfifo "$5"', "left no file"),
    ("directory", 'mkdir "$5"', "left no file"),
    ("not executable here", "exit 126", "cannot be started"),
]


@pytest.mark.parametrize(("name", "script", "words"), FAULTS, ids=[name for name, _, _ in FAULTS])
async def test_the_job_can_wait_and_be_tried_again(
    tmp_path: Path, name: str, script: str, words: str
) -> None:
    fake = a_fake(tmp_path, script)
    async with a_workshop(fake) as workshop:
        fault = await fault_of(workshop, tmp_path)
        assert isinstance(fault, Unavailable)
        assert words in fault.detail
        assert str(tmp_path) not in fault.detail

        a_fake(tmp_path, WRITES)  # the operator has mended it
        assert (await slice_it(workshop, tmp_path)).artifact.print_seconds == 100


async def test_a_missing_slicer_is_told_and_its_return_noticed(tmp_path: Path) -> None:
    place = tmp_path / "fake-slicer"
    async with a_workshop(place) as workshop:
        fault = await fault_of(workshop, tmp_path)
        assert isinstance(fault, Unavailable)
        assert "not there" in fault.detail

        a_fake(tmp_path, WRITES)
        made = await slice_it(workshop, tmp_path)
        assert made.artifact.print_seconds == 100
        made.path.unlink()
        place.unlink()
        assert "not there" in (await fault_of(workshop, tmp_path)).detail


async def test_a_file_that_is_no_program_cannot_be_started(tmp_path: Path) -> None:
    async with a_workshop(written(tmp_path, b"\x7fELF nonsense", "fake-slicer")) as workshop:
        fault = await fault_of(workshop, tmp_path)

    assert isinstance(fault, Unavailable)
    assert "cannot be started" in fault.detail


async def test_a_hanging_slicer_is_stopped_with_all_it_started(tmp_path: Path) -> None:
    fake = a_fake(tmp_path, "echo '70 => Infilling layers'; (sleep 4721.5 &); trap '' TERM; sleep 4721.6")
    async with a_workshop(fake, QUICK) as workshop:
        fault = await fault_of(workshop, tmp_path)

    assert isinstance(fault, Unavailable)
    assert "stopped after 1 s" in fault.detail
    assert await gone("4721.")


async def test_a_slicer_killed_in_mid_slice_takes_its_whole_group_along(tmp_path: Path) -> None:
    fake = a_fake(tmp_path, "(sleep 4722.5 &); exec sleep 4722.6")
    async with a_workshop(fake) as workshop:
        slicing = asyncio.get_running_loop().create_task(fault_of(workshop, tmp_path))
        await begun("4722.5")
        await begun("4722.6")
        for pid in alive("4722.6"):
            if (Path("/proc") / str(pid) / "comm").read_text() == "sleep\n":
                os.kill(pid, signal.SIGKILL)
        fault = await slicing

    assert isinstance(fault, Unavailable)
    assert "was killed" in fault.detail
    assert await gone("4722.")


def descendants(pid: int) -> list[int]:
    """All that a process started, and what that started."""
    found: list[int] = []
    for task in (Path("/proc") / str(pid) / "task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it ended while we looked
            for child in map(int, (task / "children").read_text().split()):
                found += [child, *descendants(child)]
    return found


def runs(pid: int, program: str) -> bool:
    try:
        return str((Path("/proc") / str(pid) / "exe").readlink()) == program
    except FileNotFoundError:  # it has ended
        return False


async def test_a_real_slicer_killed_in_mid_slice_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    real_slicer()
    model = a_big_model(tmp_path)
    seen = asyncio.Event()

    async def progress(permille: int, words: str) -> None:
        seen.set()

    async with an_analyser() as analyser:
        slicer = PrusaSlicer(Sandbox(), analyser)
        slicing = asyncio.get_running_loop().create_task(
            slicer.slice(model, PrintProfile.resolve("mk3s"), 1, tmp_path / "out", progress=progress)
        )
        await seen.wait()
        program = str(real_slicer().resolve())
        # Ours alone: another test may be slicing beside us.
        killed = [pid for pid in descendants(os.getpid()) if runs(pid, program)]
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(SlicerUnavailable, match="was killed"):
            await slicing

    assert killed
    assert list((tmp_path / "out").iterdir()) == []


async def test_a_real_slicer_that_starves_says_so(tmp_path: Path) -> None:
    starving = dataclasses.replace(SLICE, address_space_bytes=250 * MIB)
    async with an_analyser() as analyser:
        slicer = PrusaSlicer(Sandbox(), analyser, path=real_slicer(), limits=starving)
        with pytest.raises(SlicerUnavailable, match=r"out of memory: .*std::bad_alloc"):
            await slicer.slice(a_big_model(tmp_path), PrintProfile.resolve("mk3s"), 1, tmp_path / "out")

    assert list((tmp_path / "out").iterdir()) == []


async def test_a_real_slicer_on_a_full_disk_says_so(tmp_path: Path) -> None:
    # given a slicer whose output directory holds 200 kB
    if Sandbox().backend != "bubblewrap":
        pytest.skip("SKIPPED ALOUD: bubblewrap does not work on this machine, so no small disk can be made")
    small = f'exec bwrap --dev-bind / / --size 200000 --tmpfs "$(dirname "$5")" {real_slicer()} "$@"'
    async with an_analyser() as analyser:
        slicer = PrusaSlicer(Sandbox(backend="rlimits"), analyser, path=a_fake(tmp_path, small))
        with pytest.raises(SlicerUnavailable, match="the disk is full") as caught:
            await slicer.slice(a_model(tmp_path), PrintProfile.resolve("mk3s"), 1, tmp_path / "out")

    assert "Is the disk full?" in caught.value.words
    assert list((tmp_path / "out").iterdir()) == []


WORKER = """
import asyncio, sys
from pathlib import Path
from slicing.limits import SLICE
from slicing.sandbox import Sandbox
sandbox = Sandbox(backend=sys.argv[1])
asyncio.run(sandbox.run(["/usr/bin/sleep", sys.argv[2]], limits=SLICE))
"""


def children(pid: int) -> str:
    return (Path("/proc") / str(pid) / "task" / str(pid) / "children").read_text()


@pytest.mark.parametrize(("backend", "mark"), [("bubblewrap", "4723.5"), ("rlimits", "4724.5")])
async def test_a_worker_that_is_killed_at_any_moment_leaves_no_slicer_at_work(
    backend: str, mark: str
) -> None:
    # killed within milliseconds of the child's birth, and once when all is running
    if backend == "bubblewrap" and Sandbox().backend != "bubblewrap":
        pytest.skip("SKIPPED ALOUD: bubblewrap does not work on this machine")
    root = str(Path(__file__).parents[2])
    for milliseconds in (0, 1, 2, 3, 4, 5, 6, 8, 10, 300):
        worker = await asyncio.create_subprocess_exec(sys.executable, "-c", WORKER, backend, mark, cwd=root)
        async with asyncio.timeout(20):
            while not children(worker.pid):  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        await asyncio.sleep(milliseconds / 1000)
        worker.kill()
        await worker.wait()

    assert await gone(f"sleep\0{mark}")


TOO_MUCH = [
    ("endless file", 'head -c 3000000 /dev/zero > "$5"', "bytes"),
    ("endless work", "while :; do :; done", "1 s"),
]


@pytest.mark.parametrize(("name", "script", "words"), TOO_MUCH, ids=[name for name, _, _ in TOO_MUCH])
async def test_what_goes_over_a_limit_of_its_own_work_is_rejected(
    tmp_path: Path, name: str, script: str, words: str
) -> None:
    tight = dataclasses.replace(SLICE, cpu_seconds=1, file_bytes=1_000_000)
    async with a_workshop(a_fake(tmp_path, f"{script}\nexit $?"), tight) as workshop:
        fault = await fault_of(workshop, tmp_path)

    assert isinstance(fault, Rejected)
    assert fault.code == "slice.too_complex"
    assert words in fault.detail
    assert {"en", "fr"} <= set(fault.faults[0].texts)


async def test_a_real_slicers_file_over_the_limit_is_rejected(tmp_path: Path) -> None:
    small = dataclasses.replace(SLICE, file_bytes=100_000)
    async with a_workshop(real_slicer(), small) as workshop:
        fault = await fault_of(workshop, tmp_path)

    assert isinstance(fault, Rejected)
    assert fault.code == "slice.too_complex"


async def test_an_hour_of_words_without_an_end_costs_no_memory(tmp_path: Path) -> None:
    fake = a_fake(tmp_path, f"yes xxxxxxxxxxxxxxxx | head -c 20000000 | tr -d '\\n'; {WRITES}")
    told: list[str] = []

    async def progress(permille: int, words: str) -> None:
        told.append(words)

    async with an_analyser() as analyser:
        slicer = PrusaSlicer(Sandbox(), analyser, path=fake)
        result = await slicer.slice(
            written(tmp_path, binary_stl(a_box()), "box.stl"),
            PrintProfile.resolve("mk3s"),
            1,
            tmp_path / "out",
            progress=progress,
        )

    assert result.report.seconds == 100
    assert told == []
