"""What the store of files promises: what was received is on disk for good, what was not received leaves nothing."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from orchestrator.domain.errors import TooLarge, Unavailable
from orchestrator.store.files import WRITE_AT_ONCE_BYTES, DiskFiles
from orchestrator.store.schema import migrate
from tests.services import ROOT, missing

LARGE = 1 << 30
DAY_SECONDS = 86_400


class CutOff(Exception):
    """The member's connection is gone."""


@pytest.fixture
def files(tmp_path: Path) -> DiskFiles:
    return DiskFiles(tmp_path / "files", free_bytes=0)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def cut_after(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
    raise CutOff


def everything(root: Path) -> list[Path]:
    """All files, whole or half, served or not."""
    return sorted(path for path in root.rglob("*") if path.is_file())


def aged(path: Path, seconds: int) -> None:
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


# --- received ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sizes",
    [
        (),
        (0,),
        (1,),
        (3, 5, 7),
        (WRITE_AT_ONCE_BYTES,),
        (WRITE_AT_ONCE_BYTES - 1, 2),
        (3 * WRITE_AT_ONCE_BYTES + 1,),
    ],
)
async def test_received_bytes_lie_under_their_hash_and_nobody_may_write_them(
    files: DiskFiles, tmp_path: Path, sizes: Sequence[int]
) -> None:
    parts = [random.Random(size).randbytes(size) for size in sizes]
    content = b"".join(parts)

    stored = await files.receive(chunks(*parts), limit_bytes=LARGE)

    assert (stored.sha256, stored.size_bytes) == (sha256(content), len(content))
    path = files.path(stored.sha256)
    assert path.read_bytes() == content
    assert path.stat().st_mode & 0o7777 == 0o400
    assert everything(tmp_path) == [path], "nothing else stays"


async def test_the_same_bytes_twice_are_one_file(files: DiskFiles, tmp_path: Path) -> None:
    first = await files.receive(chunks(b"solid"), limit_bytes=LARGE)
    second = await files.receive(chunks(b"so", b"lid"), limit_bytes=LARGE)

    assert first == second
    assert everything(tmp_path) == [files.path(first.sha256)]


async def test_many_at_once_do_not_mix(files: DiskFiles, tmp_path: Path) -> None:
    contents = [bytes([number % 10]) * 1000 for number in range(30)]

    stored = await asyncio.gather(
        *(files.receive(chunks(c[:500], c[500:]), limit_bytes=LARGE) for c in contents)
    )

    assert [one.sha256 for one in stored] == [sha256(content) for content in contents]
    assert len(everything(tmp_path)) == 10


async def test_an_adopted_file_moves_in_and_the_original_is_gone(files: DiskFiles, tmp_path: Path) -> None:
    made = tmp_path / "made.gcode"
    made.write_bytes(b"G28\n" * 400_000)

    stored = await files.adopt(made)

    assert files.path(stored.sha256).read_bytes() == b"G28\n" * 400_000
    assert everything(tmp_path) == [files.path(stored.sha256)]


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "A" * 64, "a" * 63, "a" * 65, "/" * 64, "é" * 64])
def test_what_is_no_hash_is_no_path(files: DiskFiles, name: str) -> None:
    with pytest.raises(ValueError, match="sha256"):
        files.path(name)


# --- not received ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 1000, WRITE_AT_ONCE_BYTES, 2 * WRITE_AT_ONCE_BYTES + 5])
async def test_an_upload_that_is_cut_off_leaves_nothing(files: DiskFiles, tmp_path: Path, size: int) -> None:
    with pytest.raises(CutOff):
        await files.receive(cut_after(b"x" * size), limit_bytes=LARGE)

    assert everything(tmp_path) == []


