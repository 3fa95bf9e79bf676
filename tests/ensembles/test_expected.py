"""What is given in place of an ensemble or of a forget set: said in a line, or taken."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from expunge import unlearn
from expunge.ensembles import Ensemble, pretrain, retrain
from expunge.errors import ExpungeError
from expunge.suites import ForgetSet, Suite

# In a process of its own, where annotations are not checked, as they are not at a user's.
SCRIPT = """
import numpy as np, torch
import expunge as xp
from expunge.ensembles.train import measure
from expunge.errors import ExpungeError
suite = xp.load_suite("digits")
module = torch.nn.Linear(2, 2)
for given in (module, [module, module], np.ones((2, 3)), "weights.pt", None):
    for call in (
        lambda: xp.unlearn(given, "random-50", "fine-tune"),
        lambda: xp.evaluate(given, given),
        lambda: measure(given, suite.data),
    ):
        try:
            call()
        except ExpungeError as error:
            print(error)
"""


def test_what_takes_an_ensemble_says_so_and_how_to_make_one() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 15, done.stderr
    for line in lines:
        assert "expected an Ensemble, got " in line
        assert "xp.pretrain(suite)" in line
        assert "Ensemble.stack" in line
        assert "expunge score" in line
    assert "got a single module, Linear" in lines[0]
    assert "got a list of 2 (Linear)" in lines[3]
    assert "got an array of shape (2, 3)" in lines[6]


@pytest.mark.parametrize("kind", ["list", "unsorted", "array", "unsigned", "mask", "tensor", "set", "truths"])
def test_a_forget_set_is_taken_in_every_form(suite: Suite, kind: str) -> None:
    indices = [3, 8, 100]
    mask = np.zeros(suite.data.sizes[0], bool)
    mask[indices] = True
    given = {
        "list": indices,
        "unsorted": [100, 3, 8],
        "array": np.array(indices),
        "unsigned": np.array(indices, np.uint8),
        "mask": mask,
        "tensor": torch.tensor(indices),
        "set": set(indices),
        "truths": mask.tolist(),
    }[kind]
    found = suite.forget_set(given)
    assert found.indices.tolist() == indices
    assert found.digest == ForgetSet("same", np.array(indices), "").digest


@pytest.mark.parametrize(
    "given", [[1, 1], [-1], [10_000], [], [0.5], np.zeros(5, bool), 7, {"a": 1}, [[1, 2]], "nowhere"]
)
def test_what_is_no_forget_set_is_refused_in_a_line(suite: Suite, given: object) -> None:
    with pytest.raises(ExpungeError) as caught:
        suite.forget_set(given)
    assert "\n" not in str(caught.value)


def test_indices_and_masks_train_and_unlearn_as_the_set_does(tiny_suite: Suite, tiny_store: object) -> None:
    forget = tiny_suite.forget_sets["first"]
    mask = np.isin(np.arange(200), forget.indices)
    before = pretrain(tiny_suite, 3)

    def weights(ensemble: Ensemble) -> list[torch.Tensor]:
        return list(ensemble.state().values())

    first = weights(unlearn(before, forget, "fine-tune", suite=tiny_suite, epochs=1))
    for given in (forget.indices, mask, forget.indices.tolist()):
        after = weights(unlearn(before, given, "fine-tune", suite=tiny_suite, epochs=1))
        assert all(torch.equal(one, other) for one, other in zip(first, after, strict=True))
    assert retrain(tiny_suite, mask, 3).origin.forget_set == f"given-{forget.digest}"
