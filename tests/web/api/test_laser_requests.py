"""Whatever is sent anywhere by whomever: without the device at the laser and a person there, it stands still.

The real web face, the true fleet and a simulated laser; requests are made up from a seed, over the table of routes.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from drivers.simulated.driver import SimulatedDriver
from drivers.simulated.world import Settings, SimulatedMachine
from orchestrator.domain.event import Json
from orchestrator.domain.machine import Activity, Bed, Kind, Machine
from orchestrator.domain.member import Member, Role
from orchestrator.domain.presence import CHECKLIST
from orchestrator.domain.run import Run, RunState
from orchestrator.flow import act
from orchestrator.flow.fleet import Fleet
from orchestrator.ports import Driver
from tests.flow.home import no_accident
from tests.web.api.device import Device, a_laser, enrolled, train
from tests.web.api.server import PASSWORD, Desk, Program, Seen, a_desk
from web.routes import ROUTES
from web.typed import AT_MACHINE

REQUESTS = 600
POSTS = [row for row in ROUTES if row.method == "POST"]
HERE = [
    row.path.rpartition("/")[2] for row in ROUTES if row.permission is AT_MACHINE and row.method == "POST"
]
ACTIONS = (
    "release",
    "start",
    "resume",
    "clear",
    "hold",
    "maintenance",
    "pause",
    "cancel",
    "retry",
    "unhold",
    "go",
)


@dataclass(kw_only=True)
class Siege:
    """A laser with a drawing staged, its device, and everybody who would like it to start."""

    desk: Desk
    laser: Machine
    world: SimulatedMachine
    device: Device
    owner: Member
    untrained: Member
    mine: Program
    tech: Program
    callers: list[Program]
    strangers: list[Device]
    seed: int
    run: Run | None = None
    said: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    async def bring(self) -> None:
        """Whatever the last requests have done, a run waits again to be released."""
        lab, tech = self.desk.lab, self.tech.member
        assert tech is not None
        run = await self.desk.store.read(lambda unit: unit.active_run_at(self.laser.id))
        if run is None:
            await act.unhold(lab, tech, self.laser.id)
            await act.maintenance(lab, tech, self.laser.id, False)
            await act.clear_bed(lab, tech, self.laser.id)
            await self.mine.job(f"box{self.random.random()}-600s-.svg")
            await self.desk.clock.advance(2)
            run = await self.desk.store.read(lambda unit: unit.active_run_at(self.laser.id))
        self.run = run

    # --- what is sent -----------------------------------------------------------------------------

    def _id(self, likely: UUID | str) -> str:
        others = (
            uuid4(),
            self.laser.id,
            self.run.id if self.run else uuid4(),
            "me",
            self.strangers[0].machine_id,
        )
        return str(likely if self.random.random() < 0.7 else self.random.choice(others))

    def _address(self, template: str) -> str:
        run = self.run
        likely: Mapping[str, Any] = {
            "machines": self.laser.id,
            "jobs": run.job_id if run else uuid4(),
            "runs": run.id if run else uuid4(),
            "kiosks": self.strangers[0].id,
        }
        kind = next((name for name in likely if f"/{name}/" in template), "machines")
        return (
            template.replace("{id}", self._id(likely[kind]))
            .replace("{action}", self.random.choice(ACTIONS))
            .replace("{number}", "1")
        )

    def _whole(self) -> dict[str, Any]:
        """What a release by its member needs."""
        return {
            "run_id": str(self.run.id) if self.run else str(uuid4()),
            "email": self.owner.email,
            "password": PASSWORD,
            "checklist": list(CHECKLIST),
        }

    def _body(self) -> Any:
        """Often that, with something added."""
        more: dict[str, Any] = {
            "presence_id": str(uuid4()),
            "force": True,
            "role": "manager",
            "on": True,
            "reason": "because",
            "verdict": self.random.choice(["still_running", "never_started", "good"]),
            "condition": self.random.choice(["lid", "extractor", "presence"]),
            "conditions": {"lid": True, "extractor": True},
            "state": "running",
        }
        asked = {name: value for name, value in more.items() if self.random.random() < 0.15}
        body = self._whole() | asked if self.random.random() < 0.6 else asked
        return self.random.choice([body, body, body, {}, [], None, "release", 1])

    async def one(self) -> None:
        sender = self.random.choice([self._somebody, self._somebody, self._a_stranger, self._the_device])
        seen = await sender()
        assert seen.status != 500, seen.raw
        self.said[f"{seen.status}"] += 1

    async def _somebody(self) -> Seen:
        """Without any device, or with the headers of one."""
        row, caller = self.random.choice(POSTS), self.random.choice(self.callers)
        path, raw = self._address(row.path), json.dumps(self._body()).encode()
        headers = {"Content-Type": "application/json"}
        if self.random.random() < 0.2:
            headers |= self.random.choice(self.strangers).headers("POST", path, raw)
        if self.random.random() < 0.1:
            headers |= {"Etabli-Kiosk": str(self.device.id), "Etabli-Time": "1", "Etabli-Signature": "AAAA"}
        return await caller.ask("POST", path, data=raw, headers=headers)

    async def _a_stranger(self) -> Seen:
        """A device of another machine, one that was revoked, one that nobody enrolled: all sign well."""
        stranger = self.random.choice(self.strangers)
        path = f"/api/v1/machines/{self._id(self.laser.id)}/{self.random.choice(HERE)}"
        raw = json.dumps(self._body()).encode()
        return await stranger.send(path, raw, stranger.headers("POST", path, raw))

    async def _the_device(self) -> Seen:
        """The right one, but nobody who may has said all of it; or what was signed is not what is sent."""
        if self.random.random() < 0.5:
            return await self.device.post(self.random.choice(["release"] * 5 + HERE), self._nearly())
        body = self._body()
        path, raw = self.device.path("release"), json.dumps(body).encode()
        headers = self.device.headers(*self.random.choice([("GET", path), ("POST", path + "x")]), raw)
        return await self.device.send(path, raw, headers)

    def _nearly(self) -> dict[str, Any]:
        """A release in which one thing is wrong."""
        wrong: dict[str, Any] = self.random.choice(
            [
                {"checklist": list(CHECKLIST[: self.random.randrange(len(CHECKLIST))])},
                {"email": self.untrained.email},
                {"email": "nobody@example.org"},
                {"run_id": str(uuid4())},
                {"presence_id": str(uuid4())},
            ]
        )
        return self._whole() | wrong


@asynccontextmanager
async def a_siege(tmp_path: Path, seed: int) -> AsyncIterator[Siege]:
    async with a_desk(tmp_path) as desk:
        laser, other = await a_laser(desk), await a_laser(desk, "Volta", bed=Bed.UNKNOWN)
        worlds = {
            machine.id: SimulatedMachine(Settings(identity=machine.name, kind=Kind.LASER), desk.clock)
            for machine in (laser, other)
        }
        owner, staff = await desk.person(), await desk.person(role=Role.TECH)
        for person in (owner, staff):
            await train(desk, person)
        mine, tech, manager = (
            await desk.program_of(owner),
            await desk.program_of(staff),
            await desk.program(Role.MANAGER),
        )
        strangers = [await enrolled(desk, other, tech), await enrolled(desk, laser, tech)]
        strangers.append(Device(desk=desk, machine_id=laser.id, id=uuid4()))
        await tech.post(f"/kiosks/{strangers[1].id}/revoke")

        def driver(machine: Machine, _connection: Mapping[str, Json]) -> Driver:
            return SimulatedDriver({}, desk.clock, machine=worlds[machine.id])

        fleet = asyncio.get_running_loop().create_task(Fleet(desk.lab, driver, no_accident).run())
        await desk.clock.advance(3)
        siege = Siege(
            desk=desk,
            laser=laser,
            world=worlds[laser.id],
            device=await enrolled(desk, laser, tech),
            owner=owner,
            untrained=await desk.person(role=Role.MANAGER),
            mine=mine,
            tech=tech,
            callers=[
                desk.nobody,
                mine,
                tech,
                manager,
                await desk.browser_of(owner),
                await desk.browser_of(staff),
            ],
            strangers=strangers,
            seed=seed,
        )
        await siege.bring()
        try:
            yield siege
        finally:
            fleet.cancel()
            await asyncio.gather(fleet, return_exceptions=True)


@pytest.mark.parametrize("seed", [1, 2])
async def test_no_request_starts_a_staged_laser(tmp_path: Path, seed: int) -> None:
    async with a_siege(tmp_path, seed) as siege:
        for number in range(REQUESTS // 2):
            await siege.one()
            if number % 8 == 0:
                await siege.desk.clock.advance(0.5)
                await siege.bring()
            assert siege.world.starts == ()

        assert siege.said["403"] > 30, siege.said
        every = await siege.desk.store.read(lambda unit: unit.events(0, limit=10_000))
        topics = Counter(event.topic for event in every)
        assert topics["run.released"] == topics["run.start_sent"] == 0
        assert topics["release.refused"] >= act.REFUSED_A_MINUTE
        assert topics["run.staged"] > 1


async def test_no_request_lets_a_held_laser_go_on(tmp_path: Path) -> None:
    async with a_siege(tmp_path, 3) as siege:
        for _ in range(6):
            await siege.bring()
            await _started_and_left_alone(siege)
            starts = len(siege.world.starts)
            for _ in range(REQUESTS // 12):
                await siege.one()
                assert siege.world.read().activity in {Activity.PAUSED, Activity.IDLE}
            await siege.desk.clock.advance(2)
            assert siege.world.read().activity in {Activity.PAUSED, Activity.IDLE}
            assert len(siege.world.starts) == starts
            await siege.tech.post(f"/jobs/{siege.run.job_id if siege.run else ''}/cancel")
            await siege.desk.clock.advance(2)


async def _started_and_left_alone(siege: Siege) -> None:
    """By the device and its person, as it should be; then nobody is heard of any more."""
    assert siege.run is not None
    body = {"run_id": str(siege.run.id), "email": siege.owner.email, "password": PASSWORD}
    made = await siege.device.post("release", body | {"checklist": list(CHECKLIST)})
    assert made.status == 200, made.raw
    await siege.desk.clock.advance(4)
    run = await siege.desk.store.read(lambda unit: unit.active_run_at(siege.laser.id))
    assert run is not None
    assert run.state is RunState.PAUSED
