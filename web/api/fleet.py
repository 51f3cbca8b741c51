"""Machines and runs: look, clear a bed, hold, maintain, decide what became of an unclear run."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from pydantic import Field

from orchestrator.domain.process import Colour, Material
from orchestrator.flow import act, report
from web.api import shapes
from web.api.files import ById
from web.api.shapes import ShownMachine, ShownRun
from web.security import member_of
from web.typed import Call, Given, Shown


class MachineList(Shown):
    items: list[ShownMachine]
    next: str | None


class HoldBody(Given):
    reason: str = Field(default="", max_length=200)


class MaintenanceBody(Given):
    on: bool = True


class MaterialBody(Given):
    material: Material | None = Field(strict=False)
    colour: Colour | None = Field(default=None, strict=False)
    stock_milligrams: int | None = Field(default=None, ge=0, le=100_000_000)
    """Left on the spool; None: not known."""
    nozzle_micrometres: int | None = Field(default=None, ge=50, le=5000)
    """None: as it is."""


class DecideBody(Given):
    verdict: Literal["finished", "failed", "never_started", "still_running"]


async def machines(call: Call) -> MachineList:
    views = await report.fleet(call.lab, member_of(call.request))
    return MachineList(items=[shapes.machine(view) for view in views], next=None)


async def machine(call: Call, params: ById) -> ShownMachine:
    return await _shown(call, params.id)


async def _shown(call: Call, machine_id: UUID) -> ShownMachine:
    return shapes.machine(await report.machine_view(call.lab, member_of(call.request), machine_id))


async def clear(call: Call, params: ById) -> ShownMachine:
    await act.clear_bed(call.lab, member_of(call.request), params.id)
    return await _shown(call, params.id)


async def occupy(call: Call, params: ById) -> ShownMachine:
    await act.occupy_bed(call.lab, member_of(call.request), params.id)
    return await _shown(call, params.id)


async def hold(call: Call, params: ById, body: HoldBody) -> ShownMachine:
    await act.hold(call.lab, member_of(call.request), params.id, body.reason)
    return await _shown(call, params.id)


async def resume(call: Call, params: ById) -> ShownMachine:
    await act.unhold(call.lab, member_of(call.request), params.id)
    return await _shown(call, params.id)


async def maintenance(call: Call, params: ById, body: MaintenanceBody) -> ShownMachine:
    await act.maintenance(call.lab, member_of(call.request), params.id, body.on)
    return await _shown(call, params.id)


async def material(call: Call, params: ById, body: MaterialBody) -> ShownMachine:
    mounted: dict[str, object] = {"colour": body.colour, "stock_milligrams": body.stock_milligrams}
    if body.nozzle_micrometres is not None:
        mounted["nozzle_micrometres"] = body.nozzle_micrometres
    await act.load_material(call.lab, member_of(call.request), params.id, body.material, **mounted)
    return await _shown(call, params.id)


async def decide(call: Call, params: ById, body: DecideBody) -> ShownRun:
    verdict = act.Verdict(body.verdict)
    return shapes.run(await act.decide_run(call.lab, member_of(call.request), params.id, verdict))
