"""The whole web application on a loopback socket, before a lab of its own; and programs and browsers that call it.

Nothing of the web face is replaced: the runner with its limits, the real store and files. Only the durable
work runs inline, and time is in the test's hand where the test does not say otherwise.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from aiohttp import ClientSession, DummyCookieJar, FormData
from aiohttp.web import TCPSite

from monitoring.metrics import Metrics
from orchestrator.bookings.registry import systems
from orchestrator.domain import ledger
from orchestrator.domain.machine import Machine
from orchestrator.domain.member import PERMISSIONS, Entitlement, Member, Permission, Role
from orchestrator.domain.tariff import tariff_a
from orchestrator.domain.units import Money
from orchestrator.flow.lab import Lab, Limits, Workbench
from orchestrator.flow.prepare import prepare_work
from orchestrator.flow.submit import analyse_work
from orchestrator.flow.webhooks import deliver_work
from orchestrator.outbound import LOOPBACK, OutboundHttp
from orchestrator.ports import Clock, Store, Unit, Workshop
from orchestrator.sealed import KEY_BYTES, AesSeal
from orchestrator.store.files import DiskFiles
from orchestrator.store.sql import SqlStore
from orchestrator.work.inline import InlineWork
from tests.builders import a_machine, a_member, an_event
from tests.fakes.clock import FakeClock
from tests.fakes.outside import PlainOutbound
from tests.flow.workshop import NamedWorkshop
from web.app import build
from web.identity import hash_password, make_token
from web.runner import Runner
from web.settings import WebSettings

MEMORY = "sqlite+aiosqlite:///:memory:"
PASSWORD = "correct horse battery"
HASH = hash_password(PASSWORD)
CREDIT_CENTS = 100_000
V1 = "/api/v1"


@dataclass(frozen=True, kw_only=True)
class Seen:
    """An answer as it came."""

    status: int
    headers: Mapping[str, str]
    raw: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.raw)

    @property
    def kind(self) -> str:
        return self.headers.get("Content-Type", "").partition(";")[0]

    @property
    def rules(self) -> list[str]:
        """The rules of a problem's faults."""
        return [fault["rule"] for fault in self.json["faults"]]

    def is_problem(self, status: int, code: str = "") -> bool:
        """Says what it is where it is not, so that a failed test can be read."""
        assert (self.status, self.kind) == (status, "application/problem+json"), (self.status, self.raw[:500])
        problem = self.json
        assert problem["status"] == status
        assert problem["title"]
        assert problem["detail"]
        assert problem["type"].startswith("/problems/")
        assert not code or problem["type"] == f"/problems/{code}", problem
        return True


@dataclass(kw_only=True)
class Program:
    """Calls the API and believes nothing."""

    http: ClientSession
    base: str
    member: Member | None = None
    headers: dict[str, str] = field(default_factory=dict)

    async def ask(self, method: str, path: str, **how: Any) -> Seen:
        given = self.headers | dict(how.pop("headers", {}))
        async with self.http.request(
            method, self.base + path, headers=given, allow_redirects=False, **how
        ) as answer:
            return Seen(status=answer.status, headers=answer.headers, raw=await answer.read())

    async def get(self, path: str, **how: Any) -> Seen:
        return await self.ask("GET", V1 + path, **how)

    async def post(self, path: str, body: object = None, **how: Any) -> Seen:
        if body is not None:
            how["json"] = body
        return await self.ask("POST", V1 + path, **how)

    async def upload(self, content: bytes, name: str = "part-600s-5000mg.stl", **how: Any) -> Seen:
        form = FormData(quote_fields=False)
        form.add_field("file", content, filename=name, content_type="model/stl")
        return await self.post("/files", data=form, **how)

    async def quote(self, name: str = "part-600s-5000mg.stl", **wish: Any) -> Any:
        """A new file, priced."""
        file = (await self.upload(name.encode(), name)).json
        made = await self.post("/quotes", {"file_id": file["id"]} | wish)
        assert made.status == 201, made.raw
        return made.json

    async def job(self, name: str = "part-600s-5000mg.stl", **wish: Any) -> Any:
        made = await self.post("/jobs", {"quote_id": (await self.quote(name, **wish))["id"]})
        assert made.status == 201, made.raw
        return made.json


