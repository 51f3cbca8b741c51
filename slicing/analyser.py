"""The caller's side of the warm child: hand over a descriptor, wait with an end, tell deaths apart.

Nothing of a member's file enters this process: it opens the file, passes the descriptor and reads bounded
JSON.
"""

from __future__ import annotations

import array
import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from slicing.faults import FileRefused, SlicerUnavailable, refused
from slicing.limits import MESH, RESULT_BYTES_MAX, SLICE, Limits
from slicing.placement import AS_DRAWN, Placement
from slicing.profile import PrintProfile
from slicing.report import GcodeReport, NotOurGcode
from slicing.results import MeshAnalysis, MeshWarning, Overview, PrintEstimate, Study, rectangle
from slicing.sandbox import Sandbox, bubblewrap, kill_group, python_paths
from slicing.violations import Violation
from slicing.zygote import STATUS_MARK

IDLE_SECONDS = 600.0
START_SECONDS = 30.0
GRACE_SECONDS = 2.0
PREVIEW_PX = 512
_ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    # Big arrays come and go all the time: keep their pages instead of faulting each one in again.
    "MALLOC_MMAP_THRESHOLD_": "1073741824",
    "MALLOC_TRIM_THRESHOLD_": "1073741824",
    "MALLOC_TOP_PAD_": "33554432",
}


class _Gone(Exception):
    """The warm child ended before it answered; a new one may do."""


@dataclass(kw_only=True)
class _Zygote:
    process: asyncio.subprocess.Process
    control: socket.socket

    def end(self) -> None:
        self.control.close()
        kill_group(self.process.pid)


