"""The real web face on a real socket, behind its own runner, before the true flow and store; files on disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, CookieJar, FormData, web

from monitoring.metrics import Metrics
from orchestrator.domain.member import PERMISSIONS, Member, Permission, Role
from orchestrator.flow.lab import Lab, Limits, Workbench
from orchestrator.flow.prepare import prepare_work
from orchestrator.flow.submit import analyse_work
from orchestrator.store.files import DiskFiles
from orchestrator.work.inline import InlineWork
from tests.builders import a_member
from tests.fakes.outside import PlainSeal
from tests.flow.home import Home, a_home
from web.app import build
from web.identity import hash_password, make_token
from web.runner import Runner
from web.settings import WebSettings

V1 = "/api/v1"
PASSWORD = "correct horse battery"
HASH = hash_password(PASSWORD)
PART = "part-600s-5000mg.stl"


@dataclass(frozen=True, kw_only=True)
class Told:
    """An answer, read whole."""

    status: int
    headers: Any
    raw: bytes
    json: Any  # None where it is no JSON

    @property
    def rules(self) -> set[tuple[str, str]]:
        """(where, rule) of every fault."""
        return {(fault["where"], fault["rule"]) for fault in self.json["faults"]}

    @property
    def type(self) -> str:
        return str(self.json["type"])


class Client:
    """A program: sends its token with every call, or nothing."""

    def __init__(self, session: ClientSession, base_url: str, token: str = "") -> None:
        self.session = session
        self.base_url = base_url
        self.own = {"Authorization": f"Bearer {token}"} if token else {}

    async def call(self, method: str, path: str, **options: Any) -> Told:
        headers = self.own | {"Accept-Language": "en"} | options.pop("headers", {})
        async with self.session.request(
            method, self.base_url + path, headers=headers, allow_redirects=False, **options
        ) as response:
            raw = await response.read()
            json = await response.json(content_type=None) if "json" in response.content_type else None
            return Told(status=response.status, headers=response.headers, raw=raw, json=json)

    async def get(self, path: str, **options: Any) -> Told:
        return await self.call("GET", V1 + path, **options)

    async def post(self, path: str, json: Any = None, **options: Any) -> Told:
        return await self.call("POST", V1 + path, **(options | ({} if json is None else {"json": json})))

    async def raw(self, path: str, body: bytes, content_type: str = "application/json") -> Told:
        return await self.post(path, data=body, headers={"Content-Type": content_type})

    async def upload(self, name: str = PART, content: bytes = b"solid part") -> Told:
        form = FormData()
        form.add_field("file", content, filename=name)
        return await self.post("/files", data=form)

    async def quote(self) -> dict[str, Any]:
        file = await self.upload()
        quote = await self.post("/quotes", {"file_id": file.json["id"], "process": {}, "quantity": 1})
        assert quote.status == 201, quote.raw
        return dict(quote.json)

    async def job(self) -> dict[str, Any]:
        made = await self.post("/jobs", {"quote_id": (await self.quote())["id"]})
        assert made.status == 201, made.raw
        return dict(made.json)


@dataclass
class Desk:
    home: Home
    lab: Lab
    app: web.Application
    host: str
    port: int
    session: ClientSession
    files: Path

    @property
    def base_url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def stranger(self) -> Client:
        return Client(self.session, self.base_url)

    async def person(self, role: Role = Role.MEMBER, cents: int = 100_000) -> Member:
        """Somebody with a password, training and money."""
        like = await self.home.member(cents)
        member = replace(a_member(role=role, password_hash=HASH), account_id=like.account_id)
        await self.lab.store.write(lambda unit: unit.add_member(member))
        return member

    async def program(
        self, member: Member, scopes: Iterable[Permission] | None = None, valid: timedelta | None = None
    ) -> Client:
        """A program with a token of that member, with all their rights unless told."""
        allowed = PERMISSIONS[member.role] if scopes is None else frozenset(scopes)
        token, text = make_token(member, "test", allowed, self.lab.clock.now(), valid=valid)
        await self.lab.store.write(lambda unit: unit.add_api_token(token))
        return Client(self.session, self.base_url, text)

    async def of(self, role: Role = Role.MEMBER, cents: int = 100_000) -> Client:
        return await self.program(await self.person(role, cents))

    @asynccontextmanager
    async def browser(self, member: Member) -> AsyncIterator[Client]:
        """A signed-in cookie jar of its own."""
        async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as session:
            client = Client(session, self.base_url)
            answer = await client.post("/sessions", {"email": member.email, "password": PASSWORD})
            assert answer.status == 201, answer.raw
            yield client

    @asynccontextmanager
    async def wire(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A bare connection, for what no client library would send."""
        reader, writer = await asyncio.open_connection(self.host, self.port)
        try:
            yield reader, writer
        finally:
            writer.close()

    def on_disk(self) -> list[Path]:
        """Every file that an upload left, whole or half."""
        return sorted(path for path in self.files.rglob("*") if path.is_file())


@asynccontextmanager
async def a_desk(tmp_path: Path, limits: Limits | None = None, **settings: Any) -> AsyncIterator[Desk]:
    """`settings` are those of `WebSettings`."""
    scratch, files = tmp_path / "scratch", tmp_path / "files"
    scratch.mkdir()
    async with a_home(scratch) as home:
        lab = _on_disk(home, files, limits or Limits())
        given: dict[str, Any] = {"base_url": "http://127.0.0.1", "secure_cookies": False} | settings
        app = build(lab, WebSettings(**given), Metrics(lab.store).exposition)
        runner = Runner(app, shutdown_seconds=1.0)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        try:
            async with ClientSession() as session:
                yield Desk(home=home, lab=lab, app=app, host=host, port=port, session=session, files=files)
        finally:
            await runner.cleanup()


def _on_disk(home: Home, root: Path, limits: Limits) -> Lab:
    """The home's lab with the files of a real one."""
    bench = Workbench(
        site=home.lab.site,
        store=home.lab.store,
        files=DiskFiles(root, free_bytes=1 << 20, free_share=0.0001),
        workshop=home.lab.workshop,
        clock=home.lab.clock,
        limits=limits,
        seal=PlainSeal(),
    )
    return Lab.on(bench, InlineWork((analyse_work(bench), prepare_work(bench))))