@pytest.mark.parametrize("size", [0, 1000, 2 * WRITE_AT_ONCE_BYTES])
async def test_an_upload_that_is_cancelled_leaves_nothing(
    files: DiskFiles, tmp_path: Path, size: int
) -> None:
    reached = asyncio.Event()

    async def stuck() -> AsyncIterator[bytes]:
        yield b"x" * size
        reached.set()
        await asyncio.Event().wait()

    async with asyncio.TaskGroup() as tasks:
        upload = tasks.create_task(files.receive(stuck(), limit_bytes=LARGE))
        await reached.wait()
        assert len(everything(tmp_path)) == 1, "the half file that must go"
        upload.cancel()

    assert upload.cancelled()
    assert everything(tmp_path) == []


async def test_cancelled_at_any_moment_it_is_either_whole_or_not_there(
    files: DiskFiles, tmp_path: Path
) -> None:
    content = b"y" * (2 * WRITE_AT_ONCE_BYTES)
    for turns in range(12):
        async with asyncio.TaskGroup() as tasks:
            upload = tasks.create_task(files.receive(chunks(content), limit_bytes=LARGE))
            for _ in range(turns):
                await asyncio.sleep(0)
            upload.cancel()

        for left in everything(tmp_path):
            assert left == files.path(sha256(content))
            assert left.read_bytes() == content


@pytest.mark.parametrize("parts", [(b"x" * 11,), (b"x" * 10, b"x"), (b"x",) * 11])
async def test_the_first_byte_past_the_limit_is_too_large(
    files: DiskFiles, tmp_path: Path, parts: tuple[bytes, ...]
) -> None:
    with pytest.raises(TooLarge):
        await files.receive(chunks(*parts), limit_bytes=10)
    assert everything(tmp_path) == []

    await files.receive(chunks(b"x" * 10), limit_bytes=10)


async def test_a_disk_that_is_nearly_full_takes_nothing_more(tmp_path: Path) -> None:
    full = DiskFiles(tmp_path, free_bytes=shutil.disk_usage(tmp_path).total, free_share=1.0)

    with pytest.raises(Unavailable) as refusal:
        await full.receive(chunks(b"x"), limit_bytes=LARGE)

    assert refusal.value.code == "disk_full"
    assert everything(tmp_path) == []


# --- cleaning up -------------------------------------------------------------------------------------------------


async def test_a_scratch_directory_is_gone_with_its_task(files: DiskFiles, tmp_path: Path) -> None:
    made: list[Path] = []

    async def task() -> None:
        async with files.scratch() as directory:
            made.append(directory)
            (directory / "out.gcode").write_text("G28")
            raise CutOff

    with pytest.raises(CutOff):
        await task()

    assert [directory.exists() for directory in made] == [False]
    assert everything(tmp_path) == []


async def test_the_sweep_takes_old_orphans_and_half_files_and_nothing_else(
    files: DiskFiles, tmp_path: Path
) -> None:
    known = await files.receive(chunks(b"a row names it"), limit_bytes=LARGE)
    orphan = await files.receive(chunks(b"no row names it"), limit_bytes=LARGE)
    young = await files.receive(chunks(b"its row is being written"), limit_bytes=LARGE)
    old_half = tmp_path / "files" / "quarantine" / "half-of-a-killed-process"
    old_half.write_bytes(b"half")
    old_scratch = tmp_path / "files" / "quarantine" / "scratch-of-a-killed-process"
    (old_scratch / "deep").mkdir(parents=True)
    (old_scratch / "deep" / "out.gcode").write_bytes(b"G28")
    young_half = tmp_path / "files" / "quarantine" / "half-of-this-moment"
    young_half.write_bytes(b"half")
    for path in (files.path(known.sha256), files.path(orphan.sha256), old_half, old_scratch):
        aged(path, 2 * DAY_SECONDS)

    gone = await files.sweep(frozenset({known.sha256}), DAY_SECONDS)

    assert gone == 3
    assert everything(tmp_path) == sorted([files.path(known.sha256), files.path(young.sha256), young_half])
    assert not old_scratch.exists()
    assert await files.sweep(frozenset({known.sha256}), DAY_SECONDS) == 0


