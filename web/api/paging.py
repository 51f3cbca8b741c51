"""Cursors: opaque to callers, checked when they come back."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime
from uuid import UUID

from orchestrator.domain.errors import Fault, Rejected


def text_of(cursor: tuple[datetime, UUID] | None) -> str | None:
    if cursor is None:
        return None
    microseconds = round(cursor[0].timestamp() * 1_000_000)
    return base64.urlsafe_b64encode(f"{microseconds}.{cursor[1].hex}".encode()).decode()


def cursor_of(text: str | None) -> tuple[datetime, UUID] | None:
    """Raises Rejected for what is no cursor of ours."""
    if text is None:
        return None
    try:
        microseconds, _, job_id = base64.urlsafe_b64decode(text.encode()).decode().partition(".")
        return datetime.fromtimestamp(int(microseconds) / 1_000_000, UTC), UUID(hex=job_id)
    except (ValueError, OverflowError, OSError, binascii.Error) as wrong:
        raise _none_of_ours("cursor", text) from wrong


def number_of(text: str) -> int:
    """Of a feed: the number of the last row that its reader has. Raises Rejected for what is no number of ours."""
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise _none_of_ours("after", text)
    return int(text)


def _none_of_ours(where: str, seen: str) -> Rejected:
    fault = Fault(
        rule="cursor",
        where=where,
        seen=seen[:80],
        remedy="Use the cursor of the last answer.",
        texts={"remedy_fr": "Prenez le curseur de la dernière réponse."},
    )
    return Rejected("The cursor is none of ours.", code="fields", faults=(fault,))
