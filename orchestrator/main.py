"""The composition root: reads settings, builds the parts, hands each its own. `python -m orchestrator.main
COMMAND`.

Read it as the table of contents: what runs, in which role, on what. Roles of one program are `web`,
`worker` (durable work) and `fleet` (the machines of one site); `demo` and `serve` run all three in one
process on SQLite.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aiohttp import web as http

from drivers.registry import DRIVERS
from monitoring.metrics import Metrics
from orchestrator import terminal
from orchestrator.bookings.registry import systems
from orchestrator.clock import SystemClock
from orchestrator.demo import Demo, seed
from orchestrator.doctor import examine
from orchestrator.domain.errors import EtabliError, Misconfigured, Unavailable
from orchestrator.domain.event import Json
from orchestrator.domain.machine import Machine
from orchestrator.flow.fleet import Fleet
from orchestrator.flow.lab import Lab, Limits, Workbench
from orchestrator.flow.prepare import prepare_work, start_missing
from orchestrator.flow.sources import EVERY_MINUTE, POLLS, poll_work
from orchestrator.flow.starting import NotOurTurn
from orchestrator.flow.submit import analyse_work
from orchestrator.flow.tasks import pass_on_cancellation
from orchestrator.flow.webhooks import deliver_work, follow
from orchestrator.outbound import LOOPBACK, OutboundHttp, networks
from orchestrator.ports import Accident, Clock, Driver
from orchestrator.sealed import KEY_NAME, AesSeal
from orchestrator.settings import Settings, read_settings
from orchestrator.store.files import DiskFiles
from orchestrator.store.log import REMEMBERED_FOR
from orchestrator.store.schema import migrate
from orchestrator.store.sql import SqlStore
from orchestrator.work.dbos import DbosWork
from orchestrator.work.locks import FileLock, PostgresLock, ProcessLock, take_when_free
from slicing.workshop import SandboxedWorkshop
from web.app import build
from web.runner import Runner
from web.settings import WebSettings

log = logging.getLogger("etabli")

ALL_ROLES = frozenset({"web", "worker", "fleet"})
LOG_FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
LOCK_SECONDS = 5
MEND_SECONDS = 60
SWEEP_SECONDS = 6 * 3600
ORPHAN_SECONDS = 24 * 3600


@dataclass(frozen=True, kw_only=True)
class Parts:
    lab: Lab
    store: SqlStore
    work: DbosWork
    workshop: SandboxedWorkshop


@asynccontextmanager
async def parts(settings: Settings, roles: frozenset[str]) -> AsyncIterator[Parts]:
    """Everything built and connected; taken down in the reverse order."""
    clock = SystemClock()
    settings.data.mkdir(parents=True, exist_ok=True)
    await migrate(settings.url)
    async with AsyncExitStack() as stack:
        store = await SqlStore.open(settings.url, clock)
        stack.push_async_callback(store.close)
        workshop = SandboxedWorkshop(settings.slicer or None, data=settings.data)
        stack.push_async_callback(workshop.close)
        seal = AesSeal.from_file(settings.secret_file or settings.data / KEY_NAME)
        outbound = OutboundHttp(networks(settings.outbound_networks))
        stack.push_async_callback(outbound.close)
        bench = Workbench(
            site=settings.site,
            store=store,
            files=DiskFiles(settings.data / "files"),
            workshop=workshop,
            clock=clock,
            limits=Limits(upload_bytes=settings.upload_bytes),
            address=settings.address,
            policy=settings.policy,
            time_zone=settings.time_zone,
            outbound=outbound,
            seal=seal,
            systems=systems(outbound, seal, clock),
        )
        work = DbosWork(
            settings.url if settings.on_postgres else settings.data,
            executor_id=settings.executor or f"{socket.gethostname()}-{'-'.join(sorted(roles))}",
            kinds=(
                analyse_work(bench),
                prepare_work(bench),
                *poll_work(bench, lambda: work),
                deliver_work(bench),
            ),
            clock=clock,
            executes="worker" in roles,
            poll_seconds=1.0 if roles == ALL_ROLES else 0.5,
        )
        await work.launch()
        stack.push_async_callback(work.close)
        await work.schedule(POLLS, EVERY_MINUTE, POLLS)
        yield Parts(lab=Lab.on(bench, work), store=store, work=work, workshop=workshop)


async def serve(
    settings: Settings, roles: frozenset[str], prepare: Callable[[Lab], Awaitable[None]] | None = None
) -> None:
    """Run the given roles until a signal asks to stop. Stopping never touches a machine: prints go on."""
    async with parts(settings, roles) as built:
        if prepare is not None:
            await prepare(built.lab)
        async with asyncio.TaskGroup() as group:
            stop = _stop_on_signal()
            running = [group.create_task(task) for task in _tasks(built, settings, roles)]
            await stop.wait()
            log.info("stopping; whatever prints goes on printing")
            for task in running:
                task.cancel()


def _tasks(built: Parts, settings: Settings, roles: frozenset[str]) -> list[Coroutine[Any, Any, None]]:
    tasks: list[Coroutine[Any, Any, None]] = [built.store.watch(), built.work.watch(), _mend(built)]
    if "worker" in roles:
        tasks.append(built.workshop.warm())
        tasks.append(follow(built.lab))
    if "web" in roles:
        tasks.append(_web(built, settings))
    if "fleet" in roles:
        tasks.append(_fleet(built.lab, settings))
    return tasks


async def _web(built: Parts, settings: Settings) -> None:
    """Serve HTTP until cancelled."""
    web_settings = WebSettings(
        base_url=settings.address,
        secure_cookies=settings.address.startswith("https://"),
        trusted_proxies=tuple(p.strip() for p in settings.trusted_proxies.split(",") if p.strip()),
        metrics_token=settings.metrics_token,
        time_zone=settings.time_zone,
        requests_per_minute=settings.requests_per_minute,
        reads_per_minute=settings.reads_per_minute,
    )
    runner = Runner(build(built.lab, web_settings, Metrics(built.store).exposition))
    await runner.setup()
    try:
        await _listen(runner, settings)
        log.info("Établi answers at %s", settings.address)
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


async def _listen(runner: Runner, settings: Settings) -> None:
    try:
        await http.TCPSite(runner, settings.host, settings.port).start()
    except OSError as taken:
        where = f"{settings.host}:{settings.port}"
        raise Misconfigured(f"Cannot listen at {where} ({taken.strerror}). Choose another --port.") from taken


async def _fleet(lab: Lab, settings: Settings) -> None:
    """The machines of this site, once no other process has them, and for as long as the lock is ours."""
    while True:
        lock = _fleet_lock(settings)
        await take_when_free(lock, lab.clock)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(Fleet(lab, _driver_maker(lab.clock), _accident()).run())
                group.create_task(_keep(lock, lab.clock))
        except* (_LockLost, NotOurTurn):
            log.warning("the fleet of %s is another process's now; waiting", settings.site)
        finally:
            await lock.release()
        pass_on_cancellation()


class _LockLost(Exception):
    """The system gave our lock away."""


async def _keep(lock: ProcessLock, clock: Clock) -> None:
    while await lock.held():
        await clock.sleep(LOCK_SECONDS)
    raise _LockLost


def _fleet_lock(settings: Settings) -> ProcessLock:
    if settings.on_postgres:
        return PostgresLock(settings.url, f"fleet-{settings.site}")
    return FileLock(settings.data / f"fleet-{settings.site}.lock")


def _driver_maker(clock: Clock) -> Callable[[Machine, Mapping[str, Json]], Driver]:
    def make(machine: Machine, connection: Mapping[str, Json]) -> Driver:
        driver = DRIVERS.get(machine.driver)
        if driver is None:
            known = ", ".join(sorted(DRIVERS))
            raise Misconfigured(f"There is no driver “{machine.driver}”. Known: {known}.")
        return driver(connection, clock)

    return make


def _accident() -> Accident:
    """Nothing; in a test build, a kill -9 at the named point of the start protocol."""
    at = os.environ.get("ETABLI_CRASH_AT", "") if os.environ.get("ETABLI_TEST_BUILD") == "1" else ""

    def accident(point: str) -> None:
        if point == at:
            os.kill(os.getpid(), signal.SIGKILL)

    return accident


async def _mend(built: Parts) -> None:
    """Start again what was committed and never begun; sweep what nobody names any more."""
    lab = built.lab
    swept = -float(SWEEP_SECONDS)
    while True:
        try:
            await start_missing(lab)
            if lab.clock.monotonic() - swept >= SWEEP_SECONDS:
                known = await lab.store.read(lambda unit: unit.known_hashes())
                await lab.files.sweep(known, ORPHAN_SECONDS)
                await asyncio.to_thread(built.workshop.forget_pictures, known)
                await _forget_answers(lab)
                swept = lab.clock.monotonic()
        except Unavailable as down:
            log.warning("mending waits: %s", down)
        await lab.clock.sleep(MEND_SECONDS)


async def _forget_answers(lab: Lab) -> None:
    before = lab.clock.now() - REMEMBERED_FOR
    await lab.store.write(lambda unit: unit.forget(before))


def _stop_on_signal() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop


# --- commands --------------------------------------------------------------------------------------


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    try:
        settings = _settings(arguments)
        logging.basicConfig(level=settings.log_level, format=LOG_FORMAT)
        logging.getLogger("alembic").setLevel(logging.WARNING)
        return asyncio.run(_COMMANDS[arguments.command](settings, arguments))
    except EtabliError as wrong:
        return _told(wrong)
    except ExceptionGroup as several:
        known = [error for error in several.exceptions if isinstance(error, EtabliError)]
        if len(known) != len(several.exceptions):
            raise
        return _told(known[0])
    except KeyboardInterrupt:
        return 130


def _told(wrong: EtabliError) -> int:
    print(f"etabli: {wrong.detail}", file=sys.stderr)
    return 1


def _settings(arguments: argparse.Namespace) -> Settings:
    settings = read_settings(Path("etabli.toml"))
    if arguments.command == "demo":
        own = ",".join(map(str, LOOPBACK))  # so that one can try webhooks on one's own machine
        settings = replace(settings, data=Path("var/demo"), port=8080, database_url="", outbound_networks=own)
    given = {name: value for name in ("port", "data", "site") if (value := getattr(arguments, name, None))}
    return replace(settings, **given)


async def _demo(settings: Settings, _arguments: argparse.Namespace) -> int:
    made: list[Demo] = []

    async def prepare(lab: Lab) -> None:
        demo = await seed(lab, settings.data, settings.address)
        made.append(demo)
        print(demo.greeting(), flush=True)

    await serve(settings, ALL_ROLES, prepare)
    return 0


async def _serve(settings: Settings, _arguments: argparse.Namespace) -> int:
    await serve(settings, ALL_ROLES if not settings.on_postgres else frozenset({"web"}))
    return 0


async def _worker(settings: Settings, _arguments: argparse.Namespace) -> int:
    _need_postgres(settings, "worker")
    await serve(settings, frozenset({"worker"}))
    return 0


async def _run_fleet(settings: Settings, _arguments: argparse.Namespace) -> int:
    _need_postgres(settings, "fleet")
    await serve(settings, frozenset({"fleet"}))
    return 0


def _need_postgres(settings: Settings, role: str) -> None:
    if not settings.on_postgres:
        raise Misconfigured(
            f"A {role} of its own needs PostgreSQL (ETABLI_DATABASE_URL); on SQLite `./etabli serve` "
            "runs all roles."
        )


async def _migrate(settings: Settings, _arguments: argparse.Namespace) -> int:
    settings.data.mkdir(parents=True, exist_ok=True)
    await migrate(settings.url)
    print("The database is up to date.")
    return 0


async def _doctor(settings: Settings, _arguments: argparse.Namespace) -> int:
    findings = await examine(settings)
    for finding in findings:
        print(finding)
    return 0 if all(finding.good for finding in findings) else 1


_COMMANDS: Mapping[str, Callable[[Settings, argparse.Namespace], Coroutine[Any, Any, int]]] = {
    "demo": _demo,
    "serve": _serve,
    "worker": _worker,
    "fleet": _run_fleet,
    "migrate": _migrate,
    "doctor": _doctor,
    "estimate": terminal.estimate,
    "profiles": terminal.profiles,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="etabli", description="The print-job queue of fab labs.")
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="a demo lab with simulated machines")
    serve_command = commands.add_parser("serve", help="a real lab in one process")
    for command in (demo, serve_command):
        command.add_argument("--port", type=int)
        command.add_argument("--data", type=Path)
    commands.add_parser("worker", help="durable work only (PostgreSQL)")
    fleet = commands.add_parser("fleet", help="the machines of one site only (PostgreSQL)")
    fleet.add_argument("--site")
    commands.add_parser("migrate", help="bring the database up to date")
    commands.add_parser("doctor", help="say what is missing or wrong here")
    terminal.estimate_parser(commands.add_parser("estimate", help="time and material of models, in a blink"))
    terminal.profiles_parser(
        commands.add_parser("profiles", help="machines out of PrusaSlicer's vendor bundles")
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
