"""The whole error tree. Each branch says who can mend the matter; retry policy and HTTP status read the
branch.

    EtabliError
    ├── Rejected            the asker: send something else
    │   ├── Forbidden           … but not you
    │   ├── NotFound            … there is no such thing (or it is not yours: the two look alike)
    │   ├── Conflict            … not in this state, or somebody was faster
    │   │   └── IllegalTransition
    │   ├── InsufficientBalance … the account does not cover the hold
    │   └── TooLarge            … more than a limit allows
    ├── Unavailable         time: try again later
    │   └── MachineUnreachable
    ├── NeedsPerson         someone has to walk to the machine, or decide
    └── Misconfigured       the operator: never retried fast
        └── MachineAuthFailed

A fault carries its rule (stable code), what was seen, and the remedy, so that pages and API can say all
three.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One broken rule, in words. `texts` holds the sentence and remedy per language where they are known."""

    rule: str  # stable code, e.g. "mesh.truncated"
    seen: str = ""
    remedy: str = ""
    where: str = ""  # the field or place, e.g. "process.infill_percent"
    texts: Mapping[str, str] = field(default_factory=dict)  # "en" / "fr" -> sentence


class EtabliError(Exception):
    """Something Établi could not do."""

    code = "error"

    def __init__(self, detail: str = "", *, code: str = "", faults: tuple[Fault, ...] = ()) -> None:
        super().__init__(detail or (type(self).__doc__ or "").strip())
        if code:
            self.code = code
        self.faults = faults

    @property
    def detail(self) -> str:
        return str(self)


class Rejected(EtabliError):
    """What was asked cannot be done as it was asked."""

    code = "rejected"


class Forbidden(Rejected):
    """You may not do this."""

    code = "forbidden"


class NotFound(Rejected):
    """There is no such thing."""

    code = "not_found"


class Conflict(Rejected):
    """This cannot be done in the present state."""

    code = "conflict"


class InsufficientBalance(Rejected):
    """The account does not cover the hold."""

    code = "insufficient_balance"


class TooLarge(Rejected):
    """This is larger than the limit."""

    code = "too_large"


class IllegalTransition(Conflict):
    """An event that the state table does not know in this state; nothing has changed."""

    code = "state"

    def __init__(self, state: str, event: str) -> None:
        super().__init__(f"“{event}” is not possible in the state “{state}”.")
        self.state = state
        self.event = event


class Unavailable(EtabliError):
    """Something needed is not there at the moment; it is worth trying again."""

    code = "unavailable"


class MachineUnreachable(Unavailable):
    """The machine does not answer."""

    code = "machine.unreachable"


class NeedsPerson(EtabliError):
    """Only a person can decide this."""

    code = "needs_person"


class Misconfigured(EtabliError):
    """A setting is wrong; the operator must change it."""

    code = "misconfigured"


class MachineAuthFailed(Misconfigured):
    """The machine refuses our key."""

    code = "machine.auth_failed"
