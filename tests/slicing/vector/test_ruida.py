"""The document for a Ruida controller: read back by a reader of its own, and nothing in it starts anything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slicing.vector import ruida
from slicing.vector.machines import CUTTERS
from slicing.vector.toolpath import (
    CUT,
    ENGRAVE,
    SCORE,
    Contour,
    Operation,
    Scan,
    Settings,
    Toolpath,
)

MACHINE = CUTTERS["co2-9060-ruida"]
STARTS = (b"\xd8\x00", b"\xe8\x03", b"\xa5", b"\xd8\x03", b"\xd9", b"\xe8")
"""Start, start a stored one, the panel's keys, go on, move the head, anything about stored documents."""
FULL = Settings(speed_mm_s=20.0, power_permille=650)


# --- a reader that shares nothing with the writer --------------------------------------------------


def commands(document: bytes) -> list[bytes]:
    begins = [at for at, byte in enumerate(document) if byte & 0x80]
    return [document[at:end] for at, end in zip(begins, [*begins[1:], len(document)], strict=True)]


def whole(digits: bytes) -> int:
    return int("".join(f"{digit:07b}" for digit in digits), 2)


def signed(digits: bytes) -> int:
    value = whole(digits)
    return value - (1 << 14) if value >= 1 << 13 else value


@dataclass(frozen=True)
class Line:
    layer: int
    start: tuple[int, int]
    end: tuple[int, int]
    shade: int


def lines(document: bytes) -> Iterator[Line]:
    """All that the beam draws, in its order, in micrometres."""
    at, layer, shade = (0, 0), -1, ruida.POWER_FULL
    for command in commands(document):
        code, rest = command[0], command[1:]
        if command[:2] == b"\xca\x02":
            layer = command[2]
        elif code == 0xC7:
            shade = whole(rest)
        elif code & 0xDC == 0x88:
            to = _reached(code & 3, at, rest)
            if code & 0x20:
                yield Line(layer, at, to, shade)
            at = to


def _reached(kind: int, at: tuple[int, int], rest: bytes) -> tuple[int, int]:
    if kind == 0:
        return whole(rest[:5]), whole(rest[5:])
    if kind == 1:
        return at[0] + signed(rest[:2]), at[1] + signed(rest[2:])
    step = signed(rest)
    return (at[0] + step, at[1]) if kind == 2 else (at[0], at[1] + step)


def polylines(document: bytes) -> list[list[tuple[int, int]]]:
    drawn: list[list[tuple[int, int]]] = []
    for line in lines(document):
        if drawn and drawn[-1][-1] == line.start:
            drawn[-1].append(line.end)
        else:
            drawn.append([line.start, line.end])
    return drawn


def a_toolpath(*operations: Operation) -> Toolpath:
    return Toolpath(machine=MACHINE.name, material="birch-ply-3", operations=operations)


def cutting(*contours: Contour, settings: Settings = FULL, kind: str = CUT) -> Operation:
    return Operation(kind=kind, key="#ff0000", settings=settings, contours=contours)


def engraving(*scans: Scan, settings: Settings = FULL) -> Operation:
    return Operation(kind=ENGRAVE, key="fill", settings=settings, scans=scans)


def contour(*points: tuple[float, float], closed: bool = False, **others: object) -> Contour:
    return Contour(points=np.array(points, dtype=float), closed=closed, **others)  # type: ignore[arg-type]


def scan(y: float, *spans: tuple[float, float, float]) -> Scan:
    return Scan(y=y, spans=np.array(spans, dtype=float))


def write(*operations: Operation) -> bytes:
    return ruida.write(a_toolpath(*operations), MACHINE)


# --- strategies ------------------------------------------------------------------------------------

