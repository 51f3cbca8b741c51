"""A picture of a part without a GPU: our own z-buffer in numpy, and a PNG with a transparent background.

Orthographic, from the front, a little to the right and above: what a member sees on a slicer's plate. Every pixel
keeps the nearest triangle; shading, creases and outlines are then reckoned once per pixel, not per triangle. Knows
triangles in mm and colours; nothing of files or profiles. Works in blocks, so that memory does not grow with the mesh.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import cos, radians, sin

import numpy as np
from numpy.typing import NDArray

from slicing import raster
from slicing.raster import F64, I64, U8

F32 = NDArray[np.float32]

SIZE_PX_MIN, SIZE_PX_MAX = 32, 1024
SUPERSAMPLING = 2
CANDIDATES_MAX = 2_000_000
TRIANGLES_AT_ONCE = 100_000
MARGIN = 0.07  # of the picture, free on each side
COLOUR = (222, 146, 84)  # a warm filament: holds its own on the light and on the dark page
CREASE = 0.86  # cosine: two faces 30 degrees apart get a line between them
LINE, SHADOW = 0.40, 0.26  # how much of the light a line and the shadow take away
RING, HALO = (196, 30, 30), (255, 255, 255)
STROKED_MAX = 2_000
TWO_SIDED_MAX = (
    30_000  # up to so many triangles both sides are drawn: it shows the few that face the wrong way
)
_EMPTY = np.int64(-1)


@dataclass(frozen=True, kw_only=True)
class View:
    """Where the camera stands: degrees to the right of the front, and above the bed."""

    azimuth: float = 35.0
    elevation: float = 28.0

    @property
    def axes(self) -> F64:
        """Rows: to the right, upwards, and towards the camera, in the part's coordinates."""
        side, up = radians(self.azimuth - 90), radians(self.elevation)
        return np.array(
            [
                [-sin(side), cos(side), 0.0],
                [-cos(side) * sin(up), -sin(side) * sin(up), cos(up)],
                [cos(side) * cos(up), sin(side) * cos(up), sin(up)],
            ]
        )


FRONT_RIGHT = View()


@dataclass(frozen=True, kw_only=True)
class _Frame:
    """From mm to pixels of the supersampled picture: x to the right, y downwards, the third towards the camera."""

    axes: F64
    middle: F64
    scale: float
    pixels: int

    def of(self, points: F64) -> F64:
        """Points (..., 3) in mm as pixel coordinates of the same shape."""
        placed: F64 = (points - self.middle) @ (self.axes * self.scale).T
        placed[..., 1] *= -1
        placed[..., :2] += self.pixels / 2
        return placed


@dataclass(frozen=True, kw_only=True)
class _Buffer:
    """Per pixel: which triangle is nearest (-1: none) and how near, in pixels towards the camera."""

    triangle: I64
    depth: F32


def render(
    triangles: F64,
    size_px: int = 512,
    view: View = FRONT_RIGHT,
    *,
    places: Sequence[Sequence[float]] = (),
    two_sided: bool = False,
) -> bytes:
    """A square PNG (RGBA) of triangles (m, 3, 3) in mm. Raises ValueError for a size out of bounds.

    `places` are points (x, y, z) or boxes (x0, y0, z0, x1, y1, z1) to ring in red; `two_sided` also draws the
    inside of the surface, which only an open mesh shows (small meshes always are).
    """
    if not SIZE_PX_MIN <= size_px <= SIZE_PX_MAX:
        raise ValueError(f"a picture has {SIZE_PX_MIN} to {SIZE_PX_MAX} pixels a side, not {size_px}")
    frame = _framed(triangles, view, size_px * SUPERSAMPLING)
    normals = np.zeros((len(triangles), 3), dtype=np.float32)
    both = two_sided or len(triangles) <= TWO_SIDED_MAX
    buffer = _drawn(triangles, frame, normals, both)
    picture = _over(_shaded(buffer, normals, _light(normals)), _shadow(triangles, frame, size_px))
    _ring(picture, frame, places)
    return _png(np.rint(picture * 255).astype(np.uint8))


def _framed(triangles: F64, view: View, pixels: int) -> _Frame:
    """The frame that holds the whole part, whatever its shape: flat, tiny or a needle."""
    axes = view.axes
    low, high = raster.bounds(triangles)
    low_seen, high_seen = np.full(3, np.inf), np.full(3, -np.inf)
    for block in _blocks(len(triangles)):
        seen = triangles[block].reshape(-1, 3) @ axes.T
        low_seen, high_seen = np.minimum(low_seen, seen.min(axis=0)), np.maximum(high_seen, seen.max(axis=0))
    extent = float((high_seen - low_seen)[:2].max())
    middle = np.linalg.solve(axes, (low_seen + high_seen) / 2)
    scale = pixels * (1 - 2 * MARGIN) / max(extent, 1e-9 * float(np.abs([low, high]).max()), 1e-12)
    return _Frame(axes=axes, middle=middle, scale=scale, pixels=pixels)


