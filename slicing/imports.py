"""A machine out of a vendor's bundle, as profiles of the lab: what `./etabli profiles` lists and writes.

From one printer, one print and some filament presets come `machine-NAME.ini` (the printer's keys, its start and end
G-code among them, and the print preset's speeds, widths, accelerations and shells), `quality-normal@NAME.ini` (the
layer heights the vendor means; a further print preset for draft or fine brings whatever it changes) and one
`material-TYPE@NAME.ini` for each filament (temperatures, density, cooling, flow, filament G-code). How they are found
and layered is told in `slicing.profile`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from slicing.bundles import INSTALLED, BundleError, defaults, presets, section
from slicing.profile import NAME, OURS, QUALITIES, OverrideRefused, PrintProfile, Shelf, UnknownProfile

_QUALITY_KEYS = (
    "layer_height",
    "first_layer_height",
    "top_solid_layers",
    "bottom_solid_layers",
)
_MACHINE_FROM_FILAMENT = ("filament_diameter",)
"""What a filament preset knows of the machine: with the lab's own material files a 2.85 mm machine stays one."""

Keys = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """One import. An empty print or no filament means those the vendor names as the printer's defaults."""

    vendor: str
    printer: str
    name: str
    print: str = ""
    filaments: tuple[str, ...] = ()
    other_prints: Mapping[str, str] = field(default_factory=dict)  # quality -> print preset


def listed(vendor: str = "", bundles: Path = INSTALLED) -> list[str]:
    """Lines for people: the vendors with their numbers of printers, or one vendor's presets by kind."""
    found = [preset for preset in presets(bundles) if vendor in ("", preset[0])]
    if not found:
        raise BundleError(f"no bundle {vendor!r} is installed in {bundles}")
    if vendor:
        return [f"{kind:9} {name}" for _, kind, name in found]
    vendors = dict.fromkeys(name for name, _, _ in found)
    return [f"{name:16} {_printers(found, name)} printers" for name in vendors]


def _printers(found: Iterable[tuple[str, str, str]], vendor: str) -> int:
    return sum(1 for name, kind, _ in found if name == vendor and kind == "printer")


def import_machine(wanted: Wanted, into: Path, bundles: Path = INSTALLED) -> list[Path]:
    """Write the profiles of one machine and return their paths; an earlier import of that name is replaced.

    Raises BundleError for what is not installed, or cannot be printed on by us (resin, several extruders).
    """
    if not NAME.fullmatch(wanted.name):
        raise BundleError(f"a machine profile is named by {NAME.pattern}, not {wanted.name!r}")
    files = _files(wanted, bundles)
    into.mkdir(parents=True, exist_ok=True)
    for stale in [*into.glob(f"*@{wanted.name}.ini"), into / f"machine-{wanted.name}.ini"]:
        stale.unlink(missing_ok=True)
    written = [_write(into / f"{stem}.ini", keys, wanted) for stem, keys in files.items()]
    _prove(wanted.name, Shelf.of(into))
    return written


def _files(wanted: Wanted, bundles: Path) -> dict[str, Keys]:
    """Stem -> keys. Nothing is written before all of them are known to be there."""
    first_print, first_filament = defaults(wanted.vendor, wanted.printer, bundles)
    printer = _printable(wanted, section(wanted.vendor, "printer", wanted.printer, bundles))
    if not (wanted.print or first_print) or not (wanted.filaments or first_filament):
        raise BundleError(
            f"{wanted.vendor} names no defaults for {wanted.printer!r}: give --print and --filament"
        )
    normal = section(wanted.vendor, "print", wanted.print or first_print, bundles)
    filaments = [
        section(wanted.vendor, "filament", name, bundles) for name in wanted.filaments or (first_filament,)
    ]
    of_filament = {key: filaments[0][key] for key in _MACHINE_FROM_FILAMENT if key in filaments[0]}
    files: dict[str, Keys] = {
        f"machine-{wanted.name}": {**normal, **printer, **of_filament},
        f"quality-normal@{wanted.name}": _layers(normal),
    }
    for quality, name in wanted.other_prints.items():
        if quality not in QUALITIES:
            raise BundleError(f"no quality preset {quality!r}")
        keys = section(wanted.vendor, "print", name, bundles)
        changed = {key: value for key, value in keys.items() if value != normal.get(key)}
        files[f"quality-{quality}@{wanted.name}"] = {**_layers(keys), **changed}
    for keys in filaments:
        material = _material(keys)
        files[f"material-{material}@{wanted.name}"] = {**keys, "filament_density": _density(keys, material)}
    return files


def _printable(wanted: Wanted, printer: Keys) -> Keys:
    if printer.get("printer_technology", "FFF") != "FFF":
        raise BundleError(f"{wanted.printer} is no printer of filament")
    if len(printer.get("nozzle_diameter", "0.4").split(",")) > 1:
        raise BundleError(f"{wanted.printer} has several extruders; choose its preset for one")
    missing = [key for key in ("bed_shape", "max_print_height") if not printer.get(key)]
    if missing:
        raise BundleError(f"the printer preset {wanted.printer!r} does not say its {' and '.join(missing)}")
    return printer


def _layers(print_keys: Keys) -> dict[str, str]:
    return {key: print_keys[key] for key in _QUALITY_KEYS if key in print_keys}


def _material(filament: Keys) -> str:
    """The name the lab knows it by: its type, such as `pla` or `petg`."""
    name = filament.get("filament_type", "").lower().replace(" ", "-")
    known = {"pet": "petg"}.get(name, name)
    if not NAME.fullmatch(known):
        raise BundleError(f"a filament preset names no usable type: {filament.get('filament_type')!r}")
    return known


def _density(filament: Keys, material: str) -> str:
    """g/cm3. Some vendors leave it at 0, and nothing could be charged: then it is the lab's for that material."""
    own = filament.get("filament_density", "0")
    if float(own.split(",")[0]) > 0:
        return own
    ours = OURS.read(f"material-{material}")
    if ours is None:
        raise BundleError(f"the filament preset for {material} does not say its density; choose another")
    return ours["filament_density"]


def _write(path: Path, keys: Keys, wanted: Wanted) -> Path:
    """Whole or not at all."""
    head = f"# {wanted.printer}, from the bundle {wanted.vendor} that PrusaSlicer brings; its terms are its vendor's.\n"
    part = path.with_suffix(".part")
    part.write_text(
        head + "".join(f"{key} = {value}\n" for key, value in sorted(keys.items())), encoding="utf-8"
    )
    return part.replace(path)


def _prove(name: str, shelf: Shelf) -> None:
    """Every quality with every material must resolve to something with a bed and a filament."""
    for quality in QUALITIES:
        for material in {*shelf.available("material"), *shelf.of_machine("material", name)}:
            try:
                profile = PrintProfile.resolve(name, material, quality, shelf=shelf)
                hot = float(profile.keys["temperature"].split(",")[0])
                good = min(*profile.bed_mm, profile.filament_mm2, profile.filament_density, hot) > 0
            except (KeyError, ValueError, UnknownProfile, OverrideRefused) as error:
                raise BundleError(
                    f"{name} with {material} and {quality} does not resolve: {error}"
                ) from error
            if not good:
                raise BundleError(f"{name} with {material} has no bed, no filament or no heat to speak of")
