"""The few mechanical rules that no linter knows, each a pure function over text, shown to be able to fail."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.services import ROOT

FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 70

LOCKS = ("requirements.lock", "requirements-dev.lock", "tests/peers/octoprint.lock")
CODE = {".py", ".sh", ".js", ".css", ".html", ".toml", ".yaml", ".yml"}
PROSE = {".md", ".txt", ".in", ".lock", ".po", ".jinja", ".json", ".svg"}

# Not ours, or not committed.
PASSED_BY = {"var", "node_modules", "__pycache__", "vendor"}

# Taken apart, so that this file does not break its own rule.
HOSTS = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("registry", "npmjs", "org"),
        ("yarnpkg", "com"),
        ("proxy", "golang", "org"),
        ("crates", "io"),
        ("deb", "debian", "org"),
        ("jsdelivr", "net"),
        ("unpkg", "com"),
    )
)
MACHINE_PATH = re.compile(r"(?<![\w.$}*-])/(?:work|root|home|tmp)/\w")

Faults = Iterator[str]


def committed_files() -> list[Path]:
    """What is in the repository, found without git, which a bare machine lacks."""

    def below(directory: Path) -> Iterator[Path]:
        for entry in sorted(directory.iterdir()):
            hidden = entry.name.startswith(".") and entry.name != ".ci"
            if entry.is_dir() and not hidden and entry.name not in PASSED_BY:
                yield from below(entry)
            elif entry.is_file():
                yield entry

    return list(below(ROOT))


def is_code(path: Path) -> bool:
    return path.suffix in CODE or path.relative_to(ROOT).as_posix() in {"etabli", ".ci/run"}


def is_text(path: Path) -> bool:
    return is_code(path) or path.suffix in PROSE


def is_python(path: Path) -> bool:
    return path.suffix == ".py"


def is_written_by_hand(path: Path) -> bool:
    """A migration is a frozen list of statements, drawn up by Alembic: nobody reads it as a story."""
    return is_python(path) and path.parent.name != "versions"


def is_lock(path: Path) -> bool:
    return path.relative_to(ROOT).as_posix() in LOCKS


def too_long(text: str) -> Faults:
    """A file that nobody reads to its end."""
    lines = text.count("\n")
    if lines > FILE_LINES_MAX:
        yield f"{lines} lines, at most {FILE_LINES_MAX}"


def long_functions(text: str) -> Faults:
    """A function fits a screen."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                yield f"line {node.lineno}: {node.name} has {lines} lines, at most {FUNCTION_LINES_MAX}"


def without_docstring(text: str) -> Faults:
    """A module opens with what it owns and what it refuses to know."""
    if not (ast.get_docstring(ast.parse(text)) or "").strip():
        yield "the module has no docstring"


def foreign_places(text: str) -> Faults:
    """The repository works from any mirror and any place: no registry's host, no machine's path."""
    for number, line in enumerate(text.splitlines(), start=1):
        yield from (f"line {number}: names {host}" for host in HOSTS if host in line)
        if found := MACHINE_PATH.search(line):
            yield f"line {number}: names a machine's path, {found.group()}…"


def loose_pins(text: str) -> Faults:
    """A lock holds exact versions with hashes, and no address."""
    for entry in re.split(r"\n(?=\S)", text.replace("\\\n", " ")):
        if re.match(r"#|\s*$", entry):
            continue
        if "==" not in entry or "--hash=sha256:" not in entry:
            yield f"not pinned with a hash: {entry.split()[0]}"
        if re.search(r"://| @ |^--?[a-z]", entry):
            yield f"holds an address or an option: {entry.split()[0]}"


@pytest.mark.parametrize(
    ("concerns", "rule"),
    [
        (is_code, too_long),
        (is_written_by_hand, long_functions),
        (is_python, without_docstring),
        (is_text, foreign_places),
        (is_lock, loose_pins),
    ],
)
def test_the_repository_is_tidy(concerns: Callable[[Path], bool], rule: Callable[[str], Faults]) -> None:
    files = [path for path in committed_files() if concerns(path)]

    faults = [
        f"{path.relative_to(ROOT)}: {fault}" for path in files for fault in rule(path.read_text("utf-8"))
    ]

    assert files
    assert not faults, "\n".join(["", *faults])


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        (too_long, "x\n" * 600, "x\n" * 601),
        (long_functions, "def f():\n" + " x\n" * 69, "class A:\n async def f():\n" + "  x\n" * 70),
        (without_docstring, '"""Owns it."""\n', "x = 1\n"),
        (without_docstring, '"""Owns it."""\n', '""" """\n'),
        (foreign_places, "see docs/adr/0001.md", f"pip install -i https://{HOSTS[0]}/simple x"),
        (foreign_places, "data in $HOME/var/tmp/x, ../root/x", "cat " + "/".join(["", "root", "notes.txt"])),
        (loose_pins, "# no\na==1 \\\n    --hash=sha256:00\n", "a==1\n"),
        (loose_pins, "a==1 \\\n    --hash=sha256:00\n", "a==1 --hash=sha256:00\nb @ https://x/b.whl\n"),
        (loose_pins, "a==1 \\\n    --hash=sha256:00\n", "--index-url https://x\na==1 --hash=sha256:00\n"),
    ],
)
def test_each_rule_passes_the_good_and_catches_the_bad(
    rule: Callable[[str], Faults], good: str, bad: str
) -> None:
    assert list(rule(good)) == []
    assert list(rule(bad)) != []


def test_there_is_no_lock_file_that_holds_addresses() -> None:
    assert not (ROOT / "uv.lock").exists()


def test_the_development_lock_holds_the_whole_run_time_set_at_the_same_versions() -> None:
    def pins(name: str) -> set[str]:
        return set(re.findall(r"^\S+==[^\\\n]+", (ROOT / name).read_text("utf-8"), flags=re.MULTILINE))

    assert pins("requirements.lock") - pins("requirements-dev.lock") == set()


@pytest.mark.parametrize("program", ["etabli", ".ci/run"])
def test_the_programs_of_the_repository_may_be_executed(program: str) -> None:
    assert (ROOT / program).stat().st_mode & 0o111 == 0o111
