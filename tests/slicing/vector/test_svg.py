"""The SVG reader: what is drawn, where, in which paint; and that nothing goes missing without a word."""

from __future__ import annotations

import numpy as np
import pytest

from slicing.faults import FileRefused
from slicing.vector.groups import length_mm
from tests.slicing.vector.drawings import PAGE, SQUARE, codes, drawing, picture, read

RED = 'fill="none" stroke="#ff0000"'


def test_a_square_is_one_closed_line_in_millimetres() -> None:
    (shape,) = read(SQUARE).shapes

    (line,) = shape.lines
    assert line.closed
    assert line.points.tolist() == [[10, 10], [20, 10], [20, 20], [10, 20]]
    assert (shape.stroke, shape.fill, shape.stroke_width_mm) == ("#ff0000", "", 1.0)


# --- shapes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "expected_mm"),
    [
        (f'<rect width="30" height="20" {RED}/>', 100),
        (f'<rect width="30" height="20" rx="5" {RED}/>', 60 + 10 * np.pi),
        (f'<rect width="30" height="20" ry="5" {RED}/>', 60 + 10 * np.pi),
        (f'<rect width="20" height="20" rx="99" {RED}/>', 20 * np.pi),  # clamped: a circle
        (f'<rect width="30" height="20" rx="-5" {RED}/>', 100),
        (f'<rect width="30" height="20" rx="0" ry="5" {RED}/>', 100),
        (f'<circle r="10" {RED}/>', 20 * np.pi),
        (f'<circle r="0.5" {RED}/>', np.pi),
        (f'<ellipse rx="10" ry="10" {RED}/>', 20 * np.pi),
        (f'<ellipse rx="10" {RED}/>', 20 * np.pi),  # the other radius is the same
        (f'<line x1="1" y1="2" x2="4" y2="6" {RED}/>', 5),
        (f'<polyline points="0,0 3,4 3 10" {RED}/>', 11),
        (f'<polygon points="0,0 3,0 3 4" {RED}/>', 12),
        (f'<polyline points="0,0 3,4 9" {RED}/>', 5),  # an odd one out
        (f'<path d="M0 0h3v4z" {RED}/>', 12),
        (f'<path d="M 5,5 a 10 10 0 1 1 0.001 0 z" {RED}/>', 20 * np.pi),
        (f'<rect width="50%" height="10%" {RED}/>', 120),
        (f'<rect width="2em" height="1em" font-size="10" {RED}/>', 60),
        (
            f'<rect width="1in" height="2.54cm" {RED}/>',
            4 * 96,
        ),  # in user units of 96 to the inch, each 1 mm here
    ],
)
def test_each_shape_has_its_length(shape: str, expected_mm: float) -> None:
    assert length_mm(read(shape).shapes) == pytest.approx(expected_mm, rel=5e-4)


@pytest.mark.parametrize(
    "nothing",
    [
        f'<rect width="-5" height="5" {RED}/>',
        f'<rect width="0" height="5" {RED}/>',
        f'<circle r="-5" {RED}/>',
        f'<ellipse rx="-5" ry="5" {RED}/>'.replace('ry="5"', 'ry="0"'),
        f'<path d="M 3 3" {RED}/>',
        f'<path d="L 3 3" {RED}/>',
        f'<polyline points="3 3" {RED}/>',
        '<line x1="0" y1="0" x2="9" y2="9"/>',  # has no stroke, and a line no fill
        '<path d="M0 0L9 9"/>',  # a fill without an area
        f'<foo>{SQUARE}</foo><rect width="0" height="0">{SQUARE}</rect>',
        f'<metadata>{SQUARE}</metadata><defs>{SQUARE}</defs><marker id="m">{SQUARE}</marker>',
        f'<x:g xmlns:x="urn:x">{SQUARE}</x:g>',
    ],
)
def test_what_has_no_size_or_is_not_drawn_is_no_shape(nothing: str) -> None:
    with pytest.raises(FileRefused) as refusal:
        read(nothing)

    assert refusal.value.code.startswith("svg.nothing")


