"""Which materials there are, how each is cut, scored and engraved by which source, and which never come under a beam.

A figure comes with where it is from and how far it may be trusted; it is a starting point until somebody tried it in
this lab. What is forbidden stays so: a lab may add to the list, not take from it. Knows nothing of drawings.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from slicing.faults import FileRefused, refused
from slicing.messages import REFUSALS
from slicing.vector.machines import CutMachine
from slicing.vector.toolpath import CUT, ENGRAVE, SCORE, Settings

OURS = Path(__file__).with_name("materials.toml")
SOURCES = ("co2", "diode", "knife")
KINDS = (CUT, SCORE, ENGRAVE)
CONFIDENCES = ("vendor", "lab_tested", "scaled", "community")
ALIKE = 1.1
"""Tubes whose powers differ by less than this factor are the same: they age more than that."""


@dataclass(frozen=True, kw_only=True)
class Preset:
    """How one kind of work is done. `watts` is the power of the machine it was found on; 0: nobody said."""

    speed_mm_s: float
    power_percent: float
    provenance: str
    confidence: str
    passes: int = 1
    interval_mm: float = 0.1
    air: bool = True
    watts: float = 0.0
    tested_on: str = ""  # day of the test in this lab, as YYYY-MM-DD; empty: never


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What one source does to a material; with a reason in `refused_en` (and `_fr`) it must not even try."""

    kerf_mm: float = 0.0
    kerf_provenance: str = ""
    presets: Mapping[str, Preset] = field(default_factory=dict)  # by kind
    forbidden: str = ""  # what on the forbidden list it is, for this source
    refused_en: str = ""
    refused_fr: str = ""


@dataclass(frozen=True, kw_only=True)
class Material:
    name: str
    en: str
    fr: str
    thickness_mm: float
    flare_risk: bool = False  # burns with a flame when the air fails: watched all the time, with air
    sources: Mapping[str, Usage] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Forbidden:
    name: str
    en: str
    fr: str
    why_en: str
    why_fr: str


@dataclass(frozen=True, kw_only=True)
class Materials:
    known: Mapping[str, Material]
    forbidden: Mapping[str, Forbidden]


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One preset as a machine would use it. `suggestion` is set where the machine's power is another than the one the
    figures were found with: the same energy per mm, for a test cut and never used unasked.
    """

    settings: Settings
    preset: Preset
    material: Material
    suggestion: Settings | None = None


def materials(own: Path | None = None) -> Materials:
    """Ours and, over them, the lab's own. Raises ValueError naming the key that is wrong."""
    tables = _read(OURS)
    if own is not None and own.is_file():
        for name in (lab := _read(own)):
            if name in tables["forbidden"]:
                raise ValueError(f"{own.name}: {name}: is forbidden and stays so")
        return _materials(own.name, _over(tables, lab))
    return _materials(OURS.name, tables)


def preset(found: Materials, material: str, machine: CutMachine, kind: str) -> Choice:
    """Raises FileRefused `laser.material_forbidden`, `laser.material_unknown`, `laser.material_unfit` (not with this
    source) or `laser.no_settings` (nobody has figures for this kind).
    """
    chosen = usable(found, material, machine)
    usage = chosen.sources[machine.source]
    if kind not in usage.presets:
        raise _refused(
            "laser.no_settings",
            material=(chosen.en, chosen.fr),
            kind=kind,
            machine=machine.name,
            known=", ".join(usage.presets),
        )
    row = usage.presets[kind]
    return Choice(
        settings=_settings(row, usage.kerf_mm, machine),
        preset=row,
        material=chosen,
        suggestion=_suggestion(row, usage.kerf_mm, machine),
    )


def usable(found: Materials, material: str, machine: CutMachine) -> Material:
    """The material, if this machine may and can work it. Raises FileRefused as `preset` does."""
    if material in found.forbidden and machine.source != "knife":
        raise _forbidden(found.forbidden[material])
    chosen = found.known.get(material)
    if chosen is None:
        offered = sorted(name for name in found.known if not why_not(found, name, machine.source))
        raise refused("laser.material_unknown", material=material[:60], known=", ".join(offered))
    usage = chosen.sources.get(machine.source, Usage())
    if usage.forbidden:
        raise _forbidden(found.forbidden[usage.forbidden])
    if reason := why_not(found, material, machine.source):
        raise _refused(
            "laser.material_unfit", material=(chosen.en, chosen.fr), machine=machine.name, why=reason
        )
    return chosen


