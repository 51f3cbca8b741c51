"""Établi itself as a process on a data directory, with one real OctoPrint as its machine; killed and
started again."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import UUID, uuid4

from orchestrator.clock import SystemClock
from orchestrator.domain import ledger
from orchestrator.domain.event import Event
from orchestrator.domain.job import Job
from orchestrator.domain.ledger import hold
from orchestrator.domain.machine import Abilities, Bed, Link, Machine
from orchestrator.domain.member import Entitlement, Member, Role
from orchestrator.domain.run import Run
from orchestrator.domain.tariff import tariff_a
from orchestrator.domain.units import Money
from orchestrator.flow import act
from orchestrator.flow.lab import Lab, Workbench
from orchestrator.ports import Unit
from orchestrator.store.files import DiskFiles
from orchestrator.store.schema import migrate
from orchestrator.store.sql import SqlStore
from orchestrator.work.inline import InlineWork
from tests.builders import a_file, a_job, a_machine, a_member, a_quote, an_artifact, an_event
from tests.flow.workshop import NamedWorkshop
from tests.services import ROOT, OctoPrintServer, free_port, wait_until

SECONDS = 5
GCODE = "\n".join(
    ["G28", "M83", *(f"G1 X{n} E0.5 F1200\nG4 P200" for n in range(SECONDS * 5)), "G28", ""]
).encode()


@dataclass
class LabProcess:
    """`./etabli serve` on one lab, and an eye on its database and its machine."""

    data: Path
    url: str
    lab: Lab
    store: SqlStore
    octoprint: OctoPrintServer
    member: Member
    tech: Member
    machine: Machine
    port: int = field(default_factory=free_port)
    _process: asyncio.subprocess.Process | None = None

    async def start(self, crash_at: str = "") -> None:
        """Start Établi; with `crash_at`, one that a kill -9 will hit at that point."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ETABLI_")}
        environment |= {"ETABLI_DATABASE_URL": self.url, "ETABLI_PORT": str(self.port), "ETABLI_SITE": "lab"}
        environment |= {"ETABLI_DATA": str(self.data)}
        if crash_at:
            environment |= {"ETABLI_TEST_BUILD": "1", "ETABLI_CRASH_AT": crash_at}
        command = "serve" if not self.url.startswith("postgresql") else "fleet"
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

    async def dies(self, deadline_seconds: float = 60) -> None:
        """Wait for the kill -9 that `crash_at` arranged."""
        assert self._process is not None
        async with asyncio.timeout(deadline_seconds):
            assert await self._process.wait() == -signal.SIGKILL

    async def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def job(self) -> Job:
        """A prepared job in the queue, its hold in place."""
        sha256 = (await self.lab.files.receive(_once(GCODE), limit_bytes=1 << 20)).sha256
        assert sha256 == hashlib.sha256(GCODE).hexdigest()
        file = a_file(owner_id=self.member.id)
        quote = a_quote(member_id=self.member.id, file_id=file.id)
        artifact = an_artifact(
            sha256=sha256,
            size_bytes=len(GCODE),
            print_seconds=SECONDS,
            curve=((0, 0), (len(GCODE), 6_700_000)),
        )
        now = self.lab.clock.now()
        job = a_job(
            member_id=self.member.id,
            account_id=self.member.account_id,
            file_id=file.id,
            quote_id=quote.id,
            artifact=artifact,
            created_at=now,
            queued_at=now,
        )

        async def work(unit: Unit) -> None:
            await unit.add_file(file)
            await unit.add_quote(quote)
            queued = Event(topic="job.queued", at=now, actor="system", job_id=job.id, member_id=job.member_id)
            await unit.add_job(job, queued)
            await unit.post(hold(job.account_id, quote.hold, quote.id), now, an_event("hold.placed"))

        await self.store.write(work)
        return job

    async def runs(self, job: Job) -> list[Run]:
        return list(await self.store.read(lambda unit: unit.runs_of(job.id)))

    async def now(self, job: Job) -> Job:
        found = await self.store.read(lambda unit: unit.job(job.id))
        assert found is not None
        return found

    async def becomes(self, job: Job, *states: str, deadline_seconds: float = 60) -> Job:
        """The job, once it is in one of these states, or its last run is."""

        async def there() -> bool:
            runs = await self.runs(job)
            seen = {(await self.now(job)).state.value, runs[-1].state.value if runs else ""}
            return bool(seen & set(states))

        try:
            await wait_until(there, deadline_seconds)
        except TimeoutError:
            runs, log = await self.runs(job), (self.data / "etabli.log").read_text()[-3000:]
            raise AssertionError(f"{await self.now(job)}\n{runs}\n{log}") from None
        return await self.now(job)

    async def first_sight(self) -> None:
        """Wait until its machine is online."""

        async def online() -> bool:
            machine = await self.store.read(lambda unit: unit.machine(self.machine.id))
            return machine is not None and machine.link is Link.ONLINE

        await wait_until(online, 30)

    async def clear_bed(self) -> None:
        await act.clear_bed(self.lab, self.tech, self.machine.id)

    def starts(self) -> Counter[str]:
        """How often OctoPrint began to print each file, by its own log: it outlives a kill -9 of either side."""
        begun: Counter[str] = Counter()
        for line in (self.octoprint.basedir / "logs" / "octoprint.log").read_text().splitlines():
            if "Print job started - origin: local, path:" in line:
                begun[line.split("path:")[1].split(",")[0].strip()] += 1
        return begun


@asynccontextmanager
async def standby_of(lab: LabProcess) -> AsyncIterator[LabProcess]:
    """A second process on the same lab; killed at the end."""
    standby = replace(lab, port=free_port(), _process=None)
    try:
        yield standby
    finally:
        await standby.kill()


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


@asynccontextmanager
async def lab_process(data: Path, octoprint: OctoPrintServer, url: str = "") -> AsyncIterator[LabProcess]:
    """A lab with one OctoPrint, not yet started; killed at the end."""
    await asyncio.to_thread(data.mkdir, parents=True, exist_ok=True)
    url = url or f"sqlite+aiosqlite:///{data / 'etabli.db'}"
    await migrate(url)
    clock = SystemClock()
    store = await SqlStore.open(url, clock)
    bench = Workbench(
        site="lab", store=store, files=DiskFiles(data / "files"), workshop=NamedWorkshop(), clock=clock
    )
    member, tech = a_member(), a_member(role=Role.TECH)
    machine = a_machine(
        id=UUID(int=uuid4().int),
        driver="octoprint",
        link=Link.OFFLINE,
        bed=Bed.CLEAR,
        abilities=Abilities(size_mm=(250, 210, 210), profile="mk3s"),
    )

    async def furnish(unit: Unit) -> None:
        await unit.publish_tariff(tariff_a(), clock.now())
        await unit.add_member(member)
        await unit.add_member(tech)
        await unit.put_entitlement(Entitlement(member_id=member.id, machine_class="fdm"))
        await unit.post(ledger.top_up(member.account_id, Money(100_000), "test"), clock.now(), an_event())
        added = Event(topic="machine.added", at=clock.now(), actor="system", machine_id=machine.id)
        connection = {"url": octoprint.url, "api_key": octoprint.api_key}
        await unit.put_machine(machine, connection, added)

    await store.write(furnish)
    lab = LabProcess(
        data=data,
        url=url,
        lab=Lab.on(bench, InlineWork(())),
        store=store,
        octoprint=octoprint,
        member=member,
        tech=tech,
        machine=machine,
    )
    try:
        yield lab
    finally:
        await lab.kill()
        await store.close()
