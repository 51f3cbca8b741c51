"""Slicers for tests: the system's real one, and shell scripts that misbehave in one way each, or behave and count."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from slicing.prusaslicer import NAMES

HEAD = '#!/bin/sh\nif [ "$1" = --help ]; then echo PrusaSlicer-9.9.9+test based on Slic3r; exit 0; fi\n'

GCODE = """; printing object m.stl id:0 copy 0
G1 X5 E10 F100
;LAYER_CHANGE
G1 X9 E5
;LAYER_CHANGE
; filament used [mm] = 15.00
; estimated printing time (normal mode) = 1m 40s
; prusaslicer_config = begin
; prusaslicer_config = end
"""
"""As much of a sliced file as we read."""

WRITES = f"cat > \"$5\" <<'END'\n{GCODE}END\n"
"""A script's way to do what it was asked for."""


def a_fake(folder: Path, script: str, name: str = "fake-slicer") -> Path:
    """A program that answers `--help` as a slicer does and for the rest does this; its output file is `$5`."""
    path = folder / name
    path.write_text(HEAD + script)
    path.chmod(0o755)
    return path


def real_slicer() -> Path:
    """Skips, aloud, where there is none."""
    for name in NAMES:
        if found := shutil.which(name):
            return Path(found)
    pytest.skip("SKIPPED ALOUD: no PrusaSlicer on this machine")