xs, ys = st.floats(0.0, 900.0), st.floats(0.0, 600.0)
settings_of = st.builds(
    Settings,
    speed_mm_s=st.floats(0.5, 600),
    power_permille=st.integers(1, 1000),
    passes=st.integers(1, 3),
    air=st.booleans(),
)
contours_of = st.builds(
    lambda points, closed: contour(*points, closed=closed),
    st.lists(st.tuples(xs, ys), min_size=2, max_size=12),
    st.booleans(),
)


@st.composite
def scans_of(draw: st.DrawFn) -> Scan:
    edges = sorted(draw(st.lists(xs, min_size=2, max_size=8, unique=True)))
    spans = [(a, b, draw(st.floats(0.0, 1.0))) for a, b in list(pairwise(edges))[::2]]
    return scan(draw(ys), *spans)


operations_of = st.one_of(
    st.builds(
        lambda lines, how, kind: cutting(*lines, settings=how, kind=kind),
        st.lists(contours_of, min_size=1, max_size=5),
        settings_of,
        st.sampled_from([CUT, SCORE]),
    ),
    st.builds(
        lambda rows, how: engraving(*rows, settings=how),
        st.lists(scans_of(), min_size=1, max_size=6),
        settings_of,
    ),
)


def expected(operation: Operation) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """The lines of one pass as the toolpath has them, to the micrometre."""
    for line in operation.contours:
        points = [*line.points, line.points[0]] if line.closed else [*line.points]
        yield from pairwise([(round(float(x) * 1000), round(float(y) * 1000)) for x, y in points])
    for row, scanned in enumerate(operation.scans):
        for x0, x1, share in scanned.spans[::-1] if row % 2 else scanned.spans:
            a, b = ((round(float(x) * 1000), round(scanned.y * 1000)) for x in (x0, x1))
            if share > 0:
                yield (b, a) if row % 2 else (a, b)


# --- what must always hold -------------------------------------------------------------------------


@given(st.lists(operations_of, min_size=1, max_size=4))
def test_no_document_starts_moves_or_deletes_anything(operations: list[Operation]) -> None:
    try:
        document = write(*operations)
    except ValueError:  # nothing left to draw after rounding
        return

    found = [command.hex() for command in commands(document) if command.startswith(STARTS)]

    assert found == []


@given(st.lists(operations_of, min_size=1, max_size=4))
def test_the_lines_read_back_are_those_of_the_toolpath_to_a_micrometre(operations: list[Operation]) -> None:
    wanted = [
        line
        for operation in operations
        for line in list(expected(operation)) * operation.settings.passes
        if line[0] != line[1]
    ]
    if not wanted:
        return

    read = list(lines(write(*operations)))

    assert _joined([(line.start, line.end) for line in read]) == _joined(wanted)


