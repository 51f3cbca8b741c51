"""In which order waiting jobs are served: a score of seven terms, as batch systems do it, and fair share among people.

Score (after Slurm's multifactor plugin, slurm.schedmd.com/priority_multifactor.html): a weighted sum of factors from 0
to 1 for the class of the job, the fair share of whose it is, how short it is, how soon its bed would be cleared, how
near its deadline is and whether its material is loaded, and of its age in days. Only the age has no upper end: a job
that has waited longer than another by `overtaking_days(policy)` goes first whatever the other has, so nobody starves.

Short jobs (Slurm's job size factor) let many people go with their part while one more waits a little longer. A bed is
only cleared while the staff are there: one hour's print begun at closing time blocks its machine all night, one of
twelve hours works through it. So what ends just before the staff leave, or just before they are back, goes first.

Fair share (Slurm's classic algorithm, slurm.schedmd.com/classic_fair_share.html): F = 2^(-UE/S), with S the share a
member has a right to and UE what they used of late, both as parts of the whole. Use is halved every half-life. Members
of an organisation answer for each other in part: UE = U + (UE_organisation - U) x S_member / S_organisation.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from orchestrator.domain.calendar import SiteCalendar, staffed_ahead
from orchestrator.domain.machine import Machine
from orchestrator.domain.matching import Candidate, Needs, suits
from orchestrator.domain.member import Member, Organisation
from orchestrator.domain.policy import Policy

DAY_SECONDS = 86_400
SHORT_SECONDS = 2 * 3600
"""A job of so long is half as short as one that is over at once."""
DEADLINE_HORIZON_SECONDS = 2 * DAY_SECONDS
"""How long before its last possible start a deadline begins to count."""


@dataclass(frozen=True, kw_only=True)
class Term:
    name: str  # `age`, `priority`, `share`, `short`, `turn`, `deadline`, `material`
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
    calendar: SiteCalendar | None = None  # by whose hours beds are cleared; None: at any time


def overtaking_days(policy: Policy) -> float:
    """A job that came this much later than another never goes before it where both would fit."""
    others = policy.priority + policy.share + policy.short + policy.turn + policy.deadline + policy.material
    return others / policy.age_per_day


def ranked(queue: Iterable[Candidate], standing: Standing, policy: Policy, now: datetime) -> list[Candidate]:
    """The queue, the next first. Equal scores keep the order in which they came, then that of the ids."""
    points = Scorer(standing, policy, now).points
    keyed = [(-points(c), c.came, c.job.id.int, c) for c in queue]
    keyed.sort()
    return [row[-1] for row in keyed]


class Scorer:
    """The scores of one moment; what all of them share is worked out once."""

    def __init__(self, standing: Standing, policy: Policy, now: datetime) -> None:
        self._policy = policy
        self._shares = {member_id.int: share for member_id, share in standing.shares.items()}
        self._loaded = standing.loaded
        self._mounted: dict[int, float] = {}  # points by the address of a Needs: equal ones are the same
        self._now = now.timestamp()
        self._staffed = staffed_ahead(standing.calendar, now)
        self._ends = [end for _, end in self._staffed]
        self._class = policy.priority
        self._per_second = policy.age_per_day / DAY_SECONDS
        self._share, self._turns, self._shorts = policy.share, policy.turn, policy.short * SHORT_SECONDS

    def points(self, c: Candidate) -> float:
        """The score alone."""
        came, seconds, priority, member, needs, must_start = c.facts
        waited = self._now - came
        total = (
            (self._per_second * waited if waited > 0 else 0.0)
            + self._class * priority
            + self._share * self._shares.get(member, 1.0)
            + self._shorts / (SHORT_SECONDS + seconds)
            + (self._turns * self._turn(seconds) if self._ends else self._turns)
        )
        mounted = self._mounted.get(id(needs))
        if mounted is None:
            mounted = self._policy.material if self._loaded.get(needs, False) else 0.0
            self._mounted[id(needs)] = mounted
        if must_start is not None:
            total += self._policy.deadline * self._urgency(must_start)
        return total + mounted

    def score(self, c: Candidate) -> Score:
        """The same, term by term, for whoever asks why."""
        policy = self._policy
        came, seconds, priority, member, needs, must_start = c.facts
        values = (
            ("age", max(0.0, self._now - came) / DAY_SECONDS, policy.age_per_day),
            ("priority", priority, policy.priority),
            ("share", self._shares.get(member, 1.0), policy.share),
            ("short", SHORT_SECONDS / (SHORT_SECONDS + seconds), policy.short),
            ("turn", self._turn(seconds), policy.turn),
            ("deadline", 0.0 if must_start is None else self._urgency(must_start), policy.deadline),
            ("material", 1.0 if self._loaded.get(needs, False) else 0.0, policy.material),
        )
        terms = tuple(Term(name=name, value=value, points=value * weight) for name, value, weight in values)
        return Score(points=self.points(c), terms=terms)

    def _turn(self, seconds: float) -> float:
        """Of the time until the staff can clear the bed of a run that starts now, which part is work?"""
        place = bisect_right(self._ends, seconds)
        if place == len(self._ends):
            return 1.0
        back = self._staffed[place][0]
        return 1.0 if back <= seconds else seconds / back

    def _urgency(self, must_start: float) -> float:
        """0 while there is time, 1 when it must start now to be done in time, and after that."""
        return min(1.0, max(0.0, 1 - (must_start - self._now) / DEADLINE_HORIZON_SECONDS))


def score(c: Candidate, standing: Standing, policy: Policy, now: datetime) -> Score:
    """Why is it where it is?"""
    return Scorer(standing, policy, now).score(c)


def loaded(needs: Iterable[Needs], machines: Sequence[Machine]) -> Mapping[Needs, bool]:
    """For each kind of job: is there a machine that could take it and needs no change of material, colour or nozzle?"""
    return {
        one: any(suits(one, machine) for machine in machines)
        for one in {id(one): one for one in needs}.values()
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
    use = [used.get(member.id, 0.0) for member in members]
    whole = sum(use)
    if whole <= 0:
        return {member.id: 1.0 for member in members}
    accounts: defaultdict[UUID, list[tuple[UUID, float]]] = defaultdict(list)
    for member, seconds in zip(members, use, strict=True):
        accounts[member.organisation_id or member.id].append((member.id, seconds / whole))
    shares = {key: _shares_of(organisations.get(key)) for key in accounts}
    all_shares = sum(shares.values())
    found: dict[UUID, float] = {}
    for key, people in accounts.items():
        account_share = shares[key] / all_shares
        account_use = sum(own for _, own in people)
        for member_id, own in people:
            effective = own + (account_use - own) / len(people)
            found[member_id] = 2.0 ** (-effective * len(people) / account_share)
    return found


def _shares_of(organisation: Organisation | None) -> int:
    return organisation.shares if organisation else 1