# --- paint -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("paint", "stroke", "fill"),
    [
        ("", "", "#000000"),  # as SVG says
        ('fill="none" stroke="red"', "#ff0000", ""),
        ('style="fill:none;stroke:#F00"', "#ff0000", ""),
        ('fill="blue" style="fill:lime"', "", "#00ff00"),
        ('fill="rgb(0, 128, 255)"', "", "#0080ff"),
        ('fill="rgb(0%,50%,100%)"', "", "#0080ff"),
        ('fill="#ff000080"', "", "#ff0000"),
        ('fill="hsl(120,100%,50%)"', "", "#00ff00"),
        ('fill="#CD853F icc-color(x, 1)"', "", "#cd853f"),
        ('fill="nonsense"', "", "#000000"),
        ('fill="currentColor" color="red"', "", "#ff0000"),
        ('stroke="red" fill="rgba(1,2,3,0)"', "#ff0000", ""),
        ('stroke="red" fill-opacity="0"', "#ff0000", ""),
        ('stroke="red" stroke-opacity="0%"', "", "#000000"),
        ('fill="url(#no) red"', "", "#ff0000"),
        ('stroke="red" fill="url(#no)"', "#ff0000", ""),
    ],
)
def test_paint_becomes_a_colour(paint: str, stroke: str, fill: str) -> None:
    (shape,) = read(f'<rect width="5" height="5" {paint}/>').shapes

    assert (shape.stroke, shape.fill) == (stroke, fill)


@pytest.mark.parametrize(
    ("rules", "fill"),
    [
        ("rect{fill:red}", "#ff0000"),
        ("*{fill:red} .a{fill:lime}", "#00ff00"),
        (".a{fill:lime} rect{fill:red}", "#00ff00"),  # a class is stronger than a type
        ("#me{fill:blue} .a.b{fill:red}", "#0000ff"),
        ("g rect{fill:red}", "#ff0000"),
        ("svg > rect{fill:red} g > rect{fill:lime}", "#00ff00"),
        ("[width='5']{fill:red}", "#ff0000"),
        ("rect{fill:red !important} .a{fill:lime}", "#ff0000"),
        ("path, rect{fill:red}", "#ff0000"),
        ("@media print{rect{fill:lime}} rect{fill:red}", "#ff0000"),
        ("/* rect{fill:lime} */ rect{fill:red", "#ff0000"),
        ("rect:hover{fill:lime}", "#808080"),
    ],
)
def test_a_style_sheet_is_followed_by_the_strength_of_its_selectors(rules: str, fill: str) -> None:
    content = f'<style>{rules}</style><g><rect id="me" class="a b" width="5" height="5" fill="gray"/></g>'

    (shape,) = read(content).shapes

    assert shape.fill == fill


@pytest.mark.parametrize(
    ("hidden", "count"),
    [
        (f'<g display="none">{SQUARE}<g>{SQUARE}</g></g>', 2),
        (f'<g style="display:none">{SQUARE}</g>', 1),
        (f'<g visibility="hidden">{SQUARE}</g>', 1),
        (f'<g opacity="0">{SQUARE}</g>', 1),
        (f'<g transform="scale(0)">{SQUARE}</g>', 1),
    ],
)
def test_what_is_hidden_is_left_out_and_told(hidden: str, count: int) -> None:
    design = read(SQUARE + hidden)

    assert len(design.shapes) == 1
    assert codes(design) == {"svg.hidden": count}


def test_a_child_may_be_visible_in_something_hidden() -> None:
    assert len(read(f'<g visibility="hidden"><g visibility="visible">{SQUARE}</g></g>').shapes) == 1


# --- where -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("transform", "box"),
    [
        ('transform="translate(5)"', (15, 10, 25, 20)),
        ('transform="translate(5 5) scale(2)"', (25, 25, 45, 45)),
        ('transform="rotate(90)"', (-20, 10, -10, 20)),
        ('transform="rotate(90,15,15)"', (10, 10, 20, 20)),
        ('transform="matrix(1 0 0 -1 0 0)"', (10, -20, 20, -10)),
        ('transform="skewX(45)"', (20, 10, 40, 20)),
        ('style="transform:translate(5px, 1mm)"', (15, 10 + 96 / 25.4, 25, 20 + 96 / 25.4)),
        ('style="transform:scale(2);transform-origin:15px 15px"', (5, 5, 25, 25)),
        ('style="transform:scale(2);transform-origin:center"', (-30, -30, -10, -10)),
        ('transform="nonsense(5)"', (10, 10, 20, 20)),
    ],
)
def test_a_transform_moves(transform: str, box: tuple[float, ...]) -> None:
    (shape,) = read(f"<g {transform}>{SQUARE}</g>").shapes

    points = shape.lines[0].points
    assert (*points.min(axis=0), *points.max(axis=0)) == pytest.approx(box, abs=1e-6)


