"""The end of a hold: real usage captured up to the maximum, the rest released. Always inside the
transaction that ends the job."""

from __future__ import annotations

from datetime import datetime

from orchestrator.domain import ledger
from orchestrator.domain.errors import Misconfigured, NotFound
from orchestrator.domain.event import SYSTEM, Event
from orchestrator.domain.job import Job
from orchestrator.domain.quote import Quote
from orchestrator.domain.run import Cause
from orchestrator.domain.tariff import Bill, Tariff, settle
from orchestrator.domain.units import Money
from orchestrator.domain.usage import NOTHING, Usage
from orchestrator.ports import Unit


async def terms(unit: Unit, job: Job) -> tuple[Quote, Tariff]:
    """The quote a job stands under and the tariff version that quote locked."""
    quote = await unit.quote(job.quote_id)
    if quote is None:
        raise NotFound("The job's quote is gone.")
    tariff = await unit.tariff(quote.tariff_version)
    if tariff is None:
        raise Misconfigured(f"Tariff version {quote.tariff_version} is gone.", code="tariff.none")
    return quote, tariff


async def hold_stands(unit: Unit, job: Job) -> bool:
    """Is the maximum price of the job's quote set aside? Nothing starts without it."""
    quote, _tariff = await terms(unit, job)
    return await unit.held_for(quote.id) == quote.hold.cents


async def settle_job(unit: Unit, job: Job, usage: Usage, cause: Cause | None, at: datetime) -> Bill:
    """Capture min(actual, hold) and release the rest, once: the ledger refuses a second capture of the same
    quote."""
    quote, tariff = await terms(unit, job)
    held = Money(await unit.held_for(quote.id), quote.hold.currency)
    bill = settle(usage, tariff, held, cause)
    if bill.captured.cents:
        entry = ledger.capture(job.account_id, bill.captured, quote.id)
        await unit.post(entry, at, _money_event("hold.captured", job, bill.captured, at))
    if bill.released.cents:
        entry = ledger.release(job.account_id, bill.released, quote.id)
        await unit.post(entry, at, _money_event("hold.released", job, bill.released, at))
    await unit.add_bill(job.id, bill)
    return bill


async def release_all(unit: Unit, job: Job, at: datetime) -> Bill:
    """The job ends without costing anything."""
    return await settle_job(unit, job, NOTHING, Cause.UNKNOWN, at)


async def release_hold(unit: Unit, job: Job, at: datetime) -> None:
    """Free the hold of the quote the job stands under, while the job goes on (under another quote, or not
    yet)."""
    held = Money(await unit.held_for(job.quote_id))
    if held.cents:
        entry = ledger.release(job.account_id, held, job.quote_id)
        await unit.post(entry, at, _money_event("hold.released", job, held, at))


def _money_event(topic: str, job: Job, amount: Money, at: datetime) -> Event:
    return Event(
        topic=topic,
        at=at,
        actor=SYSTEM,
        data={"amount_cents": amount.cents, "quote_id": str(job.quote_id)},
        member_id=job.member_id,
        job_id=job.id,
    )
