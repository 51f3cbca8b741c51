"""Every text of the pages is in both languages; nothing is left over, empty, fuzzy or short of a value."""

from __future__ import annotations

import re

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir

from web.pages.i18n import LOCALES, catalogue
from web.pages.render import WEB

KEYWORDS: dict[str, tuple[int, ...] | None] = {"_": None, "gettext": None, "N_": None, "ngettext": (1, 2)}
METHODS = [("pages/*.py", "python"), ("templates/*.html", "jinja2")]
OPTIONS = {"templates/*.html": {"silent": "false", "trim_blocks": "true", "lstrip_blocks": "true"}}

Key = str | tuple[str, ...] | list[str]


def used() -> set[Key]:
    """What `pybabel extract -F web/i18n/babel.cfg -k N_ web` would find."""
    found = extract_from_dir(str(WEB), method_map=METHODS, options_map=OPTIONS, keywords=KEYWORDS)
    return {tuple(text) if isinstance(text, list | tuple) else text for _file, _line, text, *_rest in found}


def first(key: Key) -> str:
    return key[0] if isinstance(key, tuple | list) else key


def names_in(text: str) -> set[str]:
    return set(re.findall(r"%(?:\(\w+\)s|%)", text))


def faults(texts: Catalog, wanted: set[Key]) -> list[str]:
    """What is wrong with a catalogue, in words."""
    written = {message.id: message for message in texts if message.id}
    found = [f"missing: {key}" for key in wanted - set(written)]
    found += [f"left over: {key}" for key in set(written) - wanted]
    found += [f"left over: {key}" for key in texts.obsolete]
    for key, message in written.items():
        strings = message.string if isinstance(message.string, tuple | list) else (message.string,)
        found += [f"empty: {key}"] if not all(strings) else []
        found += [f"fuzzy: {key}"] if message.fuzzy else []
        found += [f"{error}: {key}" for error in message.check(texts)]
        found += [
            f"placeholders: {key}" for text in strings if text and names_in(text) != names_in(first(key))
        ]
    return found


@pytest.mark.parametrize("locale", LOCALES)
def test_every_text_of_the_pages_is_in_the_catalogue(locale: str) -> None:
    assert faults(catalogue(locale), used()) == []


def test_english_is_the_source_itself() -> None:
    assert [m.id for m in catalogue("en") if m.id and m.id != m.string] == []


def test_the_check_sees_each_kind_of_fault() -> None:
    texts = Catalog(locale="fr")
    texts.add("a", "")
    texts.add("%(n)s b", "sans nombre", flags={"python-format"})
    texts.add("c", "c", flags={"fuzzy"})
    texts.add("d", "d")

    found = " ".join(faults(texts, {"a", "%(n)s b", "c", "e"}))

    assert all(
        word in found
        for word in ("empty: a", "placeholders: %(n)s b", "fuzzy: c", "left over: d", "missing: e")
    )


def test_there_are_texts_to_check() -> None:
    assert len(used()) > 250
