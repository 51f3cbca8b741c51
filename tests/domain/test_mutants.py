"""The safety module's tests are worth something: a small fault anywhere in it makes one of them fail."""

from __future__ import annotations

from bench.mutation import ASKED_PERCENT, judged


def test_nine_of_ten_small_faults_in_the_safety_module_are_seen() -> None:
    said = judged()

    seen = said["mutants"] - len(said["survivors"])
    assert said["mutants"] > 250
    assert 100 * seen / said["mutants"] >= ASKED_PERCENT, said["survivors"]
