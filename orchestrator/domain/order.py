"""In which order waiting jobs are served: a score of five terms, as batch systems do it, and fair share among people.

Score (after Slurm's multifactor plugin, slurm.schedmd.com/priority_multifactor.html): a weighted sum of factors from 0
to 1 for the class of the job, the fair share of whose it is, how near its deadline is and whether its material is
loaded, and of its age in days. Only the age has no upper end: a job that has waited longer than another by
`overtaking_days(policy)` goes first whatever the other has, so nobody starves.

Fair share (Slurm's classic algorithm, slurm.schedmd.com/classic_fair_share.html): F = 2^(-UE/S), with S the share a
member has a right to and UE what they used of late, both as parts of the whole. Use is halved every half-life. Members
of an organisation answer for each other in part: UE = U + (UE_organisation - U) x S_member / S_organisation.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from uuid import UUID

from orchestrator.domain.job import Priority
from orchestrator.domain.machine import Machine
from orchestrator.domain.matching import Candidate, Needs, could_ever, suits
from orchestrator.domain.member import Member, Organisation
from orchestrator.domain.policy import Policy

DAY_SECONDS = 86_400
CLASSES: Mapping[Priority, float] = MappingProxyType(
    {Priority.LOW: 0.0, Priority.STANDARD: 1 / 3, Priority.TEACHING: 2 / 3, Priority.URGENT: 1.0}
)
DEADLINE_HORIZON_SECONDS = 2 * DAY_SECONDS
"""How long before its last possible start a deadline begins to count."""


@dataclass(frozen=True, kw_only=True)
class Term:
    name: str  # `age`, `priority`, `share`, `deadline`, `material`
    value: float  # days for the age; 0 to 1 for the others
    points: float


@dataclass(frozen=True, kw_only=True)
class Score:
    points: float
    terms: tuple[Term, ...]


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What the scores of one moment rest on."""

    shares: Mapping[UUID, float]  # by member: F; one who is not named has used nothing
    loaded: Mapping[Needs, bool]  # whether some machine that could take such a job has all it needs mounted


def overtaking_days(policy: Policy) -> float:
    """A job that came this much later than another never goes before it where both would fit."""
    others = policy.priority + policy.share + policy.deadline + policy.material
    return others / policy.age_per_day


def ranked(queue: Iterable[Candidate], standing: Standing, policy: Policy, now: datetime) -> list[Candidate]:
    """The queue, the next first. Equal scores keep the order in which they came, then that of the ids."""
    instant = now.timestamp()
    keyed = [(-points(c, standing, policy, instant), c.came, c.job.id.int, c) for c in queue]
    keyed.sort()
    return [row[-1] for row in keyed]


def points(c: Candidate, standing: Standing, policy: Policy, now_seconds: float) -> float:
    """The score alone; `now_seconds` as of `datetime.timestamp`."""
    job = c.job
    total = (
        policy.age_per_day * max(0.0, now_seconds - c.came) / DAY_SECONDS
        + policy.priority * CLASSES[job.priority]
        + policy.share * standing.shares.get(job.member_id, 1.0)
    )
    if standing.loaded.get(c.needs, False):
        total += policy.material
    if job.deadline is not None:
        total += policy.deadline * _urgency(c, now_seconds)
    return total


def score(c: Candidate, standing: Standing, policy: Policy, now: datetime) -> Score:
    """The same, term by term, for whoever asks why."""
    instant = now.timestamp()
    values = (
        ("age", max(0.0, instant - c.came) / DAY_SECONDS, policy.age_per_day),
        ("priority", CLASSES[c.job.priority], policy.priority),
        ("share", standing.shares.get(c.job.member_id, 1.0), policy.share),
        ("deadline", _urgency(c, instant) if c.job.deadline else 0.0, policy.deadline),
        ("material", 1.0 if standing.loaded.get(c.needs, False) else 0.0, policy.material),
    )
    terms = tuple(Term(name=name, value=value, points=value * weight) for name, value, weight in values)
    return Score(points=points(c, standing, policy, instant), terms=terms)


def _urgency(c: Candidate, now_seconds: float) -> float:
    """0 while there is time, 1 when it must start now to be done in time, and after that."""
    assert c.job.deadline is not None
    slack = c.job.deadline.timestamp() - now_seconds - c.takes.p90
    return min(1.0, max(0.0, 1 - slack / DEADLINE_HORIZON_SECONDS))


def loaded(needs: Iterable[Needs], machines: Sequence[Machine]) -> Mapping[Needs, bool]:
    """For each kind of job: is there a machine that could take it and needs no change of material, colour or nozzle?"""
    return {
        one: any(could_ever(one, machine) and suits(one, machine) for machine in machines)
        for one in set(needs)
    }


# --- fair share -------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Use:
    """Machine seconds somebody used, and how long ago."""

    member_id: UUID
    seconds: float
    age_seconds: float = 0


def decayed(uses: Iterable[Use], half_life_days: int) -> Mapping[UUID, float]:
    """By member: seconds, halved for each half-life that has passed."""
    total: defaultdict[UUID, float] = defaultdict(float)
    for use in uses:
        total[use.member_id] += use.seconds * 0.5 ** (use.age_seconds / (half_life_days * DAY_SECONDS))
    return total


def fair_shares(
    members: Collection[Member],
    organisations: Mapping[UUID, Organisation],
    used: Mapping[UUID, float],
) -> Mapping[UUID, float]:
    """F of each of `members` (those who wait or have used something of late): 1 for who used nothing, 0.5 for who used
    just their share, towards 0 for who used many times that."""
    whole = sum(used.get(member.id, 0.0) for member in members)
    if whole <= 0:
        return {member.id: 1.0 for member in members}
    accounts: defaultdict[UUID, list[Member]] = defaultdict(list)
    for member in members:
        accounts[member.organisation_id or member.id].append(member)
    shares = {key: _shares_of(organisations.get(key)) for key in accounts}
    all_shares = sum(shares.values())
    found: dict[UUID, float] = {}
    for key, people in accounts.items():
        account_share = shares[key] / all_shares
        account_use = sum(used.get(member.id, 0.0) for member in people) / whole
        for member in people:
            own = used.get(member.id, 0.0) / whole
            effective = own + (account_use - own) / len(people)
            found[member.id] = 2.0 ** (-effective * len(people) / account_share)
    return found


def _shares_of(organisation: Organisation | None) -> int:
    return organisation.shares if organisation else 1
