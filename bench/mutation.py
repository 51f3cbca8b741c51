"""How much of the safety module its tests hold fast: small faults are put into it one at a time, and each must be seen.

A mutant is the module with one comparison, one `and`, one constant, one entry of a table… changed. It is killed when a
test of TESTS fails on it. Comments on types, docstrings and decorators are left alone. Every mutant has a process of
its own, forked before anything of ours is imported; no file is written.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import json
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import pytest

from bench.table import Row

ROOT = Path(__file__).parents[1]
TARGETS: Sequence[tuple[str, str]] = (
    ("orchestrator.domain.interlocks", ""),
    ("orchestrator.domain.presence", ""),
    ("orchestrator.domain.machine", "needs_release"),  # of the others, this one function
)
TESTS = ("tests.domain.test_interlocks", "tests.domain.test_readings", "tests.domain.test_presence")
SECONDS_MAX = 20
ASKED_PERCENT = 90

_SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
}
_LEFT_ALONE = frozenset({"annotation", "returns", "decorator_list"})


@dataclass(frozen=True)
class Mutant:
    module: str
    line: int
    what: str
    code: CodeType


# --- the faults ----------------------------------------------------------------------------------


def mutants() -> Iterator[Mutant]:
    """Every fault in every target, in the order of the text."""
    for module, function in TARGETS:
        path = ROOT.joinpath(*module.split(".")).with_suffix(".py")
        tree = ast.parse(path.read_text())
        for node, what in _faults(_within(tree, function)):
            yield Mutant(module, getattr(node, "lineno", 0), what, _compiled(tree, path))


def _within(tree: ast.Module, function: str) -> ast.AST:
    named = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == function]
    return named[0] if function else tree


def _compiled(tree: ast.Module, path: Path) -> CodeType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `x is 0` is one of the faults
        return compile(ast.fix_missing_locations(tree), str(path), "exec")


def _faults(node: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """Yields while one fault stands in the tree; it is gone again at the next step."""
    for name, value in ast.iter_fields(node):
        if name in _LEFT_ALONE:
            continue
        children = value if isinstance(value, list) else [value]
        for place, child in enumerate(children):
            if not isinstance(child, ast.AST) or _is_docstring(child):
                continue
            for instead, what in _instead_of(child, node, name):
                _put(node, name, place, instead)
                yield child if hasattr(child, "lineno") else node, what
                _put(node, name, place, child)
            yield from _faults(child)


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _put(node: ast.AST, name: str, place: int, child: ast.AST) -> None:
    value = getattr(node, name)
    if isinstance(value, list):
        value[place] = child
    else:
        setattr(node, name, child)


def _instead_of(node: ast.AST, parent: ast.AST, name: str) -> Iterator[tuple[ast.AST, str]]:
    if swap := _SWAPS.get(type(node)):
        yield swap(), f"{type(node).__name__} → {swap.__name__}"
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield node.operand, "not x → x"
    if isinstance(node, ast.Constant):
        yield from _other_constants(node)
    if isinstance(node, ast.Tuple) and isinstance(node.ctx, ast.Load):
        for place in range(len(node.elts)):
            elements = node.elts[:place] + node.elts[place + 1 :]
            yield ast.Tuple(elements, ast.Load()), f"without {ast.unparse(node.elts[place])}"
    if isinstance(node, ast.expr) and (name in {"test", "ifs"} or _is_returned(node, parent)):
        yield ast.UnaryOp(ast.Not(), node), f"not {ast.unparse(node)}"
    if isinstance(node, ast.expr) and _is_argument(node, parent, name):
        yield ast.Constant(None), f"{ast.unparse(node)} → None"


def _other_constants(node: ast.Constant) -> Iterator[tuple[ast.AST, str]]:
    value = node.value
    others: dict[type, Callable[[Any], Any]] = {
        bool: lambda it: not it,
        int: lambda it: it + 1,
        float: lambda it: it + 1,
        str: lambda it: f"XX{it}",
        type(None): lambda _it: 0,
    }
    if other := others.get(type(value)):
        yield ast.Constant(other(value)), f"{value!r} → {other(value)!r}"


def _is_returned(node: ast.expr, parent: ast.AST) -> bool:
    return isinstance(parent, ast.Return) and not isinstance(node, ast.Constant)


def _is_argument(node: ast.expr, parent: ast.AST, name: str) -> bool:
    given = isinstance(parent, ast.keyword) or (isinstance(parent, ast.Call) and name == "args")
    return given and not (isinstance(node, ast.Constant | ast.Starred | ast.GeneratorExp))


# --- the judges ----------------------------------------------------------------------------------


class _Changed(MetaPathFinder, Loader):
    """Imports the one module as the mutant has it."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(self, name: str, path: object, target: object = None) -> ModuleSpec | None:
        return importlib.util.spec_from_loader(name, self) if name == self._mutant.module else None

    def exec_module(self, module: ModuleType) -> None:
        module.__file__ = self._mutant.code.co_filename
        exec(self._mutant.code, module.__dict__)  # noqa: S102 - our own module, with a fault in it


