"""The machine itself, as it stands in the lab: it prints whether somebody watches or not.

It outlives every driver that speaks to it, and with a `state_path` also our process. `Troubles` and a few
methods make it misbehave, in words; all of it is off unless a test asks. It knows nothing of jobs or runs.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from drivers.simulated.wire import (
    FILES_MAX,
    LOG_MAX,
    Memory,
    Past,
    Print,
    Start,
    StoredFile,
    activity,
    beam_seconds,
    end,
    from_json,
    gcode_seconds,
    hold,
    next_phase_seconds,
    played,
    settle,
    share,
    temperatures,
    to_json,
)
from orchestrator.domain.errors import Conflict, MachineUnreachable, Misconfigured, Rejected
from orchestrator.domain.event import Json
from orchestrator.domain.machine import Activity, Kind
from orchestrator.domain.presence import HEARTBEAT_LOST_SECONDS, Presence
from orchestrator.ports import (
    Accepted,
    Clock,
    Control,
    Located,
    Observation,
    Outcome,
    Refused,
    StartAnswer,
    Unknown,
    Where,
)

HANG_SECONDS = 10.0
"""How long a caller waits for a machine that does not answer; the driver's own limit."""
_EDGE_BYTES = 64 * 1024
_FOREVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What an installation may say about a simulated machine; the folder's docstring explains each."""

    identity: str = "simulated"
    kind: Kind = Kind.PRINTER
    speed: float = 1.0
    default_seconds: int = 600
    pace: float = 1.0
    warm_up_seconds: float = 0.0
    panel: bool = False
    state_path: Path | None = None
    reading_seconds: float = 1.0

    @staticmethod
    def of(connection: Mapping[str, Json]) -> Settings:
        """Raises Misconfigured naming the key that is wrong."""
        unknown = sorted(set(connection) - set(Settings.__dataclass_fields__))
        if unknown:
            raise Misconfigured(
                f"“{unknown[0]}” is no setting of a simulated machine.", code="driver.setting"
            )
        identity, kind, state_path = (connection.get(key) for key in ("identity", "kind", "state_path"))
        if not isinstance(identity, str | None):
            raise _wrong("identity", "a text")
        if kind not in {None, Kind.PRINTER.value, Kind.LASER.value}:
            raise _wrong("kind", "“printer” or “laser”")
        if not isinstance(state_path, str | None):
            raise _wrong("state_path", "the path of a file")
        return Settings(
            identity=identity or "simulated",
            kind=Kind(kind) if isinstance(kind, str) else Kind.PRINTER,
            speed=_positive(connection, "speed", 1.0),
            reading_seconds=_positive(connection, "reading_seconds", 1.0),
            default_seconds=round(_positive(connection, "default_seconds", 600)) or 1,
            pace=_positive(connection, "pace", 1.0),
            warm_up_seconds=_positive(connection, "warm_up_seconds", 0.0),
            panel=connection.get("panel") is True,
            state_path=Path(state_path) if state_path else None,
        )