def _joined(
    drawn: list[tuple[tuple[int, int], tuple[int, int]]],
) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Pieces of one line along x made one again."""
    whole_lines: list[tuple[tuple[int, int], tuple[int, int]]] = []
    for a, b in drawn:
        if whole_lines:
            (start, end) = whole_lines[-1]
            level = start[1] == end[1] == a[1] == b[1]
            if end == a and level and (end[0] - start[0]) * (b[0] - a[0]) > 0:
                whole_lines[-1] = (start, b)
                continue
        whole_lines.append((a, b))
    return whole_lines


@given(st.lists(operations_of, min_size=1, max_size=4))
def test_every_command_is_one_byte_above_and_then_bytes_below_128(operations: list[Operation]) -> None:
    try:
        document = write(*operations)
    except ValueError:
        return

    assert document[:3] == b"\xd8\x12\xf0"
    assert all(max(command[1:], default=0) < 0x80 for command in commands(document))
    assert document[-1] == 0xD7
    assert document.count(0xD7) == 1


# --- what is written -------------------------------------------------------------------------------


GOLDEN = """
d8 12 | f0 | f1 02 00
e7 06 00 00 00 00 00 00 00 00 00 00
e7 03 00 00 01 1c 20 00 00 01 1c 20 | e7 07 00 00 01 6a 30 00 00 01 1c 20
e7 50 00 00 01 1c 20 00 00 01 1c 20 | e7 51 00 00 01 6a 30 00 00 01 1c 20
e7 04 00 01 00 01 00 00 00 00 00 00 00 00 00 00 | e7 05 00 | ca 22 00
e7 52 00 00 00 01 1c 20 00 00 01 1c 20 | e7 53 00 00 00 01 6a 30 00 00 01 1c 20
e7 61 00 00 00 01 1c 20 00 00 01 1c 20 | e7 62 00 00 00 01 6a 30 00 00 01 1c 20
c9 04 00 00 00 00 4e 10
c6 31 00 19 4d | c6 32 00 19 4d | c6 41 00 19 4d | c6 42 00 19 4d
ca 06 00 00 00 00 01 7f | ca 41 00 00
ca 01 00 | ca 02 00 | ca 01 30 | ca 01 10 | ca 01 13
c9 02 00 00 00 4e 10 | c6 01 19 4d | c6 02 19 4d | c6 21 19 4d | c6 22 19 4d
c6 12 00 00 00 00 00 | c6 13 00 00 00 00 00 | ca 03 01 | ca 10 00
88 00 00 01 1c 20 00 00 01 1c 20
a8 00 00 01 6a 30 00 00 01 1c 20
da 01 06 20 00 00 00 00 0a 00 00 00 00 0a
eb | e7 00 | e5 05 00 00 00 64 31 | d7
"""
"""One line of 10 mm at 10 mm/s and 20 %, as LightBurn's users have published theirs: same numbers, fewer commands."""


def test_a_single_line_is_this_document() -> None:
    document = write(
        cutting(contour((20, 20), (30, 20)), settings=replace(FULL, speed_mm_s=10, power_permille=200))
    )

    written = [command.hex(" ") for command in commands(document)]

    assert written == [command.strip() for command in GOLDEN.strip().replace("\n", "|").split("|")]


def test_a_short_step_is_relative_and_a_long_one_absolute() -> None:
    document = write(cutting(contour((10, 10), (18.191, 10), (18.191, 1.808), (20, 4), (30, 4))))

    body = [command for command in commands(document) if command[0] & 0xDC == 0x88]

    assert [command[0] for command in body] == [0x88, 0xAA, 0xAB, 0xA9, 0xA8]
    assert body[0] == bytes.fromhex("88 00 00 00 4e 10 00 00 00 4e 10")
    assert body[1] == bytes.fromhex("aa 3f 7f")  # + 8191 µm
    assert body[2] == bytes.fromhex("ab 40 00")  # - 8192 µm


def test_speed_and_power_of_a_layer_stand_in_the_head_and_in_the_body() -> None:
    document = write(
        cutting(contour((20, 20), (30, 20)), settings=replace(FULL, speed_mm_s=10, power_permille=200))
    )

    found = commands(document)

    for wanted in (
        "c9 04 00 00 00 00 4e 10",  # as LightBurn writes 10 mm/s
        "c6 31 00 19 4d",  # and 20 %
        "c6 32 00 19 4d",
        "c9 02 00 00 00 4e 10",
        "c6 01 19 4d",
        "c6 02 19 4d",
    ):
        assert bytes.fromhex(wanted) in found


def test_each_operation_is_a_layer_with_its_extent_colour_and_air() -> None:
    document = write(
        engraving(scan(5, (10, 20, 1.0)), settings=replace(FULL, air=False)),
        cutting(contour((1, 2), (30, 40))),
    )

    found = commands(document)

    assert b"\xca\x22\x01" in found
    assert [line.layer for line in lines(document)] == [0, 0, 0, 1]
    assert [command for command in found if command[:2] == b"\xca\x01"][3::4] == [
        b"\xca\x01\x12",
        b"\xca\x01\x13",
    ]
    low, high = (next(c for c in found if c[:3] == bytes((0xE7, code, 1))) for code in (0x52, 0x53))
    assert [whole(low[3:8]), whole(low[8:])] == [1000, 2000]
    assert [whole(high[3:8]), whole(high[8:])] == [30000, 40000]
    top, bottom = (next(c for c in found if c[:2] == bytes((0xE7, code))) for code in (0x03, 0x07))
    assert [whole(top[2:7]), whole(top[7:]), whole(bottom[2:7]), whole(bottom[7:])] == [
        1000,
        2000,
        30000,
        40000,
    ]


