"""Several may speak of one input: the machine's controller, the devices beside it. Which word counts."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from orchestrator.domain.interlocks import folded
from tests.domain.test_interlocks import NOW, a_reading

LATELY, LONG_AGO, TO_COME = (
    NOW - timedelta(seconds=3),
    NOW - timedelta(seconds=11),
    NOW + timedelta(seconds=1),
)


@pytest.mark.parametrize(
    ("said", "counts"),
    [
        ([(True, NOW)], 0),
        ([(True, NOW), (False, LATELY)], 1),
        ([(False, LATELY), (True, NOW)], 0),
        ([(False, LATELY), (True, NOW), (False, NOW)], 2),
        ([(True, LATELY), (True, NOW)], 1),
        ([(False, LONG_AGO), (True, LATELY)], 1),
        ([(True, LATELY), (False, TO_COME)], 1),
        ([(True, TO_COME), (False, LATELY)], 1),
        ([(True, LONG_AGO), (False, LONG_AGO - timedelta(seconds=1))], 0),
        ([(False, LONG_AGO), (True, LONG_AGO - timedelta(seconds=1))], 0),
    ],
)
def test_of_all_that_speak_of_an_input_one_counts(said: list[tuple[bool, datetime]], counts: int) -> None:
    lid = [a_reading("lid", good=good, at=at, source=str(place)) for place, (good, at) in enumerate(said)]
    extractor = a_reading("extractor")

    for order in (lid, lid[::-1]):
        assert folded([extractor, *order], NOW) == {"lid": lid[counts], "extractor": extractor}


def test_of_an_input_that_nobody_speaks_of_nothing_counts() -> None:
    assert folded([], NOW) == {}
