"""What is known of the runs on one controller, from its status words and counters. Pure: readings in, news out.

The controller never says which document it works on, nor how a job ended; this file owns what is concluded, and the
evidence for each conclusion. Counters that run backwards or count more than has passed are words, never usage.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Any

from drivers.ruida.wire import RUNNING, Counters, activity, is_stopping
from orchestrator.domain.event import Json
from orchestrator.domain.machine import Activity
from orchestrator.domain.run import Cause
from orchestrator.ports import Ended, Located, Observation, Outcome, Where

SETTLE_SECONDS = 0.6
SETTLE_READINGS = 3
"""A job is over once the controller has rested so long: a stop is told by a single word in between, if at all."""
GRACE_SECONDS = 2.5
"""How long the controller may take to count a job as done, before its end is taken for a failure."""
OFF_SECONDS = 3
"""A controller that has counted so many seconds too few was switched off in between."""
SLACK_SECONDS = 5
"""What our clock and the controller's counters may differ by."""
RECORDS_MAX = 50
_FOREIGN = "A job runs that was not staged by us, or nobody can tell which it is."


@dataclass(frozen=True, kw_only=True)
class Record:
    """A document of ours on the controller, and what the counters said when it had arrived."""

    remote_name: str
    document: str  # as the panel names it
    place: int | None  # in the controller's list; None where it tells no names
    sha256: str
    size_bytes: int
    staged_at: datetime
    base: Counters
    doubtful: bool = False  # a job has run since that may have been this one
    ended: Ended | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Job:
    """What runs now, or has just ceased to."""

    remote_name: str | None  # None: not known to be ours
    began_at: datetime  # not before this
    seen_at: datetime  # first seen running
    base: Counters  # before it began
    latest: Counters  # when it was last seen running
    tail: bool = False
    stopped: bool = False  # a stop was seen, or asked for by us
    readings: int = 0  # since it ceased
    ceased_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Reading:
    at: datetime
    word: int
    counters: Counters


@dataclass(frozen=True, kw_only=True)
class Watch:
    records: tuple[Record, ...] = ()  # the newest last
    job: Job | None = None
    rested_at: datetime | None = None  # last seen doing nothing

    # --- what is staged --------------------------------------------------------------------------

    def record(self, remote_name: str) -> Record | None:
        return next((record for record in self.records if record.remote_name == remote_name), None)

    def staged(self, record: Record) -> Watch:
        others = tuple(known for known in self.records if known.remote_name != record.remote_name)
        return replace(self, records=(*others, record)[-RECORDS_MAX:])

    def taken_away(self, remote_name: str, place: int | None) -> Watch:
        """Deleted from this place; None: it was not there. What has ended is still known."""
        left = (r for r in self.records if r.remote_name != remote_name or r.ended is not None)
        return replace(self, records=tuple(_moved_up(record, place) for record in left))

    @property
    def waiting(self) -> tuple[Record, ...]:
        return tuple(record for record in self.records if record.ended is None)

    def candidate(self, now: Counters) -> Record | None:
        """The one that runs, if ours does: the only one staged, nothing stored since, and no job between."""
        if len(self.waiting) != 1:
            return None
        record = self.waiting[0]
        between = now.jobs - record.base.jobs  # a controller may count a job when it begins
        return record if now.documents == record.base.documents and between in {0, 1} else None

    # --- what is seen ----------------------------------------------------------------------------

    def begins(self, reading: Reading, ours: Record | None) -> Watch:
        if ours is None:
            base, began_at = reading.counters, reading.at
        else:
            base, began_at = ours.base, max(ours.staged_at, self.rested_at or ours.staged_at)
        job = Job(
            remote_name=ours.remote_name if ours is not None else None,
            began_at=began_at,
            seen_at=reading.at,
            base=base,
            latest=reading.counters,
        )
        return replace(self, job=job)

    def stop_asked(self) -> Watch:
        return replace(self, job=replace(self.job, stopped=True) if self.job else None)

    def sees(self, reading: Reading) -> tuple[Watch, Observation]:
        """After `begins`, where something does. The observation reports the end when it is certain."""
        if self.job is None:
            seen = Observation(activity=activity(reading.word), message=self._invitation())
            return replace(self, rested_at=reading.at), seen
        if reading.word & RUNNING and _is_another(self.job, reading):
            return self._over(self.job, reading)
        if reading.word & RUNNING:
            tail = self.job.tail or activity(reading.word) is Activity.FINISHING
            job = replace(self.job, latest=reading.counters, tail=tail, readings=0, ceased_at=None)
            return replace(self, job=job), _working(job, reading)
        job = _ceased(self.job, reading)
        if not _settled(job, reading):
            seen = replace(_working(job, reading), activity=Activity.FINISHING)
            return replace(self, job=job), seen
        return self._over(job, reading)

    def _invitation(self) -> str:
        names = ", ".join(record.document for record in self.waiting)
        return f"Staged, to be started at the panel: {names}." if names else ""

    def _over(self, job: Job, reading: Reading) -> tuple[Watch, Observation]:
        ended = _end(job, reading) if job.remote_name is not None else None
        records = tuple(_after(record, ended, reading) for record in self.records)
        rested = replace(self, records=records, job=None, rested_at=reading.at)
        return rested, Observation(activity=activity(reading.word), message=rested._invitation(), ended=ended)

    # --- what can be proven ----------------------------------------------------------------------

    def locate(self, remote_name: str, since: datetime, seen: Observation, reading: Reading) -> Located:
        """`seen` and `reading` are of this moment."""
        record = self.record(remote_name)
        if record is None:
            return _unsure("We have no note of this document, or have lost it.")
        if self.job is not None:
            if self.job.remote_name == remote_name:
                return Located(where=Where.RUNNING, observation=seen)
            return _unsure(_FOREIGN)
        if record.ended is not None and record.ended_at is not None:
            if record.ended_at < since - timedelta(seconds=SLACK_SECONDS):
                return _unsure("This document was worked on before, not since then.")
            return Located(where=Where.ENDED, ended=record.ended)
        return _from_counters(record, since, reading)


