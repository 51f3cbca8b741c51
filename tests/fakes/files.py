"""Files in a directory, without threads or syncing: for tests whose clock must see everything that runs."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from orchestrator.ports import Stored


class PlainFiles:
    """Implements `orchestrator.ports.Files`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def receive(self, chunks: AsyncIterator[bytes], *, limit_bytes: int) -> Stored:
        return self._keep(b"".join([chunk async for chunk in chunks]))

    async def adopt(self, path: Path) -> Stored:
        return self._take(path)

    def path(self, sha256: str) -> Path:
        return self._root / sha256

    @asynccontextmanager
    async def scratch(self) -> AsyncIterator[Path]:
        with tempfile.TemporaryDirectory(dir=self._root) as path:
            yield Path(path)

    async def sweep(self, known: frozenset[str], older_than_seconds: int) -> int:
        return 0

    def _take(self, path: Path) -> Stored:
        stored = self._keep(path.read_bytes())
        path.unlink()
        return stored

    def _keep(self, content: bytes) -> Stored:
        sha256 = hashlib.sha256(content).hexdigest()
        self.path(sha256).write_bytes(content)
        return Stored(sha256=sha256, size_bytes=len(content))