def why_not(found: Materials, material: str, source: str) -> tuple[str, str] | None:
    """Why this source must not work the material, in English and French; None where it may."""
    usage = found.known[material].sources.get(source, Usage())
    if usage.forbidden:
        forbidden = found.forbidden[usage.forbidden]
        return forbidden.why_en, forbidden.why_fr
    if usage.refused_en:
        return usage.refused_en, usage.refused_fr
    if not usage.presets:
        return "nobody has figures for it with this source", "personne n'a de réglages pour cette source"
    return None


def listing(found: Materials, source: str) -> list[dict[str, Any]]:
    """Everything for a page of one source, plain: what may be chosen, then what may not and why."""
    rows = [_row(found, material, source) for material in found.known.values()]
    rows.sort(key=lambda row: bool(row["why_en"]))
    if source == "knife":
        return rows
    return rows + [
        {"name": f.name, "en": f.en, "fr": f.fr, "allowed": False, "why_en": f.why_en, "why_fr": f.why_fr}
        for f in found.forbidden.values()
    ]


def _row(found: Materials, material: Material, source: str) -> dict[str, Any]:
    why = why_not(found, material.name, source)
    usage = material.sources.get(source, Usage())
    shown = {} if why else usage.presets
    return {
        "name": material.name,
        "en": material.en,
        "fr": material.fr,
        "thickness_mm": material.thickness_mm,
        "flare_risk": material.flare_risk,
        "allowed": why is None,
        "why_en": why[0] if why else "",
        "why_fr": why[1] if why else "",
        "kerf_mm": usage.kerf_mm,
        "kerf_provenance": usage.kerf_provenance,
        "presets": {
            kind: {f.name: getattr(row, f.name) for f in fields(Preset)} for kind, row in shown.items()
        },
    }


def _settings(row: Preset, kerf_mm: float, machine: CutMachine) -> Settings:
    """What the axes cannot reach is slowed down, with as much less power: the energy per mm stays."""
    speed = min(row.speed_mm_s, *machine.speed_max_mm_s)
    return Settings(
        speed_mm_s=round(speed, 3),
        power_permille=round(row.power_percent * 10 * speed / row.speed_mm_s),
        passes=row.passes,
        interval_mm=row.interval_mm,
        kerf_mm=kerf_mm,
        air=row.air,
    )


def _suggestion(row: Preset, kerf_mm: float, machine: CutMachine) -> Settings | None:
    """The same energy per mm on another power: a slower or faster cut, a weaker or stronger engraving."""
    if not (row.watts and machine.power_watts and row.power_percent):
        return None
    factor = machine.power_watts / row.watts
    if 1 / ALIKE < factor < ALIKE:
        return None
    percent = row.power_percent / factor if row.power_percent / factor <= 100 else row.power_percent
    if row.power_percent < 50 and percent >= 10:
        return _settings(replace(row, power_percent=percent), kerf_mm, machine)
    return _settings(replace(row, speed_mm_s=row.speed_mm_s * factor), kerf_mm, machine)


def _forbidden(forbidden: Forbidden) -> FileRefused:
    return _refused(
        "laser.material_forbidden",
        material=(forbidden.en, forbidden.fr),
        why=(forbidden.why_en, forbidden.why_fr),
    )


def _refused(code: str, **params: str | tuple[str, str]) -> FileRefused:
    """A refusal with words that have a French form of their own, which travel beside the English as `…_fr`."""
    plain = {name: value if isinstance(value, str) else value[0] for name, value in params.items()}
    french = {name: value if isinstance(value, str) else value[1] for name, value in params.items()}
    extra = {f"{name}_fr": value[1] for name, value in params.items() if isinstance(value, tuple)}
    fault = refused(code, seen=plain["material"], **plain, **extra)
    fault.message_fr = REFUSALS[code].fr.format(**french)
    return fault


