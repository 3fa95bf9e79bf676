"""What layers of the user's own do in training mode, where a stack needs it otherwise than torch does it."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from expunge.ensembles.chance import dropped


class AsInAStack(TorchFunctionMode):
    """Within, dropout of any code draws from ``seeds``, int32, one number, or under vmap one for each model.

    Without seeds it draws as ever. BatchNorm of one value a channel, which has no spread, takes the running one.
    """

    def __init__(self, seeds: Tensor | None) -> None:
        super().__init__()
        self._seeds, self._draw = seeds, 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is F.batch_norm:
            return func(**_settled(*args, **kwargs))
        if func not in _DROPS or self._seeds is None:
            return func(*args, **kwargs)
        x, p, training = _arguments(*args, **kwargs)
        if not training or p == 0:
            return x
        self._draw += 1
        return dropped(x, p, self._seeds, whole=_DROPS[func](x), draw=self._draw)


def _settled(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> dict[str, Any]:
    """The arguments of batch_norm, by the names that torch gives them; in evaluation where there is one value."""
    given = dict(locals())
    alone = input.numel() == input.shape[1] and running_mean is not None
    return given | {"training": training and not alone}


def _arguments(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> tuple[Tensor, float, bool]:
    """Those of the functions below, by the names that torch gives them."""
    return input, p, training


# What drops, and how many axes of its input tell apart what is dropped as a whole: all, or batch and channels.
_DROPS: dict[Any, Any] = {
    F.dropout: lambda x: None,
    torch.dropout: lambda x: None,
    F.dropout1d: lambda x: x.ndim - 1,
    F.dropout2d: lambda x: max(x.ndim - 2, 1),
    F.dropout3d: lambda x: x.ndim - 3,
    torch.feature_dropout: lambda x: 2,
}
