"""A laser's life as a test leads it: what people, devices, machines and processes may do, and what really happened.

Every doing is one that the API offers, or that happens to metal; most are refused, and that is right. `Metal` writes
down when the laser moved, exactly; `Truth` is what the test itself knows of people and sensors, asked of no code of
ours.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from drivers.simulated.wire import Print
from drivers.simulated.world import NO_TROUBLES, Settings, SimulatedMachine, Troubles
from orchestrator.domain.errors import Conflict, EtabliError, Forbidden, NotFound
from orchestrator.domain.job import Job
from orchestrator.domain.machine import Kind, Machine
from orchestrator.domain.member import Entitlement, Member, Role
from orchestrator.domain.presence import CHECKLIST, Kiosk, Presence, ReleasePolicy
from orchestrator.domain.run import Run
from orchestrator.flow import act, release
from orchestrator.ports import Clock
from tests.builders import a_member
from tests.flow.home import Home

JOBS_MAX = 4
SPANS = (0.1, 0.3, 0.5, 1.0, 1.4, 1.6, 1.9, 2.1, 3.0, 4.0, 8.0, 12.0, 61.0)
TROUBLES = (
    Troubles(never_starts=True),
    Troubles(starts_late_seconds=4),
    Troubles(loses_the_answer=True),
    Troubles(answers_500=True),
    Troubles(hangs=True),
    Troubles(jams_at=0.3),
    Troubles(says_done_at=0.5),
)


@dataclass(frozen=True, kw_only=True)
class Begun:
    """Something began to be worked on, and what was true at that moment."""

    name: str
    at: datetime
    by_hand: bool
    lid_open: bool
    extractor_off: bool
    trained: frozenset[UUID]
    live_kiosks: frozenset[UUID]


@dataclass(frozen=True, kw_only=True)
class Moved:
    """The laser moved without a pause from one moment to another."""

    name: str
    since: datetime
    until: datetime
    by_hand: bool


@dataclass
class Truth:
    """What the test knows by itself."""

    trained: set[UUID] = field(default_factory=set)
    live_kiosks: set[UUID] = field(default_factory=set)
    signs: list[datetime] = field(default_factory=list)  # somebody was there, and the lab was told so
    off: list[tuple[datetime, datetime | None]] = field(default_factory=list)  # the extractor
    pressed: set[tuple[str, datetime]] = field(default_factory=set)  # the machine's own start


class Metal(SimulatedMachine):
    """A simulated laser that writes down when it moved. Without its `switch` it goes on when nobody is there."""

    def __init__(self, settings: Settings, clock: Clock, truth: Truth, *, switch: bool = True) -> None:
        self.truth = truth
        self.begun: list[Begun] = []
        self.moved: list[Moved] = []
        self.switch = switch
        self._was: Print | None = None
        super().__init__(settings, clock)

    def _is_fed(self) -> bool:
        return self.switch and super()._is_fed()

    def _note_start(self, name: str, *, obeyed: bool, by_hand: bool = False) -> None:
        if obeyed:
            now = self._clock.now()
            self.begun.append(
                Begun(
                    name=name,
                    at=now,
                    by_hand=by_hand or (name, now) in self.truth.pressed,
                    lid_open=self._lid_open,
                    extractor_off=self.troubles.extractor_off,
                    trained=frozenset(self.truth.trained),
                    live_kiosks=frozenset(self.truth.live_kiosks),
                )
            )
        super()._note_start(name, obeyed=obeyed, by_hand=by_hand)

    def _changed(self) -> None:
        """Whatever it is now, what it did until now is over."""
        was, job = self._was, self._memory.current
        if was is not None and was.plays_since is not None and job != was:
            goes_on = job is not None and job.name == was.name
            self._add(self.moved, was, self._stood_still_at(was, job if goes_on else None))
        self._was = job
        super()._changed()

    def _stood_still_at(self, was: Print, now: Print | None) -> datetime:
        assert was.plays_since is not None
        if now is not None:
            return was.plays_since + timedelta(seconds=now.played_seconds - was.played_seconds)
        past = self._memory.past[-1:]
        ended = [one.ended_at for one in past if one.name == was.name and one.ended_at >= was.plays_since]
        return ended[0] if ended else self._clock.now()

    def _add(self, to: list[Moved], was: Print, until: datetime) -> None:
        since = was.plays_since
        if since is None or until <= since:
            return
        if to and to[-1].name == was.name and since - to[-1].until < timedelta(milliseconds=1):
            to[-1] = replace(to[-1], until=until)  # told to go on while it did
            return
        by_hand = any(one.name == was.name and one.by_hand and one.at == since for one in self.begun)
        to.append(Moved(name=was.name, since=since, until=until, by_hand=by_hand))

    def movements(self) -> list[Moved]:
        """All of them up to now, also the one that goes on."""
        job = self._settled().current
        every = list(self.moved)
        if job is not None:
            self._add(every, job, self._clock.now())
        return every


@dataclass
class Life:
    """One lab with a laser of that policy, another laser beside it, and their people."""

    home: Home
    laser: Machine
    other: Machine
    metal: Metal
    truth: Truth
    kiosk: Kiosk
    other_kiosk: Kiosk
    owner: Member
    people: dict[str, Member]
    jobs: list[Job] = field(default_factory=list)
    latest: Presence | None = None
    older: Presence | None = None
    gone: bool = False  # the fleet process

    @classmethod
    async def begin(cls, home: Home, policy: ReleasePolicy, *, switch: bool = True) -> Life:
        """A drawing is staged on the laser and waits for its member."""
        truth = Truth()
        laser, other = await home.laser(policy=policy), await home.laser("Volta")
        settings = Settings(
            identity="Foucault", kind=Kind.LASER, panel=policy is ReleasePolicy.PHYSICAL_START
        )
        metal = Metal(settings, home.clock, truth, switch=switch)
        home.worlds[laser.id] = metal
        kiosk, other_kiosk = [
            await release.enrol(home.lab, home.tech, machine.id, "tablet", "a key")
            for machine in (laser, other)
        ]
        truth.live_kiosks |= {kiosk.id, other_kiosk.id}
        owner = await home.member()
        people = {
            "owner": owner,
            "another member": a_member(),
            "trained staff": a_member(role=Role.TECH),
            "untrained staff": home.tech,
            "a manager": a_member(role=Role.MANAGER),
        }
        for name in ("another member", "trained staff", "a manager"):
            await home.store.write(lambda unit: unit.add_member(people[name]))  # noqa: B023 - runs here
        life = cls(home, laser, other, metal, truth, kiosk, other_kiosk, owner, people)
        for name in ("owner", "another member", "trained staff"):
            await life._train(people[name], True)
        # The other laser is kept from the work, so that it is this one's.
        await act.hold(home.lab, home.tech, other.id, "not today")
        await life.bring(0)
        await home.open()
        return life

    # --- what is read -----------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        return self.home.clock.now()

    async def run(self) -> Run | None:
        return await self.home.store.read(lambda unit: unit.active_run_at(self.laser.id))

    async def _train(self, who: Member, on: bool) -> None:
        entitlement = Entitlement(member_id=who.id, machine_class="laser", until=None if on else self.now)
        await self.home.store.write(lambda unit: unit.put_entitlement(entitlement))
        (self.truth.trained.add if on else self.truth.trained.discard)(who.id)

    # --- what people do at the machine ------------------------------------------------------------

    async def _release(
        self, who: str = "owner", kiosk: Kiosk | None = None, checklist: tuple[str, ...] = CHECKLIST
    ) -> None:
        run = await self.run()
        if run is None:
            return
        device = kiosk or self.kiosk
        given = await release.release(self.home.lab, device, self.people[who], run.id, checklist)
        self.older, self.latest = self.latest, given
        self.truth.signs.append(self.now)

    async def released(self, n: int) -> None:
        await self._release()
        if n % 2:
            await self.stays(n)

    async def released_by_staff(self, _n: int) -> None:
        await self._release("trained staff")

    async def released_by_somebody_else(self, n: int) -> None:
        await self._release(("another member", "untrained staff", "a manager")[n % 3])

    async def released_with_less_confirmed(self, n: int) -> None:
        await self._release(checklist=tuple(p for i, p in enumerate(CHECKLIST) if i != n % len(CHECKLIST)))

    async def released_from_the_other_machine(self, n: int) -> None:
        await self._release(
            kiosk=self.other_kiosk if n % 2 else replace(self.other_kiosk, machine_id=self.laser.id)
        )

    async def released_with_a_bad_input(self, n: int) -> None:
        """It has been bad for a while, or has become so this moment."""
        if n % 2:
            self._extractor(True)
        else:
            self.metal.open_lid()
        await self.home.clock.advance((0, 4)[n // 2 % 2])
        await self._release()

    async def _beat(self, presence: Presence | None) -> None:
        """As the web does: the device proves itself first."""
        if presence is None or presence.kiosk_id not in self.truth.live_kiosks:
            return
        device = self.kiosk if presence.kiosk_id == self.kiosk.id else self.other_kiosk
        await release.heartbeat(self.home.lab, device, presence.id, presence.run_id)
        self.truth.signs.append(self.now)

    async def beats(self, _n: int) -> None:
        await self._beat(self.latest)

    async def beats_for_an_older_release(self, _n: int) -> None:
        await self._beat(self.older)

    async def stays(self, n: int) -> None:
        """A while, every half second, or a little less exactly."""
        for step in range(1 + n % 12):
            with suppress(NotFound):
                await self._beat(self.latest)
            await self.home.clock.advance(0.5 if n % 3 else 0.4 + 0.05 * (step % 5))

    async def clears_here(self, n: int) -> None:
        await release.clear_at_machine(self.home.lab, self.kiosk, self.people[_of(self.people, n)])

    async def tells_of_a_bad_sensor(self, n: int) -> None:
        await release.tell_readings(self.home.lab, self.kiosk, {("lid", "extractor", "moon")[n % 3]: False})

    # --- from elsewhere ---------------------------------------------------------------------------

    async def bring(self, n: int) -> None:
        if len(self.jobs) < JOBS_MAX:
            seconds = (600, 30, 8)[n % 3]
            self.jobs.append(await self.home.cut(self.owner, f"box{len(self.jobs)}-{seconds}s-.svg"))

    async def _asked(self, what: Callable[..., Awaitable[Any]], n: int) -> None:
        who = self.people[_of(self.people, n // 7)]
        await what(self.home.lab, who, self.jobs[n % len(self.jobs)].id)

    async def pauses(self, n: int) -> None:
        await self._asked(act.pause, n)

    async def resumes(self, n: int) -> None:
        """Whoever it is and whatever the run does: it is refused."""
        with suppress(NotFound, Conflict, Forbidden):
            await self._asked(act.resume, n)
            raise AssertionError("a laser went on from elsewhere")

    async def cancels(self, n: int) -> None:
        if n % 4 == 0:
            await self._asked(act.cancel, n // 4)

    async def retries_or_gives_up(self, n: int) -> None:
        await self._asked((act.retry, act.give_up, act.settle)[n % 3], n)

    async def decides(self, n: int) -> None:
        run = await self.run()
        if run is not None:
            verdict = tuple(act.Verdict)[n % len(act.Verdict)]
            await act.decide_run(self.home.lab, self.home.tech, run.id, verdict)

    async def clears(self, n: int) -> None:
        what = act.occupy_bed if n % 6 == 0 else act.clear_bed
        await what(self.home.lab, self.home.tech, self.laser.id)

    async def holds_back(self, n: int) -> None:
        lab, tech, machine_id = self.home.lab, self.home.tech, self.laser.id
        if n % 4 == 0:
            await act.hold(lab, tech, machine_id, "wait")
        elif n % 4 == 1:
            await act.maintenance(lab, tech, machine_id, True)
        else:
            await act.unhold(lab, tech, machine_id)
            await act.maintenance(lab, tech, machine_id, False)

    async def does_without(self, n: int) -> None:
        """One asks, or confirms what another has asked for."""
        who = self.people[("untrained staff", "trained staff", "a manager", "owner")[n % 4]]
        condition = ("extractor", "lid")[n // 4 % 2]
        await release.override(self.home.lab, who, self.laser.id, condition, "the sensor is broken")

    async def trains(self, n: int) -> None:
        who = self.people[("owner", "trained staff")[n % 2]]
        await self._train(who, n % 5 != 0)

    async def revokes(self, n: int) -> None:
        """The device; a new one is let in at once, or at the next occasion."""
        if self.kiosk.id in self.truth.live_kiosks:
            await release.revoke(self.home.lab, self.home.tech, self.kiosk.id)
            self.truth.live_kiosks.discard(self.kiosk.id)
        if n % 4:
            made = await release.enrol(self.home.lab, self.home.tech, self.laser.id, "new", "a key")
            self.kiosk = made
            self.truth.live_kiosks.add(made.id)

    # --- what happens to the metal and to us ------------------------------------------------------

    async def time_passes(self, n: int) -> None:
        await self.home.clock.advance(SPANS[n % len(SPANS)])

    async def the_lid(self, n: int) -> None:
        if n % 2:
            self.metal.open_lid()
        else:
            self.metal.close_lid()

    async def the_extractor(self, n: int) -> None:
        self._extractor(n % 2 == 1)

    def _extractor(self, off: bool) -> None:
        was, spans = self.metal.troubles.extractor_off, self.truth.off
        if off and not was:
            spans.append((self.now, None))
        elif was and not off:
            spans[-1] = (spans[-1][0], self.now)
        self.metal.troubles = replace(self.metal.troubles, extractor_off=off)

    async def trouble(self, n: int) -> None:
        new = TROUBLES[n % len(TROUBLES)] if n % 3 else NO_TROUBLES
        if (new.hangs or new.starts_late_seconds) and not self.metal.switch:
            return  # nobody can make it hold then, or not yet
        self.metal.troubles = replace(new, extractor_off=self.metal.troubles.extractor_off)

    async def the_link(self, n: int) -> None:
        if n % 3 == 0:
            self.metal.reappear()
        elif self.metal.switch:  # without one nobody can make it hold now
            self.metal.vanish((3, 20)[n % 2])

    async def power(self, n: int) -> None:
        if n % 4 == 0:
            self.metal.lose_power()

    async def the_panel(self, n: int) -> None:
        """Somebody presses the machine's own start, on our file or on one of theirs."""
        name = next(iter(self.metal.memory.files), "")
        if n % 3 == 0 or not self.metal.settings.panel:
            if n % 3 == 0:
                self.metal.start_by_hand(seconds=20)
            return
        self.truth.pressed.add((name, self.now))
        self.metal.press_start(name)

    async def the_fleet(self, n: int) -> None:
        """The process dies, or comes back; without a switch a laser is left to nobody."""
        if self.gone:
            await self.home.open()
            self.gone = False
        elif self.metal.switch:
            await self.home.die()
            self.gone = n % 2 == 1
            if not self.gone:
                await self.home.open()

    async def all_is_well(self, n: int) -> None:
        """A technician puts everything right, and perhaps somebody comes."""
        self.metal.close_lid()
        self._extractor(False)
        self.metal.troubles = NO_TROUBLES
        self.metal.reappear()
        await self._train(self.owner, True)
        if self.kiosk.id not in self.truth.live_kiosks:
            await self.revokes(1)
        if self.gone:
            await self.the_fleet(0)
        await self.holds_back(2)
        await self.home.clock.advance(4)
        run = await self.run()
        if run is None:
            await self.clears(1)
            await self.bring(n)
            await self.home.clock.advance(1)
        if n % 2:
            await self.released(n // 2)

    async def do(self, name: str, n: int) -> None:
        """One of them; a refusal is an answer."""
        with suppress(EtabliError):
            await getattr(self, name)(n)
        await self.home.clock.settle()
        if not self.gone:
            assert self.home.alive


def _of(people: dict[str, Member], n: int) -> str:
    return list(people)[n % len(people)]


DOINGS: tuple[str, ...] = (
    *("released",) * 6,
    *("stays",) * 6,
    *("time_passes",) * 4,
    *("beats",) * 2,
    *("clears",) * 2,
    *("all_is_well",) * 5,
    *("released_with_a_bad_input",) * 2,
    "released_by_staff",
    "released_by_somebody_else",
    "released_with_less_confirmed",
    "released_from_the_other_machine",
    "beats_for_an_older_release",
    "clears_here",
    "tells_of_a_bad_sensor",
    "bring",
    "pauses",
    "resumes",
    "cancels",
    "retries_or_gives_up",
    "decides",
    "holds_back",
    "does_without",
    "trains",
    "revokes",
    "the_lid",
    "the_extractor",
    "trouble",
    "the_link",
    "power",
    "the_panel",
    "the_fleet",
)
