"""Which deadlines may be set, and by whom."""

from __future__ import annotations

from datetime import datetime, timedelta

from orchestrator.domain.errors import Fault, Rejected
from orchestrator.domain.member import PERMISSIONS, Member, Permission
from orchestrator.flow.lab import Lab


def check_deadline(lab: Lab, who: Member, deadline: datetime | None) -> None:
    """Raises Rejected for one that has passed or, of a member, that is nearer than the lab's notice: or everybody's
    would be tomorrow."""
    if deadline is None:
        return
    now, notice = lab.clock.now(), timedelta(hours=lab.policy.deadline_notice_hours)
    if deadline <= now:
        raise _refused("deadline.past", deadline, "Choose an instant that is still to come.")
    if Permission.OPERATE not in PERMISSIONS[who.role] and deadline < now + notice:
        hours = lab.policy.deadline_notice_hours
        raise _refused("deadline.notice", deadline, f"Give {hours} hours' notice, or ask the staff.")


def _refused(rule: str, deadline: datetime, remedy: str) -> Rejected:
    texts = {
        "deadline.past": {"en": "This deadline has passed.", "fr": "Cette échéance est passée."},
        "deadline.notice": {
            "en": "This deadline is too near for a member to set.",
            "fr": "Cette échéance est trop proche ; demandez à l’équipe.",
        },
    }[rule]
    fault = Fault(rule=rule, where="deadline", seen=deadline.isoformat(), remedy=remedy, texts=texts)
    return Rejected(texts["en"], code=rule, faults=(fault,))