class Analyser:
    """Measures and estimates members' files in forks of one warm, caged process, started on demand.

    Every method raises FileRefused for what the sender can mend and SlicerUnavailable when the cage cannot
    be made.
    """

    def __init__(
        self,
        sandbox: Sandbox | None = None,
        *,
        limits: Limits = MESH,
        idle_seconds: float = IDLE_SECONDS,
        crew: str = "models",
    ) -> None:
        """`crew` is what the warm child has loaded beforehand: `models` or `drawings`; each knows only its tasks."""
        self._sandbox = sandbox or Sandbox()
        self._limits = limits
        self._idle_seconds = idle_seconds
        self._crew = crew
        self._zygote: _Zygote | None = None
        self._starting = asyncio.Lock()

    async def start(self) -> None:
        """Warm up now rather than at the first file."""
        await self._running()

    async def close(self) -> None:
        """End the warm child and everything it forked."""
        zygote, self._zygote = self._zygote, None
        if zygote is not None:
            zygote.end()
            await zygote.process.wait()

    @property
    def pid(self) -> int | None:
        """The warm child's outermost process, for those who measure it; None while none runs."""
        return self._zygote.process.pid if self._zygote else None

    async def analyse(self, path: Path, filename: str) -> MeshAnalysis:
        """What the geometry is. `filename` is the sender's name: a hint about its kind, never opened."""
        return MeshAnalysis.from_json((await self.ask("study", path, filename=filename))["analysis"])

    async def estimate(
        self, path: Path, profile: PrintProfile, quantity: int, filename: str = ""
    ) -> PrintEstimate:
        """Seconds and milligrams of `quantity` copies, instantly."""
        return (await self.study(path, filename or path.name, profile, quantity)).estimate

    async def study(
        self,
        path: Path,
        filename: str,
        profile: PrintProfile,
        quantity: int = 1,
        placement: Placement = AS_DRAWN,
    ) -> Study:
        """Both at once, with one reading of the file, as the part will lie on the bed."""
        raw = await self.ask(
            "study",
            path,
            filename=filename,
            placement=asdict(placement),
            keys=dict(profile.keys),
            quantity=quantity,
        )
        return Study(
            analysis=MeshAnalysis.from_json(raw["analysis"]),
            estimate=PrintEstimate.from_json(raw["estimate"]),
        )

    async def to_stl(
        self, path: Path, filename: str, out: Path, placement: Placement = AS_DRAWN
    ) -> MeshAnalysis:
        """Write the mesh as a binary STL of ours to `out` (corner at the origin, mm) and say what it is."""
        raw = await self.ask("to_stl", path, filename=filename, placement=asdict(placement), out=out)
        return MeshAnalysis.from_json(raw["analysis"])

    async def printability(
        self, path: Path, filename: str, profile: PrintProfile, placement: Placement = AS_DRAWN
    ) -> tuple[tuple[MeshWarning, ...], Mapping[str, Any] | None]:
        """What may go wrong as the part will lie, under this profile; and the plain form of an OrientationAdvice."""
        raw = await self.ask(
            "printability", path, filename=filename, placement=asdict(placement), keys=dict(profile.keys)
        )
        return tuple(MeshWarning.from_json(warning) for warning in raw["warnings"]), raw["turn"]

    async def draw(
        self,
        path: Path,
        filename: str,
        out: Path,
        placement: Placement = AS_DRAWN,
        profile: PrintProfile | None = None,
    ) -> None:
        """Write a square PNG of the part to `out`; under a profile, what may go wrong is ringed."""
        keys = dict(profile.keys) if profile else None
        await self.ask(
            "draw",
            path,
            filename=filename,
            placement=asdict(placement),
            keys=keys,
            size_px=PREVIEW_PX,
            out=out,
        )

    async def read_gcode(self, path: Path, milligrams_per_mm: float, limits: Limits = SLICE) -> GcodeReport:
        """Figures and consumption curve of a file our slicer wrote. Raises NotOurGcode if it is not whole."""
        raw = await self.ask("read_gcode", path, milligrams_per_mm=milligrams_per_mm, limits=limits)
        if "not_whole" in raw:
            raise NotOurGcode(str(raw["not_whole"]))
        return GcodeReport.from_json(raw["gcode"])

    async def check_gcode(
        self, path: Path, profile: PrintProfile, limits: Limits = SLICE
    ) -> tuple[Violation, ...]:
        """What in a sliced file the machine of this profile must not run, at most twenty lines; () for a good one."""
        raw = await self.ask("check_gcode", path, keys=dict(profile.keys), limits=limits)
        return tuple(Violation.from_json(found) for found in raw["violations"])

    async def overview(self, path: Path) -> Overview:
        """Where the layers of a sliced file begin, and what they draw. Raises NotOurGcode if it cannot be read."""
        raw = await self.ask("overview", path, limits=SLICE)
        if "not_whole" in raw:
            raise NotOurGcode(str(raw["not_whole"]))
        view = rectangle(raw["view_mm"]) if raw["view_mm"] else None
        return Overview(first_bytes=tuple(raw["first_bytes"]), size=raw["size"], view_mm=view)

    async def layer(
        self,
        path: Path,
        first_byte: int,
        end_byte: int,
        profile: PrintProfile,
        out: Path,
        view_mm: tuple[float, float, float, float] | None = None,
    ) -> None:
        """Write one layer of a sliced file as SVG to `out`: the bytes from a layer's first to the next one's (or the
        file's end), seen as far as `layers.layer_svg` says. Raises NotOurGcode if they cannot be read.
        """
        raw = await self.ask(
            "layer",
            path,
            first_byte=first_byte,
            end_byte=end_byte,
            bed_mm=profile.rectangle_mm,
            view_mm=view_mm,
            out=out,
        )
        if "not_whole" in raw:
            raise NotOurGcode(str(raw["not_whole"]))

    async def self_test(self, what: str = "cage") -> Mapping[str, Any]:
        """What a fork sees from inside: `network` must be False under bubblewrap. For the doctor and the
        tests.
        """
        return await self.ask("self_test", Path(os.devnull), what=what)

    async def ask(
        self,
        task: str,
        path: Path,
        *,
        filename: str = "",
        out: Path | None = None,
        limits: Limits | None = None,
        **arguments: object,
    ) -> dict[str, Any]:
        """Run one of `slicing.tasks.TASKS` on a file; `arguments` are plain JSON."""
        limits = limits or self._limits
        request = {"task": task, "filename": filename[-200:], "limits": asdict(limits), **arguments}
        async with self._sandbox.slots:
            try:
                return await self._once(request, path, out, limits)
            except _Gone:
                # It may have gone to sleep between two requests: once more, with a new one.
                self._forget()
            try:
                return await self._once(request, path, out, limits)
            except _Gone as error:
                self._forget()
                raise SlicerUnavailable("the analyser ended without an answer") from error

    def _forget(self) -> None:
        if self._zygote is not None:
            self._zygote.end()
            self._zygote = None

    async def _once(
        self, request: Mapping[str, Any], path: Path, out: Path | None, limits: Limits
    ) -> dict[str, Any]:
        zygote = await self._running()
        mine, theirs = socket.socketpair()
        opened: list[int] = []
        try:
            mine.setblocking(False)
            opened.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
            if out is not None:
                opened.append(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600))
            _send(zygote.control, request, [theirs.fileno(), *opened])
            theirs.close()
            return await self._answer(mine, limits)
        finally:
            # Closing our end is what a fork of an asker who left runs into: its write fails, its timer ends
            # it.
            mine.close()
            theirs.close()
            for descriptor in opened:
                os.close(descriptor)

    async def _answer(self, mine: socket.socket, limits: Limits) -> dict[str, Any]:
        loop, data = asyncio.get_running_loop(), bytearray()
        try:
            async with asyncio.timeout(limits.wall_seconds + GRACE_SECONDS):
                while chunk := await loop.sock_recv(mine, 64 * 1024):
                    data += chunk
                    if len(data) > RESULT_BYTES_MAX + 1024:
                        raise refused("mesh.crashed", seen="an endless answer")
        except TimeoutError as error:
            self._forget()  # a fork that outlives its own alarm means the warm process is sick
            raise refused("mesh.timeout", limit=round(limits.wall_seconds)) from error
        except ConnectionError as error:
            raise _Gone from error
        return _decoded(data.decode("utf-8", "replace"), limits)

    async def _running(self) -> _Zygote:
        async with self._starting:
            if self._zygote is None or self._zygote.process.returncode is not None:
                self._forget()
                self._zygote = await self._start()
            return self._zygote

    async def _start(self) -> _Zygote:
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        mine.setblocking(False)
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command(),
                stdin=theirs.fileno(),
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                env=self._environment(),
                start_new_session=True,
            )
        except OSError as error:
            mine.close()
            raise SlicerUnavailable("the analyser cannot be started", str(error)) from error
        except asyncio.CancelledError:
            mine.close()  # a child born meanwhile finds its other end closed and ends
            raise
        finally:
            theirs.close()
        zygote = _Zygote(process=process, control=mine)
        try:
            await _handshake(zygote)
        except BaseException:
            zygote.end()
            raise
        return zygote

    def _command(self) -> list[str]:
        python = [sys.executable, "-m", "slicing.zygote", str(self._idle_seconds), self._crew]
        if self._sandbox.backend == "rlimits":
            return python
        return [*bubblewrap(python_paths(), self._environment()), "--", *python]

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(Path(__file__).resolve().parent.parent),
            **_ENVIRONMENT,
        }


