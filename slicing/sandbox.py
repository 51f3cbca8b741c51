"""A cage for processes that touch a member's bytes: no network, limits always, bubblewrap where it works.

`bubblewrap`: own namespaces, read-only system, only the named files visible. `rlimits`: limits, an empty
environment and an own process group only; the doctor shows which of the two is in force. Knows nothing of
meshes or slicers.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from slicing.faults import SlicerUnavailable
from slicing.limits import MIB, Limits

Backend = Literal["bubblewrap", "rlimits"]
Heard = Callable[[str], Awaitable[None]]
"""Told each whole line while the process still runs; what it raises ends the process."""
_PROBE_SECONDS = 10
_LINE_BYTES_MAX = 4096
_CPU_GRACE_SECONDS = 5
"""Between SIGXCPU, which says why, and SIGKILL, which anybody may have sent."""
_TMP_BYTES = 64 * MIB
_ONLY_UNDER_US = ("/bin/sh", "-c", 'echo && exec "$@"', "sh")
"""Says an empty line to us before anything is run, and ends where nobody listens: killed in the milliseconds in which a
cage is made, before it is bound to our life, we would leave a slicer at work for good.
"""
_SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc/ld.so.cache", "/etc/alternatives")
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "LC_ALL": "C", "TMPDIR": "/tmp"}  # inside


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a process ended. `returncode` is negative for a signal; `output` is both its streams, cut to the
    limit.
    """

    returncode: int
    output: str
    timed_out: bool


class Sandbox:
    """Runs commands under limits, at most `concurrency` at a time. `backend` is probed once, at first use."""

    def __init__(self, *, concurrency: int = 2, backend: Backend | None = None) -> None:
        self._slots = asyncio.Semaphore(concurrency)
        self._backend: Backend | None = backend

    @property
    def backend(self) -> Backend:
        """`bubblewrap` if namespaces can be made here, else `rlimits`."""
        if self._backend is None:
            self._backend = "bubblewrap" if _bubblewrap_works() else "rlimits"
        return self._backend

    @property
    def slots(self) -> asyncio.Semaphore:
        """The shared bound: whoever runs hostile work of its own kind takes one of these too."""
        return self._slots

    async def run(
        self,
        argv: Sequence[str],
        *,
        limits: Limits,
        inputs: Mapping[str, Path] | None = None,
        out_dir: Path | None = None,
        visible: Sequence[Path] = (),
        heard: Heard | None = None,
    ) -> Outcome:
        """Run `argv` and wait. `inputs` maps names such as `/in/m.stl` to real files; `/out` is `out_dir`.

        Arguments equal to such a name, or beginning with `/out/`, are put in place of what they stand for;
        `visible` are further read-only paths; `heard` is told its lines. The whole group is killed at the
        wall limit, at cancellation and at the end. Raises SlicerUnavailable when the program cannot be started.
        """
        command = self._command(argv, limits, dict(inputs or {}), out_dir, visible)
        async with self._slots:
            return await _run_group(command, limits, heard)

    def _command(
        self,
        argv: Sequence[str],
        limits: Limits,
        inputs: Mapping[str, Path],
        out_dir: Path | None,
        visible: Sequence[Path],
    ) -> list[str]:
        limited = [*_ONLY_UNDER_US, *_limiter(limits), *argv]
        if self.backend == "rlimits":
            return [*_dies_with_us(), *(_outside(word, inputs, out_dir) for word in limited)]
        binds = [word for name, path in inputs.items() for word in ("--ro-bind", str(path.resolve()), name)]
        if out_dir is not None:
            binds += ["--bind", str(out_dir.resolve()), "/out"]
        return [*bubblewrap(visible), *binds, "--", *limited]


def _dies_with_us() -> list[str]:
    """What bubblewrap's --die-with-parent does: after a kill -9 of ours the kernel kills the process we started too."""
    setpriv = shutil.which("setpriv")
    return [] if setpriv is None else [setpriv, "--pdeathsig", "KILL", "--"]


def _outside(word: str, inputs: Mapping[str, Path], out_dir: Path | None) -> str:
    if word in inputs:
        return str(inputs[word].resolve())
    if out_dir is not None and word.startswith("/out/"):
        return str(out_dir.resolve() / word.removeprefix("/out/"))
    return word


def bubblewrap(visible: Sequence[Path] = (), environment: Mapping[str, str] | None = None) -> list[str]:
    """The command that enters the cage: every namespace unshared, system read-only, a small tmpfs, nothing
    else.
    """
    command = [
        "bwrap",
        "--unshare-all",
        "--die-with-parent",
        "--new-session",
        "--cap-drop",
        "ALL",
        "--clearenv",
    ]
    for name, value in {**_ENVIRONMENT, **(environment or {})}.items():
        command += ["--setenv", name, value]
    for path in map(Path, _SYSTEM):
        if path.is_symlink():
            command += ["--symlink", str(path.readlink()), str(path)]
        elif path.exists():
            command += ["--ro-bind", str(path), str(path)]
    command += ["--proc", "/proc", "--dev", "/dev", "--size", str(_TMP_BYTES), "--tmpfs", "/tmp"]
    for extra in visible:
        if not str(extra).startswith("/usr/"):
            command += ["--ro-bind", str(extra), str(extra)]
    return [*command, "--chdir", "/tmp"]