def _blocks(count: int) -> list[slice]:
    return [slice(at, at + TRIANGLES_AT_ONCE) for at in range(0, count, TRIANGLES_AT_ONCE)]


def _drawn(triangles: F64, frame: _Frame, normals: F32, two_sided: bool) -> _Buffer:
    """Draw every triangle that faces the camera; fills `normals` (right, up, towards us) as it goes."""
    nearest = np.full(frame.pixels * frame.pixels, _EMPTY)
    deepest = float(frame.pixels) * 4  # no part is deeper than its diagonal, which the frame holds
    for block in _blocks(len(triangles)):
        seen = frame.of(triangles[block])
        normal = _normals(seen)
        normals[block] = normal
        shown = np.arange(len(seen)) if two_sided else np.flatnonzero(normal[:, 2] > 0)
        for part in _parts(seen[shown], frame.pixels):
            chosen = shown[part]
            pixel, which, depth = _pixels(seen[chosen], normal[chosen], frame.pixels)
            # Depth above, number below: the largest of such keys is the nearest triangle, in one pass, unsorted.
            key = ((depth + deepest) * 256).astype(np.int64) << 32 | (chosen[which] + block.start)
            np.maximum.at(nearest, pixel, key)
    if np.count_nonzero(nearest != _EMPTY) < frame.pixels:
        nearest[_strokes(frame.of(triangles[:STROKED_MAX]), frame.pixels)] = int(deepest * 256) << 32
    empty = nearest == _EMPTY
    depth = ((nearest >> 32) / np.float32(256)).astype(np.float32)
    triangle = np.where(empty, _EMPTY, nearest & 0xFFFFFFFF)
    shape = (frame.pixels, frame.pixels)
    return _Buffer(triangle=triangle.reshape(shape), depth=np.where(empty, 0, depth).reshape(shape))


def _strokes(seen: F64, pixels: int) -> I64:
    """Pixels along the edges of triangles, two wide: a needle thinner than a pixel is still to be seen."""
    ends = np.roll(seen, -1, axis=1)
    steps = np.ceil(np.abs(ends - seen)[:, :, :2].max(axis=2)).astype(np.int64).reshape(-1) + 1
    step, which = _expanded(np.zeros_like(steps), steps)
    share = (step / np.maximum(steps - 1, 1)[which])[:, None]
    points = seen.reshape(-1, 3)[which, :2] * (1 - share) + ends.reshape(-1, 3)[which, :2] * share
    column, row = points.astype(np.int64).clip(0, pixels - 2).T
    first = row * pixels + column
    return np.concatenate((first, first + 1, first + pixels, first + pixels + 1))


def _normals(seen: F64) -> F64:
    """Unit normals (right, up, towards the camera) of triangles in pixel coordinates; zero where there is none."""
    ux, uy, uz = (seen[:, 1, axis] - seen[:, 0, axis] for axis in range(3))
    vx, vy, vz = (seen[:, 2, axis] - seen[:, 0, axis] for axis in range(3))
    # y points down on the screen: turning it up again mirrors, which is why x and z change sign here and y does not.
    x, y, z = vy * uz - uy * vz, uz * vx - ux * vz, vx * uy - ux * vy
    length = np.sqrt(x * x + y * y + z * z)
    result: F64 = np.stack((x, y, z), axis=1) / np.maximum(length, 1e-30)[:, None]
    return result


