"""Methods that prefer what is not the label."""

from torch import Tensor

from tests.methods.equations.toy import FORGET, LR, RETAIN, Case, W, cross_entropy_gradient, steps_to
from tests.methods.equations.walkers import PLAIN, paired

BETA, GAMMA = 0.5, 2.0


def npo(start: Tensor = W) -> Tensor:
    """Down ``2 sigmoid(beta log(p / p0)) grad log p`` of forget, and ``gamma grad CE`` of retain."""
    x = FORGET.x[0]
    ratio = ((start @ x).softmax(0)[2] / (W @ x).softmax(0)[2]) ** BETA
    down = 2 * ratio / (1 + ratio) * -cross_entropy_gradient(start, x, 2)
    return start - LR * (GAMMA * cross_entropy_gradient(start, RETAIN.x[0], 0) + down)


CASES = {
    "npo": Case(  # its reference goes forward only
        steps_to({**PLAIN, "epochs": 2, "beta": BETA, "gamma": GAMMA}, npo, lambda: npo(npo())),
        lambda n: n.epochs * (n.retain + paired(n) * 4 / 3),
    )
}