@dataclass(kw_only=True)
class Desk:
    """The running application and the lab behind it."""

    lab: Lab
    store: SqlStore
    http: ClientSession
    base: str
    root: Path
    runner: Runner

    @property
    def clock(self) -> FakeClock:
        assert isinstance(self.lab.clock, FakeClock)
        return self.lab.clock

    @property
    def nobody(self) -> Program:
        return Program(http=self.http, base=self.base)

    async def person(self, cents: int = CREDIT_CENTS, **who: Any) -> Member:
        """Somebody with a password, trained, with money."""
        member = a_member(**({"password_hash": HASH} | who))

        async def work(unit: Unit) -> None:
            await unit.add_member(member)
            await unit.put_entitlement(Entitlement(member_id=member.id, machine_class="fdm"))
            if cents:
                entry = ledger.top_up(member.account_id, Money(cents), str(uuid4()))
                await unit.post(entry, self.lab.clock.now(), an_event())

        await self.store.write(work)
        return member

    async def program_of(self, member: Member, scopes: Iterable[Permission] | None = None) -> Program:
        """A program with a token of this member's."""
        given = PERMISSIONS[member.role] if scopes is None else scopes
        token, text = make_token(member, "a program", given, self.lab.clock.now())
        await self.store.write(lambda unit: unit.add_api_token(token))
        headers = {"Authorization": f"Bearer {text}", "Accept-Language": "en"}
        return Program(http=self.http, base=self.base, member=member, headers=headers)

    async def program(
        self, role: Role = Role.MEMBER, scopes: Iterable[Permission] | None = None, cents: int = CREDIT_CENTS
    ) -> Program:
        return await self.program_of(await self.person(cents, role=role), scopes)

    async def browser_of(self, member: Member) -> Program:
        """A browser that has signed in and keeps its cookie, nothing else."""
        signed = await self.nobody.post("/sessions", {"email": member.email, "password": PASSWORD})
        assert signed.status == 201, signed.raw
        cookie = signed.headers["Set-Cookie"].partition(";")[0]
        return Program(http=self.http, base=self.base, member=member, headers={"Cookie": cookie})

    async def machine(self, name: str = "Ada", **other: Any) -> Machine:
        machine = a_machine(name=name, **other)
        await self.store.write(lambda unit: unit.put_machine(machine, {}, an_event("machine.added")))
        return machine

    def stored(self) -> list[Path]:
        """Every byte of anybody's that lies on disk."""
        return [path for path in self.root.rglob("*") if path.is_file()]


@asynccontextmanager
async def a_desk(
    root: Path,
    *,
    workshop: Workshop | None = None,
    url: str = MEMORY,
    clock: Clock | None = None,
    limits: Limits | None = None,
    store: Store | None = None,
    **settings: Any,
) -> AsyncIterator[Desk]:
    """An open lab with a tariff and nobody in it. `store`, where given, is what the lab sees of the database."""
    time = clock or FakeClock()
    async with AsyncExitStack() as stack:
        real = await SqlStore.open(url, time)
        stack.push_async_callback(real.close)
        seal = AesSeal(b"k" * KEY_BYTES)
        outbound = OutboundHttp(LOOPBACK)
        stack.push_async_callback(outbound.close)
        bench = Workbench(
            site="lab",
            store=store or real,
            files=DiskFiles(root / "files", free_bytes=0),
            workshop=workshop or NamedWorkshop(),
            clock=time,
            limits=limits or Limits(),
            seal=seal,
            systems=systems(PlainOutbound(), seal, time),
            outbound=outbound,
        )
        kinds = (analyse_work(bench), prepare_work(bench), deliver_work(bench))
        lab = Lab.on(bench, InlineWork(kinds))
        await real.write(lambda unit: unit.publish_tariff(tariff_a(), time.now()))
        web = replace(WebSettings(base_url="http://lab.example", secure_cookies=False), **settings)
        runner = Runner(build(lab, web, Metrics(bench.store).exposition), shutdown_seconds=0.2)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        http = await stack.enter_async_context(ClientSession(cookie_jar=DummyCookieJar()))
        yield Desk(
            lab=lab, store=real, http=http, base=f"http://{host}:{port}", root=root / "files", runner=runner
        )


async def spoken(desk: Desk, sent: bytes, *, hang_up: bool = False, seconds: float = 10.0) -> bytes:
    """Bytes on a socket as they are, and all that comes back; with `hang_up` the sender is gone after them."""
    host, _, port = desk.base.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(sent)
        await writer.drain()
        if hang_up:
            return b""
        async with asyncio.timeout(seconds):
            return await reader.read()
    finally:
        writer.transport.abort() if hang_up else writer.close()