# --- conclusions -----------------------------------------------------------------------------------


def _working(job: Job, reading: Reading) -> Observation:
    seconds, beam, words = usage(job.base, reading.counters, _span(job, reading))
    return Observation(
        activity=activity(reading.word),
        remote_name=job.remote_name,
        machine_seconds=seconds,
        beam_seconds=beam,
        message=words or ("" if job.remote_name else _FOREIGN),
    )


def _span(job: Job, reading: Reading) -> float:
    return (reading.at - job.began_at).total_seconds()


def _ceased(job: Job, reading: Reading) -> Job:
    return replace(
        job,
        readings=job.readings + 1,
        ceased_at=job.ceased_at or reading.at,
        stopped=job.stopped or is_stopping(reading.word),
    )


def _settled(job: Job, reading: Reading) -> bool:
    rested = (reading.at - (job.ceased_at or reading.at)).total_seconds()
    told = job.stopped or job.tail or reading.counters.jobs != job.latest.jobs
    return job.readings >= SETTLE_READINGS and rested >= (SETTLE_SECONDS if told else GRACE_SECONDS)


def _is_another(job: Job, reading: Reading) -> bool:
    """A job is counted when it begins or when it ends, never in between: what runs now has begun since."""
    while_running = (reading.at - job.seen_at).total_seconds() > SLACK_SECONDS
    return while_running and reading.counters.jobs > job.latest.jobs


def _end(job: Job, reading: Reading) -> Ended:
    """A stop that was seen is a cancel. A job that was counted as it ended, or was seen in its last phase, is
    finished. All else has failed: a protection of the machine, a power cut, or a stop that we have missed."""
    seconds, beam, words = usage(job.base, reading.counters, _span(job, reading))
    if reading.word & RUNNING:
        seconds, beam, words = None, None, "Another job began before the seconds of this one were read."
    outcome, cause = Outcome.FINISHED, None
    if job.stopped:
        outcome = Outcome.CANCELLED
    elif reading.counters.jobs == job.latest.jobs and not job.tail:
        outcome, cause = Outcome.FAILED, Cause.UNKNOWN
        words = f"The job ceased without the controller having counted it as done. {words}".strip()
    return Ended(
        remote_name=job.remote_name or "",
        outcome=outcome,
        cause=cause,
        machine_seconds=seconds,
        beam_seconds=beam,
        words=words,
    )


