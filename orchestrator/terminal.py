"""Commands that a person runs at a terminal on models and profiles: no lab runs, no database is opened."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from orchestrator.domain.errors import Misconfigured, Unavailable
from orchestrator.domain.process import Quality, Turn
from orchestrator.settings import Settings
from slicing.bundles import BundleError
from slicing.command import Estimated, estimates, found
from slicing.faults import SlicerUnavailable
from slicing.imports import Wanted, import_machine, listed
from slicing.placement import Placement
from slicing.profile import PrintProfile, Shelf, UnknownProfile


async def estimate(settings: Settings, arguments: argparse.Namespace) -> int:
    """Time and material of models, without a lab; progress on stderr where somebody watches it."""
    files = _named(arguments.files)
    profile = _print_profile(settings, arguments)
    placement = Placement(scale_percent=arguments.scale, turn=arguments.turn)
    answers: list[Estimated] = []
    try:
        async for answer in estimates(files, profile, quantity=arguments.quantity, placement=placement):
            answers.append(answer)
            if not arguments.json:
                print("\n".join(answer.lines(os.environ.get("LANG", "")[:2])), flush=True)
            if sys.stderr.isatty() and len(files) > 1:
                print(f"\r{len(answers)}/{len(files)} ", end="", file=sys.stderr, flush=True)
    except SlicerUnavailable as gone:
        raise Unavailable(str(gone)) from gone
    if arguments.json:
        print(json.dumps([answer.to_json() for answer in answers], indent=2, ensure_ascii=False))
    return 1 if any(answer.refused for answer in answers) else 0


def _named(names: Sequence[Path]) -> list[Path]:
    """The caller's files: the launcher has gone to the checkout, so a relative path means where they stood."""
    stood = Path(os.environ.get("ETABLI_CALLER", "."))
    try:
        return found([stood / name for name in names])
    except FileNotFoundError as missing:
        raise Misconfigured(f"There is no file or folder {missing}.") from missing


def _print_profile(settings: Settings, arguments: argparse.Namespace) -> PrintProfile:
    shelf = Shelf.of(settings.data / "profiles")
    try:
        return PrintProfile.resolve(
            arguments.profile,
            arguments.material,
            arguments.quality,
            arguments.infill,
            arguments.supports,
            shelf=shelf,
        )
    except UnknownProfile as unknown:
        known = ", ".join(shelf.available("machine"))
        raise Misconfigured(f"{unknown}. Machine profiles: {known}.") from unknown
    except ValueError as wrong:
        raise Misconfigured(f"{wrong}.") from wrong


async def profiles(settings: Settings, arguments: argparse.Namespace) -> int:
    """What PrusaSlicer's bundles bring and what the lab has; or one machine of them, made the lab's."""
    folder = settings.data / "profiles"
    try:
        if arguments.act == "import":
            written = import_machine(_wanted(arguments), folder)
            print("\n".join(str(path) for path in written))
            print(f"A machine may now have the profile {arguments.name}.")
        else:
            print("\n".join(listed(arguments.vendor)))
    except BundleError as no:
        raise Misconfigured(f"{str(no)[:1].upper()}{str(no)[1:]}.", code="profiles.bundle") from no
    if arguments.act is None and not arguments.vendor:
        print(f"The lab has: {', '.join(Shelf.of(folder).available('machine'))}")
    return 0


def _wanted(arguments: argparse.Namespace) -> Wanted:
    others = {"draft": arguments.draft, "fine": arguments.fine}
    return Wanted(
        vendor=arguments.vendor,
        printer=arguments.printer,
        name=arguments.name,
        print=arguments.print,
        filaments=tuple(arguments.filament),
        other_prints={quality: name for quality, name in others.items() if name},
    )


def profiles_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--vendor", default="", help="list this vendor's presets")
    parser.add_argument("--data", type=Path, help="the lab's data directory")
    made = parser.add_subparsers(dest="act").add_parser(
        "import", help="make one printer a profile of the lab"
    )
    made.add_argument("--vendor", required=True)
    made.add_argument("--printer", required=True, metavar="PRESET")
    made.add_argument("--name", required=True, help="what the lab will call it, such as mk3s-2")
    made.add_argument("--print", default="", metavar="PRESET", help="default: the one its vendor names")
    made.add_argument(
        "--draft", default="", metavar="PRESET", help="a print preset for the lab's quality draft"
    )
    made.add_argument(
        "--fine", default="", metavar="PRESET", help="a print preset for the lab's quality fine"
    )
    made.add_argument(
        "--filament", action="append", default=[], metavar="PRESET", help="may be given several times"
    )
    made.add_argument("--data", type=Path, default=argparse.SUPPRESS, help="the lab's data directory")


def estimate_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="STL, 3MF or OBJ, or a folder of them"
    )
    parser.add_argument("--profile", default="mk3s", help="machine profile (default: mk3s)")
    parser.add_argument("--material", default="pla")
    parser.add_argument("--quality", default="normal", choices=[quality.value for quality in Quality])
    parser.add_argument("--infill", type=int, default=15, metavar="PERCENT")
    parser.add_argument("--supports", action="store_true")
    parser.add_argument("--quantity", type=int, default=1, metavar="COPIES")
    parser.add_argument("--scale", type=int, default=100, metavar="PERCENT")
    parser.add_argument("--turn", default="as_drawn", choices=[turn.value for turn in Turn])
    parser.add_argument("--json", action="store_true", help="one JSON document instead of lines")
