"""What cannot be done again is named: operations that torch's deterministic mode refuses, and unrecorded chance."""

import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from expunge.audits.proofs.determinism import UNNAMED, deterministic_mode, in_deterministic_mode, what_draws
from expunge.audits.proofs.judging import Judged, look
from expunge.audits.proofs.manifest import read_manifest
from expunge.audits.proofs.provider import Proven, promise, prove
from expunge.audits.proofs.recorder import Recorder, recording
from expunge.audits.proofs.verification import Policy, Verified, verify
from expunge.errors import NonDeterministic
from expunge.suites import Suite
from tests.audits.proofs.networks import Unpooled, suite_of
from tests.audits.proofs.tampering import change

SOME = Policy(steps="random", count=4)


class Noisy(nn.Module):
    """Multiplies by what a function draws while it trains."""

    def __init__(self, draw: Callable[[Tensor], Tensor | float]) -> None:
        super().__init__()
        self.draw = draw

    def forward(self, x: Tensor) -> Tensor:
        return x * self.draw(x) if self.training else x


OWN = np.random.default_rng(0)
DRAWS: dict[str, tuple[Callable[[Tensor], Tensor | float], str]] = {
    "torch": (torch.rand_like, "aten::rand_like"),
    "torch, in place": (lambda x: torch.empty_like(x).bernoulli_(0.5), "aten::bernoulli_"),
    "numpy": (lambda x: float(np.random.random()), r"numpy\.random"),  # noqa: NPY002
    "Python": (lambda x: random.random(), "Python's random"),
    "a generator of its own": (lambda x: OWN.random(), f"{UNNAMED}|Python's random"),  # whoever else drew beside it
}


@pytest.fixture
def modes() -> Iterator[None]:
    """Torch's settings as they were, whatever a test did."""
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    yield
    torch.use_deterministic_algorithms(before[0], warn_only=before[1])


@pytest.mark.parametrize("before", [(False, False), (True, False), (True, True)])
@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt, RuntimeError])
@pytest.mark.usefixtures("modes")
def test_settings_are_given_back_whatever_happens(before: tuple[bool, bool], error: type[BaseException] | None) -> None:
    torch.use_deterministic_algorithms(before[0], warn_only=before[1])
    raised: type[BaseException] | None = None
    try:
        with deterministic_mode():
            assert in_deterministic_mode()
            if error:
                raise error("another thing")
    except BaseException as found:
        raised = type(found)
    assert raised is error
    after = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    assert after == before


def test_where_it_is_not_wanted_nothing_is_set() -> None:
    with deterministic_mode(False):
        assert not in_deterministic_mode()


def test_an_operation_that_is_refused_is_named() -> None:
    with pytest.raises(NonDeterministic, match="no deterministic algorithm for operation put_;"), deterministic_mode():
        torch.zeros(2).put_(torch.tensor([0, 0]), torch.ones(2))
    assert not in_deterministic_mode()


def test_a_gpu_that_is_not_set_up_for_it_is_told_how() -> None:
    said = "it is not deterministic because it uses CuBLAS; set CUBLAS_WORKSPACE_CONFIG=:4096:8 or ..."
    words = "set CUBLAS_WORKSPACE_CONFIG=:4096:8 in the environment"
    with pytest.raises(NonDeterministic, match=words), deterministic_mode():
        raise RuntimeError(said)