def usage(base: Counters, now: Counters, span_seconds: float) -> tuple[int | None, float | None, str]:
    """Seconds at work, seconds with the beam on, and words where the counters cannot be believed."""
    if now.ran_backwards_since(base):
        return None, None, "The controller's counters have run backwards; they prove nothing."
    if now.jobs - base.jobs > 1:
        return None, None, "More than one job has run since; nobody can tell whose the seconds are."
    seconds, beam = now.work_seconds - base.work_seconds, now.beam_seconds - base.beam_seconds
    if seconds == 0 and now.previous_seconds != base.previous_seconds:
        seconds = now.previous_seconds
    most = span_seconds + SLACK_SECONDS
    if seconds > most or beam > most:
        return (
            None,
            None,
            f"The controller counts {max(seconds, beam)} s in {span_seconds:.0f} s; not believed.",
        )
    return seconds, float(beam), ""


def _after(record: Record, ended: Ended | None, reading: Reading) -> Record:
    """What the end of a job means for each document: ours has ended, the others have not run yet."""
    if record.ended is not None:
        return record
    if ended is not None and record.remote_name == ended.remote_name:
        return replace(record, ended=ended, ended_at=reading.at)
    # Not the number of documents: whoever has stored one since may have hidden ours.
    base = replace(reading.counters, documents=record.base.documents)
    return replace(record, base=base, staged_at=reading.at, doubtful=True)


def _from_counters(record: Record, since: datetime, reading: Reading) -> Located:
    """Nobody has watched since `record` was staged; what do the controller's own counters prove?"""
    now, base = reading.counters, record.base
    if record.doubtful:
        return _unsure("Since it was staged a job has run, and nobody can tell which it was.")
    if now.ran_backwards_since(base):
        return _unsure("The controller's counters have run backwards; they prove nothing.")
    elapsed = (reading.at - record.staged_at).total_seconds()
    was_off = elapsed < 0 or now.on_seconds - base.on_seconds < elapsed - OFF_SECONDS
    if not now.worked_since(base):
        if was_off:
            return _unsure("The controller was switched off since, and may have forgotten.")
        return Located(
            where=Where.NEVER_STARTED, words="The controller has counted no work since it was staged."
        )
    seconds, beam, words = usage(base, now, (reading.at - since).total_seconds())
    if now.jobs - base.jobs != 1 or now.documents != base.documents or seconds is None:
        return _unsure(words or "The controller has worked since, but not provably on this and nothing else.")
    words = "Nobody watched; the controller has counted one job since."
    ended = Ended(
        remote_name=record.remote_name,
        outcome=Outcome.FINISHED,
        machine_seconds=seconds,
        beam_seconds=beam,
        words=words,
    )
    return Located(where=Where.ENDED, ended=ended, words=words)


def _unsure(words: str) -> Located:
    return Located(where=Where.UNSURE, words=words)


def _moved_up(record: Record, gone: int | None) -> Record:
    """After the document at that place was deleted."""
    if gone is None:
        return record
    place = record.place - 1 if record.place is not None and record.place > gone else record.place
    return replace(record, place=place, base=replace(record.base, documents=record.base.documents - 1))


# --- kept over a restart ---------------------------------------------------------------------------


def to_json(watch: Watch) -> Json:
    return {"records": [_record_json(record) for record in watch.records]}


def from_json(raw: Any) -> Watch:
    """Raises ValueError, KeyError or TypeError where it is not ours."""
    return Watch(records=tuple(_record(plain) for plain in raw["records"]))


def _record_json(record: Record) -> dict[str, Any]:
    plain = {field.name: getattr(record, field.name) for field in fields(Record)}
    plain["staged_at"] = record.staged_at.isoformat()
    plain["ended_at"] = record.ended_at.isoformat() if record.ended_at else None
    plain["base"] = _plain(record.base)
    plain["ended"] = _plain(record.ended) if record.ended else None
    return plain


def _plain(value: Counters | Ended) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in fields(value)}


def _record(raw: Mapping[str, Any]) -> Record:
    ended = raw["ended"]
    return Record(
        **{
            **raw,
            "staged_at": datetime.fromisoformat(raw["staged_at"]),
            "base": Counters(**raw["base"]),
            "ended": _ended(ended) if ended else None,
            "ended_at": datetime.fromisoformat(raw["ended_at"]) if raw["ended_at"] else None,
        }
    )


def _ended(raw: Mapping[str, Any]) -> Ended:
    cause = Cause(raw["cause"]) if raw["cause"] else None
    return Ended(**{**raw, "outcome": Outcome(raw["outcome"]), "cause": cause})
