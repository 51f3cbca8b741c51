"""From an accepted job to a queued one: slice, compare with the hold, queue. Durable work, each stage
checkpointed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from uuid import UUID, uuid4

from orchestrator.domain.calibration import calibrated, run_spread
from orchestrator.domain.errors import Rejected, Unavailable
from orchestrator.domain.event import JOB_TOPICS, SYSTEM, Event, Json
from orchestrator.domain.job import Artifact, CutArtifact, Job, JobEvent, JobState
from orchestrator.domain.quote import (
    Confidence,
    Cutting,
    Estimate,
    EstimateSource,
    Quote,
    Spread,
    priced,
)
from orchestrator.domain.tariff import Tariff
from orchestrator.domain.units import Money
from orchestrator.flow.bill import release_all, release_hold, terms
from orchestrator.flow.lab import Lab, Workbench
from orchestrator.flow.moves import move_job
from orchestrator.flow.submit import PREPARE, start_analysis, start_preparing
from orchestrator.ports import Step, Unit, WorkKind


def prepare_work(lab: Workbench) -> WorkKind:
    """The durable work behind an accepted job."""

    async def slice_it(args: Mapping[str, Json]) -> Json:
        return await _slice(lab, args)

    async def queue_it(args: Mapping[str, Json]) -> Json:
        return await _queue(lab, args)

    async def failed(args: Mapping[str, Json], reason: str) -> None:
        await _stuck(lab, args, reason)

    return WorkKind(
        name=PREPARE,
        steps=(Step(name="slice", run=slice_it), Step(name="queue", run=queue_it)),
        failed=failed,
    )


async def _waiting(unit: Unit, args: Mapping[str, Json]) -> Job | None:
    """The job, if it still waits for just this preparation: not cancelled, not retried since."""
    job = await unit.job(UUID(str(args["job_id"])))
    if job is None or job.state is not JobState.PREPARING or job.version != args["version"]:
        return None
    return job


async def _slice(lab: Workbench, args: Mapping[str, Json]) -> Json:
    job = await lab.store.read(lambda unit: _waiting(unit, args))
    if job is None:
        return None
    quote, _tariff = await lab.store.read(lambda unit: terms(unit, job))
    file = await lab.store.read(lambda unit: unit.file(job.file_id))
    if file is None:
        return None
    async with lab.files.scratch() as into:
        path, told = lab.files.path(file.sha256), _Told(lab, args)
        try:
            sliced = await lab.workshop.slice(
                path, file.name, quote.profile, job.process, job.quantity, into, told.progress
            )
        except Rejected as no:
            await _refuse(lab, args, no)
            return None
        except _NotWanted:
            return None
        await lab.files.adopt(sliced.path)
    return _artifact_json(sliced.artifact)


SLICING = "job.slicing"
"""Topic of an event that says how far slicing is: `permille`, and the slicer's own `words`."""
SLICING_STEP_PERMILLE = 200


class _NotWanted(Exception):
    """The job was cancelled while it was being sliced."""


class _Told:
    """Writes the progress of one slice into the log, where pages of every process see it: a row for each step of a
    fifth or more. Raises _NotWanted where nobody waits for the slice any more.
    """

    def __init__(self, lab: Workbench, args: Mapping[str, Json]) -> None:
        self._lab = lab
        self._args = args
        self._told = -SLICING_STEP_PERMILLE

    async def progress(self, permille: int, words: str) -> None:
        if permille - self._told < SLICING_STEP_PERMILLE:
            return
        self._told = permille

        async def work(unit: Unit) -> bool:
            job = await _waiting(unit, self._args)
            if job is None:
                return False
            data: dict[str, Json] = {"permille": permille, "words": words}
            at = self._lab.clock.now()
            await unit.emit(
                Event(topic=SLICING, at=at, actor=SYSTEM, data=data, member_id=job.member_id, job_id=job.id)
            )
            return True

        with suppress(Unavailable):  # a busy database is no reason to slice again
            if not await self._lab.store.write(work):
                raise _NotWanted


@dataclass(frozen=True, kw_only=True)
class Slicing:
    """How far the slicing of a job is that is being prepared now."""

    permille: int
    words: str


def slicing(events: Iterable[Event]) -> Slicing | None:
    """Read from a job's events, oldest first; None before the slicer has said anything in this preparation."""
    latest = None
    for event in events:
        permille = event.data.get("permille")
        if event.topic in JOB_TOPICS.values():
            latest = None
        elif event.topic == SLICING and isinstance(permille, int):
            latest = Slicing(permille=permille, words=str(event.data.get("words", "")))
    return latest


async def _refuse(lab: Workbench, args: Mapping[str, Json], no: Rejected) -> None:
    async def work(unit: Unit) -> None:
        job = await _waiting(unit, args)
        if job is not None:
            at = lab.clock.now()
            await release_all(unit, job, at)
            await move_job(
                unit, job, JobEvent.REFUSED, actor=SYSTEM, at=at, reason=no.detail, data={"rule": no.code}
            )

    await lab.store.write(work)


