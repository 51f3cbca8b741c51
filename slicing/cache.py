"""Sliced files kept for the next order of the same thing. Knows bytes and hashes; what a key stands for, others know.

One file an entry: a line `sha256-of-what-follows-in-it JSON`, then the G-code whose sha256 and length that JSON holds.
It comes into being by one rename, and what does not match its hashes to the byte is removed and counts as absent, so
that a half-written, cut or altered entry is never served. Several processes may share the directory.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

log = logging.getLogger("etabli.slicing")

GIB = 1 << 30
HEAD_BYTES_MAX = 1 << 20
_CHUNK_BYTES = 1 << 20
_SUFFIX = ".slice"


class _Unfit(Exception):
    """The entry is not what was put there."""


class SliceCache:
    """Bounded by `max_bytes`: what was not used for longest goes first. Its methods never raise for a sick entry or a
    full disk: then nothing is remembered, and the slicer works.
    """

    def __init__(self, folder: Path, *, max_bytes: int = 2 * GIB) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._turns: dict[str, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def alone(self, key: str) -> AsyncIterator[None]:
        """One at a time a key: whoever waited finds what the first has put, or tries itself where that one failed."""
        lock, waiting = self._turns.get(key, (asyncio.Lock(), 0))
        self._turns[key] = (lock, waiting + 1)
        try:
            async with lock:
                yield
        finally:
            lock, waiting = self._turns.pop(key)
            if waiting > 1:
                self._turns[key] = (lock, waiting - 1)

    async def take(self, key: str, into: Path) -> Mapping[str, Any] | None:
        """Write the entry's file to `into` and return what was told about it; None, and no file, where it has none."""
        return await asyncio.to_thread(self._take, key, into)

    async def put(self, key: str, path: Path, about: Mapping[str, Any]) -> None:
        """Keep a copy of the file under this key, with what is to be told about it (plain JSON)."""
        await asyncio.to_thread(self._put, key, path, about)

    async def forget(self, key: str) -> None:
        """Remove an entry that its user cannot read."""
        await asyncio.to_thread(self._path(key).unlink, missing_ok=True)

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}{_SUFFIX}"

    def _take(self, key: str, into: Path) -> Mapping[str, Any] | None:
        path = self._path(key)
        try:
            with path.open("rb") as entry, into.open("wb") as out:
                about = _copied(entry, out)
            os.utime(path)
        except FileNotFoundError:
            return None
        except (_Unfit, OSError) as error:
            log.warning("a kept slice is not usable: %s", error)
            with suppress(OSError):
                into.unlink(missing_ok=True)
                if isinstance(error, _Unfit):
                    path.unlink(missing_ok=True)
            return None
        return about

    def _put(self, key: str, path: Path, about: Mapping[str, Any]) -> None:
        part = self._folder / f"{uuid4().hex}.part"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with path.open("rb") as file, part.open("xb") as out:
                out.write(_head(file, about))
                for chunk in _chunks(file):
                    out.write(chunk)
            part.replace(self._path(key))
            self._evict()
        except OSError as error:
            log.warning("a slice could not be kept: %s", error)
            with suppress(OSError):
                part.unlink(missing_ok=True)

    def _evict(self) -> None:
        entries = []
        for path in self._folder.iterdir():
            with suppress(FileNotFoundError):  # another process was faster
                entries.append((path.stat().st_mtime_ns, path.stat().st_size, path))
        excess = sum(size for _, size, _ in entries) - self._max_bytes
        for _, size, path in sorted(entries):
            if excess <= 0:
                return
            path.unlink(missing_ok=True)
            excess -= size


def _head(file: BufferedReader, about: Mapping[str, Any]) -> bytes:
    """The first line; leaves the file at its start."""
    sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    told = json.dumps(
        {"sha256": sha256, "bytes": file.tell(), "about": about}, separators=(",", ":")
    ).encode()
    file.seek(0)
    return hashlib.sha256(told).hexdigest().encode() + b" " + told + b"\n"


def _copied(entry: BinaryIO, out: BinaryIO) -> Mapping[str, Any]:
    """Copy the body and prove it on the way. Raises _Unfit."""
    digest, mark, told = entry.readline(HEAD_BYTES_MAX).partition(b" ")
    if not mark or hashlib.sha256(told.removesuffix(b"\n")).hexdigest().encode() != digest:
        raise _Unfit("its first line is damaged")
    head = json.loads(told)
    body, length = hashlib.sha256(), 0
    for chunk in _chunks(entry):
        body.update(chunk)
        length += len(chunk)
        out.write(chunk)
    if length != head["bytes"] or body.hexdigest() != head["sha256"]:
        raise _Unfit(f"{length} bytes do not match its first line")
    about: Mapping[str, Any] = head["about"]
    return about


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK_BYTES):
        yield chunk
