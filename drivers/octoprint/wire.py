"""OctoPrint's JSON <-> our values. Pure: no socket, no clock. Facts: OctoPrint 1.11.8, measured.

`reading` understands one full state (`GET /api/job`, or `history` and `current` on the push socket); `Told`
folds the push socket's messages into observations and tells each end once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from orchestrator.domain.errors import MachineUnreachable
from orchestrator.domain.machine import WORKING, Activity
from orchestrator.ports import Control, Ended, Observation, Outcome

EVENTS = (
    "FileSelected",
    "PrinterStateChanged",
    "PrintStarted",
    "PrintPaused",
    "PrintDone",
    "PrintCancelled",
    "PrintFailed",
)
THROTTLE = 2
"""`current` comes at most every `THROTTLE` × 0.5 s; events are not throttled."""

_BY_STATE_TEXT: Mapping[str, Activity] = {
    "Operational": Activity.IDLE,
    "Starting": Activity.PREPARING,
    "Starting print from SD": Activity.PREPARING,
    "Starting to send file to SD": Activity.BUSY,
    "Sending file to SD": Activity.BUSY,
    "Transferring file to SD": Activity.BUSY,
    "Printing": Activity.PRINTING,
    "Printing from SD": Activity.PRINTING,
    "Pausing": Activity.PAUSING,
    "Paused": Activity.PAUSED,
    "Resuming": Activity.RESUMING,
    "Cancelling": Activity.CANCELLING,
    "Finishing": Activity.FINISHING,
    "Error": Activity.FAULT,
    "Offline after error": Activity.FAULT,
}
"""What is not in here (Offline, Connecting, Detecting …) has no printer to speak of: `unknown`."""

_BY_STATE_ID: Mapping[str, Activity] = {
    "OPERATIONAL": Activity.IDLE,
    "STARTING": Activity.PREPARING,
    "TRANSFERING_FILE": Activity.BUSY,
    "PRINTING": Activity.PRINTING,
    "PAUSING": Activity.PAUSING,
    "PAUSED": Activity.PAUSED,
    "RESUMING": Activity.RESUMING,
    "CANCELLING": Activity.CANCELLING,
    "FINISHING": Activity.FINISHING,
    "ERROR": Activity.FAULT,
    "CLOSED_WITH_ERROR": Activity.FAULT,
}

SETTLED: Mapping[Control, frozenset[Activity]] = {
    Control.PAUSE: frozenset({Activity.PAUSING, Activity.PAUSED}),
    Control.RESUME: frozenset({Activity.RESUMING, Activity.PRINTING, Activity.FINISHING}),
    Control.CANCEL: frozenset(Activity) - WORKING | {Activity.CANCELLING},
}
"""When a command is done. PAUSING counts: it lasts as long as a blocking heat-up does."""

COMMANDS: Mapping[Control, Mapping[str, str]] = {
    # Without `action` a pause toggles.
    Control.PAUSE: {"command": "pause", "action": "pause"},
    Control.RESUME: {"command": "pause", "action": "resume"},
    Control.CANCEL: {"command": "cancel"},
}

START = {"command": "select", "print": True}


def parse(text: bytes | str) -> Any:
    """Raises MachineUnreachable for what no OctoPrint says."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MachineUnreachable("What answers there does not speak OctoPrint's language.") from error


def words_of(body: bytes) -> str:
    """The machine's own words of a refusal, shortened."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    return str(said.get("error") or "")[:300] if isinstance(said, dict) else ""


def reading(body: Any) -> Observation:
    """A full state: `GET /api/job` (`state` is a text) or the socket's `current` (`state` is an object)."""
    state, job, progress = _part(body, "state"), _part(body, "job"), _part(body, "progress")
    text = str(state.get("text") or _part(body).get("state"))
    completion = _real(progress.get("completion"))
    return Observation(
        activity=_BY_STATE_TEXT.get(text, Activity.UNKNOWN),
        remote_name=_name(_part(job, "file")),
        progress=None if completion is None else min(1.0, max(0.0, completion / 100)),
        position_bytes=_whole(progress.get("filepos")),
        machine_seconds=_whole(progress.get("printTime")),
        message=_message(text, str(state.get("error") or _part(body).get("error") or "")),
        temperatures=_temperatures(body),
    )


