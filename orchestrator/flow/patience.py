"""How long a machine that only a person starts is kept for one: until what is staged is released there, and until what
is released is pressed. Counted from what the database knows, so that a process that comes and goes gives no more."""

from __future__ import annotations

from orchestrator.domain.machine import Machine
from orchestrator.domain.presence import ReleasePolicy
from orchestrator.domain.run import Run
from orchestrator.flow.beside import staged_since
from orchestrator.flow.lab import Lab
from orchestrator.ports import Unit


def is_pressed(machine: Machine) -> bool:
    """Is it started by a hand on it, and never by us?"""
    return machine.abilities.release is ReleasePolicy.PHYSICAL_START


async def is_released(lab: Lab, run: Run) -> bool:
    """By a release that has not served yet; whether it still may, the start asks."""
    presence = await lab.store.read(lambda unit: unit.presence_for(run.id))
    return presence is not None and presence.used_at is None


async def seconds_to_release(lab: Lab, run: Run) -> float:
    """How much longer a staged run keeps its machine."""
    since = await lab.store.read(lambda unit: staged_since(unit, run))
    kept = (lab.clock.now() - since).total_seconds() if since else 0.0
    return max(0.0, lab.limits.release_seconds - kept)


async def seconds_to_press(lab: Lab, run: Run, machine: Machine) -> float:
    """How much longer a released run may stay unseen: until its start should be pressed, or, at a machine that tells
    nothing, until a person should long have said how it ended.

    The person's time begins when they release it, not when we come to read that.
    """

    async def work(unit: Unit) -> float:
        presence = await unit.presence_for(run.id)
        since = presence.issued_at if presence else run.start_sent_at or run.claimed_at
        left = lab.limits.press_seconds - (lab.clock.now() - since).total_seconds()
        job = None if machine.abilities.tells_end else await unit.job(run.job_id)
        if job is not None and job.artifact is not None:
            left += 2 * job.artifact.print_seconds
        return max(0.0, left)

    return await lab.store.read(work)
