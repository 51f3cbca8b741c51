"""The vendor bundles that PrusaSlicer brings, flattened: some hundred machines' settings as one plain key map each.

PrusaSlicer 2.5's command line cannot pick a preset out of a bundle, so inheritance is resolved here. What could run a
command, name a file or carry a secret is taken out on the way; what is left feeds the slicer and the estimator alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

INSTALLED = Path("/usr/share/PrusaSlicer/profiles")
DEPTH_MAX = 32

Sections = Mapping[str, Mapping[str, str]]

_META = frozenset(
    {
        "inherits",
        "renamed_from",
        "notes",
        "filament_notes",
        "printer_variant",
        "printer_vendor",
        "filament_vendor",
        "default_print_profile",
        "default_filament_profile",
        "default_materials",
        "bed_custom_texture",
        "thumbnails",
        "thumbnails_format",
    }
)
"""Keys that choose presets or decorate them. Not `printer_model` and `printer_notes`: start G-code asks for them, and a
MK3S that is told another model's name stops and waits for a person.
"""
_DANGEROUS = frozenset({"post_process", "output_filename_format", "gcode_substitutions", "bed_custom_model"})
"""Keys that run a program, name a file or rewrite what was checked."""
_SECRET_PREFIXES = ("print_host", "printhost_", "host_", "serial_")


class BundleError(ValueError):
    """The bundle is not installed, or has no such preset: the operator's to mend."""


@dataclass(frozen=True, kw_only=True)
class Preset:
    """One machine as a bundle names it: vendor file, then the three presets that are merged, in this order."""

    vendor: str
    print: str
    filament: str
    printer: str


def flatten(preset: Preset, folder: Path = INSTALLED) -> Mapping[str, str]:
    """Every key of the preset with its inheritance resolved, safe to hand to a slicer. Raises BundleError."""
    keys: dict[str, str] = {}
    for kind, name in (("print", preset.print), ("filament", preset.filament), ("printer", preset.printer)):
        keys |= section(preset.vendor, kind, name, folder)
    return MappingProxyType(keys | {"post_process": "", "output_filename_format": "out.gcode"})


def section(vendor: str, kind: str, name: str, folder: Path = INSTALLED) -> dict[str, str]:
    """One preset's own keys and those it inherits, without the harmful ones. Raises BundleError."""
    keys = _resolved(read(folder / f"{vendor}.ini"), kind, name, 0)
    return {key: value for key, value in keys.items() if harmless(key)}


def defaults(vendor: str, printer: str, folder: Path = INSTALLED) -> tuple[str, str]:
    """The print and the filament preset that the vendor means for a printer; "" where it names none."""
    keys = _resolved(read(folder / f"{vendor}.ini"), "printer", printer, 0)
    named = (keys.get(f"default_{kind}_profile", "").split(";")[0] for kind in ("print", "filament"))
    first, second = (name.strip().strip('"') for name in named)
    return first, second


def read(path: Path) -> Sections:
    """A bundle's sections, `kind:name` -> keys. Raises BundleError where there is no such file.

    Not `configparser`: a bundle's values hold `%`, `=` and `;` freely, and its names hold `:` and `]`.
    """
    if path.parent != path.parent.resolve() and not path.parent.is_dir():
        raise BundleError(f"no bundles in {path.parent}")
    if not path.is_file():
        raise BundleError(f"the bundle {path.stem} is not installed in {path.parent}")
    sections: dict[str, dict[str, str]] = {}
    current: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("[") and line.rstrip().endswith("]"):
            current = sections.setdefault(line.strip()[1:-1], {})
        elif not line.startswith(("#", ";")):
            key, mark, value = line.partition("=")
            if mark:
                current[key.strip()] = value.strip()
    return sections


def presets(folder: Path = INSTALLED) -> Iterator[tuple[str, str, str]]:
    """All that may be chosen: (vendor, kind, name); the abstract ones, whose names stand in stars, are left out."""
    for path in sorted(folder.glob("*.ini")):
        for heading in read(path):
            kind, mark, name = heading.partition(":")
            if mark and kind in ("printer", "print", "filament") and not name.startswith("*"):
                yield path.stem, kind, name


def _resolved(sections: Sections, kind: str, name: str, depth: int) -> dict[str, str]:
    """Parents left to right, each with its own parents first; the preset's own keys last."""
    own = sections.get(f"{kind}:{name}")
    if own is None:
        raise BundleError(f"the bundle has no {kind} preset {name!r}")
    if depth > DEPTH_MAX:
        raise BundleError(f"the {kind} preset {name!r} inherits from itself")
    keys: dict[str, str] = {}
    for parent in own.get("inherits", "").split(";"):
        if parent.strip():
            keys |= _resolved(sections, kind, parent.strip(), depth + 1)
    return keys | {key: value for key, value in own.items() if key != "inherits"}


def harmless(key: str) -> bool:
    """Whether the slicer may be told this key: it runs nothing, names no file, and carries no address or secret."""
    return not (
        key in _META
        or key in _DANGEROUS
        or key.startswith(("compatible_", *_SECRET_PREFIXES))
        or key.endswith("_host")
        or "apikey" in key
    )
