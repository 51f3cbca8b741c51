"""Clock time on a wall and the instant it names: on two nights of the year not every time is one."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from orchestrator.domain.errors import Fault

_LOCAL = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.][0-9]{1,9})?)?"
_INSTANT = re.compile(f"({_LOCAL})(?P<offset>[Zz]|[+-][0-9]{{2}}:[0-9]{{2}})?")


def told(text: str, where: str) -> datetime | Fault:
    """An instant as RFC 3339 writes it, in UTC; or why it is none. Its offset need be no zone's."""
    found = _INSTANT.fullmatch(text)
    if found is None:
        return _none(text, where)
    if found["offset"] is None:
        return Fault(
            rule="instant.offset",
            where=where,
            seen=text,
            remedy="End it with Z or an offset, as 2026-03-02T14:00:00+01:00.",
            texts={
                "en": "It does not say in which time zone.",
                "fr": "Le fuseau horaire n’est pas dit.",
                "remedy_fr": "Terminez par Z ou un décalage, comme 2026-03-02T14:00:00+01:00.",
            },
        )
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        return _none(text, where)


def shown(local: str, zone: str, fold: int | None, where: str) -> datetime | Fault:
    """As `instant_of`, of what is written."""
    if re.fullmatch(_LOCAL, local) is None:
        return _none(local, where)
    try:
        naive = datetime.fromisoformat(local.upper())
        return instant_of(naive, zone, fold, where)
    except (ValueError, OverflowError):
        return _none(local, where)


def _none(seen: str, where: str) -> Fault:
    return Fault(
        rule="instant.format",
        where=where,
        seen=seen[:80],
        remedy="Write it as RFC 3339 does: 2026-03-02T14:00:00+01:00.",
        texts={
            "en": "This is no date and time.",
            "fr": "Ce n’est pas une date avec une heure.",
            "remedy_fr": "Écrivez comme la RFC 3339 : 2026-03-02T14:00:00+01:00.",
        },
    )


def instant_of(local: datetime, zone: str, fold: int | None, where: str) -> datetime | Fault:
    """The instant at which clocks in `zone` show `local` (naive), in UTC; or why there is none, or which of two.

    In the doubled hour `fold` says which: 0 is the first.
    """
    try:
        place = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # the last for a directory of zones
        return Fault(
            rule="instant.zone",
            where=where,
            seen=zone[:80],
            remedy="Name a zone such as Europe/Paris.",
            texts={"en": "There is no such time zone.", "fr": "Ce fuseau horaire n’existe pas."},
        )
    first, second = (local.replace(tzinfo=place, fold=which).astimezone(UTC) for which in (0, 1))
    if first.astimezone(place).replace(tzinfo=None) != local:
        return _missing(local, where)
    if first != second and fold is None:
        return _twice(local, where)
    return second if fold else first


def _missing(local: datetime, where: str) -> Fault:
    return Fault(
        rule="instant.missing",
        where=where,
        seen=local.isoformat(),
        remedy="Clocks are put forward over it that night: name a time before or after.",
        texts={
            "en": "This time does not exist that night.",
            "fr": "Cette heure n’existe pas cette nuit-là.",
            "remedy_fr": "On avance les horloges cette nuit-là : donnez une heure avant ou après.",
        },
    )


def _twice(local: datetime, where: str) -> Fault:
    return Fault(
        rule="instant.twice",
        where=where,
        seen=local.isoformat(),
        remedy="Clocks are put back that night: say `fold` 0 for the first, 1 for the second.",
        texts={
            "en": "This time comes twice that night.",
            "fr": "Cette heure arrive deux fois cette nuit-là.",
            "remedy_fr": "On recule les horloges cette nuit-là : `fold` 0 pour la première fois, 1 pour la seconde.",
        },
    )
