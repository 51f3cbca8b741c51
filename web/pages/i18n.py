"""Catalogues: the `.po` files are read at start-up and kept in memory; nothing is compiled to disk.

English is the source language. A locale that is not in LOCALES is never used.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from gettext import GNUTranslations
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

LOCALES = ("fr", "en")
"""The first is the default."""
DOMAIN = "etabli"
DIRECTORY = Path(__file__).parents[1] / "i18n"


def N_(text: str) -> str:  # noqa: N802  # gettext's own name for "translate this later"
    """Mark a text for extraction; it is translated where it is shown."""
    return text


def catalogue(locale: str) -> Catalog:
    """The texts of one locale as written in its `.po`."""
    path = DIRECTORY / locale / "LC_MESSAGES" / f"{DOMAIN}.po"
    with path.open("rb") as lines:
        return read_po(lines, locale=locale, domain=DOMAIN)


def load() -> dict[str, GNUTranslations]:
    """Translations of every locale."""
    return {locale: _translations(catalogue(locale)) for locale in LOCALES}


def _translations(texts: Catalog) -> GNUTranslations:
    compiled = io.BytesIO()
    write_mo(compiled, texts)
    compiled.seek(0)
    return GNUTranslations(compiled)


def supported(wanted: Iterable[str | None]) -> str:
    """The first wanted locale that we have (`fr-CH` counts as `fr`), else the default."""
    for one in wanted:
        language = (one or "").strip().lower().split("-")[0].split("_")[0]
        if language in LOCALES:
            return language
    return LOCALES[0]


def accepted(header: str) -> list[str]:
    """Languages of an Accept-Language header, the most wanted first; what cannot be read is left out."""
    weighted: list[tuple[float, int, str]] = []
    for place, part in enumerate(header.split(",")[:20]):
        language, _, parameter = part.strip().partition(";")
        weighted.append((-_weight(parameter), place, language))
    return [language for weight, _, language in sorted(weighted) if language and weight < 0]


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