def test_passes_are_drawn_again_in_the_same_order() -> None:
    thrice = replace(FULL, passes=3)
    document = write(cutting(contour((0, 0), (5, 0)), contour((0, 9), (5, 9)), settings=thrice))

    assert [line.start[1] for line in lines(document)] == [0, 9000] * 3


def test_tabs_are_left_out_of_the_line() -> None:
    square = contour((0, 0), (40, 0), (40, 40), (0, 40), closed=True, gaps=((10.0, 12.0), (150.0, 155.0)))

    assert polylines(write(cutting(square))) == [
        [(0, 0), (10000, 0)],
        [(12000, 0), (40000, 0), (40000, 40000), (0, 40000), (0, 10000)],
        [(0, 5000), (0, 0)],
    ]


def test_engraving_goes_to_and_fro_in_short_pieces_in_the_controllers_own_raster_mode() -> None:
    document = write(engraving(scan(1, (10, 19, 1.0)), scan(1.1, (10, 19, 1.0))))

    assert b"\xca\x41\x00\x02" in commands(document)
    assert [(line.start[0], line.end[0]) for line in lines(document)] == [
        (10000, 14000),
        (14000, 18000),
        (18000, 19000),
        (19000, 15000),
        (15000, 11000),
        (11000, 10000),
    ]
    assert [line.shade for line in lines(document)] == [ruida.POWER_FULL] * 6


def test_shades_lie_between_the_least_power_and_the_layers_own() -> None:
    rows = (scan(1, (10, 11, 1.0), (11, 12, 0.5), (12, 13, 0.0)), scan(2, (10, 11, 0.25)))
    document = write(engraving(*rows), cutting(contour((0, 0), (1, 0))))

    found = commands(document)

    assert [line.shade for line in lines(document)] == [16383, 8192, 4096, 16383]
    assert bytes.fromhex("c6 31 00 00 10") in found
    assert [c[1:] for c in found if c[0] == 0xC7] == [c[1:] for c in found if c[0] == 0xC2]


def test_the_sum_is_that_of_all_other_bytes() -> None:
    document = write(cutting(contour((0, 0), (50, 50))))

    at = document.index(b"\xe5\x05")

    assert whole(document[at + 2 : at + 7]) == sum(document) - sum(document[at : at + 7])


def test_the_length_of_the_lines_is_told_in_whole_millimetres() -> None:
    twice = replace(FULL, passes=2)
    document = write(cutting(contour((0, 0), (3.4, 0)), settings=twice))

    assert bytes.fromhex("da 01 06 20 00 00 00 00 06 00 00 00 00 06") in commands(document)


@pytest.mark.parametrize(
    "operations",
    [
        pytest.param((), id="nothing"),
        pytest.param((cutting(contour((1, 1), (1.0001, 1))),), id="a line of no length"),
        pytest.param(
            (cutting(contour((1, 1), (2, 1)), settings=replace(FULL, power_permille=0)),), id="no power"
        ),
        pytest.param((cutting(contour((1, 1), (900.1, 1))),), id="off the bed"),
        pytest.param((cutting(contour((-0.1, 1), (2, 1))),), id="before the origin"),
        pytest.param((cutting(contour((1, 1), (2, 1))),) * 129, id="more layers than a byte of seven bits"),
    ],
)
def test_what_cannot_be_a_document_is_an_error(operations: tuple[Operation, ...]) -> None:
    with pytest.raises(ValueError):
        write(*operations)
