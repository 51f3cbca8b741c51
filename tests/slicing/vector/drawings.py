"""Builders of small drawings for the tests of the SVG reader."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from slicing.vector import svg
from slicing.vector.design import Design

NAMESPACES = (
    'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    ' xmlns:inkscape="http://www.inkscape.org/namespaces/inkscape"'
    ' xmlns:sodipodi="http://sodipodi.sourceforge.net/DTD/sodipodi-0.dtd"'
)
PAGE = 'width="100mm" height="100mm" viewBox="0 0 100 100"'
SQUARE = '<rect x="10" y="10" width="10" height="10" fill="none" stroke="#ff0000"/>'  # 40 mm of line


def drawing(content: str, page: str = PAGE) -> bytes:
    """An SVG, by default of 100 x 100 mm with a millimetre to the unit."""
    return f"<svg {NAMESPACES} {page}>{content}</svg>".encode()


def read(content: str, page: str = PAGE, *, unit: str = "") -> Design:
    return svg.read(drawing(content, page), unit=unit)


def codes(design: Design) -> dict[str, int]:
    """Code of each warning, and of how many things it tells (1 where it does not count)."""
    return {warning.code: int(warning.params.get("count", 1)) for warning in design.warnings}


def picture(width: int, height: int, *, mode: str = "L", grey: int = 0, form: str = "PNG") -> str:
    """A `data:` address of a plain image."""
    file = io.BytesIO()
    Image.fromarray(np.full((height, width), grey, dtype=np.uint8)).convert(mode).save(file, form)
    return f"data:image/{form.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"
