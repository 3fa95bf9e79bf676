"""Nothing but the target knows the shape of a label: a toy second one goes through training, margins and a bench."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from expunge.bench.plan import plan_bench
from expunge.bench.rebuild import rebuild
from expunge.bench.run import run_bench
from expunge.bench.soundness import check
from expunge.ensembles import Ensemble, Plan, read_margins
from expunge.ensembles.seeds import Generators
from expunge.ensembles.train import measure, train
from expunge.errors import BadData, BadSetting
from expunge.methods import METHODS
from expunge.methods.needs import CLASSES
from expunge.records import SPLITS, Score
from expunge.store import at_store
from expunge.suites import CLASSIFICATION, Classification, Data, Examples, Suite, load_suite
from expunge.suites.target import log_odds
from expunge.tuning.search import tune
from expunge.tuning.tuning_sets import tuning_set
from tests.conftest import built_store
from tests.toy_target import ABSENT, TwoLabels, network, two_labels


@pytest.fixture(scope="module")
def suite() -> Suite:
    return two_labels()


@pytest.fixture(scope="module")
def built(suite: Suite, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that holds its ensembles."""
    return built_store(suite, tmp_path_factory.mktemp("two-labels"))


def networks(count: int) -> list[nn.Module]:
    torch.manual_seed(0)
    return [network().double() for _ in range(count)]


def test_stacked_training_is_training_one_by_one(suite: Suite) -> None:
    data, modules = suite.data, networks(3)
    examples = Examples(data.train.x.double(), data.train.y)
    rows = torch.arange(120).expand(3, -1)
    plan = Plan(suite, "pretrained")

    def trained(some: list[int]) -> dict[str, torch.Tensor]:
        stack = Ensemble.stack([modules[each] for each in some], plan.origin(some), examples.x.shape[1:])
        order = Generators(some)
        return train(stack, examples, rows[some], suite.recipe, order, target=suite.target).state()

    together, apart = trained([0, 1, 2]), [trained([each]) for each in range(3)]
    for key, tensor in together.items():
        for model, alone in enumerate(apart):
            torch.testing.assert_close(tensor[model], alone[key][0], rtol=0, atol=1e-10)


def test_margins_have_a_column_for_each_label_that_is_there(suite: Suite) -> None:
    data = suite.data
    stack = Ensemble.stack(networks(2), Plan(suite, "pretrained").origin([0, 1]), data.train.x.shape[1:]).float()
    values, correct = measure(stack, data, batch_size=7)
    there = (data.labels != ABSENT).numpy()
    assert values.shape == correct.shape == (2, there.sum()) == (2, data.width)
    outputs = stack(torch.cat([data.train.x, data.test.x]))
    every = log_odds(outputs, data.labels.clamp(min=0)).flatten(1).detach()
    np.testing.assert_allclose(values, every[:, there.ravel()], rtol=1e-5, atol=1e-5)


def test_columns_of_a_split_are_all_columns_of_its_examples(suite: Suite) -> None:
    columns = suite.columns(suite.forget_sets["first"])
    assert columns["forget"].tolist() == list(range(18))  # of ten examples, two of which have one label only
    joined = np.concatenate([columns[split] for split in SPLITS])
    assert sorted(joined.tolist()) == list(range(suite.data.width))
    assert suite.data.owners[columns["test"]].min() == 120


def test_it_is_benched_as_any_other(suite: Suite, built: Path, tmp_path: Path) -> None:
    with at_store(built):
        plan = plan_bench(suite, ["fine-tune", "neg-grad-plus", "influence"], models=4, tuning="default")
        scores = run_bench(plan, tmp_path)
        assert read_margins(Plan(suite, "pretrained"), 0, 4).values.shape == (4, suite.data.width)
    assert {score.status for score in scores} == {"ok"}
    found = {score.subject.method for score in scores if score.metric == "klom" and score.value is not None}
    assert found == {"identity", "oracle", "fine-tune", "neg-grad-plus", "influence"}
    with np.load(tmp_path / "arrays/first/fine-tune.npz") as arrays:
        assert arrays["klom"].shape == (suite.data.width,)


