"""The order of the queue as people see it: each job's points, term by term, drawn to one scale.

Presentation only: the points are `orchestrator.domain.order`'s, the weights `orchestrator.domain.policy`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from orchestrator.domain.order import Score
from orchestrator.domain.policy import Policy
from web.pages.formats import Formats
from web.pages.i18n import N_

TERMS: Mapping[str, tuple[str, str]] = {
    "age": (N_("Waiting"), N_("for each day in the queue, without end: so everybody’s turn comes")),
    "priority": (N_("Urgency"), N_("what the staff gave it; in full for “urgent”, a third for “usual”")),
    "share": (
        N_("Fair share"),
        N_("in full for one who used nothing of late, half for one who used their part"),
    ),
    "short": (N_("Short"), N_("in full for one that is over at once, half for one of two hours")),
    "turn": (
        N_("Machine free again"),
        N_("in full where somebody clears the bed as soon as it ends; less, the longer it would lie there"),
    ),
    "deadline": (N_("Deadline"), N_("begins two days before it must start, in full when it must start now")),
    "material": (N_("Material"), N_("in full where a machine has all it needs mounted")),
}
"""What a score is made of: its name, and what earns its points."""

SETTINGS: Mapping[str, str] = {
    "age": "schedule_age_per_day",
    "priority": "schedule_priority",
    "share": "schedule_share",
    "short": "schedule_short",
    "turn": "schedule_turn",
    "deadline": "schedule_deadline",
    "material": "schedule_material",
}
"""Where `etabli.toml` sets a term's weight."""

WIDTH = 1000
"""Of a bar, in units of its drawing."""


@dataclass(frozen=True, kw_only=True)
class Slice:
    """One term of a score, as a piece of its bar."""

    name: str
    text: str
    x: int
    width: int
    points: float
    value: float
    weight: int


def weights(policy: Policy) -> Mapping[str, int]:
    return {
        "age": policy.age_per_day,
        "priority": policy.priority,
        "share": policy.share,
        "short": policy.short,
        "turn": policy.turn,
        "deadline": policy.deadline,
        "material": policy.material,
    }


def slices(score: Score, policy: Policy, most: float) -> list[Slice]:
    """Side by side, on a bar on which `most` points fill all of it."""
    found, end, of = [], 0.0, weights(policy)
    for term in score.terms:
        begin, end = end, end + max(0.0, term.points)
        x, until = (round(WIDTH * at / most) if most > 0 else 0 for at in (begin, end))
        found.append(
            Slice(
                name=term.name,
                text=TERMS[term.name][0],
                x=x,
                width=until - x,
                points=term.points,
                value=term.value,
                weight=of[term.name],
            )
        )
    return found


def most(scores: Iterable[Score | None]) -> float:
    """What the longest bar is long for."""
    return max((score.points for score in scores if score), default=0.0)


def counted(days: float) -> int:
    """For the plural: half a day is less than one, a day and a half more."""
    return 1 if days == 1 else 0 if days < 2 else 2


def value_text(piece: Slice, fmt: Formats) -> str:
    """How much of a term a job has: days of waiting, else a share of the whole."""
    return fmt.decimal(piece.value, 2) if piece.name == "age" else fmt.share(piece.value)
