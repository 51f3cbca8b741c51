"""Locks of a whole process, which the system frees when the process dies, however it dies.

Owns: who is alive (a worker's slot) and who may act alone (a site's fleet). Refuses to know what is
protected. On one host the kernel keeps them (`flock`); across hosts PostgreSQL does (an advisory lock lives
as long as the connection that took it). No heartbeat, no table, nothing to clean up after a `kill -9`."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import re
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, TypeVar

import psycopg

from orchestrator.domain.errors import Misconfigured, Unavailable
from orchestrator.ports import Clock

# Both ends watch the line: the client's values end our own wait on a dead server, the server's values are
# what frees the lock of a host that vanished without a word. 5 + 3 x 2 s; both ignore them on a local socket,
# which cannot lie.
SERVER_KEEPALIVES = "-c tcp_keepalives_idle=5 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=3"
ANSWER_SECONDS = 5


class ProcessLock(Protocol):
    """`take` tries once and says whether it is ours now; `held` asks whether it still is."""

    async def take(self) -> bool: ...

    async def held(self) -> bool: ...

    async def release(self) -> None: ...


async def take_when_free(lock: ProcessLock, clock: Clock, *, every_seconds: float = 1.0) -> None:
    """Stand by until the lock is ours. Waits as long as its holder lives: whoever asks may cancel."""
    while not await lock.take():
        await clock.sleep(every_seconds)


L = TypeVar("L", bound=ProcessLock)


async def _entered(lock: L) -> L:
    """What `async with lock:` does: ours now, or Unavailable (code `lock.taken`), for its holder will end
    some day."""
    if not await lock.take():
        raise Unavailable(f"Another process holds {lock}.", code="lock.taken")
    return lock


class FileLock:
    """An exclusive `flock` on a file of this host, which is created and never deleted.

    The descriptor is not inherited by programs we start, so a slicer that outlives us does not keep the lock.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def __str__(self) -> str:
        return f"the lock {self.path.name}"

    async def take(self) -> bool:
        """Raises Misconfigured where the file cannot be made."""
        if await self.held():
            return True
        await self.release()
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Misconfigured(
                f"The lock file {self.path.name} cannot be opened: {error.strerror}."
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    async def held(self) -> bool:
        """False also where the file was deleted under us: the next to come would lock another one."""
        if self._descriptor is None:
            return False
        try:
            return os.path.samestat(os.fstat(self._descriptor), self.path.stat())
        except FileNotFoundError:
            return False

    async def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)  # closing is what unlocks
            self._descriptor = None

    async def __aenter__(self) -> Self:
        return await _entered(self)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.release()


class PostgresLock:
    """A session-level advisory lock on a connection of its own. `key` is text; the server sees 64 bits of its
    SHA-256.

    A server restart frees the lock: whoever holds one asks `held` now and then.
    """

    def __init__(self, url: str, key: str) -> None:
        self.key = key
        self._url = re.sub(r"^postgresql\+\w+://", "postgresql://", url)
        self._number = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big", signed=True)
        self._connection: psycopg.AsyncConnection[tuple[object, ...]] | None = None

    def __str__(self) -> str:
        return f"the lock “{self.key}”"

    async def take(self) -> bool:
        """Raises Unavailable where the server does not answer."""
        if await self.held():
            return True
        await self.release()
        taken = False
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                self._connection = await self._connect()
                taken = await self._ask("SELECT pg_try_advisory_lock(%s)", self._number)
        except (psycopg.Error, TimeoutError) as error:
            raise Unavailable("The database does not answer.", code="database.unreachable") from error
        finally:
            if not taken:
                await self.release()
        return taken

    async def held(self) -> bool:
        """The lock lives as long as its connection, so asking the connection is asking the lock."""
        if self._connection is None:
            return False
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._ask("SELECT %s IS NOT NULL", self._number)
        except (psycopg.Error, TimeoutError):
            return False

    async def release(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _connect(self) -> psycopg.AsyncConnection[tuple[object, ...]]:
        return await psycopg.AsyncConnection.connect(
            self._url,
            autocommit=True,
            application_name="etabli-lock",
            options=SERVER_KEEPALIVES,
            keepalives=1,
            keepalives_idle=5,
            keepalives_interval=2,
            keepalives_count=3,
        )

    async def _ask(self, question: str, number: int) -> bool:
        assert self._connection is not None
        cursor = await self._connection.execute(question, (number,))
        row = await cursor.fetchone()
        return row is not None and row[0] is True

    async def __aenter__(self) -> Self:
        return await _entered(self)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.release()
