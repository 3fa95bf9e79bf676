"""Methods that prefer what is not the label."""

from torch import Tensor

from tests.methods.equations.case import TAUGHT, WALK, Case
from tests.methods.equations.toy import LR, SIX, W, cross_entropy_gradient, mean_gradient, over, steps_to
from tests.methods.equations.walkers import PLAIN, paired

BETA, GAMMA = 0.5, 2.0


def npo(start: Tensor = W) -> Tensor:
    """Down ``2 sigmoid(beta log(p / p0)) grad log p`` of forget, and ``gamma grad CE`` of retain."""

    def down(x: Tensor, y: int) -> Tensor:
        ratio = ((start @ x).softmax(0)[y] / (W @ x).softmax(0)[y]) ** BETA
        return 2 * ratio / (1 + ratio) * -cross_entropy_gradient(start, x, y)

    forget = over(down(x, y) for x, y in zip(SIX.forget.x, SIX.forget.y.tolist(), strict=True))
    return start - LR * (GAMMA * mean_gradient(start, SIX.retain) + forget)


CASES = {
    "npo": Case(  # its reference goes forward only
        steps_to({**PLAIN, "epochs": 2, "beta": BETA, "gamma": GAMMA}, npo, lambda: npo(npo()), split=SIX),
        lambda n: n.epochs * (n.retain + paired(n) * 4 / 3),
        refused=[{"beta": 0.0}, {"gamma": -1.0}, {"forget_batch_size": 0}],
        passes=frozenset({WALK, TAUGHT}),
        ends_on_forget=True,
    )
}
