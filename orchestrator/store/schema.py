"""The schema: brought up to date, made at once in a new database in memory, compared with the tables in code.

Being up to date is the usual case at a start, so it is found out without Alembic, which takes its time to load.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from orchestrator.domain.errors import Misconfigured
from orchestrator.store import booking_tables as _booking_tables  # noqa: F401 - its tables belong to the metadata
from orchestrator.store import triggers
from orchestrator.store.columns import metadata
from orchestrator.store.engines import migration_engine
from orchestrator.store.failures import Failure, kind_of, translated

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = text("SELECT pg_advisory_xact_lock(6648929)")
_VERSION = text("SELECT version_num FROM alembic_version")


def create_all(connection: Connection) -> None:
    """Make every table and trigger in an empty database."""
    metadata.create_all(connection, checkfirst=False)
    for statement in triggers.create(connection.dialect.name):
        connection.exec_driver_sql(statement)


def revisions() -> tuple[str, ...]:
    """All revisions this program knows, oldest first."""
    return tuple(sorted(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py")))


async def migrate(url: str) -> bool:
    """Bring the database at `url` up to date; True if there was something to do. Data stays as it is.

    Raises Misconfigured where a newer Établi has been here, Unavailable where the database cannot be reached.
    """
    engine = migration_engine(url)
    try:
        if await _version(engine) == revisions()[-1]:
            return False
        async with engine.connect() as connection:
            await _upgrade_alone(connection)
        return True
    except DBAPIError as error:
        raise translated(error) or error from error
    finally:
        await engine.dispose()


async def differences(url: str) -> list[Any]:
    """How a migrated database differs from the tables in code; empty, or a revision is missing."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    def compare(connection: Connection) -> list[Any]:
        return list(
            compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata)
        )

    engine = migration_engine(url)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(compare)
    finally:
        await engine.dispose()


async def _version(engine: AsyncEngine) -> str | None:
    """The database's revision, None in an empty one. Raises Misconfigured for one that we do not know."""
    version: str | None = None
    async with engine.connect() as connection:
        try:
            version = (await connection.execute(_VERSION)).scalar()
        except (OperationalError, ProgrammingError) as error:  # how SQLite and PostgreSQL say "no such table"
            if kind_of(error) is not Failure.OURS:
                raise
        with suppress(DBAPIError):
            await connection.rollback()
    if version is not None and version not in revisions():
        raise Misconfigured(
            f"The database is at revision {version}, which this version of Établi (up to {revisions()[-1]}) does not "
            "know: a newer one has used it. Start that one, or restore a backup from before.",
            code="database.newer",
        )
    return version


async def _upgrade_alone(connection: AsyncConnection) -> None:
    """Upgrade in one transaction that no other start can share; the second finds nothing left to do."""
    await (
        connection.begin()
    )  # SQLite's write lock is taken here, before Alembic, which is not made for two at once
    if connection.dialect.name == "postgresql":
        await connection.execute(_LOCK)
    await connection.run_sync(_upgrade)
    if connection.dialect.name == "sqlite":
        broken = (await connection.execute(text("PRAGMA foreign_key_check"))).all()
        if broken:
            raise Misconfigured(
                f"{len(broken)} rows would point nowhere; nothing was changed.", code="database.dangling"
            )
    await connection.commit()


def _upgrade(connection: Connection) -> None:
    from alembic import command

    command.upgrade(alembic_config(connection), "head")


def alembic_config(connection: Connection) -> Config:
    """For Alembic's commands, without an alembic.ini."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config
