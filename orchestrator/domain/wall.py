"""Clock time on a wall and the instant it names: on two nights of the year not every time is one."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from orchestrator.domain.errors import Fault


def instant_of(local: datetime, zone: str, fold: int | None, where: str) -> datetime | Fault:
    """The instant at which clocks in `zone` show `local` (naive), in UTC; or why there is none, or which of two.

    In the doubled hour `fold` says which: 0 is the first.
    """
    try:
        place = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
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
