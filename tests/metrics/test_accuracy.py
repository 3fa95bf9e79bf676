"""Accuracy is a share per model."""

import numpy as np

from expunge.metrics.accuracy import accuracy


def test_is_the_share_of_examples_each_model_gets_right() -> None:
    np.testing.assert_array_equal(accuracy(np.array([[True, True, False, False], [True] * 4])), [0.5, 1.0])
