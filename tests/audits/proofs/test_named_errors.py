"""Whatever a verification may have to refuse has a name: each is raised or found, in one line that says what is wrong.

The names are those of the errors that users want of such software: batches that hold removed records, batches out of
order, hashes that do not fit, states that are missing, operations that are not deterministic, records that were never
trained on, attacks without a choice, noise, models in training mode, triggers without power, attacks on their own data.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save
from torch import nn

from expunge.audits.backdoor import Rule, subject_outside
from expunge.audits.backdoor import verify as judge
from expunge.audits.owner_counts import Asked, OwnerCounts
from expunge.audits.proofs.adversary import plant
from expunge.audits.proofs.book import issued
from expunge.audits.proofs.forging import forge
from expunge.audits.proofs.provider import Proven, promise, prove
from expunge.audits.proofs.substitution import Nearest, RandomSearch
from expunge.audits.proofs.verification import Policy, Verified, verify
from expunge.audits.queries import ask_both
from expunge.audits.trigger import draw
from expunge.audits.u_lira import log_ratio
from expunge.errors import (
    BadMargins,
    BadProof,
    BadSetting,
    BelowNoise,
    ExpungeError,
    NonceRefused,
    NonDeterministic,
)
from expunge.suites import ForgetSet, Suite
from expunge.verdicts import Verdict
from tests.audits.proofs.networks import Unpooled, suite_of
from tests.audits.proofs.tampering import change, flip, rewrite


@dataclass(frozen=True)
class Scene:
    """A suite, an honest bundle of it that may be changed, and room for more."""

    suite: Suite
    forget: ForgetSet
    bundle: Path
    room: Path

    def verified(self, policy: Policy | None = None, original: Path | None = None) -> Verified:
        return verify(self.bundle, self.suite, self.forget, policy, original=original)

    def original(self) -> Proven:
        return prove(self.suite, None, self.room / "original", seed=1)

    def with_batches_of(self, size: int) -> Suite:
        recipe = replace(self.suite.recipe, batch_size=size, momentum=0.0, weight_decay=0.0)
        return replace(self.suite, name="other", recipe=recipe)


@dataclass(frozen=True)
class Raised:
    """What a scene ends in."""

    error: type[ExpungeError]
    words: str


@dataclass(frozen=True)
class Found:
    """What a check says of a scene."""

    check: str
    words: str
    outcome: str = "FAIL"


def holds_a_removed_record(scene: Scene) -> Verified:
    made = plant(scene.suite, scene.forget, scene.room / "planted", step=7, record=3)
    return verify(made.bundle, scene.suite, scene.forget)


def out_of_order(scene: Scene) -> Verified:
    flip(scene.bundle, 5, 0, 150, relink=True)
    change(scene.bundle, lambda told: told["order"].update(kind="drawn", nonce="0" * 64))
    return scene.verified()


def other_hash(scene: Scene) -> Verified:
    flip(scene.bundle, 5, 0, 150, relink=False)
    return scene.verified()


def other_commitment(scene: Scene) -> Verified:
    change(scene.bundle, lambda told: told["order"].update(commitment="0" * 64))
    return scene.verified()


def no_checkpoint(scene: Scene) -> Verified:
    (scene.bundle / "states-00000.safetensors").unlink()
    return scene.verified()


def no_part(name: str) -> Callable[[Scene], Verified]:
    def scene_without(scene: Scene) -> Verified:
        states = load_file(scene.bundle / "states-00000.safetensors")
        del states[name]
        rewrite(scene.bundle, "states-00000.safetensors", save(states))
        return scene.verified()

    return scene_without


def not_deterministic(scene: Scene) -> Proven:
    return prove(suite_of(scene.suite, Unpooled()), None, scene.room / "made", deterministic=True)


def drawn_by_chance(scene: Scene) -> Proven:
    return prove(suite_of(scene.suite, nn.RReLU()), None, scene.room / "made")


def not_deterministic_in_a_bundle(scene: Scene) -> Verified:
    suite = suite_of(scene.suite, Unpooled())
    made = prove(suite, scene.forget, scene.room / "made")
    change(made.bundle, lambda told: told.update(deterministic=True))
    return verify(made.bundle, suite, scene.forget, Policy(steps="random"))


def beyond_the_training_split(scene: Scene) -> Verified:
    return verify(scene.bundle, scene.suite, ForgetSet("beyond", [5, 200]))


def promised_beyond_the_training_split(scene: Scene) -> Verified:
    change(scene.bundle, lambda told: told["promise"].update(removed=[5, 200]))
    return scene.verified()


def never_trained_on(scene: Scene) -> Verified:
    before = prove(scene.suite, ForgetSet("four", [4, 100]), scene.room / "original", seed=1)
    return scene.verified(original=before.bundle)


def no_record_of_its_class(scene: Scene) -> Nearest:
    whole = ForgetSet("whole", np.flatnonzero(scene.suite.data.train.y.numpy() == 3))
    return Nearest.in_space(scene.suite, whole, "pixel", scene.suite.network())


def no_free_record_of_its_class(scene: Scene) -> np.ndarray:
    select = Nearest.in_space(scene.suite, scene.forget, "pixel", scene.suite.network())
    return select(scene.suite.network(), np.arange(200))


def a_batch_of_all(scene: Scene) -> np.ndarray:
    return RandomSearch(scene.suite, scene.forget)(scene.suite.network(), np.arange(200))


def forged_full_batches(scene: Scene) -> Proven:
    full = scene.with_batches_of(200)
    source = prove(full, None, scene.room / "original")
    select = Nearest.in_space(full, scene.forget, "pixel", source.ensemble[0])
    return forge(full, scene.forget, source.bundle, scene.room / "forged", select)


def below_the_noise(scene: Scene) -> Verified:
    return scene.verified(Policy(eps=1e-30))


def in_training_mode(scene: Scene) -> OwnerCounts:
    model, data = scene.original().ensemble.train(), scene.suite.data
    return ask_both(draw(data.train.x.shape[1:], 10, bytes(32)), data.test, model, model, 10)


def without_power(_: Scene) -> Verdict:
    few = OwnerCounts("a", Asked("m", ((1, 10),)), Asked("m", ((0, 10), (0, 10))))
    return judge([few], subject_outside([few]), Rule())


def on_its_own_data(_: Scene) -> np.ndarray:
    scores = np.random.default_rng(0).normal(size=(6, 4))
    return log_ratio(scores[:3], scores[2:5], scores[3:])


def asked_again(scene: Scene) -> object:
    for seed in (1, 2):
        found = issued(scene.room / "nonces.jsonl", promise(scene.suite, scene.forget, seed).promise)
    return found


NAMED: dict[str, tuple[Callable[[Scene], object], Raised | Found]] = {
    "threshold below hardware noise floor": (below_the_noise, Raised(BelowNoise, "below the noise of this machine")),
    "PoRT batch contains D_u": (holds_a_removed_record, Found("removal", "removed record 3 is in the batch of step 7")),
    "batch not from committed order": (out_of_order, Found("order", "the batch of step 1 is not the one that promise")),
    "hash mismatch": (other_hash, Found("chain", "the hash chain breaks at step 5")),
    "commitment mismatch": (other_commitment, Found("order", "the batches are not those of the commitment")),
    "missing checkpoint": (no_checkpoint, Raised(BadProof, "is missing, in which manifest.json has states")),
    "missing optimiser state": (no_part("momenta"), Raised(BadProof, "lacks momenta")),
    "missing buffers": (no_part("buffers"), Raised(BadProof, "lacks buffers")),
    "non-deterministic op in deterministic mode, recorded": (
        not_deterministic,
        Raised(NonDeterministic, f"operation {Unpooled.REFUSED}"),
    ),
    "non-deterministic op in deterministic mode, verified": (
        not_deterministic_in_a_bundle,
        Found("determinism", f"operation {Unpooled.REFUSED}"),
    ),
    "op that draws by chance": (
        drawn_by_chance,
        Raised(NonDeterministic, "draws by chance, by aten::rrelu_with_noise"),
    ),
    "forget id not in training split": (beyond_the_training_split, Raised(BadSetting, "expected indices 0 to 199")),
    "forget id of a promise not in training split": (
        promised_beyond_the_training_split,
        Raised(BadProof, "expected rising numbers of 0 to 199"),
    ),
    "forget point never trained on": (
        never_trained_on,
        Found("trained", "removed record 4 was in no batch of the original training", "INCONCLUSIVE"),
    ),
    "no same-class substitute": (no_record_of_its_class, Raised(BadSetting, "no retained record has its class, 3")),
    "no free same-class substitute": (
        no_free_record_of_its_class,
        Raised(BadSetting, "every retained record of its class is in the batch"),
    ),
    "retained set too small for batch": (
        a_batch_of_all,
        Raised(BadSetting, "a batch of 200 leaves 0 retained records"),
    ),
    "full batch cannot be forged": (forged_full_batches, Raised(BadSetting, "one set and no other")),
    "BN/dropout in train mode while measuring": (in_training_mode, Raised(BadSetting, "is in training mode, in which")),
    "attack evaluated on its training data": (on_its_own_data, Raised(BadMargins, "is one of the shadow models")),
    "backdoor power too low": (without_power, Found("backdoor", "no power: before the deletion", "INCONCLUSIVE")),
    "repeated request": (asked_again, Raised(NonceRefused, "was issued for another promise")),
}


@pytest.fixture
def scene(tiny_suite: Suite, small: Proven, copied: Callable[[Proven], Path], tmp_path: Path) -> Scene:
    (tmp_path / "room").mkdir()
    return Scene(tiny_suite, tiny_suite.forget_sets["first"], copied(small), tmp_path / "room")


@pytest.mark.parametrize("name", NAMED)
def test_it_is_one_line_that_says_what_is_wrong(name: str, scene: Scene) -> None:
    make, wanted = NAMED[name]
    if isinstance(wanted, Raised):
        with pytest.raises(wanted.error) as raised:
            make(scene)
        assert type(raised.value) is wanted.error
        line, words = str(raised.value), wanted.words
    else:
        line, words = _reason(make(scene), wanted), wanted.words
    assert words in line
    assert "\n" not in line


def _reason(found: object, wanted: Found) -> str:
    if isinstance(found, Verdict):
        assert found.outcome == wanted.outcome
        return found.reasons[0]
    assert isinstance(found, Verified)
    assert found.verdict.outcome == wanted.outcome
    return next(each.reason for each in found.findings if each.check == wanted.check and each.outcome != "PASS")


def test_nothing_is_wrong_with_the_scene_itself(scene: Scene) -> None:
    assert scene.verified(original=scene.original().bundle).verdict.outcome == "PASS"


def test_models_are_measured_in_evaluation_mode_whatever_mode_they_are_in(suite: Suite, original: Proven) -> None:
    models = original.ensemble.copy()
    wanted, before = models.eval().margins(suite.data), {k: v.clone() for k, v in models.state().items()}
    assert np.array_equal(models.train().margins(suite.data), wanted)
    assert models.training
    assert all(torch.equal(models.state()[name], each) for name, each in before.items())
