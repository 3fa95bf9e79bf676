"""An honest proof passes at the noise of the machine; every lie is found where it is told."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save

from expunge.audits.proofs import contents
from expunge.audits.proofs.adversary import plant
from expunge.audits.proofs.beacon import Beacon, issue
from expunge.audits.proofs.noise import SAFETY
from expunge.audits.proofs.provider import Proven, promise, prove, prove_promised
from expunge.audits.proofs.verification import Policy, Verified, verify
from expunge.errors import BadProof, BadSetting
from expunge.suites import ForgetSet, Suite
from tests.audits.proofs.tampering import change, flip, rewrite

Copied = Callable[[Proven], Path]


def failed(found: Verified) -> list[str]:
    return [each.check for each in found.findings if each.outcome != "PASS"]


def said(found: Verified, check: str) -> str:
    return next(each.reason for each in found.findings if each.check == check)


def test_an_honest_proof_passes(suite: Suite, ten: ForgetSet, honest: Proven, original: Proven) -> None:
    state = honest.ensemble[0].state_dict()
    found = verify(honest.bundle, suite, ten, deployed=state, original=original.bundle)
    assert found.verdict.outcome == "PASS", found.verdict.reasons
    assert len(found.segments) == 345
    assert all(each > 0 for each in found.noise.floor.values())
    assert found.noise.blind == 0
    assert SAFETY * found.noise.floor["buffers"] < found.noise.effect["buffers"]
    assert "nor anything of" not in found.verdict.shows_not
    assert "neighbours" in found.verdict.shows_not


def test_a_proof_is_under_30_megabytes(honest: Proven) -> None:
    assert sum(file.stat().st_size for file in honest.bundle.iterdir()) < 30e6


def test_a_flipped_index_fails_at_its_step_in_the_chain_and_in_the_replay(
    suite: Suite, ten: ForgetSet, honest: Proven, copied: Copied
) -> None:
    folder, kept = copied(honest), suite.retain(ten)
    flip(folder, 137, 5, int(kept[100]), relink=False)
    found = verify(folder, suite, ten)
    assert found.verdict.outcome == "FAIL"
    assert "breaks at step 137:" in said(found, "chain")
    assert said(found, "replay").startswith("step 137 was not reproduced")


def test_a_flipped_index_whose_chain_was_mended_fails_in_the_replay_alone(
    suite: Suite, ten: ForgetSet, honest: Proven, copied: Copied
) -> None:
    folder, kept = copied(honest), suite.retain(ten)
    flip(folder, 300, 0, int(kept[700]), relink=True)
    found = verify(folder, suite, ten)
    assert failed(found) == ["replay"]
    assert said(found, "replay").startswith("step 300 was not reproduced")


def test_a_planted_record_fails_removal_though_every_step_was_taken(
    suite: Suite, ten: ForgetSet, tmp_path: Path
) -> None:
    record = int(ten.indices[3])
    found = verify(plant(suite, ten, tmp_path / "planted", step=37, record=record).bundle, suite, ten)
    assert failed(found) == ["removal"]
    assert said(found, "removal") == f"removed record {record} is in the batch of step 37"


@pytest.mark.faults
def test_a_proof_made_on_other_threads_is_no_fail(suite: Suite, ten: ForgetSet, tmp_path: Path) -> None:
    torch.set_num_threads(3)
    try:
        made = prove(suite, ten, tmp_path / "threads", seed=5)
    finally:
        torch.set_num_threads(1)
    found = verify(made.bundle, suite, ten)
    assert found.verdict.outcome == "PASS", found.verdict.reasons
    assert max(found.errors.parameters) > 0


def test_an_error_between_noise_and_another_batch_is_inconclusive(
    suite: Suite, ten: ForgetSet, honest: Proven, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("expunge.audits.proofs.noise.SAFETY", 1e-6)
    monkeypatch.setattr("expunge.audits.proofs.noise.DOUBT", 1.0)
    found = verify(honest.bundle, suite, ten)
    assert found.verdict.outcome == "INCONCLUSIVE"
    assert "more than this machine's noise" in said(found, "replay")


@pytest.mark.parametrize(
    ("policy", "steps"),
    [
        (Policy(steps="worst", count=2), 32),
        (Policy(steps="random", count=7), 7),
        (Policy(segment=5), 345),
    ],
)
def test_chosen_steps_are_replayed(suite: Suite, ten: ForgetSet, honest: Proven, policy: Policy, steps: int) -> None:
    found = verify(honest.bundle, suite, ten, policy)
    assert found.verdict.outcome == "PASS", found.verdict.reasons
    assert sum(end - start for start, end in found.segments) == steps


def test_states_after_every_seventh_step_do(suite: Suite, ten: ForgetSet, tmp_path: Path) -> None:
    made = prove(suite, ten, tmp_path / "seventh", seed=6, every=7)
    found = verify(made.bundle, suite, ten)
    assert found.verdict.outcome == "PASS", found.verdict.reasons
    assert found.segments[0] == (0, 7)
    assert found.segments[-1] == (343, 345)


@pytest.mark.slow
def test_where_another_record_would_not_be_seen_nothing_passes(suite: Suite, ten: ForgetSet, tmp_path: Path) -> None:
    """In long segments rounding falls on kinks, which part as much as another record does: that is no proof."""
    made = prove(suite, ten, tmp_path / "rare", seed=2, every=50)
    honest = verify(made.bundle, suite, ten)
    assert honest.verdict.outcome != "FAIL", honest.verdict.reasons
    flip(made.bundle, 330, 3, 1000, relink=True)
    assert verify(made.bundle, suite, ten).verdict.outcome != "PASS"


def test_more_steps_than_the_recipe_has_are_not_replayed(
    suite: Suite, ten: ForgetSet, honest: Proven, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "MOST_STEPS", 0.5)
    with pytest.raises(BadProof, match="345 steps, and the recipe has 345"):
        verify(honest.bundle, suite, ten)


@pytest.fixture
def bound(tiny_suite: Suite, tmp_path: Path) -> tuple[Proven, Beacon]:
    """A proof whose first weights come from no seed that is told, in the order of a nonce."""
    forget = tiny_suite.forget_sets["first"]
    mine = promise(tiny_suite, forget, 3)
    chosen = replace(mine, promise=mine.promise.model_copy(update={"first_seed": None}))
    beacon = issue(chosen.promise)
    return prove_promised(tiny_suite, chosen, tmp_path / "bound", beacon.nonce), beacon


def test_first_weights_that_may_be_chosen_are_no_part_of_a_bound_proof(
    tiny_suite: Suite, bound: tuple[Proven, Beacon]
) -> None:
    found = verify(bound[0].bundle, tiny_suite, tiny_suite.forget_sets["first"], Policy(beacon=bound[1]))
    assert failed(found) == ["beacon"]
    assert "they could have been chosen" in said(found, "beacon")


def test_what_layers_drew_belongs_to_the_nonce(tiny_suite: Suite, bound: tuple[Proven, Beacon]) -> None:
    change(bound[0].bundle, lambda told: told.update(chance=5))
    found = verify(bound[0].bundle, tiny_suite, tiny_suite.forget_sets["first"], Policy(beacon=bound[1]))
    assert {"order", "beacon"} <= {*failed(found)}
    assert "what layers drew" in said(found, "beacon")


def test_another_request_fails(suite: Suite, honest: Proven) -> None:
    found = verify(honest.bundle, suite, suite.forget_sets["random-50"])
    assert "request" in failed(found)
    assert "does not remove" in said(found, "request")


def test_another_deployed_model_fails(suite: Suite, ten: ForgetSet, honest: Proven, original: Proven) -> None:
    found = verify(honest.bundle, suite, ten, Policy(steps="random"), deployed=original.ensemble[0].state_dict())
    assert failed(found) == ["deployed"]


def test_a_deployed_model_of_other_buffers_fails(suite: Suite, ten: ForgetSet, honest: Proven) -> None:
    state = {name: tensor.clone() for name, tensor in honest.ensemble[0].state_dict().items()}
    state["1.running_mean"][0] += 1e-3
    found = verify(honest.bundle, suite, ten, Policy(steps="random"), deployed=state)
    assert failed(found) == ["deployed"]


def test_a_model_of_other_tensors_is_refused(suite: Suite, ten: ForgetSet, honest: Proven) -> None:
    with pytest.raises(BadSetting, match="deployed model: expected a tensor"):
        verify(honest.bundle, suite, ten, deployed={})


def test_an_eps_below_the_noise_is_refused(suite: Suite, ten: ForgetSet, honest: Proven) -> None:
    with pytest.raises(BadSetting, match="below the noise of this machine"):
        verify(honest.bundle, suite, ten, Policy(eps=1e-12))


def test_what_was_not_given_is_said(suite: Suite, ten: ForgetSet, honest: Proven) -> None:
    told = verify(honest.bundle, suite, ten, Policy(steps="random")).verdict.shows_not
    assert told.endswith("nor anything of the deployed model or the original training, which it was not given")


def test_a_near_duplicate_in_the_batches_is_inconclusive(tiny_suite: Suite, tmp_path: Path) -> None:
    from dataclasses import replace

    x = tiny_suite.data.train.x.clone()
    x[150] = x[3] + 1e-6
    data = tiny_suite.data.with_examples(type(tiny_suite.data.train)(x, tiny_suite.data.train.y), tiny_suite.data.test)
    twin, forget = replace(tiny_suite, data=data), tiny_suite.forget_sets["first"]
    found = verify(prove(twin, forget, tmp_path / "twin").bundle, twin, forget)
    assert failed(found) == ["duplicates"]
    assert said(found, "duplicates").startswith("record 150 is in batches and equals a removed one, or nearly")
    assert found.verdict.outcome == "INCONCLUSIVE"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_states_that_are_no_numbers_are_refused(tiny_suite: Suite, small: Proven, copied: Copied, value: float) -> None:
    """Else a distance to them would be infinite, and so would be the noise that passes."""
    folder = copied(small)
    for file in sorted(folder.glob("states-*")):
        states = load_file(file)
        states["parameters"][1:] = value
        rewrite(folder, file.name, save(states))
    with pytest.raises(BadProof, match="the state after 1 step holds NaN or infinity"):
        verify(folder, tiny_suite, tiny_suite.forget_sets["first"])


@pytest.mark.parametrize(("indices", "words"), [([5, 900], "got 900"), (range(200), "got all of them")])
def test_a_forget_set_of_other_data_is_refused(
    tiny_suite: Suite, small: Proven, tmp_path: Path, indices: object, words: str
) -> None:
    misfit = ForgetSet("misfit", indices)
    with pytest.raises(BadSetting, match=words):
        verify(small.bundle, tiny_suite, misfit)
    with pytest.raises(BadSetting, match=words):
        prove(tiny_suite, misfit, tmp_path / "made")


def test_a_seed_below_0_is_refused(tiny_suite: Suite, small: Proven) -> None:
    with pytest.raises(BadSetting, match="seed: expected a whole number of 0 or more, got -1"):
        promise(tiny_suite, None, -1)
    with pytest.raises(BadSetting, match="seed: expected a whole number of 0 or more, got -1"):
        Policy(seed=-1)


def test_what_was_never_trained_on_is_said(tiny_suite: Suite, small: Proven, tmp_path: Path) -> None:
    """The training that is called the original left out some of the records already."""
    forget = tiny_suite.forget_sets["first"]
    before = prove(tiny_suite, ForgetSet("three", [3, 4, 100]), tmp_path / "before", seed=1)
    found = verify(small.bundle, tiny_suite, forget, original=before.bundle)
    assert said(found, "trained").startswith("removed records 3, 4 were in no batch of the original training")
    assert found.verdict.outcome == "INCONCLUSIVE"


def test_a_verdict_that_is_no_pass_says_nothing_of_passes(suite: Suite, ten: ForgetSet, honest: Proven) -> None:
    found = verify(honest.bundle, suite, suite.forget_sets["random-50"], Policy(steps="random"))
    assert found.verdict.outcome == "FAIL"
    assert found.verdict.shows_not.startswith("that anything of the removed records is left in the model")


def test_the_worst_steps_come_first(suite: Suite, ten: ForgetSet, honest: Proven, copied: Copied) -> None:
    folder = copied(honest)
    flip(folder, 200, 0, int(suite.retain(ten)[5]), relink=True)
    start, end, errors = verify(folder, suite, ten).worst_steps(1)[0]
    assert (start, end) == (199, 200)
    assert errors["buffers"] > 1e-4


def test_a_verdict_can_be_written(suite: Suite, ten: ForgetSet, honest: Proven, tmp_path: Path) -> None:
    from expunge.verdicts import write_verdicts

    verdict = verify(honest.bundle, suite, ten, Policy(steps="random")).verdict
    write_verdicts(tmp_path / "verdicts.jsonl", [verdict])
    assert '"outcome": "PASS"' in (tmp_path / "verdicts.jsonl").read_text()
    assert np.isfinite(list(verdict.numbers.values())).all()
