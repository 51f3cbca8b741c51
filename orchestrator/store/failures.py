"""What a database error means to us: run it again, somebody was faster, come back later, or call the operator.

The one place that knows SQLite's error codes and PostgreSQL's SQLSTATEs; nothing of a database library
leaves the store.
"""

from __future__ import annotations

import sqlite3
from enum import Enum, auto

from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from orchestrator.domain.errors import Conflict, EtabliError, Misconfigured, Unavailable


class Failure(Enum):
    BUSY = auto()  # nothing happened; the whole unit may run again
    LOST = auto()  # the connection broke
    FULL = auto()  # no room on the disk
    BROKEN = auto()  # the operator must look: not a database, wrong password, corrupt
    OURS = auto()  # a mistake of this program


_BUSY_STATES = frozenset({"40001", "40P01", "55P03"})  # serialisation failure, deadlock, lock not available
_LOST_STATES = frozenset({"57P01", "57P02", "57P03", "57P05", "25P03", "53300"})
_OPERATOR_STATES = (
    "28",
    "3D",
    "42501",
    "XX001",
    "XX002",
)  # authorisation, no such database, no right, corruption
_FULL_STATE = "53100"

_TAKEN = {
    "one_active_run_per_machine": "The machine has a run already.",
    "run.machine_id": "The machine has a run already.",
    "one_active_run_per_job": "The job has a run already.",
    "run.job_id": "The job has a run already.",
    "uq_job_quote_id": "The quote has been accepted already.",
    "job.quote_id": "The quote has been accepted already.",
}
"""Words for the refusals of unique keys; SQLite names columns, PostgreSQL the key."""


def kind_of(error: DBAPIError | PoolTimeout) -> Failure:
    """What kind of failure a driver's error is."""
    if isinstance(error, PoolTimeout):
        return Failure.LOST
    if isinstance(error.orig, sqlite3.Error):
        return _of_sqlite(error.orig)
    state = str(getattr(error.orig, "sqlstate", None) or "")
    if state in _BUSY_STATES:
        return Failure.BUSY
    if state == _FULL_STATE:
        return Failure.FULL
    if state.startswith(_OPERATOR_STATES):
        return Failure.BROKEN
    if error.connection_invalidated or state in _LOST_STATES or state.startswith("08"):
        return Failure.LOST
    if not state and type(error.orig).__name__ in {"OperationalError", "InterfaceError", "ConnectionTimeout"}:
        return Failure.LOST
    return Failure.OURS


def _of_sqlite(error: sqlite3.Error) -> Failure:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Failure.BUSY
    if code == sqlite3.SQLITE_FULL:
        return Failure.FULL
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return Failure.BROKEN
    if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN):
        return Failure.LOST
    return Failure.OURS


def translated(error: DBAPIError | PoolTimeout) -> EtabliError | None:
    """Our error for one that will not be retried; None where it is a mistake of ours and should be seen as it is."""
    if isinstance(error, IntegrityError):
        return refused(error)
    match kind_of(error):
        case Failure.BUSY:
            return Unavailable("The database is busy.", code="database.busy")
        case Failure.LOST:
            return Unavailable("The database cannot be reached.", code="database.unreachable")
        case Failure.FULL:
            return Unavailable("The disk of the database is full.", code="disk_full")
        case Failure.BROKEN:
            return Misconfigured(f"The database cannot be used: {_first_line(error)}", code="database.broken")
        case Failure.OURS:
            return None


def refused(error: IntegrityError) -> Conflict | None:
    """A unique or foreign key said no: somebody was faster, or what it points to is not there. Else None."""
    if isinstance(error.orig, sqlite3.Error):
        unique = error.orig.sqlite_errorcode in (
            sqlite3.SQLITE_CONSTRAINT_UNIQUE,
            sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY,
        )
        foreign = error.orig.sqlite_errorcode == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY
        name = str(error.orig).rpartition(": ")[2]
    else:
        state = getattr(error.orig, "sqlstate", "")
        unique, foreign = state == "23505", state == "23503"
        name = str(getattr(getattr(error.orig, "diag", None), "constraint_name", ""))
    if unique:
        return Conflict(_TAKEN.get(name, "This exists already."), code="exists")
    if foreign:
        return Conflict("What this refers to does not exist.", code="dangling")
    return None


def _first_line(error: DBAPIError | PoolTimeout) -> str:
    return str(getattr(error, "orig", error)).partition("\n")[0][:200]
