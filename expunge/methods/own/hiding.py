"""Models whose outputs are the given ones, moved by the same numbers for every input: knowledge is hidden, not gone."""

from jaxtyping import Float
from torch import Tensor

LEAST = 0.005  # share of a change that differs between inputs; honest models of digits: 0.013 and more


def differing_share(
    given: Float[Tensor, "models inputs ..."], returned: Float[Tensor, "models inputs ..."]
) -> Float[Tensor, " models"]:
    """Which share of the change of the outputs differs from input to input, in [0, 1].

    With ``D = returned - given`` of each input it is ``sum |D - mean D|^2 / sum |D|^2``, the mean over inputs. A bias
    on a class's output, or a new constant for all outputs, gives 0: whoever subtracts it again has the given model. A
    method that changes what is computed changes it more for some inputs than for others.

    Measured on ``digits`` (class-3, memorised-50, random-50; 64 forget and 64 retain inputs): 0.013 for
    ``ascent-descent`` on class-3, 0.024 and more for all other methods of the table and eight functions of the usual
    kinds; 0 for a bias on the class.

    >>> import torch
    >>> differing_share(torch.zeros(1, 2, 2), torch.tensor([[[0.0, -29.0], [0.0, -29.0]]]))
    tensor([0.])
    """
    change = (returned - given).flatten(2).double()
    apart = (change - change.mean(1, keepdim=True)).square().sum((1, 2))
    return (apart / change.square().sum((1, 2))).to(given.dtype)
