"""A request says what an owner wants removed; only its bytes say whether that is what was trained on."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from expunge.errors import BadSetting
from expunge.suites import Examples, ForgetSet, Request, Suite


def test_a_forget_set_is_the_honest_request_of_its_indices(suite: Suite, forget: ForgetSet) -> None:
    request = suite.request(forget, "an owner")
    assert request.owner == "an owner"
    assert np.array_equal(request.indices, forget.indices)
    assert request.honest(suite.data).all()


def test_one_changed_pixel_or_label_or_index_is_seen(suite: Suite, forget: ForgetSet) -> None:
    request = suite.request(forget)
    x, y, indices = request.examples.x.clone(), request.examples.y.clone(), request.indices.copy()
    x[1, 0, 0, 0] += 1e-6
    y[3] = (y[3] + 1) % 10
    indices[5], indices[7] = suite.data.sizes[0], -1  # no training example
    changed = replace(request, examples=Examples(x, y), indices=indices)
    assert np.flatnonzero(~changed.honest(suite.data)).tolist() == [1, 3, 5, 7]


def test_examples_of_another_shape_are_not_honest(suite: Suite, forget: ForgetSet) -> None:
    request = suite.request(forget)
    other = replace(request, examples=Examples(torch.zeros(len(forget), 3), request.examples.y))
    assert not other.honest(suite.data).any()


def test_a_method_forgets_what_the_request_holds_and_keeps_what_it_does_not_claim(
    suite: Suite, forget: ForgetSet
) -> None:
    request = suite.request(forget)
    perturbed = replace(request, examples=Examples(request.examples.x + 1, request.examples.y))
    split, honest = suite.split(perturbed), suite.split(forget)
    assert torch.equal(split.forget.x, honest.forget.x + 1)
    assert torch.equal(split.retain.x, honest.retain.x)


def test_a_request_has_an_index_for_each_example(suite: Suite, forget: ForgetSet) -> None:
    request = suite.request(forget)
    with pytest.raises(BadSetting, match="an index for each of at least 1 example, got 50 examples and 49 indices"):
        replace(request, indices=request.indices[1:])
    with pytest.raises(BadSetting, match="got 0 examples"):
        Request(suite.data.train.take(np.arange(0)), np.arange(0))
