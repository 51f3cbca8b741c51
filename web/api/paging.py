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
        fault = Fault(
            rule="cursor", where="cursor", seen=text[:80], remedy="Use the cursor of the last answer."
        )
        raise Rejected("The cursor is none of ours.", code="fields", faults=(fault,)) from wrong
