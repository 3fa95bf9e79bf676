"""Where a proof begins: freshly drawn weights pass, trained ones and those of the original do not."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.numpy import load_file, save

from expunge.audits.proofs.bundle import open_bundle
from expunge.audits.proofs.first_weights import check_first, check_not_the_originals, p_values
from expunge.audits.proofs.provider import Proven, promise, prove_promised
from expunge.audits.proofs.states import States
from expunge.suites import ForgetSet, Suite
from tests.audits.proofs.tampering import change, rewrite

STATES = "states-00000.safetensors"


def without_seed(folder: Path, suite: Suite, row: int) -> None:
    """A bundle that begins with its state ``row``, and tells no seed."""
    states = load_file(folder / STATES)
    for each in states.values():
        each[0] = each[row]
    states["momenta"][0] = 0
    rewrite(folder, STATES, save(states))
    first = open_bundle(folder, suite).states([0]).model_digest(0)
    change(folder, lambda told: told["promise"].update(first=first, first_seed=None))


@pytest.mark.parametrize(("row", "outcome"), [(0, "PASS"), (30, "FAIL")])
def test_drawn_weights_pass_and_trained_ones_fail(
    suite: Suite, honest: Proven, copied: Callable[[Proven], Path], row: int, outcome: str
) -> None:
    folder = copied(honest)
    without_seed(folder, suite, row)
    assert [each.outcome for each in check_first(open_bundle(folder, suite), suite)] == [outcome]


def test_a_state_that_was_not_promised_fails(suite: Suite, honest: Proven, copied: Callable[[Proven], Path]) -> None:
    folder = copied(honest)
    change(folder, lambda told: told["promise"].update(first="0" * 64))
    assert "not the one that was promised" in check_first(open_bundle(folder, suite), suite)[0].reason


def test_p_values_of_fresh_weights_are_of_chance(suite: Suite, honest: Proven) -> None:
    bundle = open_bundle(honest.bundle, suite)
    values = p_values(bundle.states([0]), bundle, suite)
    assert min(values.values()) > 1e-4
    assert values["1.weight"] == 1


def test_the_originals_weights_are_known(
    suite: Suite, ten: ForgetSet, honest: Proven, original: Proven, tmp_path: Path
) -> None:
    source = open_bundle(original.bundle, suite)
    assert check_not_the_originals(open_bundle(honest.bundle, suite), source, suite).outcome == "PASS"
    mine, old = promise(suite, ten, 1), promise(suite, None, 1)  # of the same seed, which draws others for each
    begins = {"first": old.promise.first, "first_seed": old.promise.first_seed}
    told = replace(mine, first=old.first, promise=mine.promise.model_copy(update=begins))
    same = prove_promised(suite, told, tmp_path / "same", "a nonce")
    found = check_not_the_originals(open_bundle(same.bundle, suite), source, suite)
    assert found.outcome == "FAIL"
    assert "after step 0" in found.reason


def test_one_seed_draws_other_first_weights_for_the_original_and_for_a_removal(suite: Suite, ten: ForgetSet) -> None:
    assert promise(suite, ten, 0).promise.first != promise(suite, None, 0).promise.first


def test_states_know_their_digests(suite: Suite, honest: Proven) -> None:
    bundle = open_bundle(honest.bundle, suite)
    states = bundle.states([0, 5])
    assert isinstance(states, States)
    assert states.digests()[1:] == bundle.states([5]).digests() != states.digests()[:1]
    assert json.loads((honest.bundle / "manifest.json").read_text())["promise"]["first"] == states.model_digest(0)
