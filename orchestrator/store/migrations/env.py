"""Alembic's entry. It runs only on the connection that `orchestrator.store.schema` hands it."""

from typing import Literal

from alembic import context

from orchestrator.store.columns import Instant, metadata


def _render(kind: str, item: object, _context: object) -> str | Literal[False]:
    """A revision must not change when our types do: an instant is written as what it is in the database."""
    if kind == "type" and isinstance(item, Instant):
        return "sa.DateTime(timezone=True)"
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    render_item=_render,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