def calls(module: ModuleType) -> Iterator[tuple[str, Callable[[], object]]]:
    """Every test of a module with each of its parameters; it may use no fixture."""
    for name, test in inspect.getmembers(module, inspect.isfunction):
        if name.startswith("test_") and test.__module__ == module.__name__:
            for given in _parameters(getattr(test, "pytestmark", [])):
                yield name, lambda test=test, given=given: test(**given)  # type: ignore[misc]


def _parameters(marks: Sequence[pytest.Mark]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [{}]
    for mark in marks:
        if mark.name != "parametrize":
            continue
        names = [mark.args[0]] if isinstance(mark.args[0], str) else list(mark.args[0])
        values = [_values(row, names) for row in mark.args[1]]
        rows = [row | dict(zip(names, one, strict=True)) for row in rows for one in values]
    return rows


def _values(row: Any, names: Sequence[str]) -> tuple[Any, ...]:
    inside = getattr(row, "values", None)
    if isinstance(inside, tuple):
        return inside  # a pytest.param
    return tuple(row) if len(names) > 1 else (row,)


def failing(mutant: Mutant | None) -> str:
    """The first test that fails on the mutant, or on the module as it is; empty: none."""
    if mutant is not None:
        sys.meta_path.insert(0, _Changed(mutant))
    try:
        for name in TESTS:
            for test, call in calls(importlib.import_module(name)):
                try:
                    call()
                except BaseException:  # noqa: BLE001 - pytest's own verdicts are no Exceptions
                    return test
    except BaseException as broken:  # noqa: BLE001 - it cannot even be imported
        return f"import: {broken}"
    return ""


def _judged(mutant: Mutant | None) -> int:
    """The process id of a fork that ends with 1 where a test fails, by its signal where it never ends."""
    child = os.fork()
    if child:
        return child
    signal.alarm(SECONDS_MAX)
    os._exit(1 if failing(mutant) else 0)


def survivors(all_of_them: Sequence[Mutant]) -> list[Mutant]:
    """Those that no test sees, judged as many at a time as there are cores."""
    waiting, running, lived = list(enumerate(all_of_them)), dict[int, int](), list[int]()
    while waiting or running:
        while waiting and len(running) < (os.cpu_count() or 1):
            place, mutant = waiting.pop(0)
            running[_judged(mutant)] = place
        child, status = os.wait()
        place = running.pop(child)
        if status == 0:
            lived.append(place)
    return [all_of_them[place] for place in sorted(lived)]


# --- what is said of it --------------------------------------------------------------------------


def judged() -> dict[str, Any]:
    """`mutants`, how many; `survivors`, a line on each. In a program of its own, see `main`."""
    told = subprocess.run(
        [sys.executable, "-m", "bench.mutation"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    said: dict[str, Any] = json.loads(told.stdout)
    return said


async def run() -> list[Row]:
    said = judged()
    for survivor in said["survivors"]:
        print(f"  survives: {survivor}")
    score = 100 * (1 - len(said["survivors"]) / said["mutants"])
    return [
        Row(what="mutants", unit="", values=(float(said["mutants"]),)),
        Row(what="mutation score", unit="%", values=(score,), asked=f"≥ {ASKED_PERCENT}"),
    ]


def main() -> int:
    """Prints JSON. Nothing of ours may have been imported before: each mutant is imported in its own fork."""
    found = list(mutants())
    _child, status = os.waitpid(_judged(None), 0)
    if status:
        raise SystemExit("the tests fail on the module as it is")
    lived = [f"{one.module}:{one.line}: {one.what}" for one in survivors(found)]
    print(json.dumps({"mutants": len(found), "survivors": lived}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
