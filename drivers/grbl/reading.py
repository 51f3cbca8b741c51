"""What is shown of the machine: its last report and the cut we feed it, as an Observation. Pure."""

from __future__ import annotations

from dataclasses import replace

from drivers.grbl import wire
from drivers.grbl.cut import Cut, Phase
from orchestrator.domain.machine import WORKING, Activity
from orchestrator.ports import Observation


def reading(status: wire.Status | None, cut: Cut | None, *, door: bool) -> Observation:
    """`door`: the controller has a door input. Without a cut of ours no file is named that it does not name itself."""
    if status is None:
        return Observation(activity=Activity.UNKNOWN)
    seen = Observation(
        activity=wire.activity(status),
        message=words_of(status, cut),
        conditions={"lid": not wire.door_is_open(status)} if door else {},
    )
    if cut is not None and cut.live:
        return _at_work(seen, cut)
    if seen.activity in WORKING and status.file is not None:
        return replace(seen, remote_name=f"sd:{status.file}", progress=status.file_share)
    return replace(seen, activity=Activity.ATTENTION) if status.state == "Door" else seen


def _at_work(seen: Observation, cut: Cut) -> Observation:
    """Between two lines the controller may be idle; the cut is not over by that, and a hold that comes just then
    is one all the same: nothing more is fed."""
    between = Activity.PAUSED if cut.held else Activity.PRINTING
    activity = seen.activity if seen.activity in WORKING else between
    return replace(
        seen,
        activity=Activity.CANCELLING if cut.phase is Phase.ENDING else activity,
        remote_name=cut.name,
        progress=cut.progress,
        position_bytes=cut.position_bytes,
        machine_seconds=cut.seconds,
        beam_seconds=round(cut.meter.beam_seconds, 1),
    )


def words_of(status: wire.Status, cut: Cut | None) -> str:
    """What a person should know of it; empty when there is nothing."""
    if cut is not None and cut.phase is Phase.ADRIFT:
        return "The link was lost in mid-cut; the machine works off its buffer and is not fed on."
    if wire.door_is_open(status):
        return "The door is open."
    if status.state == "Door":
        return "The door was opened."
    if cut is not None and cut.held:
        return "Held: somebody at the machine must let it go on."
    if status.state == "Alarm":
        return "The controller is locked by an alarm: look at the machine, then home or unlock it."
    if status.state == "Sleep":
        return "The controller sleeps until it is reset."
    return ""
