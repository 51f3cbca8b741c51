"""Lasers came to databases that knew only printers: what lay there still reads, and what is new comes back whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, insert, inspect, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from orchestrator.clock import SystemClock
from orchestrator.domain.presence import Reading
from orchestrator.domain.process import CutKind, CutProcess, Making, Material, Process, Quality, Turn
from orchestrator.domain.run import Run, RunState
from orchestrator.domain.usage import Source, Usage
from orchestrator.ports import Unit
from orchestrator.store.codec import from_json, to_json
from orchestrator.store.columns import metadata
from orchestrator.store.engines import migration_engine
from orchestrator.store.schema import alembic_config, differences, migrate
from orchestrator.store.sql import SqlStore
from tests.builders import NOON, a_usage, an_event, at_home

OLD_COLUMNS = "seq, run_id, machine_seconds, filament_milligrams, seconds_source, filament_source, quality"


async def _up_to(url: str, revision: str) -> None:
    """The database as the version of that time left it."""
    engine = migration_engine(url)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(lambda plain: _upgrade(plain, revision))
    finally:
        await engine.dispose()


def _upgrade(connection: Any, revision: str) -> None:
    from alembic import command

    command.upgrade(alembic_config(connection), revision)


async def _columns(url: str) -> set[str]:
    engine = migration_engine(url)
    try:
        async with engine.connect() as connection:
            found = await connection.execute(text("SELECT * FROM usage"))
            return set(found.keys())
    finally:
        await engine.dispose()


async def _old_usage_reads(url: str, beside: Path) -> None:
    await _up_to(url, "0002")
    assert await _columns(url) == set(OLD_COLUMNS.split(", "))
    run_id = await _a_run_of_that_time(url, beside)

    await migrate(url)

    store = await SqlStore.open(url, SystemClock())
    run = await store.read(lambda unit: unit.run(run_id))
    await store.close()
    assert run is not None
    assert run.usage == Usage(
        machine_seconds=3500,
        filament_milligrams=19_500,
        seconds_source=Source.MACHINE,
        filament_source=Source.CURVE,
    )
    assert (run.usage.beam_seconds, run.usage.beam_source, run.usage.sheet_material) == (
        None,
        Source.NONE,
        "",
    )


async def _a_database_of_today(beside: Path) -> tuple[str, Run]:
    """With a run on a machine."""
    of_today = f"sqlite:///{beside / 'today.db'}"
    await migrate(of_today)
    store = await SqlStore.open(of_today, SystemClock())
    home = await at_home(store)
    run = await home.run(await home.job(), state=RunState.FINISHED)
    await store.close()
    return of_today, run


async def _a_run_of_that_time(url: str, beside: Path) -> UUID:
    """Written through today's store into a database of today, then what that time had a column for is copied over;
    the usage as it was written then."""
    of_today, run = await _a_database_of_today(beside)
    engine = migration_engine(url)
    try:
        async with engine.begin() as connection:
            await _copy_what_fits(of_today, connection)
            as_stored = run.id if connection.dialect.name == "postgresql" else run.id.hex
            await connection.execute(
                text(
                    f"INSERT INTO usage ({OLD_COLUMNS}) "
                    "VALUES (1, :run_id, 3500, 19500, 'machine', 'curve', 'measured')"
                ),
                {"run_id": as_stored},
            )
    finally:
        await engine.dispose()
    return run.id


async def _copy_what_fits(of_today: str, old: AsyncConnection) -> None:
    """The rows of every table that the old database has too, without the columns that it lacks."""
    engine = migration_engine(of_today)
    try:
        async with engine.connect() as today:
            for table in metadata.sorted_tables:
                known = await old.run_sync(_column_names, table.name)
                fits = [column for column in table.c if column.name in known]
                rows = (await today.execute(select(*fits))).mappings().all() if fits else ()
                if rows:
                    await old.execute(insert(table), [dict(row) for row in rows])
    finally:
        await engine.dispose()


def _column_names(connection: Connection, table: str) -> set[str]:
    """Of that database as it is; of a table that it does not have, none."""
    found = inspect(connection)
    return {column["name"] for column in found.get_columns(table)} if found.has_table(table) else set()


async def test_usage_of_before_lasers_reads_on_sqlite(tmp_path: Path) -> None:
    await _old_usage_reads(f"sqlite:///{tmp_path / 'etabli.db'}", tmp_path)


async def test_usage_of_before_lasers_reads_on_postgresql(postgres_url: str, tmp_path: Path) -> None:
    await _old_usage_reads(postgres_url, tmp_path)


async def _readings_of_before_are_kept(url: str, beside: Path) -> None:
    """When each input had one reading, whoever had told it."""
    await _up_to(url, "0003")
    of_today, run = await _a_database_of_today(beside)
    engine = migration_engine(url)
    try:
        async with engine.begin() as connection:
            await _copy_what_fits(of_today, connection)
            machine_id = run.machine_id if connection.dialect.name == "postgresql" else run.machine_id.hex
            for name, source in (("lid", "controller"), ("extractor", "tablette " * 8)):
                await connection.execute(
                    text(
                        "INSERT INTO reading (machine_id, name, good, at, source) VALUES (:m, :n, true, :a, :s)"
                    ),
                    {
                        "m": machine_id,
                        "n": name,
                        "a": NOON if run.machine_id == machine_id else str(NOON),
                        "s": source,
                    },
                )
    finally:
        await engine.dispose()

    await migrate(url)

    store = await SqlStore.open(url, SystemClock())
    lid = Reading(machine_id=run.machine_id, name="lid", good=False, at=NOON, source="a tablet")
    await store.write(lambda unit: unit.put_reading(lid))
    kept = await store.read(lambda unit: unit.readings(run.machine_id))
    await store.close()
    assert {(one.name, one.source): one.good for one in kept} == {
        ("lid", "controller"): True,
        ("lid", "a tablet"): False,
        ("extractor", ("tablette " * 8)[:64]): True,
    }
    assert {one.at for one in kept} == {NOON}
    assert await differences(url) == []


async def test_readings_of_before_are_kept_on_sqlite(tmp_path: Path) -> None:
    await _readings_of_before_are_kept(f"sqlite:///{tmp_path / 'etabli.db'}", tmp_path)


async def test_readings_of_before_are_kept_on_postgresql(postgres_url: str, tmp_path: Path) -> None:
    await _readings_of_before_are_kept(postgres_url, tmp_path)


async def test_what_a_beam_used_comes_back_as_it_was_measured() -> None:
    store = await SqlStore.open("sqlite://", SystemClock())
    home = await at_home(store)
    run = await home.run(await home.job(), state=RunState.FINISHED)
    used = a_usage(
        beam_seconds=860,
        beam_source=Source.MACHINE,
        cut_millimetres=5_000_000_000,
        sheet_mm2=124_740,
        sheet_material="mdf-3",
    )

    async def work(unit: Unit) -> None:
        await unit.add_usage(run, used, an_event("usage.recorded"))

    await store.write(work)
    kept = await store.read(lambda unit: unit.run(run.id))
    await store.close()

    assert kept is not None
    assert kept.usage == used


# --- a print or a cut -----------------------------------------------------------------------------

CUT = CutProcess(
    material="mdf-3",
    operations=(("fill:#00ff00", CutKind.ENGRAVE), ("stroke:#ff0000", CutKind.SCORE)),
    remove_duplicates=False,
    kerf=False,
    tabs=4,
    scale_percent=250,
    rotation_degrees=90,
    x_mm=12.5,
    y_mm=0.0,
    sheet_mm=(600, 400),
    own_sheet=True,
    unit="in",
)
PRINT = Process(material=Material.PETG, quality=Quality.FINE, infill_percent=40, supports=True, turn=Turn.X90)


@pytest.mark.parametrize("made", [Process(), PRINT, CutProcess(), CUT])
def test_a_print_and_a_cut_come_back_as_what_they_were(made: Making) -> None:
    again = from_json(Making)(to_json(made))

    assert again == made
    assert type(again) is type(made)


@pytest.mark.parametrize(
    ("row", "made"),
    [
        ({}, Process()),
        ({"material": "petg", "quality": "draft"}, Process(material=Material.PETG, quality=Quality.DRAFT)),
        (
            {"material": "pla", "quality": "normal", "infill_percent": 20, "supports": True},
            Process(infill_percent=20, supports=True),
        ),
        (
            {"material": "pla", "perimeters": 3, "brim_mm": 5, "scale_percent": 200, "turn": "y90"},
            Process(perimeters=3, brim_mm=5, scale_percent=200, turn=Turn.Y90),
        ),
    ],
)
def test_a_process_of_before_lasers_is_a_print(row: dict[str, Any], made: Process) -> None:
    assert from_json(Making)(row) == made


@pytest.mark.parametrize(
    ("row", "made"),
    [
        ({"material": "mdf-3", "kerf": True}, CutProcess(material="mdf-3")),
        ({"material": "mdf-3", "operations": []}, CutProcess(material="mdf-3")),
        ({"operations": [["stroke:#f00", "cut"]]}, CutProcess(operations=(("stroke:#f00", CutKind.CUT),))),
    ],
)
def test_a_cut_that_was_written_with_fewer_fields_is_a_cut(row: dict[str, Any], made: CutProcess) -> None:
    assert from_json(Making)(row) == made


@pytest.mark.parametrize("process", [PRINT, CUT])
async def test_jobs_and_quotes_keep_either(process: Making) -> None:
    store = await SqlStore.open("sqlite://", SystemClock())
    home = await at_home(store)
    quote = home.quote(process=process)

    async def work(unit: Unit) -> None:
        await unit.add_quote(quote)

    await store.write(work)
    job = await home.job(process=process)
    kept_quote = await store.read(lambda unit: unit.quote(quote.id))
    kept_job = await store.read(lambda unit: unit.job(job.id))
    await store.close()

    assert kept_quote is not None
    assert kept_job is not None
    assert (kept_quote.process, kept_job.process) == (process, process)
