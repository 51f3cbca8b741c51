"""What a simulated machine remembers, how that looks as JSON, and how a print goes on as time passes. Pure.

A print is a function of time: nothing ticks. Seconds of the machine are `speed` times those of the clock.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from orchestrator.domain.event import Json
from orchestrator.domain.machine import Activity
from orchestrator.ports import Ended, Outcome

HEATING_SECONDS_MAX = 60.0
HEATING_SHARE = 0.05
FINISHING_SECONDS_MAX = 5.0
FINISHING_SHARE = 0.01
FILES_MAX = 200
LOG_MAX = 500
AMBIENT_CELSIUS = 21.0
HOT_CELSIUS = {"nozzle": 215.0, "bed": 60.0}


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    size_bytes: int
    seconds: int  # of the machine, from its first move to its last
    beam_seconds: int = 0  # of those, with the laser on


@dataclass(frozen=True, kw_only=True)
class Print:
    """The print on the machine. It has begun once `begins_at` has passed."""

    name: str
    size_bytes: int
    seconds: int
    begins_at: datetime
    played_seconds: float = 0.0  # of the machine, up to `plays_since`
    plays_since: datetime | None = None  # None: paused
    fails_at: float | None = None  # share of the print at which it jams
    says_done_at: float | None = None  # share at which it claims to have finished
    by_hand: bool = False
    beam_seconds: int = 0  # of the whole file


@dataclass(frozen=True, kw_only=True)
class Past:
    """A print that is over."""

    name: str
    begins_at: datetime
    ended_at: datetime
    outcome: Outcome
    position_bytes: int
    machine_seconds: int
    words: str = ""
    beam_seconds: int | None = None  # None: a machine without a beam

    def ended(self) -> Ended:
        return Ended(
            remote_name=self.name,
            outcome=self.outcome,
            position_bytes=self.position_bytes,
            machine_seconds=self.machine_seconds,
            beam_seconds=self.beam_seconds,
            words=self.words,
        )


@dataclass(frozen=True, kw_only=True)
class Start:
    """A start command that reached the machine, and whether the machine obeyed: the physical truth."""

    name: str
    at: datetime
    obeyed: bool
    by_hand: bool = False


@dataclass(frozen=True, kw_only=True)
class Memory:
    """All that a machine knows. `since`: it has forgotten whatever was before."""

    since: datetime
    files: Mapping[str, StoredFile] = field(default_factory=dict)
    current: Print | None = None
    past: tuple[Past, ...] = ()
    starts: tuple[Start, ...] = ()


# --- how a print goes on -------------------------------------------------------------------------


def played(job: Print, now: datetime, speed: float) -> float:
    """Machine seconds that the print has run, pauses excluded."""
    if job.plays_since is None:
        return job.played_seconds
    return job.played_seconds + max(0.0, (now - job.plays_since).total_seconds()) * speed


def heating_seconds(job: Print) -> float:
    return min(HEATING_SECONDS_MAX, HEATING_SHARE * job.seconds)


def finishing_seconds(job: Print) -> float:
    return min(FINISHING_SECONDS_MAX, FINISHING_SHARE * job.seconds)


def share(job: Print, seconds: float) -> float:
    """0..1 of the file, after so many machine seconds: none while heating, all while finishing."""
    moving = max(1e-9, job.seconds - heating_seconds(job) - finishing_seconds(job))
    return min(1.0, max(0.0, (seconds - heating_seconds(job)) / moving))


def activity(job: Print, now: datetime, speed: float) -> Activity:
    if now < job.begins_at:
        return Activity.IDLE
    if job.plays_since is None:
        return Activity.PAUSED
    seconds = played(job, now, speed)
    if seconds < heating_seconds(job):
        return Activity.PREPARING
    if seconds < job.seconds - finishing_seconds(job):
        return Activity.PRINTING
    return Activity.FINISHING


def end_seconds(job: Print) -> float:
    """Machine seconds after which the print is over, one way or the other."""
    shares = [at for at in (job.fails_at, job.says_done_at) if at is not None]
    return min([float(job.seconds), *(at * job.seconds for at in shares)])


def end_at(job: Print, speed: float) -> datetime | None:
    """When it will be over; None while it is paused."""
    if job.plays_since is None:
        return None
    return job.plays_since + timedelta(seconds=max(0.0, end_seconds(job) - job.played_seconds) / speed)


def end(job: Print, at: datetime, outcome: Outcome, speed: float, words: str = "") -> Past:
    seconds = min(played(job, at, speed), float(job.seconds))
    return Past(
        name=job.name,
        begins_at=job.begins_at,
        ended_at=at,
        outcome=outcome,
        position_bytes=round(job.size_bytes * share(job, seconds)),
        machine_seconds=round(seconds),
        words=words,
        beam_seconds=round(job.beam_seconds * share(job, seconds)) if job.beam_seconds else None,
    )


def settle(memory: Memory, now: datetime, speed: float) -> Memory:
    """The memory as it is at `now`: a print whose time has come is over."""
    job = memory.current
    over = end_at(job, speed) if job is not None else None
    if job is None or over is None or now < over:
        return memory
    jams = job.fails_at is not None and job.fails_at * job.seconds <= end_seconds(job)
    outcome, words = (Outcome.FAILED, "Jammed: the nozzle gives nothing.") if jams else (Outcome.FINISHED, "")
    return replace(
        memory, current=None, past=(*memory.past, end(job, over, outcome, speed, words))[-LOG_MAX:]
    )


def hold(job: Print, at: datetime, speed: float) -> Print:
    """The print as it stands once the machine held at `at`; one that is paused already stays as it was."""
    return replace(job, played_seconds=played(job, at, speed), plays_since=None)


def next_phase_seconds(job: Print, now: datetime, speed: float) -> float | None:
    """Clock seconds until the print begins, heats no more, finishes or is over; None while it is paused."""
    if now < job.begins_at:
        return (job.begins_at - now).total_seconds()
    if job.plays_since is None:
        return None
    seconds = played(job, now, speed)
    phases = (heating_seconds(job), job.seconds - finishing_seconds(job), end_seconds(job))
    ahead = [at - seconds for at in phases if at > seconds]
    # Instants have microseconds: never wake just before the edge.
    return math.ceil(min(ahead) / speed * 1e6) / 1e6 + 2e-6 if ahead else 0.0


def temperatures(job: Print | None, now: datetime, speed: float) -> dict[str, float]:
    if job is None or now < job.begins_at:
        return dict.fromkeys(HOT_CELSIUS, AMBIENT_CELSIUS)
    warm = min(1.0, played(job, now, speed) / max(1e-9, heating_seconds(job)))
    return {
        part: round(AMBIENT_CELSIUS + warm * (hot - AMBIENT_CELSIUS), 1) for part, hot in HOT_CELSIUS.items()
    }


# --- G-code's own word on its duration -----------------------------------------------------------

_PRUSA = re.compile(
    rb"; estimated printing time \(normal mode\) = (?:(\d+)d ?)?(?:(\d+)h ?)?(?:(\d+)m ?)?(?:(\d+)s)?"
)
_CURA = re.compile(rb";TIME:(\d+)")
_BEAM = re.compile(rb"; beam seconds = (\d+)")


def gcode_seconds(text: bytes) -> int | None:
    """What the file's comments say (PrusaSlicer's sentence, Cura's `;TIME:`); None where they say nothing."""
    if found := _PRUSA.search(text):
        days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
        return ((days * 24 + hours) * 60 + minutes) * 60 + seconds or None
    if found := _CURA.search(text):
        return int(found[1]) or None
    return None


