"""Every bound on a member's file and on the processes that touch it, in one place.

Sizes in bytes, lengths in millimetres, times in seconds. A number here is a promise of the product's threat
model.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

MIB = 1024 * 1024

FILE_BYTES_MAX = 100 * MIB
TRIANGLES_MAX = 2_000_000
COORDINATE_MM_MAX = 1e5
PART_MM_MAX = 10_000.0
LAYERS_MAX = 20_000
ASCII_LINE_BYTES_MAX = 4096
ARCHIVE_MEMBERS_MAX = 200
ARCHIVE_BYTES_MAX = 256 * MIB
ARCHIVE_RATIO_MAX = 100
XML_ELEMENTS_MAX = 4_000_000
XML_DEPTH_MAX = 32
XML_TAG_BYTES_MAX = 1 * MIB
ARCHIVE_DIRECTORY_BYTES_MAX = 1 * MIB
OBJECTS_MAX = 10_000
COMPONENT_DEPTH_MAX = 16
INSTANCES_MAX = 500
OBJ_FACE_CORNERS_MAX = 64
RESULT_BYTES_MAX = 256 * 1024


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one child process may use. `wall_seconds` ends the whole process group."""

    address_space_bytes: int
    cpu_seconds: int
    wall_seconds: float
    file_bytes: int = 512 * MIB
    open_files: int = 64
    processes: int = 64
    output_bytes: int = 64 * 1024
    nice: int = 10


MESH = Limits(address_space_bytes=2048 * MIB, cpu_seconds=30, wall_seconds=60.0)
DRAWING = Limits(address_space_bytes=2048 * MIB, cpu_seconds=30, wall_seconds=45.0)
SLICE = Limits(address_space_bytes=4096 * MIB, cpu_seconds=240, wall_seconds=300.0)


def slice_limits(triangles: int, layers: int, copies: int, most: Limits = SLICE) -> Limits:
    """What slicing a part of this size may use: a small one that hangs fails in seconds, a big one has `most`.

    Basis: 18 real models on a MK3S profile, with one to sixteen copies, and fine with supports and 40 % infill. CPU
    seconds were at most 3.4 times `usual` (gears of 26 000 triangles: 20 s for 6); copies share their slices, so
    sixteen cost no more than 2.4 times one. Memory was at most 600 MB, with 121 MB of G-code; G-code at most 0.3 MB
    a layer and copy. Each bound leaves three times the worst of these, or more.
    """
    usual = 0.2 + 2e-4 * triangles + 3e-3 * layers * (1 + copies / 8)
    cpu = min(max(20.0, 10 * usual), most.cpu_seconds)
    share = min(1.0, cpu / SLICE.cpu_seconds)
    return replace(
        most,
        cpu_seconds=round(cpu),
        wall_seconds=min(1.25 * cpu + 30, most.wall_seconds),
        address_space_bytes=min(round((1536 + 2560 * share) * MIB), most.address_space_bytes),
        file_bytes=min(64 * MIB + layers * copies * MIB, most.file_bytes),
    )
