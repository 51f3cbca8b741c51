"""docs/webhooks.md says what the code does, and its example works as it stands there."""

from __future__ import annotations

import re
import time
from typing import Any

from docs.draw_webhooks import PAGE, page
from orchestrator.domain.webhook import secret_of, signed

SECRET, OLD = secret_of(b"n" * 32), secret_of(b"o" * 32)


def example() -> Any:
    """The function that readers are given."""
    code = re.search(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert code is not None
    namespace: dict[str, Any] = {}
    exec(code[1], namespace)  # noqa: S102  # our own page
    return namespace["is_genuine"]


def a_message(body: str = '{"type":"job.finished"}', age_seconds: int = 0) -> tuple[dict[str, str], bytes]:
    at = int(time.time()) - age_seconds
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(at),
        "webhook-signature": signed([SECRET, OLD], "msg_1", at, body),
    }
    return headers, body.encode()


def test_the_table_is_that_of_the_code() -> None:
    text = PAGE.read_text("utf-8")

    assert page(text) == text
    assert "`job.finished`" in text


def test_the_example_accepts_what_we_send_under_the_new_and_the_old_secret() -> None:
    is_genuine = example()
    headers, body = a_message()

    assert is_genuine(SECRET, headers, body)
    assert is_genuine(OLD, headers, body)


def test_the_example_refuses_what_was_altered_replayed_or_signed_by_another() -> None:
    is_genuine = example()
    headers, body = a_message()
    old_headers, old_body = a_message(age_seconds=301)

    assert not is_genuine(SECRET, headers, body + b" ")
    assert not is_genuine(SECRET, headers | {"webhook-id": "msg_2"}, body)
    assert not is_genuine(secret_of(b"x" * 32), headers, body)
    assert not is_genuine(SECRET, old_headers, old_body)
