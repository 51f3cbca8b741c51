"""MeerK40t's reading of what we store: it takes every byte, sees the lines of the toolpath, and never sees a start."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drivers.ruida.wire import commands, document_name
from slicing.vector import ruida
from slicing.vector.machines import CUTTERS
from slicing.vector.toolpath import ENGRAVE, SCORE, Contour, Operation, Scan, Settings, Toolpath
from tests.peers.ruida_judge import RUN
from tests.rigs.ruida import squares
from tests.services import ROOT, missing

pytestmark = [pytest.mark.peers, pytest.mark.slow]

_NEW_NETWORK = ("unshare", "--map-root-user", "--net", "--pid", "--fork", "--kill-child=KILL")
_LOGGED = re.compile(r"--> ([0-9a-f]+)\t\(")
_WORKED = re.compile(r"-\*\*-> ([0-9a-f]+)\t\((.*)\)")
_DRAWN = re.compile(r"(Move|Cut) (Absolute|Relative|Horizontal Relative|Vertical Relative) \(([^)]*)\)")

Line = tuple[tuple[int, int], tuple[int, int]]


def a_toolpath() -> Toolpath:
    """Shades, a curve of short steps, long lines, tabs, two passes."""
    turn = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    circle = Contour(points=np.column_stack([150 + 40 * np.cos(turn), 300 + 40 * np.sin(turn)]), closed=True)
    settings = Settings(speed_mm_s=120.0, power_permille=300, air=False)
    rows = tuple(
        Scan(y=400 + row / 10, spans=np.array([[20.0, 55.5, 1.0], [60.0, 61.0, 0.25]])) for row in range(12)
    )
    (cut,) = squares(60).operations
    tabbed = replace(cut.contours[0], gaps=((12.0, 13.5),))
    return Toolpath(
        machine="co2-9060-ruida",
        material="birch-ply-3",
        operations=(
            Operation(kind=ENGRAVE, key="fill", settings=settings, scans=rows),
            Operation(kind=SCORE, key="#0000ff", settings=settings, contours=(circle,)),
            replace(cut, contours=(tabbed, *cut.contours[1:]), settings=replace(cut.settings, passes=2)),
        ),
    )


@pytest.fixture(scope="module")
def document() -> bytes:
    return ruida.write(a_toolpath(), CUTTERS["co2-9060-ruida"])


@pytest.fixture(scope="module")
def judged(document: bytes, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    if not Path(sys.executable).with_name("meerk40t").exists():
        missing("meerk40t is not installed")
    if shutil.which("unshare") is None or subprocess.run([*_NEW_NETWORK, "true"], check=False).returncode:
        missing("this machine lets nobody make a network of one's own")
    directory = tmp_path_factory.mktemp("meerk40t")
    file = directory / "box.rd"
    file.write_bytes(document)
    command: list[str | Path] = [
        *_NEW_NETWORK,
        sys.executable,
        "-m",
        "tests.peers.ruida_judge",
        directory,
        file,
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-3000:]
    result: dict[str, Any] = json.loads((directory / "result.json").read_text())
    return result


def test_it_takes_what_we_send(judged: dict[str, Any], document: bytes) -> None:
    assert judged["firmware"] == "MEERK40T (card 65006500), 320 × 220 mm"
    assert (judged["before"], judged["after"]) == ("idle", "idle")
    assert judged["size_bytes"] == len(document)
    for complaint in ("Checksum Fail", "Process Failure", "NOT A COMMAND", "Unknown Command", "Traceback"):
        assert complaint not in judged["log"]


def test_it_lists_the_document_under_its_name_and_no_more_after_it_was_revoked(
    judged: dict[str, Any],
) -> None:
    assert judged["listed"] == [document_name(RUN)]
    assert judged["revoked"] is True
    assert judged["left"] == []


def test_it_never_sees_a_start_and_would_have_noticed_one(judged: dict[str, Any]) -> None:
    told = [bytes.fromhex(found) for found in _LOGGED.findall(judged["log"])]

    assert judged["start"] == "Refused"
    assert re.findall(r"Start (?:Process|Select)|Interface", judged["log"]) == []
    assert [command.hex() for command in told if command[:2] in {b"\xd8\x00", b"\xe8\x03"}] == []
    assert judged["would_notice"] is True


def test_it_reads_every_command_of_the_document_in_its_order(judged: dict[str, Any], document: bytes) -> None:
    worked = [bytes.fromhex(found) for found, _ in _WORKED.findall(judged["log"])]
    sent = [command for command in commands(document) if command[:2] != b"\xe5\x05"]  # it logs no sums

    assert worked[: len(sent) - 1] == sent[:-1]
    assert "--> d7\t(End Of File)" in judged["log"]


def test_it_sees_the_lines_of_the_toolpath_to_a_micrometre(judged: dict[str, Any]) -> None:
    seen, wanted = _joined(_drawn(judged["log"])), _joined(_wanted(a_toolpath()))

    assert len(seen) == len(wanted)
    assert np.abs(np.array(seen) - np.array(wanted)).max() <= 1


def test_it_understands_the_other_scrambling(judged: dict[str, Any]) -> None:
    assert judged["other_magic"].startswith("MEERK40T")


def _drawn(log: str) -> Iterator[Line]:
    """The beam's lines by MeerK40t's own words."""
    at = (0, 0)
    for _, words in _WORKED.findall(log):
        found = _DRAWN.match(words + ")")
        if found is None:
            continue
        first, *others = (int(number) for number in re.findall(r"[+-]?\d+", found[3]))
        if found[2] == "Absolute":
            to = first, others[0]
        elif found[2] == "Vertical Relative":
            to = at[0], at[1] + first
        else:
            to = at[0] + first, at[1] + (others[0] if others else 0)
        if found[1] == "Cut":
            yield at, to
        at = to


def _wanted(toolpath: Toolpath) -> Iterator[Line]:
    for operation in toolpath.operations:
        for _ in range(operation.settings.passes):
            yield from _of(operation)


def _of(operation: Operation) -> Iterator[Line]:
    for row, scan in enumerate(operation.scans):
        for x0, x1, _ in scan.spans[::-1] if row % 2 else scan.spans:
            ends = (_um(x0, scan.y), _um(x1, scan.y))
            yield (ends[1], ends[0]) if row % 2 else ends
    for contour in operation.contours:
        points = [_um(x, y) for x, y in [*contour.points, contour.points[0]]]
        for a, b in pairwise(points):
            if contour.gaps and a == (10_000, 0):  # the tab, by hand: 12 to 13.5 mm along a square of 10 mm
                yield from ((a, (10_000, 2_000)), ((10_000, 3_500), b))
            else:
                yield a, b


def _um(x: float, y: float) -> tuple[int, int]:
    return round(float(x) * 1000), round(float(y) * 1000)


def _joined(lines: Iterator[Line]) -> list[Line]:
    """Pieces of one line along x made one again, and nothing of no length."""
    joined: list[Line] = []
    for a, b in lines:
        if a == b:
            continue
        if joined and joined[-1][1] == a and joined[-1][0][1] == a[1] == b[1]:
            joined[-1] = (joined[-1][0], b)
        else:
            joined.append((a, b))
    return joined
