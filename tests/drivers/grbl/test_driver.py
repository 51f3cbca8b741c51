"""What is special about feeding a laser: who may start, what holds it, what ends it, what nobody knows."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from orchestrator.domain.errors import Conflict, Misconfigured, Rejected
from orchestrator.domain.event import Json
from orchestrator.domain.machine import Activity
from orchestrator.domain.presence import HEARTBEAT_LOST_SECONDS
from orchestrator.domain.run import Cause
from orchestrator.ports import Accepted, Control, Outcome, Refused
from tests.drivers.grbl.bench import NAME, Bench, a_bench
from tests.rigs.fake_grbl import Manners
from tests.rigs.grbl import a_cut
from tests.rigs.rig import a_presence

OTHER = "fl-ba9876543210-10fedc.gcode"
LONG = 300


# --- connecting -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "settings", "words"),
    [
        ({"32": "0"}, {}, r"\$32=1"),
        ({"13": "1"}, {}, r"\$13=0"),
        ({"30": "255"}, {"power_max": 1000}, "power_max.*255"),
        ({}, {"bed_mm": [601, 400]}, "bed_mm.*600 x 400"),
        ({}, {"bed_mm": [600, 401]}, "bed_mm"),
    ],
)
async def test_a_controller_that_is_not_set_up_for_us_is_for_the_operator_to_mend(
    tmp_path: Path, told: dict[str, str], settings: dict[str, Json], words: str
) -> None:
    bench = Bench(tmp_path, **settings)
    bench.fake.settings |= told

    with pytest.raises(Misconfigured, match=words):
        await bench.driver.connect()


async def test_a_controller_that_does_not_say_that_laser_mode_is_on_is_not_trusted(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    del bench.fake.settings["32"]

    with pytest.raises(Misconfigured):
        await bench.driver.connect()


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({}, "address"),
        ({"address": 5}, "address"),
        ({"address": "http://laser/"}, "address"),
        ({"address": "tcp://laser"}, "address"),
        ({"address": "tcp://laser:99999"}, "address"),
        ({"address": "tcp://laser:23/x"}, "address"),
        ({"address": "ws://u:p@laser/"}, "address"),
        ({"address": "serial://host/dev/ttyUSB0"}, "address"),
        ({"address": "serial:///etc/passwd"}, "address"),
        ({"address": "serial:///dev/ttyUSB0?baud=7"}, "address"),
        ({"address": "serial:///dev/ttyUSB0?parity=e"}, "address"),
        ({"address": "tcp://laser:23", "bed_mm": [600]}, "bed_mm"),
        ({"address": "tcp://laser:23", "bed_mm": "600x400"}, "bed_mm"),
        ({"address": "tcp://laser:23", "power_max": 0}, "power_max"),
        ({"address": "tcp://laser:23", "power_max": True}, "power_max"),
        ({"address": "tcp://laser:23", "door": "yes"}, "door"),
        ({"address": "tcp://laser:23", "rx_bytes": 4}, "rx_bytes"),
        ({"address": "tcp://laser:23", "answer_seconds": 600}, "answer_seconds"),
        ({"address": "tcp://laser:23", "colour": "red"}, "colour"),
    ],
)
def test_a_setting_that_is_wrong_is_named(tmp_path: Path, settings: dict[str, Json], named: str) -> None:
    from drivers.grbl.settings import Settings

    with pytest.raises(Misconfigured, match=named):
        Settings.of(settings)


async def test_connecting_resets_nothing_and_moves_nothing(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        await bench.reconnect()

        assert bench.fake.resets == 0
        assert bench.fake.programs == 0
        assert set(bench.fake.heard.decode().replace("?", "").split()) == {"$I", "$$"}


async def test_a_board_that_boots_while_it_is_asked_is_asked_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    taken = bench.fake.take

    def boots_once(byte: int) -> None:
        taken(byte)
        if byte == ord("I") and not bench.fake.violations:
            bench.fake.violations.append("booted")
            bench.fake.lose_power()

    bench.fake.take = boots_once  # type: ignore[method-assign]
    await bench.begin()

    assert (await bench.driver.observe()).activity is Activity.IDLE
    await bench.stop()


# --- starting ---------------------------------------------------------------------------------------


async def test_nothing_leaves_for_the_machine_before_the_start(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        await bench.driver.stage(bench.file(), NAME)

        await bench.passes(60)

        assert bench.fake.lines == []


@pytest.mark.parametrize("why", ["none", "run_out", "not_yet", "other_file"])
async def test_without_a_release_of_this_file_nothing_starts(tmp_path: Path, why: str) -> None:
    async with a_bench(tmp_path) as bench:
        file = bench.file()
        await bench.driver.stage(file, NAME)
        given = a_presence(file, bench.clock)
        minute = timedelta(minutes=1)
        presence = {
            "none": None,
            "run_out": replace(given, issued_at=given.issued_at - minute, expires_at=bench.clock.now()),
            "not_yet": replace(
                given, issued_at=given.issued_at + minute, expires_at=given.expires_at + minute
            ),
            "other_file": replace(given, artifact_sha256="0" * 64),
        }[why]

        answer = await bench.driver.start(NAME, presence)

        assert isinstance(answer, Refused)
        assert answer.words
        assert bench.fake.lines == []


@pytest.mark.parametrize("state", ["Alarm", "Hold", "Door", "Run", "Check", "Sleep"])
async def test_a_machine_that_is_not_idle_is_not_started(tmp_path: Path, state: str) -> None:
    async with a_bench(tmp_path) as bench:
        bench.fake.state = state
        await bench.driver.observe()

        answer = await bench.start()

        assert isinstance(answer, Refused)
        assert bench.fake.lines == []


async def test_a_start_is_never_sent_twice(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        assert isinstance(await bench.start(), Accepted)
        await bench.passes(60)
        assert bench.ended[0].outcome is Outcome.FINISHED

        again = await bench.start()

        assert isinstance(again, Refused)
        assert bench.fake.programs == 1


async def test_a_first_line_that_is_refused_has_started_nothing_and_may_be_tried_again(
    tmp_path: Path,
) -> None:
    async with a_bench(tmp_path) as bench:
        bench.fake.manners = Manners(refuses_line=(0, 20))

        first = await bench.start()
        bench.fake.manners = Manners()
        second = await bench.driver.start(NAME, a_presence(bench.file(), bench.clock))

        assert isinstance(first, Refused)
        assert "error:20" in first.words
        assert isinstance(second, Accepted)
        assert bench.fake.burned_seconds == 0.0


async def test_a_file_that_cannot_be_fed_safely_is_not_staged(tmp_path: Path) -> None:
    async with a_bench(tmp_path, bed_mm=[600, 400]) as bench:
        for text, rule in ((a_cut().replace("M4", "M3"), "laser.m3"), (a_cut(401), "")):
            if rule:
                with pytest.raises(Rejected) as no:
                    await bench.driver.stage(bench.file(text=text), NAME)
                assert no.value.code == rule
        with pytest.raises(Rejected, match="power"):
            await bench.driver.stage(bench.file(text=a_cut().replace("S500", "S1001")), NAME)


# --- a cut ------------------------------------------------------------------------------------------


async def test_a_whole_cut_is_fed_watched_and_metered(tmp_path: Path) -> None:
    async with a_bench(tmp_path, door=True) as bench:
        bench.fake.settings["10"] = "3"

        assert isinstance(await bench.start(100), Accepted)
        await bench.passes(200)

        (ended,) = bench.ended
        assert (ended.outcome, ended.cause, ended.remote_name) == (Outcome.FINISHED, None, NAME)
        assert ended.position_bytes == bench.file(100).stat().st_size
        assert ended.machine_seconds == pytest.approx(bench.fake.moved_seconds, abs=2)
        assert ended.beam_seconds == pytest.approx(bench.fake.burned_seconds, rel=0.03)
        assert not bench.fake.rx_overrun
        assert bench.fake.violations == []
        assert bench.last.activity is Activity.IDLE
        assert bench.last.conditions == {"lid": True}


async def test_progress_rises_and_never_falls(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        await bench.start(30)
        await bench.passes(60)

        told = [seen.progress for seen in bench.seen if seen.progress is not None]
        assert told == sorted(told)
        assert len(set(told)) > 20


@pytest.mark.parametrize("tells_power_in_rapids", [True, False])
async def test_rapid_moves_are_not_counted_as_beam_whatever_the_reports_say(
    tmp_path: Path, tells_power_in_rapids: bool
) -> None:
    moves = "\n".join(f"G0 X500 Y{y}\nG1 X490 S500 F600\nG0 X0 Y{y}" for y in range(40))
    async with a_bench(tmp_path) as bench:
        bench.fake.manners = Manners(tells_power_in_rapids=tells_power_in_rapids)
        await bench.start(text=f"G21\nG90\nM4S0\n{moves}\nM5\nM2\n")
        await bench.passes(400)

        (ended,) = bench.ended
        assert bench.fake.burned_seconds == pytest.approx(40, abs=0.1)
        assert bench.fake.moved_seconds > 200
        assert ended.beam_seconds == pytest.approx(bench.fake.burned_seconds, rel=0.1)


async def test_a_pause_is_not_counted(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        await bench.start(20)
        await bench.passes(5)
        await bench.meanwhile(bench.driver.control(NAME, Control.PAUSE))
        assert bench.last.activity is Activity.PAUSED
        fed = len(bench.fake.lines)
        await bench.passes(600)
        assert len(bench.fake.lines) == fed
        await bench.meanwhile(bench.driver.control(NAME, Control.RESUME))
        await bench.passes(60)

        (ended,) = bench.ended
        assert ended.outcome is Outcome.FINISHED
        assert ended.machine_seconds == pytest.approx(bench.fake.moved_seconds, abs=2)


# --- the dead man's switch --------------------------------------------------------------------------


async def test_without_a_sign_of_the_person_the_machine_holds_in_time(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        await bench.start(LONG)
        await bench.passes(10)
        bench.person_is_there = False
        await bench.passes(30)

        assert bench.fake.holds[0] - bench.last_sign == pytest.approx(HEARTBEAT_LOST_SECONDS, abs=0.01)
        assert bench.unwatched_seconds == 0
        assert bench.last.activity is Activity.PAUSED
        assert bench.fake.resumes == []


async def test_a_start_that_nobody_attends_holds_in_time(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.person_is_there = False
        await bench.start(LONG)
        await bench.passes(30)

        assert bench.fake.holds[0] - bench.last_sign <= 2.0
        assert bench.unwatched_seconds == 0


async def test_a_person_who_comes_back_does_not_start_it_again_by_that_alone(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        await bench.start(LONG)
        bench.person_is_there = False
        await bench.passes(5)
        bench.person_is_there = True
        await bench.passes(60)
        assert bench.fake.state == "Hold"

        await bench.meanwhile(bench.driver.control(NAME, Control.RESUME))
        await bench.passes(400)

        assert bench.ended[0].outcome is Outcome.FINISHED


async def test_nothing_resumes_while_nobody_is_there(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        await bench.start(LONG)
        bench.person_is_there = False
        await bench.passes(5)

        with pytest.raises(Conflict, match="Nobody"):
            await bench.meanwhile(bench.driver.control(NAME, Control.RESUME))

        assert bench.fake.resumes == []


async def test_the_machines_own_button_does_not_help_where_nobody_is_there(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        await bench.start(LONG)
        bench.person_is_there = False
        await bench.passes(5)

        bench.fake.press_start()
        moved = bench.fake.moved_seconds
        await bench.passes(30)

        assert bench.fake.moved_seconds - moved <= 0.2
        assert bench.fake.state == "Hold"


async def test_the_machines_own_button_goes_on_while_somebody_is_there(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        await bench.start(20)
        await bench.meanwhile(bench.driver.control(NAME, Control.PAUSE))
        await bench.passes(5)

        bench.fake.press_start()
        await bench.passes(60)

        assert bench.ended[0].outcome is Outcome.FINISHED


async def test_the_hold_does_not_wait_for_whoever_reads_the_observations(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        watcher = bench.driver.observations()
        await anext(watcher)  # and never again
        await bench.start(LONG)
        bench.person_is_there = False
        await bench.passes(2)

        assert bench.fake.state == "Hold"
        await watcher.aclose()  # type: ignore[attr-defined]


# --- the door ---------------------------------------------------------------------------------------


async def test_a_door_that_opens_is_told_and_only_a_person_goes_on(tmp_path: Path) -> None:
    async with a_bench(tmp_path, door=True) as bench:
        await bench.start(20)
        await bench.passes(5)
        bench.fake.open_door()
        await bench.passes(5)
        assert bench.last.activity is Activity.PAUSED
        assert bench.last.conditions == {"lid": False}
        with pytest.raises(Conflict, match="door"):
            await bench.meanwhile(bench.driver.control(NAME, Control.RESUME))

        bench.fake.close_door()
        await bench.passes(60)
        assert bench.ended == []
        assert bench.fake.resumes == []
        await bench.meanwhile(bench.driver.control(NAME, Control.RESUME))
        await bench.passes(60)

        assert bench.ended[0].outcome is Outcome.FINISHED


async def test_an_open_door_refuses_a_start(tmp_path: Path) -> None:
    async with a_bench(tmp_path, door=True) as bench:
        bench.fake.door_open = True
        await bench.driver.observe()

        assert isinstance(await bench.start(), Refused)


# --- ends -------------------------------------------------------------------------------------------


async def test_a_cancel_holds_first_keeps_the_position_and_leaves_an_idle_machine(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        await bench.start(LONG)
        await bench.passes(10)

        await bench.meanwhile(bench.driver.control(NAME, Control.CANCEL))

        (ended,) = bench.ended
        assert ended.outcome is Outcome.CANCELLED
        heard = bench.fake.heard
        assert heard.index(b"!") < heard.index(b"\x18") < heard.index(b"M5 S0")
        assert bench.fake.lines[-1] == "M5 S0"
        assert (await bench.driver.observe()).activity is Activity.IDLE
        assert 0 < (ended.position_bytes or 0) < bench.file(LONG).stat().st_size


async def test_a_machine_that_will_not_hold_is_reset_all_the_same(tmp_path: Path) -> None:
    async with a_bench(tmp_path, answer_seconds=1) as bench:
        await bench.start(LONG)
        bench.fake._hold = lambda: None  # type: ignore[method-assign]
        await bench.passes(5)

        await bench.driver.control(NAME, Control.CANCEL)  # the clock stands still, and it goes on moving

        (ended,) = bench.ended
        assert ended.outcome is Outcome.CANCELLED
        assert "position is lost" in ended.words
        assert bench.fake.lines[-1] == "M5 S0"


async def test_an_error_in_mid_stream_ends_the_cut_and_names_the_line(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.fake.manners = Manners(refuses_line=(40, 33))
        await bench.start(LONG)
        await bench.passes(60)

        (ended,) = bench.ended
        assert ended.outcome is Outcome.FAILED
        assert "error:33" in ended.words
        assert "line 41: G1X" in ended.words
        assert b"!" in bench.fake.heard
        assert bench.fake.resets == 1
        assert len(bench.fake.lines) < 60


async def test_an_alarm_fails_the_cut_and_is_shown_until_somebody_looks(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        await bench.start(LONG)
        await bench.passes(10)
        bench.fake.hit_a_limit()
        await bench.passes(60)

        (ended,) = bench.ended
        assert (ended.outcome, ended.cause) == (Outcome.FAILED, Cause.MACHINE_FAULT)
        assert "ALARM:1" in ended.words
        assert bench.last.activity is Activity.FAULT
        assert bench.fake.resets == 0


async def test_after_an_alarm_that_somebody_has_cleared_the_next_cut_starts(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        await bench.start(LONG)
        await bench.passes(10)
        bench.fake.hit_a_limit()
        await bench.passes(1)
        assert isinstance(await bench.start(20, name=OTHER), Refused)
        bench.fake.state = "Idle"  # unlocked at the machine, without a reset: old lines are never answered
        await bench.passes(1)

        answer = await bench.start(20, name=OTHER)
        await bench.passes(60)

        assert isinstance(answer, Accepted)
        assert [end.outcome for end in bench.ended] == [Outcome.FAILED, Outcome.FINISHED]
        assert not bench.fake.rx_overrun


async def test_a_hold_that_is_passed_over_between_two_moves_is_said_again(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        await bench.start(LONG)
        await bench.passes(5)
        holds, told = bench.fake._hold, bench.fake.holds
        bench.fake._hold = lambda: holds() if len(told) > 1 else None  # type: ignore[method-assign]

        await bench.meanwhile(bench.driver.control(NAME, Control.PAUSE))

        assert bench.fake.state == "Hold"


async def test_a_controller_that_restarts_in_mid_cut_has_failed(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        await bench.start(LONG)
        await bench.passes(10)
        bench.fake.lose_power()
        await bench.passes(60)

        (ended,) = bench.ended
        assert ended.outcome is Outcome.FAILED
        assert "position is lost" in ended.words
        assert len(bench.fake.lines) < 40


@pytest.mark.parametrize("told_in_reports", [True, False])
async def test_a_controller_that_answers_twice_is_found_out(tmp_path: Path, told_in_reports: bool) -> None:
    async with a_bench(tmp_path) as bench:
        bench.fake.settings["10"] = "3" if told_in_reports else "1"
        await bench.start(LONG)
        bench.fake.manners = Manners(answers_twice=True)
        await bench.passes(600)

        (ended,) = bench.ended
        assert ended.outcome is Outcome.FAILED
        assert ended.cause is Cause.MACHINE_FAULT


async def test_a_line_that_gets_lost_is_found_out(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.fake.manners = Manners(loses_line=20)
        await bench.start(40)
        await bench.passes(600)

        (ended,) = bench.ended
        assert ended.outcome is Outcome.FAILED
        assert "lost on the way" in ended.words


async def test_noise_between_the_answers_does_no_harm(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        await bench.start(20)
        for line in ("[MSG:hello]", "\xff\xfe\x00", "x" * 900, "okok", "<Id", "error", "", "ok ok"):
            bench.fake.say(line)
            await bench.passes(1)
        await bench.passes(60)

        assert bench.ended[0].outcome is Outcome.FINISHED


async def test_endless_lines_are_no_controller(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        for _ in range(20):
            bench.fake.say("y" * 5000)
        await bench.passes(1)

        assert bench.lost == 1


async def test_a_hold_that_comes_while_it_waits_for_the_next_line_is_one_all_the_same(tmp_path: Path) -> None:
    async with a_bench(tmp_path, answer_seconds=1) as bench:
        bench.fake._hold = lambda: None  # type: ignore[method-assign]
        await bench.start(LONG)
        await bench.passes(3)
        assert bench.driver._cut is not None
        bench.driver._cut.hold()
        await bench.passes(60)  # what was in its buffer is worked off

        await bench.meanwhile(bench.driver.control(NAME, Control.PAUSE))

        assert (await bench.driver.observe()).activity is Activity.PAUSED
        assert bench.ended == []