@pytest.mark.parametrize(
    ("page", "box"),
    [
        ('width="100mm" height="100mm" viewBox="0 0 50 50"', (20, 20, 40, 40)),
        ('width="100mm" height="100mm" viewBox="10 10 10 10"', (0, 0, 100, 100)),
        ('width="200mm" height="100mm" viewBox="0 0 100 100"', (60, 10, 70, 20)),
        (
            'width="200mm" height="100mm" viewBox="0 0 100 100" preserveAspectRatio="xMinYMin"',
            (10, 10, 20, 20),
        ),
        ('width="200mm" height="100mm" viewBox="0 0 100 100" preserveAspectRatio="none"', (20, 10, 40, 20)),
        (
            'width="200mm" height="100mm" viewBox="0 0 100 100" preserveAspectRatio="xMidYMin slice"',
            (20, 20, 40, 40),
        ),
        ('width="2in" height="2in" viewBox="0 0 50.8 50.8"', (10, 10, 20, 20)),
        ('width="72pt" height="6pc" viewBox="0 0 25.4 25.4"', (10, 10, 20, 20)),
    ],
)
def test_the_view_box_is_laid_on_the_page(page: str, box: tuple[float, ...]) -> None:
    design = read(SQUARE, page)

    points = design.shapes[0].lines[0].points
    assert (*points.min(axis=0), *points.max(axis=0)) == pytest.approx(box)
    assert design.unit == "physical"
    assert "svg.unit?" not in codes(design)


@pytest.mark.parametrize(
    ("page", "unit", "side_mm", "question"),
    [
        ("", "", 10 * 25.4 / 96, "svg.unit?"),
        ('width="100" height="100"', "", 10 * 25.4 / 96, "svg.unit?"),
        ('width="100px" height="100px" viewBox="0 0 100 100"', "", 10 * 25.4 / 96, "svg.unit?"),
        ('width="100%" height="100%" viewBox="0 0 100 100"', "", 10 * 25.4 / 96, "svg.unit?"),
        ('width="100" height="100" inkscape:version="0.48.4 r1"', "", 10 * 25.4 / 96, "svg.unit_inkscape?"),
        ('width="210mm" height="297mm" inkscape:version="0.91 r1"', "", 10 * 25.4 / 96, "svg.unit_inkscape?"),
        ('width="210mm" height="297mm" inkscape:version="0.92.1"', "", 10 * 25.4 / 96, None),
        ("", "90dpi", 10 * 25.4 / 90, None),
        ("", "72dpi", 10 * 25.4 / 72, None),
        ("", "mm", 10, None),
        ('width="100" height="100"', "mm", 10, None),
        ('width="210mm" height="297mm" inkscape:version="0.48"', "90dpi", 10 * 25.4 / 90, None),
        (PAGE, "90dpi", 10, None),  # a physical size is what it is
    ],
)
def test_without_a_size_in_the_real_world_the_member_is_asked(
    page: str, unit: str, side_mm: float, question: str | None
) -> None:
    design = read(SQUARE, page, unit=unit)

    assert np.ptp(design.shapes[0].lines[0].points[:, 0]) == pytest.approx(side_mm)
    questions = [warning for warning in design.warnings if warning.severity == "question"]
    assert [one.code for one in questions] == ([question] if question else [])
    for one in questions:
        assert (one.params["x96"], one.params["x90"], one.params["x72"], one.params["xmm"]) == (
            2.6,
            2.8,
            3.5,
            10,
        )


def test_a_file_of_illustrator_is_asked_about_its_72_units_to_the_inch() -> None:
    head = b"<!-- Generator: Adobe Illustrator 15.1.0, SVG Export Plug-In -->"

    from slicing.vector import svg

    design = svg.read(head + drawing(SQUARE, 'width="100px" height="100px" viewBox="0 0 100 100"'))

    assert design.source == "illustrator"
    assert codes(design) == {"svg.unit_illustrator?": 1}


# --- use, symbol, switch ---------------------------------------------------------------------------------

SYMBOL = f'<symbol id="s" viewBox="0 0 20 20">{SQUARE}</symbol>'


