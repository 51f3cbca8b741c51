"""Prices, holds and captures: the figures of the billing reference (T1-T4, T14, T15) and what holds for
every usage."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.quote import Estimate, EstimateSource, Spread, priced
from orchestrator.domain.run import Cause
from orchestrator.domain.tariff import SHEET_CENTS, LineKind, price, settle, tariff_a, total
from orchestrator.domain.units import Money, Quantity, Rate, Unit, half_up
from orchestrator.domain.usage import Source, Usage

TARIFF = tariff_a()
HOLD_T1 = Money(1283)


def used(seconds: int, milligrams: int) -> Usage:
    return Usage(
        machine_seconds=seconds,
        filament_milligrams=milligrams,
        seconds_source=Source.MACHINE,
        filament_source=Source.MACHINE,
    )


def cut(
    beam_seconds: int | None, sheet_mm2: int, sheet: str = "mdf-3", machine_seconds: int = 1_500
) -> Usage:
    return Usage(
        machine_seconds=machine_seconds,
        filament_milligrams=0,
        seconds_source=Source.MACHINE,
        filament_source=Source.NONE,
        beam_seconds=beam_seconds,
        beam_source=Source.MACHINE,
        sheet_mm2=sheet_mm2,
        sheet_material=sheet,
    )


def estimated(seconds: int, milligrams: int) -> Estimate:
    return Estimate(
        source=EstimateSource.MESH,
        print_seconds=Spread(p50=seconds, p90=seconds),
        filament_milligrams=Spread(p50=milligrams, p90=milligrams),
    )


def amounts(usage: Usage) -> dict[LineKind, int]:
    return {line.kind: line.amount.cents for line in price(usage, TARIFF)}


def test_t1_a_quote_of_11550_s_and_84600_mg_costs_1166_and_holds_1283() -> None:
    lines, amount, hold = priced(estimated(11_550, 84_600), TARIFF)
    assert [line.amount.cents for line in lines] == [100, 643, 423]
    assert lines[1].quantity == Quantity.seconds(11_580)
    assert (amount, hold) == (Money(1166), HOLD_T1)


def test_t2_the_run_that_used_a_little_more_captures_1201_and_releases_82() -> None:
    bill = settle(used(12_005, 86_100), TARIFF, HOLD_T1, None)
    assert [line.amount.cents for line in bill.lines] == [100, 670, 431]
    assert (bill.captured, bill.released) == (Money(1201), Money(82))


def test_t3_above_the_hold_the_excess_is_a_discount_line_and_never_charged() -> None:
    bill = settle(used(14_400, 101_000), TARIFF, HOLD_T1, None)
    assert bill.lines[-1].kind is LineKind.CAP_DISCOUNT
    assert bill.lines[-1].amount == Money(-122)
    assert (bill.captured, bill.released) == (Money(1283), Money(0))


def test_t4_a_small_job_is_topped_up_to_the_minimum() -> None:
    assert amounts(used(540, 3_200)) == {
        LineKind.SETUP: 100,
        LineKind.TIME: 30,
        LineKind.MATERIAL: 16,
        LineKind.MINIMUM_TOPUP: 54,
    }


def test_t6_a_laser_is_billed_by_its_beam_and_its_sheet() -> None:
    lines = price(cut(860, 420 * 297), TARIFF)

    assert [(line.kind, line.amount.cents) for line in lines] == [
        (LineKind.SETUP, 100),
        (LineKind.BEAM, 430),
        (LineKind.MATERIAL, 182),
    ]
    assert lines[1].quantity == Quantity.seconds(860)
    assert total(lines) == Money(712)  # before tax, of which tariff A knows nothing (T7)


def test_the_same_cut_on_a_sheet_of_ones_own_costs_no_sheet() -> None:
    assert amounts(cut(860, 0, "")) == {LineKind.SETUP: 100, LineKind.BEAM: 430}
    assert amounts(cut(860, 420 * 297, "")) == {LineKind.SETUP: 100, LineKind.BEAM: 430}


def test_a_sheet_that_has_no_price_costs_nothing() -> None:
    assert amounts(cut(860, 420 * 297, "unheard-of")) == {LineKind.SETUP: 100, LineKind.BEAM: 430}


def test_a_beam_that_never_was_on_costs_the_minimum_and_no_machine_time() -> None:
    assert amounts(cut(0, 0)) == {LineKind.SETUP: 100, LineKind.MINIMUM_TOPUP: 100}


def test_a_knife_has_no_beam_and_is_billed_by_its_time() -> None:
    assert amounts(cut(None, 100_000, "vinyl-sticker")) == {
        LineKind.SETUP: 100,
        LineKind.TIME: 83,
        LineKind.MATERIAL: 90,
    }


def test_a_tariff_without_a_beam_bills_a_laser_by_its_time() -> None:
    plain = replace(TARIFF, beam=None, sheets=())

    lines = price(cut(860, 420 * 297, machine_seconds=3_600), plain)

    assert [(line.kind, line.amount.cents) for line in lines] == [(LineKind.SETUP, 100), (LineKind.TIME, 200)]


def test_every_sheet_of_the_grid_has_a_price_for_a_square_metre() -> None:
    for name, cents in SHEET_CENTS.items():
        rate = TARIFF.sheet(name)
        assert rate is not None
        assert rate.amount(Quantity(value=1_000_000, unit=Unit.SQUARE_MILLIMETRES), "EUR") == Money(cents)


@given(
    st.integers(0, 10**5), st.integers(0, 10**7), st.integers(0, 10**5), st.sampled_from([*SHEET_CENTS, ""])
)
def test_more_beam_or_more_sheet_never_costs_less(beam: int, sheet_mm2: int, more: int, sheet: str) -> None:
    cost = total(price(cut(beam, sheet_mm2, sheet), TARIFF))

    assert cost <= total(price(cut(beam + more, sheet_mm2, sheet), TARIFF))
    assert cost <= total(price(cut(beam, sheet_mm2 + more, sheet), TARIFF))


def test_t14_a_member_who_cancels_pays_what_was_used() -> None:
    bill = settle(used(5_400, 38_000), TARIFF, HOLD_T1, Cause.MEMBER_CANCEL)
    assert [line.amount.cents for line in bill.lines] == [100, 300, 190]
    assert (bill.captured, bill.released) == (Money(590), Money(693))


def test_t15_a_machine_fault_at_99_percent_charges_nothing() -> None:
    bill = settle(used(11_400, 84_000), TARIFF, HOLD_T1, Cause.MACHINE_FAULT)
    assert (bill.lines, bill.captured) == ((), Money(0))


def test_half_up_rounds_the_half_away_from_zero() -> None:
    assert [half_up(861, 2), half_up(333, 2), half_up(-861, 2), half_up(5, 10), half_up(4, 10)] == [
        431,
        167,
        -431,
        1,
        0,
    ]


def test_a_rate_rounds_the_quantity_up_to_its_step_first() -> None:
    rate = Rate(cents=200, per=3600, unit=Unit.SECONDS, increment=60, minimum=300)
    assert [rate.billable(Quantity.seconds(s)).value for s in (0, 1, 300, 301, 360)] == [
        300,
        300,
        300,
        360,
        360,
    ]


@given(st.integers(0, 10**7), st.integers(0, 10**7), st.integers(0, 10**6))
def test_what_is_captured_never_exceeds_the_hold_and_is_what_the_lines_add_up_to(
    seconds: int, milligrams: int, hold_cents: int
) -> None:
    bill = settle(used(seconds, milligrams), TARIFF, Money(hold_cents), None)
    assert bill.captured == total(bill.lines)
    assert Money(0) <= bill.captured <= bill.held
    assert bill.captured + bill.released == bill.held


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**5))
def test_using_more_never_costs_less(seconds: int, milligrams: int, more: int) -> None:
    assert total(price(used(seconds, milligrams), TARIFF)) <= total(
        price(used(seconds + more, milligrams), TARIFF)
    )
