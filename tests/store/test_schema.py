"""The schema's history leads to the tables in code, on both databases, and an old program does not touch a new one."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from orchestrator.clock import SystemClock
from orchestrator.domain.errors import Misconfigured
from orchestrator.domain.job import JobState
from orchestrator.domain.run import RunState
from orchestrator.store.engines import migration_engine
from orchestrator.store.schema import create_all, differences, migrate, revisions
from orchestrator.store.sql import SqlStore
from tests.builders import at_home
from tests.services import ROOT


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'etabli.db'}"


async def _leads_to_the_tables(url: str) -> None:
    assert await migrate(url) is True
    assert await differences(url) == []
    assert await migrate(url) is False


async def test_the_history_leads_to_the_tables_on_sqlite(sqlite_url: str) -> None:
    await _leads_to_the_tables(sqlite_url)


async def test_the_history_leads_to_the_tables_on_postgresql(postgres_url: str) -> None:
    await _leads_to_the_tables(postgres_url)


async def test_a_difference_would_be_found(sqlite_url: str, tmp_path: Path) -> None:
    await migrate(sqlite_url)
    with closing(sqlite3.connect(tmp_path / "etabli.db")) as connection:
        connection.execute("ALTER TABLE file DROP COLUMN name")

    assert await differences(sqlite_url) != []


def _written(path: Path) -> dict[str, set[str]]:
    """Every table's checks, and the names of everything else: what Alembic does not compare."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(
            "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL"
        ).fetchall()
    return {
        f"{kind} {name}": {re.sub(r"\s+", " ", check) for check in re.findall(r"CHECK \(.*\)", sql)}
        | ({re.sub(r'["\s]+', " ", sql)} if kind != "table" else set())
        for kind, name, sql in rows
        if name != "alembic_version"
    }


async def test_checks_indexes_and_triggers_are_the_same_too(sqlite_url: str, tmp_path: Path) -> None:
    await migrate(sqlite_url)
    at_once = migration_engine(f"sqlite:///{tmp_path / 'at_once.db'}")
    async with at_once.connect() as connection:
        await connection.run_sync(create_all)
        await connection.commit()
    await at_once.dispose()

    by_history, by_tables = _written(tmp_path / "etabli.db"), _written(tmp_path / "at_once.db")

    assert by_history == by_tables
    states = " ".join(by_history["table job"])
    assert all(f"'{state.value}'" in states for state in JobState)
    assert all(f"'{state.value}'" in " ".join(by_history["table run"]) for state in RunState)


async def test_revisions_are_numbered_without_gaps() -> None:
    assert list(revisions()) == [f"{number:04d}" for number in range(1, len(revisions()) + 1)]


def _set_version(url: str, version: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :version"), {"version": version})
    engine.dispose()


async def _refuses_a_newer_one(url: str) -> None:
    await migrate(url)
    await asyncio.to_thread(_set_version, url, "9999")

    with pytest.raises(Misconfigured, match="9999") as refusal:
        await migrate(url)
    assert refusal.value.code == "database.newer"


async def test_a_newer_schema_is_refused_on_sqlite(sqlite_url: str) -> None:
    await _refuses_a_newer_one(sqlite_url)


async def test_a_newer_schema_is_refused_on_postgresql(postgres_url: str) -> None:
    await _refuses_a_newer_one(postgres_url)


async def _two_starts_at_once(url: str) -> None:
    assert any(await asyncio.gather(migrate(url), migrate(url)))
    assert await migrate(url) is False
    store = await SqlStore.open(url, SystemClock())
    await at_home(store)
    await store.close()


async def test_two_starts_at_once_do_not_get_in_each_others_way_on_sqlite(sqlite_url: str) -> None:
    await _two_starts_at_once(sqlite_url)


async def test_two_starts_at_once_do_not_get_in_each_others_way_on_postgresql(postgres_url: str) -> None:
    await _two_starts_at_once(postgres_url)


async def test_a_start_on_an_up_to_date_database_does_not_load_alembic(sqlite_url: str) -> None:
    await migrate(sqlite_url)
    start = (
        "import asyncio, sys; from orchestrator.store.schema import migrate;"
        f"changed = asyncio.run(migrate({sqlite_url!r})); sys.exit(changed or 'alembic' in sys.modules)"
    )

    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-W", "error", "-c", start], cwd=ROOT, timeout=30, check=False
    )

    assert done.returncode == 0
