"""Secrets at rest: closed, opened again, never with another key."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from orchestrator.domain.errors import Misconfigured
from orchestrator.sealed import AesSeal


def test_what_is_sealed_can_be_opened_and_looks_different_each_time(tmp_path: Path) -> None:
    seal = AesSeal.from_file(tmp_path / "secret.key")

    first, second = seal.seal("whsec_é"), seal.seal("whsec_é")

    assert first != second
    assert "whsec" not in first
    assert AesSeal.from_file(tmp_path / "secret.key").unseal(first) == "whsec_é"


def test_the_key_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "secret.key"
    AesSeal.from_file(path)

    assert path.stat().st_mode & 0o777 == 0o600

    path.chmod(0o644)
    with pytest.raises(Misconfigured, match="chmod 600"):
        AesSeal.from_file(path)


def test_of_several_that_start_together_all_have_the_same_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        seals = list(pool.map(lambda _: AesSeal.from_file(tmp_path / "secret.key"), range(16)))

    text = seals[0].seal("x")

    assert {seal.unseal(text) for seal in seals} == {"x"}
    assert [path.name for path in tmp_path.iterdir()] == ["secret.key"]


@pytest.mark.parametrize("sealed", ["", "s1.", "s1.AAAA", "s2.AAAA", "whsec_plain", "s1.é", "s1." + "A" * 64])
def test_what_cannot_be_opened_is_the_operators_matter(tmp_path: Path, sealed: str) -> None:
    with pytest.raises(Misconfigured):
        AesSeal.from_file(tmp_path / "secret.key").unseal(sealed)


def test_another_key_or_an_altered_text_opens_nothing(tmp_path: Path) -> None:
    seal, other = AesSeal.from_file(tmp_path / "a"), AesSeal.from_file(tmp_path / "b")
    sealed = seal.seal("whsec_x")

    for key, text in ((other, sealed), (seal, sealed[:-4] + "AAA=")):
        with pytest.raises(Misconfigured):
            key.unseal(text)


@pytest.mark.parametrize("content", ["", "not base64 !", "AAAA", "\u00e9"])
def test_a_key_file_that_holds_no_key_is_told(tmp_path: Path, content: str) -> None:
    path = tmp_path / "secret.key"
    path.write_text(content)
    path.chmod(0o600)

    with pytest.raises(Misconfigured):
        AesSeal.from_file(path)