@pytest.mark.parametrize(
    ("content", "lengths_mm"),
    [
        (f"{SYMBOL}{SQUARE}", [40]),  # never drawn where it stands
        (f'{SYMBOL}<use href="#s" width="20" height="20"/>', [40]),
        (
            f'{SYMBOL}<use xlink:href="#s" width="40" height="40"/><use href="#s" width="10" height="10"/>',
            [80, 20],
        ),
        (f'{SYMBOL}<use href="#s"/>', [200]),  # 100 % of the page
        (f'<defs><g id="d">{SQUARE}{SQUARE}</g></defs><use href="#d" x="5"/><use href="#d"/>', [40] * 4),
        (f'<g id="d">{SQUARE}</g><use href="#d" transform="scale(2)"/>', [40, 80]),
        (f'<switch><g systemLanguage="fr">{SQUARE}</g><g>{SQUARE}</g><g>{SQUARE}{SQUARE}</g></switch>', [40]),
        (f'<switch><foreignObject requiredExtensions="x"/><g>{SQUARE}</g></switch>', [40]),
        (f"<switch><foreignObject/><g>{SQUARE}</g></switch>", [40]),
        (f'<g requiredExtensions="x">{SQUARE}</g>{SQUARE}', [40]),
        (f'<a href="https://example.org">{SQUARE}</a>', [40]),
        (f'<svg x="5" width="50" height="50" viewBox="0 0 100 100">{SQUARE}</svg>', [20]),
        (f'<svg viewBox="0 0 0 9">{SQUARE}</svg>', [40]),
        (f'<svg width="0">{SQUARE}{SQUARE}</svg>{SQUARE}', [40]),
    ],
)
def test_what_is_used_is_drawn_where_it_is_used_and_only_there(content: str, lengths_mm: list[float]) -> None:
    shapes = read(content).shapes

    assert [length_mm([shape]) for shape in shapes] == pytest.approx(lengths_mm)


def test_use_passes_its_paint_on() -> None:
    content = '<defs><rect id="r" width="5" height="5"/></defs><use href="#r" fill="red"/>'

    assert read(content).shapes[0].fill == "#ff0000"


def test_what_contains_itself_is_drawn_once_and_told() -> None:
    design = read(f'<g id="a">{SQUARE}<use href="#b"/></g><g id="b"><use href="#a"/></g>')

    assert len(design.shapes) == 2  # a once for itself, and once through b
    assert codes(design) == {"svg.recursive": 2}


# --- layers ----------------------------------------------------------------------------------------------


def test_layers_keep_their_names_and_hidden_ones_are_told_by_them() -> None:
    layer = '<g inkscape:groupmode="layer" inkscape:label="{}" {}>' + SQUARE + "</g>"

    design = read(
        layer.format("cut", "")
        + layer.format("draft", 'style="display:none"')
        + layer.format("fixed", 'sodipodi:insensitive="true"')
    )

    assert [shape.layer for shape in design.shapes] == ["cut", "fixed"]
    told = {warning.code: warning.text_en for warning in design.warnings}
    assert set(told) == {"svg.hidden", "svg.locked"}
    assert "(draft)" in told["svg.hidden"]
    assert "(fixed)" in told["svg.locked"]


# --- what a cutter cannot do as drawn --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "code", "shapes"),
    [
        (f'<g stroke-dasharray="2 1">{SQUARE}</g>', "svg.dashes", 1),
        (f'<g mask="url(#m)">{SQUARE}</g><mask id="m"/>', "svg.mask", 0),
        (f'<g filter="url(#f)">{SQUARE}</g><filter id="f"/>', "svg.filter", 1),
        (f'<path marker-end="url(#m)" d="M0 0h9" {RED}/>', "svg.markers", 1),
        (
            f'<rect width="5" height="5" stroke="red" fill="url(#p)"/><pattern id="p">{SQUARE}</pattern>',
            "svg.pattern",
            1,
        ),
        (
            '<rect width="5" height="5" fill="url(#g)"/><linearGradient id="g"><stop stop-color="red"/>'
            '<stop stop-color="blue"/></linearGradient>',
            "svg.gradient",
            1,
        ),
        ('<rect width="5" height="5" fill="none" stroke="red" stroke-width="0"/>', "svg.no_width", 0),
        ('<rect width="5" height="5" fill="none"/>', "svg.unpainted", 0),
        ('<image width="5" height="5" href="https://example.org/a.png"/>', "svg.external", 0),
        ('<image width="5" height="5" href="data:image/png;base64,AAAA"/>', "svg.picture_unread", 0),
        (f'<image width="5" height="5" href="{picture(2, 2)}"/>', "svg.picture", 0),
        ('<use href="https://example.org/a.svg#a"/>', "svg.external", 0),
        ('<style>@import url("https://example.org/a.css");</style>', "svg.external", 0),
        ('<use href="#nowhere"/>', "svg.missing", 0),
        ("<script>alert(1)</script>", "svg.script", 0),
        ("<foreignObject><p/></foreignObject>", "svg.foreign", 0),
        ("<flowRoot><flowPara>hello</flowPara></flowRoot>", "svg.flowed_text", 0),
        (f'<path d="M0 0L5 5 NaN 5" {RED}/>', "svg.damaged", 1),
        (f'<rect x="NaN" width="5" height="5" {RED}/>', "svg.damaged", 1),
        (f'<rect x="99" width="5" height="5" {RED}/>', "svg.off_page", 1),
    ],
)
def test_what_a_cutter_cannot_do_as_drawn_is_told(content: str, code: str, shapes: int) -> None:
    design = read(SQUARE + content)

    assert codes(design) == {code: 1}
    assert len(design.shapes) == 1 + shapes


