"""The warm child: numpy loaded once, then one fork per file, each with its own limits and nothing but a
descriptor.

Runs as `python -m slicing.zygote` inside the cage, with a socket on descriptor 0. A request is one packet:
JSON, and the descriptors [answer, file, optional output]. The fork writes JSON to `answer`; when it has
ended this process adds a line with its exit status, so that the caller sees every death. Kept small: no
asyncio, no web, no database.
"""

from __future__ import annotations

import array
import contextlib
import gc
import json
import os
import resource
import select
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from typing import Any

from slicing.faults import FileRefused, refused
from slicing.limits import RESULT_BYTES_MAX

Task = Callable[[Mapping[str, Any], list[int]], dict[str, Any]]
REQUEST_BYTES_MAX = 64 * 1024
STATUS_MARK = "\n#status "
_DESCRIPTORS_MAX = 3


def serve(control: socket.socket, idle_seconds: float) -> None:
    """Answer requests until the other end closes, or until nothing was asked for `idle_seconds`."""
    children: dict[int, socket.socket] = {}
    wake, waker = socket.socketpair()
    for end in (wake, waker):
        end.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waker.fileno())
    while True:
        ready, _, _ = select.select([control, wake], [], [], idle_seconds)
        if wake in ready:
            wake.recv(4096)
            _reap(children)
        if control in ready and not _accept(control, children, wake):
            return
        if not ready and not children:
            return


def _accept(control: socket.socket, children: dict[int, socket.socket], wake: socket.socket) -> bool:
    packet, descriptors = _receive(control)
    if not packet:
        return False
    request = json.loads(packet)
    pid = os.fork()
    if pid == 0:
        signal.set_wakeup_fd(-1)
        control.close()
        wake.close()
        for answer in children.values():
            answer.close()
        _child(request, descriptors)
    answer = socket.socket(fileno=descriptors[0])
    answer.setblocking(False)
    children[pid] = answer
    for descriptor in descriptors[1:]:
        os.close(descriptor)
    return True


def _receive(control: socket.socket) -> tuple[bytes, list[int]]:
    space = socket.CMSG_SPACE(_DESCRIPTORS_MAX * array.array("i").itemsize)
    packet, ancillary, _, _ = control.recvmsg(REQUEST_BYTES_MAX, space)
    descriptors = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
    return packet, list(descriptors)


def _reap(children: dict[int, socket.socket]) -> None:
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        answer = children.pop(pid, None)
        if answer is None:
            continue
        with contextlib.suppress(OSError):  # the asker may have gone; then nobody waits for this line
            answer.send(f"{STATUS_MARK}{os.waitstatus_to_exitcode(status)}\n".encode())
        answer.close()


def _child(request: dict[str, Any], descriptors: list[int]) -> None:
    """In the fork: limits first, then the work, then one bounded answer. Never returns."""
    code = 1
    try:
        _limit(request["limits"])
        _write(descriptors[0], _answer(request, descriptors))
        code = 0
    except MemoryError:
        _write(descriptors[0], _refusal(refused("mesh.memory")))
        code = 0
    finally:
        os._exit(code)


def _limit(limits: dict[str, Any]) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, float(limits["wall_seconds"]))
    for kind, most in (
        (resource.RLIMIT_AS, limits["address_space_bytes"]),
        (resource.RLIMIT_CPU, limits["cpu_seconds"]),
        (resource.RLIMIT_FSIZE, limits["file_bytes"]),
        (resource.RLIMIT_NOFILE, limits["open_files"]),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
    ):
        # The CPU clock first speaks (SIGXCPU), which the caller can tell apart, and a second later kills.
        resource.setrlimit(kind, (int(most), int(most) + (kind == resource.RLIMIT_CPU)))


def _answer(request: dict[str, Any], descriptors: list[int]) -> bytes:
    try:
        return _encoded({"ok": _work(request, descriptors)})
    except FileRefused as fault:
        return _refusal(fault)
    except MemoryError:
        return _refusal(refused("mesh.memory"))
    except RecursionError:
        return _refusal(refused("mesh.too_complex", limit=sys.getrecursionlimit(), what="levels"))
    except Exception as error:  # noqa: BLE001 - the end of this process: its words, not only an exit code
        return _encoded({"crashed": f"{type(error).__name__}: {error}"[:200]})


def _work(request: dict[str, Any], descriptors: list[int]) -> dict[str, Any]:
    return _tasks[request["task"]](request, descriptors[1:])


def _refusal(fault: FileRefused) -> bytes:
    return _encoded({"refused": fault.to_json()})


def _encoded(value: dict[str, Any]) -> bytes:
    return json.dumps(value, allow_nan=False).encode()


def _write(descriptor: int, data: bytes) -> None:
    if len(data) > RESULT_BYTES_MAX:
        data = _encoded({"crashed": "the result is too large"})
    while data:
        data = data[os.write(descriptor, data) :]


_tasks: Mapping[str, Task] = {}
"""Of the crew that this child was started as."""


def _warm(crew: str) -> None:
    global _tasks
    _tasks = _drawings() if crew == "drawings" else _models()
    gc.collect()
    gc.freeze()


def _drawings() -> Mapping[str, Task]:
    from slicing.vector import svgusvg, tasks

    svgusvg.warm()
    return tasks.TASKS


def _models() -> Mapping[str, Task]:
    """Import and run everything once, so that a fork finds it hot; then freeze, so that its pages stay
    shared.
    """
    import numpy as np

    from slicing import estimate, mesh, profile, tasks

    corners = np.array([[0, 0, 0], [9, 0, 0], [0, 9, 0], [0, 0, 9]], dtype=np.float64)
    solid = corners[np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]])]
    loaded = mesh.analyse(solid, "stl", 284)
    estimate.estimate_print(loaded.triangles, profile.PrintProfile.resolve("mk3s", supports=True).keys)
    return tasks.TASKS


def main() -> None:
    control = socket.socket(fileno=0)
    _warm(sys.argv[2] if len(sys.argv) > 2 else "models")
    control.send(b"ready")
    serve(control, float(sys.argv[1]))


if __name__ == "__main__":
    main()
