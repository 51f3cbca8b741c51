"""The reader against an independent one (usvg): lengths of real drawings, and of drawings made at random.

Known differences are taken out by their reason, for whatever file: text (usvg is given no fonts here, and our letters
are left out), masks and clips (counted apart by the judge), markers (taken off before), what nobody sees.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slicing.faults import FileRefused
from slicing.vector import svg
from slicing.vector.design import Design
from slicing.vector.groups import groups, length_mm
from tests.services import corpus_dir
from tests.slicing.vector.drawings import codes, drawing
from tests.slicing.vector.svg_judge import Judged, judge

WITHIN = 1e-3

# What a drawing may contain that cannot be cut as it is drawn, and what must then be told (any of these).
FEATURES = {
    r"<(?:\w+:)?text\b[^>]*>[^<]*\w": ("svg.text", "svg.text_lost", "svg.unpainted"),
    r"<flowRoot": ("svg.flowed_text",),
    r"mask[=:]\"?url": ("svg.mask", "svg.hidden"),
    r"clip-path[=:]\"?url": ("svg.clip", "svg.clipped_away", "svg.hidden"),
    r"filter[=:]\"?url": ("svg.filter", "svg.hidden", "svg.mask"),
    r"marker-(?:start|mid|end)[=:]\"?url": ("svg.markers",),
    r"<image": ("svg.picture", "svg.external", "svg.picture_unread", "svg.hidden"),
    r"display:none": ("svg.hidden",),
    r"<script": ("svg.script",),
}


def corpus() -> list[str]:
    folder = Path(__file__).resolve().parents[4] / "shared" / "corpus" / "svg"
    return sorted(path.name for path in folder.glob("*.svg")) or ["(no corpus)"]


def read(data: bytes) -> Design | FileRefused:
    try:
        return svg.read(data)
    except FileRefused as refusal:
        return refusal


def differences(design: Design, judged: Judged) -> dict[str, tuple[float, float]]:
    """Per paint and colour: ours and usvg's mm, where they are further apart than allowed. Letters are left out."""
    ours: dict[str, float] = defaultdict(float)
    for group in groups(replace(design, shapes=tuple(s for s in design.shapes if not s.from_text))):
        ours[f"{group.paint}:{group.colour}"] += group.length_mm
    return {
        key: (ours[key], judged.colours[key])
        for key in {*ours, *judged.colours}
        if ours[key] != pytest.approx(judged.colours[key], rel=WITHIN, abs=0.01)
    }


@pytest.mark.parametrize("name", corpus())
def test_a_real_drawing_has_the_length_that_usvg_says(name: str) -> None:
    data = (corpus_dir() / "svg" / name).read_bytes()

    design, judged = read(data), judge(data)

    if isinstance(design, FileRefused):
        assert design.code.startswith("svg.nothing")
        assert judged.painted_mm == 0
        return
    shapes = [shape for shape in design.shapes if not shape.from_text]
    assert length_mm(shapes) == pytest.approx(judged.painted_mm, rel=WITHIN)
    if b"radient" not in data:  # which has no one colour
        assert not differences(design, judged)
    told = codes(design)
    for sign, any_of in FEATURES.items():
        if re.search(sign, data.decode("utf-8", "replace")):
            assert any(code in told for code in any_of), f"{sign} is not told"


# --- drawings made at random -----------------------------------------------------------------------------

UNITS = ("", "px", "mm", "cm", "in", "pt", "pc", "em", "ex", "%", "%")


