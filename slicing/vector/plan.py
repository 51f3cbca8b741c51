"""What a member chose for a drawing, read from plain JSON: every value checked, every refusal says which and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from slicing.faults import FileRefused, refused
from slicing.vector.toolpath import OPERATIONS

QUANTITY_MAX = 500
SCALE_MAX = 2000
TABS_MAX = 20
TAB_MM = (0.1, 10.0)
PLACE_MM_MAX = 10_000.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    material: str
    operations: Mapping[str, str] = field(default_factory=dict)  # by Group key; the rest as the rules say
    quantity: int = 1
    remove_duplicates: bool = True
    kerf: bool = True
    tabs: int = 0  # a part
    tab_mm: float = 0.6
    scale_percent: int = 100
    rotation_degrees: int = 0  # counter-clockwise, as seen on the bed
    x_mm: float | None = None  # of the lower left corner of the first copy; None: a margin from the bed's
    y_mm: float | None = None
    sheet_mm: tuple[float, float] | None = (
        None  # width, depth of what lies at the bed's origin; None: the bed
    )

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Plan:
        """Raises FileRefused `laser.plan_unknown`, `laser.plan_missing` or `laser.plan_value`."""
        for name in raw:
            if name not in _READERS:
                raise refused("laser.plan_unknown", field=str(name)[:60], known=", ".join(_READERS))
        if "material" not in raw:
            raise refused("laser.plan_missing", field="material")
        return cls(**{name: _READERS[name](name, value) for name, value in raw.items()})


def _wrong(name: str, value: Any, rule: str) -> FileRefused:
    return refused("laser.plan_value", field=name, value=repr(value)[:80], rule=rule)


def _name(name: str, value: Any) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= 100:
        raise _wrong(name, value, "abc…")
    return value


def _operations(name: str, value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise _wrong(name, value, "{…: cut}")
    for key, kind in value.items():
        if not isinstance(key, str) or kind not in OPERATIONS:
            raise _wrong(f"{name}[{str(key)[:60]}]", kind, ", ".join(OPERATIONS))
    return dict(value)


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _wrong(name, value, "true, false")
    return value


def _whole(low: int, high: int) -> Callable[[str, Any], int]:
    def read(name: str, value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise _wrong(name, value, f"{low} … {high}")
        return value

    return read


def _number(name: str, value: Any, low: float, high: float) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not isfinite(value) or not low <= value <= high:
        raise _wrong(name, value, f"{low:g} … {high:g} mm")
    return float(value)


def _tab(name: str, value: Any) -> float:
    return _number(name, value, *TAB_MM)


def _quarter(name: str, value: Any) -> int:
    if isinstance(value, bool) or value not in (0, 90, 180, 270):
        raise _wrong(name, value, "0, 90, 180, 270")
    return int(value)


def _place(name: str, value: Any) -> float | None:
    return None if value is None else _number(name, value, 0, PLACE_MM_MAX)


def _sheet(name: str, value: Any) -> tuple[float, float] | None:
    if value is None:
        return None
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise _wrong(name, value, "[600, 400]")
    width, depth = (_number(name, side, 1, PLACE_MM_MAX) for side in value)
    return width, depth


_READERS: Mapping[str, Callable[[str, Any], Any]] = {
    "material": _name,
    "operations": _operations,
    "quantity": _whole(1, QUANTITY_MAX),
    "remove_duplicates": _flag,
    "kerf": _flag,
    "tabs": _whole(0, TABS_MAX),
    "tab_mm": _tab,
    "scale_percent": _whole(1, SCALE_MAX),
    "rotation_degrees": _quarter,
    "x_mm": _place,
    "y_mm": _place,
    "sheet_mm": _sheet,
}
