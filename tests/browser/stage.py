"""A small server of real pages with made-up contents, so that the scripts can be watched without a lab.

It owns what the scripts talk to: the event stream, the upload, the quote form. It counts what it was asked.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from aiohttp import web

from orchestrator.domain.errors import Fault, Rejected
from orchestrator.domain.job import JobState
from orchestrator.domain.ledger import Balance
from orchestrator.domain.process import Material
from orchestrator.domain.run import RunState
from orchestrator.domain.units import Money
from orchestrator.flow.views import AccountView, JobPage
from tests.builders import a_file, a_machine, a_member, a_quote, a_run
from tests.services import free_port
from tests.web.pages.views import ALL_BUTTONS, a_job_view, a_reader
from web.errors import problem_of
from web.pages.render import STATIC, Renderer

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'"
)
TOKEN = "0123abcd"


@dataclass
class Stage:
    """What the pages show next, and what they have asked for."""

    port: int = field(default_factory=free_port)
    progress_permille: int = 100
    asked: Counter[str] = field(default_factory=Counter)
    streams: list[web.StreamResponse] = field(default_factory=list)
    streams_allowed: bool = True
    upload_refused: bool = False
    upload_may_end: asyncio.Event = field(default_factory=asyncio.Event)
    broken: asyncio.Event = field(default_factory=asyncio.Event)
    tokens: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._renderer = Renderer()
        self._machine = a_machine(name="Ada")
        self._run = a_run(machine_id=self._machine.id, state=RunState.RUNNING)
        self._view = a_job_view(
            state=JobState.ACTIVE, runs=(self._run,), machines={self._machine.id: self._machine}
        )
        self._quote = a_quote()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def job_path(self) -> str:
        return f"/jobs/{self._view.job.id}"

    async def happen(self) -> None:
        """Something has changed: tell every open stream."""
        for stream in self.streams:
            await stream.write(b"event: run.running\nid: 7\ndata: {}\n\n")

    async def cut(self) -> None:
        """The streams break."""
        self.streams.clear()
        self.broken.set()
        self.broken = asyncio.Event()

    # --- what is served ---------------------------------------------------------------------------

    async def job(self, _request: web.Request) -> web.Response:
        self.asked["job"] += 1
        run = replace(self._run, progress_permille=self.progress_permille)
        values: dict[str, Any] = {"view": replace(self._view, runs=(run,)), "events": [], "explanation": None}
        values |= {"waits": None, "judging": None, "sheet": "", "where": None, "policy": None}
        values |= {"steering": None, "deadline": None}
        return self._page("job.html", **values, slicing=None, can=ALL_BUTTONS, problem=None)

    async def jobs(self, _request: web.Request) -> web.Response:
        return self._jobs(None)

    async def upload(self, request: web.Request) -> web.Response:
        self.tokens.append(request.headers.get("X-CSRF-Token", ""))
        await request.read()
        await self.upload_may_end.wait()
        if self.upload_refused:
            fault = Fault(
                rule="mesh.empty", texts={"en": "It holds no <b>triangle</b>."}, remedy="Export again."
            )
            return self._jobs(Rejected("no", code=fault.rule, faults=(fault,)))
        return web.Response(status=303, headers={"Location": "/quotes/1"})

    async def quote(self, _request: web.Request) -> web.Response:
        values: dict[str, Any] = {
            "quote": self._quote,
            "file": a_file(id=self._quote.file_id),
            "account": _account(),
        }
        process, quantity = self._quote.process, self._quote.quantity
        return self._page(
            "quote.html",
            **values,
            process=process,
            size_mm=(20.0, 20.0, 20.0),
            quantity=quantity,
            quantity_max=100,
            colours=[],
            problem=None,
        )

    async def make_quote(self, request: web.Request) -> web.Response:
        self.asked["quote"] += 1
        form = await request.post()
        process = replace(self._quote.process, material=Material(str(form["material"])))
        self._quote = replace(
            self._quote,
            process=process,
            quantity=int(str(form["quantity"])),
            total=Money(4242),
            hold=Money(4667),
        )
        return web.Response(status=303, headers={"Location": "/quotes/2"})

    async def accept(self, _request: web.Request) -> web.Response:
        self.asked["accept"] += 1
        await self.upload_may_end.wait()
        return web.Response(status=303, headers={"Location": self.job_path})

    async def events(self, request: web.Request) -> web.StreamResponse:
        self.asked["events"] += 1
        if not self.streams_allowed:
            return web.Response(status=503)
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await stream.prepare(request)
        await stream.write(b": hello\n\n")
        self.streams.append(stream)
        await self.broken.wait()
        return stream

    def _jobs(self, refusal: Rejected | None) -> web.Response:
        told = problem_of(refusal, "en") if refusal else None
        empty = JobPage(items=(), next=None)
        status = told.status if told else 200
        return self._page(
            "jobs.html",
            status=status,
            page=empty,
            here="/jobs",
            older="",
            files=[],
            account=_account(),
            refusal=told,
        )

    def _page(self, template: str, *, status: int = 200, **values: Any) -> web.Response:
        field_html = f'<input type="hidden" name="csrf" value="{TOKEN}">'
        html = self._renderer.render(template, a_reader(csrf_field=field_html), **values)
        return web.Response(
            text=html, status=status, content_type="text/html", headers={"Content-Security-Policy": POLICY}
        )


def _account() -> AccountView:
    return AccountView(member=a_member(), balance=Balance(posted=Money(20_000), held=Money(0)))


@asynccontextmanager
async def a_stage() -> AsyncIterator[Stage]:
    stage = Stage()
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.add_routes(
        [
            web.get("/jobs", stage.jobs),
            web.get("/jobs/{id}", stage.job),
            web.post("/files", stage.upload),
            web.get("/quotes/{id}", stage.quote),
            web.post("/quotes", stage.make_quote),
            web.post("/quotes/{id}/accept", stage.accept),
            web.get("/api/v1/events", stage.events),
            web.static("/static", STATIC),
        ]
    )
    runner = web.AppRunner(app, shutdown_timeout=0.2)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", stage.port).start()
        yield stage
    finally:
        stage.upload_may_end.set()
        await stage.cut()
        await runner.cleanup()
