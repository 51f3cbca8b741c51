"""Real programs for the tests: PostgreSQL, OctoPrint, Chromium; and the few helpers that go with them.

Owns how each is found, started on loopback at a free port, waited for with a deadline, and ended. Each dies
with the process that started it, even if that is killed. Knows nothing of Établi.

What cannot be had on this machine is skipped, except in CI (`CI=true`), where it fails: a green run there
means that nothing was left out.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import aiohttp
import psycopg
import pytest
from psycopg import sql

ROOT = Path(__file__).resolve().parent.parent


# --- helpers -------------------------------------------------------------------------------------------


def in_ci() -> bool:
    """In continuous integration nothing may be left out."""
    return os.environ.get("CI", "").lower() in {"1", "true", "yes"}


def missing(what: str) -> NoReturn:
    """Skips the test that needs `what`; in CI fails it."""
    if in_ci():
        pytest.fail(f"{what}; CI leaves nothing out", pytrace=False)
    pytest.skip(what)


def free_port() -> int:
    """A TCP port that nobody listens on at 127.0.0.1 (anybody may take it later: use it at once)."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def wait_until(
    predicate: Callable[[], Awaitable[bool]], deadline_seconds: float, every_seconds: float = 0.02
) -> None:
    """Asks until the answer is yes. Real time, for real servers; TimeoutError when it takes too long."""
    async with asyncio.timeout(deadline_seconds):
        while not await predicate():
            await asyncio.sleep(every_seconds)


def corpus_dir() -> Path:
    """The folder of real models (`stl/`, `svg/`) that lies beside the checkout."""
    corpus = ROOT.parent / "shared" / "corpus"
    if not corpus.is_dir():
        missing("the corpus of real models is not beside the checkout")
    return corpus


def chromium_path() -> Path:
    """Debian's Chromium; Playwright's own browsers are never downloaded."""
    found = shutil.which("chromium")
    if found is None:
        missing("chromium is not installed")
    return Path(found)


CHROMIUM_ARGUMENTS = (
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def _spawn(
    command: Sequence[str | Path],
    *,
    log: Path,
    dies_by: str,
    user: str | None = None,
    **options: Any,
) -> subprocess.Popen[bytes]:
    """Starts `command` so that it gets the signal `dies_by` (KILL, INT, …) when this process dies."""
    drop = ["--reuid", user, "--regid", str(pwd.getpwnam(user).pw_gid), "--clear-groups"] if user else []
    with log.open("ab") as output:
        return subprocess.Popen(
            ["setpriv", "--pdeathsig", dies_by, *drop, "--", *map(str, command)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            **options,
        )


def _end(process: subprocess.Popen[bytes], how: signal.Signals, patience_seconds: float) -> None:
    """Ends a process and waits for it; who does not listen is killed."""
    if process.poll() is not None:
        return
    process.send_signal(how)
    try:
        process.wait(patience_seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)


def _last_lines(log: Path, count: int = 15) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-count:]) if log.exists() else "(no log)"


# --- PostgreSQL ----------------------------------------------------------------------------------------


