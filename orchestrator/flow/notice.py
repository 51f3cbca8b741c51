"""What is written down of a job when it begins to wait: when it was told to start and end, and what keeps it from the
machines. The first is measured against what happens; the second is the demand that the lab could not meet."""

from __future__ import annotations

from uuid import UUID
from zoneinfo import ZoneInfo

from orchestrator.domain.matching import Candidate, hindrances
from orchestrator.flow.lab import Lab
from orchestrator.flow.sight import Outlook
from orchestrator.ports import Foretold, Unit

AT_ONCE = 200


async def notice(lab: Lab) -> int:
    """Look at those who wait and were not noticed today; returns how many. Doing it twice is doing it once."""
    day = today(lab)
    noticed = lab.sight.noticed
    queued = await lab.store.read(lambda unit: unit.queued())
    if all(noticed.get(job_id) == day for job_id, _version in queued):
        return 0
    waiting = {job_id for job_id, _version in queued}
    lab.sight.noticed = noticed = {job_id: at for job_id, at in noticed.items() if job_id in waiting}
    outlook = await lab.store.read(lambda unit: lab.sight.outlook(unit, lab.moment))
    new = [c for c in outlook.seen.queue if noticed.get(c.job.id) != day][:AT_ONCE]
    if new:
        await lab.store.write(lambda unit: _write(unit, new, outlook, day))
    noticed.update((c.job.id, day) for c in new)
    return len(new)


async def _write(unit: Unit, new: list[Candidate], outlook: Outlook, day: str) -> None:
    for c in new:
        told = _foretold(c.job.id, outlook)
        if told is not None:
            await unit.foretell(told)
        for rule, machine_class in sorted(hindrances(c, outlook.seen.stations, outlook.seen.moment)):
            await unit.count_refusal(day, c.job.id, rule, machine_class, c.member.public.value)


def _foretold(job_id: UUID, outlook: Outlook) -> Foretold | None:
    told = outlook.forecasts.get(job_id)
    if told is None:
        return None
    return Foretold(
        job_id=job_id,
        at=outlook.seen.moment.now,
        start_p50=told.start.p50,
        start_p90=told.start.p90,
        end_p50=told.end.p50,
        end_p90=told.end.p90,
    )


def today(lab: Lab) -> str:
    """The day at the lab, as `2026-11-24`."""
    return lab.clock.now().astimezone(ZoneInfo(lab.time_zone)).date().isoformat()
