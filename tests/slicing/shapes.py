"""Meshes and files the slicing tests build: honest ones, and hostile ones that are small on disk."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from slicing import stl
from slicing.analyser import Analyser
from slicing.limits import MESH, Limits
from slicing.sandbox import Sandbox

Mesh = NDArray[np.float64]

_CUBE_FACES = (
    (0, 2, 1), (0, 3, 2), (4, 5, 6), (4, 6, 7), (0, 1, 5), (0, 5, 4),
    (1, 2, 6), (1, 6, 5), (2, 3, 7), (2, 7, 6), (3, 0, 4), (3, 4, 7),
)  # fmt: skip


def a_box(x: float = 20, y: float = 20, z: float = 20) -> Mesh:
    low_to_high = [(0, 0, 0), (x, 0, 0), (x, y, 0), (0, y, 0), (0, 0, z), (x, 0, z), (x, y, z), (0, y, z)]
    box: Mesh = np.array(low_to_high, dtype=np.float64)[np.array(_CUBE_FACES)]
    return box


def moved(triangles: Mesh, x: float, y: float, z: float) -> Mesh:
    result: Mesh = triangles + np.array([x, y, z])
    return result


def a_ball(rings: int, radius: float = 20) -> Mesh:
    """A closed sphere of about 4 rings^2 triangles."""
    theta, phi = np.linspace(0, np.pi, rings + 1), np.linspace(0, 2 * np.pi, 2 * rings, endpoint=False)
    t, p = np.meshgrid(theta, phi, indexing="ij")
    points = radius * np.stack([np.sin(t) * np.cos(p), np.sin(t) * np.sin(p), np.cos(t)], -1)
    points[0], points[-1] = points[0, 0], points[-1, 0]
    here, below = points[:-1], points[1:]
    right, diagonal = np.roll(here, -1, 1), np.roll(below, -1, 1)
    upper = np.stack([here, below, diagonal], -2).reshape(-1, 3, 3)
    lower = np.stack([here, diagonal, right], -2).reshape(-1, 3, 3)
    both = np.concatenate([upper, lower])
    area = np.abs(np.cross(both[:, 1] - both[:, 0], both[:, 2] - both[:, 0])).sum(axis=1)
    ball: Mesh = both[area > 1e-12]
    return ball


def binary_stl(triangles: Mesh) -> bytes:
    out = io.BytesIO()
    stl.write_binary(triangles, out)
    return out.getvalue()


def ascii_stl(triangles: Mesh, line_end: str = "\n") -> bytes:
    lines = ["solid thing"]
    for triangle in triangles:
        lines += ["facet normal 0 0 0", "outer loop"]
        lines += [f"vertex {x:g} {y:g} {z:g}" for x, y, z in triangle]
        lines += ["endloop", "endfacet"]
    return line_end.join([*lines, "endsolid thing", ""]).encode()


def obj(triangles: Mesh) -> bytes:
    corners = "".join(f"v {x:g} {y:g} {z:g}\n" for x, y, z in triangles.reshape(-1, 3))
    faces = "".join(f"f {3 * i + 1} {3 * i + 2} {3 * i + 3}\n" for i in range(len(triangles)))
    return ("mtllib ../../etc/hostname\n" + corners + faces).encode()


NAMESPACE = "http://schemas.microsoft.com/3dmanufacturing/core/2015/02"
PRODUCTION = "http://schemas.microsoft.com/3dmanufacturing/production/2015/06"


def mesh_xml(triangles: Mesh) -> str:
    vertices = "".join(f'<vertex x="{x:g}" y="{y:g}" z="{z:g}"/>' for x, y, z in triangles.reshape(-1, 3))
    faces = "".join(
        f'<triangle v1="{3 * i}" v2="{3 * i + 1}" v3="{3 * i + 2}"/>' for i in range(len(triangles))
    )
    return f"<mesh><vertices>{vertices}</vertices><triangles>{faces}</triangles></mesh>"


def model_xml(objects: str, build: str, unit: str = "millimeter", prolog: str = "") -> str:
    head = f'<?xml version="1.0"?>{prolog}<model unit="{unit}" xmlns="{NAMESPACE}" xmlns:p="{PRODUCTION}">'
    return f"{head}<resources>{objects}</resources><build>{build}</build></model>"


def a_3mf(model: str, others: Mapping[str, bytes] | None = None) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("3D/3dmodel.model", model)
        for name, data in (others or {}).items():
            archive.writestr(name, data)
    return out.getvalue()


def one_object(triangles: Mesh, **model: str) -> str:
    body = f'<object id="1" type="model">{mesh_xml(triangles)}</object>'
    return model_xml(body, '<item objectid="1"/>', **model)


def written(folder: Path, data: bytes, name: str = "upload") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


@asynccontextmanager
async def an_analyser(limits: Limits = MESH, idle_seconds: float = 600) -> AsyncIterator[Analyser]:
    analyser = Analyser(Sandbox(), limits=limits, idle_seconds=idle_seconds)
    try:
        yield analyser
    finally:
        await analyser.close()


def corpus() -> Path:
    """The real models, beside the clone or where ETABLI_CORPUS_STL says; without them the test is skipped aloud."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "corpus" / "stl"
    folder = Path(os.environ.get("ETABLI_CORPUS_STL", str(beside)))
    if not folder.is_dir():
        pytest.skip("SKIPPED ALOUD: no real models beside the clone, and ETABLI_CORPUS_STL is not set")
    return folder