def beam_seconds(text: bytes) -> int:
    """What a laser's file says of its beam; 0 where it says nothing."""
    found = _BEAM.search(text)
    return int(found[1]) if found else 0


# --- JSON ----------------------------------------------------------------------------------------


def to_json(memory: Memory) -> dict[str, Json]:
    files: dict[str, Json] = {
        name: {"size_bytes": file.size_bytes, "seconds": file.seconds, "beam_seconds": file.beam_seconds}
        for name, file in memory.files.items()
    }
    return {
        "since": memory.since.isoformat(),
        "files": files,
        "current": _print_to_json(memory.current) if memory.current else None,
        "past": [_past_to_json(past) for past in memory.past],
        "starts": [
            {"name": start.name, "at": start.at.isoformat(), "obeyed": start.obeyed, "by_hand": start.by_hand}
            for start in memory.starts
        ],
    }


def _print_to_json(job: Print) -> Json:
    return {
        "name": job.name,
        "size_bytes": job.size_bytes,
        "seconds": job.seconds,
        "begins_at": job.begins_at.isoformat(),
        "played_seconds": job.played_seconds,
        "plays_since": job.plays_since.isoformat() if job.plays_since else None,
        "fails_at": job.fails_at,
        "says_done_at": job.says_done_at,
        "by_hand": job.by_hand,
        "beam_seconds": job.beam_seconds,
    }