def _positive(connection: Mapping[str, Json], key: str, default: float) -> float:
    if key not in connection:
        return default
    value = connection[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e9:
        raise _wrong(key, "a number above 0")
    return float(value)


def _wrong(key: str, wanted: str) -> Misconfigured:
    return Misconfigured(f"The machine's setting “{key}” must be {wanted}.", code="driver.setting")


@dataclass(frozen=True, kw_only=True)
class Troubles:
    """What goes wrong, for as long as it is set; shares are of the whole print, 0..1."""

    jams_at: float | None = None  # the print fails there
    vanishes_at: float | None = None  # the link is lost there; the print goes on
    vanishes_seconds: float = 30.0  # of the clock, until the link is back
    never_starts: bool = False  # takes the start and does nothing
    starts_late_seconds: float = 0.0  # of the clock, between taking the start and beginning
    loses_the_answer: bool = False  # begins, but the caller never hears of it
    answers_500: bool = False  # to a start: nothing begins, and the answer proves nothing
    says_done_at: float | None = None  # claims to have finished there
    goes_backwards: bool = False  # every other reading tells a smaller position
    hangs: bool = False  # no call is answered
    extractor_off: bool = False  # of a laser


NO_TROUBLES = Troubles()


class SimulatedMachine:
    """One machine, on the clock it is given. Without a state file it begins empty."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.settings = settings
        self.troubles = NO_TROUBLES
        self._clock = clock
        self._gone: tuple[datetime, datetime] | None = None  # from, until: no link
        self._attended_until = clock.now()  # a laser that we feed stops by itself once nobody is there
        self._lid_open = False
        self._bells: set[asyncio.Event] = set()
        self._readings = 0
        self._memory = self._load()

    # --- what a test may make happen, in words ----------------------------------------------------

    def jam(self) -> None:
        """The print on the machine fails now."""
        self._end_now(Outcome.FAILED, "Jammed: the nozzle gives nothing.")

    def vanish(self, seconds: float | None = None) -> None:
        """The link is lost, for so long or until `reappear`; a print goes on."""
        now = self._clock.now()
        self._gone = (now, now + timedelta(seconds=seconds) if seconds is not None else _FOREVER)
        self._ring()

    def reappear(self) -> None:
        self._gone = None
        self._ring()

    def lose_power(self) -> None:
        """Whatever it printed is dead on the bed, and nothing in its memory tells of it."""
        self._memory = Memory(since=self._clock.now(), files=self._memory.files)
        self._changed()

    def start_by_hand(
        self, name: str = "by-hand.gcode", seconds: int = 600, size_bytes: int = 100_000
    ) -> None:
        """Somebody starts a file of their own at the panel. Raises Conflict while the machine works."""
        if self._memory.current is not None:
            raise Conflict("The machine is working.")
        file = StoredFile(size_bytes=size_bytes, seconds=seconds)
        self._memory = replace(self._memory, files={**self._memory.files, name: file})
        self._begin(name, NO_TROUBLES, by_hand=True)

    def cancel_by_hand(self) -> None:
        self._end_now(Outcome.CANCELLED, "Cancelled at the panel.")

    def press_start(self, name: str) -> None:
        """Somebody presses the machine's own start on a file that was put there. Raises Conflict while it works."""
        if self._settled().current is not None or name not in self._memory.files:
            raise Conflict("The machine is working, or has no such file.")
        self._begin(name, NO_TROUBLES)

    def open_lid(self) -> None:
        """The machine's own interlock holds it, whoever watches."""
        self._lid_open = True
        self._hold_at(self._clock.now())

    def close_lid(self) -> None:
        self._lid_open = False
        self._ring()

    # --- the physical truth, for judges -----------------------------------------------------------

    @property
    def starts(self) -> tuple[Start, ...]:
        """Every start that reached the machine since it remembers, in order."""
        return self._settled().starts

    @property
    def past(self) -> tuple[Past, ...]:
        return self._settled().past

    @property
    def memory(self) -> Memory:
        """All that it knows at this moment."""
        return self._settled()

    @property
    def printing(self) -> str | None:
        """The file that it works on."""
        job = self._settled().current
        return job.name if job is not None and self._clock.now() >= job.begins_at else None

    @property
    def end_in_seconds(self) -> float | None:
        """Clock seconds until the present print is over; None if there is none or it is paused."""
        job = self._settled().current
        if job is None or job.plays_since is None:
            return None
        return (job.seconds - played(job, self._clock.now(), self.settings.speed)) / self.settings.speed

    # --- what a driver may ask of it --------------------------------------------------------------

    def reachable(self) -> bool:
        now = self._clock.now()
        return self._gone is None or not self._gone[0] <= now < self._gone[1]

    async def answer(self) -> None:
        """Every call begins here: raises MachineUnreachable, in bounded time, when nobody answers."""
        if self.troubles.hangs:
            await self._clock.sleep(HANG_SECONDS)
            raise MachineUnreachable("The machine does not answer in time.")
        if not self.reachable():
            raise MachineUnreachable("The machine has no network.")

    def read(self) -> Observation:
        job, now, speed = self._settled().current, self._clock.now(), self.settings.speed
        if job is None or now < job.begins_at:
            return Observation(
                activity=Activity.IDLE,
                message=self._last_words(),
                temperatures=self._celsius(None),
                conditions=self._conditions(),
            )
        seconds = played(job, now, speed)
        done = share(job, seconds)
        position = round(job.size_bytes * done)
        self._readings += 1
        if self.troubles.goes_backwards and self._readings % 2:
            position //= 2
        return Observation(
            activity=activity(job, now, speed),
            remote_name=job.name,
            progress=round(done, 4),
            position_bytes=position,
            machine_seconds=int(seconds),
            message="printing by hand" if job.by_hand else "",
            temperatures=self._celsius(job),
            beam_seconds=round(job.beam_seconds * done, 1) if job.beam_seconds else None,
            conditions=self._conditions(),
        )

    def stage(self, path: Path, name: str) -> StoredFile:
        """Raises Rejected while the machine works on that very file."""
        memory = self._settled()
        file = self._measured(path)
        if memory.files.get(name) == file:
            return file
        if memory.current is not None and memory.current.name == name:
            raise Rejected("The machine is working on the file of that name.")
        kept = dict(list(memory.files.items())[-(FILES_MAX - 1) :])
        self._memory = replace(memory, files={**kept, name: file})
        self._changed()
        return file

    def attend(self) -> None:
        """Somebody is there, and for a moment longer."""
        self._settled()
        self._attended_until = self._clock.now() + timedelta(seconds=HEARTBEAT_LOST_SECONDS)

    async def start(self, name: str, presence: Presence | None = None) -> StartAnswer:
        troubles = self.troubles
        if troubles.answers_500:
            return Unknown(words="The machine answered with an error of its own (500).")
        if refusal := self._refusal(name, presence):
            return Refused(words=refusal)
        self.attend()
        if troubles.never_starts:
            self._note_start(name, obeyed=False)
            return Accepted()
        self._begin(name, troubles)
        if troubles.loses_the_answer:
            await self._clock.sleep(HANG_SECONDS)
            return Unknown(words="The machine did not answer the start in time.")
        return Accepted()

    def _refusal(self, name: str, presence: Presence | None) -> str:
        memory = self._settled()
        if memory.current is not None:
            return f"The machine is working on {memory.current.name}."
        if name not in memory.files:
            return f"The machine has no file {name}."
        return self._unattended(presence) if self.settings.kind is Kind.LASER else ""

    def _unattended(self, presence: Presence | None) -> str:
        if self.settings.panel:
            return "This laser is started at its own panel."
        if presence is None or presence.expires_at <= self._clock.now():
            return "A laser starts only while a person stands at it."
        return "The lid is open." if self._lid_open else ""

    def revoke(self, name: str) -> bool:
        """Delete the file; a start that has not begun yet goes with it."""
        memory = self._settled()
        job = memory.current
        if job is not None and job.name == name and self._clock.now() >= job.begins_at:
            return False
        waiting = job is not None and job.name == name
        files = {key: file for key, file in memory.files.items() if key != name}
        self._memory = replace(memory, files=files, current=None if waiting else job)
        self._changed()
        return True

    def control(self, name: str, action: Control) -> None:
        """Raises Conflict unless the machine works on that file."""
        job = self._settled().current
        if job is None or job.name != name or self._clock.now() < job.begins_at:
            raise Conflict("The machine does not work on that file.")
        if action is Control.CANCEL:
            self._end_now(Outcome.CANCELLED, "")
            return
        now = self._clock.now()
        if action is Control.RESUME and self._is_fed() and (self._lid_open or now >= self._attended_until):
            raise Rejected("A laser goes on only while a person stands at it, with its lid closed.")
        seconds = played(job, now, self.settings.speed)
        since = None if action is Control.PAUSE else now
        self._memory = replace(self._memory, current=replace(job, played_seconds=seconds, plays_since=since))
        self._changed()

    def locate(self, name: str, since: datetime) -> Located:
        memory = self._settled()
        job = memory.current
        if job is not None and job.name == name and self._clock.now() >= job.begins_at:
            return Located(where=Where.RUNNING, observation=self.read())
        for past in reversed(memory.past):
            if past.name == name and past.ended_at >= since:
                return Located(where=Where.ENDED, ended=past.ended())
        if any(start.name == name and start.at >= since for start in memory.starts):
            return Located(
                where=Where.UNSURE, words="The machine took the start, but nothing shows that it began."
            )
        forgotten = len(memory.starts) == LOG_MAX and memory.starts[0].at > since
        if memory.since > since or forgotten:
            return Located(where=Where.UNSURE, words="The machine has lost its memory of that time.")
        return Located(where=Where.NEVER_STARTED, words="No start of that file ever reached the machine.")

    @contextmanager
    def watched(self) -> Iterator[asyncio.Event]:
        """An event that is set whenever something happens that time alone does not bring."""
        bell = asyncio.Event()
        self._bells.add(bell)
        try:
            yield bell
        finally:
            self._bells.discard(bell)

    def next_change_seconds(self, every_seconds: float) -> float | None:
        """When to look again: within `every_seconds` while it prints; None if only a bell brings news."""
        job, now = self._settled().current, self._clock.now()
        waits = [] if job is None else [next_phase_seconds(job, now, self.settings.speed)]
        if waits and waits[0] is not None and job is not None and now >= job.begins_at:
            waits.append(every_seconds)
        if job is not None and job.plays_since is not None and self._is_fed():
            waits.append(max(0.0, (self._attended_until - now).total_seconds()) + 2e-6)
        if self._gone is not None and now < self._gone[0]:
            waits.append((self._gone[0] - now).total_seconds())
        return min((wait for wait in waits if wait is not None), default=None)

    def reload(self) -> None:
        """Read the state file again: another process, or an earlier driver here, may have written it."""
        if self.settings.state_path is not None:
            self._memory = self._load()

    # --- inside -----------------------------------------------------------------------------------

    def _is_fed(self) -> bool:
        """A laser to which we stream: without us it stands still."""
        return self.settings.kind is Kind.LASER and not self.settings.panel

    def _hold_at(self, at: datetime) -> None:
        memory = settle(self._memory, at, self.settings.speed)
        if memory.current is not None and memory.current.plays_since is not None:
            memory = replace(memory, current=hold(memory.current, at, self.settings.speed))
        if memory is not self._memory:
            self._memory = memory
            self._changed()

    def _settled(self) -> Memory:
        now = self._clock.now()
        if self._is_fed() and now >= self._attended_until:
            self._hold_at(self._attended_until)
        settled = settle(self._memory, now, self.settings.speed)
        if settled is not self._memory:
            self._memory = settled
            self._changed()
        return self._memory

    def _begin(self, name: str, troubles: Troubles, *, by_hand: bool = False) -> None:
        file, speed = self._memory.files[name], self.settings.speed
        begins_at = self._clock.now() + timedelta(seconds=troubles.starts_late_seconds)
        job = Print(
            name=name,
            size_bytes=file.size_bytes,
            seconds=file.seconds,
            begins_at=begins_at,
            plays_since=begins_at,
            fails_at=troubles.jams_at,
            says_done_at=troubles.says_done_at,
            by_hand=by_hand,
            beam_seconds=file.beam_seconds if self.settings.kind is Kind.LASER else 0,
        )
        if troubles.vanishes_at is not None:
            lost_at = begins_at + timedelta(seconds=troubles.vanishes_at * file.seconds / speed)
            self._gone = (lost_at, lost_at + timedelta(seconds=troubles.vanishes_seconds))
        self._memory = replace(self._memory, current=job)
        self._note_start(name, obeyed=True, by_hand=by_hand)

    def _note_start(self, name: str, *, obeyed: bool, by_hand: bool = False) -> None:
        start = Start(name=name, at=self._clock.now(), obeyed=obeyed, by_hand=by_hand)
        self._memory = replace(self._memory, starts=(*self._memory.starts, start)[-LOG_MAX:])
        self._changed()

    def _end_now(self, outcome: Outcome, words: str) -> None:
        memory = self._settled()
        if memory.current is not None:
            over = end(memory.current, self._clock.now(), outcome, self.settings.speed, words)
            self._memory = replace(memory, current=None, past=(*memory.past, over)[-LOG_MAX:])
            self._changed()

    def _last_words(self) -> str:
        past = self._memory.past
        return past[-1].words if past and past[-1].outcome is Outcome.FAILED else ""

    def _celsius(self, job: Print | None) -> dict[str, float]:
        if self.settings.kind is Kind.LASER:
            return {}
        return temperatures(job, self._clock.now(), self.settings.speed)

    def _conditions(self) -> dict[str, bool]:
        if self.settings.kind is not Kind.LASER:
            return {}
        return {"lid": not self._lid_open, "extractor": not self.troubles.extractor_off}

    def _measured(self, path: Path) -> StoredFile:
        """The duration that the file itself states, in its first or last bytes, or the machine's default; at the
        machine's own pace."""
        with path.open("rb") as file:
            head = file.read(_EDGE_BYTES)
            file.seek(max(0, path.stat().st_size - _EDGE_BYTES))
            tail = file.read(_EDGE_BYTES)
        stated = gcode_seconds(head) or gcode_seconds(tail) or self.settings.default_seconds
        return StoredFile(
            size_bytes=path.stat().st_size,
            seconds=round(stated * self.settings.pace + self.settings.warm_up_seconds),
            beam_seconds=round(beam_seconds(head) * self.settings.pace),
        )

    def _changed(self) -> None:
        self._save()
        self._ring()

    def _ring(self) -> None:
        for bell in self._bells:
            bell.set()

    def _load(self) -> Memory:
        path = self.settings.state_path
        if path is None or not path.exists():
            return Memory(since=self._clock.now())
        try:
            return from_json(json.loads(path.read_bytes()))
        except (ValueError, OSError) as error:
            raise Misconfigured(f"state_path: {path} is no simulated machine's state: {error}") from error

    def _save(self) -> None:
        path = self.settings.state_path
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        draft.write_text(json.dumps(to_json(self._memory)))
        draft.replace(path)
