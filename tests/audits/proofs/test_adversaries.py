"""Adversarial unlearning passes the verifiers that it was made for, and those alone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from expunge.audits.proofs.adversary import full_batches, retrain_substituted
from expunge.audits.proofs.beacon import Beacon, issue, read_beacon, write_beacon
from expunge.audits.proofs.bundle import open_bundle
from expunge.audits.proofs.forging import forge, forged_batches
from expunge.audits.proofs.gradients import set_gradients, set_gradients_one_by_one
from expunge.audits.proofs.provider import Proven, promise, prove, prove_promised
from expunge.audits.proofs.substitution import Nearest, RandomSearch, Space, least_mismatch
from expunge.audits.proofs.verification import Policy, verify
from expunge.errors import BadProof, BadSetting
from expunge.suites import ForgetSet, Suite


@pytest.fixture(scope="module")
def nearest(suite: Suite, ten: ForgetSet, original: Proven) -> Nearest:
    return Nearest.in_space(suite, ten, "pixel", original.ensemble[0])


@pytest.fixture(scope="module")
def forged(
    suite: Suite, ten: ForgetSet, original: Proven, nearest: Nearest, tmp_path_factory: pytest.TempPathFactory
) -> Proven:
    return forge(suite, ten, original.bundle, tmp_path_factory.mktemp("forged") / "forged", nearest)


@pytest.mark.parametrize(
    "space", [*(pytest.param(each, marks=pytest.mark.slow) for each in ("pixel", "feature")), "gradient"]
)
def test_nearest_neighbours_pass_the_plain_verifier(
    suite: Suite, ten: ForgetSet, original: Proven, tmp_path: Path, space: Space
) -> None:
    select = Nearest.in_space(suite, ten, space, original.ensemble[0])
    made = retrain_substituted(suite, ten, tmp_path / "made", select, seed=4)
    state = made.ensemble[0].state_dict()
    found = verify(made.bundle, suite, ten, deployed=state, original=original.bundle)
    assert found.verdict.outcome == "PASS", found.verdict.reasons
    assert "passes by construction" in found.verdict.shows_not


def test_nearest_neighbours_fail_where_the_order_is_bound_to_a_beacon(
    suite: Suite, ten: ForgetSet, nearest: Nearest, tmp_path: Path
) -> None:
    promised = promise(suite, ten, 5)
    beacon = issue(promised.promise)
    made = retrain_substituted(suite, ten, tmp_path / "made", nearest, seed=5, promised=promised, claimed=beacon.nonce)
    found = verify(made.bundle, suite, ten, Policy(beacon=beacon, steps="random"))
    assert [each.check for each in found.findings if each.outcome == "FAIL"] == ["order", "beacon"]


def test_an_honest_proof_passes_with_a_beacon_and_no_other(suite: Suite, ten: ForgetSet, tmp_path: Path) -> None:
    promised = promise(suite, ten, 6)
    write_beacon(tmp_path / "beacon.json", issue(promised.promise))
    beacon = read_beacon(tmp_path / "beacon.json")
    made = prove_promised(suite, promised, tmp_path / "made", beacon.nonce)
    policy = Policy(beacon=beacon, steps="random")
    assert verify(made.bundle, suite, ten, policy).verdict.outcome == "PASS"
    for other in (replace(beacon, nonce="0" * 64), replace(beacon, promised="0" * 64)):
        found = verify(made.bundle, suite, ten, replace(policy, beacon=other))
        assert [each.check for each in found.findings if each.outcome == "FAIL"] == ["beacon"]


def test_a_seed_that_suits_cannot_be_tried_after_the_nonce(suite: Suite, ten: ForgetSet, tmp_path: Path) -> None:
    """Another seed of first weights is another promise."""
    beacon = issue(promise(suite, ten, 6).promise)
    made = prove_promised(suite, promise(suite, ten, 7), tmp_path / "made", beacon.nonce)
    found = verify(made.bundle, suite, ten, Policy(beacon=beacon, steps="random"))
    assert [each.check for each in found.findings if each.outcome == "FAIL"] == ["beacon"]


def test_a_file_that_is_no_beacon_is_refused(tmp_path: Path) -> None:
    (tmp_path / "beacon.json").write_text('{"promised": "0", "nonce": 5}')
    with pytest.raises(BadProof, match="expected a promise and a nonce"):
        read_beacon(tmp_path / "beacon.json")
    with pytest.raises(BadProof, match="there is no file"):
        read_beacon(tmp_path / "none.json")
    assert Beacon("a", "b") != Beacon("a", "c")


def test_random_search_passes_the_plain_verifier_and_is_nearer_than_one_try(
    suite: Suite, ten: ForgetSet, tmp_path: Path
) -> None:
    mismatches = {}
    for candidates in (1, 8):
        search = RandomSearch(suite, ten, candidates)
        made = retrain_substituted(suite, ten, tmp_path / str(candidates), search, seed=6)
        mismatches[candidates] = float(np.median(search.mismatch))
    assert mismatches[8] < mismatches[1]
    assert verify(made.bundle, suite, ten).verdict.outcome == "PASS"


def test_the_batched_pass_gives_the_gradients_of_the_loop(suite: Suite, original: Proven) -> None:
    sets = torch.randint(0, 1437, (12, 3), generator=torch.Generator().manual_seed(0))
    model = original.ensemble[0]
    found = set_gradients(model, suite, sets)
    assert torch.allclose(found, set_gradients_one_by_one(model, suite, sets), atol=1e-6)


def test_a_substitute_is_of_the_class_and_not_in_the_batch(
    suite: Suite, ten: ForgetSet, nearest: Nearest, original: Proven
) -> None:
    labels = suite.data.train.y.numpy()
    for batch in full_batches(suite, 1427, 0)[:60]:
        found = nearest(original.ensemble[0], batch)
        assert (labels[found] == labels[batch]).all()
        assert len(set(found)) == len(found)
        assert not np.isin(found, ten.indices).any()


def test_a_class_that_is_removed_whole_has_no_substitute(suite: Suite, original: Proven) -> None:
    with pytest.raises(BadSetting, match="no retained record has its class, 3"):
        Nearest.in_space(suite, suite.forget_sets["class-3"], "pixel", original.ensemble[0])


def test_a_batch_that_leaves_nothing_to_choose_from_is_refused(suite: Suite, ten: ForgetSet, original: Proven) -> None:
    with pytest.raises(BadSetting, match="the batch is determined"):
        RandomSearch(suite, ten)(original.ensemble[0], np.arange(1437))


@pytest.mark.slow
def test_forging_passes_at_its_largest_error_fails_below_and_errs_more_on_longer_segments(
    suite: Suite, ten: ForgetSet, forged: Proven
) -> None:
    plain = verify(forged.bundle, suite, ten)
    assert plain.verdict.outcome == "FAIL"
    assert [each.check for each in plain.findings if each.outcome == "FAIL"] == ["replay"]
    eps = float(plain.errors.parameters.max()) * 1.0001
    assert verify(forged.bundle, suite, ten, Policy(eps=eps)).verdict.outcome == "PASS"
    assert verify(forged.bundle, suite, ten, Policy(eps=eps / 10)).verdict.outcome == "FAIL"
    two = verify(forged.bundle, suite, ten, Policy(eps=eps, segment=2))  # of all, not surely of the one that errs most
    assert np.median(two.errors.parameters) > 1.2 * np.median(plain.errors.parameters)


def test_forged_weights_are_seen_to_be_the_originals(
    suite: Suite, ten: ForgetSet, forged: Proven, original: Proven
) -> None:
    found = verify(forged.bundle, suite, ten, Policy(eps=1.0), original=original.bundle)
    assert [each.check for each in found.findings if each.outcome == "FAIL"] == ["original"]


def plain_sgd(suite: Suite, **changes: object) -> Suite:
    recipe = replace(suite.recipe, momentum=0.0, weight_decay=0.0, **changes)  # type: ignore[arg-type]
    return replace(suite, name="plain", recipe=recipe)


def test_forging_obeys_its_bound(tiny_suite: Suite, tmp_path: Path) -> None:
    """err(t) <= (1 + rate L) moved(t - 1), + moved(t) where the step is kept, in softmax regression: its L is known."""
    suite = plain_sgd(tiny_suite)
    forget = suite.forget_sets["first"]
    source = prove(suite, None, tmp_path / "original", seed=1)
    select = Nearest.in_space(suite, forget, "pixel", source.ensemble[0])
    made = open_bundle(forge(suite, forget, source.bundle, tmp_path / "forged", select).bundle, suite)
    first, steps = open_bundle(source.bundle, suite), made.manifest.steps
    everything = range(steps + 1)
    moved = (made.states(everything).parameters - first.states(everything).parameters).norm(dim=1).numpy()
    kept = np.array([np.array_equal(first.batch(step), made.batch(step)) for step in range(steps)])
    smooth = 0.5 * float(suite.data.train.x.square().sum(1).max() + 1)
    errors = verify(made.folder, suite, forget).errors.parameters
    bound = (1 + made.rates * smooth) * moved[:-1] + np.where(kept, moved[1:], 0)
    assert 0 < kept.sum() < steps
    assert (errors <= bound + 1e-6).all()
    assert errors.max() > 0.01 * bound.max()


@pytest.mark.slow
def test_where_a_retraining_has_fewer_steps_a_forger_leaves_some_out_and_errs_there(
    suite: Suite, original: Proven, tmp_path: Path
) -> None:
    forget = suite.forget_set("memorised-50")
    select = Nearest.in_space(suite, forget, "pixel", original.ensemble[0])
    made = forge(suite, forget, original.bundle, tmp_path / "forged", select)
    found = verify(made.bundle, suite, forget)
    assert [each.check for each in found.findings if each.outcome == "FAIL"] == ["replay"]
    in_epoch = open_bundle(made.bundle, suite).manifest.steps // suite.recipe.epochs
    assert in_epoch == open_bundle(original.bundle, suite).manifest.steps // suite.recipe.epochs - 1
    errors = found.errors.parameters.reshape(suite.recipe.epochs, in_epoch)
    assert (errors[1:, 0] > 1.5 * np.median(errors[1:], axis=1)).mean() > 0.9


def test_full_batches_cannot_be_forged(tiny_suite: Suite, tmp_path: Path) -> None:
    suite = plain_sgd(tiny_suite, batch_size=200)
    forget = suite.forget_sets["first"]
    source = prove(suite, None, tmp_path / "original", seed=1)
    with pytest.raises(BadSetting, match="one set and no other"):
        forged_batches(open_bundle(source.bundle, suite), suite, forget)
    assert least_mismatch(suite, forget, source.ensemble[0]) > 1e-3
