"""Path data (`d`) to vertices and codes: absolute moves, lines and cubic curves. Knows no XML, style or unit.

As SVG says, a path with an error is drawn up to it. Vertices go to two flat arrays that a whole drawing shares, so that
they can be transformed and flattened at once: x, y, x, y, …; and one code a vertex. A curve is three vertices; a close
has one, its subpath's first.
"""

from __future__ import annotations

import re
from array import array
from math import atan2, ceil, cos, degrees, hypot, pi, radians, sin, sqrt, tan
from typing import Final

MOVE, LINE, CURVE, CLOSE = 0, 1, 2, 3

_SPLIT = re.compile(r"([MmZzLlHhVvCcSsQqTtAa])")
_NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_TOKENS = re.compile(_NUMBER + r"|[^ \t\r\n\f,]")  # what is no number is one character, and no float
_COMMAS = re.compile(r",[ \t\r\n\f]*,")
_GAP = r"[ \t\r\n\f]*(?:,[ \t\r\n\f]*)?"  # as all patterns here: only one way to match, so never slow
_ARC = re.compile(_GAP + _GAP.join([f"({_NUMBER})"] * 3 + ["([01])"] * 2 + [f"({_NUMBER})"] * 2))
_ARITY: Final = {"L": 2, "H": 1, "V": 1, "C": 6, "S": 4, "Q": 4, "T": 2}
_RADIUS_MIN, _VALUE_MAX = 1e-12, 1e15
_ARC_STEP = pi / 4  # a cubic is within 4e-6 of the radius of an eighth of a circle


class Outlines:
    """Where the vertices of all paths of a drawing gather."""

    def __init__(self) -> None:
        self.coords = array("d")
        self.codes = bytearray()

    def __len__(self) -> int:
        return len(self.codes)

    def add(self, coords: array[float], codes: bytes | bytearray) -> None:
        self.coords.extend(coords)
        self.codes.extend(codes)

    def path(self, data: str) -> bool:
        """Adds the path; False if it was drawn only up to an error."""
        pen = _Pen(self)
        pieces = _SPLIT.split(data)
        if pieces[0].strip(" \t\r\n\f"):
            return False
        return all(map(pen.draw, pieces[1::2], pieces[2::2]))  # to the first error, and no further

    def polyline(self, points: list[float], *, closed: bool) -> None:
        if len(points) < 4:
            return
        count = len(points) // 2
        self.coords.extend(points[: 2 * count])
        self.codes.extend(b"\x00" + b"\x01" * (count - 1))
        if closed:
            self.coords.extend(points[:2])
            self.codes.append(CLOSE)

    def ellipse(self, cx: float, cy: float, rx: float, ry: float) -> None:
        self.coords.extend((cx + rx, cy))
        self.codes.append(MOVE)
        _turn(self, (cx, cy), (rx, ry), 0.0, 0.0, 2 * pi)
        self.coords.extend((cx + rx, cy))
        self.codes.append(CLOSE)

    def rounded(self, x: float, y: float, width: float, height: float, rx: float, ry: float) -> None:
        """A rectangle whose corners are quarters of an ellipse."""
        right, low = x + width, y + height
        self.coords.extend((x + rx, y, right - rx, y))
        self.codes.extend((MOVE, LINE))
        corners = (
            (right - rx, y + ry, -90),
            (right - rx, low - ry, 0),
            (x + rx, low - ry, 90),
            (x + rx, y + ry, 180),
        )
        for (cx, cy, start), after in zip(
            corners, ((right, low - ry), (x + rx, low), (x, y + ry), None), strict=True
        ):
            _turn(self, (cx, cy), (rx, ry), 0.0, radians(start), pi / 2)
            if after is not None:
                self.coords.extend(after)
                self.codes.append(LINE)
        self.coords.extend((x + rx, y))
        self.codes.append(CLOSE)


