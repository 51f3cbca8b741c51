"""Draw docs/states.md from the state tables in the domain: `python -m docs.draw_states > docs/states.md`."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from orchestrator.domain import job, run

S = TypeVar("S", bound=StrEnum)
E = TypeVar("E", bound=StrEnum)

HEADER = """# States

Drawn from the tables in `orchestrator/domain/job.py` and `orchestrator/domain/run.py` by
`python -m docs.draw_states > docs/states.md`; a test compares. An event that a table does not know in a state
is refused and changes nothing.
"""


def drawing() -> str:
    """The whole page."""
    return "\n".join(
        [
            HEADER,
            _table("Job", "The wish of a member.", job.TRANSITIONS),
            _table("Run", "One attempt on one machine. Ending it makes the bed `occupied`.", run.TRANSITIONS),
        ]
    )


def _table(title: str, says: str, table: Mapping[S, Mapping[E, S]]) -> str:
    arrows = [
        f"    {state.value} --> {to.value}: {event.value}"
        for state, ways in table.items()
        for event, to in ways.items()
    ]
    ends = [f"    {state.value} --> [*]" for state, ways in table.items() if not ways]
    first = next(iter(table))
    body = "\n".join([f"    [*] --> {first.value}", *arrows, *ends])
    return f"## {title}\n\n{says}\n\n```mermaid\nstateDiagram-v2\n{body}\n```\n"


if __name__ == "__main__":
    print(drawing(), end="")
