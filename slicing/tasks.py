"""What a fork of the warm child can be asked, by name: one function a task, each given the request and the open files.

`files[0]` is the member's file (or a slicer's), `files[1]` where a result too large for an answer is written. A task
returns plain JSON and raises FileRefused; limits and the cage are the zygote's.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any

from slicing import estimate, gcode, mesh, orientation
from slicing import printability as checks
from slicing.limits import RESULT_BYTES_MAX
from slicing.placement import Placement
from slicing.report import NotOurGcode
from slicing.results import rectangle

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


def printability(request: Request, files: list[int]) -> dict[str, Any]:
    """What may go wrong as the part lies, under this profile, and how it would better lie; places are in the file's own
    coordinates.
    """
    drawn = mesh.load(files[0], str(request["filename"])).triangles
    placement, keys = Placement(**request["placement"]), request["keys"]
    found = checks.check(placement.of(drawn), keys)
    advice = orientation.advise(drawn, keys, placement)
    return {
        "warnings": [asdict(warning) for warning in checks.as_drawn(found, placement)],
        "turn": advice.to_json() if advice else None,
    }


def draw(request: Request, files: list[int]) -> dict[str, Any]:
    """Write a picture of the part as it lies; with `keys`, the places that may go wrong are ringed."""
    from slicing import preview

    triangles, keys = _loaded(request, files).triangles, request.get("keys")
    found = checks.check(triangles, keys) if keys else ()
    places = [place for warning in found if warning.severity != "note" for place in warning.place]
    with open(files[1], "wb", closefd=False) as out:
        out.write(preview.render(triangles, int(request["size_px"]), places=places))
    return {}


def read_gcode(request: Request, files: list[int]) -> dict[str, Any]:
    with open(files[0], "rb", closefd=False) as file:
        try:
            return {"gcode": gcode.read(file, float(request["milligrams_per_mm"])).to_json()}
        except NotOurGcode as error:
            return {"not_whole": str(error)}


def check_gcode(request: Request, files: list[int]) -> dict[str, Any]:
    """What in a sliced file the machine of this profile must not run; nothing for a good one."""
    from slicing import allowed

    with open(files[0], "rb", closefd=False) as file:
        return {"violations": [found.to_json() for found in allowed.check(file, request["keys"])]}


def overview(_request: Request, files: list[int]) -> dict[str, Any]:
    """Where the layers of a sliced file begin, and what they draw."""
    from slicing import layers
    from slicing.gcodetext import NotGcode

    with open(files[0], "rb", closefd=False) as file:
        try:
            return asdict(layers.overview(file))
        except NotGcode as error:
            return {"not_whole": str(error)}


def layer(request: Request, files: list[int]) -> dict[str, Any]:
    """Write one layer of a sliced file, the bytes from `first_byte` to `end_byte`, as SVG."""
    from slicing import layers
    from slicing.gcodetext import NotGcode

    view_mm = request.get("view_mm")
    with open(files[0], "rb", closefd=False) as file, open(files[1], "wb", closefd=False) as out:
        try:
            svg = layers.layer_svg(
                file,
                int(request["first_byte"]),
                int(request["end_byte"]),
                rectangle(request["bed_mm"]),
                rectangle(view_mm) if view_mm else None,
            )
        except NotGcode as error:
            return {"not_whole": str(error)}
        out.write(svg.encode("ascii"))
    return {}


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
        "printability": printability,
        "draw": draw,
        "read_gcode": read_gcode,
        "check_gcode": check_gcode,
        "overview": overview,
        "layer": layer,
        "self_test": self_test,
    }
)
