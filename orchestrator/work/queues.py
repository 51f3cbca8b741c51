"""The queues of durable work: which there are, which keep lanes, how often they are looked at, how many
run."""

from __future__ import annotations

import os

QUEUES = ("prepare", "notify", "reports")
IN_LANES = frozenset({"notify"})  # at most one work of a lane runs at a time, in order

# Each look into a queue costs a millisecond or two of a core: where nobody is in a hurry, look less often.
POLL_FACTOR = {"prepare": 1, "notify": 1, "reports": 10}


def default_slots() -> dict[str, int]:
    """How many works of a queue a process does at a time: as many slicings as cores; the rest mostly
    waits."""
    return {"prepare": os.cpu_count() or 1, "notify": 32, "reports": 1}
