"""Whatever happens in whatever order: when the signs of the person stop, the machine is told to hold within 2 s."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.domain.errors import EtabliError
from orchestrator.domain.presence import HEARTBEAT_LOST_SECONDS
from orchestrator.ports import Accepted, Control
from tests.drivers.grbl.bench import NAME, TICK_SECONDS, Bench, a_bench
from tests.rigs.fake_grbl import Manners

HOLD_SECONDS_MAX = 2.0
PRESS_SECONDS_MAX = 0.3
"""Who presses the machine's own start has it held again when the next report tells of it."""
LONG = 2000
Event = Callable[[Bench], Awaitable[None]]


def told(action: Control) -> Event:
    async def event(bench: Bench) -> None:
        with suppress(EtabliError):
            await bench.meanwhile(bench.driver.control(NAME, action))

    return event


async def comes(bench: Bench) -> None:
    bench.person_is_there = True
    bench.attend()


async def goes(bench: Bench) -> None:
    bench.person_is_there = False


async def one_sign(bench: Bench) -> None:
    bench.attend()


async def door_opens(bench: Bench) -> None:
    bench.fake.open_door()


async def door_closes(bench: Bench) -> None:
    bench.fake.close_door()


async def start_is_pressed(bench: Bench) -> None:
    bench.fake.press_start()


async def is_looked_at(bench: Bench) -> None:
    with suppress(EtabliError):
        await bench.driver.observe()


async def stages_another(bench: Bench) -> None:
    with suppress(EtabliError):
        await bench.driver.stage(bench.file(30), "another.gcode")


async def answers_stop(bench: Bench) -> None:
    bench.fake.manners = Manners(swallows_answers=True)


async def link_breaks_and_is_mended(bench: Bench) -> None:
    bench.links[-1].hang_up()
    await bench.clock.settle()
    with suppress(EtabliError):
        await bench.reconnect()


EVENTS: Mapping[str, Event] = {
    "pause": told(Control.PAUSE),
    "resume": told(Control.RESUME),
    "comes": comes,
    "goes": goes,
    "one_sign": one_sign,
    "door_opens": door_opens,
    "door_closes": door_closes,
    "start_is_pressed": start_is_pressed,
    "is_looked_at": is_looked_at,
    "stages_another": stages_another,
    "answers_stop": answers_stop,
    "link_breaks_and_is_mended": link_breaks_and_is_mended,
}


async def _lives_through(events: list[tuple[str, float]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with a_bench(Path(folder), door=True, answer_seconds=2) as bench:
            assert isinstance(await bench.start(LONG), Accepted)
            for event, seconds in events:
                await EVENTS[event](bench)
                await bench.passes(seconds)
            bench.person_is_there, left_at = False, bench.clock.monotonic()
            moves = bench.fake.state == "Run"
            holds = len(bench.fake.holds)
            await bench.passes(2 * HOLD_SECONDS_MAX)

            presses = sum(event == "start_is_pressed" for event, _ in events)
            assert bench.unwatched_seconds <= TICK_SECONDS + PRESS_SECONDS_MAX * presses
            assert bench.fake.state != "Run"
            assert bench.fake.programs == 1
            assert not bench.fake.rx_overrun
            if moves:
                assert len(bench.fake.holds) > holds
                due = max(bench.last_sign + HEARTBEAT_LOST_SECONDS, left_at + PRESS_SECONDS_MAX)
                assert bench.fake.holds[holds] <= due + 0.1


@settings(max_examples=150)
@given(st.lists(st.tuples(st.sampled_from(sorted(EVENTS)), st.floats(0.0, 3.0)), max_size=12))
def test_the_machine_never_moves_two_seconds_after_the_last_sign(events: list[tuple[str, float]]) -> None:
    asyncio.run(_lives_through(events))
