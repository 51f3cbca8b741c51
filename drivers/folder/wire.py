"""What lies in the folder: names, the note beside a file, the state that the machine's side writes. Pure.

A state file comes from other people's programs: every field of it is checked, and one that cannot be read is `unclear`,
never taken for idle.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from orchestrator.domain.errors import Rejected
from orchestrator.domain.machine import Activity
from orchestrator.domain.run import Cause
from orchestrator.ports import Ended, Observation, Outcome, Ticket

NOTE, STATE, TICKET = ".json", ".state.json", ".ticket.pdf"
"""What the companions of a file end in, after its name without extension."""
PART_LENGTH_MAX = 40
"""Of the member's name and the material's in a file name: the whole stays far below any file system's 255 bytes."""
SECONDS_MAX = 30 * 86_400
WORDS_LENGTH_MAX = 500
CLOCK_GRAIN = timedelta(seconds=2)
"""A USB stick's file system (FAT) knows times to two seconds."""

_REMOTE_NAME = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]{0,79})(\.[a-z0-9]{1,8})")
_UNSAFE = re.compile(r"[^A-Za-z0-9.-]+")
_ACTIVITIES = {"running": Activity.PRINTING, "paused": Activity.PAUSED}
_OUTCOMES = {outcome.value: outcome for outcome in Outcome}
_UNCLEAR = "unclear"


# --- names ----------------------------------------------------------------------------------------


def token_of(remote_name: str) -> tuple[str, str]:
    """The name without its extension, and the extension. Raises Rejected for one that could be no name of ours."""
    if found := _REMOTE_NAME.fullmatch(remote_name):
        return found[1], found[2]
    raise Rejected(f"A folder does not take the name “{remote_name[:80]}”.")


def base_name(remote_name: str, ticket: Ticket | None) -> str:
    """What all files of this one begin with: safe on every file system, and readable by whoever stands there."""
    token, _ = token_of(remote_name)
    parts = [token, *map(safe, (ticket.member_name, ticket.material))] if ticket else [token]
    return "__".join(part for part in parts if part)


def safe(words: str) -> str:
    """`words` in `[A-Za-z0-9._-]`, letters without their accents; empty where nothing is left."""
    plain = unicodedata.normalize("NFKD", words).encode("ascii", "ignore").decode()
    return _UNSAFE.sub("_", plain)[:PART_LENGTH_MAX].strip("._-")


def belongs_to(file_name: str, remote_name: str) -> bool:
    """Is it the file, or a companion, of that name, whoever's and of whatever material?"""
    token, _ = token_of(remote_name)
    return file_name.startswith((f"{token}.", f"{token}__"))


# --- the note beside a file -----------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Note:
    """What was handed over. `handed_over` is set once the file has been seen in its place, whole."""

    remote_name: str
    sha256: str
    size_bytes: int
    handed_over: bool = False
    staged_at: str = ""  # by our clock, ISO 8601
    job_id: str = ""
    job: str = ""  # the file's name as its member knows it
    member: str = ""
    material: str = ""
    machine: str = ""
    planned_seconds: int = 0
    words: str = "Handed over. A person starts it at the machine's own software."


def note(remote_name: str, sha256: str, size_bytes: int, ticket: Ticket | None) -> Note:
    bare = Note(remote_name=remote_name, sha256=sha256, size_bytes=size_bytes)
    if ticket is None:
        return bare
    return replace(
        bare,
        job_id=str(ticket.job_id),
        job=ticket.file_name,
        member=ticket.member_name,
        material=ticket.material,
        machine=ticket.machine_name,
        planned_seconds=ticket.seconds,
    )


def note_bytes(note: Note) -> bytes:
    return json.dumps(asdict(note), ensure_ascii=False, indent=2).encode() + b"\n"


def parse_note(body: bytes) -> Note | None:
    """None where it is no note of ours."""
    raw = _object(body)
    try:
        note = Note(**raw)
    except TypeError:
        return None
    right = all(type(getattr(note, name)) is type(value) for name, value in asdict(_PATTERN).items())
    return note if right and _REMOTE_NAME.fullmatch(note.remote_name) else None


_PATTERN = Note(remote_name="", sha256="", size_bytes=0)


# --- what the machine's side says -----------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class State:
    """One state file. `at` is when it was written, by the clock of the folder's computer."""

    remote_name: str  # of our file where a note says so, else the file's own name without `.state.json`
    state: str  # as written; `unclear` where it could not be read
    at: datetime
    progress: float | None = None
    machine_seconds: int | None = None
    beam_seconds: float | None = None
    words: str = ""
    cause: Cause | None = None

    @property
    def works(self) -> bool:
        return self.state in _ACTIVITIES

    @property
    def unclear(self) -> bool:
        return self.state == _UNCLEAR

    def ended(self) -> Ended | None:
        outcome = _OUTCOMES.get(self.state)
        if outcome is None:
            return None
        words = self.words or ("Closed as failed at the machine." if outcome is Outcome.FAILED else "")
        return Ended(
            remote_name=self.remote_name,
            outcome=outcome,
            cause=None if outcome is Outcome.FINISHED else self.cause,
            machine_seconds=self.machine_seconds,
            beam_seconds=self.beam_seconds,
            words=words,
        )


def state(body: bytes, remote_name: str, at: datetime) -> State:
    raw = _object(body)
    said, words, cause = raw.get("state"), raw.get("words"), raw.get("cause")
    if not isinstance(said, str) or said not in {*_ACTIVITIES, *_OUTCOMES}:
        return State(remote_name=remote_name, state=_UNCLEAR, at=at)
    seconds = _number(raw.get("machine_seconds"), SECONDS_MAX)
    return State(
        remote_name=remote_name,
        state=said,
        at=at,
        progress=_number(raw.get("progress"), 1.0),
        machine_seconds=None if seconds is None else round(seconds),
        beam_seconds=_number(raw.get("beam_seconds"), SECONDS_MAX),
        words=words[:WORDS_LENGTH_MAX] if isinstance(words, str) else "",
        cause=Cause(cause) if isinstance(cause, str) and cause in set(Cause) else None,
    )


def _object(body: bytes) -> dict[str, Any]:
    try:
        raw = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return raw if isinstance(raw, dict) and all(isinstance(key, str) for key in raw) else {}


def _number(value: object, most: float) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and 0 <= value <= most else None


def observation(states: Iterable[State]) -> Observation:
    """The machine works on the newest file that is said to be at work. Idle, unless a state file cannot be read."""
    newest = sorted(states, key=lambda one: one.at, reverse=True)
    for one in newest:
        if one.works:
            return Observation(
                activity=_ACTIVITIES[one.state],
                remote_name=one.remote_name,
                progress=one.progress,
                machine_seconds=one.machine_seconds,
                beam_seconds=one.beam_seconds,
                message=one.words,
            )
    for one in newest:
        if one.unclear:
            words = f"The state file of {one.remote_name} cannot be read."
            return Observation(activity=Activity.UNKNOWN, message=words)
    return Observation(activity=Activity.IDLE)


def ours_at(state: State, note: Note | None, note_at: datetime | None) -> datetime:
    """When the state was written, by our clock: the note was written at a time that both clocks know."""
    if note is None or note_at is None or not note.staged_at:
        return state.at
    try:
        staged_at = datetime.fromisoformat(note.staged_at)
    except ValueError:
        return state.at
    return state.at + (staged_at - note_at) if staged_at.tzinfo is not None else state.at