async def _handshake(zygote: _Zygote) -> None:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(START_SECONDS):
            ready = await loop.sock_recv(zygote.control, 64)
    except (TimeoutError, ConnectionError) as error:
        raise SlicerUnavailable("the analyser did not come up") from error
    if ready != b"ready":
        assert zygote.process.stderr is not None
        words = await zygote.process.stderr.read(2000)
        raise SlicerUnavailable("the analyser did not come up", words.decode("utf-8", "replace"))


def _send(control: socket.socket, request: Mapping[str, Any], descriptors: list[int]) -> None:
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
    try:
        control.sendmsg([json.dumps(request).encode()], rights)
    except OSError as error:
        raise _Gone from error


def _decoded(text: str, limits: Limits) -> dict[str, Any]:
    body, mark, status = text.rpartition(STATUS_MARK)
    if not mark:
        raise _Gone
    if status.strip() != "0":
        raise _death(int(status), limits)
    raw: dict[str, Any] = json.loads(body)
    if "refused" in raw:
        raise FileRefused.from_json(raw["refused"])
    if "ok" not in raw:
        raise refused("mesh.crashed", seen=str(raw.get("crashed", ""))[:200])
    answer: dict[str, Any] = raw["ok"]
    return answer


def _death(code: int, limits: Limits) -> FileRefused:
    if code == -signal.SIGXCPU:
        return refused("mesh.timeout", limit=limits.cpu_seconds)
    if code == -signal.SIGALRM:
        return refused("mesh.timeout", limit=round(limits.wall_seconds))
    if code == -signal.SIGKILL:
        return refused("mesh.memory")
    return refused("mesh.crashed", seen=f"exit {code}")
