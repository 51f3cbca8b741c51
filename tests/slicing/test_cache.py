"""Kept slices: the next order of the same thing is not sliced again, and nothing damaged is ever served."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from orchestrator.domain.process import Colour, Process
from slicing.cache import SliceCache
from slicing.faults import SlicerUnavailable
from slicing.placement import Placement
from slicing.profile import PrintProfile
from slicing.prusaslicer import PrusaSlicer
from slicing.sandbox import Sandbox
from slicing.slicer import SliceResult
from slicing.workshop import SandboxedWorkshop
from tests.slicing.shapes import a_box, an_analyser, ascii_stl, binary_stl, corpus, written
from tests.slicing.slicers import WRITES, a_fake, real_slicer

MK3S = PrintProfile.resolve("mk3s")
ABOUT = {"report": {"seconds": 12}}


def a_cache(folder: Path, max_bytes: int = 1 << 30) -> SliceCache:
    return SliceCache(folder / "slices", max_bytes=max_bytes)


def entries(folder: Path) -> list[Path]:
    return sorted((folder / "slices").iterdir())


# --- the store -------------------------------------------------------------------------------------


async def test_what_was_put_comes_back_to_the_byte_with_what_was_told(tmp_path: Path) -> None:
    cache, content = a_cache(tmp_path), os.urandom(3_000_000) + b"\n"
    await cache.put("a" * 64, written(tmp_path, content, "made"), ABOUT)

    told = await a_cache(tmp_path).take("a" * 64, tmp_path / "copy")

    assert told == ABOUT
    assert (tmp_path / "copy").read_bytes() == content
    assert [path.suffix for path in entries(tmp_path)] == [".slice"]


async def test_what_was_never_put_is_not_there_and_leaves_no_file(tmp_path: Path) -> None:
    assert await a_cache(tmp_path).take("a" * 64, tmp_path / "copy") is None
    assert not (tmp_path / "copy").exists()


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:40],
        lambda data: data[: data.index(b"\n") + 1],
        lambda data: data[:-1],
        lambda data: data + b"G1 X0\n",
        lambda data: flipped(data, 0),
        lambda data: flipped(data, 80),
        lambda data: flipped(data, data.index(b"\n") + 3),
        lambda data: flipped(data, len(data) - 2),
        lambda data: b"\n" + data,
        lambda data: b"x" * 3_000_000,
    ],
)
async def test_a_damaged_entry_is_absent_and_goes(tmp_path: Path, damage: object) -> None:
    cache = a_cache(tmp_path)
    await cache.put("a" * 64, written(tmp_path, b"G28\n" * 1000, "made"), ABOUT)
    (entry,) = entries(tmp_path)
    assert callable(damage)
    entry.write_bytes(damage(entry.read_bytes()))

    assert await cache.take("a" * 64, tmp_path / "copy") is None
    assert entries(tmp_path) == []
    assert not (tmp_path / "copy").exists()


async def test_what_was_used_longest_ago_makes_room(tmp_path: Path) -> None:
    cache, made = a_cache(tmp_path, 25_000), written(tmp_path, b"x" * 10_000, "made")
    await cache.put("a" * 64, made, ABOUT)
    await cache.put("b" * 64, made, ABOUT)
    await cache.take("a" * 64, tmp_path / "copy")

    await cache.put("c" * 64, made, ABOUT)

    assert [path.name[0] for path in entries(tmp_path)] == ["a", "c"]
    await a_cache(tmp_path, 5_000).put("d" * 64, made, ABOUT)
    assert entries(tmp_path) == [], "not even the newest may go over the bound"


async def test_half_an_entry_of_a_killed_process_is_never_served_and_makes_room_too(tmp_path: Path) -> None:
    cache, made = a_cache(tmp_path, 25_000), written(tmp_path, b"x" * 10_000, "made")
    (tmp_path / "slices").mkdir()
    half = written(tmp_path / "slices", b"y" * 9_000, "0123.part")
    os.utime(half, ns=(1, 1))
    await cache.put("a" * 64, made, ABOUT)
    await cache.put("b" * 64, made, ABOUT)

    assert [path.name[0] for path in entries(tmp_path)] == ["a", "b"]


async def test_a_directory_that_cannot_be_written_only_means_that_nothing_is_kept(tmp_path: Path) -> None:
    written(tmp_path, b"a file where the directory should be", "slices")
    cache = a_cache(tmp_path)
    await cache.put("a" * 64, written(tmp_path, b"x", "made"), ABOUT)

    assert await cache.take("a" * 64, tmp_path / "copy") is None


async def test_one_at_a_time_a_key_and_a_failure_lets_the_next_try(tmp_path: Path) -> None:
    cache, order, may_fail = a_cache(tmp_path), list[str](), asyncio.Event()

    async def first() -> None:
        async with cache.alone("k"):
            order.append("first in")
            await may_fail.wait()
            order.append("first out")
            raise SlicerUnavailable("it crashed")

    async def other(name: str, key: str) -> None:
        async with cache.alone(key):
            order.append(name)

    loop = asyncio.get_running_loop()
    failing = loop.create_task(first())
    await asyncio.sleep(0)
    waiting, leaving = loop.create_task(other("second", "k")), loop.create_task(other("third", "k"))
    await other("elsewhere", "l")
    leaving.cancel()
    may_fail.set()
    results = await asyncio.gather(failing, waiting, leaving, return_exceptions=True)

    assert order == ["first in", "elsewhere", "first out", "second"]
    assert [type(result) for result in results] == [SlicerUnavailable, type(None), asyncio.CancelledError]
    await other("again", "k")


# --- with a slicer ---------------------------------------------------------------------------------


@asynccontextmanager
async def a_counting_slicer(tmp_path: Path, before: str = "") -> AsyncIterator[PrusaSlicer]:
    """Writes a line to `calls` each time it slices; uncaged, or it could not."""
    fake = a_fake(tmp_path, f"echo x >> {tmp_path}/calls\n{before}\n{WRITES}")
    async with an_analyser() as analyser:
        yield PrusaSlicer(Sandbox(backend="rlimits"), analyser, path=fake, cache=a_cache(tmp_path))


def calls(tmp_path: Path) -> int:
    return (tmp_path / "calls").read_text().count("x") if (tmp_path / "calls").exists() else 0


async def ordered(slicer: PrusaSlicer, model: Path, out: Path, **wanted: object) -> SliceResult:
    return await slicer.slice(model, wanted.pop("profile", MK3S), 1, out, model.name, **wanted)  # type: ignore[arg-type]


async def test_the_same_thing_twice_is_sliced_once(tmp_path: Path) -> None:
    # given two files of one shape in two formats
    box = a_box(13.3, 20, 2)
    models = [written(tmp_path, binary_stl(box), "a.stl"), written(tmp_path, ascii_stl(box), "b.stl")]
    async with a_counting_slicer(tmp_path) as slicer:
        first = await ordered(slicer, models[0], tmp_path / "one")
        second = await ordered(slicer, models[1], tmp_path / "two")

    assert calls(tmp_path) == 1
    assert (first.remembered, second.remembered) == (False, True)
    assert first.report == second.report
    assert first.gcode_path.read_bytes() == second.gcode_path.read_bytes()
    assert [path.name for path in (tmp_path / "two").iterdir()] == ["out.gcode"]


@pytest.mark.parametrize(
    "otherwise",
    [
        {"profile": PrintProfile.resolve("mk3s", infill_percent=16)},
        {"profile": PrintProfile.resolve("mini")},
        {"placement": Placement(scale_percent=101)},
        {"placement": Placement(turn="x90")},
    ],
)
async def test_anything_otherwise_is_sliced_anew(tmp_path: Path, otherwise: dict[str, object]) -> None:
    model = written(tmp_path, binary_stl(a_box(13.3, 20, 2)), "a.stl")
    async with a_counting_slicer(tmp_path) as slicer:
        await ordered(slicer, model, tmp_path / "one")
        await ordered(slicer, model, tmp_path / "two", **otherwise)

    assert calls(tmp_path) == 2


async def test_another_colour_of_filament_is_no_other_slice_and_no_other_price(tmp_path: Path) -> None:
    model = written(tmp_path, binary_stl(a_box(13.3, 20, 2)), "a.stl")
    colours: list[Colour | None] = [None, Colour.RED, Colour.BLACK]
    workshop = SandboxedWorkshop(str(a_fake(tmp_path, WRITES)), data=tmp_path)
    try:
        wishes = [Process(colour=colour) for colour in colours]
        prices = [await workshop.estimate(model, "a.stl", "mk3s", wish, 1) for wish in wishes]
        pictures = {await workshop.ringed(model, "a.stl", "mk3s", wish) for wish in wishes}
        for place, wish in enumerate(wishes):
            (out := tmp_path / f"out{place}").mkdir()
            await workshop.slice(model, "a.stl", "mk3s", wish, 1, out)
    finally:
        await workshop.close()

    assert prices[0] == prices[1] == prices[2]
    assert len(pictures) == 1
    assert len(entries(tmp_path)) == 1


async def test_two_orders_at_once_are_sliced_once(tmp_path: Path) -> None:
    model = written(tmp_path, binary_stl(a_box(13.3, 20, 2)), "a.stl")
    async with a_counting_slicer(tmp_path, "sleep 0.3") as slicer:
        both = await asyncio.gather(
            ordered(slicer, model, tmp_path / "one"), ordered(slicer, model, tmp_path / "two")
        )

    assert calls(tmp_path) == 1
    assert sorted(result.remembered for result in both) == [False, True]


async def test_a_damaged_or_outdated_entry_is_sliced_anew_and_replaced(tmp_path: Path) -> None:
    model = written(tmp_path, binary_stl(a_box(13.3, 20, 2)), "a.stl")
    async with a_counting_slicer(tmp_path) as slicer:
        first = await ordered(slicer, model, tmp_path / "one")
        (entry,) = entries(tmp_path)
        entry.write_bytes(entry.read_bytes()[:-5])
        second = await ordered(slicer, model, tmp_path / "two")
        await a_cache(tmp_path).put(entry.stem, first.gcode_path, {"report": {"seconds": 1}})
        third = await ordered(slicer, model, tmp_path / "three")
        fourth = await ordered(slicer, model, tmp_path / "four")

    assert calls(tmp_path) == 3
    assert [r.remembered for r in (first, second, third, fourth)] == [False, False, False, True]
    assert first.gcode_path.read_bytes() == fourth.gcode_path.read_bytes()


async def test_a_slice_that_failed_is_not_kept(tmp_path: Path) -> None:
    model = written(tmp_path, binary_stl(a_box(13.3, 20, 2)), "a.stl")
    async with a_counting_slicer(tmp_path, f"[ -e {tmp_path}/well ] || exit 3") as slicer:
        with pytest.raises(SlicerUnavailable):
            await ordered(slicer, model, tmp_path / "one")
        (tmp_path / "well").touch()
        result = await ordered(slicer, model, tmp_path / "two")

    assert (calls(tmp_path), result.remembered) == (2, False)


async def test_with_the_real_slicer_the_second_order_takes_a_fraction_of_the_time(tmp_path: Path) -> None:
    real_slicer()
    model, took = corpus() / "mk3_x-carriage.stl", list[float]()
    async with an_analyser() as analyser:
        slicer = PrusaSlicer(Sandbox(), analyser, cache=a_cache(tmp_path))
        await slicer.version()
        results = []
        for name in ("one", "two"):
            began = time.perf_counter()
            results.append(await slicer.slice(model, MK3S, 1, tmp_path / name))
            took.append(time.perf_counter() - began)

    assert [result.remembered for result in results] == [False, True]
    assert results[0].gcode_path.read_bytes() == results[1].gcode_path.read_bytes()
    print(f"sliced in {took[0]:.2f} s, remembered in {took[1]:.3f} s")  # noqa: T201  # shown by pytest -s
    assert took[1] < took[0] / 4