def _read(file: Path) -> dict[str, dict[str, Any]]:
    try:
        tables = tomllib.loads(file.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as wrong:
        raise ValueError(f"{file.name}: {wrong}") from wrong
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise ValueError(f"{file.name}: {name}: not a table")
    return {"forbidden": {}, **tables}


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Tables merged key by key, the upper one's values winning."""
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        merged[key] = _over(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return merged


def _materials(file: str, tables: Mapping[str, Mapping[str, Any]]) -> Materials:
    forbidden = {
        name: Forbidden(
            name=name, **_typed(file, f"forbidden.{name}", table, _FORBIDDEN, required=_FORBIDDEN)
        )
        for name, table in tables["forbidden"].items()
    }
    known = {name: _material(file, name, table) for name, table in tables.items() if name != "forbidden"}
    for name, material in known.items():
        for source, usage in material.sources.items():
            if usage.forbidden and usage.forbidden not in forbidden:
                raise ValueError(f"{file}: {name}.{source}: forbidden: {usage.forbidden} is not on the list")
    return Materials(known=MappingProxyType(known), forbidden=MappingProxyType(forbidden))


def _material(file: str, name: str, table: Mapping[str, Any]) -> Material:
    own = {key: value for key, value in table.items() if key not in SOURCES}
    checked = _typed(file, name, own, _MATERIAL, required=("en", "fr", "thickness_mm"))
    sources = {
        source: _usage(file, f"{name}.{source}", table[source]) for source in SOURCES if source in table
    }
    return Material(name=name, sources=sources, **checked)


def _usage(file: str, where: str, table: object) -> Usage:
    if not isinstance(table, dict):
        raise ValueError(f"{file}: {where}: not a table")
    own = _typed(file, where, {k: v for k, v in table.items() if k not in KINDS}, _USAGE)
    presets = {kind: _preset(file, f"{where}.{kind}", table[kind]) for kind in KINDS if kind in table}
    return Usage(presets=presets, **own)


def _preset(file: str, where: str, table: object) -> Preset:
    needed = ("speed_mm_s", "power_percent", "provenance", "confidence")
    return Preset(**_typed(file, where, table, _PRESET, required=needed))


_Check = tuple[type | tuple[type, ...], float, float]
_TEXT: _Check = (str, 1, 300)
_NUMBER = (int, float)
_FORBIDDEN: Mapping[str, _Check] = {"en": _TEXT, "fr": _TEXT, "why_en": _TEXT, "why_fr": _TEXT}
_MATERIAL: Mapping[str, _Check] = {
    "en": _TEXT,
    "fr": _TEXT,
    "thickness_mm": (_NUMBER, 0.01, 100),
    "flare_risk": (bool, 0, 1),
}
_USAGE: Mapping[str, _Check] = {
    "kerf_mm": (_NUMBER, 0, 3),
    "kerf_provenance": _TEXT,
    "forbidden": _TEXT,
    "refused_en": _TEXT,
    "refused_fr": _TEXT,
}
_PRESET: Mapping[str, _Check] = {
    "speed_mm_s": (_NUMBER, 0.1, 3000),
    "power_percent": (_NUMBER, 0, 100),
    "passes": (int, 1, 20),
    "interval_mm": (_NUMBER, 0.02, 2),
    "air": (bool, 0, 1),
    "watts": (_NUMBER, 0, 1000),
    "provenance": _TEXT,
    "confidence": _TEXT,
    "tested_on": (str, 0, 10),
}


def _typed(
    file: str, where: str, table: object, checks: Mapping[str, _Check], required: Any = ()
) -> dict[str, Any]:
    """The table, each key known and each value of its type and within its bounds (of a text: its length)."""
    if not isinstance(table, dict):
        raise ValueError(f"{file}: {where}: not a table")
    for key, value in table.items():
        if key not in checks:
            raise ValueError(f"{file}: {where}: {key}: unknown key")
        kind, low, high = checks[key]
        right = isinstance(value, kind) and (kind is bool) == isinstance(value, bool)
        if not right or not low <= (len(value) if isinstance(value, str) else value) <= high:
            raise ValueError(f"{file}: {where}: {key}: {value!r} is not within {low:g} and {high:g}")
    for key in required:
        if key not in table:
            raise ValueError(f"{file}: {where}: {key}: missing")
    if table.get("confidence", CONFIDENCES[0]) not in CONFIDENCES:
        raise ValueError(f"{file}: {where}: confidence: {table['confidence']!r}, not one of {CONFIDENCES}")
    return dict(table)
