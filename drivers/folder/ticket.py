"""The ticket that goes with a file to the machine: one A6 page to print, in French and English, with a QR code.

It draws what the Ticket says and nothing else; it never fails for a name that a font lacks.
"""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import segno

from orchestrator.ports import Ticket

if TYPE_CHECKING:
    from fpdf import FPDF

PAGE_MM = (105.0, 148.0)
MARGIN_MM = 8.0
QR_MM = 34.0
QR_LENGTH_MAX = 400
"""A longer link makes a code too fine for a cheap printer; the job's id stands for it."""
_WORDS_LENGTH_MAX = 120
_DEJAVU = Path("/usr/share/fonts/truetype/dejavu")
_FAMILY = "DejaVu"


def pdf(ticket: Ticket) -> bytes:
    """The same ticket always gives the same bytes."""
    import fpdf  # here, not above: it takes a quarter of a second of every start

    page = fpdf.FPDF(unit="mm", format=PAGE_MM)
    page.set_creation_date(datetime(2000, 1, 1, tzinfo=UTC))
    page.set_title(_plain(f"{short_id(ticket)} {ticket.file_name}"))
    page.set_auto_page_break(False)
    page.set_margin(MARGIN_MM)
    page.add_page()
    text = _Text(page)
    text.line(MARGIN_MM, 8.0, "Fiche de travail · Job ticket", 9.0)
    text.line(MARGIN_MM, 13.0, short_id(ticket), 24.0, bold=True)
    _draw_qr(page, ticket.link if 0 < len(ticket.link) <= QR_LENGTH_MAX else str(ticket.job_id))
    top = 48.0
    for label, value in rows(ticket):
        text.line(MARGIN_MM, top, label, 7.5)
        text.line(MARGIN_MM, top + 3.4, value, 12.0, bold=True)
        top += 11.6
    text.line(MARGIN_MM, PAGE_MM[1] - 18.0, "Démarrer à la machine, sans la quitter des yeux.", 8.0)
    text.line(MARGIN_MM, PAGE_MM[1] - 14.0, "Start it at the machine, and stay with it.", 8.0)
    return bytes(page.output())


def short_id(ticket: Ticket) -> str:
    return ticket.job_id.hex[:8].upper()


def rows(ticket: Ticket) -> tuple[tuple[str, str], ...]:
    """Label and value, in the order of the page."""
    return (
        ("Membre · Member", ticket.member_name),
        ("Fichier · File", ticket.file_name),
        ("Matériau · Material", ticket.material),
        ("Machine", ticket.machine_name),
        ("Durée prévue · Planned time", _minutes(ticket.seconds)),
        ("Empreinte du fichier préparé · Fingerprint of the prepared file", ticket.artifact_sha256[:12]),
    )


def _minutes(seconds: int) -> str:
    return f"{max(1, -(-seconds // 60))} min"


class _Text:
    """Words on the page, in DejaVu where Debian has it; else in a core font, which knows western letters only."""

    def __init__(self, page: FPDF) -> None:
        self._page = page
        faces = {"": _DEJAVU / "DejaVuSans.ttf", "B": _DEJAVU / "DejaVuSans-Bold.ttf"}
        self._unicode = all(face.is_file() for face in faces.values())
        if self._unicode:
            page.add_font(_FAMILY, "", faces[""])
            page.add_font(_FAMILY, "B", faces["B"])

    def line(self, x: float, y: float, words: str, size_points: float, *, bold: bool = False) -> None:
        """One line with its top at `y`, shortened where it is too long for the page."""
        page = self._page
        page.set_font(_FAMILY if self._unicode else "Helvetica", "B" if bold else "", size_points)
        shown = _plain(words) if self._unicode else western(_plain(words))
        room = PAGE_MM[0] - MARGIN_MM - x
        if page.get_string_width(shown) > room:
            end = "…" if self._unicode else "..."
            while shown and page.get_string_width(shown + end) > room:
                shown = shown[:-1]
            shown += end
        page.set_xy(x, y)
        page.cell(room, size_points * 0.3528, shown)


def _plain(words: str) -> str:
    """One line of printable characters of the plane that fonts know."""
    kept = "".join(
        " " if letter.isspace() else letter for letter in words if letter.isspace() or letter.isprintable()
    )
    shown = "".join(letter if ord(letter) < 0x10000 else "?" for letter in kept)
    return " ".join(shown.split())[:_WORDS_LENGTH_MAX] or "–"


def western(words: str) -> str:
    """As near as ISO 8859-1 comes: `Łukasz` keeps its accents where it can, and `?` stands for the rest."""
    letters = []
    for letter in words.replace("–", "-").replace("…", "...").replace("œ", "oe").replace("Œ", "OE"):
        near = letter if ord(letter) < 256 else unicodedata.normalize("NFKD", letter)
        letters.append(near.encode("latin-1", "ignore").decode("latin-1") or "?")
    return "".join(letters)


def _draw_qr(page: FPDF, words: str) -> None:
    """At the top right, dark squares as one row of rectangles each: sharp at any printer's resolution."""
    code = segno.make_qr(words, error="m")
    matrix = [bytes(row) for row in code.matrix]
    side = QR_MM / len(matrix)
    left, top = PAGE_MM[0] - MARGIN_MM - QR_MM, MARGIN_MM
    page.set_fill_color(0)
    for number, row in enumerate(matrix):
        column = 0
        while column < len(row):
            end = column
            while end < len(row) and row[end]:
                end += 1
            if end > column:
                page.rect(left + column * side, top + number * side, (end - column) * side, side, style="F")
            column = end + 1
