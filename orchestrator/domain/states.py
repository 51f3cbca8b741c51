"""How a state table is read: one dict of state -> event -> next state, one lookup, one refusal."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from orchestrator.domain.errors import IllegalTransition

S = TypeVar("S", bound=StrEnum)
E = TypeVar("E", bound=StrEnum)

Table = Mapping[S, Mapping[E, S]]


def step(table: Table[S, E], state: S, event: E) -> S:
    """The state after `event`; raises IllegalTransition where the table has no such row."""
    try:
        return table[state][event]
    except KeyError:
        raise IllegalTransition(state.value, event.value) from None
