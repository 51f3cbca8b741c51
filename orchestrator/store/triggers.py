"""What makes the append-only tables so: the database itself refuses to change or delete their rows, on both
databases."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from orchestrator.store.tables import APPEND_ONLY

FUNCTION = "refuse_change"


APPEND_ONLY_NAMES = tuple(table.name for table in APPEND_ONLY)


def create(dialect: str, names: Iterable[str] = APPEND_ONLY_NAMES) -> Iterator[str]:
    """The statements for the tables `names`, in order. Revisions use them: a change here needs a new function."""
    if dialect == "postgresql":
        yield (
            f"CREATE FUNCTION {FUNCTION}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "RAISE EXCEPTION '% only grows', TG_TABLE_NAME USING ERRCODE = 'restrict_violation'; END $$"
        )
    yield from on(dialect, names)


def on(dialect: str, names: Iterable[str]) -> Iterator[str]:
    """As `create`, for tables that come later: the function is there."""
    for name in names:
        if dialect == "postgresql":
            yield (
                f"CREATE TRIGGER {name}_only_grows BEFORE UPDATE OR DELETE ON {name} "
                f"FOR EACH ROW EXECUTE FUNCTION {FUNCTION}()"
            )
            yield (
                f"CREATE TRIGGER {name}_is_not_emptied BEFORE TRUNCATE ON {name} "
                f"FOR EACH STATEMENT EXECUTE FUNCTION {FUNCTION}()"
            )
            continue
        for act in ("UPDATE", "DELETE"):
            yield (
                f"CREATE TRIGGER {name}_refuses_{act.lower()} BEFORE {act} ON {name} "
                f"BEGIN SELECT RAISE(ABORT, '{name} only grows'); END"
            )
