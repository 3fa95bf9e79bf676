"""Numbers of single models: intervals over models cover as often as they say."""

import numpy as np

from expunge.metrics.over_models import median_over_models


def test_the_interval_of_the_median_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    for models in (10, 20, 21):
        found = [median_over_models(rng.exponential(size=models)) for _ in range(1000)]
        covered = np.mean([each.low <= np.log(2) <= each.high for each in found])
        assert 0.94 < covered < 0.995
