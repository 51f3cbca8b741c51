"""Which way a part would better lie: the six faces of its box, each estimated as the member would have it printed.

A way that needs supports is estimated with them, so that what hangs in the air costs what it really costs. Says nothing
unless a turn saves enough to be worth moving somebody else's part. Pure; knows triangles, a profile and the estimate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from slicing import raster
from slicing.estimate import estimate_print
from slicing.messages import TURN_NAMES
from slicing.placement import TURNS, Placement
from slicing.plate import Size
from slicing.printability import Settings, inside, needs_supports
from slicing.raster import F64

SAVES_SECONDS, SAVES_SHARE = 300, 0.10
TRIANGLES_MAX = 150_000
"""Beyond it six estimates take longer than a member looks at a price."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way to lie: whether it needs supports, and what one copy takes then."""

    turn: str
    supports: bool
    seconds: int
    milligrams: int
    support_milligrams: int


@dataclass(frozen=True, kw_only=True)
class OrientationAdvice:
    """The way it lies now and a better one, in the file's own terms (`now.turn` is what the member chose)."""

    now: Way
    then: Way
    text_en: str
    text_fr: str

    def to_json(self) -> dict[str, Any]:
        return {
            "turn": self.then.turn,
            "supports": self.then.supports,
            "seconds_now": self.now.seconds,
            "seconds_then": self.then.seconds,
            "milligrams_now": self.now.milligrams,
            "milligrams_then": self.then.milligrams,
            "texts": {"en": self.text_en, "fr": self.text_fr},
        }


def advise(triangles: F64, keys: Mapping[str, str], placement: Placement) -> OrientationAdvice | None:
    """A better way to lay triangles (m, 3, 3) in mm, as drawn; None where it lies well, or is too large to try.

    The present way is taken with supports if it needs them, even where the member has not asked for any: without, it
    would fail, and a failed print saves nothing.
    """
    if len(triangles) > TRIANGLES_MAX:
        return None
    ways = {turn: _way(triangles, keys, placement, turn) for turn in TURNS}
    now = ways.pop(placement.turn)
    others = [way for way in ways.values() if way is not None]
    if now is None or not others:
        return None
    best = min(others, key=lambda way: (way.seconds, way.milligrams))
    saved = now.seconds - best.seconds
    if saved < SAVES_SECONDS or saved < SAVES_SHARE * now.seconds:
        return None
    english, french = _words(now, best)
    return OrientationAdvice(now=now, then=best, text_en=english, text_fr=french)


def _way(triangles: F64, keys: Mapping[str, str], placement: Placement, turn: str) -> Way | None:
    """None where the part does not fit the machine that way."""
    lying = Placement(scale_percent=placement.scale_percent, turn=turn).of(triangles)
    low, high = raster.bounds(lying)
    x, y, z = (float(v) for v in high - low)
    size: Size = (x, y, z)
    if not inside(size, Settings.of(keys).bed):
        return None
    supports = keys.get("support_material", "0").strip() == "1" or needs_supports(lying, keys)
    told = estimate_print(lying, {**keys, "support_material": "1" if supports else "0"})
    density = float(keys.get("filament_density", "1.24").split(",")[0])
    return Way(
        turn=turn,
        supports=supports,
        seconds=told.seconds_p50,
        milligrams=told.milligrams_p50,
        support_milligrams=round(told.features.get("mm3_support", 0.0) * density),
    )


def _words(now: Way, then: Way) -> tuple[str, str]:
    minutes = (now.seconds - then.seconds) // 60
    saved = now.support_milligrams - then.support_milligrams
    name_en, name_fr = TURN_NAMES[then.turn]
    english, french = (
        f"Lying {name_en} it takes {minutes} min less",
        f"Posée {name_fr}, elle prend {minutes} min de moins",
    )
    if now.supports and not then.supports:
        return f"{english} and needs no supports.", f"{french} et se passe de supports."
    if saved >= 1000:
        grams = round(saved / 1000)
        return f"{english} and {grams} g less of supports.", f"{french} et {grams} g de supports en moins."
    return f"{english}.", f"{french}."