def python_paths() -> list[Path]:
    """What an interpreter inside the cage must see: its own installation and environment, and this package
    only.
    """
    package = Path(__file__).resolve().parent
    wanted = [Path(sys.base_prefix), Path(sys.prefix), package]
    return list(dict.fromkeys(path.resolve() for path in wanted))


def _limiter(limits: Limits) -> list[str]:
    prlimit, nice = shutil.which("prlimit"), shutil.which("nice")
    if prlimit is None or nice is None:
        raise SlicerUnavailable(
            "prlimit and nice (util-linux, coreutils) are needed to run anything under limits"
        )
    return [
        prlimit,
        f"--as={limits.address_space_bytes}",
        f"--cpu={limits.cpu_seconds}:{limits.cpu_seconds + _CPU_GRACE_SECONDS}",
        f"--fsize={limits.file_bytes}",
        f"--nofile={limits.open_files}",
        f"--nproc={own_threads() + limits.processes}",
        "--core=0",
        nice,
        "-n",
        str(limits.nice),
    ]


def own_threads() -> int:
    """Threads this user has already: the kernel counts them all against RLIMIT_NPROC, so the limit stands
    on top.
    """
    uid, count = os.getuid(), 0
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it ended while we looked
            if entry.stat().st_uid == uid:
                count += sum(1 for _ in (entry / "task").iterdir())
    return count


def _bubblewrap_works() -> bool:
    if shutil.which("bwrap") is None:
        return False
    probe = [*bubblewrap(), "--", "/usr/bin/true"]
    try:
        done = subprocess.run(probe, capture_output=True, timeout=_PROBE_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


async def _run_group(command: Sequence[str], limits: Limits, heard: Heard | None) -> Outcome:
    process, ours = _born(command)
    # No await may stand between the birth of the group and this try: a cancellation there would leave it alive.
    output, timed_out = bytearray(), False
    try:
        async with asyncio.timeout(limits.wall_seconds):
            await _drain(ours, output, limits.output_bytes, _Lines(heard))
            await _ended(process.pid)
    except TimeoutError:
        timed_out = True
    finally:
        # Before anybody reaps the leader: until then its number cannot belong to another group.
        kill_group(process.pid)
        ours.close()
        await _ended(process.pid)
        process.wait()
    return Outcome(
        returncode=process.returncode,
        output=output.decode("utf-8", "replace").removeprefix("\n"),
        timed_out=timed_out,
    )


def _born(command: Sequence[str]) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start a group of its own; returns it with the end of the socket that both its streams write to."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with theirs:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=theirs.fileno(),
                stderr=subprocess.STDOUT,
                env=_ENVIRONMENT,
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            raise SlicerUnavailable(f"cannot start {command[0]}", str(error)) from error
    return process, ours


async def _ended(pid: int) -> None:
    """Wait until a child of ours has ended, without reaping it."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    descriptor = os.pidfd_open(pid)
    try:
        loop.add_reader(descriptor, _tell, ended)
        await ended
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def _tell(ended: asyncio.Future[None]) -> None:
    if not ended.done():  # a readable descriptor is reported until it is removed
        ended.set_result(None)


class _Lines:
    """Cuts a stream into lines for one listener; of a line without an end only the first bytes are kept."""

    def __init__(self, heard: Heard | None) -> None:
        self._heard = heard
        self._rest = b""

    async def take(self, chunk: bytes) -> None:
        if self._heard is None:
            return
        *whole, rest = (self._rest + chunk).split(b"\n")
        self._rest = rest[:_LINE_BYTES_MAX]
        for line in whole:
            await self._heard(line[:_LINE_BYTES_MAX].decode("utf-8", "replace").rstrip())


async def _drain(source: socket.socket, output: bytearray, limit: int, lines: _Lines) -> None:
    """Keep the first and the last of what it says: the first shows what it did, the last why it stopped."""
    half = limit // 2
    while chunk := await _received(source):
        output += chunk
        if len(output) > limit:
            del output[half : len(output) - half]
        await lines.take(chunk)


async def _received(source: socket.socket) -> bytes:
    try:
        return await asyncio.get_running_loop().sock_recv(source, 16 * 1024)
    except ConnectionResetError:
        return b""  # the group ended with words of ours unread: an end as well


def kill_group(pid: int) -> None:
    """SIGKILL to a process group that we started in a session of its own; gone already is fine."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