class Maker:
    """Content from a seed. Every drawn element has an id of its own, by which the two readings are compared."""

    def __init__(self, seed: int) -> None:
        self.pick = random.Random(seed)
        self.symbols: list[str] = []
        self.units: tuple[str, ...] = UNITS

    def number(self, most: float = 40) -> float:
        return round(self.pick.uniform(-most, most), 3)

    def size(self, most: float = 40) -> float:
        return round(self.pick.uniform(0.5, most), 3)

    def length(self) -> str:
        unit = self.pick.choice(self.units)
        most = {"mm": 12, "cm": 1, "in": 0.5, "pc": 2, "em": 3, "ex": 5}.get(unit, 30)
        return f"{self.size(most)}{unit}"

    def transform(self) -> str:
        steps = (
            lambda: f"translate({self.number()} {self.number()})",
            lambda: f"scale({self.size(2)})",
            lambda: f"scale({self.size(2)},{-self.size(2)})",
            lambda: f"rotate({self.number(180)})",
            lambda: f"rotate({self.number(180)},{self.number()} {self.number()})",
            lambda: f"skewX({self.number(50)})",
            lambda: f"skewY({self.number(50)})",
            lambda: (
                f"matrix({self.size(2)},{self.number(0.4)},{self.number(0.4)},{self.size(2)},{self.number()},3)"
            ),
        )
        return " ".join(self.pick.choice(steps)() for _ in range(self.pick.randint(0, 3)))

    def path(self) -> str:
        data = [f"M{self.number()},{self.number()}"]
        arity = {"L": 2, "H": 1, "V": 1, "C": 6, "S": 4, "Q": 4, "T": 2, "Z": 0, "M": 2, "A": 7}
        for _ in range(self.pick.randint(1, 9)):
            command = self.pick.choice("LHVCSQTZMAAA")
            numbers: list[str] = []
            for _ in range(0 if command == "Z" else self.pick.randint(1, 3)):
                numbers += [str(self.number()) for _ in range(arity[command])]
                if command == "A":
                    flags = [self.pick.choice("01"), self.pick.choice("01")]
                    numbers[-7:-2] = [str(self.size()), str(self.size()), str(self.number(180)), *flags]
            data.append(self.pick.choice((command, command.lower())) + " ".join(numbers))
        return "".join(data)

    def shape(self) -> str:
        made = {
            "rect": lambda: (
                f'x="{self.length()}" y="{self.number()}" width="{self.length()}" height="{self.length()}"'
                + self.pick.choice(("", f' rx="{self.size(9)}"', f' rx="{self.size(9)}" ry="{self.size(9)}"'))
            ),
            "circle": lambda: f'cx="{self.length()}" cy="{self.number()}" r="{self.length()}"',
            "ellipse": lambda: f'cx="{self.number()}" rx="{self.length()}" ry="{self.length()}"',
            "line": lambda: (
                f'x1="{self.number()}" y1="{self.length()}" x2="{self.number()}" y2="{self.length()}"'
            ),
            "polyline": lambda: (
                f'points="{" ".join(str(self.number()) for _ in range(self.pick.randint(4, 9)))}"'
            ),
            "polygon": lambda: (
                f'points="{",".join(str(self.number()) for _ in range(self.pick.randint(6, 9)))}"'
            ),
            "path": lambda: f'd="{self.path()}"',
        }
        kind = self.pick.choice((*made, "path", "path"))
        return f'<{kind} {made[kind]()} transform="{self.transform()}" {self.style()}/>'

    def style(self) -> str:
        return self.pick.choice(
            (
                'stroke="red" fill="none"',
                'style="stroke:blue;fill:none"',
                'class="c"',
                'stroke="lime" fill="none" visibility="hidden"',
                "",
                'fill="none"',
                'style="display:none"',
            )
        )

    def aspect(self) -> str:
        align = self.pick.choice(("xMinYMin", "xMidYMid", "xMaxYMid", "xMidYMax"))
        return self.pick.choice(("none", align, f"{align} meet", f"{align} slice"))

    def box(self) -> str:
        return (
            f'viewBox="{self.number()} {self.number()} {self.size()} {self.size()}"'
            f' preserveAspectRatio="{self.aspect()}"'
        )

    def content(self, depth: int) -> str:
        return "".join(self.one(depth) for _ in range(self.pick.randint(1, 4)))

    def one(self, depth: int) -> str:
        kind = self.pick.choice(
            ("shape",) * 3 + (("g", "g", "svg", "use", "symbol", "switch") if depth else ())
        )
        box = self.box() if kind == "svg" or self.pick.random() < 0.5 else ""
        before = self.units
        if kind == "symbol":  # of what a share is in there, usvg does not say as SVG does
            self.units = UNITS[:-2]
        inside = self.content(depth - 1) if kind in ("g", "svg", "symbol", "switch") else ""
        self.units = before
        match kind:
            case "g":
                return f'<g transform="{self.transform()}" font-size="{self.size(20)}">{inside}</g>'
            case "svg":
                sides = f'x="{self.length()}" width="{self.length()}" height="{self.length()}"'
                return f'<svg {sides} overflow="visible" {box}>{inside}</svg>'
            case "switch":
                return f'<switch><g systemLanguage="fr">{inside}</g>{inside}</switch>'
            case "symbol":
                name = f"s{len(self.symbols)}"
                self.symbols.append(name)
                return f'<symbol id="{name}" overflow="visible" {box}>{inside}</symbol>'
            case "use" if self.symbols:
                sides = f'width="{self.length()}" height="{self.length()}"'
                sides = self.pick.choice(("", sides)) if self.units is UNITS else sides
                place = f'x="{self.number()}" y="{self.length()}" {sides} transform="{self.transform()}"'
                return f'<use href="#{self.pick.choice(self.symbols)}" {place} stroke="green"/>'
        return self.shape()

    def drawing(self) -> bytes:
        unit = self.pick.choice(("mm", "cm", "in", "pt", "px", ""))
        sides = f'width="{self.size(300)}{unit}" height="{self.size(300)}{unit}"'
        content = "<style>.c{stroke:#abc;fill:none} g > .c{stroke:#def}</style>" + self.content(3)
        return drawing(content, f"{sides} {self.pick.choice((self.box(), ''))}")


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**32))
def test_a_random_drawing_has_the_lengths_that_usvg_says(seed: int) -> None:
    data = Maker(seed).drawing()

    design, judged = read(data), judge(data)

    if not isinstance(design, FileRefused):
        assert not differences(design, judged)
    elif design.code != "svg.coordinate":  # thrown further than any page
        assert design.code.startswith("svg.nothing")
        assert judged.painted_mm == pytest.approx(0, abs=1e-6)
