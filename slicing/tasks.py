"""What a fork of the warm child can be asked, by name: one function a task, each given the request and the open files.

`files[0]` is the member's file (or a slicer's), `files[1]` where a result too large for an answer is written. A task
returns plain JSON and raises FileRefused; limits and the cage are the zygote's.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from slicing import estimate, gcode, mesh
from slicing.limits import RESULT_BYTES_MAX
from slicing.placement import Placement

Request = Mapping[str, Any]
Task = Callable[[Request, list[int]], dict[str, Any]]


def _loaded(request: Request, files: list[int]) -> mesh.Loaded:
    return mesh.load(files[0], str(request["filename"]), Placement(**request.get("placement", {})))


def study(request: Request, files: list[int]) -> dict[str, Any]:
    """What the geometry is; with `keys`, also what printing `quantity` copies takes."""
    loaded = _loaded(request, files)
    result: dict[str, Any] = {"analysis": loaded.analysis.to_json()}
    if request.get("keys"):
        priced = estimate.estimate_print(loaded.triangles, request["keys"], int(request["quantity"]))
        result["estimate"] = priced.to_json()
    return result


def to_stl(request: Request, files: list[int]) -> dict[str, Any]:
    """Write the mesh as the only STL a slicer of ours ever sees."""
    loaded = _loaded(request, files)
    mesh.as_stl(loaded.triangles, fd=files[1])
    return {"analysis": loaded.analysis.to_json()}


def read_gcode(request: Request, files: list[int]) -> dict[str, Any]:
    with open(files[0], "rb", closefd=False) as file:
        try:
            return {"gcode": gcode.read(file, float(request["milligrams_per_mm"])).to_json()}
        except gcode.NotOurGcode as error:
            return {"not_whole": str(error)}


def self_test(request: Request, _files: list[int]) -> dict[str, Any]:
    """How the tests and the doctor see what the cage allows, from inside."""
    what = str(request["what"])
    if what == "spin":
        while True:
            pass
    if what == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if what == "flood":
        return {"flood": "x" * (RESULT_BYTES_MAX * 2)}
    if what == "memory":
        return {"bytes": len(bytearray(1 << 40))}
    probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        probe.connect(("192.0.2.1", 9))
        reachable = True
    except OSError:
        reachable = False
    return {"network": reachable, "visible": sorted(str(path) for path in Path("/").iterdir())}


TASKS: Mapping[str, Task] = MappingProxyType(
    {
        "study": study,
        "to_stl": to_stl,
        "read_gcode": read_gcode,
        "self_test": self_test,
    }
)
