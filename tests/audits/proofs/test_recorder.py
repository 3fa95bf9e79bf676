"""What training leaves is the same with a recorder on; loops of one's own are recorded too."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from expunge.audits.proofs.bundle import open_bundle
from expunge.audits.proofs.merkle import is_below, leaves_of, root_of, way_of, without
from expunge.audits.proofs.order import Drawn, drawn_batches, seed_of_order, sizes_of_batches
from expunge.audits.proofs.provider import Proven, kept_of, promise, prove, prove_promised
from expunge.audits.proofs.recorder import Recorder, recording
from expunge.audits.proofs.verification import Policy, verify
from expunge.ensembles.train import train
from expunge.errors import BadSetting
from expunge.suites import ForgetSet, Suite


def test_a_recorded_training_has_the_bytes_of_another(tiny_suite: Suite, tmp_path: Path) -> None:
    forget = tiny_suite.forget_sets["first"]
    planned = promise(tiny_suite, forget, 9)
    order = Drawn(seed_of_order(planned.promise.digest, "nonce"))
    rows = torch.as_tensor(kept_of(planned.promise))[None]
    alone = train(planned.first.copy(), tiny_suite.data.train, rows, tiny_suite.recipe, order)
    recorded = prove_promised(tiny_suite, planned, tmp_path / "made", "nonce").ensemble
    for name, tensor in alone.state().items():
        assert torch.equal(tensor, recorded.state()[name]), name


def test_the_batches_are_those_that_promise_and_nonce_give(suite: Suite, ten: ForgetSet, honest: Proven) -> None:
    bundle = open_bundle(honest.bundle, suite)
    told, nonce = bundle.manifest.promise, bundle.manifest.order.nonce
    assert nonce is not None
    drawn = drawn_batches(suite.recipe, kept_of(told), seed_of_order(told.digest, nonce))
    assert np.array_equal(drawn, bundle.batches)
    assert sizes_of_batches(suite.recipe, 1427) == [len(bundle.batch(step)) for step in range(345)]


def test_a_drawn_order_is_the_same_everywhere() -> None:
    """Pinned: a proof must be checked by later versions too."""
    assert Drawn(bytes(32)).permutation(8)[0].tolist() == PINNED


PINNED = [3, 5, 2, 1, 7, 0, 6, 4]


def own_loop(suite: Suite, forget: ForgetSet, folder: Path, **settings: object) -> nn.Module:
    """A loop as people write them, with a recorder on."""
    planned = promise(suite, forget, 4)
    network = planned.first[0].train()
    recipe, data = suite.recipe, suite.data.train
    given = {"lr": recipe.lr, "momentum": recipe.momentum, "weight_decay": recipe.weight_decay, **settings}
    optimizer = torch.optim.SGD(network.parameters(), **given)  # type: ignore[arg-type]
    rng, kept = torch.Generator().manual_seed(0), torch.as_tensor(suite.retain(forget))
    recorder = Recorder(folder, planned.promise, planned.leaves, nonce=None)
    with recording(recorder, network, optimizer, recipe) as steps:
        for _ in range(3):
            for rows in kept[torch.randperm(len(kept), generator=rng)].split(32):
                with steps.on(rows):
                    optimizer.zero_grad()
                    F.cross_entropy(network(data.x[rows]), data.y[rows]).backward()
                    optimizer.step()
    return network


def test_a_loop_of_ones_own_is_proven(suite: Suite, ten: ForgetSet, tmp_path: Path) -> None:
    network = own_loop(suite, ten, tmp_path / "own")
    found = verify(tmp_path / "own", suite, ten, Policy(stated=True), deployed=network.state_dict())
    assert found.verdict.outcome == "PASS", found.verdict.reasons
    strict = verify(tmp_path / "own", suite, ten, Policy(steps="random"))
    assert [each.check for each in strict.findings if each.outcome == "FAIL"] == ["steps"]


def test_an_optimizer_that_nobody_could_replay_is_refused(tiny_suite: Suite, tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match=r"expected momentum 0\.9 as the suite's recipe has it, got 0\.5"):
        own_loop(tiny_suite, tiny_suite.forget_sets["first"], tmp_path / "own", momentum=0.5)


def test_other_first_weights_than_promised_are_refused(tiny_suite: Suite, tmp_path: Path) -> None:
    one, other = (promise(tiny_suite, tiny_suite.forget_sets["first"], seed) for seed in (1, 2))
    with pytest.raises(BadSetting, match="not those that were promised"):
        prove_promised(tiny_suite, replace(one, promise=other.promise), tmp_path / "made", "nonce")


def test_a_folder_that_is_in_use_is_refused(tiny_suite: Suite, small: Proven) -> None:
    with pytest.raises(BadSetting, match="is not empty"):
        prove(tiny_suite, tiny_suite.forget_sets["first"], small.bundle)


def test_a_recipe_that_augments_is_refused(tiny_suite: Suite, tmp_path: Path) -> None:
    flipping = replace(tiny_suite, recipe=replace(tiny_suite.recipe, augment="flip"))
    with pytest.raises(BadSetting, match="its recipe augments"):
        prove(flipping, None, tmp_path / "made")


def test_layers_that_draw_are_replayed(tiny_suite: Suite, tmp_path: Path) -> None:
    def network() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 10))

    suite, forget = replace(tiny_suite, name="dropout", network=network), tiny_suite.forget_sets["first"]
    made = prove(suite, forget, tmp_path / "made")
    found = verify(made.bundle, suite, forget, Policy(steps="random", count=12))
    assert found.verdict.outcome == "PASS", found.verdict.reasons


def test_a_tree_proves_each_leaf_and_no_other(tiny_suite: Suite) -> None:
    leaves = leaves_of(tiny_suite.data.train)[:11]
    root = root_of(leaves)
    for place, leaf in enumerate(leaves):
        way = way_of(leaves, place)
        assert is_below(root, leaf.tobytes(), way)
        assert not is_below(root, leaves[(place + 1) % 11].tobytes(), way)


def test_the_root_of_what_is_kept_is_of_all_but_the_removed(tiny_suite: Suite) -> None:
    leaves = leaves_of(tiny_suite.data.train)
    assert root_of(without(leaves, [0, 5])) == root_of(np.delete(leaves, [0, 5], axis=0)) != root_of(leaves)
    assert root_of(leaves[:3]) != root_of(np.concatenate([leaves[:3], leaves[2:3]]))
