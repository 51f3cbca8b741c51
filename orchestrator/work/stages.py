"""How one try of a step ends, told as a value that fits into a checkpoint. The same rules for every engine.

Owns the rules of retry and failure; refuses to know how a checkpoint is stored.
A step may ask for a signal in its midst. It cannot wait there, for a wait inside a step would not outlive a
crash: so the step is left, the engine waits durably, and the step runs again with the signal at hand. Steps
are idempotent, so running its beginning twice is allowed."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass

from orchestrator.domain.errors import EtabliError, Misconfigured, Unavailable
from orchestrator.domain.event import Json
from orchestrator.ports import Step, WorkKind

log = logging.getLogger(__name__)

FAILED_STEP = "failed"  # the checkpoint under which a kind's `failed` is called
FAILED_ATTEMPTS = 20  # telling the truth about a failure is worth waiting for a database that comes back
PAUSE_SECONDS_MAX = 60


class WorkFailed(Exception):
    """Ends a work whose failure has already been told: the engine's record, not news."""


@dataclass(frozen=True)
class Done:
    result: Json


@dataclass(frozen=True)
class Waits:
    topic: str
    timeout_seconds: int


@dataclass(frozen=True)
class Again:
    """Time may mend it."""

    reason: str


@dataclass(frozen=True)
class Failed:
    reason: str


End = Done | Waits | Again | Failed

_signals: ContextVar[Mapping[str, Json]] = ContextVar("signals")


class _Asks(BaseException):
    """Leaves a step that needs a signal. No `except Exception` in a step may catch it."""

    def __init__(self, topic: str, timeout_seconds: int) -> None:
        self.end = Waits(topic, timeout_seconds)


def received(topic: str, timeout_seconds: int) -> Json:
    """The signal, if it has come (None: it did not come in time); else leave the step to wait for it.

    Raises Misconfigured outside a step."""
    signals = _signals.get(None)
    if signals is None:
        raise Misconfigured("Only a step of a work can wait for a signal.")
    if topic not in signals:
        raise _Asks(topic, timeout_seconds)
    return signals[topic]


async def attempt(step: Step, args: Mapping[str, Json], signals: Mapping[str, Json]) -> End:
    """Run the step once. Only a cancellation leaves by exception."""
    token = _signals.set(signals)
    try:
        return Done(await step.run(args))
    except _Asks as asks:
        return asks.end
    except Unavailable as error:
        return Again(str(error))
    except EtabliError as error:
        return Failed(str(error))
    except Exception as error:  # a fault of ours: it ends this work, visibly, and no other
        log.exception("step %s failed by a fault of the program", step.name)
        return Failed(f"internal error: {type(error).__name__}")
    finally:
        _signals.reset(token)


def failing(kind: WorkKind, reason: str) -> Step:
    """The kind's `failed` as a step of its own."""

    async def run(args: Mapping[str, Json]) -> Json:
        await kind.failed({name: value for name, value in args.items() if name != "results"}, reason)
        return None

    return Step(name=FAILED_STEP, run=run, attempts=FAILED_ATTEMPTS)


def pause_seconds(tries: int) -> int:
    """How long to wait after the n-th failed try: 1, 2, 4 … at most 60."""
    return int(min(2 ** (tries - 1), PAUSE_SECONDS_MAX))


def to_json(end: End) -> Json:
    match end:
        case Done(result):
            return {"done": result}
        case Waits(topic, timeout_seconds):
            return {"waits": topic, "timeout_seconds": timeout_seconds}
        case Again(reason):
            return {"again": reason}
        case Failed(reason):
            return {"failed": reason}


def from_json(kept: Json) -> End:
    match kept:
        case {"done": result}:
            return Done(result)
        case {"waits": str(topic), "timeout_seconds": int(timeout_seconds)}:
            return Waits(topic, timeout_seconds)
        case {"again": str(reason)}:
            return Again(reason)
        case {"failed": str(reason)}:
            return Failed(reason)
    raise Misconfigured("A checkpoint of this work was not written by this program.")
