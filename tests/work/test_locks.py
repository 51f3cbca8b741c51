"""The locks of a process: one holder, and free the moment it dies."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orchestrator.domain.errors import Unavailable
from orchestrator.work.locks import FileLock, PostgresLock, ProcessLock, take_when_free
from tests.services import ROOT, free_port
from tests.work.builders import RealClock, until

MakeLock = Callable[[], ProcessLock]

HOLDER = """
import asyncio, sys
from pathlib import Path
from orchestrator.work.locks import FileLock, PostgresLock

async def main(where):
    lock = PostgresLock(where, "fleet") if "://" in where else FileLock(Path(where))
    print(await lock.take(), flush=True)
    await asyncio.Event().wait()

asyncio.run(main(sys.argv[1]))
"""


@pytest.fixture(params=["file", pytest.param("postgresql", marks=pytest.mark.peers)])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "file":
        return str(tmp_path / "fleet.lock")
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def a_lock(where: str) -> MakeLock:
    return lambda: PostgresLock(where, "fleet") if "://" in where else FileLock(Path(where))


async def test_a_lock_has_one_holder(a_lock: MakeLock) -> None:
    first, second = a_lock(), a_lock()

    assert not await first.held()
    assert await first.take()
    assert await first.take()
    assert await first.held()
    assert not await second.take()
    assert not await second.held()
    await first.release()
    assert not await first.held()
    assert await second.take()
    await second.release()


async def test_entering_a_lock_that_is_held_says_so(a_lock: Callable[[], FileLock | PostgresLock]) -> None:
    lock = a_lock()

    async with lock:
        with pytest.raises(Unavailable) as refusal:
            async with a_lock():
                pass
    assert refusal.value.code == "lock.taken"
    async with lock:
        assert await lock.held()


def a_process(*command: str, **given: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, cwd=ROOT, **given)


async def test_a_standby_takes_over_when_the_holder_is_killed(where: str, a_lock: MakeLock) -> None:
    holder = a_process(sys.executable, "-c", HOLDER, where, stdout=subprocess.PIPE)
    standby = a_lock()
    try:
        assert holder.stdout is not None
        assert await asyncio.to_thread(holder.stdout.readline) == b"True\n"
        assert not await standby.take()
    finally:
        holder.kill()
        await asyncio.to_thread(holder.communicate)

    async with asyncio.timeout(5):
        await take_when_free(standby, RealClock(), every_seconds=0.05)
    assert await standby.held()
    await standby.release()


async def test_programs_that_we_start_do_not_keep_the_lock(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "fleet.lock")
    await lock.take()
    child = a_process("sleep", "30", close_fds=False)
    try:
        await lock.release()
        assert await FileLock(tmp_path / "fleet.lock").take()
    finally:
        child.kill()
        child.wait()


async def test_a_lock_file_that_was_deleted_is_not_held(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "fleet.lock")
    await lock.take()

    (tmp_path / "fleet.lock").unlink()

    assert not await lock.held()
    assert await lock.take()
    await lock.release()


@pytest.mark.peers
async def test_a_lock_whose_connection_the_server_ended_is_not_held(postgres_url: str) -> None:
    lock = PostgresLock(postgres_url, "fleet")
    await lock.take()

    plain = postgres_url.replace("+psycopg", "")
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'etabli-lock'"
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(end)

    async def lost() -> bool:
        return not await lock.held()

    await until(lost)
    assert await lock.take()
    await lock.release()


@pytest.mark.peers
async def test_keys_are_apart(postgres_url: str) -> None:
    async with PostgresLock(postgres_url, "site a"), PostgresLock(postgres_url, "site b") as other:
        assert await other.held()


async def test_a_server_that_is_away_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        await PostgresLock(f"postgresql+psycopg://nobody@127.0.0.1:{free_port()}/x", "fleet").take()
