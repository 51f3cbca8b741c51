"""Every bound on a member's file and on the processes that touch it, in one place.

Sizes in bytes, lengths in millimetres, times in seconds. A number here is a promise of the product's threat
model.
"""

from __future__ import annotations

from dataclasses import dataclass

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
SLICE = Limits(address_space_bytes=4096 * MIB, cpu_seconds=240, wall_seconds=300.0)