async def _queue(lab: Workbench, args: Mapping[str, Json]) -> Json:
    results = args["results"]
    made = results.get("slice") if isinstance(results, dict) else None
    if not isinstance(made, dict):
        return None
    artifact = _artifact(made)

    async def work(unit: Unit) -> None:
        job = await _waiting(unit, args)
        if job is not None:
            await _queue_or_requote(lab, unit, job, artifact)

    await lab.store.write(work)
    return None


async def _queue_or_requote(lab: Workbench, unit: Unit, job: Job, artifact: Artifact) -> None:
    at = lab.clock.now()
    quote, tariff = await terms(unit, job)
    prepared = sliced_estimate(artifact, _prepared_cut(artifact, quote))
    estimate = calibrated(prepared, await unit.calibration(artifact.profile, None))
    _lines, amount, _hold = priced(estimate, tariff)
    if amount <= Money(await unit.held_for(quote.id), amount.currency):
        queued_at = job.queued_at or at
        await move_job(
            unit,
            job,
            JobEvent.PREPARED,
            actor=SYSTEM,
            at=at,
            artifact=artifact,
            queued_at=queued_at,
            reason="",
        )
        return
    dearer = _requote(lab, quote, tariff, estimate)
    await unit.add_quote(dearer)
    await release_hold(unit, job, at)
    reason = (
        f"Sliced, it takes {estimate.print_seconds.p50} s and {estimate.filament_milligrams.p50} mg and costs "
        f"{amount.cents} c; the quote promised at most {quote.hold.cents} c. Accept the new price or cancel."
    )
    data: dict[str, Json] = {"promised_cents": quote.hold.cents, "now_cents": amount.cents}
    await move_job(
        unit, job, JobEvent.ABOVE_HOLD, actor=SYSTEM, at=at, quote_id=dearer.id, reason=reason, data=data
    )


def sliced_estimate(artifact: Artifact, cutting: Cutting | None = None) -> Estimate:
    milligrams = artifact.filament_milligrams
    return Estimate(
        source=EstimateSource.VECTOR if cutting else EstimateSource.SLICED,
        print_seconds=run_spread(artifact, None),
        filament_milligrams=Spread(p50=milligrams, p90=milligrams),
        confidence=Confidence.HIGH,
        confidence_reason="sliced",
        cutting=cutting,
    )


def _prepared_cut(artifact: Artifact, quote: Quote) -> Cutting | None:
    """What is to be cut, as it was prepared; where, and what becomes of each colour, the quote said already."""
    cut, quoted = artifact.cut, quote.estimate.cutting
    if cut is None or quoted is None:
        return None
    beam = None if cut.beam_seconds is None else Spread(p50=cut.beam_seconds, p90=cut.beam_seconds)
    return replace(
        quoted,
        beam_seconds=beam,
        cut_millimetres=cut.cut_millimetres,
        sheet_mm2=cut.sheet_mm2,
        sheet_material=cut.sheet_material,
        toolpath_sha256=cut.toolpath_sha256,
    )


def _requote(lab: Workbench, quote: Quote, tariff: Tariff, estimate: Estimate) -> Quote:
    lines, amount, most = priced(estimate, tariff)
    now = lab.clock.now()
    return replace(
        quote,
        id=uuid4(),
        estimate=estimate,
        lines=lines,
        total=amount,
        hold=most,
        created_at=now,
        valid_until=now + timedelta(days=lab.limits.quote_valid_days),
    )


async def _stuck(lab: Workbench, args: Mapping[str, Json], reason: str) -> None:
    async def work(unit: Unit) -> None:
        job = await _waiting(unit, args)
        if job is not None:
            await move_job(unit, job, JobEvent.STUCK, actor=SYSTEM, at=lab.clock.now(), reason=reason)

    await lab.store.write(work)


async def start_missing(lab: Lab) -> int:
    """Start again the durable work of everything committed that waits for it (rule E8); idempotent by id."""
    files = await lab.store.read(lambda unit: unit.files_to_analyse())
    jobs = await lab.store.read(lambda unit: unit.jobs(states={JobState.PREPARING}, limit=1000))
    for file_id in files:
        await start_analysis(lab, file_id)
    for job in jobs:
        await start_preparing(lab, job)
    return len(files) + len(jobs)


def _artifact_json(artifact: Artifact) -> Json:
    plain = asdict(artifact)
    return {
        **plain,
        "size_mm": list(artifact.size_mm),
        "curve": [list(point) for point in artifact.curve],
    }


def _artifact(plain: dict[str, Json]) -> Artifact:
    made: dict[str, object] = dict(plain)
    made["size_mm"] = _ints(plain["size_mm"])
    curve = plain["curve"]
    made["curve"] = tuple(_ints(point) for point in curve) if isinstance(curve, list) else ()
    if isinstance(cut := plain.get("cut"), dict):
        made["cut"] = CutArtifact(**cut)  # type: ignore[arg-type]  # likewise
    return Artifact(**made)  # type: ignore[arg-type]  # what _artifact_json wrote


def _ints(values: Json) -> tuple[int, ...]:
    return tuple(int(v) for v in values if isinstance(v, int | float)) if isinstance(values, list) else ()