class _Pen:
    """Where the pen is, where the subpath began, and the control point that a smooth curve mirrors."""

    __slots__ = ("_begun", "_fresh", "_last", "_out", "cx", "cy", "sx", "sy", "x", "y")

    def __init__(self, out: Outlines) -> None:
        self._out = out
        self.x = self.y = self.sx = self.sy = self.cx = self.cy = 0.0
        self._last = ""
        self._begun = False  # a path begins with a move
        self._fresh = False  # after a close the next command starts a subpath at its first point

    def draw(self, command: str, chunk: str) -> bool:
        """One command letter with all its arguments; False at an error, what stands before it is drawn."""
        kind, relative = command.upper(), command.islower()
        if not self._begun and kind != "M":
            return False
        if kind == "Z":
            self._close()
            return not chunk.strip(" \t\r\n\f")
        if kind == "A":
            return self._arcs(chunk, relative)
        if double := _COMMAS.search(chunk):
            chunk = chunk[: double.start()]
        values, clean = _numbers(chunk)
        clean = clean and double is None
        if kind == "M":
            if len(values) < 2:
                return False
            self._move(values[0], values[1], relative)
            kind, values = "L", values[2:]
            if not values:
                self._last = "M"
                return clean
        arity = _ARITY[kind]
        whole = len(values) - len(values) % arity
        clean = clean and whole == len(values) and (whole > 0 or command in "Mm")
        if whole:
            if self._fresh:
                self._reopen()
            self._run(kind, values[:whole] if whole < len(values) else values, relative)
            self._last = kind
        return clean

    def _move(self, x: float, y: float, relative: bool) -> None:
        if relative:
            x, y = x + self.x, y + self.y
        self.x = self.sx = x
        self.y = self.sy = y
        self._out.coords.extend((x, y))
        self._out.codes.append(MOVE)
        self._begun, self._fresh = True, False

    def _close(self) -> None:
        if not self._fresh:
            self._out.coords.extend((self.sx, self.sy))
            self._out.codes.append(CLOSE)
        self.x, self.y, self._fresh, self._last = self.sx, self.sy, True, "Z"

    def _reopen(self) -> None:
        self._out.coords.extend((self.sx, self.sy))
        self._out.codes.append(MOVE)
        self._fresh = False

    def _run(self, kind: str, values: list[float], relative: bool) -> None:
        if kind == "L":
            self._lines(values, relative)
        elif kind == "C":
            self._curves(values, relative)
        elif kind in "HV":
            self._straight(kind == "H", values, relative)
        elif kind == "S":
            self._smooth(values, relative)
        else:
            self._quadratics(kind == "T", values, relative)

    def _lines(self, values: list[float], relative: bool) -> None:
        if relative:
            x, y = self.x, self.y
            for at in range(0, len(values), 2):
                values[at] = x = x + values[at]
                values[at + 1] = y = y + values[at + 1]
        self._out.coords.extend(values)
        self._out.codes.extend(b"\x01" * (len(values) // 2))
        self.x, self.y = values[-2], values[-1]

    def _straight(self, across: bool, values: list[float], relative: bool) -> None:
        out, x, y = self._out, self.x, self.y
        for value in values:
            if across:
                x = x + value if relative else value
            else:
                y = y + value if relative else value
            out.coords.extend((x, y))
            out.codes.append(LINE)
        self.x, self.y = x, y

    def _curves(self, values: list[float], relative: bool) -> None:
        if relative:
            x, y = self.x, self.y
            for at in range(0, len(values), 6):
                values[at] += x
                values[at + 1] += y
                values[at + 2] += x
                values[at + 3] += y
                values[at + 4] = x = x + values[at + 4]
                values[at + 5] = y = y + values[at + 5]
        self._out.coords.extend(values)
        self._out.codes.extend(b"\x02" * (len(values) // 2))
        self.cx, self.cy, self.x, self.y = values[-4:]

    def _smooth(self, values: list[float], relative: bool) -> None:
        mirrored = self._last in ("C", "S")
        for at in range(0, len(values), 4):
            four = values[at : at + 4]
            if relative:
                four = [four[0] + self.x, four[1] + self.y, four[2] + self.x, four[3] + self.y]
            first = [2 * self.x - self.cx, 2 * self.y - self.cy] if mirrored else [self.x, self.y]
            self._curves(first + four, relative=False)
            mirrored = True

    def _quadratics(self, smooth: bool, values: list[float], relative: bool) -> None:
        mirrored = self._last in ("Q", "T")
        for at in range(0, len(values), 2 if smooth else 4):
            dx, dy = (self.x, self.y) if relative else (0.0, 0.0)
            if smooth:
                cx, cy = (2 * self.x - self.cx, 2 * self.y - self.cy) if mirrored else (self.x, self.y)
                x, y = values[at] + dx, values[at + 1] + dy
            else:
                cx, cy, x, y = values[at] + dx, values[at + 1] + dy, values[at + 2] + dx, values[at + 3] + dy
            self._out.coords.extend(
                (
                    self.x + 2 / 3 * (cx - self.x),
                    self.y + 2 / 3 * (cy - self.y),
                    x + 2 / 3 * (cx - x),
                    y + 2 / 3 * (cy - y),
                    x,
                    y,
                )
            )
            self._out.codes.extend(b"\x02\x02\x02")
            self.cx, self.cy, self.x, self.y = cx, cy, x, y
            mirrored = True

    def _arcs(self, chunk: str, relative: bool) -> bool:
        at = 0
        while found := _ARC.match(chunk, at):
            if self._fresh:
                self._reopen()
            rx, ry, turned, large, sweep, x, y = map(float, found.groups())
            if relative:
                x, y = x + self.x, y + self.y
            arc(self._out, (self.x, self.y), (abs(rx), abs(ry)), turned, (large > 0, sweep > 0), (x, y))
            self.x, self.y, self._last, at = x, y, "A", found.end()
        return at > 0 and not chunk[at:].strip(" \t\r\n\f")


def _numbers(chunk: str) -> tuple[list[float], bool]:
    """The numbers up to the first thing that is none."""
    tokens = _TOKENS.findall(chunk)
    try:
        return list(map(float, tokens)), True
    except ValueError:
        values: list[float] = []
        for token in tokens:
            if not re.fullmatch(_NUMBER, token):
                break
            values.append(float(token))
        return values, False


def numbers(text: str) -> tuple[list[float], bool]:
    """A list of numbers as in `points`: those up to the first error, and whether there was none."""
    if double := _COMMAS.search(text):
        text = text[: double.start()]
    values, clean = _numbers(text)
    return values, clean and double is None


def arc(
    out: Outlines,
    start: tuple[float, float],
    radii: tuple[float, float],
    turned_degrees: float,
    flags: tuple[bool, bool],
    end: tuple[float, float],
) -> None:
    """An elliptical arc by its end points, as curves; SVG 1.1, F.6.5 and F.6.6. `flags` are large arc and sweep."""
    if start == end:
        return
    (rx, ry), turned = radii, radians(turned_degrees)
    usable = (
        rx > _RADIUS_MIN
        and ry > _RADIUS_MIN
        and all(abs(value) < _VALUE_MAX for value in (*start, *end, rx, ry, turned))
    )
    if not usable:  # no radius, or nothing worth the name: a line
        out.coords.extend(end)
        out.codes.append(LINE)
        return
    cosine, sine = cos(turned), sin(turned)
    half_x, half_y = (start[0] - end[0]) / 2, (start[1] - end[1]) / 2
    px, py = cosine * half_x + sine * half_y, cosine * half_y - sine * half_x
    stretch = hypot(px / rx, py / ry)
    if stretch >= 1:
        rx, ry, root = rx * stretch, ry * stretch, 0.0
    else:
        root = sqrt(max(0.0, 1 / stretch**2 - 1)) * (-1 if flags[0] == flags[1] else 1)
    qx, qy = root * rx * py / ry, -root * ry * px / rx
    centre = (
        cosine * qx - sine * qy + (start[0] + end[0]) / 2,
        sine * qx + cosine * qy + (start[1] + end[1]) / 2,
    )
    first = atan2((py - qy) / ry, (px - qx) / rx)
    angle = atan2((-py - qy) / ry, (-px - qx) / rx) - first
    if flags[1] and angle < 0:
        angle += 2 * pi
    elif not flags[1] and angle > 0:
        angle -= 2 * pi
    _turn(out, centre, (rx, ry), turned, first, angle)
    out.coords[-2:] = array("d", end)  # exactly, whatever the rounding


def _turn(
    out: Outlines,
    centre: tuple[float, float],
    radii: tuple[float, float],
    turned: float,
    first: float,
    angle: float,
) -> None:
    """Curves along an ellipse, from the angle `first` on; the pen stands at its beginning."""
    pieces = max(1, ceil(abs(angle) / _ARC_STEP - 1e-9))
    step = angle / pieces
    reach = 4 / 3 * tan(step / 4)
    (rx, ry), cosine, sine = radii, cos(turned), sin(turned)
    points: list[tuple[float, float]] = []
    for number in range(pieces):
        a, b = first + number * step, first + (number + 1) * step
        points += [
            (cos(a) - reach * sin(a), sin(a) + reach * cos(a)),
            (cos(b) + reach * sin(b), sin(b) - reach * cos(b)),
            (cos(b), sin(b)),
        ]
    for u, v in points:
        out.coords.extend(
            (centre[0] + cosine * rx * u - sine * ry * v, centre[1] + sine * rx * u + cosine * ry * v)
        )
    out.codes.extend(bytes([CURVE]) * len(points))


def degrees_of(value: float, unit: str) -> float:
    """An angle of CSS in degrees; without a unit it is degrees already."""
    return {"": value, "deg": value, "rad": degrees(value), "grad": value * 0.9, "turn": value * 360}[unit]
