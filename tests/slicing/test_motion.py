"""The planner, without a file: known moves against figures made by hand, random ones against the rules move by move."""

from __future__ import annotations

import io
import math
import time
from itertools import pairwise

import numpy as np
import pytest

from slicing import motion
from slicing.gcodetext import Floats
from slicing.moves import Batch, Limits, Moves, Reader

PLAIN = Limits(
    speed=(200, 200, 20, 100),
    acceleration=(1000, 1000, 200, 5000),
    jerk=(10, 10, 1, 5),
    extruding=1000,
    retracting=1500,
    travelling=1000,
)
VARIED = Limits(
    speed=(180, 150, 12, 30),
    acceleration=(900, 1200, 100, 2000),
    jerk=(8, 6, 0.4, 1.5),
    extruding=800,
    retracting=1100,
    travelling=1500,
    extruding_rate_min=2,
    travel_rate_min=3,
    flow=0.95,
)


def moves_of(text: str) -> Moves:
    (batch,) = Reader(PLAIN).read(io.BytesIO(text.encode()))
    return batch.moves


def seconds_of(text: str, limits: Limits = PLAIN) -> list[float]:
    return [float(took) for took in motion.seconds(moves_of(text), limits)]


def random_moves(count: int, seed: int) -> Moves:
    """Walls of short segments, straight runs, travels, retractions, lifts, slow and fast; accelerations change."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(6, count, p=[0.5, 0.2, 0.12, 0.08, 0.05, 0.05])
    angle = np.cumsum(rng.normal(0, np.where(kind == 1, 0.02, 0.7)))
    length = rng.lognormal(np.where(kind == 2, 2.5, 0), 1.2)
    flat = kind < 4
    dx, dy = (np.where(flat, length * f(angle), 0.0) for f in (np.cos, np.sin))
    de = np.select(
        [kind < 2, kind == 3, kind == 4], [0.04 * length, -0.01 * length, rng.choice([-3, 3], count)], 0
    )
    column = np.zeros(count)
    asked = np.where(rng.random(count) < 0.2, np.nan, rng.choice([300.0, 800, 5000], count))
    return Moves(
        x=column,
        y=column,
        z=column,
        dx=dx,
        dy=dy,
        dz=np.where(kind == 5, rng.choice([-0.2, 0.2], count), 0.0),
        de=de.astype(np.float64),
        feedrate=rng.choice([0.0, 1, 20, 45, 80, 170, 300], count),
        acceleration=asked,
        travel_acceleration=asked * 2,
        retract_acceleration=np.full(count, np.nan),
        feature=np.zeros(count, np.uint8),
        layer=np.zeros(count, np.int32),
        end_byte=np.arange(1, count + 1),
        line=np.arange(1, count + 1),
    )


# --- The rules, move by move ---------------------------------------------------------------------------------------


def move_by_move(moves: Moves, limits: Limits) -> list[float]:
    """What `motion` does with whole arrays, said with loops, by the description of the slicer's estimate and not by
    our code: the cumulative jerk axis after axis, the reverse pass from the end, a trapezoid for each.
    """
    n = len(moves)
    d = [[float(c[i]) for c in (moves.dx, moves.dy, moves.dz, moves.de)] for i in range(n)]
    asked, cruise, acceleration, length, axes = [], [], [], [], []
    for i in range(n):
        d[i][3] *= limits.flow
        alone = d[i][:3] == [0, 0, 0]
        length.append(abs(d[i][3]) if alone else math.hypot(*d[i][:3]))
        least = limits.extruding_rate_min if d[i][3] else limits.travel_rate_min
        asked.append(max(float(moves.feedrate[i]), least, motion.SPEED_MIN))
        speed = [asked[i] * part / length[i] for part in d[i]]
        slowed = min([1.0] + [most / abs(v) for v, most in zip(speed, limits.speed, strict=True) if v])
        cruise.append(asked[i] * slowed)
        axes.append([v * slowed for v in speed])
        column, most = moves.travel_acceleration, limits.travelling
        if alone:
            column, most = moves.retract_acceleration, limits.retracting
        elif d[i][3]:
            column, most = moves.acceleration, limits.extruding
        a = most if math.isnan(column[i]) else min(float(column[i]), most)
        for part, cap in zip(d[i], limits.acceleration, strict=True):
            if a * abs(part) / length[i] > cap:
                a = cap * length[i] / abs(part)
        acceleration.append(a)
    safe = [
        min([cruise[i]] + [j for v, j in zip(axes[i], limits.jerk, strict=True) if abs(v) > j])
        for i in range(n)
    ]
    corner = [safe[0]] + [
        _corner(asked[i - 1], cruise[i], axes[i - 1], axes[i], safe[i - 1], safe[i], limits.jerk)
        for i in range(1, n)
    ]
    speed = [*corner, safe[-1]]
    for i in reversed(range(n)):
        speed[i] = min(speed[i], math.sqrt(speed[i + 1] ** 2 + 2 * acceleration[i] * length[i]))
    return [
        _trapezoid(begin, end, cruise[i], acceleration[i], length[i])
        for i, (begin, end) in enumerate(pairwise(speed))
    ]


def _corner(
    coming: float,
    cruise: float,
    out: list[float],
    into: list[float],
    safe_before: float,
    safe: float,
    jerk: tuple[float, ...],
) -> float:
    corner, factor = min(coming, cruise), 1.0
    slower = corner / coming
    for v_out, v_in, most in zip(out, into, jerk, strict=True):
        leaving, entering = v_out * slower * factor, v_in * factor
        if leaving * entering > 0:
            jump = abs(leaving - entering)
        else:
            jump = max(abs(leaving), abs(entering))
        if jump > most:
            factor *= most / jump
    corner *= factor
    return safe if min(safe_before, safe) > 0.99 * corner else corner


def _trapezoid(begin: float, end: float, cruise: float, a: float, length: float) -> float:
    end = min(end, cruise)  # the next may begin faster than this ever is: both may start from a halt
    up, down = (cruise**2 - begin**2) / (2 * a), (cruise**2 - end**2) / (2 * a)
    if up + down <= length:
        return (2 * cruise - begin - end) / a + (length - up - down) / cruise
    up = min(max((2 * a * length + end**2 - begin**2) / (4 * a), 0), length)
    top = math.sqrt(begin**2 + 2 * a * up)
    return (top - begin) / a + (top - math.sqrt(max(top**2 - 2 * a * (length - up), 0))) / a


@pytest.mark.parametrize("limits", [PLAIN, VARIED])
@pytest.mark.parametrize("seed", range(4))
def test_whole_arrays_say_what_the_rules_say_move_by_move(limits: Limits, seed: int) -> None:
    moves = random_moves(3 * motion.CHUNK // 2, seed)

    took = motion.seconds(moves, limits)

    assert took == pytest.approx(move_by_move(moves, limits), rel=1e-6, abs=1e-9)


# --- By hand -------------------------------------------------------------------------------------------------------


def test_a_long_move_speeds_up_cruises_and_slows_down() -> None:
    # From 10 to 50 mm/s and back in 40 ms and 1.2 mm each; 97.6 mm at 50 mm/s between.
    assert seconds_of("G1 X100 F3000\n") == pytest.approx([2.032])


def test_a_short_move_turns_round_before_it_cruises() -> None:
    # 1 mm: up to sqrt(1100) mm/s in the middle, from 10 and to 10.
    assert seconds_of("G1 X1 F6000\n") == pytest.approx([2 * (math.sqrt(1100) - 10) / 1000])


def test_a_straight_line_in_two_pieces_takes_as_long_as_in_one() -> None:
    whole = seconds_of("G1 X100 F3000\n")
    pieces = seconds_of("G1 X40 F3000\nG1 X100\n")

    assert sum(pieces) == pytest.approx(sum(whole))


def test_a_corner_is_taken_at_the_jerk() -> None:
    first, second = seconds_of("G1 X100 F3000\nG1 Y100\n")

    assert (first, second) == pytest.approx((2.032, 2.032))  # each axis may start and stop at 10 mm/s


def test_a_move_brakes_early_for_one_far_ahead() -> None:
    tail = "".join(f"G1 X{100 + 0.1 * n:.1f}\n" for n in range(1, 11))
    short, alone = seconds_of("G1 X100 F6000\n" + tail), seconds_of("G1 X101 F6000\n")

    # Ten pieces of 0.1 mm are too short to brake in: the long one must, as if all were one.
    assert sum(short) == pytest.approx(sum(alone))


def test_the_slowest_axis_sets_the_pace() -> None:
    fast = Limits(speed=(200, 50, 12, 100), acceleration=(0, 0, 0, 0), jerk=(99, 99, 99, 99), travelling=1e9)

    assert seconds_of("G1 X300 Y400 F60000\n", fast) == pytest.approx([8.0], rel=1e-3)  # Y: 400 mm at 50 mm/s


def test_filament_alone_has_an_acceleration_of_its_own() -> None:
    retracting = Limits(jerk=(10, 10, 0.4, 0), acceleration=(0, 0, 0, 0), speed=(0, 0, 0, 0), retracting=400)

    # Half of 4 mm at 400 mm/s2 from a standstill takes sqrt(2 * 2 / 400) s.
    assert seconds_of("G1 E-4 F60000\n", retracting) == pytest.approx([0.2])


def test_the_acceleration_asked_for_counts_up_to_the_machines() -> None:
    slow, fast, capped = (sum(seconds_of(f"M204 P{a} T{a}\nG1 X100 E3 F6000\n")) for a in (200, 1000, 9000))

    assert slow > fast == capped


# --- Files and batches ---------------------------------------------------------------------------------------------


def batch(moves: Moves, *, halted: bool = False, dwell: float = 0, limits: Limits = PLAIN) -> Batch:
    return Batch(moves=moves, limits=limits, halted=halted, dwell_seconds=dwell)


def in_one(batches: list[Batch]) -> Floats:
    return np.concatenate([np.zeros(0), *(done.seconds for done in motion.timed(batches))])


@pytest.mark.parametrize("seed", range(3))
def test_how_a_file_is_cut_changes_nothing(seed: int) -> None:
    moves = random_moves(20_000, seed)
    cuts = sorted(np.random.default_rng(seed).integers(0, 20_000, 40).tolist())
    batches = [batch(moves[low:high]) for low, high in pairwise([0, *cuts, 20_000]) if high > low]

    done = list(motion.timed(batches))

    assert in_one(batches) == pytest.approx(motion.seconds(moves, PLAIN), rel=1e-6, abs=1e-9)
    assert np.concatenate([part.moves.line for part in done]).tolist() == moves.line.tolist()


def test_a_halt_stops_the_machine_and_its_wait_is_told_once() -> None:
    half, rest = moves_of("G1 X40 F3000\n"), moves_of("G1 X60 F3000\n")

    done = list(motion.timed([batch(half, halted=True), batch(rest, halted=True, dwell=3)]))

    assert [float(part.seconds.sum()) for part in done] == pytest.approx(
        [*seconds_of("G1 X40 F3000\n"), *seconds_of("G1 X60 F3000\n")]
    )
    assert [part.dwell_seconds for part in done] == [0, 3]


def test_a_long_batch_tells_its_wait_once() -> None:
    done = list(motion.timed([batch(random_moves(3000, 1), dwell=2), batch(random_moves(3000, 2))]))

    assert len(done) == 3  # what is certain of the first, of the second, and the end
    assert [part.dwell_seconds for part in done] == [2, 0, 0]


def test_new_limits_hold_from_their_line_on() -> None:
    moves, slow = moves_of("G1 X100 F3000\n"), Limits(speed=(25, 25, 12, 100), travelling=1000)

    first, second = motion.timed([batch(moves), batch(moves, limits=slow)])

    assert float(second.seconds[0]) > 1.9 * float(first.seconds[0])


def test_nothing_takes_no_time() -> None:
    assert list(motion.timed([])) == []
    assert motion.seconds(random_moves(0, 0), PLAIN).tolist() == []


@pytest.mark.parametrize(
    "limits",
    [
        Limits(jerk=(0, 0, 0, 0)),
        Limits(speed=(0, 0, 0, 0), acceleration=(0, 0, 0, 0), extruding=0, travelling=0, retracting=0),
        Limits(speed=(1e-9, 1e9, 1e-9, 1e9), acceleration=(1e-9, 1e9, 1, 1)),
        Limits(jerk=(1e9, 1e9, 1e9, 1e9)),
        Limits(flow=0),
    ],
)
def test_strange_limits_still_give_a_time(limits: Limits) -> None:
    took = motion.seconds(random_moves(5000, 7), limits)

    assert np.isfinite(took).all()
    assert (took >= 0).all()


def test_a_million_moves_take_less_than_a_second() -> None:
    moves = random_moves(100_000, 3)
    motion.seconds(moves, VARIED)

    took = []
    for _ in range(5):
        began = time.process_time()
        motion.seconds(moves, VARIED)
        took.append(time.process_time() - began)

    assert min(took) < 0.1, "`./etabli bench planner` has the figure itself"