def test_methods_that_need_class_labels_are_left_out_and_fail_in_one_line(
    suite: Suite, built: Path, tmp_path: Path
) -> None:
    with at_store(built):
        plan = plan_bench(suite, models=4, tuning="default")
        needy = {name for name, method in METHODS.items() if CLASSES in method.needs}
        assert needy <= set(plan.left_out["first"])
        assert {"fine-tune", "gradient-ascent", "retrain"} <= {task.name for task in plan.tasks}
        named = run_bench(plan_bench(suite, ["scrub"], models=4, tuning="default"), tmp_path)
    failed = {score.reason for score in named if score.status == "failed"}
    assert failed == {"models 0 to 3: scrub needs one class label for each example, which suite 'two-labels' lacks"}


def test_every_method_that_does_not_need_class_labels_runs(suite: Suite, built: Path, tmp_path: Path) -> None:
    with at_store(built), pytest.warns(UserWarning, match="left out are amnesiac"):
        scores: list[Score] = run_bench(plan_bench(suite, models=4, tuning="default"), tmp_path)
    assert not {score.reason for score in scores if score.status == "failed"}


def test_a_suite_of_before_has_the_digest_that_it_had(suite: Suite) -> None:
    assert load_suite("digits").digest == "990e6b7af336da19"
    other = replace(suite, data=Data(suite.data.train, suite.data.test, 10, TwoLabels()))
    assert other.digest == suite.digest


def test_two_targets_make_two_digests() -> None:
    class Other(TwoLabels):
        name = "others"

    suite = two_labels()
    other = replace(suite, data=Data(suite.data.train, suite.data.test, 10, Other()))
    assert other.digest != suite.digest


def test_labels_that_are_none_of_the_target_are_refused(suite: Suite) -> None:
    train, test = suite.data.train, suite.data.test
    with pytest.raises(BadData, match=r"expected one label for each of 120 inputs, got labels \(120, 2\)"):
        Data(train, test, 10)
    with pytest.raises(BadData, match="expected two labels an example"):
        Data(Examples(train.x, train.y[:, 0]), Examples(test.x, test.y[:, 0]), 10, TwoLabels())


def test_a_network_with_outputs_that_are_none_of_the_target_is_refused(suite: Suite) -> None:
    flat = replace(suite, network=lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 20)))
    with pytest.raises(BadSetting, match=r"logits of \(2, 2, 10\).*got \(2, 20\)"):
        flat.check()


def test_targets_are_values() -> None:
    assert Classification() == CLASSIFICATION != TwoLabels()
    assert len({Classification(), CLASSIFICATION}) == 1


def test_another_loss_of_a_target_is_another_suite(tmp_path: Path) -> None:
    source = (Path(__file__).parent / "toy_target.py").read_text()
    digests = []
    for folder, text in (("a", source), ("b", source.replace("flatten(1).sum(1) /", "flatten(1).sum(1) * 5 /"))):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "own.py").write_text(text)
        digests.append(load_suite(f"{tmp_path / folder / 'own.py'}:two_labels").digest)
    assert digests[0] != digests[1]


def test_a_store_of_it_is_checked_and_tuning_sets_are_of_examples(suite: Suite, built: Path) -> None:
    with at_store(built):
        findings = {each.name: each.ok for each in check(suite)}
        found = tuning_set(suite, "random")
        with pytest.raises(BadSetting, match="a tuning set of kind 'class' needs one class an example"):
            tuning_set(suite, "class")
    assert "oracle first forgot" in findings
    assert found.indices.max() < suite.data.sizes[0]


def test_nothing_is_built_for_a_method_whose_needs_are_not_met(suite: Suite, built: Path) -> None:
    line = "scrub needs one class label for each example, which suite 'two-labels' lacks"
    with at_store(built):
        with pytest.raises(BadSetting, match=line):
            tune("scrub", suite, trials=1)
        with pytest.raises(BadSetting, match="sisa needs one class label for each example"):
            rebuild(suite, methods=["sisa"], tuning="default")
