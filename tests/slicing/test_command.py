"""`etabli estimate`, as somebody at a terminal uses it: the launcher, from another directory, on good and bad files."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.slicing.shapes import a_ball, a_box, binary_stl

LAUNCHER = Path(__file__).parents[2] / "etabli"


def estimate(where: Path, *arguments: str, language: str = "C") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(LAUNCHER), "estimate", *arguments],
        cwd=where,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PATH": "/usr/bin:/bin:/usr/local/bin", "LANG": language, "HOME": str(where)},
    )


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "box.stl").write_bytes(binary_stl(a_box()))
    (folder / "ball.stl").write_bytes(binary_stl(a_ball(12)))
    (folder / "page.stl").write_bytes(b"<!doctype html><title>Not found</title>")
    (folder / "notes.txt").write_text("not a model")
    return folder


def test_a_relative_file_means_where_the_caller_stands(models: Path) -> None:
    done = estimate(models, "box.stl")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("box.stl: ")
    assert "20.0 x 20.0 x 20.0 mm" in done.stdout


def test_a_folder_is_all_its_models_and_one_that_is_refused_says_why_and_what_to_do(models: Path) -> None:
    done = estimate(models.parent, "models")
    assert done.returncode == 1
    assert [line.split(":")[0] for line in done.stdout.splitlines() if not line.startswith(" ")] == [
        "ball.stl",
        "box.stl",
        "page.stl",
    ]
    assert "page.stl: refused (file.type_mismatch)" in done.stdout
    assert "Drop an STL, 3MF or OBJ file." in done.stdout


def test_a_refusal_speaks_the_language_of_the_terminal(models: Path) -> None:
    done = estimate(models, "page.stl", language="fr_FR.UTF-8")
    assert "refusé" in done.stdout
    assert "Déposez un fichier STL, 3MF ou OBJ." in done.stdout


def test_json_is_one_document_with_figures_and_refusals(models: Path) -> None:
    done = estimate(models, ".", "--json", "--quantity", "2")
    by_name = {Path(answer["file"]).name: answer for answer in json.loads(done.stdout)}
    assert by_name["box.stl"]["estimate"]["quantity"] == 2
    assert by_name["page.stl"]["refused"]["rule"] == "file.type_mismatch"


def test_a_larger_scale_takes_longer(models: Path) -> None:
    def seconds(*more: str) -> int:
        answer = json.loads(estimate(models, "box.stl", "--json", *more).stdout)
        return int(answer[0]["estimate"]["seconds_p50"])

    assert seconds("--scale", "200") > 3 * seconds()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nothere.stl",), "There is no file or folder"),
        (("box.stl", "--profile", "prusa9"), "Machine profiles: ender3, mini, mk3s"),
        (("box.stl", "--infill", "101"), "a whole number from 0 to 100"),
    ],
)
def test_a_wrong_word_is_told_in_one_line(models: Path, arguments: tuple[str, ...], words: str) -> None:
    done = estimate(models, *arguments)
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr
