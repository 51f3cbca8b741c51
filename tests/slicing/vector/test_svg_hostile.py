"""Drawings made to break the reader: each is answered in words, soon, in little memory, and nothing is fetched."""

from __future__ import annotations

import json
import random
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, NoReturn

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slicing.faults import FileRefused
from slicing.messages import REFUSALS, WARNINGS
from slicing.vector import svg, words_drawing
from slicing.vector.groups import measures
from tests.slicing.vector.drawings import SQUARE, codes, drawing
from tests.slicing.vector.hostile_svg import HOSTILE, OK, RED

SECONDS_MAX = 5.0


@pytest.fixture(autouse=True, scope="module")
def no_network() -> Iterator[None]:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise AssertionError("a drawing made us open a connection")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        patch.setattr(socket, "getaddrinfo", refuse)
        yield


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_drawing_is_answered_in_words(name: str) -> None:
    make, expected = HOSTILE[name]
    data = make()
    began = time.process_time()

    try:
        design = svg.read(data)
    except FileRefused as refusal:
        answer, words = (
            refusal.code,
            (refusal.message_en, refusal.message_fr, refusal.remedy, refusal.remedy_fr),
        )
    else:
        assert design.shapes
        answer, words = OK, ("shapes",) * 4

    assert answer in expected
    assert all(words)
    assert time.process_time() - began < SECONDS_MAX


def test_what_lies_elsewhere_is_told_and_left_out() -> None:
    design = svg.read(HOSTILE["external"][0]())

    assert codes(design) == {"svg.external": 4, "svg.script": 1}


def test_entities_of_plain_text_are_put_in_place() -> None:
    head = (
        '<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd" [\n'
        '<!ENTITY ns_svg "http://www.w3.org/2000/svg">\n<!ENTITY st0 "fill:none;stroke:#FF0000">\n]>\n'
    )
    body = drawing('<rect style="&st0;" width="9" height="9"/>').decode()

    (shape,) = svg.read((head + body.replace("http://www.w3.org/2000/svg", "&ns_svg;")).encode()).shapes

    assert shape.stroke == "#ff0000"


def test_a_root_without_a_namespace_is_read_all_the_same() -> None:
    assert svg.read(f'<svg width="9mm" height="9mm" viewBox="0 0 9 9">{SQUARE}</svg>'.encode()).shapes


def test_an_unknown_unit_is_refused() -> None:
    with pytest.raises(FileRefused) as refusal:
        svg.read(drawing(SQUARE), unit="furlong")

    assert refusal.value.code == "svg.unit"


def test_every_row_of_words_is_in_the_tables_and_complete() -> None:
    for rows, table in ((words_drawing.REFUSALS, REFUSALS), (words_drawing.WARNINGS, WARNINGS)):
        for code, words in rows.items():
            assert table[code] is words
            assert words.en
            assert words.fr
            assert bool(words.remedy_en) == bool(words.remedy_fr)
        assert all(words.remedy_en for words in words_drawing.REFUSALS.values())


JUNK = (
    *(
        "",
        "0",
        "-1",
        "NaN",
        "1e308",
        "1e999",
        "1e-300",
        "9mm",
        "-5%",
        "2em",
        "zzz",
        "none",
        "inherit",
        "#a",
        "#b",
        ";;",
    ),
    *(
        "url(#a)",
        "url(#b) red",
        "scale(0)",
        "rotate(1e999)",
        "scale(1e-300)",
        "skewX(90)",
        "currentColor",
        "hidden",
    ),
    *(
        "1 2 3",
        "0 0 1 1",
        "M0 0A1 1 0 0 1 1e300 5",
        "m1e20 5a1e9 1 0 1 1 1e-9 1",
        "fill:red;display:none",
        "evenodd",
    ),
)
NAMES = (
    *(
        "id",
        "href",
        "d",
        "points",
        "transform",
        "clip-path",
        "mask",
        "filter",
        "style",
        "class",
        "display",
        "opacity",
    ),
    *(
        "x",
        "y",
        "width",
        "height",
        "rx",
        "r",
        "cx",
        "viewBox",
        "preserveAspectRatio",
        "fill",
        "stroke",
        "stroke-width",
    ),
    *("font-size", "stroke-dasharray", "overflow", "visibility", "marker-end"),
)
TAGS = (
    *(
        "g",
        "use",
        "svg",
        "symbol",
        "defs",
        "switch",
        "a",
        "clipPath",
        "mask",
        "pattern",
        "linearGradient",
        "stop",
    ),
    *(
        "path",
        "rect",
        "circle",
        "ellipse",
        "line",
        "polyline",
        "polygon",
        "text",
        "tspan",
        "textPath",
        "image",
        "style",
    ),
)
attributes = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(JUNK), max_size=6)
trees = st.recursive(
    st.tuples(st.sampled_from(TAGS), attributes, st.just(())),
    lambda inner: st.tuples(st.sampled_from(TAGS), attributes, st.lists(inner, max_size=4)),
    max_leaves=12,
)


def written(tree: tuple[str, dict[str, str], Sequence[Any]]) -> str:
    tag, said, inner = tree
    stated = " ".join(f'{name}="{value}"' for name, value in said.items())
    return f"<{tag} {stated}>x{''.join(map(written, inner))}</{tag}>"


@settings(max_examples=400, deadline=None)
@given(
    st.lists(trees, min_size=1, max_size=5),
    st.dictionaries(st.sampled_from(NAMES), st.sampled_from(JUNK), max_size=2),
)
def test_whatever_stands_in_whatever_attribute_the_answer_is_a_drawing_or_words(
    content: list[tuple[str, dict[str, str], Sequence[Any]]], page: dict[str, str]
) -> None:
    sides = " ".join(
        f'{name}="{value}"' for name, value in ({"width": "9mm", "height": "9mm"} | page).items()
    )

    try:
        design = svg.read(drawing(SQUARE + "".join(map(written, content)), sides))
    except FileRefused:  # which has its words, as another test shows
        return
    else:
        assert np.isfinite(measures(design.shapes).box_mm).all()
        assert np.isfinite(measures(design.shapes).length_mm).all()
        json.dumps([asdict(warning) for warning in design.warnings], allow_nan=False)


# --- speed -----------------------------------------------------------------------------------------------

BIG_BYTES, BIG_SECONDS = 5_000_000, 4.0


def big(kind: str) -> bytes:
    pick = random.Random(7)
    some = [f"{pick.uniform(0, 400):.2f},{pick.uniform(0, 400):.2f}" for _ in range(400_000)]
    match kind:
        case "small paths":
            inside = "".join(
                f'<path d="M{at} c1 2 3 4 5 6 l1.5 2.5 h3 z" style="fill:none;stroke:#ff0000"/>'
                for at in some[:62_000]
            )
        case "lines":
            inside = f'<path {RED} d="M0 0 L {" L ".join(some[:310_000])}"/>'
        case _:
            inside = f'<path {RED} d="M0 0 C {" ".join(some[:360_000])}"/>'
    return drawing(inside, 'width="400mm" height="400mm" viewBox="0 0 400 400"')


@pytest.mark.parametrize("kind", ["small paths", "lines", "curves"])
def test_five_megabytes_are_read_in_four_seconds(kind: str) -> None:
    data = big(kind)
    began = time.process_time()

    design = svg.read(data)

    assert len(data) > 0.95 * BIG_BYTES
    assert time.process_time() - began <= BIG_SECONDS
    assert design.shapes
