"""From what a machine said of an ended run to the Usage that is billed. Pure.

The machine's own figures come first; then the artifact's consumption curve at the last position seen; then
the slicer's total for a run that was seen to finish. What is missing is filled against the member's
interest never.
"""

from __future__ import annotations

from dataclasses import replace

from orchestrator.domain.job import Artifact, CutArtifact
from orchestrator.domain.tariff import Tariff, price, total
from orchestrator.domain.units import Money
from orchestrator.domain.usage import Quality, Source, Usage


def meter(
    artifact: Artifact,
    *,
    finished: bool,
    machine_seconds: int | None,
    filament_millimetres: float | None,
    position_bytes: int | None,
    observed_seconds: int | None,
    beam_seconds: float | None = None,
    progress_permille: int = 0,
) -> Usage:
    """Usage of one run.

    `machine_seconds` and `filament_millimetres` are the machine's own counts (None where it has none);
    `position_bytes` the furthest point of the file it was seen at; `observed_seconds` our own clock between
    the first and the last sight of it running (None: never seen); `beam_seconds` the machine's own count of laser
    on; `progress_permille` how far it was seen to come.
    """
    seconds, seconds_source, gap = _seconds(artifact, finished, machine_seconds, observed_seconds)
    milligrams, filament_source = _filament(artifact, finished, filament_millimetres, position_bytes)
    usage = Usage(
        machine_seconds=seconds,
        filament_milligrams=milligrams,
        seconds_source=seconds_source,
        filament_source=filament_source,
        quality=Quality.GAP_FILLED if gap else Quality.MEASURED,
    )
    if artifact.cut is None:
        return usage
    done = 1000 if finished else progress_permille
    return _cut(usage, artifact.cut, done, beam_seconds)


def _cut(usage: Usage, cut: CutArtifact, done_permille: int, measured: float | None) -> Usage:
    """The beam's seconds as the machine counted them, else the plan's for as far as it came; the sheet is used up
    as soon as the beam has touched it."""
    beam, source = None, Source.NONE
    if cut.beam_seconds is not None and measured is not None:
        beam, source = max(0, round(measured)), Source.MACHINE
    elif cut.beam_seconds is not None:
        beam, source = cut.beam_seconds * done_permille // 1000, Source.ARTIFACT
    touched = done_permille > 0 or bool(beam)
    return replace(
        usage,
        beam_seconds=beam,
        beam_source=source,
        cut_millimetres=cut.cut_millimetres * done_permille // 1000,
        sheet_mm2=cut.sheet_mm2 if touched else 0,
        sheet_material=cut.sheet_material,
    )


def _seconds(
    artifact: Artifact, finished: bool, machine_seconds: int | None, observed_seconds: int | None
) -> tuple[int, Source, bool]:
    if machine_seconds is not None:
        return max(0, machine_seconds), Source.MACHINE, False
    if observed_seconds is not None:
        return min(artifact.print_seconds, max(0, observed_seconds)), Source.CLOCK, True
    return (artifact.print_seconds if finished else 0), Source.ARTIFACT if finished else Source.NONE, True


def _filament(
    artifact: Artifact, finished: bool, millimetres: float | None, position_bytes: int | None
) -> tuple[int, Source]:
    if millimetres is not None and artifact.filament_micrometres > 0:
        micrometres = max(0, round(millimetres * 1000))
        return artifact.filament_milligrams * micrometres // artifact.filament_micrometres, Source.MACHINE
    if finished:
        return artifact.filament_milligrams, Source.ARTIFACT
    if position_bytes is not None:
        return artifact.milligrams_at(position_bytes), Source.CURVE
    return 0, Source.NONE


def plausible(usage: Usage, tariff: Tariff, quoted: Money) -> bool:
    """May this usage be settled without a person? Not above 1.5 times the quote (promises reference, M6)."""
    return 2 * total(price(usage, tariff), tariff.currency).cents <= 3 * quoted.cents
