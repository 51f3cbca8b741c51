"""Drawings made to break the reader: each is answered in words, soon, in little memory, and nothing is fetched."""

from __future__ import annotations

import socket
import time
from typing import NoReturn

import pytest

from slicing.faults import FileRefused
from slicing.messages import REFUSALS, WARNINGS
from slicing.vector import svg, words_drawing
from tests.slicing.vector.drawings import SQUARE, codes, drawing
from tests.slicing.vector.hostile_svg import HOSTILE, OK

SECONDS_MAX = 5.0


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise AssertionError("a drawing made us open a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


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