# --- power cuts --------------------------------------------------------------------------------------------------

_UPLOAD = """
import asyncio, os, sys
from pathlib import Path
from orchestrator.clock import SystemClock
from orchestrator.store.files import DiskFiles
from orchestrator.store.sql import SqlStore
from tests.builders import a_file, at_home

async def content():
    yield b"solid cube"

async def main():
    store = await SqlStore.open(sys.argv[1], SystemClock())
    files = DiskFiles(Path(sys.argv[2]), free_bytes=0)
    home = await at_home(store)
    stored = await files.receive(content(), limit_bytes=1000)
    row = a_file(owner_id=home.member.id, sha256=stored.sha256)
    await store.write(lambda unit: unit.add_file(row))
    os.write(1, b"201 Created")
    await store.close()

asyncio.run(main())
"""


def _calls(trace: Path) -> list[str]:
    """Finished system calls in the order in which they ended: one that a thread interrupted is put together."""
    begun: dict[str, str] = {}
    done: list[str] = []
    for line in trace.read_text().splitlines():
        pid, _, call = line.partition(" ")
        call = call.strip()
        if call.endswith("<unfinished ...>"):
            begun[pid] = call.removesuffix("<unfinished ...>")
        elif resumed := re.match(r"<\.\.\. \w+ resumed>(.*)", call):
            done.append(begun.pop(pid) + resumed[1])
        else:
            done.append(call)
    return done


def _place(calls: Sequence[str], pattern: str, after: int = -1) -> int:
    """Where in the trace the first call after `after` matches."""
    for place, call in enumerate(calls):
        if place > after and re.search(pattern, call):
            return place
    raise AssertionError(f"{pattern} does not come after call {after} of:\n" + "\n".join(calls))


async def test_file_name_directory_and_row_are_on_disk_in_this_order_before_the_answer(
    tmp_path: Path,
) -> None:
    strace = shutil.which("strace")
    if strace is None:
        missing("strace is not installed")
    url, trace = f"sqlite:///{tmp_path / 'etabli.db'}", tmp_path / "trace"
    await migrate(url)
    command = [strace, "-f", "-y", "-s", "64", "-o", str(trace)]
    command += ["-e", "trace=fsync,fdatasync,rename,renameat,renameat2,mkdir,mkdirat,write"]
    command += [sys.executable, "-c", _UPLOAD, url, str(tmp_path / "files")]

    done = await asyncio.to_thread(
        subprocess.run, command, cwd=ROOT, capture_output=True, timeout=60, check=False
    )
    if done.returncode != 0 and b"ptrace" in done.stderr:
        missing("strace may not trace here")

    assert done.stdout == b"201 Created", done.stderr.decode()
    calls, digest = _calls(trace), sha256(b"solid cube")
    bytes_synced = _place(calls, r"fsync\(\d+<\S*/quarantine/half-\w+>\) += 0")
    renamed = _place(
        calls, rf"rename\w*\(.*half-.*blobs/{digest[:2]}/{digest[2:4]}/{digest}\".*= 0", bytes_synced
    )
    name_synced = _place(calls, rf"fsync\(\d+<\S*/blobs/{digest[:2]}/{digest[2:4]}>\) += 0", renamed)
    row_synced = _place(calls, r"f(data)?sync\(\d+<\S*etabli\.db-wal>\) += 0", name_synced)
    _place(calls, r"write\(1<.*201 Created", row_synced)
    # and the directories on the way, where they are new
    for parent, new in ((r"blobs", digest[:2]), (rf"blobs/{digest[:2]}", digest[2:4])):
        made = _place(calls, rf"mkdir\w*\(.*/{parent}/{new}\"")
        assert made < _place(calls, rf"fsync\(\d+<\S*/{parent}>\) += 0", made) < renamed
    # the answer comes once, after all of it
    assert sum("201 Created" in call for call in calls) == 1
    assert _place(calls, "201 Created") > row_synced
