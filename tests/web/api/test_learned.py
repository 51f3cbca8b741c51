"""What finished runs taught, as JSON and as metrics."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.domain.calibration import Sample
from orchestrator.domain.member import Role
from orchestrator.domain.run import RunState
from orchestrator.ports import Unit
from tests.builders import NOON, Home, an_event, at_home
from tests.contracts.test_learned import a_calibration, a_sample
from tests.web.api.server import Desk


async def learned(desk: Desk) -> Home:
    """A machine that has finished a run and is known to be slow, and its profile."""
    home = await at_home(desk.store)
    run = await home.run(await home.job(), state=RunState.FINISHED)
    sample: Sample = a_sample(run_id=run.id, machine_id=home.machine.id, quoted_seconds=4200)

    async def work(unit: Unit) -> None:
        await unit.add_sample(sample)
        for machine_id in (home.machine.id, None):
            await unit.adopt(a_calibration(machine_id), an_event("calibration.adopted"))
        await unit.adopt(a_calibration(None, version=2, offset_seconds=280), an_event("calibration.adopted"))

    await desk.store.write(work)
    return home


async def test_a_technician_reads_what_was_learned(desk: Desk) -> None:
    tech = await desk.program(Role.TECH)
    assert (await tech.get("/calibrations")).json == {"items": [], "next": None}
    home = await learned(desk)

    together, one = (await tech.get("/calibrations")).json["items"]

    assert (together["profile"], together["machine_id"], together["machine"]) == ("mk3s", None, None)
    assert (one["machine_id"], one["machine"]) == (str(home.machine.id), "Ada")
    assert together["calibration"]["version"] == 2
    assert together["calibration"]["offset_seconds"] == 280
    assert one["calibration"]["time_scale"] == 1.08
    assert one["runs"] == 1
    assert one["quoted_time_error"] == abs(4200 / 4188 - 1)
    assert one["quoted_material_error"] is None


async def test_a_member_does_not(desk: Desk) -> None:
    assert (await (await desk.program()).get("/calibrations")).is_problem(403, "forbidden")


async def test_a_quote_says_which_calibration_made_it_and_what_was_said_before(desk: Desk) -> None:
    member = await desk.program()
    before = (await member.quote())["estimate"]
    await desk.store.write(
        lambda unit: unit.adopt(a_calibration(None, profile="mk3s"), an_event("calibration.adopted"))
    )

    after = (await member.quote())["estimate"]

    assert (before["calibration"], before["raw_print_seconds"]) == ("", None)
    assert after["calibration"] == "mk3s:1"
    assert after["raw_print_seconds"] == before["print_seconds"]
    assert after["print_seconds"]["p50"] == round(1.08 * before["print_seconds"]["p50"]) + 300


async def test_the_metrics_tell_how_well_quotes_keep(desk: Desk) -> None:
    await learned(desk)

    text = (await desk.nobody.ask("GET", "/metrics")).raw.decode()

    error = abs(4200 / 4188 - 1)
    assert f'etabli_estimate_time_error_ratio{{machine="Ada",profile="mk3s"}} {error}' in text
    assert f'etabli_estimate_time_error_ratio{{machine="",profile="mk3s"}} {error}' in text
    assert 'etabli_calibration_time_scale{machine="Ada",profile="mk3s"} 1.08' in text
    assert 'etabli_calibration_offset_seconds{machine="",profile="mk3s"} 280.0' in text
    assert "etabli_estimate_material_error_ratio{" not in text, "nothing was measured"


async def test_a_new_version_replaces_the_figures_of_the_old(desk: Desk) -> None:
    home = await learned(desk)
    await desk.nobody.ask("GET", "/metrics")
    newer = replace(a_calibration(home.machine.id, version=2), time_scale_ppm=1_100_000, at=NOON)
    await desk.store.write(lambda unit: unit.adopt(newer, an_event("calibration.adopted")))

    text = (await desk.nobody.ask("GET", "/metrics")).raw.decode()

    assert 'etabli_calibration_time_scale{machine="Ada",profile="mk3s"} 1.1' in text
    assert text.count("etabli_calibration_time_scale{") == 2
