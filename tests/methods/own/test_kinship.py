"""Who trains anew is told by the weights; honest methods are not accused."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from expunge.ensembles import Ensemble
from expunge.methods import configure, find_method
from expunge.methods.own.kinship import trained_anew
from expunge.methods.running import run_method
from expunge.suites import Suite


def weights(seed: int, *, models: int = 4, size: tuple[int, ...] = (20, 30)) -> Tensor:
    return torch.randn((models, *size), generator=torch.Generator().manual_seed(seed))


def anew(given: Tensor, returned: Tensor, others: Tensor | None = None) -> list[bool]:
    also = None if others is None else {"w": others}
    found: list[bool] = trained_anew({"w": given}, {"w": returned}, also).tolist()
    return found


def test_independent_weights_are_trained_anew_and_near_ones_are_not() -> None:
    given, fresh = weights(0), weights(1)
    assert anew(given, fresh) == [True] * 4
    assert anew(given, given * 0.9) == [False] * 4
    assert anew(given, given + fresh) == [False] * 4
    assert anew(given, torch.cat([given[:2], fresh[2:]])) == [False, False, True, True]


def test_one_layer_that_was_kept_is_enough() -> None:
    given = {"a": weights(0), "b": weights(1)}
    assert not trained_anew(given, {"a": given["a"], "b": weights(2)}).any()


def test_layers_that_models_share_from_the_start_tell_nothing() -> None:
    shared = weights(0, models=1).expand(4, 20, 30)
    near, nearer = shared + 0.1 * weights(1), shared + 0.1 * weights(2)
    assert not any(anew(near, nearer))
    given, fresh = {"a": near, "b": weights(3)}, {"a": nearer, "b": weights(4)}
    assert trained_anew(given, fresh).all()  # by the layer that they do not share


def test_a_start_that_models_share_in_part_is_no_kinship() -> None:
    start = weights(0, models=1).expand(4, 20, 30)
    given, other = start + weights(1), start + weights(2)
    assert anew(given, other) == [True] * 4
    assert anew(given, given + 0.3 * weights(3)) == [False] * 4


def test_one_model_alone_is_held_against_others() -> None:
    given, others = weights(0, models=1), weights(1, models=3)
    assert anew(given, weights(2, models=1), others) == [True]
    assert anew(given, given + weights(2, models=1), others) == [False]


def test_vectors_and_small_matrices_tell_nothing() -> None:
    assert not any(anew(weights(0, size=(600,)), weights(1, size=(600,))))
    assert not any(anew(weights(0, size=(7, 9)), weights(1, size=(7, 9))))


def reset_last(state: dict[str, Tensor]) -> None:
    key = [key for key, each in state.items() if each.ndim == 3][-1]
    state[key] = torch.randn_like(state[key]) * state[key].std()


def noisy(state: dict[str, Tensor]) -> None:
    for key, each in state.items():
        if each.ndim > 2:
            state[key] = each + torch.randn_like(each) * each.std()


def pruned(state: dict[str, Tensor]) -> None:
    for key, each in state.items():
        if each.ndim > 2:
            state[key] = each * (each.abs() > each.abs().quantile(0.9))


def all_new_but_the_first(state: dict[str, Tensor]) -> None:
    for key in [key for key, each in state.items() if each.ndim > 2][1:]:
        state[key] = torch.randn_like(state[key])


@pytest.mark.parametrize("change", [reset_last, noisy, pruned, all_new_but_the_first])
def test_honest_changes_of_digits_are_not_accused(
    change: Callable[[dict[str, Tensor]], None], ensemble: Ensemble
) -> None:
    torch.manual_seed(0)
    state = ensemble.state()
    returned = dict(state)
    change(returned)
    assert not trained_anew(state, returned).any()


@pytest.mark.parametrize("name", ["fine-tune", "gradient-ascent", "random-labels", "eu-k", "cf-k", "bad-teacher"])
def test_methods_of_the_table_are_not_accused(name: str, ensemble: Ensemble, suite: Suite) -> None:
    method = find_method(name)
    *_, last = run_method(name, method, configure(name, method, {}), ensemble, suite, suite.forget_sets["class-3"])
    assert not trained_anew(ensemble.state(), last.ensemble.state()).any()


def test_new_networks_of_digits_are(ensemble: Ensemble, suite: Suite) -> None:
    networks: list[nn.Module] = []
    for seed in range(3):
        torch.manual_seed(seed)
        networks.append(suite.network())
    fresh = Ensemble.stack(networks, ensemble.origin, ensemble.sample_shape)
    assert trained_anew(ensemble.state(), fresh.state()).all()
