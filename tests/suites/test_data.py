"""Examples in batches: every one once, in order, and no batch of nothing."""

import pytest
import torch

from expunge.suites import Data, Examples


def data(train: int, test: int) -> Data:
    x = torch.arange(train + test).float()[:, None]
    y = torch.arange(train + test) % 2
    return Data(Examples(x[:train], y[:train]), Examples(x[train:], y[train:]), classes=2)


@pytest.mark.parametrize(("train", "test"), [(3, 2), (4, 4), (8, 3), (9, 1), (5, 30), (1, 1)])
def test_every_example_comes_once_in_order_and_no_batch_is_empty(train: int, test: int) -> None:
    parts = [x for x, _ in data(train, test).batches(4)]
    assert torch.cat(parts)[:, 0].tolist() == list(range(train + test))
    assert all(1 <= len(part) <= 4 for part in parts)