def _message(state: str, error: str) -> str:
    if error:
        return error[:300]
    if state in _BY_STATE_TEXT:
        return ""
    return f"OctoPrint has no connection to its printer ({state[:60]})."


def _name(file: Mapping[str, Any]) -> str | None:
    """A file's path; one on the printer's own card never looks like one of ours."""
    path = file.get("path")
    if not isinstance(path, str):
        return None
    return path if file.get("origin") == "local" else f"{file.get('origin')}:{path}"


def _temperatures(body: Any) -> dict[str, float]:
    temps = body.get("temps") if isinstance(body, dict) else None
    for entry in reversed(temps) if isinstance(temps, list) else ():
        found = {
            str(part): float(round(celsius))
            for part, values in _part(entry).items()
            if (celsius := _real(_part(values).get("actual"))) is not None
        }
        if found:
            return found
    return {}


def _part(body: Any, key: str | None = None) -> Mapping[str, Any]:
    part = body.get(key) if key is not None and isinstance(body, dict) else body
    return part if isinstance(part, dict) else {}


def _real(value: Any) -> float | None:
    """A number of a size that something real can have."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and -1e15 < value < 1e15
    return float(value) if good else None


def _whole(value: Any) -> int | None:
    number = _real(value)
    return None if number is None else round(number)


def version(body: Any) -> str:
    """OctoPrint's name and version out of `GET /api/version`; empty for what is no OctoPrint."""
    text = str(_part(body).get("text"))
    return text[:80] if text.startswith("OctoPrint") else ""


def stored_path(body: Any) -> str | None:
    """The path under which an upload was stored."""
    return _name({"origin": "local", **_part(_part(_part(body, "files"), "local"))})


# --- what a file's own record tells ----------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Record:
    """`GET /api/files/local/<name>`: the file as OctoPrint keeps it, and its last print."""

    size_bytes: int | None
    sha1: str | None
    printed_at: float | None = None  # end of its last print, seconds since 1970 by OctoPrint's clock
    success: bool = False
    print_seconds: int | None = None


def record(body: Any) -> Record:
    last = _part(_part(body, "prints"), "last")
    sha1 = _part(body).get("hash")
    return Record(
        size_bytes=_whole(_part(body).get("size")),
        sha1=sha1 if isinstance(sha1, str) else None,
        printed_at=_real(last.get("date")),
        success=last.get("success") is True,
        print_seconds=_whole(last.get("printTime")),
    )


def ended(name: str, seen: Record, since: datetime, ahead_seconds: float) -> Ended | None:
    """The end of a print of `name` sent at `since` (our clock), if the record has one.

    `ahead_seconds`: how far OctoPrint's clock is ahead of ours, known to the second, hence the slack.
    """
    if seen.printed_at is None or seen.printed_at < since.timestamp() + ahead_seconds - 2:
        return None
    return Ended(
        remote_name=name,
        outcome=Outcome.FINISHED if seen.success else Outcome.FAILED,
        position_bytes=seen.size_bytes if seen.success else None,
        machine_seconds=seen.print_seconds,
        words="" if seen.success else "OctoPrint's record says that this print did not succeed.",
    )


# --- the push socket -------------------------------------------------------------------------------


def hello(name: str, session: str) -> tuple[str, ...]:
    """What to send first, in this order: the subscription must be there before the login opens the tap."""
    subscription = {"state": {"logs": False, "messages": False}, "events": list(EVENTS), "plugins": False}
    return (
        json.dumps({"subscribe": subscription}),
        json.dumps({"auth": f"{name}:{session}"}),
        json.dumps({"throttle": THROTTLE}),
    )


def login(body: Any) -> tuple[str, str]:
    """User name and session out of `POST /api/login`."""
    name, session = _part(body).get("name"), _part(body).get("session")
    if not isinstance(name, str) or not isinstance(session, str):
        raise MachineUnreachable("OctoPrint's login gave no session.")
    return name, session


def wants_login(message: Any) -> bool:
    return "reauthRequired" in _part(message)