def _past_to_json(past: Past) -> Json:
    return {
        "name": past.name,
        "begins_at": past.begins_at.isoformat(),
        "ended_at": past.ended_at.isoformat(),
        "outcome": past.outcome.value,
        "position_bytes": past.position_bytes,
        "machine_seconds": past.machine_seconds,
        "words": past.words,
        "beam_seconds": past.beam_seconds,
    }


def from_json(body: Json) -> Memory:
    """The reverse of `to_json`; raises ValueError on anything else."""
    seen = _Fields(body)
    current = seen.get("current")
    return Memory(
        since=seen.instant("since"),
        files={
            name: StoredFile(
                size_bytes=_Fields(file).whole("size_bytes"),
                seconds=_Fields(file).whole("seconds"),
                beam_seconds=round(_Fields(file).number("beam_seconds") or 0),
            )
            for name, file in _Fields(seen.get("files")).items()
        },
        current=_print_from_json(_Fields(current)) if current is not None else None,
        past=tuple(_past_from_json(past) for past in seen.objects("past")),
        starts=tuple(
            Start(
                name=start.text("name"),
                at=start.instant("at"),
                obeyed=start.get("obeyed") is True,
                by_hand=start.get("by_hand") is True,
            )
            for start in seen.objects("starts")
        ),
    )


def _print_from_json(job: _Fields) -> Print:
    return Print(
        name=job.text("name"),
        size_bytes=job.whole("size_bytes"),
        seconds=job.whole("seconds"),
        begins_at=job.instant("begins_at"),
        played_seconds=job.number("played_seconds") or 0.0,
        plays_since=job.instant("plays_since") if job.get("plays_since") is not None else None,
        fails_at=job.number("fails_at"),
        says_done_at=job.number("says_done_at"),
        by_hand=job.get("by_hand") is True,
        beam_seconds=round(job.number("beam_seconds") or 0),
    )


def _past_from_json(past: _Fields) -> Past:
    return Past(
        name=past.text("name"),
        begins_at=past.instant("begins_at"),
        ended_at=past.instant("ended_at"),
        outcome=Outcome(past.text("outcome")),
        position_bytes=past.whole("position_bytes"),
        machine_seconds=past.whole("machine_seconds"),
        words=past.text("words"),
        beam_seconds=None if past.get("beam_seconds") is None else past.whole("beam_seconds"),
    )


class _Fields:
    """A JSON object whose fields are asked for by type; raises ValueError where one is of another."""

    def __init__(self, body: Json) -> None:
        if not isinstance(body, dict):
            raise ValueError("not an object")
        self._body = body

    def items(self) -> list[tuple[str, Json]]:
        return list(self._body.items())

    def get(self, key: str) -> Json:
        return self._body.get(key)

    def text(self, key: str) -> str:
        value = self.get(key)
        if not isinstance(value, str):
            raise ValueError(f"{key} is no text")
        return value

    def whole(self, key: str) -> int:
        value = self.get(key)
        if not isinstance(value, int):
            raise ValueError(f"{key} is no whole number")
        return value

    def number(self, key: str) -> float | None:
        value = self.get(key)
        if value is not None and not isinstance(value, int | float):
            raise ValueError(f"{key} is no number")
        return value

    def instant(self, key: str) -> datetime:
        at = datetime.fromisoformat(self.text(key))
        if at.tzinfo is None:
            raise ValueError(f"{key} has no time zone")
        return at

    def objects(self, key: str) -> list[_Fields]:
        value = self.get(key)
        if not isinstance(value, list):
            raise ValueError(f"{key} is no list")
        return [_Fields(item) for item in value]