def test_a_recording_in_the_mode_says_so_and_is_replayed_in_it(
    tiny_suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = prove(tiny_suite, tiny_suite.forget_sets["first"], tmp_path / "made", deterministic=True)
    assert read_manifest(made.bundle).deterministic
    seen = list[bool]()

    def looking(*given: Any) -> Judged:
        seen.append(in_deterministic_mode())
        return look(*given)

    monkeypatch.setattr("expunge.audits.proofs.verification.look", looking)
    found = verify(made.bundle, tiny_suite, tiny_suite.forget_sets["first"], replace(SOME, deterministic=True))
    assert found.verdict.outcome == "PASS", found.verdict.reasons
    assert said(found)["determinism"].endswith("refuses no operation")
    assert seen == [True]
    assert not in_deterministic_mode()


def said(found: Verified) -> dict[str, str]:
    return {each.check: each.reason for each in found.findings}


def test_a_recording_without_the_mode_does_not_claim_it(tiny_suite: Suite, small: Proven) -> None:
    assert not read_manifest(small.bundle).deterministic
    found = verify(small.bundle, tiny_suite, tiny_suite.forget_sets["first"], SOME)
    assert "determinism" not in said(found)
    asked = verify(small.bundle, tiny_suite, tiny_suite.forget_sets["first"], replace(SOME, deterministic=True))
    assert asked.verdict.outcome == "FAIL"
    assert "does not say that it was recorded in torch's deterministic mode" in said(asked)["determinism"]


def test_a_manifest_from_before_that_says_nothing_claims_nothing(
    small: Proven, copied: Callable[[Proven], Path]
) -> None:
    folder = copied(small)
    change(folder, lambda told: told.pop("deterministic"))
    assert not read_manifest(folder).deterministic


def test_a_network_that_the_mode_refuses_is_not_recorded_in_it(tiny_suite: Suite, tmp_path: Path) -> None:
    unpooled = suite_of(tiny_suite, Unpooled())
    with pytest.raises(NonDeterministic, match=f"no deterministic algorithm for operation {Unpooled.REFUSED};"):
        prove(unpooled, None, tmp_path / "made", deterministic=True)
    assert not (tmp_path / "made").exists()
    assert not in_deterministic_mode()


@pytest.mark.parametrize(
    ("facts", "outcome"), [({}, "FAIL"), ({"torch": "9.9"}, "INCONCLUSIVE"), ({"device": "cuda, H200"}, "INCONCLUSIVE")]
)
def test_a_claim_that_cannot_be_true_names_the_operation(
    tiny_suite: Suite, tmp_path: Path, facts: dict[str, str], outcome: str
) -> None:
    """Where it was made by another torch or on another device nobody can tell from here."""
    unpooled, forget = suite_of(tiny_suite, Unpooled()), tiny_suite.forget_sets["first"]
    made = prove(unpooled, forget, tmp_path / "made")
    change(made.bundle, lambda told: told.update(deterministic=True))
    change(made.bundle, lambda told: told["facts"].update(facts))
    found = verify(made.bundle, unpooled, forget, SOME)
    assert f"no deterministic algorithm for operation {Unpooled.REFUSED}" in said(found)["determinism"]
    assert found.verdict.outcome == outcome
    assert not in_deterministic_mode()


@pytest.mark.parametrize("name", DRAWS)
def test_a_network_that_draws_by_chance_is_not_recorded(name: str, tiny_suite: Suite, tmp_path: Path) -> None:
    draw, words = DRAWS[name]
    with pytest.raises(NonDeterministic, match=f"draws by chance, by ({words}), and no proof records that"):
        prove(suite_of(tiny_suite, Noisy(draw)), None, tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_a_bundle_of_a_network_that_draws_by_chance_is_told_why_it_does_not_pass(
    tiny_suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noisy, forget = suite_of(tiny_suite, Noisy(torch.rand_like)), tiny_suite.forget_sets["first"]
    monkeypatch.setattr("expunge.audits.proofs.provider.require_repeatable", lambda *given: None)
    found = verify(prove(noisy, forget, tmp_path / "made").bundle, noisy, forget, SOME)
    assert found.verdict.outcome != "PASS"
    assert "draws by chance, by aten::rand_like, and no proof records that" in said(found)["chance"]


def test_dropout_of_an_ensemble_is_recorded(tiny_suite: Suite, tmp_path: Path) -> None:
    dropping, forget = suite_of(tiny_suite, nn.Dropout(0.5)), tiny_suite.forget_sets["first"]
    made = prove(dropping, forget, tmp_path / "made", deterministic=True)
    found = verify(made.bundle, dropping, forget, SOME)
    assert found.verdict.outcome == "PASS", found.verdict.reasons


def own_loop(suite: Suite, folder: Path) -> Path:
    """Two steps of a loop of one's own."""
    planned = promise(suite, None, 4)
    network, recipe, data = planned.first[0].train(), suite.recipe, suite.data.train
    optimizer = torch.optim.SGD(
        network.parameters(), lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay
    )
    recorder = Recorder(folder, planned.promise, planned.leaves, nonce=None)
    with recording(recorder, network, optimizer, recipe) as steps:
        for rows in torch.arange(40).split(20):
            with steps.on(rows):
                optimizer.zero_grad()
                F.cross_entropy(network(data.x[rows]), data.y[rows]).backward()
                optimizer.step()
    return folder


def test_dropout_in_a_loop_of_ones_own_is_refused_by_name(tiny_suite: Suite, tmp_path: Path) -> None:
    with pytest.raises(NonDeterministic, match=r"a step draws by chance, by aten::(bernoulli_|native_dropout)"):
        own_loop(suite_of(tiny_suite, nn.Dropout(0.5)), tmp_path / "own")


@pytest.mark.usefixtures("modes")
def test_a_loop_of_ones_own_in_the_mode_says_so(tiny_suite: Suite, tmp_path: Path) -> None:
    torch.use_deterministic_algorithms(True)
    assert read_manifest(own_loop(tiny_suite, tmp_path / "mode")).deterministic
    torch.use_deterministic_algorithms(True, warn_only=True)
    assert not read_manifest(own_loop(tiny_suite, tmp_path / "warned")).deterministic


def test_generators_are_given_back_as_they_were() -> None:
    places = np.random.get_state()[1].copy()  # type: ignore[index]  # noqa: NPY002
    assert what_draws(lambda: torch.tensor(np.random.random())) == "numpy.random"  # noqa: NPY002
    assert np.array_equal(np.random.get_state()[1], places)  # type: ignore[index]  # noqa: NPY002


@pytest.mark.faults
def test_to_look_for_chance_imports_no_compiler() -> None:
    """It takes a second and 70 MB, of every process that records or verifies."""
    code = (
        "import sys, torch; from expunge.audits.proofs.determinism import what_draws; "
        "assert what_draws(lambda: torch.rand(2)) == 'aten::rand'; assert 'torch._dynamo' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr


def test_what_draws_nothing_has_no_name() -> None:
    assert what_draws(lambda: torch.ones(3)) == ""
    assert what_draws(lambda: torch.full((3,), torch.nan)) == ""
