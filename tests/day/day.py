"""A day at the lab, from a seed: the true flow, simulated machines, people who come and go, and random
trouble.

Members bring jobs all day, and change their minds; a technician walks round, clears beds, decides what is
unclear; printers jam, vanish, lose power, answer lies; somebody prints by hand; the fleet process dies and
comes back.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from uuid import UUID

from drivers.simulated.world import NO_TROUBLES, SimulatedMachine, Troubles
from orchestrator.domain.errors import Conflict
from orchestrator.domain.event import Event
from orchestrator.domain.job import ENDED, JobState
from orchestrator.domain.machine import Bed
from orchestrator.domain.member import Member
from orchestrator.domain.run import Run, RunState
from orchestrator.flow import act, report
from orchestrator.flow.lab import Lab
from tests.flow.home import Home

JOBS = 200
MACHINES = 8
MEMBERS = 12
STEP_SECONDS = 60
ROUND_SECONDS = 360
DAY_STEPS = 1200
"""Steps in which jobs arrive are the first three quarters; the rest lets the queue run dry."""

TROUBLES: tuple[Troubles, ...] = (
    Troubles(jams_at=0.5),
    Troubles(vanishes_at=0.3, vanishes_seconds=120),
    Troubles(never_starts=True),
    Troubles(starts_late_seconds=45),
    Troubles(loses_the_answer=True),
    Troubles(answers_500=True),
    Troubles(says_done_at=0.9),
    Troubles(goes_backwards=True),
    Troubles(hangs=True),
)


@dataclass
class Day:
    home: Home
    seed: int
    members: list[Member] = field(default_factory=list)
    job_ids: list[UUID] = field(default_factory=list)
    starts: Counter[str] = field(default_factory=Counter)  # by file name: what reached the metal, ever
    seen_starts: set[tuple[str, object]] = field(default_factory=set)
    deaths: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    async def live(self) -> None:
        """The whole day."""
        random.seed(self.seed)  # the jitter of reconnects
        self.members = [await self.home.member() for _ in range(MEMBERS)]
        for number in range(MACHINES):
            await self.home.machine(f"M{number}")
        await self.home.open()
        arrivals = Counter(self.random.randrange(DAY_STEPS * 3 // 4) for _ in range(JOBS))
        for step in range(DAY_STEPS):
            for _ in range(arrivals[step]):
                await self._somebody_brings_a_job()
            if step % (ROUND_SECONDS // STEP_SECONDS) == 0:
                await self._the_technician_walks_round()
            if step < DAY_STEPS * 3 // 4:
                await self._something_happens()
            await self.home.clock.advance(STEP_SECONDS)
            self._look_at_the_metal()
            if step % 100 == 0:
                assert not await self.home.store.verify()
            if step > max(arrivals) and step % 10 == 0 and await self._all_over():
                break

    async def _all_over(self) -> bool:
        going_on = frozenset(JobState) - ENDED
        return not await self.home.store.read(lambda unit: unit.jobs(states=going_on, limit=1))

    async def _somebody_brings_a_job(self) -> None:
        minutes = self.random.choice([5, 10, 20, 30, 45, 60])
        sliced = f"-sliced{minutes * 600}s" if self.random.random() < 0.03 else ""
        name = f"part-{minutes * 60}s-{self.random.randrange(1000, 60_000)}mg{sliced}.stl"
        job = await self.home.job(self.random.choice(self.members), name)
        self.job_ids.append(job.id)

    async def _something_happens(self) -> None:
        """Each step, a few things may; which, the seed says."""
        happenings: list[tuple[float, Callable[[], Awaitable[object] | None]]] = [
            (0.03, self._a_member_cancels),
            (0.03, self._a_machine_is_troubled),
            (0.05, self._a_machine_is_well_again),
            (0.02, self._a_machine_vanishes),
            (0.01, self._the_power_fails_at_a_machine),
            (0.01, self._somebody_prints_by_hand),
            (0.01, self._somebody_cancels_at_the_panel),
            (0.02, self._the_fleet_process_dies),
            (0.02, self._a_member_pauses_or_resumes),
        ]
        for chance, happens in happenings:
            if self.random.random() < chance:
                going_on = happens()
                if going_on is not None:
                    await going_on

    def _any_world(self) -> SimulatedMachine:
        return self.random.choice(list(self.home.worlds.values()))

    async def _a_member_cancels(self) -> None:
        await self._try(self._ask(act.cancel))

    async def _a_member_pauses_or_resumes(self) -> None:
        await self._try(self._ask(self.random.choice([act.pause, act.resume])))

    async def _ask(self, what: Callable[[Lab, Member, UUID], Awaitable[object]]) -> None:
        if self.job_ids:
            await what(self.home.lab, self.home.tech, self.random.choice(self.job_ids))

    async def _try(self, asked: Awaitable[object]) -> None:
        """People also ask for what is not possible; they are told so."""
        with suppress(Conflict):
            await asked

    def _a_machine_is_troubled(self) -> None:
        self._any_world().troubles = self.random.choice(TROUBLES)

    def _a_machine_is_well_again(self) -> None:
        self._any_world().troubles = NO_TROUBLES

    def _a_machine_vanishes(self) -> None:
        self._any_world().vanish(self.random.choice([10, 60, 300]))

    def _the_power_fails_at_a_machine(self) -> None:
        self._look_at_the_metal()
        self._any_world().lose_power()

    def _somebody_prints_by_hand(self) -> None:
        world = self._any_world()
        if world.printing is None:
            world.start_by_hand()

    def _somebody_cancels_at_the_panel(self) -> None:
        self._any_world().cancel_by_hand()

    async def _the_fleet_process_dies(self) -> None:
        self.deaths += 1
        await self.home.die()
        await self.home.clock.advance(self.random.choice([1, 120]))
        await self.home.open()

    async def _the_technician_walks_round(self) -> None:
        home = self.home
        assert home.alive
        for view in await report.fleet(home.lab, home.tech):
            world = home.worlds[view.machine.id]
            if world.printing is not None or not world.reachable():
                world.troubles = NO_TROUBLES if self.random.random() < 0.3 else world.troubles
                continue
            if view.run is not None and view.run.state is RunState.UNCLEAR:
                await self._try(
                    act.decide_run(home.lab, home.tech, view.run.id, self._verdict(world, view.run))
                )
            elif view.run is None and view.machine.bed is not Bed.CLEAR:
                await self._try(act.clear_bed(home.lab, home.tech, view.machine.id))
        for job_view in (
            await report.job_page(
                home.lab, home.tech, everybody=True, states=frozenset({JobState.ATTENTION, JobState.QUOTED})
            )
        ).items:
            decision = self.random.choice([act.retry, act.give_up, act.cancel])
            await self._try(decision(home.lab, home.tech, job_view.job.id))

    def _verdict(self, world: SimulatedMachine, run: Run) -> act.Verdict:
        """What a person sees at the machine: is our part there, whole, or nothing at all?"""
        ends = [past for past in world.past if past.name == run.remote_name]
        if ends:
            done = ends[-1].outcome.value == "finished"
            return act.Verdict.FINISHED if done else act.Verdict.FAILED
        begun = self.starts[run.remote_name] > 0
        return act.Verdict.FAILED if begun else act.Verdict.NEVER_STARTED

    def _look_at_the_metal(self) -> None:
        """What the machines really did, noted before one of them forgets it."""
        for world in self.home.worlds.values():
            for start in world.starts:
                if (start.name, start.at) not in self.seen_starts and start.obeyed and not start.by_hand:
                    self.seen_starts.add((start.name, start.at))
                    self.starts[start.name] += 1


async def all_events(home: Home) -> list[Event]:
    events: list[Event] = []
    while rows := await home.store.read(lambda u: u.events(events[-1].seq if events else 0, limit=1000)):
        events.extend(rows)
    return events
