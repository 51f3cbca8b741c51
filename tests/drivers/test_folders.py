"""Every driver's folder looks the same, so that who knows one knows all."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

import drivers
from drivers.registry import DRIVERS

HOME = Path(drivers.__file__).parent
ANSWER = re.compile(r"done|(todo|exempt): .{10,}")


def questions(kind: str) -> dict[str, str]:
    rows = (HOME / kind / "quality.md").read_text().split("|---|---|---|\n")[1].splitlines()
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    return {question: answer for _, question, answer in cells}


@pytest.mark.parametrize("kind", sorted(DRIVERS))
def test_a_folder_has_its_files_and_says_what_it_cannot_do(kind: str) -> None:
    assert {"__init__.py", "driver.py", "wire.py", "quality.md"} <= {
        path.name for path in (HOME / kind).iterdir()
    }
    assert "annot do:" in (importlib.import_module(f"drivers.{kind}").__doc__ or "")


@pytest.mark.parametrize("kind", sorted(DRIVERS))
def test_every_question_is_answered_frankly(kind: str) -> None:
    answers = questions(kind)

    assert set(answers) == set(questions("simulated"))
    assert {answer for answer in answers.values() if not ANSWER.fullmatch(answer)} == set()


def test_every_folder_is_in_the_registry_under_its_own_name() -> None:
    assert {path.name for path in HOME.iterdir() if (path / "driver.py").exists()} == set(DRIVERS)
