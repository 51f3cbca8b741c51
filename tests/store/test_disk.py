"""Files on a disk that is really full, and under uploads that are really cut: beside what the contract suite asks."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from orchestrator.domain.errors import TooLarge, Unavailable
from orchestrator.store.files import WRITE_AT_ONCE_BYTES, DiskFiles

MIB = 1 << 20


class Cut(Exception):
    """The connection went away."""


async def chunks(*parts: bytes, then: Exception | None = None) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
    if then is not None:
        raise then


def everything_in(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())


def open_files() -> list[str]:
    """What this process has open, by name."""
    names = []
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the one that reads this directory
            names.append(str(entry.readlink()))
    return names


@pytest.fixture
def files(tmp_path: Path) -> DiskFiles:
    return DiskFiles(tmp_path, free_bytes=0)


async def test_500_uploads_cut_at_a_random_byte_leave_nothing(files: DiskFiles, tmp_path: Path) -> None:
    chance = random.Random(2)

    async def cut() -> None:
        parts = [chance.randbytes(chance.randrange(1, 1000)) for _ in range(chance.randrange(0, 5))]
        if chance.random() < 0.05:
            parts.append(bytes(WRITE_AT_ONCE_BYTES))
        with pytest.raises(Cut):
            await files.receive(chunks(*parts, then=Cut()), limit_bytes=10 * MIB)

    for _ in range(50):
        await asyncio.gather(*(cut() for _ in range(10)))

    assert everything_in(tmp_path) == []
    assert [name for name in open_files() if name.startswith(str(tmp_path))] == [], "nor an open descriptor"


async def test_the_first_byte_past_the_limit_is_the_last_one_read(files: DiskFiles) -> None:
    asked: list[int] = []

    async def endless() -> AsyncIterator[bytes]:
        while True:
            asked.append(1)
            yield b"x"

    with pytest.raises(TooLarge):
        await files.receive(endless(), limit_bytes=10)
    assert len(asked) == 11


async def test_what_is_received_again_is_new_to_the_sweeper(files: DiskFiles) -> None:
    stored = await files.receive(chunks(b"again"), limit_bytes=10)
    then = files.path(stored.sha256).stat().st_mtime - 100
    os.utime(files.path(stored.sha256), (then, then))
    await files.receive(chunks(b"again"), limit_bytes=10)

    assert await files.sweep(frozenset(), older_than_seconds=60) == 0, "its row may be about to be written"
    assert files.path(stored.sha256).exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
async def test_a_disk_that_fills_up_on_the_way_leaves_nothing_and_goes_on_working(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(small)]
    if (await asyncio.to_thread(subprocess.run, mounting, capture_output=True, check=False)).returncode:
        pytest.skip("this machine mounts nothing")
    try:
        files = DiskFiles(small, free_bytes=0)
        with pytest.raises(Unavailable) as refusal:
            await files.receive(chunks(*[bytes(MIB)] * 4), limit_bytes=10 * MIB)
        assert refusal.value.code == "disk_full"
        assert everything_in(small) == []
        await files.receive(chunks(bytes(MIB // 2)), limit_bytes=MIB)
    finally:
        await asyncio.to_thread(subprocess.run, ["umount", str(small)], check=True)
