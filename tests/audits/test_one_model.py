"""One model among oracles: an oracle is one more of them, a pretrained model is not, and files that are no model."""

from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from numpy import ndarray
from rich.table import Table

from expunge.audits.one_model import LEVEL, look
from expunge.audits.one_model_file import model_margins
from expunge.ensembles import pretrain
from expunge.ensembles.plan import Plan
from expunge.ensembles.stored_margins import read_margins
from expunge.errors import BadData, BadMargins, BadSetting, MissingData, TooFewModels
from expunge.records import SPLITS
from expunge.reports.tables.one_model import render_look
from expunge.suites import load_suite
from tests.cli.commands import refused, run


@pytest.fixture(scope="module")
def memorised() -> tuple[ndarray, ndarray]:
    """The margins of oracles and of pretrained models on the forget set."""
    suite = load_suite("digits")
    forget = suite.forget_set("memorised-50")
    plans = Plan(suite, "oracle", forget), Plan(suite, "pretrained")
    oracles, pretrained = (read_margins(plan, 0, suite.models).values[:, forget.indices] for plan in plans)
    return oracles, pretrained


def test_an_oracle_is_one_more_of_them(memorised: tuple[ndarray, ndarray]) -> None:
    oracles, pretrained = memorised
    seen = [look(oracles[row], np.delete(oracles, row, 0), pretrained, permutations=99) for row in range(0, 200, 10)]
    assert np.mean([each.p_seen <= LEVEL for each in seen]) < 0.08
    assert np.mean([each.p_values <= LEVEL for each in seen]) < 0.08
    assert sum(each.told_apart.any() for each in seen) <= 3
    assert all(0.7 < each.way < 1.3 for each in seen)


def test_a_pretrained_model_holds_most_of_what_it_memorised(memorised: tuple[ndarray, ndarray]) -> None:
    oracles, pretrained = memorised
    seen = [look(pretrained[row], oracles, np.delete(pretrained, row, 0), permutations=99) for row in range(0, 200, 20)]
    assert np.median([(each.p_seen <= LEVEL).mean() for each in seen]) > 0.5
    assert max(each.p for each in seen) <= LEVEL
    assert all(-0.3 < each.way < 0.3 for each in seen)


def test_the_p_value_of_a_whole_oracle_is_exact_though_examples_share_models() -> None:
    rng, p = np.random.default_rng(0), []
    for _ in range(200):
        oracles = rng.normal(size=(60, 1)) + rng.normal(size=(60, 12))
        p.append(look(oracles[0], oracles[1:], 1 + rng.normal(size=(5, 12)), permutations=19).p)
    assert 0.0 < np.mean(np.array(p) <= LEVEL) < 0.1


def test_too_few_oracles_or_a_copy_of_one_are_refused() -> None:
    oracles = np.random.default_rng(0).normal(size=(45, 6))
    with pytest.raises(TooFewModels, match="expected 39 oracles"):
        look(oracles[0], oracles[1:20], oracles)
    with pytest.raises(BadMargins, match="this is oracle 4 itself"):
        look(oracles[4], oracles, oracles)


@pytest.mark.parametrize("name", ["model.pt", "parallel.pt", "checkpoint.pth", "model.safetensors"])
def test_weights_are_measured_as_the_ensemble_is(name: str, tmp_path: Path) -> None:
    suite, file = load_suite("digits"), tmp_path / name
    ensemble = pretrain(suite, models=2)
    state = {key: tensor.contiguous() for key, tensor in ensemble[1].state_dict().items()}
    if file.suffix == ".safetensors":
        safetensors.torch.save_file(state, file)
    else:
        prefixed = {f"module.{key}": tensor for key, tensor in state.items()}
        torch.save({"model.pt": state, "parallel.pt": prefixed, "checkpoint.pth": {"state_dict": state}}[name], file)
    assert np.allclose(model_margins(suite, file), ensemble.margins(suite.data)[1], atol=1e-4)


def test_what_is_no_model_of_the_suite_is_refused_in_a_line(tmp_path: Path) -> None:
    suite = load_suite("digits")
    state = suite.network().state_dict()
    first, *_ = state
    held = {
        "lacks.pt": {key: tensor for key, tensor in state.items() if key != first},
        "other.pt": {**state, "extra.weight": torch.zeros(1)},
        "shape.pt": {**state, first: torch.zeros(2, 2)},
        "whole.pt": suite.network(),
        "list.pt": [1, 2],
    }
    for name, each in held.items():
        torch.save(each, tmp_path / name)
    np.save(tmp_path / "two.npy", np.zeros((2, suite.data.width), np.float32))
    (tmp_path / "text.pt").write_text("no weights")
    told = {
        "lacks.pt": f"it lacks {first}",
        "other.pt": "the network has no extra.weight",
        "shape.pt": rf"{first} is \(2, 2\), not",
        "whole.pt": "would run code",
        "list.pt": "expected a state dict",
        "two.npy": "expected the margins of one model",
        "text.pt": "no .pt that can be read",
        "none.pt": "there is no file",
        ".": "is a folder; expected a model",
        "model.onnx": "there is no file",
    }
    for name, message in told.items():
        with pytest.raises((BadData, BadSetting, BadMargins), match=message):
            model_margins(suite, tmp_path / name)


def test_labels_are_left_out_where_the_data_are_not_at_hand(
    memorised: tuple[ndarray, ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = load_suite("digits")
    oracles, pretrained = memorised
    found = look(pretrained[0], oracles, pretrained[1:], permutations=19)

    def lacking(*_: object) -> None:
        raise MissingData("no data here")

    seen = dict.fromkeys(SPLITS, found)
    assert "label" in heads(render_look(suite, suite.forget_set("memorised-50"), seen, 3))
    monkeypatch.setattr(type(suite.target), "shown", lacking)
    assert "label" not in heads(render_look(suite, suite.forget_set("memorised-50"), seen, 3))


def heads(parts: list[Table | str]) -> list[str]:
    """Those of the table of examples."""
    table = parts[1]
    assert isinstance(table, Table)
    return [str(column.header) for column in table.columns]


def test_the_command_says_where_a_model_lies_and_what_that_cannot_show(tmp_path: Path) -> None:
    suite = load_suite("digits")
    np.save(tmp_path / "model.npy", read_margins(Plan(suite, "pretrained"), 0, 4).values[3])
    done = run("look", "digits", "class-3", tmp_path / "model.npy", "--examples", "2")
    assert done.returncode == 0, done.stderr
    assert "this model is no oracle" in done.stdout
    assert "cannot show that a method forgets" in done.stdout
    assert "there is no file" in refused(run("look", "digits", "class-3", tmp_path / "none.npy"))