@dataclass(frozen=True, kw_only=True)
class Told:
    """All that the socket has told so far. The first full state is `history`; before it nothing is known.

    Events come at once and in order; `current` is throttled and may be older than the last event
    (measured: “Printing” after OFFLINE). So the events say what the machine does; a `current` that disagrees
    is passed over, unless the next one says the same.
    """

    last: Observation | None = None
    ending: Ended | None = None  # told, but the machine is still at it (cooling, retracting)
    over: bool = False  # the present print's end is told: PrintCancelled and PrintFailed are one end
    stale: Activity | None = None  # what the last `current` said, if it was passed over

    def hear(self, message: Any) -> tuple[Told, Observation | None]:
        """The new state of knowledge, and an observation if there is news."""
        parts = _part(message)
        if "history" in parts:
            told = replace(self, last=reading(parts["history"]), stale=None)
        elif "current" in parts:
            told = self._current(reading(parts["current"]))
        elif "event" in parts:
            event = _part(parts, "event")
            told = self._event(str(event.get("type")), _part(event, "payload"))
        else:
            told = self
        return told._news(self.last)

    def _current(self, seen: Observation) -> Told:
        if self.last is None:
            return replace(self, last=seen)
        seen = replace(seen, temperatures=seen.temperatures or self.last.temperatures)
        explains = seen.activity is Activity.FAULT and self.last.activity is Activity.UNKNOWN
        if seen.activity in {self.last.activity, self.stale} or explains:
            return replace(self, last=seen, stale=None)
        return replace(self, stale=seen.activity)

    def _event(self, kind: str, payload: Mapping[str, Any]) -> Told:
        if self.last is None:
            return self
        if kind == "PrinterStateChanged":
            return replace(self, last=replace(self.last, activity=self._turned(str(payload.get("state_id")))))
        if kind in {"FileSelected", "PrintStarted"}:
            began = kind == "PrintStarted"
            activity = Activity.PREPARING if began else self.last.activity
            fresh = Observation(
                activity=activity, remote_name=_name(payload), temperatures=self.last.temperatures
            )
            return replace(self, last=fresh, over=self.over and not began)
        if kind == "PrintPaused":
            position = _whole(payload.get("fileposition")) or self.last.position_bytes
            return replace(self, last=replace(self.last, position_bytes=position))
        outcome = _outcome(kind, payload)
        if outcome is None or self.over:
            return self
        return replace(self, ending=self._end(outcome, payload), over=True)

    def _turned(self, state_id: str) -> Activity:
        """An error is followed by OFFLINE; it stays an error until the printer is connected again."""
        if state_id == "OFFLINE" and self.last is not None and self.last.activity is Activity.FAULT:
            return Activity.FAULT
        return _BY_STATE_ID.get(state_id, Activity.UNKNOWN)

    def _end(self, outcome: Outcome, payload: Mapping[str, Any]) -> Ended:
        name = _name(payload) or ""
        told = [_whole(payload.get("fileposition")), _share_of_size(payload)]
        if self.last is not None and self.last.remote_name == name:
            told.append(self.last.position_bytes)
        furthest = max((position for position in told if position is not None), default=None)
        return Ended(
            remote_name=name,
            outcome=outcome,
            position_bytes=_whole(payload.get("size")) if outcome is Outcome.FINISHED else furthest,
            machine_seconds=_whole(payload.get("time")),
            words=str(payload.get("error") or "")[:300],
        )

    def _news(self, before: Observation | None) -> tuple[Told, Observation | None]:
        if self.last is not None and self.ending is not None and self.last.activity not in WORKING:
            return replace(self, ending=None), replace(self.last, ended=self.ending)
        return self, self.last if self.last != before else None


def _outcome(kind: str, payload: Mapping[str, Any]) -> Outcome | None:
    if kind == "PrintDone":
        return Outcome.FINISHED
    if kind == "PrintCancelled" or (kind == "PrintFailed" and payload.get("reason") == "cancelled"):
        return Outcome.CANCELLED
    return Outcome.FAILED if kind == "PrintFailed" else None


def _share_of_size(payload: Mapping[str, Any]) -> int | None:
    """A failure's `progress` is a share of the file, 0..1; a cancel's per cent are not needed."""
    share, size = _real(payload.get("progress")), _real(payload.get("size"))
    if payload.get("reason") != "error" or share is None or size is None or not 0 <= share <= 1:
        return None
    return round(share * size)
