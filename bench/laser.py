"""Laser cutters' figures: drawings parsed, toolpaths planned and written, files checked and fed to a controller.

The planner is judged by a GRBL that is executed step by step (`tests/slicing/vector/grblsim.py`) and, where the drawing
is known, by the seconds of a recorded firmware; raydriver's emulator moves at constant speed and is no judge of time,
but of feeding.
"""

from __future__ import annotations

import asyncio
import io
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from math import cos, pi, sin
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

from bench.errors import p90
from bench.table import Row
from drivers.grbl.driver import GrblDriver
from orchestrator.clock import SystemClock
from orchestrator.ports import Accepted
from slicing.faults import FileRefused
from slicing.vector import engrave, grbl, lasercheck, planner, simulate, svg
from slicing.vector.beam import Moves, moves
from slicing.vector.build import build
from slicing.vector.design import Design
from slicing.vector.toolpath import Contour, Operation, Settings, Toolpath
from slicing.vector.vectorestimate import estimate
from tests.rigs.rig import a_presence
from tests.slicing.vector.cutting import CO2, a_box, a_machine, circles, dots, lines_of, moves_of, raster
from tests.slicing.vector.grblsim import Axes, Machine

T = TypeVar("T")
DRAWINGS = Path(__file__).parents[2] / "shared" / "corpus" / "svg"
MATERIAL = "birch-ply-3"
REPEATS = 5
CUT = Settings(speed_mm_s=20.0, power_permille=700, air=False)
AREA = Settings(speed_mm_s=300.0, power_permille=300, interval_mm=0.1, air=False)
BIG_BYTES = 5_000_000
STREAM_SECONDS_MAX = 120
FASTER = 2000.0
"""How much faster than life the emulator moves, so that feeding is what takes time."""


async def run() -> list[Row]:
    """All rows. Exits with a sentence where there is no corpus."""
    if not DRAWINGS.is_dir():
        raise SystemExit(f"no folder {DRAWINGS}")
    designs, parsing = _parsed(sorted(DRAWINGS.glob("*.svg")))
    rows = [
        *parsing,
        *_big_rows(),
        *_built_rows(designs),
        *_drawing_rows(designs),
        *_planner_rows(),
        *_engraving_rows(),
        *await stream_rows(),
    ]
    return [row for row in rows if row.values]


# --- parsing ---------------------------------------------------------------------------------------------------------


def _parsed(paths: Sequence[Path]) -> tuple[dict[str, Design], list[Row]]:
    designs, took, refusals = {}, [], Counter[str]()
    for path in paths:
        _progress(path.name)
        data = path.read_bytes()
        began = time.perf_counter()
        try:
            designs[path.name] = svg.read(data)
        except FileRefused as refused:
            refusals[refused.code] += 1
        took.append(1000 * (time.perf_counter() - began))
    if refusals:
        print("refused:", ", ".join(f"{code} x {count}" for code, count in refusals.items()))
    return designs, [
        _row("corpus drawing parsed", "ms", took),
        _row("corpus drawings read", "of " + str(len(paths)), [float(len(designs))]),
    ]


def _big_rows() -> Iterator[Row]:
    kinds = (
        ("many small paths", _small_paths),
        ("one path of lines", _lines),
        ("one path of curves", _curves),
    )
    for name, body in kinds:
        data = _svg(body())
        _progress(name)
        began = time.perf_counter()
        points = sum(len(line.points) for shape in svg.read(data).shapes for line in shape.lines)
        seconds = time.perf_counter() - began
        yield _row(f"{len(data) / 1e6:.0f} MB, {name}, {points / 1e3:.0f} k points", "s", [seconds], "<= 4 s")


def _svg(body: str) -> bytes:
    head = '<svg xmlns="http://www.w3.org/2000/svg" width="400mm" height="300mm" viewBox="0 0 400 300">'
    return f'{head}<g fill="none" stroke="#f00">{body}</g></svg>'.encode()


def _small_paths() -> str:
    chance = random.Random(1)
    paths: list[str] = []
    size = 0
    while size < BIG_BYTES:
        x, y = chance.uniform(1, 390), chance.uniform(1, 290)
        paths.append(
            f'<path d="M{x:.3f} {y:.3f}l2.5 0 0 2.5-2.5 0z" stroke="#00f" id="part{len(paths)}" fill="none"/>'
        )
        size += len(paths[-1])
    return "".join(paths)