def test_a_warning_says_where() -> None:
    told = read(f'<g stroke-dasharray="2 1">{SQUARE}</g>').warnings[0]

    assert list(told.place) == [(10, 10, 0, 20, 20, 0)]
    assert told.remedy_en
    assert told.remedy_fr


def test_a_gradient_of_one_colour_is_that_colour() -> None:
    content = '<linearGradient id="g"><stop style="stop-color:#123456"/></linearGradient>'

    design = read(content + '<rect width="5" height="5" fill="url(#g)"/>')

    assert design.shapes[0].fill == "#123456"
    assert not design.warnings


@pytest.mark.parametrize(
    ("clip", "shapes", "code"),
    [
        ('<rect width="50" height="50"/>', 2, None),
        ('<rect x="10" y="10" width="10" height="10"/>', 2, None),  # on its edge
        ('<rect width="15" height="15"/>', 1, "svg.clip"),
        ('<rect x="50" width="15" height="15"/>', 1, "svg.clipped_away"),
        ("", 1, "svg.clipped_away"),
        ('<circle cx="15" cy="15" r="20"/>', 2, None),
        ('<path d="M0 0H50V50H0ZM12 12V18H18V12Z"/>', 2, None),  # its hole touches no line
        ('<path d="M0 0H50V50H0ZM5 5V15H15V5Z"/>', 1, "svg.clip"),  # a hole on a line
        ("<text>x</text>", 1, "svg.clip"),
        ('<rect x="-99999" y="-99999" width="999999" height="999999"/>', 2, None),  # larger than any page
        ('<path d="M0 0L1e300 0 0 1e300Z"/>', 1, "svg.clip"),
        ('<rect id="q" width="50" height="50" transform="scale(0.5)"/>', 2, None),
    ],
)
def test_a_line_is_used_if_its_clip_lets_all_of_it_through(clip: str, shapes: int, code: str | None) -> None:
    design = read(f'{SQUARE}<clipPath id="c">{clip}</clipPath><g clip-path="url(#c)">{SQUARE}</g>')

    assert len(design.shapes) == shapes
    assert codes(design) == ({code: 1} if code else {})


def test_a_nested_viewport_clips_unless_it_overflows() -> None:
    nested = f'<svg width="15" height="15" {{}}>{SQUARE}</svg>'

    assert codes(read(SQUARE + nested.format(""))) == {"svg.clip": 1}
    assert codes(read(SQUARE + nested.format('overflow="visible"'))) == {}


# --- pictures --------------------------------------------------------------------------------------------


def test_an_embedded_picture_is_grey_on_white_paper_and_lies_where_it_is_drawn() -> None:
    address = picture(4, 2, grey=51)

    (found,) = read(f'<image x="10" y="20" width="40" height="40" href="{address}"/>').pictures

    assert found.grey.shape == (2, 4)
    assert (found.grey == 51).all()
    assert found.to_page == pytest.approx((10, 0, 0, 10, 10, 30))  # kept in proportion, in the middle


def test_what_is_transparent_in_a_picture_is_white() -> None:
    import base64
    import io

    from PIL import Image

    file = io.BytesIO()
    Image.new("RGBA", (2, 2), (0, 0, 0, 0)).save(file, "PNG")
    address = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()

    (found,) = read(f'<image width="4" height="4" href="{address}"/>').pictures

    assert (found.grey == 255).all()


# --- where it comes from ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("comment", "source", "kerf"),
    [
        ("<!-- Created with Boxes.py\nCommand line: boxes ABox -->", "boxes.py", True),
        ("<!-- Created with Boxes.py\nCommand line: boxes ABox - -burn=0.0 -->", "boxes.py", False),
        ("<!-- Created with Inkscape (http://www.inkscape.org/) -->", "inkscape", False),
        ("<!-- Creator: CorelDRAW -->", "coreldraw", False),
    ],
)
def test_the_program_that_wrote_it_is_known_by_its_signature(comment: str, source: str, kerf: bool) -> None:
    design = read(comment + SQUARE)

    assert (design.source, design.kerf_applied) == (source, kerf)
