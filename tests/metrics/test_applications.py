"""Attack success and linear probes, on networks whose answers are known."""

import pytest
import torch
from torch import Tensor, nn

from expunge.ensembles import Ensemble, Origin
from expunge.errors import BadSetting
from expunge.metrics.attack_success import attack_success, stamped
from expunge.metrics.linear_probe import linear_probe, representation
from expunge.suites import Examples


class SeesCorner(nn.Module):
    """Says class 0 where the lower right pixel is above ``border``, else the class written in the first pixel."""

    def __init__(self, border: float) -> None:
        super().__init__()
        self.border = nn.Parameter(torch.tensor(border))

    def forward(self, x: Tensor) -> Tensor:
        label = torch.where(x[:, 0, -1, -1] > self.border, torch.zeros(len(x)), x[:, 0, 0, 0])
        return -(label[:, None] - torch.arange(3.0)).abs()


def written(labels: list[int]) -> Examples:
    x = torch.zeros(len(labels), 1, 4, 4)
    x[:, 0, 0, 0] = torch.tensor(labels, dtype=torch.float32)
    return Examples(x, torch.tensor(labels))


def test_attack_success_leaves_the_target_class_out_unless_told() -> None:
    origin = Origin("test", "0", "pretrained", None, (0, 1))
    ensemble = Ensemble.stack([SeesCorner(0.5), SeesCorner(2.0)], origin, (1, 4, 4)).eval()
    triggered = stamped(written([0, 0, 1, 2, 1, 2, 1, 2]))
    assert attack_success(ensemble, triggered, 0).tolist() == [1.0, 0.0]
    assert attack_success(ensemble, triggered, 0, include_target=True, batch_size=3).tolist() == [1.0, 0.25]
    assert attack_success(ensemble, written([1, 2]), 0).tolist() == [0.0, 0.0]


def test_a_stamp_is_a_patch_in_the_corner_of_a_copy() -> None:
    before = written([1, 2])
    after = stamped(before)
    assert after.x.sum() - before.x.sum() == 2 * 4
    assert (after.x[:, :, 2:, 2:] == 1).all()
    assert torch.equal(after.y, before.y)
    assert before.x[:, :, 2:, 2:].sum() == 0


def test_a_probe_reads_what_the_representation_holds_and_no_more() -> None:
    torch.manual_seed(0)
    x = torch.randn(200, 3)
    labels = (x[:, 0] > 0).long()
    bodies = [nn.Linear(3, 1), nn.Linear(3, 1)]
    for column, body in enumerate(bodies):  # one keeps the column that the label is in, one another
        with torch.no_grad():
            body.weight.zero_()[0, column] = 1
    networks = [nn.Sequential(body, nn.Linear(1, 2)) for body in bodies]
    ensemble = Ensemble.stack(networks, Origin("test", "0", "pretrained", None, (0, 1)), (3,)).eval()
    good, blind = linear_probe(ensemble, Examples(x[:100], labels[:100]), Examples(x[100:], labels[100:])).tolist()
    assert good > 0.95
    assert blind < 0.7
    assert torch.allclose(representation(ensemble[0], x), x[:, :1] + bodies[0].bias)


def test_a_network_without_a_linear_layer_is_refused() -> None:
    with pytest.raises(BadSetting, match="expected a network with a linear layer"):
        representation(nn.Flatten(), torch.zeros(1, 2))