def _lines() -> str:
    turns = (i * 0.01 for i in range(BIG_BYTES // 17))
    return (
        '<path d="M200 150 L'
        + " ".join(f"{200 + t / 30 * cos(t):.3f},{150 + t / 30 * sin(t):.3f}" for t in turns)
        + '"/>'
    )


def _curves() -> str:
    chance = random.Random(2)
    pieces = (
        "c" + " ".join(f"{chance.uniform(-2, 2):.3f},{chance.uniform(-2, 2):.3f}" for _ in range(3))
        for _ in range(BIG_BYTES // 42)
    )
    return '<path d="M200 150' + "".join(pieces) + '"/>'


# --- drawings through the whole of it ------------------------------------------------------------------------------


def _built_rows(designs: Mapping[str, Design]) -> list[Row]:
    """Operations by the rules, kerf, order and all; what is too large for the bed is refused, and quick."""
    took, refusals = [], Counter[str]()
    for name, design in designs.items():
        _progress(name)
        began = time.perf_counter()
        try:
            toolpath = build(design, {"material": MATERIAL}, CO2)
        except FileRefused as refused:
            refusals[refused.code] += 1
            continue
        took.append(1000 * (time.perf_counter() - began))
        if violations := lasercheck.check(grbl.write(toolpath, CO2), CO2):
            print(f"{name}: {violations[0]}")
    print("not built:", ", ".join(f"{code} x {count}" for code, count in refusals.items()) or "none")
    return [_row("corpus drawing built", "ms", took)]


def _drawing_rows(designs: Mapping[str, Design]) -> list[Row]:
    """Every corpus drawing cut as it is: each stage's milliseconds, and the whole estimate's."""
    stages: dict[str, list[float]] = {
        "estimated": [],
        "written as G-code": [],
        "checked": [],
        "simulated": [],
    }
    sizes = []
    for name, design in designs.items():
        toolpath = _as_drawn(design)
        if toolpath is None:
            continue
        _progress(name)
        file = grbl.write(toolpath, CO2)
        sizes.append(file.count(b"\n") / 1e3)
        if violations := lasercheck.check(file, CO2):
            print(f"{name}: {violations[0]}")
        for stage, work in (
            ("estimated", lambda toolpath=toolpath: estimate(toolpath, CO2)),
            ("written as G-code", lambda toolpath=toolpath: grbl.write(toolpath, CO2)),
            ("checked", lambda file=file: lasercheck.check(file, CO2)),
            ("simulated", lambda toolpath=toolpath: simulate.simulation(toolpath, CO2)),
        ):
            stages[stage].append(1000 * _timed(work)[1])
    rows = [_row(f"corpus drawing {stage}", "ms", took) for stage, took in stages.items()]
    return [*rows, _row("corpus drawing, G-code", "k lines", sizes)]


def _as_drawn(design: Design) -> Toolpath | None:
    """Its lines in their order, shrunk to the bed: no kerf, no order of ours. None where nothing is drawn."""
    lines = [line for shape in design.shapes for line in shape.lines if len(line.points) > 1]
    if not lines:
        return None
    points = np.concatenate([line.points for line in lines])
    low, size = points.min(axis=0), np.maximum(np.ptp(points, axis=0), 1e-6)
    scale = min(1.0, *(np.array(CO2.bed_mm) / size).tolist())
    contours = tuple(Contour(points=(line.points - low) * scale, closed=line.closed) for line in lines)
    return _toolpath(Operation(kind="cut", key="stroke:#ff0000", settings=CUT, contours=contours))


def _toolpath(*operations: Operation) -> Toolpath:
    return Toolpath(machine=CO2.name, material="plywood-3", operations=operations)


# --- planner ---------------------------------------------------------------------------------------------------------


def _planner_rows() -> list[Row]:
    spiral = [
        (300 + t / 20 * cos(t), 200 + t / 20 * sin(t), 50.0) for t in np.linspace(0, 2000, 31_400).tolist()
    ]
    way = moves_of(spiral)
    seconds = [_timed(lambda: planner.seconds(way, CO2))[1] for _ in range(REPEATS)]
    errors = list(_planner_errors())
    return [
        _row("31 400 moves planned", "s", seconds, "<= 0.15 s"),
        _row("moves planned", "M/s", [len(way) / s / 1e6 for s in seconds]),
        _row("planner, |error| to GRBL step by step", "%", [abs(error) for error in errors], "<= 3 %"),
        _row("planner, |error|, p90", "%", [p90([abs(error) for error in errors])]),
    ]


def _planner_errors() -> Iterator[float]:
    print(f"{'planned':<46} {'mm/s2':>6} {'planner':>9} {'judge':>9} {'firmware':>9} {'error':>8}")
    recorded = {(raster, 3000.0): 29.51, (circles, 500.0): 11.01, (circles, 3000.0): 8.29}
    for acceleration in (500.0, 3000.0):
        machine = a_machine(acceleration)
        for name, drawing in (
            ("circles r20 and r2, 609 moves", circles),
            ("raster, 40 lines of 70 mm", raster),
            ("box with fingers and dog-bones", a_box),
            ("dithered lines of 0.1 mm dots", dots),
        ):
            way = moves_of(drawing())
            ours, judge = float(planner.seconds(way, machine).sum()), _judged(way, acceleration)
            firmware = (
                f"{recorded[drawing, acceleration]:9.2f}" if (drawing, acceleration) in recorded else " " * 9
            )
            error = 100 * (ours / judge - 1)
            print(f"{name:<46} {acceleration:>6.0f} {ours:>9.2f} {judge:>9.2f} {firmware} {error:>+7.2f}%")
            yield error


def _judged(way: Moves, acceleration: float) -> float:
    return Machine(Axes(acceleration=(acceleration, acceleration))).run(lines_of(way))


# --- engraving -------------------------------------------------------------------------------------------------------


def _engraving_rows() -> list[Row]:
    """A disc of 100 mm with a hundred holes, in lines of 0.1 mm; and what a file of many lines takes."""
    turn = np.linspace(0, 2 * pi, 721)[:-1]
    rings = [_ring(200, 200, 50, turn)]
    rings += [_ring(160 + 8 * i, 160 + 8 * j, 2, turn[::4]) for i in range(10) for j in range(10)]
    scans, filling = _timed(lambda: engrave.fill_scans(rings, True, AREA))
    toolpath = _toolpath(Operation(kind="engrave", key="fill:#000000", settings=AREA, scans=scans))
    way, making = _timed(lambda: moves(toolpath, CO2))
    file, writing = _timed(lambda: grbl.write(toolpath, CO2))
    violations, checking = _timed(lambda: lasercheck.check(io.BytesIO(file), CO2))
    lines = file.count(b"\n")
    if violations:
        print(f"engraving: {violations[0]}")
    return [
        _row(f"area of 78 cm2 in {len(scans)} lines, filled", "ms", [1000 * filling]),
        _row("moves made", "k/s", [len(way) / making / 1e3]),
        _row("G-code written, timed and hashed", "k lines/s", [lines / writing / 1e3]),
        _row("G-code checked", "k lines/s", [lines / checking / 1e3]),
    ]


def _ring(x: float, y: float, radius: float, turn: np.ndarray[Any, np.dtype[np.float64]]) -> Any:
    return np.stack((x + radius * np.cos(turn), y + radius * np.sin(turn)), axis=1)


# --- feeding a controller --------------------------------------------------------------------------------------------


async def stream_rows() -> list[Row]:
    """A circle of 600 lines and more, fed by our driver to raydriver's GRBL behind TCP, moving FASTER than life."""
    circle = Contour(points=_ring(100, 100, 50, np.linspace(0, 2 * pi, 701)[:-1]), closed=True)
    file = grbl.write(
        _toolpath(Operation(kind="cut", key="stroke:#ff0000", settings=CUT, contours=(circle,))), CO2
    )
    rates = []
    overruns = 0
    for _ in range(REPEATS):
        async with _emulated() as (address, emulator):
            rates.append(await _streamed(address, file))
            overruns += emulator.rx_overrun
    return [
        _row(f"lines fed to raydriver's GRBL, {file.count(b'G1')} moves", "lines/s", rates),
        _row("overruns of its buffer", "", [float(overruns)], "0"),
    ]


async def _streamed(address: str, file: bytes) -> float:
    """Lines a second, from the start to the machine at rest."""
    clock = SystemClock()
    driver = GrblDriver({"address": address}, clock)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.gcode"
        path.write_bytes(file)
        await driver.connect()
        try:
            await driver.stage(path, path.name)
            began = time.perf_counter()
            answer = await driver.start(path.name, a_presence(path, clock))
            if not isinstance(answer, Accepted):
                raise SystemExit(f"not started: {answer}")
            async with asyncio.timeout(STREAM_SECONDS_MAX):
                async for seen in driver.observations():
                    driver.attend()
                    if seen.ended is not None:
                        break
            return file.count(b"\n") / (time.perf_counter() - began)
        finally:
            await driver.close()


class _Bridge:
    """What raydriver's emulator takes for a serial port: bytes in, bytes out."""

    def __init__(self) -> None:
        self.came: list[bytes] = []
        self.writer: asyncio.StreamWriter | None = None

    def take_new_sent(self) -> list[bytes]:
        came, self.came = self.came, []
        return came

    def push(self, data: bytes) -> None:
        if self.writer is not None:
            self.writer.write(data)


@asynccontextmanager
async def _emulated() -> AsyncIterator[tuple[str, Any]]:
    """raydriver's GRBL on a TCP port of its own, set up as a laser."""
    from raydriver.emulator import GrblEmulator  # a tool for tests: the bench alone runs without it

    bridge = _Bridge()
    emulator = cast(Any, GrblEmulator)(bridge, speed_factor=FASTER)
    emulator.settings |= {"32": 1, "30": 1000.0, "110": 30000.0, "111": 24000.0, "130": 600.0, "131": 400.0}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        bridge.writer = writer
        while data := await reader.read(4096):
            bridge.came.append(data)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, asyncio.TaskGroup() as tasks:
        running = tasks.create_task(emulator.run())
        yield f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}", emulator
        running.cancel()


# --- helpers ---------------------------------------------------------------------------------------------------------


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    began = time.perf_counter()
    result = work()
    return result, time.perf_counter() - began


def _row(what: str, unit: str, values: Sequence[float], asked: str = "") -> Row:
    return Row(what=what, unit=unit, values=tuple(values), asked=asked)


def _progress(name: str) -> None:
    print(f"\r{name:<80.80}\r", end="", file=sys.stderr, flush=True)
