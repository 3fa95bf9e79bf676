"""A suite of your own: real flowers, and a network with layers that ensembles do not know, LayerNorm and attention."""

from sklearn.datasets import load_iris
from torch import nn

from expunge.suites import ForgetSets, Recipe, Suite, by_metadata, data_from_arrays, random_examples


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.norm = nn.Linear(1, 8), nn.LayerNorm(8)
        self.query, self.head = nn.Linear(8, 8), nn.Linear(32, 3)

    def forward(self, x):
        tokens = self.norm(self.embed(x.unsqueeze(-1)))  # one for each of 4 measurements
        weights = (self.query(tokens) @ tokens.mT).softmax(-1)
        return self.head((tokens + weights @ tokens).flatten(-2))


def flowers():
    x, y = load_iris(return_X_y=True)
    data = data_from_arrays(x[::2], y[::2], x[1::2], y[1::2])
    sets = ForgetSets({"random-5": random_examples(75, 5, seed=0), "long": by_metadata(x[::2, 2] > 6, True)})
    recipe = Recipe(epochs=30, batch_size=16, lr=0.1)
    return Suite(
        name="flowers", version=1, data=data, network=Attention, recipe=recipe, forget_sets=sets, models=20, chunk=4
    )
