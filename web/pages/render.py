"""Templates to HTML: one environment a language, built at start-up. Knows who reads, nothing of requests.

Every value is escaped; a missing one is an error, not an empty string.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from orchestrator.domain.member import PERMISSIONS, Member, Permission
from web.pages import foresight, i18n, labels, queueing, reasons, story, timeline, week
from web.pages.formats import formats_of
from web.pages.i18n import N_

WEB = Path(__file__).parents[1]
STATIC = WEB / "static"
LANGUAGES = (("fr", "Français"), ("en", "English"))


@dataclass(frozen=True, kw_only=True)
class Reader:
    """Who looks at a page, in which language, when, and where."""

    me: Member | None  # None: not signed in
    locale: str
    now: datetime
    path: str  # of this page, with its query: where a change of language comes back to
    csrf_field: str = ""  # the hidden input that every form carries, as HTML
    sign_in_path: str = "/sign-in"

    def may(self, permission: Permission) -> bool:
        return self.me is not None and permission in PERMISSIONS[self.me.role]


@dataclass(frozen=True, kw_only=True)
class MenuItem:
    path: str
    text: str
    needs: Permission


MENU = (
    MenuItem(path="/jobs", text=N_("My jobs"), needs=Permission.SUBMIT),
    MenuItem(path="/machines", text=N_("Machines"), needs=Permission.FLEET),
    MenuItem(path="/queue", text=N_("Queue"), needs=Permission.ALL_JOBS),
    MenuItem(path="/reservations", text=N_("Reservations"), needs=Permission.OPERATE),
    MenuItem(path="/hours", text=N_("Hours"), needs=Permission.ADMIN),
    MenuItem(path="/estimates", text=N_("Estimates"), needs=Permission.OPERATE),
    MenuItem(path="/sources", text=N_("Booking systems"), needs=Permission.ADMIN),
    MenuItem(path="/webhooks", text=N_("Webhooks"), needs=Permission.HOOKS),
    MenuItem(path="/account", text=N_("Account"), needs=Permission.READ),
)


class Renderer:
    """All templates in all languages. `zone` is the site's time zone, in which every instant is shown."""

    def __init__(self, zone: tzinfo | None = None) -> None:
        self._zone = zone or ZoneInfo("Europe/Paris")
        self._translations = i18n.load()
        self._environments = {locale: self._environment(locale) for locale in i18n.LOCALES}

    def render(self, template: str, reader: Reader, **values: Any) -> str:
        return self._environments[reader.locale].get_template(template).render(self._frame(reader) | values)

    def translate(self, locale: str, text: str) -> str:
        return self._translations[locale].gettext(text)

    def _frame(self, reader: Reader) -> dict[str, Any]:
        here = reader.path.partition("?")[0]
        menu = [
            {
                "path": item.path,
                "text": item.text,
                "here": here == item.path or here.startswith(f"{item.path}/"),
            }
            for item in MENU
            if reader.may(item.needs)
        ]
        return {
            "me": reader.me,
            "menu": menu,
            "path": reader.path,
            "sign_in_path": reader.sign_in_path,
            "now": reader.now,
            "csrf_field": Markup(reader.csrf_field),  # made by web.security; it holds hexadecimal only
        }

    def _environment(self, locale: str) -> Environment:
        made = Environment(
            loader=FileSystemLoader(WEB / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.i18n"],
        )
        made.install_gettext_translations(self._translations[locale], newstyle=True)  # type: ignore[attr-defined]
        made.globals |= {
            "locale": locale,
            "fmt": formats_of(locale, self._zone),
            "labels": labels,
            "foresight": foresight,
            "queueing": queueing,
            "reasons": reasons,
            "story": story,
            "timeline": timeline,
            "week": week,
            "languages": LANGUAGES,
            "static": static_url,
            "translate": self._translations[locale].gettext,
        }
        return made


@cache
def static_url(name: str) -> str:
    """The address of a static file; it changes with the content, so that it may be cached for ever."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()
    return f"/static/{name}?v={digest[:12]}"
