"""Methods that prune before they unlearn."""

import torch

from tests.methods.equations.case import Case
from tests.methods.equations.conv_toy import PLAIN, fine_tuned, require_equal, run_conv, starts


def prune_first(name: str) -> None:
    """Half of the 34 weights of both convolutions, the smallest of each model, are zero and stay it."""
    state = starts()
    sizes = torch.cat([state[key].abs().flatten(1) for key in ("0.weight", "2.weight")], dim=1)
    limit = sizes.sort(1).values[:, 16].view(-1, 1, 1, 1, 1)
    masks = {key: (state[key].abs() > limit).double() for key in ("0.weight", "2.weight")}
    state |= {key: mask * state[key] for key, mask in masks.items()}
    steps = run_conv(name, {**PLAIN, "epochs": 2, "sparsity": 0.5})
    assert len(steps) == 2
    for step in steps:
        state = fine_tuned(state, factors=masks)
        require_equal(step, state)


CASES = {
    "prune-first": Case(
        prune_first,
        lambda n: n.epochs * n.retain,
        refused=[{"sparsity": 1.0}, {"sparsity": -0.1}],
        convolutions=True,
    )
}
