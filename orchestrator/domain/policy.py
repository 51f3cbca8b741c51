"""How the queue is ordered: the weights, which a lab sets in `etabli.toml` as `schedule_<name>`.

Every term of a score lies between 0 and 1 before its weight, but for the age, which grows without end: so whoever
waits long enough goes first, whatever the others have (`orchestrator.domain.order`).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Points; what a day of waiting is worth beside the rest."""

    age_per_day: int = 1000  # for each day in the queue, without end
    priority: int = 1500  # for the highest class; the others in proportion
    share: int = 1500  # for one who used nothing of late
    deadline: int = 1000  # for one whose deadline is now
    material: int = 300  # for one that needs no change of material
    short: int = 1500  # for one that is over at once; half of it for one of two hours
    turn: int = 2000  # for one whose bed is cleared as soon as it ends; less, the longer it would lie there
    half_life_days: int = 7  # what was used so long ago counts half
    no_show_minutes: int = 15  # after which a booking nobody uses is everybody's again
    margin_minutes: int = 5  # that a run keeps away from the next window
    deadline_notice_hours: int = 24  # a member's deadline nearer than this is for the staff to grant
