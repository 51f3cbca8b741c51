"""Établi itself as a process that sends webhooks to a real receiver, killed -9 in the midst: nothing is lost, what
comes twice is the same to the byte, and each job's story stays in order."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from aiohttp import web

from orchestrator.clock import SystemClock
from orchestrator.domain.event import Event
from orchestrator.domain.member import Member, Role
from orchestrator.domain.webhook import DeliveryState
from orchestrator.flow import subscribe
from orchestrator.flow.lab import Lab, Workbench
from orchestrator.outbound import LOOPBACK, OutboundHttp
from orchestrator.ports import Unit
from orchestrator.sealed import KEY_NAME, AesSeal
from orchestrator.store.schema import migrate
from orchestrator.store.sql import SqlStore
from orchestrator.work.inline import InlineWork
from tests.builders import a_member
from tests.fakes.files import PlainFiles
from tests.flow.workshop import NamedWorkshop
from tests.rigs.receiver import Receiver, a_receiver, is_signed
from tests.services import ROOT, free_port, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

STORY = ("job.quoted", "job.queued", "job.attention", "job.finished")
KILLS = 3


@dataclass
class Sender:
    """`./etabli serve` (on PostgreSQL `./etabli worker`) on a lab that the test writes to."""

    data: Path
    url: str
    lab: Lab
    who: Member
    port: int = field(default_factory=free_port)
    told: list[tuple[UUID, str]] = field(default_factory=list)
    _process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ETABLI_")}
        environment |= {
            "ETABLI_DATABASE_URL": self.url,
            "ETABLI_DATA": str(self.data),
            "ETABLI_PORT": str(self.port),
            "ETABLI_SITE": "lab",
            "ETABLI_OUTBOUND_NETWORKS": "127.0.0.0/8",
        }
        command = "worker" if self.url.startswith("postgresql") else "serve"
        with (self.data / "etabli.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "orchestrator.main",
                command,
                cwd=ROOT,
                env=environment,
                stdout=log,
                stderr=log,
            )

    async def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def happens(self, jobs: int) -> None:
        """That many jobs live their whole story, all at the same time."""
        ids = [uuid4() for _ in range(jobs)]

        async def work(unit: Unit) -> None:
            for topic in STORY:
                for job_id in ids:
                    await unit.emit(
                        Event(topic=topic, at=self.lab.clock.now(), actor="system", job_id=job_id)
                    )

        await self.lab.store.write(work)
        self.told += [(job_id, topic) for job_id in ids for topic in STORY]

    async def arrived(self, receiver: Receiver, deadline_seconds: float = 60) -> None:
        """Until all that happened has been accepted."""

        async def all_there() -> bool:
            return len({one.id for one in receiver.accepted}) >= len(self.told)

        await self.wait(all_there, deadline_seconds)

    async def wait(self, predicate: object, deadline_seconds: float) -> None:
        try:
            await wait_until(predicate, deadline_seconds)  # type: ignore[arg-type]
        except TimeoutError:
            log = (self.data / "etabli.log").read_text()[-3000:]
            (hook, *_) = await self.lab.store.read(lambda unit: unit.webhooks())
            left = await subscribe.deliveries(
                self.lab, self.who, hook.id, state=DeliveryState.PENDING, limit=500
            )
            shown = [f"{one.id} {one.tries} {one.due_at} {one.words}" for one in left[-10:]]
            raise AssertionError(f"not in time; {len(left)} pending: {shown}\n{log}") from None


@asynccontextmanager
async def a_sender(data: Path, url: str) -> AsyncIterator[Sender]:
    await asyncio.to_thread(data.mkdir, parents=True, exist_ok=True)
    await migrate(url)
    clock, outbound = SystemClock(), OutboundHttp(LOOPBACK)
    store = await SqlStore.open(url, clock)
    bench = Workbench(
        site="lab",
        store=store,
        files=PlainFiles(data),
        workshop=NamedWorkshop(),
        clock=clock,
        outbound=outbound,
        seal=AesSeal.from_file(data / KEY_NAME),
    )
    who = a_member(role=Role.MANAGER)
    await store.write(lambda unit: unit.add_member(who))
    sender = Sender(data=data, url=url, lab=Lab.on(bench, InlineWork(())), who=who)
    try:
        yield sender
    finally:
        await sender.kill()
        await outbound.close()
        await store.close()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.peers)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'lab' / 'etabli.db'}"
    address: str = request.getfixturevalue("postgres_url")
    return address


async def slowly_and_not_always(number: int) -> web.StreamResponse:
    await asyncio.sleep(0.02)
    return web.Response(status=500 if number % 17 == 5 and number < 60 else 200)


async def test_killed_in_the_midst_nothing_is_lost_nothing_differs_and_each_job_is_in_order(
    url: str, tmp_path: Path
) -> None:
    async with a_sender(tmp_path / "lab", url) as sender, a_receiver(slowly_and_not_always) as receiver:
        made = await subscribe.make(sender.lab, sender.who, receiver.url, [])
        for number in range(KILLS):
            await sender.happens(jobs=10)
            before = len(receiver.got)
            await sender.start()

            async def in_the_midst(before: int = before, number: int = number) -> bool:
                return len(receiver.got) >= before + 3 + 4 * number

            await sender.wait(in_the_midst, 30)
            await sender.kill()
        await sender.start()
        await sender.arrived(receiver)

    bodies: dict[str, set[bytes]] = {}
    for one in receiver.got:
        bodies.setdefault(one.id, set()).add(one.body)
        assert is_signed(made.secret, one.id, one.timestamp, one.signature, one.body)
    assert len(bodies) == len(sender.told) == 10 * KILLS * len(STORY)
    assert all(len(different) == 1 for different in bodies.values())
    assert len(receiver.accepted) - len(bodies) <= KILLS  # at most the one in the air at each kill came twice

    stories: dict[str, list[str]] = {}
    for one in receiver.accepted:
        said = json.loads(one.body)
        story = stories.setdefault(said["data"]["job_id"], [])
        if not story or story[-1] != said["type"]:
            story.append(said["type"])
    assert set(map(tuple, stories.values())) == {STORY}


async def test_a_receiver_that_never_answers_delays_nobody_but_itself(url: str, tmp_path: Path) -> None:
    released = asyncio.Event()

    async def hangs(number: int) -> web.StreamResponse:
        await released.wait()
        return web.Response()

    async with (
        a_sender(tmp_path / "lab", url) as sender,
        a_receiver(hangs) as hanging,
        a_receiver() as receiver,
    ):
        for one in (hanging, receiver):
            await subscribe.make(sender.lab, sender.who, one.url, [])
        await sender.happens(jobs=20)
        await sender.start()

        async def begun() -> bool:
            return bool(hanging.paths)

        await sender.wait(begun, 30)
        started = asyncio.get_running_loop().time()
        await sender.arrived(receiver, 9)
        seconds = asyncio.get_running_loop().time() - started
        released.set()

    assert seconds < 9
    assert hanging.accepted == [] or len(hanging.paths) >= 1
