"""Audits that read models: probes, relearning, outputs, shadow models that have unlearned."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from expunge.audits import AUDITS
from expunge.audits import shadows as module
from expunge.audits.audit import Audited
from expunge.audits.evidence import Evidence
from expunge.audits.game import Game, auc
from expunge.audits.outputs import on_forget
from expunge.audits.relearning import relearned
from expunge.audits.run import AuditedRow, run_audits
from expunge.audits.shadows import Labour, masks_of, shadows_of
from expunge.audits.u_lira_shadows import corrected, uncorrected
from expunge.bench.plan import plan_bench
from expunge.bench.rows import rows_of
from expunge.bench.score import reference_of
from expunge.ensembles import Ensemble, Plan, build, pretrain, retrain
from expunge.methods import run_method
from expunge.methods.task import Task
from expunge.records import Score
from expunge.store import user_store
from expunge.suites import Suite
from tests.audits.small_suite import small

MODELS, FORGET = 6, "more"
OF_MODELS = [name for name, each in AUDITS.items() if each.trains]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(autouse=True)
def same_store(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All tests of this file have one store."""
    monkeypatch.setenv("EXPUNGE_STORE", str(store))


@pytest.fixture(scope="module")
def suite(store: Path) -> Iterator[Suite]:
    """With all that is built."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EXPUNGE_STORE", str(store))
        patch.setenv("EXPUNGE_DEVICE", "cpu")
        made = small()
        pretrain(made, made.models)
        retrain(made, FORGET, made.models)
        build(Plan(made, "subset"), made.subsets)
        yield made


@pytest.fixture(scope="module")
def audited(suite: Suite) -> dict[str, AuditedRow]:
    rows = run_audits(
        suite, FORGET, ["identity", "oracle", "fine-tune"], models=MODELS, audits=["all"], tuning="default"
    )
    return {row.method: row for row in rows}


def task_of(suite: Suite, name: str) -> Task:
    (task,) = [each for each in plan_bench(suite, [name], [FORGET], models=MODELS).tasks if each.name == name]
    return task


def evidence_of(suite: Suite, name: str) -> Evidence:
    task = task_of(suite, name)
    reference = reference_of(suite, task.forget, MODELS, MODELS)
    return Evidence(rows_of(task, [], MODELS, reference)[-1], reference, task=task)


def number(audited: Audited, aggregate: str) -> Score:
    (score,) = [score for score in audited.scores if score.aggregate == aggregate]
    return score


def test_every_audit_says_something_of_every_row(audited: dict[str, AuditedRow]) -> None:
    for method in ("identity", "oracle", "fine-tune"):
        row = audited[method]
        assert not row.failed
        assert list(row.found) == list(AUDITS), row.lacking
        assert row.verdict is not None


def test_an_oracle_gets_what_oracles_get(audited: dict[str, AuditedRow]) -> None:
    for name in OF_MODELS:
        for score in audited["oracle"].found[name].scores:
            if not score.aggregate.startswith("loss-"):  # whose oracles are those of the reference
                assert score.value == pytest.approx(score.oracle, abs=0.35), (name, score.aggregate)
    assert audited["oracle"].verdict is not None
    assert audited["oracle"].verdict.outcome != "FAIL"


def test_what_models_hold_is_found(audited: dict[str, AuditedRow]) -> None:
    found = audited["identity"].found
    for name in ("confidence", "modified-entropy", "relearning"):
        assert number(found[name], "auc-by-example").value > 0.6, name  # type: ignore[operator]


@pytest.mark.slow
def test_features_of_digits_hold_what_was_learned_by_heart() -> None:
    """It trains 40 oracles, 50 models of halves, and those again without the set."""
    rows = run_audits("digits", "memorised-50", ["identity", "oracle"], models=20, audits=OF_MODELS)
    for name in ("linear-probe", "relearning", "u-lira-shadows"):
        assert number(rows[0].found[name], "auc-by-example").low > 0.65  # type: ignore[operator]
    assert number(rows[0].found["linear-probe"], "accuracy-gap").low > 0.05  # type: ignore[operator]
    assert [row.verdict.outcome for row in rows if row.verdict] == ["FAIL", "PASS"]


def test_a_relearner_starts_where_the_models_stand_and_learns(suite: Suite) -> None:
    evidence = evidence_of(suite, "oracle")
    models, examples = evidence.models("oracles"), on_forget(evidence)
    before = {name: tensor.clone() for name, tensor in models.state().items()}
    curve = relearned(models, examples, examples, lr=0.05)
    assert curve[0] == pytest.approx(evidence.margins("oracles"), abs=1e-4)
    assert curve[-1].mean() > curve[0].mean() + 0.3
    assert all(torch.equal(tensor, before[name]) for name, tensor in models.state().items())


def test_a_probe_finds_what_only_the_last_layer_hides(suite: Suite) -> None:
    """Features as they were, and a last layer that says nothing: margins tell of no member, the probe does."""
    evidence = evidence_of(suite, "identity")
    mute = evidence.models("row").copy()
    with torch.no_grad():
        list(mute.parameters())[-2].zero_()
    evidence._known["models", "row"] = mute
    known = AUDITS["linear-probe"].scores(evidence_of(suite, "identity"))
    hidden = AUDITS["linear-probe"].scores(evidence)
    assert number(hidden, "auc").value == number(known, "auc").value
    assert number(AUDITS["confidence"].scores(evidence), "auc").value < 0.05  # type: ignore[operator]


def test_shadow_models_are_those_of_the_halves_and_identity_leaves_them(suite: Suite) -> None:
    task = task_of(suite, "identity")
    shadows = shadows_of(task, 40, Labour())
    weights = Plan(suite, "subset", weights=True)
    stored = build(weights, 40).array("margins").astype(np.float64)
    assert shadows.margins == pytest.approx(stored[:, task.forget.indices], abs=0.02)  # which are of float16
    assert (shadows.seen == masks_of(suite, range(40))[:, task.forget.indices]).all()


def test_a_shadow_model_forgets_what_its_half_has_of_the_set(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, run = [], run_method

    def spied(*arguments: object, **more: object) -> object:
        ensemble, _, forget = arguments[3:6]
        seen.append((ensemble.origin.models[0], forget.indices, more["gone"]))  # type: ignore[attr-defined]
        return run(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr("expunge.audits.shadows.run_method", spied)
    task = task_of(suite, "gradient-ascent")
    user_store().remove(module._key(task, range(20)))
    module.shadow_chunk(task, range(20))
    masks = masks_of(suite, range(20))
    assert [model for model, _, _ in seen] == list(range(20))
    for model, forgotten, gone in seen:
        assert set(forgotten) == set(task.forget.indices[masks[model, task.forget.indices]])
        assert (gone == np.flatnonzero(~masks[model])).all()


def test_shadow_models_are_taken_from_the_store(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    task = task_of(suite, "oracle")
    first = shadows_of(task, 40, Labour())
    monkeypatch.setattr(module, "_margins", lambda *_: pytest.fail("computed again"))
    assert (shadows_of(task, 40, Labour()).margins == first.margins).all()


def test_retrained_shadow_models_never_saw_the_set(suite: Suite) -> None:
    task = task_of(suite, "oracle")
    retrained, seen = shadows_of(task, 40, Labour()), shadows_of(task_of(suite, "identity"), 40, Labour())
    gap = [each.margins[each.seen].mean() - each.margins[~each.seen].mean() for each in (retrained, seen)]
    assert abs(gap[0]) < 0.5 * gap[1]


def test_without_the_correction_damage_to_the_whole_model_is_taken_for_a_leak() -> None:
    """All margins of unlearned models are lower, whatever they had seen: nothing is left of the single example."""
    rng = np.random.default_rng(0)
    seen = rng.random((80, 50)) < 0.5
    margins, retrained = rng.normal(-2, 1, (80, 50)), rng.normal(size=(80, 50))
    means = [
        np.mean([_mean_auc(game) for game in games])
        for games in (corrected(margins, seen), uncorrected(margins, seen, retrained))
    ]
    assert means[0] == pytest.approx(0.5, abs=0.03)
    assert means[1] > 0.9


def _mean_auc(game: Game) -> float:
    return auc([game]).value


def test_an_audit_leaves_models_as_they_are(suite: Suite) -> None:
    evidence = evidence_of(suite, "identity")
    ensemble: Ensemble = evidence.models("row")
    ensemble.train()  # as somebody may hand them over: measured is in evaluation mode
    before = {name: tensor.clone() for name, tensor in ensemble.state().items()}
    for name in ("confidence", "linear-probe", "relearning"):
        AUDITS[name].scores(evidence)
    assert all(torch.equal(tensor, before[name]) for name, tensor in ensemble.state().items())


def test_what_cannot_be_had_is_said(suite: Suite, tmp_path: Path) -> None:
    rows = run_audits(suite, FORGET, ["identity"], models=3, audits=["u-lira", "loss"])
    assert list(rows[0].found) == ["loss"]
    assert "expected 4 models and 4 oracles or more" in rows[0].lacking["u-lira"]
    evidence = Evidence(evidence_of(suite, "identity").row, evidence_of(suite, "identity").reference)
    assert "how the models were unlearned is not known" in evidence.lacking("shadows")