def postgres_programs() -> Path:
    """The directory of the newest PostgreSQL server that Debian installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not found:
        missing("PostgreSQL's server programs are not installed")
    return found[-1].parent


class PostgresCluster:
    """A throw-away PostgreSQL: nothing survives it, so nothing is synced to disk. TCP on loopback only.

    `start()` takes about a second; `create_database()` gives SQLAlchemy's URL of a new, empty database whose
    user may create others.
    """

    def __init__(self) -> None:
        self._programs = postgres_programs()
        # PostgreSQL refuses to run as root. Not in pytest's directory, which other users may not enter.
        self._user = "postgres" if os.geteuid() == 0 else None
        self._directory = Path(tempfile.mkdtemp(prefix="etabli-postgres-"))
        self._log = self._directory / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0
        self.port = free_port()

    def start(self, deadline_seconds: float = 60) -> None:
        """Raises RuntimeError with the end of the server's log when it does not answer in time."""
        if self._user:
            shutil.chown(self._directory, self._user)
        data = self._directory / "data"
        initdb: list[str | Path] = [
            self._programs / "initdb",
            "-D",
            data,
            "-U",
            "etabli",
            "--auth=trust",
            "--no-sync",
        ]
        initdb += ["--encoding=UTF8", "--locale=C", "--no-instructions"]
        making = _spawn(initdb, log=self._log, dies_by="KILL", user=self._user, cwd=self._directory)
        if making.wait(deadline_seconds) != 0:
            raise RuntimeError(f"initdb failed:\n{_last_lines(self._log)}")
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "shared_buffers": "32MB",
            "max_connections": "200",
        }
        serve: list[str | Path] = [self._programs / "postgres", "-D", data]
        for name, value in options.items():
            serve += ["-c", f"{name}={value}"]
        self._process = _spawn(serve, log=self._log, dies_by="INT", user=self._user, cwd=self._directory)
        self._wait(self._process, deadline_seconds)

    def _wait(self, process: subprocess.Popen[bytes], deadline_seconds: float) -> None:
        ends = time.monotonic() + deadline_seconds
        while True:
            try:
                psycopg.connect(self._address("postgres"), connect_timeout=5).close()
                return
            except psycopg.OperationalError as error:
                if process.poll() is not None or time.monotonic() > ends:
                    self.stop()
                    raise RuntimeError(f"PostgreSQL did not start:\n{_last_lines(self._log)}") from error
            time.sleep(0.02)

    def create_database(self) -> str:
        """The URL of a fresh database, as SQLAlchemy and Établi's settings write it."""
        self._databases += 1
        name = f"test_{self._databases}"
        with psycopg.connect(self._address("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return f"postgresql+psycopg://etabli@127.0.0.1:{self.port}/{name}"

    def _address(self, database: str) -> str:
        return f"postgresql://etabli@127.0.0.1:{self.port}/{database}"

    def stop(self) -> None:
        """Ends the server, by force if it does not listen, and removes its files."""
        if self._process is not None:
            _end(self._process, signal.SIGINT, patience_seconds=10)
        shutil.rmtree(self._directory, ignore_errors=True)


# --- OctoPrint -----------------------------------------------------------------------------------------

OCTOPRINT_API_KEY = "0123456789ABCDEF0123456789ABCDEF"

# Headless, without wizard and network, deterministic. With logPositionOnPause a pause on the virtual printer
# takes ten seconds, and the virtual printer's default errors break the lines 100 to 115 of every file.
_OCTOPRINT_CONFIG = """\
server:
  firstRun: false
  onlineCheck: {{enabled: false}}
  pluginBlacklist: {{enabled: false}}
  seenWizards: {{corewizard: 4, tracking: 1}}
accessControl: {{autologinLocal: false}}
gcodeAnalysis: {{runAt: {analysis}}}
plugins:
  _disabled: [announcements, softwareupdate, tracking, pluginmanager, discovery, backup, achievements,
              health_check, errortracking]
  virtual_printer: {{enabled: true, throttle: {throttle}, sendWait: false, simulated_errors: []}}
serial: {{port: VIRTUAL, baudrate: 115200, autoconnect: true, exclusive: false, logPositionOnPause: false,
         logPositionOnCancel: false}}
temperature: {{profiles: []}}
webcam: {{webcamEnabled: false, timelapseEnabled: false}}
"""


def octoprint_python() -> Path:
    """The interpreter of the environment that `./etabli test` makes for OctoPrint."""
    found = sorted((ROOT / "var" / "peers").glob("octoprint-*/bin/python"))
    if not found:
        missing("OctoPrint is not installed (./etabli test does it)")
    return found[-1]


def _octoprint_template(python: Path) -> Path:
    """A base directory with its one user, made once: adding a user takes OctoPrint some seconds."""
    key = hashlib.sha256(_OCTOPRINT_CONFIG.encode()).hexdigest()[:12]
    template = ROOT / "var" / "peers" / f"{python.parent.parent.name}-base-{key}"
    if template.is_dir():
        return template
    draft = Path(tempfile.mkdtemp(prefix=".base-", dir=template.parent))
    _write_config(draft, throttle=0.001, analysis="idle")
    command: list[str | Path] = [python, "-m", "octoprint", "-b", draft, "user", "add"]
    command += ["--password", "s3cret", "--admin", "fleet"]
    added = subprocess.run(command, capture_output=True, timeout=120, check=False)
    if added.returncode != 0:
        raise RuntimeError(f"OctoPrint could not add its user:\n{added.stderr.decode(errors='replace')}")
    users = draft / "users.yaml"
    users.write_text(users.read_text().replace("apikey: null", f"apikey: {OCTOPRINT_API_KEY}"))
    try:
        draft.rename(template)
    except OSError:
        # Another test process was faster, and its template is as good as this one.
        shutil.rmtree(draft)
    return template


def _write_config(basedir: Path, *, throttle: float, analysis: str) -> None:
    (basedir / "config.yaml").write_text(_OCTOPRINT_CONFIG.format(throttle=throttle, analysis=analysis))


@dataclass(kw_only=True)
class OctoPrintServer:
    """A real OctoPrint with its virtual printer, on loopback.

    It survives what a test does to it: `kill()` is a power cut, `restart()` brings back the same printer
    (same port, same files). `throttle` is the virtual printer's pause per command, in seconds: 0.001 prints
    some 430 lines a second whatever the feed rates; slower prints need a larger one, or `G4` between moves.
    """

    basedir: Path  # must not exist yet, or be one that an OctoPrintServer made
    port: int = field(default_factory=free_port)
    throttle: float = 0.001
    analysis: str = "idle"  # when it estimates an uploaded file: idle, or never
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def api_key(self) -> str:
        return OCTOPRINT_API_KEY

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    async def start(self, deadline_seconds: float = 90) -> None:
        """Returns when the API answers and the printer is Operational; RuntimeError if it never is."""
        if self.running:
            raise RuntimeError("this OctoPrint is running already")
        python = octoprint_python()
        if not self.basedir.exists():
            shutil.copytree(_octoprint_template(python), self.basedir)
            _write_config(self.basedir, throttle=self.throttle, analysis=self.analysis)
        command: list[str | Path] = [python, "-m", "octoprint", "serve", "-b", self.basedir]
        command += ["--host", "127.0.0.1", "--port", str(self.port)]
        if os.geteuid() == 0:
            command.append("--iknowwhatimdoing")
        self._process = _spawn(command, log=self._log, dies_by="KILL")
        try:
            await wait_until(self._answers, deadline_seconds, every_seconds=0.1)
        except TimeoutError as error:
            await self.kill()
            raise RuntimeError(f"OctoPrint did not start:\n{_last_lines(self._log)}") from error

    @property
    def _log(self) -> Path:
        return self.basedir / "process.log"

    async def _answers(self) -> bool:
        if not self.running:
            raise RuntimeError(f"OctoPrint ended at its start:\n{_last_lines(self._log)}")
        try:
            connection = await self.get("/api/connection")
        except (aiohttp.ClientError, TimeoutError):
            return False
        return bool(connection["current"]["state"] == "Operational")

    async def kill(self) -> None:
        """A power cut: SIGKILL, and wait until the port is free."""
        if self._process is not None:
            await asyncio.to_thread(_end, self._process, signal.SIGKILL, 10)

    async def stop(self) -> None:
        """An orderly end; after some seconds of patience, a power cut."""
        if self._process is not None:
            await asyncio.to_thread(_end, self._process, signal.SIGTERM, 5)

    async def restart(self, deadline_seconds: float = 90) -> None:
        """The same printer again: same port, same files, whatever ended it before."""
        await self.stop()
        await self.start(deadline_seconds)

    async def debug(self, command: str) -> None:
        """Tells the virtual printer to misbehave: maxtemp_error, drop_connection, go_awol, `sleep 5`, ….

        It is queued behind a command that blocks.
        """
        await self.post("/api/printer/command", {"command": f"!!DEBUG:{command}"})

    async def get(self, path: str) -> Any:
        """The JSON at `path`; aiohttp's errors pass."""
        async with self._session() as session, session.get(self.url + path) as response:
            return await response.json()

    async def post(self, path: str, body: object) -> None:
        """Sends a JSON command, for what a test does behind Établi's back (someone at the panel)."""
        async with self._session() as session, session.post(self.url + path, json=body):
            pass

    def _session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            headers={"X-Api-Key": self.api_key},
            timeout=aiohttp.ClientTimeout(total=10),
            raise_for_status=True,
        )
