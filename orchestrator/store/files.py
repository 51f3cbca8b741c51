"""Files on disk, named by what is in them. What `receive` returned survives a power cut; what it did not return leaves
nothing. Knows bytes and hashes; whose a file is, and whether anybody still wants it, the database knows.

    root/blobs/ab/cd/<sha256>    whole files, read-only
    root/quarantine/             half files and scratch directories; never served, swept when old
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import ParamSpec, TypeVar
from uuid import uuid4

from orchestrator.domain.errors import TooLarge, Unavailable
from orchestrator.ports import Stored

P = ParamSpec("P")
T = TypeVar("T")

WRITE_AT_ONCE_BYTES = 1 << 20  # what is gathered before a thread writes it
FREE_BYTES = 2 << 30
FREE_SHARE = 0.05
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class DiskFiles:
    """Implements `orchestrator.ports.Files` in a directory of its own, on one file system.

    Refuses with Unavailable ("disk_full") what would leave less than the smaller of `free_bytes` and `free_share` of
    the disk: the database needs the rest.
    """

    def __init__(self, root: Path, *, free_bytes: int = FREE_BYTES, free_share: float = FREE_SHARE) -> None:
        self._blobs = root / "blobs"
        self._quarantine = root / "quarantine"
        self._free_bytes = free_bytes
        self._free_share = free_share
        for directory in (self._blobs, self._quarantine):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    def path(self, sha256: str) -> Path:
        """Where a stored file lies. Raises ValueError for what is no hash, so that no name leads elsewhere."""
        if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
            raise ValueError("not a sha256")
        return self._blobs / sha256[:2] / sha256[2:4] / sha256

    async def receive(self, chunks: AsyncIterator[bytes], *, limit_bytes: int) -> Stored:
        """Store a stream. Raises TooLarge with the first byte past the limit, Unavailable when the disk is nearly
        full; whatever ends it early, nothing of it stays."""
        half = _Half(self._quarantine)
        try:
            await _in_thread(self._begin, half)
            await self._fill(half, chunks, limit_bytes)
            return await _in_thread(self._keep, half)
        finally:
            await _in_thread(half.drop)

    async def adopt(self, path: Path) -> Stored:
        """Take over a finished file of ours; the original is gone afterwards. Raises Unavailable as `receive`."""
        half = _Half(self._quarantine)
        try:
            await _in_thread(self._begin, half)
            with path.open("rb") as source:
                while chunk := await _in_thread(source.read, WRITE_AT_ONCE_BYTES):
                    await _in_thread(self._write, half, chunk)
            stored = await _in_thread(self._keep, half)
        finally:
            await _in_thread(half.drop)
        await _in_thread(path.unlink)
        return stored

    @asynccontextmanager
    async def scratch(self) -> AsyncIterator[Path]:
        """A directory for the time of a task; gone afterwards, with all that is in it."""
        directory = self._quarantine / f"scratch-{uuid4().hex}"
        try:
            await _in_thread(directory.mkdir, mode=0o700)
            yield directory
        finally:
            await _in_thread(shutil.rmtree, directory, ignore_errors=True)

    async def sweep(self, known: frozenset[str], older_than_seconds: int) -> int:
        """Delete what lies in quarantine, and files that no row names, if older than that; returns how many went."""
        return await _in_thread(self._sweep, known, older_than_seconds)

    async def _fill(self, half: _Half, chunks: AsyncIterator[bytes], limit_bytes: int) -> None:
        gathered = bytearray()
        async for chunk in chunks:
            if half.size_bytes + len(gathered) + len(chunk) > limit_bytes:
                raise TooLarge(f"The file is larger than {limit_bytes} bytes.")
            gathered += chunk
            if len(gathered) >= WRITE_AT_ONCE_BYTES:
                await _in_thread(self._write, half, gathered)
                gathered = bytearray()
        await _in_thread(self._write, half, gathered)

    # in a thread

    def _begin(self, half: _Half) -> None:
        self._require_room(0)
        half.open()

    def _write(self, half: _Half, data: bytes | bytearray) -> None:
        self._require_room(len(data))
        half.write(data)

    def _keep(self, half: _Half) -> Stored:
        """File to disk, then its name, then the name's directory: in this order, or a power cut finds a hole."""
        stored = half.finish()
        target = self.path(stored.sha256)
        self._make_directories(target.parent)
        half.path.replace(target)  # the same bytes twice are one file
        _sync_directory(target.parent)
        return stored

    def _make_directories(self, leaf: Path) -> None:
        for directory in (leaf.parent, leaf):
            if not directory.is_dir():
                directory.mkdir(mode=0o700, exist_ok=True)
                _sync_directory(directory.parent)

    def _require_room(self, more_bytes: int) -> None:
        disk = shutil.disk_usage(self._quarantine)
        floor = min(self._free_bytes, int(disk.total * self._free_share))
        if disk.free - more_bytes < floor:
            raise Unavailable("The disk is nearly full.", code="disk_full")

    def _sweep(self, known: frozenset[str], older_than_seconds: int) -> int:
        before = time.time() - older_than_seconds  # noqa: TID251 - compared with the file system's own times
        gone = 0
        for path in [*self._quarantine.iterdir(), *self._unknown(known)]:
            with suppress(FileNotFoundError):
                if path.lstat().st_mtime <= before:
                    _delete(path)
                    gone += 1
        return gone

    def _unknown(self, known: frozenset[str]) -> Iterator[Path]:
        return (path for path in self._blobs.glob("??/??/*") if path.name not in known)


class _Half:
    """A file that is not whole yet. It has its name before it exists, so that it can always be dropped."""

    def __init__(self, quarantine: Path) -> None:
        self.path = quarantine / f"half-{uuid4().hex}"
        self.size_bytes = 0
        self._hash = hashlib.sha256()
        self._descriptor = -1

    def open(self) -> None:
        self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o400)

    def write(self, data: bytes | bytearray) -> None:
        self._hash.update(data)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
        self.size_bytes += len(data)

    def finish(self) -> Stored:
        os.fsync(self._descriptor)
        self._close()
        return Stored(sha256=self._hash.hexdigest(), size_bytes=self.size_bytes)

    def drop(self) -> None:
        """Leave nothing behind; does nothing where the file has been kept."""
        self._close()
        self.path.unlink(missing_ok=True)

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


async def _in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `work` off the loop; a full disk becomes Unavailable.

    Cancelled meanwhile, it waits for the thread first: nobody may clean up what is still being written.
    """
    running = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))  # noqa: TID251 - awaited right here
    cancelled: asyncio.CancelledError | None = None
    while not running.done():
        try:
            await asyncio.wait([running])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        running.exception()
        raise cancelled
    try:
        return running.result()
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise Unavailable("The disk is full.", code="disk_full") from error
        raise


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
