"""Embedded raster images to grey pictures on the page. Only `data:` addresses; nothing is ever fetched."""

from __future__ import annotations

import binascii
import io
import warnings
from base64 import b64decode
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

import numpy as np
from PIL import Image

from slicing.faults import refused
from slicing.vector import svgunits
from slicing.vector.design import Picture
from slicing.vector.svgflat import Matrix
from slicing.vector.svglimits import PICTURE_PIXELS_MAX
from slicing.vector.svgunits import Box, times
from slicing.vector.svgxml import Element

if TYPE_CHECKING:
    from slicing.vector.svgwalk import Scope, Walk

_FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP")


def of(walk: Walk, element: Element, scope: Scope) -> Picture | None:
    """None, and something noticed, for one that lies elsewhere or cannot be read. Raises FileRefused (`svg.pixels`)."""
    link = walk.link(element)
    if link[:5].lower() != "data:":
        walk.seen["svg.external" if link and not link.startswith("#") else "svg.missing"] += 1
        return None
    image = _opened(link)
    if image is None or 0 in image.size:
        walk.seen["svg.picture_unread"] += 1
        return None
    pixels = walk.spend_pixels(image.width * image.height)
    if pixels > PICTURE_PIXELS_MAX:
        raise refused(
            "svg.pixels", width=image.width, height=image.height, limit=PICTURE_PIXELS_MAX // 1_000_000
        )
    grey = _grey(image)
    if grey is None:
        walk.seen["svg.picture_unread"] += 1
        return None
    box = _box(walk, element, scope, image.size)
    if box is None:
        return None
    inner = (0.0, 0.0, float(image.width), float(image.height))
    aspect = element.get("preserveAspectRatio", "")
    if "slice" in aspect:
        walk.seen["svg.picture_cropped"] += 1
    matrix: Matrix = times(scope.matrix, (1, 0, 0, 1, box[0], box[1]))
    matrix = times(matrix, svgunits.fitted(inner, aspect, box[2], box[3]))
    return Picture(grey=grey, to_page=matrix, layer=scope.layer)


def _opened(link: str) -> Image.Image | None:
    head, _, body = link[5:].partition(",")
    try:
        if head.rstrip().lower().endswith(";base64"):
            data = b64decode("".join(unquote_to_bytes(body).decode("latin-1").split()) + "==")
        else:
            data = unquote_to_bytes(body)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit follows
            return Image.open(io.BytesIO(data), formats=_FORMATS)
    except Image.DecompressionBombError as error:
        raise refused("svg.pixels", width="?", height="?", limit=PICTURE_PIXELS_MAX // 1_000_000) from error
    except (OSError, ValueError, SyntaxError, binascii.Error):
        return None


def _grey(image: Image.Image) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]] | None:
    """Brightness, as it would look on white paper; None for a damaged one."""
    try:
        clear = "A" in image.getbands() or "transparency" in image.info
        if not clear:
            return np.asarray(image.convert("L"))
        both = image.convert("RGBA").convert("LA")
        light, alpha = (np.asarray(band, dtype=np.uint16) for band in both.split())
    except (OSError, ValueError, SyntaxError, EOFError):
        return None
    return ((light * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def _box(walk: Walk, element: Element, scope: Scope, size: tuple[int, int]) -> Box | None:
    x, y = walk.measure(element, "x", scope), walk.measure(element, "y", scope)
    width, height = (walk.measure(element, side, scope, -1.0) for side in ("width", "height"))
    if width == 0 or height == 0:
        return None
    if width < 0 and height < 0:
        width, height = float(size[0]), float(size[1])
    elif width < 0:
        width = height * size[0] / size[1]
    elif height < 0:
        height = width * size[1] / size[0]
    return x, y, width, height
