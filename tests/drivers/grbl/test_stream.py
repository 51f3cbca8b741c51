"""Counting characters: the buffer is never overrun and every line goes once, in order, whenever answers come."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from drivers.grbl.stream import Stream, Window

LINES = st.lists(st.integers(1, 71).map(lambda size: b"G" * (size - 1) + b"\n"), max_size=60)


class Buffer:
    """A controller's receive buffer: filled by what is sent, emptied line by line when it likes."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.bytes = bytearray()
        self.read: list[bytes] = []
        self.fullest = 0

    def take(self, data: bytes) -> None:
        self.bytes += data
        self.fullest = max(self.fullest, len(self.bytes))

    def read_line(self) -> bool:
        if b"\n" not in self.bytes:
            return False
        end = self.bytes.index(b"\n") + 1
        self.read.append(bytes(self.bytes[:end]))
        del self.bytes[:end]
        return True


@given(lines=LINES, rx_bytes=st.integers(80, 1024), delays=st.lists(st.integers(0, 5), max_size=400))
def test_the_buffer_is_never_overrun_and_every_line_goes_once_in_order(
    lines: list[bytes], rx_bytes: int, delays: list[int]
) -> None:
    window, stream, buffer = Window(rx_bytes), Stream(lines), Buffer(rx_bytes)
    in_flight = 0  # answers that are on their way back

    for delay in [*delays, *[5] * (2 * len(lines) + 2)]:
        buffer.take(stream.next(window))
        for _ in range(delay):
            in_flight += buffer.read_line()
        for _ in range(min(in_flight, delay // 2 + 1)):
            assert window.answered() == stream.answered
            stream.answered += 1
            in_flight -= 1

    assert buffer.fullest <= rx_bytes - 1
    assert buffer.read == lines
    assert stream.all_sent
    assert stream.all_answered
    assert window.used_bytes == len(window) == 0


@given(lines=LINES)
def test_the_buffer_is_used_to_the_full(lines: list[bytes]) -> None:
    window, stream = Window(128), Stream(lines)

    sent = stream.next(window)

    assert stream.all_sent or len(sent) + len(lines[stream.sent]) > 127


def test_the_first_line_can_be_sent_alone() -> None:
    window, stream = Window(128), Stream([b"G21\n", b"G90\n"])

    assert stream.next(window, at_most=1) == b"G21\n"
    assert stream.next(window, at_most=0) == b""
    assert stream.next(window) == b"G90\n"


def test_an_answer_that_nobody_asked_for_is_told_as_one() -> None:
    assert Window(128).answered() is None


def test_after_a_reset_nothing_is_awaited_any_more() -> None:
    window = Window(128)
    Stream([b"G21\n", b"G90\n"]).next(window)

    assert window.clear() == [0, 1]
    assert (len(window), window.used_bytes, window.answered()) == (0, 0, None)
