"""Sparse suites: what --prune may say, that dense digests stay, and where a sparse suite is found."""

import pickle
from dataclasses import replace
from pathlib import Path

import pytest
from torch import nn

from expunge.ensembles.plan import Plan
from expunge.errors import BadSetting, UnknownName
from expunge.suites import Recipe, Suite, load_suite, networks
from expunge.suites.digits import network as digits_network
from expunge.suites.pruning import Pruning, prunable

PLAIN = Recipe(epochs=15, batch_size=64, lr=0.1)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("ompp:0.9", UnknownName, "unknown pruning 'ompp'; did you mean 'omp'"),
        ("omp:1", BadSetting, r"expected a sparsity in \[0, 1\), got 1$"),
        ("omp:-0.1", BadSetting, r"expected a sparsity in \[0, 1\), got -0.1"),
        ("omp", BadSetting, "expected METHOD:SPARSITY, for example omp:0.95, got 'omp'"),
        ("omp:nan", BadSetting, "expected METHOD:SPARSITY, .* got 'omp:nan'"),
        ("", BadSetting, "expected METHOD:SPARSITY"),
    ],
)
def test_a_pruning_that_is_none_is_refused_in_one_line(text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        load_suite("digits").pruned(text)
    assert "\n" not in str(caught.value)


def test_a_pruning_is_spelled_in_one_way() -> None:
    assert replace(PLAIN, prune="omp:.950").prune == "omp:0.95"
    assert replace(PLAIN, prune="imp:0").prune == ""
    assert str(Pruning.parse("synflow:5e-1")) == "synflow:0.5"


def test_a_recipe_says_when_it_rewinds_and_what_it_costs() -> None:
    assert [replace(PLAIN, epochs=epochs).rewound for epochs in (1, 2, 15, 182)] == [0, 1, 1, 8]
    assert replace(PLAIN, prune="omp:0.9").passes == 15 + 14
    assert replace(PLAIN, prune="imp:0.5", rewind=5).passes == 15 + 4 * 10
    assert replace(PLAIN, prune="synflow:0.9").passes == PLAIN.passes == 15
    for rewind in (-1, 15):
        with pytest.raises(BadSetting, match=f"expected rewind to be an epoch before the last, .* got {rewind}"):
            replace(PLAIN, rewind=rewind)


def test_a_sparse_suite_is_one_of_its_own_and_is_found_by_its_name(suite: Suite) -> None:
    sparse = suite.pruned("omp:0.95")
    again = load_suite("digits@omp-0.95")
    assert (sparse.name, sparse.address, sparse.recipe.prune) == ("digits@omp-0.95", "digits@omp-0.95", "omp:0.95")
    assert sparse.digest == again.digest == pickle.loads(pickle.dumps(again)).digest
    digests = {each.digest for each in (suite, sparse, suite.pruned("omp:0.9"), suite.pruned("imp:0.95"))}
    assert len(digests) == 4
    assert set(sparse.forget_sets) == set(suite.forget_sets)
    assert (sparse.derive, sparse.subsets) == (None, 0)
    assert suite.pruned("omp:0") is suite
    assert load_suite("digits@omp-0").digest == suite.digest
    assert sparse.split(suite.forget_sets["random-50"]).retraining == 29 * 1387
    with pytest.raises(BadSetting, match="is pruned already"):
        sparse.pruned("omp:0.5")
    with pytest.raises(UnknownName, match="did you mean 'omp'"):
        load_suite("digits@om-0.95")


OWN = """
from dataclasses import replace
from expunge.suites import load_suite

def mine():
    return replace(load_suite("digits"), name="mine")
"""


def test_a_suite_of_ones_own_has_its_sparse_one_too(tmp_path: Path) -> None:
    folder = tmp_path / "me@home"
    folder.mkdir()
    (folder / "own.py").write_text(OWN)
    sparse = load_suite(f"{folder}/own.py:mine@synflow-0.9")
    assert sparse.name == "mine@synflow-0.9"
    assert sparse.address == f"{folder}/own.py:mine@synflow-0.9"
    assert sparse.digest == load_suite(f"{folder}/own.py:mine").pruned("synflow:0.9").digest
    assert pickle.loads(pickle.dumps(Plan(sparse, "pretrained"))).suite.digest == sparse.digest


def test_convolutions_are_pruned_or_else_what_is_linear_and_hidden() -> None:
    assert prunable(digits_network()) == ["0.weight", "4.weight"]
    assert prunable(networks.mlp()) == ["0.weight"]
    assert len(prunable(networks.resnet18())) == 20
    with pytest.raises(BadSetting, match="found none to prune"):
        prunable(networks.logistic())
    with pytest.raises(BadSetting, match="found none to prune"):
        load_suite("tabular").pruned("omp:0.5").check()
    assert prunable(nn.Sequential(nn.Flatten(), nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2))) == [
        "1.weight",
        "2.weight",
    ]
