"""What controllers say, read: recorded dialogues word for word, and what no controller should say."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.grbl import wire
from orchestrator.domain.machine import Activity

SAMPLES = Path(__file__).parent / "samples"


def sample(name: str) -> list[wire.Said | None]:
    return [wire.parse(line) for line in (SAMPLES / name).read_text().splitlines()]


def test_a_recorded_dialogue_with_grblhal_is_understood() -> None:
    banner, ok, version, options, axes, firmware, _, run, slow, idle = sample("grblhal.txt")

    assert banner == wire.Banner(text="GrblHAL 1.1f ['$' or '$HELP' for help]")
    assert ok == wire.Ok()
    assert version == wire.Build(version="1.1f.20260817")
    assert options == wire.Build(planner_blocks=100, rx_bytes=1024)
    assert (axes, firmware) == (None, None)
    assert run == wire.Status(
        state="Run", machine_mm=(30.962, 30.962), feed=10734.0, power=500.0, rx_free_bytes=1023
    )
    assert isinstance(slow, wire.Status)
    assert isinstance(idle, wire.Status)
    assert (slow.feed, idle.state) == (0.0, "Idle")


def test_what_grbl_1_1h_says_is_understood() -> None:
    said = sample("grbl11h.txt")

    assert said[:4] == [
        wire.Banner(text="Grbl 1.1h ['$' for help]"),
        wire.Message(text="'$H'|'$X' to unlock"),
        wire.Build(version="1.1h.20190830", name="laser 2"),
        wire.Build(planner_blocks=15, rx_bytes=128),
    ]
    assert said[5:8] == [
        wire.Setting(number=30, value=1000.0),
        wire.Setting(number=32, value=1.0),
        wire.Setting(number=110, value=12000.0),
    ]
    assert said[-4:-1] == [wire.Alarm(number=3), wire.Error(number=22), wire.Error(number=8)]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("Grbl 3.7 [FluidNC v3.7.16 (wifi) '$' for help]", wire.Banner),
        ("[VER:3.7 FluidNC v3.7.16:]", wire.Build),
        ("[OPT:PHSW]", wire.Build),
        ("[OPT:]", wire.Build),
        ("error:Undefined feed rate", wire.Error),
        ("ALARM: Hard/soft limit", wire.Alarm),
        ("<Idle>", wire.Status),
    ],
)
def test_dialects_are_understood(line: str, said: type[wire.Said]) -> None:
    assert isinstance(wire.parse(line), said)


@pytest.mark.parametrize(
    "line",
    ["okay", "", ">G54:ok", "G1 X1", "[GC:G0 G54]", "<Run|MPos:1", "$N0=G21", "[echo:G1X1]", "$30=", "<|>"],
)
def test_what_is_neither_answer_nor_report_means_nothing(line: str) -> None:
    assert wire.parse(line) is None


@pytest.mark.parametrize(
    ("report", "activity", "at_rest", "door_open"),
    [
        ("<Idle|MPos:0,0,0>", Activity.IDLE, True, False),
        ("<Run|MPos:0,0,0>", Activity.PRINTING, False, False),
        ("<Hold:0|MPos:0,0,0>", Activity.PAUSED, True, False),
        ("<Hold:1|MPos:0,0,0>", Activity.PAUSING, False, False),
        ("<Hold|MPos:0,0,0>", Activity.PAUSED, True, False),
        ("<Door:0|MPos:0,0,0>", Activity.PAUSED, True, False),
        ("<Door:1|MPos:0,0,0>", Activity.PAUSED, True, True),
        ("<Door:2|MPos:0,0,0>", Activity.PAUSING, False, True),
        ("<Door:3|MPos:0,0,0>", Activity.RESUMING, False, False),
        ("<Idle|MPos:0,0,0|Pn:XD>", Activity.IDLE, True, True),
        ("<Jog|MPos:0,0,0>", Activity.BUSY, False, False),
        ("<Home|MPos:0,0,0>", Activity.BUSY, False, False),
        ("<Check|MPos:0,0,0>", Activity.BUSY, True, False),
        ("<Alarm|MPos:0,0,0>", Activity.FAULT, True, False),
        ("<Alarm:1|MPos:0,0,0>", Activity.FAULT, True, False),
        ("<Sleep|MPos:0,0,0>", Activity.ATTENTION, True, False),
        ("<Xyzzy|MPos:0,0,0>", Activity.UNKNOWN, False, False),
    ],
)
def test_each_state_has_its_meaning(report: str, activity: Activity, at_rest: bool, door_open: bool) -> None:
    status = wire.parse(report)

    assert isinstance(status, wire.Status)
    assert wire.activity(status) is activity
    assert wire.at_rest(status) is at_rest
    assert wire.door_is_open(status) is door_open


def test_a_file_from_the_controllers_own_card_is_named() -> None:
    status = wire.parse("<Run|MPos:0,0,0|FS:0,0|SD:12.50,/sd/box.nc>")

    assert isinstance(status, wire.Status)
    assert (status.file, status.file_share) == ("/sd/box.nc", 0.125)


@pytest.mark.parametrize("number", ["nan", "inf", "1e308", "-1e308", "1_0_", ""])
def test_numbers_that_no_machine_has_are_not_taken(number: str) -> None:
    status = wire.parse(f"<Run|MPos:{number},1,1|FS:{number},1>")

    assert isinstance(status, wire.Status)
    assert status.machine_mm is None
    assert status.feed is None


@given(st.text(max_size=200))
def test_no_line_breaks_the_reader(line: str) -> None:
    wire.parse(line)
    wire.parse(f"<{line}>")
    wire.parse(f"[{line}]")


@given(st.lists(st.sampled_from(["ok", "<Idle|MPos:0,0,0>", "error:9"]), max_size=20), st.data())
def test_lines_are_the_same_however_the_bytes_are_cut(said: list[str], data: st.DataObject) -> None:
    stream = "".join(line + data.draw(st.sampled_from(["\r\n", "\n", "\n\r"])) for line in said).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    lines = wire.Lines()

    read = [
        line
        for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)
        for line in lines.feed(stream[a:b])
    ]

    assert read == said


def test_a_line_without_end_is_thrown_away_and_counted_and_the_next_is_read() -> None:
    lines = wire.Lines()

    for _ in range(1000):
        assert list(lines.feed(b"x" * 1000)) == []
    read = list(lines.feed(b"x\r\nok\r\n"))

    assert read == ["ok"]
    assert lines.noise == 1
