"""Style sheets of an SVG: rules, selectors, and which of them an element meets. Knows no property's meaning.

Selectors: type, `*`, `.class`, `#id`, `[attribute]` with its operators, `:first-child`, `:root`; descendant, child and
sibling combinators; lists. A selector with anything else meets nothing. At-rules are passed over, `@import` is told.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from slicing.faults import refused
from slicing.vector.svglimits import RULES_MAX, SELECTOR_TESTS_MAX, SHEET_CHARS_MAX
from slicing.vector.svgxml import Element

_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)", re.DOTALL)
_SIMPLE = re.compile(
    r"""(?P<type>\*|[A-Za-z_][\w-]*)|\.(?P<cls>[\w-]+)|\#(?P<id>[\w-]+)|:(?P<pseudo>[\w-]+)
    |\[\s*(?P<name>[\w:-]+)\s*(?:(?P<how>[~|^$*]?=)\s*(?P<value>"[^"]*"|'[^']*'|[^\]\s]+)\s*)?\]""",
    re.VERBOSE,
)
_COMBINATOR = re.compile(r"\s*([>+~])\s*|\s+")
_HEAD = re.compile(r"\s*([^{};]*)([{};])")
_PIECE = re.compile(r"""((?:[^;"'()]|"[^"]*"|'[^']*'|\([^()]*\))+)""")

_BRACE = re.compile(r"[{}]")
_ATTRIBUTE_CHARS_MAX = 4000  # of a value that selectors look into

Declarations = tuple[tuple[str, str, bool], ...]
"""Name, value, important."""


@lru_cache(maxsize=20_000)
def declarations(text: str) -> Declarations:
    """What stands in a `style` attribute or between a rule's braces."""
    found = []
    for piece in _PIECE.findall(_COMMENT.sub("", text) if "/*" in text else text):
        name, colon, value = piece.partition(":")
        if colon:
            value, bang, word = value.strip().rpartition("!") if "!" in value else (value.strip(), "", "")
            important = bang == "!" and word.strip().lower() == "important"
            found.append((name.strip().lower(), value.strip(), important))
    return tuple(found)


class _Test(NamedTuple):
    kind: str
    name: str
    value: str = ""


@dataclass(frozen=True, kw_only=True)
class _Selector:
    """Compounds from the last to the first; `combinators[i]` stands before compound i."""

    compounds: tuple[tuple[_Test, ...], ...]
    combinators: tuple[str, ...]
    specificity: tuple[int, int, int]


class _Rule(NamedTuple):
    order: int
    selector: _Selector
    declarations: Declarations


@dataclass(kw_only=True)
class Sheet:
    """All rules of a drawing. Raises FileRefused (`svg.style`) for more than can be tried in reasonable time."""

    imports: bool = False
    _buckets: dict[tuple[str, str], list[_Rule]] = field(default_factory=lambda: defaultdict(list))
    _count: int = 0
    _chars: int = 0
    _tests: int = 0

    def add(self, text: str) -> None:
        self._chars += len(text)
        if self._chars > SHEET_CHARS_MAX:
            raise refused("svg.style", limit=RULES_MAX)
        text = _COMMENT.sub(" ", text).replace("<!--", " ").replace("-->", " ")
        at = 0
        while found := _HEAD.match(text, at):
            head, sign = found.groups()
            at = found.end()
            if head.startswith("@"):
                self.imports |= head[:7].lower() == "@import"
                at = _after_block(text, at) if sign == "{" else at
            elif sign == "{":
                end = text.find("}", at)
                end = len(text) if end < 0 else end
                self._rule(head.strip(), text[at:end])
                at = end + 1
        self.imports |= text[at:].lstrip()[:7].lower() == "@import"

    def _rule(self, head: str, body: str) -> None:
        stated = declarations(body)
        for one in head.split(","):
            self._count += 1
            if self._count > RULES_MAX:
                raise refused("svg.style", limit=RULES_MAX)
            if selector := _selector(one.strip()):
                self._buckets[_bucket(selector)].append(_Rule(self._count, selector, stated))

    def __bool__(self) -> bool:
        return bool(self._buckets)

    def stated(self, element: Element, name: str) -> Declarations:
        """What the rules say of this element, the weakest first."""
        keys = [("type", name), ("any", ""), ("id", element.get("id") or "")]
        keys += [("class", word) for word in _classes(element)]
        met = [
            rule
            for key in keys
            for rule in self._buckets.get(key, ())
            if self._meets(element, rule.selector, 0)
        ]
        met.sort(key=lambda rule: (rule.selector.specificity, rule.order))
        return tuple(one for rule in met for one in rule.declarations)

    def _meets(self, element: Element, selector: _Selector, number: int) -> bool:
        self._tests += 1
        if self._tests > SELECTOR_TESTS_MAX:
            raise refused("svg.style", limit=RULES_MAX)
        if not all(_test(element, test) for test in selector.compounds[number]):
            return False
        if number + 1 == len(selector.compounds):
            return True
        how = selector.combinators[number]
        if how in ">+":
            one = element.getparent() if how == ">" else element.getprevious()
            return one is not None and self._meets(one, selector, number + 1)
        others = element.iterancestors() if how == " " else element.itersiblings(preceding=True)
        return any(self._meets(other, selector, number + 1) for other in others)


def _after_block(text: str, at: int) -> int:
    """Where the block ends that has been entered before `at`."""
    depth = 1
    for found in _BRACE.finditer(text, at):
        depth += 1 if found.group() == "{" else -1
        if depth == 0:
            return found.end()
    return len(text)


def _bucket(selector: _Selector) -> tuple[str, str]:
    """What an element must have for the selector's last compound: the rarest first."""
    for kind in ("id", "class", "type"):
        for test in selector.compounds[0]:
            if test.kind == kind:
                return kind, test.name
    return "any", ""


def _selector(text: str) -> _Selector | None:
    compounds: list[tuple[_Test, ...]] = []
    combinators: list[str] = []
    at = 0
    while True:
        tests, at = _compound(text, at)
        if not tests:
            return None
        compounds.append(tests)
        if at == len(text):
            break
        found = _COMBINATOR.match(text, at)
        if found is None:
            return None
        combinators.append(found.group(1) or " ")
        at = found.end()
    kinds = [test.kind for compound in compounds for test in compound]
    return _Selector(
        compounds=tuple(reversed(compounds)),
        combinators=tuple(reversed(combinators)),
        specificity=(
            kinds.count("id"),
            kinds.count("class") + kinds.count("attribute") + kinds.count("pseudo"),
            kinds.count("type"),
        ),
    )


def _compound(text: str, at: int) -> tuple[tuple[_Test, ...], int]:
    tests: list[_Test] = []
    while found := _SIMPLE.match(text, at):
        if kind := found.group("type"):
            if tests:
                break
            tests.append(_Test("any", "") if kind == "*" else _Test("type", kind))
        elif found.group("cls"):
            tests.append(_Test("class", found.group("cls")))
        elif found.group("id"):
            tests.append(_Test("id", found.group("id")))
        elif found.group("pseudo"):
            tests.append(_Test("pseudo", found.group("pseudo").lower()))
        else:
            value = (found.group("value") or "").strip("\"'")
            tests.append(_Test("attribute", found.group("name") + " " + (found.group("how") or ""), value))
        at = found.end()
    return tuple(tests), at


def _test(element: Element, test: _Test) -> bool:
    kind, name, value = test
    if not isinstance(element.tag, str):
        return False
    if kind == "any":
        return True
    if kind == "type":
        return bool(element.tag.rpartition("}")[2] == name)
    if kind == "class":
        return name in _classes(element)
    if kind == "id":
        return bool(element.get("id") == name)
    if kind == "pseudo":
        if name == "first-child":
            return element.getprevious() is None
        return name == "root" and element.getparent() is None
    return _attribute(element, name, value)


def _classes(element: Element) -> list[str]:
    written: str = element.get("class") or ""
    return written.split() if len(written) <= _ATTRIBUTE_CHARS_MAX else []


def _attribute(element: Element, test: str, wanted: str) -> bool:
    name, _, how = test.partition(" ")
    value = element.get(name)
    if value is None or len(value) > _ATTRIBUTE_CHARS_MAX:
        return False
    met: dict[str, bool] = {
        "": True,
        "=": value == wanted,
        "~=": wanted in value.split(),
        "|=": value == wanted or value.startswith(wanted + "-"),
        "^=": bool(wanted) and value.startswith(wanted),
        "$=": bool(wanted) and value.endswith(wanted),
        "*=": bool(wanted) and wanted in value,
    }
    return met[how]