def _parts(seen: F64, pixels: int) -> list[slice]:
    """Runs of triangles whose boxes hold at most CANDIDATES_MAX pixels together (or one triangle)."""
    if not len(seen):
        return []
    wide, tall = (np.ptp(seen[:, :, axis], axis=1).clip(0, pixels) + 1 for axis in range(2))
    chunk = (np.cumsum(wide * tall) // CANDIDATES_MAX).astype(np.int64)
    edges = [0, *(np.flatnonzero(np.diff(chunk)) + 1).tolist(), len(seen)]
    return [slice(start, end) for start, end in pairwise(edges)]


def _pixels(seen: F64, normal: F64, pixels: int) -> tuple[I64, I64, F64]:
    """Pixels whose centre a triangle covers: their flat index, the triangle, its depth there.

    Row by row between the long edge and the two short ones, half-open: neighbours share no pixel and leave no gap.
    """
    order = np.argsort(seen[:, :, 1], axis=1, kind="stable")
    rows = np.arange(len(seen))
    a, b, c = (seen[rows, order[:, i]] for i in range(3))
    first, last = (np.ceil(corner[:, 1] - 0.5).clip(0, pixels).astype(np.int64) for corner in (a, c))
    row, which = _expanded(first, last)
    y: F64 = np.asarray(row, dtype=np.float64) + 0.5
    one = _crossing(a, c, which, y)
    upper = y < b[which, 1]
    other = np.where(upper, _crossing(a, b, which, y), _crossing(b, c, which, y))
    left, right = np.minimum(one, other), np.maximum(one, other)
    start, end = (np.ceil(edge - 0.5).clip(0, pixels).astype(np.int64) for edge in (left, right))
    column, span = _expanded(start, end)
    row, which = row[span], which[span]
    tilt = np.maximum(np.abs(normal[:, 2]), 1e-6) * np.where(normal[:, 2] < 0, -1, 1)
    by_x, by_y = -normal[:, 0] / tilt, normal[:, 1] / tilt
    base = a[:, 2] - by_x * a[:, 0] - by_y * a[:, 1]
    depth = base[which] + by_x[which] * (column + 0.5) + by_y[which] * (row + 0.5)
    # A triangle seen edge-on has no slope to speak of: keep its depth between its own corners.
    depth = np.clip(depth, seen[:, :, 2].min(axis=1)[which], seen[:, :, 2].max(axis=1)[which])
    return row * pixels + column, which, depth


def _expanded(first: I64, end: I64) -> tuple[I64, I64]:
    """All whole numbers first[i] <= n < end[i], and the i each belongs to."""
    count = np.maximum(end - first, 0)
    which = np.repeat(np.arange(len(count)), count)
    return np.arange(len(which)) + np.repeat(first - (np.cumsum(count) - count), count), which


def _crossing(start: F64, end: F64, which: I64, y: F64) -> F64:
    rise = end[:, 1] - start[:, 1]
    slope = (end[:, 0] - start[:, 0]) / np.where(rise > 0, rise, 1.0)
    result: F64 = start[which, 0] + (y - start[which, 1]) * slope[which]
    return result


def _light(normals: F32) -> F32:
    """Light on each triangle, about 0.3 to 1.1: a lamp from the upper left, a weaker one from the right, the sky."""
    lamp = np.array([-0.50, 0.44, 0.75], dtype=np.float32)
    fill = np.array([0.75, 0.10, 0.65], dtype=np.float32)
    facing = np.where(normals[:, 2:] < 0, -normals, normals)
    light: F32 = (
        0.38
        + 0.52 * np.clip(facing @ lamp, 0, None)
        + 0.24 * np.clip(facing @ fill, 0, None)
        + 0.14 * facing[:, 1]
    ).astype(np.float32)
    light[normals[:, 2] < 0] *= 0.55  # the inside of an open mesh
    return light


def _shaded(buffer: _Buffer, normals: F32, light: F32) -> F32:
    """The picture at its own size, RGBA in 0..1, colour multiplied by coverage."""
    covered = buffer.triangle >= 0
    at = np.where(covered, buffer.triangle, 0)
    bright = np.where(covered, light[at], 0) * (1 - LINE * _lines(buffer, normals, at, covered))
    side = len(bright) // SUPERSAMPLING
    shape = (side, SUPERSAMPLING, side, SUPERSAMPLING)
    alpha = covered.reshape(shape).mean(axis=(1, 3), dtype=np.float32)
    result = np.empty((side, side, 4), dtype=np.float32)
    for channel, most in enumerate(COLOUR):
        glow = np.minimum(bright * np.float32(most / 255), 1.0)
        result[:, :, channel] = glow.reshape(shape).mean(axis=(1, 3))
    result[:, :, 3] = alpha
    return result


def _lines(buffer: _Buffer, normals: F32, at: I64, covered: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels on a crease or at the rim of something nearer: what makes a shape readable in one colour."""
    line = np.zeros_like(covered)
    slope = np.abs(normals[:, :2]) / np.maximum(np.abs(normals[:, 2:]), 0.05)
    for axis in (0, 1):
        here = tuple(slice(None, -1) if i == axis else slice(None) for i in range(2))
        next_ = tuple(slice(1, None) if i == axis else slice(None) for i in range(2))
        differ = np.flatnonzero(((at[here] != at[next_]) & covered[here] & covered[next_]).ravel())
        one, two = at[here].ravel()[differ], at[next_].ravel()[differ]
        folded = (normals[one] * normals[two]).sum(axis=1) < CREASE
        step = np.abs(buffer.depth[here].ravel()[differ] - buffer.depth[next_].ravel()[differ])
        across = slope[:, 1 - axis]
        behind = step > 2.0 + 1.5 * np.maximum(across[one], across[two])
        marked = np.zeros(at[here].size, dtype=np.bool_)
        marked[differ[folded | behind]] = True
        line[here] |= marked.reshape(at[here].shape)
    return line


def _shadow(triangles: F64, frame: _Frame, size_px: int) -> F32:
    """How dark the bed is under and behind the part, 0..1 of shape (size_px, size_px): its outline, blurred."""
    small = _Frame(
        axes=frame.axes, middle=frame.middle, scale=frame.scale / 4, pixels=frame.pixels // 4
    )  # a blurred thing needs no detail
    low = float(triangles[:, :, 2].min())
    dark = np.zeros(small.pixels * small.pixels, dtype=np.float32)
    for block in _blocks(len(triangles)):
        fallen = triangles[block].copy()
        height = fallen[:, :, 2] - low
        fallen[:, :, 0] += 0.16 * height
        fallen[:, :, 1] += 0.10 * height
        fallen[:, :, 2] = low
        seen = small.of(fallen)
        normal = _normals(seen)
        up = np.flatnonzero(normal[:, 2] > 0)
        for part in _parts(seen[up], small.pixels):
            chosen = up[part]
            dark[_pixels(seen[chosen], normal[chosen], small.pixels)[0]] = 1
    soft = dark.reshape(small.pixels, small.pixels)
    for width in (7, 11, 17):
        soft = _blurred(_blurred(soft, width).T, width).T
    return _enlarged(soft, size_px) * np.float32(SHADOW)


def _blurred(picture: F32, width: int) -> F32:
    """Mean of `width` (odd) neighbours along rows; what lies outside is empty."""
    half = width // 2
    padded = np.pad(picture, ((0, 0), (half + 1, half)))
    total = np.cumsum(padded, axis=1, dtype=np.float32)
    result: F32 = (total[:, width:] - total[:, :-width]) / np.float32(width)
    return result


def _enlarged(picture: F32, size: int) -> F32:
    """Bilinear, to `size` pixels a side."""
    at = ((np.arange(size) + 0.5) * len(picture) / size - 0.5).clip(0, len(picture) - 1)
    low = at.astype(np.int64).clip(0, len(picture) - 2)
    share = (at - low).astype(np.float32)
    tall = picture[low] * (1 - share)[:, None] + picture[low + 1] * share[:, None]
    wide: F32 = tall[:, low] * (1 - share) + tall[:, low + 1] * share
    return wide


def _over(picture: F32, shadow: F32) -> F32:
    """The part before its shadow; colour not multiplied by coverage any more, as PNG wants it."""
    alpha = picture[:, :, 3] + shadow * (1 - picture[:, :, 3])
    result = picture / np.maximum(alpha, 1e-6)[:, :, None]
    result[:, :, 3] = alpha
    return np.minimum(result, 1.0, dtype=np.float32)


def _ring(picture: F32, frame: _Frame, places: Sequence[Sequence[float]]) -> None:
    """A red ring with a white rim around every place, drawn in place."""
    side = len(picture)
    least = side / 40
    for place in places:
        box = np.asarray(place, dtype=np.float64).reshape(-1, 3)
        corners = frame.of(np.array([[x, y, z] for x in box[:, 0] for y in box[:, 1] for z in box[:, 2]]))
        low, high = (corners[:, :2].min(axis=0) / SUPERSAMPLING, corners[:, :2].max(axis=0) / SUPERSAMPLING)
        middle = (low + high) / 2
        radius = min(max(float(np.hypot(*(high - low))) / 2 + 3, least), side / 3)
        window = [slice(max(int(m - radius - 6), 0), max(int(m + radius + 7), 0)) for m in middle]
        across, down = (np.arange(side)[part] + 0.5 - m for part, m in zip(window, middle, strict=True))
        off = np.abs(np.hypot(across[None, :], down[:, None]) - radius)
        patch = picture[window[1], window[0]]
        thick = side / 512
        for colour, width in ((HALO, 2.6 * thick), (RING, 1.4 * thick)):
            _painted(patch, np.clip(width + 0.5 - off, 0, 1).astype(np.float32), colour)


def _painted(patch: F32, cover: F32, colour: tuple[int, int, int]) -> None:
    alpha = cover + patch[:, :, 3] * (1 - cover)
    for channel in range(3):
        mixed = cover * (colour[channel] / 255) + patch[:, :, channel] * patch[:, :, 3] * (1 - cover)
        patch[:, :, channel] = mixed / np.maximum(alpha, 1e-6)
    patch[:, :, 3] = alpha


def _png(picture: U8) -> bytes:
    """PNG of an (h, w, 4) picture."""
    from PIL import Image  # only who draws pays for it

    out = io.BytesIO()
    Image.fromarray(picture).save(out, "PNG")
    return out.getvalue()
