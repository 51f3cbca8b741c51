"""The printed ticket: one page, whatever people and files are called, with a code that a camera reads."""

from __future__ import annotations

import zlib
from pathlib import Path
from re import DOTALL, findall

import pytest

from drivers.folder import ticket
from tests.drivers.folder.test_wire import a_ticket


def page_of(pdf: bytes) -> bytes:
    """The drawing commands of a one-page PDF."""
    streams = findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, DOTALL)
    return zlib.decompress(streams[0])


def test_it_is_one_a6_page_and_always_the_same() -> None:
    first, second = ticket.pdf(a_ticket()), ticket.pdf(a_ticket())

    assert first == second
    assert first.count(b"/Type /Page\n") == 1
    assert b"/MediaBox [0 0 297.64 419.53]" in first


def test_it_says_what_a_person_at_the_machine_asks() -> None:
    rows = dict(ticket.rows(a_ticket()))

    assert rows["Membre · Member"] == "Zoë Müller"
    assert rows["Durée prévue · Planned time"] == "13 min"
    assert rows["Empreinte du fichier préparé · Fingerprint of the prepared file"] == "0123456789ab"
    assert ticket.short_id(a_ticket()) == "00000000"


def test_the_code_holds_the_link_and_a_longer_link_makes_a_finer_one() -> None:
    none = page_of(ticket.pdf(a_ticket())).count(b" re f")
    link = page_of(ticket.pdf(a_ticket(link="https://lab.example/jobs/" + "x" * 200))).count(b" re f")

    assert 150 < none < link


@pytest.mark.parametrize(
    "name",
    ["", "\0\n\t", "田中さん", "😀" * 50, "Łukasz Żółć", "W" * 5000, "a\u202eb", "\ud800", "œuvre – l’été…"],
)
@pytest.mark.parametrize("with_dejavu", [True, False])
def test_no_name_is_too_strange(name: str, with_dejavu: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not with_dejavu:
        monkeypatch.setattr(ticket, "_DEJAVU", Path("/nowhere"))

    assert ticket.pdf(a_ticket(member_name=name, file_name=name, link="x" * 9999)).startswith(b"%PDF-")


@pytest.mark.parametrize(
    ("words", "near"),
    [("Zoë Müller · été", "Zoë Müller · été"), ("Żółć", "Zó?c"), ("œuvre – …", "oeuvre - ..."), ("田", "?")],
)
def test_a_core_font_gets_what_comes_nearest(words: str, near: str) -> None:
    assert ticket.western(words) == near
