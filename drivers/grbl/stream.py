"""Grbl's flow control by counting characters: never more unanswered bytes than its buffer holds. Pure.

Every line is answered once, in order, by `ok` or `error:n`; nothing else that a controller says counts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence


class Window:
    """The lines that are with the controller, unanswered: for each its length and what it was for."""

    def __init__(self, rx_bytes: int) -> None:
        self._room_bytes = rx_bytes - 1  # the ring buffer of a Grbl holds one less than its size
        self._sent: deque[tuple[int, object]] = deque()
        self.used_bytes = 0

    def __len__(self) -> int:
        return len(self._sent)

    def fits(self, line: bytes) -> bool:
        return self.used_bytes + len(line) <= self._room_bytes

    def sent(self, line: bytes, purpose: object) -> None:
        self._sent.append((len(line), purpose))
        self.used_bytes += len(line)

    def answered(self) -> object | None:
        """What the oldest line was for; None where nothing was asked."""
        if not self._sent:
            return None
        size, purpose = self._sent.popleft()
        self.used_bytes -= size
        return purpose

    def clear(self) -> list[object]:
        """After a reset: nothing of it will be answered any more."""
        purposes = [purpose for _, purpose in self._sent]
        self._sent.clear()
        self.used_bytes = 0
        return purposes


class Stream:
    """One file's lines on their way: each once, in order, as many as fit."""

    def __init__(self, lines: Sequence[bytes]) -> None:
        self._lines = lines
        self.sent = 0  # lines handed out
        self.answered = 0

    @property
    def all_sent(self) -> bool:
        return self.sent == len(self._lines)

    @property
    def all_answered(self) -> bool:
        return self.answered == len(self._lines)

    def next(self, window: Window, *, at_most: int | None = None) -> bytes:
        """The lines that fit now, noted in the window under their numbers; empty where none does."""
        last = len(self._lines) if at_most is None else min(len(self._lines), self.sent + at_most)
        first = self.sent
        while self.sent < last and window.fits(self._lines[self.sent]):
            window.sent(self._lines[self.sent], self.sent)
            self.sent += 1
        return b"".join(self._lines[first : self.sent])
