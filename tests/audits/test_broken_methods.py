"""Methods that are broken on purpose make models, and the check that is meant to finds the fault; sound ones pass."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from expunge.audits.certification import DRAWN, MODELS, Certification, measure
from expunge.audits.refutation import release_noise, trial
from expunge.certificates.ledger import Ledger
from expunge.ensembles import Ensemble
from expunge.ensembles.seeds import Generators
from expunge.errors import OutsideBall, RepeatedRequest
from expunge.methods import certified
from expunge.methods.parts import certified_training
from expunge.methods.zoo import certified_newton, output_perturbation
from expunge.reports.certification.entries import entries_of
from expunge.reports.certification.page import certificates_page
from expunge.suites import Split, Suite, load_suite
from tests.cli.commands import run

FORGET, COUNT, BALL, NEWTON = "random-10", 40, "output-perturbation", "certified-newton"
SHORT = {"radius": 1.0, "delta": 1e-3}  # less than the weights of models that nobody projects
STEP = {"solver": "exact", "damping": 0.1, **SHORT}  # on to a minimum beyond the radius


def normalised() -> nn.Module:
    """Its buffers hold means and spreads of what was trained on."""
    return nn.Sequential(nn.Linear(30, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 2))


def short(network: Callable[[], nn.Module] | None = None) -> Suite:
    suite = load_suite("tabular")
    suite = replace(suite, chunk=20, recipe=replace(suite.recipe, epochs=8))
    return replace(suite, network=network, architecture="with BatchNorm") if network else suite


@pytest.fixture(autouse=True)
def own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What broken methods make is for nobody else."""
    monkeypatch.setenv("EXPUNGE_STORE", str(tmp_path / "store"))


def tried(method: str, suite: Suite, **settings: object) -> Certification:
    return measure(method, suite, FORGET, models=COUNT, settings=settings, draws=300_000)


def left_as_it_is(student: Ensemble, radius: float) -> Ensemble:
    """In place of a projection."""
    return student


def reset(ensemble: Ensemble, split: Split, cfg: Any, rng: Generators) -> Ensemble:
    """Output perturbation that leaves nothing of training in the buffers."""
    student = output_perturbation._update(ensemble, split, cfg, rng)
    for name, each in student.network.named_buffers():
        each.fill_(1.0 if name.endswith("running_var") else 0.0)
    return student


def weaker(ensemble: Ensemble, sigmas: Sequence[float], rng: Generators) -> Ensemble:
    """A release whose noise is too small by the square root of 2."""
    return certified.released(ensemble, [sigma / 2**0.5 for sigma in sigmas], rng)


@pytest.fixture(scope="module")
def keeping(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Certification]:
    """Output perturbation as it is, which moves weights alone, on a network with BatchNorm."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EXPUNGE_STORE", str(tmp_path_factory.mktemp("store")))
        patch.setenv("EXPUNGE_DEVICE", "cpu")
        yield tried(BALL, short(normalised), delta=1e-3)


@pytest.mark.parametrize(("method", "settings"), [(BALL, SHORT), (NEWTON, STEP)])
def test_weights_on_the_ball_pass(method: str, settings: dict[str, object]) -> None:
    assert tried(method, short(), **settings).checks["norms"] == ""


@pytest.mark.parametrize(
    ("method", "settings", "module"), [(BALL, SHORT, output_perturbation), (NEWTON, STEP, certified_newton)]
)
def test_a_method_that_leaves_out_its_projection_is_found_by_the_norms(
    method: str, settings: dict[str, object], module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "project", left_as_it_is)
    found = tried(method, short(), **settings)
    assert "models lie outside the ball of radius 1, farthest model" in found.checks["norms"]
    assert not any(fault for name, fault in found.checks.items() if name not in ("norms", "shift"))


def test_training_that_leaves_out_its_projection_is_refused_before_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certified_training, "project", left_as_it_is)
    with pytest.raises(OutsideBall, match="expected weights of norm at most radius = 1, got"):
        tried(NEWTON, short(), **STEP)


def test_the_command_says_which_check_found_a_projection_that_was_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(output_perturbation, "project", left_as_it_is)
    options = ["--models", "8", "--workers", "1", "--set", f"{BALL}.radius=1"]
    done = run("certify", BALL, "tabular", FORGET, *options, cwd=tmp_path)
    assert done.returncode == 3
    assert "check of norms: the weights of 16 of 16 models lie outside the ball of radius 1" in done.stdout


def test_buffers_that_keep_the_forget_set_are_found_and_the_claim_is_refuted(keeping: Certification) -> None:
    assert "numbers in buffers are not those of models that never saw the forget set" in keeping.checks["buffers"]
    assert keeping.tried[MODELS].word == "REFUTED"
    assert keeping.certificate.verdict == "NOT CERTIFIED"
    assert any(reason.startswith("no buffers is false") for reason in keeping.certificate.reasons)


def test_a_method_that_resets_its_buffers_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(certified.CERTIFIED, BALL, replace(certified.CERTIFIED[BALL], update=reset))
    found = tried(BALL, short(normalised), delta=1e-3)
    assert found.checks["buffers"] == ""
    assert found.tried[MODELS].word == "NOT REFUTED"


def test_the_page_shows_what_buffers_keep(keeping: Certification) -> None:
    page = certificates_page(entries_of([keeping]))
    row = next(line for line in page.splitlines() if line.startswith(f"| `{BALL}`"))
    cells = [each.strip() for each in row.split("|")]
    assert cells[2] == "NOT CERTIFIED"
    assert cells[4].endswith(", REFUTED")
    assert cells[6] == "buffers"


def test_noise_that_a_release_makes_too_small_is_found_in_draws_and_in_its_tensor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(trial, "released", weaker)
    monkeypatch.setattr(release_noise, "released", weaker)
    found = tried(BALL, short(), delta=1e-3)
    assert found.tried[DRAWN].word == "REFUTED"
    assert found.tried[MODELS].word != "REFUTED"  # models cannot see it
    assert "'weight' has 0.71" in found.checks["noise"]


def test_a_request_that_is_served_again_is_refused_with_certificates_of_real_models() -> None:
    certificates = tried(BALL, short(), delta=1e-3).certificates
    ledger = Ledger(3.0, 1e-2).serve("2026-17", certificates)
    with pytest.raises(RepeatedRequest, match="was served before"):
        ledger.serve("2026-17", certificates)
    with pytest.raises(RepeatedRequest, match="its certificate was paid for before"):
        ledger.serve("2026-18", certificates)


def test_models_of_a_method_that_resets_its_buffers_are_not_those_of_training() -> None:
    """So that passing is no matter of a network without buffers."""
    suite = short(normalised)
    task = trial.trial_of(BALL, suite, suite.forget_set(FORGET), {})
    made = trial.make_chunk(task, "released", range(8)).tensors("buffers")
    assert {name.rpartition(".")[2] for name in made} == {"running_mean", "running_var", "num_batches_tracked"}
    assert all(not torch.equal(each[0], each[1]) for name, each in made.items() if "running" in name)
